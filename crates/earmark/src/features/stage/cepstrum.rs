//! The cosine transform over the bands that makes cepstral coefficients.

use std::f64::consts::PI;

use crate::Result;
use crate::features::check;
use crate::features::matrix::Matrix;

/// An orthonormal DCT-II with liftering, as a matrix.
#[derive(Debug, Clone)]
pub(crate) struct Cepstrum {
    /// `[coefficient, band]`
    weights: Vec<f32>,
    n_bands: usize,
}

impl Cepstrum {
    pub(super) fn new(n_bands: usize, n_coefficients: usize, lifter: f64) -> Result<Self> {
        check::range("steps.n_coefficients", n_coefficients, 1, n_bands)?;
        check::that(
            lifter.is_finite() && lifter >= 0.0,
            "steps.lifter",
            || lifter.to_string(),
            || "must not be negative".to_owned(),
        )?;
        let n = n_bands as f64;
        let mut weights = Vec::with_capacity(n_coefficients * n_bands);
        for k in 0..n_coefficients {
            let norm = if k == 0 {
                (1.0 / n).sqrt()
            } else {
                (2.0 / n).sqrt()
            };
            let lift = if lifter == 0.0 {
                1.0
            } else {
                1.0 + lifter / 2.0 * (PI * (k + 1) as f64 / lifter).sin()
            };
            let cosine = |band: usize| (PI * k as f64 * (band as f64 + 0.5) / n).cos();
            weights.extend((0..n_bands).map(|band| (norm * lift * cosine(band)) as f32));
        }
        Ok(Self { weights, n_bands })
    }

    pub(super) fn n_coefficients(&self) -> usize {
        self.weights.len() / self.n_bands
    }

    /// The coefficients of every frame. The sum over the bands runs frame by frame side by side:
    /// it does not depend on how many frames there are.
    pub(super) fn apply(&self, matrix: &Matrix) -> Matrix {
        let mut out = Matrix::zeros(self.n_coefficients(), matrix.n_frames);
        for (k, weights) in self.weights.chunks_exact(self.n_bands).enumerate() {
            let sums = out.row_mut(k);
            for (band, weight) in weights.iter().enumerate() {
                for (sum, value) in sums.iter_mut().zip(matrix.row(band)) {
                    *sum += weight * value;
                }
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_orthonormal_transform_keeps_the_energy() {
        let cepstrum = Cepstrum::new(7, 7, 0.0).unwrap();
        let matrix = Matrix {
            data: vec![1.0, -2.0, 0.5, 3.0, 0.0, -1.0, 2.5],
            n_bands: 7,
            n_frames: 1,
        };
        let energy = |m: &Matrix| m.data.iter().map(|x| x * x).sum::<f32>();
        assert!((energy(&cepstrum.apply(&matrix)) - energy(&matrix)).abs() < 1e-5);
    }

    #[test]
    fn a_constant_has_only_the_first_coefficient() {
        let cepstrum = Cepstrum::new(16, 4, 0.0).unwrap();
        let constant = Matrix {
            data: vec![3.0; 16],
            n_bands: 16,
            n_frames: 1,
        };
        let found = cepstrum.apply(&constant).data;
        assert!((found[0] - 12.0).abs() < 1e-5, "{found:?}");
        assert!(found[1..].iter().all(|c| c.abs() < 1e-5), "{found:?}");
    }
}
