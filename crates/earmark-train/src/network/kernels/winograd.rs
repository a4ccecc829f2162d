//! Convolution with windows of 3 × 3 and a stride of 1 by minimal filtering: F(2 × 2, 3 × 3) of Lavin and Gray,
//! "Fast algorithms for convolutional neural networks" (CVPR 2016).
//!
//! Four neighbouring outputs, a tile, come from 4 × 4 inputs `d` and a window `g` as `Aᵀ[(G g Gᵀ) ⊙ (Bᵀ d B)]A`, `⊙`
//! multiplying element by element: 16 multiplications in place of 36. Summed over the channels these are 16 matrix
//! products. The gradient of the input is such a convolution itself, with the windows turned round; that of a
//! window is `Gᵀ[(A p Aᵀ) ⊙ (Bᵀ d B)]G` over all tiles, where `p` pulls at their outputs.
//!
//! The batch is cut into parts as in `dense`, and sums are added in their order.

use std::ops::Range;

use burn::backend::flex::FlexTensor;
use rayon::prelude::*;

use super::dense::{TILE_LEN, add, clips_of_part};
use super::product::{Packed, Scratch, matrix, multiply, multiply_add, packed};
use super::{Map, Window, tensor, values};

/// The elements of a transformed tile.
const N_ELEMENTS: usize = 16;

/// With fewer channels the transforms take longer than they save.
const MIN_CHANNELS: usize = 16;

/// Fewer tiles than this leave a matrix product too thin.
const MIN_TILES: usize = 128;

