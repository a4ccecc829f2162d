//! The workbench: a data set in, decisions about its labels out.
//!
//! ```text
//! data set, scores of a run, embeddings ── Entry ── page ── Decision ── log (append-only)
//!                                                                     └── manifest (a plain table)
//! ```
//!
//! Every decision is a line of the log before it is shown; the log is all there is, and is played again
//! at the next start. Nothing is written inside the data set.

mod decisions;
mod entries;
mod log;
mod manifest;
mod routes;

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use earmark::dataset::Manifest;
use earmark::{Error, Result};

pub use entries::{ClipScores, Evidence, read_scores};

use decisions::Decisions;
use entries::Entry;
pub(crate) use routes::routes;

/// A data set under review.
pub struct Review {
    title: String,
    classes: Vec<String>,
    /// Where the manifest is written.
    output: PathBuf,
    has_scores: bool,
    has_embeddings: bool,
    state: Mutex<State>,
}

/// The clips, and what was decided.
struct State {
    entries: Vec<Entry>,
    decisions: Decisions,
}

impl Review {
    /// Opens a data set for review. Decisions are kept in the log at `log`, those that are in it
    /// already are taken up; the manifest is written to `output`.
    ///
    /// # Errors
    /// [`Error::Io`] when the log cannot be opened or another server has it, [`Error::Line`] when it
    /// is no log of this data set.
    pub fn open(
        manifest: &Manifest,
        evidence: Evidence,
        log: PathBuf,
        output: PathBuf,
    ) -> Result<Self> {
        let classes: Vec<String> = manifest.vocabulary.names().map(str::to_owned).collect();
        let has_embeddings = !evidence.embeddings.is_empty();
        let has_scores = evidence.scores.is_some();
        let mut entries = entries::entries(manifest, evidence)?;
        let decisions = Decisions::open(log, &mut entries)?;
        Ok(Self {
            title: manifest.root.display().to_string(),
            classes,
            output,
            has_scores,
            has_embeddings,
            state: Mutex::new(State { entries, decisions }),
        })
    }

    /// The number of clips, and how many of them are decided.
    pub fn counts(&self) -> (usize, usize) {
        let state = self.lock();
        let decided = state.entries.iter().filter(|entry| entry.is_decided());
        (state.entries.len(), decided.count())
    }

    /// Writes the manifest: all clips but the rejected ones, with the labels that they have now.
    /// Returns where, and how many clips.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write(&self) -> Result<(PathBuf, usize)> {
        let state = self.lock();
        let n_clips = manifest::write(&self.output, &state.entries)?;
        Ok((self.output.clone(), n_clips))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A decision is logged first and then applied, both short; a panic between leaves the log right.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check_class(&self, name: &str) -> Result<()> {
        match self.classes.iter().any(|class| class == name) {
            true => Ok(()),
            false => Err(Error::UnknownClass {
                label: name.to_owned(),
                n_classes: self.classes.len(),
                suggestion: None,
            }),
        }
    }
}
