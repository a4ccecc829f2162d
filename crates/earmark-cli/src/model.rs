//! `--model FILE|NAME`: the bundle to tag with.

use std::path::Path;

use anyhow::Context as _;
use clap::ValueEnum;
use earmark::bundle::Bundle;
use earmark::runtime::RuntimeChoice;
use sha2::{Digest as _, Sha256};

use crate::commands::bundle::ModelStore;
use crate::errors::Hinted;
use crate::resume::hex;

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

/// Opens the bundle that the user names: a file, or a model that `earmark bundle pull` has fetched.
///
/// # Errors
/// When there is no such bundle or it cannot be read.
pub(crate) fn open(model: Option<&Path>, store: &ModelStore) -> anyhow::Result<Bundle> {
    let Some(model) = model else {
        return default_bundle();
    };
    let opened = match model.to_str() {
        Some(name) => store.open(name),
        // Names are text; this can only be a file.
        None => Bundle::open(model),
    };
    opened.with_context(|| format!("cannot open the model {}", model.display()))
}

/// The bundle that is used when none is named.
fn default_bundle() -> anyhow::Result<Bundle> {
    Err(Hinted::error(
        "no model is given",
        "name one with --model: a bundle's file, or a model from `earmark bundle list`",
    ))
}

/// The SHA-256 of the bundle's file, in hexadecimal.
pub(crate) fn digest(bundle: &Bundle) -> String {
    hex(&Sha256::digest(bundle.bytes()))
}
