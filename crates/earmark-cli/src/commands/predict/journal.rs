//! What a prediction has heard already: a file per model in `OUTPUT.partial/`, one line per clip.
//!
//! The first line says what decides the scores; a file begun with other settings is not continued. A
//! line that a kill cut short is not a line, and a clip whose file has another size is heard again.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::clips::TestClip;
use crate::errors::Hinted;
use crate::journal::Settings;

/// The scores of one model so far.
pub(super) struct Journal {
    file: File,
    heard: HashMap<String, Entry>,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    clip: String,
    n_bytes: u64,
    scores: Vec<f32>,
}

impl Journal {
    /// Opens the journal of a model, or begins it.
    ///
    /// # Errors
    /// When another run is writing to it, or it was begun with other settings.
    pub(super) fn open(output: &Path, model: usize, settings: Settings) -> anyhow::Result<Self> {
        let folder = folder_for(output);
        let path = folder.join(format!("model-{model}.jsonl"));
        let shown = path.display().to_string();
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(&path)
            .with_context(|| format!("cannot open {shown}"))?;
        if file.try_lock().is_err() {
            return Err(Hinted::error(
                format!("{shown}: another run is writing to it"),
                "wait for it to end, or give another --output",
            ));
        }
        let mut text = Vec::new();
        file.rewind()?;
        file.read_to_end(&mut text)?;
        let whole = text
            .iter()
            .rposition(|&byte| byte == b'\n')
            .map_or(0, |at| at + 1);
        // What a kill left of the last line would otherwise become part of the next.
        file.set_len(whole as u64)?;
        let mut journal = Self {
            file,
            heard: HashMap::new(),
        };
        let mut lines = text[..whole].split_inclusive(|&byte| byte == b'\n');
        let Some(first) = lines.next() else {
            journal.write(&settings)?;
            return Ok(journal);
        };
        let start_again = format!("remove {} to start again", folder.display());
        let begun: Settings = serde_json::from_slice(first)
            .map_err(|error| Hinted::error(format!("{shown}:1: {error}"), start_again.clone()))?;
        if begun != settings {
            return Err(Hinted::error(
                format!("{shown}: was begun with another model or other options"),
                format!("give the same options, or {start_again}"),
            ));
        }
        for (index, line) in lines.enumerate() {
            let entry: Entry =
                serde_json::from_slice(line).with_context(|| format!("{shown}:{}", index + 2))?;
            journal.heard.insert(entry.clip.clone(), entry);
        }
        Ok(journal)
    }

    /// The scores of a clip that was heard and has not changed since.
    pub(super) fn get(&self, clip: &TestClip) -> Option<&[f32]> {
        let entry = self.heard.get(&clip.name)?;
        (size(&clip.path) == Some(entry.n_bytes)).then_some(&*entry.scores)
    }

    /// Adds a clip.
    pub(super) fn add(&mut self, clip: &TestClip, scores: &[f32]) -> anyhow::Result<()> {
        self.write(&Entry {
            clip: clip.name.clone(),
            n_bytes: size(&clip.path).unwrap_or_default(),
            scores: scores.to_vec(),
        })
    }

    /// One write per line: a kill leaves whole lines and at most one broken at the end.
    fn write(&mut self, value: &impl Serialize) -> anyhow::Result<()> {
        let mut line = serde_json::to_vec(value)?;
        line.push(b'\n');
        Ok(self.file.write_all(&line)?)
    }

    /// Removes the journals of a prediction that is done.
    pub(super) fn remove_all(output: &Path, are_there: bool) -> anyhow::Result<()> {
        let folder = folder_for(output);
        match are_there {
            false => Ok(()),
            true => std::fs::remove_dir_all(&folder)
                .with_context(|| format!("cannot remove {}", folder.display())),
        }
    }
}

fn size(path: &Path) -> Option<u64> {
    std::fs::metadata(path).ok().map(|metadata| metadata.len())
}

/// `OUTPUT.partial`.
fn folder_for(output: &Path) -> PathBuf {
    let mut name = output.as_os_str().to_owned();
    name.push(".partial");
    PathBuf::from(name)
}
