//! The blocks that a network is made of, and exactly what each one computes.
//!
//! Notation: `x[b, c, f, t]` is the block's input (batch, channel, band, frame), `y` its output.
//! Pairs such as `kernel` and `stride` are `[band, frame]`.

use serde::{Deserialize, Serialize};

/// One step of a network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "block", rename_all = "snake_case")]
pub enum Block {
    /// A convolution, see [`Conv`].
    Conv(Conv),
    /// Batch normalisation, see [`BatchNorm`].
    BatchNorm(BatchNorm),
    /// A function of each value, see [`Activation`].
    Activation(Activation),
    /// A leaky rectifier with learned slopes, see [`Prelu`].
    Prelu(Prelu),
    /// Maximum or mean over windows, see [`Pool`].
    Pool(Pool),
    /// Zeros around a map, see [`Pad`].
    Pad(Pad),
    /// Maximum, mean or sum over whole axes, see [`Reduce`].
    Reduce(Reduce),
    /// Softmax over one axis, see [`Softmax`].
    Softmax(Softmax),
    /// A fully connected layer over the channels, see [`Linear`].
    Linear(Linear),
    /// A gated recurrent unit along the frames, see [`Gru`].
    Gru(Gru),
    /// Random zeros while training, see [`Dropout`].
    Dropout(Dropout),
    /// Moves every band into the channels: `y[b, c · F + f, 0, t] = x[b, c, f, t]` for `F` bands.
    StackBands,
    /// Moves everything into the channels: `y[b, (c · F + f) · T + t, 0, 0] = x[b, c, f, t]` for
    /// `F` bands and `T` frames. The number of frames must be fixed or already reduced to one.
    Flatten,
    /// Several branches of the same input joined again, see [`Parallel`].
    Parallel(Parallel),
    /// A side output; the value itself passes on unchanged, see [`Output`].
    Output(Output),
}

/// An axis of a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Axis {
    /// Axis 1 of `[batch, channel, band, frame]`.
    Channel,
    /// Axis 2.
    Band,
    /// Axis 3.
    Frame,
}

impl Axis {
    /// The axis' index in `[batch, channel, band, frame]`.
    pub fn index(self) -> usize {
        match self {
            Self::Channel => 1,
            Self::Band => 2,
            Self::Frame => 3,
        }
    }
}

/// A two-dimensional cross-correlation, as `torch.nn.Conv2d` with zero padding.
///
/// # Shapes
/// `[b, in_channels, f, t]` → `[b, out_channels, f', t']` with
/// `f' = (f + 2 · padding − dilation · (kernel − 1) − 1) / stride + 1`, rounded down; `t'` likewise.
///
/// Parameters: `NAME.weight` `[out_channels, in_channels / groups, kernel band, kernel frame]`; with
/// `bias`, `NAME.bias` `[out_channels]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conv {
    /// The prefix of the parameters' names.
    pub name: String,
    /// The channels that come in.
    pub in_channels: usize,
    /// The channels that go out.
    pub out_channels: usize,
    /// The window, `[band, frame]`, at least 1 each.
    pub kernel: [usize; 2],
    /// The step of the window, `[band, frame]`, at least 1 each.
    pub stride: [usize; 2],
    /// Zeros on both sides of each axis, `[band, frame]`.
    pub padding: [usize; 2],
    /// The distance between the window's points, `[band, frame]`, at least 1 each.
    pub dilation: [usize; 2],
    /// Groups of channels that do not see each other; divides both channel counts. A depthwise
    /// convolution has as many groups as channels.
    pub groups: usize,
    /// Whether a constant is added to each output channel.
    pub bias: bool,
}

/// `y = (x − mean) / √(variance + eps) · weight + bias`, one set of numbers per index of `axis`.
///
/// While training, mean and (biased) variance are those of the batch over all other axes, and the
/// running ones move by `running ← (1 − momentum) · running + momentum · batch`, with the unbiased
/// variance, as PyTorch does. Afterwards the running ones are used.
///
/// Parameters, each `[n_features]`: `NAME.weight`, `NAME.bias`, `NAME.running_mean`,
/// `NAME.running_var`. The last two are not trained by gradient.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchNorm {
    /// The prefix of the parameters' names.
    pub name: String,
    /// The length of `axis`.
    pub n_features: usize,
    /// Which axis has its own numbers: channels, or bands (a normalisation of the input).
    pub axis: Axis,
    /// Added to the variance, above 0.
    pub eps: f32,
    /// How fast the running statistics move, 0 to 1.
    pub momentum: f32,
}

/// A function of each value on its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Activation {
    /// The function.
    pub function: Function,
}

/// The functions of [`Activation`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Function {
    /// `max(x, 0)`
    Relu,
    /// `x` above 0, `slope · x` below.
    LeakyRelu {
        /// The slope below 0.
        slope: f32,
    },
    /// `x` above 0, `eˣ − 1` below.
    Elu,
    /// `x · Φ(x)` with the exact normal distribution function, `Φ(x) = (1 + erf(x / √2)) / 2`.
    Gelu,
    /// `x · sigmoid(x)`
    Silu,
    /// `min(max(x / 6 + 1/2, 0), 1)`
    Hardsigmoid,
    /// `x · hardsigmoid(x)`
    Hardswish,
    /// `1 / (1 + e⁻ˣ)`
    Sigmoid,
    /// `tanh(x)`
    Tanh,
}

/// `x` above 0, `weight · x` below, with a learned weight for all channels or for each.
///
/// Parameter: `NAME.weight` `[n_slopes]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prelu {
    /// The prefix of the parameter's name.
    pub name: String,
    /// 1, or the number of channels.
    pub n_slopes: usize,
}

