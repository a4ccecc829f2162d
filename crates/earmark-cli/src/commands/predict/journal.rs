//! What a prediction has heard already: a file per model in `OUTPUT.partial/`, one line per clip.
//!
//! The first line says what decides the scores; a file begun with other settings is not continued, and
//! neither is one with a clip whose file has another size or time of change now.

use std::collections::HashMap;
use std::path::Path;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::clips::TestClip;
use crate::journal::{self, Settings, Stamp};
use crate::resume::{folder_for, start_again};

/// The scores of one model so far.
pub(super) struct Journal {
    file: journal::Journal,
    heard: HashMap<String, Entry>,
    /// Advice for those who do not want to go on.
    start_again: String,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    clip: String,
    #[serde(flatten)]
    stamp: Stamp,
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
        let start_again = start_again(&folder);
        let (file, lines) = journal::Journal::open(&path, settings, &shown, start_again.clone())?;
        let mut heard = HashMap::new();
        for (index, line) in lines.iter().enumerate() {
            let entry: Entry = serde_json::from_slice(line)
                .with_context(|| file.place(index))
                .with_context(|| format!("cannot resume from {shown}"))?;
            heard.insert(entry.clip.clone(), entry);
        }
        Ok(Self {
            file,
            heard,
            start_again,
        })
    }

    /// The scores of a clip, if it was heard.
    ///
    /// # Errors
    /// When its file has changed since.
    pub(super) fn get(&self, clip: &TestClip) -> anyhow::Result<Option<&[f32]>> {
        let Some(entry) = self.heard.get(&clip.name) else {
            return Ok(None);
        };
        let fits = entry
            .stamp
            .still_fits(&clip.path, "heard", &self.start_again)?;
        Ok(fits.then_some(&*entry.scores))
    }

    /// Adds a clip. One whose file is gone by now is left out: nothing could tell that it is the same.
    pub(super) fn add(&mut self, clip: &TestClip, scores: &[f32]) -> anyhow::Result<()> {
        let Ok(stamp) = Stamp::of(&clip.path) else {
            return Ok(());
        };
        self.file.append(&Entry {
            clip: clip.name.clone(),
            stamp,
            scores: scores.to_vec(),
        })
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
