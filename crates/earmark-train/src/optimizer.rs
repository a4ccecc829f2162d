//! Adam with weight decay and SGD over the flat parameters of a [`Network`].
//!
//! The optimizer gets one gradient and one learning rate per parameter, so freezing and
//! discriminative rates need nothing else. Its arithmetic is element by element, in the order written
//! here, which makes a resumed run equal to an unbroken one.

use burn::tensor::Tensor;
use earmark::model::{Parameter, Role};
use earmark::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::network::Network;

/// Which optimizer, with its settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum OptimizerConfig {
    /// Adam with decoupled weight decay (Loshchilov and Hutter, 2019).
    Adamw {
        /// How slowly the mean of the gradients moves, 0 to below 1.
        #[serde(default = "default_beta1")]
        beta1: f64,
        /// How slowly the mean of their squares moves, 0 to below 1.
        #[serde(default = "default_beta2")]
        beta2: f64,
        /// Keeps the division finite, above 0.
        #[serde(default = "default_epsilon")]
        epsilon: f64,
        /// Share of a weight that a step at rate 1 takes away; matrices and kernels only.
        #[serde(default = "default_weight_decay")]
        weight_decay: f64,
    },
    /// Stochastic gradient descent with momentum, as PyTorch computes it.
    Sgd {
        /// Share of the last step that goes into the next, 0 to below 1.
        #[serde(default = "default_momentum")]
        momentum: f64,
        /// Whether the step looks ahead (Nesterov).
        #[serde(default)]
        nesterov: bool,
        /// Added to the gradient as this share of the weight; matrices and kernels only.
        #[serde(default)]
        weight_decay: f64,
    },
}

fn default_beta1() -> f64 {
    0.9
}
fn default_beta2() -> f64 {
    0.999
}
fn default_epsilon() -> f64 {
    1e-8
}
fn default_weight_decay() -> f64 {
    0.01
}
fn default_momentum() -> f64 {
    0.9
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        Self::Adamw {
            beta1: default_beta1(),
            beta2: default_beta2(),
            epsilon: default_epsilon(),
            weight_decay: default_weight_decay(),
        }
    }
}

impl OptimizerConfig {
    /// Refuses impossible settings.
    ///
    /// # Errors
    /// [`Error::Config`] names the setting.
    pub fn check(&self) -> Result<()> {
        let rules: &[(&str, f64, bool)] = match *self {
            Self::Adamw {
                beta1,
                beta2,
                epsilon,
                weight_decay,
            } => &[
                ("beta1", beta1, (0.0..1.0).contains(&beta1)),
                ("beta2", beta2, (0.0..1.0).contains(&beta2)),
                ("epsilon", epsilon, epsilon > 0.0 && epsilon < 1.0),
                (
                    "weight_decay",
                    weight_decay,
                    (0.0..1.0).contains(&weight_decay),
                ),
            ],
            Self::Sgd {
                momentum,
                weight_decay,
                ..
            } => &[
                ("momentum", momentum, (0.0..1.0).contains(&momentum)),
                (
                    "weight_decay",
                    weight_decay,
                    (0.0..1.0).contains(&weight_decay),
                ),
            ],
        };
        match rules.iter().find(|(_, _, holds)| !holds) {
            None => Ok(()),
            Some((key, value, _)) => Err(Error::Config {
                key: format!("train.optimizer.{key}"),
                found: value.to_string(),
                expected: match *key {
                    "epsilon" => "must be above 0 and below 1".to_owned(),
                    _ => "must be at least 0 and below 1".to_owned(),
                },
            }),
        }
    }
}

/// Values from which the CPU device adds up in parallel, in an order that the number of threads decides.
const PARALLEL_SUM: usize = 1 << 22;

/// Values that are added up by themselves where there are so many.
const PIECE: usize = 1 << 18;

/// What the optimizer remembers of one parameter.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    /// Steps that this parameter has made; a thawed parameter starts at 0.
    pub n_steps: u64,
    /// The moving mean of the gradients (Adam) or the momentum (SGD).
    pub first: Option<Tensor<1>>,
    /// The moving mean of the squared gradients (Adam).
    pub second: Option<Tensor<1>>,
}

/// An optimizer with what it remembers.
#[derive(Debug, Clone)]
pub struct Optimizer {
    config: OptimizerConfig,
    memory: Vec<Memory>,
}

