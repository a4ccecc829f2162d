//! Label-weighted label-ranking average precision: `[clip, class]` scores and targets in, one number
//! over all labels and one per class out.
//!
//! For every label of every clip, the precision at that label's rank: among the classes that score at
//! least as high, the share that is present. lwlrap is the mean over all labels, so a clip with three
//! labels weighs three times one with a single label; clips without labels do not count. It equals
//! the per-class means weighted by how often each class is a label.

use super::{Scores, Targets, check_pair};
use crate::Result;

/// lwlrap of a whole set.
#[derive(Clone, Debug, PartialEq)]
pub struct Lwlrap {
    /// The mean over all labels of all clips; `None` if there is no label.
    pub overall: Option<f64>,
    /// The mean over the labels of each class, `[class]`; `None` where the class is no label.
    pub per_class: Vec<Option<f64>>,
    /// The share of each class in all labels, `[class]`; all 0 if there is no label.
    pub weights: Vec<f64>,
}

/// Computes lwlrap, exactly, over the whole set.
///
/// A tied class counts as ranked above, as in scikit-learn's
/// `label_ranking_average_precision_score` with the number of labels as sample weight, which equals
/// this figure.
///
/// # Errors
/// [`crate::Error::Shape`] if the tables differ in shape, [`crate::Error::NotFinite`] for a score
/// that is no number.
///
/// # Source
/// Fonseca et al., "Audio tagging with noisy labels and minimal supervision", DCASE 2019, section 2.3.
pub fn lwlrap(scores: Scores<'_>, targets: Targets<'_>) -> Result<Lwlrap> {
    check_pair(scores, targets)?;
    let n_classes = scores.n_classes();
    let mut sums = vec![0.0_f64; n_classes];
    let mut counts = vec![0_u64; n_classes];
    for (row, present) in scores.clips().zip(targets.clips()) {
        add_clip(row, present, &mut sums, &mut counts);
    }
    let total: u64 = counts.iter().sum();
    let share = |count: u64| {
        if total == 0 {
            0.0
        } else {
            count as f64 / total as f64
        }
    };
    Ok(Lwlrap {
        overall: (total > 0).then(|| sums.iter().sum::<f64>() / total as f64),
        per_class: sums
            .iter()
            .zip(&counts)
            .map(|(sum, count)| (*count > 0).then(|| sum / *count as f64))
            .collect(),
        weights: counts.iter().map(|count| share(*count)).collect(),
    })
}

/// Adds one clip's precisions at its labels to the classes' sums and counts.
fn add_clip(row: &[f32], present: &[bool], sums: &mut [f64], counts: &mut [u64]) {
    if !present.contains(&true) {
        return;
    }
    let order = super::descending(row);
    let (mut at, mut n_present) = (0, 0_usize);
    while at < order.len() {
        let score = row[order[at]];
        let end = at
            + order[at..]
                .iter()
                .take_while(|class| row[**class] == score)
                .count();
        n_present += order[at..end]
            .iter()
            .filter(|class| present[**class])
            .count();
        for class in order[at..end].iter().filter(|class| present[**class]) {
            sums[*class] += n_present as f64 / end as f64;
            counts[*class] += 1;
        }
        at = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition, written naively.
    fn naive(scores: Scores<'_>, targets: Targets<'_>) -> Option<f64> {
        let (mut sum, mut count) = (0.0, 0);
        for (row, present) in scores.clips().zip(targets.clips()) {
            for class in (0..row.len()).filter(|class| present[*class]) {
                let above: Vec<usize> = (0..row.len()).filter(|o| row[*o] >= row[class]).collect();
                let hits = above.iter().filter(|o| present[**o]).count();
                sum += hits as f64 / above.len() as f64;
                count += 1;
            }
        }
        (count > 0).then(|| sum / f64::from(count))
    }

    fn set() -> impl Strategy<Value = (usize, Vec<f32>, Vec<bool>)> {
        (1_usize..7, 1_usize..9).prop_flat_map(|(n_classes, n_clips)| {
            let n = n_classes * n_clips;
            let scores = prop::collection::vec((0_i8..8).prop_map(f32::from), n);
            (
                Just(n_classes),
                scores,
                prop::collection::vec(any::<bool>(), n),
            )
        })
    }

    #[test]
    fn a_perfect_ranking_scores_one() {
        let scores = [0.9, 0.1, 0.8, 0.2, 0.7, 0.1];
        let targets = [true, false, true, false, true, false];
        let result = lwlrap(
            Scores::new(&scores, 3).unwrap(),
            Targets::new(&targets, 3).unwrap(),
        )
        .unwrap();
        assert_eq!(result.overall, Some(1.0));
        assert_eq!(result.per_class, [Some(1.0), Some(1.0), Some(1.0)]);
        assert_eq!(result.weights, [1.0 / 3.0; 3]);
    }

    #[test]
    fn clips_without_labels_do_not_count() {
        let scores = [0.9, 0.1, 0.2, 0.8];
        let targets = [false, false, true, false];
        let result = lwlrap(
            Scores::new(&scores, 2).unwrap(),
            Targets::new(&targets, 2).unwrap(),
        )
        .unwrap();
        assert_eq!(result.overall, Some(0.5));
        assert_eq!(result.per_class, [Some(0.5), None]);
        let none = lwlrap(
            Scores::new(&scores, 2).unwrap(),
            Targets::new(&[false; 4], 2).unwrap(),
        );
        assert_eq!(none.unwrap().overall, None);
    }

    proptest! {
        #[test]
        fn it_is_the_definition((n, scores, targets) in set()) {
            let (s, t) = (Scores::new(&scores, n).unwrap(), Targets::new(&targets, n).unwrap());
            let (got, expected) = (lwlrap(s, t).unwrap(), naive(s, t));
            prop_assert_eq!(got.overall.is_some(), expected.is_some());
            if let (Some(a), Some(b)) = (got.overall, expected) {
                prop_assert!((a - b).abs() < 1e-12);
                let weighted: f64 =
                    got.per_class.iter().zip(&got.weights).map(|(c, w)| c.unwrap_or(0.0) * w).sum();
                prop_assert!((a - weighted).abs() < 1e-12);
            }
        }

        #[test]
        fn rescaling_and_class_order_do_not_matter((n, scores, targets) in set()) {
            let before =
                lwlrap(Scores::new(&scores, n).unwrap(), Targets::new(&targets, n).unwrap()).unwrap();
            let turn = |i: usize| i / n * n + (n - 1 - i % n);
            let moved: Vec<f32> = (0..scores.len()).map(|i| (scores[turn(i)] * 0.3).exp()).collect();
            let moved_targets: Vec<bool> = (0..targets.len()).map(|i| targets[turn(i)]).collect();
            let after =
                lwlrap(Scores::new(&moved, n).unwrap(), Targets::new(&moved_targets, n).unwrap())
                    .unwrap();
            prop_assert_eq!(before.overall.is_some(), after.overall.is_some());
            if let (Some(a), Some(b)) = (before.overall, after.overall) {
                prop_assert!((a - b).abs() < 1e-12);
            }
        }
    }
}
