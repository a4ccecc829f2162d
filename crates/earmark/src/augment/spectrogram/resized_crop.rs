//! A random part of the features, resized to the whole.

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::augment::{Context, Span};
use crate::features::Features;

/// Cuts a random rectangle and stretches it to the size of the features, bilinearly.
///
/// It moves and scales pitch and tempo at once, a little.
///
/// # Source
/// C. Szegedy et al.: Going deeper with convolutions, 2014, section 6; the draw is repeated up to ten
/// times until the rectangle fits, and left out if none does, as usual in image libraries.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ResizedCrop {
    /// The rectangle's share of all values, uniform, 0.01 to 1; default `[0.8, 1]`.
    pub area: Span<f32>,
    /// The rectangle's number of frames divided by its number of bands, uniform in its logarithm,
    /// 0.01 to 1000; default 0.85 to 1.15 times the features' own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ratio: Option<Span<f32>>,
}

impl Default for ResizedCrop {
    fn default() -> Self {
        Self {
            area: Span::new(0.8, 1.0),
            ratio: None,
        }
    }
}

/// How often a rectangle is drawn before the features are left as they are.
const N_TRIES: usize = 10;

impl ResizedCrop {
    pub(super) fn check(&self, at: &str) -> Result<()> {
        self.area.check(at, "area", 0.01, 1.0)?;
        match self.ratio {
            Some(ratio) => ratio.check(at, "ratio", 0.01, 1000.0),
            None => Ok(()),
        }
    }

    pub(super) fn apply(&self, features: &mut Features, context: &mut Context<'_>) {
        let [n_bands, n_frames] = [features.n_bands, features.n_frames];
        let own = n_frames as f32 / n_bands as f32;
        let ratio = self.ratio.unwrap_or(Span::new(0.85 * own, 1.15 * own));
        for _ in 0..N_TRIES {
            let area = context.rng.uniform(self.area) * (n_bands * n_frames) as f32;
            let ratio = context.rng.log_uniform(ratio);
            let width = (area * ratio).sqrt().round() as usize;
            let height = (area / ratio).sqrt().round() as usize;
            if (1..=n_frames).contains(&width) && (1..=n_bands).contains(&height) {
                let band = context.rng.index(n_bands - height + 1);
                let frame = context.rng.index(n_frames - width + 1);
                resize(features, [band, height], [frame, width], context);
                return;
            }
        }
    }
}

/// Replaces the features by the rectangle `[first, size]` of bands and of frames, resized.
fn resize(
    features: &mut Features,
    [band, height]: [usize; 2],
    [frame, width]: [usize; 2],
    context: &mut Context<'_>,
) {
    let [n_bands, n_frames] = [features.n_bands, features.n_frames];
    let frames: Vec<(usize, usize, f32)> = (0..n_frames)
        .map(|to| place(to, width, n_frames))
        .map(|(low, high, part)| (frame + low, frame + high, part))
        .collect();
    let resized = &mut context.scratch.first;
    resized.clear();
    for channel in features.data.chunks_exact(n_bands * n_frames) {
        for to in 0..n_bands {
            let (low, high, part) = place(to, height, n_bands);
            let lower = &channel[(band + low) * n_frames..][..n_frames];
            let upper = &channel[(band + high) * n_frames..][..n_frames];
            resized.extend(frames.iter().map(|&(left, right, across)| {
                let bottom = lower[left] + across * (lower[right] - lower[left]);
                let top = upper[left] + across * (upper[right] - upper[left]);
                bottom + part * (top - bottom)
            }));
        }
    }
    std::mem::swap(&mut features.data, resized);
}

/// Where the value `to` of `n_to` lies among `n_from` values: two neighbours, and how far between.
///
/// Values are cells, and their centres are what is compared.
fn place(to: usize, n_from: usize, n_to: usize) -> (usize, usize, f32) {
    let position = (to as f32 + 0.5) * n_from as f32 / n_to as f32 - 0.5;
    let position = position.clamp(0.0, (n_from - 1) as f32);
    let low = position as usize;
    (low, (low + 1).min(n_from - 1), position - low as f32)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{apply, numbered};

    #[test]
    fn the_whole_resized_to_the_whole_is_itself() {
        let mut features = numbered(2, 8, 12);
        apply(
            "kind = 'resized-crop'\narea = 1\nratio = 1.5",
            &mut features,
        );
        assert_eq!(features, numbered(2, 8, 12));
    }

    #[test]
    fn a_quarter_is_stretched_to_twice_its_size_both_ways() {
        let mut features = numbered(1, 8, 8);
        apply(
            "kind = 'resized-crop'\narea = 0.25\nratio = 1",
            &mut features,
        );
        // Inside, neighbours that differed by 1 and by 100 now differ by half as much.
        let at = |band: usize, frame: usize| features.data[band * 8 + frame];
        for i in 1..6 {
            assert!((at(3, i + 1) - at(3, i) - 0.5).abs() < 1e-3);
            assert!((at(i + 1, 3) - at(i, 3) - 50.0).abs() < 1e-3);
        }
    }

    #[test]
    fn what_cannot_fit_changes_nothing() {
        let mut features = numbered(1, 8, 8);
        apply("kind = 'resized-crop'\narea = 1\nratio = 4", &mut features);
        assert_eq!(features, numbered(1, 8, 8));
    }
}
