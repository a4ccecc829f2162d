//! Fitting what makes scores trustworthy: clips that were heard and their targets in; a calibration
//! and thresholds for the bundle out.
//!
//! Clips are kept as the logits of their segments, so that they can be scored again with any
//! calibration on the very road that [`Tagger::tag`](super::Tagger::tag) takes. A clip's own logits,
//! which the calibration is fitted on, are those that would give its uncalibrated score: exact for
//! clips of one segment and for [`Aggregation::MeanLogit`], near otherwise.

use crate::bundle::{Activation, Aggregation, Calibration, Metadata, Thresholds};
use crate::eval::calibration::{Link, LogisticCalibration, temperature};
use crate::eval::{Scores, Targets, best_f1_threshold};
use crate::{Error, Result};

use super::SegmentScores;
use super::aggregate::Collector;

/// A class with fewer clips than this gets no values of its own: a threshold or a slope that hangs
/// on one or two clips says more about them than about the class.
pub const MIN_CLIPS: usize = 5;

/// Which calibration is fitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CalibrationKind {
    /// One divisor of all logits: the ranking of a segment's classes stays as it is.
    Temperature,
    /// Slope and offset per class, for sigmoid outputs. Classes with fewer than [`MIN_CLIPS`] clips,
    /// or whose scores say nothing about them, get the common temperature.
    Logistic,
}

/// Clips that were heard, with their targets.
#[derive(Clone, Debug)]
pub struct HeardClips {
    metadata: Metadata,
    clips: Vec<Vec<SegmentScores>>,
    /// `[clip, class]`.
    targets: Vec<bool>,
}

impl HeardClips {
    /// No clips yet; `metadata` is that of the bundle that hears them. Its own calibration is not
    /// used: the one that is fitted replaces it.
    pub fn new(metadata: &Metadata) -> Self {
        Self {
            metadata: Metadata {
                calibration: None,
                ..metadata.clone()
            },
            clips: vec![],
            targets: vec![],
        }
    }

    /// Adds a clip: the segments of one channel in their order, and whether it has each class.
    ///
    /// # Errors
    /// [`Error::Shape`] for a clip without segments, or with another number of classes.
    pub fn push(&mut self, mut segments: Vec<SegmentScores>, targets: &[bool]) -> Result<()> {
        let n_classes = self.metadata.vocabulary.len();
        let fits = |len: usize| len == n_classes;
        if segments.is_empty()
            || !fits(targets.len())
            || !segments.iter().all(|segment| fits(segment.logits.len()))
        {
            return Err(Error::Shape {
                what: "heard clip".to_owned(),
                found: format!("{} segments, {} targets", segments.len(), targets.len()),
                expected: format!("at least 1 segment, and {n_classes} classes everywhere"),
            });
        }
        for segment in &mut segments {
            segment.scores.clone_from(&segment.logits);
            self.metadata.scores_in_place(&mut segment.scores);
            segment.embedding = vec![];
        }
        self.clips.push(segments);
        self.targets.extend_from_slice(targets);
        Ok(())
    }

    /// Number of clips.
    pub fn len(&self) -> usize {
        self.clips.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.clips.is_empty()
    }

    /// The scores of these clips as a bundle with this calibration gives them, `[clip, class]`.
    pub fn scores(&self, clips: &[usize], calibration: Option<&Calibration>) -> Vec<f32> {
        let metadata = Metadata {
            calibration: calibration.cloned(),
            ..self.metadata.clone()
        };
        let mut scores = Vec::with_capacity(clips.len() * metadata.vocabulary.len());
        for clip in clips {
            let mut collector = Collector::new(0, metadata.segment.aggregation);
            for segment in &self.clips[*clip] {
                let mut segment = segment.clone();
                segment.scores.clone_from(&segment.logits);
                metadata.scores_in_place(&mut segment.scores);
                collector.add(&segment);
            }
            // A clip has at least one segment.
            if let Some(clip) = collector.finish(&metadata, 0.0) {
                scores.extend(clip.scores);
            }
        }
        scores
    }

    /// Fits a calibration to these clips.
    ///
    /// With softmax outputs, clips that do not have exactly one label are left out.
    ///
    /// # Errors
    /// [`Error::Config`] for a graph that puts out scores instead of logits, for
    /// [`CalibrationKind::Logistic`] without sigmoid outputs, and for no clips.
    pub fn calibrate(&self, kind: CalibrationKind, clips: &[usize]) -> Result<Calibration> {
        let link = self.link(kind)?;
        let kept: Vec<usize> = clips
            .iter()
            .copied()
            .filter(|clip| link == Link::Sigmoid || self.n_labels(*clip) == 1)
            .collect();
        let n_classes = self.metadata.vocabulary.len();
        let logits: Vec<f32> = kept.iter().flat_map(|clip| self.logits(*clip)).collect();
        let targets = self.targets(&kept);
        let (logits, targets) = (
            Scores::new(&logits, n_classes)?,
            Targets::new(&targets, n_classes)?,
        );
        let Some(temperature) = temperature(logits, targets, link)? else {
            return Err(Error::Config {
                key: "clips".to_owned(),
                found: "0".to_owned(),
                expected: "must be at least 1 to fit a calibration".to_owned(),
            });
        };
        let temperature = temperature as f32;
        if kind == CalibrationKind::Temperature {
            return Ok(Calibration::Temperature { temperature });
        }
        let (mut scale, mut offset) = (vec![1.0 / temperature; n_classes], vec![0.0; n_classes]);
        for class in 0..n_classes {
            let present = targets.class(class);
            if present.iter().filter(|present| **present).count() < MIN_CLIPS {
                continue;
            }
            let fit = LogisticCalibration::fit(&logits.class(class), &present)?;
            // A slope of 0 or below would turn the class's ranking round.
            if let Some(fit) = fit.filter(|fit| fit.slope > 0.0) {
                (scale[class], offset[class]) = (fit.slope as f32, fit.offset as f32);
            }
        }
        Ok(Calibration::Logistic { scale, offset })
    }

