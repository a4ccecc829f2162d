//! Clip shaping: a waveform in, a waveform of the wished extent out.
//!
//! Trimming of silence, centring on the loudest part, and fixed lengths. The functions stand on
//! their own; [`ClipConfig`] makes them part of a front end. All of them look at the whole clip.

mod config;

use std::borrow::Cow;
use std::ops::Range;

use rand::{Rng, RngExt};

pub use config::{ClipConfig, EnergyCentre, FixedLength, LongClip, ShortClip, Trim};

use super::check;
use super::matrix::Matrix;
use super::stage::{Chain, Stage};
use crate::{Error, Result};

/// The part of a clip between leading and trailing silence.
///
/// A frame is silent when its root mean square lies more than `top_db` below that of the loudest
/// frame. Frames are centred on multiples of `hop_length`, with zeros beyond the clip. A clip
/// that is silent throughout is kept whole.
///
/// # Source
/// `librosa.effects.trim` (0.11), `ref` the loudest frame.
pub fn trim_range(samples: &[f32], trim: &Trim) -> Range<usize> {
    let mut sums = Vec::with_capacity(samples.len() + 1);
    sums.push(0.0_f64);
    let mut sum = 0.0;
    sums.extend(samples.iter().map(|x| {
        sum += f64::from(*x).powi(2);
        sum
    }));
    let n_frames = 1 + samples.len() / trim.hop_length;
    let half = trim.frame_length / 2;
    let mean_square = |frame: usize| {
        let centre = frame * trim.hop_length;
        let end = (centre + trim.frame_length - half).min(samples.len());
        let start = centre.saturating_sub(half).min(end);
        // Differences of sums can fall below 0 by a rounding error.
        (sums[end] - sums[start]).max(0.0) / trim.frame_length as f64
    };
    let powers: Vec<f64> = (0..n_frames).map(mean_square).collect();
    let loudest = powers.iter().copied().fold(0.0, f64::max);
    // The floor of librosa.amplitude_to_db, squared.
    const FLOOR: f64 = 1e-10;
    let limit = loudest.max(FLOOR) * 10f64.powf(-trim.top_db / 10.0);
    let is_sound = |power: &f64| power.max(FLOOR) > limit;
    match (
        powers.iter().position(is_sound),
        powers.iter().rposition(is_sound),
    ) {
        (Some(first), Some(last)) => {
            let end = ((last + 1) * trim.hop_length).min(samples.len());
            (first * trim.hop_length).min(end)..end
        }
        _ => 0..samples.len(),
    }
}

/// The middle of the loudest part of a clip: the `window_length` samples whose absolute values have
/// the largest sum, the first such ones. May lie outside of the clip if the loudest part is at its
/// edge and shorter than the window.
///
/// The sums run along with the window, so the cost does not depend on its length.
pub fn energy_centre(samples: &[f32], centre: &EnergyCentre) -> isize {
    let mut sums = Vec::with_capacity(samples.len() + 1);
    sums.push(0.0_f64);
    let mut sum = 0.0;
    sums.extend(samples.iter().map(|x| {
        sum += f64::from(x.abs());
        sum
    }));
    let window = centre.window_length as isize;
    let pad = (centre.n_samples / 2) as isize;
    let n = samples.len() as isize;
    let at = |position: isize| sums[position.clamp(0, n) as usize];
    let mut best = (-pad, f64::NEG_INFINITY);
    for start in -pad..=(n + pad - window).max(-pad) {
        let loudness = at(start + window) - at(start);
        if loudness > best.1 {
            best = (start, loudness);
        }
    }
    best.0 + window / 2
}

/// `n_samples` around the loudest part of a clip, zeros where they lie outside of it.
pub fn centred_on_energy(samples: &[f32], centre: &EnergyCentre) -> Vec<f32> {
    let start = energy_centre(samples, centre) - (centre.n_samples / 2) as isize;
    let mut out = vec![0.0; centre.n_samples];
    let first = start.clamp(0, samples.len() as isize) as usize;
    let end = (start + centre.n_samples as isize).clamp(0, samples.len() as isize) as usize;
    if first < end {
        let at = (first as isize - start) as usize;
        out[at..at + end - first].copy_from_slice(&samples[first..end]);
    }
    out
}

