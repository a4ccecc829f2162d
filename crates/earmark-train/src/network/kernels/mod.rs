//! Kernels of our own for training on the processor, with their gradients.
//!
//! Burn's CPU backend has no kernel for the gradients of a convolution, which it writes as other
//! convolutions with kernels as large as the map, and composes batch normalisation of a dozen passes
//! over the map. These take most of the time of a step, so they are written out here, on plain slices
//! and matrix products, and take part in Burn's autodiff as a backend extension. So is the gated
//! recurrent unit: composed of slices, the way back takes time with the square of the frames. Other
//! devices keep Burn's operations.
//!
//! Every map is `[batch, channel, band, frame]`, contiguous. Work is spread over planes
//! `[band, frame]`, clips or parts of the batch; their sums are added in their order, so results do not
//! depend on the number of threads.

mod dense;
mod depthwise;
mod gradient;
mod gru;
mod normalise;
mod pointwise;
mod pool;
mod product;
mod winograd;

use std::ops::Range;

use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{Tensor, TensorData};
use earmark::model::block::{Function, PoolKind};

pub(super) use normalise::Curve;

/// The window of a convolution or of pooling, each `[band, frame]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) kernel: [usize; 2],
    pub(super) stride: [usize; 2],
    pub(super) padding: [usize; 2],
    pub(super) dilation: [usize; 2],
}

impl Window {
    /// Every place by itself.
    pub(super) const PLACE: Self = Self {
        kernel: [1, 1],
        stride: [1, 1],
        padding: [0, 0],
        dilation: [1, 1],
    };

    /// How many places the window has along a side of this length.
    fn n_places(&self, length: usize, axis: usize) -> usize {
        let reach = self.dilation[axis] * (self.kernel[axis] - 1) + 1;
        (length + 2 * self.padding[axis] - reach) / self.stride[axis] + 1
    }

    /// The places where tap `tap` of the window lies on a side of this length, not in the padding.
    fn inside(&self, tap: usize, length: usize, axis: usize) -> Range<usize> {
        let offset = tap * self.dilation[axis];
        let first_behind = |end: usize| end.saturating_sub(offset).div_ceil(self.stride[axis]);
        let end = first_behind(length + self.padding[axis]).min(self.n_places(length, axis));
        first_behind(self.padding[axis]).min(end)..end
    }
}

/// The operations that have a kernel here.
#[backend_extension(Flex, Autodiff)]
pub(super) trait Kernels: Backend {
    /// A convolution without bias; `weight` is `[out channel, channel / groups, band, frame]`.
    fn dense(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        window: Window,
        groups: usize,
    ) -> FloatTensor<Self>;

    /// A convolution with as many groups as channels in and out; `weight` is
    /// `[channel, 1, band, frame]`, the window without dilation.
    fn depthwise(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        window: Window,
    ) -> FloatTensor<Self>;

    /// Maximum or mean over windows without dilation.
    fn pool(x: FloatTensor<Self>, window: Window, kind: PoolKind) -> FloatTensor<Self>;

    /// The states `[batch, frame, hidden]` of a gated recurrent unit: `input` is what the input gives to
    /// the gates, `[batch, frame, 3 * hidden]`, `weight` `[hidden, 3 * hidden]`, `bias` `[3 * hidden]`.
    fn gru(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self>;

    /// The mean and the biased variance of each channel, `[2, channel]`; no gradient goes through them.
    fn statistics(x: FloatTensor<Self>) -> FloatTensor<Self>;

    /// `curve((x - mean) / sqrt(variance + eps) * weight + bias)`, where `statistics` is
    /// `[2, channel]`: the batch's mean and variance of each channel of `x` itself. Gradients go
    /// through both.
    fn normalise(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        statistics: FloatTensor<Self>,
        eps: f32,
        curve: Curve,
    ) -> FloatTensor<Self>;
}

impl Kernels for Flex {
    fn dense(x: FlexTensor, weight: FlexTensor, window: Window, groups: usize) -> FlexTensor {
        dense::forward(&Map::of(&x), &weight, window, groups)
    }

    fn depthwise(x: FlexTensor, weight: FlexTensor, window: Window) -> FlexTensor {
        depthwise::forward(&Map::of(&x), &values(&weight), window)
    }

    fn pool(x: FlexTensor, window: Window, kind: PoolKind) -> FlexTensor {
        pool::forward(&Map::of(&x), window, kind)
    }

