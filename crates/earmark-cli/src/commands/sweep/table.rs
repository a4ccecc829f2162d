//! The table of a sweep: a row a trial, the best first, on the screen and in `sweep.csv`.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Context as _;
use earmark_train::sweep::Trial;

use super::record::Found;
use crate::printer::Printer;

/// Writes `sweep.csv` and shows the same rows.
pub(super) fn show(
    trials: &[Trial],
    found: &[&Found],
    folder: &Path,
    printer: &Printer,
) -> anyhow::Result<()> {
    let rows = rows(trials, found);
    let mut writer = csv::Writer::from_writer(Vec::new());
    rows.iter().try_for_each(|row| writer.write_record(row))?;
    let bytes = writer.into_inner().context("writing the table")?;
    let path = folder.join("sweep.csv");
    earmark::bundle::write_atomically(&path, &bytes)?;
    for row in &rows {
        printer.line(aligned(row, &rows))?;
    }
    printer.note(path.display().to_string());
    Ok(())
}

/// The header, then the trials: the best by the first figure first, those that diverged last.
fn rows(trials: &[Trial], found: &[&Found]) -> Vec<Vec<String>> {
    let figures: BTreeSet<&str> = found
        .iter()
        .flat_map(|found| found.figures.keys())
        .map(String::as_str)
        .collect();
    let keys = trials.iter().take(1).flat_map(|trial| &trial.settings);
    let header = std::iter::once("trial")
        .chain(keys.map(|(key, _)| key.as_str()))
        .chain(figures.iter().copied())
        .chain(["outcome"])
        .map(str::to_owned)
        .collect();
    let first = |found: &Found| {
        let value = figures.first().and_then(|name| found.figures.get(*name));
        value.copied().unwrap_or(f64::MIN)
    };
    let mut order = found.to_vec();
    order.sort_by(|a, b| {
        let by_outcome = a.failure.is_some().cmp(&b.failure.is_some());
        let by_figure = first(b).total_cmp(&first(a));
        by_outcome.then(by_figure).then(a.trial.cmp(&b.trial))
    });
    let rows = order.into_iter();
    let rows = rows.map(|found| row(&trials[found.trial], found, &figures));
    std::iter::once(header).chain(rows).collect()
}

fn row(trial: &Trial, found: &Found, figures: &BTreeSet<&str>) -> Vec<String> {
    let settings = trial.settings.iter();
    let values = settings.map(|(_, value)| value.trim_matches('"').to_owned());
    let figures = figures.iter().map(|name| {
        let value = found.figures.get(*name);
        value.map_or_else(String::new, |value| format!("{value:.4}"))
    });
    let outcome = match found.failure {
        Some(_) => "diverged",
        None => "finished",
    };
    std::iter::once(found.trial.to_string())
        .chain(values)
        .chain(figures)
        .chain([outcome.to_owned()])
        .collect()
}

/// A row with columns as wide as their widest cell.
fn aligned(row: &[String], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let cells = row.iter().enumerate();
    let padded: Vec<String> = cells
        .map(|(column, cell)| format!("{cell:<width$}", width = width(column)))
        .collect();
    padded.join("  ").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::sweep::basis::Basis;

    fn found(trial: usize, accuracy: Option<f64>) -> Found {
        let figures = accuracy.map(|value| ("accuracy".to_owned(), value));
        Found {
            trial,
            settings: vec![],
            basis: Basis::default(),
            figures: figures.into_iter().collect(),
            failure: accuracy.is_none().then(|| "not a number".to_owned()),
        }
    }

    #[test]
    fn the_best_comes_first_and_what_diverged_last() {
        let trials = ["1", "0.1", "0.01"].map(|rate| Trial {
            settings: vec![("train.learning_rate".to_owned(), rate.to_owned())],
        });
        let found = [found(0, None), found(1, Some(0.25)), found(2, Some(0.5))];
        let table = rows(&trials, &found.iter().collect::<Vec<_>>());
        let lines: Vec<String> = table.iter().map(|row| row.join(",")).collect();
        assert_eq!(
            lines,
            [
                "trial,train.learning_rate,accuracy,outcome",
                "2,0.01,0.5000,finished",
                "1,0.1,0.2500,finished",
                "0,1,,diverged",
            ]
        );
    }
}
