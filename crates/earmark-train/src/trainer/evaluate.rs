//! Scores of whole clips, as the tagger would give them, and statistics of averaged networks.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

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

impl Scored {
    /// Adds the clips of another set.
    pub fn append(&mut self, other: Self) {
        let n = |scored: &Self| scored.scores.len() as f64;
        let total = n(self) + n(&other);
        self.mean_loss = (self.mean_loss * n(self) + other.mean_loss * n(&other)) / total.max(1.0);
        self.scores.extend(other.scores);
        self.logits.extend(other.logits);
        self.targets.extend(other.targets);
    }
}

/// Which of a network's outputs is wanted.
#[derive(Clone, Copy)]
enum Wanted {
    Logits,
    Embedding,
}

/// The rows that a network gives for the segments of a clip, with the segments' weights.
#[derive(Default, Clone)]
struct Rows {
    rows: Vec<Vec<f32>>,
    weights: Vec<f64>,
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
    let n_classes = network.architecture().n_classes;
    let mut scored = Scored {
        scores: Vec::new(),
        logits: Vec::new(),
        targets: Vec::new(),
        n_classes,
        mean_loss: 0.0,
    };
    let clips = run_clips(network, examples, Wanted::Logits, batch_size)?;
    let weights = vec![1.0; clips.len()];
    for (clip, Rows { rows, weights }) in clips.iter().enumerate() {
        let logits = mean(rows, weights);
        let scores: Vec<Vec<f32>> = rows.iter().map(|row| loss.scores(row)).collect();
        scored.scores.extend(match examples.aggregation() {
            Aggregation::Mean => mean(&scores, weights),
            Aggregation::Max => highest(&scores),
            Aggregation::MeanLogit => loss.scores(&logits),
        });
        scored.logits.extend(logits);
        scored.targets.extend(examples.target(clip));
    }
    scored.mean_loss = loss
        .evaluate(&scored.logits, &scored.targets, &weights)
        .mean;
    Ok(scored)
}

/// The embedding of every clip, `[clip, dim]`: the mean over its segments.
///
/// # Errors
/// What reading a clip ends in.
pub fn embed(network: &Network, examples: &dyn Examples, batch_size: usize) -> Result<Vec<f32>> {
    let clips = run_clips(network, examples, Wanted::Embedding, batch_size)?;
    Ok(clips
        .iter()
        .flat_map(|clip| mean(&clip.rows, &clip.weights))
        .collect())
}

/// Runs the segments of all clips, those of equal length together.
fn run_clips(
    network: &Network,
    examples: &dyn Examples,
    wanted: Wanted,
    batch_size: usize,
) -> Result<Vec<Rows>> {
    let mut clips = vec![Rows::default(); examples.n_clips()];
    let mut waiting: BTreeMap<usize, Vec<([usize; 2], Features)>> = BTreeMap::new();
    for clip in 0..clips.len() {
        let cuts = examples.segments(clip)?;
        if cuts.is_empty() {
            return Err(Error::Training {
                place: examples.name(clip),
                reason: "the clip has no segment to score".to_owned(),
            });
        }
        clips[clip].rows = vec![Vec::new(); cuts.len()];
        for (place, cut) in cuts.into_iter().enumerate() {
            clips[clip].weights.push(cut.weight);
            let n_frames = cut.features.n_frames;
            let group = match waiting.entry(n_frames) {
                Entry::Occupied(group) => group.into_mut(),
                Entry::Vacant(place) => {
                    network.check_frames(n_frames, &examples.name(clip))?;
                    place.insert(Vec::new())
                }
            };
            group.push(([clip, place], cut.features));
            if group.len() >= batch_size {
                run_group(network, std::mem::take(group), wanted, &mut clips)?;
            }
        }
    }
    for group in waiting.into_values() {
        run_group(network, group, wanted, &mut clips)?;
    }
    Ok(clips)
}

/// Runs segments of equal length and files their rows under clip and place in it.
fn run_group(
    network: &Network,
    group: Vec<([usize; 2], Features)>,
    wanted: Wanted,
    clips: &mut [Rows],
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
    let forward = network.forward(features, &mut Pass::Evaluate);
    let values = host(match wanted {
        Wanted::Logits => forward.logits,
        Wanted::Embedding => forward.embedding,
    })?;
    let width = values.len() / group.len();
    for (([clip, place], _), row) in group.iter().zip(values.chunks(width)) {
        clips[*clip].rows[*place] = row.to_vec();
    }
    Ok(())
}

/// The weighted mean of rows of equal length.
fn mean(rows: &[Vec<f32>], weights: &[f64]) -> Vec<f32> {
    let total: f64 = weights.iter().sum();
    let column = |i: usize| {
        let sum: f64 = rows
            .iter()
            .zip(weights)
            .map(|(row, w)| f64::from(row[i]) * w)
            .sum();
        (sum / total) as f32
    };
    (0..rows[0].len()).map(column).collect()
}

/// The largest value of every column.
fn highest(rows: &[Vec<f32>]) -> Vec<f32> {
    let column = |i: usize| {
        rows.iter()
            .map(|row| row[i])
            .fold(f32::NEG_INFINITY, f32::max)
    };
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
