//! From logits to scores: activation, calibration and thresholds, as the bundle states them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::dataset::Vocabulary;
use crate::{Error, Result};

/// What turns the graph's output into scores in [0, 1].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    /// `1 / (1 + e^-logit)`, each class by itself: several sounds may be heard at once.
    #[default]
    Sigmoid,
    /// `e^logit / Σ e^logit` over all classes: one sound per segment.
    Softmax,
    /// None: the graph puts out scores itself.
    Identity,
}

/// How many classes a clip may have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// Any number.
    #[default]
    MultiLabel,
    /// Exactly one.
    SingleLabel,
}

/// What makes scores into probabilities that come true as often as they say, fitted on held-out
/// clips. Applied to the logits, before the activation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Calibration {
    /// All logits are divided by one number (Guo et al. 2017).
    Temperature {
        /// The divisor, above 0; above 1 makes scores less sure.
        temperature: f32,
    },
    /// `sigmoid(scale · logit + offset)` per class (Platt 1999). For sigmoid outputs only.
    Logistic {
        /// One factor per class.
        scale: Vec<f32>,
        /// One constant per class.
        offset: Vec<f32>,
    },
}

/// The scores from which on a class counts as heard.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Thresholds {
    /// For classes without their own, in [0, 1]; `None` leaves the choice to the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<f32>,
    /// By class name, in [0, 1].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub classes: BTreeMap<String, f32>,
}

impl Thresholds {
    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        self.default.is_none() && self.classes.is_empty()
    }

    /// One threshold per class in the order of the vocabulary; `fallback` where nothing is said.
    ///
    /// # Errors
    /// As for [`Thresholds::check`].
    pub fn per_class(&self, vocabulary: &Vocabulary, fallback: f32) -> Result<Vec<f32>> {
        self.check(vocabulary)?;
        let mut thresholds = vec![self.default.unwrap_or(fallback); vocabulary.len()];
        for (name, &threshold) in &self.classes {
            thresholds[vocabulary.find(name)?] = threshold;
        }
        Ok(thresholds)
    }

    /// Whether every threshold is possible and every class known.
    ///
    /// # Errors
    /// [`Error::UnknownClass`], or [`Error::Config`] for a threshold outside [0, 1].
    pub fn check(&self, vocabulary: &Vocabulary) -> Result<()> {
        for name in self.classes.keys() {
            vocabulary.find(name)?;
        }
        let named = self
            .classes
            .iter()
            .map(|(name, &value)| (name.as_str(), value));
        let default = self.default.map(|value| ("default", value));
        for (name, value) in named.chain(default) {
            if !(0.0..=1.0).contains(&value) {
                return Err(Error::Config {
                    key: format!("thresholds.{name}"),
                    found: value.to_string(),
                    expected: "must be from 0 to 1".to_owned(),
                });
            }
        }
        Ok(())
    }
}

impl Calibration {
    /// Whether it fits the activation and the number of classes.
    ///
    /// # Errors
    /// [`Error::Config`] that names the value, [`Error::Shape`] for a wrong number of values.
    pub fn check(&self, activation: Activation, n_classes: usize) -> Result<()> {
        let config = |key: &str, found: String, expected: &str| Error::Config {
            key: format!("calibration.{key}"),
            found,
            expected: expected.to_owned(),
        };
        if activation == Activation::Identity {
            let expected = "needs logits, and the graph puts out scores";
            return Err(config("kind", self.kind().to_owned(), expected));
        }
        match self {
            Self::Temperature { temperature } => {
                if !(temperature.is_finite() && *temperature > 0.0) {
                    let expected = "must be above 0";
                    return Err(config("temperature", temperature.to_string(), expected));
                }
            }
            Self::Logistic { scale, offset } => {
                if activation != Activation::Sigmoid {
                    let expected = "needs the sigmoid activation";
                    return Err(config("kind", self.kind().to_owned(), expected));
                }
                for (name, values) in [("scale", scale), ("offset", offset)] {
                    if values.len() != n_classes {
                        return Err(Error::Shape {
                            what: format!("calibration.{name}"),
                            found: format!("{} values", values.len()),
                            expected: format!("{n_classes}, one per class"),
                        });
                    }
                    if let Some(value) = values.iter().find(|value| !value.is_finite()) {
                        return Err(config(name, value.to_string(), "must be finite"));
                    }
                }
            }
        }
        Ok(())
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Temperature { .. } => "temperature",
            Self::Logistic { .. } => "logistic",
        }
    }
}

