//! Pitch and tempo, together or apart.

use serde::{Deserialize, Serialize};

use super::resample::resample;
use super::vocoder::stretch_with;
use crate::Result;
use crate::augment::{Context, Span};

/// Plays the clip higher or lower at the same tempo. The length stays.
///
/// The clip is stretched by the phase vocoder and played back faster or slower by as much.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PitchShift {
    /// Semitones to go up, uniform and not rounded, -24 to 24; default `[-4, 4]`.
    pub semitones: Span<f32>,
}

impl Default for PitchShift {
    fn default() -> Self {
        Self {
            semitones: Span::new(-4.0, 4.0),
        }
    }
}

impl PitchShift {
    pub(super) fn check(&self, at: &str) -> Result<()> {
        self.semitones.check(at, "semitones", -24.0, 24.0)
    }

    pub(super) fn apply(&self, samples: &mut [f32], context: &mut Context<'_>) {
        let semitones = context.rng.uniform(self.semitones);
        if semitones == 0.0 {
            return;
        }
        let ratio = 2.0_f64.powf(f64::from(semitones) / 12.0);
        let n_fft = frame_length(context.material.sample_rate);
        let scratch = &mut *context.scratch;
        stretch_with(
            &mut scratch.transforms,
            samples,
            ratio,
            n_fft,
            &mut scratch.first,
        );
        resample(&scratch.first, ratio, samples);
    }
}

/// Plays the clip faster or slower at the same pitch. The length changes: put `crop` after it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TimeStretch {
    /// The tempo, uniform in its logarithm, 0.25 to 4; 2 is twice as fast and half as long; default
    /// `[0.8, 1.25]`.
    pub rate: Span<f32>,
}

impl Default for TimeStretch {
    fn default() -> Self {
        Self {
            rate: Span::new(0.8, 1.25),
        }
    }
}

impl TimeStretch {
    pub(super) fn check(&self, at: &str) -> Result<()> {
        self.rate.check(at, "rate", 0.25, 4.0)
    }

    pub(super) fn apply(&self, samples: &mut Vec<f32>, context: &mut Context<'_>) {
        let factor = 1.0 / f64::from(context.rng.log_uniform(self.rate));
        if factor == 1.0 {
            return;
        }
        let n_fft = frame_length(context.material.sample_rate);
        let scratch = &mut *context.scratch;
        stretch_with(
            &mut scratch.transforms,
            samples,
            factor,
            n_fft,
            &mut scratch.first,
        );
        std::mem::swap(samples, &mut scratch.first);
    }
}

/// Plays the clip faster and higher, or slower and lower, as a tape does. The length changes.
///
/// It costs half of pitch shifting and leaves no traces but a narrower or wider spectrum.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Speed {
    /// The speed, uniform in its logarithm, 0.25 to 4; 2 is twice as fast and an octave higher;
    /// default `[0.8, 1.25]`.
    pub factor: Span<f32>,
}

impl Default for Speed {
    fn default() -> Self {
        Self {
            factor: Span::new(0.8, 1.25),
        }
    }
}

impl Speed {
    pub(super) fn check(&self, at: &str) -> Result<()> {
        self.factor.check(at, "factor", 0.25, 4.0)
    }

    pub(super) fn apply(&self, samples: &mut Vec<f32>, context: &mut Context<'_>) {
        let factor = f64::from(context.rng.log_uniform(self.factor));
        if factor == 1.0 {
            return;
        }
        let output = &mut context.scratch.first;
        output.resize((samples.len() as f64 / factor).round() as usize, 0.0);
        resample(samples, factor, output);
        std::mem::swap(samples, output);
    }
}

