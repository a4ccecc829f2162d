//! Resampling by any ratio, for effects that play a clip faster, slower or through a narrow channel.
//!
//! Files are resampled by `audio`; this is the small version for whole clips in memory, with a
//! ratio that is different for every clip and a length that the caller chooses.

use std::sync::OnceLock;

/// Zero crossings of the kernel on each side. 24 give about 80 dB of stop band with the window below.
const ZEROS: usize = 24;
/// Table entries per zero crossing; linear interpolation between them is exact to about −100 dB.
const STEPS: usize = 512;
/// The pass band's share of what the lower sample rate can carry.
const ROLL_OFF: f64 = 0.945;
/// Kaiser window shape for about 80 dB.
const KAISER_BETA: f64 = 8.0;

/// Places between two samples for which the kernel's taps are kept; linear interpolation between them is
/// exact to about −100 dB.
const N_PHASES: usize = 256;
/// Taps are added in so many lanes, which the compiler makes vectors of.
const N_LANES: usize = 8;

/// Fills `output` with the waveform `input` read at positions 0, `step`, 2 `step`, …
///
/// A `step` of 2 plays twice as fast, and an octave higher; what cannot be represented then is
/// filtered out first. Positions outside of the input are silent. `step` must be positive and finite.
///
/// # Source
/// J. O. Smith: Digital audio resampling, band-limited interpolation with a Kaiser-windowed sinc.
pub fn resample(input: &[f32], step: f64, output: &mut [f32]) {
    let filter = Filter::new(step);
    let n_taps = filter.n_taps;
    let mut padded = vec![0.0; filter.n_before];
    padded.extend_from_slice(input);
    padded.resize(padded.len() + n_taps, 0.0);
    for (index, sample) in output.iter_mut().enumerate() {
        let centre = index as f64 * step;
        let place = centre.fract() * N_PHASES as f64;
        let heard = (centre as usize)
            .checked_add(n_taps)
            .and_then(|end| padded.get(end - n_taps..end));
        *sample = match heard {
            Some(heard) => filter.apply(heard, place),
            None => 0.0,
        };
    }
}

/// The kernel's taps at [`N_PHASES`] places between two samples, and at the second of them.
struct Filter {
    /// `[phase, tap]`.
    taps: Vec<f32>,
    n_taps: usize,
    /// Taps before the sample at or before the place.
    n_before: usize,
}

impl Filter {
    fn new(step: f64) -> Self {
        let table = kernel();
        let cutoff = ROLL_OFF * step.recip().min(1.0);
        let half = (ZEROS as f64 / cutoff).ceil() as usize;
        let n_taps = (2 * half).next_multiple_of(N_LANES);
        let tap = |phase: usize, tap: usize| {
            let offset = tap as f64 - (half - 1) as f64;
            let place = (offset - phase as f64 / N_PHASES as f64).abs() * cutoff * STEPS as f64;
            let entry = place as usize;
            match table.get(entry..entry + 2) {
                Some(&[low, high]) => {
                    (low + (place - entry as f64) as f32 * (high - low)) * cutoff as f32
                }
                _ => 0.0,
            }
        };
        Self {
            taps: (0..=N_PHASES)
                .flat_map(|phase| (0..n_taps).map(move |t| tap(phase, t)))
                .collect(),
            n_taps,
            n_before: half - 1,
        }
    }

    /// The sample at a place in phases, from 0 to below [`N_PHASES`], between the samples of `heard`.
    fn apply(&self, heard: &[f32], place: f64) -> f32 {
        let phase = place as usize;
        let rows = &self.taps[phase * self.n_taps..(phase + 2) * self.n_taps];
        let (low, high) = rows.split_at(self.n_taps);
        let [mut at_low, mut at_high] = [[0.0_f32; N_LANES]; 2];
        let lanes = heard.chunks_exact(N_LANES);
        let taps = low.chunks_exact(N_LANES).zip(high.chunks_exact(N_LANES));
        for (heard, (low, high)) in lanes.zip(taps) {
            for lane in 0..N_LANES {
                at_low[lane] += heard[lane] * low[lane];
                at_high[lane] += heard[lane] * high[lane];
            }
        }
        let part = (place - phase as f64) as f32;
        let [low, high] = [at_low, at_high].map(|lanes| lanes.iter().sum::<f32>());
        low + part * (high - low)
    }
}

/// The right half of the kernel, from its centre to beyond its last zero.
fn kernel() -> &'static [f32] {
    static KERNEL: OnceLock<Vec<f32>> = OnceLock::new();
    KERNEL.get_or_init(|| {
        let mut table: Vec<f32> = (0..=ZEROS * STEPS)
            .map(|entry| {
                let x = entry as f64 / STEPS as f64;
                let across = x / ZEROS as f64;
                let window = bessel_i0(KAISER_BETA * (1.0 - across * across).max(0.0).sqrt());
                (sinc(x) * window / bessel_i0(KAISER_BETA)) as f32
            })
            .collect();
        table.push(0.0);
        table
    })
}

fn sinc(x: f64) -> f64 {
    if x == 0.0 {
        return 1.0;
    }
    let angle = std::f64::consts::PI * x;
    angle.sin() / angle
}

/// The modified Bessel function of order 0, by its power series.
fn bessel_i0(x: f64) -> f64 {
    let quarter = x * x / 4.0;
    let (mut sum, mut term) = (1.0, 1.0);
    for k in 1..50 {
        term *= quarter / f64::from(k * k);
        sum += term;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::augment::waveform::tests::sine;

    #[test]
    fn a_sine_read_at_another_step_is_a_sine_of_another_frequency() {
        for step in [0.5, 0.7937, 1.0, 1.3] {
            let input = sine(500.0, 0.5, 16_000);
            let mut output = vec![0.0; 4000];
            resample(&input, step, &mut output);
            let expected = sine(500.0 * step, 0.25, 16_000);
            let worst = output[200..3800]
                .iter()
                .zip(&expected[200..3800])
                .fold(0.0_f32, |worst, (a, b)| worst.max((a - b).abs()));
            assert!(worst < 1e-3, "step {step}: {worst}");
        }
    }

    #[test]
    fn what_is_above_the_new_range_is_gone() {
        let input = sine(6000.0, 0.5, 16_000);
        let mut output = vec![0.0; 4000];
        resample(&input, 2.0, &mut output);
        let loudest = output[200..3800]
            .iter()
            .fold(0.0_f32, |m, s| m.max(s.abs()));
        assert!(loudest < 1e-3, "{loudest}");
    }

    #[test]
    fn beyond_the_input_there_is_silence() {
        let mut output = vec![1.0; 100];
        resample(&[1.0], 3.0, &mut output);
        assert_eq!(output[99], 0.0);
        resample(&[], 3.0, &mut output);
        assert_eq!(output, [0.0; 100]);
    }
}
