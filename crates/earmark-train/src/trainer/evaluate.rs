//! Scores of whole clips, as the tagger would give them, and statistics of averaged networks.

use std::collections::BTreeMap;

use burn::tensor::{Tensor, TensorData};
use earmark::bundle::Aggregation;
use earmark::features::Features;
use earmark::{Error, Result};

use super::prefetch::for_each_batch;
use super::step;
use crate::loss::{Loss, sigmoid};
use crate::network::{Network, Pass, host};
use crate::source::{Batches, Examples};

/// What a network says about a set of clips.
#[derive(Debug, Clone, PartialEq)]
pub struct Scored {
    /// Scores `[clip, class]`, aggregated over the clip's segments as the tagger does.
    pub scores: Vec<f32>,
    /// Logits `[clip, class]`: the mean over the clip's segments, weighted by their lengths.
    pub logits: Vec<f32>,
    /// Labels `[clip, class]`, 0 or 1.
    pub targets: Vec<f32>,
    /// The number of classes.
    pub n_classes: usize,
    /// The mean loss over the clips, of their mean logits.
    pub mean_loss: f64,
}

/// Scores every clip. Segments of equal length go through the network together, at most
/// `batch_size` of them.
///
/// # Errors
/// What reading a clip ends in.
pub fn score(
    network: &Network,
    examples: &dyn Examples,
    loss: &Loss,
    batch_size: usize,
) -> Result<Scored> {
    let n_clips = examples.n_clips();
    let n_classes = network.architecture().n_classes;
    let mut logits_of: Vec<Vec<Vec<f32>>> = vec![Vec::new(); n_clips];
    let mut weights_of: Vec<Vec<f64>> = vec![Vec::new(); n_clips];
    let mut waiting: BTreeMap<usize, Vec<([usize; 2], Features)>> = BTreeMap::new();
    for clip in 0..n_clips {
        for cut in examples.segments(clip)? {
            let place = weights_of[clip].len();
            weights_of[clip].push(cut.weight);
            logits_of[clip].push(Vec::new());
            let group = waiting.entry(cut.features.n_frames).or_default();
            group.push(([clip, place], cut.features));
            if group.len() >= batch_size {
                run_group(network, std::mem::take(group), &mut logits_of)?;
            }
        }
    }
    for group in waiting.into_values() {
        run_group(network, group, &mut logits_of)?;
    }
    let mut scored = Scored {
        scores: Vec::with_capacity(n_clips * n_classes),
        logits: Vec::with_capacity(n_clips * n_classes),
        targets: Vec::with_capacity(n_clips * n_classes),
        n_classes,
        mean_loss: 0.0,
    };
    for (clip, segments) in logits_of.iter().enumerate() {
        if segments.is_empty() {
            return Err(Error::Training {
                place: examples.name(clip),
                reason: "the clip has no segment to score".to_owned(),
            });
        }
        let weights = &weights_of[clip];
        let logits = mean(segments, weights);
        let scores: Vec<Vec<f32>> = segments.iter().map(|s| loss.scores(s)).collect();
        scored.scores.extend(match examples.aggregation() {
            Aggregation::Mean => mean(&scores, weights),
            Aggregation::Max => highest(&scores),
            Aggregation::MeanLogit => loss.scores(&logits),
        });
        scored.logits.extend(logits);
        scored.targets.extend(examples.target(clip));
    }
    let weights = vec![1.0; n_clips];
    scored.mean_loss = loss
        .evaluate(&scored.logits, &scored.targets, &weights)
        .mean;
    Ok(scored)
}

/// Runs segments of equal length and files their logits under clip and place in it.
fn run_group(
    network: &Network,
    group: Vec<([usize; 2], Features)>,
    logits_of: &mut [Vec<Vec<f32>>],
) -> Result<()> {
    let Some((_, first)) = group.first() else {
        return Ok(());
    };
    let shape = [group.len(), first.n_channels, first.n_bands, first.n_frames];
    let data: Vec<f32> = group
        .iter()
        .flat_map(|(_, f)| f.data.iter().copied())
        .collect();
    let features = Tensor::<4>::from_data(TensorData::new(data, shape), network.device());
    let logits = host(network.forward(features, &mut Pass::Evaluate).logits)?;
    let n_classes = logits.len() / group.len();
    for (([clip, place], _), row) in group.iter().zip(logits.chunks(n_classes)) {
        logits_of[*clip][*place] = row.to_vec();
    }
    Ok(())
}

/// The weighted mean of rows of equal length.
fn mean(rows: &[Vec<f32>], weights: &[f64]) -> Vec<f32> {
    let total: f64 = weights.iter().sum();
    let column = |i: usize| {
        let sum: f64 = rows.iter().zip(weights).map(|(row, w)| f64::from(row[i]) * w).sum();
        (sum / total) as f32
    };
    (0..rows[0].len()).map(column).collect()
}

/// The largest value of every column.
fn highest(rows: &[Vec<f32>]) -> Vec<f32> {
    let column = |i: usize| rows.iter().map(|row| row[i]).fold(f32::NEG_INFINITY, f32::max);
    (0..rows[0].len()).map(column).collect()
}

/// Measures the statistics of a network's normalisations anew, over the batches of an epoch.
///
/// The running statistics become the plain mean over the batches: what each batch measures moves
/// them by `1 / n` instead of the network's own momentum.
///
/// # Errors
/// What making a batch ends in.
pub fn measure_statistics(
    network: &mut Network,
    batches: &dyn Batches,
    epoch: usize,
    trained: &[bool],
) -> Result<()> {
    let plan = batches.plan(epoch);
    for_each_batch(batches, epoch, &plan, |index, batch| {
        step::measure(network, &batch, trained, index);
        Ok(true)
    })
}

impl Loss {
    /// Scores of one row of logits: softmax or sigmoids, as the loss has it.
    pub fn scores(&self, logits: &[f32]) -> Vec<f32> {
        if !self.config().is_single_label() {
            return logits
                .iter()
                .map(|&x| sigmoid(f64::from(x)) as f32)
                .collect();
        }
        let peak = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let powers: Vec<f64> = logits.iter().map(|&x| f64::from(x - peak).exp()).collect();
        let total: f64 = powers.iter().sum();
        powers.iter().map(|p| (p / total) as f32).collect()
    }
}
