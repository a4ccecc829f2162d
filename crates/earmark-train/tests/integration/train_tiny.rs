//! Ten synthetic clips are learnt by heart in seconds, and runs repeat exactly.

use std::cell::RefCell;

use crate::common::{Notices, noise};
use burn::tensor::Device;
use earmark::Result;
use earmark::features::Features;
use earmark::model::block::{Axis, Block, Function, ReduceKind};
use earmark::model::{Architecture, Input, parts};
use earmark_train::average::AverageConfig;
use earmark_train::checkpoint::CheckpointFile;
use earmark_train::loss::{Loss, LossConfig};
use earmark_train::network::Network;
use earmark_train::observer::{EpochReport, Figure, Observer, Silent, StepReport};
use earmark_train::source::{Batch, Batches, Cut, Examples};
use earmark_train::trainer::{Material, Outcome, Scored, score};
use earmark_train::{TrainConfig, Trainer};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

const N_BANDS: usize = 16;
const N_FRAMES: usize = 20;
const N_CLASSES: usize = 5;
const N_CLIPS: usize = 10;

/// Clips whose class is the band that is loud, under noise.
struct Tones {
    batch_size: usize,
    broken_clip: Option<usize>,
}

const TONES: Tones = Tones {
    batch_size: 4,
    broken_clip: None,
};

impl Tones {
    fn features(&self, clip: usize) -> Vec<f32> {
        let mut data = noise(N_BANDS * N_FRAMES, clip as u32 + 1);
        let band = 3 * (clip % N_CLASSES);
        data[band * N_FRAMES..(band + 1) * N_FRAMES]
            .iter_mut()
            .for_each(|x| *x += 1.0);
        if self.broken_clip == Some(clip) {
            data[7] = f32::NAN;
        }
        data
    }

    fn one_hot(clip: usize) -> Vec<f32> {
        (0..N_CLASSES)
            .map(|class| f32::from(u8::from(class == clip % N_CLASSES)))
            .collect()
    }
}

impl Batches for Tones {
    fn n_classes(&self) -> usize {
        N_CLASSES
    }

    fn plan(&self, epoch: usize) -> Vec<Vec<usize>> {
        let mut clips: Vec<usize> = (0..N_CLIPS).collect();
        clips.shuffle(&mut ChaCha8Rng::seed_from_u64(epoch as u64));
        clips
            .chunks(self.batch_size)
            .map(<[usize]>::to_vec)
            .collect()
    }

    fn batch(&self, _epoch: usize, clips: &[usize]) -> Result<Batch> {
        Ok(Batch {
            features: clips.iter().flat_map(|&clip| self.features(clip)).collect(),
            shape: [clips.len(), 1, N_BANDS, N_FRAMES],
            targets: clips.iter().flat_map(|&clip| Self::one_hot(clip)).collect(),
            weights: vec![1.0; clips.len()],
            is_noisy: vec![false; clips.len()],
            names: clips.iter().map(|&clip| self.name(clip)).collect(),
        })
    }
}

impl Examples for Tones {
    fn n_clips(&self) -> usize {
        N_CLIPS
    }

    fn segments(&self, clip: usize) -> Result<Vec<Cut>> {
        let features = Features {
            data: self.features(clip),
            n_channels: 1,
            n_bands: N_BANDS,
            n_frames: N_FRAMES,
        };
        Ok(vec![Cut {
            features,
            weight: 1.0,
        }])
    }

    fn target(&self, clip: usize) -> Vec<f32> {
        Self::one_hot(clip)
    }

    fn name(&self, clip: usize) -> String {
        format!("tone-{clip}.wav")
    }
}

fn architecture() -> Architecture {
    Architecture {
        name: "tiny".into(),
        input: Input {
            n_channels: 1,
            n_bands: N_BANDS,
            n_frames: None,
        },
        n_classes: N_CLASSES,
        blocks: vec![
            parts::conv("a", [1, 8], [3, 3], [1, 2], false),
            parts::batch_norm("b", 8),
            parts::activation(Function::Hardswish),
            parts::conv("c", [8, 16], [3, 3], [2, 2], false),
            parts::batch_norm("d", 16),
            parts::relu(),
            parts::reduce(ReduceKind::Mean, &[Axis::Frame]),
            Block::StackBands,
            parts::embedding(),
            parts::dropout(0.1),
            parts::linear("head", [128, N_CLASSES]),
        ],
    }
}

fn config() -> TrainConfig {
    TrainConfig {
        epochs: 12,
        learning_rate: 1e-2,
        average: Some(AverageConfig::Ema { decay: 0.8 }),
        clip_norm: Some(5.0),
        seed: 5,
        ..TrainConfig::default()
    }
}

