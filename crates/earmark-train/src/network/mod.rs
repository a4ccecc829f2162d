//! The trainable network: an architecture and its weights in, logits and an embedding out.
//!
//! [`Network`] is built from the same [`Architecture`] as the ONNX graph of a bundle. Every
//! parameter is kept as one flat tensor under its state-dict name and gets its shape when a block
//! uses it, so that the optimizer, averaging and checkpoints treat all of them alike.
//!
//! A forward pass changes nothing. When it trains, it notes in a [`Tape`] which parameters took part
//! and what the normalisations measured; [`Network::gradients`] and
//! [`Network::update_statistics`] read it afterwards.
//!
//! # Shapes
//! Features are `[batch, channel, band, frame]`, logits `[batch, class]`, embeddings `[batch, dim]`.

mod blocks;
pub mod groups;
mod initial;
mod kernels;
mod norm;
mod recurrent;
mod tape;

use std::collections::HashMap;

use burn::tensor::{Device, Gradients, Tensor, TensorData};
use earmark::model::{self, Architecture, Parameter, Plan, Weights};
use earmark::{Error, Result};

pub use tape::{Pass, Tape};

/// What a forward pass gives.
#[derive(Debug, Clone)]
pub struct Forward {
    /// The main logits, `[batch, class]`.
    pub logits: Tensor<2>,
    /// The embedding, `[batch, dim]`.
    pub embedding: Tensor<2>,
    /// Logits of the auxiliary classifiers with the weights of their losses; only while training.
    pub auxiliary: Vec<(f32, Tensor<2>)>,
}

/// A network with its parameters on a device.
#[derive(Debug, Clone)]
pub struct Network {
    architecture: Architecture,
    plan: Plan,
    min_frames: Option<usize>,
    index: HashMap<String, usize>,
    /// One flat tensor per parameter of the plan, in its order, outside of autodiff.
    values: Vec<Tensor<1>>,
    device: Device,
    /// Whether the kernels of [`kernels`] may be used.
    is_cpu: bool,
}

impl Network {
    /// A network with random weights, the same for the same seed on every device.
    ///
    /// # Errors
    /// [`Error::Shape`] if the description does not fit together.
    pub fn new(architecture: &Architecture, seed: u64, device: &Device) -> Result<Self> {
        let plan = architecture.plan()?;
        let device = device.clone().without_autodiff();
        let values = plan
            .parameters
            .iter()
            .map(|p| flat(&initial::values(p, seed), &device))
            .collect();
        let index = plan
            .parameters
            .iter()
            .enumerate()
            .map(|(i, p)| (p.name.clone(), i))
            .collect();
        Ok(Self {
            architecture: architecture.clone(),
            min_frames: architecture.min_frames(),
            plan,
            index,
            values,
            is_cpu: device == Device::flex(),
            device,
        })
    }

    /// A network with these weights.
    ///
    /// # Errors
    /// [`Error::Weights`] if names or shapes differ from what the architecture asks for; `source` is
    /// the name of the file they came from.
    pub fn with_weights(
        architecture: &Architecture,
        weights: &Weights,
        source: &str,
        device: &Device,
    ) -> Result<Self> {
        weights.check(architecture, source)?;
        let mut network = Self::new(architecture, 0, device)?;
        network.load(weights);
        Ok(network)
    }

    /// Takes over every tensor whose name and shape are those of a parameter, and returns the names
    /// of the parameters that were left as they were.
    pub fn load(&mut self, weights: &Weights) -> Vec<String> {
        let mut untouched = Vec::new();
        for (parameter, value) in self.plan.parameters.iter().zip(&mut self.values) {
            match weights.get(&parameter.name) {
                Some(tensor) if tensor.shape() == parameter.shape => {
                    *value = flat(tensor.data(), &self.device);
                }
                _ => untouched.push(parameter.name.clone()),
            }
        }
        untouched
    }

    /// The weights by name, as a bundle stores them.
    ///
    /// # Errors
    /// [`Error::Device`] if the device does not hand them over.
    pub fn weights(&self) -> Result<Weights> {
        let mut weights = Weights::new();
        for (parameter, value) in self.plan.parameters.iter().zip(&self.values) {
            let tensor = model::Tensor::new(parameter.shape.clone(), host(value.clone())?)?;
            weights.insert(parameter.name.clone(), tensor);
        }
        Ok(weights)
    }

    /// The description that the network was built from.
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// The parameters, in the order of every list of gradients and optimizer states.
    pub fn parameters(&self) -> &[Parameter] {
        &self.plan.parameters
    }

