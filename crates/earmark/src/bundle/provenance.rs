//! Where a bundle comes from: what made it, from what, and under which licence it may be used.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How a bundle came to be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// What was done to make it.
    pub origin: Origin,
    /// The program and version that wrote the file, such as `earmark 0.1.0`.
    pub code_version: String,
    /// The file that weights or graph were taken from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceFile>,
    /// The effective training configuration, as TOML text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<String>,
    /// The seed of the training run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// The SHA-256 of the training data's manifest, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_digest: Option<String>,
    /// What the training data is, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// Figures by name, such as `mAP` (0 to 1) on the data that `data` names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metrics: BTreeMap<String, f64>,
}

/// What was done to make a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// Weights of another program were put into a graph of ours.
    Imported,
    /// Metadata was added to another program's graph.
    Wrapped,
    /// The network was trained by Earmark.
    Trained,
}

/// A file that went into a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceFile {
    /// Its name without folders.
    pub file: String,
    /// The SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
    /// Where it was downloaded from, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// Under which terms a bundle may be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Licence {
    /// An SPDX expression, such as `MIT` or `MIT AND CC-BY-4.0`.
    pub spdx: String,
    /// Who is to be named, and anything else the terms ask to be told; one sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attribution: Vec<String>,
}

impl Provenance {
    /// A provenance that says only what was done, by this version of the program.
    pub fn new(origin: Origin) -> Self {
        Self {
            origin,
            code_version: concat!("earmark ", env!("CARGO_PKG_VERSION")).to_owned(),
            source: None,
            config: None,
            seed: None,
            data_digest: None,
            data: None,
            metrics: BTreeMap::new(),
        }
    }
}

impl Origin {
    /// The word for it in a sentence.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Imported => "imported",
            Self::Wrapped => "wrapped",
            Self::Trained => "trained",
        }
    }
}
