//! The model file: one `.onnx` that any ONNX tool opens and that carries in its metadata everything
//! that tagging needs.
//!
//! In: bytes of a file, or a graph and its [`Metadata`]. Out: a [`Bundle`] that is checked, or a file
//! that is either whole or not there. The tagger reads front end, vocabulary, segments and scoring
//! from it; training and `earmark bundle` write it.
//!
//! Graphs of ours take `features` `[batch, channel, band, frame]` (`f32`, batch and frame of any
//! length) and give `logits` `[batch, class]` and `embedding` `[batch, dim]`. Graphs of other
//! programs keep their names and shapes, which [`Tensors`] states.

mod atomic;
#[cfg(not(target_arch = "wasm32"))]
mod cache;
mod card;
mod container;
#[cfg(not(target_arch = "wasm32"))]
mod download;
mod graph;
#[cfg(not(target_arch = "wasm32"))]
mod import;
mod metadata;
pub mod onnx;
mod output;
mod provenance;
mod registry;
mod segment;
mod tensors;
mod waveform;
mod wrap;

use std::path::Path;
use std::sync::Arc;

#[cfg(not(target_arch = "wasm32"))]
pub(crate) use atomic::write_atomically_with;
pub use atomic::{OutputPlace, write_atomically};
#[cfg(not(target_arch = "wasm32"))]
pub use cache::{Cache, CacheState, find_model};
pub use card::Card;
pub use container::OPSETS;
#[cfg(not(target_arch = "wasm32"))]
pub use download::{DownloadOptions, Progress};
#[cfg(not(target_arch = "wasm32"))]
pub use import::{ImportOptions, import_weights};
pub use metadata::{FORMAT_VERSION, Input, Metadata, WaveformInput};
pub use output::{Activation, Calibration, Task, Thresholds, scores_in_place};
pub use provenance::{Licence, Origin, Provenance, SourceFile};
pub use registry::{FileFormat, Registry, RegistryEntry, is_sha256};
pub use segment::{
    Aggregation, LastSegment, MIN_HOP_SECS, Padding, Segment, SegmentConfig, Segmenter,
};
pub use tensors::{Axis, Tensors};
pub use wrap::{VocabularySource, WrapConfig, WrapOutput, wrap};

use crate::{Error, Result};

/// The largest file that is opened, in bytes: protobuf cannot describe a larger message.
const MAX_BYTES: u64 = (1 << 31) - 1;

/// A tagger in one file: an ONNX graph and its metadata, each checked.
///
/// Cloning is cheap: the bytes are shared.
#[derive(Clone, Debug)]
pub struct Bundle {
    file: String,
    bytes: Arc<[u8]>,
    metadata: Metadata,
    opset: u64,
    producer: String,
}

impl Bundle {
    /// Opens a bundle.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Bundle`] when the file is empty, truncated, not ONNX, of another
    /// operator set, or its metadata does not make sense; [`Error::NotABundle`] for ONNX without
    /// metadata of ours; [`Error::BundleVersion`] for a newer format.
    pub fn open(path: &Path) -> Result<Self> {
        let file = path.display().to_string();
        let size = fs_err::metadata(path)?.len();
        if size > MAX_BYTES {
            return Err(Error::Bundle {
                name: file,
                reason: format!("is {size} bytes long, expected at most {MAX_BYTES}"),
            });
        }
        Self::from_bytes(&file, fs_err::read(path)?)
    }

    /// Opens a bundle from memory; `file` is what errors call it.
    ///
    /// # Errors
    /// As for [`Bundle::open`].
    pub fn from_bytes(file: &str, bytes: impl Into<Arc<[u8]>>) -> Result<Self> {
        let bytes = bytes.into();
        let shell = container::Shell::read(file, &bytes)?;
        let metadata = Metadata::from_properties(file, &shell.properties)?;
        Ok(Self {
            file: file.to_owned(),
            bytes,
            metadata,
            opset: shell.opset,
            producer: shell.producer,
        })
    }

    /// Puts metadata beside a graph. `graph` is an ONNX file, `file` what errors call it. Metadata of
    /// ours that it has is replaced; everything else in it stays byte for byte.
    ///
    /// # Errors
    /// [`Error::Bundle`] when `graph` is no ONNX file, and as for [`Metadata::check`].
    pub fn new(file: &str, graph: &[u8], metadata: Metadata) -> Result<Self> {
        metadata.check()?;
        let shell = container::Shell::read(file, graph)?;
        let bytes = container::with_properties(graph, &metadata.to_properties());
        Ok(Self {
            file: file.to_owned(),
            bytes: bytes.into(),
            metadata,
            opset: shell.opset,
            producer: shell.producer,
        })
    }

    /// The same graph with other metadata.
    ///
    /// # Errors
    /// As for [`Metadata::check`].
    pub fn with_metadata(&self, metadata: Metadata) -> Result<Self> {
        Self::new(&self.file, &self.bytes, metadata)
    }

    /// Writes the file so that `path` never names half of it.
    ///
    /// # Errors
    /// [`Error::Io`] with the path.
    pub fn save(&self, path: &Path) -> Result<()> {
        write_atomically(path, &self.bytes)
    }

    /// What is known about the graph.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The whole file, an ONNX `ModelProto`: what an ONNX runtime is given.
    pub fn bytes(&self) -> &Arc<[u8]> {
        &self.bytes
    }

    /// What the file is called in messages.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The version of the ONNX operators that the graph uses.
    pub fn opset(&self) -> u64 {
        self.opset
    }

    /// The program that wrote the graph, empty if it does not say.
    pub fn producer(&self) -> &str {
        &self.producer
    }
}
