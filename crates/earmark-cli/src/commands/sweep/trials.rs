//! Runs the trials one after the other and keeps how each ended.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;
use earmark::Error;
use earmark::dataset::Progress;
use earmark_train::observer::{EpochReport, Observer, StepReport};
use earmark_train::sweep::{SweepConfig, Trial};
use earmark_train::{DeviceChoice, RunConfig, RunOptions, RunResult};

use super::SweepArgs;
use super::basis::{Basis, ClipLists, with_full_paths};
use super::record::{Found, Record};
use super::table;
use crate::commands::Outcome;
use crate::errors::Hinted;
use crate::interrupt;
use crate::printer::Printer;

impl SweepArgs {
    /// Trains every trial that has not ended yet and shows the table.
    pub(crate) fn run(self, printer: &Printer) -> anyhow::Result<Outcome> {
        let stop = interrupt::stop_flag()?;
        let sweep = SweepConfig::open(&self.input)?;
        let base = RunConfig::open(&sweep.config, &self.overrides)
            .with_context(|| format!("reading {}", sweep.config.display()))?;
        let device: DeviceChoice = self.device.parse()?;
        let trials = sweep.trials();
        let folder = self.folder();
        // Before the first hour: every trial's settings must be possible, and kept figures must be theirs.
        let plans = self.plans(&sweep, &trials, &base, &folder)?;
        fs_err::create_dir_all(&folder)?;
        let mut record = Record::open(&folder)?;
        for plan in &plans {
            plan.check(&record)?;
        }
        for plan in &plans {
            if record.get(plan.trial).is_none() {
                let name = plan.settings.join(" ");
                printer.note(format!(
                    "trial {} of {}: {name}",
                    plan.trial + 1,
                    plans.len()
                ));
                let Some(found) = plan.train(device, stop, printer)? else {
                    printer.note("interrupted; the same command goes on from here");
                    return Ok(Outcome::Interrupted);
                };
                record.add(found)?;
            }
            let ended = record.get(plan.trial);
            if let Some(failure) = ended.and_then(|found| found.failure.as_deref()) {
                printer.failure(&plan.directory, failure);
            }
        }
        let found: Vec<&Found> = plans
            .iter()
            .filter_map(|plan| record.get(plan.trial))
            .collect();
        table::show(&trials, &found, &folder, printer)?;
        Ok(counted(&found, printer))
    }

