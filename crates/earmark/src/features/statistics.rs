//! Statistics of a clip over time: a waveform in, one number per statistic out.
//!
//! They are what a table-based learner is given beside a network's scores: seven summaries each of
//! 45 series over the frames.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::check;
use super::matrix::Matrix;
use super::spectrogram::{Spectrogram, SpectrogramStream};
use super::spectrogram_config::{
    BinValue, DecibelConfig, FrequencyAxis, Loudness, MelConfig, SpectrogramConfig, StftConfig,
};
use super::stage::{Chain, Stage};
use super::step::Step;
use crate::Result;

/// The summaries of a series, in the order of the result.
pub const SUMMARIES: [&str; 7] = ["mean", "std", "skew", "kurtosis", "q25", "median", "q75"];

/// Statistics of a clip: a picture of one frame, whose bands are, for each series, the seven
/// [`SUMMARIES`]. The series are the root mean square, the zero-crossing rate, the spectral
/// centroid (Hz), the roll-off (Hz, 85 % of the magnitude), the flatness, then `n_mfcc` cepstral
/// coefficients and their slopes over 9 frames. Needs the whole clip, of at least 9 frames.
///
/// The series are computed as librosa 0.11 does by default, zeros beyond the clip. Skew and kurtosis
/// (0 for a normal distribution) are 0 for a constant series.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StatisticsConfig {
    /// The length of a frame in samples, 2 to 2²⁰.
    pub n_fft: usize,
    /// The step from frame to frame in samples, at least 1.
    pub hop_length: usize,
    /// The number of cepstral coefficients, 1 to 128.
    pub n_mfcc: usize,
}

impl Default for StatisticsConfig {
    fn default() -> Self {
        Self {
            n_fft: 2048,
            hop_length: 512,
            n_mfcc: 20,
        }
    }
}

/// Frames that a slope is fitted to.
const DELTA_WIDTH: usize = 9;

const ROLL_OFF: f64 = 0.85;

/// Compiled statistics.
#[derive(Debug)]
pub(crate) struct Statistics {
    config: StatisticsConfig,
    magnitude: Arc<Spectrogram>,
    mel: Arc<Spectrogram>,
    to_mfcc: Vec<Stage>,
    to_slope: Stage,
    hz_per_bin: f64,
}

impl Statistics {
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) names the setting that cannot be.
    pub(crate) fn new(config: &StatisticsConfig, sample_rate: u32) -> Result<Self> {
        check::range("statistics.n_mfcc", config.n_mfcc, 1, 128)?;
        let loudness = Loudness::Decibel(DecibelConfig::power());
        let spectrogram = |values, axis, loudness| {
            let config = SpectrogramConfig {
                stft: StftConfig::new(config.n_fft, config.hop_length),
                values,
                axis,
                loudness,
            };
            Spectrogram::new(&config, sample_rate).map(Arc::new)
        };
        let n_mels = 128;
        let mut to_mfcc = Stage::of_loudness(&loudness, n_mels, 1.0)?;
        let cepstrum = Step::Cepstrum {
            n_coefficients: config.n_mfcc,
            lifter: 0.0,
        };
        to_mfcc.push(Stage::new(&cepstrum, n_mels)?);
        let slope = Step::Delta {
            order: 1,
            width: DELTA_WIDTH,
        };
        let mel = FrequencyAxis::Mel(MelConfig {
            empty_bands: super::spectrogram_config::EmptyBands::Keep,
            ..MelConfig::new(n_mels)
        });
        Ok(Self {
            magnitude: spectrogram(BinValue::Magnitude, FrequencyAxis::Linear, Loudness::Linear)?,
            mel: spectrogram(BinValue::Power, mel, loudness)?,
            to_mfcc,
            to_slope: Stage::new(&slope, config.n_mfcc)?,
            hz_per_bin: f64::from(sample_rate) / config.n_fft as f64,
            config: config.clone(),
        })
    }

    pub(crate) fn n_bands(&self) -> usize {
        (5 + 2 * self.config.n_mfcc) * SUMMARIES.len()
    }

    pub(crate) fn has_enough(&self, n_samples: usize) -> bool {
        let n_frames = self.magnitude.n_frames(n_samples);
        n_frames.is_ok_and(|n| n >= DELTA_WIDTH)
    }

    pub(crate) fn compute(&self, samples: &[f32]) -> Result<Matrix> {
        let magnitude = SpectrogramStream::new(&self.magnitude).whole(samples)?;
        let mel = SpectrogramStream::new(&self.mel).whole(samples)?;
        let mfcc = Chain::new(&self.to_mfcc).finish(mel);
        let slopes = Chain::new(std::slice::from_ref(&self.to_slope)).finish(mfcc.clone());
        let mut series = self.of_waveform(samples, magnitude.n_frames);
        series.extend(self.of_spectrum(&magnitude));
        for matrix in [&mfcc, &slopes] {
            let rows = (0..matrix.n_bands).map(|band| matrix.row(band));
            series.extend(rows.map(|row| row.iter().map(|x| f64::from(*x)).collect()));
        }
        let data: Vec<f32> = series
            .into_iter()
            .flat_map(|values| summaries(values).map(|x| x as f32))
            .collect();
        Ok(Matrix {
            n_bands: data.len(),
            n_frames: 1,
            data,
        })
    }

    /// Root mean square and zero-crossing rate.
    fn of_waveform(&self, samples: &[f32], n_frames: usize) -> Vec<Vec<f64>> {
        let length = self.config.n_fft;
        let half = length / 2;
        let mut rms = Vec::with_capacity(n_frames);
        let mut crossings = Vec::with_capacity(n_frames);
        // librosa pads with zeros for the first and with the edge samples for the second series.
        let is_negative = |x: &f32| *x < -1e-10;
        for frame in 0..n_frames {
            let centre = frame * self.config.hop_length;
            let end = (centre + length - half).min(samples.len());
            let inside = &samples[centre.saturating_sub(half).min(end)..end];
            let energy: f64 = inside.iter().map(|x| f64::from(*x).powi(2)).sum();
            rms.push((energy / length as f64).sqrt());
            let pairs = inside.windows(2);
            let changes = pairs.filter(|p| is_negative(&p[0]) != is_negative(&p[1]));
            crossings.push(changes.count() as f64 / length as f64);
        }
        vec![rms, crossings]
    }

    /// Centroid, roll-off and flatness.
    fn of_spectrum(&self, magnitude: &Matrix) -> [Vec<f64>; 3] {
        let mut series = [const { Vec::new() }; 3];
        let mut bins = vec![0.0; magnitude.n_bands];
        for frame in 0..magnitude.n_frames {
            for (bin, value) in bins.iter_mut().enumerate() {
                *value = f64::from(magnitude.row(bin)[frame]);
            }
            let values = self.shape(&bins);
            for (series, value) in series.iter_mut().zip(values) {
                series.push(value);
            }
        }
        series
    }

    fn shape(&self, bins: &[f64]) -> [f64; 3] {
        // The floor of librosa.feature.spectral_flatness.
        const FLOOR: f64 = 1e-10;
        let total: f64 = bins.iter().sum();
        let moment: f64 = bins.iter().enumerate().map(|(i, x)| i as f64 * x).sum();
        let centroid = if total > 0.0 { moment / total } else { 0.0 };
        let mut below = 0.0;
        let roll_off = bins.iter().position(|x| {
            below += x;
            below >= ROLL_OFF * total
        });
        let powers = bins.iter().map(|x| (x * x).max(FLOOR));
        let n = bins.len() as f64;
        let geometric = (powers.clone().map(f64::ln).sum::<f64>() / n).exp();
        let flatness = geometric / (powers.sum::<f64>() / n);
        let roll_off = roll_off.unwrap_or(0) as f64;
        [
            centroid * self.hz_per_bin,
            roll_off * self.hz_per_bin,
            flatness,
        ]
    }
}

