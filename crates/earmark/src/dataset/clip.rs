//! [`Clip`]: one labelled recording, or a stretch of one, with everything that a data set says of it.

use std::path::PathBuf;
use std::sync::Arc;

use crate::audio::{AudioStream, OpenOptions, Waveform};
use crate::{Error, Result};

/// Which part of a data set a clip belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// May be trained on. Folds divide this part.
    #[default]
    Train,
    /// Set aside by the data set's makers for choosing settings.
    Validation,
    /// Set aside by the data set's makers for the final figure.
    Test,
}

impl Split {
    /// The lower-case name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Test => "test",
        }
    }

    /// The split that a folder's or a table's word stands for, such as `val` or `eval`.
    pub fn from_word(word: &str) -> Option<Self> {
        match word.trim().to_lowercase().as_str() {
            "train" | "training" | "dev" | "development" => Some(Self::Train),
            "val" | "valid" | "validation" => Some(Self::Validation),
            "test" | "testing" | "eval" | "evaluation" => Some(Self::Test),
            _ => None,
        }
    }
}

/// How far labels can be trusted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Quality {
    /// A person checked the labels, or the data set does not tell qualities apart.
    #[default]
    Curated,
    /// Nobody checked the labels.
    Noisy,
}

/// Where a clip is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The table's name.
    pub file: Arc<str>,
    /// The line in it, from 1.
    pub line: usize,
}

/// One recording of a data set, or a stretch of one.
#[derive(Clone, Debug, PartialEq)]
pub struct Clip {
    /// The name that the data set gives it: a file name, or a path below the data set's folder.
    pub name: String,
    /// The audio file. It may be missing; see [`Manifest::missing`](super::Manifest::missing).
    pub path: PathBuf,
    /// Classes that are present, ascending, each once. `Some` and empty for a negative: a clip that
    /// holds none of the classes and is trained as such. `None` where nobody says (a test set whose
    /// labels are kept back).
    pub labels: Option<Vec<usize>>,
    /// The part of the data set.
    pub split: Split,
    /// The fold that the data set's makers gave it, from 0.
    pub fold: Option<usize>,
    /// How much it counts in the training loss; 1 unless the table says otherwise, at least 0.
    pub weight: f32,
    /// How far its labels can be trusted.
    pub quality: Quality,
    /// The original recording that it was cut from. Clips of one source never lie on both sides of a
    /// fold. `None` where nobody says; then the clip is its own source.
    pub source: Option<String>,
    /// The stretch of the file, start and end in seconds; `None` for the whole file.
    pub stretch_secs: Option<(f64, f64)>,
    /// Where it is listed; `None` for clips found in folders.
    pub origin: Option<Origin>,
}

impl Clip {
    /// Whether it is known to hold none of the classes.
    pub fn is_negative(&self) -> bool {
        self.labels.as_ref().is_some_and(Vec::is_empty)
    }

    /// Where to look when something is wrong with it: `table:line`, or the clip's name.
    pub fn place(&self) -> String {
        match &self.origin {
            Some(origin) => format!("{}:{}", origin.file, origin.line),
            None => self.name.clone(),
        }
    }

    /// Decodes the clip, mixed to one channel: the file, or its stretch.
    ///
    /// # Errors
    /// What the decoder says of the file, or [`Error::Dataset`] for a stretch behind its end.
    pub fn read(&self, options: &OpenOptions) -> Result<Waveform> {
        let sample_rate = AudioStream::open(self.path.as_path(), options)?.sample_rate();
        let mut samples = Err(Error::Dataset {
            path: self.path.clone(),
            reason: "nothing to decode".to_owned(),
        });
        super::cache::read_stretches(&self.path, options, &[self.stretch_secs], |_, found| {
            samples = found;
            true
        })?;
        Ok(Waveform {
            samples: samples?,
            sample_rate,
        })
    }
}
