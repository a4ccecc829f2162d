//! `earmark blend`: scores of several models in, one table or submission out.

mod judge;
mod weight_files;

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use earmark::ensemble::{
    self, ScoreTable, Stack, StackConfig, StackKind, Training, Weights, align, class_weights,
    cross_fit, spelling_notes,
};
use earmark::eval::challenge::{Truth, TruthRow};

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
    /// not trained: `scores.csv` of a run over all folds. For --stack and --by-class.
    #[arg(long, value_name = "SCORES", num_args = 1..)]
    out_of_fold: Vec<PathBuf>,

    /// The labels of the out-of-fold clips, where their files have no column `labels`.
    #[arg(long, value_name = "CSV", requires = "out_of_fold")]
    truth: Option<PathBuf>,

    /// How much a clip counts in stacking whose `manually_verified` is 0 in --truth [default: 1].
    #[arg(long, value_name = "W", requires = "truth")]
    noisy_weight: Option<f64>,

    /// Strength of the penalty on a stack's weights [default: 1].
    #[arg(long)]
    l2: Option<f64>,

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
    refuse_unread(args)?;
    let tables = read_all(&args.inputs, printer)?;
    let format = args
        .format
        .unwrap_or_else(|| SubmissionFormat::of(&args.output));
    let order = Order::of_sample(args, format, &tables[0])?;
    let out_of_fold = out_of_fold(args, &tables, printer)?;
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
    let blended = match &order {
        Some(order) => blended.arranged(&order.clips, &order.classes, &order.name)?,
        None => blended,
    };
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

/// Refuses options that nothing would read.
fn refuse_unread(args: &BlendArgs) -> anyhow::Result<()> {
    let is_stacked = args.stack.is_some();
    let needs = [
        (
            "--out-of-fold",
            !args.out_of_fold.is_empty(),
            "--stack or --by-class",
            is_stacked || args.by_class,
        ),
        (
            "--noisy-weight",
            args.noisy_weight.is_some(),
            "--stack",
            is_stacked,
        ),
        ("--l2", args.l2.is_some(), "--stack", is_stacked),
    ];
    let unread = |(_, is_given, _, is_read): &&(&str, bool, &str, bool)| *is_given && !*is_read;
    match needs.iter().find(unread) {
        None => Ok(()),
        Some((option, _, readers, _)) => Err(Hinted::error(
            format!("{option} is given without {readers}, and nothing else reads it"),
            format!("add {readers}, or leave {option} out"),
        )),
    }
}

fn read_all(paths: &[PathBuf], printer: &Printer) -> anyhow::Result<Vec<ScoreTable>> {
    let tables = paths.iter().map(|path| ensemble::read(path));
    let tables = tables.collect::<earmark::Result<Vec<ScoreTable>>>()?;
    let aligned = align(&tables)?;
    for note in spelling_notes(&tables) {
        printer.note(note);
    }
    Ok(aligned)
}

/// The out-of-fold tables with labels, in the classes of the inputs; none where they are not given.
fn out_of_fold(
    args: &BlendArgs,
    tables: &[ScoreTable],
    printer: &Printer,
) -> anyhow::Result<Vec<ScoreTable>> {
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
    for table in read_all(&args.out_of_fold, printer)? {
        let first = &tables[0];
        found.push(table.arranged(&table.clips, &first.classes, &first.name)?);
    }
    let labels = known_labels(args, &found)?;
    for table in &mut found {
        table.labels = Some(labels.clone());
    }
    Ok(found)
}

/// The labels of the out-of-fold clips: of --truth, or of the files, which must not contradict it or each other.
fn known_labels(args: &BlendArgs, tables: &[ScoreTable]) -> anyhow::Result<Vec<Vec<usize>>> {
    let Some(path) = &args.truth else {
        let own = tables.iter().find_map(|table| table.labels.clone());
        return own.ok_or_else(|| {
            Hinted::error(
                format!("{}: has no column `labels`", tables[0].name),
                "give the labels with --truth CSV",
            )
        });
    };
    let truth = Truth::read(path)?;
    let (labels, lines) = labels_of(&truth, &tables[0])?;
    for table in tables {
        table.check_labels(&labels, |clip| format!("{}:{}", truth.name, lines[clip]))?;
    }
    Ok(labels)
}

/// The labels of a table's clips from a truth table, and their lines in it.
fn labels_of(truth: &Truth, table: &ScoreTable) -> anyhow::Result<(Vec<Vec<usize>>, Vec<usize>)> {
    let rows: BTreeMap<&str, &TruthRow> = truth
        .rows
        .iter()
        .map(|row| (row.clip.as_str(), row))
        .collect();
    let of_clip = |(clip, line): (&String, &usize)| -> anyhow::Result<(Vec<usize>, usize)> {
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
        let mut labels: Vec<usize> = row
            .labels
            .iter()
            .map(class)
            .collect::<anyhow::Result<_>>()?;
        labels.sort_unstable();
        labels.dedup();
        Ok((labels, row.line))
    };
    table.clips.iter().zip(&table.lines).map(of_clip).collect()
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
        return weight_files::by_class(path, tables.len(), classes);
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
        l2: args.l2.unwrap_or(1.0),
    };
    let weights = match (&args.truth, args.noisy_weight) {
        (Some(truth), Some(noisy)) => {
            let clips = &out_of_fold[0].clips;
            Some(weight_files::by_clip(truth, clips, noisy)?)
        }
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

/// The order of rows and columns that a sample asks for.
struct Order {
    name: String,
    clips: Vec<String>,
    classes: Vec<String>,
}

impl Order {
    /// The order of the sample, if there is one; of columns only where the sample has some that the format
    /// writes. What does not fit the inputs is told in the sample's name.
    fn of_sample(
        args: &BlendArgs,
        format: SubmissionFormat,
        first: &ScoreTable,
    ) -> anyhow::Result<Option<Self>> {
        let Some(path) = &args.sample else {
            return Ok(None);
        };
        let sample = ensemble::read(path)?;
        let has_columns = !sample.is_ranked && format != SubmissionFormat::Kaggle2018;
        let known = match has_columns {
            true => &first.classes,
            false => &sample.classes,
        };
        sample.arranged(&first.clips, known, &first.name)?;
        let classes = match has_columns {
            true => sample.classes,
            false => first.classes.clone(),
        };
        Ok(Some(Self {
            name: sample.name,
            clips: sample.clips,
            classes,
        }))
    }
}
