//! The settings of clip shaping.

use serde::{Deserialize, Serialize};

use crate::features::step::Step;

/// What is done to a waveform before anything is computed from it, in this order. Everything here
/// needs the whole clip, except for steps that look at one sample at a time.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClipConfig {
    /// Cuts leading and trailing silence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trim: Option<Trim>,
    /// Cuts a fixed length around the loudest part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub centre: Option<EnergyCentre>,
    /// Pads or cuts to a fixed length.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<FixedLength>,
    /// Arithmetic on the samples, such as normalisation; steps that change their number are
    /// refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Step>,
}

impl ClipConfig {
    /// Whether clips stay as they are.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// When leading and trailing frames are silence.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Trim {
    /// Frames this far below the loudest frame are silent, in dB, above 0.
    pub top_db: f64,
    /// The length of a frame in samples, at least 1.
    pub frame_length: usize,
    /// The step from frame to frame in samples, at least 1.
    pub hop_length: usize,
}

impl Default for Trim {
    /// librosa's defaults.
    fn default() -> Self {
        Self {
            top_db: 60.0,
            frame_length: 2048,
            hop_length: 512,
        }
    }
}

/// A fixed length around the loudest part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnergyCentre {
    /// The length that loudness is summed over, in samples, at least 1 and at most `n_samples`.
    pub window_length: usize,
    /// The length of the result in samples.
    pub n_samples: usize,
}

/// A fixed length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FixedLength {
    /// The length in samples, at least 1.
    pub n_samples: usize,
    /// What becomes of shorter clips.
    #[serde(default)]
    pub short: ShortClip,
    /// What becomes of longer clips.
    #[serde(default)]
    pub long: LongClip,
}

/// What becomes of clips that are too short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ShortClip {
    /// They stay as they are.
    Keep,
    /// They are an error.
    Refuse,
    /// Zeros follow.
    #[default]
    ZerosAfter,
    /// Zeros on both sides, the odd one after.
    ZerosAround,
    /// Zeros on both sides, in random proportion.
    ZerosAtRandom,
    /// They are repeated from their beginning.
    Repeat,
}

/// What becomes of clips that are too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LongClip {
    /// They stay as they are.
    Keep,
    /// Their beginning is kept.
    #[default]
    First,
    /// Their middle is kept.
    Centre,
    /// A random part is kept.
    Random,
}
