//! The `[features]` table, and the front end and segments that a named network usually has.
//!
//! The table is either spelled out, as `docs/front-ends.md` describes, or names a preset:
//! `preset = "xu2018"`. Written back, as in a run directory, it is always spelled out.

use earmark::bundle::SegmentConfig;
use earmark::dataset::nearest;
use earmark::features::{
    ChannelConfig, ClipConfig, FrontEnd, FrontEndConfig, LongClip, PRESETS, Preset,
};
use earmark::model::{self, Architecture, Input};
use earmark::{Error, Result};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// Length of a segment in seconds where nothing else says one.
const DEFAULT_SEGMENT_SECS: f32 = 5.0;

/// The table as people write it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    preset: Option<String>,
    sample_rate: Option<u32>,
    clip: Option<ClipConfig>,
    channels: Option<Vec<ChannelConfig>>,
}

/// Reads the table.
///
/// # Errors
/// An unknown preset, with the nearest name; a preset beside settings of its own; missing settings.
pub(super) fn read<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<FrontEndConfig>, D::Error> {
    let written = Written::deserialize(deserializer)?;
    if let Some(name) = &written.preset {
        let Written {
            sample_rate: None,
            clip: None,
            channels: None,
            ..
        } = written
        else {
            return Err(D::Error::custom(
                "`preset` stands for the whole table, expected no other key beside it",
            ));
        };
        return preset(name).map(Some).map_err(D::Error::custom);
    }
    Ok(Some(FrontEndConfig {
        sample_rate: written
            .sample_rate
            .ok_or_else(|| D::Error::missing_field("sample_rate"))?,
        clip: written.clip.unwrap_or_default(),
        channels: written
            .channels
            .ok_or_else(|| D::Error::missing_field("channels"))?,
    }))
}

fn preset(name: &str) -> Result<FrontEndConfig> {
    Preset::named(name).map(Preset::config).map_err(|error| {
        let names = PRESETS
            .iter()
            .flat_map(|preset| [preset.name, preset.alias])
            .filter(|name| !name.is_empty());
        suggest(error, name, names)
    })
}

/// Adds the nearest known name to an error about an unknown one.
fn suggest<'a>(error: Error, name: &str, known: impl Iterator<Item = &'a str> + Clone) -> Error {
    match (error, nearest(name, known)) {
        (
            Error::Config {
                key,
                found,
                expected,
            },
            Some(nearest),
        ) => Error::Config {
            key,
            found,
            expected: format!("{expected}; did you mean `{nearest}`?"),
        },
        (error, _) => error,
    }
}

/// Names that the first two entries of the list stand for.
const PATTERNS: [&str; 5] = ["mn04", "mn10", "cnn6", "cnn10", "cnn14"];

/// The network of a name for the features of a front end.
///
/// # Errors
/// [`Error::Config`] for an unknown name, with the nearest known one; [`Error::Shape`] if it does not
/// take the front end's features.
pub(super) fn named(name: &str, front_end: &FrontEnd, n_classes: usize) -> Result<Architecture> {
    let input = Input {
        n_channels: front_end.n_channels(),
        n_bands: front_end.n_bands(),
        n_frames: None,
    };
    // `mn4` and `MN04` are what people type for `mn04`.
    let names = model::NAMES[2..].iter().copied().chain(PATTERNS);
    model::named(name, input, n_classes).map_err(|error| match error {
        error @ Error::Config { .. } => suggest(error, name, names),
        Error::Shape {
            what,
            found,
            expected,
        } => Error::Shape {
            what,
            found: format!("{found} from the front end"),
            expected: match usual_preset(name) {
                Some(preset) => format!("{expected}, as the preset `{preset}` gives"),
                None => expected,
            },
        },
        error => error,
    })
}

/// The preset that a network of this name was published with, where it takes no other features or
/// was made for these.
fn usual_preset(name: &str) -> Option<&'static str> {
    match name {
        "cnn-1d" | "cnn-1d-plain" | "cnn-1d-dropout" => Some("conv1d-mel"),
        "dcase-cnn" | "dcase-mlp" => Some("dcase2018-baseline"),
        "waveform-cnn" | "waveform-flat" | "waveform-gru" => Some("keras-waveform"),
        "waveform-cnn-normed" => Some("esp-waveform"),
        _ => None,
    }
}

