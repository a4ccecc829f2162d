//! All figures of one evaluation: `[clip, class]` scores and targets in, one serialisable summary out.
//!
//! Two entries: [`Evaluation::single_label`] for sets with one label per clip and
//! [`Evaluation::multi_label`] for any number of labels. What has no meaning for a set (accuracy of a
//! multi-label set, AUC of a class that never occurs) is `None`, not 0.

use super::bootstrap::BootstrapOptions;
use super::calibration::{self, ReliabilityBin};
use super::{
    BinaryCounts, ConfusionMatrix, Interval, Scores, Targets, average_precision, bootstrap,
    check_labels, check_pair, d_prime, lwlrap, mean_of_defined, ranking, roc_auc, threshold,
};
use crate::Result;

/// Number of bins of the reliability diagram.
const N_BINS: usize = 10;

/// The figures of one class.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct ClassResult {
    /// Class index.
    pub class: usize,
    /// Number of clips that have the class.
    pub n_clips: usize,
    /// Average precision.
    pub average_precision: Option<f64>,
    /// ROC AUC.
    pub roc_auc: Option<f64>,
    /// lwlrap of the class's labels.
    pub lwlrap: Option<f64>,
    /// Decisions: the highest score for one label per clip, the class's threshold otherwise.
    pub counts: BinaryCounts,
    /// Precision of these decisions, 0 if the class is never tagged.
    pub precision: f64,
    /// Recall of these decisions, 0 if the class never occurs.
    pub recall: f64,
    /// F1 of these decisions.
    pub f1: f64,
    /// The threshold used for the decisions, where one was.
    pub threshold: Option<f32>,
    /// The threshold that would have the best F1 on these very clips.
    pub best_threshold: Option<f32>,
    /// The F1 at that threshold, optimistic because the threshold was chosen on these clips.
    pub best_f1: Option<f64>,
}

/// The figures of a set of clips.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Evaluation {
    /// Number of clips.
    pub n_clips: usize,
    /// Number of classes.
    pub n_classes: usize,
    /// Share of clips whose highest score is their label.
    pub accuracy: Option<Interval>,
    /// Share of clips whose label is not among the three highest scores.
    pub top_3_error: Option<Interval>,
    /// Mean of 1/rank of the label, 0 beyond rank 3.
    pub map_at_3: Option<Interval>,
    /// Label-weighted label-ranking average precision.
    pub lwlrap: Option<Interval>,
    /// Mean average precision over the classes that occur.
    pub mean_average_precision: Option<f64>,
    /// Mean ROC AUC over the classes that occur.
    pub mean_roc_auc: Option<f64>,
    /// d′ of the mean ROC AUC; `None` where it is infinite.
    pub d_prime: Option<f64>,
    /// Mean F1 over the classes that occur.
    pub macro_f1: Option<f64>,
    /// F1 of all decisions together.
    pub micro_f1: f64,
    /// Distance between scores and frequencies; `None` unless all scores lie in [0, 1].
    pub expected_calibration_error: Option<f64>,
    /// The reliability diagram behind that distance; empty where there is none.
    pub reliability: Vec<ReliabilityBin>,
    /// One entry per class.
    pub per_class: Vec<ClassResult>,
    /// True against predicted classes, for one label per clip.
    pub confusion: Option<ConfusionMatrix>,
}

impl Evaluation {
    /// Judges clips with one label each, `labels` being `[clip]`.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] or [`crate::Error::NotFinite`] if scores and labels do not fit,
    /// [`crate::Error::Config`] for impossible bootstrap options.
    pub fn single_label(
        scores: Scores<'_>,
        labels: &[usize],
        options: &BootstrapOptions<'_>,
    ) -> Result<Self> {
        check_labels(scores, labels)?;
        let n_classes = scores.n_classes();
        let targets: Vec<bool> = labels
            .iter()
            .flat_map(|label| (0..n_classes).map(move |class| class == *label))
            .collect();
        let targets = Targets::new(&targets, n_classes)?;
        let confusion = ConfusionMatrix::from_scores(scores, labels)?;
        let decisions: Vec<Decisions> = (0..n_classes)
            .map(|class| (confusion.class_counts(class), None))
            .collect();
        let reliability = match in_unit_interval(scores) {
            true => calibration::top_class_reliability(scores, labels, N_BINS)?,
            false => vec![],
        };
        Self {
            confusion: Some(confusion),
            ..Self::common(scores, targets, decisions, reliability, options)?
        }
        .ranked(scores, labels, options)
    }