/// A clip of a fixed length, by padding or cutting.
///
/// # Errors
/// [`Error::ClipTooShort`] for a short clip that is to be refused, and for an empty clip.
pub fn fit<'s>(
    samples: &'s [f32],
    length: &FixedLength,
    rng: &mut impl Rng,
) -> Result<Cow<'s, [f32]>> {
    let wished = length.n_samples;
    let refuse = samples.is_empty() || length.short == ShortClip::Refuse;
    if samples.len() < wished && refuse {
        return Err(Error::ClipTooShort {
            found: samples.len(),
            needed: if samples.is_empty() { 1 } else { wished },
        });
    }
    Ok(match samples.len().cmp(&wished) {
        std::cmp::Ordering::Equal => samples.into(),
        std::cmp::Ordering::Less => lengthened(samples, length, rng),
        std::cmp::Ordering::Greater => {
            let spare = samples.len() - wished;
            let start = match length.long {
                LongClip::Keep => return Ok(samples.into()),
                LongClip::First => 0,
                LongClip::Centre => spare / 2,
                LongClip::Random => rng.random_range(0..=spare),
            };
            samples[start..start + wished].into()
        }
    })
}

fn lengthened<'s>(samples: &'s [f32], length: &FixedLength, rng: &mut impl Rng) -> Cow<'s, [f32]> {
    let missing = length.n_samples - samples.len();
    let before = match length.short {
        ShortClip::Keep | ShortClip::Refuse => return samples.into(),
        ShortClip::Repeat => {
            let repeated = samples.iter().copied().cycle();
            return repeated.take(length.n_samples).collect();
        }
        ShortClip::ZerosAfter => 0,
        ShortClip::ZerosAround => missing / 2,
        ShortClip::ZerosAtRandom => rng.random_range(0..=missing),
    };
    let mut out = vec![0.0; length.n_samples];
    out[before..before + samples.len()].copy_from_slice(samples);
    out.into()
}

/// A checked [`ClipConfig`].
#[derive(Debug, Clone)]
pub(crate) struct ClipShaper {
    config: ClipConfig,
    stages: Vec<Stage>,
}

impl ClipShaper {
    /// # Errors
    /// [`Error::Config`] names the setting that cannot be.
    pub(crate) fn new(config: &ClipConfig) -> Result<Self> {
        if let Some(trim) = &config.trim {
            check::positive("clip.trim.top_db", trim.top_db)?;
            check::range("clip.trim.frame_length", trim.frame_length, 1, 1 << 24)?;
            check::range("clip.trim.hop_length", trim.hop_length, 1, 1 << 24)?;
        }
        if let Some(centre) = &config.centre {
            check::range("clip.centre.n_samples", centre.n_samples, 1, 1 << 30)?;
            let window = centre.window_length;
            check::range("clip.centre.window_length", window, 1, centre.n_samples)?;
        }
        if let Some(length) = &config.length {
            check::range("clip.length.n_samples", length.n_samples, 1, 1 << 30)?;
        }
        let mut stages = Vec::new();
        for step in &config.steps {
            let stage = Stage::new(step, 1)?;
            let keeps_size = stage.n_bands(1) == 1 && stage.n_frames(12_345) == Some(12_345);
            check::that(
                keeps_size,
                "clip.steps",
                || format!("{step:?}"),
                || "must keep the number of samples".to_owned(),
            )?;
            stages.push(stage);
        }
        Ok(Self {
            config: config.clone(),
            stages,
        })
    }

