//! Front ends: a mono waveform in, `[channel, band, frame]` numbers for a network out.
//!
//! [`FrontEndConfig`] names every convention (window, padding, mel formula, loudness, …) and travels
//! inside the model file. [`FrontEnd`] is its checked and compiled form; the dataset cache, training
//! and the tagger all call [`FrontEnd::compute`], or [`FrontEnd::stream`] where the waveform comes in
//! blocks. Nothing here knows files or tensors.
//!
//! # Rules for odd input
//! * Samples are any finite numbers; one that is not is an error that gives its position.
//! * A clip that does not fill a frame is an error that says how many samples are needed.
//! * Silence is fine: every logarithm has a floor or an offset.
//! * Settings that need the whole clip (see [`FrontEnd::clip_wide_settings`]) take at most ten
//!   minutes and do not stream.

mod check;
mod clip;
mod config;
mod examples;
mod framer;
mod front_end;
mod high_resolution;
mod lanes;
mod log_axis;
mod logarithm;
mod loudness;
mod matrix;
mod mel;
mod presets;
mod scale;
mod source;
mod spectrogram;
mod spectrogram_config;
mod stage;
mod statistics;
mod step;
mod stream;
mod window;

pub use clip::{
    ClipConfig, EnergyCentre, FixedLength, LongClip, ShortClip, Trim, centred_on_energy,
    energy_centre, fit, trim_range,
};
pub use config::{ChannelConfig, FrontEndConfig, Representation};
pub use examples::ExampleIndex;
pub use front_end::{FrontEnd, MAX_CLIP_WIDE_SECS, MAX_SAMPLE};
pub(crate) use front_end::{MAX_SAMPLE_RATE, check_samples};
pub use high_resolution::{
    Cells, EnergyHistogram, HighResolution, HighResolutionConfig, HighResolutionMode,
};
pub(crate) use log_axis::nearest_bins;
pub use mel::{MelBank, hz_from_mel, mel_from_hz};
pub use presets::{PRESETS, Preset};
pub use scale::ChannelScale;
pub use spectrogram_config::{
    BinLabelling, BinValue, ClipReference, DecibelConfig, DecibelLaw, EdgeBins, EmptyBands,
    FirstSample, FrequencyAxis, LogAxisConfig, LogConfig, Loudness, MelConfig, MelNorm, MelScale,
    Padding, PcenConfig, PreEmphasis, Reference, SpectrogramConfig, StftConfig, StftScaling,
    TriangleDomain, WindowConfig, WindowPlacement, WindowShape, WindowSymmetry,
};
pub use statistics::{SUMMARIES, StatisticsConfig};
pub use step::{ResizeMethod, Step};
pub use stream::FeatureStream;
pub(crate) use window::scaled_window;

use crate::{Error, Result};
use matrix::Matrix;

/// The features of a clip, or of some consecutive frames of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Features {
    /// The values, `[channel, band, frame]`, the frame running fastest. Band 0 has the lowest
    /// frequency.
    pub data: Vec<f32>,
    /// The number of channels.
    pub n_channels: usize,
    /// The number of bands.
    pub n_bands: usize,
    /// The number of frames.
    pub n_frames: usize,
}

impl Features {
    /// The size: channels, bands, frames.
    pub fn shape(&self) -> [usize; 3] {
        [self.n_channels, self.n_bands, self.n_frames]
    }

    /// The values of one channel, `[band, frame]`.
    ///
    /// # Panics
    /// If there is no such channel.
    pub fn channel(&self, channel: usize) -> &[f32] {
        let length = self.n_bands * self.n_frames;
        &self.data[channel * length..][..length]
    }

    /// The values of one band of one channel, by frame.
    ///
    /// # Panics
    /// If there is no such channel or band.
    pub fn row(&self, channel: usize, band: usize) -> &[f32] {
        &self.channel(channel)[band * self.n_frames..][..self.n_frames]
    }

    /// Stacks matrices of one size, at least one.
    ///
    /// # Errors
    /// [`Error::Shape`] if their sizes differ.
    fn stack(channels: Vec<Matrix>) -> Result<Self> {
        let n_channels = channels.len();
        let mut channels = channels.into_iter();
        let first = channels.next().unwrap_or_else(|| Matrix::zeros(0, 0));
        let Matrix {
            mut data,
            n_bands,
            n_frames,
        } = first;
        for (index, channel) in channels.enumerate() {
            if (channel.n_bands, channel.n_frames) != (n_bands, n_frames) {
                return Err(Error::Shape {
                    what: format!("bands and frames of channel {}", index + 1),
                    found: format!("{} × {}", channel.n_bands, channel.n_frames),
                    expected: format!("{n_bands} × {n_frames} like channel 0"),
                });
            }
            data.extend_from_slice(&channel.data);
        }
        Ok(Self {
            data,
            n_channels,
            n_bands,
            n_frames,
        })
    }
}
