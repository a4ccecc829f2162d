//! The reliability diagram.

use std::fmt::Write as _;

use earmark::eval::calibration::ReliabilityBin;

use super::{Axis, Plot, line, open, text};

/// The height of the bars of counts, in pixels.
const COUNTS: f64 = 56.0;

/// A reliability diagram: frequency over score, with the number of scores in each bin below.
pub(in super::super) fn reliability(bins: &[ReliabilityBin], title: &str) -> String {
    let plot = Plot {
        left: 58.0,
        top: 26.0,
        width: 300.0,
        height: 300.0,
        x: Axis::unit("score"),
        y: Axis::unit("share that is right"),
    };
    let bottom = plot.top + plot.height;
    let base = bottom + 48.0 + COUNTS;
    let mut svg = open(plot.left + plot.width + 20.0, base + 26.0, title);
    text(&mut svg, (plot.left, 14.0), "start", "ink", title);
    plot.draw_axes(&mut svg);
    let most = bins.iter().map(|bin| bin.count).max().unwrap_or(0).max(1) as f64;
    for bin in bins.iter().filter(|bin| bin.count > 0) {
        let ((x, y), (end, _)) = (
            plot.at(bin.lower, bin.frequency),
            plot.at(bin.upper, bin.frequency),
        );
        let width = end - x - 2.0;
        let _ = write!(
            svg,
            r#"<rect x="{:.1}" y="{y:.1}" width="{width:.1}" height="{:.1}" class="hit" fill-opacity=".75"><title>scores {:.1} to {:.1}: {} decisions, mean score {:.3}, right {:.3}</title></rect>"#,
            x + 1.0,
            bottom - y,
            bin.lower,
            bin.upper,
            bin.count,
            bin.mean_score,
            bin.frequency
        );
        // Counts differ by orders of magnitude: the logarithm keeps small bins visible.
        let height = COUNTS * (1.0 + bin.count as f64).ln() / (1.0 + most).ln();
        let _ = write!(
            svg,
            r#"<rect x="{:.1}" y="{:.1}" width="{width:.1}" height="{height:.1}" class="count"/>"#,
            x + 1.0,
            base - height
        );
    }
    line(&mut svg, plot.at(0.0, 0.0), plot.at(1.0, 1.0), "diagonal");
    for bin in bins.iter().filter(|bin| bin.count > 0) {
        let (x, y) = plot.at(bin.mean_score, bin.frequency);
        let _ = write!(
            svg,
            r#"<circle cx="{x:.1}" cy="{y:.1}" r="4.5" class="dot"/>"#
        );
    }
    let words = "below: decisions per bin, logarithmic";
    text(&mut svg, (plot.left, base + 18.0), "start", "muted", words);
    svg.push_str("</svg>");
    svg
}
