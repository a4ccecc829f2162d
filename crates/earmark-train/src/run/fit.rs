//! One division's training: a probe, a head or a whole network.

use std::collections::BTreeMap;

use burn::tensor::Device;
use earmark::Result;
use earmark::augment::Augmenter;

use earmark::bundle::{Activation, Bundle, Metadata, Origin, Provenance, Task, onnx};
use earmark::dataset::{Manifest, SamplerConfig};
use earmark::model::{Architecture, Weights};

use super::config::RunConfig;
use super::directory::RunDirectory;
use super::division::Division;
use super::frozen::{Embedded as Embeddings, EmbeddedBatches, EmbeddedExamples};
use super::start::Start;
use super::{figures, fingerprint};
use crate::checkpoint::CheckpointFile;
use crate::clips::{ClipSet, TrainingClips, ValidationClips};
use crate::loss::Loss;
use crate::network::{Network, groups};
use crate::observer::{EpochReport, Observer};
use crate::probe::{self, Embedded, Probe};
use crate::source::{Batches, Examples};
use crate::teacher::Teacher;
use crate::trainer::{self, Material, Scope, Scored, Trainer};

/// The penalty on a probe's weights if the configuration names none: scikit-learn's default.
const PROBE_L2: f64 = 1.0;

/// What all divisions of a run share.
pub(super) struct Fit<'a> {
    pub(super) config: &'a RunConfig,
    pub(super) manifest: &'a Manifest,
    pub(super) set: &'a ClipSet<'a>,
    pub(super) start: &'a Start,
    pub(super) architecture: Architecture,
    pub(super) device: Device,
    pub(super) teacher: Option<Teacher>,
    pub(super) augmenter: Augmenter,
    /// The clips' embeddings, where another program's frozen graph computes them.
    pub(super) embedded: Option<Embeddings>,
    pub(super) is_single_label: bool,
}

/// A trained network.
pub(super) struct Fitted {
    pub(super) network: Network,
    pub(super) history: Vec<EpochReport>,
    pub(super) is_complete: bool,
}

