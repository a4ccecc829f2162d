//! What each block does to a map `[batch, channel, band, frame]`, as `earmark::model::block` defines.

use burn::tensor::activation as act;
use burn::tensor::ops::{AvgPoolOptions, ConvOptions, MaxPoolOptions, PadMode};
use burn::tensor::{Tensor, TensorData, module};
use earmark::model::Block;
use earmark::model::block::{
    Activation, Conv, Function, Join, Linear, Output, OutputKind, Pad, Parallel, Pool, PoolKind,
    Prelu, Reduce, ReduceKind,
};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::kernels::{self, Curve, Window};
use super::{Network, Pass};

/// The side outputs gathered on the way.
#[derive(Debug, Default)]
pub(super) struct Outputs {
    pub(super) embedding: Option<Tensor<2>>,
    pub(super) auxiliary: Vec<(f32, Tensor<2>)>,
}

/// A map of one band and one frame as a matrix `[batch, channel]`.
pub(super) fn vector(map: Tensor<4>) -> Tensor<2> {
    let [batch, channel, band, frame] = map.dims();
    map.reshape([batch, channel * band * frame])
}

impl Network {
    /// Runs blocks one after the other.
    pub(super) fn run(
        &self,
        blocks: &[Block],
        input: Tensor<4>,
        pass: &mut Pass<'_>,
        outputs: &mut Outputs,
    ) -> Tensor<4> {
        let mut value = input;
        let mut rest = blocks;
        while let [block, behind @ ..] = rest {
            // A normalisation takes the activation behind it along where one kernel does both.
            let fused = match (block, behind) {
                (Block::BatchNorm(norm), [Block::Activation(activation), ..]) => self
                    .fuses(norm, activation.function, pass)
                    .map(|curve| (norm, curve)),
                _ => None,
            };
            (value, rest) = match fused {
                Some((norm, curve)) => (self.batch_norm(norm, curve, value, pass), &behind[1..]),
                None => (self.block(block, value, pass, outputs), behind),
            };
        }
        value
    }

    fn block(
        &self,
        block: &Block,
        x: Tensor<4>,
        pass: &mut Pass<'_>,
        outputs: &mut Outputs,
    ) -> Tensor<4> {
        match block {
            Block::Conv(conv) => self.conv(conv, x, pass),
            Block::BatchNorm(norm) => self.batch_norm(norm, Curve::Straight, x, pass),
            Block::Activation(activation) => activate(activation, x),
            Block::Prelu(prelu) => self.prelu(prelu, x, pass),
            Block::Pool(pool) => self.pool(pool, x),
            Block::Pad(pad) => pad_map(pad, x),
            Block::Reduce(reduce) => reduce_axes(reduce, x),
            Block::Softmax(softmax) => act::softmax(x, softmax.axis.index()),
            Block::Linear(linear) => self.linear(linear, x, pass),
            Block::Gru(gru) => self.gru(gru, x, pass),
            Block::Dropout(dropout) => drop_values(dropout.rate, x, pass),
            Block::StackBands => {
                let [batch, channel, band, frame] = x.dims();
                x.reshape([batch, channel * band, 1, frame])
            }
            Block::Flatten => {
                let [batch, channel, band, frame] = x.dims();
                x.reshape([batch, channel * band * frame, 1, 1])
            }
            Block::Parallel(parallel) => self.parallel(parallel, x, pass, outputs),
            Block::Output(output) => self.output(output, x, pass, outputs),
        }
    }

    fn conv(&self, conv: &Conv, x: Tensor<4>, pass: &mut Pass<'_>) -> Tensor<4> {
        let [height, width] = conv.kernel;
        let shape = [
            conv.out_channels,
            conv.in_channels / conv.groups,
            height,
            width,
        ];
        let weight = self.used(&conv.name, "weight", pass).reshape(shape);
        let bias = conv.bias.then(|| self.used(&conv.name, "bias", pass));
        if height * width == 1
            && conv.groups == 1
            && conv.stride == [1, 1]
            && conv.padding == [0, 0]
        {
            return self.pointwise(x, weight, bias);
        }
        let window = Window {
            kernel: conv.kernel,
            stride: conv.stride,
            padding: conv.padding,
            dilation: conv.dilation,
        };
        let is_depthwise = conv.groups == conv.in_channels && conv.groups == conv.out_channels;
        if self.is_cpu {
            let map = match is_depthwise && conv.dilation == [1, 1] {
                true => kernels::depthwise(x, weight, window),
                false => kernels::dense(x, weight, window, conv.groups),
            };
            return add_bias(map, bias);
        }
        let options = ConvOptions::new(conv.stride, conv.padding, conv.dilation, conv.groups);
        module::conv2d(x, weight, bias, options)
    }