/// The [`SUMMARIES`] of a series of at least one value. Quartiles interpolate linearly, as
/// `numpy.quantile` does; skew and excess kurtosis are not corrected for bias, as in SciPy.
fn summaries(mut values: Vec<f64>) -> [f64; 7] {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let moment = |power: i32| values.iter().map(|x| (x - mean).powi(power)).sum::<f64>() / n;
    let variance = moment(2);
    // A constant series has a variance of rounding errors.
    let is_constant = variance <= (1e-12 * mean.abs()).powi(2);
    let (skew, kurtosis) = if is_constant {
        (0.0, 0.0)
    } else {
        (
            moment(3) / variance.powf(1.5),
            moment(4) / variance.powi(2) - 3.0,
        )
    };
    values.sort_unstable_by(f64::total_cmp);
    let quantile = |share: f64| {
        let position = share * (n - 1.0);
        let below = position.floor() as usize;
        let above = (below + 1).min(values.len() - 1);
        values[below] + (position - below as f64) * (values[above] - values[below])
    };
    let [q25, median, q75] = [0.25, 0.5, 0.75].map(quantile);
    [mean, variance.sqrt(), skew, kurtosis, q25, median, q75]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_of_five_numbers_are_the_textbook_values() {
        let found = summaries(vec![1.0, 2.0, 3.0, 4.0, 10.0]);
        // SciPy: skew 1.13842, kurtosis -0.21200 (biased, excess)
        let expected = [4.0, 3.162_278, 1.138_420, -0.212, 2.0, 3.0, 4.0];
        for (a, b) in found.iter().zip(expected) {
            assert!((a - b).abs() < 1e-5, "{found:?}");
        }
        assert_eq!(summaries(vec![2.0; 4]), [2.0, 0.0, 0.0, 0.0, 2.0, 2.0, 2.0]);
    }

    #[test]
    fn a_sine_has_its_own_frequency_as_centroid() {
        let config = StatisticsConfig::default();
        let statistics = Statistics::new(&config, 16_000).unwrap();
        let step = std::f64::consts::TAU * 1000.0 / 16_000.0;
        let samples: Vec<f32> = (0..16_000)
            .map(|n| (step * f64::from(n)).sin() as f32)
            .collect();
        let found = statistics.compute(&samples).unwrap().data;
        assert_eq!(found.len(), statistics.n_bands());
        let median = |series: usize| found[series * 7 + 5];
        assert!(
            (median(0) - 0.5_f32.sqrt()).abs() < 1e-3,
            "rms {}",
            median(0)
        );
        assert!((median(1) - 0.125).abs() < 1e-3, "crossings {}", median(1));
        assert!((median(2) - 1000.0).abs() < 10.0, "centroid {}", median(2));
        assert!((median(3) - 1000.0).abs() < 10.0, "roll-off {}", median(3));
        assert!(median(4) < 1e-3, "flatness {}", median(4));
    }

    #[test]
    fn silence_has_finite_statistics() {
        let statistics = Statistics::new(&StatisticsConfig::default(), 16_000).unwrap();
        let found = statistics.compute(&[0.0; 16_000]).unwrap().data;
        assert!(found.iter().all(|x| x.is_finite()));
    }
}
