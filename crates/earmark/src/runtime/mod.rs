//! Runs a bundle's graph: features or waveforms in, logits and embeddings out.
//!
//! Two runtimes stand behind [`Runtime`]: `rten`, pure Rust and always there, and ONNX Runtime through
//! its shared library where one is found. Both compute one batch on one thread, so that files are
//! spread over cores by the caller, and both give the same numbers to within 1e-3 of a logit (the
//! differences measured on mn04 are below 1e-4).
//!
//! # Why rten
//!
//! Measured on mn04, 128 bands × 1000 frames, batch of one, one thread, 2-core AMD EPYC (AVX-512)
//! shared with other builds, fastest of 60 runs, 21 November 2026:
//!
//! | runtime | one clip | loading | building from nothing |
//! |---|---|---|---|
//! | ONNX Runtime 1.31.1 | 2.3 ms | not measured | nothing to build |
//! | rten 0.27.0 | 9.3 ms | 10 ms | 2 min |
//! | tract 0.23.9 | 9.3 ms | 160 ms for each input length | 12 min |
//!
//! tract's code is written for one input length at a time, so each new clip length is optimised anew;
//! rten takes any length. With equal speed, that and the building time decide. 97 % of rten's time
//! goes into convolutions, three quarters into depthwise ones, which it does not vectorise.

mod batch;
#[cfg(not(target_arch = "wasm32"))]
mod library;
#[cfg(not(target_arch = "wasm32"))]
mod onnxruntime;
mod rust;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use batch::Batch;

use crate::bundle::{Bundle, Input, Tensors};
use crate::{Error, Result};

/// What a network says of a batch, one row after the other.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Output {
    /// `[batch, class]`, before sigmoid or softmax.
    pub logits: Vec<f32>,
    /// `[batch, dim]`; empty for a graph without embedding.
    pub embedding: Vec<f32>,
}

/// Something that runs one graph. It is shared between threads and runs on the calling one.
pub trait Runtime: Send + Sync {
    /// The runtime's name and version, such as `onnxruntime 1.31.1`.
    fn name(&self) -> &str;

    /// Runs the graph.
    ///
    /// # Errors
    /// [`Error::Shape`] when the batch does not fit the graph, [`Error::Runtime`] when the runtime
    /// gives up.
    fn run(&self, batch: &Batch) -> Result<Output>;
}

/// Which runtime is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RuntimeChoice {
    /// ONNX Runtime where its library is found and takes the graph, otherwise the one in Rust.
    #[default]
    Auto,
    /// The one in Rust.
    Rust,
    /// ONNX Runtime; an error where it is not found.
    Onnxruntime,
}

/// How a runtime is chosen and found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuntimeOptions {
    /// Which runtime.
    pub choice: RuntimeChoice,
    /// ONNX Runtime's shared library. Without it, the first is taken that exists of: the file named by
    /// `ORT_DYLIB_PATH`; the folder of the running program; `LD_LIBRARY_PATH` and the system's library
    /// folders; the package `onnxruntime` of the Python in `VIRTUAL_ENV` or `CONDA_PREFIX`, or of the
    /// first `python3` on `PATH`. A process loads one library only, the first asked for.
    pub library: Option<PathBuf>,
}

impl From<RuntimeChoice> for RuntimeOptions {
    fn from(choice: RuntimeChoice) -> Self {
        Self {
            choice,
            library: None,
        }
    }
}

/// Loads a bundle's graph into a runtime. Waveforms are given to it with samples from -1 to 1, whatever
/// full scale the graph expects.
///
/// # Errors
/// [`Error::Runtime`] when the wished runtime is not there or refuses the graph.
pub fn load(bundle: &Bundle, options: impl Into<RuntimeOptions>) -> Result<Box<dyn Runtime>> {
    let metadata = bundle.metadata();
    let graph = Graph {
        file: bundle.file(),
        bytes: bundle.bytes(),
        tensors: &metadata.tensors,
    };
    let inner = load_graph(&graph, &options.into())?;
    Ok(Box::new(Checked {
        inner,
        file: bundle.file().to_owned(),
        n_classes: metadata.vocabulary.len(),
        full_scale: match &metadata.input {
            Input::Waveform(waveform) => waveform.full_scale,
            Input::Features(_) => 1.0,
        },
    }))
}

/// A graph that is not necessarily a bundle's.
#[derive(Clone, Copy, Debug)]
pub struct Graph<'a> {
    /// What errors call it.
    pub file: &'a str,
    /// An ONNX file.
    pub bytes: &'a [u8],
    /// The names of its input and outputs and the order of the input's axes.
    pub tensors: &'a Tensors,
}

/// Loads a graph into a runtime.
///
/// # Errors
/// As for [`load`].
pub fn load_graph(graph: &Graph<'_>, options: &RuntimeOptions) -> Result<Box<dyn Runtime>> {
    let rust = || Ok(Box::new(rust::RustRuntime::load(graph)?) as Box<dyn Runtime>);
    match options.choice {
        RuntimeChoice::Rust => rust(),
        RuntimeChoice::Onnxruntime => load_onnxruntime(graph, options),
        // Whichever runs is reported by its name, so falling back is no secret.
        RuntimeChoice::Auto => load_onnxruntime(graph, options).or_else(|_: Error| rust()),
    }
}

#[cfg(not(target_arch = "wasm32"))]
fn load_onnxruntime(graph: &Graph<'_>, options: &RuntimeOptions) -> Result<Box<dyn Runtime>> {
    let loaded = onnxruntime::OnnxRuntime::load(graph, options.library.as_deref())?;
    Ok(Box::new(loaded))
}

/// WebAssembly loads no shared libraries.
#[cfg(target_arch = "wasm32")]
fn load_onnxruntime(_: &Graph<'_>, _: &RuntimeOptions) -> Result<Box<dyn Runtime>> {
    Err(Error::Runtime {
        runtime: "onnxruntime",
        reason: "there are no shared libraries in WebAssembly".to_owned(),
    })
}

/// A runtime whose input is scaled as the bundle says and whose output is held against the vocabulary.
struct Checked {
    inner: Box<dyn Runtime>,
    file: String,
    n_classes: usize,
    /// The value of a full-scale sample in the graph's input.
    full_scale: f32,
}

impl Runtime for Checked {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn run(&self, batch: &Batch) -> Result<Output> {
        let output = if self.full_scale == 1.0 {
            self.inner.run(batch)?
        } else {
            let scaled = batch.data().iter().map(|sample| sample * self.full_scale);
            self.inner
                .run(&Batch::new(batch.shape().to_vec(), scaled.collect())?)?
        };
        let found = output.logits.len();
        let expected = batch.n_rows() * self.n_classes;
        if found != expected {
            return Err(Error::Shape {
                what: format!("{}: values for {} segments", self.file, batch.n_rows()),
                found: found.to_string(),
                expected: format!("{expected}, one for each of {} classes", self.n_classes),
            });
        }
        Ok(output)
    }
}