    /// A matrix over the channels; at more than one place it is a convolution with a 1 × 1 kernel.
    fn linear(&self, linear: &Linear, x: Tensor<4>, pass: &mut Pass<'_>) -> Tensor<4> {
        let (rows, columns) = (linear.out_features, linear.in_features);
        let weight = self.used(&linear.name, "weight", pass);
        let bias = linear.bias.then(|| self.used(&linear.name, "bias", pass));
        let [batch, _, band, frame] = x.dims();
        if band * frame > 1 {
            return self.pointwise(x, weight.reshape([rows, columns, 1, 1]), bias);
        }
        let product = vector(x).matmul(weight.reshape([rows, columns]).transpose());
        let sum = match bias {
            Some(bias) => product + bias.reshape([1, rows]),
            None => product,
        };
        sum.reshape([batch, rows, 1, 1])
    }

    /// A matrix over the channels of every place, `weight` is `[out, in, 1, 1]`. On other devices one matrix
    /// product per clip: Burn's convolution would copy the map into another layout first.
    fn pointwise(&self, x: Tensor<4>, weight: Tensor<4>, bias: Option<Tensor<1>>) -> Tensor<4> {
        if self.is_cpu {
            return add_bias(kernels::dense(x, weight, Window::PLACE, 1), bias);
        }
        let [batch, channel, band, frame] = x.dims();
        let [rows, columns, _, _] = weight.dims();
        let product = weight
            .reshape([1, rows, columns])
            .matmul(x.reshape([batch, channel, band * frame]))
            .reshape([batch, rows, band, frame]);
        add_bias(product, bias)
    }

    fn pool(&self, pool: &Pool, x: Tensor<4>) -> Tensor<4> {
        if self.is_cpu {
            let window = Window {
                kernel: pool.kernel,
                stride: pool.stride,
                padding: pool.padding,
                dilation: [1, 1],
            };
            return kernels::pool(x, window, pool.kind);
        }
        match pool.kind {
            PoolKind::Max => {
                let options = MaxPoolOptions::new(pool.kernel)
                    .with_stride(pool.stride)
                    .with_padding(pool.padding);
                module::max_pool2d(x, options)
            }
            PoolKind::Mean => {
                let options = AvgPoolOptions::new(pool.kernel)
                    .with_stride(pool.stride)
                    .with_padding(pool.padding);
                module::avg_pool2d(x, options)
            }
        }
    }

    fn prelu(&self, prelu: &Prelu, x: Tensor<4>, pass: &mut Pass<'_>) -> Tensor<4> {
        let slope = self
            .used(&prelu.name, "weight", pass)
            .reshape([1, prelu.n_slopes, 1, 1]);
        act::relu(x.clone()) - act::relu(-x) * slope
    }

    fn parallel(
        &self,
        parallel: &Parallel,
        x: Tensor<4>,
        pass: &mut Pass<'_>,
        outputs: &mut Outputs,
    ) -> Tensor<4> {
        let results: Vec<Tensor<4>> = parallel
            .branches
            .iter()
            .map(|branch| self.run(branch, x.clone(), pass, outputs))
            .collect();
        match parallel.join {
            Join::ConcatChannels => Some(Tensor::cat(results, 1)),
            Join::ConcatFrames => Some(Tensor::cat(results, 3)),
            Join::Add => results.into_iter().reduce(|a, b| a + b),
            Join::Multiply => results.into_iter().reduce(|a, b| a * b),
        }
        .expect("a planned parallel block has at least two branches")
    }

