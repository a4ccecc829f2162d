//! The curves of a training run.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context as _;

use super::super::svg::{self, Curve};

/// The curves of a training run, from its `history.csv`.
pub(super) fn training(page: &mut String, run: &Path) -> anyhow::Result<()> {
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
        plot(&figures, "on validation clips"),
        plot(&["learning_rate"], "learning rate")
    );
    Ok(())
}
