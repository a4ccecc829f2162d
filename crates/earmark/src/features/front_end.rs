//! [`FrontEnd`]: a checked, compiled [`FrontEndConfig`]; waveforms in, [`Features`] out.

use std::sync::Arc;

use super::Features;
use super::check;
use super::config::{ChannelConfig, FrontEndConfig, Representation};
use super::matrix::Matrix;
use super::spectrogram::{Spectrogram, SpectrogramStream};
use super::spectrogram_config::SpectrogramConfig;
use super::stage::{Chain, Stage};
use super::stream::FeatureStream;
use crate::{Error, Result};

/// The longest clip, in seconds, that a front end with clip-wide statistics takes.
pub const MAX_CLIP_WIDE_SECS: u32 = 600;

/// The largest absolute value of a sample that a front end takes. Full scale is 1; beyond this
/// limit the squares of sums of samples leave the range of `f32`.
pub const MAX_SAMPLE: f32 = 1e9;

/// A front end, ready for work: windows, Fourier plans and filters are computed.
///
/// Cheap to clone and to share between threads.
///
/// # Examples
///
/// ```
/// use earmark::features::{FrontEnd, FrontEndConfig};
///
/// let front_end = FrontEnd::new(&FrontEndConfig::efficient_at())?;
/// let one_second = vec![0.1; 32_000];
/// let features = front_end.compute(&one_second)?;
/// assert_eq!(features.shape(), [1, 128, 100]);
/// # Ok::<(), earmark::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct FrontEnd(pub(crate) Arc<Compiled>);

/// The compiled parts of a front end.
#[derive(Debug)]
pub(crate) struct Compiled {
    config: FrontEndConfig,
    pub(crate) sources: Vec<Arc<Spectrogram>>,
    pub(crate) channels: Vec<Channel>,
    n_bands: usize,
}

/// A compiled channel.
#[derive(Debug)]
pub(crate) struct Channel {
    /// The index of its representation among the sources; channels may share one.
    pub(crate) source: usize,
    pub(crate) stages: Vec<Stage>,
}

impl FrontEnd {
    /// Checks and compiles a configuration.
    ///
    /// # Errors
    /// [`Error::Config`] names the setting that cannot be, the value found and what is allowed.
    pub fn new(config: &FrontEndConfig) -> Result<Self> {
        check::range(
            "features.sample_rate",
            config.sample_rate as usize,
            1,
            4_000_000,
        )?;
        check::range("features.channels", config.channels.len(), 1, 64)?;
        let mut compiler = Compiler::new(config.sample_rate);
        for channel in &config.channels {
            compiler.add(channel)?;
        }
        compiler.finish(config).map(|parts| Self(Arc::new(parts)))
    }

    /// The configuration that this front end was made from.
    pub fn config(&self) -> &FrontEndConfig {
        &self.0.config
    }

    /// Samples per second of the waveforms that it takes, in Hz.
    pub fn sample_rate(&self) -> u32 {
        self.0.config.sample_rate
    }

    /// The number of channels of its features.
    pub fn n_channels(&self) -> usize {
        self.0.channels.len()
    }

    /// The number of bands of its features.
    pub fn n_bands(&self) -> usize {
        self.0.n_bands
    }

    /// The number of frames of the features of a clip of `n_samples`.
    ///
    /// # Errors
    /// [`Error::ClipTooShort`] below [`min_samples`](Self::min_samples).
    pub fn n_frames(&self, n_samples: usize) -> Result<usize> {
        self.0.sources[0].n_frames(n_samples)
    }

    /// The least number of samples that give a frame.
    pub fn min_samples(&self) -> usize {
        let needed = self.0.sources.iter().map(|source| source.min_samples());
        needed.max().unwrap_or(1)
    }

    /// Frames per second of the features.
    pub fn frames_per_second(&self) -> f64 {
        f64::from(self.sample_rate()) / self.0.sources[0].hop_length() as f64
    }

