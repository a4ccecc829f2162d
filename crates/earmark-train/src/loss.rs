//! Losses: logits and targets `[clip, class]` in, a loss per clip and the gradient of their mean out.
//!
//! Losses work on plain slices in `f64`, without the tensor framework: the logits of a batch are a
//! few thousand numbers, every device has to hand them over anyway (the loss is shown, and checked
//! for NaN), and a gradient written out can be held against finite differences. The training step
//! feeds the gradient back into the network.
//!
//! Targets lie in [0, 1] and may be mixed, so every loss takes soft targets. A clip without any
//! label (a negative) has targets of zero; under cross-entropy its target is the uniform
//! distribution, so that no class gets a high score.

use earmark::{Error, Result};
use serde::{Deserialize, Serialize};

/// Which loss, with its settings. The loss also decides what turns logits into scores: softmax for
/// cross-entropy (one label a clip), sigmoid for the others (any number of labels).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum LossConfig {
    /// Softmax cross-entropy.
    CrossEntropy {
        /// Share of the target mass that is spread evenly over all classes, 0 to below 1.
        #[serde(default)]
        label_smoothing: f64,
    },
    /// Binary cross-entropy of every class by itself, averaged over the classes.
    Bce {
        /// Pulls targets towards one half: `t (1 - s) + s / 2`, 0 to below 1.
        #[serde(default)]
        label_smoothing: f64,
    },
    /// Binary cross-entropy weighted by `|target - score|^gamma`, which turns down what is already
    /// right. For targets of 0 and 1 it is the focal loss of Lin et al. (2017), equation 5.
    Focal {
        /// The exponent, at least 0; 0 is plain binary cross-entropy.
        #[serde(default = "default_gamma")]
        gamma: f64,
        /// Weight of present classes, 0 to 1; absent ones weigh `1 - alpha`.
        #[serde(default = "default_alpha")]
        alpha: f64,
    },
}

fn default_gamma() -> f64 {
    2.0
}

fn default_alpha() -> f64 {
    0.5
}

impl LossConfig {
    /// Whether scores are a softmax over the classes (one label a clip) rather than sigmoids.
    pub fn is_single_label(&self) -> bool {
        matches!(self, Self::CrossEntropy { .. })
    }

    /// Refuses impossible settings.
    ///
    /// # Errors
    /// [`Error::Config`] names the setting.
    pub fn check(&self) -> Result<()> {
        let (key, value, expected) = match *self {
            Self::CrossEntropy { label_smoothing } | Self::Bce { label_smoothing }
                if !(0.0..1.0).contains(&label_smoothing) =>
            {
                let expected = "must be at least 0 and below 1";
                ("label_smoothing", label_smoothing, expected)
            }
            Self::Focal { alpha, .. } if !(0.0..=1.0).contains(&alpha) => {
                ("alpha", alpha, "must be 0 to 1")
            }
            Self::Focal { gamma, .. } if !(0.0..100.0).contains(&gamma) => {
                ("gamma", gamma, "must be at least 0 and below 100")
            }
            _ => return Ok(()),
        };
        Err(Error::Config {
            key: format!("train.loss.{key}"),
            found: value.to_string(),
            expected: expected.to_owned(),
        })
    }
}

/// What a loss says about a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct LossValue {
    /// The weighted loss of every clip.
    pub per_clip: Vec<f64>,
    /// Their mean over the clips of the batch.
    pub mean: f64,
    /// The derivative of the mean with respect to every logit, `[clip, class]`.
    pub gradient: Vec<f32>,
}

/// A loss with the weights of its classes.
#[derive(Debug, Clone)]
pub struct Loss {
    config: LossConfig,
    class_weights: Option<Vec<f64>>,
}

impl Loss {
    /// A loss of this kind. `class_weights` multiplies the term of every class; none means 1.
    ///
    /// # Errors
    /// [`Error::Config`] if a setting is out of range.
    pub fn new(config: LossConfig, class_weights: Option<Vec<f64>>) -> Result<Self> {
        config.check()?;
        Ok(Self {
            config,
            class_weights,
        })
    }

    /// The loss's settings.
    pub fn config(&self) -> &LossConfig {
        &self.config
    }

