//! A plain table: `path,label[,fold][,weight][,start,end][,split][,source][,quality]`, in any order.
//!
//! Fields are separated by commas, semicolons or tabs. Several labels are separated by semicolons, or
//! by commas where no field of the table holds a semicolon. A label `_background`, `noise` or
//! `silence` alone makes the clip a negative; `_unlabelled` says that nobody knows. Folds are kept as the table counts them, from 0 or 1.

use std::path::{Path, PathBuf};

use super::super::clip::{Quality, Split};
use super::table::{Row, Table, header_of};
use super::{Listed, Listing, entries, first_file, is_negative_name, split_labels};
use crate::{Error, Result};

/// What stands for a label where nobody says what a clip holds.
const UNLABELLED: &str = "_unlabelled";

const PATH: [&str; 6] = ["path", "file", "filename", "file_name", "fname", "clip"];
const LABEL: [&str; 8] = [
    "labels",
    "label",
    "class",
    "classes",
    "category",
    "categories",
    "tags",
    "tag",
];
const START: [&str; 5] = ["start", "start_secs", "start_seconds", "onset", "begin"];
const END: [&str; 5] = ["end", "end_secs", "end_seconds", "offset", "stop"];

/// The table of a folder: one of the usual names, or the only CSV file with the needed columns.
pub(super) fn find_table(root: &Path) -> Option<PathBuf> {
    if root.is_file() {
        return Some(root.to_owned());
    }
    let usual = [
        "manifest.csv",
        "clips.csv",
        "labels.csv",
        "metadata.csv",
        "meta.csv",
        "train.csv",
    ];
    let candidates = first_file(root, &usual).into_iter().chain(entries(root));
    let mut fitting = candidates.filter(|path| {
        let is_table = path.extension().is_some_and(|e| e == "csv" || e == "tsv");
        let header = if is_table { header_of(path) } else { None }.unwrap_or_default();
        let has = |names: &[&str]| header.iter().any(|column| names.contains(&column.as_str()));
        has(&PATH) && has(&LABEL)
    });
    fitting.next()
}

struct Columns {
    path: usize,
    label: usize,
    fold: Option<usize>,
    weight: Option<usize>,
    start: Option<usize>,
    end: Option<usize>,
    split: Option<usize>,
    source: Option<usize>,
    quality: Option<usize>,
}

/// Reads the table of a folder.
pub(super) fn read(root: &Path) -> Result<Listing> {
    let path = find_table(root).ok_or_else(|| Error::Missing {
        path: root.to_owned(),
        reason: "no table with the columns `path` and `label`".to_owned(),
    })?;
    let mut folders = Folders::new(&path);
    let mut listing = read_from(&path, &mut folders)?;
    listing.unlisted = super::unlisted(&[folders.base().to_owned()], &listing.clips);
    Ok(listing)
}

/// Reads a table whose paths are those of another folder.
pub(super) fn read_table(path: &Path, root: &Path) -> Result<Listing> {
    read_from(path, &mut Folders::at(root))
}

fn read_from(path: &Path, folders: &mut Folders) -> Result<Listing> {
    let mut table = Table::open(path)?;
    let columns = Columns {
        path: table.need(&PATH)?,
        label: table.need(&LABEL)?,
        fold: table.find(&["fold"]),
        weight: table.find(&["weight"]),
        start: table.find(&START),
        end: table.find(&END),
        split: table.find(&["split", "subset", "part"]),
        source: table.find(&["source", "group", "recording", "freesound_id", "src_file"]),
        quality: table.find(&["quality", "verified", "manually_verified"]),
    };
    let mut rows = Vec::new();
    while let Some(row) = table.next()? {
        rows.push(row);
    }
    let has_semicolons = rows
        .iter()
        .any(|row| row.field(columns.label).contains(';'));
    let separator = if has_semicolons { ';' } else { ',' };
    let mut listing = Listing::default();
    for row in rows {
        listing.clips.push(clip(row, &columns, separator, folders)?);
    }
    count_folds_from_zero(&mut listing);
    listing
        .notes
        .push(format!("clips are listed by {}", path.display()));
    // A class order that the data set fixes, where there is one.
    listing.classes = first_file(folders.base(), &["vocabulary.csv", "classes.csv"])
        .map(|path| super::super::Vocabulary::from_csv(&path))
        .transpose()?;
    Ok(listing)
}

