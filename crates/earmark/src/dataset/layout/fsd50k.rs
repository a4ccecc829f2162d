//! FSD50K: `FSD50K.ground_truth/dev.csv`, `eval.csv` and `vocabulary.csv`, audio in
//! `FSD50K.dev_audio` and `FSD50K.eval_audio`. File names are Freesound ids.

use std::path::Path;

use super::super::clip::Split;
use super::super::vocabulary::{Class, Vocabulary};
use super::table::Table;
use super::{Listed, Listing, first_file, split_labels, unlisted};
use crate::Result;
use crate::lines::CsvRows;

const DEV: [&str; 2] = ["FSD50K.ground_truth/dev.csv", "ground_truth/dev.csv"];
const EVAL: [&str; 2] = ["FSD50K.ground_truth/eval.csv", "ground_truth/eval.csv"];

/// Whether the ground truth is there.
pub(super) fn fits(root: &Path) -> bool {
    first_file(root, &DEV).is_some()
}

/// Reads the development and the evaluation set.
pub(super) fn read(root: &Path) -> Result<Listing> {
    let mut listing = Listing::default();
    let mut folders = Vec::new();
    for (tables, names, split) in [
        (&DEV, ["FSD50K.dev_audio", "dev_audio"], Split::Train),
        (&EVAL, ["FSD50K.eval_audio", "eval_audio"], Split::Test),
    ] {
        let Some(table) = first_file(root, tables) else {
            listing
                .notes
                .push(format!("no table for the {} clips", split.as_str()));
            continue;
        };
        let folder = super::first_folder(root, &names).unwrap_or_else(|| root.join(names[0]));
        read_part(&table, &folder, split, &mut listing)?;
        folders.push(folder);
    }
    let vocabulary = first_file(
        root,
        &[
            "FSD50K.ground_truth/vocabulary.csv",
            "ground_truth/vocabulary.csv",
        ],
    );
    listing.classes = vocabulary
        .map(|path| headless_vocabulary(&path))
        .transpose()?;
    listing.unlisted = unlisted(&folders, &listing.clips);
    Ok(listing)
}

fn read_part(path: &Path, folder: &Path, split: Split, listing: &mut Listing) -> Result<()> {
    let mut table = Table::open(path)?;
    let (clip, labels) = (table.need(&["fname"])?, table.need(&["labels"])?);
    let part = table.find(&["split"]);
    while let Some(row) = table.next()? {
        let id = row.field(clip).to_owned();
        let mut listed = Listed::new(format!("{id}.wav"), folder.join(format!("{id}.wav")));
        listed.labels = Some(split_labels(row.field(labels), ','));
        listed.split = match row.optional(part) {
            None => split,
            Some(word) => Split::from_word(word)
                .ok_or_else(|| row.error(format!("split is `{word}`, expected train or val")))?,
        };
        listed.source = Some(format!("freesound:{id}"));
        listed.origin = Some(row.origin);
        listing.clips.push(listed);
    }
    Ok(())
}

/// A vocabulary without header: index, name and, in FSD50K, machine id.
pub(super) fn headless_vocabulary(path: &Path) -> Result<Vocabulary> {
    let name = path.display().to_string();
    let text = fs_err::read(path)?;
    let mut options = csv::ReaderBuilder::new();
    options
        .has_headers(false)
        .flexible(true)
        .trim(csv::Trim::All);
    let table = CsvRows::parse(&name, &text, &options)?;
    let mut classes = Vec::new();
    for (line, record) in &table.rows {
        let index = record.get(0).unwrap_or_default();
        if index.parse() != Ok(classes.len()) {
            let reason = format!("index is `{index}`, expected {}", classes.len());
            return Err(table.error(*line, reason));
        }
        let class = record.get(1).unwrap_or_default();
        classes.push(match record.get(2).filter(|id| !id.is_empty()) {
            Some(id) => Class::with_id(class, id),
            None => Class::new(class),
        });
    }
    Vocabulary::new(classes)
}
