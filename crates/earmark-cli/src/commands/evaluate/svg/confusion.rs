//! The confusion matrix.

use std::fmt::Write as _;

use earmark::eval::ConfusionMatrix;

use super::{escaped, open, text};

/// Sizes in pixels.
struct Sizes {
    cell: f64,
    font: f64,
    left: f64,
    top: f64,
}

impl Sizes {
    fn of(classes: &[(usize, &str)]) -> Self {
        let n = classes.len();
        let cell = if n <= 12 {
            44.0
        } else {
            (680.0 / n as f64).clamp(11.0, 40.0)
        };
        let longest = classes
            .iter()
            .map(|(_, name)| name.chars().count())
            .max()
            .unwrap_or(0);
        let font = (cell * 0.42).clamp(8.0, 13.0);
        // Half an em per character is the width of common sans-serif letters.
        let left = (longest as f64 * font * 0.56 + 12.0).min(260.0);
        Self {
            cell,
            font,
            left,
            top: left * 0.8 + 14.0,
        }
    }
}

/// A confusion matrix: rows are true classes, shaded by the share of the row.
///
/// `classes` are the columns shown, with their names, and those of them that occur are the rows.
pub(in super::super) fn confusion(matrix: &ConfusionMatrix, classes: &[(usize, &str)]) -> String {
    let sizes = Sizes::of(classes);
    let Sizes {
        cell,
        font,
        left,
        top,
    } = sizes;
    let rows: Vec<&(usize, &str)> = classes
        .iter()
        .filter(|(class, _)| matrix.row(*class).iter().any(|count| *count > 0))
        .collect();
    let (width, height) = (cell * classes.len() as f64, cell * rows.len() as f64);
    let mut svg = open(
        left + width + left * 0.62 + 10.0,
        top + height + 26.0,
        "confusion matrix",
    );
    for (row, (_, name)) in rows.iter().enumerate() {
        let middle = cell * row as f64 + cell / 2.0;
        let _ = write!(
            svg,
            r#"<text x="{:.1}" y="{:.1}" font-size="{font:.1}" text-anchor="end" class="ink">{}</text>"#,
            left - 6.0,
            top + middle + font * 0.35,
            escaped(name)
        );
    }
    for (column, (_, name)) in classes.iter().enumerate() {
        let middle = cell * column as f64 + cell / 2.0;
        let _ = write!(
            svg,
            r#"<text transform="translate({:.1} {:.1}) rotate(-50)" font-size="{font:.1}" class="ink">{}</text>"#,
            left + middle + font * 0.3,
            top - 6.0,
            escaped(name)
        );
    }
    for (row, truth) in rows.iter().enumerate() {
        draw_row(&mut svg, &sizes, matrix, classes, (row, truth));
    }
    let below = (left, top + height + 18.0);
    let words = "rows: true class, columns: highest score";
    text(&mut svg, below, "start", "muted", words);
    svg.push_str("</svg>");
    svg
}

fn draw_row(
    svg: &mut String,
    sizes: &Sizes,
    matrix: &ConfusionMatrix,
    classes: &[(usize, &str)],
    (row, &(truth, name)): (usize, &(usize, &str)),
) {
    let cell = sizes.cell;
    let total: usize = matrix.row(truth).iter().sum();
    for (column, (predicted, other)) in classes.iter().enumerate() {
        let count = matrix.count(truth, *predicted);
        let share = count as f64 / total.max(1) as f64;
        let (x, y) = (
            sizes.left + cell * column as f64,
            sizes.top + cell * row as f64,
        );
        let class = match (count, truth == *predicted) {
            (0, _) => "none",
            (_, true) => "hit",
            (_, false) => "miss",
        };
        // The square root lifts single confusions off the ground.
        let opacity = if count > 0 {
            0.15 + 0.85 * share.sqrt()
        } else {
            1.0
        };
        let _ = write!(
            svg,
            r#"<rect x="{x:.1}" y="{y:.1}" width="{:.1}" height="{:.1}" class="{class}" fill-opacity="{opacity:.2}"><title>{} taken for {}: {count} of {total}</title></rect>"#,
            cell - 1.0,
            cell - 1.0,
            escaped(name),
            escaped(other)
        );
        if count > 0 && cell >= 16.0 {
            let ink = if opacity > 0.7 { "on-dark" } else { "ink" };
            let _ = write!(
                svg,
                r#"<text x="{:.1}" y="{:.1}" font-size="{:.1}" text-anchor="middle" class="{ink}" pointer-events="none">{count}</text>"#,
                x + cell / 2.0 - 0.5,
                y + cell / 2.0 + sizes.font * 0.35,
                sizes.font
            );
        }
    }
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
}
