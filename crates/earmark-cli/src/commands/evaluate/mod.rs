//! `earmark evaluate`: a bundle and labelled clips in; all figures, as text, JSON, CSV and a page, out.

mod html;
mod listen;
mod picture;
mod svg;
mod text;
mod worst;

use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use earmark::dataset::{Clip, Folds, Manifest, Split};
use earmark::eval::{BootstrapOptions, Evaluation, Scores, Targets};
use earmark::tagger::{Tagger, TaggerOptions};
use serde::Serialize;

use super::Outcome;
use super::bundle::ModelStore;
use super::dataset::DatasetArgs;
use crate::errors::Hinted;
use crate::printer::Printer;

/// The threshold of classes for which the bundle has none.
const DEFAULT_THRESHOLD: f32 = 0.5;

/// A negative passes when no class scores this much.
const NEGATIVE_LIMIT: f32 = 0.3;

/// Which clips are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// The test split.
    Test,
    /// The validation split.
    Validation,
    /// The training split.
    Train,
    /// Everything with labels.
    All,
}

/// How the figures are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs: one object with everything.
    Json,
    /// One row per class.
    Csv,
}

/// The arguments of `earmark evaluate`.
#[derive(Debug, Args)]
pub(crate) struct EvaluateArgs {
    #[command(flatten)]
    dataset: DatasetArgs,

    /// The model: a bundle's file, or the name of a fetched one.
    #[arg(long, short, value_name = "FILE|NAME")]
    model: PathBuf,

    #[command(flatten)]
    store: ModelStore,

    /// The clips to judge [default: the test split if it has labels, else the validation split,
    /// else all].
    #[arg(long, value_enum, conflicts_with = "fold")]
    part: Option<Part>,

    /// Judge the clips of one fold, counted from 0.
    #[arg(long, value_name = "N")]
    fold: Option<usize>,

    /// Number of folds where the data set has none of its own.
    #[arg(long, default_value_t = 5)]
    folds: usize,

    /// How the figures are written.
    #[arg(long, short, value_enum, default_value_t)]
    format: Format,

    /// Write a page with plots and the worst clips, playable.
    #[arg(long, value_name = "HTML")]
    report: Option<PathBuf>,

    /// Write every clip's scores.
    #[arg(long, value_name = "CSV")]
    scores: Option<PathBuf>,

    /// A training run's folder, whose curves the page shows.
    #[arg(long, value_name = "DIR")]
    run: Option<PathBuf>,

    /// How many of the worst clips the page holds.
    #[arg(long, value_name = "N", default_value_t = 12)]
    worst: usize,

    /// Number of bootstrap resamples behind the intervals.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    resamples: usize,

    /// Seed of the bootstrap and of folds.
    #[arg(long, default_value_t = 0)]
    seed: u64,

    /// Number of threads [default: one per core].
    #[arg(long, short, value_name = "N")]
    jobs: Option<NonZeroUsize>,
}

/// How clips that hold none of the classes fared.
#[derive(Debug, Serialize)]
struct Negatives {
    n_clips: usize,
    /// The share of them in which no class scores 0.3.
    share_quiet: f64,
    /// The highest score in any of them.
    highest_score: f32,
}

/// Everything that is told.
#[derive(Debug, Serialize)]
struct Report {
    model: String,
    data: String,
    part: String,
    data_digest: String,
    n_failed: usize,
    classes: Vec<String>,
    evaluation: Evaluation,
    negatives: Option<Negatives>,
}

/// What was heard, clip by clip.
struct Judged<'a> {
    clips: Vec<&'a Clip>,
    /// `[clip, class]`.
    scores: Vec<f32>,
    n_classes: usize,
}

impl Judged<'_> {
    fn row(&self, clip: usize) -> &[f32] {
        &self.scores[clip * self.n_classes..(clip + 1) * self.n_classes]
    }
}

/// Runs `earmark evaluate`.
pub(crate) fn run(args: &EvaluateArgs, printer: &Printer) -> anyhow::Result<Outcome> {
    let bundle = crate::model::open(Some(&args.model), &args.store)?;
    let tagger = Tagger::from_bundle(&bundle, &TaggerOptions::default())?;
    let mut manifest = args.dataset.open()?.in_vocabulary(tagger.vocabulary())?;
    let missing = manifest.remove_missing();
    if !missing.is_empty() {
        printer.note(format!(
            "{} listed files do not exist and are left out",
            missing.len()
        ));
    }
    let (part, chosen) = chosen(args, &manifest, printer)?;
    let clips: Vec<&Clip> = chosen.iter().map(|at| &manifest.clips[*at]).collect();
    let jobs = args
        .jobs
        .or(std::thread::available_parallelism().ok())
        .unwrap_or(NonZeroUsize::MIN);
    let heard = listen::listen(&tagger, &clips, jobs, printer)?;
    if heard.stopped {
        return Ok(Outcome::Interrupted);
    }
    let judged = Judged {
        clips: heard.clips.iter().map(|at| clips[*at]).collect(),
        scores: heard.scores,
        n_classes: tagger.vocabulary().len(),
    };
    let (positives, negatives) = without_negatives(judged);
    if positives.clips.is_empty() {
        return Err(Hinted::error(
            "no clip with a label could be heard",
            "`earmark dataset check` says what is wrong with the clips",
        ));
    }
    let report = Report {
        model: args.model.display().to_string(),
        data: manifest.root.display().to_string(),
        part,
        data_digest: manifest.digest(),
        n_failed: heard.n_failed,
        classes: tagger.vocabulary().names().map(str::to_owned).collect(),
        evaluation: evaluation(args, &tagger, &positives)?,
        negatives,
    };
    write(args, &tagger, &report, &positives, printer)?;
    Ok(if heard.n_failed > 0 {
        Outcome::SomeFailed
    } else {
        Outcome::Done
    })
}

