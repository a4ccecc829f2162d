//! Brightness, contrast and steady background.

use serde::{Deserialize, Serialize};

use super::fill::mean_and_deviation;
use crate::Result;
use crate::augment::settings::check_number;
use crate::augment::{Context, Span};
use crate::features::Features;

/// Makes all values larger or smaller (brightness), and their differences (contrast).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Lighting {
    /// The strength l, 0 to 0.95; default 0.2.
    pub max: f32,
    /// In which numbers it is worked out; default `standard`.
    pub space: LightingSpace,
}

/// In which numbers [`Lighting`] works.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LightingSpace {
    /// For values of any range: each channel's distance from its mean is multiplied by a factor,
    /// uniform in its logarithm in [1 - l, 1 / (1 - l)], and a number of its standard deviations,
    /// uniform in [-l, l], is added.
    #[default]
    Standard,
    /// For values in [0, 1], as image libraries do it: logit(b), b uniform in 0.5 (1 ± l), is added
    /// to the values' logits, these are multiplied by the same factor as above, and taken back.
    /// Values outside of (0, 1) are brought to its ends first.
    ///
    /// # Source
    /// fastai 1.0, `brightness` and `contrast` of its image transforms with `max_lighting`.
    Logit,
}

/// The values nearest to 0 and 1 whose logits are used, as fastai's `logit` clamps them.
const LOGIT_EDGE: f32 = 1e-7;

impl Default for Lighting {
    fn default() -> Self {
        Self {
            max: 0.2,
            space: LightingSpace::Standard,
        }
    }
}

impl Lighting {
    pub(super) fn check(&self, at: &str) -> Result<()> {
        check_number(at, "max", self.max, [0.0, 0.95])
    }

    pub(super) fn apply(&self, features: &mut Features, context: &mut Context<'_>) {
        let brightness = context.rng.uniform(Span::new(-self.max, self.max));
        let contrast = Span::new(1.0 - self.max, 1.0 / (1.0 - self.max));
        let contrast = context.rng.log_uniform(contrast);
        if self.space == LightingSpace::Logit {
            let added = logit(0.5 * (1.0 + brightness));
            for value in &mut features.data {
                let changed = (logit(value.clamp(LOGIT_EDGE, 1.0 - LOGIT_EDGE)) + added) * contrast;
                *value = 1.0 / (1.0 + (-changed).exp());
            }
            return;
        }
        let channel_length = features.n_bands * features.n_frames;
        for channel in features.data.chunks_exact_mut(channel_length) {
            let (mean, deviation) = mean_and_deviation(channel);
            let offset = mean + brightness * deviation;
            for value in channel {
                *value = (*value - mean) * contrast + offset;
            }
        }
    }
}

fn logit(value: f32) -> f32 {
    (value / (1.0 - value)).ln()
}

/// Takes each band's mean over the frames away, so that a steady hum or hiss disappears.
///
/// With a probability of 1 it is a preprocessing step and must then be applied at tagging too: use
/// the front end's own normalisation for that.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SubtractMean {
    /// How much of the mean is taken, uniform, 0 to 1; default 1.
    pub strength: Span<f32>,
    /// Whether the channel's own mean is given back, so that its level stays; default true.
    pub keep_level: bool,
}

impl Default for SubtractMean {
    fn default() -> Self {
        Self {
            strength: Span::new(1.0, 1.0),
            keep_level: true,
        }
    }
}

impl SubtractMean {
    pub(super) fn check(&self, at: &str) -> Result<()> {
        self.strength.check(at, "strength", 0.0, 1.0)
    }

    pub(super) fn apply(&self, features: &mut Features, context: &mut Context<'_>) {
        let strength = context.rng.uniform(self.strength);
        let n_frames = features.n_frames;
        for channel in features.data.chunks_exact_mut(features.n_bands * n_frames) {
            let kept = if self.keep_level {
                mean_and_deviation(channel).0
            } else {
                0.0
            };
            for row in channel.chunks_exact_mut(n_frames) {
                let change = strength * (kept - mean_and_deviation(row).0);
                row.iter_mut().for_each(|value| *value += change);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{apply, numbered};
    use super::*;

    #[test]
    fn lighting_moves_the_mean_and_scales_the_deviation_within_its_strength() {
        let mut features = numbered(1, 4, 30);
        let (mean, deviation) = mean_and_deviation(&features.data);
        apply("kind = 'lighting'\nmax = 0.3", &mut features);
        let (new_mean, new_deviation) = mean_and_deviation(&features.data);
        assert!((new_mean - mean).abs() <= 0.3 * deviation);
        let contrast = new_deviation / deviation;
        assert!((0.7..=1.0 / 0.7).contains(&contrast) && contrast != 1.0);
    }

    #[test]
    fn in_logits_one_half_becomes_what_was_drawn() {
        let mut features = numbered(1, 1, 3);
        features.data.copy_from_slice(&[0.0, 0.5, 1.0]);
        apply(
            "kind = 'lighting'\nmax = 0.2\nspace = 'logit'",
            &mut features,
        );
        // logit(0.5) is 0, so only the brightness remains: between logit(0.4) and logit(0.6), times
        // a contrast of at most 1.25.
        assert!((0.37..0.63).contains(&features.data[1]));
        assert!(features.data[0] >= 0.0 && features.data[2] <= 1.0);
        assert!(features.data[0] < 1e-4 && features.data[2] > 0.9999);
    }

    #[test]
    fn bands_lose_their_mean() {
        let mut features = numbered(1, 2, 3);
        apply("kind = 'subtract-mean'\nkeep_level = false", &mut features);
        assert_eq!(features.data, [-1.0, 0.0, 1.0, -1.0, 0.0, 1.0]);
        let mut features = numbered(1, 2, 3);
        apply("kind = 'subtract-mean'", &mut features);
        assert_eq!(features.data, [50.0, 51.0, 52.0, 50.0, 51.0, 52.0]);
    }
}