/// The front end for a network of this name: its own, or EfficientAT's log-mels.
///
/// # Errors
/// None for the presets that there are.
pub(super) fn usual_front_end(name: &str) -> Result<FrontEndConfig> {
    match usual_preset(name) {
        Some(preset) => Preset::named(preset).map(Preset::config),
        None => Ok(FrontEndConfig::efficient_at()),
    }
}

/// Segments that fit a network and its front end: as long as the network or the front end wants
/// them, else 5 s.
///
/// # Errors
/// [`Error::Shape`] if no length of a segment gives the frames that the network takes.
pub(super) fn usual_segment(
    architecture: &Architecture,
    front_end: &FrontEnd,
) -> Result<SegmentConfig> {
    let secs = |n_samples: usize| n_samples as f32 / front_end.sample_rate() as f32;
    let exactly = |length_secs| SegmentConfig {
        length_secs,
        hop_secs: length_secs,
        min_secs: length_secs,
        ..SegmentConfig::efficient_at()
    };
    let length = front_end.config().clip.length;
    if let Some(length) = length.filter(|length| length.long != LongClip::Keep) {
        return Ok(exactly(secs(length.n_samples)));
    }
    if let Some(n_frames) = architecture.input.n_frames {
        // What is filled up to a length has as many frames from its first sample on.
        let filled = length
            .map(|length| length.n_samples)
            .filter(|&n_samples| front_end.n_frames(n_samples).ok() == Some(n_frames));
        let least = filled.or_else(|| samples_for(front_end, n_frames));
        let n_samples = least.ok_or_else(|| Error::Shape {
            what: format!("{}: frames of the front end", architecture.name),
            found: "a number that does not depend on the clip's length, or on more than it".into(),
            expected: n_frames.to_string(),
        })?;
        return Ok(exactly(secs(n_samples)));
    }
    // The front end of the one-dimensional network fills up to 30 s, whatever it is given.
    let is_filled =
        front_end.n_frames(front_end.sample_rate() as usize).ok() == Some(FILLED_FRAMES);
    let length_secs = if is_filled {
        30.0
    } else {
        DEFAULT_SEGMENT_SECS
    };
    let usual = SegmentConfig::efficient_at();
    let min_frames = architecture.min_frames();
    let least = min_frames.and_then(|n_frames| samples_for(front_end, n_frames));
    Ok(SegmentConfig {
        length_secs,
        hop_secs: length_secs,
        // Deep networks take no less.
        min_secs: usual.min_secs.max(least.map_or(0.0, secs)),
        ..usual
    })
}

/// The frames of the preset `conv1d-mel`: 30 s and one frame.
const FILLED_FRAMES: usize = 3001;

/// The least number of samples that give exactly so many frames.
fn samples_for(front_end: &FrontEnd, n_frames: usize) -> Option<usize> {
    let frames = |n_samples: usize| front_end.n_frames(n_samples).unwrap_or(0);
    let mut high = 1_usize;
    while frames(high) < n_frames {
        high *= 2;
        if high > 1 << 30 {
            return None;
        }
    }
    let mut low = high / 2;
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if frames(middle) < n_frames {
            low = middle;
        } else {
            high = middle;
        }
    }
    (frames(high) == n_frames).then_some(high)
}

