//! One training of a fold: a probe, a head or a whole network.

use std::collections::BTreeMap;

use burn::tensor::Device;
use earmark::augment::{AugmentConfig, Augmenter};
use earmark::{Error, Result};

use earmark::bundle::{Activation, Bundle, Metadata, Origin, Provenance, Task, onnx};
use earmark::dataset::{Manifest, SamplerConfig};
use earmark::model::{Architecture, Weights};

use super::config::RunConfig;
use super::division::Division;
use super::fold::FoldRun;
use super::frozen::{Embedded as Embeddings, EmbeddedBatches, EmbeddedExamples};
use super::stages::Chosen;
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
use crate::trainer::{self, Material, Scored, TrainConfig, Trainer};

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
    /// Backgrounds and impulse responses, for the augmentation of stages.
    pub(super) sounds: earmark::augment::Material,
    /// The clips' embeddings, where another program's frozen graph computes them.
    pub(super) embedded: Option<Embeddings>,
    pub(super) is_single_label: bool,
}

/// One training of a run.
pub(super) struct Stage<'a> {
    /// Counted over all stages and rounds from 0.
    pub(super) number: u64,
    pub(super) settings: &'a TrainConfig,
    pub(super) augment: Option<&'a AugmentConfig>,
    pub(super) training: Chosen,
}

impl Fit<'_> {
    /// The network as training finds it.
    pub(super) fn fresh(&self, observer: &mut dyn Observer) -> Result<Network> {
        let n_guided = match &self.teacher {
            Some(teacher) => teacher.n_outputs(),
            // The outputs that learn from noisy clips.
            None if self.config.train.noisy.own_head => self.architecture.n_classes,
            None => 0,
        };
        let architecture = match n_guided {
            0 => self.architecture.clone(),
            _ => groups::with_classes(&self.architecture, self.architecture.n_classes + n_guided),
        };
        let seed = self.config.train.seed;
        let (network, random) = self.start.network(&architecture, seed, &self.device)?;
        notice_random(&random, observer);
        Ok(network)
    }

    /// Trains one stage of a fold; `None` after an interruption.
    pub(super) fn train_stage<'d>(
        &self,
        mut fold: FoldRun<'d>,
        stage: Stage<'_>,
        observer: &mut dyn Observer,
    ) -> Result<Option<FoldRun<'d>>> {
        let division = fold.division;
        let teacher = self.teacher(division)?;
        let fingerprint = self.stage_fingerprint(&stage, division)?;
        let Chosen { clips, targets } = stage.training;
        let batches = self.batches(&clips, stage.settings, stage.augment, targets)?;
        let examples = self.examples(division.validation.clone());
        let judge = |scored: &Scored| figures::judge(scored, self.is_single_label);
        let material = Material {
            batches: &*batches,
            examples: (examples.n_clips() > 0).then_some(&*examples),
            judge: &judge,
            teacher: teacher.as_ref(),
        };
        let checkpoint = CheckpointFile::new(fold.folder.checkpoint(stage.number), fingerprint);
        let trainer = Trainer::new(stage.settings, fold.loss.clone(), fold.network, material)?;
        let outcome = trainer.run(Some(&checkpoint), observer)?;
        if !outcome.is_complete {
            return Ok(None);
        }
        let n_before = fold.history.len();
        let reports = outcome.history.into_iter().map(|report| EpochReport {
            epoch: n_before + report.epoch,
            ..report
        });
        fold.history.extend(reports);
        fold.network = outcome.network;
        Ok(Some(fold))
    }

    /// Clips as they are judged.
    pub(super) fn examples(&self, clips: Vec<usize>) -> Box<dyn Examples + '_> {
        let clips = ValidationClips::new(self.set, clips);
        match &self.embedded {
            Some(embedded) => Box::new(EmbeddedExamples::new(clips, embedded)),
            None => Box::new(clips),
        }
    }

    /// Training clips in batches, augmented: as the run augments, or in a way of the stage's own.
    pub(super) fn batches(
        &self,
        clips: &[usize],
        train: &TrainConfig,
        augment: Option<&AugmentConfig>,
        targets: BTreeMap<usize, Vec<f32>>,
    ) -> Result<Box<dyn Batches + '_>> {
        let clips = clips.to_vec();
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
        let augmenter = match augment {
            Some(augment) => Augmenter::new(augment, self.sounds.clone())?,
            None => self.augmenter.clone(),
        };
        let clips = TrainingClips::new(self.set, clips, &sampler, augmenter)?;
        Ok(Box::new(clips.with_targets(targets)))
    }

    /// What the checkpoint of a stage must have been written for. The first stage's is the run's own:
    /// later ones also depend on what the network has chosen.
    fn stage_fingerprint(&self, stage: &Stage<'_>, division: &Division) -> Result<String> {
        let whole = self.fingerprint(division)?;
        Ok(match stage.number {
            0 => whole,
            number => fingerprint(&[
                &whole,
                &number.to_string(),
                &format!("{:?}", stage.training),
            ]),
        })
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
    ///
    /// # Errors
    /// [`Error::Config`] if there is nothing pretrained to read embeddings from.
    pub(super) fn probe(
        &self,
        division: &Division,
        loss: &Loss,
        observer: &mut dyn Observer,
    ) -> Result<Network> {
        let n_classes = self.manifest.vocabulary.len();
        let architecture = probe::probed(
            &self.architecture,
            self.config.model.probe_layers,
            n_classes,
        )?;
        if self.start.pretrained.is_none() && self.embedded.is_none() {
            return Err(Error::Config {
                key: "model.init".to_owned(),
                found: "nothing".to_owned(),
                expected: "must name a trained network: a probe learns from its embeddings"
                    .to_owned(),
            });
        }
        let seed = self.config.train.seed;
        let (mut network, mut random) = self.start.network(&architecture, seed, &self.device)?;
        let mut weights = Weights::new();
        let clips = &division.training;
        let views: Vec<Box<dyn Examples + '_>> = match &self.embedded {
            Some(_) => vec![self.examples(clips.clone())],
            None => {
                let speeds = self.config.model.probe_speeds.iter().copied().map(Some);
                let view = |speed| -> Box<dyn Examples + '_> {
                    Box::new(ValidationClips::at_one_speed(
                        self.set,
                        clips.clone(),
                        speed,
                    ))
                };
                std::iter::once(None).chain(speeds).map(view).collect()
            }
        };
        let share = 1.0 / views.len() as f32;
        let [mut embeddings, mut targets, mut clip_weights] = [const { Vec::new() }; 3];
        for examples in &views {
            let batch_size = self.config.train.batch_size;
            embeddings.extend(trainer::embed(&network, &**examples, batch_size)?);
            targets.extend((0..examples.n_clips()).flat_map(|clip| examples.target(clip)));
            clip_weights.extend(clips.iter().map(|&clip| self.set.weight(clip) * share));
        }
        let data = Embedded {
            embeddings: &embeddings,
            targets: &targets,
            weights: &clip_weights,
        };
        let l2 = self.config.model.probe_l2.unwrap_or(PROBE_L2);
        Probe::fit(data, loss, l2)?.put_into(&mut weights)?;
        network.load(&weights);
        random.retain(|name| weights.get(name).is_none());
        notice_random(&random, observer);
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
        provenance.config = Some(self.config.decisive().to_toml()?);
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

/// Says which parameters start at random beside pretrained ones.
fn notice_random(parameters: &[String], observer: &mut dyn Observer) {
    if !parameters.is_empty() {
        observer.notice(&format!("start at random: {}", parameters.join(", ")));
    }
}
