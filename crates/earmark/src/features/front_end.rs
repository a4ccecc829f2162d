//! [`FrontEnd`]: a checked, compiled [`FrontEndConfig`]; waveforms in, [`Features`] out.

use std::sync::Arc;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::Features;
use super::check;
use super::clip::ClipShaper;
use super::config::{ChannelConfig, FrontEndConfig, Representation};
use super::matrix::Matrix;
use super::source::Source;
use super::stage::{Chain, Stage};
use super::stream::FeatureStream;
use crate::{Error, Result};

/// The longest clip, in seconds, that a front end with clip-wide statistics takes.
pub const MAX_CLIP_WIDE_SECS: u32 = 600;

/// The largest absolute value of a sample that a front end takes. Full scale is 1; beyond this
/// limit the squares of sums of samples leave the range of `f32`.
pub const MAX_SAMPLE: f32 = 1e9;

/// The highest sample rate in Hz to which recordings are resampled.
pub(crate) const MAX_SAMPLE_RATE: u32 = 4_000_000;

/// No front end is asked whether it needs more samples than this: a year at 32 kHz, or nine hours where
/// addresses have 32 bits.
const MOST_SAMPLES: usize = 1 << if usize::BITS > 40 { 40 } else { 30 };

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
    shaper: ClipShaper,
    pub(crate) sources: Vec<Source>,
    pub(crate) channels: Vec<Channel>,
    n_bands: usize,
}

/// A compiled channel.
#[derive(Debug)]
pub(crate) struct Channel {
    /// The index of its representation among the sources; channels may share one.
    pub(crate) source: usize,
    pub(crate) stages: Vec<Stage>,
    n_bands: usize,
}

impl Compiled {
    /// The number of frames of a channel, or `None` for a clip too short for it.
    fn n_frames(&self, channel: &Channel, n_samples: usize) -> Option<usize> {
        let n_frames = self.sources[channel.source].n_frames(n_samples);
        let mut stages = channel.stages.iter();
        stages.try_fold(n_frames?, |n_frames, stage| stage.n_frames(n_frames))
    }

    /// Whether a clip of `n_samples` (after shaping) is long enough for every channel.
    fn is_enough(&self, n_samples: usize) -> bool {
        let mut channels = self.channels.iter();
        channels.all(|channel| self.n_frames(channel, n_samples).is_some())
    }
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
            MAX_SAMPLE_RATE as usize,
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
    /// * [`Error::ClipTooShort`] below [`min_samples`](Self::min_samples).
    /// * [`Error::NeedsWholeClip`] if silence is trimmed, and the sound itself decides how much is left: not
    ///   where every clip that is no longer is filled up to one length.
    pub fn n_frames(&self, n_samples: usize) -> Result<usize> {
        let shaped = self.0.shaper.n_samples(n_samples);
        if self.0.shaper.trims() && shaped != self.0.shaper.n_samples(1) {
            return Err(Error::NeedsWholeClip {
                settings: "clip.trim".to_owned(),
            });
        }
        let n_frames = shaped.and_then(|n| self.0.n_frames(&self.0.channels[0], n));
        n_frames.ok_or_else(|| Error::ClipTooShort {
            found: n_samples,
            needed: self.min_samples(),
        })
    }

    /// The least number of samples that every channel can be computed from. Where silence is
    /// trimmed, what is left must have as many.
    pub fn min_samples(&self) -> usize {
        self.least(|n| {
            let shaped = self.0.shaper.n_samples(n);
            shaped.is_some_and(|n| self.0.is_enough(n))
        })
    }

