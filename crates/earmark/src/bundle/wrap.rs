//! Another program's ONNX tagger becomes a bundle: its file and a small description in, the same file
//! with metadata added out. Not a byte of the original is changed.
//!
//! The description is TOML; `docs/bundle-format.md` has an example with every key.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::registry::toml_error;
use super::{
    Activation, Bundle, Calibration, Input, Licence, Metadata, Origin, Provenance, SegmentConfig,
    SourceFile, Task, Tensors, Thresholds, WaveformInput, container, graph, onnx,
};
use crate::dataset::Vocabulary;
use crate::digest::sha256_of_bytes;
use crate::features::FrontEndConfig;
use crate::{Error, Result};

/// What is to be known about another program's tagger.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrapConfig {
    /// The bundle's short name.
    pub name: String,
    /// What it is, as Markdown.
    #[serde(default)]
    pub description: String,
    /// The front end whose features it takes; either this or `waveform`.
    pub front_end: Option<FrontEndConfig>,
    /// The waveform that it takes; either this or `front_end`.
    pub waveform: Option<WaveformInput>,
    /// The names of its tensors.
    pub tensors: Tensors,
    /// The classes in the order of its outputs.
    pub vocabulary: VocabularySource,
    /// How clips are cut into segments.
    pub segment: SegmentConfig,
    /// What turns its output into scores.
    pub output: WrapOutput,
    /// What makes the scores into probabilities.
    pub calibration: Option<Calibration>,
    /// From which score on a class counts as heard.
    #[serde(default)]
    pub thresholds: Thresholds,
    /// The terms of use.
    pub licence: Option<Licence>,
}

/// What turns an output into scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrapOutput {
    /// The function; `identity` when the graph puts out scores.
    pub activation: Activation,
    /// How many classes a clip may have.
    pub task: Task,
}

/// Where the classes are listed.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(
    untagged,
    expecting = "the path of a CSV file, `\"audioset\"`, or a list of names"
)]
pub enum VocabularySource {
    /// `audioset`, or the path of a CSV file, relative to the description.
    Named(PathBuf),
    /// The classes themselves.
    Listed(Vocabulary),
}

impl WrapConfig {
    /// Reads a description; paths in it are relative to it.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Line`].
    pub fn open(path: &Path) -> Result<Self> {
        let text = fs_err::read_to_string(path)?;
        let name = path.display().to_string();
        let mut config: Self =
            toml::from_str(&text).map_err(|error| toml_error(&name, &text, &error))?;
        if let (VocabularySource::Named(csv), Some(folder)) =
            (&mut config.vocabulary, path.parent())
            && csv.as_os_str() != AUDIO_SET
        {
            *csv = folder.join(&*csv);
        }
        Ok(config)
    }

    fn input(&self) -> Result<Input> {
        match (&self.front_end, self.waveform) {
            (Some(front_end), None) => Ok(Input::Features(front_end.clone())),
            (None, Some(waveform)) => Ok(Input::Waveform(waveform)),
            (front_end, _) => Err(Error::Config {
                key: "front_end".to_owned(),
                found: match front_end {
                    Some(_) => "given beside `waveform`".to_owned(),
                    None => "missing, as is `waveform`".to_owned(),
                },
                expected: "expected exactly one of them".to_owned(),
            }),
        }
    }

    fn vocabulary(&self) -> Result<Vocabulary> {
        match &self.vocabulary {
            VocabularySource::Listed(vocabulary) => Ok(vocabulary.clone()),
            VocabularySource::Named(name) if name.as_os_str() == AUDIO_SET => {
                Ok(Vocabulary::audio_set().clone())
            }
            VocabularySource::Named(csv) => Vocabulary::from_csv(csv),
        }
    }
}

/// The name of the built-in vocabulary.
const AUDIO_SET: &str = "audioset";

/// Makes a bundle of another program's ONNX file.
///
/// # Errors
/// [`Error::Io`]; [`Error::Bundle`] when the file is no ONNX, is a bundle already, or its graph is not
/// what the description says; [`Error::Config`] and others for a description that cannot be.
pub fn wrap(path: &Path, config: &WrapConfig) -> Result<Bundle> {
    let file = path.display().to_string();
    let bytes = fs_err::read(path)?;
    let shell = container::Shell::read(&file, &bytes)?;
    if shell
        .properties
        .iter()
        .any(|(key, _)| key.starts_with(container::PREFIX))
    {
        return Err(Error::Bundle {
            name: file,
            reason: "is a bundle already".to_owned(),
        });
    }
    let mut provenance = Provenance::new(Origin::Wrapped);
    provenance.source = Some(SourceFile {
        file: path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned(),
        sha256: sha256_of_bytes(&bytes),
        url: None,
    });
    let metadata = Metadata {
        name: config.name.clone(),
        description: config.description.clone(),
        input: config.input()?,
        tensors: config.tensors.clone(),
        vocabulary: config.vocabulary()?,
        segment: config.segment.clone(),
        activation: config.output.activation,
        task: config.output.task,
        calibration: config.calibration.clone(),
        thresholds: config.thresholds.clone(),
        provenance,
        licence: config.licence.clone(),
        architecture: None,
    };
    metadata.check()?;
    graph::check(&file, &onnx::decode(&file, bytes.clone())?, &metadata)?;
    Bundle::new(&file, &bytes, metadata)
}