    fn gru(input: FlexTensor, weight: FlexTensor, bias: FlexTensor) -> FlexTensor {
        gru::forward(&input, &gru::Unit::new(&weight, &bias))
    }

    fn statistics(x: FlexTensor) -> FlexTensor {
        normalise::statistics(&Map::of(&x))
    }

    fn normalise(
        x: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        statistics: FlexTensor,
        eps: f32,
        curve: Curve,
    ) -> FlexTensor {
        let affine = normalise::Affine::new(&weight, &bias, &statistics, eps);
        normalise::forward(&Map::of(&x), &affine, curve)
    }
}

/// A convolution on the processor.
pub(super) fn dense(x: Tensor<4>, weight: Tensor<4>, window: Window, groups: usize) -> Tensor<4> {
    Tensor::from_dispatch(<Dispatch as Kernels>::dense(
        x.into_dispatch(),
        weight.into_dispatch(),
        window,
        groups,
    ))
}

/// A depthwise convolution on the processor.
pub(super) fn depthwise(x: Tensor<4>, weight: Tensor<4>, window: Window) -> Tensor<4> {
    Tensor::from_dispatch(<Dispatch as Kernels>::depthwise(
        x.into_dispatch(),
        weight.into_dispatch(),
        window,
    ))
}

/// Maximum or mean over windows on the processor.
pub(super) fn pool(x: Tensor<4>, window: Window, kind: PoolKind) -> Tensor<4> {
    let x = x.into_dispatch();
    Tensor::from_dispatch(<Dispatch as Kernels>::pool(x, window, kind))
}

/// All states of a gated recurrent unit on the processor.
pub(super) fn gru(input: Tensor<3>, weight: Tensor<2>, bias: Tensor<1>) -> Tensor<3> {
    Tensor::from_dispatch(<Dispatch as Kernels>::gru(
        input.into_dispatch(),
        weight.into_dispatch(),
        bias.into_dispatch(),
    ))
}

/// What [`normalise`] gives.
pub(super) struct Normalised {
    pub(super) output: Tensor<4>,
    /// The mean of every channel, outside of autodiff.
    pub(super) mean: Tensor<1>,
    /// The biased variance of every channel, outside of autodiff.
    pub(super) variance: Tensor<1>,
}

/// Batch normalisation with the statistics of the batch and the activation behind it, on the
/// processor.
pub(super) fn normalise(
    x: Tensor<4>,
    [weight, bias]: [Tensor<1>; 2],
    eps: f32,
    curve: Curve,
) -> Normalised {
    let [_, channel, _, _] = x.dims();
    let plain = x.clone().without_autodiff().into_dispatch();
    let statistics = Tensor::<2>::from_dispatch(<Dispatch as Kernels>::statistics(plain));
    let row = |i: usize| statistics.clone().narrow(0, i, 1).reshape([channel]);
    let (mean, variance) = (row(0), row(1));
    let output = Tensor::from_dispatch(<Dispatch as Kernels>::normalise(
        x.into_dispatch(),
        weight.into_dispatch(),
        bias.into_dispatch(),
        statistics.autodiff().into_dispatch(),
        eps,
        curve,
    ));
    Normalised {
        output,
        mean,
        variance,
    }
}

/// The curve of an activation, if a kernel has it.
pub(super) fn curve_of(function: Function) -> Option<Curve> {
    match function {
        Function::Relu => Some(Curve::Relu),
        Function::Hardswish => Some(Curve::Hardswish),
        _ => None,
    }
}

/// A map's numbers and lengths.
pub(super) struct Map {
    tensor: FlexTensor,
    batch: usize,
    channel: usize,
    band: usize,
    frame: usize,
}

impl Map {
    fn of(tensor: &FlexTensor) -> Self {
        let shape = tensor.layout().shape();
        let [batch, channel, band, frame] = [shape[0], shape[1], shape[2], shape[3]];
        Self {
            tensor: tensor.to_contiguous(),
            batch,
            channel,
            band,
            frame,
        }
    }

    /// All values, frame fastest.
    fn values(&self) -> &[f32] {
        self.tensor.storage()
    }

