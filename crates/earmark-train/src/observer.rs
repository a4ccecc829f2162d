//! What a run tells while it goes on: an [`Observer`] is told, the trainer prints nothing.

use serde::{Deserialize, Serialize};

use crate::run::Survey;

/// The state of a run after one batch.
#[derive(Debug, Clone, PartialEq)]
pub struct StepReport {
    /// The epoch, counted from 0.
    pub epoch: usize,
    /// The batch within the epoch, counted from 0.
    pub batch: usize,
    /// The mean loss of the batch's clips.
    pub loss: f64,
    /// The learning rate of the head.
    pub learning_rate: f64,
    /// The norm of the gradient before clipping, where an optimizer step was made.
    pub gradient_norm: Option<f64>,
}

/// One row of a run's history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochReport {
    /// The epoch, counted from 0.
    pub epoch: usize,
    /// The learning rate of the head at the end of the epoch.
    pub learning_rate: f64,
    /// The mean loss of the training clips as they were met, augmented and in training mode.
    pub train_loss: f64,
    /// The mean loss of the validation clips.
    pub validation_loss: Option<f64>,
    /// The validation figures by name, in the order they are shown.
    pub figures: Vec<Figure>,
}

/// A named validation figure; higher is better.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// Its name, such as `accuracy`.
    pub name: String,
    /// Its value; absent where it is not defined for the set.
    pub value: Option<f64>,
}

/// Is told how a run goes. Every method may stay empty.
pub trait Observer {
    /// The clips are read and divided; training comes next.
    fn surveyed(&mut self, survey: &Survey) {
        let _ = survey;
    }

    /// A run begins or goes on: `first_epoch` of `n_epochs`, each of about `n_batches`.
    fn started(&mut self, first_epoch: usize, n_epochs: usize, n_batches: usize) {
        let _ = (first_epoch, n_epochs, n_batches);
    }

    /// A batch is done.
    fn step(&mut self, report: &StepReport) {
        let _ = report;
    }

    /// Validation begins, on `n_clips`.
    fn validating(&mut self, n_clips: usize) {
        let _ = n_clips;
    }

    /// An epoch is done, judged and saved.
    fn epoch(&mut self, report: &EpochReport) {
        let _ = report;
    }

    /// Something worth knowing that stops nothing.
    fn notice(&mut self, text: &str) {
        let _ = text;
    }

    /// Asked after every batch; `true` ends the run at the last saved epoch.
    fn wants_to_stop(&mut self) -> bool {
        false
    }
}

/// An observer that watches nothing.
#[derive(Debug, Default)]
pub struct Silent;

impl Observer for Silent {}
