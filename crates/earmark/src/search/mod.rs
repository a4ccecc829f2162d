//! Nearest sounds: embeddings of a folder's recordings in one file; a sound's embedding in, the
//! recordings and stretches that sound most like it out.
//!
//! * [`update()`] makes the index or brings it up to date: new and changed recordings are heard,
//!   vanished ones dropped, all others kept.
//! * [`Index::open`] opens it, [`Index::search`] finds.
//!
//! The measure is the cosine of the embeddings' angle, from -1 to 1. The search is exact: every row is
//! compared, on all threads of the current rayon pool. Rows are half precision, which moves a cosine by
//! less than 0.001.
//!
//! # Why the file is read and not mapped
//! Rows pass through a small buffer per thread, so memory does not grow with the index and the system's
//! cache keeps what is searched often, as with a memory map. Unlike with one, a file that another
//! program cuts short while it is searched is an error and not the end of the process.

mod file;
mod scan;
mod update;

use std::path::{Path, PathBuf};

pub use file::IndexInfo;
pub use update::{UpdateEvent, UpdateOptions, UpdateSummary, update};

use crate::{Error, Result};

/// An open index.
#[derive(Debug)]
pub struct Index {
    file: file::IndexFile,
}

/// What a search is to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SearchOptions {
    /// The most hits.
    pub top: usize,
    /// Whether a recording is found once, by its nearest stretch, or by every stretch.
    pub once_per_recording: bool,
}

impl Default for SearchOptions {
    /// Ten recordings.
    fn default() -> Self {
        Self {
            top: 10,
            once_per_recording: true,
        }
    }
}

/// A stretch of a recording that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    /// The recording.
    pub path: PathBuf,
    /// Where the stretch begins, in seconds.
    pub start_secs: f64,
    /// Where it ends, in seconds.
    pub end_secs: f64,
    /// The cosine of the angle between the embeddings, from -1 to 1.
    pub score: f32,
}

impl Index {
    /// Opens an index and checks that everything in it is where it should be.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Index`] for a file that is none, is cut short or contradicts itself.
    pub fn open(path: &Path) -> Result<Self> {
        Ok(Self {
            file: file::IndexFile::open(path)?,
        })
    }

    /// What the index was made of.
    pub fn info(&self) -> &IndexInfo {
        self.file.info()
    }

    /// The folder that was indexed.
    pub fn root(&self) -> &Path {
        self.file.root()
    }

    /// The recordings in the index, as paths below [`Index::root`].
    pub fn recordings(&self) -> impl Iterator<Item = &Path> {
        let recordings = self.file.recordings().iter();
        recordings.map(|recording| recording.path.as_path())
    }

    /// Whether embeddings of a bundle with this SHA-256 can be compared with those in the index.
    ///
    /// # Errors
    /// [`Error::Index`] that names both models.
    pub fn check_model(&self, name: &str, sha256: &str) -> Result<()> {
        let info = self.info();
        if info.model_sha256 == sha256 {
            return Ok(());
        }
        Err(self.file.error(format!(
            "holds embeddings of the model {} ({}…), expected {name} ({}…)",
            info.model,
            info.model_sha256.get(..12).unwrap_or_default(),
            sha256.get(..12).unwrap_or_default()
        )))
    }

    /// The stretches nearest to an embedding, the nearest first; equally near ones in the order of the
    /// index.
    ///
    /// # Errors
    /// [`Error::Shape`] for an embedding of another length, [`Error::NotFinite`] for one with a value
    /// that is no number, [`Error::Io`] if the index cannot be read any more.
    pub fn search(&self, embedding: &[f32], options: &SearchOptions) -> Result<Vec<Hit>> {
        let dim = self.info().dim;
        if embedding.len() != dim {
            return Err(Error::Shape {
                what: "embedding".to_owned(),
                found: format!("{} values", embedding.len()),
                expected: format!("{dim}, as in the index"),
            });
        }
        if let Some(value) = embedding.iter().find(|value| !value.is_finite()) {
            return Err(Error::NotFinite {
                what: "value of an embedding".to_owned(),
                found: *value,
            });
        }
        let scores = scan::scores(&self.file, &unit(embedding))?;
        let hits = scan::nearest(&scores, self.file.rows(), options);
        Ok(hits
            .into_iter()
            .map(|(row, score)| self.hit(row, score))
            .collect())
    }

    fn hit(&self, row: usize, score: f32) -> Hit {
        let row = &self.file.rows()[row];
        Hit {
            path: self.root().join(self.file.path(row)),
            start_secs: row.start_secs,
            end_secs: row.end_secs,
            score,
        }
    }
}

/// The embedding with a length of 1; one of nothing but zeros stays as it is and is near to nothing.
fn unit(embedding: &[f32]) -> Vec<f32> {
    let square: f64 = embedding
        .iter()
        .map(|x| f64::from(*x) * f64::from(*x))
        .sum();
    let factor = if square > 0.0 {
        square.sqrt().recip()
    } else {
        0.0
    };
    embedding
        .iter()
        .map(|x| (f64::from(*x) * factor) as f32)
        .collect()
}
