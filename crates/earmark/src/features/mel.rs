//! Mel scales and the filter bank: bin values in, mel band values out.
//!
//! Filters are stored sparsely (a triangle touches a few neighbouring bins) and applied to several
//! frames at once, one frame per lane, so that the compiler turns the inner loop into vector
//! instructions. A frame's sum runs over its bins in order whatever the other lanes hold: results
//! do not depend on how frames are grouped.

use super::check;
use super::lanes::Lanes;
use super::spectrogram_config::{
    EdgeBins, EmptyBands, MelConfig, MelNorm, MelScale, TriangleDomain,
};
use crate::Result;

/// Above 1 kHz the Slaney scale has 27 steps per factor of 6.4.
const SLANEY_LOG_STEP: f64 = 0.068_751_777_420_949_12; // ln(6.4) / 27
const SLANEY_HZ_PER_MEL: f64 = 200.0 / 3.0;
const SLANEY_CORNER_HZ: f64 = 1000.0;
const SLANEY_CORNER_MEL: f64 = SLANEY_CORNER_HZ / SLANEY_HZ_PER_MEL;

/// A frequency in Hz on a mel scale.
///
/// # Source
/// Slaney, "Auditory Toolbox" (1998), as in `librosa.hz_to_mel`; O'Shaughnessy (1987) for HTK.
pub fn mel_from_hz(scale: MelScale, hz: f64) -> f64 {
    match scale {
        MelScale::Slaney if hz >= SLANEY_CORNER_HZ => {
            SLANEY_CORNER_MEL + (hz / SLANEY_CORNER_HZ).ln() / SLANEY_LOG_STEP
        }
        MelScale::Slaney => hz / SLANEY_HZ_PER_MEL,
        MelScale::Htk => 2595.0 * (1.0 + hz / 700.0).log10(),
        MelScale::Kaldi => 1127.0 * (1.0 + hz / 700.0).ln(),
    }
}

/// The frequency in Hz of a point on a mel scale.
pub fn hz_from_mel(scale: MelScale, mel: f64) -> f64 {
    match scale {
        MelScale::Slaney if mel >= SLANEY_CORNER_MEL => {
            SLANEY_CORNER_HZ * ((mel - SLANEY_CORNER_MEL) * SLANEY_LOG_STEP).exp()
        }
        MelScale::Slaney => mel * SLANEY_HZ_PER_MEL,
        MelScale::Htk => 700.0 * (10f64.powf(mel / 2595.0) - 1.0),
        MelScale::Kaldi => 700.0 * ((mel / 1127.0).exp() - 1.0),
    }
}

/// `count` frequencies in Hz at equal distances on a mel scale, both ends included.
pub(crate) fn mel_points(scale: MelScale, f_min: f64, f_max: f64, count: usize) -> Vec<f64> {
    let low = mel_from_hz(scale, f_min);
    let step = (mel_from_hz(scale, f_max) - low) / (count - 1) as f64;
    (0..count)
        .map(|i| hz_from_mel(scale, low + step * i as f64))
        .collect()
}

/// The non-zero weights of one filter: bins `first_bin..first_bin + n_weights`.
#[derive(Debug, Clone, Copy)]
struct Filter {
    first_bin: usize,
    first_weight: usize,
    n_weights: usize,
}

/// A bank of filters over the bins of a Fourier transform, stored sparsely.
#[derive(Debug, Clone)]
pub struct MelBank {
    filters: Vec<Filter>,
    weights: Vec<f32>,
}