    /// The value of a parameter, flat and outside of autodiff.
    pub fn value(&self, parameter: usize) -> &Tensor<1> {
        &self.values[parameter]
    }

    /// Replaces the value of a parameter by another of the same length.
    pub fn set_value(&mut self, parameter: usize, value: Tensor<1>) {
        debug_assert_eq!(value.dims(), self.values[parameter].dims());
        self.values[parameter] = value;
    }

    /// Where the parameters are. Features must be on the same device.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Whether features of so many frames leave something after every pooling; `place` names the clip.
    ///
    /// # Errors
    /// [`Error::Shape`] with what was found and the fewest frames, or the fixed number, that are taken.
    pub fn check_frames(&self, n_frames: usize, place: &str) -> Result<()> {
        let takes = match self.architecture.input.n_frames {
            Some(fixed) if fixed == n_frames => return Ok(()),
            Some(fixed) => fixed.to_string(),
            None => match self.min_frames {
                Some(least) if least <= n_frames => return Ok(()),
                Some(least) => format!(
                    "at least {least}; a front end that trims silence can fill clips up, as with \
                     `length = {{ n_samples = 65536, short = \"repeat\", long = \"keep\" }}`"
                ),
                None => "a network that leaves something after every pooling".to_owned(),
            },
        };
        Err(Error::Shape {
            what: format!("{place}: frames for {}", self.architecture.name),
            found: n_frames.to_string(),
            expected: takes,
        })
    }

    /// Runs the network.
    ///
    /// # Shapes
    /// - `features`: `[batch, channel, band, frame]` as the architecture's input says
    ///
    /// # Panics
    /// If the features do not have the architecture's shape; [`Network::check_frames`] is the check of frames.
    pub fn forward(&self, features: Tensor<4>, pass: &mut Pass<'_>) -> Forward {
        let features = match pass {
            Pass::Evaluate => features,
            Pass::Train(_) => features.autodiff(),
        };
        let mut outputs = blocks::Outputs::default();
        let value = self.run(&self.architecture.blocks, features, pass, &mut outputs);
        Forward {
            logits: blocks::vector(value),
            embedding: outputs
                .embedding
                .expect("a planned architecture has exactly one embedding"),
            auxiliary: outputs.auxiliary,
        }
    }

    /// The gradients of the parameters that took part in a training pass, flat, by parameter.
    pub fn gradients(&self, tape: &mut Tape, gradients: &mut Gradients) -> Vec<Option<Tensor<1>>> {
        let mut found = vec![None; self.values.len()];
        for (parameter, leaf) in tape.take_leaves() {
            found[parameter] = leaf.grad_remove(gradients);
        }
        found
    }

    /// Moves the running statistics by what a training pass measured.
    pub fn update_statistics(&mut self, tape: &mut Tape) {
        for measured in tape.take_statistics() {
            let keep = 1.0 - measured.momentum;
            for (parameter, batch) in [
                (measured.mean_parameter, measured.mean),
                (measured.variance_parameter, measured.variance),
            ] {
                let moved = self.values[parameter].clone().mul_scalar(keep)
                    + batch.mul_scalar(measured.momentum);
                self.values[parameter] = moved;
            }
        }
    }

    /// The index of a parameter by name.
    pub fn parameter(&self, name: &str) -> Option<usize> {
        self.index.get(name).copied()
    }

    fn expect_parameter(&self, prefix: &str, suffix: &str) -> usize {
        self.parameter(&format!("{prefix}.{suffix}"))
            .expect("the plan lists every parameter that a block uses")
    }

    /// The parameter for use in a pass: a leaf of the gradient graph if it is trained.
    fn used(&self, prefix: &str, suffix: &str, pass: &mut Pass<'_>) -> Tensor<1> {
        let parameter = self.expect_parameter(prefix, suffix);
        let value = self.values[parameter].clone();
        match pass {
            Pass::Train(tape) => tape.leaf(parameter, value),
            Pass::Evaluate => value,
        }
    }
}

/// Numbers as a flat tensor on a device.
pub(crate) fn flat(values: &[f32], device: &Device) -> Tensor<1> {
    Tensor::from_data(TensorData::new(values.to_vec(), [values.len()]), device)
}

/// The numbers of a tensor, last axis fastest.
///
/// # Errors
/// [`Error::Device`] if the device does not hand them over.
pub(crate) fn host<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>> {
    let device = |reason: String| Error::Device { reason };
    tensor
        .try_into_vec_as::<f32>()
        .map_err(|error| device(format!("reading a tensor: {error}")))
}
