//! Plots as SVG text: numbers in, a picture that stands in a page without scripts out.

use std::fmt::Write as _;

use earmark::eval::ConfusionMatrix;
use earmark::eval::calibration::ReliabilityBin;

/// Text that is safe between tags and inside quotes.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// A confusion matrix: rows are true classes, shaded by the share of the row.
///
/// `classes` are the rows and columns shown, with their names.
pub(super) fn confusion(matrix: &ConfusionMatrix, classes: &[(usize, &str)]) -> String {
    let n = classes.len();
    let cell = if n <= 12 {
        44.0
    } else {
        (620.0 / n as f64).clamp(11.0, 34.0)
    };
    let longest = classes
        .iter()
        .map(|(_, name)| name.chars().count())
        .max()
        .unwrap_or(0);
    let font = (cell * 0.42).clamp(8.0, 13.0);
    // Half an em per character is the width of common sans-serif letters.
    let margin = (longest as f64 * font * 0.56 + 12.0).min(260.0);
    let top = margin * 0.8 + 10.0;
    let (width, height) = (
        margin + cell * n as f64 + margin * 0.5,
        top + cell * n as f64 + 26.0,
    );
    let mut svg = open(width, height, "confusion matrix");
    for (row, (truth, name)) in classes.iter().enumerate() {
        let y = top + cell * row as f64;
        let total: usize = matrix.row(*truth).iter().sum();
        let _ = write!(
            svg,
            r#"<text x="{:.1}" y="{:.1}" font-size="{font:.1}" text-anchor="end">{}</text>"#,
            margin - 6.0,
            y + cell / 2.0 + font * 0.35,
            escaped(name)
        );
        let x = margin + cell * row as f64 + cell / 2.0;
        let _ = write!(
            svg,
            r#"<text transform="translate({:.1} {:.1}) rotate(-50)" font-size="{font:.1}">{}</text>"#,
            x,
            top - 6.0,
            escaped(name)
        );
        for (column, (predicted, other)) in classes.iter().enumerate() {
            let count = matrix.count(*truth, *predicted);
            let share = count as f64 / total.max(1) as f64;
            let x = margin + cell * column as f64;
            let _ = write!(
                svg,
                r#"<rect x="{x:.1}" y="{y:.1}" width="{:.1}" height="{:.1}" fill="{}"><title>{} taken for {}: {count} of {total}</title></rect>"#,
                cell - 1.0,
                cell - 1.0,
                shade(share, row == column),
                escaped(name),
                escaped(other)
            );
            if count > 0 && cell >= 18.0 {
                let ink = if share > 0.55 { "#fff" } else { "#222" };
                let _ = write!(
                    svg,
                    r#"<text x="{:.1}" y="{:.1}" font-size="{font:.1}" text-anchor="middle" fill="{ink}" pointer-events="none">{count}</text>"#,
                    x + cell / 2.0 - 0.5,
                    y + cell / 2.0 + font * 0.35
                );
            }
        }
    }
    let _ = write!(
        svg,
        r##"<text x="{:.1}" y="{:.1}" font-size="12" fill="#666">rows: true class, columns: highest score</text></svg>"##,
        margin,
        height - 8.0
    );
    svg
}

/// Blue for right, orange for wrong; white for nothing.
fn shade(share: f64, right: bool) -> String {
    let full = if right {
        [24.0, 90.0, 160.0]
    } else {
        [205.0, 85.0, 20.0]
    };
    // The square root lifts single confusions off the white.
    let part = if share > 0.0 {
        0.12 + 0.88 * share.sqrt()
    } else {
        0.035
    };
    let mix = |channel: f64| (255.0 + (channel - 255.0) * part).round() as u8;
    let full = if share > 0.0 {
        full
    } else {
        [90.0, 100.0, 120.0]
    };
    format!(
        "#{:02x}{:02x}{:02x}",
        mix(full[0]),
        mix(full[1]),
        mix(full[2])
    )
}

