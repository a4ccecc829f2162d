//! Distillation: a trained network whose embedding the student learns to reproduce.
//!
//! The student gets one more output per dimension of the teacher's embedding. On every batch, after
//! all augmentation and mixing, the teacher hears what the student hears, and the student's extra
//! outputs are pulled towards the teacher's embedding, each dimension in units of its spread over
//! the training clips. Clips without labels teach too. What is kept in the end has the classes only.
//!
//! That teacher and student see the same view of every clip, for many epochs, follows Beyer et al.,
//! *Knowledge distillation: A good teacher is patient and consistent* (2022).

use std::path::PathBuf;

use burn::tensor::{Device, Tensor};
use earmark::bundle::{Bundle, onnx};
use earmark::digest::sha256_of_bytes;
use earmark::features::FrontEndConfig;
use earmark::model::{Tensor as ModelTensor, Weights};
use earmark::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::loss::{Loss, LossValue};
use crate::network::{Network, Pass, groups, host};
use crate::source::{Batch, Examples};
use crate::trainer;

/// A spread below this share of the largest one belongs to a dimension that says nothing.
const SMALLEST_SPREAD: f64 = 1e-3;

/// The `[teacher]` table of a run's configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TeacherConfig {
    /// The bundle of the teacher. Its front end must be that of the run.
    pub bundle: PathBuf,
    /// How much the teacher's term counts beside the loss of the labels, above 0.
    #[serde(default = "default_weight")]
    pub weight: f64,
}

fn default_weight() -> f64 {
    1.0
}

impl TeacherConfig {
    /// Refuses impossible settings.
    ///
    /// # Errors
    /// [`Error::Config`] names the setting.
    pub fn check(&self) -> Result<()> {
        if self.weight > 0.0 && self.weight.is_finite() {
            return Ok(());
        }
        Err(Error::Config {
            key: "teacher.weight".to_owned(),
            found: self.weight.to_string(),
            expected: "must be above 0".to_owned(),
        })
    }
}

/// A network that teaches, with the scale of its embedding.
#[derive(Debug, Clone)]
pub struct Teacher {
    network: Network,
    sha256: String,
    weight: f64,
    mean: Vec<f32>,
    scale: Vec<f32>,
}

impl Teacher {
    /// Opens the teacher's bundle.
    ///
    /// # Errors
    /// [`Error::Bundle`] if it is damaged or holds no network that Earmark can build, and
    /// [`Error::Config`] if it has another front end than the run.
    pub fn open(
        config: &TeacherConfig,
        front_end: &FrontEndConfig,
        device: &Device,
    ) -> Result<Self> {
        let bundle = Bundle::open(&config.bundle)?;
        let metadata = bundle.metadata();
        let Some(architecture) = &metadata.architecture else {
            return Err(Error::Bundle {
                name: bundle.file().to_owned(),
                reason: "its graph was made by another program, expected a network that Earmark \
                         has built, for a teacher"
                    .to_owned(),
            });
        };
        if metadata.front_end() != Some(front_end) {
            return Err(Error::Config {
                key: "features".to_owned(),
                found: "another front end than that of `teacher.bundle`".to_owned(),
                expected: "must be the same: teacher and student hear the same features".to_owned(),
            });
        }
        let model = onnx::decode(bundle.file(), bundle.bytes().to_vec())?;
        let weights = onnx::read_weights(bundle.file(), &model, architecture)?;
        let network = Network::with_weights(architecture, &weights, bundle.file(), device)?;
        Ok(Self {
            sha256: sha256_of_bytes(bundle.bytes()),
            ..Self::new(network, config.weight)?
        })
    }

    /// A teacher at hand, whose embedding is taken as it is until [`Teacher::measure`].
    ///
    /// # Errors
    /// [`Error::Shape`] if the network does not fit together.
    pub fn new(network: Network, weight: f64) -> Result<Self> {
        let dim = network.architecture().plan()?.embedding_dim;
        Ok(Self {
            network,
            sha256: String::new(),
            weight,
            mean: vec![0.0; dim],
            scale: vec![1.0; dim],
        })
    }

