//! The report: one page that needs no other file and no script.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context as _;

use super::Report;
use super::svg::{self, Curve, escaped};
use super::text::{figures, occurring};
use super::worst::Worst;

/// Above this many classes a matrix can no longer be read; the worst pairs are listed instead.
const MAX_MATRIX: usize = 60;

/// Pairs listed below, or instead of, the matrix.
const N_PAIRS: usize = 20;

const STYLE: &str = "
:root { color-scheme: light; }
body { font: 15px/1.45 system-ui, sans-serif; color: #222; background: #fff; margin: 0 auto;
  padding: 24px; max-width: 1080px; }
h1 { font-size: 24px; margin: 0 0 4px; } h2 { font-size: 18px; margin: 36px 0 10px; }
.muted { color: #666; } .wide { overflow-x: auto; }
.cards { display: flex; flex-wrap: wrap; gap: 10px; margin-top: 18px; }
.card { border: 1px solid #ddd; border-radius: 8px; padding: 10px 14px; min-width: 118px; }
.card b { display: block; font-size: 22px; } .card small { color: #666; white-space: nowrap; }
table { border-collapse: collapse; width: 100%; } th, td { padding: 3px 10px; text-align: right; }
th { color: #666; font-weight: 500; border-bottom: 1px solid #ccc; }
th:first-child, td:first-child { text-align: left; } tr:nth-child(even) td { background: #fafafa; }
td.bar { width: 26%; text-align: left; }
.bar i { display: block; height: 11px; border-radius: 3px; background: #185aa0; min-width: 1px; }
.plots { display: flex; flex-wrap: wrap; gap: 24px; align-items: flex-start; }
.clips { display: grid; grid-template-columns: repeat(auto-fill, minmax(310px, 1fr)); gap: 14px; }
.clip { border: 1px solid #ddd; border-radius: 8px; padding: 12px; overflow-wrap: anywhere; }
.clip img { width: 100%; height: 110px; image-rendering: auto; border-radius: 4px; display: block; }
.clip audio { width: 100%; height: 34px; margin-top: 8px; }
.right { color: #185aa0; } .wrong { color: #b4460f; }
";

/// The page.
pub(super) fn page(
    report: &Report,
    worst: &[Worst<'_>],
    run: Option<&Path>,
) -> anyhow::Result<String> {
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\">\
         <title>Evaluation of {model}</title><style>{STYLE}</style>\
         <h1>{model}</h1><div class=\"muted\">{data}, {part}: {n} clips, {classes} classes; \
         data digest {digest}</div>",
        model = escaped(&report.model),
        data = escaped(&report.data),
        part = escaped(&report.part),
        n = report.evaluation.n_clips,
        classes = report.classes.len(),
        digest = &report.data_digest[..12],
    );
    cards(&mut page, report);
    if let Some(run) = run {
        training(&mut page, run)?;
    }
    classes(&mut page, report);
    confusions(&mut page, report);
    reliability(&mut page, report);
    clips(&mut page, report, worst);
    page.push_str("</html>\n");
    Ok(page)
}

/// The figures, each with its interval.
fn cards(page: &mut String, report: &Report) {
    page.push_str("<div class=\"cards\">");
    for (name, value, interval) in figures(report) {
        let interval = interval
            .map(|i| format!("{:.3} to {:.3}", i.lower, i.upper))
            .unwrap_or_default();
        let _ = write!(
            page,
            "<div class=\"card\">{name}<b>{value:.3}</b><small>{interval}&nbsp;</small></div>"
        );
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

/// The curves of a training run, from its `history.csv`.
fn training(page: &mut String, run: &Path) -> anyhow::Result<()> {
    let path = run.join("history.csv");
    let mut table = csv::Reader::from_reader(fs_err::File::open(&path)?);
    let header: Vec<String> = table.headers()?.iter().map(str::to_owned).collect();
    let rows: Vec<csv::StringRecord> = table
        .records()
        .collect::<Result<_, _>>()
        .with_context(|| path.display().to_string())?;
    let column = |name: &str| -> Curve<'_> {
        let at = header.iter().position(|column| column == name);
        let number = |row: &csv::StringRecord, at: usize| row.get(at)?.parse::<f64>().ok();
        let points = rows.iter().enumerate().filter_map(|(index, row)| {
            let epoch = number(row, 0).unwrap_or(index as f64 + 1.0);
            Some((epoch, number(row, at?)?)).filter(|(_, y)| y.is_finite())
        });
        let name = header
            .iter()
            .find(|column| *column == name)
            .map_or("", String::as_str);
        Curve {
            name,
            points: points.collect(),
        }
    };
    let plot = |names: &[&str], y: &str| {
        let curves: Vec<Curve<'_>> = names
            .iter()
            .map(|name| column(name))
            .filter(|c| !c.points.is_empty())
            .collect();
        if curves.is_empty() {
            String::new()
        } else {
            svg::curves(&curves, "epoch", y)
        }
    };
    let figures: Vec<&str> = header.iter().skip(4).map(String::as_str).collect();
    let _ = write!(
        page,
        "<h2>Training</h2><div class=\"plots\">{}{}{}</div>",
        plot(&["train_loss", "validation_loss"], "loss"),
        plot(&figures, "validation figure"),
        plot(&["learning_rate"], "learning rate")
    );
    Ok(())
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
    let _ = write!(
        page,
        "<h2>Reliability</h2><p class=\"muted\">Bars on the dashed line: a score of 0.8 is right eight \
         times in ten. Below the line the model is too sure, above it too careful.</p>{}",
        svg::reliability(&report.evaluation.reliability)
    );
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

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let word = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let letter = LETTERS[(word >> (18 - 6 * place)) as usize & 63];
            text.push(if place <= chunk.len() {
                char::from(letter)
            } else {
                '='
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_equals_the_standards_examples() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }
}
