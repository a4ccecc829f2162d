//! Judging a detector on long recordings: annotated events, found events and the scores behind them
//! in; segment-based and event-based figures, precision-recall curves and thresholds out.
//!
//! [`Detection`] takes one recording after the other. Segment-based and event-based figures are those
//! of [`super::events`]. The precision-recall curve of a class is over the same segments: a segment's
//! score is the highest of the stretches that touch it, so that at any threshold the curve and the
//! segment-based figures of events without bridged gaps agree.

use super::events::{
    Collar, ErrorCounts, Event, EventFigures, EventMetrics, SegmentMetrics, covered, n_segments,
};
use super::{BinaryCounts, PrCurve, best_f1_threshold, mean_of_defined};
use crate::{Error, Result};

/// How recordings are judged.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct DetectionOptions {
    /// The length of the segments that time is cut into, in seconds. Default 1, as in DCASE.
    pub segment_secs: f64,
    /// How far a found event may be from an annotated one.
    pub collar: Collar,
}

impl Default for DetectionOptions {
    fn default() -> Self {
        Self {
            segment_secs: 1.0,
            collar: Collar::default(),
        }
    }
}

/// The scores of stretches of one recording, in any order; stretches may overlap.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Timeline {
    /// Start and end of each stretch in seconds.
    pub stretches_secs: Vec<(f64, f64)>,
    /// `[stretch, class]`, each in [0, 1]; time that no stretch touches scores 0.
    pub scores: Vec<f32>,
}

/// One recording: what is in it, what was found, and the scores.
#[derive(Clone, Copy, Debug)]
pub struct JudgedRecording<'a> {
    /// The length in seconds.
    pub duration_secs: f64,
    /// What people say is there.
    pub annotated: &'a [Event],
    /// What the detector says is there.
    pub found: &'a [Event],
    /// The scores that it says so from.
    pub timeline: &'a Timeline,
}

/// Judges recordings, one after the other.
#[derive(Clone, Debug)]
pub struct Detection {
    options: DetectionOptions,
    n_recordings: usize,
    duration_secs: f64,
    n_events: Vec<usize>,
    segments: SegmentMetrics,
    events: EventMetrics,
    /// `[class][segment]`, over all recordings.
    scores: Vec<Vec<f32>>,
    /// `[class][segment]`, over all recordings.
    targets: Vec<Vec<bool>>,
}

/// Precision, recall and F1 with the decisions behind them.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Figures {
    /// The decisions.
    pub counts: BinaryCounts,
    /// The share of what was found that is there.
    pub precision: f64,
    /// The share of what is there that was found.
    pub recall: f64,
    /// The harmonic mean of both.
    pub f1: f64,
}

impl From<BinaryCounts> for Figures {
    fn from(counts: BinaryCounts) -> Self {
        Self {
            counts,
            precision: counts.precision(),
            recall: counts.recall(),
            f1: counts.f1(),
        }
    }
}

/// The figures of all classes together.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct OverallFigures {
    /// All decisions together (micro average).
    pub overall: Figures,
    /// The mean F1 over annotated classes.
    pub macro_f1: Option<f64>,
    /// Substitutions, deletions and insertions.
    pub errors: ErrorCounts,
    /// Errors per annotated activity.
    pub error_rate: Option<f64>,
}

impl From<&EventFigures> for OverallFigures {
    fn from(figures: &EventFigures) -> Self {
        Self {
            overall: figures.overall().into(),
            macro_f1: figures.macro_f1(),
            errors: figures.errors,
            error_rate: figures.errors.rate(),
        }
    }
}

/// The figures of one class.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct ClassDetection {
    /// Class index.
    pub class: usize,
    /// Number of annotated events.
    pub n_events: usize,
    /// Number of segments in which the class is annotated.
    pub n_segments: usize,
    /// The threshold behind the found events.
    pub threshold: f32,
    /// Segment-based figures.
    pub segment_based: Figures,
    /// Event-based figures.
    pub event_based: Figures,
    /// Average precision over segments; `None` if the class is never annotated.
    pub average_precision: Option<f64>,
    /// The threshold with the best segment-based F1 on these very recordings.
    pub best_threshold: Option<f32>,
    /// That F1, optimistic because the threshold was chosen on these recordings.
    pub best_f1: Option<f64>,
    /// The precision-recall curve over segments.
    #[serde(skip)]
    pub curve: PrCurve,
}

