//! Maximum and mean over windows of a map.
//!
//! Tap by tap over whole rows. Padding never is the maximum, and counts as zeros in the mean.

use burn::backend::flex::FlexTensor;
use earmark::model::block::PoolKind;
use pulp::Arch;
use rayon::prelude::*;

use super::{Map, Window, tensor};

/// The lengths of a plane before and behind the windows.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    window: Window,
    kind: PoolKind,
    band: usize,
    frame: usize,
    out_band: usize,
    out_frame: usize,
}

impl Sizes {
    fn new(x: &Map, window: Window, kind: PoolKind) -> Self {
        Self {
            window,
            kind,
            band: x.band,
            frame: x.frame,
            out_band: window.n_places(x.band, 0),
            out_frame: window.n_places(x.frame, 1),
        }
    }

    /// Calls for every row of the output and every tap on the map: the range of the row's places that see the
    /// map there, in the output plane, and where the first of them reads in the input plane.
    #[inline(always)]
    fn taps(&self, mut tap: impl FnMut(std::ops::Range<usize>, usize)) {
        let [height, width] = self.window.kernel;
        let [stride_band, stride_frame] = self.window.stride;
        let [top, left] = self.window.padding;
        for out_row in 0..self.out_band {
            for down in 0..height {
                let Some(row) = (out_row * stride_band + down).checked_sub(top) else {
                    continue;
                };
                if row >= self.band {
                    continue;
                }
                for right in 0..width {
                    let places = self.window.inside(right, self.frame, 1);
                    if places.is_empty() {
                        continue;
                    }
                    let first = row * self.frame + places.start * stride_frame + right - left;
                    let start = out_row * self.out_frame;
                    tap(start + places.start..start + places.end, first);
                }
            }
        }
    }

    #[inline(always)]
    fn forward(&self, input: &[f32], output: &mut [f32]) {
        let stride = self.window.stride[1];
        let [height, width] = self.window.kernel;
        match self.kind {
            PoolKind::Max => {
                output.fill(f32::NEG_INFINITY);
                let mut seen = vec![0.0; self.out_frame];
                self.taps(|places, first| {
                    let seen = &mut seen[..places.len()];
                    gather(&input[first..], stride, seen);
                    for (peak, x) in output[places].iter_mut().zip(seen) {
                        let is_larger = *x > *peak || x.is_nan();
                        *peak = if is_larger { *x } else { *peak };
                    }
                });
            }
            PoolKind::Mean => {
                self.taps(|places, first| {
                    let seen = input[first..].iter().step_by(stride);
                    let sums = output[places].iter_mut();
                    sums.zip(seen).for_each(|(sum, x)| *sum += x);
                });
                let scale = 1.0 / (height * width) as f32;
                output.iter_mut().for_each(|sum| *sum *= scale);
            }
        }
    }

    /// The gradient of a plane; that of a maximum goes to the first place that has it.
    #[inline(always)]
    fn backward(&self, plane: &Plane<'_>, for_input: &mut [f32]) {
        let stride = self.window.stride[1];
        let [height, width] = self.window.kernel;
        match self.kind {
            PoolKind::Max => {
                let mut rest = plane.pull.to_vec();
                let mut taken = vec![0.0; self.out_frame];
                self.taps(|places, first| {
                    let taken = &mut taken[..places.len()];
                    gather(&plane.input[first..], stride, taken);
                    pull_firsts(taken, &plane.output[places.clone()], &mut rest[places]);
                    let sums = for_input[first..].chunks_mut(stride);
                    sums.zip(taken).for_each(|(sums, x)| sums[0] += *x);
                });
            }
            PoolKind::Mean => {
                let scale = 1.0 / (height * width) as f32;
                self.taps(|places, first| {
                    let sums = for_input[first..].iter_mut().step_by(stride);
                    let pulls = plane.pull[places].iter();
                    sums.zip(pulls).for_each(|(sum, pull)| *sum += scale * pull);
                });
            }
        }
    }
}

/// Takes one value every `stride`. Side by side they are compared without a branch, which could not be foretold:
/// where in a window the largest lies is chance.
#[inline(always)]
fn gather(from: &[f32], stride: usize, to: &mut [f32]) {
    let values = from.iter().step_by(stride);
    to.iter_mut().zip(values).for_each(|(to, x)| *to = *x);
}

/// Puts in place of the values what pulls at those that are the peaks, which then have no pull left.
#[inline(always)]
fn pull_firsts(values: &mut [f32], peaks: &[f32], pulls: &mut [f32]) {
    for ((value, peak), pull) in values.iter_mut().zip(peaks).zip(pulls) {
        let is_first = value == peak;
        (*value, *pull) = if is_first { (*pull, 0.0) } else { (0.0, *pull) };
    }
}

/// What the way back needs of a plane.
struct Plane<'a> {
    input: &'a [f32],
    output: &'a [f32],
    pull: &'a [f32],
}

pub(super) fn forward(x: &Map, window: Window, kind: PoolKind) -> FlexTensor {
    let sizes = Sizes::new(x, window, kind);
    let out_plane = sizes.out_band * sizes.out_frame;
    let mut output = vec![0.0; x.batch * x.channel * out_plane];
    output
        .par_chunks_exact_mut(out_plane)
        .zip(x.values().par_chunks_exact(x.plane_len()))
        .for_each(|(output, input)| Arch::new().dispatch(|| sizes.forward(input, output)));
    let shape = [x.batch, x.channel, sizes.out_band, sizes.out_frame];
    tensor(output, shape)
}

/// The gradient with respect to the map.
pub(super) fn backward(
    x: &Map,
    output: &Map,
    (window, kind): (Window, PoolKind),
    pull: &Map,
) -> FlexTensor {
    let sizes = Sizes::new(x, window, kind);
    let mut for_input = vec![0.0; x.values().len()];
    for_input
        .par_chunks_exact_mut(x.plane_len())
        .zip(x.values().par_chunks_exact(x.plane_len()))
        .zip(output.values().par_chunks_exact(output.plane_len()))
        .zip(pull.values().par_chunks_exact(pull.plane_len()))
        .for_each(|(((for_input, input), output), pull)| {
            let plane = Plane {
                input,
                output,
                pull,
            };
            Arch::new().dispatch(|| sizes.backward(&plane, for_input));
        });
    tensor(for_input, [x.batch, x.channel, x.band, x.frame])
}
