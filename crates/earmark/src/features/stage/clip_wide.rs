//! Changes that depend on all values of a clip.

use super::resize::resize;
use crate::Result;
use crate::features::check;
use crate::features::matrix::Matrix;
use crate::features::step::Step;

/// A change that depends on all values of the clip, or on its length.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ClipWide {
    /// Subtracts the largest value.
    SubtractMax,
    /// Raises everything to at least the largest value less this.
    TopDb(f32),
    /// One of the steps.
    Step(Step),
}

impl ClipWide {
    /// Checks a step that needs the whole clip.
    pub(super) fn new(step: &Step) -> Result<Self> {
        match *step {
            Step::Standardise { epsilon } => check::positive("steps.epsilon", epsilon)?,
            Step::MinMax {
                low,
                high,
                epsilon,
                flat_below,
            } => {
                check::that(
                    low.is_finite() && high.is_finite() && low < high,
                    "steps.low..high",
                    || format!("{low} to {high}"),
                    || "must rise".to_owned(),
                )?;
                check::that(
                    epsilon >= 0.0 && flat_below >= 0.0 && (epsilon + flat_below).is_finite(),
                    "steps.epsilon and flat_below",
                    || format!("{epsilon} and {flat_below}"),
                    || "must not be negative".to_owned(),
                )?;
            }
            Step::FixedFrames { n_frames, fill } => {
                check::range("steps.n_frames", n_frames, 1, 1 << 24)?;
                check::finite("steps.fill", fill)?;
            }
            Step::Resize {
                n_bands, n_frames, ..
            } => {
                check::range("steps.n_bands", n_bands, 1, 16_384)?;
                check::range("steps.n_frames", n_frames, 1, 1 << 24)?;
            }
            _ => {}
        }
        Ok(Self::Step(*step))
    }

    /// The name of the setting, for messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::SubtractMax => "loudness.reference = \"max\"",
            Self::TopDb(_) => "loudness.top_db",
            Self::Step(step) => match step {
                Step::SubtractBandMean => "subtract-band-mean",
                Step::Standardise { .. } => "standardise",
                Step::MinMax { .. } => "min-max",
                Step::Peak => "peak",
                Step::FixedFrames { .. } => "fixed-frames",
                Step::Resize { .. } => "resize",
                Step::Scale { .. }
                | Step::Clamp { .. }
                | Step::Truncate
                | Step::Delta { .. }
                | Step::Cepstrum { .. }
                | Step::Bands { .. } => "step",
            },
        }
    }

    pub(super) fn n_bands(self, n_bands: usize) -> usize {
        match self {
            Self::Step(Step::Resize { n_bands, .. }) => n_bands,
            _ => n_bands,
        }
    }

    pub(super) fn n_frames(self, n_frames: usize) -> usize {
        match self {
            Self::Step(Step::Resize { n_frames, .. } | Step::FixedFrames { n_frames, .. }) => {
                n_frames
            }
            _ => n_frames,
        }
    }

    pub(super) fn apply(self, mut matrix: Matrix) -> Matrix {
        let values = &mut matrix.data;
        match self {
            Self::SubtractMax => {
                let max = max(values);
                values.iter_mut().for_each(|x| *x -= max);
            }
            Self::TopDb(range) => {
                let floor = max(values) - range;
                values.iter_mut().for_each(|x| *x = x.max(floor));
            }
            Self::Step(step) => return apply_step(step, matrix),
        }
        matrix
    }
}

fn apply_step(step: Step, mut matrix: Matrix) -> Matrix {
    match step {
        Step::SubtractBandMean => {
            for band in 0..matrix.n_bands {
                let row = matrix.row_mut(band);
                let mean = mean(row);
                row.iter_mut()
                    .for_each(|x| *x = (f64::from(*x) - mean) as f32);
            }
        }
        Step::Standardise { epsilon } => standardise(&mut matrix.data, epsilon),
        Step::MinMax {
            low,
            high,
            epsilon,
            flat_below,
        } => {
            let values = &mut matrix.data;
            let (least, most) = (f64::from(min(values)), f64::from(max(values)));
            let range = most - least;
            if range <= flat_below || range + epsilon == 0.0 {
                values.fill(low as f32);
            } else {
                for x in values {
                    let part = (f64::from(*x) - least) / (range + epsilon);
                    *x = (low + part * (high - low)) as f32;
                }
            }
        }
        Step::Peak => {
            let largest = |peak: f32, x: &f32| peak.max(x.abs());
            let peak = matrix.data.iter().fold(0.0, largest);
            if peak > 0.0 {
                matrix.data.iter_mut().for_each(|x| *x /= peak);
            }
        }
        Step::FixedFrames { n_frames, fill } => {
            return fixed_frames(&matrix, n_frames, fill as f32);
        }
        Step::Resize {
            n_bands,
            n_frames,
            method,
        } => return resize(&matrix, n_bands, n_frames, method),
        Step::Scale { .. }
        | Step::Clamp { .. }
        | Step::Truncate
        | Step::Delta { .. }
        | Step::Cepstrum { .. }
        | Step::Bands { .. } => {}
    }
    matrix
}

