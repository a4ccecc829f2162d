//! [`Card`]: what people say of a bundle, as a table of a TOML file.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Bundle, Licence};
use crate::{Error, Result};

/// What a bundle says of itself beside what was found out: the `[bundle]` table of a training
/// configuration, or the file of `earmark bundle describe`. What is left out stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Card {
    /// Its name.
    pub name: Option<String>,
    /// What it is for and where it ends, in a few sentences.
    pub description: Option<String>,
    /// What it was trained on, with licences.
    pub data: Option<String>,
    /// Its terms of use.
    pub licence: Option<Licence>,
    /// Figures by name, added to those it has.
    pub metrics: BTreeMap<String, f64>,
}

impl Card {
    /// Reads a file.
    ///
    /// # Errors
    /// [`Error::Io`], and [`Error::Line`] for text that does not parse and unknown keys.
    pub fn open(path: &Path) -> Result<Self> {
        let text = fs_err::read_to_string(path)?;
        toml::from_str(&text)
            .map_err(|error| Error::toml(&path.display().to_string(), &text, &error))
    }
}

impl Bundle {
    /// The same model with another card.
    ///
    /// # Errors
    /// [`Error::Bundle`] if the metadata does not make sense then, such as an empty name.
    pub fn described(&self, card: &Card) -> Result<Self> {
        let mut metadata = self.metadata().clone();
        let Card {
            name,
            description,
            data,
            licence,
            metrics,
        } = card.clone();
        if let Some(name) = name {
            metadata.name = name;
        }
        if let Some(description) = description {
            metadata.description = description;
        }
        metadata.provenance.data = data.or(metadata.provenance.data);
        metadata.provenance.metrics.extend(metrics);
        metadata.licence = licence.or(metadata.licence);
        self.with_metadata(metadata)
    }
}
