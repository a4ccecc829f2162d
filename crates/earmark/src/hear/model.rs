//! [`Model`]: one copy of a network, however many recordings are heard in whatever segments.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use crate::audio::{Channels, Limits};
use crate::bundle::{Bundle, Metadata};
use crate::digest::sha256_of_bytes;
use crate::results::Run;
use crate::runtime::{self, Batch, Output, Runtime, RuntimeChoice};
use crate::tagger::{Tagger, TaggerOptions};
use crate::{Error, Result};

/// One bundle, ready to hear.
pub struct Model {
    bundle: Bundle,
    sha256: String,
    runtime: Arc<dyn Runtime>,
    /// The taggers that were asked for lately: front ends take memory, and requests are many.
    taggers: Mutex<Vec<(Cutting, Limits, Arc<Tagger>)>>,
}

/// How many taggers are kept.
const N_KEPT: usize = 8;

/// The shortest window and hop in seconds: shorter ones make more rows than sound.
const MIN_SECS: f32 = 0.1;
/// The longest window in seconds, since whoever hears holds two.
const MAX_SECS: f32 = 60.0;

/// How recordings are cut and mixed; what is not given is the bundle's.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Cutting {
    /// The length of a segment in seconds, from 0.1 to 60.
    pub window_secs: Option<f32>,
    /// The distance between the starts of segments in seconds, from 0.1 to 60.
    pub hop_secs: Option<f32>,
    /// Whether channels are mixed.
    pub channels: Channels,
}

impl Cutting {
    fn check(self) -> Result<Self> {
        for (key, secs) in [("window", self.window_secs), ("hop", self.hop_secs)] {
            if let Some(secs) = secs.filter(|secs| !(MIN_SECS..=MAX_SECS).contains(secs)) {
                return Err(Error::Config {
                    key: key.to_owned(),
                    found: format!("{secs} s"),
                    expected: format!("must be from {MIN_SECS} to {MAX_SECS} s"),
                });
            }
        }
        Ok(self)
    }
}

impl Model {
    /// Loads a bundle's network.
    ///
    /// # Errors
    /// Those of [`Tagger::from_bundle`].
    pub fn load(bundle: &Bundle, choice: RuntimeChoice) -> Result<Self> {
        let model = Self {
            sha256: sha256_of_bytes(bundle.bytes()),
            runtime: Arc::from(runtime::load(bundle, choice)?),
            taggers: Mutex::default(),
            bundle: bundle.clone(),
        };
        model.tagger(Cutting::default(), Limits::default())?;
        Ok(model)
    }

    /// The bundle's name.
    pub fn name(&self) -> &str {
        &self.metadata().name
    }

    /// The SHA-256 of the bundle's file, in hexadecimal.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// The bundle.
    pub fn bundle(&self) -> &Bundle {
        &self.bundle
    }

    /// What the bundle says about itself.
    pub fn metadata(&self) -> &Metadata {
        self.bundle.metadata()
    }

    /// A tagger over the one copy of the network.
    ///
    /// # Errors
    /// [`Error::Config`] for segments that cannot be.
    pub fn tagger(&self, cutting: Cutting, limits: Limits) -> Result<Arc<Tagger>> {
        let cutting = cutting.check()?;
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
        Tagger::with_runtime(self.metadata().clone(), runtime, &options)
    }

    /// Whether the network gives embeddings.
    pub fn has_embedding(&self) -> bool {
        self.metadata().tensors.embedding.is_some()
    }

    /// What rows say of this model.
    pub fn run(&self, timeline: bool) -> Run {
        Run {
            model: self.name().to_owned(),
            model_sha256: self.sha256.clone(),
            runtime: self.runtime.name().to_owned(),
            vocabulary: self.metadata().vocabulary.clone(),
            timeline,
        }
    }

    /// The model as `GET /v1/models` describes it.
    pub fn card(&self) -> Value {
        let metadata = self.metadata();
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

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Model")
            .field("name", &self.name())
            .field("runtime", &self.runtime.name())
            .finish_non_exhaustive()
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
