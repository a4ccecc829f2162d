//! The marks of cheap equipment: narrow bandwidth, few bits, overdriven input.

use serde::{Deserialize, Serialize};

use super::resample::resample;
use crate::Result;
use crate::augment::scratch::{gain_from_db, peak};
use crate::augment::{Context, Span};

/// Resamples the clip to a low sample rate and back: everything above half that rate is gone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Bandwidth {
    /// The low sample rate in Hz, uniform in octaves, 100 to 1 000 000; default `[4000, 16000]`. A
    /// rate at or above the clip's own changes nothing.
    pub sample_rate_hz: Span<f32>,
}

impl Default for Bandwidth {
    fn default() -> Self {
        Self {
            sample_rate_hz: Span::new(4000.0, 16_000.0),
        }
    }
}

impl Bandwidth {
    pub(super) fn check(&self, at: &str) -> Result<()> {
        self.sample_rate_hz.check(at, "sample_rate_hz", 100.0, 1e6)
    }

    pub(super) fn apply(&self, samples: &mut [f32], context: &mut Context<'_>) {
        let low_rate = context.rng.log_uniform(self.sample_rate_hz);
        let step = f64::from(context.material.sample_rate) / f64::from(low_rate);
        if step <= 1.0 {
            return;
        }
        let n_low = (samples.len() as f64 / step).ceil() as usize;
        let low = &mut context.scratch.first;
        low.resize(n_low, 0.0);
        resample(samples, step, low);
        resample(low, step.recip(), samples);
    }
}

/// Rounds the samples to few levels, counted over the clip's own peak.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BitCrush {
    /// Bits per sample, uniform, 2 to 24; default `[5, 10]`.
    pub bits: Span<usize>,
}

impl Default for BitCrush {
    fn default() -> Self {
        Self {
            bits: Span::new(5, 10),
        }
    }
}

impl BitCrush {
    pub(super) fn check(&self, at: &str) -> Result<()> {
        self.bits.check(at, "bits", 2, 24)
    }

    pub(super) fn apply(&self, samples: &mut [f32], context: &mut Context<'_>) {
        let bits = context.rng.count(self.bits);
        let peak = peak(samples);
        if peak == 0.0 {
            return;
        }
        // Signed integers of `bits` bits, without the one negative value that has no partner.
        let levels = ((1_u32 << (bits - 1)) - 1) as f32;
        let (up, down) = (levels / peak, peak / levels);
        for sample in samples {
            *sample = (*sample * up).round() * down;
        }
    }
}

/// Cuts off the waveform's tips, as an input that is turned up too far does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Clip {
    /// How far the clip's peak is above what passes, in dB, uniform, 0 to 60; default `[3, 15]`.
    /// The loudness stays about the same: the peak is brought down to the limit, not the limit up.
    pub over_db: Span<f32>,
    /// Whether the tips are bent (tanh, as by a valve) instead of cut; default false.
    pub soft: bool,
}

impl Default for Clip {
    fn default() -> Self {
        Self {
            over_db: Span::new(3.0, 15.0),
            soft: false,
        }
    }
}

impl Clip {
    pub(super) fn check(&self, at: &str) -> Result<()> {
        self.over_db.check(at, "over_db", 0.0, 60.0)
    }

    pub(super) fn apply(&self, samples: &mut [f32], context: &mut Context<'_>) {
        let limit = peak(samples) * gain_from_db(-context.rng.uniform(self.over_db));
        if limit == 0.0 {
            return;
        }
        for sample in samples {
            *sample = if self.soft {
                limit * (*sample / limit).tanh()
            } else {
                sample.clamp(-limit, limit)
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::augment::scratch::mean_power;
    use crate::augment::waveform::tests::{apply_at, sine};

    #[test]
    fn a_telephone_passes_one_kilohertz_and_not_five() {
        let telephone = Bandwidth {
            sample_rate_hz: Span::new(8000.0, 8000.0),
        };
        for (hz, least, most) in [(1000.0, -0.1, 0.1), (5000.0, -300.0, -60.0)] {
            let mut samples = sine(hz, 0.5, 32_000);
            let before = mean_power(&samples[2000..14_000]);
            apply_at(32_000, |context| telephone.apply(&mut samples, context));
            let db = 10.0 * (mean_power(&samples[2000..14_000]) / before).log10();
            assert!((least..=most).contains(&db), "{hz} Hz: {db} dB");
            assert_eq!(samples.len(), 16_000);
        }
    }

    #[test]
    fn three_bits_are_seven_levels() {
        let mut samples = sine(100.0, 0.1, 8000);
        let crush = BitCrush {
            bits: Span::new(3, 3),
        };
        apply_at(8000, |context| crush.apply(&mut samples, context));
        let mut levels: Vec<i32> = samples.iter().map(|s| (s * 1e6) as i32).collect();
        levels.sort_unstable();
        levels.dedup();
        assert_eq!(levels.len(), 7);
    }

    #[test]
    fn the_peak_comes_down_to_the_limit() {
        for soft in [false, true] {
            let mut samples = sine(100.0, 0.1, 8000);
            let over_db = Span::new(20.0, 20.0);
            apply_at(8000, |context| {
                Clip { over_db, soft }.apply(&mut samples, context);
            });
            assert!((peak(&samples) - 0.1).abs() < 1e-4, "{}", peak(&samples));
        }
    }
}
