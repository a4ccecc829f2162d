//! The loaded bundles: each network is in memory once, however many taggers share it.

use std::sync::{Arc, Mutex, PoisonError};

use earmark::audio::{Channels, Limits};
use earmark::bundle::{Bundle, Metadata};
use earmark::results::Run;
use earmark::runtime::{self, Batch, Output, Runtime, RuntimeChoice};
use earmark::tagger::{Tagger, TaggerOptions};
use earmark::{Error, Result};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// One bundle, ready to tag.
pub struct Model {
    metadata: Metadata,
    sha256: String,
    runtime: Arc<dyn Runtime>,
    /// The taggers that were asked for lately: front ends take memory, and requests are many.
    taggers: Mutex<Vec<(Cutting, Limits, Arc<Tagger>)>>,
}

/// How many taggers are kept.
const N_KEPT: usize = 8;

/// How recordings are cut and mixed; what is not given is the bundle's.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Cutting {
    pub(crate) window_secs: Option<f32>,
    pub(crate) hop_secs: Option<f32>,
    pub(crate) channels: Channels,
}

impl Model {
    /// Loads a bundle's network.
    ///
    /// # Errors
    /// Those of [`Tagger::from_bundle`].
    pub fn load(bundle: &Bundle, choice: RuntimeChoice) -> Result<Self> {
        let digest = Sha256::digest(bundle.bytes());
        let model = Self {
            metadata: bundle.metadata().clone(),
            sha256: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
            runtime: Arc::from(runtime::load(bundle, choice)?),
            taggers: Mutex::default(),
        };
        model.tagger(Cutting::default(), Limits::default())?;
        Ok(model)
    }

    /// The bundle's name.
    pub fn name(&self) -> &str {
        &self.metadata.name
    }

    /// A tagger over the one copy of the network.
    pub(crate) fn tagger(&self, cutting: Cutting, limits: Limits) -> Result<Arc<Tagger>> {
        // Whole entries are added and removed.
        let mut kept = self.taggers.lock().unwrap_or_else(PoisonError::into_inner);
        let known = kept.iter().find(|(c, l, _)| (*c, *l) == (cutting, limits));
        if let Some((_, _, tagger)) = known {
            return Ok(Arc::clone(tagger));
        }
        let tagger = Arc::new(self.new_tagger(cutting, limits)?);
        if kept.len() == N_KEPT {
            kept.remove(0);
        }
        kept.push((cutting, limits, Arc::clone(&tagger)));
        Ok(tagger)
    }

    fn new_tagger(&self, cutting: Cutting, limits: Limits) -> Result<Tagger> {
        let options = TaggerOptions {
            window_secs: cutting.window_secs,
            hop_secs: cutting.hop_secs,
            channels: cutting.channels,
            limits,
            ..TaggerOptions::default()
        };
        let runtime = Box::new(Shared(Arc::clone(&self.runtime)));
        Tagger::with_runtime(self.metadata.clone(), runtime, &options)
    }

    pub(crate) fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    pub(crate) fn has_embedding(&self) -> bool {
        self.metadata.tensors.embedding.is_some()
    }

    /// What rows say of this model.
    pub(crate) fn run(&self, timeline: bool) -> Run {
        Run {
            model: self.metadata.name.clone(),
            model_sha256: self.sha256.clone(),
            runtime: self.runtime.name().to_owned(),
            vocabulary: self.metadata.vocabulary.clone(),
            timeline,
        }
    }

    /// The model as `/v1/models` describes it.
    pub(crate) fn card(&self) -> Value {
        let metadata = &self.metadata;
        let classes = metadata.vocabulary.classes().iter();
        let classes = classes.map(|class| json!({ "name": class.name, "id": class.id }));
        json!({
            "name": metadata.name,
            "description": metadata.description,
            "sha256": self.sha256,
            "runtime": self.runtime.name(),
            "sample_rate": metadata.sample_rate(),
            "window_secs": metadata.segment.length_secs,
            "hop_secs": metadata.segment.hop_secs,
            "task": metadata.task,
            "embedding": self.has_embedding(),
            "calibrated": metadata.calibration.is_some(),
            "licence": metadata.licence,
            "classes": classes.collect::<Vec<_>>(),
        })
    }
}

/// A network that several taggers use.
struct Shared(Arc<dyn Runtime>);

impl Runtime for Shared {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn run(&self, batch: &Batch) -> Result<Output> {
        self.0.run(batch)
    }
}

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

    pub(crate) fn names(&self) -> Vec<&str> {
        self.0.iter().map(|model| model.name()).collect()
    }

    pub(crate) fn cards(&self) -> Vec<Value> {
        self.0.iter().map(|model| model.card()).collect()
    }
}
