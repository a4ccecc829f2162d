//! Time stretching by a phase vocoder: longer or shorter at the same pitch.
//!
//! 1. Frames are cut from the input at steps of `hop / factor` and laid down at steps of `hop`.
//! 2. A second frame, cut exactly one `hop` before each, tells how far every partial's phase turns
//!    in the time between two output frames. No frequency is estimated and no phase unwrapped, so
//!    there is no rounding to a bin and no error that grows with the factor.
//! 3. Only the peaks of the spectrum are turned; the bins around a peak turn with it (identity
//!    phase locking). Their phases keep their relations, which is what keeps the sound close
//!    instead of far down a corridor.
//! 4. A frame that is much louder than the one a hop before it is an attack: all its bins keep their
//!    own phases, so that a drum stays a drum.
//!
//! # Source
//! J. Laroche, M. Dolson: Improved phase vocoder time-scale modification of audio, 1999;
//! M. Puckette: Phase-locked vocoder, 1995, for the second frame.

use realfft::num_complex::Complex;

use crate::augment::scratch::Transforms;

/// Energy ratio between a frame and the one a hop before it that makes it an attack.
const ATTACK_RATIO: f32 = 4.0;
/// Overlap of the frames: a hop is this part of a frame.
const OVERLAP: usize = 4;

/// Stretches a waveform in time: `output` gets `input.len() * factor` samples, rounded.
///
/// `n_fft` is the frame's length in samples, a multiple of 4; about 46 ms suit most sounds.
/// `factor` must be positive and finite; above 1 the sound becomes longer.
pub fn stretch(input: &[f32], factor: f64, n_fft: usize, output: &mut Vec<f32>) {
    let transforms = &mut Transforms::default();
    stretch_with(transforms, input, factor, n_fft, output);
}

/// [`stretch`] with transforms that were planned before.
pub(super) fn stretch_with(
    transforms: &mut Transforms,
    input: &[f32],
    factor: f64,
    n_fft: usize,
    output: &mut Vec<f32>,
) {
    let n_output = (input.len() as f64 * factor).round() as usize;
    let hop = n_fft / OVERLAP;
    output.clear();
    output.resize(n_output, 0.0);
    let mut weights = vec![0.0; n_output];
    let mut frames = Frames::new(n_fft);
    // From one hop before the start to one after the end, so that each sample lies in four frames.
    for index in 0..n_output / hop + OVERLAP {
        let centre = (index as i64 - 1) * hop as i64;
        let start = (centre as f64 / factor).round() as i64 - n_fft as i64 / 2;
        frames.advance(transforms, input, start, hop);
        frames.lay_down(centre - n_fft as i64 / 2, output, &mut weights);
    }
    for (sample, weight) in output.iter_mut().zip(&weights) {
        *sample /= weight.max(0.1);
    }
}

/// One output frame after the other.
struct Frames {
    /// Periodic Hann window.
    window: Vec<f32>,
    /// A frame's samples, before and after.
    frame: Vec<f32>,
    /// The spectrum at the place of the output frame, and one hop before it.
    now: Vec<Complex<f32>>,
    before: Vec<Complex<f32>>,
    /// The spectrum of the last output frame.
    last: Vec<Complex<f32>>,
    /// Magnitudes (squared) of `now`, and where they peak.
    power: Vec<f32>,
    peaks: Vec<usize>,
}

impl Frames {
    fn new(n_fft: usize) -> Self {
        let n_bins = n_fft / 2 + 1;
        let step = std::f64::consts::TAU / n_fft as f64;
        Self {
            window: (0..n_fft)
                .map(|i| (0.5 - 0.5 * (step * i as f64).cos()) as f32)
                .collect(),
            frame: vec![0.0; n_fft],
            now: Vec::with_capacity(n_bins),
            before: Vec::with_capacity(n_bins),
            last: vec![Complex::ZERO; n_bins],
            power: Vec::with_capacity(n_bins),
            peaks: Vec::new(),
        }
    }

