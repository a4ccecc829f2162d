//! The report on long recordings: segment-based and event-based figures, and curves.

use std::fmt::Write as _;

use earmark::eval::detection::OverallFigures;

use super::super::recordings::Report;
use super::super::svg::{ClassCurve, escaped};
use super::super::text::{event_name, segment_name, worst_first};
use super::{begin, card, curve_grid};

/// The page.
pub(in super::super) fn page(report: &Report) -> String {
    let figures = &report.figures;
    let about = format!(
        "{} against {}: {} recordings, {:.1} s, {} classes",
        report.data,
        report.annotations,
        figures.n_recordings,
        figures.duration_secs,
        report.classes.len()
    );
    let mut page = begin(&report.model, &about);
    overall(&mut page, &segment_name(report), &figures.segment_based);
    overall(&mut page, &event_name(report), &figures.event_based);
    page.push_str(
        "<p class=\"muted\">Segment-based: is the class active in each piece of time? Event-based: does \
         an event with the right class begin, and end, where the annotated one does?</p>",
    );
    if report.n_failed > 0 {
        let _ = write!(
            page,
            "<p class=\"wrong\">{} recordings could not be judged.</p>",
            report.n_failed
        );
    }
    classes(&mut page, report);
    let curves: Vec<ClassCurve<'_>> = worst_first(report)
        .into_iter()
        .filter(|class| class.n_segments > 0)
        .map(|class| ClassCurve {
            name: &report.classes[class.class],
            curve: &class.curve,
            threshold: Some(class.threshold),
            best_threshold: class.best_threshold,
        })
        .collect();
    curve_grid(&mut page, &curves);
    page.push_str("</main></html>\n");
    page
}

/// The figures of one way of judging.
fn overall(page: &mut String, name: &str, figures: &OverallFigures) {
    let _ = write!(page, "<h2>{}</h2><div class=\"cards\">", escaped(name));
    let counts = figures.overall.counts;
    let found = counts.true_positives + counts.false_positives;
    let there = counts.true_positives + counts.false_negatives;
    card(page, "F1", figures.overall.f1, "all decisions together");
    if let Some(macro_f1) = figures.macro_f1 {
        card(page, "macro F1", macro_f1, "mean of classes");
    }
    let right = |of: usize| format!("{} of {of}", counts.true_positives);
    card(page, "precision", figures.overall.precision, &right(found));
    card(page, "recall", figures.overall.recall, &right(there));
    if let Some(rate) = figures.error_rate {
        let errors = figures.errors;
        let below = format!(
            "{} swapped, {} missed, {} extra",
            errors.substitutions, errors.deletions, errors.insertions
        );
        card(page, "error rate", rate, &below);
    }
    page.push_str("</div>");
}

/// The table of classes with bars of segment-based F1.
fn classes(page: &mut String, report: &Report) {
    page.push_str(
        "<h2>Classes, the worst first</h2><div class=\"wide\"><table><tr><th>class<th>events\
         <th>precision<th>recall<th>F1<th>event F1<th>AP<th>threshold<th>best<th>",
    );
    let optional = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |v| format!("{v:.3}"));
    for class in worst_first(report) {
        let _ = write!(
            page,
            "<tr><td>{}<td>{}<td>{:.3}<td>{:.3}<td>{:.3}<td>{:.3}<td>{}<td>{:.3}<td>{}\
             <td class=\"bar\"><i style=\"width:{:.1}%\"></i>",
            escaped(&report.classes[class.class]),
            class.n_events,
            class.segment_based.precision,
            class.segment_based.recall,
            class.segment_based.f1,
            class.event_based.f1,
            optional(class.average_precision),
            class.threshold,
            optional(class.best_threshold.map(f64::from)),
            class.segment_based.f1 * 100.0
        );
    }
    page.push_str("</table></div>");
}
