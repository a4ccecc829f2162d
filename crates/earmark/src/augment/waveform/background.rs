//! Background sounds at a signal-to-noise ratio.

use serde::{Deserialize, Serialize};

use super::noise::add_at_snr;
use crate::augment::{Context, Material, Span};
use crate::{Error, Result};

/// Adds a random stretch of a random background sound.
///
/// The backgrounds are [`Material::backgrounds`]; one that is shorter than the clip is repeated.
/// The signal-to-noise ratio is that of the mean powers over the whole clip, as for `noise`. A
/// silent clip stays silent, and so does one under a silent background.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Background {
    /// The ratio of the clip's power to the background's in dB, uniform, -60 to 120; default
    /// `[5, 30]`.
    pub snr_db: Span<f32>,
}

impl Default for Background {
    fn default() -> Self {
        Self {
            snr_db: Span::new(5.0, 30.0),
        }
    }
}

impl Background {
    pub(super) fn check(&self, at: &str, material: &Material) -> Result<()> {
        let n_sounds = material.backgrounds.as_ref().map_or(0, |s| s.n_sounds());
        if n_sounds == 0 {
            return Err(Error::Config {
                key: at.to_owned(),
                found: "a background without sounds".to_owned(),
                expected: "needs at least one background sound".to_owned(),
            });
        }
        self.snr_db.check(at, "snr_db", -60.0, 120.0)
    }

    pub(super) fn apply(&self, samples: &mut [f32], context: &mut Context<'_>) -> Result<()> {
        let Some(sounds) = &context.material.backgrounds else {
            return Ok(());
        };
        let snr_db = context.rng.uniform(self.snr_db);
        let sound = sounds.samples(context.rng.index(sounds.n_sounds()))?;
        if sound.is_empty() {
            return Ok(());
        }
        let n = samples.len();
        let start = match sound.len().checked_sub(n) {
            Some(spare) => context.rng.index(spare + 1),
            None => context.rng.index(sound.len()),
        };
        let stretch = &mut context.scratch.first;
        stretch.clear();
        stretch.extend(sound.iter().cycle().skip(start).take(n));
        add_at_snr(samples, stretch, snr_db);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::augment::scratch::mean_power;
    use crate::augment::waveform::tests::{apply_with, sine};

    #[test]
    fn a_short_background_is_repeated_at_the_promised_ratio() {
        let mut material = Material::new(8000);
        material.backgrounds = Some(Arc::new(vec![sine(1000.0, 0.1, 8000)]));
        let clean = sine(300.0, 0.5, 8000);
        let mut mixed = clean.clone();
        let background = Background {
            snr_db: Span::new(3.0, 3.0),
        };
        apply_with(&material, |context| background.apply(&mut mixed, context)).unwrap();
        let added: Vec<f32> = mixed.iter().zip(&clean).map(|(a, b)| a - b).collect();
        let snr = 10.0 * (mean_power(&clean) / mean_power(&added)).log10();
        assert!((snr - 3.0).abs() < 1e-3, "{snr} dB");
        assert!(mean_power(&added[3900..]) > 0.0);
    }

    #[test]
    fn without_sounds_it_is_refused() {
        let error = Background::default().check("w[0]", &Material::new(8000));
        assert!(matches!(error, Err(Error::Config { .. })));
    }
}