    fn plane_len(&self) -> usize {
        self.band * self.frame
    }
}

/// A tensor's values in order.
fn values(tensor: &FlexTensor) -> Vec<f32> {
    tensor.to_contiguous().storage::<f32>().to_vec()
}

/// A tensor of these values.
fn tensor<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape))
}

#[cfg(test)]
mod tests {
    use burn::tensor::ops::{AvgPoolOptions, ConvOptions, MaxPoolOptions};
    use burn::tensor::{Device, activation, module};

    use super::*;

    fn map(shape: [usize; 4], seed: u32) -> Tensor<4> {
        let n = shape.iter().product::<usize>() as u32;
        let value = |i: u32| (i.wrapping_mul(2_654_435_761).wrapping_add(seed) >> 8) as f32;
        let values: Vec<f32> = (0..n).map(|i| value(i) / (1 << 23) as f32 - 1.0).collect();
        Tensor::from_data(TensorData::new(values, shape), &Device::flex())
    }

    /// Output and gradients of `of(inputs)`, pulled by reproducible numbers.
    fn pulled(inputs: Vec<Tensor<4>>, of: impl Fn(&[Tensor<4>]) -> Tensor<4>) -> Vec<Vec<f32>> {
        let leaves: Vec<_> = inputs
            .into_iter()
            .map(|x| x.autodiff().require_grad())
            .collect();
        let output = of(&leaves);
        let pull = map(output.dims(), 77).autodiff();
        let gradients = (output.clone() * pull).sum().backward();
        let numbers = |tensor: Tensor<4>| tensor.try_into_vec_as::<f32>().unwrap();
        let mut all = vec![numbers(output.inner())];
        all.extend(
            leaves
                .iter()
                .map(|leaf| numbers(leaf.grad(&gradients).unwrap())),
        );
        all
    }

    fn assert_close(found: &[Vec<f32>], expected: &[Vec<f32>], what: &str) {
        for (found, expected) in found.iter().zip(expected) {
            assert_eq!(found.len(), expected.len(), "{what}");
            let scale = expected.iter().fold(1.0f32, |peak, x| peak.max(x.abs()));
            for (a, b) in found.iter().zip(expected) {
                assert!(
                    (a - b).abs() <= 2e-6 * scale.max(1.0) * 4.0,
                    "{what}: {a} and {b}"
                );
            }
        }
    }

    #[test]
    fn depthwise_equals_the_frameworks_convolution() {
        for (kernel, stride, padding, lengths) in [
            ([3, 3], [1, 1], [1, 1], [7, 70]),
            ([3, 3], [2, 2], [1, 1], [8, 131]),
            ([5, 5], [2, 2], [2, 2], [9, 64]),
            ([1, 5], [1, 3], [0, 2], [1, 65]),
            ([5, 3], [2, 1], [0, 0], [6, 4]),
        ] {
            let window = Window {
                kernel,
                stride,
                padding,
                dilation: [1, 1],
            };
            let inputs = || {
                vec![
                    map([2, 3, lengths[0], lengths[1]], 1),
                    map([3, 1, kernel[0], kernel[1]], 2),
                ]
            };
            let found = pulled(inputs(), |x| depthwise(x[0].clone(), x[1].clone(), window));
            let options = || ConvOptions::new(stride, padding, [1, 1], 3);
            let expected = pulled(inputs(), |x| {
                module::conv2d(x[0].clone(), x[1].clone(), None, options())
            });
            assert_close(&found, &expected, &format!("{window:?}"));
        }
    }

