//! Level and sign.

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::augment::scratch::gain_from_db;
use crate::augment::{Context, Span};

/// Makes the clip louder or softer by a random number of decibels.
///
/// Samples may leave [-1, 1]: nothing is clipped here, `clip` does that.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Gain {
    /// The gain in dB, uniform, -120 to 60; default `[-12, 12]`.
    pub db: Span<f32>,
}

impl Default for Gain {
    fn default() -> Self {
        Self {
            db: Span::new(-12.0, 12.0),
        }
    }
}

impl Gain {
    pub(super) fn check(&self, at: &str) -> Result<()> {
        self.db.check(at, "db", -120.0, 60.0)
    }

    pub(super) fn apply(&self, samples: &mut [f32], context: &mut Context<'_>) {
        let gain = gain_from_db(context.rng.uniform(self.db));
        samples.iter_mut().for_each(|sample| *sample *= gain);
    }
}

/// Turns the waveform upside down. A listener hears no difference; a network on raw waveforms does.
///
/// Give it a probability of 0.5.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Polarity {}

impl Polarity {
    pub(super) fn apply(&self, samples: &mut [f32]) {
        samples.iter_mut().for_each(|sample| *sample = -*sample);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::augment::waveform::tests::apply_at;

    #[test]
    fn six_decibels_are_a_factor_of_two() {
        let mut samples = vec![0.25, -0.5];
        let db = 20.0 * 2.0_f32.log10();
        let gain = Gain {
            db: Span::new(db, db),
        };
        apply_at(8000, |context| gain.apply(&mut samples, context));
        assert!((samples[0] - 0.5).abs() < 1e-6 && (samples[1] + 1.0).abs() < 1e-6);
        Polarity {}.apply(&mut samples);
        assert!((samples[0] + 0.5).abs() < 1e-6);
    }
}
