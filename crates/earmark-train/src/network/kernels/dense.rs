//! Dense convolution: each output channel from every input channel.
//!
//! What the window sees at a run of places becomes the columns of a matrix `[input channel * tap, place]`, a tile
//! that stays in the cache. The convolution and both of its gradients are matrix products with such tiles. Clips
//! go in groups that depend on the shapes alone, and the groups' weight gradients are added in their order.

use std::ops::Range;

use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::backend::ops::FloatTensorOps;
use rayon::prelude::*;

use super::{Map, Window, tensor};

/// The values of a tile of columns: half of a second-level cache of a MiB.
const TILE_LEN: usize = 1 << 17;

/// Fewer places than this leave a matrix product too thin.
const MIN_PLACES: usize = 256;

/// The most groups of clips, which work side by side.
const MAX_GROUPS: usize = 16;

/// The most values of all the groups' weight gradients together.
const MAX_GRADIENTS: usize = 1 << 25;

/// The lengths of a convolution.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    window: Window,
    channel: usize,
    band: usize,
    frame: usize,
    out_channel: usize,
    out_band: usize,
    out_frame: usize,
}

/// Neighbouring places in a row of the output.
#[derive(Debug, Clone, Copy)]
struct Strip {
    /// The clip within its group.
    clip: usize,
    row: usize,
    first: usize,
    len: usize,
}

/// Where a strip reads its input for a tap; places outside of the map see zeros.
struct Source {
    /// The places of the strip that lie on the map.
    inside: Range<usize>,
    /// The index of the first of them in the group's input.
    start: usize,
}

impl Sizes {
    fn new(x: &Map, out_channel: usize, window: Window) -> Self {
        Self {
            window,
            channel: x.channel,
            band: x.band,
            frame: x.frame,
            out_channel,
            out_band: window.n_places(x.band, 0),
            out_frame: window.n_places(x.frame, 1),
        }
    }

    /// The rows of a tile of columns.
    fn n_taps(&self) -> usize {
        self.channel * self.window.kernel[0] * self.window.kernel[1]
    }

    fn clip_len(&self) -> usize {
        self.channel * self.band * self.frame
    }

    fn out_plane(&self) -> usize {
        self.out_band * self.out_frame
    }

    fn out_clip(&self) -> usize {
        self.out_channel * self.out_plane()
    }

    /// How many clips make a group.
    fn group(&self, batch: usize) -> usize {
        let n_weights = self.out_channel * self.n_taps();
        let n_groups = (MAX_GRADIENTS / n_weights).clamp(1, MAX_GROUPS);
        batch.div_ceil(n_groups)
    }

    /// The output of some clips, cut into tiles.
    fn tiles(&self, n_clips: usize) -> Vec<Vec<Strip>> {
        let capacity = (TILE_LEN / self.n_taps()).max(MIN_PLACES);
        let mut tiles = Vec::new();
        let mut tile: Vec<Strip> = Vec::new();
        let mut n_places = 0;
        for place in 0..n_clips * self.out_band {
            let (clip, row) = (place / self.out_band, place % self.out_band);
            for first in (0..self.out_frame).step_by(capacity) {
                let len = capacity.min(self.out_frame - first);
                if n_places + len > capacity {
                    tiles.push(std::mem::take(&mut tile));
                    n_places = 0;
                }
                n_places += len;
                tile.push(Strip {
                    clip,
                    row,
                    first,
                    len,
                });
            }
        }
        tiles.push(tile);
        tiles
    }

    /// Where a strip reads for row `tap` of the columns, if its input row exists.
    fn source(&self, tap: usize, strip: &Strip) -> Option<Source> {
        let [height, width] = self.window.kernel;
        let [stride_band, stride_frame] = self.window.stride;
        let [dilation_band, dilation_frame] = self.window.dilation;
        let [top, left] = self.window.padding;
        let channel = tap / (height * width);
        let down = tap / width % height * dilation_band;
        let right = tap % width * dilation_frame;
        let row = (strip.row * stride_band + down).checked_sub(top)?;
        if row >= self.band {
            return None;
        }
        let begin = left.saturating_sub(right).div_ceil(stride_frame);
        let end = (self.frame + left)
            .saturating_sub(right)
            .div_ceil(stride_frame);
        let begin = begin.max(strip.first);
        let end = end.min(strip.first + strip.len);
        if begin >= end {
            return None;
        }
        let plane = strip.clip * self.channel + channel;
        Some(Source {
            inside: begin - strip.first..end - strip.first,
            start: (plane * self.band + row) * self.frame + begin * stride_frame + right - left,
        })
    }

