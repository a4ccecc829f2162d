//! `earmark train --find-lr`: the loss at every learning rate as a table and a curve.

use std::fmt::Write as _;

use earmark::bundle::write_atomically;
use earmark_train::observer::Observer;
use earmark_train::range_test::{RangeTest, RangeTestConfig};
use earmark_train::{RunConfig, RunOptions, find_learning_rate};

use super::watch::Reading;
use crate::commands::Outcome;
use crate::printer::Printer;

/// Rows of the table on the screen.
const N_ROWS: usize = 16;

/// Size of the curve's picture, in pixels, and what its axes take of it.
const SIZE: [f64; 2] = [640.0, 360.0];
const MARGIN: [f64; 2] = [64.0, 44.0];

/// Tries learning rates and shows the loss at each.
pub(super) fn find(
    config: &RunConfig,
    options: &RunOptions,
    progress: &Reading<'_>,
    observer: &mut dyn Observer,
    printer: &Printer,
) -> anyhow::Result<Outcome> {
    let range = RangeTestConfig::default();
    let found = find_learning_rate(config, &range, options, progress, observer);
    printer.end_progress();
    let test = match found {
        Err(earmark::Error::Cancelled) | Ok(None) => return Ok(Outcome::Interrupted),
        Err(error) => return Err(error.into()),
        Ok(Some(test)) => test,
    };
    printer.line("learning rate  loss    smoothed")?;
    let step = test.points.len().div_ceil(N_ROWS).max(1);
    for point in test.points.iter().step_by(step) {
        printer.line(format!(
            "{:<13.2e}  {:<6.4}  {:<6.4}",
            point.learning_rate, point.loss, point.smoothed
        ))?;
    }
    let picture = options.directory.join("learning_rates.svg");
    write_atomically(&picture, curve(&test).as_bytes())?;
    printer.note(format!("curve: {}", picture.display()));
    match test.suggestion() {
        Some(rate) => {
            printer.line(format!("train.learning_rate = {rate:.2e}"))?;
            let (lowest, steepest) = (test.lowest(), test.steepest());
            if let (Some(lowest), Some(steepest)) = (lowest, steepest) {
                printer.note(format!(
                    "a tenth of {lowest:.2e}, where the loss was lowest; it fell fastest at {steepest:.2e}"
                ));
            }
        }
        None => printer.note(
            "the loss never fell: no rate to suggest; look at the data, the loss and the scope",
        ),
    }
    Ok(Outcome::Done)
}

/// The smoothed loss over the learning rate, on a logarithmic axis, as SVG.
fn curve(test: &RangeTest) -> String {
    let [width, height] = SIZE;
    let rates = test.points.iter().map(|p| p.learning_rate.log10());
    let (low, high) = extent(rates);
    // Where the loss runs away the rest of the curve would be a flat line.
    let first = test.points.first().map_or(1.0, |p| p.smoothed);
    let losses = test.points.iter().map(|p| p.smoothed.min(2.0 * first));
    let (least, most) = extent(losses);
    let x =
        |rate: f64| MARGIN[0] + (rate.log10() - low) / (high - low) * (width - MARGIN[0] - 16.0);
    let y = |loss: f64| {
        height - MARGIN[1] - (loss - least) / (most - least) * (height - MARGIN[1] - 24.0)
    };
    let mut svg = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" font-family="sans-serif" font-size="12" role="img"><title>loss over learning rate</title><rect width="100%" height="100%" fill="#fff"/>"##
    );
    for power in (low.ceil() as i32)..=(high.floor() as i32) {
        let at = x(10f64.powi(power));
        let _ = write!(
            svg,
            r##"<line x1="{at:.1}" x2="{at:.1}" y1="16" y2="{:.1}" stroke="#e4e4e4"/><text x="{at:.1}" y="{:.1}" text-anchor="middle" fill="#444">1e{power}</text>"##,
            height - MARGIN[1],
            height - MARGIN[1] + 18.0
        );
    }
    for share in [0.0, 0.25, 0.5, 0.75, 1.0] {
        let loss = least + share * (most - least);
        let _ = write!(
            svg,
            r##"<line x1="{:.1}" x2="{:.1}" y1="{2:.1}" y2="{2:.1}" stroke="#e4e4e4"/><text x="{3:.1}" y="{4:.1}" text-anchor="end" fill="#444">{loss:.3}</text>"##,
            MARGIN[0],
            width - 16.0,
            y(loss),
            MARGIN[0] - 6.0,
            y(loss) + 4.0
        );
    }
    let points: Vec<String> = test
        .points
        .iter()
        .map(|p| format!("{:.1},{:.1}", x(p.learning_rate), y(p.smoothed.min(most))))
        .collect();
    let _ = write!(
        svg,
        r##"<polyline points="{}" fill="none" stroke="#185aa0" stroke-width="2"/>"##,
        points.join(" ")
    );
    if let Some(rate) = test.suggestion() {
        let at = x(rate);
        let _ = write!(
            svg,
            r##"<line x1="{at:.1}" x2="{at:.1}" y1="16" y2="{:.1}" stroke="#cd5514" stroke-dasharray="4 3"/><text x="{:.1}" y="28" fill="#cd5514">{rate:.1e}</text>"##,
            height - MARGIN[1],
            at + 5.0
        );
    }
    let _ = write!(
        svg,
        r##"<text x="{:.1}" y="{:.1}" text-anchor="middle" fill="#222">learning rate</text><text x="12" y="12" fill="#222">smoothed loss</text></svg>"##,
        (MARGIN[0] + width) / 2.0,
        height - 8.0
    );
    svg
}

/// The least and largest of some numbers, never the same.
fn extent(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
        (low.min(value), high.max(value))
    });
    match low < high {
        true => (low, high),
        false => (low - 0.5, low + 0.5),
    }
}