fn max(values: &[f32]) -> f32 {
    values.iter().copied().fold(f32::NEG_INFINITY, f32::max)
}

fn min(values: &[f32]) -> f32 {
    values.iter().copied().fold(f32::INFINITY, f32::min)
}

fn mean(values: &[f32]) -> f64 {
    values.iter().map(|x| f64::from(*x)).sum::<f64>() / values.len() as f64
}

fn standardise(values: &mut [f32], epsilon: f64) {
    let mean = mean(values);
    let square = |x: &f32| (f64::from(*x) - mean).powi(2);
    let variance = values.iter().map(square).sum::<f64>() / values.len() as f64;
    let divisor = variance.sqrt() + epsilon;
    for x in values {
        *x = ((f64::from(*x) - mean) / divisor) as f32;
    }
}

fn fixed_frames(matrix: &Matrix, n_frames: usize, fill: f32) -> Matrix {
    let kept = matrix.n_frames.min(n_frames);
    let mut out = Matrix {
        data: vec![fill; matrix.n_bands * n_frames],
        n_bands: matrix.n_bands,
        n_frames,
    };
    for band in 0..matrix.n_bands {
        out.row_mut(band)[..kept].copy_from_slice(&matrix.row(band)[..kept]);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standardised_values_have_mean_zero_and_deviation_one() {
        let step = Step::Standardise { epsilon: 1e-9 };
        let found = apply_step(step, Matrix::of(2, &[1.0, 2.0, 3.0, 6.0]));
        // mean 3, deviation sqrt(3.5)
        let expected = [-2.0, -1.0, 0.0, 3.0].map(|x: f32| x / 3.5_f32.sqrt());
        assert!(
            found
                .data
                .iter()
                .zip(expected)
                .all(|(a, b)| (a - b).abs() < 1e-6)
        );
        let constant = apply_step(step, Matrix::of(1, &[5.0; 4]));
        assert_eq!(constant.data, [0.0; 4]);
    }

    #[test]
    fn a_flat_clip_becomes_low_everywhere() {
        let step = Step::MinMax {
            low: 0.0,
            high: 255.0,
            epsilon: 0.0,
            flat_below: 1e-6,
        };
        assert_eq!(
            apply_step(step, Matrix::of(1, &[-3.0, 1.0, 5.0])).data,
            [0.0, 127.5, 255.0]
        );
        assert_eq!(apply_step(step, Matrix::of(1, &[7.0; 3])).data, [0.0; 3]);
        let without_rule = Step::MinMax {
            low: -0.5,
            high: 0.5,
            epsilon: 0.0,
            flat_below: 0.0,
        };
        assert_eq!(
            apply_step(without_rule, Matrix::of(1, &[7.0; 3])).data,
            [-0.5; 3]
        );
    }

    #[test]
    fn frames_are_cut_or_filled_up() {
        let two = Matrix::of(2, &[1.0, 2.0, 3.0, 4.0]);
        assert_eq!(
            fixed_frames(&two, 3, 9.0).data,
            [1.0, 2.0, 9.0, 3.0, 4.0, 9.0]
        );
        assert_eq!(fixed_frames(&two, 1, 9.0).data, [1.0, 3.0]);
    }

    #[test]
    fn silence_has_no_peak() {
        assert_eq!(
            apply_step(Step::Peak, Matrix::of(1, &[0.0; 3])).data,
            [0.0; 3]
        );
        assert_eq!(
            apply_step(Step::Peak, Matrix::of(1, &[1.0, -4.0])).data,
            [0.25, -1.0]
        );
    }
}
