//! Weights of other programs become a bundle: a `.pt` or `.safetensors` file in, a graph of ours with
//! metadata out. Nothing in the file is executed.

use std::collections::BTreeMap;
use std::path::Path;

use super::registry::Registry;
use super::{
    Activation, Bundle, Licence, Metadata, Origin, Provenance, SegmentConfig, SourceFile, Task,
    Tensors, onnx,
};
use crate::dataset::Vocabulary;
use crate::digest::sha256_of;
use crate::features::FrontEndConfig;
use crate::model::{Architecture, import};
use crate::{Error, Result};

/// What is to be said about imported weights; what is left out is found or left unsaid.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ImportOptions {
    /// The bundle's name; by default the registry's for a known file, else the architecture's.
    pub name: Option<String>,
    /// The bundle's description; by default the registry's for a known file.
    pub description: String,
    /// The classes in the order of the outputs; by default AudioSet's for 527 outputs.
    pub vocabulary: Option<Vocabulary>,
    /// What turns the logits into scores.
    pub activation: Activation,
    /// The terms of use; by default the registry's for a known file.
    pub licence: Option<Licence>,
    /// Figures by name; by default the registry's for a known file.
    pub metrics: BTreeMap<String, f64>,
    /// Where the file comes from; by default its name and hash.
    pub source: Option<SourceFile>,
}

/// Makes a bundle of `EfficientAT` weights. Width and head follow from the tensors' shapes.
///
/// # Errors
/// [`Error::Io`]; [`Error::Weights`] when the file is damaged, of no known network, or has another
/// number of classes than the vocabulary; [`Error::NeedsVocabulary`] when there is no vocabulary for
/// its number of classes.
pub fn import_weights(path: &Path, options: &ImportOptions) -> Result<Bundle> {
    let file = path.display().to_string();
    let (architecture, weights) = import::efficient_at(&file, import::read(path)?)?;
    let vocabulary = vocabulary(&file, &architecture, options)?;
    let model = onnx::build(&architecture, &weights)?;
    let metadata = metadata(path, architecture, vocabulary, options)?;
    Bundle::new(&file, &onnx::encode(&model), metadata)
}

fn vocabulary(
    file: &str,
    architecture: &Architecture,
    options: &ImportOptions,
) -> Result<Vocabulary> {
    let n_classes = architecture.n_classes;
    let audio_set = Vocabulary::audio_set();
    match &options.vocabulary {
        Some(vocabulary) if vocabulary.len() != n_classes => Err(Error::Weights {
            name: file.to_owned(),
            reason: format!(
                "the network has {n_classes} classes, the vocabulary has {}",
                vocabulary.len()
            ),
        }),
        Some(vocabulary) => Ok(vocabulary.clone()),
        None if n_classes == audio_set.len() => Ok(audio_set.clone()),
        None => Err(Error::NeedsVocabulary {
            name: file.to_owned(),
            n_classes,
        }),
    }
}

fn metadata(
    path: &Path,
    architecture: Architecture,
    vocabulary: Vocabulary,
    options: &ImportOptions,
) -> Result<Metadata> {
    let source = match &options.source {
        Some(source) => source.clone(),
        None => SourceFile {
            file: path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
            sha256: sha256_of(path)?,
            url: None,
        },
    };
    // A file that the registry knows by its hash has a name, a home and terms, wherever it lies.
    let registry = Registry::built_in();
    let known = registry.entries().iter().find(|entry| {
        let hash = entry.sha256.as_deref().unwrap_or("");
        hash.eq_ignore_ascii_case(&source.sha256)
    });
    let known_name = known.map(|entry| entry.name.clone());
    let name = options
        .name
        .clone()
        .or(known_name)
        .unwrap_or_else(|| architecture.name.clone());
    let mut provenance = Provenance::new(Origin::Imported);
    provenance.metrics = options.metrics.clone();
    provenance.source = Some(source);
    let mut metadata = Metadata {
        description: options.description.clone(),
        activation: options.activation,
        task: match options.activation {
            Activation::Softmax => Task::SingleLabel,
            _ => Task::MultiLabel,
        },
        tensors: Tensors::features(),
        licence: options.licence.clone(),
        architecture: Some(architecture),
        ..Metadata::new(
            name,
            FrontEndConfig::efficient_at(),
            vocabulary,
            SegmentConfig::efficient_at(),
            provenance,
        )
    };
    if let Some(entry) = known {
        if metadata.description.is_empty() {
            metadata.description.clone_from(&entry.description);
        }
        if metadata.provenance.metrics.is_empty() {
            metadata.provenance.metrics.clone_from(&entry.metrics);
        }
        metadata.licence = metadata.licence.or_else(|| Some(entry.licence.clone()));
        if let Some(source) = &mut metadata.provenance.source {
            source.url = source.url.take().or_else(|| Some(entry.url.clone()));
        }
    }
    Ok(metadata)
}
