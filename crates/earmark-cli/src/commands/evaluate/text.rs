//! The figures for people and the tables for programs.

use anyhow::Context as _;
use earmark::bundle::Calibration;
use earmark::eval::detection::ClassDetection;
use earmark::eval::{ClassResult, Interval, PrCurve};

use super::calibrate::Fitted;
use super::clips::{Judged, Report};
use super::recordings;

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
    lines.extend(report.fitted.iter().flat_map(fitted_lines));
    lines
}

/// What was fitted, and what it is worth on other clips.
fn fitted_lines(fitted: &Fitted) -> Vec<String> {
    let mut lines = vec![
        String::new(),
        format!(
            "fitted to {} clips; each clip judged by what the other parts of 5 give:",
            fitted.n_clips
        ),
    ];
    match &fitted.calibration {
        Some(Calibration::Temperature { temperature }) => {
            lines.push(format!("  temperature       {temperature:.4}"));
        }
        Some(Calibration::Logistic { .. }) => {
            lines.push("  calibration       slope and offset per class".to_owned());
        }
        None => {}
    }
    let mut change = |name: &str, before: Option<f64>, after: Option<f64>| {
        if let (Some(before), Some(after)) = (before, after) {
            lines.push(format!("  {name:<17} {before:.4} → {after:.4}"));
        }
    };
    change(
        "calibration error",
        fitted.before.expected_calibration_error,
        fitted.after.expected_calibration_error,
    );
    change(
        "F1 at thresholds",
        fitted.macro_f1_before,
        fitted.macro_f1_after,
    );
    lines.push(format!(
        "  thresholds        {:.4}, and {} classes with their own",
        fitted.thresholds.default.unwrap_or_default(),
        fitted.thresholds.classes.len()
    ));
    lines
}

/// Precision-recall curves, one row per point.
pub(super) fn curves_csv<'a>(
    curves: impl Iterator<Item = (&'a str, &'a PrCurve)>,
) -> anyhow::Result<Vec<u8>> {
    let mut table = csv::Writer::from_writer(Vec::new());
    table.write_record(["class", "threshold", "precision", "recall"])?;
    for (class, curve) in curves {
        let points = curve
            .thresholds
            .iter()
            .zip(&curve.precision)
            .zip(&curve.recall);
        for ((threshold, precision), recall) in points {
            table.write_record([
                class,
                &threshold.to_string(),
                &precision.to_string(),
                &recall.to_string(),
            ])?;
        }
    }
    table.into_inner().context("writing the table of curves")
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

/// Lines for people about recordings.
pub(super) fn recording_lines(report: &recordings::Report) -> Vec<String> {
    let figures = &report.figures;
    let mut lines = vec![
        format!(
            "{} on {}, {}: {} recordings, {:.1} s",
            report.model,
            report.data,
            report.annotations,
            figures.n_recordings,
            figures.duration_secs
        ),
        String::new(),
        format!(
            "{:<28}{:>9}  {:>6}  {:>6}  {:>8}  {:>10}",
            "", "precision", "recall", "F1", "macro F1", "error rate"
        ),
    ];
    let optional = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |v| format!("{v:.3}"));
    for (name, figures) in [
        (segment_name(report), &figures.segment_based),
        (event_name(report), &figures.event_based),
    ] {
        lines.push(format!(
            "{name:<28}{:>9.3}  {:>6.3}  {:>6.3}  {:>8}  {:>10}",
            figures.overall.precision,
            figures.overall.recall,
            figures.overall.f1,
            optional(figures.macro_f1),
            optional(figures.error_rate)
        ));
    }
    lines.push(format!(
        "mAP over segments: {}",
        optional(figures.mean_average_precision)
    ));
    lines.push(String::new());
    let width = report
        .classes
        .iter()
        .map(|name| name.chars().count())
        .max()
        .unwrap_or(0)
        .max(5);
    lines.push(format!(
        "{:width$}  {:>6}  {:>10}  {:>8}  {:>6}  {:>9}  {:>14}",
        "class", "events", "segment F1", "event F1", "AP", "threshold", "best threshold"
    ));
    for class in worst_first(report) {
        lines.push(format!(
            "{:width$}  {:>6}  {:>10.3}  {:>8.3}  {:>6}  {:>9.3}  {:>14}",
            report.classes[class.class],
            class.n_events,
            class.segment_based.f1,
            class.event_based.f1,
            optional(class.average_precision),
            class.threshold,
            optional(class.best_threshold.map(f64::from))
        ));
    }
    lines
}

/// What segment-based figures are called.
pub(super) fn segment_name(report: &recordings::Report) -> String {
    format!("segment-based, {} s", report.figures.options.segment_secs)
}

/// What event-based figures are called.
pub(super) fn event_name(report: &recordings::Report) -> String {
    let collar = report.figures.options.collar;
    let ends = if collar.check_offset {
        format!(
            "{} s / {:.0} %",
            collar.collar_secs,
            collar.share_of_length * 100.0
        )
    } else {
        format!("{} s, onsets", collar.collar_secs)
    };
    format!("event-based, {ends}")
}

/// The judged classes, the worst segment-based F1 first; classes that never occur at the end.
pub(super) fn worst_first(report: &recordings::Report) -> Vec<&ClassDetection> {
    let mut classes: Vec<&ClassDetection> = report.figures.per_class.iter().collect();
    classes.sort_by(|a, b| {
        (a.n_events == 0)
            .cmp(&(b.n_events == 0))
            .then(a.segment_based.f1.total_cmp(&b.segment_based.f1))
            .then(a.class.cmp(&b.class))
    });
    classes
}

/// One row per judged class.
pub(super) fn recording_csv(report: &recordings::Report) -> anyhow::Result<Vec<u8>> {
    let mut table = csv::Writer::from_writer(Vec::new());
    table.write_record([
        "class",
        "n_events",
        "n_segments",
        "segment_precision",
        "segment_recall",
        "segment_f1",
        "event_precision",
        "event_recall",
        "event_f1",
        "average_precision",
        "threshold",
        "best_threshold",
        "best_segment_f1",
    ])?;
    let number = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
    for class in &report.figures.per_class {
        table.write_record([
            report.classes[class.class].clone(),
            class.n_events.to_string(),
            class.n_segments.to_string(),
            class.segment_based.precision.to_string(),
            class.segment_based.recall.to_string(),
            class.segment_based.f1.to_string(),
            class.event_based.precision.to_string(),
            class.event_based.recall.to_string(),
            class.event_based.f1.to_string(),
            number(class.average_precision),
            class.threshold.to_string(),
            number(class.best_threshold.map(f64::from)),
            number(class.best_f1),
        ])?;
    }
    table.into_inner().context("writing the table of classes")
}