impl MelBank {
    /// Builds the filters for the bins of a transform of `n_fft` samples.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for a frequency range outside of 0 to half the
    /// sample rate, and for filters so narrow that no bin falls into them, unless they are to be
    /// kept.
    pub fn new(config: &MelConfig, n_fft: usize, sample_rate: u32) -> Result<Self> {
        let nyquist = f64::from(sample_rate) / 2.0;
        let f_max = config.f_max.unwrap_or(nyquist);
        check::range("axis.n_mels", config.n_mels, 1, 4096)?;
        check::that(
            config.f_min >= 0.0 && config.f_min < f_max && f_max <= nyquist,
            "axis.f_min..f_max",
            || format!("{} to {f_max} Hz", config.f_min),
            || format!("must rise within 0 to {nyquist} Hz"),
        )?;
        let mut bank = Self {
            filters: Vec::with_capacity(config.n_mels),
            weights: Vec::new(),
        };
        let edges = Edges::new(config, f_max);
        for band in 0..config.n_mels {
            let weights = edges.weights(band, n_fft, sample_rate);
            bank.push(&weights);
        }
        if config.empty_bands == EmptyBands::Refuse {
            bank.refuse_empty_bands()?;
        }
        Ok(bank)
    }

    fn push(&mut self, dense: &[f64]) {
        let first_bin = dense.iter().position(|w| *w > 0.0).unwrap_or(0);
        let end_bin = dense.iter().rposition(|w| *w > 0.0).map_or(0, |i| i + 1);
        self.filters.push(Filter {
            first_bin,
            first_weight: self.weights.len(),
            n_weights: end_bin - first_bin,
        });
        self.weights
            .extend(dense[first_bin..end_bin].iter().map(|w| *w as f32));
    }

    fn refuse_empty_bands(&self) -> Result<()> {
        let empty = self.filters.iter().filter(|f| f.n_weights == 0).count();
        check::that(
            empty == 0,
            "axis.n_mels",
            || {
                let n_bands = self.n_bands();
                format!("{n_bands} with {empty} bands that no bin falls into")
            },
            || "fewer bands, a larger n_fft or `empty_bands = \"keep\"` is needed".to_owned(),
        )
    }

    /// The number of bands.
    pub fn n_bands(&self) -> usize {
        self.filters.len()
    }

    /// The weight of every (band, bin) pair that has one.
    pub fn entries(&self) -> impl Iterator<Item = (usize, usize, f32)> + '_ {
        self.filters.iter().enumerate().flat_map(|(band, filter)| {
            self.weights[filter.first_weight..][..filter.n_weights]
                .iter()
                .enumerate()
                .map(move |(i, weight)| (band, filter.first_bin + i, *weight))
        })
    }

    /// The bands of several frames: `bins` is `[bin]`, `bands` is `[band]`, one frame per lane.
    pub(crate) fn apply(&self, bins: &[Lanes], bands: &mut [Lanes]) {
        for (filter, band) in self.filters.iter().zip(bands) {
            let weights = &self.weights[filter.first_weight..][..filter.n_weights];
            let bins = &bins[filter.first_bin..][..filter.n_weights];
            let mut sum = Lanes::default();
            for (weight, bin) in weights.iter().zip(bins) {
                sum.add_scaled(*weight, bin);
            }
            *band = sum;
        }
    }
}

/// The corner points of all triangles, in Hz and in the domain where their sides are straight.
struct Edges<'a> {
    config: &'a MelConfig,
    hz: Vec<f64>,
    straight: Vec<f64>,
}

impl<'a> Edges<'a> {
    fn new(config: &'a MelConfig, f_max: f64) -> Self {
        let n = config.n_mels + 2;
        let hz = mel_points(config.scale, config.f_min, f_max, n);
        let straight = match config.triangles {
            TriangleDomain::Hertz => hz.clone(),
            TriangleDomain::Mel => {
                let low = mel_from_hz(config.scale, config.f_min);
                let high = mel_from_hz(config.scale, f_max);
                let step = (high - low) / (n - 1) as f64;
                (0..n).map(|i| low + step * i as f64).collect()
            }
        };
        Self {
            config,
            hz,
            straight,
        }
    }

