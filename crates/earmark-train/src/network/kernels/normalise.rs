//! Batch normalisation with the activation behind it: statistics, values and gradients.

use burn::backend::flex::FlexTensor;
use pulp::Arch;
use rayon::prelude::*;

use super::{Map, tensor, values};

/// The function applied after the normalisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::network) enum Curve {
    Straight,
    Relu,
    Hardswish,
}

/// A function and its derivative, known at compile time so that loops over it vectorise.
trait Shape: Sync {
    fn value(z: f32) -> f32;
    fn slope(z: f32) -> f32;
}

struct Straight;
struct Relu;
struct Hardswish;

impl Shape for Straight {
    #[inline(always)]
    fn value(z: f32) -> f32 {
        z
    }
    #[inline(always)]
    fn slope(_z: f32) -> f32 {
        1.0
    }
}

impl Shape for Relu {
    #[inline(always)]
    fn value(z: f32) -> f32 {
        z.max(0.0)
    }
    #[inline(always)]
    fn slope(z: f32) -> f32 {
        if z > 0.0 { 1.0 } else { 0.0 }
    }
}

impl Shape for Hardswish {
    #[inline(always)]
    fn value(z: f32) -> f32 {
        z * (z / 6.0 + 0.5).clamp(0.0, 1.0)
    }
    /// 0 below -3, 1 above 3, `z / 3 + 1/2` between.
    #[inline(always)]
    fn slope(z: f32) -> f32 {
        let between = z / 3.0 + 0.5;
        if z <= -3.0 {
            0.0
        } else if z >= 3.0 {
            1.0
        } else {
            between
        }
    }
}

/// The normalisation of every channel.
pub(super) struct Affine {
    mean: Vec<f32>,
    /// `1 / sqrt(variance + eps)`.
    spread: Vec<f32>,
    weight: Vec<f32>,
    bias: Vec<f32>,
}

impl Affine {
    pub(super) fn new(
        weight: &FlexTensor,
        bias: &FlexTensor,
        statistics: &FlexTensor,
        eps: f32,
    ) -> Self {
        let weight = values(weight);
        let statistics = values(statistics);
        let (mean, variance) = statistics.split_at(weight.len());
        Self {
            mean: mean.to_vec(),
            spread: variance.iter().map(|v| 1.0 / (v + eps).sqrt()).collect(),
            bias: values(bias),
            weight,
        }
    }

    /// `z = x * scale + shift` for a channel.
    fn line(&self, channel: usize) -> (f32, f32) {
        let scale = self.weight[channel] * self.spread[channel];
        (scale, self.bias[channel] - self.mean[channel] * scale)
    }
}

/// Means and biased variances of the channels, `[2, channel]`.
///
/// Each plane is measured by itself around its own mean, and planes are put together in double
/// precision in their order: no cancellation, and the same result at any number of threads.
pub(super) fn statistics(x: &Map) -> FlexTensor {
    let (batch, channel, plane_len) = (x.batch, x.channel, x.plane_len());
    let planes: Vec<(f64, f64)> = x
        .values()
        .par_chunks_exact(plane_len)
        .map(|plane| Arch::new().dispatch(|| measure(plane)))
        .collect();
    let mut means = Vec::with_capacity(2 * channel);
    let mut variances = Vec::with_capacity(channel);
    for c in 0..channel {
        let of_channel = || (0..batch).map(|b| planes[b * channel + c]);
        let mean = of_channel().map(|(mean, _)| mean).sum::<f64>() / batch as f64;
        let spread = of_channel().map(|(m, variance)| variance + (m - mean).powi(2));
        variances.push((spread.sum::<f64>() / batch as f64) as f32);
        means.push(mean as f32);
    }
    means.extend(variances);
    tensor(means, [2, channel])
}

/// Mean and biased variance of a plane.
#[inline(always)]
fn measure(plane: &[f32]) -> (f64, f64) {
    let n = plane.len() as f64;
    let mean = sum(plane, |x| x) / n;
    let centre = mean as f32;
    let variance = sum(plane, |x| (x - centre) * (x - centre)) / n;
    (mean, variance)
}

/// Sums `of(x)`: short runs in single precision side by side, their totals in double.
#[inline(always)]
fn sum(values: &[f32], of: impl Fn(f32) -> f32) -> f64 {
    const LANES: usize = 32;
    const RUN: usize = LANES * 32;
    let mut total = 0.0;
    for run in values.chunks(RUN) {
        let mut lanes = [0.0f32; LANES];
        let (blocks, rest) = run.as_chunks::<LANES>();
        for block in blocks {
            for lane in 0..LANES {
                lanes[lane] += of(block[lane]);
            }
        }
        total += lanes.iter().map(|&x| f64::from(x)).sum::<f64>();
        total += rest.iter().map(|&x| f64::from(of(x))).sum::<f64>();
    }
    total
}

/// `curve(x * scale + shift)`.
pub(super) fn forward(x: &Map, affine: &Affine, curve: Curve) -> FlexTensor {
    match curve {
        Curve::Straight => forward_with::<Straight>(x, affine),
        Curve::Relu => forward_with::<Relu>(x, affine),
        Curve::Hardswish => forward_with::<Hardswish>(x, affine),
    }
}

