//! Checkpoints: the whole state of a run in one file, written so that a kill never leaves half of it.
//!
//! The file is in the safetensors format: one tensor per parameter and purpose, and the remaining
//! numbers as TOML in its metadata (which, unlike JSON here, gives every float back exactly). It also carries a fingerprint of the run (settings, data,
//! architecture); a checkpoint of another run is refused instead of mixed in.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use earmark::bundle::write_atomically;
use earmark::{Error, Result};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The version of the layout; another one is refused.
const VERSION: &str = "1";

/// The state of a run as a checkpoint holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct Saved {
    numbers: String,
    tensors: BTreeMap<String, Vec<f32>>,
    path: PathBuf,
}

impl Saved {
    /// A state with these numbers and no tensors yet.
    ///
    /// # Panics
    /// If the numbers cannot be written as TOML: they are plain structs.
    pub fn new(numbers: &impl Serialize) -> Self {
        Self {
            numbers: toml::to_string(numbers).expect("plain structs become TOML"),
            tensors: BTreeMap::new(),
            path: PathBuf::new(),
        }
    }

    /// Adds a tensor: what it is of which parameter.
    pub fn put(&mut self, part: &str, parameter: &str, values: Vec<f32>) {
        self.tensors.insert(format!("{part}/{parameter}"), values);
    }

    /// A tensor of `n_values`, if the state has it.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] if it has another length.
    pub fn get(&self, part: &str, parameter: &str, n_values: usize) -> Result<Option<Vec<f32>>> {
        let name = format!("{part}/{parameter}");
        match self.tensors.get(&name) {
            Some(values) if values.len() != n_values => Err(Error::Checkpoint {
                path: self.path.clone(),
                reason: format!("`{name}` has {} values, expected {n_values}", values.len()),
            }),
            values => Ok(values.cloned()),
        }
    }

    /// The numbers.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] if they are of another kind.
    pub fn numbers<T: DeserializeOwned>(&self) -> Result<T> {
        toml::from_str(&self.numbers).map_err(|error| Error::Checkpoint {
            path: self.path.clone(),
            reason: format!("its state is not readable: {error}"),
        })
    }

    /// The error for a parameter that the file lacks.
    pub fn missing(&self, parameter: &str) -> Error {
        Error::Checkpoint {
            path: self.path.clone(),
            reason: format!("has no value for `{parameter}`"),
        }
    }
}

/// A checkpoint's place on disk and the run that it belongs to.
#[derive(Debug, Clone)]
pub struct CheckpointFile {
    path: PathBuf,
    fingerprint: String,
}

impl CheckpointFile {
    /// The checkpoint at `path` of the run with this fingerprint.
    pub fn new(path: impl Into<PathBuf>, fingerprint: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            fingerprint: fingerprint.into(),
        }
    }

    /// Writes the state beside the old file and then puts it in its place.
    ///
    /// # Errors
    /// [`Error::Io`] if the disk is full or not writable; the old checkpoint stays as it was.
    pub fn write(&self, saved: &Saved) -> Result<()> {
        let bytes: Vec<(&String, Vec<u8>)> = saved
            .tensors
            .iter()
            .map(|(name, values)| (name, values.iter().flat_map(|v| v.to_le_bytes()).collect()))
            .collect();
        let damaged = |reason: String| Error::Checkpoint {
            path: self.path.clone(),
            reason,
        };
        let mut views = Vec::with_capacity(bytes.len());
        for (name, data) in &bytes {
            let view = TensorView::new(Dtype::F32, vec![data.len() / 4], data)
                .map_err(|error| damaged(error.to_string()))?;
            views.push((name.as_str(), view));
        }
        let metadata = HashMap::from([
            ("version".to_owned(), VERSION.to_owned()),
            ("run".to_owned(), self.fingerprint.clone()),
            ("state".to_owned(), saved.numbers.clone()),
        ]);
        let file = safetensors::serialize(views, Some(metadata))
            .map_err(|error| damaged(error.to_string()))?;
        write_atomically(&self.path, &file)
    }

    /// The saved state, or `None` if there is no file.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] if the file is damaged, of another version or of another run.
    pub fn read(&self) -> Result<Option<Saved>> {
        let bytes = match fs_err::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let refuse = |reason: String| Error::Checkpoint {
            path: self.path.clone(),
            reason,
        };
        let damaged = |error: safetensors::SafeTensorError| refuse(format!("damaged: {error}"));
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(damaged)?;
        let file = SafeTensors::deserialize(&bytes).map_err(damaged)?;
        let metadata = header.metadata().clone().unwrap_or_default();
        let entry = |key: &str| metadata.get(key).cloned().unwrap_or_default();
        if entry("version") != VERSION {
            let found = entry("version");
            return Err(refuse(format!(
                "checkpoint version `{found}`, expected `{VERSION}`"
            )));
        }
        if entry("run") != self.fingerprint {
            return Err(refuse(
                "belongs to a run with other settings or data, or of another version".to_owned(),
            ));
        }
        let values = |view: &TensorView<'_>| {
            let number = |b: &[u8]| f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
            view.data().chunks_exact(4).map(number).collect()
        };
        Ok(Some(Saved {
            numbers: entry("state"),
            tensors: file
                .iter()
                .map(|(name, view)| (name.to_owned(), values(&view)))
                .collect(),
            path: self.path.clone(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    struct Numbers {
        epoch: usize,
        loss: f64,
    }

    const NUMBERS: Numbers = Numbers {
        epoch: 3,
        loss: 1.5462036800558663,
    };

    #[test]
    fn a_state_survives_its_file_bit_for_bit() {
        let folder = tempfile::tempdir().unwrap();
        let file = CheckpointFile::new(folder.path().join("checkpoint.safetensors"), "run a");
        assert!(file.read().unwrap().is_none());
        let mut saved = Saved::new(&NUMBERS);
        saved.put("value", "a.weight", vec![0.1, -0.0, f32::MIN_POSITIVE]);
        file.write(&saved).unwrap();
        let back = file.read().unwrap().unwrap();
        assert_eq!(back.tensors, saved.tensors);
        assert_eq!(back.numbers::<Numbers>().unwrap(), NUMBERS);
        assert!(back.get("value", "a.weight", 4).is_err());
    }

    #[test]
    fn a_checkpoint_of_another_run_and_a_damaged_one_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoint.safetensors");
        CheckpointFile::new(&path, "run a")
            .write(&Saved::new(&NUMBERS))
            .unwrap();
        let error = CheckpointFile::new(&path, "run b").read().unwrap_err();
        assert!(
            error.to_string().contains("other settings or data"),
            "{error}"
        );
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        let error = CheckpointFile::new(&path, "run a").read().unwrap_err();
        assert!(error.to_string().contains("damaged"), "{error}");
    }
}