    /// The loss of a batch and its gradient.
    ///
    /// # Shapes
    /// - `logits`, `targets`: `[clip, class]`, row by row
    /// - `clip_weights`: `[clip]`; a clip of weight 0.6 counts 0.6 of another
    ///
    /// # Panics
    /// If the lengths do not fit: the trainer makes all three.
    pub fn evaluate(&self, logits: &[f32], targets: &[f32], clip_weights: &[f32]) -> LossValue {
        let n_clips = clip_weights.len();
        assert_eq!(logits.len(), targets.len(), "one target for every logit");
        assert_eq!(logits.len() % n_clips.max(1), 0, "whole rows");
        let n_classes = logits.len() / n_clips.max(1);
        let mut value = LossValue {
            per_clip: Vec::with_capacity(n_clips),
            mean: 0.0,
            gradient: Vec::with_capacity(logits.len()),
        };
        let rows = logits.chunks(n_classes).zip(targets.chunks(n_classes));
        for ((logits, targets), &weight) in rows.zip(clip_weights) {
            let weight = f64::from(weight);
            let (loss, gradient) = self.row(logits, targets);
            let scale = weight / n_clips as f64;
            value.per_clip.push(loss * weight);
            value
                .gradient
                .extend(gradient.into_iter().map(|g| (g * scale) as f32));
        }
        value.mean = value.per_clip.iter().sum::<f64>() / n_clips.max(1) as f64;
        value
    }

    /// The loss of one clip, of weight 1, and its gradient.
    pub(crate) fn row(&self, logits: &[f32], targets: &[f32]) -> (f64, Vec<f64>) {
        match self.config {
            LossConfig::CrossEntropy { label_smoothing } => {
                self.cross_entropy(logits, targets, label_smoothing)
            }
            _ => self.binary(logits, targets),
        }
    }

    pub(crate) fn class_weight(&self, class: usize) -> f64 {
        self.class_weights.as_ref().map_or(1.0, |w| w[class])
    }

    /// `-sum t log softmax(x)` for one clip, and its gradient.
    fn cross_entropy(&self, logits: &[f32], targets: &[f32], smoothing: f64) -> (f64, Vec<f64>) {
        let n_classes = logits.len() as f64;
        let labelled = targets.iter().any(|&t| t > 0.0);
        let target = |class: usize| {
            let soft = match labelled {
                true => f64::from(targets[class]) * (1.0 - smoothing) + smoothing / n_classes,
                false => 1.0 / n_classes,
            };
            soft * self.class_weight(class)
        };
        let peak = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let shifted = |x: f32| f64::from(x) - f64::from(peak);
        let total: f64 = logits.iter().map(|&x| shifted(x).exp()).sum();
        let mass: f64 = (0..logits.len()).map(target).sum();
        let mut loss = 0.0;
        let gradient = logits
            .iter()
            .enumerate()
            .map(|(class, &x)| {
                let log_score = shifted(x) - total.ln();
                loss -= target(class) * log_score;
                mass * log_score.exp() - target(class)
            })
            .collect();
        (loss, gradient)
    }

    /// The mean over the classes of the binary losses of one clip, and its gradient.
    fn binary(&self, logits: &[f32], targets: &[f32]) -> (f64, Vec<f64>) {
        let n_classes = logits.len() as f64;
        let mut loss = 0.0;
        let gradient = logits
            .iter()
            .zip(targets)
            .enumerate()
            .map(|(class, (&x, &t))| {
                let weight = self.class_weight(class) / n_classes;
                let (term, slope) = self.binary_term(f64::from(x), f64::from(t));
                loss += term * weight;
                slope * weight
            })
            .collect();
        (loss, gradient)
    }

    /// The binary loss of one logit and its derivative.
    fn binary_term(&self, x: f64, t: f64) -> (f64, f64) {
        match self.config {
            LossConfig::Focal { gamma, alpha } => {
                let balance = 2.0 * (alpha * t + (1.0 - alpha) * (1.0 - t));
                let (plain, plain_slope) = binary_cross_entropy(x, t);
                let score = sigmoid(x);
                let miss = (score - t).abs();
                let factor = miss.powf(gamma);
                let factor_slope = match miss > 0.0 {
                    true => {
                        gamma
                            * miss.powf(gamma - 1.0)
                            * (score - t).signum()
                            * score
                            * (1.0 - score)
                    }
                    false => 0.0,
                };
                (
                    balance * factor * plain,
                    balance * (factor_slope * plain + factor * plain_slope),
                )
            }
            LossConfig::Bce { label_smoothing } => {
                binary_cross_entropy(x, t * (1.0 - label_smoothing) + label_smoothing / 2.0)
            }
            LossConfig::CrossEntropy { .. } => unreachable!("cross-entropy is not a binary loss"),
        }
    }
}

/// `max(x, 0) - x t + ln(1 + exp(-|x|))` and its derivative `sigmoid(x) - t`: no overflow anywhere.
fn binary_cross_entropy(x: f64, t: f64) -> (f64, f64) {
    (
        x.max(0.0) - x * t + (-x.abs()).exp().ln_1p(),
        sigmoid(x) - t,
    )
}