fn forward_with<S: Shape>(x: &Map, affine: &Affine) -> FlexTensor {
    let mut output = vec![0.0; x.values().len()];
    output
        .par_chunks_exact_mut(x.plane_len())
        .zip(x.values().par_chunks_exact(x.plane_len()))
        .enumerate()
        .for_each(|(plane, (output, x_plane))| {
            let (scale, shift) = affine.line(plane % x.channel);
            Arch::new().dispatch(
                #[inline(always)]
                || {
                    for (y, &x) in output.iter_mut().zip(x_plane) {
                        *y = S::value(x * scale + shift);
                    }
                },
            );
        });
    tensor(output, [x.batch, x.channel, x.band, x.frame])
}

/// The gradients with respect to the map, the weight and the bias, through the batch's statistics.
pub(super) fn backward(x: &Map, affine: &Affine, curve: Curve, gradient: &Map) -> [FlexTensor; 3] {
    match curve {
        Curve::Straight => backward_with::<Straight>(x, affine, gradient),
        Curve::Relu => backward_with::<Relu>(x, affine, gradient),
        Curve::Hardswish => backward_with::<Hardswish>(x, affine, gradient),
    }
}

fn backward_with<S: Shape>(x: &Map, affine: &Affine, gradient: &Map) -> [FlexTensor; 3] {
    let planes = || {
        x.values()
            .par_chunks_exact(x.plane_len())
            .zip(gradient.values().par_chunks_exact(x.plane_len()))
    };
    // Sums over a plane of the gradient before the curve, alone and times the normalised value.
    let sums: Vec<(f64, f64)> = planes()
        .enumerate()
        .map(|(plane, (x_plane, pull))| {
            let channel = plane % x.channel;
            let line = affine.line(channel);
            Arch::new().dispatch(|| plane_sums::<S>(x_plane, pull, line, affine.mean[channel]))
        })
        .collect();
    let n = (x.batch * x.plane_len()) as f64;
    let mut for_weight = Vec::with_capacity(x.channel);
    let mut for_bias = Vec::with_capacity(x.channel);
    for c in 0..x.channel {
        let of_channel = || (0..x.batch).map(|b| sums[b * x.channel + c]);
        for_bias.push(of_channel().map(|s| s.0).sum::<f64>());
        for_weight.push(of_channel().map(|s| s.1).sum::<f64>() * f64::from(affine.spread[c]));
    }
    let mut for_x = vec![0.0; x.values().len()];
    for_x
        .par_chunks_exact_mut(x.plane_len())
        .zip(planes())
        .enumerate()
        .for_each(|(plane, (for_x, (x_plane, pull)))| {
            let c = plane % x.channel;
            let (scale, shift) = affine.line(c);
            let (mean, spread) = (affine.mean[c], affine.spread[c]);
            let level = (for_bias[c] / n) as f32;
            let lean = (for_weight[c] / n) as f32 * spread;
            Arch::new().dispatch(
                #[inline(always)]
                || {
                    for ((to, &x), &pull) in for_x.iter_mut().zip(x_plane).zip(pull) {
                        let pull = pull * S::slope(x * scale + shift);
                        *to = scale * (pull - level - (x - mean) * lean);
                    }
                },
            );
        });
    let single = |sums: Vec<f64>| sums.into_iter().map(|s| s as f32).collect::<Vec<f32>>();
    [
        tensor(for_x, [x.batch, x.channel, x.band, x.frame]),
        tensor(single(for_weight), [x.channel]),
        tensor(single(for_bias), [x.channel]),
    ]
}

/// `(sum of d, sum of d * (x - mean))` with `d` the gradient before the curve.
#[inline(always)]
fn plane_sums<S: Shape>(
    x: &[f32],
    pull: &[f32],
    (scale, shift): (f32, f32),
    mean: f32,
) -> (f64, f64) {
    const LANES: usize = 32;
    const RUN: usize = LANES * 32;
    let (mut first, mut second) = (0.0, 0.0);
    for (x, pull) in x.chunks(RUN).zip(pull.chunks(RUN)) {
        let (mut firsts, mut seconds) = ([0.0f32; LANES], [0.0f32; LANES]);
        let (x_blocks, x_rest) = x.as_chunks::<LANES>();
        let (pull_blocks, pull_rest) = pull.as_chunks::<LANES>();
        for (x, pull) in x_blocks.iter().zip(pull_blocks) {
            for lane in 0..LANES {
                let pull = pull[lane] * S::slope(x[lane] * scale + shift);
                firsts[lane] += pull;
                seconds[lane] += pull * (x[lane] - mean);
            }
        }
        for (lane, (&x, &pull)) in x_rest.iter().zip(pull_rest).enumerate() {
            let pull = pull * S::slope(x * scale + shift);
            firsts[lane] += pull;
            seconds[lane] += pull * (x - mean);
        }
        first += firsts.iter().map(|&s| f64::from(s)).sum::<f64>();
        second += seconds.iter().map(|&s| f64::from(s)).sum::<f64>();
    }
    (first, second)
}
