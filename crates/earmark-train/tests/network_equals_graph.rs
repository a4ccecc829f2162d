//! The trainable network and the ONNX graph of the same description give the same numbers.

mod common;

use burn::tensor::{Device, Tensor, TensorData};
use common::networks::{N_BANDS, N_FRAMES, networks};
use common::{max_difference, noise};
use earmark::bundle::{Tensors, onnx};
use earmark::model::{Architecture, efficient_at};
use earmark::runtime::{Batch, Graph, RuntimeChoice, load_graph};
use earmark_train::network::{Network, Pass};

/// What the pure-Rust runtime gives for a graph: logits and embedding.
fn by_graph(network: &Network, features: Vec<f32>, shape: [usize; 4]) -> [Vec<f32>; 2] {
    let weights = network.weights().expect("weights on the processor");
    let graph = onnx::build(network.architecture(), &weights).expect("a planned network");
    let graph = Graph {
        file: &network.architecture().name,
        bytes: &onnx::encode(&graph),
        tensors: &Tensors::features(),
    };
    let runtime = load_graph(&graph, &RuntimeChoice::Rust.into()).expect("a graph of ours");
    let batch = Batch::new(shape.to_vec(), features).expect("a full batch");
    let output = runtime.run(&batch).expect("a graph of ours");
    [output.logits, output.embedding]
}

fn assert_equal(architecture: &Architecture, shape: [usize; 4]) {
    let device = Device::flex();
    let network = Network::new(architecture, 11, &device).expect("a sound description");
    let features = noise(shape.iter().product(), 5);
    let tensor = Tensor::<4>::from_data(TensorData::new(features.clone(), shape), &device);
    let forward = network.forward(tensor, &mut Pass::Evaluate);
    let found = [forward.logits, forward.embedding].map(|t| {
        t.try_into_vec_as::<f32>()
            .expect("numbers on the processor")
    });
    let expected = by_graph(&network, features, shape);
    for (found, expected) in found.iter().zip(&expected) {
        let error = max_difference(found, expected);
        assert!(error < 1e-4, "{}: {error}", architecture.name);
    }
}

#[test]
fn every_block_means_the_same() {
    for architecture in networks() {
        assert_equal(&architecture, [2, 1, N_BANDS, N_FRAMES]);
    }
}

#[test]
fn a_whole_network_means_the_same() {
    assert_equal(&efficient_at(0.1, 7), [1, 1, 128, 100]);
}
