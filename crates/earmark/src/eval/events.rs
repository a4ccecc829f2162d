//! Judging timelines of long recordings: annotated and found events in, segment-based and
//! event-based figures out.
//!
//! Segment-based figures cut time into segments of equal length and ask, for each class and segment,
//! whether the class is active somewhere in it. Event-based figures match whole events: the class is
//! equal, the onset lies within a collar, and the offset within the larger of that collar and a share
//! of the annotated length. An annotated event matches at most one found event; the matching with the
//! most pairs is taken.
//!
//! # Source
//! Mesaros, Heittola and Virtanen, "Metrics for polyphonic sound event detection", Applied Sciences 6,
//! 2016. The figures equal those of `sed_eval` 0.2.1 (`tests/integration/eval_references.rs`).

use std::collections::{HashMap, VecDeque};

use super::BinaryCounts;
use crate::{Error, Result};

/// One event of one class.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Event {
    /// Start in seconds.
    pub onset_secs: f64,
    /// End in seconds, not before the start.
    pub offset_secs: f64,
    /// Class index.
    pub class: usize,
}

/// Errors counted within segments or over unmatched events, as shares of the annotated activity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct ErrorCounts {
    /// Something else was found instead.
    pub substitutions: usize,
    /// Nothing was found.
    pub deletions: usize,
    /// Something was found where nothing is.
    pub insertions: usize,
    /// Annotated activities.
    pub annotated: usize,
}

impl ErrorCounts {
    /// The error rate: all errors per annotated activity; `None` if nothing is annotated.
    pub fn rate(&self) -> Option<f64> {
        let errors = self.substitutions + self.deletions + self.insertions;
        (self.annotated > 0).then(|| errors as f64 / self.annotated as f64)
    }
}

/// Figures over any number of recordings; add one recording at a time.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct EventFigures {
    /// Decisions of each class, `[class]`. Event-based counts have no true negatives.
    pub per_class: Vec<BinaryCounts>,
    /// Errors over all classes.
    pub errors: ErrorCounts,
}

impl EventFigures {
    fn new(n_classes: usize) -> Self {
        Self {
            per_class: vec![BinaryCounts::default(); n_classes],
            errors: ErrorCounts::default(),
        }
    }

    /// The decisions of all classes together; its F1 is the micro-averaged one.
    pub fn overall(&self) -> BinaryCounts {
        let mut sum = BinaryCounts::default();
        for counts in &self.per_class {
            sum += *counts;
        }
        sum
    }

    /// The mean F1 over classes that are annotated; `None` if none is.
    pub fn macro_f1(&self) -> Option<f64> {
        super::mean_of_defined(self.per_class.iter().map(|counts| {
            (counts.true_positives + counts.false_negatives > 0).then(|| counts.f1())
        }))
    }
}

/// Segment-based figures.
#[derive(Clone, Debug)]
pub struct SegmentMetrics {
    segment_secs: f64,
    figures: EventFigures,
}

impl SegmentMetrics {
    /// Starts with no recording; the usual segment is 1 s long.
    ///
    /// # Errors
    /// [`Error::Config`] unless the segment's length is a positive number.
    pub fn new(n_classes: usize, segment_secs: f64) -> Result<Self> {
        positive("segment_secs", segment_secs)?;
        Ok(Self {
            segment_secs,
            figures: EventFigures::new(n_classes),
        })
    }

    /// Adds one recording of `duration_secs`; what lies behind its end is cut off.
    ///
    /// # Errors
    /// [`Error::Config`] for a duration that is no number or has too many segments,
    /// [`Error::Shape`] for an event with an unknown class or impossible times.
    pub fn add(&mut self, annotated: &[Event], found: &[Event], duration_secs: f64) -> Result<()> {
        let n_classes = self.figures.per_class.len();
        check_events(annotated, n_classes)?;
        check_events(found, n_classes)?;
        let n_segments = n_segments(duration_secs, self.segment_secs)?;
        let truth = self.roll(annotated, n_segments);
        let output = self.roll(found, n_segments);
        for (present, tagged) in truth
            .chunks_exact(n_classes)
            .zip(output.chunks_exact(n_classes))
        {
            self.add_segment(present, tagged);
        }
        Ok(())
    }

