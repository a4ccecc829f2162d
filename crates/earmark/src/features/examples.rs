//! Framed examples: an index of overlapping stretches of frames into [`Features`], not a copy.

use std::ops::Range;

use super::Features;
use super::check;
use crate::Result;

/// Stretches of a fixed number of frames at a fixed, perhaps fractional, distance.
///
/// # Examples
///
/// The DCASE 2018 baseline cuts 98 frames into examples of 25 frames, 12 apart:
///
/// ```
/// use earmark::features::ExampleIndex;
///
/// let index = ExampleIndex::new(25, 12.0)?;
/// let ranges: Vec<_> = index.ranges(98).collect();
/// assert_eq!(ranges.len(), 7);
/// assert_eq!(ranges[6], 72..97);
/// # Ok::<(), earmark::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ExampleIndex {
    n_frames: usize,
    hop_frames: f64,
}

impl ExampleIndex {
    /// Examples of `n_frames` frames, example `i` beginning at frame `i · hop_frames`, rounded down:
    /// 12.5 makes steps of 12 and 13 frames in turn.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for no frames, or a hop below 1.
    pub fn new(n_frames: usize, hop_frames: f64) -> Result<Self> {
        check::range("examples.n_frames", n_frames, 1, 1 << 24)?;
        check::that(
            hop_frames.is_finite() && hop_frames >= 1.0,
            "examples.hop_frames",
            || hop_frames.to_string(),
            || "must be at least 1".to_owned(),
        )?;
        Ok(Self {
            n_frames,
            hop_frames,
        })
    }

    /// The frames of every complete example in a clip of `n_frames`; none if it is shorter than one.
    pub fn ranges(self, n_frames: usize) -> impl Iterator<Item = Range<usize>> {
        let start = move |index: usize| (index as f64 * self.hop_frames) as usize;
        (0..)
            .map(move |index| start(index)..start(index) + self.n_frames)
            .take_while(move |range| range.end <= n_frames)
    }

    /// Copies one example out, `[channel, band, frame]`, for a network's batch.
    ///
    /// # Panics
    /// If the frames do not lie within the features.
    pub fn copy(features: &Features, frames: Range<usize>, out: &mut Vec<f32>) {
        for row in features.data.chunks_exact(features.n_frames) {
            out.extend_from_slice(&row[frames.clone()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fractional_hop_alternates() {
        let index = ExampleIndex::new(25, 12.5).unwrap();
        let starts: Vec<usize> = index.ranges(98).map(|range| range.start).collect();
        assert_eq!(starts, [0, 12, 25, 37, 50, 62]);
        assert_eq!(index.ranges(24).count(), 0);
        assert_eq!(index.ranges(25).count(), 1);
    }

    #[test]
    fn an_example_is_cut_from_every_band() {
        let features = Features {
            data: (0..24).map(|i| i as f32).collect(),
            n_channels: 2,
            n_bands: 3,
            n_frames: 4,
        };
        let mut out = Vec::new();
        ExampleIndex::copy(&features, 1..3, &mut out);
        assert_eq!(
            out,
            [
                1.0, 2.0, 5.0, 6.0, 9.0, 10.0, 13.0, 14.0, 17.0, 18.0, 21.0, 22.0
            ]
        );
    }
}
