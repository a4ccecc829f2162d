//! Dense convolution: each output channel from every input channel of its group.
//!
//! What the window sees at a run of places becomes the columns of a matrix `[input channel * tap, place]`, a tile
//! that stays in the cache. The convolution and both of its gradients are matrix products with such tiles. The
//! batch is cut into parts that depend on the shapes alone, and the parts' weight gradients are added in their
//! order.

use std::ops::Range;

use burn::backend::flex::FlexTensor;
use rayon::prelude::*;

use super::product::{Scratch, matrix, multiply, multiply_add, of_groups, packed};
use super::{Map, Window, pointwise, tensor, winograd};

/// The values of a tile of columns: half of a second-level cache of a MiB.
pub(super) const TILE_LEN: usize = 1 << 17;

/// Fewer places than this leave a matrix product too thin.
const MIN_PLACES: usize = 256;

/// The most parts of a batch, which are worked on side by side.
const MAX_PARTS: usize = 16;

/// The most values of all the parts' weight gradients together.
const MAX_GRADIENTS: usize = 1 << 25;

/// The lengths of a convolution.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    window: Window,
    groups: usize,
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
    /// The clip within its part of the batch.
    clip: usize,
    row: usize,
    first: usize,
    len: usize,
}

/// A row of a group's columns: a channel of the input and a tap of the window.
struct Tap {
    channel: usize,
    down: usize,
    right: usize,
    /// The places of an output row that see the map there; others see zeros.
    places: Range<usize>,
}

/// Where a strip reads its input for a tap.
struct Source {
    /// The places of the strip that lie on the map.
    inside: Range<usize>,
    /// The index of the first of them in the part's input.
    start: usize,
}

impl Sizes {
    fn new(x: &Map, out_channel: usize, window: Window, groups: usize) -> Self {
        let sizes = Self {
            window,
            groups,
            channel: x.channel,
            band: x.band,
            frame: x.frame,
            out_channel,
            out_band: window.n_places(x.band, 0),
            out_frame: window.n_places(x.frame, 1),
        };
        if window != Window::PLACE {
            return sizes;
        }
        // Every place by itself: a plane is as good as one long row.
        Self {
            band: 1,
            frame: x.plane_len(),
            out_band: 1,
            out_frame: x.plane_len(),
            ..sizes
        }
    }

    /// The rows of a tile of columns.
    fn n_taps(&self) -> usize {
        self.channel / self.groups * self.window.kernel[0] * self.window.kernel[1]
    }

    /// The output channels of a group.
    fn out_group(&self) -> usize {
        self.out_channel / self.groups
    }

