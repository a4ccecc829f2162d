//! Turns a description and its weights into a graph.
//!
//! A value that the description calls a map with one band and one frame may be a matrix
//! `[batch, channel]` in the graph: from the embedding on it is, so that the layers after it are matrix
//! products. Before that, as in squeeze-excite, it stays a map and fully connected layers are 1×1
//! convolutions: that needs no change of shape around the gate's product.

use super::builder::{Builder, Dim, Setting};
use super::layout;
use super::proto::ModelProto;
use crate::model::block::{
    Axis, BatchNorm, Block, Conv, Function, Gru, Join, Linear, Output, OutputKind, Pad, Parallel,
    Pool, PoolKind, Prelu, Reduce, ReduceKind, Softmax,
};
use crate::model::{Architecture, Shape, Weights, shape};
use crate::{Error, Result};

/// The name of the input.
pub const FEATURES: &str = "features";
/// The name of the class output, before sigmoid or softmax.
pub const LOGITS: &str = "logits";
/// The name of the embedding output.
pub const EMBEDDING: &str = "embedding";

/// Builds the graph of a network.
///
/// Auxiliary classifiers and dropout only serve training and are left out.
///
/// # Errors
/// [`Error::Shape`] when the description is not sound, [`Error::Weights`] when the weights do not
/// fit it.
pub fn build(architecture: &Architecture, weights: &Weights) -> Result<ModelProto> {
    weights.check(architecture, "weights")?;
    let mut builder = Builder::new(&architecture.name);
    let input = &architecture.input;
    let dims = [
        Dim::Open("batch"),
        Dim::Fixed(input.n_channels),
        Dim::Fixed(input.n_bands),
        input.n_frames.map_or(Dim::Open("frame"), Dim::Fixed),
    ];
    let features = builder.input(FEATURES, &dims);
    let ends = network(&mut builder, architecture, weights, &features)?;
    let renamed = builder.rename_last(&ends.logits, LOGITS);
    let logits = if renamed { LOGITS } else { &ends.logits };
    let dims = [Dim::Open("batch"), Dim::Fixed(architecture.n_classes)];
    builder.output(logits, LOGITS, &dims);
    Ok(builder.finish())
}

/// What [`network`] adds to a graph. The embedding is already an output.
pub(super) struct Ends {
    /// The logits' value, `[batch, class]`.
    pub(super) logits: String,
}

/// Adds a network that reads the value `features`; its embedding becomes an output.
pub(super) fn network(
    builder: &mut Builder,
    architecture: &Architecture,
    weights: &Weights,
    features: &str,
) -> Result<Ends> {
    let input = &architecture.input;
    let value = Value {
        name: features.to_owned(),
        shape: Shape {
            channels: input.n_channels,
            bands: input.n_bands,
            frames: input.n_frames,
        },
        is_matrix: false,
    };
    let mut lowering = Lowering { builder, weights };
    let end = lowering.blocks(&architecture.blocks, value)?;
    let logits = lowering.matrix(end, "flatten").name;
    Ok(Ends { logits })
}

/// A value of the graph.
#[derive(Clone)]
struct Value {
    name: String,
    shape: Shape,
    /// Whether it is `[batch, channel]` in the graph instead of `[batch, channel, band, frame]`.
    is_matrix: bool,
}

struct Lowering<'a> {
    builder: &'a mut Builder,
    weights: &'a Weights,
}

