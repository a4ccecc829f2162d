//! [`Source`]: a compiled representation, whatever its kind.

use std::sync::Arc;

use super::config::Representation;
use super::high_resolution::HighResolution;
use super::log_axis;
use super::loudness::Pointwise;
use super::matrix::Matrix;
use super::spectrogram::{Spectrogram, SpectrogramStream};
use super::spectrogram_config::{FrequencyAxis, Loudness};
use super::stage::Stage;
use super::statistics::Statistics;
use crate::Result;

/// A compiled representation.
#[derive(Debug)]
pub(crate) enum Source {
    Waveform,
    Spectrogram(Arc<Spectrogram>),
    HighResolution(HighResolution),
    Statistics(Statistics),
}

impl Source {
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) names the setting that cannot be.
    pub(crate) fn new(representation: &Representation, sample_rate: u32) -> Result<Self> {
        Ok(match representation {
            Representation::Waveform => Self::Waveform,
            Representation::Spectrogram(config) => {
                Self::Spectrogram(Arc::new(Spectrogram::new(config, sample_rate)?))
            }
            Representation::HighResolution(config) => {
                Self::HighResolution(HighResolution::new(config)?)
            }
            Representation::Statistics(config) => {
                Self::Statistics(Statistics::new(config, sample_rate)?)
            }
        })
    }

    /// The number of bands before the representation's [`stages`](Self::stages).
    pub(crate) fn n_bands(&self) -> usize {
        match self {
            Self::Waveform => 1,
            Self::Spectrogram(spectrogram) => spectrogram.n_bands(),
            Self::HighResolution(compiled) => compiled.config().n_bands(),
            Self::Statistics(statistics) => statistics.n_bands(),
        }
    }

    /// The number of frames of a clip of `n_samples`, or `None` if these are too few.
    pub(crate) fn n_frames(&self, n_samples: usize) -> Option<usize> {
        match self {
            Self::Waveform => (n_samples > 0).then_some(n_samples),
            Self::Spectrogram(spectrogram) => spectrogram.n_frames(n_samples).ok(),
            Self::HighResolution(compiled) => {
                (n_samples >= compiled.min_samples()).then(|| compiled.config().n_frames(n_samples))
            }
            Self::Statistics(statistics) => statistics.has_enough(n_samples).then_some(1),
        }
    }

    /// Samples per frame; `None` where a frame is the whole clip.
    pub(crate) fn hop_length(&self) -> Option<usize> {
        match self {
            Self::Waveform => Some(1),
            Self::Spectrogram(spectrogram) => Some(spectrogram.hop_length()),
            Self::HighResolution(compiled) => Some(compiled.config().tdeci),
            Self::Statistics(_) => None,
        }
    }

    /// The name of the representation if it needs the whole clip.
    pub(crate) fn clip_wide_setting(&self) -> Option<&'static str> {
        match self {
            Self::Waveform | Self::Spectrogram(_) => None,
            Self::HighResolution(_) => Some("high-resolution"),
            Self::Statistics(_) => Some("statistics"),
        }
    }

    /// The stages that belong to the representation.
    pub(crate) fn stages(
        &self,
        representation: &Representation,
        sample_rate: u32,
    ) -> Result<Vec<Stage>> {
        let of = |loudness: &Loudness| {
            let hop = self.hop_length().unwrap_or(1) as f64;
            Stage::of_loudness(loudness, self.n_bands(), f64::from(sample_rate) / hop)
        };
        match representation {
            Representation::Waveform | Representation::Statistics(_) => Ok(Vec::new()),
            Representation::Spectrogram(config) => {
                let mut stages = of(&config.loudness)?;
                if let FrequencyAxis::Log(axis) = &config.axis {
                    // After the loudness: a clip's peak is that of all bins, shown or not.
                    let bins = log_axis::nearest_bins(axis, self.n_bands(), sample_rate)?;
                    stages.push(Stage::Choose(bins));
                }
                Ok(stages)
            }
            Representation::HighResolution(config) => {
                let mut stages = vec![Stage::Pointwise(Pointwise::new(&config.loudness)?)];
                stages.extend(of(&config.loudness)?);
                Ok(stages)
            }
        }
    }

    /// The picture of a whole clip.
    pub(crate) fn whole(&self, samples: &[f32]) -> Result<Matrix> {
        match self {
            Self::Waveform => Ok(waveform(samples)),
            Self::Spectrogram(spectrogram) => SpectrogramStream::new(spectrogram).whole(samples),
            Self::HighResolution(compiled) => compiled.energies(samples),
            Self::Statistics(statistics) => statistics.compute(samples),
        }
    }

    /// The computation in blocks; `None` for a representation that needs the whole clip.
    pub(crate) fn stream(&self) -> Option<SourceStream> {
        match self {
            Self::Waveform => Some(SourceStream::Waveform),
            Self::Spectrogram(spectrogram) => {
                let stream = SpectrogramStream::new(spectrogram);
                Some(SourceStream::Spectrogram(Box::new(stream)))
            }
            Self::HighResolution(_) | Self::Statistics(_) => None,
        }
    }
}

/// A representation at work on one clip, block by block.
#[derive(Debug)]
pub(crate) enum SourceStream {
    Waveform,
    Spectrogram(Box<SpectrogramStream>),
}

impl SourceStream {
    /// Takes the next samples; returns the frames that they complete.
    pub(crate) fn push(&mut self, samples: &[f32]) -> Matrix {
        match self {
            Self::Waveform => waveform(samples),
            Self::Spectrogram(stream) => stream.push(samples),
        }
    }

    /// Ends the clip; returns the last frames.
    pub(crate) fn finish(&mut self) -> Result<Matrix> {
        match self {
            Self::Waveform => Ok(waveform(&[])),
            Self::Spectrogram(stream) => stream.finish(),
        }
    }
}

fn waveform(samples: &[f32]) -> Matrix {
    Matrix {
        data: samples.to_vec(),
        n_bands: 1,
        n_frames: samples.len(),
    }
}
