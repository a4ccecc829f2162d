//! Confusion matrices: true and predicted classes in, counts `[true class, predicted class]` out.

use super::{BinaryCounts, Scores, check_labels, ranking::top_class};
use crate::{Error, Result};

/// How often clips of one class were taken for each class.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ConfusionMatrix {
    n_classes: usize,
    counts: Vec<usize>,
}

impl ConfusionMatrix {
    /// Counts `(true, predicted)` pairs.
    ///
    /// # Errors
    /// [`Error::Shape`] for a class beyond `n_classes`.
    pub fn from_pairs(
        n_classes: usize,
        pairs: impl IntoIterator<Item = (usize, usize)>,
    ) -> Result<Self> {
        let mut counts = vec![0; n_classes * n_classes];
        for (truth, predicted) in pairs {
            if truth.max(predicted) >= n_classes {
                return Err(Error::Shape {
                    what: "confusion matrix".to_owned(),
                    found: format!("class {}", truth.max(predicted)),
                    expected: format!("a class below {n_classes}"),
                });
            }
            counts[truth * n_classes + predicted] += 1;
        }
        Ok(Self { n_classes, counts })
    }

    /// Counts the highest score of each clip, `[clip, class]`, against its label, `[clip]`.
    ///
    /// # Errors
    /// [`Error::Shape`] or [`Error::NotFinite`] if scores and labels do not fit.
    pub fn from_scores(scores: Scores<'_>, labels: &[usize]) -> Result<Self> {
        check_labels(scores, labels)?;
        let predicted = scores.clips().filter_map(top_class);
        Self::from_pairs(scores.n_classes(), labels.iter().copied().zip(predicted))
    }

    /// Number of classes.
    pub fn n_classes(&self) -> usize {
        self.n_classes
    }

    /// Number of clips of class `truth` that were taken for class `predicted`.
    ///
    /// # Panics
    /// If there is no such class.
    pub fn count(&self, truth: usize, predicted: usize) -> usize {
        self.row(truth)[predicted]
    }

    /// What clips of class `truth` were taken for, `[predicted class]`.
    ///
    /// # Panics
    /// If there is no such class.
    pub fn row(&self, truth: usize) -> &[usize] {
        &self.counts[truth * self.n_classes..(truth + 1) * self.n_classes]
    }

    /// The decisions about one class against all others.
    ///
    /// # Panics
    /// If there is no such class.
    pub fn class_counts(&self, class: usize) -> BinaryCounts {
        let hits = self.count(class, class);
        let present: usize = self.row(class).iter().sum();
        let tagged: usize = (0..self.n_classes)
            .map(|truth| self.count(truth, class))
            .sum();
        let all: usize = self.counts.iter().sum();
        BinaryCounts {
            true_positives: hits,
            false_positives: tagged - hits,
            false_negatives: present - hits,
            true_negatives: all + hits - present - tagged,
        }
    }

    /// The most frequent confusions `(true, predicted, count)`, at most `limit`, most frequent first.
    pub fn worst_pairs(&self, limit: usize) -> Vec<(usize, usize, usize)> {
        let mut pairs: Vec<_> = (0..self.counts.len())
            .map(|at| (at / self.n_classes, at % self.n_classes, self.counts[at]))
            .filter(|(truth, predicted, count)| truth != predicted && *count > 0)
            .collect();
        pairs.sort_by_key(|(truth, predicted, count)| {
            (std::cmp::Reverse(*count), *truth, *predicted)
        });
        pairs.truncate(limit);
        pairs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_true_classes() {
        let matrix =
            ConfusionMatrix::from_pairs(3, [(0, 0), (0, 1), (0, 1), (2, 2), (1, 0)]).unwrap();
        assert_eq!(matrix.row(0), [1, 2, 0]);
        assert_eq!(matrix.worst_pairs(5), [(0, 1, 2), (1, 0, 1)]);
        let class_0 = matrix.class_counts(0);
        assert_eq!(
            (
                class_0.true_positives,
                class_0.false_positives,
                class_0.false_negatives
            ),
            (1, 1, 2)
        );
        assert_eq!(class_0.true_negatives, 1);
        assert!(ConfusionMatrix::from_pairs(2, [(0, 2)]).is_err());
    }
}
