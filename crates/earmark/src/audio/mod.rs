//! Sound in, blocks of `f32` out: decoding, downmix and resampling behind one type.
//!
//! ```text
//! path / bytes / reader
//!   └─ source     one byte reader, counted and limited
//!        └─ container   recognised by content
//!             ├─ riff      WAV, RF64/BW64, Wave64: chunk reader and PCM decoding written here
//!             └─ packets   everything else: Symphonia, and `ropus` for Opus
//!                  └─ mix → resample → AudioBlock     planar f32, nominally in [-1, 1]
//! ```
//!
//! [`AudioStream`] holds one block at a time, so a recording of a day needs no more memory than a
//! clip. Every limit of [`Limits`] is checked while decoding; headers are not believed.
//!
//! # Examples
//!
//! ```no_run
//! use earmark::audio::{AudioStream, OpenOptions};
//!
//! let options = OpenOptions { sample_rate: Some(32_000), ..OpenOptions::default() };
//! let mut stream = AudioStream::open("dawn.flac", &options)?;
//! while let Some(block) = stream.next_block()? {
//!     let peak = block.mono().iter().fold(0.0_f32, |peak, x| peak.max(x.abs()));
//!     println!("{} samples, peak {peak}", block.n_samples());
//! }
//! # Ok::<(), earmark::Error>(())
//! ```

mod container;
mod guard;
mod matroska;
mod metadata;
mod mix;
mod mp4;
mod mpeg;
mod options;
mod opus;
mod packets;
mod planes;
mod resample;
mod riff;
mod source;
mod speed;
mod stream;
mod trim;
pub mod wav;

pub use container::{
    AUDIO_EXTENSIONS, Container, has_audio_extension, looks_like_audio, recognise,
};
pub use guard::silence_decoder_panics;
pub use metadata::{RecordingMeta, StartSource, StartTime};
pub use options::{Channels, Limits, OpenOptions, Truncated};
pub use resample::{Resampler, resample};
pub use source::{ReadSeek, Source};
pub use speed::{PlaybackSpeed, check_speeds};
pub use stream::{AudioBlock, AudioInfo, AudioStream};

/// A mono recording in memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Waveform {
    /// The samples, nominally in [-1, 1]; float files may exceed it.
    pub samples: Vec<f32>,
    /// Samples per second (Hz).
    pub sample_rate: u32,
}

impl Waveform {
    /// The length in seconds.
    pub fn duration_secs(&self) -> f64 {
        self.samples.len() as f64 / f64::from(self.sample_rate)
    }
}
