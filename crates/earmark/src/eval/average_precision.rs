//! Average precision and precision-recall curves of one class: scores and targets `[clip]` in.
//!
//! Average precision is the step-wise sum over the distinct scores, from the highest, of precision
//! times the gain in recall, without interpolation, as in scikit-learn's `average_precision_score`.
//! Clips with equal scores enter together.

use super::{Scores, Targets, check_column, check_pair, descending, mean_of_defined};
use crate::Result;

/// A precision-recall curve, one point per distinct score from the highest down.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct PrCurve {
    /// The scores at or above which a clip counts as tagged, descending.
    pub thresholds: Vec<f32>,
    /// The share of tagged clips that have the class, one per threshold.
    pub precision: Vec<f64>,
    /// The share of clips with the class that are tagged, one per threshold.
    pub recall: Vec<f64>,
}

impl PrCurve {
    /// Computes the curve; it is empty if no clip has the class.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] if the lengths differ, [`crate::Error::NotFinite`] for a score that is
    /// no number.
    pub fn new(scores: &[f32], targets: &[bool]) -> Result<Self> {
        check_column(scores, targets)?;
        let n_positive = targets.iter().filter(|target| **target).count();
        let mut curve = Self {
            thresholds: vec![],
            precision: vec![],
            recall: vec![],
        };
        if n_positive == 0 {
            return Ok(curve);
        }
        let order = descending(scores);
        let mut hits = 0_usize;
        for (at, clip) in order.iter().enumerate() {
            hits += usize::from(targets[*clip]);
            let last_of_ties = order
                .get(at + 1)
                .is_none_or(|next| scores[*next] != scores[*clip]);
            if last_of_ties {
                curve.thresholds.push(scores[*clip]);
                curve.precision.push(hits as f64 / (at + 1) as f64);
                curve.recall.push(hits as f64 / n_positive as f64);
            }
        }
        Ok(curve)
    }

    /// The area below the steps of the curve; `None` for an empty curve.
    pub fn average_precision(&self) -> Option<f64> {
        let mut reached = 0.0;
        let mut area = 0.0;
        for (precision, recall) in self.precision.iter().zip(&self.recall) {
            area += precision * (recall - reached);
            reached = *recall;
        }
        (!self.recall.is_empty()).then_some(area)
    }
}

/// Average precision of one class; `None` if no clip has it.
///
/// # Errors
/// Those of [`PrCurve::new`].
pub fn average_precision(scores: &[f32], targets: &[bool]) -> Result<Option<f64>> {
    Ok(PrCurve::new(scores, targets)?.average_precision())
}

/// mAP: the mean of average precision over the classes that some clip has.
///
/// # Errors
/// [`crate::Error::Shape`] or [`crate::Error::NotFinite`] if the tables do not fit.
pub fn mean_average_precision(scores: Scores<'_>, targets: Targets<'_>) -> Result<Option<f64>> {
    check_pair(scores, targets)?;
    let per_class: Result<Vec<_>> = (0..scores.n_classes())
        .map(|class| average_precision(&scores.class(class), &targets.class(class)))
        .collect();
    Ok(mean_of_defined(per_class?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hand_computed_steps() {
        // Sorted: yes, no, yes → 1/1 · 1/2 + 2/3 · 1/2.
        let ap = average_precision(&[0.2, 0.9, 0.5], &[true, true, false])
            .unwrap()
            .unwrap();
        assert!((ap - (0.5 + 1.0 / 3.0)).abs() < 1e-12);
    }

    #[test]
    fn a_constant_score_has_the_prevalence() {
        let ap = average_precision(&[0.5; 4], &[true, false, false, false]).unwrap();
        assert_eq!(ap, Some(0.25));
    }

    #[test]
    fn a_class_that_never_occurs_has_no_figure() {
        assert_eq!(
            average_precision(&[0.5, 0.1], &[false, false]).unwrap(),
            None
        );
        assert_eq!(average_precision(&[], &[]).unwrap(), None);
    }

    proptest! {
        #[test]
        fn between_prevalence_free_bounds(
            column in prop::collection::vec((0_u8..9, any::<bool>()), 1..30)
        ) {
            let scores: Vec<f32> = column.iter().map(|c| f32::from(c.0)).collect();
            let targets: Vec<bool> = column.iter().map(|c| c.1).collect();
            if let Some(ap) = average_precision(&scores, &targets).unwrap() {
                prop_assert!(ap > 0.0 && ap <= 1.0 + 1e-12);
                let perfect: Vec<f32> = targets.iter().map(|t| f32::from(*t)).collect();
                let best = average_precision(&perfect, &targets).unwrap().unwrap();
                prop_assert!((best - 1.0).abs() < 1e-12);
            }
        }
    }
}
