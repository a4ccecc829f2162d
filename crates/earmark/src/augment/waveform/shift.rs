//! Shift in time.

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::augment::{Context, Span};

/// Moves the clip in time; what leaves at one end comes back at the other, or silence does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Shift {
    /// The way to go as a share of the clip's length, uniform, -1 to 1, positive is later; default
    /// `[-0.5, 0.5]`.
    pub share: Span<f32>,
    /// Whether what leaves at one end comes back at the other; default true. Otherwise the gap is
    /// silent.
    pub wrap: bool,
}

impl Default for Shift {
    fn default() -> Self {
        Self {
            share: Span::new(-0.5, 0.5),
            wrap: true,
        }
    }
}

impl Shift {
    pub(super) fn check(&self, at: &str) -> Result<()> {
        self.share.check(at, "share", -1.0, 1.0)
    }

    pub(super) fn apply(&self, samples: &mut [f32], context: &mut Context<'_>) {
        let n = samples.len();
        let share = context.rng.uniform(self.share);
        let distance = ((f64::from(share.abs()) * n as f64).round() as usize).min(n);
        if share >= 0.0 {
            samples.rotate_right(distance);
        } else {
            samples.rotate_left(distance);
        }
        if !self.wrap && share >= 0.0 {
            samples[..distance].fill(0.0);
        } else if !self.wrap {
            samples[n - distance..].fill(0.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::augment::waveform::tests::apply_at;

    fn shift(share: f32, wrap: bool) -> Vec<f32> {
        let mut samples = vec![1.0, 2.0, 3.0, 4.0];
        let share = Span::new(share, share);
        apply_at(8000, |context| {
            Shift { share, wrap }.apply(&mut samples, context);
        });
        samples
    }

    #[test]
    fn a_quarter_of_four_samples_is_one() {
        assert_eq!(shift(0.25, true), [4.0, 1.0, 2.0, 3.0]);
        assert_eq!(shift(-0.25, true), [2.0, 3.0, 4.0, 1.0]);
        assert_eq!(shift(0.25, false), [0.0, 1.0, 2.0, 3.0]);
        assert_eq!(shift(-0.25, false), [2.0, 3.0, 4.0, 0.0]);
        assert_eq!(shift(1.0, false), [0.0; 4]);
    }
}
