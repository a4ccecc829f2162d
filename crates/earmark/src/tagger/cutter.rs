//! Blocks of planar samples in, segments out: the streaming side of [`Segmenter`].
//!
//! The segments of several channels are cut at the same places and come out place by place, the
//! first channel first. A segment is cut when it is asked for. Where all that can be cut is taken before
//! the next block comes, no more than two segments and a block of each channel are kept, whatever the
//! length of the recording and the distance of its segments.

use crate::audio::PlaybackSpeed;
use crate::bundle::{Segment, Segmenter};

/// The samples of one segment of one channel, padded as the rule says.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct CutSegment {
    /// Its number in its channel, counted from 0.
    pub(super) index: u64,
    /// The channel, counted from 0.
    pub(super) channel: usize,
    /// Where it lies in what was cut, in samples.
    pub(super) place: Segment,
    /// The speed at which the recording was played, where it is not its own.
    pub(super) speed: Option<PlaybackSpeed>,
    /// `place.padded_len` samples.
    pub(super) samples: Vec<f32>,
}

/// Cuts one recording, played at one speed.
#[derive(Debug)]
pub(super) struct Cutter {
    rule: Segmenter,
    speed: Option<PlaybackSpeed>,
    /// What is kept of each channel: the samples from `kept_from` on.
    channels: Vec<Vec<f32>>,
    kept_from: u64,
    n_samples: u64,
    n_positions: usize,
    ended: bool,
    /// The segment that is cut next, and of which channel.
    next: u64,
    next_channel: usize,
}

impl Cutter {
    /// A cutter that gives a clip shorter than a segment in `n_positions` of them.
    pub(super) fn new(rule: Segmenter, n_channels: usize, n_positions: usize) -> Self {
        Self {
            rule,
            speed: None,
            channels: vec![Vec::new(); n_channels],
            kept_from: 0,
            n_samples: 0,
            n_positions,
            ended: false,
            next: 0,
            next_channel: 0,
        }
    }

    /// The same cutter for samples that are already played at another speed.
    pub(super) fn at_speed(self, speed: PlaybackSpeed) -> Self {
        Self {
            speed: Some(speed),
            ..self
        }
    }

    /// Samples per channel so far.
    pub(super) fn n_samples(&self) -> u64 {
        self.n_samples
    }