/// The vocoder's frame at a sample rate: the power of two nearest to 46 ms.
fn frame_length(sample_rate: u32) -> usize {
    let exponent = (0.046 * f64::from(sample_rate)).log2().round();
    2_usize.pow(exponent.clamp(6.0, 16.0) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::augment::scratch::{Transforms, mean_power};
    use crate::augment::waveform::tests::{apply_at, sine};

    const RATE: u32 = 32_000;

    /// The loudest frequency of the middle 2¹⁴ samples in Hz, by a parabola through the log peak.
    fn pitch(samples: &[f32]) -> f64 {
        let start = (samples.len() - (1 << 14)) / 2;
        let step = std::f64::consts::TAU / f64::from(1 << 14);
        let mut frame: Vec<f32> = samples[start..start + (1 << 14)]
            .iter()
            .enumerate()
            .map(|(i, s)| s * (0.5 - 0.5 * (step * i as f64).cos()) as f32)
            .collect();
        let mut spectrum = Vec::new();
        Transforms::default().forward(&mut frame, &mut spectrum);
        let level: Vec<f64> = spectrum
            .iter()
            .map(|c| f64::from(c.norm_sqr()).max(1e-30).ln())
            .collect();
        let top = (1..level.len() - 1)
            .max_by(|&a, &b| level[a].total_cmp(&level[b]))
            .unwrap();
        let [left, here, right] = [level[top - 1], level[top], level[top + 1]];
        let part = 0.5 * (left - right) / (left - 2.0 * here + right);
        (top as f64 + part) * f64::from(RATE) / f64::from(1 << 14)
    }

    #[test]
    fn a_sine_moves_by_the_stated_semitones() {
        for semitones in [-12.0_f32, -3.5, -1.0, 0.25, 2.0, 7.0, 12.0] {
            for hz in [220.0, 1000.0, 2637.0] {
                let mut samples = sine(hz, 1.0, RATE);
                let shift = PitchShift {
                    semitones: Span::new(semitones, semitones),
                };
                apply_at(RATE, |context| shift.apply(&mut samples, context));
                assert_eq!(samples.len(), 32_000);
                let moved = 12.0 * (pitch(&samples) / hz).log2();
                let cents = 100.0 * (moved - f64::from(semitones));
                assert!(
                    cents.abs() < 1.0,
                    "{hz} Hz by {semitones}: off by {cents} cents"
                );
                let db = 10.0 * (mean_power(&samples[4000..28_000]) / 0.5).log10();
                assert!(db.abs() < 0.3, "{hz} Hz by {semitones}: level {db} dB");
            }
        }
    }

    #[test]
    fn a_stretched_sine_keeps_its_pitch_and_changes_its_length() {
        for rate in [0.5_f32, 0.8, 1.25, 1.9] {
            let mut samples = sine(440.0, 2.0, RATE);
            let rate = Span::new(rate, rate);
            apply_at(RATE, |context| {
                TimeStretch { rate }.apply(&mut samples, context);
            });
            let expected = 64_000.0 / f64::from(rate.low);
            assert!((samples.len() as f64 - expected).abs() <= 1.0);
            let cents = 1200.0 * (pitch(&samples) / 440.0).log2();
            assert!(cents.abs() < 1.0, "rate {}: {cents} cents", rate.low);
            let middle = &samples[samples.len() / 4..samples.len() * 3 / 4];
            let db = 10.0 * (mean_power(middle) / 0.5).log10();
            assert!(db.abs() < 0.3, "rate {}: level {db} dB", rate.low);
        }
    }

    #[test]
    fn two_tones_stay_two_tones_of_their_own_levels() {
        let low = sine(400.0, 1.0, RATE);
        let high = sine(900.0, 1.0, RATE);
        let mut samples: Vec<f32> = low.iter().zip(&high).map(|(a, b)| a + 0.3 * b).collect();
        let shift = PitchShift {
            semitones: Span::new(12.0, 12.0),
        };
        apply_at(RATE, |context| shift.apply(&mut samples, context));
        // The power of each tone, by projecting on it over whole periods.
        let power_at = |hz: f64| {
            let step = std::f64::consts::TAU * hz / f64::from(RATE);
            let (mut re, mut im) = (0.0, 0.0);
            for (i, &s) in samples[6400..25_600].iter().enumerate() {
                re += f64::from(s) * (step * i as f64).cos();
                im += f64::from(s) * (step * i as f64).sin();
            }
            2.0 * (re * re + im * im).sqrt() / 19_200.0
        };
        assert!((power_at(800.0) - 1.0).abs() < 0.05, "{}", power_at(800.0));
        assert!(
            (power_at(1800.0) - 0.3).abs() < 0.05,
            "{}",
            power_at(1800.0)
        );
    }

    #[test]
    fn speed_moves_pitch_and_length_together() {
        let mut samples = sine(440.0, 2.0, RATE);
        let factor = Span::new(1.25, 1.25);
        apply_at(RATE, |context| {
            Speed { factor }.apply(&mut samples, context);
        });
        assert_eq!(samples.len(), 51_200);
        assert!((pitch(&samples) - 550.0).abs() < 0.1);
    }
}
