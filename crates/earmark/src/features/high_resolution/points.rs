//! Reassignment: the samples of a filtered scan line in, energy at their true places out.
//!
//! With `m = η / ξ`, a sample's energy `|ξ|²` belongs `Im(m) / (2πσ)` samples later and `σ Re(m)`
//! lower in frequency; it counts if `|m|` is below ½.

use pulp::Arch;
use rustfft::FftNum;
use rustfft::num_complex::Complex;
use rustfft::num_traits::{Float, FromPrimitive};

use super::HighResolutionConfig;
use super::block::{BLOCK, Block};
use super::histogram::EnergyHistogram;

/// The largest displacement, in standard deviations of the filter.
pub(super) const MAX_DISPLACEMENT: f64 = 0.5;

/// Added to `ξ` before the division, as in the published program.
pub(super) const EPSILON: f64 = 1e-20;

/// The least energy of a decimated sample, for clips with a peak of 1: far below the rounding errors
/// of `f32`, far above its smallest numbers.
const LEAST_ENERGY: f64 = 1e-30;

/// Nearest number of the kind that transforms run in.
pub(super) fn number<T: FromPrimitive>(x: f64) -> T {
    T::from_f64(x).expect("every f64 has a nearest f32")
}

pub(super) fn wide<T: Float>(x: T) -> f64 {
    x.to_f64().unwrap_or(f64::NAN)
}

/// The nearest whole number, even ones at a tie. The library's function is a call where the target
/// has no instruction for it; adding and subtracting 1.5 · 2⁵² rounds any number below 2⁵¹.
#[inline(always)]
fn round_ties_even(x: f64) -> f64 {
    (x + ROUNDING) - ROUNDING
}

/// 1.5 · 2⁵².
pub(super) const ROUNDING: f64 = 6_755_399_441_055_744.0;

/// The part of a chunk that counts, in its own samples.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    /// The first sample that counts.
    pub(super) from: usize,
    /// The sample after the last one that counts.
    pub(super) to: usize,
    /// The first time, counted from 1, that lies within the clip.
    pub(super) earliest: f64,
    /// The time at which the clip is over.
    pub(super) latest: f64,
}

impl Span {
    /// All of a clip.
    pub(super) fn whole(n_samples: usize) -> Self {
        Self {
            from: 0,
            to: n_samples,
            earliest: 1.0,
            latest: n_samples as f64,
        }
    }
}

/// One transform of a scan line.
pub(super) struct Transformed<'a, T> {
    /// The filtered clip.
    pub(super) xi: &'a [Complex<T>],
    /// The clip filtered with the derivative.
    pub(super) eta: &'a [Complex<T>],
    /// Samples with less energy are ignored.
    pub(super) floor: T,
}

/// Where the points of a scan line go.
pub(super) struct Points {
    span: Span,
    /// The distance between the points of one transform, in samples.
    pub(super) stride: f64,
    /// The distance between the points of all transforms, in samples.
    pub(super) spacing: f64,
    tdeci: f64,
    /// `1 / (2π sigma)`: samples per unit of displacement.
    pub(super) time_scale: f64,
    /// `sigma / f0`
    pub(super) relative_width: f64,
    /// The (fractional) band of the centre frequency, and bands per natural logarithm.
    centre_band: f64,
    bands_per_e: f64,
    /// The limits of the frequency relative to the centre.
    lowest: f64,
    highest: f64,
}

/// A sample's energy and displacement.
#[derive(Debug)]
struct Point {
    energy: f64,
    in_time: f64,
    in_frequency: f64,
}

impl Points {
    /// The points of a scan line at `f0` cycles per sample, one per sample.
    pub(super) fn new(config: &HighResolutionConfig, f0: f64, sigma: f64, span: Span) -> Self {
        let noct = f64::from(config.noct as f32);
        Self {
            span,
            stride: 1.0,
            spacing: 1.0,
            tdeci: config.tdeci as f64,
            time_scale: 1.0 / (std::f64::consts::TAU * sigma),
            relative_width: sigma / f0,
            centre_band: -noct * (f0 / config.maxf).log2() + 1.0,
            bands_per_e: noct * std::f64::consts::LOG2_E,
            lowest: config.minf / f0 - 1.0,
            highest: config.maxf / f0 - 1.0,
        }
    }

