//! The `[train]` table of a run's configuration.

use earmark::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::average::AverageConfig;
use crate::loss::LossConfig;
use crate::noisy::NoisyConfig;
use crate::optimizer::OptimizerConfig;
use crate::schedule::ScheduleConfig;

/// How a network is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainConfig {
    /// Passes over the training clips, at least 1.
    pub epochs: usize,
    /// Clips in a batch, at least 1. Batch normalisation wants 8 or more.
    pub batch_size: usize,
    /// The highest learning rate, of the head, above 0. Adam: around 1e-3 from scratch.
    pub learning_rate: f64,
    /// The first block's learning rate as a share of the head's; the blocks between lie on a
    /// geometric series. 1 trains all alike; fine-tuning often wants 0.1.
    pub body_rate: f64,
    /// Epochs at the start in which only the head is trained and the rest stays frozen.
    pub head_epochs: usize,
    /// What is trained after those epochs.
    pub scope: Scope,
    /// The optimizer.
    pub optimizer: OptimizerConfig,
    /// The learning rate over the run.
    pub schedule: ScheduleConfig,
    /// Epochs, also parts of one, over which the rate rises from nothing before the schedule begins.
    pub warm_up_epochs: f64,
    /// The loss; left out, softmax cross-entropy where every clip has one label and binary
    /// cross-entropy otherwise.
    pub loss: Option<LossConfig>,
    /// What the loss makes of labels that nobody checked.
    pub noisy: NoisyConfig,
    /// Whether rare classes count more.
    pub class_weights: ClassWeights,
    /// The largest norm that a step's gradient may have; larger ones are scaled down. Above 0.
    pub clip_norm: Option<f64>,
    /// Batches whose gradients make one step, at least 1.
    pub accumulate: usize,
    /// An average of the weights that is judged and saved in place of the last ones.
    pub average: Option<AverageConfig>,
    /// Which weights the bundle gets.
    pub keep: Keep,
    /// The validation clips judge every so many epochs, and the last, at least 1. What waits for their figures
    /// (`keep`, `patience`, a plateau) counts the epochs that are judged.
    pub judge_every: usize,
    /// Judged epochs in a row without a better validation figure after which the run ends, at least 1; none goes on
    /// to the end.
    pub patience: Option<usize>,
    /// Seeds everything that is random.
    pub seed: u64,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            epochs: 30,
            batch_size: 32,
            learning_rate: 1e-3,
            body_rate: 1.0,
            head_epochs: 0,
            scope: Scope::All,
            optimizer: OptimizerConfig::default(),
            schedule: ScheduleConfig::default(),
            warm_up_epochs: 0.0,
            loss: None,
            noisy: NoisyConfig::default(),
            class_weights: ClassWeights::Equal,
            clip_norm: None,
            accumulate: 1,
            average: None,
            keep: Keep::Last,
            judge_every: 1,
            patience: None,
            seed: 0,
        }
    }
}

/// What a run trains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// Every parameter.
    All,
    /// The layers after the embedding, in the network, with augmentation.
    Head,
    /// A logistic regression on embeddings that are computed once: seconds instead of minutes.
    Probe,
    /// Such a probe first, then every parameter, the probe being the head: fine-tuning starts from
    /// classes that are already told apart and bends the pretrained features less. Kumar et al.,
    /// *Fine-tuning can distort pretrained features and underperform out-of-distribution* (2022).
    ProbeThenAll,
}

impl Scope {
    /// Whether the layers before the embedding are trained.
    pub fn reaches_body(self) -> bool {
        matches!(self, Self::All | Self::ProbeThenAll)
    }
}

/// How the classes are weighted in the loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClassWeights {
    /// All alike.
    Equal,
    /// By `n_clips / (n_classes · clips of the class)`, so that every class weighs the same in all.
    Balanced,
}

/// Which weights a run ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Keep {
    /// Those of the last epoch: the honest choice where the validation clips are the test.
    Last,
    /// Those of the epoch with the best validation figure, which is then too good to be reported.
    Best,
}

impl TrainConfig {
    /// Refuses impossible settings.
    ///
    /// # Errors
    /// [`Error::Config`] names the setting.
    pub fn check(&self) -> Result<()> {
        let positive = |x: f64| x > 0.0 && x.is_finite();
        let rules: [(&str, String, bool, &str); 10] = [
            (
                "epochs",
                self.epochs.to_string(),
                self.epochs >= 1,
                "must be at least 1",
            ),
            (
                "batch_size",
                self.batch_size.to_string(),
                self.batch_size >= 1,
                "must be at least 1",
            ),
            (
                "accumulate",
                self.accumulate.to_string(),
                self.accumulate >= 1,
                "must be at least 1",
            ),
            (
                "judge_every",
                self.judge_every.to_string(),
                self.judge_every >= 1,
                "must be at least 1",
            ),
            (
                "learning_rate",
                self.learning_rate.to_string(),
                positive(self.learning_rate),
                "must be above 0",
            ),
            (
                "body_rate",
                self.body_rate.to_string(),
                positive(self.body_rate) && self.body_rate <= 1.0,
                "must be above 0 and at most 1",
            ),
            (
                "warm_up_epochs",
                self.warm_up_epochs.to_string(),
                (0.0..=self.epochs as f64).contains(&self.warm_up_epochs),
                "must be 0 to the number of epochs",
            ),
            (
                "clip_norm",
                format!("{:?}", self.clip_norm),
                self.clip_norm.is_none_or(positive),
                "must be above 0",
            ),
            (
                "head_epochs",
                self.head_epochs.to_string(),
                self.head_epochs <= self.epochs,
                "must be at most the number of epochs",
            ),
            (
                "patience",
                self.patience.unwrap_or_default().to_string(),
                self.patience != Some(0),
                "must be at least 1",
            ),
        ];
        if let Some((key, found, _, expected)) = rules.into_iter().find(|rule| !rule.2) {
            return Err(Error::Config {
                key: format!("train.{key}"),
                found,
                expected: expected.to_owned(),
            });
        }
        self.optimizer.check()?;
        self.noisy.check()?;
        self.average.as_ref().map_or(Ok(()), AverageConfig::check)?;
        self.loss.as_ref().map_or(Ok(()), LossConfig::check)
    }
}