/// A reliability diagram: frequency over score, with the number of scores in each bin below.
pub(super) fn reliability(bins: &[ReliabilityBin]) -> String {
    let (left, top, side, low) = (52.0, 12.0, 300.0, 60.0);
    let mut svg = open(
        left + side + 14.0,
        top + side + low + 62.0,
        "reliability diagram",
    );
    axes(
        &mut svg,
        left,
        top,
        side,
        side,
        "score",
        "share that is right",
    );
    let _ = write!(
        svg,
        r##"<line x1="{left}" y1="{:.1}" x2="{:.1}" y2="{top}" stroke="#999" stroke-dasharray="5 4"/>"##,
        top + side,
        left + side
    );
    let most = bins.iter().map(|bin| bin.count).max().unwrap_or(0).max(1) as f64;
    let base = top + side + 42.0 + low;
    for bin in bins.iter().filter(|bin| bin.count > 0) {
        let width = (bin.upper - bin.lower) * side;
        let x = left + bin.lower * side;
        let y = top + side * (1.0 - bin.frequency);
        let _ = write!(
            svg,
            r##"<rect x="{:.1}" y="{y:.1}" width="{:.1}" height="{:.1}" fill="#185aa0" opacity=".78"><title>scores {:.1} to {:.1}: {} decisions, mean score {:.3}, right {:.3}</title></rect>"##,
            x + 1.0,
            width - 2.0,
            top + side - y,
            bin.lower,
            bin.upper,
            bin.count,
            bin.mean_score,
            bin.frequency
        );
        let _ = write!(
            svg,
            r##"<circle cx="{:.1}" cy="{y:.1}" r="4" fill="#cd5514"/>"##,
            left + bin.mean_score * side
        );
        // Counts differ by orders of magnitude: the logarithm keeps small bins visible.
        let share = (1.0 + bin.count as f64).ln() / (1.0 + most).ln();
        let _ = write!(
            svg,
            r##"<rect x="{:.1}" y="{:.1}" width="{:.1}" height="{:.1}" fill="#8a94a6"/>"##,
            x + 1.0,
            base - low * share,
            width - 2.0,
            low * share
        );
    }
    let _ = write!(
        svg,
        r##"<text x="{left}" y="{:.1}" font-size="12" fill="#666">decisions per bin (logarithmic); orange: mean score</text></svg>"##,
        base + 16.0
    );
    svg
}

/// One line of a plot of curves.
pub(super) struct Curve<'a> {
    /// Its name in the legend.
    pub(super) name: &'a str,
    /// Points `(x, y)`.
    pub(super) points: Vec<(f64, f64)>,
}

/// Colours of curves, told apart also without colour vision (Okabe and Ito).
const COLOURS: [&str; 6] = [
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9",
];

/// Curves over a common axis, with tick labels at the ends of both axes.
pub(super) fn curves(curves: &[Curve<'_>], x_name: &str, y_name: &str) -> String {
    let (left, top, width, height) = (64.0, 14.0, 420.0, 220.0);
    let all = || curves.iter().flat_map(|curve| &curve.points);
    let range = |get: fn(&(f64, f64)) -> f64| {
        let low = all().map(get).fold(f64::INFINITY, f64::min);
        let high = all().map(get).fold(f64::NEG_INFINITY, f64::max);
        if high > low {
            (low, high)
        } else {
            (low - 0.5, high + 0.5)
        }
    };
    let ((x_low, x_high), (y_low, y_high)) = (range(|p| p.0), range(|p| p.1));
    let legend = 18.0 * curves.len() as f64;
    let mut svg = open(left + width + 16.0, top + height + 46.0 + legend, y_name);
    axes_with(
        &mut svg,
        &Frame {
            left,
            top,
            width,
            height,
        },
        (x_name, y_name),
        [number(x_low), number(x_high), number(y_low), number(y_high)],
    );
    for (at, curve) in curves.iter().enumerate() {
        let colour = COLOURS[at % COLOURS.len()];
        let points: Vec<String> = curve
            .points
            .iter()
            .map(|(x, y)| {
                let x = left + (x - x_low) / (x_high - x_low) * width;
                let y = top + height - (y - y_low) / (y_high - y_low) * height;
                format!("{x:.1},{y:.1}")
            })
            .collect();
        let _ = write!(
            svg,
            r#"<polyline points="{}" fill="none" stroke="{colour}" stroke-width="2"/>"#,
            points.join(" ")
        );
        let y = top + height + 52.0 + 18.0 * at as f64;
        let _ = write!(
            svg,
            r#"<line x1="{left}" x2="{:.1}" y1="{:.1}" y2="{:.1}" stroke="{colour}" stroke-width="3"/><text x="{:.1}" y="{y:.1}" font-size="12">{}</text>"#,
            left + 22.0,
            y - 4.0,
            y - 4.0,
            left + 30.0,
            escaped(curve.name)
        );
    }
    svg.push_str("</svg>");
    svg
}

/// A number as short as it can be read.
fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if !(1e-3..1e5).contains(&size) => format!("{value:.1e}"),
        _ if value.fract() == 0.0 => format!("{value:.0}"),
        _ => format!("{value:.3}"),
    }
}

