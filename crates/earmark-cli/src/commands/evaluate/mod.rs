//! `earmark evaluate`: a bundle and labelled clips, or annotated recordings, in; all figures, as text,
//! JSON, CSV and a page, out. On request the bundle again, calibrated and with thresholds.

mod annotated;
mod calibrate;
mod clips;
mod listen;
mod page;
mod recordings;
mod svg;
mod text;
mod worst;

use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use earmark::bundle::{Bundle, Metadata, Thresholds};
use serde::Serialize;

use super::Outcome;
use super::bundle::ModelStore;
use super::dataset::DatasetArgs;
use crate::model::RuntimeArg;
use crate::output::check_output;
use crate::printer::Printer;
use crate::selection::FALLBACK;

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
    /// else all; with --calibrate the validation split].
    #[arg(long, value_enum, conflicts_with = "fold")]
    part: Option<Part>,

    /// Judge the clips of one fold, counted from 0.
    #[arg(long, value_name = "N")]
    fold: Option<usize>,

    /// Number of folds where the data set has none of its own.
    #[arg(long, default_value_t = 5)]
    folds: usize,

    /// Decide by this score for every class, from 0 to 1; for clips with several labels and for long
    /// recordings.
    #[arg(long, value_name = "T")]
    threshold: Option<f32>,

    /// Decide by the score of each class in a file (TOML: `default` and `[classes]`; or CSV:
    /// class,threshold); for clips with several labels and for long recordings [default: the model's
    /// own, else 0.5].
    #[arg(long, value_name = "FILE|bundle", conflicts_with = "threshold")]
    thresholds: Option<PathBuf>,

    /// How the figures are written.
    #[arg(long, short, value_enum, default_value_t)]
    format: Format,

    /// Write a page with plots and the worst clips, playable.
    #[arg(long, value_name = "HTML")]
    report: Option<PathBuf>,

    /// Write every clip's scores.
    #[arg(long, value_name = "CSV", conflicts_with = "annotations")]
    scores: Option<PathBuf>,

    /// Write the precision-recall curves: class, threshold, precision, recall.
    #[arg(long, value_name = "CSV")]
    curves: Option<PathBuf>,

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

    /// What runs the network.
    #[arg(long, value_enum, default_value = "auto")]
    runtime: RuntimeArg,

    #[command(flatten)]
    fitting: calibrate::FittingArgs,

    #[command(flatten)]
    recordings: recordings::RecordingArgs,
}

impl EvaluateArgs {
    fn jobs(&self) -> NonZeroUsize {
        self.jobs
            .or(std::thread::available_parallelism().ok())
            .unwrap_or(NonZeroUsize::MIN)
    }

    /// Refuses files that cannot be written, before anything is heard.
    fn check_outputs(&self) -> anyhow::Result<()> {
        let fitting = &self.fitting;
        let files = [
            &self.report,
            &self.scores,
            &self.curves,
            &fitting.calibrate,
            &fitting.fit_thresholds,
        ];
        let mut files = files.into_iter().flatten();
        files.try_for_each(|path| check_output(path))
    }

    /// The thresholds that the user names, or the model's, as one per class.
    fn per_class_thresholds(&self, metadata: &Metadata) -> anyhow::Result<Vec<f32>> {
        let named = match (self.threshold, &self.thresholds) {
            (Some(threshold), _) => Some(Thresholds {
                default: Some(threshold),
                ..Thresholds::default()
            }),
            (None, Some(path)) => crate::selection::read_thresholds(path)?,
            (None, None) => None,
        };
        let thresholds = named.as_ref().unwrap_or(&metadata.thresholds);
        Ok(thresholds.per_class(&metadata.vocabulary, FALLBACK)?)
    }
}

/// Runs `earmark evaluate`.
pub(crate) fn run(args: &EvaluateArgs, printer: &Printer) -> anyhow::Result<Outcome> {
    earmark::audio::silence_decoder_panics();
    args.check_outputs()?;
    let bundle = crate::model::open(Some(&args.model), &args.store)?;
    match &args.recordings.annotations {
        Some(annotations) => recordings::run(args, annotations, &bundle, printer),
        None => clips::run(args, &bundle, printer),
    }
}

/// Writes figures to standard output in the format that is asked for.
fn print(
    format: Format,
    report: &impl Serialize,
    lines: impl FnOnce() -> Vec<String>,
    table: impl FnOnce() -> anyhow::Result<Vec<u8>>,
    printer: &Printer,
) -> anyhow::Result<()> {
    match format {
        Format::Text => lines()
            .into_iter()
            .try_for_each(|line| printer.line(line))?,
        Format::Json => {
            printer.line(serde_json::to_string_pretty(report).context("writing JSON")?)?;
        }
        Format::Csv => std::io::Write::write_all(&mut Printer::stdout(), &table()?)?,
    }
    Ok(())
}

/// Writes the bundle again with what was fitted, and says in its description on what.
fn save_fitted(
    bundle: &Bundle,
    metadata: Metadata,
    path: &std::path::Path,
    on: &str,
    printer: &Printer,
) -> anyhow::Result<()> {
    /// What begins the paragraph; a later fit replaces it.
    const HEADING: &str = "## Fitted to data";
    let before = metadata
        .description
        .split(HEADING)
        .next()
        .unwrap_or_default();
    let description = format!("{}\n\n{HEADING}\n\n{on}\n", before.trim_end());
    let metadata = Metadata {
        description: description.trim_start().to_owned(),
        ..metadata
    };
    bundle.with_metadata(metadata)?.save(path)?;
    printer.note(format!("bundle: {}", path.display()));
    Ok(())
}
