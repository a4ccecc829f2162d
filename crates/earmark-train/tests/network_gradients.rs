//! Gradients equal finite differences, for every kind of block.

mod common;

use burn::tensor::{Device, Tensor, TensorData};
use common::noise;
use earmark::model::block::{
    Activation, Axis, BatchNorm, Block, Conv, Function, Gru, Join, Linear, Output, OutputKind, Pad,
    Parallel, Pool, PoolKind, Prelu, Reduce, ReduceKind, Softmax,
};
use earmark::model::{Architecture, Input};
use earmark_train::network::{Network, Pass, Tape};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

const N_BANDS: usize = 6;
const N_FRAMES: usize = 10;
const N_CLASSES: usize = 3;

fn conv(
    name: &str,
    channels: [usize; 2],
    kernel: [usize; 2],
    stride: [usize; 2],
    groups: usize,
) -> Block {
    Block::Conv(Conv {
        name: name.into(),
        in_channels: channels[0],
        out_channels: channels[1],
        kernel,
        stride,
        padding: kernel.map(|k| k / 2),
        dilation: [1, 1],
        groups,
        bias: groups == 1,
    })
}

fn norm(name: &str, n_features: usize, axis: Axis) -> Block {
    Block::BatchNorm(BatchNorm {
        name: name.into(),
        n_features,
        axis,
        eps: 1e-3,
        momentum: 0.1,
    })
}

fn activation(function: Function) -> Block {
    Block::Activation(Activation { function })
}

fn reduce(kind: ReduceKind, axes: &[Axis]) -> Block {
    Block::Reduce(Reduce {
        kind,
        axes: axes.to_vec(),
    })
}

fn linear(name: &str, in_features: usize, out_features: usize) -> Block {
    Block::Linear(Linear {
        name: name.into(),
        in_features,
        out_features,
        bias: true,
    })
}

/// A network of these blocks on one channel, `channels` of which reach the embedding.
fn network(name: &str, mut blocks: Vec<Block>, channels: usize) -> Architecture {
    blocks.extend([
        reduce(ReduceKind::Mean, &[Axis::Band, Axis::Frame]),
        Block::Output(Output {
            kind: OutputKind::Embedding,
            blocks: vec![],
        }),
        linear("head", channels, N_CLASSES),
    ]);
    Architecture {
        name: name.into(),
        input: Input {
            n_channels: 1,
            n_bands: N_BANDS,
            n_frames: Some(N_FRAMES),
        },
        n_classes: N_CLASSES,
        blocks,
    }
}

fn networks() -> Vec<Architecture> {
    let functions = [
        Function::Relu,
        Function::LeakyRelu { slope: 0.1 },
        Function::Elu,
        Function::Gelu,
        Function::Silu,
        Function::Hardsigmoid,
        Function::Hardswish,
        Function::Sigmoid,
        Function::Tanh,
    ];
    let pool = |kind, padding| {
        Block::Pool(Pool {
            kind,
            kernel: [3, 3],
            stride: [2, 2],
            padding,
        })
    };
    let mut all: Vec<Architecture> = functions
        .into_iter()
        .map(|f| {
            let blocks = vec![conv("c", [1, 4], [3, 3], [1, 1], 1), activation(f)];
            network(&format!("{f:?}"), blocks, 4)
        })
        .collect();
    let first = || conv("first", [1, 4], [3, 3], [1, 2], 1);
    let gate = vec![
        reduce(ReduceKind::Mean, &[Axis::Band, Axis::Frame]),
        linear("squeeze", 4, 2),
        activation(Function::Relu),
        linear("excite", 2, 4),
        activation(Function::Hardsigmoid),
    ];
    let parallel = |join, branches| Block::Parallel(Parallel { join, branches });
    let gru = |bidirectional| {
        Block::Gru(Gru {
            name: "gru".into(),
            in_channels: 24,
            hidden: 3,
            bidirectional,
        })
    };
    all.extend([
        network(
            "norm",
            vec![
                first(),
                norm("n", 4, Axis::Channel),
                activation(Function::Silu),
            ],
            4,
        ),
        network(
            "norm of bands",
            vec![
                norm("n", N_BANDS, Axis::Band),
                first(),
                activation(Function::Silu),
            ],
            4,
        ),
        network(
            "depthwise",
            vec![
                first(),
                conv("d", [4, 4], [3, 5], [2, 1], 4),
                norm("n", 4, Axis::Channel),
                activation(Function::Hardswish),
                conv("p", [4, 8], [1, 1], [1, 1], 1),
            ],
            8,
        ),
        network(
            "groups",
            vec![
                first(),
                conv("g", [4, 6], [3, 3], [1, 1], 2),
                activation(Function::Tanh),
            ],
            6,
        ),
        network(
            "prelu",
            vec![
                first(),
                Block::Prelu(Prelu {
                    name: "p".into(),
                    n_slopes: 4,
                }),
            ],
            4,
        ),
        network("max pool", vec![first(), pool(PoolKind::Max, [1, 1])], 4),
        network(
            "mean pool",
            vec![
                first(),
                activation(Function::Tanh),
                pool(PoolKind::Mean, [1, 0]),
            ],
            4,
        ),
        network(
            "pad",
            vec![
                Block::Pad(Pad {
                    before: [0, 1],
                    after: [2, 0],
                }),
                first(),
                activation(Function::Tanh),
            ],
            4,
        ),
        network(
            "softmax",
            vec![
                first(),
                Block::Softmax(Softmax { axis: Axis::Frame }),
                activation(Function::Tanh),
            ],
            4,
        ),
        network(
            "max",
            vec![first(), reduce(ReduceKind::Max, &[Axis::Band, Axis::Frame])],
            4,
        ),
        network(
            "sum",
            vec![
                first(),
                activation(Function::Tanh),
                reduce(ReduceKind::Sum, &[Axis::Band]),
            ],
            4,
        ),
        network(
            "stack and flatten",
            vec![
                first(),
                Block::StackBands,
                Block::Flatten,
                linear("l", 120, 4),
            ],
            4,
        ),
        network(
            "squeeze-excite",
            vec![first(), parallel(Join::Multiply, vec![vec![], gate])],
            4,
        ),
        network(
            "residual",
            vec![
                first(),
                parallel(
                    Join::Add,
                    vec![vec![conv("r", [4, 4], [3, 3], [1, 1], 1)], vec![]],
                ),
            ],
            4,
        ),
        network(
            "concat",
            vec![
                first(),
                parallel(
                    Join::ConcatChannels,
                    vec![vec![conv("r", [4, 2], [1, 1], [1, 1], 1)], vec![]],
                ),
            ],
            6,
        ),
        network(
            "pointwise linear",
            vec![first(), linear("l", 4, 5), activation(Function::Tanh)],
            5,
        ),
        network("gru", vec![first(), Block::StackBands, gru(false)], 3),
        network(
            "gru both ways",
            vec![first(), Block::StackBands, gru(true)],
            6,
        ),
    ]);
    all
}

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
