//! A fixed number of frames from any number of frames.

use serde::{Deserialize, Serialize};

use super::Fill;
use crate::Result;
use crate::augment::Context;
use crate::augment::settings::Span;
use crate::features::Features;

/// Cuts `frames` frames at a random place; shorter features are filled up as `short` says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Crop {
    /// The number of frames, 1 to 1 000 000; default 256.
    pub frames: usize,
    /// What becomes of shorter features; default `pad`.
    pub short: Short,
    /// What the padding is filled with; default `min`.
    pub fill: Fill,
}

/// What [`Crop`] does with features that are shorter than the crop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Short {
    /// Padding before and after them, at a random place between.
    #[default]
    Pad,
    /// The frames repeated from the first.
    Wrap,
    /// Nothing: they stay shorter.
    Keep,
}

impl Default for Crop {
    fn default() -> Self {
        Self {
            frames: 256,
            short: Short::Pad,
            fill: Fill::Min,
        }
    }
}

impl Crop {
    pub(super) fn check(&self, at: &str) -> Result<()> {
        Span::new(self.frames, self.frames).check(at, "frames", 1, 1_000_000)
    }

    pub(super) fn apply(&self, features: &mut Features, context: &mut Context<'_>) {
        let n_old = features.n_frames;
        let n_new = self.frames;
        if n_new == n_old || (n_new > n_old && self.short == Short::Keep) {
            return;
        }
        let place = context.rng.index(n_old.abs_diff(n_new) + 1);
        let cropped = &mut context.scratch.first;
        cropped.clear();
        let channel_length = features.n_bands * n_old;
        for channel in features.data.chunks_exact(channel_length) {
            let level = self.fill.level_of(channel);
            for row in channel.chunks_exact(n_old) {
                let start = cropped.len();
                if n_new < n_old {
                    cropped.extend_from_slice(&row[place..place + n_new]);
                } else if self.short == Short::Wrap {
                    cropped.extend(row.iter().cycle().take(n_new));
                } else {
                    cropped.resize(start + n_new, 0.0);
                    let (before, rest) = cropped[start..].split_at_mut(place);
                    let (inside, after) = rest.split_at_mut(n_old);
                    level.fill(before, context.rng);
                    inside.copy_from_slice(row);
                    level.fill(after, context.rng);
                }
            }
        }
        std::mem::swap(&mut features.data, cropped);
        features.n_frames = n_new;
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{apply, numbered};

    #[test]
    fn frames_that_are_cut_are_neighbours_and_the_same_in_all_rows() {
        let mut features = numbered(2, 3, 50);
        apply("kind = 'crop'\nframes = 8", &mut features);
        assert_eq!(features.shape(), [2, 3, 8]);
        let first = features.data[0];
        for (row, values) in features.data.chunks_exact(8).enumerate() {
            let base = (1000 * (row / 3) + 100 * (row % 3)) as f32 + first;
            let expected: Vec<f32> = (0..8).map(|i| base + i as f32).collect();
            assert_eq!(values, expected);
        }
    }

    #[test]
    fn short_features_are_padded_or_wrapped() {
        let mut padded = numbered(1, 2, 3);
        apply("kind = 'crop'\nframes = 9\nfill = -1.0", &mut padded);
        let inside: Vec<f32> = padded.data.iter().copied().filter(|&v| v >= 0.0).collect();
        assert_eq!(inside, [0.0, 1.0, 2.0, 100.0, 101.0, 102.0]);
        assert_eq!(padded.shape(), [1, 2, 9]);
        let mut wrapped = numbered(1, 1, 3);
        apply("kind = 'crop'\nframes = 5\nshort = 'wrap'", &mut wrapped);
        assert_eq!(wrapped.data, [0.0, 1.0, 2.0, 0.0, 1.0]);
        let mut kept = numbered(1, 1, 3);
        apply("kind = 'crop'\nframes = 5\nshort = 'keep'", &mut kept);
        assert_eq!(kept.shape(), [1, 1, 3]);
    }
}
