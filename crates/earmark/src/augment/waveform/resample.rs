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

/// Fills `output` with the waveform `input` read at positions 0, `step`, 2 `step`, …
///
/// A `step` of 2 plays twice as fast, and an octave higher; what cannot be represented then is
/// filtered out first. Positions outside of the input are silent. `step` must be positive and finite.
///
/// # Source
/// J. O. Smith: Digital audio resampling, band-limited interpolation with a Kaiser-windowed sinc.
pub fn resample(input: &[f32], step: f64, output: &mut [f32]) {
    let table = kernel();
    let cutoff = ROLL_OFF * step.recip().min(1.0);
    let reach = ZEROS as f64 / cutoff;
    let scale = cutoff * STEPS as f64;
    for (index, sample) in output.iter_mut().enumerate() {
        let centre = index as f64 * step;
        let first = (centre - reach).ceil().max(0.0) as usize;
        let end = ((centre + reach).floor() + 1.0).clamp(0.0, input.len() as f64) as usize;
        let mut sum = 0.0_f32;
        for (offset, value) in input.get(first..end).unwrap_or(&[]).iter().enumerate() {
            let place = ((first + offset) as f64 - centre).abs() * scale;
            let entry = place as usize;
            let part = (place - entry as f64) as f32;
            let [low, high] = [table[entry], table[entry + 1]];
            sum += value * (low + part * (high - low));
        }
        *sample = sum * cutoff as f32;
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
        // Rounding may land one entry beyond the end.
        table.extend([0.0; 2]);
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