/// The size of a step.
#[derive(Debug, Clone)]
pub struct StepSize<'a> {
    /// The learning rate of every parameter; parameters at 0 stay as they are.
    pub rates: &'a [f64],
    /// Replaces the momentum (Adam's first beta).
    pub momentum: Option<f64>,
}

impl Optimizer {
    /// An optimizer that remembers nothing yet, for a network of `n_parameters`.
    ///
    /// # Errors
    /// [`Error::Config`] if a setting is out of range.
    pub fn new(config: OptimizerConfig, n_parameters: usize) -> Result<Self> {
        config.check()?;
        Ok(Self {
            config,
            memory: vec![Memory::default(); n_parameters],
        })
    }

    /// What is remembered of every parameter, for checkpoints.
    pub fn memory(&self) -> &[Memory] {
        &self.memory
    }

    /// Continues from what a checkpoint remembers.
    pub fn set_memory(&mut self, memory: Vec<Memory>) {
        debug_assert_eq!(memory.len(), self.memory.len());
        self.memory = memory;
    }

    /// Moves every parameter that has a gradient and a rate above 0.
    pub fn step(
        &mut self,
        network: &mut Network,
        gradients: Vec<Option<Tensor<1>>>,
        size: &StepSize<'_>,
    ) {
        for (index, gradient) in gradients.into_iter().enumerate() {
            let rate = size.rates[index];
            let Some(gradient) = gradient.filter(|_| rate > 0.0) else {
                continue;
            };
            let decays = decays(&network.parameters()[index]);
            let value = network.value(index).clone();
            let memory = &mut self.memory[index];
            memory.n_steps += 1;
            let moved = match self.config {
                OptimizerConfig::Adamw {
                    beta1,
                    weight_decay,
                    ..
                } => {
                    let decay = if decays { rate * weight_decay } else { 0.0 };
                    let beta1 = size.momentum.unwrap_or(beta1);
                    let step = adam_step(&self.config, beta1, memory, gradient);
                    value.mul_scalar(1.0 - decay) - step.mul_scalar(rate)
                }
                OptimizerConfig::Sgd {
                    momentum,
                    nesterov,
                    weight_decay,
                } => {
                    let gradient = match decays && weight_decay > 0.0 {
                        true => gradient + value.clone().mul_scalar(weight_decay),
                        false => gradient,
                    };
                    let momentum = size.momentum.unwrap_or(momentum);
                    let step = sgd_step(momentum, nesterov, memory, gradient);
                    value - step.mul_scalar(rate)
                }
            };
            network.set_value(index, moved);
        }
    }
}

/// Weight decay is for matrices and kernels: shrinking the factor or the constant of a normalisation
/// changes what the network computes without making it simpler.
fn decays(parameter: &Parameter) -> bool {
    matches!(
        parameter.role,
        Role::ConvWeight { .. } | Role::LinearWeight { .. } | Role::RecurrentWeight { .. }
    )
}

/// Adam's step for a rate of 1 (Kingma and Ba, 2015, algorithm 1).
fn adam_step(
    config: &OptimizerConfig,
    beta1: f64,
    memory: &mut Memory,
    gradient: Tensor<1>,
) -> Tensor<1> {
    let OptimizerConfig::Adamw { beta2, epsilon, .. } = *config else {
        unreachable!("only called for Adam");
    };
    let moved = |old: Option<Tensor<1>>, new: Tensor<1>, beta: f64| match old {
        Some(old) => old.mul_scalar(beta) + new.mul_scalar(1.0 - beta),
        None => new.mul_scalar(1.0 - beta),
    };
    let squared = gradient.clone() * gradient.clone();
    let first = moved(memory.first.take(), gradient, beta1);
    let second = moved(memory.second.take(), squared, beta2);
    let n_steps = memory.n_steps as i32;
    // With a beta that the schedule moves, the correction for the empty start is that of the present
    // beta, as in PyTorch.
    let first_share = 1.0 - beta1.powi(n_steps);
    let second_share = 1.0 - beta2.powi(n_steps);
    memory.first = Some(first.clone());
    memory.second = Some(second.clone());
    let scale = second.div_scalar(second_share).sqrt().add_scalar(epsilon);
    first.div_scalar(first_share) / scale
}

