//! The figures for people and the tables for programs.

use anyhow::Context as _;
use earmark::eval::{ClassResult, Interval};

use super::{Judged, Report};

/// How many confusions are named.
const N_CONFUSIONS: usize = 8;

/// The figures that a set has, by name, with their intervals where there are some.
pub(super) fn figures(report: &Report) -> Vec<(&'static str, f64, Option<Interval>)> {
    let all = &report.evaluation;
    let with = |name, interval: Option<Interval>| {
        interval.map(|interval| (name, interval.estimate, Some(interval)))
    };
    let plain = |name, value: Option<f64>| value.map(|value| (name, value, None));
    [
        with("accuracy", all.accuracy),
        with("MAP@3", all.map_at_3),
        with("top-3 error", all.top_3_error),
        with("lwlrap", all.lwlrap),
        plain("mAP", all.mean_average_precision),
        plain("ROC AUC", all.mean_roc_auc),
        plain("d′", all.d_prime),
        plain("macro F1", all.macro_f1),
        plain("micro F1", Some(all.micro_f1)),
        plain("calibration error", all.expected_calibration_error),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The classes that occur, the worst F1 first.
pub(super) fn occurring(report: &Report) -> Vec<&ClassResult> {
    let mut classes: Vec<&ClassResult> = report
        .evaluation
        .per_class
        .iter()
        .filter(|class| class.n_clips > 0)
        .collect();
    classes.sort_by(|a, b| a.f1.total_cmp(&b.f1).then(a.class.cmp(&b.class)));
    classes
}

/// Lines for people.
pub(super) fn lines(report: &Report) -> Vec<String> {
    let n_clips = report.evaluation.n_clips;
    let mut lines = vec![
        format!(
            "{} on {}, {}: {n_clips} clips",
            report.model, report.data, report.part
        ),
        String::new(),
    ];
    for (name, value, interval) in figures(report) {
        let interval = interval
            .map(|i| format!("  ({:.4} to {:.4})", i.lower, i.upper))
            .unwrap_or_default();
        lines.push(format!("{name:<18}{value:.4}{interval}"));
    }
    if let Some(negatives) = &report.negatives {
        lines.push(format!(
            "negatives: {} clips, {:.1} % stay below 0.3, highest score {:.3}",
            negatives.n_clips,
            negatives.share_quiet * 100.0,
            negatives.highest_score
        ));
    }
    lines.push(String::new());
    let classes = occurring(report);
    let name = |class: usize| report.classes[class].as_str();
    let width = classes
        .iter()
        .map(|c| name(c.class).chars().count())
        .max()
        .unwrap_or(0)
        .max(5);
    lines.push(format!(
        "{:width$}  {:>5}  {:>9}  {:>6}  {:>6}  {:>6}",
        "class", "clips", "precision", "recall", "F1", "AP"
    ));
    for class in classes {
        lines.push(format!(
            "{:width$}  {:>5}  {:>9.3}  {:>6.3}  {:>6.3}  {:>6}",
            name(class.class),
            class.n_clips,
            class.precision,
            class.recall,
            class.f1,
            class
                .average_precision
                .map_or_else(|| "-".to_owned(), |ap| format!("{ap:.3}"))
        ));
    }
    let confusions = report
        .evaluation
        .confusion
        .as_ref()
        .map(|c| c.worst_pairs(N_CONFUSIONS))
        .unwrap_or_default();
    if !confusions.is_empty() {
        lines.push(String::new());
        lines.push("taken for another class:".to_owned());
    }
    for (truth, predicted, count) in confusions {
        lines.push(format!(
            "  {count:>4} × {} → {}",
            name(truth),
            name(predicted)
        ));
    }
    lines
}

/// One row per class.
pub(super) fn class_csv(report: &Report) -> anyhow::Result<Vec<u8>> {
    let mut table = csv::Writer::from_writer(Vec::new());
    table.write_record([
        "class",
        "n_clips",
        "precision",
        "recall",
        "f1",
        "average_precision",
        "roc_auc",
        "lwlrap",
        "threshold",
        "best_threshold",
        "best_f1",
    ])?;
    let number = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
    for class in &report.evaluation.per_class {
        table.write_record([
            report.classes[class.class].clone(),
            class.n_clips.to_string(),
            class.precision.to_string(),
            class.recall.to_string(),
            class.f1.to_string(),
            number(class.average_precision),
            number(class.roc_auc),
            number(class.lwlrap),
            number(class.threshold.map(f64::from)),
            number(class.best_threshold.map(f64::from)),
            number(class.best_f1),
        ])?;
    }
    table.into_inner().context("writing the table of classes")
}

/// One row per clip: name, labels, then one score per class.
pub(super) fn scores_csv(report: &Report, judged: &Judged<'_>) -> anyhow::Result<Vec<u8>> {
    let mut table = csv::Writer::from_writer(Vec::new());
    let head = ["clip", "labels"]
        .into_iter()
        .chain(report.classes.iter().map(String::as_str));
    table.write_record(head)?;
    for (at, clip) in judged.clips.iter().enumerate() {
        let labels: Vec<&str> = clip
            .labels
            .iter()
            .flatten()
            .map(|label| report.classes[*label].as_str())
            .collect();
        let scores = judged.row(at).iter().map(f32::to_string);
        table.write_record(
            [clip.name.clone(), labels.join(";")]
                .into_iter()
                .chain(scores),
        )?;
    }
    table.into_inner().context("writing the table of scores")
}
