//! [`FrontEndConfig`]: everything between a waveform and the numbers that a network sees.
//!
//! One serde type, written as TOML or JSON; it travels inside the model file, so tagging and
//! training cannot disagree. Unknown keys are refused.

use serde::{Deserialize, Serialize};

use super::clip::ClipConfig;
use super::high_resolution::HighResolutionConfig;
use super::spectrogram_config::SpectrogramConfig;
use super::statistics::StatisticsConfig;
use super::step::Step;

/// A front end: which rate, and which representations become the channels.
///
/// # Examples
///
/// ```
/// use earmark::features::FrontEndConfig;
///
/// let config: FrontEndConfig = toml::from_str(r#"
///     sample_rate = 16000
///
///     [[channels]]
///     [channels.of]
///     kind = "spectrogram"
///     stft = { n_fft = 512, hop_length = 160, padding = "reflect" }
///     axis = { kind = "mel", n_mels = 64, f_min = 50.0 }
///     loudness = { kind = "ln", offset = 1e-5 }
/// "#)?;
/// assert_eq!(config.channels.len(), 1);
/// # Ok::<(), toml::de::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrontEndConfig {
    /// Samples per second of the waveforms that it takes, in Hz.
    pub sample_rate: u32,
    /// What is done to the waveform first.
    #[serde(default, skip_serializing_if = "ClipConfig::is_nothing")]
    pub clip: ClipConfig,
    /// The channels of the result, in order; at least one, all of the same size.
    pub channels: Vec<ChannelConfig>,
}

/// One channel of a front end: a representation, and what is done to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelConfig {
    /// What is computed from the waveform.
    pub of: Representation,
    /// What is done to the result, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Step>,
}

impl From<Representation> for ChannelConfig {
    fn from(of: Representation) -> Self {
        Self {
            of,
            steps: Vec::new(),
        }
    }
}

/// What is computed from a waveform.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Representation {
    /// The samples themselves: one band, a frame per sample.
    Waveform,
    /// A time-frequency picture.
    Spectrogram(SpectrogramConfig),
    /// A high-resolution time-frequency picture. Needs the whole clip.
    HighResolution(HighResolutionConfig),
    /// Numbers that describe the clip as a whole: one frame. Needs the whole clip.
    Statistics(StatisticsConfig),
}
