//! `earmark tag`: says what is heard in recordings.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use earmark::bundle::Thresholds;
use earmark::dataset::Vocabulary;
use earmark::results::Content;
use earmark::tagger::{Selection, Tagger};
use serde_json::json;

use super::Outcome;
use crate::errors::Hinted;
use crate::output::Format;
use crate::printer::Printer;
use crate::recordings::{RecordingArgs, Wish};
use crate::resume::Settings;

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

    /// Only tags with at least this score, from 0 to 1.
    #[arg(long, value_name = "T")]
    threshold: Option<f32>,

    /// Only tags with at least the score of their class in a file (TOML: `default` and `[classes]`;
    /// or CSV: class,threshold), or in the model with `bundle`.
    #[arg(long, value_name = "FILE|bundle", conflicts_with = "threshold")]
    thresholds: Option<PathBuf>,

    /// Only these classes, by name or id, divided by commas; may be repeated.
    #[arg(long, value_name = "CLASS,…")]
    classes: Vec<String>,

    /// None of these classes, by name or id, divided by commas; may be repeated.
    #[arg(long, value_name = "CLASS,…")]
    exclude: Vec<String>,

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
    let thresholds = args
        .thresholds
        .as_deref()
        .map(read_thresholds)
        .transpose()?;
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

/// A threshold file, or `None` for the model's own.
fn read_thresholds(path: &Path) -> anyhow::Result<Option<Thresholds>> {
    if path == Path::new("bundle") {
        return Ok(None);
    }
    let context = || format!("cannot read the thresholds in {}", path.display());
    let text = fs_err::read_to_string(path).with_context(context)?;
    let is_csv = path.extension().is_some_and(|extension| extension == "csv");
    if !is_csv {
        return Ok(Some(toml::from_str(&text).with_context(context)?));
    }
    let mut thresholds = Thresholds::default();
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    for record in reader.deserialize() {
        let (class, threshold): (String, f32) = record.with_context(context)?;
        thresholds.classes.insert(class, threshold);
    }
    Ok(Some(thresholds))
}

/// Which scores become tags.
fn selection(
    args: &TagArgs,
    thresholds: Option<&Option<Thresholds>>,
    tagger: &Tagger,
) -> anyhow::Result<Selection> {
    let vocabulary = tagger.vocabulary();
    let of_bundle = &tagger.metadata().thresholds;
    let mut selection = Selection::all(vocabulary);
    let needs_thresholds = args.merge_gap.is_some() || args.save_clips.is_some();
    selection = match (args.threshold, thresholds) {
        (Some(threshold), _) => selection.threshold(threshold)?,
        (None, Some(Some(thresholds))) => selection.thresholds(thresholds, vocabulary, 0.5)?,
        (None, Some(None)) if of_bundle.is_empty() => {
            return Err(Hinted::error(
                "this model has no thresholds of its own",
                "give --threshold T or --thresholds FILE",
            ));
        }
        (None, None) if needs_thresholds && of_bundle.is_empty() => {
            return Err(Hinted::error(
                "--merge-gap and --save-clips need thresholds, and this model has none of its own",
                "give --threshold T or --thresholds FILE",
            ));
        }
        (None, Some(None)) => selection.thresholds(of_bundle, vocabulary, 0.5)?,
        (None, None) if needs_thresholds => selection.thresholds(of_bundle, vocabulary, 0.5)?,
        (None, None) => selection,
    };
    if !args.classes.is_empty() {
        selection = selection.only(classes(&args.classes, vocabulary), vocabulary)?;
    }
    selection = selection.without(classes(&args.exclude, vocabulary), vocabulary)?;
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

/// The classes in lists divided by commas. Names may have commas themselves (`Violin, fiddle`), so
/// each class is the longest piece that the vocabulary knows.
fn classes<'a>(lists: &'a [String], vocabulary: &Vocabulary) -> Vec<&'a str> {
    let is_known = |name: &str| vocabulary.find(name).is_ok();
    let mut classes = Vec::new();
    for list in lists {
        let mut rest = list.trim();
        while !rest.is_empty() {
            let ends = rest.match_indices(',').map(|(at, _)| at);
            let ends: Vec<usize> = ends.chain([rest.len()]).collect();
            let known = ends.iter().rev().find(|&&end| is_known(rest[..end].trim()));
            // An unknown class ends at the first comma; the selection refuses it by name.
            let &end = known.unwrap_or(&ends[0]);
            classes.push(rest[..end].trim());
            rest = rest[end..].trim_start_matches(',').trim_start();
        }
    }
    classes
}

/// The options that decide what rows hold.
fn settings(args: &TagArgs, thresholds: Option<&Option<Thresholds>>) -> Settings {
    let mut settings = Settings::new();
    let pairs = [
        ("command", json!("tag")),
        ("top", json!(top(args))),
        ("threshold", json!(args.threshold)),
        ("thresholds", json!(thresholds)),
        ("classes", json!(args.classes)),
        ("exclude", json!(args.exclude)),
        ("merge_gap", json!(args.merge_gap)),
        ("save_clips", json!(args.save_clips.is_some())),
    ];
    settings.extend(pairs.map(|(key, value)| (key.to_owned(), value)));
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_commas_are_told_from_lists() {
        let vocabulary = Vocabulary::from_names(["Violin, fiddle", "Dog", "Fiddle"]).unwrap();
        let split = |list: &str| classes(&[list.to_owned()], &vocabulary).join("|");
        assert_eq!(
            split("Dog, Violin, fiddle,Fiddle"),
            "Dog|Violin, fiddle|Fiddle"
        );
        assert_eq!(split("Cat, Dog"), "Cat|Dog");
        assert_eq!(split(""), "");
    }
}