/// Whether a network takes every segment that these rules cut.
///
/// # Errors
/// [`Error::Shape`] that names the segment's length and what the network takes.
pub(super) fn check_segments(
    architecture: &Architecture,
    front_end: &FrontEnd,
    segment: &SegmentConfig,
) -> Result<()> {
    let segmenter = segment.in_samples(front_end.sample_rate())?;
    let shortest = segmenter.last(1).map_or(1, |segment| segment.padded_len);
    for n_samples in [shortest, segmenter.length()] {
        let n_frames = match front_end.n_frames(n_samples) {
            Ok(n_frames) => n_frames,
            // What is left of a trimmed clip is known when it is read.
            Err(Error::NeedsWholeClip { .. }) => return Ok(()),
            Err(error) => return Err(error),
        };
        let Err(error) = architecture.plan_for(n_frames) else {
            continue;
        };
        let expected = match (architecture.input.n_frames, architecture.min_frames()) {
            (Some(fixed), _) => format!("exactly {fixed}"),
            (None, Some(least)) => format!("at least {least}"),
            (None, None) => return Err(error),
        };
        let length_secs = n_samples as f64 / f64::from(front_end.sample_rate());
        return Err(Error::Shape {
            what: format!(
                "{}: frames of a segment of {length_secs:.3} s (data.segment)",
                architecture.name
            ),
            found: n_frames.to_string(),
            expected,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::RunConfig;

    #[test]
    fn every_named_network_fits_its_usual_front_end_and_segments() {
        for name in model::NAMES[2..].iter().copied().chain(PATTERNS) {
            let front_end = FrontEnd::new(&usual_front_end(name).unwrap()).unwrap();
            let network = named(name, &front_end, 3).unwrap();
            let segment = usual_segment(&network, &front_end).unwrap();
            check_segments(&network, &front_end, &segment)
                .unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }

    #[test]
    fn fixed_networks_get_segments_of_their_length() {
        let secs = |name| {
            let front_end = FrontEnd::new(&usual_front_end(name).unwrap()).unwrap();
            let network = named(name, &front_end, 3).unwrap();
            usual_segment(&network, &front_end).unwrap().length_secs
        };
        // 25 frames of 1102 samples, 441 apart, at 44.1 kHz; the transform is 2048 long.
        assert!((secs("dcase-cnn") - (2048.0 + 24.0 * 441.0) / 44_100.0).abs() < 0.03);
        assert_eq!(secs("waveform-flat"), 2.0);
        assert_eq!(secs("cnn-1d"), 30.0);
    }

    #[test]
    fn a_fixed_network_gets_segments_as_long_as_its_front_end_fills_clips() {
        // Four seconds, filled up, after silence is trimmed.
        let front_end = FrontEnd::new(&preset("fat2019-resnet").unwrap()).unwrap();
        let mut network = named("resnet18", &front_end, 3).unwrap();
        network.input.n_frames = Some(front_end.n_frames(176_400).unwrap());
        let segment = usual_segment(&network, &front_end).unwrap();
        assert_eq!(segment.length_secs, 4.0);
    }

    #[test]
    fn misfits_name_both_sides_and_suggest() {
        let log_mel = FrontEnd::new(&FrontEndConfig::efficient_at()).unwrap();
        let message = |name: &str| named(name, &log_mel, 3).unwrap_err().to_string();
        assert!(message("resnet-18").ends_with("did you mean `resnet18`?"));
        assert!(message("mn4").ends_with("did you mean `mn04`?"));
        assert_eq!(
            message("dcase-cnn"),
            "dcase-cnn: input: found 1 channels × 128 bands from the front end, \
             expected 1 channels × 64 bands, as the preset `dcase2018-baseline` gives"
        );
        let network = named("cnn14", &log_mel, 3).unwrap();
        let short = SegmentConfig {
            min_secs: 0.1,
            ..SegmentConfig::efficient_at()
        };
        let error = check_segments(&network, &log_mel, &short).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cnn14: frames of a segment of 0.100 s (data.segment): found 10, expected at least 32"
        );
    }

    #[test]
    fn a_table_is_a_preset_or_spelled_out() {
        let parse = |text: &str, overrides: &[&str]| {
            let overrides: Vec<String> = overrides.iter().map(|&o| o.to_owned()).collect();
            RunConfig::parse("run.toml", text, &overrides)
        };
        let named = parse("[features]\npreset = 'xu2018'", &[]).unwrap();
        assert_eq!(named.features.as_ref(), Some(&preset("xu2018").unwrap()));
        let written = named.to_toml().unwrap();
        assert_eq!(parse(&written, &[]).unwrap(), named);
        // Replacing the preset replaces the whole table; other overrides change one setting.
        let other = parse(&written, &["features.preset=doshi"]).unwrap();
        assert_eq!(other.features, Some(preset("doshi").unwrap()));
        let rate = parse(&written, &["features.sample_rate=32000"]).unwrap();
        assert_eq!(rate.features.map(|f| f.sample_rate), Some(32_000));
        let message = |text: &str| parse(text, &[]).unwrap_err().to_string();
        let error = message("[features]\npreset = 'xu2019'");
        assert!(error.ends_with("did you mean `xu2018`?"), "{error}");
        let error = message("[features]\npreset = 'doshi'\nsample_rate = 8000");
        assert!(error.contains("no other key"), "{error}");
        assert!(message("[features]\nsample_rate = 8000").contains("channels"));
    }
}
