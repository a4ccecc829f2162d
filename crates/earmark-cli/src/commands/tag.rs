//! `earmark tag`: says what is heard in recordings.

use std::path::PathBuf;

use clap::Args;
use earmark::bundle::Thresholds;
use earmark::results::Content;
use earmark::tagger::{Selection, Tagger};
use serde_json::json;

use super::Outcome;
use crate::errors::Hinted;
use crate::journal::Settings;
use crate::output::Format;
use crate::printer::Printer;
use crate::recordings::{RecordingArgs, Wish};
use crate::selection::SelectionArgs;

/// Tags per clip or segment unless the user asks for another number.
const DEFAULT_TOP: usize = 5;

/// The arguments of `earmark tag`.
#[derive(Debug, Args)]
pub(crate) struct TagArgs {
    #[command(flatten)]
    recordings: RecordingArgs,

    /// The most tags per recording or segment [default: 5; no bound with --merge-gap].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    top: Option<u32>,

    #[command(flatten)]
    selection: SelectionArgs,

    /// Join neighbouring segments with the same class into events, bridging gaps of up to so many
    /// seconds. Needs thresholds: of the model, or given.
    #[arg(long, value_name = "SECONDS", requires = "timeline")]
    merge_gap: Option<f64>,

    /// Write what was heard into this folder as WAV files, one per tag and segment or event. Needs
    /// thresholds: of the model, or given.
    #[arg(long, value_name = "DIR", requires = "timeline")]
    save_clips: Option<PathBuf>,

    /// The format of results; may be repeated [default: by the ending of --output, or table].
    #[arg(long, short, value_enum)]
    format: Vec<Format>,
}

/// Runs `earmark tag`.
pub(crate) fn run(args: &TagArgs, printer: &Printer) -> anyhow::Result<Outcome> {
    let thresholds = args.selection.read_thresholds()?;
    if let Some(gap) = args
        .merge_gap
        .filter(|gap| !(gap.is_finite() && *gap >= 0.0))
    {
        anyhow::bail!("--merge-gap is {gap}, expected 0 seconds or more");
    }
    let wish = Wish {
        verb: "tagged",
        formats: formats(args),
        default_format: Format::Table,
        save_clips: args.save_clips.clone(),
        settings: settings(args, thresholds.as_ref()),
    };
    let content = |tagger: &Tagger| {
        let selection = selection(args, thresholds.as_ref(), tagger)?;
        Ok(match args.merge_gap {
            Some(gap) => Content::Events(selection, gap),
            None => Content::Tags(selection),
        })
    };
    args.recordings.run(wish, content, printer)
}

/// The formats that are asked for, or the one that the output's name stands for.
fn formats(args: &TagArgs) -> Vec<Format> {
    if !args.format.is_empty() {
        return args.format.clone();
    }
    let by_extension = match args.recordings.output_extension().as_deref() {
        Some("txt") => Some(Format::Table),
        Some("json" | "jsonl" | "ndjson") => Some(Format::Json),
        Some("csv") => Some(Format::Csv),
        Some("parquet") => Some(Format::Parquet),
        _ => None,
    };
    by_extension.into_iter().collect()
}

/// Which scores become tags.
fn selection(
    args: &TagArgs,
    thresholds: Option<&Option<Thresholds>>,
    tagger: &Tagger,
) -> anyhow::Result<Selection> {
    let needs_thresholds = args.merge_gap.is_some() || args.save_clips.is_some();
    if needs_thresholds && args.selection.has_none(tagger.metadata()) {
        return Err(Hinted::error(
            "--merge-gap and --save-clips need thresholds, and this model has none of its own",
            "give --threshold T or --thresholds FILE",
        ));
    }
    let selection = args
        .selection
        .selection(thresholds, tagger.metadata(), needs_thresholds)?;
    Ok(match top(args) {
        Some(top) => selection.top(top),
        None => selection,
    })
}

/// The most tags of a row.
fn top(args: &TagArgs) -> Option<usize> {
    match args.top {
        Some(top) => Some(top as usize),
        None if args.merge_gap.is_some() => None,
        None => Some(DEFAULT_TOP),
    }
}

/// The options that decide what rows hold.
fn settings(args: &TagArgs, thresholds: Option<&Option<Thresholds>>) -> Settings {
    let mut settings = Settings::new();
    let pairs = [
        ("command", json!("tag")),
        ("top", json!(top(args))),
        ("threshold", json!(args.selection.threshold)),
        ("thresholds", json!(thresholds)),
        ("classes", json!(args.selection.classes)),
        ("exclude", json!(args.selection.exclude)),
        ("merge_gap", json!(args.merge_gap)),
        ("save_clips", json!(args.save_clips.is_some())),
    ];
    settings.extend(pairs.map(|(key, value)| (key.to_owned(), value)));
    settings
}
