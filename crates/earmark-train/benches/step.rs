//! The time of one training step, forward and backward apart: `cargo bench -p earmark-train`.

use std::time::{Duration, Instant};

use burn::tensor::{Device, Tensor, TensorData};
use earmark::model::efficient_at;
use earmark_train::network::{Network, Pass, Tape};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

const N_STEPS: usize = 7;

#[allow(clippy::print_stdout, reason = "a benchmark prints its figures")]
fn main() {
    let shape = [16, 1, 128, 500];
    let device = Device::flex();
    let network = Network::new(&efficient_at(0.4, 10), 1, &device).expect("a sound network");
    let features = vec![0.1f32; shape.iter().product()];
    let features = Tensor::<4>::from_data(TensorData::new(features, shape), &device);
    let trained: Vec<bool> = network
        .parameters()
        .iter()
        .map(|p| p.is_trained())
        .collect();
    let mut times = Vec::new();
    for _ in 0..N_STEPS {
        let mut tape = Tape::new(trained.clone(), ChaCha8Rng::seed_from_u64(1));
        let start = Instant::now();
        let forward = network.forward(features.clone(), &mut Pass::Train(&mut tape));
        let loss = forward.logits.sum();
        let middle = Instant::now();
        let mut gradients = loss.backward();
        let gradients = network.gradients(&mut tape, &mut gradients);
        assert!(gradients.iter().any(Option::is_some));
        times.push((middle - start, middle.elapsed()));
    }
    let start = Instant::now();
    network.forward(features, &mut Pass::Evaluate);
    let evaluate = start.elapsed();
    let median = |of: fn(&(Duration, Duration)) -> Duration| {
        let mut all: Vec<Duration> = times.iter().map(of).collect();
        all.sort();
        all[all.len() / 2]
    };
    println!(
        "mn04, 16 clips of 5 s: forward {:?}, backward {:?}, evaluation {evaluate:?}",
        median(|t| t.0),
        median(|t| t.1)
    );
}
