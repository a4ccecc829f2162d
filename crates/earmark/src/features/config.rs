//! [`FrontEndConfig`]: everything between a waveform and the numbers that a network sees.
//!
//! One serde type, written as TOML or JSON; it travels inside the model file, so tagging and
//! training cannot disagree. Unknown keys are refused.

use serde::{Deserialize, Serialize};

use super::spectrogram_config::{
    BinValue, FirstSample, FrequencyAxis, LogConfig, Loudness, MelConfig, Padding, PreEmphasis,
    SpectrogramConfig, StftConfig, WindowConfig, WindowShape, WindowSymmetry,
};

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
    /// A time-frequency picture.
    Spectrogram(SpectrogramConfig),
}

/// One step of arithmetic on a representation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Step {
    /// `(x + add) / divide`.
    Scale {
        /// Added first.
        #[serde(default)]
        add: f64,
        /// Divides the sum; not 0.
        #[serde(default = "one")]
        divide: f64,
    },
    /// `(x - mean) / (deviation + epsilon)` over all values of the clip. Needs the whole clip.
    Standardise {
        /// Added to the standard deviation, above 0, so that a constant clip becomes zeros.
        epsilon: f64,
    },
    /// Moves the clip's smallest value to `low` and its largest to `high`. A clip whose values lie
    /// within `epsilon` becomes `low` everywhere. Needs the whole clip.
    MinMax {
        /// The new smallest value.
        low: f64,
        /// The new largest value, above `low`.
        high: f64,
        /// The least range of values that is stretched, above 0.
        epsilon: f64,
    },
    /// Drops the digits after the point, as storing as an integer does.
    Truncate,
}

fn one() -> f64 {
    1.0
}

impl FrontEndConfig {
    /// The front end of the EfficientAT networks (`mn…_as`): 32 kHz, pre-emphasis .97, 25 ms
    /// symmetric Hann windows every 10 ms, 128 Kaldi mel bands from 0 to 15 kHz,
    /// `(ln(x + 1e-5) + 4.5) / 5`.
    ///
    /// # Source
    /// `AugmentMelSTFT` of github.com/fschmid56/EfficientAT with its default settings, in
    /// evaluation mode.
    pub fn efficient_at() -> Self {
        let log_mel = SpectrogramConfig {
            stft: StftConfig {
                win_length: Some(800),
                window: WindowConfig {
                    shape: WindowShape::Hann,
                    symmetry: WindowSymmetry::Symmetric,
                },
                padding: Padding::Reflect,
                pre_emphasis: Some(PreEmphasis {
                    coefficient: 0.97,
                    first: FirstSample::Drop,
                }),
                ..StftConfig::new(1024, 320)
            },
            values: BinValue::Power,
            axis: FrequencyAxis::Mel(MelConfig::kaldi(128, 0.0, 15_000.0)),
            loudness: Loudness::Ln(LogConfig {
                offset: 1e-5,
                floor: 0.0,
            }),
        };
        Self {
            sample_rate: 32_000,
            channels: vec![ChannelConfig {
                of: Representation::Spectrogram(log_mel),
                steps: vec![Step::Scale {
                    add: 4.5,
                    divide: 5.0,
                }],
            }],
        }
    }
}
