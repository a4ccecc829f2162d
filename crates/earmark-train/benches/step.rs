//! The time of one training step of several networks, forward and backward apart:
//! `cargo bench -p earmark-train`, with `-- PART` for the networks with PART in their names.

use std::time::{Duration, Instant};

use burn::tensor::{Device, Tensor, TensorData};
use earmark::model::{Input, named};
use earmark_train::network::{Network, Pass, Tape};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

const N_STEPS: usize = 5;

/// Networks and the `[batch, channel, band, frame]` of a step.
const CASES: [(&str, [usize; 4]); 8] = [
    ("mn04", [16, 1, 128, 500]),
    ("picture-cnn-32", [16, 1, 96, 125]),
    ("cnn10-32", [16, 1, 128, 256]),
    ("resnet18", [16, 1, 128, 256]),
    ("resnext50", [4, 1, 128, 256]),
    ("aux-attention", [8, 3, 128, 256]),
    ("cnn-1d", [32, 1, 64, 400]),
    ("waveform-cnn", [16, 1, 1, 44_100]),
];

#[allow(clippy::print_stdout, reason = "a benchmark prints its figures")]
fn main() {
    let part = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    for (name, shape) in CASES {
        if part
            .as_ref()
            .is_none_or(|part| name.contains(part.as_str()))
        {
            let [forward, backward, evaluation] = step(name, shape);
            println!(
                "{name}, {shape:?}: forward {forward:.1?}, backward {backward:.1?}, evaluation {evaluation:.1?}"
            );
        }
    }
}

/// The median times of forward pass, backward pass and evaluation.
fn step(name: &str, shape: [usize; 4]) -> [Duration; 3] {
    let device = Device::flex();
    let [_, n_channels, n_bands, n_frames] = shape;
    let input = Input {
        n_channels,
        n_bands,
        n_frames: Some(n_frames),
    };
    let architecture = named(name, input, 10).expect("a known network");
    let network = Network::new(&architecture, 1, &device).expect("a sound network");
    let features = vec![0.1f32; shape.iter().product()];
    let features = Tensor::<4>::from_data(TensorData::new(features, shape), &device);
    let trained: Vec<bool> = network
        .parameters()
        .iter()
        .map(|p| p.is_trained())
        .collect();
    let mut times = [const { Vec::new() }; 3];
    for _ in 0..N_STEPS {
        let mut tape = Tape::new(trained.clone(), ChaCha8Rng::seed_from_u64(1));
        let start = Instant::now();
        let forward = network.forward(features.clone(), &mut Pass::Train(&mut tape));
        let loss = forward.logits.sum();
        times[0].push(start.elapsed());
        let start = Instant::now();
        let mut gradients = loss.backward();
        let gradients = network.gradients(&mut tape, &mut gradients);
        times[1].push(start.elapsed());
        assert!(gradients.iter().any(Option::is_some));
        let start = Instant::now();
        network.forward(features.clone(), &mut Pass::Evaluate);
        times[2].push(start.elapsed());
    }
    times.map(|mut times| {
        times.sort();
        times[N_STEPS / 2]
    })
}
