//! Convolution with a window of one place: each clip's output is a product of the weights and the clip itself, which
//! nothing has to be copied for.

use burn::backend::flex::FlexTensor;
use rayon::prelude::*;

use super::dense::{clips_of_part, total};
use super::product::{Packed, matrix, multiply, multiply_add, of_groups, packed};
use super::{Map, Window, tensor};

/// Smaller planes leave a matrix product too thin; tiles of several clips are better.
const MIN_PLANE: usize = 128;

/// Whether a convolution can be, and is worth being, done this way.
pub(super) fn fits(window: Window, plane_len: usize) -> bool {
    window == Window::PLACE && plane_len >= MIN_PLANE
}

/// The convolution of a map with `[out channel, channel / groups, 1, 1]` weights.
pub(super) fn forward(x: &Map, weight: &FlexTensor, groups: usize) -> FlexTensor {
    let out_channel = weight.layout().shape()[0];
    let shape = [out_channel / groups, x.channel / groups];
    each_clip(x, &of_groups(weight, shape, packed), shape)
}

/// The gradient with respect to the map.
pub(super) fn input_gradient(weight: &FlexTensor, gradient: &Map, groups: usize) -> FlexTensor {
    let channel = weight.layout().shape()[1];
    let shape = [gradient.channel / groups, channel];
    let weights = of_groups(weight, shape, |weight| packed(weight.transposed()));
    each_clip(gradient, &weights, [channel, shape[0]])
}

/// Products of each group's weights, `[to, from]`, with the group's channels of each clip.
fn each_clip(x: &Map, weights: &[Packed], [to, from]: [usize; 2]) -> FlexTensor {
    let plane = x.plane_len();
    let n_channels = weights.len() * to;
    let mut output = vec![0.0f32; x.batch * n_channels * plane];
    output
        .par_chunks_exact_mut(to * plane)
        .zip(x.values().par_chunks_exact(from * plane))
        .enumerate()
        .for_each(|(i, (output, input))| {
            let weight = &weights[i % weights.len()];
            multiply(output, weight, matrix(input, [from, plane]));
        });
    tensor(output, [x.batch, n_channels, x.band, x.frame])
}

/// The gradient with respect to the weights.
pub(super) fn weight_gradient(x: &Map, gradient: &Map, groups: usize) -> FlexTensor {
    let plane = x.plane_len();
    let [from, to] = [x.channel / groups, gradient.channel / groups];
    let part = clips_of_part(x.batch, gradient.channel * from, plane);
    let of_parts: Vec<Vec<f32>> = x
        .values()
        .par_chunks(part * x.channel * plane)
        .zip(
            gradient
                .values()
                .par_chunks(part * gradient.channel * plane),
        )
        .map(|(input, pull)| {
            let mut sums = vec![0.0f32; gradient.channel * from];
            let clips = input
                .chunks_exact(from * plane)
                .zip(pull.chunks_exact(to * plane));
            for (i, (input, pull)) in clips.enumerate() {
                let sums = &mut sums[i % groups * to * from..][..to * from];
                let input = matrix(input, [from, plane]);
                multiply_add(sums, matrix(pull, [to, plane]), input.transposed());
            }
            sums
        })
        .collect();
    tensor(total(of_parts), [gradient.channel, from, 1, 1])
}
