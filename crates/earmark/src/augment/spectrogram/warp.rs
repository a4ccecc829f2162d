//! Piecewise linear warps of either axis; the ends stay where they are.

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::augment::settings::check_number;
use crate::augment::{Context, Span};
use crate::features::Features;

/// Stretches the lower bands by a factor and the upper ones so that the top stays where it is.
///
/// A listener hears a smaller or a larger source. The knee lies at `knee` of the range.
///
/// # Source
/// N. Jaitly, G. Hinton: Vocal tract length perturbation, 2013, equation 1, on the features' own axis.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FrequencyWarp {
    /// How many times further up the lower bands lie, uniform, 0.5 to 2; default `[0.9, 1.1]`.
    pub factor: Span<f32>,
    /// Where the stretching ends, as a share of the bands, 0.1 to 0.95; default 0.7. It is the
    /// larger of where the knee comes from and where it goes.
    pub knee: f32,
}

impl Default for FrequencyWarp {
    fn default() -> Self {
        Self {
            factor: Span::new(0.9, 1.1),
            knee: 0.7,
        }
    }
}

impl FrequencyWarp {
    pub(super) fn check(&self, at: &str) -> Result<()> {
        self.factor.check(at, "factor", 0.5, 2.0)?;
        check_number(at, "knee", self.knee, [0.1, 0.95])
    }

    pub(super) fn apply(&self, features: &mut Features, context: &mut Context<'_>) {
        let [n_bands, n_frames] = [features.n_bands, features.n_frames];
        let factor = context.rng.uniform(self.factor);
        let top = (n_bands - 1) as f32;
        let from = self.knee * top / factor.max(1.0);
        let warp = Warp::new(from, from * factor, top);
        let warped = &mut context.scratch.first;
        warped.clear();
        for channel in features.data.chunks_exact(n_bands * n_frames) {
            for band in 0..n_bands {
                let (low, high, part) = warp.source(band);
                let low = &channel[low * n_frames..][..n_frames];
                let high = &channel[high * n_frames..][..n_frames];
                warped.extend(
                    low.iter()
                        .zip(high)
                        .map(|(low, high)| low + part * (high - low)),
                );
            }
        }
        std::mem::swap(&mut features.data, warped);
    }
}

/// Moves one moment of the clip to another place and stretches what is before and after it.
///
/// # Source
/// D. S. Park et al.: SpecAugment, 2019, section 2, with linear instead of spline interpolation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TimeWarp {
    /// How far the moment is moved, as a share of the frames, uniform, -0.45 to 0.45, positive is
    /// later; default `[-0.1, 0.1]`. The moment is drawn from where it can go that far and leave
    /// 5 % of the frames at either end.
    pub share: Span<f32>,
}

impl Default for TimeWarp {
    fn default() -> Self {
        Self {
            share: Span::new(-0.1, 0.1),
        }
    }
}

impl TimeWarp {
    pub(super) fn check(&self, at: &str) -> Result<()> {
        self.share.check(at, "share", -0.45, 0.45)
    }

    pub(super) fn apply(&self, features: &mut Features, context: &mut Context<'_>) {
        let n_frames = features.n_frames;
        let share = context.rng.uniform(self.share);
        let end = (n_frames - 1) as f32;
        let low = 0.05 + f32::max(0.0, -share);
        let high = 0.95 - f32::max(0.0, share);
        let from = context.rng.uniform(Span::new(low, high));
        let warp = Warp::new(from * end, (from + share) * end, end);
        let row_copy = &mut context.scratch.first;
        for row in features.data.chunks_exact_mut(n_frames) {
            row_copy.clear();
            row_copy.extend_from_slice(row);
            for (frame, value) in row.iter_mut().enumerate() {
                let (low, high, part) = warp.source(frame);
                *value = row_copy[low] + part * (row_copy[high] - row_copy[low]);
            }
        }
    }
}

/// The map that leaves 0 and `end` where they are and moves `from` to `to`.
struct Warp {
    from: f32,
    to: f32,
    end: f32,
}

impl Warp {
    fn new(from: f32, to: f32, end: f32) -> Self {
        Self { from, to, end }
    }

    /// Where the value at `index` comes from: two neighbours, and how far between.
    fn source(&self, index: usize) -> (usize, usize, f32) {
        let place = index as f32;
        let source = if place <= self.to {
            place * self.from / self.to.max(f32::MIN_POSITIVE)
        } else {
            self.end - (self.end - place) * (self.end - self.from) / (self.end - self.to)
        };
        let source = source.clamp(0.0, self.end);
        let low = source as usize;
        (low, (low + 1).min(self.end as usize), source - low as f32)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{apply, numbered};

    #[test]
    fn a_band_moves_by_the_factor_and_the_ends_stay() {
        let mut features = numbered(1, 101, 3);
        apply(
            "kind = 'frequency-warp'\nfactor = 1.25\nknee = 0.75",
            &mut features,
        );
        let band = |band: usize| features.data[band * 3] / 100.0;
        // What was at 40 is at 50, what was at the knee's source 60 is at 75, the top stays.
        assert!((band(50) - 40.0).abs() < 1e-3, "{}", band(50));
        assert!((band(75) - 60.0).abs() < 1e-3, "{}", band(75));
        assert!(band(0).abs() < 1e-3 && (band(100) - 100.0).abs() < 1e-3);
    }

    #[test]
    fn a_warp_of_time_keeps_the_order_of_moments() {
        let mut features = numbered(1, 2, 100);
        apply("kind = 'time-warp'\nshare = 0.2", &mut features);
        let row = &features.data[..100];
        assert!(row.windows(2).all(|pair| pair[0] < pair[1]));
        assert_eq!((row[0], row[99]), (0.0, 99.0));
        let moved = row.iter().enumerate().map(|(i, v)| i as f32 - v);
        let most = moved.fold(0.0, f32::max);
        assert!((most - 19.8).abs() < 0.5, "{most}");
    }
}