fn clip(row: Row, columns: &Columns, separator: char, folders: &mut Folders) -> Result<Listed> {
    let name = row.field(columns.path);
    if name.is_empty() {
        return Err(row.error("no path, expected that of an audio file".to_owned()));
    }
    let mut listed = Listed::new(name, folders.find(name));
    let split = match row.optional(columns.split) {
        None => Split::Train,
        Some(word) => Split::from_word(word).ok_or_else(|| {
            row.error(format!(
                "split is `{word}`, expected train, validation or test"
            ))
        })?,
    };
    let labels = split_labels(row.field(columns.label), separator);
    listed.labels = match labels.as_slice() {
        [] if split == Split::Test => None,
        [] => {
            let reason = "no label, expected a class, or `_background` for none of them";
            return Err(row.error(reason.to_owned()));
        }
        [only] if only.eq_ignore_ascii_case(UNLABELLED) => None,
        [only] if is_negative_name(only) => Some(vec![]),
        _ => Some(labels),
    };
    listed.split = split;
    listed.fold = row.number(columns.fold, "fold")?;
    listed.weight = weight(&row, columns.weight)?;
    listed.stretch_secs = stretch(&row, columns)?;
    listed.source = row.optional(columns.source).map(str::to_owned);
    listed.quality = match row
        .optional(columns.quality)
        .map(str::to_lowercase)
        .as_deref()
    {
        None | Some("1" | "true" | "yes" | "curated") => Quality::Curated,
        Some("0" | "false" | "no" | "noisy") => Quality::Noisy,
        Some(other) => {
            return Err(row.error(format!("quality is `{other}`, expected curated or noisy")));
        }
    };
    listed.origin = Some(row.origin);
    Ok(listed)
}

fn weight(row: &Row, column: Option<usize>) -> Result<f32> {
    let weight: f32 = row.number(column, "weight")?.unwrap_or(1.0);
    if weight.is_finite() && weight >= 0.0 {
        return Ok(weight);
    }
    Err(row.error(format!(
        "weight is {weight}, expected a number of at least 0"
    )))
}

fn stretch(row: &Row, columns: &Columns) -> Result<Option<(f64, f64)>> {
    let start: Option<f64> = row.number(columns.start, "start")?;
    let end: Option<f64> = row.number(columns.end, "end")?;
    let (start, end) = match (start, end) {
        (None, None) => return Ok(None),
        // Without an end, up to the end of the file.
        (start, end) => (start.unwrap_or(0.0), end.unwrap_or(f64::INFINITY)),
    };
    if start >= 0.0 && start.is_finite() && end > start {
        return Ok(Some((start, end)));
    }
    Err(row.error(format!(
        "stretch from {start} to {end} s, expected 0 ≤ start < end"
    )))
}

/// Folds that a table counts from 1 are counted from 0.
fn count_folds_from_zero(listing: &mut Listing) {
    let lowest = listing.clips.iter().filter_map(|clip| clip.fold).min();
    if lowest == Some(1) {
        listing
            .clips
            .iter_mut()
            .for_each(|clip| clip.fold = clip.fold.map(|fold| fold - 1));
        listing
            .notes
            .push("folds are counted from 1 in the table and from 0 here".to_owned());
    }
}

/// Where a table's paths are looked for.
struct Folders {
    base: PathBuf,
    candidates: Vec<PathBuf>,
}

impl Folders {
    fn new(table: &Path) -> Self {
        let base = table.parent().unwrap_or(Path::new("")).to_owned();
        let stem = table.file_stem().unwrap_or_default();
        let below = [
            base.join(stem),
            base.join("audio"),
            base.join("clips"),
            base.join("wav"),
        ];
        let candidates = below.into_iter().filter(|folder| folder.is_dir()).collect();
        Self { base, candidates }
    }

    fn at(base: &Path) -> Self {
        Self {
            base: base.to_owned(),
            candidates: Vec::new(),
        }
    }

    fn base(&self) -> &Path {
        &self.base
    }

    /// Beside the table, else in a folder called like it, `audio`, `clips` or `wav`.
    fn find(&mut self, name: &str) -> PathBuf {
        let beside = self.base.join(name);
        if self.candidates.is_empty() || beside.is_file() {
            return beside;
        }
        let found = self
            .candidates
            .iter()
            .position(|folder| folder.join(name).is_file());
        match found {
            Some(at) => {
                // Most clips share a folder: look there first next time.
                self.candidates.swap(0, at);
                self.candidates[0].join(name)
            }
            None => beside,
        }
    }
}
