//! Shifts along both axes.

use serde::{Deserialize, Serialize};

use super::Fill;
use crate::Result;
use crate::augment::{Context, Span};
use crate::features::Features;

/// Moves the features up or down by whole bands. On a mel or logarithmic axis this is nearly a
/// change of pitch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FrequencyShift {
    /// The way up as a share of the bands, uniform, -1 to 1, rounded to whole bands; default
    /// `[-0.05, 0.05]`.
    pub share: Span<f32>,
    /// What the gap is filled with; default `min`.
    pub fill: Fill,
}

impl Default for FrequencyShift {
    fn default() -> Self {
        Self {
            share: Span::new(-0.05, 0.05),
            fill: Fill::Min,
        }
    }
}

impl FrequencyShift {
    pub(super) fn check(&self, at: &str) -> Result<()> {
        self.share.check(at, "share", -1.0, 1.0)
    }

    pub(super) fn apply(&self, features: &mut Features, context: &mut Context<'_>) {
        let n_frames = features.n_frames;
        let (up, distance) = draw_way(self.share, features.n_bands, context);
        for channel in features.data.chunks_exact_mut(features.n_bands * n_frames) {
            let level = self.fill.level_of(channel);
            let gap = distance * n_frames;
            let places = if up {
                channel.rotate_right(gap);
                &mut channel[..gap]
            } else {
                channel.rotate_left(gap);
                let kept = channel.len() - gap;
                &mut channel[kept..]
            };
            level.fill(places, context.rng);
        }
    }
}

/// Moves the features in time by whole frames; what leaves at one end comes back at the other, or
/// the gap is filled.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TimeShift {
    /// The way to go as a share of the frames, uniform, -1 to 1, positive is later, rounded to whole
    /// frames; default `[-0.5, 0.5]`.
    pub share: Span<f32>,
    /// Whether what leaves at one end comes back at the other; default true.
    pub wrap: bool,
    /// What the gap is filled with, if not; default `min`.
    pub fill: Fill,
}

impl Default for TimeShift {
    fn default() -> Self {
        Self {
            share: Span::new(-0.5, 0.5),
            wrap: true,
            fill: Fill::Min,
        }
    }
}

impl TimeShift {
    pub(super) fn check(&self, at: &str) -> Result<()> {
        self.share.check(at, "share", -1.0, 1.0)
    }

    pub(super) fn apply(&self, features: &mut Features, context: &mut Context<'_>) {
        let n_frames = features.n_frames;
        let (later, distance) = draw_way(self.share, n_frames, context);
        for channel in features.data.chunks_exact_mut(features.n_bands * n_frames) {
            let level = self.fill.level_of(channel);
            for row in channel.chunks_exact_mut(n_frames) {
                let gap = if later {
                    row.rotate_right(distance);
                    0..distance
                } else {
                    row.rotate_left(distance);
                    n_frames - distance..n_frames
                };
                if !self.wrap {
                    level.fill(&mut row[gap], context.rng);
                }
            }
        }
    }
}

/// Draws a way among `n` places: whether it is forward, and how far, at most `n`.
fn draw_way(share: Span<f32>, n: usize, context: &mut Context<'_>) -> (bool, usize) {
    let share = f64::from(context.rng.uniform(share));
    let distance = (share.abs() * n as f64).round() as usize;
    (share >= 0.0, distance.min(n))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{apply, numbered};

    #[test]
    fn bands_move_up_and_leave_a_gap() {
        let mut features = numbered(1, 4, 2);
        apply(
            "kind = 'frequency-shift'\nshare = 0.25\nfill = -1.0",
            &mut features,
        );
        assert_eq!(
            features.data,
            [-1.0, -1.0, 0.0, 1.0, 100.0, 101.0, 200.0, 201.0]
        );
        let mut features = numbered(1, 4, 2);
        apply(
            "kind = 'frequency-shift'\nshare = -0.5\nfill = -1.0",
            &mut features,
        );
        assert_eq!(
            features.data,
            [200.0, 201.0, 300.0, 301.0, -1.0, -1.0, -1.0, -1.0]
        );
    }

    #[test]
    fn frames_go_round_or_leave_a_gap() {
        let mut features = numbered(1, 2, 4);
        apply("kind = 'time-shift'\nshare = 0.25", &mut features);
        assert_eq!(
            features.data,
            [3.0, 0.0, 1.0, 2.0, 103.0, 100.0, 101.0, 102.0]
        );
        let mut features = numbered(1, 1, 4);
        apply(
            "kind = 'time-shift'\nshare = -0.5\nwrap = false\nfill = -1.0",
            &mut features,
        );
        assert_eq!(features.data, [2.0, 3.0, -1.0, -1.0]);
    }
}
