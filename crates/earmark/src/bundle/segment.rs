//! How a clip is cut into the segments that a network is given, and how their scores become the
//! clip's. A bundle states both, so that tagging cuts as training did.
//!
//! # The rule
//! Segments of `length_secs` start every `hop_secs`; each one that the clip fills is used. What is
//! left at the end, if anything, is the last segment, and [`LastSegment`] says what becomes of it. A
//! clip shorter than one segment is a single segment as long as the clip. A segment shorter than
//! `min_secs` is filled up to it by the [`Padding`] rule; nothing else is ever padded, except under
//! [`LastSegment::Pad`].
//!
//! A clip may be heard at further speeds: played at each of them it is cut anew by the same rule, and
//! all segments count towards the clip's score, by their durations in the recording.

use serde::{Deserialize, Serialize};

use crate::audio::{PlaybackSpeed, check_speeds};
use crate::{Error, Result};

/// The segments of a clip: their length, distance and edges.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SegmentConfig {
    /// The length of a full segment in seconds, at least [`MIN_HOP_SECS`] and at most 600.
    pub length_secs: f32,
    /// The distance between the starts of segments in seconds, at least [`MIN_HOP_SECS`] and at most
    /// `length_secs`.
    pub hop_secs: f32,
    /// The shortest segment that the network takes in seconds, above 0 and at most `length_secs`.
    /// Equal to `length_secs` for a network that takes nothing but full segments.
    pub min_secs: f32,
    /// What fills a segment that is too short.
    #[serde(default)]
    pub padding: Padding,
    /// What becomes of the end of a clip that does not fill a segment.
    #[serde(default)]
    pub last_segment: LastSegment,
    /// How the scores of segments become the score of the clip.
    #[serde(default)]
    pub aggregation: Aggregation,
    /// Speeds at which a clip is heard besides its own, each once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub speeds: Vec<PlaybackSpeed>,
}

/// What fills a segment that is too short.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Padding {
    /// Silence after the clip.
    #[default]
    Zeros,
    /// Silence on both sides, the clip in the middle; the odd sample goes after it.
    ZerosAround,
    /// The clip again from its start, as often as needed.
    Repeat,
}

/// What becomes of the end of a clip that does not fill a segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LastSegment {
    /// It is a shorter segment of its own. When less than `min_secs` is left, the segment starts
    /// earlier so that it is `min_secs` long and ends with the clip. A 12 s clip in segments of 10 s
    /// gives 0–10 and 10–12; a 10.4 s clip gives 0–10 and, with `min_secs = 1`, 9.4–10.4.
    #[default]
    Keep,
    /// It is a full segment that ends with the clip and overlaps the one before it: 0–10 and 2–12.
    Shift,
    /// It is filled up to a full segment by the padding rule; so is a clip shorter than a segment.
    Pad,
    /// It is not used, unless it is all there is.
    Drop,
}

/// How the scores of segments become the score of the clip.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Aggregation {
    /// The mean of the scores, each weighted by its segment's duration without padding: what is
    /// heard over the whole clip.
    #[default]
    Mean,
    /// The highest score: what is heard anywhere in the clip.
    Max,
    /// The mean of the logits, weighted as above, and then the activation (a geometric mean, for
    /// softmax).
    MeanLogit,
}

/// One segment of a clip, in samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its first sample in the clip.
    pub start: u64,
    /// How many samples of the clip it holds, at least 1.
    pub len: usize,
    /// Its length after padding, at least `len`.
    pub padded_len: usize,
}

impl SegmentConfig {
    /// EfficientAT: segments of 10 s without overlap. Shorter ones are not padded, since the network
    /// averages over time, down to 1 s, where too few frames are left after its strides.
    pub fn efficient_at() -> Self {
        Self {
            length_secs: 10.0,
            hop_secs: 10.0,
            min_secs: 1.0,
            padding: Padding::Zeros,
            last_segment: LastSegment::Keep,
            aggregation: Aggregation::Mean,
            speeds: Vec::new(),
        }
    }

