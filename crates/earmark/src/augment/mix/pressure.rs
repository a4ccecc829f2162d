//! Mixing by sound pressure, for learning between classes.
//!
//! # Source
//! Y. Tokozume, Y. Ushiku, T. Harada: Learning from between-class examples for deep sound
//! recognition, 2018, equations 1 to 3.

use serde::{Deserialize, Serialize};

use super::{Labels, Mixture, Partner};
use crate::Result;
use crate::augment::scratch::{Transforms, mean_power};
use crate::augment::{Context, Span};

/// Mixes two waveforms so that a listener hears them at the ratio r, whatever their own levels.
///
/// With the sound pressures G₁ and G₂ in dB, `p = 1 / (1 + 10^((G₁ − G₂)/20) · (1 − r)/r)`, and the
/// mixture is `(p · clip + (1 − p) · partner) / √(p² + (1 − p)²)`. The targets are weighted by r.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Pressure {
    /// The clip's ratio r, uniform, 0.001 to 0.999; default `[0.001, 0.999]`.
    pub ratio: Span<f32>,
    /// How loudness is measured; default `a-weighted`.
    pub loudness: Loudness,
    /// What becomes of the targets; default `weighted`.
    pub labels: Labels,
}

/// How the sound pressure of a clip is measured: always that of its loudest window of about 0.1 s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loudness {
    /// With the A-curve, which hears like an ear: little at the low end.
    #[default]
    AWeighted,
    /// The mean power as it is.
    Plain,
}

impl Default for Pressure {
    fn default() -> Self {
        Self {
            ratio: Span::new(0.001, 0.999),
            loudness: Loudness::AWeighted,
            labels: Labels::Weighted,
        }
    }
}

impl Pressure {
    pub(super) fn check(&self, at: &str) -> Result<()> {
        self.ratio.check(at, "ratio", 0.001, 0.999)
    }

    pub(super) fn apply(
        &self,
        clip: &mut Mixture<'_>,
        partner: Partner<'_>,
        context: &mut Context<'_>,
    ) {
        let ratio = context.rng.uniform(self.ratio);
        let sample_rate = context.material.sample_rate;
        let transforms = &mut context.scratch.transforms;
        let mut level = |samples: &[f32]| match self.loudness {
            Loudness::AWeighted => a_weighted_db(transforms, samples, sample_rate),
            Loudness::Plain => plain_db(samples, sample_rate),
        };
        let difference_db = level(clip.data) - level(partner.data);
        let amplitudes = 10.0_f64.powf(difference_db / 20.0);
        let p = 1.0 / (1.0 + amplitudes * f64::from(1.0 - ratio) / f64::from(ratio));
        let norm = (p * p + (1.0 - p) * (1.0 - p)).sqrt();
        let (own, other) = ((p / norm) as f32, ((1.0 - p) / norm) as f32);
        for (value, partner) in clip.data.iter_mut().zip(partner.data) {
            *value = own * *value + other * partner;
        }
        self.labels
            .combine(clip.target, partner.target, 1.0 - ratio);
    }
}

/// The level in dB that stands for silence.
const SILENCE_DB: f64 = -80.0;

/// The sound pressure of a clip in dB: that of its loudest window, at least −80 dB.
///
/// Windows are the power of two nearest to 0.1 s and half overlap. For `AWeighted` a sine of
/// amplitude 1 at 1 kHz has about the level that it has for `Plain`, −3 dB.
pub fn sound_pressure_db(samples: &[f32], sample_rate: u32, loudness: Loudness) -> f64 {
    match loudness {
        Loudness::AWeighted => a_weighted_db(&mut Transforms::default(), samples, sample_rate),
        Loudness::Plain => plain_db(samples, sample_rate),
    }
}

fn window_length(sample_rate: u32) -> usize {
    let exponent = (0.1 * f64::from(sample_rate)).log2().round();
    2_usize.pow(exponent.clamp(3.0, 16.0) as u32)
}

/// The starts of half-overlapping windows; a clip that is shorter than one has one window.
fn starts(n_samples: usize, length: usize) -> impl Iterator<Item = usize> {
    let last = n_samples.saturating_sub(length);
    (0..=last).step_by(length / 2)
}

fn plain_db(samples: &[f32], sample_rate: u32) -> f64 {
    let length = window_length(sample_rate);
    let loudest = starts(samples.len(), length)
        .map(|start| mean_power(&samples[start..(start + length).min(samples.len())]))
        .fold(0.0, f64::max);
    decibels(loudest)
}