    /// The points of a transform that count: `first` is the time of its first point.
    fn counting(&self, first: f64, n_points: usize) -> std::ops::Range<usize> {
        let index = |sample: usize| {
            let place = ((sample + 1) as f64 - first) / self.stride;
            (place.ceil().max(0.0) as usize).min(n_points)
        };
        index(self.span.from)..index(self.span.to)
    }

    /// The band of a point at a time in samples (from 1), if it lies inside of the histogram.
    #[inline(always)]
    fn place(&self, time: f64, in_frequency: f64) -> Option<usize> {
        let relative = -in_frequency * self.relative_width;
        self.is_inside(time, relative)
            .then(|| self.band(relative, ln_1p) as usize)
    }

    /// Whether a time in samples (from 1) and a frequency relative to the centre lie inside of the histogram.
    #[inline(always)]
    pub(super) fn is_inside(&self, time: f64, relative: f64) -> bool {
        (relative > self.lowest)
            & (relative < self.highest)
            & (time >= self.span.earliest)
            & (time < self.span.latest)
    }

    /// The band of a frequency relative to the centre, a whole number, at least 0 within the limits.
    #[inline(always)]
    pub(super) fn band(&self, relative: f64, ln_1p: impl Fn(f64) -> f64) -> f64 {
        round_ties_even(self.centre_band - self.bands_per_e * ln_1p(relative)) - 1.0
    }

    /// The frame of a time in samples (from 1), a whole number.
    #[inline(always)]
    pub(super) fn frame(&self, time: f64) -> f64 {
        round_ties_even(time / self.tdeci + 0.5) - 1.0
    }

    /// Adds a point that stands for `weight` samples, whose own places reach over `reach` samples of
    /// time before and after it: those beyond a frame's edge go into the neighbouring frame.
    /// Without this a steady tone flickers, as frames hold now more, now fewer points.
    #[inline(always)]
    fn spread(
        &self,
        time: f64,
        reach: [f64; 2],
        weight: f64,
        point: &Point,
        histogram: &mut EnergyHistogram,
    ) {
        let Some(band) = self.place(time, point.in_frequency) else {
            return;
        };
        let [before, after] = reach;
        let to = time + after;
        let frame = (to / self.tdeci) as usize;
        let beyond = to - frame as f64 * self.tdeci;
        let width = before + after;
        if beyond >= width || frame == 0 {
            histogram.add(frame, band, point.energy, weight);
        } else {
            let in_last = beyond / width;
            histogram.add(frame, band, point.energy, weight * in_last);
            histogram.add(frame - 1, band, point.energy, weight * (1.0 - in_last));
        }
    }
}

/// Chooses the samples that count and sends them to the histogram; holds the buffers.
#[derive(Debug)]
pub(super) struct Collector<T> {
    /// The instructions that the processor has.
    arch: Arch,
    block: Box<Block>,
    /// The numbers of the samples that count.
    chosen: Vec<u32>,
    /// `|m|` of every sample, between two large numbers.
    displacement: Vec<T>,
    /// The least `|m|` around every sample.
    nearest: Vec<T>,
    /// The samples that count, with their times.
    reassigned: Vec<(f64, Point)>,
}

impl<T: FftNum + Float> Collector<T> {
    pub(super) fn new() -> Self {
        Self {
            arch: Arch::new(),
            block: Block::new(),
            chosen: Vec::new(),
            displacement: Vec::new(),
            nearest: Vec::new(),
            reassigned: Vec::new(),
        }
    }