    /// Runs a side branch; auxiliary classifiers only while training.
    fn output(
        &self,
        output: &Output,
        x: Tensor<4>,
        pass: &mut Pass<'_>,
        outputs: &mut Outputs,
    ) -> Tensor<4> {
        match output.kind {
            OutputKind::Embedding => {
                let side = self.run(&output.blocks, x.clone(), pass, outputs);
                outputs.embedding = Some(vector(side));
            }
            OutputKind::Auxiliary { weight } if matches!(pass, Pass::Train(_)) => {
                let side = self.run(&output.blocks, x.clone(), pass, outputs);
                outputs.auxiliary.push((weight, vector(side)));
            }
            OutputKind::Auxiliary { .. } => {}
        }
        x
    }
}

/// One number per channel on top.
fn add_bias(map: Tensor<4>, bias: Option<Tensor<1>>) -> Tensor<4> {
    match bias {
        Some(bias) => {
            let [_, channel, _, _] = map.dims();
            map + bias.reshape([1, channel, 1, 1])
        }
        None => map,
    }
}

fn activate(activation: &Activation, x: Tensor<4>) -> Tensor<4> {
    match activation.function {
        Function::Relu => act::relu(x),
        Function::LeakyRelu { slope } => act::leaky_relu(x, f64::from(slope)),
        Function::Elu => act::elu(x, 1.0),
        Function::Gelu => act::gelu(x),
        Function::Silu => act::silu(x),
        Function::Hardsigmoid => act::hard_sigmoid(x, 1.0 / 6.0, 0.5),
        Function::Hardswish => act::hard_swish(x),
        Function::Sigmoid => act::sigmoid(x),
        Function::Tanh => act::tanh(x),
    }
}

fn pad_map(pad: &Pad, x: Tensor<4>) -> Tensor<4> {
    let sides = [(pad.before[0], pad.after[0]), (pad.before[1], pad.after[1])];
    x.pad(sides, PadMode::Constant(0.0))
}

/// One axis after the other: the axes form a box, so the order changes nothing.
fn reduce_axes(reduce: &Reduce, x: Tensor<4>) -> Tensor<4> {
    reduce.axes.iter().fold(x, |x, axis| match reduce.kind {
        ReduceKind::Max => x.max_dim(axis.index()),
        ReduceKind::Mean => x.mean_dim(axis.index()),
        ReduceKind::Sum => x.sum_dim(axis.index()),
    })
}

/// Dropout with a mask drawn on the host, so that every device drops the same values.
fn drop_values(rate: f32, x: Tensor<4>, pass: &mut Pass<'_>) -> Tensor<4> {
    let Pass::Train(tape) = pass else {
        return x;
    };
    if rate <= 0.0 {
        return x;
    }
    let shape = x.dims();
    let mask = dropout_mask(rate, shape.iter().product(), &mut tape.rng);
    let mask = Tensor::<4>::from_data(TensorData::new(mask, shape), &x.device());
    x * mask
}

/// 0 with a chance of `rate`, `1 / (1 - rate)` otherwise. Drawn in runs, which is faster than one by one.
fn dropout_mask(rate: f32, len: usize, rng: &mut ChaCha8Rng) -> Vec<f32> {
    const RUN: usize = 256;
    let kept = 1.0 / (1.0 - rate);
    let mut mask = vec![0.0; len];
    let mut words = [0u32; RUN];
    for values in mask.chunks_mut(RUN) {
        let words = &mut words[..values.len()];
        rng.fill(words);
        for (value, word) in values.iter_mut().zip(words) {
            // The 24 bits that a number in [0, 1) has room for.
            let chance = (*word >> 8) as f32 / (1 << 24) as f32;
            *value = if chance < rate { 0.0 } else { kept };
        }
    }
    mask
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn a_dropout_mask_equals_draws_one_by_one() {
        let [mut rng, mut one_by_one] =
            [ChaCha8Rng::seed_from_u64(3), ChaCha8Rng::seed_from_u64(3)];
        for (len, rate) in [(1, 0.5), (1000, 0.3), (257, 0.05)] {
            let expected: Vec<f32> = (0..len)
                .map(|_| match one_by_one.random::<f32>() < rate {
                    true => 0.0,
                    false => 1.0 / (1.0 - rate),
                })
                .collect();
            assert_eq!(dropout_mask(rate, len, &mut rng), expected);
        }
        assert_eq!(rng, one_by_one);
    }
}
