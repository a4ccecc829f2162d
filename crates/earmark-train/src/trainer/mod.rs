//! The training loop: batches, a network and settings in; a trained network and its history out.
//!
//! Everything random is drawn from the seed, the epoch and the batch, never from a generator that
//! lives on, so a run that continues from a checkpoint makes the same numbers as one that was never
//! stopped. Batches are made by a thread of their own while the device is busy.

mod config;
mod evaluate;
mod prefetch;
mod state;
mod step;

pub use config::{ClassWeights, Keep, Scope, TrainConfig};
pub use evaluate::{Scored, embed, measure_statistics, score};

use earmark::{Error, Result};

use crate::checkpoint::CheckpointFile;
use crate::loss::Loss;
use crate::network::Network;
use crate::network::groups::{self, Place};
use crate::observer::{EpochReport, Figure, Observer};
use crate::schedule::Schedule;
use crate::source::{Batches, Examples};
use crate::teacher::{Teacher, without_guidance};
use state::State;

/// What a run works on.
#[derive(Clone, Copy)]
pub struct Material<'a> {
    /// The training clips.
    pub batches: &'a dyn Batches,
    /// The clips that judge the epochs, if there are any.
    pub examples: Option<&'a dyn Examples>,
    /// Turns the scores of the validation clips into figures; the first one counts for
    /// [`Keep::Best`], patience and plateaus.
    pub judge: &'a dyn Fn(&Scored) -> Result<Vec<Figure>>,
    /// Who teaches beside the labels; the network then has more outputs than there are classes.
    pub teacher: Option<&'a Teacher>,
}

/// How a run ended.
#[derive(Debug)]
pub struct Outcome {
    /// The network to keep: averaged, best or last, as the settings say; after an interruption the network as it is.
    pub network: Network,
    /// One row per epoch.
    pub history: Vec<EpochReport>,
    /// Whether all epochs were done; an interrupted run continues from its checkpoint.
    pub is_complete: bool,
}

/// A training run.
pub struct Trainer<'a> {
    config: &'a TrainConfig,
    loss: Loss,
    schedule: Schedule,
    material: Material<'a>,
    places: Vec<Place>,
    n_batches: usize,
    state: State,
}

impl<'a> Trainer<'a> {
    /// A run from this network on.
    ///
    /// # Errors
    /// [`earmark::Error::Config`] if a setting is impossible.
    pub fn new(
        config: &'a TrainConfig,
        loss: Loss,
        network: Network,
        material: Material<'a>,
    ) -> Result<Self> {
        config.check()?;
        let n_batches = material.batches.plan(0).len();
        let n_steps = n_batches.div_ceil(config.accumulate);
        let warm_up = (config.warm_up_epochs * n_steps as f64).round() as usize;
        let schedule = Schedule::new(config.schedule.clone(), warm_up, n_steps * config.epochs)?;
        let places = groups::places(network.architecture(), network.parameters());
        Ok(Self {
            state: State::new(config, network)?,
            config,
            loss,
            schedule,
            material,
            places,
            n_batches,
        })
    }

    /// Trains to the end, or until the observer wants to stop. With a checkpoint file the run saves
    /// itself after every epoch, and continues from the file if it is there.
    ///
    /// # Errors
    /// [`earmark::Error::Training`] if the loss is not a number; what reading a clip or writing a
    /// checkpoint ends in. The last saved epoch stays.
    pub fn run(
        mut self,
        checkpoint: Option<&CheckpointFile>,
        observer: &mut dyn Observer,
    ) -> Result<Outcome> {
        if let Some(saved) = checkpoint.map(CheckpointFile::read).transpose()?.flatten() {
            self.state.restore(saved)?;
        }
        observer.started(self.state.epoch, self.config.epochs, self.n_batches);
        while self.state.epoch < self.config.epochs && !self.out_of_patience() {
            let Some(train_loss) = self.train_epoch(observer)? else {
                return self.finish(false);
            };
            let report = self.judge_epoch(train_loss, observer)?;
            self.state.take_in(report.clone(), self.config);
            if let Some(file) = checkpoint {
                file.write(&self.state.saved()?)?;
            }
            observer.epoch(&report);
        }
        if self.state.epoch < self.config.epochs
            && let Some(text) = self.state.since_best()
        {
            observer.notice(&text);
        }
        self.finish(true)
    }

