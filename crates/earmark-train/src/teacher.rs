//! Distillation: a trained network whose embedding, and whose scores if asked for, the student learns to
//! reproduce.
//!
//! The student gets one more output per dimension of the teacher's embedding. On every batch, after
//! all augmentation and mixing, the teacher hears what the student hears, and the student's extra
//! outputs are pulled towards the teacher's embedding, each dimension in units of its spread over
//! the training clips. A teacher of the run's own classes can give its scores as targets beside the
//! labels. Clips without labels teach too. What is kept in the end has the classes only.
//!
//! That teacher and student see the same view of every clip, for many epochs, follows Beyer et al.,
//! *Knowledge distillation: A good teacher is patient and consistent* (2022).

use std::path::PathBuf;

use burn::tensor::{Device, Tensor};
use earmark::bundle::{Activation, Bundle, Calibration, Metadata, onnx, scores_in_place};
use earmark::dataset::Vocabulary;
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
    /// How much the loss of the teacher's scores, taken as labels, counts beside the loss of the labels. Above 0 the
    /// teacher's classes must be those of the run.
    #[serde(default)]
    pub scores_weight: f64,
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
        let refuse = |key: &str, found: f64, expected: &str| {
            Err(Error::Config {
                key: format!("teacher.{key}"),
                found: found.to_string(),
                expected: expected.to_owned(),
            })
        };
        let (weight, scores_weight) = (self.weight, self.scores_weight);
        if !(weight > 0.0 && weight.is_finite()) {
            return refuse("weight", weight, "must be above 0");
        }
        if !(scores_weight >= 0.0 && scores_weight.is_finite()) {
            return refuse("scores_weight", scores_weight, "must be at least 0");
        }
        Ok(())
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
    scores: Option<Scores>,
}

/// How a teacher's scores take part.
#[derive(Debug, Clone)]
struct Scores {
    weight: f64,
    activation: Activation,
    calibration: Option<Calibration>,
}

/// What a teacher says of a batch.
#[derive(Debug, Clone)]
pub struct Guidance {
    /// What the student's extra outputs should say, `[batch, dim]`.
    embedding: Vec<f32>,
    /// The scores of the classes, `[batch, class]`, where the student learns them.
    scores: Vec<f32>,
}

