//! Per-channel energy normalisation: an automatic gain per band, then a root.

use crate::Result;
use crate::features::check;
use crate::features::matrix::Matrix;
use crate::features::spectrogram_config::PcenConfig;

/// The normalisation with the state of its smoothers.
#[derive(Debug, Clone)]
pub(crate) struct Pcen {
    config: PcenConfig,
    /// The share of the new value in the smoothed one.
    smoothing: f64,
    /// `[band]`
    smoothed: Vec<f64>,
}

impl Pcen {
    pub(super) fn new(config: &PcenConfig, n_bands: usize, frames_per_second: f64) -> Result<Self> {
        check::positive("loudness.scale", config.scale)?;
        check::positive("loudness.bias", config.bias)?;
        check::positive("loudness.power", config.power)?;
        check::positive("loudness.time_constant_secs", config.time_constant_secs)?;
        check::positive("loudness.epsilon", config.epsilon)?;
        check::that(
            config.start.is_finite() && config.start >= 0.0,
            "loudness.start",
            || config.start.to_string(),
            || "must not be negative".to_owned(),
        )?;
        check::that(
            (0.0..=1.0).contains(&config.gain),
            "loudness.gain",
            || config.gain.to_string(),
            || "must be 0 to 1".to_owned(),
        )?;
        // The pole of the smoother has the time constant at its -3 dB point, as in librosa.pcen.
        let frames = config.time_constant_secs * frames_per_second;
        let squared = frames * frames;
        Ok(Self {
            config: *config,
            smoothing: ((1.0 + 4.0 * squared).sqrt() - 1.0) / (2.0 * squared),
            smoothed: vec![config.start; n_bands],
        })
    }

    pub(super) fn apply(&mut self, matrix: &mut Matrix) {
        let PcenConfig {
            scale,
            gain,
            bias,
            power,
            epsilon,
            ..
        } = self.config;
        let root_of_bias = bias.powf(power);
        let ln_epsilon = epsilon.ln();
        for (band, smoothed) in self.smoothed.iter_mut().enumerate() {
            for x in matrix.row_mut(band) {
                let energy = f64::from(*x) * scale;
                *smoothed += self.smoothing * (energy - *smoothed);
                let divided = (-gain * (ln_epsilon + (*smoothed / epsilon).ln_1p())).exp();
                let root = (power * (energy * divided / bias).ln_1p()).exp_m1();
                *x = (root_of_bias * root) as f32;
            }
        }
    }
}