/// The figures of all recordings.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct DetectionFigures {
    /// How the recordings were judged.
    pub options: DetectionOptions,
    /// Number of recordings.
    pub n_recordings: usize,
    /// Their length together, in seconds.
    pub duration_secs: f64,
    /// Segment-based figures over all classes.
    pub segment_based: OverallFigures,
    /// Event-based figures over all classes.
    pub event_based: OverallFigures,
    /// The mean of average precision over annotated classes.
    pub mean_average_precision: Option<f64>,
    /// One entry per class.
    pub per_class: Vec<ClassDetection>,
}

impl Detection {
    /// Starts with no recording.
    ///
    /// # Errors
    /// [`Error::Config`] unless segments and collar have a length.
    pub fn new(n_classes: usize, options: DetectionOptions) -> Result<Self> {
        Ok(Self {
            segments: SegmentMetrics::new(n_classes, options.segment_secs)?,
            events: EventMetrics::new(n_classes, options.collar)?,
            options,
            n_recordings: 0,
            duration_secs: 0.0,
            n_events: vec![0; n_classes],
            scores: vec![vec![]; n_classes],
            targets: vec![vec![]; n_classes],
        })
    }

    /// Adds one recording.
    ///
    /// # Errors
    /// [`Error::Config`] for an impossible duration, [`Error::Shape`] for an event with an unknown
    /// class or impossible times and for scores that do not fit their stretches,
    /// [`Error::NotFinite`] for a score that is no number. Nothing is added then.
    pub fn add(&mut self, recording: JudgedRecording<'_>) -> Result<()> {
        let timeline = recording.timeline;
        let n_classes = self.n_events.len();
        if timeline.scores.len() != timeline.stretches_secs.len() * n_classes {
            return Err(Error::Shape {
                what: "scores of a recording".to_owned(),
                found: timeline.scores.len().to_string(),
                expected: format!(
                    "{} stretches of {n_classes} classes",
                    timeline.stretches_secs.len()
                ),
            });
        }
        super::Scores::new(&timeline.scores, n_classes)?.check_finite()?;
        let (duration_secs, segment_secs) = (recording.duration_secs, self.options.segment_secs);
        let n_segments = n_segments(duration_secs, segment_secs)?;
        self.segments
            .add(recording.annotated, recording.found, duration_secs)?;
        self.events.add(recording.annotated, recording.found)?;
        self.n_recordings += 1;
        self.duration_secs += duration_secs;
        let before = self.scores[0].len();
        for (scores, targets) in self.scores.iter_mut().zip(&mut self.targets) {
            scores.resize(before + n_segments, 0.0);
            targets.resize(before + n_segments, false);
        }
        for event in recording.annotated {
            self.n_events[event.class] += 1;
            let times = (event.onset_secs, event.offset_secs);
            for segment in covered(times, segment_secs, n_segments) {
                self.targets[event.class][before + segment] = true;
            }
        }
        let rows = timeline.scores.chunks_exact(n_classes);
        for (stretch, row) in timeline.stretches_secs.iter().zip(rows) {
            for segment in covered(*stretch, segment_secs, n_segments) {
                for (scores, score) in self.scores.iter_mut().zip(row) {
                    let highest = &mut scores[before + segment];
                    *highest = highest.max(*score);
                }
            }
        }
        Ok(())
    }

    /// The figures of all recordings; `thresholds` are those that the found events were made with,
    /// one per class.
    ///
    /// # Errors
    /// [`Error::Shape`] unless there is one threshold per class.
    pub fn figures(&self, thresholds: &[f32]) -> Result<DetectionFigures> {
        if thresholds.len() != self.n_events.len() {
            return Err(Error::Shape {
                what: "thresholds".to_owned(),
                found: thresholds.len().to_string(),
                expected: format!("{}, one per class", self.n_events.len()),
            });
        }
        let per_class: Result<Vec<ClassDetection>> = thresholds
            .iter()
            .enumerate()
            .map(|(class, threshold)| self.class(class, *threshold))
            .collect();
        let per_class = per_class?;
        Ok(DetectionFigures {
            options: self.options,
            n_recordings: self.n_recordings,
            duration_secs: self.duration_secs,
            segment_based: self.segments.figures().into(),
            event_based: self.events.figures().into(),
            mean_average_precision: mean_of_defined(
                per_class.iter().map(|class| class.average_precision),
            ),
            per_class,
        })
    }

