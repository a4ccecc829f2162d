//! Convolution by Fourier transforms.

use realfft::num_complex::Complex;

use crate::augment::scratch::Transforms;

/// The shortest block; below it the transforms cost less than their calls.
const LEAST_BLOCK: usize = 4096;

/// Convolves `samples` in place with `response`; the tail beyond the clip's end is cut off.
///
/// `samples[i]` becomes the sum over `j` of `response[j] * samples[i - j]`. An empty response gives
/// silence.
pub fn convolve(samples: &mut [f32], response: &[f32]) {
    convolve_with(&mut Transforms::default(), samples, response);
}

/// [`convolve`] with transforms that were planned before.
///
/// Overlap-add: blocks as long as fit into a transform of twice the response's length.
pub(super) fn convolve_with(transforms: &mut Transforms, samples: &mut [f32], response: &[f32]) {
    let response = &response[..response.len().min(samples.len())];
    if response.is_empty() {
        samples.fill(0.0);
        return;
    }
    let n_fft = (2 * response.len()).next_power_of_two().max(LEAST_BLOCK);
    let block = n_fft + 1 - response.len();
    let scale = 1.0 / n_fft as f32;
    let mut buffer = vec![0.0; n_fft];
    buffer[..response.len()].copy_from_slice(response);
    let mut transfer = Vec::new();
    transforms.forward(&mut buffer, &mut transfer);

    let mut spectrum: Vec<Complex<f32>> = Vec::new();
    // What the last block rang on into this one.
    let mut tail = vec![0.0; response.len() - 1];
    for part in samples.chunks_mut(block) {
        buffer.fill(0.0);
        buffer[..part.len()].copy_from_slice(part);
        transforms.forward(&mut buffer, &mut spectrum);
        for (bin, transfer) in spectrum.iter_mut().zip(&transfer) {
            *bin *= transfer * scale;
        }
        transforms.inverse(&mut spectrum, &mut buffer);
        for (sample, tail) in buffer.iter_mut().zip(&tail) {
            *sample += tail;
        }
        part.copy_from_slice(&buffer[..part.len()]);
        if part.len() == block {
            tail.copy_from_slice(&buffer[block..]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::augment::ClipRng;

    #[test]
    fn it_equals_the_sum_of_its_definition() {
        let mut rng = ClipRng::new(1, 0, "convolve");
        let mut noise = |n: usize| -> Vec<f32> { (0..n).map(|_| rng.unit() - 0.5).collect() };
        // Shorter than a block, several blocks, and a response longer than the clip.
        for (n_samples, n_response) in [(100, 7), (9000, 300), (13_000, 2500), (500, 900), (1, 1)] {
            let samples = noise(n_samples);
            let response = noise(n_response);
            let mut fast = samples.clone();
            convolve(&mut fast, &response);
            for i in (0..n_samples).step_by(37) {
                let exact: f64 = (0..n_response.min(i + 1))
                    .map(|j| f64::from(response[j]) * f64::from(samples[i - j]))
                    .sum();
                assert!(
                    (exact - f64::from(fast[i])).abs() < 1e-4,
                    "{n_samples} {n_response} {i}"
                );
            }
        }
    }
}
