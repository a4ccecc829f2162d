//! One small network per kind of block.

use earmark::model::block::{
    Activation, Axis, BatchNorm, Block, Conv, Function, Gru, Join, Linear, Output, OutputKind, Pad,
    Parallel, Pool, PoolKind, Prelu, Reduce, ReduceKind, Softmax,
};
use earmark::model::{Architecture, Input};

pub(crate) const N_BANDS: usize = 6;
pub(crate) const N_FRAMES: usize = 10;
pub(crate) const N_CLASSES: usize = 3;

pub(crate) fn conv(
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

pub(crate) fn norm(name: &str, n_features: usize, axis: Axis) -> Block {
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
pub(crate) fn network(name: &str, mut blocks: Vec<Block>, channels: usize) -> Architecture {
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

pub(crate) fn networks() -> Vec<Architecture> {
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
