//! One epoch of training: forward, loss, backward, step.

use burn::tensor::{Device, Tensor, TensorData};
use earmark::{Error, Result};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

use super::Trainer;
use super::prefetch::for_each_batch;
use crate::loss::LossValue;
use crate::network::{Forward, Network, Pass, Tape, host};
use crate::noisy::Labelled;
use crate::observer::{Observer, StepReport};
use crate::optimizer::{StepSize, clip_norm};
use crate::source::Batch;

/// Names shown of a batch that went wrong.
const N_NAMES: usize = 4;

/// What a batch gives: its loss and the gradient of every parameter that took part.
struct Pulled {
    mean_loss: f64,
    sum_loss: f64,
    gradients: Vec<Option<Tensor<1>>>,
    tape: Tape,
}

impl Trainer<'_> {
    /// Trains one epoch and returns the mean loss of its clips, or `None` if the observer stopped it.
    pub(super) fn train_epoch(&mut self, observer: &mut dyn Observer) -> Result<Option<f64>> {
        let epoch = self.state.epoch;
        let plan = self.material.batches.plan(epoch);
        let trained = self.trained(epoch);
        let batches = self.material.batches;
        let (mut sum_loss, mut n_clips) = (0.0, 0);
        let mut waiting: Vec<Option<Tensor<1>>> = vec![None; trained.len()];
        let mut stopped = false;
        for_each_batch(batches, epoch, &plan, |index, batch| {
            let n_in_step = self.batches_in_step(index, plan.len());
            let pulled = self.pull(index, &batch, &trained, 1.0 / n_in_step as f64)?;
            sum_loss += pulled.sum_loss;
            n_clips += batch.names.len();
            add_up(&mut waiting, pulled.gradients);
            let mut tape = pulled.tape;
            self.state.network.update_statistics(&mut tape);
            let mut report = StepReport {
                epoch,
                batch: index,
                loss: pulled.mean_loss,
                learning_rate: self.learning_rate(self.state.step).0,
                gradient_norm: None,
            };
            let is_step = (index + 1) % self.config.accumulate == 0 || index + 1 == plan.len();
            if is_step {
                let gradients = std::mem::replace(&mut waiting, vec![None; trained.len()]);
                report.gradient_norm = Some(self.optimizer_step(gradients, &report, &batch)?);
            }
            observer.step(&report);
            stopped = observer.wants_to_stop();
            Ok(!stopped)
        })?;
        Ok((!stopped).then_some(sum_loss / n_clips.max(1) as f64))
    }

    /// How many batches share the optimizer step that this batch belongs to; the last may have fewer.
    fn batches_in_step(&self, index: usize, n_batches: usize) -> usize {
        let first = index - index % self.config.accumulate;
        self.config.accumulate.min(n_batches - first)
    }

    /// Runs a batch forwards and backwards.
    fn pull(&self, index: usize, batch: &Batch, trained: &[bool], scale: f64) -> Result<Pulled> {
        let epoch = self.state.epoch;
        let network = &self.state.network;
        let place = batch.names.first().map_or("a batch", String::as_str);
        network.check_frames(batch.shape[3], place)?;
        let mut tape = Tape::new(trained.to_vec(), generator(self.config.seed, epoch, index));
        let features = to_device(batch, network.device());
        let teacher = self.material.teacher;
        let guidance = teacher
            .map(|teacher| teacher.guidance(features.clone()))
            .transpose()?;
        let forward = network.forward(features, &mut Pass::Train(&mut tape));
        let evaluate = |logits: &[f32]| match teacher.zip(guidance.as_ref()) {
            Some((teacher, guidance)) => Ok(teacher.evaluate(&self.loss, logits, batch, guidance)),
            None => self.evaluate(logits, batch),
        };
        let (objective, per_clip) = objective(&evaluate, &forward, scale)?;
        let sum_loss: f64 = per_clip.iter().sum();
        if !sum_loss.is_finite() {
            return Err(not_finite(epoch, index, batch, &per_clip));
        }
        let mut gradients = objective.backward();
        Ok(Pulled {
            mean_loss: sum_loss / per_clip.len().max(1) as f64,
            sum_loss,
            gradients: network.gradients(&mut tape, &mut gradients),
            tape,
        })
    }

    /// The loss of the labels.
    fn evaluate(&self, logits: &[f32], batch: &Batch) -> Result<LossValue> {
        let clips = Labelled {
            targets: &batch.targets,
            weights: &batch.weights,
            is_noisy: &batch.is_noisy,
        };
        self.loss.evaluate_noisy(&self.config.noisy, logits, clips)
    }

    /// Clips the gradient, moves the weights and returns the gradient's norm.
    fn optimizer_step(
        &mut self,
        mut gradients: Vec<Option<Tensor<1>>>,
        report: &StepReport,
        batch: &Batch,
    ) -> Result<f64> {
        let norm = clip_norm(&mut gradients, self.config.clip_norm)?;
        if !norm.is_finite() {
            return Err(Error::Training {
                place: place(report.epoch, report.batch, batch, None),
                reason: format!("the gradient's norm is {norm}, expected a finite number"),
            });
        }
        let (head, momentum) = self.learning_rate(self.state.step);
        let rates = self.rates(head);
        let size = StepSize {
            rates: &rates,
            momentum,
        };
        let state = &mut self.state;
        state.optimizer.step(&mut state.network, gradients, &size);
        state.step += 1;
        if let Some(average) = &mut state.average {
            average.after_step(&state.network);
        }
        Ok(norm)
    }
}

