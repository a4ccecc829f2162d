//! The models of a server, found by name.

use std::sync::Arc;

use earmark::hear::Model;
use earmark::{Error, Result};
use serde_json::Value;

/// The models of a server; the first is the default.
pub(crate) struct Models(Vec<Arc<Model>>);

impl Models {
    /// # Errors
    /// [`Error::Config`] when two have one name.
    pub(crate) fn new(models: Vec<Model>) -> Result<Self> {
        for (index, model) in models.iter().enumerate() {
            if models[..index].iter().any(|m| m.name() == model.name()) {
                return Err(Error::Config {
                    key: "model".to_owned(),
                    found: format!("`{}` twice", model.name()),
                    expected: "names must differ".to_owned(),
                });
            }
        }
        Ok(Self(models.into_iter().map(Arc::new).collect()))
    }

    /// The model of a name, or the default.
    pub(crate) fn get(&self, name: Option<&str>) -> Option<Arc<Model>> {
        match name {
            None => self.0.first().cloned(),
            Some(name) => self.0.iter().find(|model| model.name() == name).cloned(),
        }
    }

    /// The model whose file has this SHA-256.
    pub(crate) fn by_sha256(&self, sha256: &str) -> Option<Arc<Model>> {
        self.0
            .iter()
            .find(|model| model.sha256() == sha256)
            .cloned()
    }

    pub(crate) fn names(&self) -> Vec<&str> {
        self.0.iter().map(|model| model.name()).collect()
    }

    pub(crate) fn cards(&self) -> Vec<Value> {
        self.0.iter().map(|model| model.card()).collect()
    }
}