impl Fit<'_> {
    /// Trains on a division's training clips.
    pub(super) fn fit(
        &self,
        division: &Division,
        loss: &Loss,
        folder: &RunDirectory,
        observer: &mut dyn Observer,
    ) -> Result<Fitted> {
        match self.config.train.scope {
            Scope::Probe => Ok(Fitted {
                network: self.probe(division, loss)?,
                history: Vec::new(),
                is_complete: true,
            }),
            Scope::ProbeThenAll => {
                let start = self.probe(division, loss)?;
                self.fit_network(start, division, loss, folder, observer)
            }
            Scope::All | Scope::Head => {
                let start = self.fresh(observer)?;
                self.fit_network(start, division, loss, folder, observer)
            }
        }
    }

    /// The network as training finds it.
    pub(super) fn fresh(&self, observer: &mut dyn Observer) -> Result<Network> {
        let n_guided = self.teacher.as_ref().map_or(0, Teacher::n_outputs);
        let architecture = match n_guided {
            0 => self.architecture.clone(),
            _ => groups::with_classes(&self.architecture, self.architecture.n_classes + n_guided),
        };
        let seed = self.config.train.seed;
        let (network, random) = self.start.network(&architecture, seed, &self.device)?;
        if !random.is_empty() {
            observer.notice(&format!("start at random: {}", random.join(", ")));
        }
        Ok(network)
    }

    fn fit_network(
        &self,
        network: Network,
        division: &Division,
        loss: &Loss,
        folder: &RunDirectory,
        observer: &mut dyn Observer,
    ) -> Result<Fitted> {
        let train = &self.config.train;
        let teacher = self.teacher(division)?;
        let batches = self.batches(division)?;
        let examples = self.examples(division.validation.clone());
        let judge = |scored: &Scored| figures::judge(scored, self.is_single_label);
        let material = Material {
            batches: &*batches,
            examples: (examples.n_clips() > 0).then_some(&*examples),
            judge: &judge,
            teacher: teacher.as_ref(),
        };
        let checkpoint = CheckpointFile::new(folder.checkpoint(), self.fingerprint(division)?);
        let trainer = Trainer::new(train, loss.clone(), network, material)?;
        let outcome = trainer.run(Some(&checkpoint), observer)?;
        Ok(Fitted {
            network: outcome.network,
            history: outcome.history,
            is_complete: outcome.is_complete,
        })
    }

    /// Clips as they are judged.
    pub(super) fn examples(&self, clips: Vec<usize>) -> Box<dyn Examples + '_> {
        let clips = ValidationClips::new(self.set, clips);
        match &self.embedded {
            Some(embedded) => Box::new(EmbeddedExamples::new(clips, embedded)),
            None => Box::new(clips),
        }
    }

    /// A division's training clips in batches, augmented.
    pub(super) fn batches(&self, division: &Division) -> Result<Box<dyn Batches + '_>> {
        let train = &self.config.train;
        let clips = division.training.clone();
        let sampler = SamplerConfig {
            batch_size: train.batch_size,
            balance_classes: self.config.data.balance_classes,
            bucket_batches: self.config.data.bucket_batches,
            // A last batch of one clip would leave the normalisation of vectors without a variance.
            drop_last: clips.len() % train.batch_size == 1 && clips.len() > 1,
            seed: train.seed,
            ..SamplerConfig::default()
        };
        if let Some(embedded) = &self.embedded {
            let examples = EmbeddedExamples::new(ValidationClips::new(self.set, clips), embedded);
            let n_classes = self.manifest.vocabulary.len();
            let batches = EmbeddedBatches::new(examples, self.set, &sampler, n_classes)?;
            return Ok(Box::new(batches));
        }
        let augmenter = self.augmenter.clone();
        Ok(Box::new(TrainingClips::new(
            self.set, clips, &sampler, augmenter,
        )?))
    }

    /// The teacher, with its scale measured on the training clips as they are.
    pub(super) fn teacher(&self, division: &Division) -> Result<Option<Teacher>> {
        let Some(mut teacher) = self.teacher.clone() else {
            return Ok(None);
        };
        let examples = ValidationClips::new(self.set, division.training.clone());
        teacher.measure(&examples, self.config.train.batch_size)?;
        Ok(Some(teacher))
    }

    /// The pretrained network with a linear layer fitted to its embeddings for a head.
    pub(super) fn probe(&self, division: &Division, loss: &Loss) -> Result<Network> {
        let n_classes = self.manifest.vocabulary.len();
        let architecture = probe::probed(&self.architecture, n_classes)?;
        let mut network = Network::new(&architecture, self.config.train.seed, &self.device)?;
        let mut weights = Weights::new();
        if let Some((_, pretrained)) = &self.start.pretrained {
            network.load(pretrained);
        }
        let examples = self.examples(division.training.clone());
        let batch_size = self.config.train.batch_size;
        let embeddings = trainer::embed(&network, &*examples, batch_size)?;
        let targets: Vec<f32> = (0..examples.n_clips())
            .flat_map(|c| examples.target(c))
            .collect();
        let clip_weights: Vec<f32> = division
            .training
            .iter()
            .map(|&clip| self.set.weight(clip))
            .collect();
        let data = Embedded {
            embeddings: &embeddings,
            targets: &targets,
            weights: &clip_weights,
        };
        let l2 = self.config.model.probe_l2.unwrap_or(PROBE_L2);
        Probe::fit(data, loss, l2)?.put_into(&mut weights)?;
        network.load(&weights);
        Ok(network)
    }

    /// What a checkpoint must have been written for to be continued. The number of epochs belongs to
    /// it: schedules depend on it.
    pub(super) fn fingerprint(&self, division: &Division) -> Result<String> {
        let architecture = serde_json::to_string(&self.architecture).unwrap_or_default();
        Ok(fingerprint(&[
            env!("CARGO_PKG_VERSION"),
            &self.config.decisive().to_toml()?,
            &self.manifest.digest(),
            &architecture,
            self.start
                .source
                .as_ref()
                .map_or("", |source| &source.sha256),
            self.teacher.as_ref().map_or("", Teacher::sha256),
            &format!("{:?} {:?}", division.training, division.validation),
        ]))
    }

    /// The bundle of a trained network.
    pub(super) fn bundle(
        &self,
        network: &Network,
        metrics: BTreeMap<String, f64>,
    ) -> Result<Bundle> {
        let architecture = network.architecture();
        let mut provenance = Provenance::new(Origin::Trained);
        provenance.source = self.start.source.clone();
        provenance.config = Some(self.config.to_toml()?);
        provenance.seed = Some(self.config.train.seed);
        provenance.data_digest = Some(self.manifest.digest());
        provenance.metrics = metrics;
        let name = self
            .manifest
            .root
            .file_name()
            .unwrap_or_default()
            .to_string_lossy();
        let metadata = Metadata::new(
            format!("{name}-{}", architecture.name),
            self.start.front_end.clone(),
            self.manifest.vocabulary.clone(),
            self.start.segment.clone(),
            provenance,
        );
        let (activation, task) = match self.is_single_label {
            true => (Activation::Softmax, Task::SingleLabel),
            false => (Activation::Sigmoid, Task::MultiLabel),
        };
        let (graph, grafted) = match &self.start.frozen {
            None => (onnx::build(architecture, &network.weights()?)?, None),
            Some(frozen) => {
                let weights = network.weights()?;
                let (graph, tensors) = onnx::append_head(&frozen.bundle, architecture, &weights)?;
                (graph, Some((frozen.bundle.metadata(), tensors)))
            }
        };
        let mut metadata = Metadata {
            activation,
            task,
            architecture: Some(architecture.clone()),
            ..metadata
        };
        if let Some((original, tensors)) = grafted {
            metadata.input = original.input.clone();
            metadata.tensors = tensors;
            metadata.architecture = None;
            metadata.licence = metadata.licence.or_else(|| original.licence.clone());
        }
        Bundle::new("model.onnx", &onnx::encode(&graph), metadata)?.described(&self.config.bundle)
    }
}