    /// The weights of a group as a matrix: `[out channel, channel * tap]`.
    fn group_shape(&self) -> [usize; 2] {
        [self.out_group(), self.n_taps()]
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

    /// How many clips make a part.
    fn part(&self, batch: usize) -> usize {
        clips_of_part(batch, self.out_channel * self.n_taps(), self.out_plane())
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

    /// Row `tap` of a group's columns.
    fn tap(&self, group: usize, tap: usize) -> Tap {
        let [height, width] = self.window.kernel;
        let [dilation_band, dilation_frame] = self.window.dilation;
        Tap {
            channel: group * (self.channel / self.groups) + tap / (height * width),
            down: tap / width % height * dilation_band,
            right: tap % width * dilation_frame,
            places: self.window.inside(tap % width, self.frame, 1),
        }
    }

    /// Where a strip reads for a tap, if anywhere on the map.
    fn source(&self, tap: &Tap, strip: &Strip) -> Option<Source> {
        let [stride_band, stride_frame] = self.window.stride;
        let [top, left] = self.window.padding;
        let row = (strip.row * stride_band + tap.down).checked_sub(top)?;
        let begin = tap.places.start.max(strip.first);
        let end = tap.places.end.min(strip.first + strip.len);
        if row >= self.band || begin >= end {
            return None;
        }
        let row = (strip.clip * self.channel + tap.channel) * self.band + row;
        Some(Source {
            inside: begin - strip.first..end - strip.first,
            start: row * self.frame + begin * stride_frame + tap.right - left,
        })
    }

    /// Fills a tile of a group's columns from a part's input.
    fn gather(&self, input: &[f32], group: usize, strips: &[Strip], columns: &mut [f32]) {
        let stride = self.window.stride[1];
        let n_places = n_places(strips);
        for (tap, mut row) in columns.chunks_exact_mut(n_places).enumerate() {
            let tap = self.tap(group, tap);
            for strip in strips {
                let values = row.split_off_mut(..strip.len).expect("one length");
                let Some(Source { inside, start }) = self.source(&tap, strip) else {
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
    fn scatter(&self, columns: &[f32], group: usize, strips: &[Strip], input: &mut [f32]) {
        let stride = self.window.stride[1];
        let n_places = n_places(strips);
        for (tap, mut row) in columns.chunks_exact(n_places).enumerate() {
            let tap = self.tap(group, tap);
            for strip in strips {
                let values = row.split_off(..strip.len).expect("one length");
                let Some(Source { inside, start }) = self.source(&tap, strip) else {
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

    /// Where a strip lies in an output channel of its part.
    fn place(&self, strip: &Strip, channel: usize) -> Range<usize> {
        let row = (strip.clip * self.out_channel + channel) * self.out_band + strip.row;
        let start = row * self.out_frame + strip.first;
        start..start + strip.len
    }
}

fn n_places(strips: &[Strip]) -> usize {
    strips.iter().map(|strip| strip.len).sum()
}

/// How many clips of a batch make a part, where each part has so many sums of its own, to which so many places of
/// each clip add: adding up the parts' sums must not take longer than making them.
pub(super) fn clips_of_part(batch: usize, n_sums: usize, n_places: usize) -> usize {
    let most = (MAX_GRADIENTS / n_sums).min(batch * n_places / MIN_PLACES);
    batch.div_ceil(most.clamp(1, MAX_PARTS))
}

/// The convolution of a map with `[out channel, channel of a group, band, frame]` weights.
pub(super) fn forward(x: &Map, weight: &FlexTensor, window: Window, groups: usize) -> FlexTensor {
    let out_channel = weight.layout().shape()[0];
    if winograd::fits(x, out_channel, window, groups) {
        return winograd::forward(x, weight, window.padding);
    }
    if pointwise::fits(window, x.plane_len()) {
        return pointwise::forward(x, weight, groups);
    }
    let sizes = Sizes::new(x, out_channel, window, groups);
    let weights = of_groups(weight, sizes.group_shape(), packed);
    let part = sizes.part(x.batch);
    let mut output = vec![0.0f32; x.batch * sizes.out_clip()];
    output
        .par_chunks_mut(part * sizes.out_clip())
        .zip(x.values().par_chunks(part * sizes.clip_len()))
        .for_each_init(
            <[Scratch; 2]>::default,
            |[columns, products], (output, input)| {
                for strips in sizes.tiles(output.len() / sizes.out_clip()) {
                    let n_places = n_places(&strips);
                    let columns = columns.of(sizes.n_taps() * n_places);
                    let products = products.of(sizes.out_group() * n_places);
                    for (group, weight) in weights.iter().enumerate() {
                        sizes.gather(input, group, &strips, columns);
                        multiply(
                            products,
                            weight,
                            matrix(columns, [sizes.n_taps(), n_places]),
                        );
                        put(&sizes, products, group, &strips, output);
                    }
                }
            },
        );
    let [band, frame] = [window.n_places(x.band, 0), window.n_places(x.frame, 1)];
    tensor(output, [x.batch, out_channel, band, frame])
}

/// The gradients with respect to the map and the weights, those that are asked for.
pub(super) fn backward(
    x: &Map,
    weight: &FlexTensor,
    (window, groups): (Window, usize),
    gradient: &Map,
    [for_x, for_weight]: [bool; 2],
) -> [Option<FlexTensor>; 2] {
    if winograd::fits(x, gradient.channel, window, groups) {
        return [
            for_x.then(|| winograd::input_gradient(x, weight, window.padding, gradient)),
            for_weight.then(|| winograd::weight_gradient(x, window.padding, gradient)),
        ];
    }
    if pointwise::fits(window, x.plane_len()) {
        return [
            for_x.then(|| pointwise::input_gradient(weight, gradient, groups)),
            for_weight.then(|| pointwise::weight_gradient(x, gradient, groups)),
        ];
    }
    let sizes = Sizes::new(x, gradient.channel, window, groups);
    [
        for_x.then(|| input_gradient(&sizes, x, weight, gradient)),
        for_weight.then(|| weight_gradient(&sizes, x, gradient)),
    ]
}

fn input_gradient(sizes: &Sizes, x: &Map, weight: &FlexTensor, gradient: &Map) -> FlexTensor {
    let weights = of_groups(weight, sizes.group_shape(), |weight| {
        packed(weight.transposed())
    });
    let part = sizes.part(gradient.batch);
    let mut input = vec![0.0f32; gradient.batch * sizes.clip_len()];
    input
        .par_chunks_mut(part * sizes.clip_len())
        .zip(gradient.values().par_chunks(part * sizes.out_clip()))
        .for_each_init(
            <[Scratch; 2]>::default,
            |[columns, pulls], (input, pull)| {
                for strips in sizes.tiles(pull.len() / sizes.out_clip()) {
                    let n_places = n_places(&strips);
                    let columns = columns.of(sizes.n_taps() * n_places);
                    let pulls = pulls.of(sizes.out_group() * n_places);
                    for (group, weight) in weights.iter().enumerate() {
                        take(sizes, pull, group, &strips, pulls);
                        multiply(
                            columns,
                            weight,
                            matrix(pulls, [sizes.out_group(), n_places]),
                        );
                        sizes.scatter(columns, group, &strips, input);
                    }
                }
            },
        );
    tensor(input, [x.batch, x.channel, x.band, x.frame])
}

fn weight_gradient(sizes: &Sizes, x: &Map, gradient: &Map) -> FlexTensor {
    let part = sizes.part(x.batch);
    let of_parts: Vec<Vec<f32>> = x
        .values()
        .par_chunks(part * sizes.clip_len())
        .zip(gradient.values().par_chunks(part * sizes.out_clip()))
        .map(|(input, pull)| weight_gradient_of(sizes, input, pull))
        .collect();
    let sum = total(of_parts);
    let [height, width] = sizes.window.kernel;
    let channel = sizes.channel / sizes.groups;
    tensor(sum, [sizes.out_channel, channel, height, width])
}

/// The weight gradient of a part of the batch.
fn weight_gradient_of(sizes: &Sizes, input: &[f32], pull: &[f32]) -> Vec<f32> {
    let [mut columns, mut pulls] = [Scratch::default(), Scratch::default()];
    let mut sums = vec![0.0f32; sizes.out_channel * sizes.n_taps()];
    let group_len = sizes.out_group() * sizes.n_taps();
    for strips in sizes.tiles(pull.len() / sizes.out_clip()) {
        let n_places = n_places(&strips);
        let columns = columns.of(sizes.n_taps() * n_places);
        let pulls = pulls.of(sizes.out_group() * n_places);
        for (group, sums) in sums.chunks_exact_mut(group_len).enumerate() {
            sizes.gather(input, group, &strips, columns);
            take(sizes, pull, group, &strips, pulls);
            let columns = matrix(columns, [sizes.n_taps(), n_places]);
            let pulls = matrix(pulls, [sizes.out_group(), n_places]);
            multiply_add(sums, pulls, columns.transposed());
        }
    }
    sums
}

/// Copies a group's output at a tile's places, `[out channel, place]`, to the output of its part.
fn put(sizes: &Sizes, tile: &[f32], group: usize, strips: &[Strip], output: &mut [f32]) {
    for (channel, mut row) in tile.chunks_exact(n_places(strips)).enumerate() {
        for strip in strips {
            let values = row.split_off(..strip.len).expect("one length");
            let place = sizes.place(strip, group * sizes.out_group() + channel);
            output[place].copy_from_slice(values);
        }
    }
}

/// Copies the gradient of a group's output at a tile's places, `[out channel, place]`.
fn take(sizes: &Sizes, pull: &[f32], group: usize, strips: &[Strip], tile: &mut [f32]) {
    for (channel, mut row) in tile.chunks_exact_mut(n_places(strips)).enumerate() {
        for strip in strips {
            let values = row.split_off_mut(..strip.len).expect("one length");
            let place = sizes.place(strip, group * sizes.out_group() + channel);
            values.copy_from_slice(&pull[place]);
        }
    }
}

/// The sums of all parts, added in the parts' order.
pub(super) fn total(of_parts: Vec<Vec<f32>>) -> Vec<f32> {
    let mut parts = of_parts.into_iter();
    let mut sums = parts.next().unwrap_or_default();
    for part in parts {
        sums.iter_mut().zip(part).for_each(|(sum, x)| *sum += x);
    }
    sums
}