    /// Works out the next output frame from the input at `start`, into `frame`.
    fn advance(&mut self, transforms: &mut Transforms, input: &[f32], start: i64, hop: usize) {
        cut(input, start - hop as i64, &self.window, &mut self.frame);
        transforms.forward(&mut self.frame, &mut self.before);
        cut(input, start, &self.window, &mut self.frame);
        transforms.forward(&mut self.frame, &mut self.now);
        self.power.clear();
        self.power.extend(self.now.iter().map(Complex::norm_sqr));
        let energy: f32 = self.power.iter().sum();
        let energy_before: f32 = self.before.iter().map(Complex::norm_sqr).sum();
        if energy <= ATTACK_RATIO * energy_before {
            self.turn_peaks();
        }
        self.last.copy_from_slice(&self.now);
        transforms.inverse(&mut self.now, &mut self.frame);
    }

    /// Turns every peak, and the bins around it, on from where the last output frame left it.
    fn turn_peaks(&mut self) {
        find_peaks(&self.power, &mut self.peaks);
        let mut start = 0;
        for (index, &peak) in self.peaks.iter().enumerate() {
            let end = match self.peaks.get(index + 1) {
                Some(&next) => (peak + next).div_ceil(2),
                None => self.now.len(),
            };
            let turn = self.last[peak] * self.before[peak].conj();
            let size = turn.norm();
            if size > f32::MIN_POSITIVE {
                let turn = turn / size;
                self.now[start..end].iter_mut().for_each(|bin| *bin *= turn);
            }
            start = end;
        }
    }

    /// Adds the frame to the output from `start` on, and its weight to the weights.
    fn lay_down(&self, start: i64, output: &mut [f32], weights: &mut [f32]) {
        let scale = 1.0 / self.window.len() as f32;
        let skipped = usize::try_from(-start).unwrap_or(0);
        let start = usize::try_from(start).unwrap_or(0).min(output.len());
        let pairs = output[start..].iter_mut().zip(&mut weights[start..]);
        let frame = self.frame.iter().zip(&self.window).skip(skipped);
        for ((sample, weight), (value, window)) in pairs.zip(frame) {
            *sample += value * window * scale;
            *weight += window * window;
        }
    }
}

/// Copies a windowed frame from `start` on; what lies outside of the input is silent.
fn cut(input: &[f32], start: i64, window: &[f32], frame: &mut [f32]) {
    for (index, (value, window)) in frame.iter_mut().zip(window).enumerate() {
        let place = usize::try_from(start + index as i64).ok();
        let sample = place.and_then(|place| input.get(place)).copied();
        *value = window * sample.unwrap_or(0.0);
    }
}

/// The bins that are louder than the two on either side of them.
fn find_peaks(power: &[f32], peaks: &mut Vec<usize>) {
    peaks.clear();
    for bin in 0..power.len() {
        let around = bin.saturating_sub(2)..(bin + 3).min(power.len());
        let here = power[bin];
        let highest = around
            .clone()
            .all(|other| here > power[other] || (other >= bin && here == power[other]));
        if here > 0.0 && highest {
            peaks.push(bin);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::augment::waveform::tests::sine;

    #[test]
    fn a_factor_of_one_gives_the_input_back() {
        let input: Vec<f32> = sine(331.0, 0.4, 16_000);
        let mut output = Vec::new();
        stretch(&input, 1.0, 1024, &mut output);
        let worst = input
            .iter()
            .zip(&output)
            .fold(0.0_f32, |worst, (a, b)| worst.max((a - b).abs()));
        assert!(worst < 1e-4, "{worst}");
    }

    #[test]
    fn a_click_stays_one_click_at_its_place() {
        let mut input = vec![0.0; 16_000];
        input[8000] = 1.0;
        for factor in [0.6, 1.5] {
            let mut output = Vec::new();
            stretch(&input, factor, 1024, &mut output);
            let energy: f32 = output.iter().map(|s| s * s).sum();
            let place = (8000.0 * factor) as usize;
            let near: f32 = output[place - 300..place + 300].iter().map(|s| s * s).sum();
            assert!(near > 0.9 * energy, "factor {factor}: {near} of {energy}");
        }
    }

    #[test]
    fn nothing_and_silence_stay_what_they_are() {
        let mut output = vec![1.0];
        stretch(&[], 2.0, 256, &mut output);
        assert!(output.is_empty());
        stretch(&[0.0; 1000], 2.0, 256, &mut output);
        assert_eq!(output, [0.0; 2000]);
    }
}
