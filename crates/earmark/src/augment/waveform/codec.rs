//! Telephone and recorder codecs: the clip after coding and decoding.

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::augment::settings::check_number;

/// Codes each sample on a logarithmic scale and back, as digital telephony does.
///
/// Full scale is 1; what is beyond is cut off. Soft passages keep their detail, loud ones get
/// noise: the ratio to the noise is about 38 dB at any level.
///
/// # Source
/// The continuous µ-law of ITU-T G.711, quantised evenly in the compressed domain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MuLaw {
    /// The compression µ, 1 to 65 535; default 255.
    pub mu: f32,
    /// Bits per sample, 2 to 16; default 8.
    pub bits: u32,
}

impl Default for MuLaw {
    fn default() -> Self {
        Self { mu: 255.0, bits: 8 }
    }
}

impl MuLaw {
    pub(super) fn check(&self, at: &str) -> Result<()> {
        check_number(at, "mu", self.mu, [1.0, 65_535.0])?;
        check_number(at, "bits", self.bits as f32, [2.0, 16.0])
    }

    pub(super) fn apply(&self, samples: &mut [f32]) {
        let scale = (1.0 + self.mu).ln();
        let levels = ((1_u32 << (self.bits - 1)) - 1) as f32;
        for sample in samples {
            let size = sample.abs().min(1.0);
            let compressed = (1.0 + self.mu * size).ln() / scale;
            let coded = (compressed * levels).round() / levels;
            *sample = (((coded * scale).exp() - 1.0) / self.mu).copysign(*sample);
        }
    }
}

/// Codes the clip with 4 bits per sample and back, as voice recorders and games do.
///
/// Full scale is 1; what is beyond is cut off. The coder follows the waveform's slope, so sudden
/// attacks are rounded off and high tones get noise. The standard's table of 89 steps is taken as the
/// geometric series that it follows.
///
/// # Source
/// The IMA Digital Audio Focus and Technical Working Groups: Recommended practices for enhancing
/// digital audio compatibility in multimedia systems, revision 3.00, 1992.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Adpcm {}

/// The smallest step in units of 2⁻¹⁵, the ratio of neighbouring steps, and their number.
const FIRST_STEP: f32 = 7.0;
const STEP_RATIO: f32 = 1.1;
const N_STEPS: usize = 89;

/// How the step's index moves with the size that was coded.
const INDEX_MOVES: [isize; 8] = [-1, -1, -1, -1, 2, 4, 6, 8];

impl Adpcm {
    pub(super) fn apply(&self, samples: &mut [f32]) {
        let steps: [i32; N_STEPS] = std::array::from_fn(step_at);
        let (mut predicted, mut index) = (0_i32, 0_usize);
        for sample in samples {
            let wanted = (sample.clamp(-1.0, 1.0) * 32_767.0).round() as i32;
            let step = steps[index];
            let difference = wanted - predicted;
            let size = (4 * difference.abs() / step).min(7);
            let change = step * (2 * size + 1) / 8;
            predicted += if difference < 0 { -change } else { change };
            predicted = predicted.clamp(-32_768, 32_767);
            index = index
                .saturating_add_signed(INDEX_MOVES[size as usize])
                .min(N_STEPS - 1);
            *sample = predicted as f32 / 32_767.0;
        }
    }
}

fn step_at(index: usize) -> i32 {
    (FIRST_STEP * STEP_RATIO.powi(index as i32))
        .round()
        .min(32_767.0) as i32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::augment::scratch::mean_power;
    use crate::augment::waveform::tests::sine;

    fn noise_db(before: &[f32], after: &[f32]) -> f64 {
        let noise: Vec<f32> = before.iter().zip(after).map(|(a, b)| a - b).collect();
        10.0 * (mean_power(before) / mean_power(&noise)).log10()
    }

    #[test]
    fn mu_law_keeps_its_ratio_at_any_level() {
        for level in [1.0, 0.1, 0.01] {
            let clean: Vec<f32> = sine(440.0, 0.5, 8000).iter().map(|s| s * level).collect();
            let mut coded = clean.clone();
            MuLaw::default().apply(&mut coded);
            let ratio = noise_db(&clean, &coded);
            assert!((30.0..42.0).contains(&ratio), "level {level}: {ratio} dB");
        }
        let mut zero = [0.0_f32];
        MuLaw::default().apply(&mut zero);
        assert_eq!(zero, [0.0]);
    }

    #[test]
    fn adpcm_follows_a_low_tone_closely() {
        let clean: Vec<f32> = sine(200.0, 0.5, 16_000).iter().map(|s| s * 0.5).collect();
        let mut coded = clean.clone();
        Adpcm {}.apply(&mut coded);
        let ratio = noise_db(&clean[1000..], &coded[1000..]);
        assert!((20.0..60.0).contains(&ratio), "{ratio} dB");
    }
}