    #[test]
    fn dense_equals_the_frameworks_convolution() {
        // Kernel, stride, padding, dilation, groups, [batch, channel in, channel out], [band, frame]: tiles that
        // hold several clips, several rows and parts of a row; parts of several clips; planes seen place by place;
        // windows wider than the map.
        for (kernel, stride, padding, dilation, groups, [batch, channel, out], [band, frame]) in [
            ([3, 3], [1, 1], [1, 1], [1, 1], 1, [3, 5, 7], [6, 9]),
            ([3, 3], [2, 2], [1, 1], [1, 1], 1, [2, 3, 4], [8, 31]),
            ([7, 7], [2, 2], [3, 3], [1, 1], 1, [1, 3, 8], [17, 40]),
            ([1, 31], [1, 1], [0, 3], [1, 1], 1, [2, 8, 3], [1, 1300]),
            ([1, 5], [1, 3], [0, 4], [1, 2], 1, [2, 2, 3], [1, 65]),
            ([5, 3], [2, 1], [0, 0], [1, 1], 1, [40, 2, 3], [6, 4]),
            ([3, 5], [3, 2], [2, 4], [2, 3], 1, [2, 2, 2], [7, 11]),
            ([3, 5], [1, 1], [1, 2], [1, 1], 1, [2, 2, 2], [1, 1]),
            ([1, 1], [2, 2], [0, 0], [1, 1], 1, [2, 6, 5], [7, 8]),
            ([1, 1], [1, 1], [0, 0], [1, 1], 2, [3, 6, 8], [40, 50]),
            ([1, 1], [1, 1], [0, 0], [1, 1], 1, [20, 16, 24], [12, 16]),
            ([3, 3], [1, 1], [1, 1], [1, 1], 1, [2, 64, 16], [12, 60]),
            ([3, 3], [1, 1], [1, 1], [1, 1], 1, [20, 16, 24], [7, 33]),
            ([3, 3], [1, 1], [0, 2], [1, 1], 1, [2, 20, 16], [6, 9]),
            ([3, 3], [1, 1], [1, 1], [1, 1], 1, [3, 16, 16], [70, 40]),
            ([3, 3], [1, 1], [2, 0], [1, 1], 1, [3, 16, 16], [1, 4]),
            ([3, 3], [1, 1], [1, 1], [1, 1], 1, [1, 16, 16], [1, 1]),
            ([3, 3], [1, 1], [0, 0], [1, 1], 1, [2, 17, 19], [3, 700]),
            ([3, 3], [1, 2], [1, 1], [1, 1], 3, [2, 6, 9], [12, 60]),
            ([1, 3], [1, 1], [0, 0], [1, 2], 4, [3, 4, 8], [2, 20]),
        ] {
            let window = Window {
                kernel,
                stride,
                padding,
                dilation,
            };
            let inputs = || {
                vec![
                    map([batch, channel, band, frame], 1),
                    map([out, channel / groups, kernel[0], kernel[1]], 2),
                ]
            };
            let found = pulled(inputs(), |x| {
                dense(x[0].clone(), x[1].clone(), window, groups)
            });
            let options = || ConvOptions::new(stride, padding, dilation, groups);
            let expected = pulled(inputs(), |x| {
                module::conv2d(x[0].clone(), x[1].clone(), None, options())
            });
            assert_close(&found, &expected, &format!("{window:?}, {groups} groups"));
        }
    }

    #[test]
    fn pool_equals_the_frameworks_pooling() {
        for (kernel, stride, padding, [band, frame]) in [
            ([2, 2], [2, 2], [0, 0], [9, 14]),
            ([3, 3], [2, 2], [1, 1], [8, 31]),
            ([1, 16], [1, 16], [0, 0], [1, 100]),
            ([3, 5], [1, 2], [1, 2], [4, 3]),
        ] {
            let window = Window {
                kernel,
                stride,
                padding,
                dilation: [1, 1],
            };
            let inputs = || vec![map([2, 3, band, frame], 1)];
            let of = |kind| pulled(inputs(), |x| pool(x[0].clone(), window, kind));
            let max = MaxPoolOptions::new(kernel).with_stride(stride);
            let max = pulled(inputs(), |x| {
                module::max_pool2d(x[0].clone(), max.clone().with_padding(padding))
            });
            assert_close(&of(PoolKind::Max), &max, &format!("maximum, {window:?}"));
            let mean = AvgPoolOptions::new(kernel).with_stride(stride);
            let mean = pulled(inputs(), |x| {
                module::avg_pool2d(x[0].clone(), mean.clone().with_padding(padding))
            });
            assert_close(&of(PoolKind::Mean), &mean, &format!("mean, {window:?}"));
        }
    }

    #[test]
    fn a_maximum_keeps_what_is_no_number_and_pulls_one_place_alone() {
        let window = Window {
            kernel: [1, 2],
            stride: [1, 2],
            padding: [0, 0],
            dilation: [1, 1],
        };
        let numbers = |x: Tensor<4>| x.try_into_vec_as::<f32>().unwrap();
        let of = |values: [f32; 4]| {
            let x = TensorData::new(values.to_vec(), [1, 1, 1, 4]);
            Tensor::<4>::from_data(x, &Device::flex())
                .autodiff()
                .require_grad()
        };
        let found =
            numbers(pool(of([f32::NAN, 1.0, 2.0, f32::NAN]), window, PoolKind::Max).inner());
        assert!(found.iter().all(|x| x.is_nan()), "{found:?}");
        let x = of([3.0, 3.0, -1.0, 0.0]);
        let gradients = pool(x.clone(), window, PoolKind::Max).sum().backward();
        assert_eq!(numbers(x.grad(&gradients).unwrap()), [1.0, 0.0, 0.0, 1.0]);
    }

