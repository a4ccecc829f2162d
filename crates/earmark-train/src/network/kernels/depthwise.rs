//! Depthwise convolution: each channel with a kernel of its own.
//!
//! A plane is first copied into rows with zeros around it, and with a stride of s each row is split
//! into s phases (every s-th value), so that the innermost loops always run over neighbours. Windows are without dilation.

use burn::backend::flex::FlexTensor;
use pulp::Arch;
use rayon::prelude::*;

use super::{Map, Window, tensor};

/// The values worked on at a time: four AVX-512 registers.
const LANES: usize = 64;

/// The lengths that the loops need.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    window: Window,
    band: usize,
    frame: usize,
    out_band: usize,
    out_frame: usize,
    /// The length of one phase of a padded row: every tap of every block of lanes can be read.
    phase_len: usize,
}

impl Sizes {
    fn new(window: Window, band: usize, frame: usize) -> Self {
        let out_frame = window.n_places(frame, 1);
        let reach = (window.kernel[1] - 1) / window.stride[1];
        Self {
            window,
            band,
            frame,
            out_band: window.n_places(band, 0),
            out_frame,
            phase_len: out_frame.next_multiple_of(LANES) + reach + 1,
        }
    }

    fn n_taps(&self) -> usize {
        self.window.kernel[0] * self.window.kernel[1]
    }

    fn padded_rows(&self) -> usize {
        self.band + 2 * self.window.padding[0]
    }

    /// Where phase `phase` of padded row `row` begins.
    fn phase_start(&self, row: usize, phase: usize) -> usize {
        (row * self.window.stride[1] + phase) * self.phase_len
    }

    /// The padded plane in phases.
    #[inline(always)]
    fn split(&self, plane: &[f32], padded: &mut Vec<f32>) {
        let [_, stride] = self.window.stride;
        let [top, left] = self.window.padding;
        padded.clear();
        padded.resize(self.padded_rows() * stride * self.phase_len, 0.0);
        for (row, values) in plane.chunks_exact(self.frame).enumerate() {
            for phase in 0..stride {
                // The first value of the row in this phase, and where it stands in the phase.
                let skip = (phase + stride - left % stride) % stride;
                let start = self.phase_start(row + top, phase) + (left + skip) / stride;
                let end = self.phase_start(row + top, phase) + self.phase_len;
                let taken = values.iter().skip(skip).step_by(stride);
                padded[start..end]
                    .iter_mut()
                    .zip(taken)
                    .for_each(|(to, from)| *to = *from);
            }
        }
    }
}

/// The convolution of a map with `[channel, kernel]` weights.
pub(super) fn forward(x: &Map, weight: &[f32], window: Window) -> FlexTensor {
    let sizes = Sizes::new(window, x.band, x.frame);
    let out_plane = sizes.out_band * sizes.out_frame;
    let mut output = vec![0.0; x.batch * x.channel * out_plane];
    let planes = output
        .par_chunks_exact_mut(out_plane)
        .zip(x.values().par_chunks_exact(x.plane_len()));
    let n_taps = sizes.n_taps();
    planes
        .enumerate()
        .for_each_init(Vec::new, |padded, (plane, (output, input))| {
            let taps = &weight[plane % x.channel * n_taps..][..n_taps];
            Arch::new().dispatch(|| forward_plane(&sizes, input, taps, output, padded));
        });
    tensor(
        output,
        [x.batch, x.channel, sizes.out_band, sizes.out_frame],
    )
}

#[inline(always)]
fn forward_plane(
    sizes: &Sizes,
    input: &[f32],
    taps: &[f32],
    output: &mut [f32],
    padded: &mut Vec<f32>,
) {
    sizes.split(input, padded);
    let [height, width] = sizes.window.kernel;
    let [stride_band, stride_frame] = sizes.window.stride;
    for (out_row, output) in output.chunks_exact_mut(sizes.out_frame).enumerate() {
        for (block, output) in output.chunks_mut(LANES).enumerate() {
            let mut sums = [0.0f32; LANES];
            for row in 0..height {
                for column in 0..width {
                    let tap = taps[row * width + column];
                    let phase =
                        sizes.phase_start(out_row * stride_band + row, column % stride_frame);
                    let start = phase + block * LANES + column / stride_frame;
                    let values = &padded[start..start + LANES];
                    for lane in 0..LANES {
                        sums[lane] += tap * values[lane];
                    }
                }
            }
            output.copy_from_slice(&sums[..output.len()]);
        }
    }
}

