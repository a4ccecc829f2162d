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
//! 4. Fast: `M` samples in place of `N`, at `M` about twice `B`; every point stands for about `N / M`.
//!
//! Long clips are analysed chunk by chunk, see [`Chunks`].

use pulp::Arch;
use rayon::prelude::*;
use rustfft::num_complex::Complex;
use rustfft::num_traits::Float;
use rustfft::{Fft, FftNum, FftPlanner};
use std::sync::Arc;

use super::HighResolutionConfig;
use super::chunks::{Chunk, Chunks};
use super::gaussian;
use super::histogram::EnergyHistogram;
use super::points::{Collector, Points, Span, Transformed, number};

/// Half the width of an exact filter in standard deviations: beyond it `g` is below 1e-15.
const EXACT_WIDTH: f64 = 8.5;

/// Half the width of a fast filter in standard deviations.
const FAST_WIDTH: f64 = 5.0;

/// Samples of a fast scan line per bin of its band. Twice the bandwidth is what squares of the
/// samples need; a little more keeps stray samples of clicks in their cells. With 1.3 the energies of
/// clicks are 3.5 % off instead of 1 %.
const FAST_OVERSAMPLING: f64 = 2.2;

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
    /// Whether every sample of the clip is computed.
    is_complete: bool,
}

/// The method as published.
pub(super) fn exact(config: &HighResolutionConfig, channels: &[&[f32]]) -> EnergyHistogram {
    let chunks = Chunks::of(config, channels[0].len(), EXACT_WIDTH);
    exact_in(config, channels, &chunks)
}

fn exact_in(
    config: &HighResolutionConfig,
    channels: &[&[f32]],
    chunks: &Chunks,
) -> EnergyHistogram {
    let n_samples = chunks.length();
    let divisors: Vec<usize> = (1..=n_samples)
        .filter(|d| n_samples.is_multiple_of(*d) && is_smooth(*d))
        .collect();
    let sampling = |line: &Line| {
        let length = divisors.iter().copied().find(|d| *d >= line.n_bins);
        let length = length.unwrap_or(n_samples);
        Sampling {
            length,
            n_transforms: n_samples / length,
            is_complete: true,
        }
    };
    Scan::<f64>::new(config, n_samples, EXACT_WIDTH, sampling).run(channels, chunks)
}

/// The band-limited approximation.
pub(super) fn fast(config: &HighResolutionConfig, channels: &[&[f32]]) -> EnergyHistogram {
    let chunks = Chunks::of(config, channels[0].len(), FAST_WIDTH);
    fast_in(config, channels, &chunks)
}

