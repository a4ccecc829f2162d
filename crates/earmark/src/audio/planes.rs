//! A buffer of planar samples that decoders fill and the later stages empty.

use crate::features::MAX_SAMPLE;

/// Samples of several channels, one vector per channel, all of the same length.
#[derive(Debug, Clone, Default)]
pub(super) struct Planes {
    /// `[channel][sample]`.
    pub(super) channels: Vec<Vec<f32>>,
}

impl Planes {
    /// An empty buffer for `n_channels` channels.
    pub(super) fn new(n_channels: usize) -> Self {
        Self {
            channels: vec![Vec::new(); n_channels],
        }
    }

    /// The number of samples per channel.
    pub(super) fn n_samples(&self) -> usize {
        self.channels.first().map_or(0, Vec::len)
    }

    /// Drops all samples and keeps the memory.
    pub(super) fn clear(&mut self) {
        for plane in &mut self.channels {
            plane.clear();
        }
    }

    /// Drops the first `n` samples of every channel.
    pub(super) fn drop_front(&mut self, n: usize) {
        for plane in &mut self.channels {
            plane.drain(..n.min(plane.len()));
        }
    }

    /// Keeps the first `n` samples of every channel.
    pub(super) fn truncate(&mut self, n: usize) {
        for plane in &mut self.channels {
            plane.truncate(n);
        }
    }

    /// Moves everything from sample `at` on to the end of `other`.
    pub(super) fn split_into(&mut self, at: usize, other: &mut Planes) {
        other.channels.resize(self.channels.len(), Vec::new());
        for (from, to) in self.channels.iter_mut().zip(&mut other.channels) {
            to.extend(from.drain(at.min(from.len())..));
        }
    }

    /// Puts the samples of `other` before the samples here and empties `other`.
    pub(super) fn prepend(&mut self, other: &mut Planes) {
        for (here, before) in self.channels.iter_mut().zip(&mut other.channels) {
            here.splice(..0, before.drain(..));
        }
    }

    /// The first sample at which any channel is NaN, infinite or beyond [`MAX_SAMPLE`]: its index and value.
    pub(super) fn first_unusable(&self) -> Option<(usize, f32)> {
        // Counting runs vectorised, and only a bad block is searched.
        let is_usable = |x: f32| x.abs() <= MAX_SAMPLE;
        let n_bad = |plane: &[f32]| plane.iter().map(|&x| u32::from(!is_usable(x))).sum::<u32>();
        let bad = self.channels.iter().filter(|plane| n_bad(plane) > 0);
        let firsts = bad.filter_map(|plane| {
            let at = plane.iter().position(|&x| !is_usable(x))?;
            Some((at, plane[at]))
        });
        firsts.min_by_key(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unusable_sample_is_found_in_any_channel() {
        let mut planes = Planes {
            channels: vec![vec![0.0; 100], vec![1.0; 100]],
        };
        assert_eq!(planes.first_unusable(), None);
        planes.channels[0][90] = 1e38;
        planes.channels[1][91] = -MAX_SAMPLE;
        assert_eq!(planes.first_unusable(), Some((90, 1e38)));
        planes.channels[0][77] = f32::NAN;
        assert!(matches!(planes.first_unusable(), Some((77, x)) if x.is_nan()));
        planes.channels[1][41] = f32::NEG_INFINITY;
        assert_eq!(planes.first_unusable(), Some((41, f32::NEG_INFINITY)));
    }
}
