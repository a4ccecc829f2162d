//! Mixup: a weighted mean of two clips.
//!
//! # Source
//! H. Zhang et al.: mixup: beyond empirical risk minimization, 2017.

use serde::{Deserialize, Serialize};

use super::{Labels, Mixture, Partner};
use crate::Result;
use crate::augment::settings::check_number;
use crate::augment::{Context, Span};

/// Replaces the clip by `λ · clip + (1 − λ) · partner`, λ being drawn for each clip anew.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mixup {
    /// How λ is drawn; default `{ beta = 0.4 }`.
    pub weight: Weight,
    /// What becomes of the targets; default `weighted`.
    pub labels: Labels,
}

/// How mixup's weight is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Weight {
    /// λ from Beta(α, α), 0.01 ≤ α ≤ 100, as in the paper. A small α leaves most clips nearly
    /// alone; α = 1 is uniform.
    Beta(f32),
    /// The larger of λ and 1 − λ from Beta(α, α), as in fastai: the clip is never the smaller part,
    /// so no pair comes twice with its parts exchanged.
    LargerBeta(f32),
    /// The partner's weight 1 − λ, uniform, 0 to 1. `[0, 0.5]` keeps the clip the larger part.
    Uniform(Span<f32>),
}

impl Default for Mixup {
    fn default() -> Self {
        Self {
            weight: Weight::Beta(0.4),
            labels: Labels::Weighted,
        }
    }
}

impl Mixup {
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
        for (value, other) in clip.data.iter_mut().zip(partner.data) {
            *value += share * (other - *value);
        }
        self.labels.combine(clip.target, partner.target, share);
    }
}

impl Weight {
    pub(super) fn check(self, at: &str) -> Result<()> {
        match self {
            Self::Beta(alpha) => check_number(at, "weight.beta", alpha, [0.01, 100.0]),
            Self::LargerBeta(alpha) => check_number(at, "weight.larger-beta", alpha, [0.01, 100.0]),
            Self::Uniform(share) => share.check(at, "weight.uniform", 0.0, 1.0),
        }
    }

    /// Draws the partner's weight, 1 − λ.
    pub(super) fn draw_share(self, context: &mut Context<'_>) -> f32 {
        match self {
            Self::Beta(alpha) => 1.0 - context.rng.beta(alpha),
            Self::LargerBeta(alpha) => {
                let lambda = context.rng.beta(alpha);
                lambda.min(1.0 - lambda)
            }
            Self::Uniform(share) => context.rng.uniform(share),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::mixed;
    use super::*;
    use crate::augment::waveform::tests::apply_at;

    #[test]
    fn data_and_target_have_the_same_weight() {
        let (data, target) = mixed("kind = 'mixup'\nweight = { uniform = 0.25 }", 10);
        assert!(data.iter().all(|&v| v == 0.25));
        assert_eq!(target, [0.75, 0.25, 0.0]);
    }

    #[test]
    fn the_larger_beta_never_makes_the_partner_the_larger_part() {
        apply_at(8000, |context| {
            for _ in 0..500 {
                let share = Weight::LargerBeta(0.4).draw_share(context);
                assert!((0.0..=0.5).contains(&share));
            }
        });
        assert!(Weight::Beta(0.0).check("mix[0]").is_err());
        assert!(
            Weight::Uniform(Span::new(0.0, 1.5))
                .check("mix[0]")
                .is_err()
        );
    }
}