    /// The settings that need the whole clip.
    pub(crate) fn clip_wide_settings(&self) -> Vec<&'static str> {
        let ClipConfig {
            trim,
            centre,
            length,
            ..
        } = &self.config;
        let named = [
            ("clip.trim", trim.is_some()),
            ("clip.centre", centre.is_some()),
            ("clip.length", length.is_some()),
        ];
        let shaping = named.into_iter().filter(|(_, is_set)| *is_set);
        let steps = self.stages.iter().filter_map(Stage::clip_wide);
        shaping
            .map(|(name, _)| name)
            .chain(steps.map(|change| change.name()))
            .collect()
    }

    /// The number of samples of a shaped clip of `n_samples`, or `None` if that many are refused.
    /// Trimming, which depends on the sound, is left out.
    pub(crate) fn n_samples(&self, n_samples: usize) -> Option<usize> {
        if n_samples == 0 {
            return None;
        }
        let centred = self.config.centre.map_or(n_samples, |c| c.n_samples);
        let Some(length) = self.config.length else {
            return Some(centred);
        };
        match centred.cmp(&length.n_samples) {
            std::cmp::Ordering::Less => match length.short {
                ShortClip::Keep => Some(centred),
                ShortClip::Refuse => None,
                _ => Some(length.n_samples),
            },
            _ if length.long == LongClip::Keep => Some(centred),
            _ => Some(length.n_samples),
        }
    }

    pub(crate) fn trims(&self) -> bool {
        self.config.trim.is_some()
    }

    /// Shapes a clip.
    pub(crate) fn shape<'s>(
        &self,
        samples: &'s [f32],
        rng: &mut impl Rng,
    ) -> Result<Cow<'s, [f32]>> {
        let mut clip = Cow::Borrowed(samples);
        if let Some(trim) = &self.config.trim {
            let range = trim_range(samples, trim);
            clip = Cow::Borrowed(&samples[range]);
        }
        if let Some(centre) = &self.config.centre {
            clip = Cow::Owned(centred_on_energy(&clip, centre));
        }
        if let Some(length) = &self.config.length {
            clip = match clip {
                Cow::Borrowed(samples) => fit(samples, length, rng)?,
                Cow::Owned(samples) => Cow::Owned(fit(&samples, length, rng)?.into_owned()),
            };
        }
        if !self.stages.is_empty() {
            let matrix = Matrix {
                n_bands: 1,
                n_frames: clip.len(),
                data: clip.into_owned(),
            };
            clip = Cow::Owned(Chain::new(&self.stages).finish(matrix).data);
        }
        Ok(clip)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    fn rng() -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(7)
    }

    fn fitted(n: usize, wished: usize, short: ShortClip, long: LongClip) -> Vec<f32> {
        let samples: Vec<f32> = (1..=n).map(|i| i as f32).collect();
        let length = FixedLength {
            n_samples: wished,
            short,
            long,
        };
        fit(&samples, &length, &mut rng()).unwrap().into_owned()
    }

    #[test]
    fn short_clips_are_padded_as_asked() {
        let short = |rule| fitted(2, 5, rule, LongClip::Keep);
        assert_eq!(short(ShortClip::Keep), [1.0, 2.0]);
        assert_eq!(short(ShortClip::ZerosAfter), [1.0, 2.0, 0.0, 0.0, 0.0]);
        assert_eq!(short(ShortClip::ZerosAround), [0.0, 1.0, 2.0, 0.0, 0.0]);
        assert_eq!(short(ShortClip::Repeat), [1.0, 2.0, 1.0, 2.0, 1.0]);
        let random = short(ShortClip::ZerosAtRandom);
        assert_eq!(random.len(), 5);
        assert!(
            random.windows(2).any(|pair| pair == [1.0, 2.0]),
            "{random:?}"
        );
    }

    #[test]
    fn long_clips_are_cut_as_asked() {
        let long = |rule| fitted(5, 2, ShortClip::Keep, rule);
        assert_eq!(long(LongClip::Keep), [1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(long(LongClip::First), [1.0, 2.0]);
        assert_eq!(long(LongClip::Centre), [2.0, 3.0]);
        let random = long(LongClip::Random);
        assert_eq!(random[1], random[0] + 1.0);
    }

    #[test]
    fn short_clips_can_be_refused() {
        let length = FixedLength {
            n_samples: 5,
            short: ShortClip::Refuse,
            long: LongClip::Keep,
        };
        let error = fit(&[1.0; 4], &length, &mut rng()).unwrap_err();
        assert!(matches!(
            error,
            Error::ClipTooShort {
                found: 4,
                needed: 5
            }
        ));
    }

    #[test]
    fn trimming_keeps_the_frames_around_a_sound() {
        let mut samples = vec![0.0; 10_000];
        samples[5000..5100].fill(0.5);
        let trim = Trim {
            top_db: 60.0,
            frame_length: 200,
            hop_length: 100,
        };
        // Frames centred on 4900 .. 5200 touch the sound; 4900 reaches up to 5000, exclusive.
        assert_eq!(trim_range(&samples, &trim), 5000..5200);
    }

    #[test]
    fn silence_is_not_trimmed() {
        assert_eq!(trim_range(&[0.0; 5000], &Trim::default()), 0..5000);
        assert_eq!(trim_range(&[], &Trim::default()), 0..0);
    }

    #[test]
    fn the_loudest_part_moves_to_the_middle() {
        let centre = EnergyCentre {
            window_length: 10,
            n_samples: 100,
        };
        for at in [0, 7, 200, 385] {
            let mut samples = vec![0.01; 400];
            samples[at..at + 10].fill(1.0);
            assert_eq!(energy_centre(&samples, &centre), at as isize + 5);
            let centred = centred_on_energy(&samples, &centre);
            assert_eq!(centred.len(), 100);
            assert_eq!(centred[45..55], [1.0; 10], "a burst at {at}");
        }
    }

    #[test]
    fn the_running_sum_finds_what_the_definition_finds() {
        let samples: Vec<f32> = (0..997_u32).map(|i| (i * i % 101) as f32 / 101.0).collect();
        let centre = EnergyCentre {
            window_length: 60,
            n_samples: 200,
        };
        let sum = |start: usize| {
            samples[start..start + 60]
                .iter()
                .map(|x| f64::from(*x))
                .sum::<f64>()
        };
        let best = (0..=997 - 60)
            .max_by(|a, b| sum(*a).total_cmp(&sum(*b)))
            .unwrap();
        let found = energy_centre(&samples, &centre) - 30;
        let found = sum(found as usize);
        assert!(
            (found - sum(best)).abs() < 1e-9,
            "{found} is not {}",
            sum(best)
        );
    }
}
