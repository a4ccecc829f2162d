//! The usual compounds, as functions that return blocks.
//!
//! Channel counts are always the pair `[in, out]`; kernels and strides are `[band, frame]`.

use super::block::{
    Activation, Axis, BatchNorm, Block, Conv, Dropout, Function, Gru, Join, Linear, Output,
    OutputKind, Parallel, Pool, PoolKind, Prelu, Reduce, ReduceKind, Softmax,
};

/// A convolution that keeps the size for an odd kernel and a stride of 1 (half the kernel as padding).
pub fn conv(
    name: impl Into<String>,
    channels: [usize; 2],
    kernel: [usize; 2],
    stride: [usize; 2],
    bias: bool,
) -> Block {
    let [in_channels, out_channels] = channels;
    Block::Conv(Conv {
        name: name.into(),
        in_channels,
        out_channels,
        kernel,
        stride,
        padding: kernel.map(|k| k.saturating_sub(1) / 2),
        dilation: [1, 1],
        groups: 1,
        bias,
    })
}

/// A convolution without padding along bands and frames.
pub fn conv_valid(name: impl Into<String>, channels: [usize; 2], kernel: [usize; 2]) -> Block {
    let [in_channels, out_channels] = channels;
    Block::Conv(Conv {
        name: name.into(),
        in_channels,
        out_channels,
        kernel,
        stride: [1, 1],
        padding: [0, 0],
        dilation: [1, 1],
        groups: 1,
        bias: true,
    })
}

/// A normalisation of the channels with PyTorch's defaults, `eps` 1e-5 and `momentum` 0.1.
pub fn batch_norm(name: impl Into<String>, n_features: usize) -> Block {
    Block::BatchNorm(BatchNorm {
        name: name.into(),
        n_features,
        axis: Axis::Channel,
        eps: 1e-5,
        momentum: 0.1,
    })
}

/// A function of each value.
pub fn activation(function: Function) -> Block {
    Block::Activation(Activation { function })
}

/// `max(x, 0)`.
pub fn relu() -> Block {
    activation(Function::Relu)
}

/// One learned slope below zero for all channels, PyTorch's default.
pub fn prelu(name: impl Into<String>) -> Block {
    Block::Prelu(Prelu {
        name: name.into(),
        n_slopes: 1,
    })
}

/// A maximum over windows without padding.
pub fn max_pool(kernel: [usize; 2], stride: [usize; 2]) -> Block {
    pool(PoolKind::Max, kernel, stride)
}

/// A mean over windows that touch each other, without padding.
pub fn mean_pool(kernel: [usize; 2]) -> Block {
    pool(PoolKind::Mean, kernel, kernel)
}

fn pool(kind: PoolKind, kernel: [usize; 2], stride: [usize; 2]) -> Block {
    Block::Pool(Pool {
        kind,
        kernel,
        stride,
        padding: [0, 0],
    })
}

/// One value for all indices of the axes.
pub fn reduce(kind: ReduceKind, axes: &[Axis]) -> Block {
    Block::Reduce(Reduce {
        kind,
        axes: axes.to_vec(),
    })
}

/// The mean of each channel.
pub fn mean_all() -> Block {
    reduce(ReduceKind::Mean, &[Axis::Band, Axis::Frame])
}

/// The maximum of each channel.
pub fn max_all() -> Block {
    reduce(ReduceKind::Max, &[Axis::Band, Axis::Frame])
}

/// The maximum over the frames plus the mean over the frames.
pub fn max_plus_mean_over_frames() -> Block {
    let frames = |kind| vec![reduce(kind, &[Axis::Frame])];
    parallel(
        Join::Add,
        vec![frames(ReduceKind::Max), frames(ReduceKind::Mean)],
    )
}

/// The maximum of each channel, then the mean of each channel: twice the channels.
pub fn max_and_mean_all() -> Block {
    parallel(
        Join::ConcatChannels,
        vec![vec![max_all()], vec![mean_all()]],
    )
}

/// A fully connected layer with a constant.
pub fn linear(name: impl Into<String>, features: [usize; 2]) -> Block {
    let [in_features, out_features] = features;
    Block::Linear(Linear {
        name: name.into(),
        in_features,
        out_features,
        bias: true,
    })
}

/// A gated recurrent unit that runs both ways; `2 · hidden` channels come out.
pub fn gru_both_ways(name: impl Into<String>, in_channels: usize, hidden: usize) -> Block {
    Block::Gru(Gru {
        name: name.into(),
        in_channels,
        hidden,
        bidirectional: true,
    })
}

