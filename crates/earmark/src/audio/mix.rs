//! Several channels to one.

use super::planes::Planes;

/// Averages channels; the rule is stated at [`Channels::Mix`](super::Channels::Mix).
#[derive(Debug, Clone)]
pub(super) struct Mixer {
    /// Which channels take part.
    used: Vec<bool>,
    gain: f32,
}

impl Mixer {
    /// A mixer for `n_channels` channels of which those in `lfe` carry low-frequency effects.
    pub(super) fn new(n_channels: usize, lfe: &[usize]) -> Self {
        let mut used: Vec<bool> = (0..n_channels).map(|c| !lfe.contains(&c)).collect();
        if !used.contains(&true) {
            used.fill(true);
        }
        let n_used = used.iter().filter(|&&u| u).count().max(1);
        Self {
            used,
            gain: 1.0 / n_used as f32,
        }
    }

    /// Replaces the content of `out` by the mean of the channels of `planes`.
    pub(super) fn mix(&self, planes: &Planes, out: &mut Vec<f32>) {
        out.clear();
        let mut used = planes
            .channels
            .iter()
            .zip(&self.used)
            .filter_map(|(plane, &used)| used.then_some(plane));
        let Some(first) = used.next() else { return };
        out.extend_from_slice(first);
        for plane in used {
            for (sum, x) in out.iter_mut().zip(plane) {
                *sum += x;
            }
        }
        if self.gain != 1.0 {
            for x in out {
                *x *= self.gain;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mixed(channels: &[f32], lfe: &[usize]) -> f32 {
        let planes = Planes {
            channels: channels.iter().map(|&x| vec![x; 2]).collect(),
        };
        let mut out = Vec::new();
        Mixer::new(channels.len(), lfe).mix(&planes, &mut out);
        assert_eq!(out.len(), 2);
        out[1]
    }

    #[test]
    fn stereo_is_the_mean_of_left_and_right() {
        assert_eq!(mixed(&[0.5, -0.25], &[]), 0.125);
    }

    #[test]
    fn a_known_lfe_channel_is_left_out() {
        assert_eq!(mixed(&[0.5, 0.5, 0.5, -1.0, 0.5, 0.5], &[3]), 0.5);
    }

    #[test]
    fn a_file_of_nothing_but_lfe_is_kept() {
        assert_eq!(mixed(&[0.5], &[0]), 0.5);
    }
}