    /// Takes the next samples of every channel, the same number of each.
    pub(super) fn push<'a>(&mut self, planes: impl Iterator<Item = &'a [f32]>) {
        self.forget();
        for (kept, plane) in self.channels.iter_mut().zip(planes) {
            kept.extend_from_slice(plane);
        }
        let kept = self.channels.first().map_or(0, Vec::len);
        debug_assert!(self.channels.iter().all(|channel| channel.len() == kept));
        self.n_samples = self.kept_from + kept as u64;
    }

    /// Says that no more samples come, so that the last segment can be cut.
    pub(super) fn end(&mut self) {
        self.ended = true;
    }

    /// Cuts the next segment, if its samples are there.
    pub(super) fn pop(&mut self) -> Option<CutSegment> {
        let (place, position) = self.due()?;
        let from = (place.start - self.kept_from) as usize;
        let kept = &self.channels[self.next_channel];
        let mut samples = kept[from..from + place.len].to_vec();
        self.rule.pad(&mut samples, place.padded_len);
        samples.rotate_right(self.shift(place, position));
        let segment = CutSegment {
            index: self.next,
            channel: self.next_channel,
            place,
            speed: self.speed,
            samples,
        };
        self.next_channel += 1;
        if self.next_channel == self.channels.len() {
            self.next_channel = 0;
            self.next += 1;
        }
        Some(segment)
    }

    /// Where the next segment lies and, of a short clip, in which position it is heard.
    fn due(&self) -> Option<(Segment, usize)> {
        let n_full = self.rule.n_full(self.n_samples);
        if self.next < n_full {
            return Some((self.rule.full(self.next), 0));
        }
        let n_positions = if n_full == 0 { self.n_positions } else { 1 };
        let position = (self.next - n_full) as usize;
        let last = self.rule.last(self.n_samples)?;
        (self.ended && position < n_positions).then_some((last, position))
    }

    /// How far a short clip lies from its usual place in its one segment.
    fn shift(&self, place: Segment, position: usize) -> usize {
        let room = place.padded_len - place.len;
        // A clip that moves within its room stays whole; without room it goes around.
        let way = if room > 0 { room + 1 } else { place.len };
        let start = self.rule.start_in(place);
        let moved = (start + way * position / self.n_positions) % way;
        (place.padded_len + moved - start) % place.padded_len
    }

    /// Drops what neither the next full segment nor the last one, which reaches at most one length
    /// back from the end, can need. Moving the rest to the front is put off until it is worth it.
    fn forget(&mut self) {
        let next = self.rule.full(self.next).start;
        let back = self.n_samples.saturating_sub(self.rule.length() as u64);
        let unneeded = next.min(back).saturating_sub(self.kept_from) as usize;
        if unneeded >= self.rule.hop().min(self.rule.length()) {
            for kept in &mut self.channels {
                kept.drain(..unneeded);
            }
            self.kept_from += unneeded as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::{LastSegment, Padding, SegmentConfig};

    fn rule(length: f32, hop: f32, min: f32, last_segment: LastSegment) -> Segmenter {
        let config = SegmentConfig {
            length_secs: length,
            hop_secs: hop,
            min_secs: min,
            last_segment,
            ..SegmentConfig::efficient_at()
        };
        // One sample per second makes the numbers below seconds.
        config.in_samples(1).unwrap()
    }

    /// Cuts the clip 1, 2, 3, … and checks the memory on the way.
    fn cut(rule: &Segmenter, n_samples: usize, block: usize) -> Vec<(u64, Vec<f32>)> {
        let clip: Vec<f32> = (1..=n_samples).map(|n| n as f32).collect();
        let mut cutter = Cutter::new(rule.clone(), 1, 1);
        let mut segments = Vec::new();
        for samples in clip.chunks(block) {
            cutter.push(std::iter::once(samples));
            assert!(cutter.channels[0].len() <= 2 * rule.length() + block);
            while let Some(segment) = cutter.pop() {
                segments.push((segment.place.start, segment.samples));
            }
        }
        cutter.end();
        while let Some(segment) = cutter.pop() {
            segments.push((segment.place.start, segment.samples));
        }
        segments
    }

    #[test]
    fn a_stream_is_cut_as_a_whole_clip_is_whatever_the_blocks() {
        let rules = [
            LastSegment::Keep,
            LastSegment::Shift,
            LastSegment::Pad,
            LastSegment::Drop,
        ];
        for last_segment in rules {
            for (length, hop, min) in [(4.0, 4.0, 1.0), (4.0, 1.0, 2.0), (5.0, 3.0, 5.0)] {
                let rule = rule(length, hop, min, last_segment);
                for n_samples in 0..30 {
                    let clip: Vec<f32> = (1..=n_samples).map(|n| n as f32).collect();
                    let expected: Vec<(u64, Vec<f32>)> = rule
                        .all(n_samples as u64)
                        .map(|place| {
                            let start = place.start as usize;
                            let mut samples = clip[start..start + place.len].to_vec();
                            samples.resize(place.padded_len, 0.0);
                            (place.start, samples)
                        })
                        .collect();
                    for block in [1, 2, 7, 100] {
                        assert_eq!(cut(&rule, n_samples, block), expected);
                    }
                }
            }
        }
    }

    #[test]
    fn a_short_clip_moves_within_its_padding_or_around() {
        let moved = |rule: Segmenter, clip: &[f32]| {
            let mut cutter = Cutter::new(rule, 1, 3);
            cutter.push(std::iter::once(clip));
            cutter.end();
            let mut segments = Vec::new();
            while let Some(segment) = cutter.pop() {
                segments.push(segment.samples);
            }
            segments
        };
        let padded = rule(6.0, 2.0, 6.0, LastSegment::Pad);
        assert_eq!(
            moved(padded, &[1.0, 2.0, 3.0, 4.0]),
            [
                [1.0, 2.0, 3.0, 4.0, 0.0, 0.0],
                [0.0, 1.0, 2.0, 3.0, 4.0, 0.0],
                [0.0, 0.0, 1.0, 2.0, 3.0, 4.0],
            ]
        );
        let around = SegmentConfig {
            length_secs: 6.0,
            hop_secs: 2.0,
            min_secs: 6.0,
            padding: Padding::ZerosAround,
            ..SegmentConfig::efficient_at()
        };
        assert_eq!(
            moved(around.in_samples(1).unwrap(), &[1.0, 2.0, 3.0, 4.0]),
            [
                [0.0, 1.0, 2.0, 3.0, 4.0, 0.0],
                [0.0, 0.0, 1.0, 2.0, 3.0, 4.0],
                [1.0, 2.0, 3.0, 4.0, 0.0, 0.0],
            ]
        );
        let kept = rule(6.0, 2.0, 1.0, LastSegment::Keep);
        assert_eq!(
            moved(kept, &[1.0, 2.0, 3.0]),
            [[1.0, 2.0, 3.0], [3.0, 1.0, 2.0], [2.0, 3.0, 1.0]]
        );
    }

    #[test]
    fn segments_are_cut_when_they_are_asked_for() {
        // No memory would hold so many.
        let mut short = Cutter::new(rule(6.0, 2.0, 6.0, LastSegment::Pad), 1, usize::MAX);
        short.push(std::iter::once(&[1.0, 2.0][..]));
        assert_eq!(short.pop(), None);
        short.end();
        let indices = std::iter::from_fn(|| short.pop()).map(|segment| segment.index);
        assert_eq!(indices.take(3).collect::<Vec<u64>>(), [0, 1, 2]);

        let mut dense = Cutter::new(rule(500.0, 1.0, 1.0, LastSegment::Keep), 1, 1);
        let clip: Vec<f32> = (0..1_000).map(|n| n as f32).collect();
        dense.push(std::iter::once(&clip[..]));
        dense.end();
        let n_full = std::iter::from_fn(|| dense.pop())
            .filter(|segment| segment.samples[0] == segment.place.start as f32)
            .count();
        assert_eq!(n_full, 501);
    }

    #[test]
    fn channels_come_place_by_place() {
        let mut cutter = Cutter::new(rule(2.0, 2.0, 1.0, LastSegment::Keep), 2, 1);
        let (left, right) = ([1.0, 2.0, 3.0], [-1.0, -2.0, -3.0]);
        cutter.push([&left[..], &right[..]].into_iter());
        cutter.end();
        let mut cuts = Vec::new();
        while let Some(segment) = cutter.pop() {
            cuts.push((segment.channel, segment.place.start, segment.samples));
        }
        assert_eq!(
            cuts,
            [
                (0, 0, vec![1.0, 2.0]),
                (1, 0, vec![-1.0, -2.0]),
                (0, 2, vec![3.0]),
                (1, 2, vec![-3.0]),
            ]
        );
    }
}