    /// The same rule with another length and distance, as a timeline at another pace needs it.
    /// `min_secs` shrinks with the length if it must.
    ///
    /// # Errors
    /// [`Error::Config`] as for [`SegmentConfig::check`], and when `min_secs` equals `length_secs`
    /// now, which says that the network takes no other length.
    pub fn with_window(&self, length_secs: f32, hop_secs: f32) -> Result<Self> {
        if self.min_secs == self.length_secs && length_secs != self.length_secs {
            return Err(Error::Config {
                key: "segment.length_secs".to_owned(),
                found: length_secs.to_string(),
                expected: format!("this bundle takes segments of {} s only", self.length_secs),
            });
        }
        let changed = Self {
            length_secs,
            hop_secs,
            min_secs: self.min_secs.min(length_secs),
            ..self.clone()
        };
        changed.check()?;
        Ok(changed)
    }

    /// Whether the values are possible.
    ///
    /// # Errors
    /// [`Error::Config`] with the key, the value found and the range.
    pub fn check(&self) -> Result<()> {
        let check = |key: &str, value: f32, most: f32, expected: String| {
            if value.is_finite() && value > 0.0 && value <= most {
                return Ok(());
            }
            Err(Error::Config {
                key: format!("segment.{key}"),
                found: value.to_string(),
                expected,
            })
        };
        check(
            "length_secs",
            self.length_secs,
            MAX_LENGTH_SECS,
            format!("must be above 0 and at most {MAX_LENGTH_SECS}"),
        )?;
        let within = format!(
            "must be above 0 and at most length_secs = {}",
            self.length_secs
        );
        check("hop_secs", self.hop_secs, self.length_secs, within.clone())?;
        check("min_secs", self.min_secs, self.length_secs, within)?;
        let lengths = [
            ("length_secs", self.length_secs),
            ("hop_secs", self.hop_secs),
        ];
        if let Some((key, secs)) = lengths.iter().find(|(_, secs)| *secs < MIN_HOP_SECS) {
            return Err(Error::Config {
                key: format!("segment.{key}"),
                found: secs.to_string(),
                expected: format!("must be at least {MIN_HOP_SECS}"),
            });
        }
        check_speeds("segment.speeds", &self.speeds)
    }

    /// The rule in samples at a rate in Hz.
    ///
    /// # Errors
    /// As for [`SegmentConfig::check`].
    pub fn in_samples(&self, sample_rate: u32) -> Result<Segmenter> {
        self.check()?;
        let samples =
            |secs: f32| ((f64::from(secs) * f64::from(sample_rate)).round() as usize).max(1);
        Ok(Segmenter {
            length: samples(self.length_secs),
            hop: samples(self.hop_secs),
            min: samples(self.min_secs),
            padding: self.padding,
            last_segment: self.last_segment,
        })
    }
}

/// The smallest distance of segments in seconds: at a smaller one there are more segments than sound.
pub const MIN_HOP_SECS: f32 = 0.001;

/// The longest segment that a bundle may ask for, in seconds: memory is bounded by it.
const MAX_LENGTH_SECS: f32 = 600.0;

/// A [`SegmentConfig`] at a sample rate: which samples each segment of a clip holds.
///
/// A stream of unknown length emits [`Segmenter::full`] segments as it goes and asks for
/// [`Segmenter::last`] at the end; [`Segmenter::all`] lists both for a known length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segmenter {
    length: usize,
    hop: usize,
    min: usize,
    padding: Padding,
    last_segment: LastSegment,
}

impl Segmenter {
    /// The length of a full segment in samples.
    pub fn length(&self) -> usize {
        self.length
    }

    /// The distance between the starts of full segments in samples.
    pub fn hop(&self) -> usize {
        self.hop
    }

    /// The full segment number `index`, which exists when the clip has `start + len` samples.
    pub fn full(&self, index: u64) -> Segment {
        Segment {
            start: index * self.hop as u64,
            len: self.length,
            padded_len: self.length,
        }
    }