/// Random zeros while training.
pub fn dropout(rate: f32) -> Block {
    Block::Dropout(Dropout { rate })
}

/// Branches of the same input, joined.
pub fn parallel(join: Join, branches: Vec<Vec<Block>>) -> Block {
    Block::Parallel(Parallel { join, branches })
}

/// `body(x) + shortcut(x)`; an empty shortcut is `x` itself.
pub fn residual(body: Vec<Block>, shortcut: Vec<Block>) -> Block {
    parallel(Join::Add, vec![body, shortcut])
}

/// `x · gate(x)`.
pub fn gate(gate: Vec<Block>) -> Block {
    parallel(Join::Multiply, vec![vec![], gate])
}

/// The value here is the embedding.
pub fn embedding() -> Block {
    embedding_of(Vec::new())
}

/// What these blocks make of the value here is the embedding; the value goes on unchanged.
pub fn embedding_of(blocks: Vec<Block>) -> Block {
    Block::Output(Output {
        kind: OutputKind::Embedding,
        blocks,
    })
}

/// A classifier at this point that only serves training, with its loss' weight.
pub fn auxiliary(weight: f32, blocks: Vec<Block>) -> Block {
    Block::Output(Output {
        kind: OutputKind::Auxiliary { weight },
        blocks,
    })
}

/// Squeeze-excite (Hu et al. 2018, arXiv 1709.01507): each channel times a sigmoid gate that two
/// fully connected layers compute from the means of all channels.
///
/// Parameters: `NAME.fc1.*` `[squeezed, channels]` and `NAME.fc2.*` `[channels, squeezed]`.
pub fn squeeze_excite(name: &str, channels: usize, squeezed: usize) -> Block {
    gate(vec![
        mean_all(),
        linear(format!("{name}.fc1"), [channels, squeezed]),
        relu(),
        linear(format!("{name}.fc2"), [squeezed, channels]),
        activation(Function::Sigmoid),
    ])
}

/// The convolutional block attention module (Woo et al. 2018, arXiv 1807.06521): a gate for each
/// channel from its mean and maximum, then a gate for each position from the mean and maximum of the
/// channels there.
///
/// Both halves of the channel gate share their layers in the paper. `fc(mean) + fc(max)` with shared
/// layers is written here as one pass over a sequence of two frames, mean and maximum, whose results
/// are added, so that each parameter appears once.
///
/// Parameters: `NAME.ca.fc1.weight`, `NAME.ca.fc2.weight` (no constants), `NAME.sa.conv1.weight`.
pub fn cbam(name: &str, channels: usize, squeezed: usize, kernel: usize) -> Vec<Block> {
    let over_channels = |kind| vec![reduce(kind, &[Axis::Channel])];
    vec![
        gate(vec![
            parallel(Join::ConcatFrames, vec![vec![mean_all()], vec![max_all()]]),
            linear_without_bias(format!("{name}.ca.fc1"), [channels, squeezed]),
            relu(),
            linear_without_bias(format!("{name}.ca.fc2"), [squeezed, channels]),
            reduce(ReduceKind::Sum, &[Axis::Frame]),
            activation(Function::Sigmoid),
        ]),
        gate(vec![
            parallel(
                Join::ConcatChannels,
                vec![
                    over_channels(ReduceKind::Mean),
                    over_channels(ReduceKind::Max),
                ],
            ),
            conv(
                format!("{name}.sa.conv1"),
                [2, 1],
                [kernel, kernel],
                [1, 1],
                false,
            ),
            activation(Function::Sigmoid),
        ]),
    ]
}

fn linear_without_bias(name: String, features: [usize; 2]) -> Block {
    let [in_features, out_features] = features;
    Block::Linear(Linear {
        name,
        in_features,
        out_features,
        bias: false,
    })
}

/// A weighted mean over the frames of a sequence, one learned weighting for each channel: softmax over
/// the frames of `attention(x)`.
///
/// Parameters: `NAME.*` `[channels, channels]`.
pub fn attention_over_frames(name: &str, channels: usize) -> Vec<Block> {
    vec![
        gate(vec![
            linear(name, [channels, channels]),
            Block::Softmax(Softmax { axis: Axis::Frame }),
        ]),
        reduce(ReduceKind::Sum, &[Axis::Frame]),
    ]
}