    fn weights(&self, band: usize, n_fft: usize, sample_rate: u32) -> Vec<f64> {
        let [left, centre, right] = [0, 1, 2].map(|i| self.straight[band + i]);
        let height = match self.config.norm {
            MelNorm::None => 1.0,
            MelNorm::Slaney => 2.0 / (self.hz[band + 2] - self.hz[band]),
        };
        let last = n_fft / 2;
        (0..=last)
            .map(|bin| {
                let skipped = match self.config.edge_bins {
                    EdgeBins::Keep => false,
                    EdgeBins::SkipDc => bin == 0,
                    EdgeBins::SkipNyquist => bin == last,
                };
                if skipped {
                    return 0.0;
                }
                let hz = bin as f64 * f64::from(sample_rate) / n_fft as f64;
                let x = match self.config.triangles {
                    TriangleDomain::Hertz => hz,
                    TriangleDomain::Mel => mel_from_hz(self.config.scale, hz),
                };
                let rising = (x - left) / (centre - left);
                let falling = (right - x) / (right - centre);
                height * rising.min(falling).max(0.0)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scales_have_their_published_fixed_points() {
        // 1 kHz is 15 Slaney mel, and about 1000 HTK mel.
        assert!((mel_from_hz(MelScale::Slaney, 1000.0) - 15.0).abs() < 1e-12);
        assert!((mel_from_hz(MelScale::Slaney, 6400.0) - 42.0).abs() < 1e-12);
        assert!((mel_from_hz(MelScale::Htk, 1000.0) - 999.985_537).abs() < 1e-5);
        assert!((mel_from_hz(MelScale::Kaldi, 1000.0) - 999.990_9).abs() < 2e-2);
    }

    #[test]
    fn hz_from_mel_inverts_mel_from_hz() {
        for scale in [MelScale::Slaney, MelScale::Htk, MelScale::Kaldi] {
            for hz in [0.0, 20.0, 999.9, 1000.0, 1000.1, 22_050.0] {
                let back = hz_from_mel(scale, mel_from_hz(scale, hz));
                assert!(
                    (back - hz).abs() < 1e-8,
                    "{scale:?}: {hz} came back as {back}"
                );
            }
        }
    }

    #[test]
    fn slaney_normalised_triangles_have_area_one() {
        let bank = MelBank::new(&MelConfig::new(8), 65_536, 16_000).unwrap();
        let bin_width = 16_000.0 / 65_536.0;
        for band in 0..8 {
            let area: f64 = bank
                .entries()
                .filter(|entry| entry.0 == band)
                .map(|entry| f64::from(entry.2) * bin_width)
                .sum();
            assert!((area - 1.0).abs() < 1e-3, "band {band} has area {area}");
        }
    }

    #[test]
    fn the_edge_bins_are_left_out_where_asked() {
        let config = MelConfig {
            f_max: Some(8000.0),
            ..MelConfig::htk(16)
        };
        let has_bin = |edge_bins, bin| {
            let config = MelConfig {
                edge_bins,
                f_min: 0.0,
                ..config.clone()
            };
            let bank = MelBank::new(&config, 512, 16_000).unwrap();
            bank.entries().any(|entry| entry.1 == bin)
        };
        // The corner of an outermost triangle has weight 0 in exact arithmetic.
        assert!(!has_bin(EdgeBins::SkipDc, 0));
        assert!(!has_bin(EdgeBins::SkipNyquist, 256));
        assert!(has_bin(EdgeBins::SkipNyquist, 255));
    }

    #[test]
    fn impossible_banks_are_refused_with_their_numbers() {
        let message = |config: MelConfig, n_fft| {
            MelBank::new(&config, n_fft, 16_000)
                .unwrap_err()
                .to_string()
        };
        let above = MelConfig {
            f_max: Some(9000.0),
            ..MelConfig::new(40)
        };
        assert_eq!(
            message(above, 512),
            "axis.f_min..f_max is 0 to 9000 Hz, must rise within 0 to 8000 Hz"
        );
        assert!(message(MelConfig::new(200), 256).starts_with("axis.n_mels is 200 with"));
    }
}