    fn class(&self, class: usize, threshold: f32) -> Result<ClassDetection> {
        let (scores, targets) = (&self.scores[class], &self.targets[class]);
        let curve = PrCurve::new(scores, targets)?;
        let best = best_f1_threshold(scores, targets)?;
        Ok(ClassDetection {
            class,
            n_events: self.n_events[class],
            n_segments: targets.iter().filter(|target| **target).count(),
            threshold,
            segment_based: self.segments.figures().per_class[class].into(),
            event_based: self.events.figures().per_class[class].into(),
            average_precision: curve.average_precision(),
            best_threshold: best.map(|(threshold, _)| threshold),
            best_f1: best.map(|(_, f1)| f1),
            curve,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn event((onset_secs, offset_secs): (f64, f64), class: usize) -> Event {
        Event {
            onset_secs,
            offset_secs,
            class,
        }
    }

    /// Stretches of 2 s that follow each other and overlap by half, with one score each.
    fn timeline(scores: &[f32]) -> Timeline {
        Timeline {
            stretches_secs: (0..scores.len())
                .map(|at| (at as f64, at as f64 + 2.0))
                .collect(),
            scores: scores.to_vec(),
        }
    }

    #[test]
    fn a_segment_has_the_highest_score_that_touches_it() -> Result<()> {
        let mut detection = Detection::new(1, DetectionOptions::default())?;
        let timeline = timeline(&[0.1, 0.9, 0.2]);
        detection.add(JudgedRecording {
            duration_secs: 5.0,
            annotated: &[event((1.5, 2.5), 0)],
            found: &[event((1.0, 3.0), 0)],
            timeline: &timeline,
        })?;
        // Segments 0 to 3 are touched; segment 4 is heard by no stretch.
        assert_eq!(detection.scores[0], [0.1, 0.9, 0.9, 0.2, 0.0]);
        let figures = detection.figures(&[0.5])?;
        assert_eq!(figures.per_class[0].average_precision, Some(1.0));
        assert_eq!(figures.per_class[0].segment_based.f1, 1.0);
        assert!(
            figures.per_class[0]
                .best_threshold
                .is_some_and(|at| at > 0.2 && at <= 0.9)
        );
        // The onset is half a second off.
        assert_eq!(figures.per_class[0].event_based.f1, 0.0);
        assert_eq!(figures.event_based.error_rate, Some(2.0));
        Ok(())
    }

    #[test]
    fn what_does_not_fit_is_refused() -> Result<()> {
        let mut detection = Detection::new(2, DetectionOptions::default())?;
        let one = timeline(&[0.5]);
        let recording = JudgedRecording {
            duration_secs: 2.0,
            annotated: &[],
            found: &[],
            timeline: &one,
        };
        assert!(detection.add(recording).is_err());
        let nan = timeline(&[f32::NAN, 0.5]);
        let nan = Timeline {
            stretches_secs: nan.stretches_secs[..1].to_vec(),
            ..nan
        };
        assert!(
            detection
                .add(JudgedRecording {
                    timeline: &nan,
                    ..recording
                })
                .is_err()
        );
        assert_eq!(detection.figures(&[0.5, 0.5])?.n_recordings, 0);
        assert!(detection.figures(&[0.5]).is_err());
        Ok(())
    }

    proptest! {
        #[test]
        fn the_curve_agrees_with_segment_based_figures(
            scores in prop::collection::vec(0_u8..6, 1..20),
            active in prop::collection::vec((0_u8..20, 1_u8..40), 0..4),
            threshold in 1_u8..6,
        ) {
            let scores: Vec<f32> = scores.into_iter().map(|s| f32::from(s) / 8.0).collect();
            let threshold = f32::from(threshold) / 8.0;
            let timeline = timeline(&scores);
            let duration_secs = scores.len() as f64 + 1.0;
            let annotated: Vec<Event> = active
                .into_iter()
                .map(|(at, length)| (f64::from(at) * 0.7, f64::from(at) * 0.7 + f64::from(length) / 8.0))
                .map(|(from, to)| event((from, to.min(duration_secs).max(from)), 0))
                .collect();
            // Every stretch above the threshold is an event of its own.
            let found: Vec<Event> = timeline
                .stretches_secs
                .iter()
                .zip(&scores)
                .filter(|(_, score)| **score >= threshold)
                .map(|(times, _)| event(*times, 0))
                .collect();
            let mut detection = Detection::new(1, DetectionOptions::default()).unwrap();
            detection
                .add(JudgedRecording { duration_secs, annotated: &annotated, found: &found, timeline: &timeline })
                .unwrap();
            let class = &detection.figures(&[threshold]).unwrap().per_class[0];
            let at = BinaryCounts::at_threshold(&detection.scores[0], &detection.targets[0], threshold).unwrap();
            prop_assert_eq!(class.segment_based.counts, at);
        }
    }
}
