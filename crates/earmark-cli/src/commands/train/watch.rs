//! Shows how training goes on: what the clips are like, a bar, a line for each epoch.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use earmark::dataset::Progress;
use earmark_train::observer::{EpochReport, Observer, StepReport};
use earmark_train::run::Survey;

use crate::commands::dataset::{class_table, duration_line, problem_lines};
use crate::printer::Printer;

/// How many of the clips that a problem concerns are shown.
const N_SHOWN: usize = 5;

/// Shows how reading and checking the clips goes on.
pub(super) struct Reading<'a> {
    printer: &'a Printer,
    stop: &'a AtomicBool,
    what: Mutex<&'static str>,
    done: AtomicU64,
}

impl<'a> Reading<'a> {
    pub(super) fn new(printer: &'a Printer, stop: &'a AtomicBool) -> Self {
        Self {
            printer,
            stop,
            what: Mutex::new("reading"),
            done: AtomicU64::new(0),
        }
    }
}

impl Progress for Reading<'_> {
    fn stage(&self, what: &'static str) {
        *self.what.lock().unwrap_or_else(PoisonError::into_inner) = what;
    }

    fn begin(&self, n_clips: usize) {
        self.done.store(0, Ordering::Relaxed);
        let what = *self.what.lock().unwrap_or_else(PoisonError::into_inner);
        self.printer.start_progress(n_clips as u64, what);
    }

    fn advance(&self) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        self.printer.progress(done, "clips");
    }

    fn is_cancelled(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// Shows how training goes on.
pub(super) struct Epochs<'a> {
    printer: &'a Printer,
    stop: &'a AtomicBool,
    n_epochs: usize,
    n_batches: usize,
    /// The bar's first step, for a run that continues.
    begun: Instant,
}

impl<'a> Epochs<'a> {
    pub(super) fn new(printer: &'a Printer, stop: &'a AtomicBool) -> Self {
        Self {
            printer,
            stop,
            n_epochs: 0,
            n_batches: 0,
            begun: Instant::now(),
        }
    }
}

impl Observer for Epochs<'_> {
    fn surveyed(&mut self, survey: &Survey) {
        self.printer.end_progress();
        survey_lines(survey)
            .into_iter()
            .for_each(|line| self.printer.note(line));
    }

    fn started(&mut self, first_epoch: usize, n_epochs: usize, n_batches: usize) {
        (self.n_epochs, self.n_batches) = (n_epochs, n_batches);
        if first_epoch > 0 && first_epoch < n_epochs {
            self.printer
                .note(format!("continuing after epoch {first_epoch}"));
        }
        let total = (n_epochs * n_batches) as u64;
        self.printer.start_progress(total, "training");
        self.begun = Instant::now();
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
        line += &format!("  ({:.1} s)", self.begun.elapsed().as_secs_f64());
        self.begun = Instant::now();
        self.printer.note(line);
    }

    fn notice(&mut self, text: &str) {
        self.printer.note(text);
    }

    fn wants_to_stop(&mut self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// What the clips are like, as `earmark dataset` tells it.
fn survey_lines(survey: &Survey) -> Vec<String> {
    let labels = match survey.is_multi_label {
        true => "several labels per clip",
        false => "one label per clip",
    };
    let n_classes = survey
        .classes
        .iter()
        .filter(|c| c.class != "(none)")
        .count();
    let mut lines = vec![format!(
        "{}: {} layout, {} clips, {n_classes} classes, {labels}",
        survey.path.display(),
        survey.layout,
        survey.n_clips,
    )];
    lines.extend(class_table(&survey.classes));
    lines.extend(survey.durations.as_ref().map(duration_line));
    lines.extend(survey.notes.iter().map(|note| format!("note: {note}")));
    lines.extend(problem_lines(
        &survey.problems,
        N_SHOWN,
        "survey.json has all",
    ));
    lines.push(String::new());
    lines
}