/// Whether a convolution can be, and is worth being, done this way.
pub(super) fn fits(window: Window, groups: usize, [channel, out_channel]: [usize; 2]) -> bool {
    let Window {
        kernel: [3, 3],
        stride: [1, 1],
        padding: [0..=2, 0..=2],
        dilation: [1, 1],
    } = window
    else {
        return false;
    };
    groups == 1 && channel.min(out_channel) >= MIN_CHANNELS
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
    let mut sum = vec![0.0f32; plan.n_sums()];
    for of_part in &of_parts {
        add(&mut sum, of_part);
    }
    tensor(windows(&sum), [plan.out_channel, plan.channel, 3, 3])
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

/// `G g Gᵀ` of every window, `[element, window]`.
fn transformed(weight: &[f32]) -> Vec<f32> {
    let n = weight.len() / 9;
    let mut elements = vec![0.0f32; N_ELEMENTS * n];
    let line = |[a, b, c]: [f32; 3]| {
        let (sum, half) = (0.5 * (a + c), 0.5 * b);
        [a, sum + half, sum - half, c]
    };
    for (i, window) in weight.as_chunks::<9>().0.iter().enumerate() {
        let columns: [[f32; 4]; 3] = std::array::from_fn(|column| {
            line([window[column], window[3 + column], window[6 + column]])
        });
        for row in 0..4 {
            for (column, value) in line(columns.map(|of| of[row])).into_iter().enumerate() {
                elements[(4 * row + column) * n + i] = value;
            }
        }
    }
    elements
}

/// `Gᵀ s G` of the `[element, window]` sums of every window.
fn windows(sums: &[f32]) -> Vec<f32> {
    let n = sums.len() / N_ELEMENTS;
    let line = |[a, b, c, d]: [f32; 4]| {
        let (sum, difference) = (0.5 * (b + c), 0.5 * (b - c));
        [a + sum, difference, sum + d]
    };
    let window = |i: usize| {
        let columns: [[f32; 3]; 4] = std::array::from_fn(|column| {
            line(std::array::from_fn(|row| sums[(4 * row + column) * n + i]))
        });
        std::array::from_fn::<_, 3, _>(|row| line(columns.map(|of| of[row])))
    };
    (0..n).flat_map(window).flatten().collect()
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

/// A line of a map: its even and its odd places.
type Line = [Vec<f32>; 2];

/// The lines of a plane that a row of tiles needs, and where they lie with their padding.
struct Lines<const N: usize> {
    lines: [Line; N],
    n_frames: usize,
    padding: [usize; 2],
    /// The plane and the row of tiles that were read last.
    last: Option<(usize, usize)>,
}

impl<const N: usize> Lines<N> {
    /// Lines of `len` even and as many odd places.
    fn new(len: usize, n_frames: usize, padding: [usize; 2]) -> Self {
        Self {
            lines: std::array::from_fn(|_| [vec![0.0; len], vec![0.0; len]]),
            n_frames,
            padding,
            last: None,
        }
    }

    /// Reads what a row of tiles needs of a map's plane, which has so many bands; the row below another shares
    /// lines with it.
    fn read(&mut self, map: &[f32], n_bands: usize, plane: usize, row: usize) {
        let mut n_known = 0;
        if row > 0 && self.last == Some((plane, row - 1)) {
            self.lines.rotate_left(2);
            n_known = N - 2;
        }
        self.last = Some((plane, row));
        let plane = &map[plane * n_bands * self.n_frames..];
        for (i, line) in self.lines.iter_mut().enumerate().skip(n_known) {
            let band = (2 * row + i).checked_sub(self.padding[0]);
            match band.filter(|band| *band < n_bands) {
                Some(band) => {
                    let values = &plane[band * self.n_frames..][..self.n_frames];
                    part(values, self.padding[1], line);
                }
                None => line.iter_mut().for_each(|half| half.fill(0.0)),
            }
        }
    }
}

/// Parts a line's even places from its odd ones, behind so many zeros.
fn part(values: &[f32], padding: usize, [even, odd]: &mut Line) {
    let is_odd = padding % 2;
    let (first, second) = match is_odd {
        0 => (even, odd),
        _ => (odd, even),
    };
    let first = &mut first[padding / 2..];
    let second = &mut second[padding / 2 + is_odd..];
    let (pairs, rest) = values.as_chunks::<2>();
    for ((first, second), [a, b]) in first.iter_mut().zip(second).zip(pairs) {
        (*first, *second) = (*a, *b);
    }
    if let [last] = rest {
        first[pairs.len()] = *last;
    }
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
        self.out_band.div_ceil(2)
    }

    /// Tiles in a row.
    fn columns(&self) -> usize {
        self.out_frame.div_ceil(2)
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

    /// Each channel and row of tiles: channel, place of the row among them, clip, row of the clip.
    fn each(
        &self,
        rows: &Range<usize>,
        n_channels: usize,
    ) -> impl Iterator<Item = (usize, usize, usize, usize)> {
        let (rows, n_rows) = (rows.clone(), self.rows());
        (0..n_channels).flat_map(move |channel| {
            let rows = rows.clone().enumerate();
            rows.map(move |(place, row)| (channel, place, row / n_rows, row % n_rows))
        })
    }

    /// `Bᵀ d B` of the tiles of some rows, `[element, channel, tile]`.
    fn transform(&self, input: &[f32], rows: &Range<usize>, to: &mut [f32]) {
        let n = self.columns();
        let n_tiles = rows.len() * n;
        let mut read = Lines::<4>::new(n + 1, self.frame, self.padding);
        let [mut even, mut odd] = [vec![0.0; n + 1], vec![0.0; n + 1]];
        for (channel, place, clip, row) in self.each(rows, self.channel) {
            read.read(input, self.band, clip * self.channel + channel, row);
            let [first, second, third, fourth] = &read.lines;
            // Down the columns of the tiles, then along their rows.
            let down = [
                (first, third, -1.0),
                (second, third, 1.0),
                (third, second, -1.0),
                (second, fourth, -1.0),
            ];
            for (i, (a, b, sign)) in down.into_iter().enumerate() {
                combine(&mut even, &a[0], &b[0], sign);
                combine(&mut odd, &a[1], &b[1], sign);
                let along = [
                    (&even[..n], &even[1..], -1.0),
                    (&odd[..n], &even[1..], 1.0),
                    (&even[1..], &odd[..n], -1.0),
                    (&odd[..n], &odd[1..], -1.0),
                ];
                for (j, (a, b, sign)) in along.into_iter().enumerate() {
                    let start = ((4 * i + j) * self.channel + channel) * n_tiles + place * n;
                    combine(&mut to[start..][..n], a, b, sign);
                }
            }
        }
    }

    /// `A p Aᵀ` of the outputs' tiles of some rows, `[element, out channel, tile]`.
    fn transform_pulls(&self, pull: &[f32], rows: &Range<usize>, to: &mut [f32]) {
        let n = self.columns();
        let n_tiles = rows.len() * n;
        let mut read = Lines::<2>::new(n, self.out_frame, [0, 0]);
        let [mut even, mut odd, zero] = [(); 3].map(|()| vec![0.0; n]);
        let zeros = [zero.clone(), zero.clone()];
        for (channel, place, clip, row) in self.each(rows, self.out_channel) {
            read.read(pull, self.out_band, clip * self.out_channel + channel, row);
            let [first, second] = &read.lines;
            let down = [
                (first, &zeros, 1.0),
                (first, second, 1.0),
                (first, second, -1.0),
                (&zeros, second, -1.0),
            ];
            for (i, (a, b, sign)) in down.into_iter().enumerate() {
                combine(&mut even, &a[0], &b[0], sign);
                combine(&mut odd, &a[1], &b[1], sign);
                let along = [
                    (&even, &zero, 1.0),
                    (&even, &odd, 1.0),
                    (&even, &odd, -1.0),
                    (&zero, &odd, -1.0),
                ];
                for (j, (a, b, sign)) in along.into_iter().enumerate() {
                    let start = ((4 * i + j) * self.out_channel + channel) * n_tiles + place * n;
                    combine(&mut to[start..][..n], a, b, sign);
                }
            }
        }
    }

    /// `Aᵀ m A` of `[element, out channel, tile]` products: the outputs of some rows of tiles.
    fn transform_back(&self, products: &[f32], rows: &Range<usize>, output: &mut [f32]) {
        let n = self.columns();
        let n_tiles = rows.len() * n;
        let mut sums: [Vec<f32>; 4] = std::array::from_fn(|_| vec![0.0; n]);
        for (channel, place, clip, row) in self.each(rows, self.out_channel) {
            let element = |i: usize, j: usize| {
                let start = ((4 * i + j) * self.out_channel + channel) * n_tiles + place * n;
                &products[start..][..n]
            };
            let plane = (clip * self.out_channel + channel) * self.out_band;
            for band in 2 * row..self.out_band.min(2 * row + 2) {
                let (first, sign) = [(0, 1.0), (1, -1.0)][band % 2];
                for (j, sum) in sums.iter_mut().enumerate() {
                    combine(sum, element(first, j), element(first + 1, j), sign);
                    let last = element(first + 2, j);
                    sum.iter_mut().zip(last).for_each(|(x, y)| *x += sign * y);
                }
                let [a, b, c, d] = &sums;
                let line = &mut output[(plane + band) * self.out_frame..][..self.out_frame];
                let (pairs, rest) = line.as_chunks_mut::<2>();
                let columns = a.iter().zip(b).zip(c).zip(d);
                for ([even, odd], (((a, b), c), d)) in pairs.iter_mut().zip(columns) {
                    (*even, *odd) = (a + b + c, b - c - d);
                }
                if let [last] = rest {
                    *last = a[n - 1] + b[n - 1] + c[n - 1];
                }
            }
        }
    }
}

/// `to = a + sign * b`.
fn combine(to: &mut [f32], a: &[f32], b: &[f32], sign: f32) {
    for ((to, a), b) in to.iter_mut().zip(a).zip(b) {
        *to = a + sign * b;
    }
}