/// Turns one row of the graph's output `[class]` into scores in place.
///
/// A row that is not finite gives scores that are not finite: judging it is the caller's part.
pub fn scores_in_place(row: &mut [f32], activation: Activation, calibration: Option<&Calibration>) {
    match calibration {
        Some(Calibration::Temperature { temperature }) => {
            row.iter_mut().for_each(|logit| *logit /= temperature);
        }
        Some(Calibration::Logistic { scale, offset }) => {
            for ((logit, scale), offset) in row.iter_mut().zip(scale).zip(offset) {
                *logit = *logit * scale + offset;
            }
        }
        None => {}
    }
    match activation {
        Activation::Sigmoid => row.iter_mut().for_each(|logit| *logit = sigmoid(*logit)),
        Activation::Softmax => softmax(row),
        Activation::Identity => {}
    }
}

fn sigmoid(logit: f32) -> f32 {
    1.0 / (1.0 + (-logit).exp())
}

fn softmax(row: &mut [f32]) {
    // The largest logit is taken off first, so that no exponential overflows.
    let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for logit in row.iter_mut() {
        *logit = (*logit - largest).exp();
        sum += *logit;
    }
    row.iter_mut().for_each(|value| *value /= sum);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(
        logits: &[f32],
        activation: Activation,
        calibration: Option<Calibration>,
    ) -> Vec<f32> {
        let mut row = logits.to_vec();
        scores_in_place(&mut row, activation, calibration.as_ref());
        row
    }

    fn close(found: &[f32], expected: &[f32]) {
        for (a, b) in found.iter().zip(expected) {
            assert!((a - b).abs() < 1e-6, "{found:?} instead of {expected:?}");
        }
    }

    #[test]
    fn sigmoid_and_softmax_equal_their_textbook_values() {
        close(
            &scores(&[0.0, 2.0], Activation::Sigmoid, None),
            &[0.5, 0.880_797_1],
        );
        close(
            &scores(&[1.0, 2.0, 3.0], Activation::Softmax, None),
            &[0.090_030_57, 0.244_728_47, 0.665_240_9],
        );
        close(
            &scores(&[500.0, 500.0], Activation::Softmax, None),
            &[0.5, 0.5],
        );
        close(&scores(&[0.25], Activation::Identity, None), &[0.25]);
        close(
            &scores(&[-200.0, 200.0], Activation::Sigmoid, None),
            &[0.0, 1.0],
        );
    }

    #[test]
    fn calibration_comes_before_the_activation() {
        let temperature = Calibration::Temperature { temperature: 2.0 };
        close(
            &scores(&[4.0], Activation::Sigmoid, Some(temperature)),
            &[0.880_797_1],
        );
        let logistic = Calibration::Logistic {
            scale: vec![0.5, 1.0],
            offset: vec![1.0, 2.0],
        };
        close(
            &scores(&[2.0, -2.0], Activation::Sigmoid, Some(logistic)),
            &[0.880_797_1, 0.5],
        );
    }

    #[test]
    fn a_calibration_that_does_not_fit_is_refused() {
        let logistic = Calibration::Logistic {
            scale: vec![1.0],
            offset: vec![0.0],
        };
        let error = |c: &Calibration, a, n| c.check(a, n).unwrap_err().to_string();
        assert_eq!(
            error(&logistic, Activation::Sigmoid, 3),
            "calibration.scale: found 1 values, expected 3, one per class"
        );
        assert!(error(&logistic, Activation::Softmax, 1).contains("sigmoid"));
        let cold = Calibration::Temperature { temperature: 0.0 };
        assert_eq!(
            error(&cold, Activation::Sigmoid, 1),
            "calibration.temperature is 0, must be above 0"
        );
    }

    #[test]
    fn thresholds_go_to_their_classes() {
        let vocabulary = Vocabulary::from_names(["Bark", "Meow", "Chirp"]).unwrap();
        let mut thresholds = Thresholds {
            default: Some(0.3),
            classes: BTreeMap::from([("Meow".to_owned(), 0.7)]),
        };
        assert_eq!(
            thresholds.per_class(&vocabulary, 0.5).unwrap(),
            [0.3, 0.7, 0.3]
        );
        assert_eq!(
            Thresholds::default().per_class(&vocabulary, 0.5).unwrap(),
            [0.5; 3]
        );
        thresholds.classes.insert("Barc".to_owned(), 0.5);
        let error = thresholds.check(&vocabulary).unwrap_err();
        assert_eq!(error.hint().as_deref(), Some("did you mean `Bark`?"));
        thresholds.classes.remove("Barc");
        thresholds.default = Some(1.5);
        let error = thresholds.check(&vocabulary).unwrap_err().to_string();
        assert_eq!(error, "thresholds.default is 1.5, must be from 0 to 1");
    }
}
