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

/// The most values of segments that wait for others of their length: 256 MiB.
const MAX_WAITING: usize = 1 << 26;

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

/// A segment, with its clip and its place in it.
type Placed = ([usize; 2], Features);

/// How many segments go through a network together.
#[derive(Clone, Copy)]
struct Limits {
    /// Segments in a batch.
    batch_size: usize,
    /// Values of all segments that wait.
    n_values: usize,
}

/// Segments that wait for others of their length.
struct Waiting {
    limits: Limits,
    n_values: usize,
    /// By their number of frames; a group that has gone leaves an empty one behind.
    groups: BTreeMap<usize, Vec<Placed>>,
}

impl Waiting {
    fn new(limits: Limits) -> Self {
        Self {
            limits,
            n_values: 0,
            groups: BTreeMap::new(),
        }
    }

    /// Takes a segment in and hands out those that should wait no longer: a full batch, or the largest group
    /// where all that waits has become too much.
    fn push(&mut self, segment: Placed) -> Option<Vec<Placed>> {
        let n_frames = segment.1.n_frames;
        self.n_values += segment.1.data.len();
        let group = self.groups.entry(n_frames).or_default();
        group.push(segment);
        if group.len() >= self.limits.batch_size {
            return self.take(n_frames);
        }
        if self.n_values <= self.limits.n_values {
            return None;
        }
        let largest = self.groups.iter().max_by_key(|(_, group)| n_values(group));
        let n_frames = largest.map(|(&n_frames, _)| n_frames)?;
        self.take(n_frames)
    }

    fn take(&mut self, n_frames: usize) -> Option<Vec<Placed>> {
        let group = std::mem::take(self.groups.get_mut(&n_frames)?);
        self.n_values -= n_values(&group);
        Some(group)
    }
}

fn n_values(group: &[Placed]) -> usize {
    group.iter().map(|(_, features)| features.data.len()).sum()
}

/// Runs the segments of all clips, those of equal length together.
fn run_clips(
    network: &Network,
    examples: &dyn Examples,
    wanted: Wanted,
    batch_size: usize,
) -> Result<Vec<Rows>> {
    let limits = Limits {
        batch_size,
        n_values: MAX_WAITING,
    };
    run_clips_within(network, examples, wanted, limits)
}

fn run_clips_within(
    network: &Network,
    examples: &dyn Examples,
    wanted: Wanted,
    limits: Limits,
) -> Result<Vec<Rows>> {
    let mut clips = vec![Rows::default(); examples.n_clips()];
    let mut waiting = Waiting::new(limits);
    for clip in 0..clips.len() {
        let cuts = examples.segments(clip)?;
        if cuts.is_empty() {
            // Not that of a training that diverges: a sweep tells them apart.
            return Err(Error::Dataset {
                path: examples.name(clip).into(),
                reason: "the clip has no segment to score".to_owned(),
            });
        }
        clips[clip].rows = vec![Vec::new(); cuts.len()];
        for (place, cut) in cuts.into_iter().enumerate() {
            clips[clip].weights.push(cut.weight);
            let n_frames = cut.features.n_frames;
            if !waiting.groups.contains_key(&n_frames) {
                network.check_frames(n_frames, &examples.name(clip))?;
            }
            if let Some(group) = waiting.push(([clip, place], cut.features)) {
                run_group(network, group, wanted, &mut clips)?;
            }
        }
    }
    for group in waiting.groups.into_values() {
        run_group(network, group, wanted, &mut clips)?;
    }
    Ok(clips)
}

