//! The one road from sound to tags: a bundle and audio in; scores by class, timelines, events and
//! embeddings out.
//!
//! ```text
//! AudioStream ── cutter ── segments ── front end ── runtime ── SegmentScores ─┬─ timeline
//!                                                                            ├─ EventMerger
//!                                                                            └─ ClipScores
//! ```
//!
//! A [`Tagger`] is opened from a [`Bundle`] and shared by threads. Each segment's features are
//! computed from its own samples, as a clip of its own, because that is what the network was trained
//! on: the frames at its edges see padding, not its neighbours. Where the bundle asks for it, the
//! recording is also played at other speeds and cut anew, for the clip's scores alone.
//!
//! * [`Tagger::tag`] gives a recording's scores, [`Tagger::segments`] its timeline, on this thread.
//! * [`Tagger::run`] does many recordings on many threads, one file per core, and spreads the
//!   segments of a long one over all of them; results come in order and memory stays bounded.
//! * [`Tagger::live`] scores sound as it happens.
//! * [`HeardClips`] fits a calibration and thresholds to clips with known labels.
//! * [`Selection`] turns scores into [`Tag`]s, [`EventMerger`] tags into [`Event`]s;
//!   [`EventDetector`] does so live, once when a class begins and once when it stops.

mod aggregate;
mod calibrate;
mod cutter;
mod detector;
mod events;
mod live;
mod recording;
mod run;
mod schedule;
mod select;
#[cfg(test)]
mod testing;

use std::num::NonZeroUsize;
use std::path::Path;

use crate::audio::{Limits, OpenOptions, PlaybackSpeed, Source, Truncated};
use crate::bundle::{Bundle, Input, MIN_HOP_SECS, Metadata, SegmentConfig, Segmenter};
use crate::dataset::Vocabulary;
use crate::features::FrontEnd;
use crate::runtime::{self, Batch, Runtime, RuntimeChoice};
use crate::{Error, Result};

pub use crate::audio::Channels;
pub use aggregate::ClipScores;
pub use calibrate::{CalibrationKind, HeardClips, MIN_CLIPS};
pub use detector::{Change, DetectorOptions, EventDetector};
pub use events::{Event, EventMerger};
pub use live::Live;
pub use recording::{RecordingInfo, Segments};
pub use run::{RunEvent, RunOptions};
pub use select::{Selection, Tag};

/// In how many positions a clip is heard at most: each is as much work as the first.
pub const MAX_POSITIONS: usize = 100;

/// How a [`Tagger`] is made.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TaggerOptions {
    /// What runs the network.
    pub runtime: RuntimeChoice,
    /// The length of segments in seconds, when it is not to be the bundle's.
    pub window_secs: Option<f32>,
    /// The distance between the starts of segments in seconds, when it is not to be the bundle's.
    /// With another `window_secs` alone, segments follow each other without overlap or gap.
    pub hop_secs: Option<f32>,
    /// Whether the channels of a recording are mixed, or tagged each by itself.
    pub channels: Channels,
    /// Bounds on recordings.
    pub limits: Limits,
    /// What to do with a recording that ends before its header says so.
    pub truncated: Truncated,
    /// In how many positions a clip is heard, at most [`MAX_POSITIONS`]; `None` is one. With more, a
    /// clip longer than a segment has so many times as many segments, at so much smaller a distance; a
    /// shorter one is heard as so many segments, each with the clip at another place: moved within its
    /// padding, or around in a circle where there is none. Scores and embeddings are aggregated over all
    /// of them.
    pub positions: Option<NonZeroUsize>,
    /// Speeds at which a clip is heard besides its own, when they are not to be the bundle's. Scores
    /// and embeddings of clips are aggregated over all speeds; timelines are of its own alone.
    pub speeds: Option<Vec<PlaybackSpeed>>,
}

/// A network, its front end and its vocabulary, ready to tag.
pub struct Tagger {
    metadata: Metadata,
    front_end: Option<FrontEnd>,
    segment: SegmentConfig,
    rule: Segmenter,
    n_positions: usize,
    runtime: Box<dyn Runtime>,
    open: OpenOptions,
}

