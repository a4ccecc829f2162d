//! Plots as SVG text: numbers in, a picture that stands in a page without scripts out.
//!
//! Colours are classes of the page's style sheet (`ink`, `muted`, `line`, `grid`, `right`, `wrong`,
//! `c0` to `c5`), so that one picture is readable on light and on dark ground.

mod confusion;
mod curves;
mod precision_recall;
mod reliability;

use std::fmt::Write as _;

pub(super) use confusion::confusion;
pub(super) use curves::{Curve, curves};
pub(super) use precision_recall::{ClassCurve, precision_recall};
pub(super) use reliability::reliability;

/// Text that is safe between tags and inside quotes.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// The text size in pixels.
const FONT: f64 = 12.0;

/// The beginning of a picture that shrinks with the page.
fn open(width: f64, height: f64, title: &str) -> String {
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0} {height:.0}" width="{width:.0}" height="{height:.0}" role="img" aria-label="{}" font-size="{FONT}">"##,
        escaped(title)
    )
}

/// Text at a place; `anchor` is `start`, `middle` or `end`.
fn text(svg: &mut String, (x, y): (f64, f64), anchor: &str, class: &str, words: &str) {
    let _ = write!(
        svg,
        r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}" class="{class}">{}</text>"#,
        escaped(words)
    );
}

/// A straight line from one place to another.
fn line(svg: &mut String, from: (f64, f64), to: (f64, f64), class: &str) {
    let _ = write!(
        svg,
        r#"<line x1="{:.1}" y1="{:.1}" x2="{:.1}" y2="{:.1}" class="{class}"/>"#,
        from.0, from.1, to.0, to.1
    );
}

/// A range of numbers with round ones to mark.
struct Axis {
    low: f64,
    high: f64,
    marks: Vec<f64>,
    name: String,
}

impl Axis {
    /// From 0 to 1, marked at every fifth.
    fn unit(name: &str) -> Self {
        Self {
            low: 0.0,
            high: 1.0,
            marks: vec![0.0, 0.2, 0.4, 0.6, 0.8, 1.0],
            name: name.to_owned(),
        }
    }

    /// Wide enough for all values, marked at about five round numbers.
    fn around(values: impl Iterator<Item = f64> + Clone, name: &str) -> Self {
        let (low, high) = range(values);
        let step = round_step((high - low) / 4.0);
        let (first, last) = ((low / step).floor(), (high / step).ceil());
        Self {
            low: first * step,
            high: last * step,
            marks: (0..=(last - first) as usize)
                .map(|at| (first + at as f64) * step)
                .collect(),
            name: name.to_owned(),
        }
    }

    /// Like [`Axis::around`], but marked at whole numbers and as wide as the values only.
    fn whole(values: impl Iterator<Item = f64> + Clone, name: &str) -> Self {
        let (low, high) = range(values);
        let step = round_step((high - low) / 6.0).max(1.0).ceil();
        let first = (low / step).ceil();
        Self {
            low,
            high,
            marks: (0..=((high / step).floor() - first).max(0.0) as usize)
                .map(|at| (first + at as f64) * step)
                .collect(),
            name: name.to_owned(),
        }
    }

    /// The share of the axis that lies below a value.
    fn share(&self, value: f64) -> f64 {
        (value - self.low) / (self.high - self.low)
    }
}

/// The lowest and the highest of numbers, or half a unit on both sides of the only one.
fn range(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let low = values.clone().fold(f64::INFINITY, f64::min);
    let high = values.fold(f64::NEG_INFINITY, f64::max);
    match high > low {
        true => (low, high),
        false => (low - 0.5, high + 0.5),
    }
}

/// The smallest of 1, 2, 5 times a power of ten that is not below `step`.
fn round_step(step: f64) -> f64 {
    let power = 10.0_f64.powf(step.log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * power)
        .find(|round| *round >= step * (1.0 - 1e-9))
        .unwrap_or(step)
}

/// Where a plot lies, in pixels, and what its axes are.
struct Plot {
    left: f64,
    top: f64,
    width: f64,
    height: f64,
    x: Axis,
    y: Axis,
}

impl Plot {
    /// The place of a point.
    fn at(&self, x: f64, y: f64) -> (f64, f64) {
        (
            self.left + self.x.share(x) * self.width,
            self.top + (1.0 - self.y.share(y)) * self.height,
        )
    }

    /// Draws a frame, a grid at the marks, and names.
    fn draw_axes(&self, svg: &mut String) {
        let (right, bottom) = (self.left + self.width, self.top + self.height);
        for mark in &self.x.marks {
            let (x, _) = self.at(*mark, self.y.low);
            line(svg, (x, self.top), (x, bottom), "grid");
            text(svg, (x, bottom + 16.0), "middle", "muted", &number(*mark));
        }
        for mark in &self.y.marks {
            let (_, y) = self.at(self.x.low, *mark);
            line(svg, (self.left, y), (right, y), "grid");
            text(
                svg,
                (self.left - 6.0, y + 4.0),
                "end",
                "muted",
                &number(*mark),
            );
        }
        let middle = self.left + self.width / 2.0;
        text(svg, (middle, bottom + 33.0), "middle", "ink", &self.x.name);
        let _ = write!(
            svg,
            r#"<text transform="translate({:.1} {:.1}) rotate(-90)" text-anchor="middle" class="ink">{}</text>"#,
            self.left - 44.0,
            self.top + self.height / 2.0,
            escaped(&self.y.name)
        );
    }

    /// A line through points; steps after each point if `stepped`.
    fn draw_curve(&self, svg: &mut String, points: &[(f64, f64)], class: &str) {
        let places: Vec<String> = points
            .iter()
            .map(|(x, y)| self.at(*x, *y))
            .map(|(x, y)| format!("{x:.1},{y:.1}"))
            .collect();
        let _ = write!(
            svg,
            r#"<polyline points="{}" class="curve {class}"/>"#,
            places.join(" ")
        );
    }
}

/// A number as short as it can be read.
fn number(value: f64) -> String {
    let trimmed = |text: String| text.trim_end_matches('0').trim_end_matches('.').to_owned();
    match value.abs() {
        size if size < 1e-12 => "0".to_owned(),
        size if !(1e-3..1e5).contains(&size) => {
            let text = format!("{value:.1e}");
            text.replace(".0e", "e")
        }
        _ => trimmed(format!("{value:.4}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_round_and_hold_all_values() {
        let marks = |values: &[f64]| Axis::around(values.iter().copied(), "").marks;
        assert_eq!(marks(&[0.242, 2.099]), [0.0, 0.5, 1.0, 1.5, 2.0, 2.5]);
        assert_eq!(marks(&[3.0, 3.0]), [2.5, 3.0, 3.5]);
        let whole = |values: &[f64]| Axis::whole(values.iter().copied(), "").marks;
        assert_eq!(whole(&[1.0, 2.0, 3.0]), [1.0, 2.0, 3.0]);
        assert_eq!(whole(&[1.0, 40.0]), [10.0, 20.0, 30.0, 40.0]);
        assert_eq!(whole(&[1.0]), [1.0]);
    }

    #[test]
    fn numbers_are_short() {
        let short: Vec<String> = [0.0, 0.30000000000000004, 12.0, 1e-8, 250_000.0, -0.5]
            .into_iter()
            .map(number)
            .collect();
        assert_eq!(short, ["0", "0.3", "12", "1e-8", "2.5e5", "-0.5"]);
    }
}
