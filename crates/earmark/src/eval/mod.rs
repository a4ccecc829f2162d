//! Evaluation: scores and targets as plain slices in, numbers and tables out.
//!
//! Scores are `[clip, class]` tables of `f32`, targets `[clip, class]` tables of `bool` or one class
//! index per clip. Everything is computed in `f64` over the whole set at once: no figure here is an
//! average over batches. Nothing here knows files, audio or class names; the challenge scorer
//! ([`challenge`]), the annotation readers ([`annotations`]) and the map of their labels ([`label_map`])
//! are the only parts that read text.
//!
//! How ties are treated:
//!
//! * ranks of a clip's classes ([`ranking`]): equal scores are ranked in class order, as a stable
//!   descending sort ranks them and as the tagger prints them;
//! * lwlrap ([`lwlrap()`]): a tied class counts as ranked above, as in scikit-learn's
//!   `label_ranking_average_precision_score`, so the figure does not depend on the class order;
//! * average precision and precision-recall curves: tied clips enter together, as in scikit-learn;
//! * ROC AUC: a tied pair counts one half.

pub mod annotations;
pub mod average_precision;
pub mod bootstrap;
pub mod calibration;
pub mod challenge;
pub mod confusion;
pub mod detection;
pub mod events;
pub mod label_doubt;
pub mod label_map;
pub mod lwlrap;
pub mod ranking;
pub mod repeated;
pub mod roc;
pub mod summary;
pub mod threshold;

pub use average_precision::{PrCurve, average_precision, mean_average_precision};
pub use bootstrap::{BootstrapOptions, Interval, bootstrap, paired_bootstrap};
pub use confusion::ConfusionMatrix;
pub use label_doubt::{LabelDoubt, label_doubts};
pub use lwlrap::{Lwlrap, lwlrap};
pub use ranking::{accuracy, mean_average_precision_at, top_k_error};
pub use repeated::{Comparison, compare};
pub use roc::{d_prime, roc_auc};
pub use summary::{ClassResult, Evaluation};
pub use threshold::{BinaryCounts, best_f1_threshold};

use crate::{Error, Result};

/// A `[clip, class]` table that borrows its numbers, class fastest.
#[derive(Debug)]
pub struct ClassTable<'a, T> {
    values: &'a [T],
    n_classes: usize,
}

// Written out because a derive would ask for `T: Copy`.
impl<T> Clone for ClassTable<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for ClassTable<'_, T> {}

/// Scores (or logits) of clips, `[clip, class]`.
pub type Scores<'a> = ClassTable<'a, f32>;

/// Which classes are present in clips, `[clip, class]`.
pub type Targets<'a> = ClassTable<'a, bool>;

impl<'a, T> ClassTable<'a, T> {
    /// Looks at `values` as rows of `n_classes`.
    ///
    /// # Errors
    /// [`Error::Shape`] if there are no classes or the last row is incomplete.
    pub fn new(values: &'a [T], n_classes: usize) -> Result<Self> {
        if n_classes == 0 || !values.len().is_multiple_of(n_classes) {
            return Err(Error::Shape {
                what: "table of clips by classes".to_owned(),
                found: format!("{} values for {n_classes} classes", values.len()),
                expected: "a whole row of at least one class for every clip".to_owned(),
            });
        }
        Ok(Self { values, n_classes })
    }

    /// Number of rows.
    pub fn n_clips(&self) -> usize {
        self.values.len() / self.n_classes
    }

    /// Number of columns.
    pub fn n_classes(&self) -> usize {
        self.n_classes
    }

    /// One clip's values, `[class]`.
    ///
    /// # Panics
    /// If there is no such clip, as slices do.
    pub fn clip(&self, clip: usize) -> &'a [T] {
        &self.values[clip * self.n_classes..(clip + 1) * self.n_classes]
    }

    /// The rows in order.
    pub fn clips(&self) -> impl ExactSizeIterator<Item = &'a [T]> + use<'a, T> {
        self.values.chunks_exact(self.n_classes)
    }
}

impl<T: Copy> ClassTable<'_, T> {
    /// One class's values over all clips, `[clip]`.
    ///
    /// # Panics
    /// If there is no such class.
    pub fn class(&self, class: usize) -> Vec<T> {
        assert!(
            class < self.n_classes,
            "class {class} of {}",
            self.n_classes
        );
        self.clips().map(|row| row[class]).collect()
    }
}