/// What the network says about one segment.
#[derive(Debug, Clone, PartialEq)]
pub struct SegmentScores {
    /// The segment's number in its channel, counted from 0.
    pub index: u64,
    /// The channel, counted from 0; always 0 when channels are mixed.
    pub channel: usize,
    /// Its start in seconds from the start of the recording.
    pub start_secs: f64,
    /// Its end in seconds, without padding.
    pub end_secs: f64,
    /// What the network puts out, by class.
    pub logits: Vec<f32>,
    /// The scores by class, in [0, 1]: calibrated and activated as the bundle says.
    pub scores: Vec<f32>,
    /// The embedding; empty for a network without.
    pub embedding: Vec<f32>,
}

impl Tagger {
    /// Reads a bundle and prepares it.
    ///
    /// # Errors
    /// [`Error::Bundle`] and its kind when the file is no bundle of this version, [`Error::Runtime`]
    /// when the wished runtime is not there or refuses the graph, [`Error::Config`] for an impossible
    /// window or hop.
    pub fn open(path: impl AsRef<Path>, options: &TaggerOptions) -> Result<Self> {
        Self::from_bundle(&Bundle::open(path.as_ref())?, options)
    }

    /// Prepares a bundle in memory.
    ///
    /// # Errors
    /// As for [`Tagger::open`].
    pub fn from_bundle(bundle: &Bundle, options: &TaggerOptions) -> Result<Self> {
        let runtime = runtime::load(bundle, options.runtime)?;
        Self::with_runtime(bundle.metadata().clone(), runtime, options)
    }

    /// A tagger that runs its network on `runtime`, whatever that is; `options.runtime` is not used.
    ///
    /// # Errors
    /// [`Error::Config`] for metadata, a window, a hop or a number of positions that cannot be.
    pub fn with_runtime(
        metadata: Metadata,
        runtime: Box<dyn Runtime>,
        options: &TaggerOptions,
    ) -> Result<Self> {
        let front_end = match &metadata.input {
            Input::Features(config) => Some(FrontEnd::new(config)?),
            Input::Waveform(_) => None,
        };
        let n_positions = options.positions.map_or(1, NonZeroUsize::get);
        let mut segment = positioned(windowed(&metadata.segment, options)?, n_positions)?;
        if let Some(speeds) = &options.speeds {
            segment.speeds.clone_from(speeds);
        }
        let rule = segment.in_samples(metadata.sample_rate())?;
        let open = OpenOptions {
            sample_rate: Some(metadata.sample_rate()),
            channels: options.channels,
            limits: options.limits,
            truncated: options.truncated,
        };
        Ok(Self {
            metadata,
            front_end,
            segment,
            rule,
            n_positions,
            runtime,
            open,
        })
    }

    /// What the bundle says about itself.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The classes, in the order of the scores.
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.metadata.vocabulary
    }

    /// The segments in use: the bundle's, or those asked for.
    pub fn segment(&self) -> &SegmentConfig {
        &self.segment
    }

    /// The name of the runtime in use.
    pub fn runtime_name(&self) -> &str {
        self.runtime.name()
    }

    /// The rate in Hz to which recordings are resampled.
    pub fn sample_rate(&self) -> u32 {
        self.metadata.sample_rate()
    }

    /// The segments of a recording, one after the other, computed on this thread as they are asked
    /// for. With [`Channels::Each`] the channels of one place follow each other.
    ///
    /// # Errors
    /// What [`AudioStream::open`](crate::audio::AudioStream::open) says of the recording.
    pub fn segments(&self, source: impl Into<Source>) -> Result<Segments<'_>> {
        Segments::open(self, source.into())
    }

    /// The scores of a recording: one [`ClipScores`] per channel, or one for the mix.
    ///
    /// # Errors
    /// What decoding or the network says. An error in the middle of a recording is an error: no part
    /// of it is scored as if it were the whole.
    pub fn tag(&self, source: impl Into<Source>) -> Result<Vec<ClipScores>> {
        let mut segments = self.segments(source)?;
        for segment in &mut segments {
            segment?;
        }
        segments.finish()
    }

    /// Scores one segment's samples, which are already at the bundle's rate and padded.
    ///
    /// # Errors
    /// [`Error::Sample`] for samples that are not finite, [`Error::ClipTooShort`], and
    /// [`Error::Runtime`] when the network fails or puts out something that is not finite.
    fn score(&self, cut: &cutter::CutSegment) -> Result<SegmentScores> {
        let batch = match &self.front_end {
            Some(front_end) => Batch::features(front_end.compute(&cut.samples)?),
            None => Batch::waveform(cut.samples.clone()),
        };
        let output = self.runtime.run(&batch)?;
        let logits = output.logits;
        if let Some(class) = logits.iter().position(|logit| !logit.is_finite()) {
            return Err(Error::Shape {
                what: format!(
                    "the network's output for `{}`",
                    self.vocabulary().name(class)
                ),
                found: logits[class].to_string(),
                expected: "a finite number".to_owned(),
            });
        }
        let mut scores = logits.clone();
        self.metadata.scores_in_place(&mut scores);
        let factor = cut.speed.map_or(1.0, PlaybackSpeed::factor);
        let secs = |samples: u64| samples as f64 * factor / f64::from(self.sample_rate());
        Ok(SegmentScores {
            index: cut.index,
            channel: cut.channel,
            start_secs: secs(cut.place.start),
            end_secs: secs(cut.place.start + cut.place.len as u64),
            logits,
            scores,
            embedding: output.embedding,
        })
    }
}

