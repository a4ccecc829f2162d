//! The scan lines: filtering, reassignment and collection.
//!
//! # How a scan line is filtered without a full-length transform
//!
//! 1. The clip's spectrum `X` (length `N`) is computed once. A scan line is the inverse transform of
//!    `g · X`, where the Gaussian `g` is nothing outside of a band of `B` bins.
//! 2. Moving the band to bin 0 multiplies the result by a phase, which neither the energy nor the
//!    displacements see. So `B` numbers `z` are all that is left:
//!    `ξ[n] = Σ_j z_j exp(2πi jn / N)`.
//! 3. Exact: with `N = P · M`, `M ≥ B` and `n = P·a + b`, that is `P` transforms of length `M` of
//!    `z_j exp(2πi jb / N)`. They stay in the processor's cache and cost `N log M` instead of
//!    `N log N`. Lengths without fitting divisors take one transform of length `N`.
//! 4. Fast: `M` samples in place of `N`, at `M` a few times `B`; every point weighs `N / M`.

use rayon::prelude::*;
use rustfft::num_complex::Complex;
use rustfft::num_traits::{Float, FromPrimitive};
use rustfft::{Fft, FftNum, FftPlanner};
use std::sync::Arc;

use super::HighResolutionConfig;
use super::gaussian;
use super::histogram::EnergyHistogram;

/// The largest displacement, in standard deviations of the filter.
const MAX_DISPLACEMENT: f64 = 0.5;

/// Added to `ξ` before the division, as in the published program.
const EPSILON: f64 = 1e-20;

/// Half the width of an exact filter in standard deviations: beyond it `g` is below 1e-15.
const EXACT_WIDTH: f64 = 8.5;

/// Half the width of a fast filter in standard deviations.
const FAST_WIDTH: f64 = 5.0;

/// Samples of a fast scan line per bin of its band.
const FAST_OVERSAMPLING: f64 = 2.0;

/// The least number of samples of a fast scan line per frame.
const FAST_SAMPLES_PER_FRAME: usize = 8;

/// Scan lines that share a histogram. The histograms of the groups are added in order, so that the
/// result is the same with any number of threads.
const GROUP: usize = 64;

/// One scan line.
#[derive(Debug, Clone, Copy)]
struct Line {
    /// The centre frequency in cycles per sample.
    f0: f64,
    /// The standard deviation of the Gaussian in cycles per sample.
    sigma: f64,
    /// The first bin of the band; negative bins are negative frequencies.
    first_bin: i64,
    n_bins: usize,
}

impl Line {
    fn new(config: &HighResolutionConfig, index: usize, n_samples: usize, width: f64) -> Self {
        // The published program keeps `noct` in f32 here, but not for the number of bands.
        let noct = f64::from(config.noct as f32);
        let f0 = config.minf * (index as f64 / (config.over as f64 * noct)).exp2();
        let sigma = f0 / (std::f64::consts::TAU * config.q);
        let n = n_samples as f64;
        let lowest = -(((n_samples - 1) / 2) as i64);
        let highest = (n_samples / 2) as i64;
        let first_bin = (((f0 - width * sigma) * n).ceil() as i64).clamp(lowest, highest);
        let last_bin = (((f0 + width * sigma) * n).floor() as i64).clamp(first_bin, highest);
        Self {
            f0,
            sigma,
            first_bin,
            n_bins: (last_bin - first_bin + 1) as usize,
        }
    }
}

/// How many samples of a scan line are computed, and by which transforms.
#[derive(Debug, Clone, Copy)]
struct Sampling {
    /// The length of a transform.
    length: usize,
    /// The number of interleaved transforms.
    n_transforms: usize,
}

/// The method as published.
pub(super) fn exact(config: &HighResolutionConfig, channels: &[&[f32]]) -> EnergyHistogram {
    let n_samples = channels[0].len();
    let divisors: Vec<usize> = (1..=n_samples)
        .filter(|d| n_samples.is_multiple_of(*d) && is_smooth(*d))
        .collect();
    let sampling = |line: &Line| {
        let length = divisors.iter().copied().find(|d| *d >= line.n_bins);
        let length = length.unwrap_or(n_samples);
        Sampling {
            length,
            n_transforms: n_samples / length,
        }
    };
    Scan::<f64>::new(config, n_samples, EXACT_WIDTH, sampling).run(channels)
}

/// The band-limited approximation.
pub(super) fn fast(config: &HighResolutionConfig, channels: &[&[f32]]) -> EnergyHistogram {
    let n_samples = channels[0].len();
    let least = FAST_SAMPLES_PER_FRAME * config.n_frames(n_samples);
    let sampling = |line: &Line| {
        let wished = (line.n_bins as f64 * FAST_OVERSAMPLING).ceil() as usize;
        Sampling {
            length: smooth_at_least(wished.max(least)),
            n_transforms: 1,
        }
    };
    Scan::<f32>::new(config, n_samples, FAST_WIDTH, sampling).run(channels)
}