/// The maximum or mean of windows, output sizes as for [`Conv`] without dilation.
///
/// Padding counts as −∞ for the maximum. For the mean it counts as zeros that are averaged over, so
/// that every window divides by its whole area (`count_include_pad`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pool {
    /// Maximum or mean. A sum is not offered for windows.
    pub kind: PoolKind,
    /// The window, `[band, frame]`, at least 1 each.
    pub kernel: [usize; 2],
    /// The step of the window, `[band, frame]`, at least 1 each.
    pub stride: [usize; 2],
    /// Padding on both sides of each axis, `[band, frame]`, at most half the kernel.
    pub padding: [usize; 2],
}

/// What a [`Pool`] computes of its window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PoolKind {
    /// The largest value.
    Max,
    /// The arithmetic mean.
    Mean,
}

/// Zeros before and after the map, `[band, frame]`, where the two sides must differ. A maximum may not
/// follow directly: put an activation between, or use the padding of [`Pool`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pad {
    /// Bands below the lowest and frames before the first.
    pub before: [usize; 2],
    /// Bands above the highest and frames after the last.
    pub after: [usize; 2],
}

/// One value for all indices of the given axes; those axes stay, with length 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reduce {
    /// Maximum, mean or sum.
    pub kind: ReduceKind,
    /// The axes, each at most once, at least one. They are reduced together.
    pub axes: Vec<Axis>,
}

/// What a [`Reduce`] computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReduceKind {
    /// The largest value.
    Max,
    /// The arithmetic mean.
    Mean,
    /// The sum.
    Sum,
}

/// `y = eˣ / Σ eˣ`, the sum running over `axis`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Softmax {
    /// The axis whose values add up to one afterwards.
    pub axis: Axis,
}

/// `y[b, o, f, t] = Σ_c weight[o, c] · x[b, c, f, t] + bias[o]`: `torch.nn.Linear` over the channels
/// at every band and frame.
///
/// Parameters: `NAME.weight` `[out_features, in_features]`; with `bias`, `NAME.bias`
/// `[out_features]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Linear {
    /// The prefix of the parameters' names.
    pub name: String,
    /// The channels that come in.
    pub in_features: usize,
    /// The channels that go out.
    pub out_features: usize,
    /// Whether a constant is added to each output channel.
    pub bias: bool,
}

/// A gated recurrent unit along the frames of a sequence, as `torch.nn.GRU` with one layer.
///
/// With `x` one frame, `h` the state (zeros at first), and each `W`, `b` a third of the parameters in
/// the order r, z, n:
///
/// ```text
/// r = sigmoid(W_ir x + b_ir + W_hr h + b_hr)
/// z = sigmoid(W_iz x + b_iz + W_hz h + b_hz)
/// n = tanh(W_in x + b_in + r · (W_hn h + b_hn))
/// h ← (1 − z) · n + z · h
/// ```
///
/// # Shapes
/// `[b, in_channels, 1, t]` → `[b, hidden, 1, t]`, all states. Bidirectional: `[b, 2 · hidden, 1, t]`,
/// first the forward states, then those of a second unit that runs from the last frame to the first.
///
/// Parameters: `NAME.weight_ih_l0` `[3 · hidden, in_channels]`, `NAME.weight_hh_l0`
/// `[3 · hidden, hidden]`, `NAME.bias_ih_l0` and `NAME.bias_hh_l0` `[3 · hidden]`; bidirectional: the
/// same four again with the ending `_reverse`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gru {
    /// The prefix of the parameters' names.
    pub name: String,
    /// The channels that come in.
    pub in_channels: usize,
    /// The length of the state.
    pub hidden: usize,
    /// Whether a second unit runs backwards.
    pub bidirectional: bool,
}

/// While training, each value becomes 0 with probability `rate`, the others are divided by
/// `1 − rate`. Afterwards the values pass unchanged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dropout {
    /// The probability, 0 to below 1.
    pub rate: f32,
}

/// Runs every branch on the same input and joins the results. An empty branch is the input itself.
///
/// Residuals (`Add`), gates such as squeeze-excite (`Multiply`) and skip connections
/// (`ConcatChannels`) are all of this kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parallel {
    /// How the results become one.
    pub join: Join,
    /// The branches, at least two.
    pub branches: Vec<Vec<Block>>,
}

/// How [`Parallel`] joins its branches, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Join {
    /// The sum. All shapes are equal.
    Add,
    /// The product. An axis of length 1 is repeated to the other's length.
    Multiply,
    /// The channels one after the other. Bands and frames are equal.
    ConcatChannels,
    /// The frames one after the other. Channels and bands are equal.
    ConcatFrames,
}

/// Runs `blocks` on the value at this point and gives their result as an output of its own. The value
/// itself goes on to the next block as if nothing had happened. With no blocks, the value is the
/// output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Output {
    /// What the output is for.
    pub kind: OutputKind,
    /// What leads to the output, often nothing. The result is `[b, n, 1, 1]`.
    pub blocks: Vec<Block>,
}

/// What an [`Output`] is for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputKind {
    /// The embedding. Every network has exactly one.
    Embedding,
    /// Logits of an auxiliary classifier, `[b, n_classes, 1, 1]`, that only serve training: their loss
    /// is added with this weight. They and their parameters are left out of bundles.
    Auxiliary {
        /// The weight of the loss, above 0, beside 1 for the main one.
        weight: f32,
    },
}