    /// The SHA-256 of the bundle that it was opened from, in hexadecimal.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// The number of outputs that a student needs beside its classes.
    pub fn n_outputs(&self) -> usize {
        self.mean.len()
    }

    /// Measures the embedding's mean and spread over clips.
    ///
    /// # Errors
    /// What reading a clip ends in.
    pub fn measure(&mut self, examples: &dyn Examples, batch_size: usize) -> Result<()> {
        let dim = self.n_outputs();
        let embeddings = trainer::embed(&self.network, examples, batch_size)?;
        let n_clips = (embeddings.len() / dim).max(1) as f64;
        let column = |i: usize| {
            embeddings
                .chunks_exact(dim)
                .map(move |row| f64::from(row[i]))
        };
        let means: Vec<f64> = (0..dim).map(|i| column(i).sum::<f64>() / n_clips).collect();
        let spreads: Vec<f64> = (0..dim)
            .map(|i| {
                let squares: f64 = column(i).map(|x| (x - means[i]).powi(2)).sum();
                (squares / n_clips).sqrt()
            })
            .collect();
        let largest = spreads.iter().copied().fold(0.0, f64::max);
        self.mean = means.into_iter().map(|mean| mean as f32).collect();
        self.scale = spreads
            .into_iter()
            .map(|spread| match spread > largest * SMALLEST_SPREAD {
                true => (1.0 / spread) as f32,
                false => 0.0,
            })
            .collect();
        Ok(())
    }

    /// What the student's extra outputs should say: `[batch, dim]`.
    ///
    /// # Errors
    /// [`Error::Device`] if the device does not hand it over.
    pub fn guidance(&self, features: Tensor<4>) -> Result<Vec<f32>> {
        let mut rows = host(
            self.network
                .forward(features, &mut Pass::Evaluate)
                .embedding,
        )?;
        for row in rows.chunks_exact_mut(self.n_outputs()) {
            for ((x, mean), scale) in row.iter_mut().zip(&self.mean).zip(&self.scale) {
                *x = (*x - mean) * scale;
            }
        }
        Ok(rows)
    }

    /// The loss of the labels on the first outputs, and half the mean squared distance from the
    /// guidance on the others.
    ///
    /// # Shapes
    /// - `logits`: `[batch, class + dim]`
    /// - `guidance`: `[batch, dim]`
    pub fn evaluate(
        &self,
        loss: &Loss,
        logits: &[f32],
        batch: &Batch,
        guidance: &[f32],
    ) -> LossValue {
        let dim = self.n_outputs();
        let n_clips = batch.weights.len();
        let width = logits.len() / n_clips.max(1);
        let n_classes = width - dim;
        let classes: Vec<f32> = logits
            .chunks_exact(width)
            .flat_map(|row| &row[..n_classes])
            .copied()
            .collect();
        let mut value = loss.evaluate(&classes, &batch.targets, &batch.weights);
        let share = self.weight / dim as f64;
        let mut gradient = Vec::with_capacity(logits.len());
        let rows = logits
            .chunks_exact(width)
            .zip(guidance.chunks_exact(dim))
            .enumerate();
        for (clip, (row, wanted)) in rows {
            gradient.extend(&value.gradient[clip * n_classes..][..n_classes]);
            let distances = row[n_classes..].iter().zip(wanted);
            let mut squares = 0.0;
            for (found, wanted) in distances {
                let distance = f64::from(found - wanted);
                squares += distance * distance;
                gradient.push((distance * share / n_clips as f64) as f32);
            }
            value.per_clip[clip] += 0.5 * share * squares;
        }
        value.mean = value.per_clip.iter().sum::<f64>() / n_clips.max(1) as f64;
        value.gradient = gradient;
        value
    }
}

