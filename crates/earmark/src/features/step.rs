//! [`Step`]: arithmetic that follows a representation, or shapes the waveform before it.

use serde::{Deserialize, Serialize};

/// One step of arithmetic on a `[band, frame]` picture.
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
    /// Limits values to a range.
    Clamp {
        /// The least value.
        low: f64,
        /// The largest value, not below `low`.
        high: f64,
    },
    /// Drops the digits after the point, as storing as an integer does.
    Truncate,
    /// The slope or curvature over time, by fitting a polynomial of degree `order` to `width`
    /// frames (Savitzky–Golay). The first and last `width / 2` frames use the fit to the first and
    /// last `width` frames (librosa's mode `interp`). The clip must have at least `width` frames.
    Delta {
        /// 1 for the slope, 2 for the curvature, per frame.
        order: usize,
        /// An odd number of frames, 3 to 1001, above `order`.
        #[serde(default = "default_delta_width")]
        width: usize,
    },
    /// A cosine transform over the bands (DCT-II, orthonormal): of a log-mel spectrogram it makes
    /// mel-frequency cepstral coefficients.
    Cepstrum {
        /// The number of coefficients kept, 1 to the number of bands.
        n_coefficients: usize,
        /// Multiplies coefficient `n` (counted from 1) by `1 + lifter / 2 · sin(πn / lifter)`;
        /// 0 for none.
        #[serde(default)]
        lifter: f64,
    },
    /// Keeps `count` bands from `first` on.
    Bands {
        /// The first band kept, counted from 0.
        first: usize,
        /// The number of bands kept, at least 1.
        count: usize,
    },
    /// Subtracts from each band its mean over the clip (the steady background). Needs the whole
    /// clip.
    SubtractBandMean,
    /// `(x - mean) / (deviation + epsilon)` over all values of the clip. Needs the whole clip.
    Standardise {
        /// Added to the standard deviation, above 0, so that a constant clip becomes zeros.
        epsilon: f64,
    },
    /// `low + (high - low) · (x - min) / (max - min + epsilon)` over all values of the clip. Needs
    /// the whole clip.
    MinMax {
        /// What the clip's smallest value becomes.
        low: f64,
        /// What the clip's largest value becomes, above `low`.
        high: f64,
        /// Added to the range.
        #[serde(default)]
        epsilon: f64,
        /// A clip with a range up to this becomes `low` everywhere.
        #[serde(default)]
        flat_below: f64,
    },
    /// Divides by the clip's largest absolute value; silence stays silence. Needs the whole clip.
    Peak,
    /// Exactly `n_frames` frames: the first ones of a longer clip; a shorter one is filled up at its
    /// end. Needs the whole clip.
    FixedFrames {
        /// The number of frames, at least 1.
        n_frames: usize,
        /// What the missing frames hold.
        fill: f64,
    },
    /// Another size, every value taken from the place in the picture that it stands for. Needs the
    /// whole clip.
    Resize {
        /// The number of bands, 1 to 16384.
        n_bands: usize,
        /// The number of frames, 1 to 2²⁴.
        n_frames: usize,
        /// How values between the cells come about.
        #[serde(default)]
        method: ResizeMethod,
    },
}

fn one() -> f64 {
    1.0
}

fn default_delta_width() -> usize {
    9
}

/// How a picture of another size gets its values. Cell `i` of `n` stands for the place
/// `(i + ½) / n`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResizeMethod {
    /// From the cell at that place.
    #[default]
    Nearest,
    /// In proportion from the two nearest cells of each axis.
    Linear,
    /// The mean of all cells that a new one covers, each by the part that is covered: for making a
    /// picture smaller without losing what lies between.
    Area,
}