    /// Fills a tile of columns from a group's input.
    fn gather(&self, input: &[f32], strips: &[Strip], columns: &mut [f32]) {
        let stride = self.window.stride[1];
        let n_places = n_places(strips);
        for (tap, mut row) in columns.chunks_exact_mut(n_places).enumerate() {
            for strip in strips {
                let values = row.split_off_mut(..strip.len).expect("one length");
                let Some(Source { inside, start }) = self.source(tap, strip) else {
                    values.fill(0.0);
                    continue;
                };
                values[..inside.start].fill(0.0);
                values[inside.end..].fill(0.0);
                let values = &mut values[inside];
                if stride == 1 {
                    values.copy_from_slice(&input[start..][..values.len()]);
                } else {
                    let taken = input[start..].iter().step_by(stride);
                    values
                        .iter_mut()
                        .zip(taken)
                        .for_each(|(to, from)| *to = *from);
                }
            }
        }
    }

    /// Adds a tile of the columns' gradients to where the columns came from.
    fn scatter(&self, columns: &[f32], strips: &[Strip], input: &mut [f32]) {
        let stride = self.window.stride[1];
        let n_places = n_places(strips);
        for (tap, mut row) in columns.chunks_exact(n_places).enumerate() {
            for strip in strips {
                let values = row.split_off(..strip.len).expect("one length");
                let Some(Source { inside, start }) = self.source(tap, strip) else {
                    continue;
                };
                let values = &values[inside];
                if stride == 1 {
                    let sums = &mut input[start..][..values.len()];
                    sums.iter_mut().zip(values).for_each(|(sum, x)| *sum += x);
                } else {
                    let sums = input[start..].iter_mut().step_by(stride);
                    sums.zip(values).for_each(|(sum, x)| *sum += x);
                }
            }
        }
    }

    /// Where a strip lies in an output channel of its group.
    fn place(&self, strip: &Strip, channel: usize) -> Range<usize> {
        let row = (strip.clip * self.out_channel + channel) * self.out_band + strip.row;
        let start = row * self.out_frame + strip.first;
        start..start + strip.len
    }
}

fn n_places(strips: &[Strip]) -> usize {
    strips.iter().map(|strip| strip.len).sum()
}

/// A matrix whose storage is used again from tile to tile.
#[derive(Default)]
struct Scratch(Option<FlexTensor>);

impl Scratch {
    /// The matrix with these lengths; its values are whatever they were.
    fn of(&mut self, shape: [usize; 2]) -> &mut FlexTensor {
        let matrix = self.0.take();
        let matrix = matrix.filter(|matrix| matrix.layout().shape().as_slice() == shape);
        self.0
            .insert(matrix.unwrap_or_else(|| tensor(vec![0.0; shape[0] * shape[1]], shape)))
    }
}

/// The convolution of a map with `[out channel, channel, band, frame]` weights.
pub(super) fn forward(x: &Map, weight: &FlexTensor, window: Window) -> FlexTensor {
    let out_channel = weight.layout().shape()[0];
    let sizes = Sizes::new(x, out_channel, window);
    let weight = matrix(weight, [out_channel, sizes.n_taps()]);
    let group = sizes.group(x.batch);
    let mut output = vec![0.0f32; x.batch * sizes.out_clip()];
    output
        .par_chunks_mut(group * sizes.out_clip())
        .zip(x.values().par_chunks(group * sizes.clip_len()))
        .for_each_init(Scratch::default, |scratch, (output, input)| {
            for strips in sizes.tiles(output.len() / sizes.out_clip()) {
                let columns = scratch.of([sizes.n_taps(), n_places(&strips)]);
                sizes.gather(input, &strips, columns.storage_mut());
                let product = Flex::float_matmul(weight.clone(), columns.clone());
                let rows = product.storage::<f32>().chunks_exact(n_places(&strips));
                for (channel, mut row) in rows.enumerate() {
                    for strip in &strips {
                        let values = row.split_off(..strip.len).expect("one length");
                        output[sizes.place(strip, channel)].copy_from_slice(values);
                    }
                }
            }
        });
    let shape = [x.batch, out_channel, sizes.out_band, sizes.out_frame];
    tensor(output, shape)
}

