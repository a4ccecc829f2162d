//! Segments' scores in, the clip's scores out.

use crate::bundle::{Aggregation, Metadata};

use super::SegmentScores;

/// What is known of one channel of a clip after all of its segments.
#[derive(Debug, Clone, PartialEq)]
pub struct ClipScores {
    /// The channel, counted from 0; always 0 when channels are mixed.
    pub channel: usize,
    /// The clip's length in seconds, without padding.
    pub duration_secs: f64,
    /// The number of segments, at all speeds.
    pub n_segments: u64,
    /// The scores by class, in [0, 1], as the bundle's [`Aggregation`] says.
    pub scores: Vec<f32>,
    /// The mean of the segments' embeddings, weighted by duration; empty for a network without.
    pub embedding: Vec<f32>,
}

/// Collects the segments of one channel in their order.
///
/// Sums are `f64` and in the order of the segments, so the result does not depend on threads.
#[derive(Debug)]
pub(super) struct Collector {
    channel: usize,
    aggregation: Aggregation,
    n_segments: u64,
    weight: f64,
    scores: Vec<f64>,
    embedding: Vec<f64>,
}

impl Collector {
    pub(super) fn new(channel: usize, aggregation: Aggregation) -> Self {
        Self {
            channel,
            aggregation,
            n_segments: 0,
            weight: 0.0,
            scores: Vec::new(),
            embedding: Vec::new(),
        }
    }

    /// Takes the next segment.
    pub(super) fn add(&mut self, segment: &SegmentScores) {
        let weight = segment.end_secs - segment.start_secs;
        let values = match self.aggregation {
            Aggregation::MeanLogit => &segment.logits,
            Aggregation::Mean | Aggregation::Max => &segment.scores,
        };
        if self.n_segments == 0 {
            self.scores = vec![0.0; values.len()];
            self.embedding = vec![0.0; segment.embedding.len()];
        }
        for (total, &value) in self.scores.iter_mut().zip(values) {
            match self.aggregation {
                Aggregation::Max => *total = total.max(f64::from(value)),
                Aggregation::Mean | Aggregation::MeanLogit => *total += weight * f64::from(value),
            }
        }
        for (total, &value) in self.embedding.iter_mut().zip(&segment.embedding) {
            *total += weight * f64::from(value);
        }
        self.weight += weight;
        self.n_segments += 1;
    }

    /// The clip's scores; `None` when there was no segment.
    pub(super) fn finish(self, metadata: &Metadata, duration_secs: f64) -> Option<ClipScores> {
        if self.n_segments == 0 {
            return None;
        }
        let mean = |totals: Vec<f64>| -> Vec<f32> {
            totals
                .iter()
                .map(|total| (total / self.weight) as f32)
                .collect()
        };
        let scores = match self.aggregation {
            Aggregation::Mean => mean(self.scores),
            Aggregation::Max => self.scores.iter().map(|&score| score as f32).collect(),
            Aggregation::MeanLogit => {
                let mut row = mean(self.scores);
                metadata.scores_in_place(&mut row);
                row
            }
        };
        Some(ClipScores {
            channel: self.channel,
            duration_secs,
            n_segments: self.n_segments,
            scores,
            embedding: mean(self.embedding),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tagger::testing;

    fn segment(start_secs: f64, end_secs: f64, logits: [f32; 2]) -> SegmentScores {
        let mut scores = logits.to_vec();
        testing::metadata().scores_in_place(&mut scores);
        SegmentScores {
            index: 0,
            channel: 0,
            start_secs,
            end_secs,
            logits: logits.to_vec(),
            scores,
            embedding: vec![logits[0]],
        }
    }

    fn collect(aggregation: Aggregation) -> ClipScores {
        let mut collector = Collector::new(0, aggregation);
        // sigmoid(0) = 1/2, sigmoid(ln 3) = 3/4, sigmoid(-ln 3) = 1/4.
        collector.add(&segment(0.0, 10.0, [0.0, 3.0_f32.ln()]));
        collector.add(&segment(10.0, 15.0, [3.0_f32.ln(), -(3.0_f32.ln())]));
        collector.finish(&testing::metadata(), 15.0).unwrap()
    }

    fn close(found: &[f32], expected: &[f32]) {
        assert_eq!(found.len(), expected.len());
        for (a, b) in found.iter().zip(expected) {
            assert!((a - b).abs() < 1e-6, "{found:?} instead of {expected:?}");
        }
    }

    #[test]
    fn the_mean_weighs_segments_by_their_duration() {
        let clip = collect(Aggregation::Mean);
        close(
            &clip.scores,
            &[(10.0 * 0.5 + 5.0 * 0.75) / 15.0, (7.5 + 1.25) / 15.0],
        );
        close(&clip.embedding, &[3.0_f32.ln() / 3.0]);
        assert_eq!((clip.n_segments, clip.duration_secs), (2, 15.0));
    }

    #[test]
    fn the_maximum_is_what_is_heard_anywhere() {
        close(&collect(Aggregation::Max).scores, &[0.75, 0.75]);
    }

    #[test]
    fn the_mean_of_logits_goes_through_the_activation() {
        // (10 · 0 + 5 · ln 3) / 15 = ln 3 / 3, and the same for (10 - 5) · ln 3 / 15.
        let expected = 1.0 / (1.0 + (-(3.0_f32.ln()) / 3.0).exp());
        close(
            &collect(Aggregation::MeanLogit).scores,
            &[expected, expected],
        );
    }

    #[test]
    fn no_segment_gives_no_scores() {
        let collector = Collector::new(0, Aggregation::Mean);
        assert_eq!(collector.finish(&testing::metadata(), 0.0), None);
    }
}