fn judge(scored: &Scored) -> Result<Vec<Figure>> {
    let rows = scored
        .scores
        .chunks(N_CLASSES)
        .zip(scored.targets.chunks(N_CLASSES));
    let right = rows
        .filter(|(scores, targets)| {
            let best = (0..N_CLASSES).max_by(|&a, &b| scores[a].total_cmp(&scores[b]));
            best.is_some_and(|best| targets[best] == 1.0)
        })
        .count();
    Ok(vec![Figure {
        name: "accuracy".into(),
        value: Some(right as f64 / N_CLIPS as f64),
    }])
}

/// Gives the judged epochs these figures, one after the other.
fn given(figures: &[f64]) -> impl Fn(&Scored) -> Result<Vec<Figure>> {
    let figures = RefCell::new(figures.iter().copied());
    move |_: &Scored| {
        Ok(vec![Figure {
            name: "given".into(),
            value: figures.borrow_mut().next(),
        }])
    }
}

fn loss() -> Result<Loss> {
    let smoothed = LossConfig::CrossEntropy {
        label_smoothing: 0.05,
    };
    Loss::new(smoothed, None)
}

fn run(
    config: &TrainConfig,
    tones: &Tones,
    checkpoint: Option<&CheckpointFile>,
    observer: &mut dyn Observer,
) -> Result<Outcome> {
    run_judged(config, tones, &judge, checkpoint, observer)
}

fn run_judged(
    config: &TrainConfig,
    tones: &Tones,
    judge: &dyn Fn(&Scored) -> Result<Vec<Figure>>,
    checkpoint: Option<&CheckpointFile>,
    observer: &mut dyn Observer,
) -> Result<Outcome> {
    let network = Network::new(&architecture(), config.seed, &Device::flex())?;
    let material = Material {
        batches: tones,
        examples: Some(tones),
        judge,
        teacher: None,
    };
    Trainer::new(config, loss()?, network, material)?.run(checkpoint, observer)
}

/// Stops a run after some batches, as a kill would.
struct Impatient {
    batches_left: usize,
}

impl Observer for Impatient {
    fn step(&mut self, _report: &StepReport) {
        self.batches_left = self.batches_left.saturating_sub(1);
    }

    fn wants_to_stop(&mut self) -> bool {
        self.batches_left == 0
    }
}

fn accuracy(report: &EpochReport) -> f64 {
    report.figures[0].value.expect("accuracy is defined")
}

#[test]
fn ten_clips_are_learnt_by_heart() {
    let outcome = run(&config(), &TONES, None, &mut Silent).unwrap();
    let first = &outcome.history[0];
    let last = &outcome.history[11];
    assert_eq!(accuracy(last), 1.0);
    assert!(
        last.train_loss < 0.5 * first.train_loss,
        "{first:?} {last:?}"
    );
}

#[test]
fn the_same_seed_gives_the_same_weights_and_another_seed_others() {
    let weights = |seed| {
        let config = TrainConfig {
            epochs: 3,
            seed,
            ..config()
        };
        run(&config, &TONES, None, &mut Silent)
            .unwrap()
            .network
            .weights()
            .unwrap()
    };
    assert_eq!(weights(1), weights(1));
    assert_ne!(weights(1), weights(2));
}

#[test]
fn an_interrupted_run_ends_like_an_unbroken_one_bit_for_bit() {
    for average in [
        None,
        config().average,
        Some(AverageConfig::Swa { start: 0.3 }),
    ] {
        let config = TrainConfig {
            epochs: 5,
            accumulate: 2,
            average,
            ..config()
        };
        let unbroken = run(&config, &TONES, None, &mut Silent).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = CheckpointFile::new(folder.path().join("checkpoint"), "tiny");
        // Three batches an epoch: stopped within the third and again within the fourth.
        for batches_left in [8, 4] {
            let mut observer = Impatient { batches_left };
            let broken = run(&config, &TONES, Some(&file), &mut observer).unwrap();
            assert!(!broken.is_complete);
        }
        let resumed = run(&config, &TONES, Some(&file), &mut Silent).unwrap();
        assert!(resumed.is_complete);
        assert_eq!(resumed.history, unbroken.history);
        assert_eq!(
            resumed.network.weights().unwrap(),
            unbroken.network.weights().unwrap()
        );
    }
}

#[test]
fn a_loss_that_is_no_number_stops_with_the_clip_named() {
    let tones = Tones {
        broken_clip: Some(6),
        ..TONES
    };
    let error = run(&config(), &tones, None, &mut Silent)
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("epoch 1, batch ") && error.contains("tone-6.wav"),
        "{error}"
    );
}