/// The gradients with respect to the map and the weights, those that are asked for.
pub(super) fn backward(
    x: &Map,
    weight: &FlexTensor,
    window: Window,
    gradient: &Map,
    [for_x, for_weight]: [bool; 2],
) -> [Option<FlexTensor>; 2] {
    let sizes = Sizes::new(x, gradient.channel, window);
    [
        for_x.then(|| input_gradient(&sizes, weight, gradient)),
        for_weight.then(|| weight_gradient(&sizes, x, gradient)),
    ]
}

fn input_gradient(sizes: &Sizes, weight: &FlexTensor, gradient: &Map) -> FlexTensor {
    let weight = matrix(weight, [sizes.out_channel, sizes.n_taps()]).transpose(0, 1);
    let group = sizes.group(gradient.batch);
    let mut input = vec![0.0f32; gradient.batch * sizes.clip_len()];
    input
        .par_chunks_mut(group * sizes.clip_len())
        .zip(gradient.values().par_chunks(group * sizes.out_clip()))
        .for_each_init(Scratch::default, |scratch, (input, pull)| {
            for strips in sizes.tiles(pull.len() / sizes.out_clip()) {
                let pull = pulled(sizes, pull, &strips, scratch);
                let columns = Flex::float_matmul(weight.clone(), pull);
                sizes.scatter(columns.storage(), &strips, input);
            }
        });
    let shape = [gradient.batch, sizes.channel, sizes.band, sizes.frame];
    tensor(input, shape)
}

fn weight_gradient(sizes: &Sizes, x: &Map, gradient: &Map) -> FlexTensor {
    let group = sizes.group(x.batch);
    let n_weights = sizes.out_channel * sizes.n_taps();
    let of_groups: Vec<Vec<f32>> = x
        .values()
        .par_chunks(group * sizes.clip_len())
        .zip(gradient.values().par_chunks(group * sizes.out_clip()))
        .map(|(input, pull)| {
            let [mut columns, mut pulls] = [Scratch::default(), Scratch::default()];
            let mut sum = vec![0.0f32; n_weights];
            for strips in sizes.tiles(pull.len() / sizes.out_clip()) {
                let columns = columns.of([sizes.n_taps(), n_places(&strips)]);
                sizes.gather(input, &strips, columns.storage_mut());
                let pull = pulled(sizes, pull, &strips, &mut pulls);
                add(
                    &mut sum,
                    Flex::float_matmul(pull, columns.transpose(0, 1)).storage(),
                );
            }
            sum
        })
        .collect();
    let mut sum = vec![0.0f32; n_weights];
    for of_group in &of_groups {
        add(&mut sum, of_group);
    }
    let [height, width] = sizes.window.kernel;
    tensor(sum, [sizes.out_channel, sizes.channel, height, width])
}

/// The gradient of the output at a tile's places, `[out channel, place]`.
fn pulled(sizes: &Sizes, pull: &[f32], strips: &[Strip], scratch: &mut Scratch) -> FlexTensor {
    let n_places = n_places(strips);
    let tile = scratch.of([sizes.out_channel, n_places]);
    for (channel, mut row) in tile.storage_mut().chunks_exact_mut(n_places).enumerate() {
        for strip in strips {
            let values = row.split_off_mut(..strip.len).expect("one length");
            values.copy_from_slice(&pull[sizes.place(strip, channel)]);
        }
    }
    tile.clone()
}

fn add(sums: &mut [f32], values: &[f32]) {
    sums.iter_mut().zip(values).for_each(|(sum, x)| *sum += x);
}

fn matrix(weight: &FlexTensor, shape: [usize; 2]) -> FlexTensor {
    weight.to_contiguous().reshape(shape.into())
}
