//! Runs the trials one after the other, keeps their figures and writes the table.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;
use earmark::dataset::Progress;
use earmark_train::observer::{EpochReport, Observer, StepReport};
use earmark_train::sweep::{SweepConfig, Trial};
use earmark_train::{RunConfig, RunOptions};
use serde::{Deserialize, Serialize};

use super::SweepArgs;
use crate::commands::Outcome;
use crate::interrupt;
use crate::printer::Printer;

/// The figures of a finished trial, a line of `trials.jsonl`.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Found {
    trial: usize,
    /// The overrides; a trial of another sweep is not taken for this one's.
    settings: Vec<String>,
    /// The figures of the validation clips, the mean over the folds.
    figures: BTreeMap<String, f64>,
}

impl SweepArgs {
    /// Trains every trial that has not finished yet and shows the table.
    pub(crate) fn run(self, printer: &Printer) -> anyhow::Result<Outcome> {
        let stop = interrupt::stop_flag()?;
        let sweep = SweepConfig::open(&self.input)?;
        let base = RunConfig::open(&sweep.config, &self.overrides)
            .with_context(|| format!("reading {}", sweep.config.display()))?;
        let trials = sweep.trials();
        // Before the first hour: every trial's settings must be possible.
        for trial in &trials {
            base.overridden(&trial.overrides())?;
        }
        let folder = self.folder();
        fs_err::create_dir_all(&folder)?;
        let mut found = read_found(&folder)?;
        let n_digits = trials.len().to_string().len();
        for (index, trial) in trials.iter().enumerate() {
            let settings = self.settings(trial);
            if found
                .iter()
                .any(|done| done.trial == index && done.settings == settings)
            {
                continue;
            }
            printer.note(format!(
                "trial {} of {}: {}",
                index + 1,
                trials.len(),
                settings.join(" ")
            ));
            let mut config = base.overridden(&trial.overrides())?;
            config.data.path = self.data.clone().or(config.data.path);
            config
                .data
                .cache
                .get_or_insert_with(|| folder.join("cache"));
            let options = RunOptions {
                directory: folder.join(format!("{index:0n_digits$}")),
                device: self.device.parse()?,
            };
            let mut watcher = Watcher { printer, stop };
            let result = earmark_train::run(&config, &options, &Quiet(stop), &mut watcher)
                .with_context(|| format!("trial {}: {}", index + 1, settings.join(" ")))?;
            if !result.is_complete {
                printer.note("interrupted; the same command goes on from here");
                return Ok(Outcome::Interrupted);
            }
            let done = Found {
                trial: index,
                settings,
                figures: mean_figures(&result.folds),
            };
            add_found(&folder, &done)?;
            found.retain(|other| other.trial != index);
            found.push(done);
        }
        let wanted = |done: &Found| {
            trials
                .get(done.trial)
                .is_some_and(|trial| self.settings(trial) == done.settings)
        };
        found.retain(wanted);
        show(&trials, &found, &folder, printer)?;
        Ok(Outcome::Done)
    }

    /// Everything that sets a trial apart, the overrides of all trials first.
    fn settings(&self, trial: &Trial) -> Vec<String> {
        self.overrides
            .iter()
            .cloned()
            .chain(trial.overrides())
            .collect()
    }

    fn folder(&self) -> PathBuf {
        let name = || {
            self.input
                .file_stem()
                .unwrap_or(self.input.as_os_str())
                .to_owned()
        };
        self.output
            .clone()
            .unwrap_or_else(|| Path::new("runs").join(name()))
    }
}

/// The trials that are done. A line that a kill cut short is not a line.
fn read_found(folder: &Path) -> anyhow::Result<Vec<Found>> {
    let path = folder.join("trials.jsonl");
    if !path.is_file() {
        return Ok(Vec::new());
    }
    let text = fs_err::read_to_string(&path)?;
    let whole = text.rfind('\n').map_or(0, |at| at + 1);
    if whole < text.len() {
        earmark::bundle::write_atomically(&path, &text.as_bytes()[..whole])?;
    }
    let lines = text[..whole].lines().enumerate();
    lines
        .map(|(index, line)| {
            serde_json::from_str(line).with_context(|| format!("{}:{}", path.display(), index + 1))
        })
        .collect()
}