fn fast_in(config: &HighResolutionConfig, channels: &[&[f32]], chunks: &Chunks) -> EnergyHistogram {
    let samples = channels.iter().flat_map(|channel| *channel);
    let peak = samples.fold(0.0, |peak: f32, x| peak.max(x.abs()));
    if peak == 0.0 {
        return EnergyHistogram::new(config, channels[0].len());
    }
    let n_samples = chunks.length();
    let least = FAST_SAMPLES_PER_FRAME * config.n_frames(n_samples);
    let sampling = |line: &Line| {
        let wished = (line.n_bins as f64 * FAST_OVERSAMPLING).ceil() as usize;
        let length = smooth_at_least(wished.max(least));
        // Close to the clip's own rate there is nothing to gain.
        let is_complete = length * 4 > n_samples * 3;
        Sampling {
            length: if is_complete { n_samples } else { length },
            n_transforms: 1,
            is_complete,
        }
    };
    // The squares of very quiet clips are no numbers of f32.
    let normalised: Vec<Vec<f32>> = channels
        .iter()
        .map(|channel| channel.iter().map(|x| x / peak).collect())
        .collect();
    let normalised: Vec<&[f32]> = normalised.iter().map(Vec::as_slice).collect();
    let scan = Scan::<f32>::new(config, n_samples, FAST_WIDTH, sampling);
    let mut histogram = scan.run(&normalised, chunks);
    let gain = f64::from(peak).powi(2);
    histogram
        .energy
        .iter_mut()
        .for_each(|energy| *energy *= gain);
    histogram
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

/// A length that is not below `length`, at most an eighth above it, and quick to transform.
pub(super) fn smooth_at_least(length: usize) -> usize {
    let eighth = length.next_power_of_two() / 16;
    let eighths = [8, 9, 10, 12, 15, 16];
    let lengths = eighths.iter().map(|n| n * eighth);
    lengths
        .into_iter()
        .find(|smooth| *smooth >= length)
        .unwrap_or(length.next_power_of_two())
}

/// All scan lines over chunks of one length.
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

    fn run(&self, channels: &[&[f32]], chunks: &Chunks) -> EnergyHistogram {
        let n_samples = channels[0].len();
        let spectra = |chunk: &Chunk| -> Vec<_> {
            let samples = channels
                .iter()
                .map(|samples| chunks.samples(chunk, samples));
            samples.map(|samples| spectrum(&samples)).collect()
        };
        let mut floor = 0.0;
        if self.config.energy_floor > 0.0 {
            for chunk in chunks.iter() {
                floor = f64::max(floor, self.energy_floor(&spectra(&chunk)));
            }
        }
        let mut sum = EnergyHistogram::new(self.config, n_samples);
        for chunk in chunks.iter() {
            self.add(&spectra(&chunk), chunk, floor, &mut sum);
        }
        sum
    }

    /// Adds a chunk's points to a histogram of the clip. Only as many groups as there are threads
    /// have a histogram at a time.
    fn add(
        &self,
        spectra: &[Vec<Complex<f64>>],
        chunk: Chunk,
        floor: f64,
        sum: &mut EnergyHistogram,
    ) {
        for lines in self
            .lines
            .chunks(GROUP * rayon::current_num_threads().max(1))
        {
            let groups: Vec<EnergyHistogram> = lines
                .par_chunks(GROUP)
                .map(|lines| {
                    let mut work = Worker::new(self, floor, chunk.span);
                    for (line, sampling, plan) in lines {
                        for spectrum in spectra {
                            work.scan(line, *sampling, plan.as_ref(), spectrum);
                        }
                    }
                    work.histogram
                })
                .collect();
            groups
                .iter()
                .for_each(|group| sum.merge(group, chunk.first_frame));
        }
    }

    /// The energy below which a sample is ignored: a share of the largest on any scan line. That is
    /// bounded by the sum of the spectrum under the widest filter, which needs no second pass.
    fn energy_floor(&self, spectra: &[Vec<Complex<f64>>]) -> f64 {
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

/// The buffers of one thread and its histogram.
struct Worker<'a, T: FftNum> {
    scan: &'a Scan<'a, T>,
    histogram: EnergyHistogram,
    span: Span,
    floor: T,
    gaussian: Vec<f64>,
    /// The band of the filtered spectrum, turned from transform to transform.
    band: Vec<Complex<T>>,
    /// `-displacement` of each bin of the band: `η`'s band is this times `ξ`'s.
    slope: Vec<T>,
    xi: Vec<Complex<T>>,
    eta: Vec<Complex<T>>,
    scratch: Vec<Complex<T>>,
    collector: Collector<T>,
    /// The instructions that the processor has.
    arch: Arch,
}

impl<'a, T: FftNum + Float> Worker<'a, T> {
    fn new(scan: &'a Scan<'a, T>, floor: f64, span: Span) -> Self {
        Self {
            scan,
            span,
            histogram: EnergyHistogram::new(scan.config, scan.n_samples),
            floor: number(floor),
            gaussian: Vec::new(),
            band: Vec::new(),
            slope: Vec::new(),
            xi: Vec::new(),
            eta: Vec::new(),
            scratch: Vec::new(),
            collector: Collector::new(),
            arch: Arch::new(),
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
        let n_points = sampling.length * sampling.n_transforms;
        let spacing = self.scan.n_samples as f64 / n_points as f64;
        let stride = spacing * sampling.n_transforms as f64;
        let mut points = Points::new(self.scan.config, line.f0, line.sigma, self.span);
        (points.spacing, points.stride) = (spacing, stride);
        for transform in 0..sampling.n_transforms {
            self.load(transform > 0, sampling.length);
            plan.process_with_scratch(&mut self.xi, &mut self.scratch);
            plan.process_with_scratch(&mut self.eta, &mut self.scratch);
            let transformed = Transformed {
                xi: &self.xi,
                eta: &self.eta,
                floor: self.floor,
            };
            if sampling.is_complete {
                self.collector
                    .all(&points, transform, &transformed, &mut self.histogram);
            } else {
                self.collector
                    .sampled(&points, &transformed, &mut self.histogram);
            }
        }
    }

    /// Fills `xi` and `eta` with the band, zeros behind it, for a transform; `is_next` turns the band
    /// from the transform before to this one.
    fn load(&mut self, is_next: bool, length: usize) {
        let zero = Complex::new(T::zero(), T::zero());
        self.xi.resize(length, zero);
        self.eta.resize(length, zero);
        let n_bins = self.band.len();
        let (xi, beyond_xi) = self.xi.split_at_mut(n_bins);
        let (eta, beyond_eta) = self.eta.split_at_mut(n_bins);
        beyond_xi.fill(zero);
        beyond_eta.fill(zero);
        let (band, slopes, twiddles) = (&mut self.band, &self.slope, &self.scan.twiddles);
        self.arch.dispatch(|| {
            if is_next {
                for (z, twiddle) in band.iter_mut().zip(twiddles) {
                    *z = *z * twiddle;
                }
            }
            for (((xi, eta), z), slope) in xi.iter_mut().zip(eta).zip(band).zip(slopes) {
                *xi = *z;
                *eta = z.scale(*slope);
            }
        });
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A chirp, a steady tone, clicks and a little noise.
    fn sound(n_samples: usize) -> Vec<f32> {
        let mut state = 1_u32;
        let sample = |n: usize| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let noise = f64::from(state >> 8) / f64::from(1 << 24) - 0.5;
            let t = n as f64;
            let rate = 0.3 / n_samples as f64;
            let chirp = (std::f64::consts::TAU * (0.03 + 0.5 * rate * t) * t).sin();
            let click = if n % 7919 == 4000 { 3.0 } else { 0.0 };
            (chirp + 0.5 * (0.9 * t).sin() + click + 0.01 * noise) as f32
        };
        (0..n_samples).map(sample).collect()
    }

    fn config(q: f64) -> HighResolutionConfig {
        HighResolutionConfig {
            tdeci: 100,
            over: 4,
            noct: 12.0,
            minf: 0.02,
            maxf: 0.45,
            ..HighResolutionConfig::new(q)
        }
    }

    fn relative_l1(found: &[f64], expected: &[f64]) -> f64 {
        let pairs = found.iter().zip(expected);
        let difference: f64 = pairs.map(|(a, b)| (a - b).abs()).sum();
        difference / expected.iter().sum::<f64>()
    }

    #[test]
    fn chunks_give_the_histogram_of_the_whole_clip() {
        let samples = sound(40_013);
        let channels: &[&[f32]] = &[&samples];
        for q in [0.5, 2.0, 8.0] {
            let config = config(q);
            let whole = Chunks::whole(samples.len());
            let chunks = |width| Chunks::of_length(&config, samples.len(), width, 16_384);
            let exact = exact_in(&config, channels, &whole);
            let found = exact_in(&config, channels, &chunks(EXACT_WIDTH));
            assert!(chunks(EXACT_WIDTH).iter().count() > 2);
            let error = relative_l1(&found.energy, &exact.energy);
            assert!(error < 1e-4, "exact, q {q}: {error:e}");
            let fast = fast_in(&config, channels, &whole);
            let found = fast_in(&config, channels, &chunks(FAST_WIDTH));
            let error = relative_l1(&found.energy, &fast.energy);
            assert!(error < 0.02, "fast, q {q}: {error:e}");
            assert_eq!(found.n_frames, 401);
        }
    }
}