    fn add_segment(&mut self, present: &[bool], tagged: &[bool]) {
        let mut segment = BinaryCounts::default();
        for (class, (present, tagged)) in present.iter().zip(tagged).enumerate() {
            self.figures.per_class[class].add(*tagged, *present);
            segment.add(*tagged, *present);
        }
        let (missed, wrong) = (segment.false_negatives, segment.false_positives);
        let errors = &mut self.figures.errors;
        errors.substitutions += missed.min(wrong);
        errors.deletions += missed.saturating_sub(wrong);
        errors.insertions += wrong.saturating_sub(missed);
        errors.annotated += segment.true_positives + missed;
    }

    /// Which classes are active, `[segment, class]`.
    fn roll(&self, events: &[Event], n_segments: usize) -> Vec<bool> {
        let n_classes = self.figures.per_class.len();
        let mut roll = vec![false; n_segments * n_classes];
        for event in events {
            let times = (event.onset_secs, event.offset_secs);
            for segment in covered(times, self.segment_secs, n_segments) {
                roll[segment * n_classes + event.class] = true;
            }
        }
        roll
    }

    /// The figures of all recordings so far.
    pub fn figures(&self) -> &EventFigures {
        &self.figures
    }
}

/// The number of segments of a recording, the last of which may be shorter.
pub(super) fn n_segments(duration_secs: f64, segment_secs: f64) -> Result<usize> {
    let n_segments = (duration_secs / segment_secs).ceil();
    if (0.0..=1e8).contains(&n_segments) {
        return Ok(n_segments as usize);
    }
    Err(Error::Config {
        key: "duration_secs".to_owned(),
        found: duration_secs.to_string(),
        expected: "must give 0 to 100000000 segments".to_owned(),
    })
}

/// The segments that a stretch of time touches.
pub(super) fn covered(
    (onset_secs, offset_secs): (f64, f64),
    segment_secs: f64,
    n_segments: usize,
) -> std::ops::Range<usize> {
    let first = (onset_secs / segment_secs).floor() as usize;
    let end = ((offset_secs / segment_secs).ceil() as usize).min(n_segments);
    first.min(end)..end
}

/// How far a found event may be from an annotated one.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Collar {
    /// Largest distance of onsets, and least tolerated distance of offsets, in seconds. Default 0.2.
    pub collar_secs: f64,
    /// Offsets may also differ by this share of the annotated length. Default 0.5.
    pub share_of_length: f64,
    /// Whether offsets count at all. Default true.
    pub check_offset: bool,
}

impl Default for Collar {
    fn default() -> Self {
        Self {
            collar_secs: 0.2,
            share_of_length: 0.5,
            check_offset: true,
        }
    }
}

impl Collar {
    /// Whether the times fit, whatever the classes.
    fn accepts(&self, annotated: &Event, found: &Event) -> bool {
        let length = annotated.offset_secs - annotated.onset_secs;
        let offset_collar = self.collar_secs.max(self.share_of_length * length);
        (annotated.onset_secs - found.onset_secs).abs() <= self.collar_secs
            && (!self.check_offset
                || (annotated.offset_secs - found.offset_secs).abs() <= offset_collar)
    }
}

/// Event-based figures.
#[derive(Clone, Debug)]
pub struct EventMetrics {
    collar: Collar,
    figures: EventFigures,
}

impl EventMetrics {
    /// Starts with no recording.
    ///
    /// # Errors
    /// [`Error::Config`] unless the collar is positive and the share of the length at least 0.
    pub fn new(n_classes: usize, collar: Collar) -> Result<Self> {
        positive("collar_secs", collar.collar_secs)?;
        if !(collar.share_of_length >= 0.0 && collar.share_of_length.is_finite()) {
            return Err(Error::Config {
                key: "share_of_length".to_owned(),
                found: collar.share_of_length.to_string(),
                expected: "must be at least 0".to_owned(),
            });
        }
        Ok(Self {
            collar,
            figures: EventFigures::new(n_classes),
        })
    }