    /// Judges clips with any number of labels, `targets` being `[clip, class]`.
    ///
    /// `thresholds` holds one threshold per class. Where every clip has exactly one label, the figures of its
    /// rank are told too: they ask nothing of the scores but their order.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] or [`crate::Error::NotFinite`] if the tables do not fit,
    /// [`crate::Error::Config`] for impossible bootstrap options.
    pub fn multi_label(
        scores: Scores<'_>,
        targets: Targets<'_>,
        thresholds: &[f32],
        options: &BootstrapOptions<'_>,
    ) -> Result<Self> {
        check_pair(scores, targets)?;
        if thresholds.len() != scores.n_classes() {
            return Err(crate::Error::Shape {
                what: "thresholds".to_owned(),
                found: thresholds.len().to_string(),
                expected: format!("{}, one per class", scores.n_classes()),
            });
        }
        let decisions: Result<Vec<Decisions>> = thresholds
            .iter()
            .enumerate()
            .map(|(class, at)| {
                let (column, present) = (scores.class(class), targets.class(class));
                Ok((
                    BinaryCounts::at_threshold(&column, &present, *at)?,
                    Some(*at),
                ))
            })
            .collect();
        let reliability = match in_unit_interval(scores) {
            true => calibration::reliability(scores.values, targets.values, N_BINS)?,
            false => vec![],
        };
        let evaluation = Self::common(scores, targets, decisions?, reliability, options)?;
        match one_label_each(targets) {
            Some(labels) => evaluation.ranked(scores, &labels, options),
            None => Ok(evaluation),
        }
    }

    /// Adds the figures of the ranks of one label per clip.
    fn ranked(
        self,
        scores: Scores<'_>,
        labels: &[usize],
        options: &BootstrapOptions<'_>,
    ) -> Result<Self> {
        let ranks = ranking::label_ranks(scores, labels)?;
        let over =
            |clips: &[usize]| -> Vec<usize> { clips.iter().map(|clip| ranks[*clip]).collect() };
        let n = labels.len();
        Ok(Self {
            accuracy: bootstrap(n, options, |clips| ranking::accuracy(&over(clips)))?,
            top_3_error: bootstrap(n, options, |clips| ranking::top_k_error(&over(clips), 3))?,
            map_at_3: bootstrap(n, options, |clips| {
                ranking::mean_average_precision_at(&over(clips), 3)
            })?,
            ..self
        })
    }

    /// What both kinds of sets have.
    fn common(
        scores: Scores<'_>,
        targets: Targets<'_>,
        decisions: Vec<Decisions>,
        reliability: Vec<ReliabilityBin>,
        options: &BootstrapOptions<'_>,
    ) -> Result<Self> {
        let per_class_lwlrap = lwlrap(scores, targets)?.per_class;
        let per_class: Result<Vec<ClassResult>> = decisions
            .into_iter()
            .zip(per_class_lwlrap)
            .enumerate()
            .map(|(class, (decisions, lwlrap))| {
                class_result(
                    class,
                    &scores.class(class),
                    &targets.class(class),
                    decisions,
                    lwlrap,
                )
            })
            .collect();
        let per_class = per_class?;
        let mut all = BinaryCounts::default();
        per_class.iter().for_each(|result| all += result.counts);
        let occurring = |value: fn(&ClassResult) -> Option<f64>| {
            mean_of_defined(
                per_class
                    .iter()
                    .filter(|result| result.n_clips > 0)
                    .map(value),
            )
        };
        let mean_roc_auc = occurring(|result| result.roc_auc);
        Ok(Self {
            n_clips: scores.n_clips(),
            n_classes: scores.n_classes(),
            accuracy: None,
            top_3_error: None,
            map_at_3: None,
            lwlrap: lwlrap_interval(scores, targets, options)?,
            mean_average_precision: occurring(|result| result.average_precision),
            mean_roc_auc,
            d_prime: mean_roc_auc.map(d_prime).filter(|value| value.is_finite()),
            macro_f1: occurring(|result| Some(result.f1)),
            micro_f1: all.f1(),
            expected_calibration_error: calibration::expected_calibration_error(&reliability),
            reliability,
            per_class,
            confusion: None,
        })
    }
}

/// A class's counts and the threshold they were made with.
type Decisions = (BinaryCounts, Option<f32>);

fn in_unit_interval(scores: Scores<'_>) -> bool {
    scores
        .values
        .iter()
        .all(|score| (0.0..=1.0).contains(score))
}

/// The labels `[clip]` of clips that have one each.
fn one_label_each(targets: Targets<'_>) -> Option<Vec<usize>> {
    targets
        .clips()
        .map(|present| {
            let mut labels = (0..present.len()).filter(|class| present[*class]);
            labels.next().filter(|_| labels.next().is_none())
        })
        .collect()
}

fn class_result(
    class: usize,
    scores: &[f32],
    targets: &[bool],
    (counts, at): Decisions,
    lwlrap: Option<f64>,
) -> Result<ClassResult> {
    let best = threshold::best_f1_threshold(scores, targets)?;
    Ok(ClassResult {
        class,
        n_clips: targets.iter().filter(|target| **target).count(),
        average_precision: average_precision(scores, targets)?,
        roc_auc: roc_auc(scores, targets)?,
        lwlrap,
        counts,
        precision: counts.precision(),
        recall: counts.recall(),
        f1: counts.f1(),
        threshold: at,
        best_threshold: best.map(|(threshold, _)| threshold),
        best_f1: best.map(|(_, f1)| f1),
    })
}