    /// Adds every sample of an exact scan line that counts.
    pub(super) fn all(
        &mut self,
        points: &Points,
        transform: usize,
        transformed: &Transformed<'_, T>,
        histogram: &mut EnergyHistogram,
    ) {
        let Transformed { xi, eta, floor } = *transformed;
        let first = 1.0 + transform as f64 * points.spacing;
        let counting = points.counting(first, xi.len());
        let first = first + counting.start as f64 * points.stride;
        let (xi, eta) = (&xi[counting.clone()], &eta[counting]);
        let arch = self.arch;
        arch.dispatch(|| {
            for (at, (xi, eta)) in xi.chunks(BLOCK).zip(eta.chunks(BLOCK)).enumerate() {
                let start = first + (at * BLOCK) as f64 * points.stride;
                self.block.add(points, start, [xi, eta], floor, histogram);
            }
        });
    }

    /// Adds the samples of a decimated scan line that count, each for as many of the clip's samples
    /// as it stands for.
    pub(super) fn sampled(
        &mut self,
        points: &Points,
        transformed: &Transformed<'_, T>,
        histogram: &mut EnergyHistogram,
    ) {
        let arch = self.arch;
        arch.dispatch(|| self.add_sampled(points, transformed, histogram));
    }

    #[inline(always)]
    fn add_sampled(
        &mut self,
        points: &Points,
        transformed: &Transformed<'_, T>,
        histogram: &mut EnergyHistogram,
    ) {
        let Transformed { xi, eta, floor } = *transformed;
        let limit: T = number(MAX_DISPLACEMENT);
        let floor = floor.max(number(LEAST_ENERGY));
        let counting = points.counting(1.0, xi.len());
        self.measure(xi, eta);
        self.chosen.resize(xi.len() + 1, 0);
        let mut n_chosen = 0;
        let candidates = self.nearest[counting.clone()]
            .iter()
            .zip(&xi[counting.clone()]);
        for (i, (nearest, xi)) in candidates.enumerate() {
            let counts = (*nearest < limit) & (xi.norm_sqr() >= floor);
            self.chosen[n_chosen] = (counting.start + i) as u32;
            n_chosen += usize::from(counts);
        }
        let chosen = &self.chosen[..n_chosen];
        self.reassigned.clear();
        self.reassigned.extend(chosen.iter().map(|i| {
            let i = *i as usize;
            let point = reassigned(xi[i], eta[i], T::zero());
            let time = 1.0 + i as f64 * points.stride + point.in_time * points.time_scale;
            (time, point)
        }));
        // Half the way to the next sample's place, if that sample counts too.
        let way_after = |k: usize| {
            let follows = k + 1 < n_chosen && chosen[k + 1] == chosen[k] + 1;
            let way = || 0.5 * (self.reassigned[k + 1].0 - self.reassigned[k].0);
            // `max` and `min` also replace what is no number.
            follows.then(|| way().max(0.0).min(points.spacing))
        };
        let mut before = None;
        for (k, (time, point)) in self.reassigned.iter().enumerate() {
            let after = way_after(k);
            let reach = [before.or(after), after.or(before)].map(|way| way.unwrap_or(0.0));
            let weight = self.n_counting(points, chosen[k] as usize);
            points.spread(*time, reach, weight, point, histogram);
            before = after;
        }
    }

    /// Fills `displacement`, and `nearest` with the least displacement on the way to the middles
    /// between a sample and its neighbours.
    #[inline(always)]
    fn measure(&mut self, xi: &[Complex<T>], eta: &[Complex<T>]) {
        // Far beyond the limit, so that zeros of ξ count for nothing; also replaces 0 / 0.
        let far: T = number(1e3);
        let of = |(xi, eta): (&Complex<T>, &Complex<T>)| {
            (eta.norm_sqr() / xi.norm_sqr()).sqrt().min(far)
        };
        self.displacement.clear();
        self.displacement.push(far);
        self.displacement.extend(xi.iter().zip(eta).map(of));
        self.displacement.push(far);
        let half: T = number(0.5);
        let nearest = |around: &[T]| {
            let neighbour = around[0].min(around[2]);
            around[1].min(half * (around[1] + neighbour))
        };
        self.nearest.clear();
        self.nearest
            .extend(self.displacement.windows(3).map(nearest));
    }

