//! Samples of an exact scan line, a block at a time: which of them count, and the cells that their
//! energy belongs to.
//!
//! Every step is a loop over plain arrays without branches, from which the compiler makes the widest
//! instructions that the processor has.

use rustfft::FftNum;
use rustfft::num_complex::Complex;
use rustfft::num_traits::Float;

use super::histogram::EnergyHistogram;
use super::points::{
    EPSILON, MAX_DISPLACEMENT, MAX_SMALL, Points, ROUNDING, ln_1p, ln_1p_small, number, wide,
};

/// Samples that are looked at together.
pub(super) const BLOCK: usize = 256;

/// The part of the bits of a number below 2⁵¹ plus [`ROUNDING`] that is the number.
const WHOLE: u64 = (1 << 51) - 1;

/// The samples of a block that count, an array for each of their numbers.
#[derive(Debug)]
pub(super) struct Block {
    chosen: [u32; BLOCK],
    time: [f64; BLOCK],
    xi: [[f64; BLOCK]; 2],
    eta: [[f64; BLOCK]; 2],
    energy: [f64; BLOCK],
    cell: [u64; BLOCK],
}

impl Block {
    pub(super) fn new() -> Box<Self> {
        let zeros = [0.0; BLOCK];
        Box::new(Self {
            chosen: [0; BLOCK],
            time: zeros,
            xi: [zeros; 2],
            eta: [zeros; 2],
            energy: zeros,
            cell: [0; BLOCK],
        })
    }

    /// Adds the samples that count, at most [`BLOCK`], to a histogram; `start` is the time of the first.
    #[inline(always)]
    pub(super) fn add<T: FftNum + Float>(
        &mut self,
        points: &Points,
        start: f64,
        [xi, eta]: [&[Complex<T>]; 2],
        floor: T,
        histogram: &mut EnergyHistogram,
    ) {
        let n = self.choose(xi, eta, floor);
        for k in 0..n {
            let i = self.chosen[k] as usize;
            let (xi, eta) = (xi[i], eta[i]);
            self.time[k] = start + i as f64 * points.stride;
            self.xi[0][k] = wide(xi.re);
            self.xi[1][k] = wide(xi.im);
            self.eta[0][k] = wide(eta.re);
            self.eta[1][k] = wide(eta.im);
        }
        let size = [histogram.n_frames, histogram.n_bands];
        // No displacement is larger than the limit, so a narrow filter's are all small.
        if points.relative_width * MAX_DISPLACEMENT < MAX_SMALL {
            self.place(points, n, size, ln_1p_small);
        } else {
            self.place(points, n, size, ln_1p);
        }
        for (cell, energy) in self.cell[..n].iter().zip(&self.energy) {
            histogram.add_to(*cell as usize, *energy);
        }
    }

    /// Fills `chosen` with the numbers of the samples whose displacement is below the limit and returns
    /// how many there are. Which ones count is as good as random to a processor: there are no branches.
    #[inline(always)]
    fn choose<T: FftNum + Float>(
        &mut self,
        xi: &[Complex<T>],
        eta: &[Complex<T>],
        floor: T,
    ) -> usize {
        let limit: T = number(MAX_DISPLACEMENT * MAX_DISPLACEMENT);
        let mut counts = [false; BLOCK];
        for ((counts, xi), eta) in counts.iter_mut().zip(xi).zip(eta) {
            let (energy, displaced) = (xi.norm_sqr(), eta.norm_sqr());
            // False for energies that are no numbers.
            *counts = (displaced < limit * energy) & (energy >= floor);
        }
        let mut n = 0;
        for (i, counts) in counts.iter().enumerate() {
            self.chosen[n % BLOCK] = i as u32;
            n += usize::from(*counts);
        }
        n
    }

    /// Fills `energy`, and `cell` with the places in a histogram; those outside of it get one behind it.
    #[inline(always)]
    fn place(
        &mut self,
        points: &Points,
        n: usize,
        [n_frames, n_bands]: [usize; 2],
        ln_1p: impl Fn(f64) -> f64,
    ) {
        let (n_frames, n_bands) = (n_frames as f64, n_bands as f64);
        let outside = n_frames * n_bands;
        let n = n.min(BLOCK);
        for k in 0..n {
            let re = self.xi[0][k] + EPSILON;
            let im = self.xi[1][k];
            let [eta_re, eta_im] = [self.eta[0][k], self.eta[1][k]];
            let energy = re * re + im * im;
            let inverse = 1.0 / energy;
            let in_time = (eta_im * re - eta_re * im) * inverse;
            let in_frequency = (eta_re * re + eta_im * im) * inverse;
            let time = self.time[k] + in_time * points.time_scale;
            let relative = -in_frequency * points.relative_width;
            let (frame, band) = (points.frame(time), points.band(relative, &ln_1p));
            let inside = points.is_inside(time, relative) & (frame < n_frames) & (band < n_bands);
            let cell = if inside {
                frame * n_bands + band
            } else {
                outside
            };
            self.energy[k] = energy;
            self.cell[k] = (cell + ROUNDING).to_bits() & WHOLE;
        }
    }
}
