//! The augmentation of a training run: settings in, checked effects out.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::mix::{Mix, Mixture, Partners};
use super::spectrogram::SpectrogramEffect;
use super::step::{Step, check_steps, run_steps};
use super::waveform::WaveformEffect;
use super::{ClipRng, Context, Material, Scratch};
use crate::features::Features;
use crate::{Error, Result};

/// Every augmentation of a training run, the `[augment]` table of its configuration.
///
/// Each list runs in its order and may be empty, which is the default: nothing is changed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AugmentConfig {
    /// The folder of the sounds that `background` mixes in, audio files at any depth. Whoever trains
    /// reads them; nothing here opens a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backgrounds: Option<PathBuf>,
    /// The folder of the impulse responses of `reverb` with `source = "measured"`, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub impulse_responses: Option<PathBuf>,
    /// Effects on a clip's waveform.
    pub waveform: Vec<Step<WaveformEffect>>,
    /// Mixing of two clips' waveforms, after `waveform`.
    pub mix_waveforms: Vec<Step<Mix>>,
    /// Effects on a clip's features.
    pub features: Vec<Step<SpectrogramEffect>>,
    /// Mixing of two clips' features, after `features`.
    pub mix_features: Vec<Step<Mix>>,
}

impl AugmentConfig {
    /// Reads the settings from TOML text.
    ///
    /// # Errors
    /// [`Error::Config`] with the key `augment` for text that does not parse, unknown keys and
    /// wrong types.
    pub fn from_toml(text: &str) -> Result<Self> {
        toml::from_str(text).map_err(|error| Error::Config {
            key: "augment".to_owned(),
            found: "not readable".to_owned(),
            expected: error.message().to_owned(),
        })
    }
}

/// A checked [`AugmentConfig`] with what it needs. Shared by all threads.
#[derive(Clone, Debug)]
pub struct Augmenter {
    config: AugmentConfig,
    material: Material,
}

/// The streams of a clip's stages, see [`ClipRng::stage`].
const WAVEFORM: u64 = 1;
const MIX_WAVEFORMS: u64 = 2;
const FEATURES: u64 = 3;
const MIX_FEATURES: u64 = 4;

impl Augmenter {
    /// Checks the settings against their ranges, the sample rate and the sounds at hand.
    ///
    /// # Errors
    /// [`Error::Config`] with the setting's dotted path for an impossible value, for a background
    /// or a measured reverb without sounds, and for sound-pressure mixing of features.
    pub fn new(config: &AugmentConfig, material: Material) -> Result<Self> {
        if material.sample_rate == 0 {
            return Err(Error::Config {
                key: "augment.sample_rate".to_owned(),
                found: "0".to_owned(),
                expected: "must be at least 1 Hz".to_owned(),
            });
        }
        check_steps(&config.waveform, "augment.waveform", &mut |effect, at| {
            effect.check(at, &material)
        })?;
        check_steps(&config.features, "augment.features", &mut |effect, at| {
            effect.check(at)
        })?;
        let waveforms = "augment.mix_waveforms";
        check_steps(&config.mix_waveforms, waveforms, &mut Mix::check)?;
        let features = "augment.mix_features";
        check_steps(&config.mix_features, features, &mut |mix: &Mix, at| {
            mix.check_for_features(at)?;
            mix.check(at)
        })?;
        Ok(Self {
            config: config.clone(),
            material,
        })
    }

    /// The settings that were checked.
    pub fn config(&self) -> &AugmentConfig {
        &self.config
    }

    /// Changes a clip's waveform. Its length may change: `crop`, `time-stretch` and `speed` do that.
    ///
    /// # Errors
    /// What reading a background or an impulse response ends in.
    pub fn waveform(
        &self,
        samples: &mut Vec<f32>,
        rng: &ClipRng,
        scratch: &mut Scratch,
    ) -> Result<()> {
        let mut rng = rng.stage(WAVEFORM);
        let mut context = self.context(&mut rng, scratch);
        run_steps(
            &self.config.waveform,
            &mut context,
            &mut |effect, context| effect.apply(samples, context),
        )
    }

    /// Mixes other clips' waveforms into a clip's waveform, and their targets into its target.
    ///
    /// # Errors
    /// [`Error::Shape`] if a partner has another size, and what drawing it ends in.
    pub fn mix_waveforms(
        &self,
        clip: Mixture<'_>,
        partners: &mut dyn Partners,
        rng: &ClipRng,
        scratch: &mut Scratch,
    ) -> Result<()> {
        self.mix(
            &self.config.mix_waveforms,
            clip,
            partners,
            rng.stage(MIX_WAVEFORMS),
            scratch,
        )
    }

    /// Changes a clip's features. Only `crop` changes the number of frames.
    ///
    /// # Errors
    /// [`Error::Shape`] for features of no bands or no frames.
    pub fn features(
        &self,
        features: &mut Features,
        rng: &ClipRng,
        scratch: &mut Scratch,
    ) -> Result<()> {
        let mut rng = rng.stage(FEATURES);
        let mut context = self.context(&mut rng, scratch);
        run_steps(
            &self.config.features,
            &mut context,
            &mut |effect, context| effect.apply(features, context),
        )
    }

    /// Mixes other clips' features into a clip's features, and their targets into its target.
    ///
    /// # Errors
    /// [`Error::Shape`] if a partner has another size, and what drawing it ends in.
    pub fn mix_features(
        &self,
        clip: Mixture<'_>,
        partners: &mut dyn Partners,
        rng: &ClipRng,
        scratch: &mut Scratch,
    ) -> Result<()> {
        self.mix(
            &self.config.mix_features,
            clip,
            partners,
            rng.stage(MIX_FEATURES),
            scratch,
        )
    }

    fn mix(
        &self,
        steps: &[Step<Mix>],
        mut clip: Mixture<'_>,
        partners: &mut dyn Partners,
        mut rng: ClipRng,
        scratch: &mut Scratch,
    ) -> Result<()> {
        let mut context = self.context(&mut rng, scratch);
        run_steps(steps, &mut context, &mut |mix, context| {
            mix.apply(&mut clip, partners, context)
        })
    }

    fn context<'a>(&'a self, rng: &'a mut ClipRng, scratch: &'a mut Scratch) -> Context<'a> {
        Context {
            rng,
            scratch,
            material: &self.material,
        }
    }
}
