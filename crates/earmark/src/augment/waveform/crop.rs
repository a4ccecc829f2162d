//! A crop of fixed length from a clip of any length.

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::augment::Context;
use crate::augment::settings::check_number;

/// Cuts a crop of `secs` at a random place; a clip that is shorter is filled up as `short` says.
///
/// After it every waveform has the same length, unless `short = "keep"`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Crop {
    /// The length of the crop in seconds, 0.001 to 3600; default 5.
    pub secs: f32,
    /// What becomes of a shorter clip; default `pad`.
    pub short: Short,
}

/// What [`Crop`] does with a clip that is shorter than the crop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Short {
    /// Zeros before and after it, the clip lying at a random place between them.
    #[default]
    Pad,
    /// The clip repeated from its beginning.
    Wrap,
    /// The clip repeated, beginning at a random place within it.
    WrapAnywhere,
    /// Nothing: it stays shorter.
    Keep,
}

impl Default for Crop {
    fn default() -> Self {
        Self {
            secs: 5.0,
            short: Short::Pad,
        }
    }
}

impl Crop {
    pub(super) fn check(&self, at: &str) -> Result<()> {
        check_number(at, "secs", self.secs, [0.001, 3600.0])
    }

    pub(super) fn apply(&self, samples: &mut Vec<f32>, context: &mut Context<'_>) {
        let length = context.samples_from_secs(self.secs).max(1);
        let n = samples.len();
        if n >= length {
            let start = context.rng.index(n - length + 1);
            samples.copy_within(start..start + length, 0);
            samples.truncate(length);
            return;
        }
        match self.short {
            Short::Keep => {}
            Short::Pad => {
                let start = context.rng.index(length - n + 1);
                samples.resize(length, 0.0);
                samples.copy_within(..n, start);
                samples[..start].fill(0.0);
            }
            Short::Wrap => repeat(samples, n, length),
            Short::WrapAnywhere => {
                let start = context.rng.index(n);
                samples.rotate_left(start);
                repeat(samples, n, length);
            }
        }
    }
}

/// Repeats the first `n` samples up to `length`; an empty clip becomes silence.
fn repeat(samples: &mut Vec<f32>, n: usize, length: usize) {
    samples.resize(length, 0.0);
    let mut filled = n;
    while filled < length && filled > 0 {
        let more = filled.min(length - filled);
        samples.copy_within(..more, filled);
        filled += more;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::augment::waveform::tests::apply_at;

    fn crop(short: Short, samples: &[f32]) -> Vec<f32> {
        let mut samples = samples.to_vec();
        let crop = Crop { secs: 0.01, short };
        apply_at(1000, |context| crop.apply(&mut samples, context));
        samples
    }

    #[test]
    fn a_longer_clip_gives_ten_neighbouring_samples() {
        let clip: Vec<f32> = (0..50).map(|i| i as f32).collect();
        let cut = crop(Short::Pad, &clip);
        assert_eq!(cut.len(), 10);
        assert!(cut.windows(2).all(|pair| pair[1] == pair[0] + 1.0));
    }

    #[test]
    fn a_shorter_clip_is_padded_whole() {
        let padded = crop(Short::Pad, &[1.0, 2.0, 3.0]);
        assert_eq!(padded.len(), 10);
        let inside: Vec<f32> = padded.iter().copied().filter(|&s| s != 0.0).collect();
        assert_eq!(inside, [1.0, 2.0, 3.0]);
        assert!(padded.windows(3).any(|window| window == [1.0, 2.0, 3.0]));
    }

    #[test]
    fn a_shorter_clip_is_repeated() {
        let clip = [1.0, 2.0, 3.0];
        let wrapped = crop(Short::Wrap, &clip);
        assert_eq!(wrapped, [1.0, 2.0, 3.0, 1.0, 2.0, 3.0, 1.0, 2.0, 3.0, 1.0]);
        let anywhere = crop(Short::WrapAnywhere, &clip);
        assert!(
            anywhere
                .windows(2)
                .all(|pair| pair[1] == pair[0] % 3.0 + 1.0)
        );
        assert_eq!(crop(Short::Wrap, &[]), [0.0; 10]);
        assert_eq!(crop(Short::Keep, &clip), clip);
    }
}
