//! Figures of one label per clip: accuracy, top-k error and MAP@k from `[clip, class]` scores.
//!
//! Equal scores are ranked in class order, as in a list sorted stably from the highest score.

use super::{Scores, check_labels};
use crate::Result;

/// The rank, from 1, of a class among a clip's scores `[class]`.
///
/// One more than the number of classes that score higher, or equally and come earlier.
pub fn rank_of(scores: &[f32], class: usize) -> usize {
    let own = scores[class];
    1 + scores
        .iter()
        .enumerate()
        .filter(|&(other, &score)| score > own || (score == own && other < class))
        .count()
}

/// The class with the highest score, the first of equals; `None` for an empty row.
pub fn top_class(scores: &[f32]) -> Option<usize> {
    let mut best: Option<usize> = None;
    for (class, score) in scores.iter().enumerate() {
        if best.is_none_or(|b| *score > scores[b]) {
            best = Some(class);
        }
    }
    best
}

/// The ranks, from 1, of the clips' labels, `[clip]`.
///
/// # Errors
/// [`crate::Error::Shape`] or [`crate::Error::NotFinite`] if scores and labels do not fit.
pub fn label_ranks(scores: Scores<'_>, labels: &[usize]) -> Result<Vec<usize>> {
    check_labels(scores, labels)?;
    Ok(scores
        .clips()
        .zip(labels)
        .map(|(row, label)| rank_of(row, *label))
        .collect())
}

/// The share of ranks that are 1; `None` for no clips.
pub fn accuracy(ranks: &[usize]) -> Option<f64> {
    let right = ranks.iter().filter(|rank| **rank == 1).count();
    (!ranks.is_empty()).then(|| right as f64 / ranks.len() as f64)
}

/// The share of clips whose label is not among the `k` highest scores; `None` for no clips.
pub fn top_k_error(ranks: &[usize], k: usize) -> Option<f64> {
    let missed = ranks.iter().filter(|rank| **rank > k).count();
    (!ranks.is_empty()).then(|| missed as f64 / ranks.len() as f64)
}

/// MAP@k for one label per clip: the mean of 1/rank, where ranks above `k` count 0.
///
/// `None` for no clips.
///
/// # Source
/// The evaluation page of the Freesound General-Purpose Audio Tagging Challenge (2018), k = 3.
pub fn mean_average_precision_at(ranks: &[usize], k: usize) -> Option<f64> {
    // Not `sum`: of nothing it is -0.0.
    let sum = ranks
        .iter()
        .filter(|rank| **rank <= k)
        .fold(0.0_f64, |sum, rank| sum + 1.0 / *rank as f64);
    (!ranks.is_empty()).then(|| sum / ranks.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hand_counted_ranks() {
        let scores = [0.1, 0.7, 0.2, 0.9, 0.5, 0.6, 0.3, 0.3, 0.4];
        let ranks = label_ranks(Scores::new(&scores, 3).unwrap(), &[1, 1, 0]).unwrap();
        assert_eq!(ranks, [1, 3, 2]);
        assert_eq!(accuracy(&ranks), Some(1.0 / 3.0));
        assert_eq!(top_k_error(&ranks, 2), Some(1.0 / 3.0));
        let map2 = mean_average_precision_at(&ranks, 2).unwrap();
        assert!((map2 - (1.0 + 0.0 + 0.5) / 3.0).abs() < 1e-12);
    }

    #[test]
    fn equal_scores_rank_in_class_order() {
        assert_eq!(
            (0..3).map(|c| rank_of(&[0.5; 3], c)).collect::<Vec<_>>(),
            [1, 2, 3]
        );
        assert_eq!(top_class(&[0.2, 0.5, 0.5]), Some(1));
        assert_eq!(top_class(&[]), None);
    }

    #[test]
    fn no_clips_have_no_figures() {
        assert_eq!(accuracy(&[]), None);
        assert_eq!(mean_average_precision_at(&[], 3), None);
        let zero = mean_average_precision_at(&[4], 3).unwrap();
        assert!(zero == 0.0 && zero.is_sign_positive());
    }

    #[test]
    fn a_label_beyond_the_classes_is_refused() {
        let error = label_ranks(Scores::new(&[0.0; 4], 2).unwrap(), &[0, 2]).unwrap_err();
        assert!(error.to_string().contains("class 2"), "{error}");
    }

    proptest! {
        #[test]
        fn ranks_are_those_of_a_stable_sort(row in prop::collection::vec(0_u8..6, 1..12)) {
            let row: Vec<f32> = row.into_iter().map(f32::from).collect();
            for (rank, class) in super::super::descending(&row).into_iter().enumerate() {
                prop_assert_eq!(rank_of(&row, class), rank + 1);
            }
            prop_assert_eq!(rank_of(&row, top_class(&row).unwrap()), 1);
        }
    }
}