    /// The settings that need the whole clip, such as `loudness.top_db`; empty when the front end
    /// works on streams.
    pub fn clip_wide_settings(&self) -> Vec<&'static str> {
        let stages = self.0.channels.iter().flat_map(|channel| &channel.stages);
        let mut names: Vec<_> = stages
            .filter_map(|stage| stage.clip_wide().map(|change| change.name()))
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Computes the features of a clip, mono, at [`sample_rate`](Self::sample_rate).
    ///
    /// # Errors
    /// * [`Error::ClipTooShort`] if the clip gives no frame; an empty clip never does.
    /// * [`Error::ClipTooLong`] above ten minutes if a setting needs the whole clip.
    /// * [`Error::Sample`] for a sample that is not finite or above [`MAX_SAMPLE`].
    pub fn compute(&self, samples: &[f32]) -> Result<Features> {
        check_samples(samples, 0)?;
        self.check_length(samples.len())?;
        let mut sources = Vec::with_capacity(self.0.sources.len());
        for source in &self.0.sources {
            sources.push(SpectrogramStream::new(source).whole(samples)?);
        }
        let channels = self.0.channels.iter().enumerate().map(|(index, channel)| {
            let is_last_use = !self.0.channels[index + 1..]
                .iter()
                .any(|later| later.source == channel.source);
            let matrix = if is_last_use {
                std::mem::replace(&mut sources[channel.source], Matrix::zeros(0, 0))
            } else {
                sources[channel.source].clone()
            };
            Chain::new(&channel.stages).finish(matrix)
        });
        Ok(Features::stack(channels.collect()))
    }

    /// Begins the computation of a clip whose samples come in blocks. The frames are bit for bit
    /// those of [`compute`](Self::compute).
    ///
    /// # Errors
    /// [`Error::NeedsWholeClip`] lists the [settings](Self::clip_wide_settings) that stand against
    /// it.
    pub fn stream(&self) -> Result<FeatureStream> {
        let settings = self.clip_wide_settings();
        if settings.is_empty() {
            return Ok(FeatureStream::new(self));
        }
        Err(Error::NeedsWholeClip {
            settings: settings.join(", "),
        })
    }

    fn check_length(&self, n_samples: usize) -> Result<()> {
        let limit = u64::from(MAX_CLIP_WIDE_SECS) * u64::from(self.sample_rate());
        let settings = self.clip_wide_settings();
        if settings.is_empty() || n_samples as u64 <= limit {
            return Ok(());
        }
        Err(Error::ClipTooLong {
            found_secs: n_samples as f64 / f64::from(self.sample_rate()),
            limit_secs: f64::from(MAX_CLIP_WIDE_SECS),
            settings: settings.join(", "),
        })
    }
}

/// Refuses samples that are not numbers, or far beyond any audio; `first` is the number of the first
/// sample, for the message.
pub(crate) fn check_samples(samples: &[f32], first: usize) -> Result<()> {
    let is_sound = |x: &f32| x.abs() <= MAX_SAMPLE;
    // A fold without an early end is vectorised; the search runs for bad clips only.
    if samples.iter().fold(true, |all, x| all & is_sound(x)) {
        return Ok(());
    }
    let index = samples.iter().position(|x| !is_sound(x)).unwrap_or(0);
    Err(Error::Sample {
        index: first + index,
        found: samples[index],
        limit: MAX_SAMPLE,
    })
}

/// Collects sources and channels.
struct Compiler {
    sample_rate: u32,
    source_configs: Vec<SpectrogramConfig>,
    sources: Vec<Arc<Spectrogram>>,
    channels: Vec<Channel>,
}

impl Compiler {
    fn new(sample_rate: u32) -> Self {
        Self {
            sample_rate,
            source_configs: Vec::new(),
            sources: Vec::new(),
            channels: Vec::new(),
        }
    }

    fn add(&mut self, channel: &ChannelConfig) -> Result<()> {
        let Representation::Spectrogram(config) = &channel.of;
        let source = self.source(config)?;
        let spectrogram = &self.sources[source];
        let frames_per_second = f64::from(self.sample_rate) / spectrogram.hop_length() as f64;
        let mut stages =
            Stage::of_loudness(&config.loudness, spectrogram.n_bands(), frames_per_second)?;
        for step in &channel.steps {
            stages.push(Stage::new(step)?);
        }
        self.channels.push(Channel { source, stages });
        Ok(())
    }

    /// The index of a representation, compiled on its first use.
    fn source(&mut self, config: &SpectrogramConfig) -> Result<usize> {
        if let Some(index) = self.source_configs.iter().position(|known| known == config) {
            return Ok(index);
        }
        let compiled = Spectrogram::new(config, self.sample_rate)?;
        self.sources.push(Arc::new(compiled));
        self.source_configs.push(config.clone());
        Ok(self.sources.len() - 1)
    }

    fn finish(self, config: &FrontEndConfig) -> Result<Compiled> {
        let n_bands = self.sources[self.channels[0].source].n_bands();
        for channel in &self.channels {
            let found = self.sources[channel.source].n_bands();
            check::that(
                found == n_bands,
                "features.channels",
                || format!("a stack of {n_bands} and {found} bands"),
                || "all channels must have the same size".to_owned(),
            )?;
        }
        Ok(Compiled {
            config: config.clone(),
            sources: self.sources,
            channels: self.channels,
            n_bands,
        })
    }
}
