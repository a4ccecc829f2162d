//! `earmark dataset info` and `check`: the tables and the list of problems.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use earmark::Error;
use earmark::audio::{AudioStream, OpenOptions};
use earmark::dataset::audit::{Durations, audit};
use earmark::dataset::check::{ClassCount, Level, Problem, check, class_balance};
use earmark::dataset::{Folds, Manifest, Split};
use rayon::prelude::*;
use serde::Serialize;

use super::super::Outcome;
use super::super::bundle::Format;
use super::{ClipProgress, DatasetArgs};
use crate::printer::Printer;

/// How many of the concerned clips are shown without `--all`.
const N_SHOWN: usize = 5;

/// Arguments of `earmark dataset info`.
#[derive(Debug, Args)]
pub(crate) struct InfoArgs {
    #[command(flatten)]
    dataset: DatasetArgs,

    /// How the result is written.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Arguments of `earmark dataset check`.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    dataset: DatasetArgs,

    /// Look at the lists only; decode nothing.
    #[arg(long)]
    lists_only: bool,

    /// Show every clip concerned.
    #[arg(long)]
    all: bool,

    /// How the result is written.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// What a data set holds.
#[derive(Debug, Serialize)]
struct Info {
    layout: &'static str,
    path: PathBuf,
    n_clips: usize,
    n_missing: usize,
    n_unlisted: usize,
    n_classes: usize,
    multi_label: bool,
    splits: BTreeMap<&'static str, usize>,
    folds: Option<Vec<usize>>,
    /// From the files' headers, over the files that are there.
    durations: Option<Durations>,
    digest: String,
    notes: Vec<String>,
    classes: Vec<ClassCount>,
}

impl Info {
    fn of(manifest: &Manifest) -> Self {
        let splits = [Split::Train, Split::Validation, Split::Test]
            .into_iter()
            .map(|split| {
                let n_clips = manifest
                    .clips
                    .iter()
                    .filter(|clip| clip.split == split)
                    .count();
                (split.as_str(), n_clips)
            })
            .filter(|(_, n_clips)| *n_clips > 0)
            .collect();
        let has_folds = manifest.clips.iter().any(|clip| clip.fold.is_some());
        let folds = has_folds.then(|| Folds::given(manifest).ok()).flatten();
        Self {
            layout: manifest.layout.as_str(),
            path: manifest.root.clone(),
            n_clips: manifest.clips.len(),
            n_missing: manifest.missing().len(),
            n_unlisted: manifest.unlisted.len(),
            n_classes: manifest.vocabulary.len(),
            multi_label: manifest.is_multi_label(),
            splits,
            folds: folds.map(|folds| {
                (0..folds.len())
                    .map(|fold| folds.validation(fold).len())
                    .collect()
            }),
            durations: header_durations(manifest),
            digest: manifest.digest(),
            notes: manifest.notes.clone(),
            classes: class_balance(manifest),
        }
    }

