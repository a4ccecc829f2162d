//! The part of a loudness that looks at one value at a time.

use super::check;
use super::lanes::Lanes;
use super::logarithm::ln;
use super::spectrogram_config::{DecibelConfig, DecibelLaw, LogConfig, Loudness, Reference};
use crate::Result;

/// A function of one value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Pointwise {
    Linear,
    /// `scale · ln(max(x + offset, floor)) + shift`
    Log {
        offset: f32,
        floor: f32,
        scale: f32,
        shift: f32,
    },
}

impl Pointwise {
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) names the setting that cannot be.
    pub(crate) fn new(loudness: &Loudness) -> Result<Self> {
        match loudness {
            Loudness::Linear | Loudness::Pcen(_) => Ok(Self::Linear),
            Loudness::Ln(config) => Self::logarithm(config, 1.0),
            Loudness::Log10(config) => Self::logarithm(config, std::f64::consts::LOG10_E),
            Loudness::Decibel(config) => Self::decibel(config),
        }
    }

    fn logarithm(config: &LogConfig, scale: f64) -> Result<Self> {
        let LogConfig { offset, floor } = *config;
        check::that(
            offset >= 0.0 && floor >= 0.0 && (offset + floor).is_finite() && offset + floor > 0.0,
            "loudness.offset and floor",
            || format!("{offset} and {floor}"),
            || "must not be negative, one must be above 0".to_owned(),
        )?;
        Ok(Self::Log {
            offset: offset as f32,
            floor: (floor as f32).max(f32::MIN_POSITIVE),
            scale: scale as f32,
            shift: 0.0,
        })
    }

    fn decibel(config: &DecibelConfig) -> Result<Self> {
        check::positive("loudness.floor", config.floor)?;
        let factor = match config.law {
            DecibelLaw::Power => 10.0,
            DecibelLaw::Amplitude => 20.0,
        };
        let reference_db = match config.reference {
            Reference::Value(value) => {
                check::positive("loudness.reference", value)?;
                factor * value.max(config.floor).log10()
            }
            Reference::OfClip(_) => 0.0,
        };
        if let Some(top_db) = config.top_db {
            check::positive("loudness.top_db", top_db)?;
        }
        Ok(Self::Log {
            offset: 0.0,
            floor: (config.floor as f32).max(f32::MIN_POSITIVE),
            scale: (factor * std::f64::consts::LOG10_E) as f32,
            shift: -reference_db as f32,
        })
    }

    pub(crate) fn apply(self, values: &mut [f32]) {
        if let Self::Log {
            offset,
            floor,
            scale,
            shift,
        } = self
        {
            for value in values {
                *value = scale * ln((*value + offset).max(floor)) + shift;
            }
        }
    }

    pub(crate) fn apply_lanes(self, values: &mut [Lanes]) {
        if self != Self::Linear {
            values.iter_mut().for_each(|lanes| self.apply(&mut lanes.0));
        }
    }
}
