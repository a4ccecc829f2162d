//! Decisions at a threshold: counts, precision, recall and F1 of one class, and the threshold with
//! the best F1. A clip is tagged when its score is at least the threshold.

use super::{average_precision::PrCurve, check_column};
use crate::Result;

/// Right and wrong decisions about one class, or summed over classes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct BinaryCounts {
    /// Tagged and present.
    pub true_positives: usize,
    /// Tagged and absent.
    pub false_positives: usize,
    /// Not tagged and present.
    pub false_negatives: usize,
    /// Not tagged and absent.
    pub true_negatives: usize,
}

impl BinaryCounts {
    /// Counts the decisions of one class at a threshold, from scores and targets `[clip]`.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] if the lengths differ, [`crate::Error::NotFinite`] for a score that is
    /// no number.
    pub fn at_threshold(scores: &[f32], targets: &[bool], threshold: f32) -> Result<Self> {
        check_column(scores, targets)?;
        let mut counts = Self::default();
        for (score, present) in scores.iter().zip(targets) {
            counts.add(*score >= threshold, *present);
        }
        Ok(counts)
    }

    /// Counts one decision.
    pub fn add(&mut self, tagged: bool, present: bool) {
        *match (tagged, present) {
            (true, true) => &mut self.true_positives,
            (true, false) => &mut self.false_positives,
            (false, true) => &mut self.false_negatives,
            (false, false) => &mut self.true_negatives,
        } += 1;
    }

    /// The share of tagged clips that have the class; 0 if none is tagged, as in scikit-learn.
    pub fn precision(&self) -> f64 {
        ratio(
            self.true_positives,
            self.true_positives + self.false_positives,
        )
    }

    /// The share of clips with the class that are tagged; 0 if no clip has it, as in scikit-learn.
    pub fn recall(&self) -> f64 {
        ratio(
            self.true_positives,
            self.true_positives + self.false_negatives,
        )
    }

    /// The harmonic mean of precision and recall; 0 if nothing is tagged or present.
    pub fn f1(&self) -> f64 {
        let wrong = self.false_positives + self.false_negatives;
        ratio(2 * self.true_positives, 2 * self.true_positives + wrong)
    }
}

impl std::ops::AddAssign for BinaryCounts {
    fn add_assign(&mut self, other: Self) {
        self.true_positives += other.true_positives;
        self.false_positives += other.false_positives;
        self.false_negatives += other.false_negatives;
        self.true_negatives += other.true_negatives;
    }
}

fn ratio(part: usize, whole: usize) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}

/// The threshold with the highest F1 and that F1; `None` if no clip has the class.
///
/// Among equally good thresholds the highest is taken. The value lies halfway between the lowest
/// score that it accepts and the highest that it refuses, so that rounding of scores elsewhere does
/// not change decisions. Choose thresholds on other clips than those that report the F1.
///
/// # Errors
/// Those of [`PrCurve::new`].
pub fn best_f1_threshold(scores: &[f32], targets: &[bool]) -> Result<Option<(f32, f64)>> {
    let curve = PrCurve::new(scores, targets)?;
    let mut best: Option<(usize, f64)> = None;
    for (at, (precision, recall)) in curve.precision.iter().zip(&curve.recall).enumerate() {
        let sum = precision + recall;
        let f1 = if sum > 0.0 {
            2.0 * precision * recall / sum
        } else {
            0.0
        };
        if best.is_none_or(|(_, reached)| f1 > reached) {
            best = Some((at, f1));
        }
    }
    Ok(best.map(|(at, f1)| {
        let lowest_accepted = curve.thresholds[at];
        let threshold = match curve.thresholds.get(at + 1) {
            // Halved before adding so that huge logits cannot overflow.
            Some(refused) => lowest_accepted / 2.0 + refused / 2.0,
            None => lowest_accepted,
        };
        // Between neighbouring floats the middle may round down to the refused score.
        let separates = curve
            .thresholds
            .get(at + 1)
            .is_none_or(|refused| threshold > *refused);
        (
            if separates {
                threshold
            } else {
                lowest_accepted
            },
            f1,
        )
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hand_counted_decisions() {
        let counts =
            BinaryCounts::at_threshold(&[0.9, 0.5, 0.4, 0.1], &[true, false, true, false], 0.5)
                .unwrap();
        assert_eq!(
            counts,
            BinaryCounts {
                true_positives: 1,
                false_positives: 1,
                false_negatives: 1,
                true_negatives: 1
            }
        );
        assert_eq!(
            (counts.precision(), counts.recall(), counts.f1()),
            (0.5, 0.5, 0.5)
        );
        assert_eq!(BinaryCounts::default().f1(), 0.0);
    }

    proptest! {
        #[test]
        fn no_threshold_beats_the_best(
            column in prop::collection::vec((-9_i8..9, any::<bool>()), 1..30)
        ) {
            let scores: Vec<f32> = column.iter().map(|c| f32::from(c.0) / 8.0).collect();
            let targets: Vec<bool> = column.iter().map(|c| c.1).collect();
            if let Some((threshold, f1)) = best_f1_threshold(&scores, &targets).unwrap() {
                let at = |t| BinaryCounts::at_threshold(&scores, &targets, t).unwrap().f1();
                prop_assert!((at(threshold) - f1).abs() < 1e-12);
                for other in &scores {
                    prop_assert!(at(*other) <= f1 + 1e-12);
                }
            }
        }
    }
}