fn add_found(folder: &Path, done: &Found) -> anyhow::Result<()> {
    let mut line = serde_json::to_vec(done)?;
    line.push(b'\n');
    let mut file = fs_err::OpenOptions::new()
        .append(true)
        .create(true)
        .open(folder.join("trials.jsonl"))?;
    Ok(file.write_all(&line)?)
}

/// The mean of every figure over the folds that have it.
fn mean_figures(folds: &[BTreeMap<String, f64>]) -> BTreeMap<String, f64> {
    let mut sums: BTreeMap<String, (f64, usize)> = BTreeMap::new();
    for (name, value) in folds.iter().flatten() {
        let (sum, count) = sums.entry(name.clone()).or_default();
        *sum += value;
        *count += 1;
    }
    sums.into_iter()
        .map(|(name, (sum, count))| (name, sum / count as f64))
        .collect()
}

/// Writes `sweep.csv` and shows the same rows, the best first by the first figure.
fn show(trials: &[Trial], found: &[Found], folder: &Path, printer: &Printer) -> anyhow::Result<()> {
    let figures: std::collections::BTreeSet<&String> =
        found.iter().flat_map(|done| done.figures.keys()).collect();
    let keys: Vec<&str> = trials
        .first()
        .map(|trial| trial.settings.iter().map(|(key, _)| key.as_str()).collect())
        .unwrap_or_default();
    let mut order: Vec<&Found> = found.iter().collect();
    let first = |done: &Found| {
        figures
            .first()
            .and_then(|name| done.figures.get(*name).copied())
    };
    order.sort_by(|a, b| {
        let (a_value, b_value) = (first(a).unwrap_or(f64::MIN), first(b).unwrap_or(f64::MIN));
        b_value.total_cmp(&a_value).then(a.trial.cmp(&b.trial))
    });
    let header: Vec<String> = std::iter::once("trial")
        .chain(keys)
        .chain(figures.iter().map(|name| name.as_str()))
        .map(str::to_owned)
        .collect();
    let rows = order.iter().map(|done| {
        let settings = trials[done.trial].settings.iter();
        let values = settings.map(|(_, value)| value.trim_matches('"').to_owned());
        let figures = figures.iter().map(|name| {
            done.figures
                .get(*name)
                .map_or_else(String::new, |value| format!("{value:.4}"))
        });
        std::iter::once(done.trial.to_string())
            .chain(values)
            .chain(figures)
            .collect()
    });
    let rows: Vec<Vec<String>> = std::iter::once(header).chain(rows).collect();
    let mut writer = csv::Writer::from_writer(Vec::new());
    rows.iter().try_for_each(|row| writer.write_record(row))?;
    let bytes = writer.into_inner().context("writing the table")?;
    earmark::bundle::write_atomically(&folder.join("sweep.csv"), &bytes)?;
    for row in &rows {
        printer.line(aligned(row, &rows))?;
    }
    printer.note(folder.join("sweep.csv").display().to_string());
    Ok(())
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

/// Passes on the user's wish to stop.
struct Quiet<'a>(&'a AtomicBool);

impl Progress for Quiet<'_> {
    fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Shows a line for each epoch.
struct Watcher<'a> {
    printer: &'a Printer,
    stop: &'a AtomicBool,
}

impl Observer for Watcher<'_> {
    fn step(&mut self, _report: &StepReport) {}

    fn epoch(&mut self, report: &EpochReport) {
        let mut line = format!(
            "  epoch {}  loss {:.4}",
            report.epoch + 1,
            report.train_loss
        );
        for figure in &report.figures {
            if let Some(value) = figure.value {
                line += &format!("  {} {value:.4}", figure.name);
            }
        }
        self.printer.note(line);
    }

    fn wants_to_stop(&mut self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}