/// The clips to judge and what they are called.
fn chosen(
    args: &EvaluateArgs,
    manifest: &Manifest,
    printer: &Printer,
) -> anyhow::Result<(String, Vec<usize>)> {
    if let Some(fold) = args.fold {
        let folds = Folds::automatic(manifest, args.folds, args.seed)?;
        if fold >= folds.len() {
            anyhow::bail!("--fold is {fold}, expected 0 to {}", folds.len() - 1);
        }
        return Ok((
            format!("fold {fold} of {}", folds.len()),
            folds.validation(fold),
        ));
    }
    let in_split = |split: Split| (split.as_str().to_owned(), manifest.labelled_in(split));
    let all = || {
        (
            "all clips".to_owned(),
            manifest.labelled().map(|(at, _)| at).collect(),
        )
    };
    let chosen = match args.part {
        Some(Part::Test) => in_split(Split::Test),
        Some(Part::Validation) => in_split(Split::Validation),
        Some(Part::Train) => in_split(Split::Train),
        Some(Part::All) => all(),
        None => [Split::Test, Split::Validation]
            .map(in_split)
            .into_iter()
            .find(|(_, clips)| !clips.is_empty())
            .unwrap_or_else(|| {
                printer.note("no test split: all clips are judged, also those trained on, if any");
                all()
            }),
    };
    match chosen.1.is_empty() {
        true => anyhow::bail!(
            "{}: no labelled clips in {}",
            manifest.root.display(),
            chosen.0
        ),
        false => Ok(chosen),
    }
}

/// Takes negatives out: they have no label to be found.
fn without_negatives(judged: Judged<'_>) -> (Judged<'_>, Option<Negatives>) {
    let mut kept = Judged {
        clips: vec![],
        scores: vec![],
        n_classes: judged.n_classes,
    };
    let mut highest = Vec::new();
    for (at, clip) in judged.clips.iter().enumerate() {
        let row = judged.row(at);
        if clip.is_negative() {
            highest.push(row.iter().copied().fold(0.0_f32, f32::max));
        } else {
            kept.clips.push(clip);
            kept.scores.extend_from_slice(row);
        }
    }
    let quiet = highest
        .iter()
        .filter(|score| **score < NEGATIVE_LIMIT)
        .count();
    let negatives = (!highest.is_empty()).then(|| Negatives {
        n_clips: highest.len(),
        share_quiet: quiet as f64 / highest.len() as f64,
        highest_score: highest.iter().copied().fold(0.0, f32::max),
    });
    (kept, negatives)
}

/// All figures. Sources are what the bootstrap draws, where the data set names them.
fn evaluation(
    args: &EvaluateArgs,
    tagger: &Tagger,
    judged: &Judged<'_>,
) -> anyhow::Result<Evaluation> {
    let mut ids = std::collections::BTreeMap::new();
    let groups: Vec<usize> = judged
        .clips
        .iter()
        .map(|clip| {
            let next = ids.len();
            *ids.entry(clip.source.as_deref().unwrap_or(&clip.name))
                .or_insert(next)
        })
        .collect();
    let options = BootstrapOptions {
        n_resamples: args.resamples,
        seed: args.seed,
        groups: Some(&groups),
        ..Default::default()
    };
    let scores = Scores::new(&judged.scores, judged.n_classes)?;
    let labels: Vec<&[usize]> = judged
        .clips
        .iter()
        .map(|clip| clip.labels.as_deref().unwrap_or_default())
        .collect();
    if labels.iter().all(|labels| labels.len() == 1) {
        let labels: Vec<usize> = labels.iter().map(|labels| labels[0]).collect();
        return Ok(Evaluation::single_label(scores, &labels, &options)?);
    }
    let mut targets = vec![false; judged.scores.len()];
    for (row, labels) in targets.chunks_exact_mut(judged.n_classes).zip(&labels) {
        labels.iter().for_each(|label| row[*label] = true);
    }
    let metadata = tagger.metadata();
    let thresholds = metadata
        .thresholds
        .per_class(&metadata.vocabulary, DEFAULT_THRESHOLD)?;
    let targets = Targets::new(&targets, judged.n_classes)?;
    Ok(Evaluation::multi_label(
        scores,
        targets,
        &thresholds,
        &options,
    )?)
}

/// Writes everything that was asked for.
fn write(
    args: &EvaluateArgs,
    tagger: &Tagger,
    report: &Report,
    judged: &Judged<'_>,
    printer: &Printer,
) -> anyhow::Result<()> {
    match args.format {
        Format::Text => text::lines(report)
            .into_iter()
            .try_for_each(|line| printer.line(line))?,
        Format::Json => {
            printer.line(serde_json::to_string_pretty(report).context("writing JSON")?)?;
        }
        Format::Csv => {
            let table = text::class_csv(report)?;
            std::io::Write::write_all(&mut Printer::stdout(), &table)?;
        }
    }
    if let Some(path) = &args.scores {
        earmark::bundle::write_atomically(path, &text::scores_csv(report, judged)?)?;
    }
    if let Some(path) = &args.report {
        let worst = worst::worst(tagger, judged, args.worst);
        let page = html::page(report, &worst, args.run.as_deref())?;
        earmark::bundle::write_atomically(path, page.as_bytes())?;
        printer.note(format!("report: {}", path.display()));
    }
    Ok(())
}
