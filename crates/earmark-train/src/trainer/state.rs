//! Everything that changes while a run goes on, and its way into and out of a checkpoint.

use burn::tensor::Tensor;
use earmark::Result;
use serde::{Deserialize, Serialize};

use super::{Keep, TrainConfig};
use crate::average::Average;
use crate::checkpoint::Saved;
use crate::network::{Network, flat, host};
use crate::observer::EpochReport;
use crate::optimizer::{Memory, Optimizer};
use crate::schedule::Plateau;

/// The state of a run between two epochs.
pub(super) struct State {
    /// Epochs that are done.
    pub(super) epoch: usize,
    /// Optimizer steps that are done.
    pub(super) step: usize,
    pub(super) network: Network,
    pub(super) optimizer: Optimizer,
    pub(super) average: Option<Average>,
    pub(super) plateau: Plateau,
    pub(super) best_figure: Option<f64>,
    pub(super) epochs_without_gain: usize,
    /// The network of the best epoch, where the settings keep it.
    pub(super) best: Option<Network>,
    /// The network that the last validation judged.
    pub(super) candidate: Option<Network>,
    pub(super) history: Vec<EpochReport>,
}

/// The numbers of a state that are no tensors.
#[derive(Debug, Serialize, Deserialize)]
struct Numbers {
    epoch: usize,
    step: usize,
    plateau: Plateau,
    best_figure: Option<f64>,
    epochs_without_gain: usize,
    n_averaged: u64,
    n_steps: Vec<u64>,
    history: Vec<EpochReport>,
}

impl State {
    pub(super) fn new(config: &TrainConfig, network: Network) -> Result<Self> {
        let n_parameters = network.parameters().len();
        Ok(Self {
            epoch: 0,
            step: 0,
            optimizer: Optimizer::new(config.optimizer.clone(), n_parameters)?,
            average: config.average.clone().map(Average::new),
            network,
            plateau: Plateau::default(),
            best_figure: None,
            epochs_without_gain: 0,
            best: None,
            candidate: None,
            history: Vec::new(),
        })
    }

    /// Takes in the report of the epoch that has just ended.
    pub(super) fn take_in(&mut self, report: EpochReport, config: &TrainConfig) {
        self.epoch += 1;
        let candidate = self.candidate.take();
        if let Some(figure) = report.figures.first().and_then(|f| f.value) {
            self.plateau.observe(&config.schedule, figure);
            if self.best_figure.is_none_or(|best| figure > best) {
                self.best_figure = Some(figure);
                self.epochs_without_gain = 0;
                if config.keep == Keep::Best {
                    self.best = candidate;
                }
            } else {
                self.epochs_without_gain += 1;
            }
        }
        self.history.push(report);
    }

    /// Says which epoch was the best, and how long ago; nothing before an epoch is judged.
    pub(super) fn since_best(&self) -> Option<String> {
        let best = self.best_figure?;
        let (epoch, name) = self.history.iter().find_map(|report| {
            let figure = report.figures.first()?;
            (figure.value == Some(best)).then_some((report.epoch + 1, &figure.name))
        })?;
        let waited = self.epochs_without_gain;
        let plural = if waited == 1 { "" } else { "s" };
        Some(format!(
            "stopped early: {name} was {best:.4} after epoch {epoch} and no better the {waited} time{plural} since"
        ))
    }

    /// The state as a checkpoint holds it.
    pub(super) fn saved(&self) -> Result<Saved> {
        let memory = self.optimizer.memory();
        let (n_averaged, averages) = match &self.average {
            Some(average) => average.state(),
            None => (0, &[][..]),
        };
        let numbers = Numbers {
            epoch: self.epoch,
            step: self.step,
            plateau: self.plateau.clone(),
            best_figure: self.best_figure,
            epochs_without_gain: self.epochs_without_gain,
            n_averaged,
            n_steps: memory.iter().map(|m| m.n_steps).collect(),
            history: self.history.clone(),
        };
        let mut saved = Saved::new(&numbers);
        for (i, parameter) in self.network.parameters().iter().enumerate() {
            let mut put = |part: &str, value: Option<&Tensor<1>>| -> Result<()> {
                if let Some(value) = value {
                    saved.put(part, &parameter.name, host(value.clone())?);
                }
                Ok(())
            };
            put("value", Some(self.network.value(i)))?;
            put("first", memory[i].first.as_ref())?;
            put("second", memory[i].second.as_ref())?;
            put("average", averages.get(i))?;
            put("best", self.best.as_ref().map(|best| best.value(i)))?;
        }
        Ok(saved)
    }

    /// Becomes what a checkpoint holds.
    pub(super) fn restore(&mut self, saved: Saved) -> Result<()> {
        let numbers: Numbers = saved.numbers()?;
        let parameters = self.network.parameters().to_vec();
        let device = self.network.device().clone();
        let take = |part: &str, i: usize| -> Result<Option<Tensor<1>>> {
            let values = saved.get(part, &parameters[i].name, parameters[i].n_values())?;
            Ok(values.map(|values| flat(&values, &device)))
        };
        let mut memory = Vec::with_capacity(parameters.len());
        let mut averages = Vec::new();
        let mut best = self.network.clone();
        let mut has_best = false;
        for (i, parameter) in parameters.iter().enumerate() {
            let value = take("value", i)?.ok_or_else(|| saved.missing(&parameter.name))?;
            self.network.set_value(i, value);
            memory.push(Memory {
                n_steps: numbers.n_steps.get(i).copied().unwrap_or(0),
                first: take("first", i)?,
                second: take("second", i)?,
            });
            averages.extend(take("average", i)?);
            if let Some(value) = take("best", i)? {
                best.set_value(i, value);
                has_best = true;
            }
        }
        self.optimizer.set_memory(memory);
        if let Some(average) = &mut self.average {
            average.restore(numbers.n_averaged, averages);
        }
        self.best = has_best.then_some(best);
        self.epoch = numbers.epoch;
        self.step = numbers.step;
        self.plateau = numbers.plateau;
        self.best_figure = numbers.best_figure;
        self.epochs_without_gain = numbers.epochs_without_gain;
        self.history = numbers.history;
        Ok(())
    }
}