impl std::fmt::Debug for Tagger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tagger")
            .field("name", &self.metadata.name)
            .field("runtime", &self.runtime.name())
            .field("segment", &self.segment)
            .finish_non_exhaustive()
    }
}

/// The bundle's segments with the window and hop that the caller asks for.
fn windowed(bundle: &SegmentConfig, options: &TaggerOptions) -> Result<SegmentConfig> {
    match (options.window_secs, options.hop_secs) {
        (None, None) => Ok(bundle.clone()),
        (Some(window), hop) => bundle.with_window(window, hop.unwrap_or(window)),
        (None, Some(hop)) => bundle.with_window(bundle.length_secs, hop),
    }
}

/// Segments at so much smaller a distance.
fn positioned(segment: SegmentConfig, n_positions: usize) -> Result<SegmentConfig> {
    let hop_secs = segment.hop_secs;
    let most = ((hop_secs / MIN_HOP_SECS).round() as usize).clamp(1, MAX_POSITIONS);
    if n_positions > most {
        return Err(Error::Config {
            key: "positions".to_owned(),
            found: n_positions.to_string(),
            expected: format!("must be 1 to {most} where segments begin every {hop_secs} s"),
        });
    }
    match n_positions {
        1 => Ok(segment),
        n => {
            let hop_secs = (hop_secs / n as f32).max(MIN_HOP_SECS);
            segment.with_window(segment.length_secs, hop_secs)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tagger::testing::{self, LevelRuntime};

    fn tagger(options: &TaggerOptions) -> Tagger {
        Tagger::with_runtime(testing::metadata(), Box::new(LevelRuntime), options).unwrap()
    }

    #[test]
    fn a_clip_is_cut_scored_and_averaged() {
        let tagger = tagger(&TaggerOptions::default());
        let clip = || testing::wav(&[(10, 0.0), (10, 0.5), (5, -0.5)]);
        let segments = tagger.segments(clip()).unwrap();
        let timeline: Vec<SegmentScores> = segments.map(Result::unwrap).collect();
        let places: Vec<(f64, f64)> = timeline
            .iter()
            .map(|s| (s.start_secs, s.end_secs))
            .collect();
        assert_eq!(places, [(0.0, 10.0), (10.0, 20.0), (20.0, 25.0)]);
        let logits: Vec<f32> = timeline.iter().map(|s| s.logits[0]).collect();
        for (logit, expected) in logits.iter().zip([0.0, 0.5, -0.5]) {
            assert!((logit - expected).abs() < 1e-3, "{logits:?}");
        }
        let clip = tagger.tag(clip()).unwrap();
        let sigmoid = |x: f32| 1.0 / (1.0 + (-x).exp());
        let expected = (10.0 * sigmoid(0.0) + 10.0 * sigmoid(0.5) + 5.0 * sigmoid(-0.5)) / 25.0;
        assert!((clip[0].scores[0] - expected).abs() < 1e-3);
        assert_eq!((clip[0].n_segments, clip[0].duration_secs), (3, 25.0));
    }

    #[test]
    fn the_window_can_be_asked_for() {
        let options = TaggerOptions {
            window_secs: Some(2.0),
            ..TaggerOptions::default()
        };
        let tagger = tagger(&options);
        assert_eq!(tagger.segment().hop_secs, 2.0);
        let segments = tagger.segments(testing::wav(&[(5, 0.1)])).unwrap();
        let places: Vec<(f64, f64)> = segments
            .map(Result::unwrap)
            .map(|s| (s.start_secs, s.end_secs))
            .collect();
        assert_eq!(places, [(0.0, 2.0), (2.0, 4.0), (4.0, 5.0)]);
    }

    #[test]
    fn a_clip_is_heard_in_several_positions() -> Result<()> {
        let options = |window_secs| TaggerOptions {
            window_secs: Some(window_secs),
            positions: NonZeroUsize::new(2),
            ..TaggerOptions::default()
        };
        let places = |tagger: &Tagger, secs: usize| -> Result<Vec<(f64, f64)>> {
            let segments = tagger.segments(testing::wav(&[(secs, 0.1)]))?;
            segments
                .map(|segment| segment.map(|s| (s.start_secs, s.end_secs)))
                .collect()
        };
        let long = tagger(&options(2.0));
        let expected = [(0.0, 2.0), (1.0, 3.0), (2.0, 4.0)];
        assert_eq!(places(&long, 4)?, expected);
        let short = tagger(&options(8.0));
        assert_eq!(places(&short, 4)?, [(0.0, 4.0), (0.0, 4.0)]);
        // The level of a clip is the same wherever it begins.
        let clip = || testing::wav(&[(2, 0.5), (2, 0.0)]);
        let plain = tagger(&TaggerOptions::default()).tag(clip())?;
        let twice = short.tag(clip())?;
        assert_eq!((plain[0].n_segments, twice[0].n_segments), (1, 2));
        assert!((plain[0].scores[0] - twice[0].scores[0]).abs() < 1e-3);
        Ok(())
    }

    #[test]
    fn the_number_of_positions_has_a_limit() {
        let of = |hop_secs, positions| {
            let options = TaggerOptions {
                hop_secs: Some(hop_secs),
                positions: NonZeroUsize::new(positions),
                ..TaggerOptions::default()
            };
            let runtime = Box::new(LevelRuntime);
            let tagger = Tagger::with_runtime(testing::metadata(), runtime, &options);
            tagger.map_or_else(
                |error| error.to_string(),
                |t| t.segment().hop_secs.to_string(),
            )
        };
        assert_eq!(of(10.0, 100), "0.1");
        assert_eq!(
            of(10.0, 101),
            "positions is 101, must be 1 to 100 where segments begin every 10 s"
        );
        assert_eq!(of(0.1, 100), "0.001");
        assert_eq!(
            of(0.01, 11),
            "positions is 11, must be 1 to 10 where segments begin every 0.01 s"
        );
    }

    #[test]
    fn a_clip_is_heard_at_several_speeds() -> Result<()> {
        let speed = PlaybackSpeed::new(2.0)?;
        let levels = [(7, 0.0), (9, 0.5), (6, -0.75), (3, 0.25)];
        let samples: Vec<f32> = levels
            .iter()
            .flat_map(|&(secs, level)| vec![level; secs * testing::RATE as usize])
            .collect();
        let mean = |samples: &[f32]| {
            let sum: f64 = samples.iter().map(|&sample| f64::from(sample)).sum();
            let sigmoid = 1.0 / (1.0 + (-sum / samples.len() as f64).exp());
            sigmoid * samples.len() as f64
        };
        // Segments of 10 s; a sample that is played at twice the speed stands for two of the clip's.
        let own: f64 = samples.chunks(10_000).map(mean).sum();
        let played: f64 = speed.play(&samples)?.chunks(10_000).map(mean).sum();
        let expected = (own + 2.0 * played) / 50_000.0;

        let fast = tagger(&TaggerOptions {
            speeds: Some(vec![speed]),
            ..TaggerOptions::default()
        });
        let clip = fast.tag(testing::wav(&levels))?;
        assert_eq!((clip[0].n_segments, clip[0].duration_secs), (5, 25.0));
        let score = f64::from(clip[0].scores[0]);
        assert!((score - expected).abs() < 1e-4, "{score}, {expected}");

        let plain = tagger(&TaggerOptions::default());
        let timeline = |tagger: &Tagger| -> Result<Vec<SegmentScores>> {
            tagger.segments(testing::wav(&levels))?.collect()
        };
        assert_eq!(timeline(&fast)?, timeline(&plain)?);
        Ok(())
    }

    #[test]
    fn a_tagger_is_shared_by_threads() {
        fn is_shared<T: Send + Sync>() {}
        is_shared::<Tagger>();
    }

    #[test]
    fn a_recording_without_samples_is_an_error_with_its_name() {
        let tagger = tagger(&TaggerOptions::default());
        let error = tagger.tag(testing::wav(&[])).unwrap_err().to_string();
        assert!(error.starts_with("test.wav: "), "{error}");
    }
}