/// lwlrap with its interval: each clip's sum and number of labels are computed once.
fn lwlrap_interval(
    scores: Scores<'_>,
    targets: Targets<'_>,
    options: &BootstrapOptions<'_>,
) -> Result<Option<Interval>> {
    let clips: Result<Vec<(f64, f64)>> = scores
        .clips()
        .zip(targets.clips())
        .map(|(row, present)| {
            let n_classes = row.len();
            let own = lwlrap(
                Scores::new(row, n_classes)?,
                Targets::new(present, n_classes)?,
            )?;
            let n_labels = present.iter().filter(|present| **present).count() as f64;
            Ok((own.overall.unwrap_or(0.0) * n_labels, n_labels))
        })
        .collect();
    let clips = clips?;
    bootstrap(clips.len(), options, |drawn| {
        let sum: f64 = drawn.iter().map(|clip| clips[*clip].0).sum();
        let labels: f64 = drawn.iter().map(|clip| clips[*clip].1).sum();
        (labels > 0.0).then(|| sum / labels)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn few() -> BootstrapOptions<'static> {
        BootstrapOptions {
            n_resamples: 50,
            ..Default::default()
        }
    }

    #[test]
    fn a_single_label_set_has_all_figures() {
        let scores = [0.8, 0.1, 0.1, 0.2, 0.7, 0.1, 0.5, 0.3, 0.2, 0.1, 0.2, 0.7];
        let labels = [0, 1, 1, 2];
        let result =
            Evaluation::single_label(Scores::new(&scores, 3).unwrap(), &labels, &few()).unwrap();
        assert_eq!(result.accuracy.unwrap().estimate, 0.75);
        assert_eq!(result.top_3_error.unwrap().estimate, 0.0);
        assert_eq!(
            result.map_at_3.unwrap().estimate,
            (1.0 + 1.0 + 0.5 + 1.0) / 4.0
        );
        // With one label per clip lwlrap is the mean reciprocal rank.
        assert!((result.lwlrap.unwrap().estimate - 0.875).abs() < 1e-12);
        assert_eq!(result.per_class[1].recall, 0.5);
        assert_eq!(result.micro_f1, 0.75);
        assert!(result.expected_calibration_error.is_some());
    }

    #[test]
    fn logits_have_no_calibration_figure() {
        let scores = [3.0, -1.0, -2.0, 4.0];
        let result =
            Evaluation::single_label(Scores::new(&scores, 2).unwrap(), &[0, 1], &few()).unwrap();
        assert_eq!(result.expected_calibration_error, None);
        // A perfect AUC has an infinite d′, which no table should print.
        assert_eq!((result.mean_roc_auc, result.d_prime), (Some(1.0), None));
    }

    #[test]
    fn a_class_that_never_occurs_is_left_out_of_means() {
        let scores = [0.9, 0.2, 0.1, 0.8];
        let targets = [true, false, false, false];
        let result = Evaluation::multi_label(
            Scores::new(&scores, 2).unwrap(),
            Targets::new(&targets, 2).unwrap(),
            &[0.5, 0.5],
            &few(),
        )
        .unwrap();
        assert_eq!(result.mean_average_precision, Some(1.0));
        assert_eq!(result.per_class[1].average_precision, None);
        assert_eq!(result.per_class[1].counts.false_positives, 1);
        assert_eq!(result.accuracy, None);
    }

    #[test]
    fn independent_scores_are_ranked_where_every_clip_has_one_label() {
        let scores = [0.9, 0.1, 0.2, 0.3, 0.8, 0.7, 0.4, 0.6, 0.5];
        let judge = |targets: &[bool]| {
            Evaluation::multi_label(
                Scores::new(&scores, 3).unwrap(),
                Targets::new(targets, 3).unwrap(),
                &[0.5; 3],
                &few(),
            )
            .unwrap()
        };
        let (yes, no) = (true, false);
        let result = judge(&[yes, no, no, no, no, yes, no, yes, no]);
        // Ranks 1, 2 and 1.
        assert_eq!(result.accuracy.unwrap().estimate, 2.0 / 3.0);
        assert_eq!(result.map_at_3.unwrap().estimate, 2.5 / 3.0);
        assert_eq!(result.top_3_error.unwrap().estimate, 0.0);
        let two_labels = judge(&[yes, yes, no, no, no, yes, no, yes, no]);
        assert_eq!(two_labels.accuracy, None);
        let no_label = judge(&[no, no, no, no, no, yes, no, yes, no]);
        assert_eq!(no_label.map_at_3, None);
    }
}
