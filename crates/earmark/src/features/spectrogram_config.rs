//! The settings of a spectrogram: short-time Fourier transform, frequency axis, loudness.
//!
//! Plain serde types, every number in the unit that its name or documentation states. They are
//! checked once, when [`FrontEnd::new`](super::FrontEnd::new) compiles them; the checks live beside
//! the code that each setting drives.

use serde::{Deserialize, Serialize};

/// A time-frequency picture: which transform, which frequency axis, which loudness.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpectrogramConfig {
    /// The short-time Fourier transform.
    pub stft: StftConfig,
    /// Which real number is taken of each complex bin, before the frequency axis is applied.
    #[serde(default)]
    pub values: BinValue,
    /// How the bins become bands.
    #[serde(default)]
    pub axis: FrequencyAxis,
    /// How the values become loudness.
    #[serde(default)]
    pub loudness: Loudness,
}

/// The short-time Fourier transform.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StftConfig {
    /// Length of the Fourier transform in samples, 2 to 2²⁰. There are `n_fft / 2 + 1` bins.
    pub n_fft: usize,
    /// Length of the window in samples, 1 to `n_fft`; `n_fft` when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub win_length: Option<usize>,
    /// Step from frame to frame in samples, at least 1.
    pub hop_length: usize,
    /// The window's shape.
    #[serde(default)]
    pub window: WindowConfig,
    /// Where a window shorter than `n_fft` lies in the frame.
    #[serde(default)]
    pub placement: WindowPlacement,
    /// What lies before the first and after the last sample.
    #[serde(default)]
    pub padding: Padding,
    /// A first-order high-pass filter before the transform.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pre_emphasis: Option<PreEmphasis>,
    /// Division by a property of the window.
    #[serde(default)]
    pub scaling: StftScaling,
}

impl StftConfig {
    /// A centred, zero-padded transform with a periodic Hann window over the whole frame: what
    /// librosa ≥ 0.9 does by default.
    pub fn new(n_fft: usize, hop_length: usize) -> Self {
        Self {
            n_fft,
            win_length: None,
            hop_length,
            window: WindowConfig::default(),
            placement: WindowPlacement::default(),
            padding: Padding::default(),
            pre_emphasis: None,
            scaling: StftScaling::default(),
        }
    }

    /// The window's length in samples, the default resolved.
    pub fn win_length(&self) -> usize {
        self.win_length.unwrap_or(self.n_fft)
    }
}

/// A window function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WindowConfig {
    /// The shape.
    pub shape: WindowShape,
    /// Whether the shape's period is the window's length or one sample less.
    #[serde(default)]
    pub symmetry: WindowSymmetry,
}

/// The shape of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WindowShape {
    /// `0.5 - 0.5 cos`.
    #[default]
    Hann,
    /// `0.54 - 0.46 cos`.
    Hamming,
    /// `0.42 - 0.5 cos + 0.08 cos 2`.
    Blackman,
    /// The Hann window to the power .85, Kaldi's default.
    Povey,
    /// One everywhere.
    Boxcar,
}

/// The period of a window function of `n` samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WindowSymmetry {
    /// Period `n`: librosa, `torch.hann_window`'s default, TensorFlow.
    #[default]
    Periodic,
    /// Period `n - 1`, first and last sample equal: Kaldi, MATLAB, `numpy.hanning`.
    Symmetric,
}

/// Where a window shorter than `n_fft` lies in the frame of the Fourier transform.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WindowPlacement {
    /// A frame is `n_fft` samples with the window in its middle: librosa and PyTorch.
    #[default]
    Centre,
    /// A frame is `win_length` samples, followed by zeros up to `n_fft`: TensorFlow and Kaldi.
    Start,
}

/// What lies outside the clip.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Padding {
    /// Nothing: frame `i` begins at sample `i * hop_length`, incomplete frames are dropped.
    None,
    /// Half a frame of zeros on both sides, so that frame `i` is centred on sample
    /// `i * hop_length`: librosa ≥ 0.9.
    #[default]
    Zero,
    /// Half a frame of the clip's reflection on both sides, the edge sample not repeated:
    /// librosa ≤ 0.8 and PyTorch. The clip must be longer than half a frame.
    Reflect,
}

/// The filter `y[n] = x[n] - coefficient * x[n - 1]`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PreEmphasis {
    /// The filter's coefficient, 0 to 1.
    pub coefficient: f64,
    /// What becomes of the first sample, which has no predecessor.
    #[serde(default)]
    pub first: FirstSample,
}

/// The first sample of a pre-emphasised clip.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FirstSample {
    /// Dropped, so that the clip is one sample shorter: a convolution without padding (EfficientAT).
    #[default]
    Drop,
    /// Kept as it is, as if a zero came before it.
    Keep,
}