/// A network without the outputs that follow its first `n_classes` ones.
///
/// # Errors
/// [`Error::Device`] if the device does not hand the weights over.
pub fn without_guidance(network: &Network, n_classes: usize) -> Result<Network> {
    if network.architecture().n_classes == n_classes {
        return Ok(network.clone());
    }
    let architecture = groups::with_classes(network.architecture(), n_classes);
    let plan = architecture.plan()?;
    let wide = network.weights()?;
    let mut weights = Weights::new();
    for parameter in &plan.parameters {
        // Whatever has a value per class has the classes first.
        if let Some(tensor) = wide.get(&parameter.name) {
            let kept = tensor.data()[..parameter.n_values()].to_vec();
            weights.insert(
                parameter.name.clone(),
                ModelTensor::new(parameter.shape.clone(), kept)?,
            );
        }
    }
    Network::with_weights(
        &architecture,
        &weights,
        &architecture.name,
        network.device(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loss::LossConfig;
    use earmark::model::efficient_at::{self, Settings};

    fn small(n_classes: usize, seed: u64) -> Result<Network> {
        let architecture = efficient_at::efficient_at_with(&Settings {
            width: 0.1,
            n_classes,
            n_bands: 32,
            ..Settings::default()
        });
        Network::new(&architecture, seed, &Device::flex())
    }

    fn ramp(n: usize, step: f32) -> Vec<f32> {
        (0..n).map(|i| (i as f32 * step).sin()).collect()
    }

    #[test]
    fn a_student_without_guidance_gives_the_same_first_outputs() -> Result<()> {
        let wide = small(11, 3)?;
        let narrow = without_guidance(&wide, 4)?;
        let features = Tensor::<4>::from_data(
            burn::tensor::TensorData::new(ramp(2 * 32 * 40, 0.37), [2, 1, 32, 40]),
            &Device::flex(),
        );
        let all = host(wide.forward(features.clone(), &mut Pass::Evaluate).logits)?;
        let first = host(narrow.forward(features, &mut Pass::Evaluate).logits)?;
        for (wide, narrow) in all.chunks(11).zip(first.chunks(4)) {
            for (a, b) in wide.iter().zip(narrow) {
                assert!((a - b).abs() < 1e-5, "{a} {b}");
            }
        }
        Ok(())
    }

    #[test]
    fn the_gradient_is_that_of_finite_differences() -> Result<()> {
        let teacher = Teacher::new(small(2, 1)?, 0.7)?;
        let dim = teacher.n_outputs();
        let width = 3 + dim;
        let batch = Batch {
            features: Vec::new(),
            shape: [2, 0, 0, 0],
            targets: vec![1.0, 0.0, 0.0, 0.0, 0.0, 0.0],
            // The second clip has no labels.
            weights: vec![1.0, 0.0],
            is_noisy: vec![false; 2],
            names: vec!["a".to_owned(), "b".to_owned()],
        };
        let loss = Loss::new(
            LossConfig::CrossEntropy {
                label_smoothing: 0.1,
            },
            None,
        )?;
        let (logits, guidance) = (ramp(2 * width, 0.9), ramp(2 * dim, 0.4));
        let value = teacher.evaluate(&loss, &logits, &batch, &guidance);
        for at in (0..logits.len()).step_by(7) {
            let mean = |change: f32| {
                let mut moved = logits.clone();
                moved[at] += change;
                teacher.evaluate(&loss, &moved, &batch, &guidance).mean
            };
            let slope = (mean(1e-2) - mean(-1e-2)) / 2e-2;
            let found = f64::from(value.gradient[at]);
            assert!((slope - found).abs() < 1e-4, "{at}: {slope} {found}");
        }
        assert!(value.gradient[width..width + 3].iter().all(|&g| g == 0.0));
        Ok(())
    }
}
