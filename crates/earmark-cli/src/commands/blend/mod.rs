//! `earmark blend`: scores of several models in, one table or submission out.

mod judge;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use earmark::ensemble::{
    self, ScoreTable, Stack, StackConfig, StackKind, Training, Weights, align, class_weights,
    cross_fit,
};
use earmark::eval::challenge::Truth;

use super::Outcome;
use super::predict::MeanArg;
use crate::errors::Hinted;
use crate::printer::Printer;
use crate::submission::SubmissionFormat;

/// Folds that judge a stack.
const N_FOLDS: usize = 5;

/// The arguments of `earmark blend`.
#[derive(Debug, Args)]
pub(crate) struct BlendArgs {
    /// Scores of the same clips by different models: tables or archives of `earmark predict --scores`,
    /// `scores.csv` of run directories, submissions.
    #[arg(required = true, value_name = "SCORES")]
    inputs: Vec<PathBuf>,

    /// How scores become one.
    #[arg(long, value_enum, default_value_t, conflicts_with = "stack")]
    mean: MeanArg,

    /// How much each input counts, divided by commas, such as `4,3,3`.
    #[arg(
        long,
        value_name = "W,…",
        value_delimiter = ',',
        conflicts_with = "stack"
    )]
    weights: Vec<f64>,

    /// How much each input counts in each class: CSV with a column `class` and a column of weights per
    /// input, in their order.
    #[arg(long, value_name = "CSV", conflicts_with_all = ["weights", "stack", "by_class"])]
    class_weights: Option<PathBuf>,

    /// Let each input count in each class as much as its lwlrap in --out-of-fold.
    #[arg(long, conflicts_with_all = ["weights", "stack"], requires = "out_of_fold")]
    by_class: bool,

    /// Learn from --out-of-fold how to blend.
    #[arg(long, value_enum, value_name = "KIND", requires = "out_of_fold")]
    stack: Option<StackArg>,

    /// For each input, in the same order, its model's scores of clips with known labels on which it was
    /// not trained: `scores.csv` of a run over all folds.
    #[arg(long, value_name = "SCORES", num_args = 1..)]
    out_of_fold: Vec<PathBuf>,

    /// The labels of the out-of-fold clips, where their files have no column `labels`.
    #[arg(long, value_name = "CSV", requires = "out_of_fold")]
    truth: Option<PathBuf>,

    /// How much a clip counts in stacking whose `manually_verified` is 0 in --truth.
    #[arg(long, value_name = "W", requires = "truth", default_value_t = 1.0)]
    noisy_weight: f64,

    /// Strength of the penalty on a stack's weights.
    #[arg(long, default_value_t = 1.0)]
    l2: f64,

    /// Write the rows, and for kaggle2019 the columns, in the order of this sample submission.
    #[arg(long, value_name = "CSV")]
    sample: Option<PathBuf>,

    /// How the result is written [default: by the ending of --output, npz or csv].
    #[arg(long, short, value_enum)]
    format: Option<SubmissionFormat>,

    /// Where the result goes.
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum StackArg {
    /// Ridge regression on the scores of all classes.
    Linear,
    /// Logistic regression of every class on its own scores, pulled towards the geometric mean.
    Logistic,
    /// Gradient-boosted trees (builds with the cargo feature `trees`).
    Trees,
}

impl From<StackArg> for StackKind {
    fn from(kind: StackArg) -> Self {
        match kind {
            StackArg::Linear => Self::Linear,
            StackArg::Logistic => Self::Logistic,
            StackArg::Trees => Self::Trees,
        }
    }
}

/// Runs `earmark blend`.
pub(crate) fn run(args: &BlendArgs, printer: &Printer) -> anyhow::Result<Outcome> {
    let tables = read_all(&args.inputs)?;
    let out_of_fold = out_of_fold(args, &tables)?;
    let scores = match args.stack {
        Some(kind) => stacked(args, kind, &tables, &out_of_fold, printer)?,
        None => {
            let weights = weights(args, &tables, &out_of_fold)?;
            ensemble::mean(&tables, &weights, args.mean.into())?
        }
    };
    let blended = ScoreTable {
        name: args.output.display().to_string(),
        scores,
        is_ranked: false,
        ..tables[0].clone()
    };
    // Inputs that know their labels are judged beside their blend.
    if blended.labels.is_some() {
        tables
            .iter()
            .try_for_each(|table| judge::show(table, blended.labels.as_deref(), printer))?;
        judge::show(&blended, blended.labels.as_deref(), printer)?;
    }
    let format = args
        .format
        .unwrap_or_else(|| SubmissionFormat::of(&args.output));
    let blended = in_order_of_sample(args, format, blended)?;
    format.write(&args.output, &blended)?;
    printer.note(format!(
        "{}: {} clips, {} classes, from {} tables",
        args.output.display(),
        blended.clips.len(),
        blended.classes.len(),
        tables.len()
    ));
    Ok(Outcome::Done)
}

