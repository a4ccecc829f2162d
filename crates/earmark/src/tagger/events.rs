//! Tags of consecutive segments in, events with a start and an end out.
//!
//! An event begins with a segment in which its class is tagged and lasts while the next segment with
//! that class begins no later than `merge_gap_secs` after the event's end. One [`EventMerger`] serves
//! one channel; it keeps open events only, at most one per class.

use super::select::Tag;

/// A stretch of a recording in which a class is heard.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Event {
    /// The class' index in the vocabulary.
    pub class: usize,
    /// Where it begins, in seconds from the start of the recording.
    pub start_secs: f64,
    /// Where it ends, in seconds from the start of the recording.
    pub end_secs: f64,
    /// The highest score of its segments.
    pub score: f32,
    /// How many segments it was merged from.
    pub n_segments: u64,
}

/// Merges the tags of one channel's segments, given in their order.
#[derive(Debug)]
pub struct EventMerger {
    merge_gap_secs: f64,
    open: Vec<Event>,
}

/// Times are multiples of a sample, at most 384 kHz, in `f64`: less than this apart is the same time.
const SAME_TIME_SECS: f64 = 1e-6;

impl EventMerger {
    /// A merger that bridges gaps of up to `merge_gap_secs` seconds; 0 joins segments that touch or
    /// overlap.
    pub fn new(merge_gap_secs: f64) -> Self {
        Self {
            merge_gap_secs,
            open: Vec::new(),
        }
    }

    /// Takes the tags of the next segment and returns the events that are over, in the order of
    /// their starts and then of their classes.
    pub fn push(&mut self, start_secs: f64, end_secs: f64, tags: &[Tag]) -> Vec<Event> {
        let reach = self.merge_gap_secs + SAME_TIME_SECS;
        let (open, mut over): (Vec<Event>, Vec<Event>) = self
            .open
            .drain(..)
            .partition(|event| start_secs - event.end_secs <= reach);
        self.open = open;
        for tag in tags {
            match self.open.iter_mut().find(|event| event.class == tag.class) {
                Some(event) => {
                    event.end_secs = event.end_secs.max(end_secs);
                    event.score = event.score.max(tag.score);
                    event.n_segments += 1;
                }
                None => self.open.push(Event {
                    class: tag.class,
                    start_secs,
                    end_secs,
                    score: tag.score,
                    n_segments: 1,
                }),
            }
        }
        sort(&mut over);
        over
    }

    /// Says that no segment follows and returns the events that were still open.
    pub fn finish(&mut self) -> Vec<Event> {
        let mut over = std::mem::take(&mut self.open);
        sort(&mut over);
        over
    }
}

fn sort(events: &mut [Event]) {
    events.sort_by(|a, b| {
        a.start_secs
            .total_cmp(&b.start_secs)
            .then(a.class.cmp(&b.class))
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pushes 10 s segments without overlap with the given (class, score) pairs.
    fn merge(gap: f64, segments: &[&[(usize, f32)]]) -> Vec<(usize, f64, f64, f32, u64)> {
        let mut merger = EventMerger::new(gap);
        let mut events = Vec::new();
        for (index, tags) in segments.iter().enumerate() {
            let tags: Vec<Tag> = tags
                .iter()
                .map(|&(class, score)| Tag { class, score })
                .collect();
            let start = index as f64 * 10.0;
            events.extend(merger.push(start, start + 10.0, &tags));
        }
        events.extend(merger.finish());
        events
            .iter()
            .map(|e| (e.class, e.start_secs, e.end_secs, e.score, e.n_segments))
            .collect()
    }

    #[test]
    fn touching_segments_become_one_event_with_the_highest_score() {
        let events = merge(0.0, &[&[(3, 0.5)], &[(3, 0.8)], &[], &[(3, 0.6)]]);
        assert_eq!(events, [(3, 0.0, 20.0, 0.8, 2), (3, 30.0, 40.0, 0.6, 1)]);
    }

    #[test]
    fn a_gap_is_bridged_up_to_its_length() {
        let segments: [&[(usize, f32)]; 4] = [&[(3, 0.5)], &[], &[(3, 0.8)], &[]];
        assert_eq!(merge(10.0, &segments), [(3, 0.0, 30.0, 0.8, 2)]);
        assert_eq!(merge(9.9, &segments).len(), 2);
    }

    #[test]
    fn classes_do_not_mix_and_events_that_end_together_are_sorted() {
        let events = merge(0.0, &[&[(2, 0.9)], &[(1, 0.7), (2, 0.8), (0, 0.6)]]);
        let ends: Vec<(usize, f64, f64)> = events.iter().map(|e| (e.0, e.1, e.2)).collect();
        assert_eq!(ends, [(2, 0.0, 20.0), (0, 10.0, 20.0), (1, 10.0, 20.0)]);
    }

    #[test]
    fn overlapping_segments_merge_into_their_union() {
        let mut merger = EventMerger::new(0.0);
        let tag = [Tag {
            class: 0,
            score: 0.4,
        }];
        assert!(merger.push(0.0, 10.0, &tag).is_empty());
        assert!(merger.push(5.0, 15.0, &tag).is_empty());
        assert!(merger.push(10.0, 20.0, &[]).is_empty());
        let over = merger.push(20.0, 30.0, &[]);
        assert_eq!((over[0].start_secs, over[0].end_secs), (0.0, 15.0));
    }
}
