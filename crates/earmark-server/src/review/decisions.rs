//! Decisions: applied to entries, kept in the log, taken back.

use std::collections::HashMap;
use std::path::PathBuf;

use earmark::{Error, Result};

use super::entries::Entry;
use super::log::{Action, Line, Log, now_millis};

/// The log and what is needed to take decisions back.
pub(super) struct Decisions {
    log: Log,
    by_key: HashMap<String, usize>,
    /// Decisions that can be taken back: the entry and what it was before.
    done: Vec<Before>,
}

/// What an entry was before a decision.
struct Before {
    id: usize,
    labels: Option<Vec<String>>,
    decision: Option<&'static str>,
    /// Whether the decision made the entry.
    was_added: bool,
}

impl Decisions {
    /// Opens the log and applies what is in it.
    pub(super) fn open(log: PathBuf, entries: &mut Vec<Entry>) -> Result<Self> {
        let (log, lines) = Log::open(log)?;
        let by_key = entries.iter().map(|e| (e.key(), e.id)).collect();
        let mut decisions = Self {
            log,
            by_key,
            done: Vec::new(),
        };
        for (index, line) in lines.iter().enumerate() {
            let applied = decisions.apply(line, entries);
            if applied.is_none() {
                return Err(Error::Line {
                    name: decisions.log.path().display().to_string(),
                    line: index + 1,
                    reason: format!("there is no clip `{}` in this data set", line.clip),
                });
            }
        }
        Ok(decisions)
    }

    /// Decides about a clip. `None` if there is no such clip, or nothing to take back.
    ///
    /// # Errors
    /// [`Error::Io`] when the log cannot be written; then nothing has changed.
    pub(super) fn decide(
        &mut self,
        action: Action,
        key: String,
        labels: Option<Vec<String>>,
        stretch_secs: Option<(f64, f64)>,
        entries: &mut Vec<Entry>,
    ) -> Result<Option<usize>> {
        let line = Line {
            at_millis: now_millis(),
            clip: key,
            action,
            labels,
            stretch_secs,
        };
        if !self.by_key.contains_key(&line.clip) {
            return Ok(None);
        }
        self.log.append(&line)?;
        Ok(self.apply(&line, entries))
    }

    /// The clip that the next [`Action::Undo`] is about.
    pub(super) fn last<'e>(&self, entries: &'e [Entry]) -> Option<&'e Entry> {
        self.done.last().map(|before| &entries[before.id])
    }

    /// Applies a line; gives the entry that has changed.
    fn apply(&mut self, line: &Line, entries: &mut Vec<Entry>) -> Option<usize> {
        let id = *self.by_key.get(&line.clip)?;
        let decided = match line.action {
            Action::Undo => return self.undo(entries),
            Action::Add => return self.add(id, line, entries),
            Action::Accept => "accepted",
            Action::Fix => "fixed",
            Action::Reject => "rejected",
        };
        let entry = &mut entries[id];
        self.done.push(Before {
            id,
            labels: entry.labels.clone(),
            decision: entry.decision,
            was_added: false,
        });
        entry.decision = Some(decided);
        entry.version += 1;
        if let Some(labels) = &line.labels {
            entry.labels = Some(labels.clone());
        }
        Some(id)
    }

    /// Makes a stretch of a clip a clip of its own.
    fn add(&mut self, of: usize, line: &Line, entries: &mut Vec<Entry>) -> Option<usize> {
        let id = entries.len();
        let entry = Entry {
            id,
            labels: line.labels.clone(),
            given: None,
            decision: Some("added"),
            version: 1,
            stretch_secs: Some(line.stretch_secs?),
            scores: Vec::new(),
            doubt: None,
            uncertainty: None,
            embedding: None,
            ..entries[of].clone()
        };
        let key = entry.key();
        if let Some(&there) = self.by_key.get(&key) {
            // The same stretch again: its labels are the new ones.
            let before = &mut entries[there];
            self.done.push(Before {
                id: there,
                labels: before.labels.clone(),
                decision: before.decision,
                was_added: false,
            });
            before.labels.clone_from(&line.labels);
            before.decision = Some("added");
            before.version += 1;
            return Some(there);
        }
        self.by_key.insert(key, id);
        self.done.push(Before {
            id,
            labels: None,
            decision: None,
            was_added: true,
        });
        entries.push(entry);
        Some(id)
    }

    fn undo(&mut self, entries: &mut [Entry]) -> Option<usize> {
        let before = self.done.pop()?;
        let entry = &mut entries[before.id];
        entry.labels = before.labels;
        // An entry that was made stays where it is, rejected, since ids are places in the list.
        entry.decision = match before.was_added {
            true => Some("rejected"),
            false => before.decision,
        };
        entry.version += 1;
        Some(before.id)
    }
}