fn open(width: f64, height: f64, title: &str) -> String {
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0} {height:.0}" width="{width:.0}" height="{height:.0}" role="img" aria-label="{}" font-family="system-ui, sans-serif" fill="#222">"##,
        escaped(title)
    )
}

/// Where a plot's axes lie, in pixels.
struct Frame {
    left: f64,
    top: f64,
    width: f64,
    height: f64,
}

fn axes(svg: &mut String, left: f64, top: f64, width: f64, height: f64, x: &str, y: &str) {
    let ends = [
        "0".to_owned(),
        "1".to_owned(),
        "0".to_owned(),
        "1".to_owned(),
    ];
    axes_with(
        svg,
        &Frame {
            left,
            top,
            width,
            height,
        },
        (x, y),
        ends,
    );
}

/// A frame with names and the values at the ends: x low, x high, y low, y high.
fn axes_with(svg: &mut String, frame: &Frame, (x, y): (&str, &str), ends: [String; 4]) {
    let Frame {
        left,
        top,
        width,
        height,
    } = *frame;
    let (right, bottom) = (left + width, top + height);
    let _ = write!(
        svg,
        r##"<rect x="{left}" y="{top}" width="{width}" height="{height}" fill="none" stroke="#bbb"/>"##
    );
    let mut text = |x: f64, y: f64, anchor: &str, words: &str| {
        let _ = write!(
            svg,
            r##"<text x="{x:.1}" y="{y:.1}" font-size="12" fill="#555" text-anchor="{anchor}">{}</text>"##,
            escaped(words)
        );
    };
    text(left, bottom + 16.0, "middle", &ends[0]);
    text(right, bottom + 16.0, "middle", &ends[1]);
    text(left - 6.0, bottom, "end", &ends[2]);
    text(left - 6.0, top + 10.0, "end", &ends[3]);
    text(left + width / 2.0, bottom + 16.0, "middle", x);
    let _ = write!(
        svg,
        r##"<text transform="translate({:.1} {:.1}) rotate(-90)" font-size="12" fill="#555" text-anchor="middle">{}</text>"##,
        left - 34.0,
        top + height / 2.0,
        escaped(y)
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_break_the_page() {
        let matrix = ConfusionMatrix::from_pairs(2, [(0, 0), (1, 0)]).unwrap();
        let svg = confusion(&matrix, &[(0, "a<b"), (1, "\"c\" & d")]);
        assert!(svg.contains("a&lt;b") && svg.contains("&quot;c&quot; &amp; d"));
        assert!(svg.ends_with("</svg>"));
        assert!(svg.contains("taken for a&lt;b: 1 of 1"));
    }

    #[test]
    fn a_flat_curve_has_a_place() {
        let svg = curves(
            &[Curve {
                name: "loss",
                points: vec![(1.0, 2.0)],
            }],
            "epoch",
            "loss",
        );
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }
}
