//! Which scores become tags: thresholds, given or the model's, and classes by name.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use earmark::bundle::{Metadata, Thresholds};
use earmark::dataset::Vocabulary;
use earmark::lines::{LineCounter, csv_reason};
use earmark::tagger::Selection;

use crate::errors::Hinted;

/// The threshold of classes that a threshold file or bundle does not name.
pub(crate) const FALLBACK: f32 = 0.5;

/// The options that choose tags.
#[derive(Debug, Args)]
pub(crate) struct SelectionArgs {
    /// Only tags with at least this score, from 0 to 1.
    #[arg(long, value_name = "T")]
    pub(crate) threshold: Option<f32>,

    /// Only tags with at least the score of their class in a file (TOML: `default` and `[classes]`;
    /// or CSV: class,threshold), or in the model with `bundle`.
    #[arg(long, value_name = "FILE|bundle", conflicts_with = "threshold")]
    thresholds: Option<PathBuf>,

    /// Only these classes, by name or id, divided by commas; may be repeated.
    #[arg(long, value_name = "CLASS,…")]
    pub(crate) classes: Vec<String>,

    /// None of these classes, by name or id, divided by commas; may be repeated.
    #[arg(long, value_name = "CLASS,…")]
    pub(crate) exclude: Vec<String>,
}

impl SelectionArgs {
    /// Reads the threshold file, if one is named; the inner `None` is the model's own.
    ///
    /// # Errors
    /// As for [`read_thresholds`].
    pub(crate) fn read_thresholds(&self) -> anyhow::Result<Option<Option<Thresholds>>> {
        self.thresholds.as_deref().map(read_thresholds).transpose()
    }

    /// Whether neither the user nor the model says from which score on a class counts.
    pub(crate) fn has_none(&self, metadata: &Metadata) -> bool {
        self.threshold.is_none() && self.thresholds.is_none() && metadata.thresholds.is_empty()
    }

    /// Which scores become tags. `thresholds` are what [`SelectionArgs::read_thresholds`] gave; without
    /// any, the model's count where `by_threshold` is set, and every score otherwise.
    ///
    /// # Errors
    /// For a threshold out of range, a class that the model does not know, and `bundle` where the model
    /// has no thresholds.
    pub(crate) fn selection(
        &self,
        thresholds: Option<&Option<Thresholds>>,
        metadata: &Metadata,
        by_threshold: bool,
    ) -> anyhow::Result<Selection> {
        let vocabulary = &metadata.vocabulary;
        let of_bundle = &metadata.thresholds;
        let mut selection = Selection::all(vocabulary);
        selection = match (self.threshold, thresholds) {
            (Some(threshold), _) => selection.threshold(threshold)?,
            (None, Some(Some(thresholds))) => {
                selection.thresholds(thresholds, vocabulary, FALLBACK)?
            }
            (None, Some(None)) if of_bundle.is_empty() => {
                return Err(Hinted::error(
                    "this model has no thresholds of its own",
                    "give --threshold T or --thresholds FILE",
                ));
            }
            (None, Some(None)) => selection.thresholds(of_bundle, vocabulary, FALLBACK)?,
            (None, None) if by_threshold => {
                selection.thresholds(of_bundle, vocabulary, FALLBACK)?
            }
            (None, None) => selection,
        };
        if !self.classes.is_empty() {
            selection = selection.only(classes(&self.classes, vocabulary), vocabulary)?;
        }
        Ok(selection.without(classes(&self.exclude, vocabulary), vocabulary)?)
    }
}

/// Reads `--thresholds`: TOML (`default` and `[classes]`) or CSV (class,threshold); `None` for the
/// word `bundle`, which means the model's own.
///
/// # Errors
/// When the file cannot be read or is no table of thresholds.
pub(crate) fn read_thresholds(path: &Path) -> anyhow::Result<Option<Thresholds>> {
    if path == Path::new("bundle") {
        return Ok(None);
    }
    let context = || format!("cannot read the thresholds in {}", path.display());
    let text = fs_err::read_to_string(path).with_context(context)?;
    let is_csv = path.extension().is_some_and(|extension| extension == "csv");
    if !is_csv {
        return Ok(Some(toml::from_str(&text).with_context(context)?));
    }
    csv_thresholds(&path.display().to_string(), &text).map(Some)
}

fn csv_thresholds(name: &str, text: &str) -> anyhow::Result<Thresholds> {
    let mut thresholds = Thresholds::default();
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    for record in reader.deserialize() {
        let (class, threshold): (String, f32) = record.map_err(|error| {
            let line = LineCounter::default().line(text.as_bytes(), error.position());
            let reason = csv_reason(&error);
            anyhow::anyhow!("{name}:{line}: {reason}, expected a class and a threshold")
        })?;
        thresholds.classes.insert(class, threshold);
    }
    Ok(thresholds)
}

/// Writes thresholds as TOML, such as [`read_thresholds`] takes.
///
/// # Errors
/// When the file cannot be written.
pub(crate) fn write_thresholds(path: &Path, thresholds: &Thresholds) -> anyhow::Result<()> {
    let text = toml::to_string(thresholds).context("writing thresholds")?;
    earmark::bundle::write_atomically(path, text.as_bytes())?;
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_that_is_no_number_is_named_with_its_line() {
        let text = "class,threshold\r\nDog,0.5\r\n\r\nCat,much\r\n";
        assert_eq!(
            csv_thresholds("t.csv", text).unwrap_err().to_string(),
            "t.csv:4: field 2: invalid float literal, expected a class and a threshold"
        );
    }

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