    /// The number of the clip's samples around a computed one that count: those between the middles
    /// to its neighbours at which `|m|`, taken as a straight line, is below the limit.
    #[inline(always)]
    fn n_counting(&self, points: &Points, i: usize) -> f64 {
        let [before, here, after] = [0, 1, 2].map(|k| wide(self.displacement[i + k]));
        let place = 1.0 + i as f64 * points.spacing;
        let half = 0.5 * points.spacing;
        let [earlier, later] =
            [before, after].map(|there| Stretch::new(here, 0.5 * (here + there)));
        // The edge of a stretch is moved to the middle between two samples of the clip, of which
        // one counts.
        let up = |x: f64| x.ceil() - 0.5;
        let down = |x: f64| x.floor() + 0.5;
        let later = match later {
            Stretch::All => half,
            Stretch::Nothing => 0.0,
            Stretch::Until(share) => down(place + share * half) - place,
            Stretch::From(share) => place + half - up(place + share * half),
        };
        let earlier = match earlier {
            Stretch::All => half,
            Stretch::Nothing => 0.0,
            Stretch::Until(share) => place - up(place - share * half),
            Stretch::From(share) => down(place - share * half) - (place - half),
        };
        (earlier + later).max(0.0)
    }
}

/// The part of the way from a sample to the middle between it and a neighbour that counts.
enum Stretch {
    All,
    Nothing,
    /// From the sample to this share of the way.
    Until(f64),
    /// From this share of the way on.
    From(f64),
}

impl Stretch {
    /// `|m|` goes straight from `here` to `there`.
    fn new(here: f64, there: f64) -> Self {
        let share = (MAX_DISPLACEMENT - here) / (there - here);
        match (here < MAX_DISPLACEMENT, there < MAX_DISPLACEMENT) {
            (true, true) => Self::All,
            (false, false) => Self::Nothing,
            (true, false) => Self::Until(share),
            (false, true) => Self::From(share),
        }
    }
}

/// A sample's energy and displacement.
#[inline(always)]
fn reassigned<T: FftNum + Float>(xi: Complex<T>, eta: Complex<T>, epsilon: T) -> Point {
    let re = xi.re + epsilon;
    let energy = re * re + xi.im * xi.im;
    let inverse = T::one() / energy;
    Point {
        energy: wide(energy),
        in_time: wide((eta.im * re - eta.re * xi.im) * inverse),
        in_frequency: wide((eta.re * re + eta.im * xi.im) * inverse),
    }
}

/// The largest `x` that [`ln_1p_small`] is good for.
pub(super) const MAX_SMALL: f64 = 0.17;

/// `ln(1 + x)` for the small `x` of a reassignment (below .16 at q ½), to 1e-16; larger ones take the
/// library's.
#[inline(always)]
pub(super) fn ln_1p(x: f64) -> f64 {
    if x.abs() > MAX_SMALL {
        return x.ln_1p();
    }
    ln_1p_small(x)
}

/// `ln(1 + x)` for `x` up to [`MAX_SMALL`], to 1e-16.
#[inline(always)]
pub(super) fn ln_1p_small(x: f64) -> f64 {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_series_agrees_with_the_library() {
        for i in -1700..=1700 {
            let x = f64::from(i) * 1e-4;
            assert!((ln_1p(x) - x.ln_1p()).abs() < 3e-16, "at {x}");
        }
    }

    #[test]
    fn ties_round_to_even() {
        for (x, expected) in [
            (0.5, 0.0),
            (1.5, 2.0),
            (2.5, 2.0),
            (2.4999, 2.0),
            (1e6, 1e6),
        ] {
            assert_eq!(round_ties_even(x), expected);
        }
    }
}