    fn lines(&self) -> Vec<String> {
        let labels = if self.multi_label {
            "several labels per clip"
        } else {
            "one label per clip"
        };
        let mut lines = vec![
            format!("{}: {} layout", self.path.display(), self.layout),
            format!(
                "{} clips, {} missing, {} audio files not listed; {} classes, {labels}",
                self.n_clips, self.n_missing, self.n_unlisted, self.n_classes
            ),
        ];
        let splits: Vec<String> = self
            .splits
            .iter()
            .map(|(name, n)| format!("{name} {n}"))
            .collect();
        lines.push(format!("splits: {}", splits.join(", ")));
        if let Some(folds) = &self.folds {
            let sizes: Vec<String> = folds.iter().map(ToString::to_string).collect();
            lines.push(format!(
                "folds: {} with {} clips",
                folds.len(),
                sizes.join(", ")
            ));
        }
        if let Some(durations) = &self.durations {
            lines.push(duration_line(durations));
        }
        lines.extend(self.notes.iter().map(|note| format!("note: {note}")));
        lines.push(String::new());
        lines.extend(class_table(&self.classes));
        lines
    }
}

impl InfoArgs {
    /// Prints what the data set holds.
    pub(crate) fn run(self, printer: &Printer) -> anyhow::Result<Outcome> {
        let info = Info::of(&self.dataset.open()?);
        match self.format {
            Format::Json => {
                printer.line(serde_json::to_string_pretty(&info).context("writing JSON")?)?;
            }
            Format::Text => info
                .lines()
                .into_iter()
                .try_for_each(|line| printer.line(line))?,
        }
        Ok(Outcome::Done)
    }
}

/// Durations as the headers say, without decoding.
fn header_durations(manifest: &Manifest) -> Option<Durations> {
    let secs = manifest.clips.par_iter().filter_map(|clip| {
        let whole = || {
            let stream = AudioStream::open(clip.path.as_path(), &OpenOptions::default()).ok()?;
            stream.info().duration_secs
        };
        match clip.stretch_secs {
            Some((start, end)) if end.is_finite() => Some(end - start),
            Some((start, _)) => whole().map(|end| end - start),
            None => whole(),
        }
    });
    Durations::of(secs.collect())
}

pub(crate) fn duration_line(durations: &Durations) -> String {
    format!(
        "durations of {} clips: {} in all; shortest {:.2} s, median {:.2} s, longest {:.2} s",
        durations.n_clips,
        total(durations.total_secs),
        durations.shortest_secs,
        durations.median_secs,
        durations.longest_secs
    )
}

/// A length of time in a unit that fits.
fn total(secs: f64) -> String {
    match secs {
        secs if secs >= 3600.0 => format!("{:.1} h", secs / 3600.0),
        secs if secs >= 60.0 => format!("{:.1} min", secs / 60.0),
        secs => format!("{secs:.1} s"),
    }
}

/// The table of classes, with columns that are all 0 left out.
pub(crate) fn class_table(counts: &[ClassCount]) -> Vec<String> {
    type Column = (&'static str, fn(&ClassCount) -> usize);
    let columns: [Column; 5] = [
        ("train", |count| count.train),
        ("noisy", |count| count.noisy),
        ("validation", |count| count.validation),
        ("test", |count| count.test),
        ("sources", |count| count.sources),
    ];
    let shown: Vec<&Column> = columns
        .iter()
        .filter(|(_, get)| counts.iter().any(|count| get(count) > 0))
        .collect();
    let width = counts
        .iter()
        .map(|count| count.class.chars().count())
        .max()
        .unwrap_or(0)
        .max(5);
    let mut head = format!("{:width$}", "class");
    shown
        .iter()
        .for_each(|(name, _)| head.push_str(&format!("  {name:>7}")));
    let most = counts
        .iter()
        .map(|count| count.train)
        .max()
        .unwrap_or(0)
        .max(1);
    let body = counts.iter().map(|count| {
        let mut line = format!("{:width$}", count.class);
        for (name, get) in &shown {
            line.push_str(&format!("  {:>1$}", get(count), name.len().max(7)));
        }
        // A bar of at most 24 characters shows the balance at a glance.
        let length = (count.train * 24).div_ceil(most);
        line.push_str("  ");
        line.push_str(&"▪".repeat(length));
        line
    });
    std::iter::once(head).chain(body).collect()
}

/// Problems with at most `limit` of the clips that each concerns; `rest` says where the others are.
pub(crate) fn problem_lines(problems: &[Problem], limit: usize, rest: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for problem in problems {
        let level = match problem.level {
            Level::Error => "error",
            Level::Warning => "warning",
            Level::Note => "note",
        };
        lines.push(format!("{level}: {}", problem.what));
        let shown = problem.concerned.iter().take(limit);
        lines.extend(shown.map(|concerned| format!("  {concerned}")));
        if problem.concerned.len() > limit {
            let more = problem.concerned.len() - limit;
            lines.push(format!("  … and {more} more ({rest})"));
        }
    }
    lines
}

impl CheckArgs {
    /// Prints the problems; any error among them makes the command fail.
    pub(crate) fn run(self, printer: &Printer) -> anyhow::Result<Outcome> {
        let manifest = self.dataset.open()?;
        let mut problems = check(&manifest);
        let mut durations = None;
        if !self.lists_only {
            let progress = ClipProgress::new(printer, "listening")?;
            let heard = audit(&manifest, &progress);
            printer.end_progress();
            let heard = match heard {
                Err(Error::Cancelled) => return Ok(Outcome::Interrupted),
                heard => heard?,
            };
            let folds = Folds::given(&manifest).ok();
            problems.extend(heard.problems(&manifest, folds.as_ref()));
            durations = heard.durations();
        }
        problems.sort_by_key(|problem| std::cmp::Reverse(problem.level));
        match self.format {
            Format::Json => {
                let result = serde_json::json!({ "durations": durations, "problems": problems });
                printer.line(serde_json::to_string_pretty(&result).context("writing JSON")?)?;
            }
            Format::Text => self.print(printer, &manifest, &problems, durations)?,
        }
        let failed = problems.iter().any(|problem| problem.level == Level::Error);
        Ok(if failed {
            Outcome::SomeFailed
        } else {
            Outcome::Done
        })
    }

    fn print(
        &self,
        printer: &Printer,
        manifest: &Manifest,
        problems: &[Problem],
        durations: Option<Durations>,
    ) -> std::io::Result<()> {
        let limit = if self.all { usize::MAX } else { N_SHOWN };
        for line in problem_lines(problems, limit, "--all shows them") {
            printer.line(line)?;
        }
        if let Some(durations) = durations {
            printer.line(duration_line(&durations))?;
        }
        let count = |level| {
            problems
                .iter()
                .filter(|problem| problem.level == level)
                .count()
        };
        printer.line(format!(
            "{}: {} clips, {} classes; {} errors, {} warnings",
            manifest.root.display(),
            manifest.clips.len(),
            manifest.vocabulary.len(),
            count(Level::Error),
            count(Level::Warning)
        ))
    }
}