/// Whether a transform of this length is quick: no prime factor above 11.
fn is_smooth(mut length: usize) -> bool {
    for prime in [2, 3, 5, 7, 11] {
        while length.is_multiple_of(prime) {
            length /= prime;
        }
    }
    length == 1
}

/// The least length of the form 2^a or 3·2^a that is not below `length`.
fn smooth_at_least(length: usize) -> usize {
    let power = length.next_power_of_two();
    let three_quarters = power / 4 * 3;
    if three_quarters >= length {
        three_quarters
    } else {
        power
    }
}

/// All scan lines over clips of one length.
struct Scan<'a, T: FftNum> {
    config: &'a HighResolutionConfig,
    n_samples: usize,
    lines: Vec<(Line, Sampling, Arc<dyn Fft<T>>)>,
    /// `exp(2πi j / N)`, for interleaved transforms.
    twiddles: Vec<Complex<T>>,
}

impl<'a, T: FftNum + Float> Scan<'a, T> {
    fn new(
        config: &'a HighResolutionConfig,
        n_samples: usize,
        width: f64,
        sampling: impl Fn(&Line) -> Sampling,
    ) -> Self {
        let mut planner = FftPlanner::new();
        let n_lines = config.n_bands() * config.over;
        let lines: Vec<_> = (0..n_lines)
            .map(|index| {
                let line = Line::new(config, index, n_samples, width);
                let sampling = sampling(&line);
                let plan = planner.plan_fft_inverse(sampling.length);
                (line, sampling, plan)
            })
            .collect();
        let interleaved = lines.iter().filter(|(_, s, _)| s.n_transforms > 1);
        let n_twiddles = interleaved.map(|(line, ..)| line.n_bins).max().unwrap_or(0);
        let step = std::f64::consts::TAU / n_samples as f64;
        let twiddle = |j: usize| {
            let (sin, cos) = (step * j as f64).sin_cos();
            Complex::new(number(cos), number(sin))
        };
        Self {
            config,
            n_samples,
            lines,
            twiddles: (0..n_twiddles).map(twiddle).collect(),
        }
    }

    fn run(&self, channels: &[&[f32]]) -> EnergyHistogram {
        let spectra: Vec<_> = channels.iter().map(|samples| spectrum(samples)).collect();
        let floor = self.energy_floor(&spectra);
        let groups: Vec<EnergyHistogram> = self
            .lines
            .par_chunks(GROUP)
            .map(|lines| {
                let mut work = Worker::new(self, floor);
                for (line, sampling, plan) in lines {
                    for spectrum in &spectra {
                        work.scan(line, *sampling, plan.as_ref(), spectrum);
                    }
                }
                work.histogram
            })
            .collect();
        let mut sum = EnergyHistogram::new(self.config, self.n_samples);
        groups.iter().for_each(|group| sum.merge(group));
        sum
    }

    /// The energy below which a sample is ignored: a share of the largest on any scan line. That is
    /// bounded by the sum of the spectrum under the widest filter, which needs no second pass.
    fn energy_floor(&self, spectra: &[Vec<Complex<f64>>]) -> f64 {
        if self.config.energy_floor == 0.0 {
            return 0.0;
        }
        let mut values = Vec::new();
        let mut strongest = 0.0_f64;
        for (line, ..) in &self.lines {
            values.resize(line.n_bins, 0.0);
            line.gaussian(self.n_samples, &mut values);
            for spectrum in spectra {
                let bins = line.bins(spectrum);
                let amplitude: f64 = bins.zip(&values).map(|(x, g)| x.norm() * g).sum();
                strongest = strongest.max(amplitude / self.n_samples as f64);
            }
        }
        self.config.energy_floor * strongest * strongest
    }
}

impl Line {
    /// The Gaussian over the bins of the band.
    fn gaussian(&self, n_samples: usize, values: &mut [f64]) {
        let step = 1.0 / (n_samples as f64 * self.sigma);
        gaussian::fill(values, self.displacement(n_samples, 0), step);
    }

    /// The distance of a bin of the band from the centre in standard deviations.
    fn displacement(&self, n_samples: usize, bin: usize) -> f64 {
        ((self.first_bin + bin as i64) as f64 / n_samples as f64 - self.f0) / self.sigma
    }