    /// The thresholds with the best F1 on these clips, whose scores are `[clip, class]`: one for all
    /// decisions together, and one per class that at least [`MIN_CLIPS`] clips have.
    ///
    /// # Errors
    /// [`Error::Shape`] or [`Error::NotFinite`] for scores that do not fit.
    pub fn thresholds(&self, scores: &[f32], clips: &[usize]) -> Result<Thresholds> {
        let vocabulary = &self.metadata.vocabulary;
        let targets = self.targets(clips);
        let in_range = |threshold: f32| threshold.clamp(0.0, 1.0);
        let default = best_f1_threshold(scores, &targets)?.map(|(threshold, _)| threshold);
        let (scores, targets) = (
            Scores::new(scores, vocabulary.len())?,
            Targets::new(&targets, vocabulary.len())?,
        );
        let mut thresholds = Thresholds {
            default: default.map(in_range),
            ..Thresholds::default()
        };
        for class in 0..vocabulary.len() {
            let present = targets.class(class);
            if present.iter().filter(|present| **present).count() < MIN_CLIPS {
                continue;
            }
            if let Some((threshold, _)) = best_f1_threshold(&scores.class(class), &present)? {
                let name = vocabulary.name(class).to_owned();
                thresholds.classes.insert(name, in_range(threshold));
            }
        }
        Ok(thresholds)
    }

    /// The targets of these clips, `[clip, class]`.
    pub fn targets(&self, clips: &[usize]) -> Vec<bool> {
        clips
            .iter()
            .flat_map(|clip| self.row(*clip))
            .copied()
            .collect()
    }

    fn row(&self, clip: usize) -> &[bool] {
        let n_classes = self.metadata.vocabulary.len();
        &self.targets[clip * n_classes..(clip + 1) * n_classes]
    }

    fn n_labels(&self, clip: usize) -> usize {
        self.row(clip).iter().filter(|present| **present).count()
    }

    fn link(&self, kind: CalibrationKind) -> Result<Link> {
        let refuse = |found: &str, expected: &str| Error::Config {
            key: "calibration".to_owned(),
            found: found.to_owned(),
            expected: expected.to_owned(),
        };
        match (self.metadata.activation, kind) {
            (Activation::Sigmoid, _) => Ok(Link::Sigmoid),
            (Activation::Softmax, CalibrationKind::Temperature) => Ok(Link::Softmax),
            (Activation::Softmax, CalibrationKind::Logistic) => Err(refuse(
                "logistic",
                "needs sigmoid outputs, and these are softmax",
            )),
            (Activation::Identity, _) => Err(refuse(
                "asked for",
                "needs logits, and the graph puts out scores",
            )),
        }
    }

    /// The logits that would give the clip's uncalibrated scores, up to a constant for softmax.
    fn logits(&self, clip: usize) -> Vec<f32> {
        let segments = &self.clips[clip];
        if let [only] = segments.as_slice() {
            return only.logits.clone();
        }
        let n_classes = self.metadata.vocabulary.len();
        (0..n_classes)
            .map(|class| self.clip_logit(segments, class) as f32)
            .collect()
    }

    fn clip_logit(&self, segments: &[SegmentScores], class: usize) -> f64 {
        let weighted = |value: &dyn Fn(&SegmentScores) -> f64| -> f64 {
            let weight = |segment: &SegmentScores| segment.end_secs - segment.start_secs;
            let total: f64 = segments.iter().map(weight).sum();
            let sum: f64 = segments.iter().map(|s| weight(s) * value(s)).sum();
            sum / total
        };
        let logit = |segment: &SegmentScores| f64::from(segment.logits[class]);
        // Far below any f32 score that is not 0, so that logarithms stay finite.
        let log = |x: f64| x.max(1e-40).ln();
        match (self.metadata.segment.aggregation, self.metadata.activation) {
            (Aggregation::MeanLogit, _) => weighted(&logit),
            (Aggregation::Max, Activation::Sigmoid) => {
                segments.iter().map(logit).fold(f64::NEG_INFINITY, f64::max)
            }
            (Aggregation::Mean, Activation::Sigmoid) => {
                // Both sides by themselves: 1 - score would lose what is near 1.
                let present = weighted(&|segment| 1.0 / (1.0 + (-logit(segment)).exp()));
                let absent = weighted(&|segment| 1.0 / (1.0 + logit(segment).exp()));
                log(present) - log(absent)
            }
            (Aggregation::Mean, _) => log(weighted(&|segment| f64::from(segment.scores[class]))),
            (Aggregation::Max, _) => log(segments
                .iter()
                .map(|segment| f64::from(segment.scores[class]))
                .fold(0.0, f64::max)),
        }
    }
}
