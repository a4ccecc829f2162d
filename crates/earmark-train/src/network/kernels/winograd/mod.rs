//! Convolution with windows of 3 × 3 and a stride of 1 by minimal filtering: F(4 × 4, 3 × 3) of Lavin and Gray,
//! "Fast algorithms for convolutional neural networks" (CVPR 2016).
//!
//! Sixteen neighbouring outputs, a tile, come from 6 × 6 inputs `d` and a window `g` as `Aᵀ[(G g Gᵀ) ⊙ (Bᵀ d B)]A`,
//! `⊙` multiplying element by element: 36 multiplications in place of 144. Summed over the channels these are 36
//! matrix products. The gradient of the input is such a convolution itself, with the windows turned round; that of a
//! window is `Gᵀ[(A p Aᵀ) ⊙ (Bᵀ d B)]G` over all tiles, where `p` pulls at their outputs.
//!
//! Sums of large multiples cancel here: results err by some 1e-5 of the largest.
//!
//! The batch is cut into parts as in `dense`, and sums are added in their order.

mod lines;

use std::ops::Range;

use burn::backend::flex::FlexTensor;
use rayon::prelude::*;

use super::dense::{TILE_LEN, clips_of_part, total};
use super::product::{Packed, Scratch, matrix, multiply, multiply_add, packed};
use super::{Map, Window, tensor, values};
use lines::{Inputs, Line, Outputs, Planes, Pulls, both_ways, transformed, windows};

/// The outputs along a side of a tile.
const SIDE: usize = 4;

/// The elements along a side of a transformed tile.
const WIDE: usize = SIDE + 2;

/// The elements of a transformed tile.
const N_ELEMENTS: usize = WIDE * WIDE;

/// With fewer channels the transforms take longer than they save.
const MIN_CHANNELS: usize = 16;

/// With fewer outputs to a tile the multiplications saved are too few.
const MIN_OUTPUTS: usize = 6;

/// With fewer outputs in a batch the transforms of the weights take longer than they save.
const MIN_PLACES: usize = 512;

/// Fewer tiles than this leave a matrix product too thin.
const MIN_TILES: usize = 128;

/// Whether a convolution can be, and is worth being, done this way.
pub(super) fn fits(x: &Map, out_channel: usize, window: Window, groups: usize) -> bool {
    let Window {
        kernel: [3, 3],
        stride: [1, 1],
        padding: [0..=2, 0..=2],
        dilation: [1, 1],
    } = window
    else {
        return false;
    };
    let plan = Plan::new(x, out_channel, window.padding);
    // A tile that reaches over the edge multiplies for nothing.
    let is_filled = plan.rows() * plan.columns() * MIN_OUTPUTS <= plan.out_band * plan.out_frame;
    let has_places = x.batch * plan.out_band * plan.out_frame >= MIN_PLACES;
    groups == 1 && is_filled && has_places && x.channel.min(out_channel) >= MIN_CHANNELS
}

/// The convolution of a map with `[out channel, channel, 3, 3]` weights.
pub(super) fn forward(x: &Map, weight: &FlexTensor, padding: [usize; 2]) -> FlexTensor {
    let plan = Plan::new(x, weight.layout().shape()[0], padding);
    convolve(&plan, x, &values(weight))
}

/// The gradient with respect to the map.
pub(super) fn input_gradient(
    x: &Map,
    weight: &FlexTensor,
    padding: [usize; 2],
    gradient: &Map,
) -> FlexTensor {
    let plan = Plan::new(gradient, x.channel, padding.map(|n| 2 - n));
    let weight = values(weight);
    let mut turned = vec![0.0f32; weight.len()];
    for (i, window) in weight.as_chunks::<9>().0.iter().enumerate() {
        let (out_channel, channel) = (i / x.channel, i % x.channel);
        let to = &mut turned[9 * (channel * gradient.channel + out_channel)..][..9];
        to.copy_from_slice(window);
        to.reverse();
    }
    convolve(&plan, gradient, &turned)
}