fn read_all(paths: &[PathBuf]) -> anyhow::Result<Vec<ScoreTable>> {
    let tables: earmark::Result<Vec<ScoreTable>> =
        paths.iter().map(|path| ensemble::read(path)).collect();
    Ok(align(&tables?)?)
}

/// The out-of-fold tables with labels, in the classes of the inputs; none where they are not given.
fn out_of_fold(args: &BlendArgs, tables: &[ScoreTable]) -> anyhow::Result<Vec<ScoreTable>> {
    if args.out_of_fold.is_empty() {
        return Ok(Vec::new());
    }
    if args.out_of_fold.len() != args.inputs.len() {
        anyhow::bail!(
            "--out-of-fold has {} files, expected {}: one for each input, in the same order",
            args.out_of_fold.len(),
            args.inputs.len()
        );
    }
    let mut found = Vec::new();
    for table in read_all(&args.out_of_fold)? {
        let first = &tables[0];
        found.push(table.arranged(&table.clips, &first.classes, &first.name)?);
    }
    let labels = match &args.truth {
        Some(truth) => labels_of(truth, &found[0])?,
        None => found
            .iter()
            .find_map(|table| table.labels.clone())
            .ok_or_else(|| {
                Hinted::error(
                    format!("{}: has no column `labels`", found[0].name),
                    "give the labels with --truth CSV",
                )
            })?,
    };
    for table in &mut found {
        table.labels = Some(labels.clone());
    }
    Ok(found)
}

/// The labels of a table's clips from a truth table.
fn labels_of(path: &Path, table: &ScoreTable) -> anyhow::Result<Vec<Vec<usize>>> {
    let truth = Truth::read(path)?;
    let rows: BTreeMap<&str, &earmark::eval::challenge::TruthRow> = truth
        .rows
        .iter()
        .map(|row| (row.clip.as_str(), row))
        .collect();
    let clips = table.clips.iter().zip(&table.lines);
    clips
        .map(|(clip, line)| {
            let row = rows.get(clip.as_str()).ok_or_else(|| {
                anyhow::anyhow!("{}:{line}: `{clip}` is not in {}", table.name, truth.name)
            })?;
            let class = |label: &String| {
                let found = table.classes.iter().position(|class| class == label);
                found.ok_or_else(|| {
                    anyhow::anyhow!(
                        "{}:{}: label `{label}` is no class of {}",
                        truth.name,
                        row.line,
                        table.name
                    )
                })
            };
            row.labels.iter().map(class).collect()
        })
        .collect()
}

fn weights(
    args: &BlendArgs,
    tables: &[ScoreTable],
    out_of_fold: &[ScoreTable],
) -> anyhow::Result<Weights> {
    let classes = &tables[0].classes;
    if args.by_class {
        return Ok(class_weights(out_of_fold)?);
    }
    if let Some(path) = &args.class_weights {
        return read_class_weights(path, tables.len(), classes);
    }
    match args.weights.len() {
        0 => Ok(Weights::equal(tables.len(), classes.len())),
        n if n == tables.len() => Ok(Weights::of_tables(&args.weights, classes.len())?),
        n => anyhow::bail!(
            "--weights has {n} numbers, expected {}: one per input",
            tables.len()
        ),
    }
}

