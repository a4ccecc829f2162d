//! Effects on waveforms: mono `f32` samples in, changed samples out, at the same sample rate.
//!
//! Each effect is the type of its own settings, with the unit, the range and the default of each
//! at the field. Lengths stay as they are unless the effect's page says otherwise.

mod background;
mod codec;
mod convolve;
mod crop;
mod filter;
mod level;
mod mask;
mod noise;
mod quality;
mod resample;
mod reverb;
mod shift;
mod tempo;
mod vocoder;

use serde::{Deserialize, Serialize};

pub use background::Background;
pub use codec::{Adpcm, MuLaw};
pub use convolve::convolve;
pub use crop::{Crop, Short};
pub use filter::{Biquad, Filter, FilterKind};
pub use level::{Gain, Polarity};
pub use mask::TimeMask;
pub use noise::{Colour, Noise};
pub use quality::{Bandwidth, BitCrush, Clip};
pub use resample::resample;
pub use reverb::{ResponseSource, Reverb, decaying_response};
pub use shift::Shift;
pub use tempo::{PitchShift, Speed, TimeStretch};
pub use vocoder::stretch;

use super::{Context, Material};
use crate::Result;

/// An effect on a waveform, written as its settings and `kind`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[allow(missing_docs, reason = "each variant is the type of the same name")]
pub enum WaveformEffect {
    Crop(Crop),
    Gain(Gain),
    Polarity(Polarity),
    Shift(Shift),
    Noise(Noise),
    Background(Background),
    PitchShift(PitchShift),
    TimeStretch(TimeStretch),
    Speed(Speed),
    Filter(Filter),
    Reverb(Reverb),
    Bandwidth(Bandwidth),
    BitCrush(BitCrush),
    MuLaw(MuLaw),
    Adpcm(Adpcm),
    Clip(Clip),
    TimeMask(TimeMask),
}

impl WaveformEffect {
    pub(super) fn check(&self, at: &str, material: &Material) -> Result<()> {
        match self {
            Self::Crop(effect) => effect.check(at),
            Self::Gain(effect) => effect.check(at),
            Self::Polarity(_) | Self::Adpcm(_) => Ok(()),
            Self::Shift(effect) => effect.check(at),
            Self::Noise(effect) => effect.check(at),
            Self::Background(effect) => effect.check(at, material),
            Self::PitchShift(effect) => effect.check(at),
            Self::TimeStretch(effect) => effect.check(at),
            Self::Speed(effect) => effect.check(at),
            Self::Filter(effect) => effect.check(at, material.sample_rate),
            Self::Reverb(effect) => effect.check(at, material),
            Self::Bandwidth(effect) => effect.check(at),
            Self::BitCrush(effect) => effect.check(at),
            Self::MuLaw(effect) => effect.check(at),
            Self::Clip(effect) => effect.check(at),
            Self::TimeMask(effect) => effect.check(at),
        }
    }

    pub(super) fn apply(&self, samples: &mut Vec<f32>, context: &mut Context<'_>) -> Result<()> {
        match self {
            Self::Crop(effect) => effect.apply(samples, context),
            Self::Gain(effect) => effect.apply(samples, context),
            Self::Polarity(effect) => effect.apply(samples),
            Self::Shift(effect) => effect.apply(samples, context),
            Self::Noise(effect) => effect.apply(samples, context),
            Self::Background(effect) => return effect.apply(samples, context),
            Self::PitchShift(effect) => effect.apply(samples, context),
            Self::TimeStretch(effect) => effect.apply(samples, context),
            Self::Speed(effect) => effect.apply(samples, context),
            Self::Filter(effect) => effect.apply(samples, context),
            Self::Reverb(effect) => return effect.apply(samples, context),
            Self::Bandwidth(effect) => effect.apply(samples, context),
            Self::BitCrush(effect) => effect.apply(samples, context),
            Self::MuLaw(effect) => effect.apply(samples),
            Self::Adpcm(effect) => effect.apply(samples),
            Self::Clip(effect) => effect.apply(samples, context),
            Self::TimeMask(effect) => effect.apply(samples, context),
        }
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::augment::{ClipRng, Scratch};

    /// Runs an effect with the same random stream each time.
    pub(crate) fn apply_with<R>(material: &Material, run: impl FnOnce(&mut Context<'_>) -> R) -> R {
        run(&mut Context {
            rng: &mut ClipRng::new(7, 1, "clip"),
            scratch: &mut Scratch::default(),
            material,
        })
    }

    /// The same, without any sounds.
    pub(crate) fn apply_at<R>(sample_rate: u32, run: impl FnOnce(&mut Context<'_>) -> R) -> R {
        apply_with(&Material::new(sample_rate), run)
    }

    /// A sine of amplitude 1.
    pub(crate) fn sine(hz: f64, secs: f64, sample_rate: u32) -> Vec<f32> {
        let step = std::f64::consts::TAU * hz / f64::from(sample_rate);
        (0..(secs * f64::from(sample_rate)).round() as usize)
            .map(|i| (step * i as f64).sin() as f32)
            .collect()
    }
}