    /// How many full segments a clip of `n_samples` has.
    pub fn n_full(&self, n_samples: u64) -> u64 {
        match n_samples.checked_sub(self.length as u64) {
            Some(rest) => rest / self.hop as u64 + 1,
            None => 0,
        }
    }

    /// The segment after the full ones in a clip of `n_samples`, if there is one. Never reaches
    /// further back than one full length from the end.
    pub fn last(&self, n_samples: u64) -> Option<Segment> {
        let n_full = self.n_full(n_samples);
        if n_samples == 0 {
            return None;
        }
        if n_full == 0 {
            let padded_len = match self.last_segment {
                LastSegment::Pad => self.length,
                _ => self.min.max(n_samples as usize),
            };
            return Some(Segment {
                start: 0,
                len: n_samples as usize,
                padded_len,
            });
        }
        let covered = self.full(n_full - 1).start + self.length as u64;
        if covered == n_samples {
            return None;
        }
        let next = n_full * self.hop as u64;
        let from = |start: u64, padded_len: Option<usize>| {
            let len = (n_samples - start) as usize;
            Some(Segment {
                start,
                len,
                padded_len: padded_len.unwrap_or(len),
            })
        };
        match self.last_segment {
            LastSegment::Keep => from(next.min(n_samples - self.min as u64), None),
            LastSegment::Shift => from(n_samples - self.length as u64, None),
            LastSegment::Pad => from(next, Some(self.length)),
            LastSegment::Drop => None,
        }
    }