    /// The band of a spectrum; negative bins lie at its end.
    fn bins<'s>(&self, spectrum: &'s [Complex<f64>]) -> impl Iterator<Item = &'s Complex<f64>> {
        let n_negative = (-self.first_bin).clamp(0, self.n_bins as i64) as usize;
        let start = if self.first_bin < 0 {
            (spectrum.len() as i64 + self.first_bin) as usize
        } else {
            0
        };
        let negative = &spectrum[start..start + n_negative];
        let first = self.first_bin.max(0) as usize;
        negative
            .iter()
            .chain(&spectrum[first..first + self.n_bins - n_negative])
    }
}

/// The spectrum of a clip.
fn spectrum(samples: &[f32]) -> Vec<Complex<f64>> {
    let mut spectrum: Vec<Complex<f64>> = samples
        .iter()
        .map(|x| Complex::new(f64::from(*x), 0.0))
        .collect();
    let plan = FftPlanner::new().plan_fft_forward(spectrum.len());
    plan.process(&mut spectrum);
    spectrum
}

fn number<T: FromPrimitive>(x: f64) -> T {
    T::from_f64(x).expect("every f64 has a nearest f32")
}

/// The buffers of one thread and its histogram.
struct Worker<'a, T: FftNum> {
    scan: &'a Scan<'a, T>,
    histogram: EnergyHistogram,
    floor: T,
    gaussian: Vec<f64>,
    /// The band of the filtered spectrum, turned from transform to transform.
    band: Vec<Complex<T>>,
    /// `-displacement` of each bin of the band: `η`'s band is this times `ξ`'s.
    slope: Vec<T>,
    xi: Vec<Complex<T>>,
    eta: Vec<Complex<T>>,
    scratch: Vec<Complex<T>>,
}

impl<'a, T: FftNum + Float> Worker<'a, T> {
    fn new(scan: &'a Scan<'a, T>, floor: f64) -> Self {
        Self {
            scan,
            histogram: EnergyHistogram::new(scan.config, scan.n_samples),
            floor: number(floor),
            gaussian: Vec::new(),
            band: Vec::new(),
            slope: Vec::new(),
            xi: Vec::new(),
            eta: Vec::new(),
            scratch: Vec::new(),
        }
    }

    fn scan(
        &mut self,
        line: &Line,
        sampling: Sampling,
        plan: &dyn Fft<T>,
        spectrum: &[Complex<f64>],
    ) {
        self.filter(line, spectrum);
        let zero = Complex::new(T::zero(), T::zero());
        self.scratch.resize(plan.get_inplace_scratch_len(), zero);
        let points = Points::new(self.scan.config, line, self.scan.n_samples, sampling);
        for transform in 0..sampling.n_transforms {
            if transform > 0 {
                for (z, twiddle) in self.band.iter_mut().zip(&self.scan.twiddles) {
                    *z = *z * twiddle;
                }
            }
            self.xi.clear();
            self.xi.extend_from_slice(&self.band);
            self.xi.resize(sampling.length, zero);
            self.eta.clear();
            let turned = self.band.iter().zip(&self.slope);
            self.eta.extend(turned.map(|(z, slope)| z.scale(*slope)));
            self.eta.resize(sampling.length, zero);
            plan.process_with_scratch(&mut self.xi, &mut self.scratch);
            plan.process_with_scratch(&mut self.eta, &mut self.scratch);
            points.collect(
                transform,
                &self.xi,
                &self.eta,
                self.floor,
                &mut self.histogram,
            );
        }
    }

    /// Fills `band` and `slope`.
    fn filter(&mut self, line: &Line, spectrum: &[Complex<f64>]) {
        let n_samples = self.scan.n_samples;
        self.gaussian.resize(line.n_bins, 0.0);
        line.gaussian(n_samples, &mut self.gaussian);
        let scale = 1.0 / n_samples as f64;
        let filtered = line.bins(spectrum).zip(&self.gaussian).map(|(x, g)| {
            let z = x.scale(g * scale);
            Complex::new(number(z.re), number(z.im))
        });
        self.band.clear();
        self.band.extend(filtered);
        self.slope.clear();
        let slopes = (0..line.n_bins).map(|bin| number::<T>(-line.displacement(n_samples, bin)));
        self.slope.extend(slopes);
    }
}

/// Where the points of a scan line go.
struct Points {
    n_samples: f64,
    /// The distance between the points of one transform, in samples.
    stride: f64,
    /// The distance between the transforms, in samples.
    offset: f64,
    weight: f64,
    tdeci: f64,
    /// `1 / (2π sigma)`: samples per unit of displacement.
    time_scale: f64,
    /// `sigma / f0`
    relative_width: f64,
    /// The (fractional) band of the centre frequency, and bands per natural logarithm.
    centre_band: f64,
    bands_per_e: f64,
    /// The limits of the frequency relative to the centre.
    lowest: f64,
    highest: f64,
}

