//! Gradients equal finite differences, for every kind of block.

use crate::common::networks::{N_BANDS, N_FRAMES, conv, network, networks, norm};
use crate::common::noise;
use burn::tensor::{Device, Tensor, TensorData};
use earmark::model::block::Axis;
use earmark_train::network::{Network, Pass, Tape};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// A smooth function of the logits, its value without and with gradients.
fn objective(network: &Network, features: &Tensor<4>, tape: &mut Tape) -> Tensor<1> {
    let logits = network
        .forward(features.clone(), &mut Pass::Train(tape))
        .logits;
    let [rows, columns] = logits.dims();
    let weights = Tensor::<2>::from_data(
        TensorData::new(noise(rows * columns, 99), [rows, columns]),
        &logits.device(),
    );
    (logits.tanh() * weights).sum()
}

fn tape(network: &Network) -> Tape {
    let trained = network
        .parameters()
        .iter()
        .map(|p| p.is_trained())
        .collect();
    Tape::new(trained, ChaCha8Rng::seed_from_u64(7))
}

#[test]
fn gradients_equal_finite_differences() {
    let device = Device::flex();
    for architecture in networks() {
        let name = architecture.name.clone();
        let mut network = Network::new(&architecture, 3, &device).unwrap();
        let shape = [3, 1, N_BANDS, N_FRAMES];
        let features = Tensor::<4>::from_data(
            TensorData::new(noise(shape.iter().product(), 1), shape),
            &device,
        );
        let mut record = tape(&network);
        let value = objective(&network, &features, &mut record);
        let mut gradients = value.backward();
        let gradients = network.gradients(&mut record, &mut gradients);
        for (index, parameter) in network.parameters().to_vec().iter().enumerate() {
            let Some(gradient) = gradients[index].clone() else {
                assert!(
                    !parameter.is_trained(),
                    "{name}: no gradient for {}",
                    parameter.name
                );
                continue;
            };
            let gradient: Vec<f32> = gradient.try_into_vec_as().unwrap();
            let start: Vec<f32> = network.value(index).clone().try_into_vec_as().unwrap();
            for position in [0, start.len() / 2, start.len() - 1] {
                let mut at = |shift: f32| -> f32 {
                    let mut moved = start.clone();
                    moved[position] += shift;
                    let moved = TensorData::new(moved, [start.len()]);
                    network.set_value(index, Tensor::from_data(moved, &device));
                    let value = objective(&network, &features, &mut tape(&network));
                    value.inner().try_into_vec_as::<f32>().unwrap()[0]
                };
                let step = 1.0 / 512.0;
                let numeric = (at(step) - at(-step)) / (2.0 * step);
                at(0.0);
                // Single precision leaves about 1e-4 of noise in the difference; kinks add a little.
                let tolerance = 4e-3 + 0.02 * numeric.abs();
                assert!(
                    (numeric - gradient[position]).abs() < tolerance,
                    "{name}: {} at {position}: {numeric} numerically, {} found",
                    parameter.name,
                    gradient[position]
                );
            }
        }
    }
}

#[test]
fn frozen_parameters_get_no_gradient_and_keep_their_statistics() {
    let device = Device::flex();
    let architecture = network(
        "norm",
        vec![
            conv("first", [1, 4], [3, 3], [1, 2], 1),
            norm("n", 4, Axis::Channel),
        ],
        4,
    );
    let mut network = Network::new(&architecture, 3, &device).unwrap();
    let before = network.weights().unwrap();
    let features = Tensor::<4>::from_data(
        TensorData::new(noise(2 * 60, 1), [2, 1, N_BANDS, N_FRAMES]),
        &device,
    );
    let trained = network
        .parameters()
        .iter()
        .map(|p| p.name.starts_with("head"))
        .collect();
    let mut record = Tape::new(trained, ChaCha8Rng::seed_from_u64(7));
    let value = objective(&network, &features, &mut record);
    let mut gradients = value.backward();
    let gradients = network.gradients(&mut record, &mut gradients);
    network.update_statistics(&mut record);
    assert_eq!(network.weights().unwrap(), before);
    for (parameter, gradient) in network.parameters().iter().zip(gradients) {
        assert_eq!(
            gradient.is_some(),
            parameter.name.starts_with("head"),
            "{}",
            parameter.name
        );
    }
}