#[test]
fn only_the_head_moves_when_only_the_head_is_trained() {
    let config = TrainConfig {
        epochs: 2,
        head_epochs: 2,
        average: None,
        ..config()
    };
    let before = Network::new(&architecture(), config.seed, &Device::flex()).unwrap();
    let before = before.weights().unwrap();
    let after = run(&config, &TONES, None, &mut Silent)
        .unwrap()
        .network
        .weights()
        .unwrap();
    for (name, tensor) in after.iter() {
        let moved = before.get(name) != Some(tensor);
        assert_eq!(moved, name.starts_with("head."), "{name}");
    }
}

#[test]
fn patience_ends_a_run_that_no_longer_gains() {
    let config = TrainConfig {
        epochs: 50,
        patience: Some(2),
        ..config()
    };
    let mut notices = Notices::default();
    let outcome = run(&config, &TONES, None, &mut notices).unwrap();
    let n_epochs = outcome.history.len();
    assert!(outcome.is_complete && n_epochs < 40, "{n_epochs}");
    let best = n_epochs - 2;
    let figure = accuracy(&outcome.history[best - 1]);
    assert_eq!(
        notices.0,
        [format!(
            "stopped early: accuracy was {figure:.4} after epoch {best} and no better the 2 times since"
        )]
    );
}

/// The epochs of a run that ends once none of the last `patience` figures is above all before them.
fn epochs_of(figures: &[f64], patience: usize) -> usize {
    let is_over = |&n: &usize| {
        let (before, last) = figures[..n].split_at(n - patience);
        let best = before.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        last.iter().all(|&figure| figure <= best)
    };
    let mut lengths = patience + 1..=figures.len();
    lengths.find(is_over).unwrap_or(figures.len())
}

#[test]
fn patience_counts_the_judged_epochs_in_a_row_without_a_gain() -> Result<()> {
    let figures = [0.2, 0.4, 0.3, 0.5, 0.5, 0.4, 0.6, 0.1, 0.2, 0.3, 0.6, 0.7];
    for (patience, judge_every) in (1..6).flat_map(|patience| [(patience, 1), (patience, 2)]) {
        let config = TrainConfig {
            epochs: figures.len() * judge_every,
            judge_every,
            patience: Some(patience),
            average: None,
            ..config()
        };
        let outcome = run_judged(&config, &TONES, &given(&figures), None, &mut Silent)?;
        let n_judged = epochs_of(&figures, patience);
        assert_eq!(outcome.history.len(), judge_every * n_judged, "{patience}");
    }
    let none = TrainConfig {
        patience: Some(0),
        ..config()
    };
    assert_eq!(
        none.check().unwrap_err().to_string(),
        "train.patience is 0, must be at least 1"
    );
    Ok(())
}

#[test]
fn the_network_that_is_kept_is_the_one_that_was_judged_last() -> Result<()> {
    // The figures stand still, so a run ends after its third epoch: for one of them the last that trains the head
    // alone.
    for head_epochs in [0, 3] {
        let config = TrainConfig {
            epochs: 9,
            head_epochs,
            patience: Some(2),
            ..config()
        };
        let outcome = run_judged(&config, &TONES, &given(&[0.5; 9]), None, &mut Silent)?;
        assert_eq!(outcome.history.len(), 3);
        let scored = score(&outcome.network, &TONES, &loss()?, config.batch_size)?;
        let judged = outcome.history[2].validation_loss;
        assert_eq!(Some(scored.mean_loss), judged, "{head_epochs}");
    }
    Ok(())
}

#[test]
fn an_interrupted_run_hands_over_its_network_as_it_is() -> Result<()> {
    let weights = |average: Option<AverageConfig>| {
        let config = TrainConfig {
            average,
            ..config()
        };
        let mut observer = Impatient { batches_left: 8 };
        let broken = run(&config, &TONES, None, &mut observer)?;
        assert!(!broken.is_complete);
        broken.network.weights()
    };
    assert_eq!(weights(config().average)?, weights(None)?);
    Ok(())
}

#[test]
fn judging_less_often_changes_nothing_but_the_history() -> Result<()> {
    let always = TrainConfig {
        epochs: 7,
        ..config()
    };
    let seldom = TrainConfig {
        judge_every: 3,
        ..always.clone()
    };
    let [always, seldom] = [
        run(&always, &TONES, None, &mut Silent)?,
        run(&seldom, &TONES, None, &mut Silent)?,
    ];
    assert_eq!(always.network.weights()?, seldom.network.weights()?);
    for (full, part) in always.history.iter().zip(&seldom.history) {
        let expected = match [3, 6, 7].contains(&(full.epoch + 1)) {
            true => full.clone(),
            false => EpochReport {
                validation_loss: None,
                figures: Vec::new(),
                ..full.clone()
            },
        };
        assert_eq!(*part, expected);
    }
    assert_eq!(seldom.history.len(), 7);
    Ok(())
}