/// The logistic function, without overflow.
pub(crate) fn sigmoid(x: f64) -> f64 {
    match x >= 0.0 {
        true => 1.0 / (1.0 + (-x).exp()),
        false => {
            let e = x.exp();
            e / (1.0 + e)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOGITS: [f32; 6] = [1.5, -0.3, 0.2, -2.0, 0.0, 3.0];
    const TARGETS: [f32; 6] = [0.7, 0.3, 0.0, 0.0, 1.0, 1.0];

    fn kinds() -> Vec<LossConfig> {
        vec![
            LossConfig::CrossEntropy {
                label_smoothing: 0.1,
            },
            LossConfig::Bce {
                label_smoothing: 0.05,
            },
            LossConfig::Focal {
                gamma: 2.0,
                alpha: 0.25,
            },
        ]
    }

    #[test]
    fn gradients_equal_finite_differences() {
        for config in kinds() {
            let loss = Loss::new(config.clone(), Some(vec![1.0, 0.5, 2.0])).unwrap();
            let weights = [1.0, 0.6];
            let gradient = loss.evaluate(&LOGITS, &TARGETS, &weights).gradient;
            for i in 0..LOGITS.len() {
                let at = |shift: f32| {
                    let mut logits = LOGITS;
                    logits[i] += shift;
                    loss.evaluate(&logits, &TARGETS, &weights).mean
                };
                let numeric = (at(1.0 / 256.0) - at(-1.0 / 256.0)) * 128.0;
                assert!(
                    (numeric - f64::from(gradient[i])).abs() < 2e-5,
                    "{config:?} logit {i}: {numeric} and {}",
                    gradient[i]
                );
            }
        }
    }

    #[test]
    fn known_values() {
        let even = Loss::new(
            LossConfig::CrossEntropy {
                label_smoothing: 0.0,
            },
            None,
        )
        .unwrap();
        let value = even.evaluate(&[0.0; 4], &[0.0, 1.0, 0.0, 0.0], &[1.0]);
        assert!((value.mean - 4f64.ln()).abs() < 1e-12);
        let binary = Loss::new(
            LossConfig::Bce {
                label_smoothing: 0.0,
            },
            None,
        )
        .unwrap();
        let value = binary.evaluate(&[0.0, 0.0], &[0.0, 1.0], &[1.0]);
        assert!((value.mean - 2f64.ln()).abs() < 1e-12);
        assert_eq!(value.gradient, [0.25, -0.25]);
    }

    #[test]
    fn focal_without_its_exponent_is_binary_cross_entropy() {
        let focal = Loss::new(
            LossConfig::Focal {
                gamma: 0.0,
                alpha: 0.5,
            },
            None,
        )
        .unwrap();
        let binary = Loss::new(
            LossConfig::Bce {
                label_smoothing: 0.0,
            },
            None,
        )
        .unwrap();
        let a = focal.evaluate(&LOGITS, &TARGETS, &[1.0, 1.0]);
        let b = binary.evaluate(&LOGITS, &TARGETS, &[1.0, 1.0]);
        assert!((a.mean - b.mean).abs() < 1e-12);
    }

    #[test]
    fn a_negative_clip_pulls_the_softmax_flat() {
        let loss = Loss::new(
            LossConfig::CrossEntropy {
                label_smoothing: 0.0,
            },
            None,
        )
        .unwrap();
        let value = loss.evaluate(&[4.0, 0.0, 0.0], &[0.0; 3], &[1.0]);
        assert!(value.gradient[0] > 0.0 && value.gradient[1] < 0.0);
    }

    #[test]
    fn huge_logits_stay_finite() {
        for config in kinds() {
            let loss = Loss::new(config, None).unwrap();
            let value = loss.evaluate(&[1e30, -1e30], &[0.0, 1.0], &[1.0]);
            assert!(value.gradient.iter().all(|g| g.is_finite()));
        }
    }

    #[test]
    fn impossible_settings_are_named() {
        let message = |config: LossConfig| config.check().map_err(|error| error.to_string());
        let smoothed = |label_smoothing| message(LossConfig::Bce { label_smoothing });
        assert_eq!(
            smoothed(1.5),
            Err("train.loss.label_smoothing is 1.5, must be at least 0 and below 1".to_owned())
        );
        let focal = |gamma, alpha| message(LossConfig::Focal { gamma, alpha });
        assert_eq!(
            focal(2.0, 1.5),
            Err("train.loss.alpha is 1.5, must be 0 to 1".to_owned())
        );
        assert_eq!(
            focal(-1.0, 1.0),
            Err("train.loss.gamma is -1, must be at least 0 and below 100".to_owned())
        );
        assert_eq!(focal(2.0, 1.0), Ok(()));
    }
}