/// The gradient with respect to the weights.
pub(super) fn weight_gradient(x: &Map, padding: [usize; 2], gradient: &Map) -> FlexTensor {
    let plan = Plan::new(x, gradient.channel, padding);
    let part = plan.part(x.batch);
    let of_parts: Vec<Vec<f32>> = x
        .values()
        .par_chunks(part * plan.clip_len())
        .zip(gradient.values().par_chunks(part * plan.out_clip()))
        .map(|(input, pull)| {
            let [mut tiles, mut pulls] = [Scratch::default(), Scratch::default()];
            let mut sums = vec![0.0f32; plan.n_sums()];
            for rows in plan.blocks(input.len() / plan.clip_len()) {
                let n_tiles = rows.len() * plan.columns();
                let tiles = tiles.of(N_ELEMENTS * plan.channel * n_tiles);
                plan.transform(input, &rows, tiles);
                let pulls = pulls.of(N_ELEMENTS * plan.out_channel * n_tiles);
                plan.transform_pulls(pull, &rows, pulls);
                let elements = pulls
                    .chunks_exact(plan.out_channel * n_tiles)
                    .zip(tiles.chunks_exact(plan.channel * n_tiles));
                let sums = sums.chunks_exact_mut(plan.out_channel * plan.channel);
                for (sums, (pulls, tiles)) in sums.zip(elements) {
                    let tiles = matrix(tiles, [plan.channel, n_tiles]).transposed();
                    multiply_add(sums, matrix(pulls, [plan.out_channel, n_tiles]), tiles);
                }
            }
            sums
        })
        .collect();
    tensor(
        windows(&total(of_parts)),
        [plan.out_channel, plan.channel, 3, 3],
    )
}

fn convolve(plan: &Plan, x: &Map, weight: &[f32]) -> FlexTensor {
    let weights: Vec<Packed> = transformed(weight)
        .chunks_exact(plan.out_channel * plan.channel)
        .map(|element| packed(matrix(element, [plan.out_channel, plan.channel])))
        .collect();
    let part = plan.part(x.batch);
    let mut output = vec![0.0f32; x.batch * plan.out_clip()];
    output
        .par_chunks_mut(part * plan.out_clip())
        .zip(x.values().par_chunks(part * plan.clip_len()))
        .for_each_init(
            <[Scratch; 2]>::default,
            |[tiles, products], (output, input)| {
                for rows in plan.blocks(input.len() / plan.clip_len()) {
                    let n_tiles = rows.len() * plan.columns();
                    let tiles = tiles.of(N_ELEMENTS * plan.channel * n_tiles);
                    plan.transform(input, &rows, tiles);
                    let products = products.of(N_ELEMENTS * plan.out_channel * n_tiles);
                    let elements = products
                        .chunks_exact_mut(plan.out_channel * n_tiles)
                        .zip(tiles.chunks_exact(plan.channel * n_tiles));
                    for ((product, tiles), weight) in elements.zip(&weights) {
                        multiply(product, weight, matrix(tiles, [plan.channel, n_tiles]));
                    }
                    plan.transform_back(products, &rows, output);
                }
            },
        );
    let shape = [x.batch, plan.out_channel, plan.out_band, plan.out_frame];
    tensor(output, shape)
}

/// The lengths of a convolution.
#[derive(Debug, Clone, Copy)]
struct Plan {
    channel: usize,
    band: usize,
    frame: usize,
    padding: [usize; 2],
    out_channel: usize,
    out_band: usize,
    out_frame: usize,
}

impl Plan {
    fn new(x: &Map, out_channel: usize, padding: [usize; 2]) -> Self {
        Self {
            channel: x.channel,
            band: x.band,
            frame: x.frame,
            padding,
            out_channel,
            out_band: x.band + 2 * padding[0] - 2,
            out_frame: x.frame + 2 * padding[1] - 2,
        }
    }

    /// Rows of tiles in a clip.
    fn rows(&self) -> usize {
        self.out_band.div_ceil(SIDE)
    }

    /// Tiles in a row.
    fn columns(&self) -> usize {
        self.out_frame.div_ceil(SIDE)
    }

    fn clip_len(&self) -> usize {
        self.channel * self.band * self.frame
    }

    fn out_clip(&self) -> usize {
        self.out_channel * self.out_band * self.out_frame
    }

    /// The sums of all windows' elements.
    fn n_sums(&self) -> usize {
        N_ELEMENTS * self.out_channel * self.channel
    }

    /// How many clips make a part.
    fn part(&self, batch: usize) -> usize {
        clips_of_part(batch, self.n_sums(), self.rows() * self.columns())
    }

    /// The rows of tiles of some clips, a block after the other.
    fn blocks(&self, n_clips: usize) -> impl Iterator<Item = Range<usize>> {
        let n_rows = n_clips * self.rows();
        let widest = self.channel.max(self.out_channel);
        let n_tiles = (TILE_LEN / (N_ELEMENTS * widest)).max(MIN_TILES);
        let step = n_tiles.div_ceil(self.columns());
        (0..n_rows)
            .step_by(step)
            .map(move |first| first..n_rows.min(first + step))
    }