    /// Adds one recording.
    ///
    /// # Errors
    /// [`Error::Shape`] for an event with an unknown class or impossible times.
    pub fn add(&mut self, annotated: &[Event], found: &[Event]) -> Result<()> {
        let n_classes = self.figures.per_class.len();
        check_events(annotated, n_classes)?;
        check_events(found, n_classes)?;
        let pairs = self.matching(annotated, found);
        let mut taken = vec![false; found.len()];
        let mut missed = Vec::new();
        for (event, pair) in annotated.iter().zip(&pairs) {
            self.figures.per_class[event.class].add(pair.is_some(), true);
            match pair {
                Some(at) => taken[*at] = true,
                None => missed.push(event),
            }
        }
        let mut left: Vec<&Event> = found
            .iter()
            .zip(&taken)
            .filter(|(_, taken)| !**taken)
            .map(|(event, _)| event)
            .collect();
        for event in &left {
            self.figures.per_class[event.class].add(true, false);
        }
        let n_missed = missed.len();
        let mut substitutions = 0;
        for event in missed {
            if let Some(at) = left
                .iter()
                .position(|other| self.collar.accepts(event, other))
            {
                left.remove(at);
                substitutions += 1;
            }
        }
        let errors = &mut self.figures.errors;
        errors.substitutions += substitutions;
        errors.deletions += n_missed - substitutions;
        errors.insertions += left.len();
        errors.annotated += annotated.len();
        Ok(())
    }

    /// For each annotated event its found event, in the matching with the most pairs.
    ///
    /// Augmenting paths (Kuhn). Events are sorted by onset, so only those inside the collar are
    /// looked at, which keeps a day with thousands of events quick.
    fn matching(&self, annotated: &[Event], found: &[Event]) -> Vec<Option<usize>> {
        let mut by_onset: Vec<usize> = (0..found.len()).collect();
        by_onset.sort_by(|a, b| found[*a].onset_secs.total_cmp(&found[*b].onset_secs));
        let candidates: Vec<Vec<usize>> = annotated
            .iter()
            .map(|event| {
                let earliest = event.onset_secs - self.collar.collar_secs;
                // One float step of slack: `accepts` decides, this only narrows the search.
                let from = by_onset.partition_point(|at| found[*at].onset_secs < earliest - 1e-9);
                by_onset[from..]
                    .iter()
                    .copied()
                    .take_while(|at| {
                        found[*at].onset_secs <= event.onset_secs + self.collar.collar_secs + 1e-9
                    })
                    .filter(|at| {
                        found[*at].class == event.class && self.collar.accepts(event, &found[*at])
                    })
                    .collect()
            })
            .collect();
        maximum_matching(&candidates, found.len())
    }

    /// The figures of all recordings so far.
    pub fn figures(&self) -> &EventFigures {
        &self.figures
    }
}

/// The matching of left nodes to right nodes with the most pairs.
fn maximum_matching(candidates: &[Vec<usize>], n_right: usize) -> Vec<Option<usize>> {
    let mut right: Vec<Option<usize>> = vec![None; n_right];
    for start in 0..candidates.len() {
        augment(start, candidates, &mut right);
    }
    let mut left = vec![None; candidates.len()];
    for (at, owner) in right.iter().enumerate() {
        if let Some(owner) = owner {
            left[*owner] = Some(at);
        }
    }
    left
}

/// Gives `start` a partner if an augmenting path exists: breadth first, so that a chain of thousands
/// of overlapping events cannot exhaust the stack.
fn augment(start: usize, candidates: &[Vec<usize>], right: &mut [Option<usize>]) {
    // Which left node reached a right node, and through which right node a left one was reached.
    let mut reached_from = HashMap::new();
    let mut reached_through = HashMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(left) = queue.pop_front() {
        for &at in &candidates[left] {
            if reached_from.contains_key(&at) {
                continue;
            }
            reached_from.insert(at, left);
            if let Some(owner) = right[at] {
                reached_through.insert(owner, at);
                queue.push_back(owner);
                continue;
            }
            // A free right node: swap the pairs along the path back to the start.
            let mut step = Some(at);
            while let Some(at) = step {
                let left = reached_from[&at];
                right[at] = Some(left);
                step = reached_through.get(&left).copied();
            }
            return;
        }
    }
}

fn positive(key: &str, value: f64) -> Result<()> {
    if value > 0.0 && value.is_finite() {
        return Ok(());
    }
    Err(Error::Config {
        key: key.to_owned(),
        found: value.to_string(),
        expected: "must be more than 0 seconds".to_owned(),
    })
}

