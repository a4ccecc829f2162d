//! Curves over epochs.

use super::{Axis, Plot, line, open, text};

/// One line of a plot of curves.
pub(in super::super) struct Curve<'a> {
    /// Its name in the legend.
    pub(in super::super) name: &'a str,
    /// Points `(x, y)`.
    pub(in super::super) points: Vec<(f64, f64)>,
}

/// How many colours the page's style sheet has for curves (Okabe and Ito: told apart also without
/// colour vision).
const N_COLOURS: usize = 6;

/// Curves over a common axis of whole numbers.
pub(in super::super) fn curves(curves: &[Curve<'_>], x_name: &str, y_name: &str) -> String {
    let all = || curves.iter().flat_map(|curve| &curve.points);
    let plot = Plot {
        left: 64.0,
        top: 12.0,
        width: 390.0,
        height: 220.0,
        x: Axis::whole(all().map(|point| point.0), x_name),
        y: Axis::around(all().map(|point| point.1), y_name),
    };
    let legend = plot.top + plot.height + 56.0;
    let mut svg = open(
        plot.left + plot.width + 20.0,
        legend + 18.0 * curves.len() as f64,
        y_name,
    );
    plot.draw_axes(&mut svg);
    for (at, curve) in curves.iter().enumerate() {
        let colour = format!("c{}", at % N_COLOURS);
        plot.draw_curve(&mut svg, &curve.points, &colour);
        let y = legend + 18.0 * at as f64;
        let colour = format!("curve {colour}");
        line(
            &mut svg,
            (plot.left, y - 4.0),
            (plot.left + 22.0, y - 4.0),
            &colour,
        );
        let name = curve.name.replace('_', " ");
        text(&mut svg, (plot.left + 30.0, y), "start", "ink", &name);
    }
    svg.push_str("</svg>");
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

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