    /// The least number above 0 for which `holds`, which then holds for all larger ones.
    fn least(&self, holds: impl Fn(usize) -> bool) -> usize {
        let mut high = 1_usize;
        while !holds(high) && high < MOST_SAMPLES {
            high *= 2;
        }
        let mut low = high / 2;
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if holds(middle) {
                high = middle;
            } else {
                low = middle;
            }
        }
        high
    }

    /// Samples from frame to frame; `None` where a frame stands for the whole clip, or where the
    /// picture is resized.
    pub fn hop_length(&self) -> Option<usize> {
        let channel = &self.0.channels[0];
        let resizes = |stage: &Stage| stage.n_frames(12_345) != Some(12_345);
        if channel.stages.iter().any(resizes) {
            return None;
        }
        self.0.sources[channel.source].hop_length()
    }

    /// Frames per second of the features; 0 where a frame has no fixed length, that is, where
    /// [`hop_length`](Self::hop_length) is `None`.
    pub fn frames_per_second(&self) -> f64 {
        let rate = f64::from(self.sample_rate());
        self.hop_length().map_or(0.0, |hop| rate / hop as f64)
    }

    /// The settings that need the whole clip, such as `loudness.top_db`; empty when the front end
    /// works on streams.
    pub fn clip_wide_settings(&self) -> Vec<&'static str> {
        let Compiled {
            shaper,
            sources,
            channels,
            ..
        } = &*self.0;
        let stages = channels.iter().flat_map(|channel| &channel.stages);
        let changes = stages.filter_map(Stage::clip_wide);
        let mut names = shaper.clip_wide_settings();
        names.extend(sources.iter().filter_map(Source::clip_wide_setting));
        names.extend(changes.map(|change| change.name()));
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Computes the features of a clip, mono, at [`sample_rate`](Self::sample_rate). Where a random
    /// position is asked for, it is the same for all clips of a length.
    ///
    /// # Errors
    /// * [`Error::ClipTooShort`] if the clip gives no frame; an empty clip never does.
    /// * [`Error::ClipTooLong`] above ten minutes if a setting needs the whole clip.
    /// * [`Error::Sample`] for a sample that is not finite or above [`MAX_SAMPLE`].
    /// * [`Error::Shape`] if the channels have different numbers of frames.
    pub fn compute(&self, samples: &[f32]) -> Result<Features> {
        self.compute_seeded(samples, 0)
    }

    /// Computes the features of a clip with random positions, where the front end has any, drawn
    /// from `seed`.
    ///
    /// # Errors
    /// Those of [`compute`](Self::compute).
    pub fn compute_seeded(&self, samples: &[f32], seed: u64) -> Result<Features> {
        check_samples(samples, 0)?;
        self.check_length(samples.len())?;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let shaped = self.0.shaper.shape(samples, &mut rng)?;
        if !self.0.is_enough(shaped.len()) {
            return Err(Error::ClipTooShort {
                found: shaped.len(),
                needed: self.least(|n| self.0.is_enough(n)),
            });
        }
        let mut sources = Vec::with_capacity(self.0.sources.len());
        for source in &self.0.sources {
            sources.push(source.whole(&shaped)?);
        }
        let channels = self.0.channels.iter().enumerate().map(|(index, channel)| {
            let later = &self.0.channels[index + 1..];
            let matrix = if later.iter().any(|later| later.source == channel.source) {
                sources[channel.source].clone()
            } else {
                std::mem::replace(&mut sources[channel.source], Matrix::zeros(0, 0))
            };
            Chain::new(&channel.stages).finish(matrix)
        });
        Features::stack(channels.collect())
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
    representations: Vec<Representation>,
    sources: Vec<Source>,
    channels: Vec<Channel>,
}

impl Compiler {
    fn new(sample_rate: u32) -> Self {
        Self {
            sample_rate,
            representations: Vec::new(),
            sources: Vec::new(),
            channels: Vec::new(),
        }
    }

    fn add(&mut self, channel: &ChannelConfig) -> Result<()> {
        let index = self.source(&channel.of)?;
        let source = &self.sources[index];
        let mut stages = source.stages(&channel.of, self.sample_rate)?;
        let mut n_bands = stages
            .iter()
            .fold(source.n_bands(), |n, stage| stage.n_bands(n));
        for step in &channel.steps {
            let stage = Stage::new(step, n_bands)?;
            n_bands = stage.n_bands(n_bands);
            stages.push(stage);
        }
        self.channels.push(Channel {
            source: index,
            stages,
            n_bands,
        });
        Ok(())
    }

    /// The index of a representation, compiled on its first use.
    fn source(&mut self, wanted: &Representation) -> Result<usize> {
        if let Some(index) = self
            .representations
            .iter()
            .position(|known| known == wanted)
        {
            return Ok(index);
        }
        self.sources.push(Source::new(wanted, self.sample_rate)?);
        self.representations.push(wanted.clone());
        Ok(self.sources.len() - 1)
    }

    fn finish(self, config: &FrontEndConfig) -> Result<Compiled> {
        let n_bands = self.channels[0].n_bands;
        for channel in &self.channels {
            check::that(
                channel.n_bands == n_bands,
                "features.channels",
                || format!("a stack of {n_bands} and {} bands", channel.n_bands),
                || "all channels must have the same size".to_owned(),
            )?;
        }
        Ok(Compiled {
            config: config.clone(),
            shaper: ClipShaper::new(&config.clip)?,
            sources: self.sources,
            channels: self.channels,
            n_bands,
        })
    }
}
