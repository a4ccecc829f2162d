//! `earmark predict`: models and a folder of clips in, a challenge submission out.
//!
//! The rows are those of the sample submission, in its order and with its names. A clip without sound
//! or one that cannot be read gets the mean of the scores of all others, with a warning: the classes
//! that this test set holds most, as far as the models can tell.

mod clips;
mod hear;
mod journal;
mod models;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use earmark::audio::PlaybackSpeed;
use earmark::ensemble::{self, Mean, ScoreTable, Weights};
use earmark::runtime::RuntimeChoice;
use earmark::tagger::{MAX_POSITIONS, RunOptions, Tagger, TaggerOptions};
use serde_json::json;

use super::Outcome;
use super::bundle::ModelStore;
use crate::journal::Settings;
use crate::output::{check_output, path_text};
use crate::printer::Printer;
use crate::submission::SubmissionFormat;
use clips::ClipList;
use hear::{Heard, Hearing};
use journal::Journal;

/// Reasons that are shown before the others are only counted.
const N_SHOWN: usize = 10;

/// The arguments of `earmark predict`.
#[derive(Debug, Args)]
pub(crate) struct PredictArgs {
    /// A model: a bundle's file, the name of a fetched one, or a run directory, which stands for the
    /// bundles of all its folds. May be repeated; the scores are averaged.
    #[arg(long, short, value_name = "FILE|NAME|DIR", required = true)]
    model: Vec<PathBuf>,

    #[command(flatten)]
    store: ModelStore,

    /// The unpacked challenge, or a folder of clips.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,

    /// The folder with the clips [default: the challenge's test folder in --data, or --data itself].
    #[arg(long, value_name = "DIR")]
    audio: Option<PathBuf>,

    /// The sample submission, whose rows are answered in its order [default: `sample_submission.csv`
    /// in --data, or else every audio file by name].
    #[arg(long, value_name = "CSV")]
    sample: Option<PathBuf>,

    /// How the submission is written.
    #[arg(long, short, value_enum)]
    format: SubmissionFormat,

    /// In how many positions every clip is heard, 1 to 100.
    #[arg(long, value_name = "N", default_value = "1")]
    tta: NonZeroUsize,

    /// Speeds at which every clip is heard besides its own, pitch and tempo together, such as
    /// `0.89,1.12`; `1` is its own alone [default: as the model says].
    #[arg(long, value_name = "SPEED,...", value_delimiter = ',')]
    speeds: Option<Vec<SpeedArg>>,

    /// How the scores of several models become one.
    #[arg(long, value_enum, default_value_t)]
    mean: MeanArg,

    /// The submission.
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,

    /// Also write every score, for `earmark blend`; `.npz`, otherwise CSV.
    #[arg(long, value_name = "FILE")]
    scores: Option<PathBuf>,

    /// Keep what is heard in `OUTPUT.partial/` until the end, and go on from there after a kill.
    #[arg(long)]
    resume: bool,

    /// The number of worker threads; one per core unless given.
    #[arg(long, short, value_name = "N")]
    jobs: Option<NonZeroUsize>,

    /// What runs the networks: ONNX Runtime where its library is found, or the built-in one.
    #[arg(long, value_enum, default_value_t)]
    runtime: RuntimeArg,
}

/// A speed on the command line; none is a clip's own.
#[derive(Debug, Clone, Copy)]
struct SpeedArg(Option<PlaybackSpeed>);

impl FromStr for SpeedArg {
    type Err = earmark::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.trim().parse() {
            Ok(1.0) => Ok(Self(None)),
            _ => text.parse().map(Some).map(Self),
        }
    }
}

/// A mean on the command line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum MeanArg {
    /// The mean of the scores.
    #[default]
    Arithmetic,
    /// The geometric mean of the scores.
    Geometric,
    /// The mean of the classes' ranks within each clip.
    Rank,
}