    /// The network that the settings keep, or the network as it is if the run was interrupted.
    fn finish(self, is_complete: bool) -> Result<Outcome> {
        let network = match (self.config.keep, &self.state.best) {
            _ if !is_complete => self.state.network.clone(),
            (Keep::Best, Some(best)) => best.clone(),
            _ => self.averaged(self.state.epoch.saturating_sub(1))?,
        };
        Ok(Outcome {
            network: without_guidance(&network, self.material.batches.n_classes())?,
            history: self.state.history,
            is_complete,
        })
    }

    /// The averaged network after an epoch, with statistics of its own from that epoch's batches, or the network as
    /// it is.
    fn averaged(&self, epoch: usize) -> Result<Network> {
        let state = &self.state;
        let averaged = state
            .average
            .as_ref()
            .and_then(|a| a.network(&state.network));
        let Some(mut averaged) = averaged else {
            return Ok(state.network.clone());
        };
        let trained = self.trained(epoch);
        measure_statistics(&mut averaged, self.material.batches, epoch, &trained)?;
        Ok(averaged)
    }

    fn judge_epoch(&mut self, train_loss: f64, observer: &mut dyn Observer) -> Result<EpochReport> {
        let done = self.state.epoch + 1;
        let share = done as f64 / self.config.epochs as f64;
        let State {
            average, network, ..
        } = &mut self.state;
        if let Some(average) = average {
            average.after_epoch(network, share);
        }
        let mut report = EpochReport {
            epoch: self.state.epoch,
            learning_rate: self.learning_rate(self.state.step.saturating_sub(1)).0,
            train_loss,
            validation_loss: None,
            figures: Vec::new(),
        };
        let is_judged = done == self.config.epochs || done.is_multiple_of(self.config.judge_every);
        if let Some(examples) = self.material.examples.filter(|_| is_judged) {
            observer.validating(examples.n_clips());
            let judged = self.averaged(report.epoch)?;
            let shown = without_guidance(&judged, self.material.batches.n_classes())?;
            let scored = score(&shown, examples, &self.loss, self.config.batch_size)?;
            check_finite(&scored, examples, report.epoch)?;
            report.validation_loss = Some(scored.mean_loss);
            report.figures = (self.material.judge)(&scored)?;
            self.state.candidate = Some(judged);
        }
        Ok(report)
    }

    fn out_of_patience(&self) -> bool {
        let waited = self.state.epochs_without_gain;
        self.config
            .patience
            .is_some_and(|patience| waited >= patience)
    }

    /// Which parameters an epoch trains.
    fn trained(&self, epoch: usize) -> Vec<bool> {
        let head_only = epoch < self.config.head_epochs || !self.config.scope.reaches_body();
        let parameters = self.state.network.parameters();
        parameters
            .iter()
            .zip(&self.places)
            .map(|(parameter, place)| parameter.is_trained() && (place.is_head || !head_only))
            .collect()
    }

    /// The learning rate of the head at a step, and the momentum that goes with it.
    fn learning_rate(&self, step: usize) -> (f64, Option<f64>) {
        let rate = self.schedule.at(step);
        let plateau = self.state.plateau.factor(&self.config.schedule);
        (
            self.config.learning_rate * rate.factor * plateau,
            rate.momentum,
        )
    }

    /// The learning rate of every parameter, falling geometrically from the head to the first block.
    fn rates(&self, head: f64) -> Vec<f64> {
        let of = |place: &Place| match place.is_head {
            true => head,
            false => head * self.config.body_rate.powf(1.0 - place.depth),
        };
        self.places.iter().map(of).collect()
    }
}

/// Refuses logits that are no numbers, by the clip's name.
fn check_finite(scored: &Scored, examples: &dyn Examples, epoch: usize) -> Result<()> {
    let rows = scored.logits.chunks(scored.n_classes.max(1));
    let is_broken = |row: &[f32]| row.iter().any(|logit| !logit.is_finite());
    match rows.into_iter().position(is_broken) {
        None => Ok(()),
        Some(clip) => Err(Error::Training {
            place: format!("epoch {}, validation ({})", epoch + 1, examples.name(clip)),
            reason: "the network's output is not a number; lower train.learning_rate or set \
                     train.clip_norm"
                .to_owned(),
        }),
    }
}
