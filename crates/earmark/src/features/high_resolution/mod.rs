//! High-resolution spectrograms by linear reassignment: samples in, a histogram of energy over time
//! and frequency out.
//!
//! Every scan line is the clip filtered with a Gaussian around one frequency. The derivative filter
//! tells, for each of its samples, how far away in time and frequency the energy's centre lies; the
//! energy is moved there and collected in a histogram. Points that would have to move more than half
//! a standard deviation are noise between ridges and are dropped.
//!
//! # Source
//! T. Gardner and M. Magnasco, "Sparse time-frequency representations", PNAS 103:6094 (2006),
//! doi 10.1073/pnas.0601707103.

mod block;
mod chunks;
mod config;
mod gaussian;
mod histogram;
mod points;
mod scan;

pub use config::{Cells, HighResolutionConfig, HighResolutionMode};
pub use histogram::EnergyHistogram;

use crate::features::matrix::Matrix;
use crate::{Error, Result};

/// A high-resolution spectrogram, ready for work.
///
/// # Examples
///
/// ```
/// use earmark::features::{HighResolution, HighResolutionConfig};
///
/// let config = HighResolutionConfig { tdeci: 64, over: 2, noct: 12.0, minf: 0.01, ..HighResolutionConfig::new(2.0) };
/// let tone: Vec<f32> = (0..4096).map(|n| (0.1 * std::f32::consts::TAU * n as f32).sin()).collect();
/// let histogram = HighResolution::new(&config)?.histogram(&[&tone])?;
/// let frame = &histogram.energy[32 * histogram.n_bands..][..histogram.n_bands];
/// let loudest = (0..histogram.n_bands).max_by(|a, b| frame[*a].total_cmp(&frame[*b]));
/// // Band 0 is at maxf; the tone is log2(0.5 / 0.1) octaves below it, at 12 bands per octave.
/// assert_eq!(loudest, Some(28));
/// # Ok::<(), earmark::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct HighResolution {
    config: HighResolutionConfig,
}

impl HighResolution {
    /// Checks a configuration.
    ///
    /// # Errors
    /// [`Error::Config`] names the setting that cannot be.
    pub fn new(config: &HighResolutionConfig) -> Result<Self> {
        config.check()?;
        Ok(Self {
            config: config.clone(),
        })
    }

    /// The least number of samples: below two frames, or below one period of `minf`, there is
    /// nothing to see.
    pub(crate) fn min_samples(&self) -> usize {
        let period = (1.0 / self.config.minf).ceil() as usize;
        period.max(self.config.tdeci).max(2)
    }

    /// The histogram of a clip. Every channel is analysed by itself; all go into the same histogram.
    ///
    /// # Errors
    /// [`Error::ClipTooShort`] for a clip shorter than a frame or a period of `minf`;
    /// [`Error::Shape`] for channels of different length, or none.
    pub fn histogram(&self, channels: &[&[f32]]) -> Result<EnergyHistogram> {
        let n_samples = channels.first().map_or(0, |channel| channel.len());
        if channels.is_empty() || channels.iter().any(|c| c.len() != n_samples) {
            let lengths: Vec<usize> = channels.iter().map(|channel| channel.len()).collect();
            return Err(Error::Shape {
                what: "samples of the channels".to_owned(),
                found: format!("{lengths:?}"),
                expected: "the same number in each".to_owned(),
            });
        }
        if n_samples < self.min_samples() {
            return Err(Error::ClipTooShort {
                found: n_samples,
                needed: self.min_samples(),
            });
        }
        let mut histogram = match self.config.mode {
            HighResolutionMode::Exact => scan::exact(&self.config, channels),
            HighResolutionMode::Fast => scan::fast(&self.config, channels),
        };
        if self.config.cells == Cells::Supported {
            histogram.drop_unsupported_cells();
        }
        Ok(histogram)
    }

    /// The energies as `[band, frame]`, lowest band first.
    pub(crate) fn energies(&self, samples: &[f32]) -> Result<Matrix> {
        let histogram = self.histogram(&[samples])?;
        let (n_bands, n_frames) = (histogram.n_bands, histogram.n_frames);
        let mut matrix = Matrix::zeros(n_bands, n_frames);
        for band in 0..n_bands {
            let row = matrix.row_mut(n_bands - 1 - band);
            for (frame, value) in row.iter_mut().enumerate() {
                *value = histogram.energy[frame * n_bands + band] as f32;
            }
        }
        Ok(matrix)
    }

    pub(crate) fn config(&self) -> &HighResolutionConfig {
        &self.config
    }
}
