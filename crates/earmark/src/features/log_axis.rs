//! The frequency axis that is linear below a corner and logarithmic above it.

use super::check;
use super::mel;
use super::spectrogram_config::{BinLabelling, LogAxisConfig, MelScale};
use crate::Result;

/// The transform of the axis: Hz to a position whose distances are equal distances in the picture.
///
/// # Source
/// matplotlib's `SymmetricalLogTransform` with base 2: below the corner the slope is
/// `linear_length / (1 - 1/2)` per corner frequency, above it one unit is an octave.
struct SymmetricLog {
    corner: f64,
    linear: f64,
}

impl SymmetricLog {
    fn new(config: &LogAxisConfig) -> Self {
        Self {
            corner: config.linear_below,
            linear: config.linear_length / (1.0 - 0.5),
        }
    }

    fn position(&self, hz: f64) -> f64 {
        if hz <= self.corner {
            hz * self.linear
        } else {
            self.corner * (self.linear + (hz / self.corner).log2())
        }
    }

    fn hz(&self, position: f64) -> f64 {
        if position <= self.corner * self.linear {
            position / self.linear
        } else {
            self.corner * (position / self.corner - self.linear).exp2()
        }
    }
}

/// The centre frequencies of the bands in Hz, lowest first: the picture is cut into `n_bands` equal
/// parts from 0 Hz to half the sample rate.
pub(crate) fn band_frequencies(config: &LogAxisConfig, sample_rate: u32) -> Vec<f64> {
    let axis = SymmetricLog::new(config);
    let top = axis.position(f64::from(sample_rate) / 2.0);
    (0..config.n_bands)
        .map(|band| axis.hz(top * (band as f64 + 0.5) / config.n_bands as f64))
        .collect()
}

/// The bin that each band shows.
///
/// # Errors
/// [`Error::Config`](crate::Error::Config) for no bands, or a corner that is not above 0 Hz.
pub(crate) fn nearest_bins(
    config: &LogAxisConfig,
    n_bins: usize,
    sample_rate: u32,
) -> Result<Vec<usize>> {
    check::range("axis.n_bands", config.n_bands, 1, 8192)?;
    check::positive("axis.linear_below", config.linear_below)?;
    check::positive("axis.linear_length", config.linear_length)?;
    let nyquist = f64::from(sample_rate) / 2.0;
    let bin_hz: Vec<f64> = match config.labelling {
        BinLabelling::Hertz => (0..n_bins)
            .map(|bin| nyquist * bin as f64 / (n_bins - 1) as f64)
            .collect(),
        BinLabelling::MelBandNumber => mel::mel_points(MelScale::Slaney, 0.0, nyquist, n_bins),
    };
    let nearest = |hz: f64| {
        let above = bin_hz.partition_point(|bin| *bin < hz);
        let is_below = |bin: usize| hz - bin_hz[bin - 1] <= bin_hz[bin] - hz;
        match above {
            0 => 0,
            bin if bin == n_bins => n_bins - 1,
            bin if is_below(bin) => bin - 1,
            bin => bin,
        }
    };
    Ok(band_frequencies(config, sample_rate)
        .into_iter()
        .map(nearest)
        .collect())
}