    /// The trials with everything settled.
    fn plans(
        &self,
        sweep: &SweepConfig,
        trials: &[Trial],
        base: &RunConfig,
        folder: &Path,
    ) -> anyhow::Result<Vec<Plan>> {
        let mut lists = ClipLists::default();
        let plan = |(index, trial): (usize, &Trial)| -> anyhow::Result<Plan> {
            let mut config = base
                .overridden(&trial.overrides())
                .map_err(|error| sweep.trial_error(trial, &error))?;
            if let Some(data) = &self.data {
                config.data.path = Some(data.clone());
            }
            config
                .data
                .cache
                .get_or_insert_with(|| folder.join("cache"));
            let config = with_full_paths(config);
            Ok(Plan {
                trial: index,
                settings: self.settings(trial),
                basis: Basis::of(&config, &mut lists)?,
                config,
                // As wide however many trials there are: a sweep that grows finds its folders again.
                directory: folder.join(format!("{index:04}")),
            })
        };
        trials.iter().enumerate().map(plan).collect()
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

/// Says how many trials diverged, if any did.
fn counted(found: &[&Found], printer: &Printer) -> Outcome {
    let n_diverged = found.iter().filter(|found| found.failure.is_some()).count();
    if n_diverged == 0 {
        return Outcome::Done;
    }
    let n_finished = found.len() - n_diverged;
    printer.note(format!(
        "{n_finished} of {} trials finished, {n_diverged} diverged",
        found.len()
    ));
    Outcome::SomeFailed
}

/// A trial with everything settled.
struct Plan {
    trial: usize,
    settings: Vec<String>,
    basis: Basis,
    config: RunConfig,
    directory: PathBuf,
}

impl Plan {
    /// Refuses figures that were found with other settings or on other clips.
    fn check(&self, record: &Record) -> anyhow::Result<()> {
        let conflict = record.get(self.trial).and_then(|found| {
            let saved = self.directory.join("config.toml");
            found.basis.conflict(&self.basis, &saved, &self.config)
        });
        let Some(conflict) = conflict else {
            return Ok(());
        };
        let path = record.path();
        Err(Hinted::error(
            format!("{}: trial {} {conflict}", path.display(), self.trial + 1),
            format!(
                "give another --output, or delete {} to train all trials anew",
                path.parent().unwrap_or(path).display()
            ),
        ))
    }

    /// Trains; `None` after an interruption.
    fn train(
        &self,
        device: DeviceChoice,
        stop: &AtomicBool,
        printer: &Printer,
    ) -> anyhow::Result<Option<Found>> {
        let options = RunOptions {
            directory: self.directory.clone(),
            device,
        };
        let mut watcher = Watcher {
            printer,
            stop,
            has_begun: false,
        };
        let result = earmark_train::run(&self.config, &options, &Quiet(stop), &mut watcher);
        let ending = ending(result, watcher.has_begun).map_err(|error| self.explained(error))?;
        let (figures, failure) = match ending {
            Ending::Interrupted => return Ok(None),
            Ending::Finished(figures) => (figures, None),
            Ending::Diverged(message) => (BTreeMap::new(), Some(message)),
        };
        Ok(Some(Found {
            trial: self.trial,
            settings: self.settings.clone(),
            basis: self.basis.clone(),
            figures,
            failure,
        }))
    }

    /// An error with the trial's settings, and the way out where there is one.
    fn explained(&self, error: Error) -> anyhow::Error {
        let error = match error {
            Error::Checkpoint { .. } => Hinted::error(
                error.to_string(),
                format!(
                    "give another --output, or delete {} to train the trial anew",
                    self.directory.display()
                ),
            ),
            error => error.into(),
        };
        let settings = self.settings.join(" ");
        error.context(format!("trial {}: {settings}", self.trial + 1))
    }
}

/// How a trial ended.
#[derive(Debug, PartialEq)]
enum Ending {
    /// With figures.
    Finished(BTreeMap<String, f64>),
    /// With numbers that are none, and what the run said of them.
    Diverged(String),
    /// The user stopped it; it can go on.
    Interrupted,
}

/// What a run's result means for the sweep. That training diverges is a finding about the trial's settings;
/// before training `has_begun` such errors are about clips, and like all others they end the sweep.
fn ending(result: earmark::Result<RunResult>, has_begun: bool) -> earmark::Result<Ending> {
    match result {
        Ok(result) if result.is_complete => Ok(Ending::Finished(mean_figures(&result.folds))),
        Ok(_) | Err(Error::Cancelled) => Ok(Ending::Interrupted),
        Err(error @ (Error::Training { .. } | Error::NotFinite { .. })) if has_begun => {
            Ok(Ending::Diverged(error.to_string()))
        }
        Err(error) => Err(error),
    }
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
    /// Whether clips are read and weights are trained.
    has_begun: bool,
}

impl Observer for Watcher<'_> {
    fn started(&mut self, _first_epoch: usize, _n_epochs: usize, _n_batches: usize) {
        self.has_begun = true;
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    fn wild() -> Error {
        Error::Training {
            place: "epoch 1, batch 2 (a.wav)".to_owned(),
            reason: "the loss is not a number".to_owned(),
        }
    }

    #[test]
    fn a_loss_that_is_no_number_ends_a_trial_and_other_errors_the_sweep() {
        let message = "epoch 1, batch 2 (a.wav): the loss is not a number";
        assert_eq!(
            ending(Err(wild()), true).unwrap(),
            Ending::Diverged(message.to_owned())
        );
        assert!(ending(Err(wild()), false).is_err());
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        assert!(ending(Err(full.into()), true).is_err());
        let clip = Error::Dataset {
            path: "a.wav".into(),
            reason: "the clip has no segment to score".to_owned(),
        };
        assert!(ending(Err(clip), true).is_err());
        let config = Error::Config {
            key: "train.epochs".to_owned(),
            found: "0".to_owned(),
            expected: "must be at least 1".to_owned(),
        };
        assert!(ending(Err(config), true).is_err());
    }

    #[test]
    fn a_wish_to_stop_while_clips_are_read_is_an_interruption() {
        let ending = ending(Err(Error::Cancelled), false).unwrap();
        assert_eq!(ending, Ending::Interrupted);
    }
}