/// Weights by class: a row per class, a column per input.
fn read_class_weights(path: &Path, n_tables: usize, classes: &[String]) -> anyhow::Result<Weights> {
    let shown = path.display();
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_path(path)
        .with_context(|| format!("cannot read {shown}"))?;
    let n_columns = reader.headers()?.len();
    if n_columns != n_tables + 1 {
        anyhow::bail!("{shown}:1: {n_columns} columns, expected `class` and one per input");
    }
    let mut values = vec![None; n_tables * classes.len()];
    for record in reader.records() {
        let record = record.with_context(|| format!("cannot read {shown}"))?;
        let line = record.position().map_or(0, csv::Position::line);
        let name = &record[0];
        let class = classes.iter().position(|class| class == name);
        let class = class.ok_or_else(|| {
            anyhow::anyhow!("{shown}:{line}: class `{name}` is not in the scores")
        })?;
        for table in 0..n_tables {
            let text = &record[table + 1];
            let weight: f64 = text.parse().map_err(|_| {
                anyhow::anyhow!("{shown}:{line}: weight is `{text}`, expected a number")
            })?;
            if values[table * classes.len() + class]
                .replace(weight)
                .is_some()
            {
                anyhow::bail!("{shown}:{line}: class `{name}` is listed again");
            }
        }
    }
    if let Some(missing) = values.iter().position(Option::is_none) {
        anyhow::bail!(
            "{shown}: class `{}` is missing",
            classes[missing % classes.len()]
        );
    }
    Ok(Weights::of_classes(
        values.into_iter().flatten().collect(),
        classes.len(),
    )?)
}

/// Fits a stack, judges it on folds of its own and blends.
fn stacked(
    args: &BlendArgs,
    kind: StackArg,
    tables: &[ScoreTable],
    out_of_fold: &[ScoreTable],
    printer: &Printer,
) -> anyhow::Result<Vec<f32>> {
    let config = StackConfig {
        kind: kind.into(),
        l2: args.l2,
    };
    let weights = match &args.truth {
        Some(truth) if args.noisy_weight != 1.0 => Some(clip_weights(
            truth,
            &out_of_fold[0].clips,
            args.noisy_weight,
        )?),
        _ => None,
    };
    let training = Training {
        tables: out_of_fold,
        weights: weights.as_deref(),
    };
    for table in out_of_fold {
        judge::show(table, table.labels.as_deref(), printer)?;
    }
    let crossed = ScoreTable {
        name: format!("stack, {N_FOLDS} folds"),
        scores: cross_fit(training, &config, N_FOLDS)?,
        ..out_of_fold[0].clone()
    };
    judge::show(&crossed, crossed.labels.as_deref(), printer)?;
    Ok(Stack::fit(training, &config)?.blend(tables)?)
}

/// 1 for clips whose labels a person has checked, `noisy` for the others.
fn clip_weights(path: &Path, clips: &[String], noisy: f64) -> anyhow::Result<Vec<f64>> {
    if !(noisy.is_finite() && noisy >= 0.0) {
        anyhow::bail!("--noisy-weight is {noisy}, expected 0 or more");
    }
    let shown = path.display();
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_path(path)
        .with_context(|| format!("cannot read {shown}"))?;
    let header = reader.headers()?.clone();
    let column = |name: &str| {
        let found = header.iter().position(|column| column == name);
        found.ok_or_else(|| anyhow::anyhow!("{shown}:1: no column `{name}`"))
    };
    let (clip, verified) = (column("fname")?, column("manually_verified")?);
    let mut weights = BTreeMap::new();
    for record in reader.records() {
        let record = record.with_context(|| format!("cannot read {shown}"))?;
        let weight = if &record[verified] == "0" { noisy } else { 1.0 };
        weights.insert(record[clip].to_owned(), weight);
    }
    // Every clip is listed: its label was found in the same table.
    Ok(clips
        .iter()
        .map(|clip| weights.get(clip).copied().unwrap_or(1.0))
        .collect())
}

/// The rows, and where it has them the columns, of the sample.
fn in_order_of_sample(
    args: &BlendArgs,
    format: SubmissionFormat,
    blended: ScoreTable,
) -> anyhow::Result<ScoreTable> {
    let Some(path) = &args.sample else {
        return Ok(blended);
    };
    let sample = ensemble::read(path)?;
    let has_columns = !sample.is_ranked && format != SubmissionFormat::Kaggle2018;
    let classes = match has_columns {
        true => &sample.classes,
        false => &blended.classes,
    };
    Ok(blended.arranged(&sample.clips, classes, &sample.name)?)
}