impl Teacher {
    /// Opens the teacher's bundle.
    ///
    /// # Errors
    /// [`Error::Bundle`] if it is damaged or holds no network that Earmark can build, and
    /// [`Error::Config`] if it has another front end than the run, or other classes although its
    /// scores are wanted.
    pub fn open(
        config: &TeacherConfig,
        front_end: &FrontEndConfig,
        vocabulary: &Vocabulary,
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
        let scores = match config.scores_weight {
            0.0 => None,
            weight => Some(Scores::of(metadata, vocabulary, weight)?),
        };
        let model = onnx::decode(bundle.file(), bundle.bytes().to_vec())?;
        let weights = onnx::read_weights(bundle.file(), &model, architecture)?;
        let network = Network::with_weights(architecture, &weights, bundle.file(), device)?;
        Ok(Self {
            sha256: sha256_of_bytes(bundle.bytes()),
            scores,
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
            scores: None,
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

    /// What the teacher says of a batch's features.
    ///
    /// # Errors
    /// [`Error::Device`] if the device does not hand it over.
    pub fn guidance(&self, features: Tensor<4>) -> Result<Guidance> {
        let forward = self.network.forward(features, &mut Pass::Evaluate);
        let mut embedding = host(forward.embedding)?;
        for row in embedding.chunks_exact_mut(self.n_outputs()) {
            for ((x, mean), scale) in row.iter_mut().zip(&self.mean).zip(&self.scale) {
                *x = (*x - mean) * scale;
            }
        }
        let mut scores = Vec::new();
        if let Some(how) = &self.scores {
            scores = host(forward.logits)?;
            for row in scores.chunks_exact_mut(self.network.architecture().n_classes) {
                scores_in_place(row, how.activation, how.calibration.as_ref());
            }
        }
        Ok(Guidance { embedding, scores })
    }

    /// The loss of the labels, and of the teacher's scores taken as labels, on the first outputs, and half the mean
    /// squared distance from the teacher's embedding on the others.
    ///
    /// # Shapes
    /// - `logits`: `[batch, class + dim]`
    pub fn evaluate(
        &self,
        loss: &Loss,
        logits: &[f32],
        batch: &Batch,
        guidance: &Guidance,
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
        if let Some(Scores { weight, .. }) = self.scores {
            let every = vec![weight as f32; n_clips];
            add(
                &mut value,
                loss.evaluate(&classes, &guidance.scores, &every),
            );
        }
        let share = self.weight / dim as f64;
        let mut gradient = Vec::with_capacity(logits.len());
        let rows = logits
            .chunks_exact(width)
            .zip(guidance.embedding.chunks_exact(dim))
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

impl Scores {
    fn of(metadata: &Metadata, vocabulary: &Vocabulary, weight: f64) -> Result<Self> {
        if !metadata.vocabulary.names().eq(vocabulary.names()) {
            return Err(Error::Config {
                key: "teacher.scores_weight".to_owned(),
                found: format!(
                    "{weight}, with a teacher of {} other classes or another order",
                    metadata.vocabulary.len()
                ),
                expected: "must be 0, or the teacher must have the classes of the run".to_owned(),
            });
        }
        Ok(Self {
            weight,
            activation: metadata.activation,
            calibration: metadata.calibration.clone(),
        })
    }
}

/// Adds another loss of the same clips and outputs; the mean is left to the caller.
fn add(value: &mut LossValue, other: LossValue) {
    let sum = |(sum, more): (&mut f64, f64)| *sum += more;
    value.per_clip.iter_mut().zip(other.per_clip).for_each(sum);
    let sum = |(sum, more): (&mut f32, f32)| *sum += more;
    value.gradient.iter_mut().zip(other.gradient).for_each(sum);
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
        let mut teacher = Teacher::new(small(2, 1)?, 0.7)?;
        teacher.scores = Some(Scores {
            weight: 0.6,
            activation: Activation::Softmax,
            calibration: None,
        });
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
        let logits = ramp(2 * width, 0.9);
        let guidance = Guidance {
            embedding: ramp(2 * dim, 0.4),
            scores: vec![0.7, 0.2, 0.1, 0.3, 0.3, 0.4],
        };
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
        // The teacher's scores teach the clip without labels, too.
        let taught = &value.gradient[width..width + 3];
        assert!(taught.iter().all(|&g| g != 0.0), "{taught:?}");
        teacher.scores = None;
        let value = teacher.evaluate(&loss, &logits, &batch, &guidance);
        assert!(value.gradient[width..width + 3].iter().all(|&g| g == 0.0));
        Ok(())
    }

    #[test]
    fn a_student_whose_scores_are_the_teachers_has_nothing_to_learn_from_them() -> Result<()> {
        let mut teacher = Teacher::new(small(4, 1)?, 1.0)?;
        let softmax = Scores {
            weight: 1.0,
            activation: Activation::Softmax,
            calibration: None,
        };
        teacher.scores = Some(softmax);
        let features = Tensor::<4>::from_data(
            burn::tensor::TensorData::new(ramp(2 * 32 * 40, 0.37), [2, 1, 32, 40]),
            &Device::flex(),
        );
        let guidance = teacher.guidance(features.clone())?;
        let logits = host(
            teacher
                .network
                .forward(features, &mut Pass::Evaluate)
                .logits,
        )?;
        let rows = logits
            .chunks_exact(4)
            .zip(guidance.embedding.chunks_exact(teacher.n_outputs()));
        let outputs: Vec<f32> = rows
            .flat_map(|(logits, extra)| [logits, extra].concat())
            .collect();
        let batch = Batch {
            features: Vec::new(),
            shape: [2, 0, 0, 0],
            targets: vec![0.0; 8],
            weights: vec![0.0; 2],
            is_noisy: vec![false; 2],
            names: vec!["a".to_owned(), "b".to_owned()],
        };
        let plain = LossConfig::CrossEntropy {
            label_smoothing: 0.0,
        };
        let value = teacher.evaluate(&Loss::new(plain, None)?, &outputs, &batch, &guidance);
        assert!(
            value.gradient.iter().all(|g| g.abs() < 1e-6),
            "{:?}",
            value.gradient
        );
        Ok(())
    }
}