/// Division of the transform by a property of the window `w`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StftScaling {
    /// None.
    #[default]
    None,
    /// By `sqrt(Σ w²)`: `normalized=True` in torchaudio's `Spectrogram`.
    WindowNorm,
    /// By `Σ w`: a sine of amplitude 1 has magnitude ½ (SciPy's `spectrum`).
    WindowSum,
    /// By `sqrt(sample_rate · Σ w²)`: SciPy's `density`.
    Density,
}

/// The real number taken of a complex bin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BinValue {
    /// The absolute value.
    Magnitude,
    /// The squared absolute value.
    #[default]
    Power,
    /// The real part.
    Real,
    /// The imaginary part.
    Imaginary,
    /// The angle in radians, `-π` to `π`.
    Phase,
}

/// How the bins of the transform become the bands of the picture, lowest frequency first.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum FrequencyAxis {
    /// Every bin is a band.
    #[default]
    Linear,
    /// Triangular filters, equally spaced on a mel scale.
    Mel(MelConfig),
    /// The nearest bin to points on an axis that is linear up to a corner and logarithmic above.
    Log(LogAxisConfig),
}

/// A bank of triangular filters on a mel scale.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MelConfig {
    /// The number of bands, 1 to 4096.
    pub n_mels: usize,
    /// The lower edge of the lowest band in Hz.
    #[serde(default)]
    pub f_min: f64,
    /// The upper edge of the highest band in Hz; half the sample rate when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub f_max: Option<f64>,
    /// The formula from Hz to mel.
    #[serde(default)]
    pub scale: MelScale,
    /// The height of the triangles.
    #[serde(default)]
    pub norm: MelNorm,
    /// Over which axis the sides of the triangles are straight.
    #[serde(default)]
    pub triangles: TriangleDomain,
    /// Bins at the edge of the spectrum that no filter sees.
    #[serde(default)]
    pub edge_bins: EdgeBins,
    /// What becomes of filters so narrow that no bin falls into them.
    #[serde(default)]
    pub empty_bands: EmptyBands,
}

impl MelConfig {
    /// librosa's defaults: Slaney scale, area normalisation, 0 Hz to half the sample rate.
    pub fn new(n_mels: usize) -> Self {
        Self {
            n_mels,
            f_min: 0.0,
            f_max: None,
            scale: MelScale::default(),
            norm: MelNorm::default(),
            triangles: TriangleDomain::default(),
            edge_bins: EdgeBins::default(),
            empty_bands: EmptyBands::default(),
        }
    }

    /// Kaldi's filters, as `torchaudio.compliance.kaldi.get_mel_banks` makes them: triangles that
    /// are straight over mel, not normalised, and nothing at half the sample rate.
    pub fn kaldi(n_mels: usize, f_min: f64, f_max: f64) -> Self {
        Self {
            f_min,
            f_max: Some(f_max),
            scale: MelScale::Kaldi,
            norm: MelNorm::None,
            triangles: TriangleDomain::Mel,
            edge_bins: EdgeBins::SkipNyquist,
            ..Self::new(n_mels)
        }
    }

    /// TensorFlow's filters, as `tf.signal.linear_to_mel_weight_matrix` makes them: triangles that
    /// are straight over mel, not normalised, and nothing at 0 Hz.
    pub fn tensorflow(n_mels: usize, f_min: f64, f_max: f64) -> Self {
        Self {
            edge_bins: EdgeBins::SkipDc,
            ..Self::kaldi(n_mels, f_min, f_max)
        }
    }

    /// torchaudio's `MelSpectrogram` defaults: HTK scale, not normalised, 0 Hz to half the rate.
    pub fn htk(n_mels: usize) -> Self {
        Self {
            scale: MelScale::Htk,
            norm: MelNorm::None,
            ..Self::new(n_mels)
        }
    }
}

/// A formula from Hz to mel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MelScale {
    /// Linear up to 1 kHz, logarithmic above (Slaney's Auditory Toolbox): librosa's default.
    #[default]
    Slaney,
    /// `2595 log10(1 + f / 700)`: HTK, torchaudio's default.
    Htk,
    /// `1127 ln(1 + f / 700)`: Kaldi and TensorFlow; differs from HTK in the fifth digit.
    Kaldi,
}

/// The height of the triangles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MelNorm {
    /// The peak is 1.
    None,
    /// `2 / width in Hz`, so that every triangle has the same area.
    #[default]
    Slaney,
}

/// The axis over which the sides of the triangles are straight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TriangleDomain {
    /// Hertz: librosa and torchaudio.
    #[default]
    Hertz,
    /// Mel: TensorFlow and Kaldi.
    Mel,
}

/// Bins at the edges of the spectrum that get no weight in any filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EdgeBins {
    /// No exception: librosa and torchaudio.
    #[default]
    Keep,
    /// The bin at 0 Hz: TensorFlow.
    SkipDc,
    /// The bin at half the sample rate: Kaldi.
    SkipNyquist,
}

