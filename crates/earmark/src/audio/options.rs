//! What a caller may ask of an [`AudioStream`](super::AudioStream): rate, channels, limits.

/// How a recording is opened.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct OpenOptions {
    /// The output's sample rate in Hz; `None` keeps the source's.
    pub sample_rate: Option<u32>,
    /// Whether channels are mixed to one or kept apart.
    pub channels: Channels,
    /// Bounds on what is accepted.
    pub limits: Limits,
    /// What to do with a recording that ends before its header says so.
    pub truncated: Truncated,
}

/// What becomes of several channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Channels {
    /// One channel: the arithmetic mean of all channels. Where the file states which channel is a
    /// low-frequency-effects channel (5.1 and the like), that channel is left out of the mean: it
    /// carries a band-limited copy at another gain.
    #[default]
    Mix,
    /// All channels, planar, in the file's order.
    Each,
}

/// What becomes of a recording that stops early: a cut download, a recorder that lost power.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Truncated {
    /// An error that names the second where the stream breaks.
    #[default]
    Refuse,
    /// The samples that are there, then the end; [`AudioStream::warning`] then says what is missing.
    ///
    /// [`AudioStream::warning`]: super::AudioStream::warning
    Accept,
}

/// Bounds on a recording, checked at opening where a header states the quantity and again while
/// decoding, since headers lie.
///
/// The defaults suit a command line that must accept recordings of weeks and of terabytes; a server
/// sets smaller ones.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// The largest number of bytes read from the source. Default: 1 TiB.
    pub max_bytes: u64,
    /// The longest recording in seconds. Default: 31 days.
    pub max_duration_secs: f64,
    /// The largest number of channels. Default: 64.
    pub max_channels: usize,
    /// The lowest source sample rate in Hz. Default: 1 000.
    pub min_sample_rate: u32,
    /// The highest source sample rate in Hz. Default: 1 000 000 (bat detectors reach 500 kHz).
    pub max_sample_rate: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_bytes: 1 << 40,
            max_duration_secs: 31.0 * 86_400.0,
            max_channels: 64,
            min_sample_rate: 1_000,
            max_sample_rate: 1_000_000,
        }
    }
}