impl From<MeanArg> for Mean {
    fn from(mean: MeanArg) -> Self {
        match mean {
            MeanArg::Arithmetic => Self::Arithmetic,
            MeanArg::Geometric => Self::Geometric,
            MeanArg::Rank => Self::Rank,
        }
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum RuntimeArg {
    #[default]
    Auto,
    Rust,
    Onnxruntime,
}

/// Runs `earmark predict`.
pub(crate) fn run(args: &PredictArgs, printer: &Printer) -> anyhow::Result<Outcome> {
    earmark::audio::silence_decoder_panics();
    check(args)?;
    let models = models::expand(&args.model, &args.store)?;
    let list = ClipList::open(args)?;
    if let Some(note) = &list.note {
        printer.note(note);
    }
    let mut heard = Vec::new();
    let mut classes = list.classes.clone();
    for (index, model) in models.iter().enumerate() {
        let bundle = model.open(&args.store)?;
        let tagger = Tagger::from_bundle(&bundle, &tagger_options(args))?;
        let names: Vec<String> = tagger.vocabulary().names().map(str::to_owned).collect();
        // Before hours of hearing: what the format cannot write, or the sample does not know.
        args.format.check(&names)?;
        let classes = &*classes.get_or_insert(names);
        let columns = models::columns(model, &tagger, classes, list.classes.is_some(), printer)?;
        let journal = match args.resume {
            false => None,
            true => Some(Journal::open(
                &args.output,
                index,
                settings(args, &bundle, &tagger)?,
            )?),
        };
        drop(bundle);
        let hearing = Hearing {
            tagger: &tagger,
            list: &list,
            columns: &columns,
            jobs: args.jobs.unwrap_or(RunOptions::default().jobs),
            what: format!("model {} of {}", index + 1, models.len()),
            printer,
        };
        let Some(found) = hearing.run(journal)? else {
            if args.resume {
                printer.note("the same command goes on from here");
            }
            return Ok(Outcome::Interrupted);
        };
        heard.push(found);
    }
    let classes = classes.unwrap_or_default();
    let (table, n_failed) = blend(args, &list, &classes, heard, printer)?;
    args.format.write(&args.output, &table)?;
    if let Some(path) = &args.scores {
        SubmissionFormat::of(path).write(path, &table)?;
    }
    Journal::remove_all(&args.output, args.resume)?;
    summary(args, &table, n_failed, printer);
    Ok(match n_failed {
        0 => Outcome::Done,
        _ => Outcome::SomeFailed,
    })
}

/// Refuses what cannot work before any clip is heard.
fn check(args: &PredictArgs) -> anyhow::Result<()> {
    if args.tta.get() > MAX_POSITIONS {
        anyhow::bail!("--tta is {}, expected 1 to {MAX_POSITIONS}", args.tta);
    }
    std::iter::once(&args.output)
        .chain(&args.scores)
        .try_for_each(|path| check_output(path))
}

fn tagger_options(args: &PredictArgs) -> TaggerOptions {
    TaggerOptions {
        runtime: match args.runtime {
            RuntimeArg::Auto => RuntimeChoice::Auto,
            RuntimeArg::Rust => RuntimeChoice::Rust,
            RuntimeArg::Onnxruntime => RuntimeChoice::Onnxruntime,
        },
        positions: Some(args.tta),
        speeds: args
            .speeds
            .as_ref()
            .map(|speeds| speeds.iter().filter_map(|speed| speed.0).collect()),
        ..TaggerOptions::default()
    }
}

/// What decides the scores of one model.
fn settings(
    args: &PredictArgs,
    bundle: &earmark::bundle::Bundle,
    tagger: &Tagger,
) -> anyhow::Result<Settings> {
    let absolute = |folder: &Path| -> anyhow::Result<String> {
        let absolute = folder.canonicalize();
        Ok(path_text(&absolute.with_context(|| {
            format!("cannot find {}", folder.display())
        })?))
    };
    let pairs = [
        ("version", json!(env!("CARGO_PKG_VERSION"))),
        (
            "model",
            json!(earmark::digest::sha256_of_bytes(bundle.bytes())),
        ),
        ("runtime", json!(tagger.runtime_name())),
        ("tta", json!(args.tta)),
        ("speeds", json!(tagger.segment().speeds)),
        ("data", json!(absolute(&args.data)?)),
        (
            "audio",
            json!(args.audio.as_deref().map(absolute).transpose()?),
        ),
    ];
    Ok(pairs
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect())
}

/// The mean of all models, with an answer for every clip, and the number of clips that failed.
fn blend(
    args: &PredictArgs,
    list: &ClipList,
    classes: &[String],
    heard: Vec<Heard>,
    printer: &Printer,
) -> anyhow::Result<(ScoreTable, usize)> {
    let n_classes = classes.len();
    // A clip counts as heard when every model has heard it, so that all answers are of one kind.
    let is_heard: Vec<bool> = (0..list.clips.len())
        .map(|clip| heard.iter().all(|heard| heard.scores[clip].is_some()))
        .collect();
    if !is_heard.contains(&true) {
        let Some(first) = heard.iter().find_map(|heard| heard.failures.first()) else {
            anyhow::bail!("{}: no clips to answer", args.data.display());
        };
        let path = list.clips[first.clip].path.display();
        let (n, reason) = (list.clips.len(), &first.reason);
        anyhow::bail!("none of {n} clips could be heard; the first: {path}: {reason}");
    }
    let table = |scores: Vec<f32>| ScoreTable {
        name: args.output.display().to_string(),
        clips: list.clips.iter().map(|clip| clip.name.clone()).collect(),
        lines: (2..list.clips.len() + 2).collect(),
        classes: classes.to_vec(),
        scores,
        labels: None,
        is_ranked: false,
    };
    let rows = |heard: &Heard| {
        let zeros = vec![0.0; n_classes];
        let rows = heard.scores.iter();
        table(
            rows.flat_map(|row| row.clone().unwrap_or_else(|| zeros.clone()))
                .collect(),
        )
    };
    let tables: Vec<ScoreTable> = heard.iter().map(rows).collect();
    let weights = Weights::equal(tables.len(), n_classes);
    let mut scores = ensemble::mean(&tables, &weights, args.mean.into())?;
    let usual = mean_row(&scores, &is_heard, n_classes);
    for (row, is_heard) in scores.chunks_mut(n_classes).zip(&is_heard) {
        if !is_heard {
            row.copy_from_slice(&usual);
        }
    }
    Ok((table(scores), report_failures(list, &heard, printer)))
}

/// The mean of the rows of the clips that were heard.
fn mean_row(scores: &[f32], is_heard: &[bool], n_classes: usize) -> Vec<f32> {
    let mut sums = vec![0.0_f64; n_classes];
    let rows = scores.chunks(n_classes).zip(is_heard);
    for (row, _) in rows.filter(|(_, is_heard)| **is_heard) {
        sums.iter_mut()
            .zip(row)
            .for_each(|(sum, &score)| *sum += f64::from(score));
    }
    let n_heard = is_heard.iter().filter(|is_heard| **is_heard).count() as f64;
    sums.iter().map(|sum| (sum / n_heard) as f32).collect()
}

/// Says which clips got the usual answer; empty ones are no failure. Returns how many failed.
fn report_failures(list: &ClipList, heard: &[Heard], printer: &Printer) -> usize {
    let mut failures = std::collections::BTreeMap::new();
    for failure in heard.iter().flat_map(|heard| &heard.failures) {
        failures.entry(failure.clip).or_insert(failure);
    }
    let (empty, failed): (Vec<_>, Vec<_>) = failures
        .into_iter()
        .partition(|(_, failure)| failure.is_empty);
    for (clip, failure) in &empty {
        printer.note(format!(
            "{}: warning: {}; answered with the mean of all clips",
            list.clips[*clip].path.display(),
            failure.reason
        ));
    }
    for (clip, failure) in failed.iter().take(N_SHOWN) {
        printer.failure(&list.clips[*clip].path, &failure.reason);
    }
    if failed.len() > N_SHOWN {
        printer.note(format!("and {} more clips failed", failed.len() - N_SHOWN));
    }
    failed.len()
}

fn summary(args: &PredictArgs, table: &ScoreTable, n_failed: usize, printer: &Printer) {
    let mut line = format!(
        "{}: {} clips, {} classes, {}",
        args.output.display(),
        table.clips.len(),
        table.classes.len(),
        args.format.name()
    );
    if n_failed > 0 {
        line.push_str(&format!(
            "; {n_failed} could not be heard and were answered with the mean of all clips"
        ));
    }
    printer.note(line);
}