impl Lowering<'_> {
    fn blocks(&mut self, blocks: &[Block], input: Value) -> Result<Value> {
        blocks
            .iter()
            .try_fold(input, |value, block| self.block(block, value))
    }

    fn block(&mut self, block: &Block, x: Value) -> Result<Value> {
        let shape = shape::after(block, x.shape)?;
        let is_matrix = x.is_matrix;
        let name = match block {
            Block::Conv(conv) => {
                let x = self.map(x);
                return Ok(map(self.conv(conv, &x)?, shape));
            }
            Block::Linear(linear) => self.linear(linear, &x)?,
            Block::BatchNorm(norm) => self.batch_norm(norm, &x)?,
            Block::Activation(activation) => self.function(activation.function, &x.name),
            Block::Prelu(prelu) => self.prelu(prelu, &x)?,
            Block::Dropout(_) => x.name,
            Block::Pool(pool) => {
                let x = self.map(x);
                return Ok(map(self.pool(pool, &x.name), shape));
            }
            Block::Pad(pad) => {
                let x = self.map(x);
                return Ok(map(self.pad(pad, &x.name), shape));
            }
            Block::Reduce(reduce) => {
                let x = self.map(x);
                return Ok(map(self.reduce(reduce, &x.name), shape));
            }
            Block::Softmax(softmax) => {
                let x = self.map(x);
                return Ok(map(self.softmax(softmax, &x.name), shape));
            }
            Block::Gru(gru) => {
                let x = self.map(x);
                return Ok(map(self.gru(gru, &x)?, shape));
            }
            Block::StackBands => {
                let x = self.map(x);
                return Ok(map(self.stack_bands(&x, shape), shape));
            }
            Block::Flatten => return Ok(self.matrix(Value { shape, ..x }, "flatten")),
            Block::Parallel(parallel) => return self.parallel(parallel, x, shape),
            Block::Output(output) => return self.output(output, x),
        };
        Ok(Value {
            name,
            shape,
            is_matrix,
        })
    }

    /// The value with four axes.
    fn map(&mut self, x: Value) -> Value {
        if !x.is_matrix {
            return x;
        }
        let axes = self.builder.constant_ints("axes", &[2, 3]);
        let name = self.builder.plain("Unsqueeze", &[&x.name, &axes]);
        map(name, x.shape)
    }

    /// The value with two axes.
    fn matrix(&mut self, x: Value, label: &str) -> Value {
        if x.is_matrix {
            return x;
        }
        let name = self
            .builder
            .node("Flatten", label, &[&x.name], &[("axis", Setting::Int(1))]);
        Value {
            name,
            shape: x.shape,
            is_matrix: true,
        }
    }

    /// Adds a parameter under its own name, in the given shape.
    fn parameter(&mut self, name: &str, shape: &[usize]) -> Result<String> {
        let tensor = self.weights.get(name).ok_or_else(|| Error::Weights {
            name: "weights".to_owned(),
            reason: format!("missing `{name}`"),
        })?;
        Ok(self.builder.floats(name, shape, tensor.data()))
    }

    fn conv(&mut self, conv: &Conv, x: &Value) -> Result<String> {
        let shape = [
            conv.out_channels,
            conv.in_channels / conv.groups,
            conv.kernel[0],
            conv.kernel[1],
        ];
        let mut inputs = vec![
            x.name.clone(),
            self.parameter(&format!("{}.weight", conv.name), &shape)?,
        ];
        if conv.bias {
            let bias = format!("{}.bias", conv.name);
            inputs.push(self.parameter(&bias, &[conv.out_channels])?);
        }
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let settings = [
            ("kernel_shape", ints(&conv.kernel)),
            ("strides", ints(&conv.stride)),
            ("pads", both_sides(conv.padding)),
            ("dilations", ints(&conv.dilation)),
            ("group", Setting::Int(conv.groups as i64)),
        ];
        Ok(self.builder.node("Conv", &conv.name, &inputs, &settings))
    }

    fn linear(&mut self, linear: &Linear, x: &Value) -> Result<String> {
        let (rows, columns) = (linear.out_features, linear.in_features);
        let shape: &[usize] = if x.is_matrix {
            &[rows, columns]
        } else {
            &[rows, columns, 1, 1]
        };
        let mut inputs = vec![
            x.name.clone(),
            self.parameter(&format!("{}.weight", linear.name), shape)?,
        ];
        if linear.bias {
            inputs.push(self.parameter(&format!("{}.bias", linear.name), &[rows])?);
        }
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        if x.is_matrix {
            let settings = [("transB", Setting::Int(1))];
            return Ok(self.builder.node("Gemm", &linear.name, &inputs, &settings));
        }
        let settings = [("kernel_shape", ints(&[1, 1]))];
        Ok(self.builder.node("Conv", &linear.name, &inputs, &settings))
    }

    fn batch_norm(&mut self, norm: &BatchNorm, x: &Value) -> Result<String> {
        let mut inputs = vec![x.name.clone()];
        let swapped = norm.axis == Axis::Band;
        if swapped {
            inputs[0] = self.swap_channels_and_bands(&x.name);
        }
        for part in ["weight", "bias", "running_mean", "running_var"] {
            inputs.push(self.parameter(&format!("{}.{part}", norm.name), &[norm.n_features])?);
        }
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let settings = [("epsilon", Setting::Float(norm.eps))];
        let y = self
            .builder
            .node("BatchNormalization", &norm.name, &inputs, &settings);
        Ok(if swapped {
            self.swap_channels_and_bands(&y)
        } else {
            y
        })
    }

    fn swap_channels_and_bands(&mut self, x: &str) -> String {
        let order = ints(&[0, 2, 1, 3]);
        self.builder
            .node("Transpose", "transpose", &[x], &[("perm", order)])
    }

    fn function(&mut self, function: Function, x: &str) -> String {
        match function {
            Function::Relu => self.builder.plain("Relu", &[x]),
            Function::LeakyRelu { slope } => {
                let settings = [("alpha", Setting::Float(slope))];
                self.builder.node("LeakyRelu", "leakyrelu", &[x], &settings)
            }
            Function::Elu => self.builder.plain("Elu", &[x]),
            Function::Gelu => self.gelu(x),
            Function::Silu => {
                let gate = self.builder.plain("Sigmoid", &[x]);
                self.builder.node("Mul", "silu", &[x, &gate], &[])
            }
            Function::Hardsigmoid => {
                let settings = [
                    ("alpha", Setting::Float(1.0 / 6.0)),
                    ("beta", Setting::Float(0.5)),
                ];
                self.builder
                    .node("HardSigmoid", "hardsigmoid", &[x], &settings)
            }
            Function::Hardswish => self.builder.plain("HardSwish", &[x]),
            Function::Sigmoid => self.builder.plain("Sigmoid", &[x]),
            Function::Tanh => self.builder.plain("Tanh", &[x]),
        }
    }

    /// `x · (erf(x / √2) + 1) / 2`: the operator `Gelu` is newer than [`super::OPSET`].
    fn gelu(&mut self, x: &str) -> String {
        let root = self
            .builder
            .constant_floats("sqrt2", &[], &[std::f32::consts::SQRT_2]);
        let one = self.builder.constant_floats("one", &[], &[1.0]);
        let half = self.builder.constant_floats("half", &[], &[0.5]);
        let scaled = self.builder.plain("Div", &[x, &root]);
        let erf = self.builder.plain("Erf", &[&scaled]);
        let sum = self.builder.plain("Add", &[&erf, &one]);
        let product = self.builder.plain("Mul", &[x, &sum]);
        self.builder.node("Mul", "gelu", &[&product, &half], &[])
    }

    fn prelu(&mut self, prelu: &Prelu, x: &Value) -> Result<String> {
        let slopes = prelu.n_slopes;
        let shape: &[usize] = if x.is_matrix {
            &[slopes]
        } else {
            &[slopes, 1, 1]
        };
        let weight = self.parameter(&format!("{}.weight", prelu.name), shape)?;
        Ok(self
            .builder
            .node("PRelu", &prelu.name, &[&x.name, &weight], &[]))
    }

    fn pool(&mut self, pool: &Pool, x: &str) -> String {
        let mut settings = vec![
            ("kernel_shape", ints(&pool.kernel)),
            ("strides", ints(&pool.stride)),
            ("pads", both_sides(pool.padding)),
        ];
        match pool.kind {
            PoolKind::Max => self.builder.node("MaxPool", "maxpool", &[x], &settings),
            PoolKind::Mean => {
                settings.push(("count_include_pad", Setting::Int(1)));
                self.builder
                    .node("AveragePool", "averagepool", &[x], &settings)
            }
        }
    }

    fn pad(&mut self, pad: &Pad, x: &str) -> String {
        let [bands_before, frames_before] = pad.before.map(|n| n as i64);
        let [bands_after, frames_after] = pad.after.map(|n| n as i64);
        let pads = [
            0,
            0,
            bands_before,
            frames_before,
            0,
            0,
            bands_after,
            frames_after,
        ];
        let pads = self.builder.constant_ints("pads", &pads);
        self.builder.plain("Pad", &[x, &pads])
    }

    fn reduce(&mut self, reduce: &Reduce, x: &str) -> String {
        let over = |axis| reduce.axes.contains(&axis);
        let whole_map = over(Axis::Band) && over(Axis::Frame) && !over(Axis::Channel);
        let mut axes: Vec<usize> = reduce.axes.iter().map(|a| a.index()).collect();
        axes.sort_unstable();
        let settings = [("axes", ints(&axes)), ("keepdims", Setting::Int(1))];
        match reduce.kind {
            ReduceKind::Mean if whole_map => self.builder.plain("GlobalAveragePool", &[x]),
            ReduceKind::Max if whole_map => self.builder.plain("GlobalMaxPool", &[x]),
            ReduceKind::Mean => self
                .builder
                .node("ReduceMean", "reducemean", &[x], &settings),
            ReduceKind::Max => self.builder.node("ReduceMax", "reducemax", &[x], &settings),
            ReduceKind::Sum => {
                let axes: Vec<i64> = axes.iter().map(|&a| a as i64).collect();
                let axes = self.builder.constant_ints("axes", &axes);
                let settings = [("keepdims", Setting::Int(1))];
                self.builder
                    .node("ReduceSum", "reducesum", &[x, &axes], &settings)
            }
        }
    }

    fn softmax(&mut self, softmax: &Softmax, x: &str) -> String {
        let axis = Setting::Int(softmax.axis.index() as i64);
        self.builder
            .node("Softmax", "softmax", &[x], &[("axis", axis)])
    }

    fn gru(&mut self, gru: &Gru, x: &Value) -> Result<String> {
        let stored = layout::gru_to_onnx(gru, self.weights)?;
        let [w, r, b] =
            stored.map(|(name, tensor)| self.builder.floats(&name, tensor.shape(), tensor.data()));
        let one_band = self.builder.constant_ints("axes", &[2]);
        let sequence = self.builder.plain("Squeeze", &[&x.name, &one_band]);
        let frames_first = [("perm", ints(&[2, 0, 1]))];
        let sequence = self
            .builder
            .node("Transpose", "transpose", &[&sequence], &frames_first);
        let direction = if gru.bidirectional {
            "bidirectional"
        } else {
            "forward"
        };
        let settings = [
            ("hidden_size", Setting::Int(gru.hidden as i64)),
            ("direction", Setting::Text(direction)),
            ("linear_before_reset", Setting::Int(1)),
        ];
        // [frame, direction, batch, hidden]
        let states = self
            .builder
            .node("GRU", &gru.name, &[&sequence, &w, &r, &b], &settings);
        let frames_last = [("perm", ints(&[2, 1, 3, 0]))];
        let states = self
            .builder
            .node("Transpose", "transpose", &[&states], &frames_last);
        let channels = if gru.bidirectional { 2 } else { 1 } * gru.hidden;
        Ok(self.reshape(&states, channels))
    }

    /// `[batch, channels, 1, everything else]`; the length of the batch is kept.
    fn reshape(&mut self, x: &str, channels: usize) -> String {
        let shape = self
            .builder
            .constant_ints("shape", &[0, channels as i64, 1, -1]);
        self.builder.plain("Reshape", &[x, &shape])
    }

    fn stack_bands(&mut self, x: &Value, shape: Shape) -> String {
        if x.shape.bands == 1 {
            return x.name.clone();
        }
        self.reshape(&x.name, shape.channels)
    }

    fn parallel(&mut self, parallel: &Parallel, x: Value, shape: Shape) -> Result<Value> {
        let mut ends = Vec::new();
        for branch in &parallel.branches {
            ends.push(self.blocks(branch, x.clone())?);
        }
        let is_matrix = ends.iter().all(|end| end.is_matrix)
            && matches!(
                parallel.join,
                Join::Add | Join::Multiply | Join::ConcatChannels
            );
        if !is_matrix {
            ends = ends.into_iter().map(|end| self.map(end)).collect();
        }
        let names: Vec<&str> = ends.iter().map(|end| end.name.as_str()).collect();
        let name = match parallel.join {
            Join::Add => self.chain("Add", &names),
            Join::Multiply => self.chain("Mul", &names),
            Join::ConcatChannels => self.concat(&names, Axis::Channel),
            Join::ConcatFrames => self.concat(&names, Axis::Frame),
        };
        Ok(Value {
            name,
            shape,
            is_matrix,
        })
    }

    fn chain(&mut self, operator: &str, names: &[&str]) -> String {
        let (first, rest) = names
            .split_first()
            .expect("a checked description has branches");
        rest.iter().fold((*first).to_owned(), |sum, name| {
            self.builder.plain(operator, &[&sum, name])
        })
    }

    fn concat(&mut self, names: &[&str], axis: Axis) -> String {
        let axis = Setting::Int(axis.index() as i64);
        self.builder
            .node("Concat", "concat", names, &[("axis", axis)])
    }

    fn output(&mut self, output: &Output, x: Value) -> Result<Value> {
        if matches!(output.kind, OutputKind::Auxiliary { .. }) {
            return Ok(x);
        }
        let continues = output.blocks.is_empty();
        let end = self.blocks(&output.blocks, x.clone())?;
        let end = self.matrix(end, EMBEDDING);
        let dims = [Dim::Open("batch"), Dim::Fixed(end.shape.channels)];
        self.builder.output(&end.name, EMBEDDING, &dims);
        // What comes after the embedding works on the matrix.
        Ok(if continues { end } else { x })
    }
}

fn map(name: String, shape: Shape) -> Value {
    Value {
        name,
        shape,
        is_matrix: false,
    }
}

fn ints(values: &[usize]) -> Setting {
    Setting::Ints(values.iter().map(|&v| v as i64).collect())
}

fn both_sides(padding: [usize; 2]) -> Setting {
    let [bands, frames] = padding;
    ints(&[bands, frames, bands, frames])
}