    /// `Bᵀ d B` of the tiles of some rows, `[element, channel, tile]`.
    fn transform(&self, input: &[f32], rows: &Range<usize>, to: &mut [f32]) {
        let lengths = [self.channel, self.band, self.frame];
        self.cut::<Inputs, WIDE>((input, lengths), self.padding, rows, to);
    }

    /// `A p Aᵀ` of the outputs' tiles of some rows, `[element, out channel, tile]`.
    fn transform_pulls(&self, pull: &[f32], rows: &Range<usize>, to: &mut [f32]) {
        let lengths = [self.out_channel, self.out_band, self.out_frame];
        self.cut::<Pulls, SIDE>((pull, lengths), [0, 0], rows, to);
    }

    /// Cuts tiles of `N × N` places, one for every tile of some rows, out of the channels of a map of
    /// `[channel, band, frame]`, with zeros beyond it, and transforms them.
    fn cut<L: Line<N, WIDE>, const N: usize>(
        &self,
        (map, [n_channels, n_bands, n_frames]): (&[f32], [usize; 3]),
        padding: [usize; 2],
        rows: &Range<usize>,
        to: &mut [f32],
    ) {
        let n = self.columns();
        let n_tiles = rows.len() * n;
        let mut line = vec![0.0; SIDE * n + N - SIDE];
        let mut places = vec![0.0; N * N * n_tiles];
        let mut between = vec![0.0; WIDE * N * n_tiles];
        for channel in 0..n_channels {
            for (at, row) in rows.clone().enumerate() {
                let (clip, row) = (row / self.rows(), row % self.rows());
                let plane = (clip * n_channels + channel) * n_bands;
                for (i, places) in places.chunks_exact_mut(N * n_tiles).enumerate() {
                    let band = (SIDE * row + i).checked_sub(padding[0]);
                    let band = band.filter(|band| *band < n_bands);
                    let values = band.map_or(&[][..], |band| {
                        &map[(plane + band) * n_frames..][..n_frames]
                    });
                    line.fill(0.0);
                    line[padding[1]..][..values.len()].copy_from_slice(values);
                    for (j, places) in places.chunks_exact_mut(n_tiles).enumerate() {
                        let values = line[j..].iter().step_by(SIDE);
                        let places = places[at * n..][..n].iter_mut();
                        places.zip(values).for_each(|(to, from)| *to = *from);
                    }
                }
            }
            let from = Planes::one_after_the_other(n_tiles);
            let elements = Planes {
                stride: n_channels * n_tiles,
                start: channel * n_tiles,
            };
            both_ways::<L, N, WIDE>((&places, from), (to, elements), &mut between, n_tiles);
        }
    }

    /// `Aᵀ m A` of `[element, out channel, tile]` products: the outputs of some rows of tiles.
    fn transform_back(&self, products: &[f32], rows: &Range<usize>, output: &mut [f32]) {
        let n = self.columns();
        let n_tiles = rows.len() * n;
        let mut places = vec![0.0; SIDE * SIDE * n_tiles];
        let mut between = vec![0.0; SIDE * WIDE * n_tiles];
        for channel in 0..self.out_channel {
            let elements = Planes {
                stride: self.out_channel * n_tiles,
                start: channel * n_tiles,
            };
            let to = Planes::one_after_the_other(n_tiles);
            both_ways::<Outputs, WIDE, SIDE>(
                (products, elements),
                (&mut places, to),
                &mut between,
                n_tiles,
            );
            for (at, row) in rows.clone().enumerate() {
                let (clip, row) = (row / self.rows(), row % self.rows());
                let plane = (clip * self.out_channel + channel) * self.out_band;
                let bands = SIDE * row..self.out_band.min(SIDE * (row + 1));
                for (band, places) in bands.zip(places.chunks_exact(SIDE * n_tiles)) {
                    let line = &mut output[(plane + band) * self.out_frame..][..self.out_frame];
                    for (j, places) in places.chunks_exact(n_tiles).enumerate() {
                        let line = line.iter_mut().skip(j).step_by(SIDE);
                        line.zip(&places[at * n..])
                            .for_each(|(to, from)| *to = *from);
                    }
                }
            }
        }
    }
}
