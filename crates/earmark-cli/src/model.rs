//! `--model FILE|NAME`: the bundle to tag with.

use std::path::Path;

use anyhow::Context as _;
use clap::ValueEnum;
use earmark::bundle::Bundle;
use earmark::runtime::RuntimeChoice;

use crate::commands::bundle::ModelStore;

/// What runs the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RuntimeArg {
    /// ONNX Runtime where its library is found, else the built-in one.
    Auto,
    /// The built-in one.
    Rust,
    /// ONNX Runtime.
    Onnxruntime,
}

impl From<RuntimeArg> for RuntimeChoice {
    fn from(runtime: RuntimeArg) -> Self {
        match runtime {
            RuntimeArg::Auto => Self::Auto,
            RuntimeArg::Rust => Self::Rust,
            RuntimeArg::Onnxruntime => Self::Onnxruntime,
        }
    }
}

/// The name by which the bundle inside the program can be asked for.
pub(crate) const BUILT_IN: &str = "built-in";

/// The bundle inside the program; `configs/shipped` says how it was made.
static BUILT_IN_BYTES: &[u8] = include_bytes!("../assets/built-in.onnx");

/// The bundle that is used when none is named: a small one of our own, which needs no network.
///
/// # Errors
/// Never for a program that passed its tests.
pub(crate) fn built_in() -> earmark::Result<Bundle> {
    Bundle::from_bytes(BUILT_IN, BUILT_IN_BYTES)
}

/// Opens the bundle that the user names: a file, or a model that `earmark bundle pull` has fetched;
/// without a name the built-in one.
///
/// # Errors
/// When there is no such bundle or it cannot be read.
pub(crate) fn open(model: Option<&Path>, store: &ModelStore) -> anyhow::Result<Bundle> {
    let Some(model) = model else {
        return Ok(built_in()?);
    };
    let opened = match model.to_str() {
        Some(name) => store.open(name),
        // Names are text; this can only be a file.
        None => Bundle::open(model),
    };
    opened.with_context(|| format!("cannot open the model {}", model.display()))
}
