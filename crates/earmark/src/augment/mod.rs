//! Augmentation: a training clip in, the same clip changed at random out.
//!
//! ```text
//! waveform [sample]  ── waveform ── mix_waveforms ──┐
//!                                                  front end
//! features [channel, band, frame] ── features ── mix_features ──→ network
//! ```
//!
//! What is done is an [`AugmentConfig`]: four lists of [`Step`]s, each an effect with a probability.
//! [`Augmenter::new`] checks it once. Every random choice comes from a [`ClipRng`], the stream of
//! one clip in one epoch, so a run repeats exactly at any number of threads. Targets are vectors
//! `[class]` in [0, 1]. Nothing here knows files or the network: sounds that are mixed in come from
//! [`Sounds`], partners for mixup from [`Partners`].
//!
//! ```
//! use earmark::augment::{AugmentConfig, Augmenter, ClipRng, Material, Scratch};
//!
//! let config: AugmentConfig = AugmentConfig::from_toml(r#"
//!     [[waveform]]
//!     kind = "gain"
//!     db = [-12, 6]
//!
//!     [[waveform]]
//!     kind = "pitch-shift"
//!     probability = 0.3
//!     semitones = [-2, 2]
//! "#)?;
//! let augmenter = Augmenter::new(&config, Material::new(32_000))?;
//!
//! let mut samples = vec![0.1; 32_000];
//! let rng = ClipRng::new(42, 0, "dog.wav");
//! augmenter.waveform(&mut samples, &rng, &mut Scratch::default())?;
//! # Ok::<(), earmark::Error>(())
//! ```

mod config;
pub mod mix;
mod random;
mod scratch;
mod settings;
mod sounds;
pub mod spectrogram;
mod step;
pub mod waveform;

pub use config::{AugmentConfig, Augmenter};
pub use mix::{Mix, Mixture, Partner, Partners};
pub use random::ClipRng;
pub use scratch::Scratch;
pub use settings::Span;
pub use sounds::{Material, Sounds};
pub use spectrogram::SpectrogramEffect;
pub use step::{Action, Group, Step};
pub use waveform::{Colour, WaveformEffect};

/// What an effect has at hand while it runs.
pub(crate) struct Context<'a> {
    /// The clip's random stream.
    pub(crate) rng: &'a mut ClipRng,
    /// Buffers of the calling thread.
    pub(crate) scratch: &'a mut Scratch,
    /// The sample rate and the sounds to mix in.
    pub(crate) material: &'a Material,
}

impl Context<'_> {
    /// The number of samples in `secs`, rounded.
    pub(crate) fn samples_from_secs(&self, secs: f32) -> usize {
        (f64::from(secs) * f64::from(self.material.sample_rate)).round() as usize
    }
}
