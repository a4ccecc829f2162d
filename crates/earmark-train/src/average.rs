//! Averages of the weights over a run: an exponential one (EMA) or a plain one over the last part (SWA).
//!
//! An averaged network often does better than the last one. What its normalisations have measured
//! belongs to other weights, though, so the trainer measures the statistics of an averaged network
//! anew before it judges or saves it.

use burn::tensor::Tensor;
use earmark::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::network::Network;

/// Which average, if any.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum AverageConfig {
    /// `average ← decay · average + (1 − decay) · weights` after every step.
    Ema {
        /// How slowly the average moves, 0 to below 1. The first steps move it faster:
        /// `min(decay, (1 + n) / (10 + n))` at step `n`.
        #[serde(default = "default_decay")]
        decay: f64,
    },
    /// The mean of the weights at the end of every epoch from `start` on (Izmailov et al., 2018).
    Swa {
        /// Share of the run after which averaging begins, 0 to below 1.
        #[serde(default = "default_start")]
        start: f64,
    },
}

fn default_decay() -> f64 {
    0.999
}
fn default_start() -> f64 {
    0.75
}

impl AverageConfig {
    /// Refuses impossible settings.
    ///
    /// # Errors
    /// [`Error::Config`] names the setting.
    pub fn check(&self) -> Result<()> {
        let (key, value) = match *self {
            Self::Ema { decay } => ("decay", decay),
            Self::Swa { start } => ("start", start),
        };
        if (0.0..1.0).contains(&value) {
            return Ok(());
        }
        Err(Error::Config {
            key: format!("train.average.{key}"),
            found: value.to_string(),
            expected: "must be at least 0 and below 1".to_owned(),
        })
    }
}

/// The running average of a network's trained parameters.
#[derive(Debug, Clone)]
pub struct Average {
    config: AverageConfig,
    n_averaged: u64,
    /// By parameter; empty until the first weights came in.
    values: Vec<Tensor<1>>,
}

impl Average {
    /// An average of nothing yet.
    pub fn new(config: AverageConfig) -> Self {
        Self {
            config,
            n_averaged: 0,
            values: Vec::new(),
        }
    }

    /// Becomes what a checkpoint holds.
    pub fn restore(&mut self, n_averaged: u64, values: Vec<Tensor<1>>) {
        self.n_averaged = n_averaged;
        self.values = values;
    }

    /// How often weights came in, and the average of every parameter.
    pub fn state(&self) -> (u64, &[Tensor<1>]) {
        (self.n_averaged, &self.values)
    }

    /// Takes in the weights after an optimizer step.
    pub fn after_step(&mut self, network: &Network) {
        if let AverageConfig::Ema { decay } = self.config {
            let n = self.n_averaged as f64;
            self.take_in(network, decay.min((1.0 + n) / (10.0 + n)));
        }
    }

    /// Takes in the weights after an epoch; `share` of the run is over.
    pub fn after_epoch(&mut self, network: &Network, share: f64) {
        if let AverageConfig::Swa { start } = self.config
            && share > start
        {
            let n = self.n_averaged as f64;
            self.take_in(network, n / (n + 1.0));
        }
    }

    fn take_in(&mut self, network: &Network, keep: f64) {
        let n_parameters = network.parameters().len();
        if self.values.is_empty() {
            self.values = (0..n_parameters)
                .map(|i| network.value(i).clone())
                .collect();
        } else {
            for (i, average) in self.values.iter_mut().enumerate() {
                let moved = average.clone().mul_scalar(keep)
                    + network.value(i).clone().mul_scalar(1.0 - keep);
                *average = moved;
            }
        }
        self.n_averaged += 1;
    }

    /// A copy of the network with the averaged values, or none before the first weights came in.
    pub fn network(&self, network: &Network) -> Option<Network> {
        if self.values.is_empty() {
            return None;
        }
        let mut averaged = network.clone();
        for (i, value) in self.values.iter().enumerate() {
            averaged.set_value(i, value.clone());
        }
        Some(averaged)
    }
}
