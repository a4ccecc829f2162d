//! Runs a comparison and shows how it goes on: a bar, then the table.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::Context as _;
use earmark::dataset::Progress;
use earmark_train::compare::{
    CompareConfig, CompareObserver, CompareOptions, Report, Trained, compare,
};

use super::CompareArgs;
use crate::commands::Outcome;
use crate::interrupt;
use crate::printer::Printer;

impl CompareArgs {
    /// Trains what is left to train and shows the table.
    pub(crate) fn run(self, printer: &Printer) -> anyhow::Result<Outcome> {
        earmark::audio::silence_decoder_panics();
        let stop = interrupt::stop_flag()?;
        let mut config = CompareConfig::open(&self.config)
            .with_context(|| format!("reading {}", self.config.display()))?;
        if let Some(data) = &self.data {
            config.data.path = Some(data.clone());
        }
        let options = CompareOptions {
            directory: self.directory(config.data.path.as_deref()),
            device: self.device.parse()?,
            jobs: self
                .jobs
                .or(std::thread::available_parallelism().ok())
                .unwrap_or(NonZeroUsize::MIN),
        };
        let observer = Trainings {
            printer,
            stop,
            n_todo: AtomicU64::new(0),
            n_done: AtomicU64::new(0),
            is_training: AtomicBool::new(false),
        };
        let report = compare(&config, &options, &observer)?;
        printer.end_progress();
        let Some(report) = report else {
            printer.note("interrupted; the same command continues the comparison");
            return Ok(Outcome::Interrupted);
        };
        show(&report, printer)?;
        printer.note(format!("tables: {}", options.directory.display()));
        Ok(Outcome::Done)
    }

    fn directory(&self, data: Option<&Path>) -> PathBuf {
        if let Some(output) = &self.output {
            return output.clone();
        }
        let mut name = self.config.file_stem().unwrap_or_default().to_owned();
        if let Some(data) = data.and_then(Path::file_stem) {
            name.push("-");
            name.push(data);
        }
        Path::new("runs").join(name)
    }
}

/// Shows how features and trainings go on.
struct Trainings<'a> {
    printer: &'a Printer,
    stop: &'a AtomicBool,
    n_todo: AtomicU64,
    n_done: AtomicU64,
    is_training: AtomicBool,
}

impl Progress for Trainings<'_> {
    fn begin(&self, n_clips: usize) {
        self.n_done.store(0, Ordering::Relaxed);
        self.printer.start_progress(n_clips as u64, "computing");
    }

    fn advance(&self) {
        let done = self.n_done.fetch_add(1, Ordering::Relaxed) + 1;
        if !self.is_training.load(Ordering::Relaxed) {
            self.printer.progress(done, "clips");
        }
    }

    fn is_cancelled(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

impl CompareObserver for Trainings<'_> {
    fn computing(&self, index: usize, n_channels: usize) {
        self.printer
            .note(format!("features of channel {} of {n_channels}", index + 1));
    }

    fn training(&self, n_todo: usize, n_trainings: usize) {
        self.printer.end_progress();
        self.n_todo.store(n_todo as u64, Ordering::Relaxed);
        self.n_done.store(0, Ordering::Relaxed);
        self.is_training.store(true, Ordering::Relaxed);
        if n_todo < n_trainings {
            let n_before = n_trainings - n_todo;
            self.printer
                .note(format!("{n_before} of {n_trainings} trainings were there"));
        }
        self.printer.start_progress(n_todo as u64, "training");
    }

    fn trained(&self, trained: &Trained) {
        let done = self.n_done.load(Ordering::Relaxed) + 1;
        let Trained {
            representation,
            fold,
            seed,
            secs,
            train_loss,
            ..
        } = trained;
        let text = format!("{representation}, fold {fold}, seed {seed}");
        self.printer.progress(done, &text);
        let n_todo = self.n_todo.load(Ordering::Relaxed);
        self.printer.note(format!(
            "{done}/{n_todo}  {text}: {secs:.1} s, training loss {train_loss:.3}"
        ));
    }

    fn notice(&self, text: &str) {
        self.printer.note(text);
    }
}

/// Prints the table, best first, and what is real about it.
fn show(report: &Report, printer: &Printer) -> anyhow::Result<()> {
    printer.line(format!(
        "{} clips, {} folds, {} seeds; 95 % intervals",
        report.n_clips, report.n_folds, report.n_seeds
    ))?;
    let order = report.order();
    let width = report
        .rows
        .iter()
        .map(|row| row.name.chars().count())
        .max()
        .unwrap_or(0);
    let mut header = format!("{:width$}", "");
    for table in &report.tables {
        header.push_str(&format!("  {:<23}", table.name));
    }
    printer.line(header.trim_end())?;
    for at in order {
        let mut line = format!("{:width$}", report.rows[at].name);
        for table in &report.tables {
            let figure = table.comparison.figures[at];
            let interval = format!(
                "{:.3} ({:.3} to {:.3})",
                figure.estimate, figure.lower, figure.upper
            );
            line.push_str(&format!("  {interval:<23}"));
        }
        printer.line(line.trim_end())?;
    }
    if let Some(table) = report.tables.first() {
        for line in report.sentences(table) {
            printer.line(line)?;
        }
    }
    Ok(())
}
