//! Silent gaps.

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::augment::{Context, Span};

/// Silences stretches of the clip, as a bad connection does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TimeMask {
    /// The number of gaps, uniform, 0 to 1000; default `[1, 2]`.
    pub count: Span<usize>,
    /// The length of each gap in seconds, uniform, 0 to 3600; default `[0.02, 0.2]`. A gap is never
    /// longer than the clip.
    pub secs: Span<f32>,
}

impl Default for TimeMask {
    fn default() -> Self {
        Self {
            count: Span::new(1, 2),
            secs: Span::new(0.02, 0.2),
        }
    }
}

impl TimeMask {
    pub(super) fn check(&self, at: &str) -> Result<()> {
        self.count.check(at, "count", 0, 1000)?;
        self.secs.check(at, "secs", 0.0, 3600.0)
    }

    pub(super) fn apply(&self, samples: &mut [f32], context: &mut Context<'_>) {
        for _ in 0..context.rng.count(self.count) {
            let secs = context.rng.uniform(self.secs);
            let length = context.samples_from_secs(secs).min(samples.len());
            let start = context.rng.index(samples.len() - length + 1);
            samples[start..start + length].fill(0.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::augment::waveform::tests::apply_at;

    #[test]
    fn one_gap_of_ten_milliseconds_is_eighty_samples_in_a_row() {
        let mut samples = vec![1.0; 8000];
        let mask = TimeMask {
            count: Span::new(1, 1),
            secs: Span::new(0.01, 0.01),
        };
        apply_at(8000, |context| mask.apply(&mut samples, context));
        assert_eq!(samples.iter().filter(|&&s| s == 0.0).count(), 80);
        let edges = samples.windows(2).filter(|pair| pair[0] != pair[1]).count();
        assert!(edges <= 2);
    }
}
