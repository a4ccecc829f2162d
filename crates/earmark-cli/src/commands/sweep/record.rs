//! How trials ended: a line each in `trials.jsonl`.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::basis::Basis;

/// How a trial ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Found {
    pub(super) trial: usize,
    /// The overrides, for those who read the file.
    pub(super) settings: Vec<String>,
    /// Empty in lines of earlier builds, which fit no trial: what they rest on is not known.
    #[serde(default)]
    pub(super) basis: Basis,
    /// The figures of the validation clips, the mean over the folds; none of a trial that diverged.
    pub(super) figures: BTreeMap<String, f64>,
    /// Why the trial could not go on, if it diverged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) failure: Option<String>,
}

/// The trials of a sweep that have ended.
pub(super) struct Record {
    path: PathBuf,
    found: BTreeMap<usize, Found>,
}

impl Record {
    /// What the folder of a sweep holds.
    pub(super) fn open(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join("trials.jsonl");
        let found = read(&path)?.into_iter().map(|found| (found.trial, found));
        Ok(Self {
            found: found.collect(),
            path,
        })
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// How a trial ended, if it did.
    pub(super) fn get(&self, trial: usize) -> Option<&Found> {
        self.found.get(&trial)
    }

    /// Adds a line.
    pub(super) fn add(&mut self, found: Found) -> anyhow::Result<()> {
        let mut line = serde_json::to_vec(&found)?;
        line.push(b'\n');
        let mut options = fs_err::OpenOptions::new();
        let mut file = options.append(true).create(true).open(&self.path)?;
        file.write_all(&line)?;
        self.found.insert(found.trial, found);
        Ok(())
    }
}

/// The lines of a file. One that a kill cut short is not a line.
fn read(path: &Path) -> anyhow::Result<Vec<Found>> {
    if !path.is_file() {
        return Ok(Vec::new());
    }
    let text = fs_err::read_to_string(path)?;
    let whole = text.rfind('\n').map_or(0, |at| at + 1);
    if whole < text.len() {
        earmark::bundle::write_atomically(path, &text.as_bytes()[..whole])?;
    }
    let lines = text[..whole].lines().enumerate();
    lines
        .map(|(index, line)| {
            serde_json::from_str(line).with_context(|| format!("{}:{}", path.display(), index + 1))
        })
        .collect()
}