/// A number whose gradient is that of the loss, and the main loss of every clip.
///
/// The loss is computed on the host; the sum of the logits times the loss's gradient has, as a
/// function of the network's parameters, the gradient of the loss.
fn objective(
    evaluate: &dyn Fn(&[f32]) -> Result<LossValue>,
    forward: &Forward,
    scale: f64,
) -> Result<(Tensor<1>, Vec<f64>)> {
    let weighted = |logits: &Tensor<2>, scale: f64| -> Result<(Tensor<1>, Vec<f64>)> {
        let shape = logits.dims();
        let value = evaluate(&host(logits.clone().inner())?)?;
        let gradient = TensorData::new(value.gradient, shape);
        let gradient = Tensor::<2>::from_data(gradient, &logits.device().without_autodiff());
        let pull = logits.clone() * gradient.mul_scalar(scale).autodiff();
        Ok((pull.sum(), value.per_clip))
    };
    let (mut sum, per_clip) = weighted(&forward.logits, scale)?;
    for (weight, logits) in &forward.auxiliary {
        sum = sum + weighted(logits, scale * f64::from(*weight))?.0;
    }
    Ok((sum, per_clip))
}

/// The features of a batch as a tensor on a device, outside of autodiff.
pub(super) fn to_device(batch: &Batch, device: &Device) -> Tensor<4> {
    Tensor::from_data(TensorData::new(batch.features.clone(), batch.shape), device)
}

/// The generator of a batch, for dropout.
pub(super) fn generator(seed: u64, epoch: usize, batch: usize) -> ChaCha8Rng {
    let mut digest = Sha256::new();
    digest.update(b"dropout");
    for number in [seed, epoch as u64, batch as u64] {
        digest.update(number.to_le_bytes());
    }
    ChaCha8Rng::from_seed(digest.finalize().into())
}

fn add_up(sums: &mut [Option<Tensor<1>>], gradients: Vec<Option<Tensor<1>>>) {
    for (sum, gradient) in sums.iter_mut().zip(gradients) {
        *sum = match (sum.take(), gradient) {
            (Some(sum), Some(gradient)) => Some(sum + gradient),
            (sum, gradient) => sum.or(gradient),
        };
    }
}

fn not_finite(epoch: usize, index: usize, batch: &Batch, per_clip: &[f64]) -> Error {
    let is_culprit = |clip: &usize| !per_clip[*clip].is_finite();
    let culprits: Vec<usize> = (0..per_clip.len()).filter(is_culprit).collect();
    Error::Training {
        place: place(epoch, index, batch, Some(&culprits)),
        reason: "the loss is not a number; lower train.learning_rate or set train.clip_norm"
            .to_owned(),
    }
}

/// Where a run is, with the names of the clips at hand.
fn place(epoch: usize, index: usize, batch: &Batch, clips: Option<&[usize]>) -> String {
    let names: Vec<&str> = match clips {
        Some(clips) => clips
            .iter()
            .map(|&clip| batch.names[clip].as_str())
            .collect(),
        None => batch.names.iter().map(String::as_str).collect(),
    };
    let mut shown = names[..names.len().min(N_NAMES)].join(", ");
    if names.len() > N_NAMES {
        shown += &format!(" and {} more", names.len() - N_NAMES);
    }
    format!("epoch {}, batch {} ({shown})", epoch + 1, index + 1)
}

/// Runs a batch in training mode without gradients and takes what it measures into the plain mean of
/// the batches before it.
pub(super) fn measure(network: &mut Network, batch: &Batch, trained: &[bool], n_before: usize) {
    let mut tape = Tape::measuring(trained.to_vec(), ChaCha8Rng::seed_from_u64(0));
    let features = to_device(batch, network.device());
    network.forward(features, &mut Pass::Train(&mut tape));
    tape.set_momentum(1.0 / (n_before + 1) as f32);
    network.update_statistics(&mut tape);
}
