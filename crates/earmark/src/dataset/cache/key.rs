//! Cache keys: everything that decides what an entry's numbers are, in one short hash.

use sha2::{Digest, Sha256};

use super::Precision;
use crate::digest::hex;
use crate::features::FrontEnd;
use crate::{Error, Result};

/// Raised when the format of entries or the decoding of audio changes.
const FORMAT: u32 = 1;

/// The folder's name for a front end.
pub(super) fn of_features(front_end: &FrontEnd, precision: Precision) -> Result<String> {
    let mut hasher = hasher(precision);
    let config = serde_json::to_vec(front_end.config()).map_err(|error| Error::Config {
        key: "features".to_owned(),
        found: error.to_string(),
        expected: "must be expressible as JSON".to_owned(),
    })?;
    hasher.update(config);
    let n_samples = front_end
        .min_samples()
        .max(front_end.sample_rate() as usize / 2);
    update(
        &mut hasher,
        &front_end.compute(&test_signal(n_samples))?.data,
    );
    Ok(format!("features-{}", &hex(&hasher.finalize())[..16]))
}

/// The folder's name for waveforms at a sample rate.
pub(super) fn of_waveforms(sample_rate: u32, precision: Precision) -> Result<String> {
    let mut hasher = hasher(precision);
    hasher.update(sample_rate.to_le_bytes());
    update(
        &mut hasher,
        &crate::audio::resample(&test_signal(4_410), 44_100, sample_rate)?,
    );
    Ok(format!("waveforms-{}", &hex(&hasher.finalize())[..16]))
}

fn hasher(precision: Precision) -> Sha256 {
    let mut hasher = Sha256::new();
    hasher.update(format!(
        "{FORMAT} {} {precision:?}",
        env!("CARGO_PKG_VERSION")
    ));
    hasher
}

fn update(hasher: &mut Sha256, values: &[f32]) {
    for value in values {
        hasher.update(value.to_le_bytes());
    }
}

/// Noise from a linear congruential generator, without any function that differs between platforms.
fn test_signal(n_samples: usize) -> Vec<f32> {
    let mut state = 1_u32;
    let mut next = || {
        // Numerical Recipes, section 7.1.
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 16_777_216.0 - 0.5
    };
    (0..n_samples).map(|_| next()).collect()
}