/// Filters so narrow that no bin falls into them, whose band is empty in every clip.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EmptyBands {
    /// An error: fewer bands or a larger `n_fft` are needed.
    #[default]
    Refuse,
    /// Kept as bands of zeros, for networks that were trained with them.
    Keep,
}

/// A frequency axis that is linear up to a corner frequency and logarithmic above it, sampled at
/// equal distances (matplotlib's `symlog` scale with base 2). Every band is the nearest bin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogAxisConfig {
    /// The number of bands, 1 to 8192.
    pub n_bands: usize,
    /// The corner in Hz, above 0.
    pub linear_below: f64,
    /// The length of the linear part, in octaves of the logarithmic part, above 0.
    pub linear_length: f64,
    /// Which frequency a bin is said to have.
    #[serde(default)]
    pub labelling: BinLabelling,
}

/// The frequency that a bin is said to have when it is drawn on a logarithmic axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BinLabelling {
    /// Its own.
    #[default]
    Hertz,
    /// That of the mel band with the same number, as if there were as many (Slaney) mel bands as
    /// bins. `librosa.display.specshow(y_axis="mel")` draws a linear spectrogram so, which leaves it
    /// almost linear; for comparison with pictures made that way only.
    MelBandNumber,
}

/// How values become loudness.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Loudness {
    /// As they are.
    #[default]
    Linear,
    /// Decibels.
    Decibel(DecibelConfig),
    /// `ln(max(x + offset, floor))`.
    Ln(LogConfig),
    /// `log10(max(x + offset, floor))`.
    Log10(LogConfig),
    /// Per-channel energy normalisation.
    Pcen(PcenConfig),
}

/// An offset and a floor under a logarithm; at least one must be above 0.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogConfig {
    /// Added before the logarithm.
    #[serde(default)]
    pub offset: f64,
    /// The least value that the logarithm sees.
    #[serde(default)]
    pub floor: f64,
}

/// Decibels.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecibelConfig {
    /// Whether the values are powers or amplitudes.
    #[serde(default)]
    pub law: DecibelLaw,
    /// The value that has 0 dB.
    #[serde(default)]
    pub reference: Reference,
    /// The least value (power or amplitude) that the logarithm sees, above 0.
    pub floor: f64,
    /// The range below the clip's loudest value in dB, where the result is cut; no cut when left
    /// out. Needs the whole clip.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_db: Option<f64>,
}

impl DecibelConfig {
    /// librosa's `power_to_db`: reference 1, floor 1e-10, 80 dB below the clip's peak.
    pub fn power() -> Self {
        Self {
            law: DecibelLaw::Power,
            reference: Reference::Value(1.0),
            floor: 1e-10,
            top_db: Some(80.0),
        }
    }

    /// librosa's `amplitude_to_db`: reference 1, floor 1e-5, 80 dB below the clip's peak.
    pub fn amplitude() -> Self {
        Self {
            law: DecibelLaw::Amplitude,
            floor: 1e-5,
            ..Self::power()
        }
    }
}

/// What a decibel is a ratio of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DecibelLaw {
    /// `10 log10 x`.
    #[default]
    Power,
    /// `20 log10 x`.
    Amplitude,
}

/// The value that has 0 dB: a number, or `"max"` for the clip's own largest value.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Reference {
    /// This value, above 0.
    Value(f64),
    /// A property of the clip. Needs the whole clip.
    OfClip(ClipReference),
}

impl Default for Reference {
    fn default() -> Self {
        Self::Value(1.0)
    }
}

/// A property of a clip that has 0 dB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClipReference {
    /// The largest value.
    Max,
}

/// Per-channel energy normalisation (Wang et al. 2017, arXiv 1607.05666), with librosa's numerics:
/// `bias^power · expm1(power · log1p(x · gain_of(smoothed) / bias))`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PcenConfig {
    /// Multiplies the values first. librosa's examples use 2³¹, as if samples were 32-bit integers.
    pub scale: f64,
    /// The strength of the automatic gain, 0 to 1.
    pub gain: f64,
    /// The bias of the root compression, above 0.
    pub bias: f64,
    /// The exponent of the root compression, above 0.
    pub power: f64,
    /// The time constant of the smoother in seconds, above 0.
    pub time_constant_secs: f64,
    /// The least divisor, above 0.
    pub epsilon: f64,
    /// The smoother's value before the first frame, in units of the scaled values. librosa's is 1.
    pub start: f64,
}

impl Default for PcenConfig {
    fn default() -> Self {
        Self {
            scale: 2f64.powi(31),
            gain: 0.98,
            bias: 2.0,
            power: 0.5,
            time_constant_secs: 0.4,
            epsilon: 1e-6,
            start: 1.0,
        }
    }
}
