//! Cuts a stream of samples into overlapping frames: blocks of any size in, complete frames out.
//!
//! Pre-emphasis and the padding at both ends happen here, so that whatever follows sees only frames.
//! Frames are the same whatever the sizes of the blocks.

use super::spectrogram_config::{FirstSample, Padding, StftConfig, WindowPlacement};
use crate::{Error, Result};

/// The number of samples that a frame covers.
pub(crate) fn frame_length(config: &StftConfig) -> usize {
    match config.placement {
        WindowPlacement::Centre => config.n_fft,
        WindowPlacement::Start => config.win_length(),
    }
}

/// The number of samples of padding on either side.
fn pad_length(config: &StftConfig) -> usize {
    match config.padding {
        Padding::None => 0,
        Padding::Zero | Padding::Reflect => frame_length(config) / 2,
    }
}

/// The number of samples that pre-emphasis drops.
fn n_dropped(config: &StftConfig) -> usize {
    let drops =
        |emphasis: &super::spectrogram_config::PreEmphasis| emphasis.first == FirstSample::Drop;
    usize::from(config.pre_emphasis.as_ref().is_some_and(drops))
}

/// The least number of samples that give a frame.
pub(crate) fn min_samples(config: &StftConfig) -> usize {
    let least = match config.padding {
        Padding::None => frame_length(config),
        // An odd frame is one sample longer than its padding.
        Padding::Zero => 1,
        Padding::Reflect => pad_length(config) + 1,
    };
    least + n_dropped(config)
}

/// The number of frames of a clip of `n_samples`.
///
/// # Errors
/// [`Error::ClipTooShort`] below [`min_samples`].
pub(crate) fn n_frames(config: &StftConfig, n_samples: usize) -> Result<usize> {
    let needed = min_samples(config);
    if n_samples < needed {
        return Err(Error::ClipTooShort {
            found: n_samples,
            needed,
        });
    }
    let padded = n_samples - n_dropped(config) + 2 * pad_length(config);
    Ok((padded - frame_length(config)) / config.hop_length + 1)
}

/// The samples that are not yet used up, and where the next frame begins.
#[derive(Debug)]
pub(crate) struct Framer {
    config: StftConfig,
    /// Padded and filtered samples from position `buffer_start` on.
    buffer: Vec<f32>,
    /// The position of the buffer's first sample in the padded clip.
    buffer_start: usize,
    /// The position of the next frame in the padded clip.
    next_frame: usize,
    /// Whether the padding before the first sample has been written.
    begun: bool,
    /// The last sample before pre-emphasis.
    previous: Option<f32>,
    n_samples: usize,
}

impl Framer {
    pub(crate) fn new(config: &StftConfig) -> Self {
        Self {
            config: config.clone(),
            buffer: Vec::new(),
            buffer_start: 0,
            next_frame: 0,
            begun: false,
            previous: None,
            n_samples: 0,
        }
    }

    /// Takes the next samples.
    pub(crate) fn push(&mut self, samples: &[f32]) {
        self.drop_used();
        self.n_samples += samples.len();
        let pad = pad_length(&self.config);
        if !self.begun && self.config.padding != Padding::Reflect {
            self.buffer.resize(pad, 0.0);
            self.begun = true;
        }
        self.append_filtered(samples);
        if !self.begun && self.buffer.len() > pad {
            // The reflection is known once the first `pad + 1` samples are.
            let reflection: Vec<f32> = self.buffer[1..=pad].iter().rev().copied().collect();
            self.buffer.splice(0..0, reflection);
            self.begun = true;
        }
    }

    /// Writes the padding after the last sample.
    ///
    /// # Errors
    /// [`Error::ClipTooShort`] if the clip does not fill a frame.
    pub(crate) fn finish(&mut self) -> Result<()> {
        n_frames(&self.config, self.n_samples)?;
        let pad = pad_length(&self.config);
        match self.config.padding {
            Padding::None => {}
            Padding::Zero => self.buffer.resize(self.buffer.len() + pad, 0.0),
            Padding::Reflect => {
                let last = self.buffer.len() - 1;
                self.buffer.extend_from_within(last - pad..last);
                self.buffer[last + 1..].reverse();
            }
        }
        Ok(())
    }

    /// The number of complete frames in the buffer.
    pub(crate) fn n_ready(&self) -> usize {
        if !self.begun {
            return 0;
        }
        let end = self.buffer_start + self.buffer.len();
        let needed = self.next_frame + frame_length(&self.config);
        match end.checked_sub(needed) {
            Some(rest) => rest / self.config.hop_length + 1,
            None => 0,
        }
    }

    /// The samples of the `index`-th complete frame.
    pub(crate) fn frame(&self, index: usize) -> &[f32] {
        let start = self.next_frame - self.buffer_start + index * self.config.hop_length;
        &self.buffer[start..start + frame_length(&self.config)]
    }

    /// Steps over `count` frames.
    pub(crate) fn advance(&mut self, count: usize) {
        self.next_frame += count * self.config.hop_length;
    }

