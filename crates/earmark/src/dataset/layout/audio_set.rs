//! AudioSet: tables of `YTID, start_seconds, end_seconds, positive_labels`, with comment lines before.
//!
//! Clips are looked for anywhere below the folder under the names that the common downloaders give:
//! the id alone, with a `Y` before it (PANNs), or with the start or start and end after it. A file
//! that holds the id alone or with times is the cut segment of ten seconds.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::clip::{Origin, Split};
use super::super::vocabulary::Vocabulary;
use super::{Listed, Listing, entries, file_name, first_file};
use crate::{Error, Result};

/// Whether a file begins as a table of AudioSet does.
pub(super) fn is_table(path: &Path) -> bool {
    use std::io::Read as _;
    let mut head = String::new();
    let Ok(file) = fs_err::File::open(path) else {
        return false;
    };
    // The three comment lines are a few hundred bytes.
    file.take(4096).read_to_string(&mut head).is_ok() && head.contains("# YTID")
}

/// The tables at the top of a folder or in `metadata` below it.
pub(super) fn find_tables(root: &Path) -> Vec<PathBuf> {
    let folders = [root.to_owned(), root.join("metadata")];
    let files = folders.iter().flat_map(|folder| entries(folder));
    files
        .filter(|path| path.extension().is_some_and(|e| e == "csv") && is_table(path))
        .collect()
}

/// Reads every table; the file's name says which split it is.
pub(super) fn read(root: &Path) -> Result<Listing> {
    let (tables, folder) = match root.is_file() {
        true => (
            vec![root.to_owned()],
            root.parent().unwrap_or(Path::new("")).to_owned(),
        ),
        false => (find_tables(root), root.to_owned()),
    };
    let index = Index::new(&folder);
    let mut listing = Listing::default();
    for table in &tables {
        read_table(table, &folder, &index, &mut listing)?;
    }
    let classes = first_file(
        &folder,
        &[
            "class_labels_indices.csv",
            "metadata/class_labels_indices.csv",
        ],
    );
    listing.classes = Some(match classes {
        Some(path) => Vocabulary::from_csv(&path)?,
        None => Vocabulary::audio_set().clone(),
    });
    listing.unlisted = super::unlisted(&[folder], &listing.clips);
    Ok(listing)
}

fn read_table(path: &Path, folder: &Path, index: &Index, listing: &mut Listing) -> Result<()> {
    let text = fs_err::read_to_string(path)?;
    let name: Arc<str> = path.display().to_string().into();
    let split = match file_name(path).contains("eval") {
        true => Split::Test,
        false => Split::Train,
    };
    for (at, row) in text.lines().enumerate() {
        let line = at + 1;
        if row.starts_with('#') || row.trim().is_empty() {
            continue;
        }
        let fail = |reason: String| Error::Line {
            name: name.to_string(),
            line,
            reason,
        };
        // The format puts a blank before the quoted labels, which no CSV reader accepts as a quote.
        let fields: Vec<&str> = row.splitn(4, ',').map(str::trim).collect();
        let [id, start, end, labels] = fields[..] else {
            return Err(fail(format!("{} fields, expected 4", fields.len())));
        };
        let number = |text: &str| {
            let seconds = text
                .parse::<f64>()
                .ok()
                .filter(|s| s.is_finite() && *s >= 0.0);
            seconds.ok_or_else(|| fail(format!("`{text}`, expected seconds")))
        };
        let (start, end) = (number(start)?, number(end)?);
        let found = index.find(id, start, end);
        let path = found.unwrap_or_else(|| folder.join(format!("{id}.wav")));
        let mut listed = Listed::new(format!("{id}_{start}"), path);
        listed.labels = Some(super::split_labels(labels.trim_matches('"'), ','));
        listed.split = split;
        listed.source = Some(format!("youtube:{id}"));
        listed.origin = Some(Origin {
            file: name.clone(),
            line,
        });
        listing.clips.push(listed);
    }
    Ok(())
}

/// Audio files by their names without extension.
struct Index(HashMap<String, PathBuf>);

impl Index {
    fn new(folder: &Path) -> Self {
        let stem = |path: &Path| {
            path.file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned()
        };
        Self(
            super::audio_files(folder)
                .into_iter()
                .map(|path| (stem(&path), path))
                .collect(),
        )
    }

    fn find(&self, id: &str, start: f64, end: f64) -> Option<PathBuf> {
        let (start_ms, end_ms) = (start * 1000.0, end * 1000.0);
        [
            id.to_owned(),
            format!("Y{id}"),
            format!("{id}_{start}"),
            format!("{id}_{start:.3}"),
            format!("{id}_{start}_{end}"),
            format!("{id}_{start:.3}_{end:.3}"),
            format!("{id}_{start_ms}"),
            format!("{id}_{start_ms}_{end_ms}"),
        ]
        .iter()
        .find_map(|name| self.0.get(name).cloned())
    }
}
