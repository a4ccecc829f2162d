//! Precision-recall curves, one small plot per class.

use std::fmt::Write as _;

use earmark::eval::PrCurve;

use super::{Axis, Plot, escaped, open};

/// More points than this cannot be seen in a small plot.
const MAX_POINTS: usize = 240;

/// The curve of one class.
pub(in super::super) struct ClassCurve<'a> {
    pub(in super::super) name: &'a str,
    pub(in super::super) curve: &'a PrCurve,
    /// The threshold in use, marked by a dot.
    pub(in super::super) threshold: Option<f32>,
    /// The threshold with the best F1 on these very clips, marked by a ring.
    pub(in super::super) best_threshold: Option<f32>,
}

/// A small plot: precision over recall.
pub(in super::super) fn precision_recall(class: &ClassCurve<'_>) -> String {
    let mut plot = Plot {
        left: 34.0,
        top: 26.0,
        width: 150.0,
        height: 150.0,
        x: Axis::unit("recall"),
        y: Axis::unit("precision"),
    };
    plot.x.marks = vec![0.0, 0.5, 1.0];
    plot.y.marks = vec![0.0, 0.5, 1.0];
    let mut svg = open(
        204.0,
        214.0,
        &format!("precision and recall of {}", class.name),
    );
    let ap = class
        .curve
        .average_precision()
        .map(|ap| format!("{ap:.2}"))
        .unwrap_or_default();
    // The name gives way to the figure where both do not fit.
    let _ = write!(
        svg,
        r#"<text x="34" y="16" class="ink"><title>{0}</title>{1}</text><text x="184" y="16" text-anchor="end" class="muted">{ap}</text>"#,
        escaped(class.name),
        escaped(&shortened(class.name, 18))
    );
    plot.y.name.clear();
    plot.draw_axes(&mut svg);
    plot.draw_curve(&mut svg, &points(class.curve), "c0");
    for (threshold, mark) in [(class.threshold, "dot"), (class.best_threshold, "ring")] {
        let Some((x, y)) = threshold.and_then(|threshold| point_at(class.curve, threshold)) else {
            continue;
        };
        let (x, y) = plot.at(x, y);
        let threshold = threshold.unwrap_or_default();
        let _ = write!(
            svg,
            r#"<circle cx="{x:.1}" cy="{y:.1}" r="4.5" class="{mark}"><title>threshold {threshold:.3}</title></circle>"#
        );
    }
    svg.push_str("</svg>");
    svg
}

/// A name of at most `n` characters.
fn shortened(name: &str, n: usize) -> String {
    if name.chars().count() <= n {
        return name.to_owned();
    }
    let start: String = name.chars().take(n - 1).collect();
    format!("{}…", start.trim_end())
}

/// Recall and precision as steps, thinned to what can be seen; the first precision reaches back to a
/// recall of 0, as in the sum that is the average precision.
fn points(curve: &PrCurve) -> Vec<(f64, f64)> {
    let n = curve.recall.len();
    let every = n.div_ceil(MAX_POINTS).max(1);
    let mut points = Vec::new();
    let mut reached = 0.0;
    for at in (0..n).filter(|at| at % every == 0 || at + 1 == n) {
        let (recall, precision) = (curve.recall[at], curve.precision[at]);
        points.push((reached, precision));
        points.push((recall, precision));
        reached = recall;
    }
    points
}

/// Recall and precision when scores of at least `threshold` count.
fn point_at(curve: &PrCurve, threshold: f32) -> Option<(f64, f64)> {
    let n = curve.thresholds.partition_point(|at| *at >= threshold);
    let at = n.checked_sub(1)?;
    Some((curve.recall[at], curve.precision[at]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_lie_where_the_threshold_cuts() -> Result<(), earmark::Error> {
        let curve = PrCurve::new(&[0.9, 0.7, 0.4, 0.2], &[true, false, true, false])?;
        assert_eq!(point_at(&curve, 0.9), Some((0.5, 1.0)));
        assert_eq!(point_at(&curve, 0.5), Some((0.5, 0.5)));
        assert_eq!(point_at(&curve, 0.95), None);
        assert_eq!(points(&curve)[..2], [(0.0, 1.0), (0.5, 1.0)]);
        assert_eq!(shortened("Chicken, rooster and more", 9), "Chicken,…");
        Ok(())
    }
}