/// SGD's step for a rate of 1.
fn sgd_step(momentum: f64, nesterov: bool, memory: &mut Memory, gradient: Tensor<1>) -> Tensor<1> {
    if momentum == 0.0 {
        return gradient;
    }
    let velocity = match memory.first.take() {
        Some(old) => old.mul_scalar(momentum) + gradient.clone(),
        None => gradient.clone(),
    };
    memory.first = Some(velocity.clone());
    match nesterov {
        true => gradient + velocity.mul_scalar(momentum),
        false => velocity,
    }
}

/// Scales gradients down so that their common norm is at most `limit`, and returns the norm before.
///
/// # Errors
/// [`Error::Device`] if the device does not hand over the norm.
pub fn clip_norm(gradients: &mut [Option<Tensor<1>>], limit: Option<f64>) -> Result<f64> {
    let squares: Vec<Tensor<1>> = gradients
        .iter()
        .flatten()
        .flat_map(sums_of_squares)
        .collect();
    if squares.is_empty() {
        return Ok(0.0);
    }
    let squares = crate::network::host(Tensor::cat(squares, 0))?;
    let norm = squares.iter().map(|&s| f64::from(s)).sum::<f64>().sqrt();
    if let Some(limit) = limit.filter(|&limit| norm > limit) {
        for gradient in gradients.iter_mut().flatten() {
            *gradient = gradient.clone().mul_scalar(limit / norm);
        }
    }
    Ok(norm)
}

/// The sum of a tensor's squares, or those of its pieces, which add up to the same at any number of threads.
fn sums_of_squares(values: &Tensor<1>) -> Vec<Tensor<1>> {
    let squares = values.clone() * values.clone();
    let [n_values] = squares.dims();
    if n_values < PARALLEL_SUM {
        return vec![squares.sum()];
    }
    let piece = |start: usize| {
        let length = PIECE.min(n_values - start);
        squares.clone().narrow(0, start, length).sum()
    };
    (0..n_values).step_by(PIECE).map(piece).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{flat, host};
    use burn::tensor::Device;

    #[test]
    fn the_norm_of_many_values_is_the_same_at_any_number_of_threads() {
        let value = |i: u32| (i.wrapping_mul(2_654_435_761) >> 8) as f32 / 16_777_216.0 - 0.5;
        let many: Vec<f32> = (0..5_000_000).map(value).collect();
        let few = [3.0_f32, -4.0];
        let squares = many.iter().chain(&few).map(|&x| f64::from(x).powi(2));
        let naive = squares.sum::<f64>().sqrt();
        let norm = |n_threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads);
            pool.build().unwrap().install(|| {
                let device = Device::flex();
                let mut gradients = [Some(flat(&many, &device)), None, Some(flat(&few, &device))];
                clip_norm(&mut gradients, None).unwrap()
            })
        };
        let alone = norm(1);
        assert!((alone / naive - 1.0).abs() < 1e-5, "{alone} and {naive}");
        assert_eq!([norm(2), norm(7)], [alone; 2]);
    }

    #[test]
    fn gradients_are_scaled_down_to_the_limit_together() {
        let device = Device::flex();
        let mut gradients = [
            Some(flat(&[3.0], &device)),
            None,
            Some(flat(&[0.0, -4.0], &device)),
        ];
        assert_eq!(clip_norm(&mut gradients, Some(6.0)).unwrap(), 5.0);
        assert_eq!(clip_norm(&mut gradients, Some(1.0)).unwrap(), 5.0);
        let clipped = gradients.into_iter().flatten().map(|g| host(g).unwrap());
        for (found, expected) in clipped.flatten().zip([0.6_f32, 0.0, -0.8]) {
            assert!((found - expected).abs() < 1e-6, "{found} and {expected}");
        }
    }

    #[test]
    fn impossible_settings_are_named() {
        let message = |text: &str| {
            let config: OptimizerConfig = toml::from_str(text).unwrap();
            config.check().map_err(|error| error.to_string())
        };
        assert_eq!(
            message("kind = 'adamw'\nepsilon = 0.0"),
            Err("train.optimizer.epsilon is 0, must be above 0 and below 1".to_owned())
        );
        assert_eq!(
            message("kind = 'sgd'\nmomentum = 1.0"),
            Err("train.optimizer.momentum is 1, must be at least 0 and below 1".to_owned())
        );
        assert_eq!(message("kind = 'adamw'"), Ok(()));
    }
}