    #[test]
    fn gru_equals_the_frameworks_operations() {
        for [batch, frame, hidden] in [[1, 1, 1], [3, 20, 5], [2, 7, 32]] {
            let inputs = || {
                vec![
                    map([batch, 1, frame, 3 * hidden], 1) * 2.0,
                    map([1, 1, hidden, 3 * hidden], 2),
                    map([1, 1, 1, 3 * hidden], 3),
                ]
            };
            let of = |unit: fn(Tensor<3>, Tensor<2>, Tensor<1>) -> Tensor<3>| {
                pulled(inputs(), |x| {
                    let input = x[0].clone().reshape([batch, frame, 3 * hidden]);
                    let weight = x[1].clone().reshape([hidden, 3 * hidden]);
                    let bias = x[2].clone().reshape([3 * hidden]);
                    unit(input, weight, bias).reshape([batch, 1, frame, hidden])
                })
            };
            let name = format!("{batch} clips, {frame} frames, {hidden} states");
            assert_close(&of(gru), &of(super::super::recurrent::states), &name);
        }
    }

    #[test]
    fn normalise_equals_the_frameworks_batch_normalisation() {
        for curve in [Curve::Straight, Curve::Relu, Curve::Hardswish] {
            let inputs = || {
                vec![
                    map([3, 4, 5, 33], 1),
                    map([4, 1, 1, 1], 2),
                    map([4, 1, 1, 1], 3),
                ]
            };
            let found = pulled(inputs(), |x| {
                let affine = [x[1].clone().reshape([4]), x[2].clone().reshape([4])];
                normalise(x[0].clone(), affine, 1e-3, curve).output
            });
            let expected = pulled(inputs(), |x| {
                let [weight, bias] = [x[1].clone().reshape([4]), x[2].clone().reshape([4])];
                let z = module::batch_norm_train(x[0].clone(), weight, bias, 1e-3f32.into()).output;
                match curve {
                    Curve::Straight => z,
                    Curve::Relu => activation::relu(z),
                    Curve::Hardswish => activation::hard_swish(z),
                }
            });
            assert_close(&found, &expected, &format!("{curve:?}"));
        }
    }

    #[test]
    fn statistics_do_not_cancel_far_from_zero() {
        let x = map([2, 2, 8, 40], 5) + 1000.0;
        let result = normalise(
            x,
            [
                Tensor::ones([2], &Device::flex()),
                Tensor::zeros([2], &Device::flex()),
            ],
            1e-5,
            Curve::Straight,
        );
        let variance: Vec<f32> = result.variance.try_into_vec_as().unwrap();
        // Numbers spread evenly over [-1, 1] have a variance of a third.
        assert!(
            variance.iter().all(|v| (v - 1.0 / 3.0).abs() < 0.03),
            "{variance:?}"
        );
    }

    #[test]
    fn filtering_of_many_channels_errs_little() {
        let window = Window {
            kernel: [3, 3],
            stride: [1, 1],
            padding: [1, 1],
            dilation: [1, 1],
        };
        let inputs = || vec![map([4, 64, 14, 14], 1), map([64, 64, 3, 3], 2)];
        let found = pulled(inputs(), |x| dense(x[0].clone(), x[1].clone(), window, 1));
        let expected = pulled(inputs(), |x| {
            let options = ConvOptions::new([1, 1], [1, 1], [1, 1], 1);
            module::conv2d(x[0].clone(), x[1].clone(), None, options)
        });
        for (found, expected) in found.iter().zip(&expected) {
            let peak = expected.iter().fold(0.0f32, |peak, x| peak.max(x.abs()));
            let errors = found.iter().zip(expected).map(|(a, b)| (a - b).abs());
            let worst = errors.fold(0.0f32, f32::max);
            assert!(worst <= 2e-5 * peak, "{worst} where the peak is {peak}");
        }
    }
}
