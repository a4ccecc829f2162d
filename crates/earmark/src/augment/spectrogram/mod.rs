//! Effects on features: `[channel, band, frame]` in, the same out with something changed.
//!
//! Each effect is the type of its own settings, with the unit, the range and the default of each
//! at the field. All channels are changed alike: the same bands are masked, the same frames moved.
//! Only `crop` changes the number of frames; nothing changes the number of bands.

mod balance;
mod crop;
mod fill;
mod masks;
mod resized_crop;
mod shift;
mod warp;

use serde::{Deserialize, Serialize};

pub use balance::{Lighting, LightingSpace, SubtractMean};
pub use crop::{Crop, Short};
pub use fill::Fill;
pub use masks::{Erase, FrequencyMask, TimeMask};
pub use resized_crop::ResizedCrop;
pub use shift::{FrequencyShift, TimeShift};
pub use warp::{FrequencyWarp, TimeWarp};

use super::Context;
use crate::features::Features;
use crate::{Error, Result};

/// An effect on features, written as its settings and `kind`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[allow(missing_docs, reason = "each variant is the type of the same name")]
pub enum SpectrogramEffect {
    Crop(Crop),
    FrequencyMask(FrequencyMask),
    TimeMask(TimeMask),
    Erase(Erase),
    ResizedCrop(ResizedCrop),
    FrequencyShift(FrequencyShift),
    TimeShift(TimeShift),
    FrequencyWarp(FrequencyWarp),
    TimeWarp(TimeWarp),
    Lighting(Lighting),
    SubtractMean(SubtractMean),
}

impl SpectrogramEffect {
    pub(super) fn check(&self, at: &str) -> Result<()> {
        match self {
            Self::Crop(effect) => effect.check(at),
            Self::FrequencyMask(effect) => effect.check(at),
            Self::TimeMask(effect) => effect.check(at),
            Self::Erase(effect) => effect.check(at),
            Self::ResizedCrop(effect) => effect.check(at),
            Self::FrequencyShift(effect) => effect.check(at),
            Self::TimeShift(effect) => effect.check(at),
            Self::FrequencyWarp(effect) => effect.check(at),
            Self::TimeWarp(effect) => effect.check(at),
            Self::Lighting(effect) => effect.check(at),
            Self::SubtractMean(effect) => effect.check(at),
        }
    }

    pub(super) fn apply(&self, features: &mut Features, context: &mut Context<'_>) -> Result<()> {
        check_shape(features)?;
        match self {
            Self::Crop(effect) => effect.apply(features, context),
            Self::FrequencyMask(effect) => effect.apply(features, context),
            Self::TimeMask(effect) => effect.apply(features, context),
            Self::Erase(effect) => effect.apply(features, context),
            Self::ResizedCrop(effect) => effect.apply(features, context),
            Self::FrequencyShift(effect) => effect.apply(features, context),
            Self::TimeShift(effect) => effect.apply(features, context),
            Self::FrequencyWarp(effect) => effect.apply(features, context),
            Self::TimeWarp(effect) => effect.apply(features, context),
            Self::Lighting(effect) => effect.apply(features, context),
            Self::SubtractMean(effect) => effect.apply(features, context),
        }
        Ok(())
    }
}

/// Makes sure that there is something to change and that the sizes describe the data.
fn check_shape(features: &Features) -> Result<()> {
    let shape @ [n_channels, n_bands, n_frames] =
        [features.n_channels, features.n_bands, features.n_frames];
    let length = n_channels * n_bands * n_frames;
    if length > 0 && length == features.data.len() {
        return Ok(());
    }
    Err(Error::Shape {
        what: "features to augment".to_owned(),
        found: format!("{shape:?} with {} values", features.data.len()),
        expected: "at least one channel, band and frame, and as many values".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::augment::waveform::tests::apply_at;

    /// Features whose value tells where they are: `1000 channel + 100 band + frame`.
    pub(super) fn numbered(n_channels: usize, n_bands: usize, n_frames: usize) -> Features {
        let mut data = Vec::new();
        for channel in 0..n_channels {
            for band in 0..n_bands {
                data.extend((0..n_frames).map(|f| (1000 * channel + 100 * band + f) as f32));
            }
        }
        Features {
            data,
            n_channels,
            n_bands,
            n_frames,
        }
    }

    /// Applies an effect with its settings written as TOML.
    pub(super) fn apply(settings: &str, features: &mut Features) {
        let effect: SpectrogramEffect = toml::from_str(settings).unwrap();
        effect.check("features[0]").unwrap();
        apply_at(8000, |context| effect.apply(features, context)).unwrap();
    }

    #[test]
    fn features_of_no_frames_are_refused() {
        let mut empty = numbered(1, 4, 0);
        let effect = SpectrogramEffect::TimeMask(TimeMask::default());
        let error = apply_at(8000, |context| effect.apply(&mut empty, context));
        assert!(matches!(error, Err(Error::Shape { .. })));
    }

    #[test]
    fn every_effect_keeps_the_size_on_odd_and_tiny_features() {
        let kinds = [
            "frequency-mask",
            "time-mask",
            "erase",
            "resized-crop",
            "frequency-shift",
            "time-shift",
            "frequency-warp",
            "time-warp",
            "lighting",
            "subtract-mean",
        ];
        for kind in kinds {
            for (n_channels, n_bands, n_frames) in [(1, 1, 1), (3, 7, 1), (2, 1, 9), (1, 64, 101)] {
                let mut features = numbered(n_channels, n_bands, n_frames);
                let before = features.clone();
                apply(&format!("kind = \"{kind}\""), &mut features);
                assert_eq!(features.shape(), before.shape());
                assert_eq!(features.data.len(), before.data.len(), "{kind}");
                assert!(features.data.iter().all(|v| v.is_finite()), "{kind}");
            }
        }
    }
}