    /// All segments of a clip of `n_samples` in order; none for an empty clip.
    pub fn all(&self, n_samples: u64) -> impl Iterator<Item = Segment> + '_ {
        (0..self.n_full(n_samples))
            .map(|index| self.full(index))
            .chain(self.last(n_samples))
    }

    /// Where in a padded segment the clip begins.
    pub fn start_in(&self, segment: Segment) -> usize {
        match self.padding {
            Padding::ZerosAround => (segment.padded_len - segment.len) / 2,
            Padding::Zeros | Padding::Repeat => 0,
        }
    }

    /// Fills `samples` up to `padded_len` by the padding rule. Does nothing when it is long enough.
    pub fn pad(&self, samples: &mut Vec<f32>, padded_len: usize) {
        let len = samples.len();
        if len == 0 || len >= padded_len {
            return;
        }
        match self.padding {
            Padding::Zeros => samples.resize(padded_len, 0.0),
            Padding::ZerosAround => {
                let before = (padded_len - len) / 2;
                samples.splice(0..0, std::iter::repeat_n(0.0, before));
                samples.resize(padded_len, 0.0);
            }
            Padding::Repeat => {
                for index in len..padded_len {
                    samples.push(samples[index - len]);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One sample per second makes the numbers below seconds.
    fn cut(config: &SegmentConfig, n_samples: u64) -> Vec<(u64, usize, usize)> {
        let segmenter = config.in_samples(1).unwrap();
        segmenter
            .all(n_samples)
            .map(|segment| (segment.start, segment.len, segment.padded_len))
            .collect()
    }

    fn config(hop_secs: f32, min_secs: f32, last_segment: LastSegment) -> SegmentConfig {
        SegmentConfig {
            hop_secs,
            min_secs,
            last_segment,
            ..SegmentConfig::efficient_at()
        }
    }

    #[test]
    fn what_is_left_is_kept_but_never_shorter_than_the_least() {
        let keep = config(10.0, 4.0, LastSegment::Keep);
        assert_eq!(cut(&keep, 10), [(0, 10, 10)]);
        assert_eq!(cut(&keep, 16), [(0, 10, 10), (10, 6, 6)]);
        assert_eq!(cut(&keep, 12), [(0, 10, 10), (8, 4, 4)]);
        assert_eq!(cut(&keep, 7), [(0, 7, 7)]);
        assert_eq!(cut(&keep, 3), [(0, 3, 4)]);
        assert_eq!(cut(&keep, 0), []);
    }

    #[test]
    fn the_other_rules_shift_pad_or_drop() {
        assert_eq!(
            cut(&config(10.0, 4.0, LastSegment::Shift), 12),
            [(0, 10, 10), (2, 10, 10)]
        );
        let pad = config(10.0, 4.0, LastSegment::Pad);
        assert_eq!(cut(&pad, 12), [(0, 10, 10), (10, 2, 10)]);
        assert_eq!(cut(&pad, 7), [(0, 7, 10)]);
        let drop = config(10.0, 4.0, LastSegment::Drop);
        assert_eq!(cut(&drop, 12), [(0, 10, 10)]);
        assert_eq!(cut(&drop, 7), [(0, 7, 7)]);
    }

    #[test]
    fn overlapping_segments_end_where_the_clip_ends() {
        let keep = config(5.0, 1.0, LastSegment::Keep);
        assert_eq!(cut(&keep, 15), [(0, 10, 10), (5, 10, 10)]);
        assert_eq!(cut(&keep, 17), [(0, 10, 10), (5, 10, 10), (10, 7, 7)]);
    }

    #[test]
    fn every_sample_is_heard_and_no_segment_is_shorter_than_the_least() {
        for last_segment in [LastSegment::Keep, LastSegment::Shift, LastSegment::Pad] {
            for (hop, min) in [(10.0, 1.0), (3.0, 2.0), (10.0, 10.0), (7.0, 7.0)] {
                let segmenter = config(hop, min, last_segment).in_samples(1).unwrap();
                for n_samples in 1..60 {
                    let mut heard = 0;
                    for segment in segmenter.all(n_samples) {
                        assert!(segment.start <= heard, "a gap before {}", segment.start);
                        assert!(segment.padded_len >= segment.len.max(min as usize));
                        assert!(segment.padded_len <= 10);
                        heard = segment.start + segment.len as u64;
                    }
                    assert_eq!(heard, n_samples);
                }
            }
        }
    }

    #[test]
    fn padding_fills_after_around_or_again() {
        let padded = |padding| {
            let config = SegmentConfig {
                padding,
                ..SegmentConfig::efficient_at()
            };
            let mut samples = vec![1.0, 2.0];
            config.in_samples(1).unwrap().pad(&mut samples, 5);
            samples
        };
        assert_eq!(padded(Padding::Zeros), [1.0, 2.0, 0.0, 0.0, 0.0]);
        assert_eq!(padded(Padding::ZerosAround), [0.0, 1.0, 2.0, 0.0, 0.0]);
        assert_eq!(padded(Padding::Repeat), [1.0, 2.0, 1.0, 2.0, 1.0]);
    }

    #[test]
    fn impossible_rules_are_refused_with_the_value() {
        let error = |config: SegmentConfig| config.check().unwrap_err().to_string();
        assert_eq!(
            error(config(0.0, 1.0, LastSegment::Keep)),
            "segment.hop_secs is 0, must be above 0 and at most length_secs = 10"
        );
        assert!(error(config(10.0, 11.0, LastSegment::Keep)).starts_with("segment.min_secs is 11"));
        assert!(error(config(f32::NAN, 1.0, LastSegment::Keep)).contains("NaN"));
        assert_eq!(
            error(config(1e-9, 1.0, LastSegment::Keep)),
            "segment.hop_secs is 0.000000001, must be at least 0.001"
        );
        assert!(config(MIN_HOP_SECS, 1.0, LastSegment::Keep).check().is_ok());
        let short = SegmentConfig::efficient_at().with_window(0.0005, 0.0005);
        assert_eq!(
            short.unwrap_err().to_string(),
            "segment.length_secs is 0.0005, must be at least 0.001"
        );
        let fixed = config(10.0, 10.0, LastSegment::Pad);
        assert!(
            fixed
                .with_window(5.0, 5.0)
                .unwrap_err()
                .to_string()
                .contains("10 s only")
        );
        assert_eq!(fixed.with_window(10.0, 5.0).unwrap().hop_secs, 5.0);
        let free = SegmentConfig::efficient_at().with_window(0.5, 0.5).unwrap();
        assert_eq!(free.min_secs, 0.5);
    }
}
