//! SpecAugment's masks and random erasing.
//!
//! # Source
//! D. S. Park et al.: SpecAugment, 2019; Z. Zhong et al.: Random erasing data augmentation, 2017.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::Fill;
use crate::Result;
use crate::augment::{Context, Span};
use crate::features::Features;

/// Masks ranges of neighbouring bands over all frames.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FrequencyMask {
    /// The number of masks, uniform, 0 to 100; default `[1, 2]`. Masks may overlap.
    pub count: Span<usize>,
    /// The height of each mask as a share of the bands, uniform, 0 to 1, rounded to whole bands;
    /// default `[0, 0.15]`.
    pub share: Span<f32>,
    /// What the mask is filled with; default `mean`.
    pub fill: Fill,
}

impl Default for FrequencyMask {
    fn default() -> Self {
        Self {
            count: Span::new(1, 2),
            share: Span::new(0.0, 0.15),
            fill: Fill::Mean,
        }
    }
}

impl FrequencyMask {
    pub(super) fn check(&self, at: &str) -> Result<()> {
        self.count.check(at, "count", 0, 100)?;
        self.share.check(at, "share", 0.0, 1.0)
    }

    pub(super) fn apply(&self, features: &mut Features, context: &mut Context<'_>) {
        for _ in 0..context.rng.count(self.count) {
            let bands = draw_range(self.share, features.n_bands, context);
            mask(features, bands, 0..features.n_frames, self.fill, context);
        }
    }
}

/// Masks ranges of neighbouring frames over all bands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TimeMask {
    /// The number of masks, uniform, 0 to 100; default `[1, 2]`. Masks may overlap.
    pub count: Span<usize>,
    /// The length of each mask as a share of the frames, uniform, 0 to 1, rounded to whole frames;
    /// default `[0, 0.2]`.
    pub share: Span<f32>,
    /// What the mask is filled with; default `mean`.
    pub fill: Fill,
}

impl Default for TimeMask {
    fn default() -> Self {
        Self {
            count: Span::new(1, 2),
            share: Span::new(0.0, 0.2),
            fill: Fill::Mean,
        }
    }
}

impl TimeMask {
    pub(super) fn check(&self, at: &str) -> Result<()> {
        self.count.check(at, "count", 0, 100)?;
        self.share.check(at, "share", 0.0, 1.0)
    }

    pub(super) fn apply(&self, features: &mut Features, context: &mut Context<'_>) {
        for _ in 0..context.rng.count(self.count) {
            let frames = draw_range(self.share, features.n_frames, context);
            mask(features, 0..features.n_bands, frames, self.fill, context);
        }
    }
}

/// Masks one rectangle of bands and frames.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Erase {
    /// The rectangle's share of all values, uniform, 0 to 1; default `[0.02, 0.2]`.
    pub area: Span<f32>,
    /// The rectangle's share of the bands divided by its share of the frames, uniform in its
    /// logarithm, 0.01 to 100; default `[0.3, 3.3]`. A side that would be too long is cut.
    pub ratio: Span<f32>,
    /// What the rectangle is filled with; default `noise`.
    pub fill: Fill,
}

impl Default for Erase {
    fn default() -> Self {
        Self {
            area: Span::new(0.02, 0.2),
            ratio: Span::new(0.3, 3.3),
            fill: Fill::Noise,
        }
    }
}

impl Erase {
    pub(super) fn check(&self, at: &str) -> Result<()> {
        self.area.check(at, "area", 0.0, 1.0)?;
        self.ratio.check(at, "ratio", 0.01, 100.0)
    }

    pub(super) fn apply(&self, features: &mut Features, context: &mut Context<'_>) {
        let area = context.rng.uniform(self.area);
        let ratio = context.rng.log_uniform(self.ratio);
        let height = (area * ratio).sqrt().min(1.0);
        let width = (area / ratio).sqrt().min(1.0);
        let bands = draw_range(Span::new(height, height), features.n_bands, context);
        let frames = draw_range(Span::new(width, width), features.n_frames, context);
        mask(features, bands, frames, self.fill, context);
    }
}

/// A range within `0..n` whose length is a share of `n`, at a random place.
fn draw_range(share: Span<f32>, n: usize, context: &mut Context<'_>) -> Range<usize> {
    let share = f64::from(context.rng.uniform(share));
    let length = ((share * n as f64).round() as usize).min(n);
    let start = context.rng.index(n - length + 1);
    start..start + length
}

/// Fills a rectangle in every channel.
fn mask(
    features: &mut Features,
    bands: Range<usize>,
    frames: Range<usize>,
    fill: Fill,
    context: &mut Context<'_>,
) {
    let n_frames = features.n_frames;
    for channel in features.data.chunks_exact_mut(features.n_bands * n_frames) {
        let level = fill.level_of(channel);
        for row in channel[bands.start * n_frames..bands.end * n_frames].chunks_exact_mut(n_frames)
        {
            level.fill(&mut row[frames.clone()], context.rng);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{apply, numbered};

    /// The places whose value is 9999.
    fn masked(settings: &str) -> Vec<(usize, usize)> {
        let mut features = numbered(1, 40, 50);
        apply(settings, &mut features);
        let rows = features.data.chunks_exact(50).enumerate();
        rows.flat_map(|(band, row)| {
            let hits = row.iter().enumerate().filter(|(_, v)| **v == 9999.0);
            hits.map(move |(frame, _)| (band, frame))
                .collect::<Vec<_>>()
        })
        .collect()
    }

    #[test]
    fn masks_have_the_promised_size() {
        let bands = masked("kind = 'frequency-mask'\ncount = 1\nshare = 0.1\nfill = 9999.0");
        assert_eq!(bands.len(), 4 * 50);
        assert_eq!(bands[bands.len() - 1].0 - bands[0].0, 3);
        let frames = masked("kind = 'time-mask'\ncount = 1\nshare = 0.2\nfill = 9999.0");
        assert_eq!(frames.len(), 10 * 40);
        assert_eq!(frames[frames.len() - 1].1 - frames[0].1, 9);
        let erased = masked("kind = 'erase'\narea = 0.25\nratio = 1\nfill = 9999.0");
        assert_eq!(erased.len(), 20 * 25);
        assert!(masked("kind = 'time-mask'\ncount = 0\nfill = 9999.0").is_empty());
    }

    #[test]
    fn fills_are_the_channels_own() {
        let mut features = numbered(2, 4, 4);
        apply(
            "kind = 'time-mask'\ncount = 1\nshare = 1\nfill = 'mean'",
            &mut features,
        );
        assert!(features.data[..16].iter().all(|&v| v == 151.5));
        assert!(features.data[16..].iter().all(|&v| v == 1151.5));
        let mut features = numbered(2, 4, 4);
        apply(
            "kind = 'time-mask'\ncount = 1\nshare = 1\nfill = 'min'",
            &mut features,
        );
        assert!(features.data[16..].iter().all(|&v| v == 1000.0));
    }
}
