//! Window functions: a shape and a length in, the weights of a frame out.

use super::spectrogram_config::{
    StftConfig, StftScaling, WindowConfig, WindowShape, WindowSymmetry,
};

/// The values of a window of `length` samples.
pub(crate) fn window(config: WindowConfig, length: usize) -> Vec<f64> {
    let period = match config.symmetry {
        WindowSymmetry::Periodic => length,
        // A window of one sample has no period; every shape is 1 there.
        WindowSymmetry::Symmetric => length - 1,
    };
    if period == 0 || length == 1 {
        return vec![1.0; length];
    }
    let step = std::f64::consts::TAU / period as f64;
    (0..length)
        .map(|n| {
            let phase = step * n as f64;
            match config.shape {
                WindowShape::Hann => 0.5 - 0.5 * phase.cos(),
                WindowShape::Hamming => 0.54 - 0.46 * phase.cos(),
                WindowShape::Blackman => 0.42 - 0.5 * phase.cos() + 0.08 * (2.0 * phase).cos(),
                WindowShape::Povey => (0.5 - 0.5 * phase.cos()).powf(0.85),
                WindowShape::Boxcar => 1.0,
            }
        })
        .collect()
}

/// The window of a transform with its scaling multiplied in.
pub(crate) fn scaled_window(config: &StftConfig, sample_rate: u32) -> Vec<f32> {
    let window = window(config.window, config.win_length());
    let energy: f64 = window.iter().map(|w| w * w).sum();
    let divisor = match config.scaling {
        StftScaling::None => 1.0,
        StftScaling::WindowNorm => energy.sqrt(),
        StftScaling::WindowSum => window.iter().sum(),
        StftScaling::Density => (f64::from(sample_rate) * energy).sqrt(),
    };
    window.iter().map(|w| (w / divisor) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(shape: WindowShape, symmetry: WindowSymmetry, length: usize) -> Vec<f64> {
        window(WindowConfig { shape, symmetry }, length)
    }

    fn assert_close(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        for (a, b) in found.iter().zip(expected) {
            assert!((a - b).abs() < 1e-12, "{found:?} is not {expected:?}");
        }
    }

    #[test]
    fn windows_of_four_samples_are_the_textbook_values() {
        use WindowShape::*;
        use WindowSymmetry::*;
        assert_close(&of(Hann, Periodic, 4), &[0.0, 0.5, 1.0, 0.5]);
        assert_close(&of(Hann, Symmetric, 4), &[0.0, 0.75, 0.75, 0.0]);
        assert_close(&of(Hamming, Periodic, 4), &[0.08, 0.54, 1.0, 0.54]);
        assert_close(&of(Blackman, Periodic, 4), &[0.0, 0.34, 1.0, 0.34]);
        assert_close(&of(Povey, Symmetric, 3), &[0.0, 1.0, 0.0]);
        assert_close(&of(Boxcar, Periodic, 3), &[1.0; 3]);
    }

    #[test]
    fn a_window_of_one_sample_is_one() {
        for symmetry in [WindowSymmetry::Periodic, WindowSymmetry::Symmetric] {
            assert_close(&of(WindowShape::Hann, symmetry, 1), &[1.0]);
        }
    }
}
