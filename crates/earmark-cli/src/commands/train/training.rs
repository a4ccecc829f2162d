//! Runs the trainer and shows how it goes on: a bar, a line for each epoch, the figures at the end.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::Context;
use earmark::dataset::Progress;
use earmark::eval::{Evaluation, Interval};
use earmark_train::observer::{EpochReport, Observer, StepReport};
use earmark_train::{RunConfig, RunOptions, RunResult};

use super::TrainCommand;
use crate::commands::Outcome;
use crate::interrupt;
use crate::printer::Printer;

/// Whether an input is a data set rather than a configuration.
fn names_data(input: &Path) -> bool {
    input
        .extension()
        .is_none_or(|extension| extension != "toml")
}

impl TrainCommand {
    /// Trains and shows the figures.
    pub(crate) fn run(self, printer: &Printer) -> anyhow::Result<Outcome> {
        let stop = interrupt::stop_flag()?;
        let config = self.config()?;
        let options = RunOptions {
            directory: self.directory(),
            device: self.device.parse()?,
        };
        let progress = Decoding::new(printer, stop);
        let mut observer = Epochs::new(printer, stop);
        let result = earmark_train::run(&config, &options, &progress, &mut observer)?;
        printer.end_progress();
        show(&result, printer)?;
        Ok(match result.is_complete {
            true => Outcome::Done,
            false => Outcome::Interrupted,
        })
    }

    /// The configuration file, or defaults, with what the command line replaces.
    fn config(&self) -> anyhow::Result<RunConfig> {
        let is_data = names_data(&self.input);
        let mut config = match is_data {
            true => RunConfig::default(),
            false => RunConfig::open(&self.input, &[])
                .with_context(|| format!("reading {}", self.input.display()))?,
        };
        if is_data {
            config.data.path = Some(self.input.clone());
        }
        if let Some(data) = &self.data {
            config.data.path = Some(data.clone());
        }
        if let Some(init) = &self.init {
            config.model.init = Some(init.clone());
        }
        Ok(config.overridden(&self.overrides)?)
    }

    fn directory(&self) -> PathBuf {
        let name = || {
            self.input
                .file_stem()
                .unwrap_or(self.input.as_os_str())
                .to_owned()
        };
        let chosen = self.output.clone();
        chosen.unwrap_or_else(|| Path::new("runs").join(name()))
    }
}

/// Shows how decoding goes on.
struct Decoding<'a> {
    printer: &'a Printer,
    stop: &'a AtomicBool,
    done: AtomicU64,
}

impl<'a> Decoding<'a> {
    fn new(printer: &'a Printer, stop: &'a AtomicBool) -> Self {
        Self {
            printer,
            stop,
            done: AtomicU64::new(0),
        }
    }
}

impl Progress for Decoding<'_> {
    fn begin(&self, n_clips: usize) {
        self.printer.start_progress(n_clips as u64, "decoding");
    }

    fn advance(&self) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        self.printer.progress(done, "clips");
    }

    fn is_cancelled(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// Shows how training goes on: a bar within the epoch, a line after it.
struct Epochs<'a> {
    printer: &'a Printer,
    stop: &'a AtomicBool,
    n_epochs: usize,
    n_batches: usize,
}

impl<'a> Epochs<'a> {
    fn new(printer: &'a Printer, stop: &'a AtomicBool) -> Self {
        Self {
            printer,
            stop,
            n_epochs: 0,
            n_batches: 0,
        }
    }
}

impl Observer for Epochs<'_> {
    fn started(&mut self, first_epoch: usize, n_epochs: usize, n_batches: usize) {
        (self.n_epochs, self.n_batches) = (n_epochs, n_batches);
        if first_epoch > 0 {
            self.printer
                .note(format!("continuing after epoch {first_epoch}"));
        }
        let total = (n_epochs * n_batches) as u64;
        self.printer.start_progress(total, "training");
    }

    fn step(&mut self, report: &StepReport) {
        let done = report.epoch * self.n_batches + report.batch + 1;
        let epoch = report.epoch + 1;
        let message = format!("epoch {epoch}/{}, loss {:.4}", self.n_epochs, report.loss);
        self.printer.progress(done as u64, &message);
    }

    fn epoch(&mut self, report: &EpochReport) {
        let mut line = format!(
            "epoch {}/{}  loss {:.4}",
            report.epoch + 1,
            self.n_epochs,
            report.train_loss
        );
        if let Some(loss) = report.validation_loss {
            line += &format!("  validation {loss:.4}");
        }
        for figure in &report.figures {
            if let Some(value) = figure.value {
                line += &format!("  {} {value:.4}", figure.name);
            }
        }
        self.printer.note(line);
    }

    fn notice(&mut self, text: &str) {
        self.printer.note(text);
    }

    fn wants_to_stop(&mut self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// Shows what a run found.
fn show(result: &RunResult, printer: &Printer) -> anyhow::Result<()> {
    for (fold, figures) in result
        .folds
        .iter()
        .enumerate()
        .filter(|_| result.folds.len() > 1)
    {
        let figures: Vec<String> = figures
            .iter()
            .map(|(name, value)| format!("{name} {value:.4}"))
            .collect();
        printer.line(format!("fold {fold}: {}", figures.join("  ")))?;
    }
    if let Some(evaluation) = &result.evaluation {
        show_evaluation("validation", evaluation, printer)?;
    }
    if let Some(evaluation) = &result.test {
        show_evaluation("test", evaluation, printer)?;
    }
    if !result.is_complete {
        printer.note("interrupted; the same command continues the run");
    }
    for bundle in &result.bundles {
        printer.line(bundle.display().to_string())?;
    }
    Ok(())
}

fn show_evaluation(what: &str, evaluation: &Evaluation, printer: &Printer) -> anyhow::Result<()> {
    printer.line(format!("{what}, {} clips:", evaluation.n_clips))?;
    let show = |name: &str, interval: Option<Interval>| match interval {
        Some(Interval {
            estimate,
            lower,
            upper,
        }) => printer.line(format!(
            "  {name:<10} {estimate:.4}  ({lower:.4} to {upper:.4})"
        )),
        None => Ok(()),
    };
    show("accuracy", evaluation.accuracy)?;
    show("MAP@3", evaluation.map_at_3)?;
    show("lwlrap", evaluation.lwlrap)?;
    if let Some(value) = evaluation.mean_average_precision {
        printer.line(format!("  {:<10} {value:.4}", "mAP"))?;
    }
    Ok(())
}
