//! The trainable network and the ONNX graph of the same description give the same numbers.

use crate::common::networks::{N_BANDS, N_FRAMES, networks};
use crate::common::{max_difference, noise};
use burn::tensor::{Device, Tensor, TensorData};
use earmark::bundle::{Tensors, onnx};
use earmark::model::aux_attention::{Settings, aux_attention};
use earmark::model::block::Block;
use earmark::model::cnn::{Depth, cnn};
use earmark::model::crnn::crnn;
use earmark::model::dense_excite::dense_excite;
use earmark::model::resnet::{Head, Kind, resnet};
use earmark::model::small::Cnn1dHead;
use earmark::model::vgg_gap::vgg_gap;
use earmark::model::{Architecture, Input, efficient_at, small};
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
        // Relative to the largest value: deep networks at random have logits far from 1.
        let largest = expected.iter().fold(1.0f32, |most, x| most.max(x.abs()));
        let error = max_difference(found, expected) / largest;
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

/// The same network with a `factor` times fewer channels everywhere but at its two ends.
fn narrow(mut architecture: Architecture, factor: usize) -> Architecture {
    let ends = [architecture.input.n_channels, architecture.n_classes];
    for block in &mut architecture.blocks {
        narrow_block(block, factor, ends);
    }
    architecture
}

fn narrow_block(block: &mut Block, factor: usize, ends: [usize; 2]) {
    let narrow = |n: &mut usize| {
        if !ends.contains(n) {
            *n /= factor;
        }
    };
    match block {
        Block::Conv(conv) => {
            narrow(&mut conv.in_channels);
            narrow(&mut conv.out_channels);
            conv.groups = (conv.groups / factor).max(1);
        }
        Block::BatchNorm(norm) => narrow(&mut norm.n_features),
        Block::Linear(linear) => {
            narrow(&mut linear.in_features);
            narrow(&mut linear.out_features);
        }
        Block::Gru(gru) => {
            narrow(&mut gru.in_channels);
            narrow(&mut gru.hidden);
        }
        Block::Parallel(parallel) => {
            for block in parallel.branches.iter_mut().flatten() {
                narrow_block(block, factor, ends);
            }
        }
        Block::Output(output) => {
            for block in &mut output.blocks {
                narrow_block(block, factor, ends);
            }
        }
        _ => {}
    }
}

#[test]
fn plain_networks_mean_the_same() {
    for depth in [Depth::Cnn6, Depth::Cnn10, Depth::Cnn14] {
        assert_equal(&cnn(depth, 4, 64, 3), [2, 1, 64, 40]);
    }
}

#[test]
fn residual_networks_mean_the_same() {
    let input = Input {
        n_channels: 3,
        n_bands: 32,
        n_frames: None,
    };
    for kind in [Kind::ResNet18, Kind::ResNet34, Kind::ResNeXt50] {
        for head in [Head::Linear, Head::Hidden] {
            let network = narrow(resnet(kind, input, head, 5), 8);
            assert_equal(&network, [2, 3, 32, 36]);
        }
    }
}

#[test]
fn attention_and_recurrence_mean_the_same() {
    let input = Input {
        n_channels: 2,
        n_bands: 32,
        n_frames: None,
    };
    let settings = Settings {
        width: 8,
        ..Settings::default()
    };
    assert_equal(&aux_attention(input, 3, &settings), [2, 2, 32, 20]);
    assert_equal(&crnn(4, 6, 32, 3), [2, 1, 32, 24]);
}

#[test]
fn the_networks_of_2018_mean_the_same() {
    let input = Input {
        n_channels: 1,
        n_bands: 80,
        n_frames: None,
    };
    assert_equal(&vgg_gap(input, 4, 3), [2, 1, 80, 200]);
    let input = Input {
        n_bands: 32,
        ..input
    };
    assert_equal(&dense_excite(input, 3), [2, 1, 32, 300]);
}

#[test]
fn small_networks_mean_the_same() {
    assert_equal(&small::dcase_cnn(3), [2, 1, 64, 25]);
    assert_equal(&small::dcase_mlp(3), [2, 1, 64, 25]);
    for head in [Cnn1dHead::Plain, Cnn1dHead::Dropout, Cnn1dHead::Dense] {
        assert_equal(&small::cnn_1d(head, 3), [2, 1, 64, 50]);
    }
    let stereo = Input {
        n_channels: 2,
        n_bands: 64,
        n_frames: None,
    };
    assert_equal(&small::strided_cnn(stereo, 3), [2, 2, 64, 50]);
}

#[test]
fn waveform_networks_mean_the_same() {
    assert_equal(&small::waveform_cnn(3), [1, 1, 1, 2_000]);
    assert_equal(&small::waveform_cnn_normed(3), [1, 1, 1, 2_000]);
    assert_equal(&narrow(small::waveform_flat(3), 4), [1, 1, 1, 32_000]);
    assert_equal(&narrow(small::waveform_gru(3), 4), [1, 1, 1, 32_000]);
}
