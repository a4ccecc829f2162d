//! One training of a comparison: a representation, a fold and a seed in; a file of scores out.

use std::path::PathBuf;
use std::time::Instant;

use earmark::augment::Augmenter;
use earmark::bundle::write_atomically;
use earmark::dataset::{Manifest, SamplerConfig};
use earmark::model::{Input, picture_cnn};
use earmark::{Error, Result};
use serde::{Deserialize, Serialize};

use super::config::slug;
use super::pictures::{Pictures, TrainingPictures, ValidationPictures};
use super::{Channels, CompareConfig, CompareObserver, RepresentationConfig};
use crate::device::DeviceChoice;
use crate::loss::{Loss, LossConfig};
use crate::network::Network;
use crate::observer::Observer;
use crate::run::division::Division;
use crate::run::{RunDirectory, class_weights, fingerprint};
use crate::trainer::{self, Material, TrainConfig, Trainer};

/// One training to do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Training<'a> {
    /// The representation's place in the configuration.
    pub(super) index: usize,
    pub(super) representation: &'a RepresentationConfig,
    pub(super) fold: usize,
    pub(super) division: &'a Division,
    pub(super) seed: u64,
}

/// A finished training, as its file holds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trained {
    /// Everything that decided the result, hashed: a file with another one is of another training.
    pub fingerprint: String,
    /// The representation's name.
    pub representation: String,
    /// Channels, bands and frames.
    pub shape: [usize; 3],
    /// The fold that it is judged on, from 0.
    pub fold: usize,
    /// The seed.
    pub seed: u64,
    /// The mean loss of the training clips in the last epoch.
    pub train_loss: f64,
    /// How long it took, in seconds.
    pub secs: f64,
    /// The validation clips by their place in the data set.
    pub clips: Vec<usize>,
    /// Their scores, `[clip, class]`.
    pub scores: Vec<f32>,
}

/// What all trainings share.
pub(super) struct Context<'a> {
    pub(super) config: &'a CompareConfig,
    pub(super) manifest: &'a Manifest,
    pub(super) channels: &'a Channels,
    pub(super) augmenter: &'a Augmenter,
    pub(super) loss: &'a LossConfig,
    pub(super) device: DeviceChoice,
    pub(super) directory: &'a RunDirectory,
}

/// Passes on the wish to stop.
struct Stop<'a>(&'a dyn CompareObserver);

impl Observer for Stop<'_> {
    fn wants_to_stop(&mut self) -> bool {
        self.0.is_cancelled()
    }
}

impl Context<'_> {
    /// The result of a training that was done before, with the same settings.
    pub(super) fn read(&self, training: &Training<'_>) -> Result<Option<Trained>> {
        let path = self.path(training);
        let bytes = match fs_err::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::Io(error)),
        };
        // A file of another version may have another shape: it is trained again as well.
        let trained = serde_json::from_slice::<Trained>(&bytes).ok();
        let wanted = self.fingerprint(training)?;
        let n_scores = training.division.validation.len() * self.manifest.vocabulary.len();
        Ok(trained.filter(|t| t.fingerprint == wanted && t.scores.len() == n_scores))
    }

    /// Trains, judges and writes the result; `None` after an interruption.
    pub(super) fn train(
        &self,
        training: &Training<'_>,
        observer: &dyn CompareObserver,
    ) -> Result<Option<Trained>> {
        let start = Instant::now();
        let Training { division, seed, .. } = *training;
        let caches = self.channels.of(training.index);
        let pictures = Pictures::read(
            self.manifest,
            &caches,
            &division.training,
            &division.validation,
        )?;
        let train = TrainConfig {
            seed,
            ..self.config.train.clone()
        };
        let weights = class_weights(&train, self.manifest, division);
        let loss = Loss::new(self.loss.clone(), weights)?;
        let sampler = SamplerConfig {
            batch_size: train.batch_size,
            balance_classes: self.config.data.balance_classes,
            seed,
            ..SamplerConfig::default()
        };
        let batches =
            TrainingPictures::new(&pictures, &division.training, &sampler, self.augmenter)?;
        let material = Material {
            batches: &batches,
            examples: None,
            judge: &|_| Ok(Vec::new()),
            teacher: None,
        };
        let network = self.network(pictures.shape(), seed)?;
        let trainer = Trainer::new(&train, loss.clone(), network, material)?;
        let outcome = trainer.run(None, &mut Stop(observer))?;
        if !outcome.is_complete {
            return Ok(None);
        }
        let examples = ValidationPictures {
            pictures: &pictures,
            clips: &division.validation,
        };
        let scored = trainer::score(&outcome.network, &examples, &loss, train.batch_size)?;
        let trained = Trained {
            fingerprint: self.fingerprint(training)?,
            representation: training.representation.name.clone(),
            shape: pictures.shape(),
            fold: training.fold,
            seed,
            train_loss: outcome.history.last().map_or(0.0, |epoch| epoch.train_loss),
            secs: start.elapsed().as_secs_f64(),
            clips: division.validation.clone(),
            scores: scored.scores,
        };
        self.write(training, &trained)?;
        Ok(Some(trained))
    }

    fn network(&self, shape: [usize; 3], seed: u64) -> Result<Network> {
        let input = Input {
            n_channels: shape[0],
            n_bands: shape[1],
            n_frames: Some(shape[2]),
        };
        let n_classes = self.manifest.vocabulary.len();
        let settings = self.config.network;
        let architecture = picture_cnn(input, settings.width, settings.dropout, n_classes);
        Network::new(&architecture, seed, &self.device.open()?)
    }

    fn path(&self, training: &Training<'_>) -> PathBuf {
        let folder = self.directory.path().join("results");
        let name = format!("fold-{}-seed-{}.json", training.fold, training.seed);
        folder.join(slug(&training.representation.name)).join(name)
    }

    fn write(&self, training: &Training<'_>, trained: &Trained) -> Result<()> {
        let path = self.path(training);
        if let Some(folder) = path.parent() {
            fs_err::create_dir_all(folder)?;
        }
        let json = serde_json::to_vec(trained).map_err(|error| Error::Config {
            key: path.display().to_string(),
            found: error.to_string(),
            expected: "must be writable as JSON".to_owned(),
        })?;
        write_atomically(&path, &json)
    }

    /// Everything that decides the result of a training. Other representations, folds and seeds do
    /// not, so a comparison can be made larger without training again what it has.
    fn fingerprint(&self, training: &Training<'_>) -> Result<String> {
        let alone = CompareConfig {
            seeds: vec![training.seed],
            fold_seed: 0,
            n_resamples: 1000,
            data: crate::run::config::DataConfig {
                balance_classes: self.config.data.balance_classes,
                ..Default::default()
            },
            representations: vec![RepresentationConfig {
                name: String::new(),
                ..training.representation.clone()
            }],
            ..self.config.clone()
        };
        Ok(fingerprint(&[
            env!("CARGO_PKG_VERSION"),
            &alone.to_toml()?,
            &self.manifest.digest(),
            self.device.name(),
            &format!("{:?}", training.division),
        ]))
    }
}