    fn append_filtered(&mut self, samples: &[f32]) {
        let Some(emphasis) = self.config.pre_emphasis else {
            self.buffer.extend_from_slice(samples);
            return;
        };
        let (Some(&first), Some(&last)) = (samples.first(), samples.last()) else {
            return;
        };
        let coefficient = emphasis.coefficient as f32;
        match (self.previous, emphasis.first) {
            (Some(previous), _) => self.buffer.push(first - coefficient * previous),
            (None, FirstSample::Keep) => self.buffer.push(first),
            (None, FirstSample::Drop) => {}
        }
        let pairs = samples.iter().zip(&samples[1..]);
        self.buffer
            .extend(pairs.map(|(before, now)| now - coefficient * before));
        self.previous = Some(last);
    }

    /// Forgets samples that neither a later frame nor the reflection at the end needs.
    fn drop_used(&mut self) {
        if !self.begun {
            return;
        }
        let for_reflection = match self.config.padding {
            Padding::Reflect => pad_length(&self.config) + 1,
            Padding::None | Padding::Zero => 0,
        };
        let by_frames = self.next_frame - self.buffer_start.min(self.next_frame);
        let n_dropped = by_frames.min(self.buffer.len().saturating_sub(for_reflection));
        self.buffer.drain(..n_dropped);
        self.buffer_start += n_dropped;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::spectrogram_config::PreEmphasis;

    fn frames(config: &StftConfig, blocks: &[&[f32]]) -> Vec<Vec<f32>> {
        let mut framer = Framer::new(config);
        let mut frames = Vec::new();
        let mut take = |framer: &mut Framer| {
            let n_ready = framer.n_ready();
            frames.extend((0..n_ready).map(|i| framer.frame(i).to_vec()));
            framer.advance(n_ready);
        };
        for block in blocks {
            framer.push(block);
            take(&mut framer);
        }
        framer.finish().unwrap();
        take(&mut framer);
        frames
    }

    fn config(padding: Padding) -> StftConfig {
        StftConfig {
            padding,
            ..StftConfig::new(4, 3)
        }
    }

    #[test]
    fn zeros_stand_on_both_sides_of_a_zero_padded_clip() {
        let found = frames(&config(Padding::Zero), &[&[1.0, 2.0, 3.0, 4.0, 5.0]]);
        assert_eq!(found, [[0.0, 0.0, 1.0, 2.0], [2.0, 3.0, 4.0, 5.0]]);
    }

    #[test]
    fn the_edge_sample_is_not_repeated_in_a_reflection() {
        let found = frames(
            &config(Padding::Reflect),
            &[&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]],
        );
        // padded: 3 2 | 1 2 3 4 5 6 | 5 4
        assert_eq!(
            found,
            [
                [3.0, 2.0, 1.0, 2.0],
                [2.0, 3.0, 4.0, 5.0],
                [5.0, 6.0, 5.0, 4.0]
            ]
        );
    }

    #[test]
    fn incomplete_frames_are_dropped_without_padding() {
        let found = frames(&config(Padding::None), &[&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]]);
        assert_eq!(found, [[1.0, 2.0, 3.0, 4.0]]);
    }

    #[test]
    fn pre_emphasis_drops_or_keeps_the_first_sample() {
        let with = |first| StftConfig {
            pre_emphasis: Some(PreEmphasis {
                coefficient: 0.5,
                first,
            }),
            ..config(Padding::None)
        };
        let samples: &[f32] = &[1.0, 2.0, 3.0, 4.0, 5.0];
        assert_eq!(
            frames(&with(FirstSample::Drop), &[samples]),
            [[1.5, 2.0, 2.5, 3.0]]
        );
        assert_eq!(
            frames(&with(FirstSample::Keep), &[samples]),
            [[1.0, 1.5, 2.0, 2.5]]
        );
    }

    #[test]
    fn frames_do_not_depend_on_the_blocks() {
        let samples: Vec<f32> = (0..97).map(|i| i as f32).collect();
        for padding in [Padding::None, Padding::Zero, Padding::Reflect] {
            for (n_fft, hop) in [(8, 3), (7, 11), (6, 6)] {
                let config = StftConfig {
                    padding,
                    pre_emphasis: Some(PreEmphasis {
                        coefficient: 0.97,
                        first: FirstSample::Drop,
                    }),
                    ..StftConfig::new(n_fft, hop)
                };
                let whole = frames(&config, &[&samples]);
                assert_eq!(whole.len(), n_frames(&config, samples.len()).unwrap());
                for size in [1, 2, 5, 50] {
                    let blocks: Vec<&[f32]> = samples.chunks(size).collect();
                    assert_eq!(
                        frames(&config, &blocks),
                        whole,
                        "{config:?}, blocks of {size}"
                    );
                }
            }
        }
    }

    #[test]
    fn the_shortest_clip_gives_a_frame_and_a_shorter_one_an_error() {
        for padding in [Padding::None, Padding::Zero, Padding::Reflect] {
            for n_fft in [4, 5] {
                let config = StftConfig {
                    padding,
                    ..StftConfig::new(n_fft, 2)
                };
                let needed = min_samples(&config);
                assert!(n_frames(&config, needed).unwrap() >= 1);
                assert!(!frames(&config, &[&vec![1.0; needed]]).is_empty());
                let error = n_frames(&config, needed - 1).unwrap_err();
                assert!(matches!(error, Error::ClipTooShort { .. }), "{error}");
            }
        }
    }
}
