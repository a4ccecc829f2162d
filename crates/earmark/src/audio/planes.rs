//! A buffer of planar samples that decoders fill and the later stages empty.

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

    /// The first sample index at which any channel is NaN or infinite.
    pub(super) fn first_non_finite(&self) -> Option<usize> {
        // A block's sum of `x * 0` is NaN exactly when a sample is not finite; that loop runs
        // vectorised, and only a bad block is searched.
        let bad = |plane: &Vec<f32>| plane.iter().map(|x| x * 0.0).sum::<f32>().is_nan();
        self.channels
            .iter()
            .filter(|plane| bad(plane))
            .filter_map(|plane| plane.iter().position(|x| !x.is_finite()))
            .min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_non_finite_sample_is_found_in_any_channel() {
        let mut planes = Planes {
            channels: vec![vec![0.0; 100], vec![1.0; 100]],
        };
        assert_eq!(planes.first_non_finite(), None);
        planes.channels[1][41] = f32::NEG_INFINITY;
        planes.channels[0][77] = f32::NAN;
        assert_eq!(planes.first_non_finite(), Some(41));
    }
}
