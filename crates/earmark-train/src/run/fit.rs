//! One division's training: a probe, a head or a whole network.

use std::collections::{BTreeMap, BTreeSet};

use burn::tensor::Device;
use earmark::Result;
use earmark::augment::{AugmentConfig, Augmenter};

use earmark::bundle::{Activation, Bundle, Metadata, Origin, Provenance, Task, onnx};
use earmark::dataset::{Manifest, Quality, SamplerConfig};
use earmark::model::{Architecture, Weights};

use super::config::RunConfig;
use super::directory::RunDirectory;
use super::division::Division;
use super::frozen::{Embedded as Embeddings, EmbeddedBatches, EmbeddedExamples};
use super::stages::{self, Chosen, Knowledge, StageClips, StageConfig, worst_classes};
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
use crate::trainer::{self, Material, Scope, Scored, TrainConfig, Trainer};

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

/// A trained network.
pub(super) struct Fitted {
    pub(super) network: Network,
    pub(super) history: Vec<EpochReport>,
    pub(super) is_complete: bool,
}

/// One training of a run.
struct Stage<'a> {
    /// Counted over all stages and rounds from 0.
    number: u64,
    settings: &'a TrainConfig,
    augment: Option<&'a AugmentConfig>,
    training: Chosen,
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
        if !random.is_empty() {
            observer.notice(&format!("start at random: {}", random.join(", ")));
        }
        Ok(network)
    }

    /// Trains in the run's stages, or in one.
    fn fit_network(
        &self,
        mut network: Network,
        division: &Division,
        loss: &Loss,
        folder: &RunDirectory,
        observer: &mut dyn Observer,
    ) -> Result<Fitted> {
        let whole = [StageConfig::default()];
        let stages = match self.config.stages.as_slice() {
            [] => &whole[..],
            stages => stages,
        };
        let mut history: Vec<EpochReport> = Vec::new();
        let mut number = 0;
        for (index, stage) in stages.iter().enumerate() {
            for _ in 0..stage.rounds() {
                let training = self.stage_training(stage, &network, division, loss)?;
                let mut settings = stage.settings(index, &self.config.train)?;
                settings.seed = settings.seed.wrapping_add(number);
                if self.config.stages.len() > 1 || stage.rounds() > 1 {
                    observer.notice(&format!(
                        "stage {} of {}: {} clips, {} epochs",
                        index + 1,
                        stages.len(),
                        training.clips.len(),
                        settings.epochs
                    ));
                }
                let stage = Stage {
                    number,
                    settings: &settings,
                    augment: stage.augment.as_ref(),
                    training,
                };
                let fitted = self.fit_stage(network, stage, division, loss, folder, observer)?;
                let n_before = history.len();
                history.extend(fitted.history.into_iter().map(|report| EpochReport {
                    epoch: n_before + report.epoch,
                    ..report
                }));
                network = fitted.network;
                if !fitted.is_complete {
                    return Ok(Fitted {
                        network,
                        history,
                        is_complete: false,
                    });
                }
                number += 1;
            }
        }
        Ok(Fitted {
            network,
            history,
            is_complete: true,
        })
    }

    /// What a stage trains on, as the network before it has it.
    fn stage_training(
        &self,
        stage: &StageConfig,
        network: &Network,
        division: &Division,
        loss: &Loss,
    ) -> Result<Chosen> {
        let is_noisy = |clip: &usize| self.manifest.clips[*clip].quality == Quality::Noisy;
        let noisy: Vec<usize> = division.training.iter().copied().filter(is_noisy).collect();
        let asks = stage.clips.asks_network() || stage.pseudo_labels.is_some();
        let heard = match asks && !noisy.is_empty() {
            true => Some(self.score(network, &noisy, loss)?),
            false => None,
        };
        let worst = match stage.clips {
            StageClips::WorstClasses { n_worst } if !division.validation.is_empty() => {
                let scored = self.score(network, &division.validation, loss)?;
                let weights = vec![1.0; division.validation.len()];
                let losses = loss
                    .evaluate(&scored.logits, &scored.targets, &weights)
                    .per_clip;
                worst_classes(&losses, &scored, n_worst)
            }
            _ => BTreeSet::new(),
        };
        let known = Knowledge {
            manifest: self.manifest,
            training: &division.training,
            heard: heard.as_ref().map(|scored| (noisy.as_slice(), scored)),
            worst: &worst,
            is_single_label: self.is_single_label,
        };
        Ok(stages::choose(stage, &known))
    }

    fn fit_stage(
        &self,
        network: Network,
        stage: Stage<'_>,
        division: &Division,
        loss: &Loss,
        folder: &RunDirectory,
        observer: &mut dyn Observer,
    ) -> Result<Fitted> {
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
        let checkpoint = CheckpointFile::new(folder.checkpoint(stage.number), fingerprint);
        let trainer = Trainer::new(stage.settings, loss.clone(), network, material)?;
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
    pub(super) fn probe(&self, division: &Division, loss: &Loss) -> Result<Network> {
        let n_classes = self.manifest.vocabulary.len();
        let architecture = probe::probed(
            &self.architecture,
            self.config.model.probe_layers,
            n_classes,
        )?;
        let mut network = Network::new(&architecture, self.config.train.seed, &self.device)?;
        let mut weights = Weights::new();
        if let Some((_, pretrained)) = &self.start.pretrained {
            network.load(pretrained);
        }
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