/// The gradients with respect to the map and the weights.
pub(super) fn backward(x: &Map, weight: &[f32], window: Window, gradient: &Map) -> [FlexTensor; 2] {
    let sizes = Sizes::new(window, x.band, x.frame);
    let n_taps = sizes.n_taps();
    let mut for_x = vec![0.0; x.values().len()];
    let mut for_planes = vec![0.0f32; x.batch * x.channel * n_taps];
    for_x
        .par_chunks_exact_mut(x.plane_len())
        .zip(for_planes.par_chunks_exact_mut(n_taps))
        .zip(x.values().par_chunks_exact(x.plane_len()))
        .zip(gradient.values().par_chunks_exact(gradient.plane_len()))
        .enumerate()
        .for_each_init(
            Scratch::default,
            |scratch, (plane, (((for_x, for_taps), x_plane), pull))| {
                let taps = &weight[plane % x.channel * n_taps..][..n_taps];
                Arch::new().dispatch(|| {
                    weights_plane(&sizes, x_plane, pull, for_taps, scratch);
                    input_plane(&sizes, taps, pull, for_x, scratch);
                });
            },
        );
    let mut for_weight = vec![0.0f32; x.channel * n_taps];
    for clip in for_planes.chunks_exact(x.channel * n_taps) {
        for_weight
            .iter_mut()
            .zip(clip)
            .for_each(|(sum, value)| *sum += value);
    }
    [
        tensor(for_x, [x.batch, x.channel, x.band, x.frame]),
        tensor(
            for_weight,
            [x.channel, 1, window.kernel[0], window.kernel[1]],
        ),
    ]
}

/// Buffers of one thread.
#[derive(Default)]
struct Scratch {
    padded: Vec<f32>,
    pull: Vec<f32>,
    phases: Vec<f32>,
}

/// Products of the gradient with the padded input, one sum per tap.
#[inline(always)]
fn weights_plane(
    sizes: &Sizes,
    input: &[f32],
    pull: &[f32],
    for_taps: &mut [f32],
    scratch: &mut Scratch,
) {
    const PARTS: usize = 16;
    sizes.split(input, &mut scratch.padded);
    let [height, width] = sizes.window.kernel;
    let [stride_band, stride_frame] = sizes.window.stride;
    for row in 0..height {
        for column in 0..width {
            let mut sums = [0.0f32; PARTS];
            let mut rest = 0.0f32;
            for (out_row, pull) in pull.chunks_exact(sizes.out_frame).enumerate() {
                let phase = sizes.phase_start(out_row * stride_band + row, column % stride_frame);
                let values = &scratch.padded[phase + column / stride_frame..][..sizes.out_frame];
                let (pull, pull_rest) = pull.as_chunks::<PARTS>();
                let (values, values_rest) = values.as_chunks::<PARTS>();
                for (pull, values) in pull.iter().zip(values) {
                    for part in 0..PARTS {
                        sums[part] += pull[part] * values[part];
                    }
                }
                for (pull, value) in pull_rest.iter().zip(values_rest) {
                    rest += pull * value;
                }
            }
            for_taps[row * width + column] = rest + sums.iter().sum::<f32>();
        }
    }
}

/// The gradient of the input: every value collects from the windows that saw it, phase by phase.
#[inline(always)]
fn input_plane(
    sizes: &Sizes,
    taps: &[f32],
    pull: &[f32],
    for_x: &mut [f32],
    scratch: &mut Scratch,
) {
    let [height, width] = sizes.window.kernel;
    let [stride_band, stride_frame] = sizes.window.stride;
    let [top, left] = sizes.window.padding;
    // The gradient's rows with `reach` zeros before them and enough after them.
    let reach = (width - 1) / stride_frame;
    let phase_len = (sizes.frame + 2 * left)
        .div_ceil(stride_frame)
        .next_multiple_of(LANES);
    let row_len = reach + phase_len.max(sizes.out_frame) + LANES;
    scratch.pull.clear();
    scratch.pull.resize(sizes.out_band * row_len, 0.0);
    for (row, pull) in pull.chunks_exact(sizes.out_frame).enumerate() {
        scratch.pull[row * row_len + reach..][..sizes.out_frame].copy_from_slice(pull);
    }
    for (row, for_x) in for_x.chunks_exact_mut(sizes.frame).enumerate() {
        let padded_row = row + top;
        scratch.phases.clear();
        scratch.phases.resize(stride_frame * phase_len, 0.0);
        for (phase, sums) in scratch.phases.chunks_exact_mut(phase_len).enumerate() {
            for (block, sums) in sums.chunks_exact_mut(LANES).enumerate() {
                let mut lanes = [0.0f32; LANES];
                for tap_row in (padded_row % stride_band..height).step_by(stride_band) {
                    if padded_row < tap_row
                        || (padded_row - tap_row) / stride_band >= sizes.out_band
                    {
                        continue;
                    }
                    let out_row = (padded_row - tap_row) / stride_band;
                    for column in (phase..width).step_by(stride_frame) {
                        let tap = taps[tap_row * width + column];
                        let back = reach - column / stride_frame;
                        let start = out_row * row_len + block * LANES + back;
                        let values = &scratch.pull[start..start + LANES];
                        for lane in 0..LANES {
                            lanes[lane] += tap * values[lane];
                        }
                    }
                }
                sums.copy_from_slice(&lanes);
            }
        }
        for (column, value) in for_x.iter_mut().enumerate() {
            let place = column + left;
            *value = scratch.phases[place % stride_frame * phase_len + place / stride_frame];
        }
    }
}
