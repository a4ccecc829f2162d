//! One clip for some of the time, another for the rest.

use serde::{Deserialize, Serialize};

use super::{Labels, Mixture, Partner, Weight};
use crate::Result;
use crate::augment::{Context, Span};

/// Cross-fades from the clip to the partner, or from the partner to the clip, along a sigmoid.
///
/// At relative time x in 0 to 1 the later sound's weight is `σ(r · (2x − 1))`: both are heard alike
/// in the middle, and the larger r is, the sharper the change.
///
/// # Source
/// The mixer of argus-freesound, first place of Freesound Audio Tagging 2019.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SigmoidConcat {
    /// The steepness r, uniform, 0.1 to 1000; default `[3, 12]`.
    pub radius: Span<f32>,
    /// What becomes of the targets; default `sum`. `weighted` gives each clip one half.
    pub labels: Labels,
}

impl Default for SigmoidConcat {
    fn default() -> Self {
        Self {
            radius: Span::new(3.0, 12.0),
            labels: Labels::Sum,
        }
    }
}

impl SigmoidConcat {
    pub(super) fn check(&self, at: &str) -> Result<()> {
        self.radius.check(at, "radius", 0.1, 1000.0)
    }

    pub(super) fn apply(
        &self,
        clip: &mut Mixture<'_>,
        partner: Partner<'_>,
        context: &mut Context<'_>,
    ) {
        let radius = context.rng.uniform(self.radius);
        let direction = if context.rng.chance(0.5) { 1.0 } else { -1.0 };
        let n_frames = clip.data.len() / clip.n_rows;
        let shares = &mut context.scratch.first;
        shares.clear();
        shares.extend((0..n_frames).map(|frame| {
            let x = (frame as f32 + 0.5) / n_frames as f32;
            1.0 / (1.0 + (-direction * radius * (2.0 * x - 1.0)).exp())
        }));
        if n_frames > 0 {
            let rows = clip.data.chunks_exact_mut(n_frames);
            for (row, other) in rows.zip(partner.data.chunks_exact(n_frames)) {
                for ((value, other), share) in row.iter_mut().zip(other).zip(&*shares) {
                    *value += share * (other - *value);
                }
            }
        }
        self.labels.combine(clip.target, partner.target, 0.5);
    }
}

/// Replaces a stretch of the clip by the same stretch of the partner.
///
/// # Source
/// S. Yun et al.: CutMix, 2019, with a stretch of time in place of a rectangle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CutMix {
    /// How the clip's share of the time is drawn; default `{ beta = 1 }`. The stretch has the rest
    /// of the frames, rounded, and lies anywhere.
    pub weight: Weight,
    /// What becomes of the targets; default `weighted`, by the frames that each clip has.
    pub labels: Labels,
}

impl Default for CutMix {
    fn default() -> Self {
        Self {
            weight: Weight::Beta(1.0),
            labels: Labels::Weighted,
        }
    }
}

impl CutMix {
    pub(super) fn check(&self, at: &str) -> Result<()> {
        self.weight.check(at)
    }

    pub(super) fn apply(
        &self,
        clip: &mut Mixture<'_>,
        partner: Partner<'_>,
        context: &mut Context<'_>,
    ) {
        let share = self.weight.draw_share(context);
        let n_frames = clip.data.len() / clip.n_rows;
        let length = ((f64::from(share) * n_frames as f64).round() as usize).min(n_frames);
        let start = context.rng.index(n_frames - length + 1);
        if length == 0 {
            return;
        }
        let rows = clip.data.chunks_exact_mut(n_frames);
        for (row, other) in rows.zip(partner.data.chunks_exact(n_frames)) {
            row[start..start + length].copy_from_slice(&other[start..start + length]);
        }
        let share = length as f32 / n_frames as f32;
        self.labels.combine(clip.target, partner.target, share);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::mixed;

    #[test]
    fn a_quarter_of_the_frames_is_the_partners_in_every_row() {
        let (data, target) = mixed("kind = 'cut-mix'\nweight = { uniform = 0.25 }", 40);
        let first = &data[..40];
        assert_eq!(first.iter().filter(|&&v| v == 1.0).count(), 10);
        assert!(first.windows(2).filter(|pair| pair[0] != pair[1]).count() <= 2);
        assert!(data.chunks_exact(40).all(|row| row == first));
        assert_eq!(target, [0.75, 0.25, 0.0]);
    }

    #[test]
    fn the_sigmoid_goes_from_one_clip_to_the_other() {
        let (data, target) = mixed("kind = 'sigmoid-concat'\nradius = 6", 101);
        let row = &data[..101];
        assert!((row[50] - 0.5).abs() < 1e-5);
        assert!((row[0] + row[100] - 1.0).abs() < 1e-5);
        assert!(row[0].min(row[100]) < 0.003);
        let rising = row.windows(2).all(|pair| pair[0] < pair[1]);
        let falling = row.windows(2).all(|pair| pair[0] > pair[1]);
        assert!(rising || falling);
        assert_eq!(target, [1.0, 1.0, 0.0]);
    }
}