fn a_weighted_db(transforms: &mut Transforms, samples: &[f32], sample_rate: u32) -> f64 {
    let length = window_length(sample_rate);
    let step = std::f64::consts::TAU / length as f64;
    let window: Vec<f32> = (0..length)
        .map(|i| (0.5 - 0.5 * (step * i as f64).cos()) as f32)
        .collect();
    // Both halves of the spectrum, the window's mean power 3/8, and Parseval's 1/n².
    let scale = 2.0 / (0.375 * (length as f64).powi(2));
    let weights: Vec<f64> = (0..=length / 2)
        .map(|bin| scale * a_weight(bin as f64 * f64::from(sample_rate) / length as f64))
        .collect();
    let mut frame = vec![0.0; length];
    let mut spectrum = Vec::new();
    let mut loudest = 0.0_f64;
    for start in starts(samples.len(), length) {
        let part = &samples[start..(start + length).min(samples.len())];
        frame.fill(0.0);
        for ((value, sample), window) in frame.iter_mut().zip(part).zip(&window) {
            *value = sample * window;
        }
        transforms.forward(&mut frame, &mut spectrum);
        let bins = spectrum.iter().zip(&weights);
        loudest = loudest.max(bins.map(|(bin, w)| w * f64::from(bin.norm_sqr())).sum());
    }
    decibels(loudest)
}

fn decibels(power: f64) -> f64 {
    (10.0 * power.max(f64::MIN_POSITIVE).log10()).max(SILENCE_DB)
}

/// The A-curve's factor for power at a frequency in Hz; 1 at 1 kHz.
///
/// # Source
/// IEC 61672-1:2013, annex E, with the rounded normalisation of 2.00 dB.
fn a_weight(hz: f64) -> f64 {
    let square = hz * hz;
    let [f1, f2, f3, f4] = [20.6_f64, 107.7, 737.9, 12_194.0].map(|f| f * f);
    let amplitude = f4 * square * square
        / ((square + f1) * ((square + f2) * (square + f3)).sqrt() * (square + f4));
    amplitude * amplitude * 10.0_f64.powf(0.2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::augment::waveform::tests::{apply_at, sine};

    #[test]
    fn the_a_curve_is_the_standards_table() {
        // IEC 61672-1, table 3.
        let table = [
            (31.5, -39.4),
            (100.0, -19.1),
            (1000.0, 0.0),
            (2500.0, 1.3),
            (10_000.0, -2.5),
        ];
        for (hz, db) in table {
            let curve = 10.0 * a_weight(hz).log10();
            assert!((curve - db).abs() < 0.15, "{hz} Hz: {curve} dB");
        }
    }

    #[test]
    fn a_sine_of_one_kilohertz_has_minus_three_decibels_both_ways() {
        for loudness in [Loudness::AWeighted, Loudness::Plain] {
            let level = sound_pressure_db(&sine(1000.0, 0.5, 16_000), 16_000, loudness);
            assert!((level + 3.01).abs() < 0.1, "{loudness:?}: {level} dB");
            assert_eq!(sound_pressure_db(&[], 16_000, loudness), -80.0);
            assert_eq!(sound_pressure_db(&[0.0; 9000], 16_000, loudness), -80.0);
        }
        let low = sound_pressure_db(&sine(100.0, 0.5, 16_000), 16_000, Loudness::AWeighted);
        assert!((low + 3.01 + 19.1).abs() < 0.3, "{low} dB");
    }

    #[test]
    fn two_sounds_are_heard_at_the_ratio_whatever_their_levels() {
        // Two sines of far frequencies and far levels: their amplitudes in the mixture are r to 1 - r.
        let mut clip: Vec<f32> = sine(500.0, 1.0, 8000).iter().map(|s| 0.01 * s).collect();
        let other = sine(1500.0, 1.0, 8000);
        let pressure = Pressure {
            ratio: Span::new(0.3, 0.3),
            loudness: Loudness::Plain,
            labels: Labels::Weighted,
        };
        let target = &mut [1.0, 0.0];
        let mut mixture = Mixture {
            data: &mut clip,
            n_rows: 1,
            target,
        };
        let partner = Partner {
            data: &other,
            target: &[0.0, 1.0],
        };
        apply_at(8000, |context| {
            pressure.apply(&mut mixture, partner, context);
        });
        let amplitude = |hz: f64| {
            let reference = sine(hz, 1.0, 8000);
            let pairs = clip.iter().zip(&reference);
            pairs.map(|(a, b)| f64::from(a * b)).sum::<f64>() / 4000.0
        };
        // Both are divided by the norm, and the quiet one stays at its hundredth of the pressure.
        let p = 1.0 / (1.0 + 0.01 * 0.7 / 0.3);
        let norm = f64::hypot(p, 1.0 - p);
        assert!((amplitude(500.0) - 0.01 * p / norm).abs() < 1e-4);
        assert!((amplitude(1500.0) - (1.0 - p) / norm).abs() < 1e-4);
        assert!((amplitude(500.0) / amplitude(1500.0) - 0.3 / 0.7).abs() < 1e-3);
        assert!((target[0] - 0.3).abs() < 1e-6);
    }
}
