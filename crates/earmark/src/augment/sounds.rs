//! Sounds that effects need besides the clip: backgrounds to mix in, impulse responses.

use std::borrow::Cow;
use std::sync::Arc;

use crate::Result;

/// A set of waveforms at the augmented clips' sample rate.
///
/// Augmentation knows no files: whoever trains reads them (all at once, or when asked) and hands
/// them over through this trait.
pub trait Sounds: Send + Sync {
    /// The number of waveforms.
    fn n_sounds(&self) -> usize;

    /// The samples of waveform `index`, which is below [`Sounds::n_sounds`].
    ///
    /// # Errors
    /// Whatever reading it can end in; the error is handed on to the caller of the augmentation.
    fn samples(&self, index: usize) -> Result<Cow<'_, [f32]>>;
}

impl Sounds for Vec<Vec<f32>> {
    fn n_sounds(&self) -> usize {
        self.len()
    }

    fn samples(&self, index: usize) -> Result<Cow<'_, [f32]>> {
        Ok(Cow::Borrowed(&self[index]))
    }
}

/// What augmentation works with besides its settings.
#[derive(Clone)]
pub struct Material {
    /// The sample rate of all waveforms, in Hz.
    pub sample_rate: u32,
    /// Sounds for `background`.
    pub backgrounds: Option<Arc<dyn Sounds>>,
    /// Impulse responses for `reverb` with `source = "measured"`.
    pub impulse_responses: Option<Arc<dyn Sounds>>,
}

impl Material {
    /// Material without sounds, for waveforms at `sample_rate` Hz.
    pub fn new(sample_rate: u32) -> Self {
        Self {
            sample_rate,
            backgrounds: None,
            impulse_responses: None,
        }
    }
}

impl std::fmt::Debug for Material {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let count = |sounds: &Option<Arc<dyn Sounds>>| sounds.as_ref().map(|s| s.n_sounds());
        f.debug_struct("Material")
            .field("sample_rate", &self.sample_rate)
            .field("n_backgrounds", &count(&self.backgrounds))
            .field("n_impulse_responses", &count(&self.impulse_responses))
            .finish()
    }
}
