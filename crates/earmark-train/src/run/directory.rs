//! The run directory: everything that a run was and found, as plain files.
//!
//! ```text
//! config.toml     the effective configuration        run.json        seed, versions, data, device
//! survey.json     the clips before training: classes, durations, problems
//! history.csv     one row per epoch                  scores.csv      one row per validation clip
//! classes.csv     one row per class                  evaluation.json all figures
//! model.onnx      the bundle                         checkpoint.safetensors
//! .lock           held while a run writes here
//! ```
//!
//! A run over all folds has a directory like this per fold, and the figures over all clips above.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use earmark::dataset::{Manifest, Vocabulary};
use earmark::eval::Evaluation;
use earmark::{Error, Result};
use serde::Serialize;

use crate::observer::EpochReport;
use crate::trainer::Scored;
use earmark::bundle::write_atomically;

/// A run's folder on disk, which no other run writes to meanwhile.
#[derive(Debug, Clone)]
pub struct RunDirectory {
    path: PathBuf,
    /// Locked until the last clone is dropped; the file stays.
    lock: Arc<File>,
}

impl RunDirectory {
    /// The folder, made if it is not there.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be made, or another run is writing to it. A file system that knows no locks
    /// cannot tell.
    pub fn create(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        fs_err::create_dir_all(&path)?;
        let mut options = fs_err::OpenOptions::new();
        options.create(true).truncate(false).write(true);
        let lock = options.open(path.join(".lock"))?.into_file();
        if let Err(TryLockError::WouldBlock) = lock.try_lock() {
            let message = format!(
                "{}: another run is writing to this directory, expected one that no other run uses",
                path.display()
            );
            return Err(std::io::Error::other(message).into());
        }
        let lock = Arc::new(lock);
        Ok(Self { path, lock })
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder of a fold in it.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be made.
    pub fn fold(&self, fold: usize) -> Result<Self> {
        let path = self.path.join(format!("fold-{fold}"));
        fs_err::create_dir_all(&path)?;
        let lock = self.lock.clone();
        Ok(Self { path, lock })
    }

    /// The bundle that the run ends in.
    pub fn bundle(&self) -> PathBuf {
        self.path.join("model.onnx")
    }

    /// The checkpoint that the run continues from; each stage has one of its own.
    pub fn checkpoint(&self, stage: u64) -> PathBuf {
        self.path.join(match stage {
            0 => "checkpoint.safetensors".to_owned(),
            stage => format!("checkpoint-{stage}.safetensors"),
        })
    }

    pub(crate) fn write_text(&self, name: &str, text: &str) -> Result<()> {
        write_atomically(&self.path.join(name), text.as_bytes())
    }

    pub(crate) fn write_json(&self, name: &str, value: &impl Serialize) -> Result<()> {
        let text = serde_json::to_string_pretty(value).map_err(|error| Error::Config {
            key: name.to_owned(),
            found: error.to_string(),
            expected: "must be writable as JSON".to_owned(),
        })?;
        self.write_text(name, &(text + "\n"))
    }

    /// One row per epoch; the figures are columns of their names, empty where an epoch was not judged.
    pub(super) fn write_history(&self, history: &[EpochReport]) -> Result<()> {
        let mut header = vec!["epoch", "learning_rate", "train_loss", "validation_loss"];
        let judged = history.iter().find(|report| !report.figures.is_empty());
        let figures = judged.map_or(&[][..], |report| &report.figures);
        header.extend(figures.iter().map(|figure| figure.name.as_str()));
        let number = |value: Option<f64>| value.map_or_else(String::new, |v| v.to_string());
        let rows = history.iter().map(|report| {
            let mut row = vec![
                (report.epoch + 1).to_string(),
                report.learning_rate.to_string(),
                report.train_loss.to_string(),
                number(report.validation_loss),
            ];
            row.extend(report.figures.iter().map(|figure| number(figure.value)));
            row.resize(header.len(), String::new());
            row
        });
        self.write_csv("history.csv", &header, rows)
    }

    /// Name, labels and scores of every clip, one score per class.
    pub(super) fn write_scores(
        &self,
        manifest: &Manifest,
        clips: &[usize],
        scored: &Scored,
    ) -> Result<()> {
        let vocabulary = &manifest.vocabulary;
        let mut header = vec!["clip", "labels"];
        header.extend(vocabulary.names());
        let rows = clips
            .iter()
            .zip(scored.scores.chunks(scored.n_classes))
            .map(|(&clip, scores)| {
                let clip = &manifest.clips[clip];
                let labels = clip
                    .labels
                    .iter()
                    .flatten()
                    .map(|&label| vocabulary.name(label));
                let labels: Vec<&str> = labels.collect();
                let has_comma = labels.iter().any(|label| label.contains(','));
                let divider = if has_comma { ";" } else { "," };
                let mut row = vec![clip.name.clone(), labels.join(divider)];
                row.extend(scores.iter().map(f32::to_string));
                row
            });
        self.write_csv("scores.csv", &header, rows)
    }

    /// Clips, precision, recall and average precision of every class.
    pub(super) fn write_classes(
        &self,
        vocabulary: &Vocabulary,
        evaluation: &Evaluation,
    ) -> Result<()> {
        let header = [
            "class",
            "n_clips",
            "precision",
            "recall",
            "f1",
            "average_precision",
            "roc_auc",
        ];
        let number = |value: Option<f64>| value.map_or_else(String::new, |v| v.to_string());
        let rows = evaluation.per_class.iter().map(|class| {
            vec![
                vocabulary.name(class.class).to_owned(),
                class.n_clips.to_string(),
                class.precision.to_string(),
                class.recall.to_string(),
                class.f1.to_string(),
                number(class.average_precision),
                number(class.roc_auc),
            ]
        });
        self.write_csv("classes.csv", &header, rows)
    }

    pub(crate) fn write_csv(
        &self,
        name: &str,
        header: &[&str],
        rows: impl Iterator<Item = Vec<String>>,
    ) -> Result<()> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        let broken = |error: csv::Error| Error::Io(error.into());
        writer.write_record(header).map_err(broken)?;
        for row in rows {
            writer.write_record(row).map_err(broken)?;
        }
        let bytes = writer
            .into_inner()
            .map_err(|error| Error::Io(error.into_error()))?;
        write_atomically(&self.path.join(name), &bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_runs_do_not_share_a_directory() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let first = RunDirectory::create(folder.path())?;
        let fold = first.fold(0)?;
        drop(first);
        let refused = RunDirectory::create(folder.path()).map(|_| ());
        let message = refused.expect_err("a fold is being trained").to_string();
        assert!(message.contains("another run"), "{message}");
        drop(fold);
        RunDirectory::create(folder.path())?;
        Ok(())
    }
}
