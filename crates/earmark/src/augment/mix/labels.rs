//! What becomes of two clips' targets.

use serde::{Deserialize, Serialize};

/// How the targets of two mixed clips are put together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Labels {
    /// Each clip's target times its share of the mixture. Two targets of the same mass give one of
    /// that mass: right for softmax, where a target sums to 1.
    #[default]
    Weighted,
    /// The larger of the two for each class: a class is there if it is in either clip.
    Union,
    /// The sum, at most 1. For targets of zeros and ones this is the union.
    Sum,
}

impl Labels {
    /// Puts the partner's target into `target`; `share` is the partner's share of the mixture.
    pub(super) fn combine(self, target: &mut [f32], partner: &[f32], share: f32) {
        for (value, other) in target.iter_mut().zip(partner) {
            *value = match self {
                Self::Weighted => *value + share * (other - *value),
                Self::Union => value.max(*other),
                Self::Sum => (*value + other).min(1.0),
            };
        }
    }
}
