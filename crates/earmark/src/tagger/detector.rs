//! Live events: the scores of consecutive segments in; what begins and what stops out, each once.
//!
//! A class begins with a segment that scores at least its threshold. It goes on while segments score
//! at least a share of that threshold, so that scores that tremble about it do not begin and stop all
//! the time, and stops once more than the hold time has passed since the end of the last that did. State
//! is at most one event per class, however long it runs.

use super::events::Event;
use super::select::Selection;
use crate::{Error, Result};

/// When events begin and stop.
#[derive(Debug, Clone, PartialEq)]
pub struct DetectorOptions {
    /// Which classes, and from which scores on.
    pub selection: Selection,
    /// The share of its threshold, above 0 and at most 1, that keeps an event going.
    pub release: f32,
    /// Seconds that an event may be below that before it stops.
    pub hold_secs: f64,
}

/// Something that begins or stops to be heard.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Change {
    /// The event so far.
    Started(Event),
    /// The whole event.
    Stopped(Event),
}

/// Tells when classes begin and stop to be heard; one serves one channel.
#[derive(Debug)]
pub struct EventDetector {
    options: DetectorOptions,
    /// Ascending by class.
    open: Vec<Event>,
}

impl EventDetector {
    /// A detector that hears nothing yet.
    ///
    /// # Errors
    /// [`Error::Config`] for a release or hold time out of range.
    pub fn new(options: DetectorOptions) -> Result<Self> {
        let refuse = |key: &str, found: String, expected: &str| {
            Err(Error::Config {
                key: key.to_owned(),
                found,
                expected: expected.to_owned(),
            })
        };
        if !(options.release > 0.0 && options.release <= 1.0) {
            let found = options.release.to_string();
            return refuse("release", found, "must be above 0 and at most 1");
        }
        if !(options.hold_secs >= 0.0 && options.hold_secs.is_finite()) {
            let found = options.hold_secs.to_string();
            return refuse("hold_secs", found, "must be at least 0 seconds");
        }
        Ok(Self {
            options,
            open: Vec::new(),
        })
    }

    /// Takes the scores `[class]` of the next segment and returns what changes: first what stopped
    /// before it, then what begins with it, each in the order of the classes.
    pub fn push(&mut self, start_secs: f64, end_secs: f64, scores: &[f32]) -> Vec<Change> {
        let options = &self.options;
        let goes_on = |class: usize| {
            let threshold = options.selection.threshold_of(class);
            threshold.is_some_and(|threshold| scores[class] >= threshold * options.release)
        };
        let mut changes = Vec::new();
        self.open.retain_mut(|event| {
            let pause_secs = start_secs - event.end_secs;
            if goes_on(event.class) && pause_secs <= options.hold_secs + SAME_TIME_SECS {
                event.end_secs = event.end_secs.max(end_secs);
                event.score = event.score.max(scores[event.class]);
                event.n_segments += 1;
                return true;
            }
            let is_over = end_secs - event.end_secs > options.hold_secs + SAME_TIME_SECS;
            if is_over {
                changes.push(Change::Stopped(*event));
            }
            !is_over
        });
        let mut tags = options.selection.tags(scores);
        tags.sort_by_key(|tag| tag.class);
        for tag in tags {
            let place = self
                .open
                .binary_search_by_key(&tag.class, |event| event.class);
            if let Err(place) = place {
                let event = Event {
                    class: tag.class,
                    start_secs,
                    end_secs,
                    score: tag.score,
                    n_segments: 1,
                };
                self.open.insert(place, event);
                changes.push(Change::Started(event));
            }
        }
        changes
    }

    /// The events that go on, in the order of their classes.
    pub fn open(&self) -> &[Event] {
        &self.open
    }

    /// Says that no segment follows and returns the events that stop with it.
    pub fn finish(&mut self) -> Vec<Change> {
        self.open.drain(..).map(Change::Stopped).collect()
    }
}