fn check_events(events: &[Event], n_classes: usize) -> Result<()> {
    for event in events {
        let times = event.onset_secs >= 0.0 && event.offset_secs >= event.onset_secs;
        if !times || !event.offset_secs.is_finite() || event.class >= n_classes {
            return Err(Error::Shape {
                what: "event".to_owned(),
                found: format!(
                    "class {} from {} to {} s",
                    event.class, event.onset_secs, event.offset_secs
                ),
                expected: format!("a class below {n_classes} and 0 ≤ onset ≤ offset"),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn event(onset_secs: f64, offset_secs: f64, class: usize) -> Event {
        Event {
            onset_secs,
            offset_secs,
            class,
        }
    }

    #[test]
    fn segments_are_counted_by_hand() {
        let mut metrics = SegmentMetrics::new(2, 1.0).unwrap();
        // Truth: class 0 in segments 0 and 1, class 1 in 3. Found: class 0 in 1 and 2, class 0 in 3.
        metrics
            .add(
                &[event(0.5, 1.5, 0), event(3.0, 3.2, 1)],
                &[event(1.2, 3.5, 0)],
                5.0,
            )
            .unwrap();
        let figures = metrics.figures();
        let overall = figures.overall();
        assert_eq!(
            (
                overall.true_positives,
                overall.false_positives,
                overall.false_negatives
            ),
            (1, 2, 2)
        );
        assert_eq!(
            figures.errors,
            ErrorCounts {
                substitutions: 1,
                deletions: 1,
                insertions: 1,
                annotated: 3
            }
        );
        assert_eq!(figures.errors.rate(), Some(1.0));
    }

    #[test]
    fn a_found_event_matches_once() {
        let mut metrics = EventMetrics::new(1, Collar::default()).unwrap();
        metrics
            .add(
                &[event(1.0, 2.0, 0)],
                &[event(1.1, 2.0, 0), event(0.9, 2.1, 0)],
            )
            .unwrap();
        let overall = metrics.figures().overall();
        assert_eq!((overall.true_positives, overall.false_positives), (1, 1));
    }

    #[test]
    fn the_matching_with_most_pairs_is_found() {
        // Greedy in time order would pair the first annotation with the only partner of the second.
        let mut metrics = EventMetrics::new(
            1,
            Collar {
                check_offset: false,
                ..Default::default()
            },
        )
        .unwrap();
        let annotated = [event(1.0, 2.0, 0), event(1.15, 2.0, 0)];
        let found = [event(0.9, 2.0, 0), event(1.0, 2.0, 0)];
        metrics.add(&annotated, &found).unwrap();
        assert_eq!(metrics.figures().overall().true_positives, 2);
    }

    #[test]
    fn impossible_events_are_refused() {
        let mut metrics = EventMetrics::new(1, Collar::default()).unwrap();
        for bad in [
            event(2.0, 1.0, 0),
            event(f64::NAN, 1.0, 0),
            event(0.0, 1.0, 1),
        ] {
            assert!(metrics.add(&[bad], &[]).is_err());
        }
        assert!(SegmentMetrics::new(1, 0.0).is_err());
    }

    proptest! {
        #[test]
        fn a_matching_is_as_large_as_the_largest(
            edges in prop::collection::vec(prop::collection::vec(0_usize..5, 0..4), 0..6)
        ) {
            // All assignments, tried one by one.
            fn most(edges: &[Vec<usize>], used: u32) -> usize {
                let Some((first, rest)) = edges.split_first() else { return 0 };
                first
                    .iter()
                    .filter(|at| used & (1 << **at) == 0)
                    .map(|at| 1 + most(rest, used | (1 << at)))
                    .chain([most(rest, used)])
                    .max()
                    .unwrap_or(0)
            }
            let pairs = maximum_matching(&edges, 5);
            prop_assert_eq!(pairs.iter().flatten().count(), most(&edges, 0));
            for (left, at) in pairs.iter().enumerate() {
                if let Some(at) = at { prop_assert!(edges[left].contains(at)); }
            }
            let mut partners: Vec<_> = pairs.iter().flatten().collect();
            partners.sort();
            partners.dedup();
            prop_assert_eq!(partners.len(), pairs.iter().flatten().count());
        }
    }
}
