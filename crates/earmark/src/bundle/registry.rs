//! Models that can be fetched by name: a table of addresses, sizes, hashes and licences.
//!
//! The built-in table lists public weights; an organisation keeps its own in a file of the same form.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Licence;
use crate::dataset::nearest;
use crate::{Error, Result};

/// Names and what to fetch for them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registry {
    /// In the order of the file; names are distinct.
    #[serde(rename = "model", default)]
    models: Vec<RegistryEntry>,
}

/// One model that can be fetched.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegistryEntry {
    /// What `--model` and `bundle pull` call it: lower-case letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// What it is, in one line.
    pub description: String,
    /// Where the file is, `https://` or `http://`.
    pub url: String,
    /// The SHA-256 of the file in hexadecimal. Without it nothing is fetched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// The file's length in bytes, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// What the file is.
    pub format: FileFormat,
    /// The page that the file comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Under which terms it may be used.
    pub licence: Licence,
    /// Figures by name, as the publisher states them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metrics: BTreeMap<String, f64>,
}

/// What a fetched file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileFormat {
    /// `EfficientAT` weights for the built-in AudioSet vocabulary; imported after the download.
    Weights,
    /// A bundle, used as it is.
    Bundle,
}

impl Registry {
    /// The table that is part of the program.
    pub fn built_in() -> Self {
        Self::parse("registry.toml", include_str!("registry.toml"))
            .expect("the table is part of the program and a test reads it")
    }

    /// Reads a table from a TOML file.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Line`] when it does not parse, [`Error::Config`] for a value that
    /// cannot be.
    pub fn open(path: &Path) -> Result<Self> {
        Self::parse(&path.display().to_string(), &fs_err::read_to_string(path)?)
    }

    fn parse(name: &str, text: &str) -> Result<Self> {
        let registry: Self =
            toml::from_str(text).map_err(|error| toml_error(name, text, &error))?;
        for (index, entry) in registry.models.iter().enumerate() {
            entry.check(name)?;
            if registry.models[..index]
                .iter()
                .any(|other| other.name == entry.name)
            {
                return Err(Error::Config {
                    key: format!("{name}: model {index}'s name"),
                    found: format!("`{}`", entry.name),
                    expected: "which another model has".to_owned(),
                });
            }
        }
        Ok(registry)
    }

    /// All entries in the order of the file.
    pub fn entries(&self) -> &[RegistryEntry] {
        &self.models
    }

    /// The entry of that name.
    ///
    /// # Errors
    /// [`Error::UnknownModel`] with the names that there are.
    pub fn get(&self, name: &str) -> Result<&RegistryEntry> {
        let names = || self.models.iter().map(|entry| entry.name.as_str());
        self.models
            .iter()
            .find(|entry| entry.name == name)
            .ok_or_else(|| Error::UnknownModel {
                name: name.to_owned(),
                known: names().map(str::to_owned).collect(),
                suggestion: nearest(name, names()).map(str::to_owned),
            })
    }
}

impl RegistryEntry {
    /// The last part of the address: what the file is called at its source.
    pub fn file_name(&self) -> &str {
        let path = self.url.split(['?', '#']).next().unwrap_or(&self.url);
        path.rsplit('/').next().unwrap_or(path)
    }

    pub(crate) fn check(&self, registry: &str) -> Result<()> {
        let error = |key: &str, found: &str, expected: &str| Error::Config {
            key: format!("{registry}: {key} of model `{}`", self.name.escape_debug()),
            found: format!("`{}`", found.escape_debug()),
            expected: expected.to_owned(),
        };
        // The name becomes part of a file name in the cache.
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
        if !self.name.starts_with(|c: char| c.is_ascii_alphanumeric())
            || !self.name.chars().all(plain)
        {
            let expected = "must be lower-case letters, digits, `-`, `_` and `.`";
            return Err(error("name", &self.name, expected));
        }
        if !self.url.starts_with("https://") && !self.url.starts_with("http://") {
            return Err(error(
                "url",
                &self.url,
                "must begin with https:// or http://",
            ));
        }
        match &self.sha256 {
            Some(hash) if !is_sha256(hash) => {
                Err(error("sha256", hash, "must be 64 hexadecimal digits"))
            }
            _ => Ok(()),
        }
    }
}

/// Whether a text is a SHA-256 in hexadecimal.
pub fn is_sha256(text: &str) -> bool {
    text.len() == 64 && is_hex(text)
}

/// Whether a text is hexadecimal digits only.
pub(crate) fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// An error of the TOML parser with its line.
pub(crate) fn toml_error(name: &str, text: &str, error: &toml::de::Error) -> Error {
    let offset = error.span().map_or(0, |span| span.start).min(text.len());
    Error::Line {
        name: name.to_owned(),
        line: text.as_bytes()[..offset]
            .iter()
            .filter(|&&byte| byte == b'\n')
            .count()
            + 1,
        reason: error.message().trim().replace('\n', ", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_table_lists_the_public_weights() {
        let registry = Registry::built_in();
        let mn04 = registry.get("mn04").unwrap();
        assert_eq!(mn04.size, Some(4_066_513));
        assert_eq!(mn04.file_name(), "mn04_as_mAP_432.pt");
        assert!(mn04.sha256.as_deref().is_some_and(is_sha256));
        assert!(
            registry
                .entries()
                .iter()
                .all(|entry| entry.licence.spdx == "MIT")
        );
    }

    #[test]
    fn an_unknown_name_gets_the_known_ones() {
        let error = Registry::built_in().get("mn4").unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("no model is called `mn4`, known are mn01, mn02")
        );
        assert_eq!(error.hint().as_deref(), Some("did you mean `mn04`?"));
    }

    #[test]
    fn a_table_of_ones_own_is_checked() {
        let entry = |name: &str, url: &str, rest: &str| {
            let text = format!(
                "[[model]]\nname = \"{name}\"\ndescription = \"d\"\nurl = \"{url}\"\n\
                 format = \"bundle\"\nlicence = {{ spdx = \"CC0-1.0\" }}\n{rest}"
            );
            Registry::parse("r.toml", &text)
        };
        let error = |name, url, rest| entry(name, url, rest).unwrap_err().to_string();
        assert!(entry("birds-1.0", "https://example.org/b.onnx", "").is_ok());
        assert!(error("../birds", "https://example.org/b", "").contains("lower-case letters"));
        assert!(error("birds", "file:///etc/passwd", "").contains("must begin with https://"));
        assert!(error("birds", "http://example.org/b", "sha256 = \"12\"\n").contains("64 hexa"));
        assert!(error("birds", "http://example.org/b", "colour = 1\n").starts_with("r.toml:7: "));
    }
}