impl Scores<'_> {
    /// Checks that every score is a finite number: a ranking with NaN in it has no meaning.
    ///
    /// # Errors
    /// [`Error::NotFinite`] naming the first clip and class that hold another value.
    pub fn check_finite(&self) -> Result<()> {
        match self.values.iter().position(|value| !value.is_finite()) {
            None => Ok(()),
            Some(at) => Err(Error::NotFinite {
                what: format!(
                    "score of clip {}, class {}",
                    at / self.n_classes,
                    at % self.n_classes
                ),
                found: self.values[at],
            }),
        }
    }
}

/// Fails unless scores and targets have one shape and the scores are finite.
fn check_pair(scores: Scores<'_>, targets: Targets<'_>) -> Result<()> {
    if scores.n_classes != targets.n_classes || scores.values.len() != targets.values.len() {
        return Err(Error::Shape {
            what: "targets".to_owned(),
            found: format!("[{}, {}]", targets.n_clips(), targets.n_classes),
            expected: format!(
                "[{}, {}], the shape of the scores",
                scores.n_clips(),
                scores.n_classes
            ),
        });
    }
    scores.check_finite()
}

/// Fails unless there is one label per clip, each a class, and the scores are finite.
fn check_labels(scores: Scores<'_>, labels: &[usize]) -> Result<()> {
    if scores.n_clips() != labels.len() {
        return Err(Error::Shape {
            what: "labels".to_owned(),
            found: format!("{} labels", labels.len()),
            expected: format!("{}, one per clip", scores.n_clips()),
        });
    }
    if let Some(label) = labels.iter().find(|label| **label >= scores.n_classes) {
        return Err(Error::Shape {
            what: "label".to_owned(),
            found: format!("class {label}"),
            expected: format!("a class below {}", scores.n_classes),
        });
    }
    scores.check_finite()
}

/// Fails unless the two columns are equally long and the scores are finite.
fn check_column(scores: &[f32], targets: &[bool]) -> Result<()> {
    if scores.is_empty() {
        return if targets.is_empty() {
            Ok(())
        } else {
            Err(column_lengths(0, targets.len()))
        };
    }
    if scores.len() != targets.len() {
        return Err(column_lengths(scores.len(), targets.len()));
    }
    Scores::new(scores, 1)?.check_finite()
}

fn column_lengths(scores: usize, targets: usize) -> Error {
    Error::Shape {
        what: "targets of one class".to_owned(),
        found: format!("{targets} targets"),
        expected: format!("{scores}, one per score"),
    }
}

/// The order that sorts scores from the highest to the lowest; equal scores stay in order.
fn descending(scores: &[f32]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    // Not `total_cmp` alone: it would tell 0.0 from -0.0, which are one score.
    order.sort_by(|&a, &b| {
        scores[b]
            .partial_cmp(&scores[a])
            .unwrap_or_else(|| scores[b].total_cmp(&scores[a]))
    });
    order
}

/// The mean of the values that exist, `None` if none does.
pub fn mean_of_defined(values: impl IntoIterator<Item = Option<f64>>) -> Option<f64> {
    let (mut sum, mut count) = (0.0, 0_usize);
    for value in values.into_iter().flatten() {
        sum += value;
        count += 1;
    }
    (count > 0).then(|| sum / count as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_incomplete_row_is_refused() {
        let error = Scores::new(&[0.1, 0.2, 0.3], 2).unwrap_err();
        assert!(
            error.to_string().contains("3 values for 2 classes"),
            "{error}"
        );
        assert!(Scores::new(&[], 0).is_err());
        assert_eq!(Scores::new(&[], 3).unwrap().n_clips(), 0);
    }

    #[test]
    fn a_nan_score_is_named() {
        let scores = [0.1, 0.2, f32::NAN, 0.4];
        let error = Scores::new(&scores, 2).unwrap().check_finite().unwrap_err();
        assert!(error.to_string().contains("clip 1, class 0"), "{error}");
    }

    #[test]
    fn minus_zero_and_zero_are_one_score() {
        assert_eq!(descending(&[-0.0, 0.0]), [0, 1]);
        assert_eq!(ranking::rank_of(&[-0.0, 0.0], 0), 1);
    }
}