impl Points {
    fn new(
        config: &HighResolutionConfig,
        line: &Line,
        n_samples: usize,
        sampling: Sampling,
    ) -> Self {
        let noct = f64::from(config.noct as f32);
        let n_points = (sampling.length * sampling.n_transforms) as f64;
        let spacing = n_samples as f64 / n_points;
        Self {
            n_samples: n_samples as f64,
            stride: spacing * sampling.n_transforms as f64,
            offset: spacing,
            weight: spacing,
            tdeci: config.tdeci as f64,
            time_scale: 1.0 / (std::f64::consts::TAU * line.sigma),
            relative_width: line.sigma / line.f0,
            centre_band: -noct * (line.f0 / config.maxf).log2() + 1.0,
            bands_per_e: noct * std::f64::consts::LOG2_E,
            lowest: config.minf / line.f0 - 1.0,
            highest: config.maxf / line.f0 - 1.0,
        }
    }

    /// Adds the points of one transform to the histogram.
    fn collect<T: FftNum + Float>(
        &self,
        transform: usize,
        xi: &[Complex<T>],
        eta: &[Complex<T>],
        floor: T,
        histogram: &mut EnergyHistogram,
    ) {
        let limit: T = number(MAX_DISPLACEMENT * MAX_DISPLACEMENT);
        let epsilon: T = number(EPSILON);
        let first = 1.0 + transform as f64 * self.offset;
        for (a, (xi, eta)) in xi.iter().zip(eta).enumerate() {
            let re = xi.re + epsilon;
            let energy = re * re + xi.im * xi.im;
            let displaced = eta.re * eta.re + eta.im * eta.im;
            // The comparison is false for energies that are no numbers.
            if displaced < limit * energy && energy >= floor {
                let inverse = T::one() / energy;
                let in_frequency = (eta.re * re + eta.im * xi.im) * inverse;
                let in_time = (eta.im * re - eta.re * xi.im) * inverse;
                let time = first + a as f64 * self.stride + wide(in_time) * self.time_scale;
                self.add(time, wide(in_frequency), wide(energy), histogram);
            }
        }
    }

    #[inline(always)]
    fn add(&self, time: f64, in_frequency: f64, energy: f64, histogram: &mut EnergyHistogram) {
        let relative = -in_frequency * self.relative_width;
        let inside = relative > self.lowest
            && relative < self.highest
            && time >= 1.0
            && time < self.n_samples;
        if inside {
            let band = self.centre_band - self.bands_per_e * ln_1p(relative);
            let band = band.round_ties_even() - 1.0;
            // Negative numbers become 0 in a cast; neither can be: time and band are at least 1.
            let band = band as usize;
            if self.weight > 1.0 {
                self.spread(time, band, energy, histogram);
            } else {
                let frame = (time / self.tdeci + 0.5).round_ties_even() - 1.0;
                histogram.add(frame as usize, band, energy, self.weight);
            }
        }
    }

    /// Adds a point that stands for `weight` samples: those that lie beyond a frame's edge go into
    /// the next frame. Without this a steady tone flickers, as frames hold now more, now fewer
    /// points.
    fn spread(&self, time: f64, band: usize, energy: f64, histogram: &mut EnergyHistogram) {
        let [start, end] = [-0.5, 0.5].map(|half| (time + half * self.weight) / self.tdeci);
        let frame = end.floor();
        let in_last = ((end - frame) / (end - start)).min(1.0);
        histogram.add(frame as usize, band, energy, self.weight * in_last);
        if in_last < 1.0 && frame >= 1.0 {
            let before = self.weight * (1.0 - in_last);
            histogram.add(frame as usize - 1, band, energy, before);
        }
    }
}

fn wide<T: Float>(x: T) -> f64 {
    x.to_f64().unwrap_or(f64::NAN)
}

/// `ln(1 + x)` for the small `x` of a reassignment (below .16 at q ½), to 1e-16; larger ones take the
/// library's.
#[inline(always)]
fn ln_1p(x: f64) -> f64 {
    if x.abs() > 0.17 {
        return x.ln_1p();
    }
    // ln(1 + x) = 2 artanh(s), s = x / (2 + x), |s| < .093: the series' next term is 1e-17.
    let s = x / (2.0 + x);
    let square = s * s;
    let series = 1.0 / 13.0;
    let series = series * square + 1.0 / 11.0;
    let series = series * square + 1.0 / 9.0;
    let series = series * square + 1.0 / 7.0;
    let series = series * square + 1.0 / 5.0;
    let series = series * square + 1.0 / 3.0;
    let series = series * square + 1.0;
    2.0 * s * series
}