/// Runs segments of equal length and files their rows under clip and place in it.
fn run_group(
    network: &Network,
    group: Vec<Placed>,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Cut;
    use burn::tensor::Device;
    use earmark::model::block::{Axis, Block, ReduceKind};
    use earmark::model::{Architecture, Input, parts};

    const N_BANDS: usize = 4;

    /// Clips of one to three segments, of 5 to 11 frames.
    struct Mixed;

    fn features(n_frames: usize, seed: usize) -> Features {
        let value = |i: usize| ((i * 31 + seed * 17) % 23) as f32 / 23.0 - 0.5;
        Features {
            data: (0..N_BANDS * n_frames).map(value).collect(),
            n_channels: 1,
            n_bands: N_BANDS,
            n_frames,
        }
    }

    impl Examples for Mixed {
        fn n_clips(&self) -> usize {
            20
        }

        fn segments(&self, clip: usize) -> Result<Vec<Cut>> {
            let cut = |place: usize| Cut {
                features: features(5 + (clip * 3 + place * 2) % 7, clip + place),
                weight: 1.0 + place as f64,
            };
            Ok((0..1 + clip % 3).map(cut).collect())
        }

        fn target(&self, _clip: usize) -> Vec<f32> {
            vec![0.0; 3]
        }

        fn name(&self, clip: usize) -> String {
            format!("{clip}.wav")
        }
    }

    fn network() -> Network {
        let architecture = Architecture {
            name: "tiny".into(),
            input: Input {
                n_channels: 1,
                n_bands: N_BANDS,
                n_frames: None,
            },
            n_classes: 3,
            blocks: vec![
                parts::conv("a", [1, 4], [3, 3], [1, 1], true),
                parts::relu(),
                parts::reduce(ReduceKind::Mean, &[Axis::Frame]),
                Block::StackBands,
                parts::embedding(),
                parts::linear("head", [4 * N_BANDS, 3]),
            ],
        };
        Network::new(&architecture, 1, &Device::flex()).unwrap()
    }

    #[test]
    fn what_waits_stays_within_its_limit() {
        let limits = Limits {
            batch_size: 5,
            n_values: 160,
        };
        let mut waiting = Waiting::new(limits);
        let (mut seen, mut n_early) = (Vec::new(), 0);
        for clip in 0..60 {
            let n_frames = 1 + clip * 7 % 11;
            if let Some(group) = waiting.push(([clip, 0], features(n_frames, clip))) {
                let length = group[0].1.n_frames;
                assert!(group.iter().all(|(_, f)| f.n_frames == length) && group.len() <= 5);
                n_early += usize::from(group.len() < 5);
                seen.extend(group);
            }
            let held: usize = waiting.groups.values().map(|group| n_values(group)).sum();
            assert_eq!(held, waiting.n_values);
            assert!(held <= 160, "{held}");
        }
        assert!(n_early > 0);
        seen.extend(waiting.groups.into_values().flatten());
        let mut clips: Vec<usize> = seen.iter().map(|([clip, _], _)| *clip).collect();
        clips.sort_unstable();
        assert_eq!(clips, (0..60).collect::<Vec<_>>());
    }

    /// Clips without segments.
    struct Empty;

    impl Examples for Empty {
        fn n_clips(&self) -> usize {
            1
        }

        fn segments(&self, _clip: usize) -> Result<Vec<Cut>> {
            Ok(Vec::new())
        }

        fn target(&self, _clip: usize) -> Vec<f32> {
            vec![0.0; 3]
        }

        fn name(&self, _clip: usize) -> String {
            "a.wav".to_owned()
        }
    }

    #[test]
    fn a_clip_without_segments_is_no_training_that_diverged() {
        let error = embed(&network(), &Empty, 4).unwrap_err();
        assert!(matches!(error, Error::Dataset { .. }), "{error:?}");
        assert_eq!(error.to_string(), "a.wav: the clip has no segment to score");
    }

    #[test]
    fn how_much_may_wait_changes_no_result() {
        let network = network();
        let run = |n_values: usize| {
            let limits = Limits {
                batch_size: 4,
                n_values,
            };
            run_clips_within(&network, &Mixed, Wanted::Logits, limits).unwrap()
        };
        let all = run(usize::MAX);
        for limit in [0, 60, 200] {
            for (found, expected) in run(limit).iter().zip(&all) {
                assert_eq!(found.weights, expected.weights);
                assert_eq!(found.rows.len(), expected.rows.len());
                let pairs = found
                    .rows
                    .iter()
                    .flatten()
                    .zip(expected.rows.iter().flatten());
                // Products over a batch of another size may round otherwise.
                pairs.for_each(|(a, b)| assert!((a - b).abs() < 1e-5, "{limit}: {a} and {b}"));
                assert!(found.rows.iter().all(|row| row.len() == 3));
            }
        }
    }
}
