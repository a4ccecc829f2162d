//! The report on clips: figures, curves, confusions, and the worst clips to hear and see.

use std::fmt::Write as _;
use std::path::Path;

use earmark::eval::PrCurve;

use super::super::calibrate::{Fitted, Reliability};
use super::super::clips::Report;
use super::super::svg::{self, ClassCurve, escaped};
use super::super::text::{figures, occurring};
use super::super::worst::Worst;
use super::{base64, begin, card, curve_grid, training};

/// Above this many classes a matrix can no longer be read; the worst pairs are listed instead.
const MAX_MATRIX: usize = 60;

/// Pairs listed below, or instead of, the matrix.
const N_PAIRS: usize = 20;

/// The page.
pub(in super::super) fn page(
    report: &Report,
    curves: &[(usize, PrCurve)],
    worst: &[Worst<'_>],
    run: Option<&Path>,
) -> anyhow::Result<String> {
    let about = format!(
        "{}, {}: {} clips, {} classes; data digest {}",
        report.data,
        report.part,
        report.evaluation.n_clips,
        report.classes.len(),
        &report.data_digest[..12]
    );
    let mut page = begin(&report.model, &about);
    cards(&mut page, report);
    if let Some(run) = run {
        training(&mut page, run)?;
    }
    classes(&mut page, report);
    confusions(&mut page, report);
    precision_recall(&mut page, report, curves);
    reliability(&mut page, report);
    clips(&mut page, report, worst);
    page.push_str("</main></html>\n");
    Ok(page)
}

/// Precision over recall, class by class, in the order of the table of classes.
fn precision_recall(page: &mut String, report: &Report, curves: &[(usize, PrCurve)]) {
    let in_order: Vec<ClassCurve<'_>> = occurring(report)
        .into_iter()
        .filter_map(|class| {
            let (_, curve) = curves.iter().find(|(at, _)| *at == class.class)?;
            Some(ClassCurve {
                name: &report.classes[class.class],
                curve,
                threshold: class.threshold,
                best_threshold: class.best_threshold,
            })
        })
        .collect();
    curve_grid(page, &in_order);
}

/// The figures, each with its interval.
fn cards(page: &mut String, report: &Report) {
    page.push_str("<div class=\"cards\">");
    for (name, value, interval) in figures(report) {
        let interval = interval
            .map(|i| format!("{:.3} to {:.3}", i.lower, i.upper))
            .unwrap_or_default();
        card(page, name, value, &interval);
    }
    page.push_str("</div><p class=\"muted\">Ranges are 95 % bootstrap intervals over sources.</p>");
    if let Some(negatives) = &report.negatives {
        let _ = write!(
            page,
            "<p>{} clips hold none of the classes: {:.1} % of them stay below 0.3, the highest score \
             is {:.3}.</p>",
            negatives.n_clips,
            negatives.share_quiet * 100.0,
            negatives.highest_score
        );
    }
    if report.n_failed > 0 {
        let _ = write!(
            page,
            "<p class=\"wrong\">{} clips could not be heard.</p>",
            report.n_failed
        );
    }
}

/// The table of classes with bars of F1.
fn classes(page: &mut String, report: &Report) {
    let occurring = occurring(report);
    page.push_str(
        "<h2>Classes, the worst first</h2><div class=\"wide\"><table><tr><th>class<th>clips\
         <th>precision<th>recall<th>F1<th>AP<th>",
    );
    for class in &occurring {
        let ap = class
            .average_precision
            .map_or_else(|| "–".to_owned(), |ap| format!("{ap:.3}"));
        let _ = write!(
            page,
            "<tr><td>{}<td>{}<td>{:.3}<td>{:.3}<td>{:.3}<td>{ap}\
             <td class=\"bar\"><i style=\"width:{:.1}%\"></i>",
            escaped(&report.classes[class.class]),
            class.n_clips,
            class.precision,
            class.recall,
            class.f1,
            class.f1 * 100.0
        );
    }
    page.push_str("</table></div>");
    let absent = report.classes.len() - occurring.len();
    if absent > 0 {
        let _ = write!(
            page,
            "<p class=\"muted\">{absent} classes do not occur in these clips.</p>"
        );
    }
}

/// The confusion matrix of the classes that occur or are taken for one, or its worst pairs.
fn confusions(page: &mut String, report: &Report) {
    let Some(matrix) = &report.evaluation.confusion else {
        return;
    };
    let name = |class: usize| report.classes[class].as_str();
    let shown: Vec<(usize, &str)> = (0..matrix.n_classes())
        .filter(|class| {
            let counts = matrix.class_counts(*class);
            counts.true_positives + counts.false_positives + counts.false_negatives > 0
        })
        .map(|class| (class, name(class)))
        .collect();
    page.push_str("<h2>Confusions</h2>");
    if shown.len() <= MAX_MATRIX {
        let _ = write!(
            page,
            "<div class=\"wide\">{}</div>",
            svg::confusion(matrix, &shown)
        );
        return;
    }
    page.push_str("<table><tr><th>class<th>taken for<th>clips");
    for (truth, predicted, count) in matrix.worst_pairs(N_PAIRS) {
        let (truth, predicted) = (escaped(name(truth)), escaped(name(predicted)));
        let _ = write!(page, "<tr><td>{truth}<td>{predicted}<td>{count}");
    }
    page.push_str("</table>");
}

fn reliability(page: &mut String, report: &Report) {
    if report.evaluation.reliability.is_empty() {
        return;
    }
    page.push_str(
        "<h2>Reliability</h2><p class=\"muted\">Bars that end on the dashed line: a score of 0.8 is right \
         eight times in ten. Below the line the model is too sure, above it too careful. Dots: the mean \
         score of a bin.</p><div class=\"plots\">",
    );
    match &report.fitted {
        None => page.push_str(&svg::reliability(
            &report.evaluation.reliability,
            "scores and how often they are right",
        )),
        Some(fitted) => fitted_reliability(page, fitted),
    }
    page.push_str("</div>");
}

/// Before and after what was fitted.
fn fitted_reliability(page: &mut String, fitted: &Fitted) {
    let title = |what: &str, reliability: &Reliability| {
        let error = reliability.expected_calibration_error.unwrap_or_default();
        format!("{what}: calibration error {error:.3}")
    };
    for (what, side) in [
        ("as it was", &fitted.before),
        ("fitted to other clips", &fitted.after),
    ] {
        page.push_str(&svg::reliability(&side.bins, &title(what, side)));
    }
}

/// The worst clips with sound and picture.
fn clips(page: &mut String, report: &Report, worst: &[Worst<'_>]) {
    if worst.is_empty() {
        return;
    }
    page.push_str("<h2>Worst clips</h2><div class=\"clips\">");
    let list = |classes: &[(usize, f32)]| -> String {
        let one = |(class, score): &(usize, f32)| {
            format!("{} {score:.2}", escaped(&report.classes[*class]))
        };
        classes.iter().map(one).collect::<Vec<_>>().join(", ")
    };
    for item in worst {
        page.push_str("<div class=\"clip\">");
        if let Some((wav, png)) = &item.media {
            let _ = write!(
                page,
                "<img alt=\"spectrogram\" src=\"data:image/png;base64,{}\">\
                 <audio controls preload=\"none\" src=\"data:audio/wav;base64,{}\"></audio>",
                base64(png),
                base64(wav)
            );
        }
        let _ = write!(
            page,
            "<div><b>{}</b></div><div class=\"right\">is: {}</div><div class=\"wrong\">heard: {}</div>\
             </div>",
            escaped(&item.clip.name),
            list(&item.labels),
            list(&item.guesses)
        );
    }
    page.push_str("</div>");
}