/// As for [`super::EventMerger`]: times less than this apart are the same.
const SAME_TIME_SECS: f64 = 1e-6;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Vocabulary;
    use proptest::prelude::*;

    fn detector(threshold: f32, release: f32, hold_secs: f64) -> EventDetector {
        let vocabulary = Vocabulary::from_names(["Dog", "Cat"]).unwrap();
        EventDetector::new(DetectorOptions {
            selection: Selection::all(&vocabulary).threshold(threshold).unwrap(),
            release,
            hold_secs,
        })
        .unwrap()
    }

    /// Pushes segments of 1 s that follow each other, with these scores of the first class.
    fn changes(detector: &mut EventDetector, scores: &[f32]) -> Vec<(bool, f64, f64)> {
        let mut all = Vec::new();
        for (at, score) in scores.iter().enumerate() {
            let start = at as f64;
            all.extend(detector.push(start, start + 1.0, &[*score, 0.0]));
        }
        all.extend(detector.finish());
        all.iter()
            .map(|change| match change {
                Change::Started(event) => (true, event.start_secs, event.end_secs),
                Change::Stopped(event) => (false, event.start_secs, event.end_secs),
            })
            .collect()
    }

    #[test]
    fn scores_that_tremble_about_the_threshold_are_one_event() {
        let scores = [0.1, 0.6, 0.4, 0.55, 0.4, 0.1, 0.1, 0.45];
        // 0.4 is above 0.7 times the threshold, 0.45 alone begins nothing.
        assert_eq!(
            changes(&mut detector(0.5, 0.7, 0.0), &scores),
            [(true, 1.0, 2.0), (false, 1.0, 5.0)]
        );
        // Without hysteresis there are two.
        assert_eq!(changes(&mut detector(0.5, 1.0, 0.0), &scores).len(), 4);
    }

    #[test]
    fn short_pauses_are_held() {
        let scores = [0.6, 0.0, 0.6, 0.0, 0.0, 0.0, 0.6];
        assert_eq!(
            changes(&mut detector(0.5, 1.0, 1.0), &scores),
            [
                (true, 0.0, 1.0),
                (false, 0.0, 3.0),
                (true, 6.0, 7.0),
                (false, 6.0, 7.0)
            ]
        );
    }

    #[test]
    fn impossible_options_are_refused() {
        let vocabulary = Vocabulary::from_names(["Dog"]).unwrap();
        for (release, hold_secs) in [(0.0, 0.0), (1.5, 0.0), (0.5, -1.0), (0.5, f64::NAN)] {
            let options = DetectorOptions {
                selection: Selection::all(&vocabulary),
                release,
                hold_secs,
            };
            assert!(EventDetector::new(options).is_err());
        }
    }

    proptest! {
        #[test]
        fn starts_and_stops_alternate_and_state_is_bounded(
            scores in prop::collection::vec((0_u8..9, 0_u8..9), 0..200),
            release in 1_u8..9,
            hold in 0_u8..4,
        ) {
            let mut detector = detector(0.5, f32::from(release) / 8.0, f64::from(hold));
            let mut is_on = [false; 2];
            let mut take = |changes: Vec<Change>| {
                for change in changes {
                    let (event, begins) = match change {
                        Change::Started(event) => (event, true),
                        Change::Stopped(event) => (event, false),
                    };
                    assert_ne!(is_on[event.class], begins);
                    assert!(event.score >= 0.5 && event.end_secs > event.start_secs);
                    is_on[event.class] = begins;
                }
            };
            for (at, (a, b)) in scores.iter().enumerate() {
                let row = [f32::from(*a) / 8.0, f32::from(*b) / 8.0];
                take(detector.push(at as f64, at as f64 + 1.0, &row));
                prop_assert!(detector.open().len() <= 2);
            }
            take(detector.finish());
            prop_assert_eq!(is_on, [false; 2]);
        }
    }
}
