//! Slope and curvature over time.
//!
//! A polynomial of degree `order` has a constant derivative of that order, so the fit at the clip's
//! edges gives the value of the nearest complete window: the first `width / 2` frames repeat the
//! first complete one, the last repeat the last.
//!
//! # Source
//! Savitzky and Golay (1964); `librosa.feature.delta`, mode `interp`.

use crate::Result;
use crate::features::check;
use crate::features::matrix::Matrix;

/// The weights of a window of frames.
#[derive(Debug, Clone)]
pub(crate) struct Delta {
    weights: Vec<f64>,
}

impl Delta {
    pub(super) fn new(order: usize, width: usize) -> Result<Self> {
        check::range("steps.order", order, 1, 2)?;
        check::range("steps.width", width, 3, 1001)?;
        check::that(
            width % 2 == 1,
            "steps.width",
            || width.to_string(),
            || "must be odd".to_owned(),
        )?;
        let half = (width / 2) as f64;
        let positions = (0..width).map(|i| i as f64 - half);
        // The orthogonal polynomial of degree `order` at each position.
        let basis: Vec<f64> = if order == 1 {
            positions.collect()
        } else {
            let mean = positions.clone().map(|x| x * x).sum::<f64>() / width as f64;
            positions.map(|x| x * x - mean).collect()
        };
        let norm: f64 = basis.iter().map(|x| x * x).sum();
        // The derivative of x is 1, that of x² is 2.
        let derivative = order as f64;
        Ok(Self {
            weights: basis.iter().map(|x| x * derivative / norm).collect(),
        })
    }

    /// The number of frames that the polynomial is fitted to.
    pub(super) fn width(&self) -> usize {
        self.weights.len()
    }
}

/// A delta at work: the frames that the next windows need.
#[derive(Debug)]
pub(super) struct DeltaState {
    delta: Delta,
    /// The last `width - 1` frames at most.
    recent: Option<Matrix>,
    begun: bool,
    /// The last complete window's values, `[band, 1]`.
    last: Option<Matrix>,
}

impl DeltaState {
    pub(super) fn new(delta: Delta) -> Self {
        Self {
            delta,
            recent: None,
            begun: false,
            last: None,
        }
    }

    pub(super) fn push(&mut self, matrix: Matrix) -> Matrix {
        let (n_bands, width) = (matrix.n_bands, self.delta.width());
        let mut frames = match self.recent.take() {
            Some(mut recent) => {
                recent.append(matrix);
                recent
            }
            None => matrix,
        };
        let n_complete = (frames.n_frames + 1).saturating_sub(width);
        let mut out = Matrix::zeros(n_bands, 0);
        if n_complete > 0 {
            let values = self.windows(&frames, n_complete);
            if !self.begun {
                out = values.repeated(0, width / 2);
                self.begun = true;
            }
            self.last = Some(values.repeated(n_complete - 1, 1));
            out.append(values);
            frames.take_front(n_complete);
        }
        self.recent = Some(frames);
        out
    }

    /// Clips shorter than a window are refused before any work on them.
    pub(super) fn finish(&mut self, matrix: Matrix) -> Matrix {
        let mut out = self.push(matrix);
        if let Some(last) = &self.last {
            out.append(last.repeated(0, self.delta.width() / 2));
        }
        out
    }

    fn windows(&self, frames: &Matrix, n_windows: usize) -> Matrix {
        let mut out = Matrix::zeros(frames.n_bands, n_windows);
        for band in 0..frames.n_bands {
            let row = frames.row(band);
            for (start, value) in out.row_mut(band).iter_mut().enumerate() {
                let window = &row[start..start + self.delta.weights.len()];
                let products = self.delta.weights.iter().zip(window);
                *value = products.map(|(w, x)| w * f64::from(*x)).sum::<f64>() as f32;
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(values: &[f32]) -> Matrix {
        Matrix {
            data: values.to_vec(),
            n_bands: 1,
            n_frames: values.len(),
        }
    }

    #[test]
    fn a_line_has_a_constant_slope_and_a_parabola_a_constant_curvature() {
        let line: Vec<f32> = (0..9).map(|i| 3.0 * i as f32 + 1.0).collect();
        let parabola: Vec<f32> = (0..9).map(|i| 2.0 * (i * i) as f32).collect();
        for (values, order, expected) in [(line, 1, 3.0), (parabola, 2, 4.0)] {
            let mut state = DeltaState::new(Delta::new(order, 5).unwrap());
            let found = state.finish(row(&values));
            assert_eq!(found.n_frames, 9);
            assert!(
                found.data.iter().all(|x| (x - expected).abs() < 1e-5),
                "{found:?}"
            );
        }
    }
}
