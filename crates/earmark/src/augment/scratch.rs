//! Buffers and Fourier transforms that are kept from clip to clip.

use std::sync::Arc;

use realfft::num_complex::Complex;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};

/// Working memory of one thread. It holds no state that changes a result.
#[derive(Default)]
pub struct Scratch {
    /// A real buffer that effects clear and fill as they like.
    pub(super) first: Vec<f32>,
    /// Complex buffer, likewise.
    pub(super) spectrum: Vec<Complex<f32>>,
    pub(super) transforms: Transforms,
}

impl std::fmt::Debug for Scratch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scratch").finish_non_exhaustive()
    }
}

/// Real Fourier transforms of any length; their tables are made once per length.
#[derive(Default)]
pub(super) struct Transforms {
    planner: RealFftPlanner<f32>,
    work: Vec<Complex<f32>>,
}

impl Transforms {
    /// The transform of `input`, not scaled. `input` is overwritten; `output` gets `n / 2 + 1` bins.
    pub(super) fn forward(&mut self, input: &mut [f32], output: &mut Vec<Complex<f32>>) {
        let fft: Arc<dyn RealToComplex<f32>> = self.planner.plan_fft_forward(input.len());
        output.resize(input.len() / 2 + 1, Complex::ZERO);
        self.work.resize(fft.get_scratch_len(), Complex::ZERO);
        fft.process_with_scratch(input, output, &mut self.work)
            .expect("the buffers were sized for this transform");
    }

    /// The inverse transform, not scaled: a round trip multiplies by the length of `output`.
    ///
    /// `input` is overwritten and holds `n / 2 + 1` bins; what is imaginary in the first and (for
    /// even lengths) in the last has no meaning for a real signal and is dropped.
    pub(super) fn inverse(&mut self, input: &mut [Complex<f32>], output: &mut [f32]) {
        let fft: Arc<dyn ComplexToReal<f32>> = self.planner.plan_fft_inverse(output.len());
        self.work.resize(fft.get_scratch_len(), Complex::ZERO);
        input[0].im = 0.0;
        if output.len().is_multiple_of(2) {
            input[output.len() / 2].im = 0.0;
        }
        fft.process_with_scratch(input, output, &mut self.work)
            .expect("the buffers were sized for this transform");
    }
}

/// Mean power of a waveform, 0 for an empty one.
pub(super) fn mean_power(samples: &[f32]) -> f64 {
    if samples.is_empty() {
        return 0.0;
    }
    let sum: f64 = samples.iter().map(|&s| f64::from(s) * f64::from(s)).sum();
    sum / samples.len() as f64
}

/// Largest absolute value of a waveform, 0 for an empty one.
pub(super) fn peak(samples: &[f32]) -> f32 {
    samples.iter().fold(0.0, |peak, s| s.abs().max(peak))
}

/// Linear gain of a level in dB.
pub(super) fn gain_from_db(db: f32) -> f32 {
    10.0_f32.powf(db / 20.0)
}
