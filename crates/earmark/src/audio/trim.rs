//! Gapless trimming: encoder delay at the front, padding at the end.

use super::planes::Planes;

/// Cuts a decoded stream to the part that the encoder was given.
#[derive(Debug, Clone, Default)]
pub(super) struct Trim {
    /// Samples still to drop at the front.
    skip: u64,
    /// Samples still to give out, where the stream states its length.
    take: Option<u64>,
    /// How many samples may follow the stated length and be dropped as padding. A stream that goes
    /// on for longer was not described by its header (two MP3 files joined, say) and is kept whole.
    /// `None`: whatever follows is dropped.
    slack: Option<u64>,
    held: Planes,
}

impl Trim {
    /// Drops `skip` samples at the front and nothing at the end.
    pub(super) fn front(skip: u64) -> Self {
        Self {
            skip,
            ..Self::default()
        }
    }

    /// Keeps exactly the `take` samples after the first `skip`.
    pub(super) fn exactly(skip: u64, take: u64) -> Self {
        Self {
            skip,
            take: Some(take),
            ..Self::default()
        }
    }

    /// Keeps the `take` samples after the first `skip`, unless more than `padding` samples follow.
    pub(super) fn padded(skip: u64, take: u64, padding: u64) -> Self {
        Self {
            skip,
            take: Some(take),
            slack: Some(padding),
            held: Planes::default(),
        }
    }

    /// Cuts one decoded block in place.
    pub(super) fn apply(&mut self, planes: &mut Planes) {
        let n = planes.n_samples() as u64;
        let dropped = n.min(self.skip);
        self.skip -= dropped;
        planes.drop_front(usize::try_from(dropped).unwrap_or(usize::MAX));
        let Some(take) = &mut self.take else { return };
        let n = planes.n_samples() as u64;
        let kept = n.min(*take);
        *take -= kept;
        if kept == n {
            return;
        }
        let kept = usize::try_from(kept).unwrap_or(usize::MAX);
        match self.slack {
            None => planes.truncate(kept),
            Some(slack) => {
                planes.split_into(kept, &mut self.held);
                if self.held.n_samples() as u64 > slack {
                    let mut held = std::mem::take(&mut self.held);
                    held.prepend(planes);
                    std::mem::swap(planes, &mut held);
                    self.take = None;
                }
            }
        }
    }

    /// Whether everything the stream may give has been given.
    pub(super) fn is_exhausted(&self) -> bool {
        self.take == Some(0) && self.slack.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs blocks of three samples of 0, 1, 2, … through a trim.
    fn run(mut trim: Trim, n: usize) -> Vec<f32> {
        let samples: Vec<f32> = (0..n).map(|i| i as f32).collect();
        let mut out = Vec::new();
        for block in samples.chunks(3) {
            let mut planes = Planes {
                channels: vec![block.to_vec()],
            };
            trim.apply(&mut planes);
            out.extend_from_slice(&planes.channels[0]);
        }
        out
    }

    #[test]
    fn delay_and_padding_are_cut() {
        assert_eq!(run(Trim::front(4), 7), [4.0, 5.0, 6.0]);
        assert_eq!(run(Trim::exactly(2, 3), 9), [2.0, 3.0, 4.0]);
        assert_eq!(run(Trim::padded(2, 3, 4), 9), [2.0, 3.0, 4.0]);
    }

    #[test]
    fn a_stream_longer_than_its_header_says_is_kept_whole() {
        let expected: Vec<f32> = (2..12).map(|i| i as f32).collect();
        assert_eq!(run(Trim::padded(2, 3, 4), 12), expected);
    }
}
