//! `--calibrate` and `--fit-thresholds` for clips: what is fitted, and how well it does on clips that
//! it was not fitted on.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use earmark::bundle::{Activation, Bundle, Calibration, Metadata, Thresholds};
use earmark::dataset::Clip;
use earmark::eval::BinaryCounts;
use earmark::eval::calibration::{
    ReliabilityBin, expected_calibration_error, reliability, top_class_reliability,
};
use earmark::eval::{Scores, mean_of_defined};
use earmark::tagger::{CalibrationKind, HeardClips, SegmentScores};
use serde::Serialize;

use super::EvaluateArgs;
use crate::printer::Printer;
use crate::selection::FALLBACK;

/// Number of parts for judging what is fitted: each part by what the others give.
const N_PARTS: usize = 5;

/// Number of bins of the reliability diagrams, as in the evaluation's own.
const N_BINS: usize = 10;

/// What is fitted to the judged clips or recordings.
#[derive(Debug, Args)]
#[command(next_help_heading = "Fitting")]
pub(super) struct FittingArgs {
    /// Fit a calibration and thresholds to the judged clips and write the bundle with them. Use clips
    /// that were neither trained on nor will be reported.
    #[arg(long, value_name = "ONNX")]
    pub(super) calibrate: Option<PathBuf>,

    /// What makes scores into probabilities.
    #[arg(long, value_enum, default_value_t, requires = "calibrate")]
    pub(super) calibration: Kind,

    /// Write the thresholds with the best F1 on the judged clips or recordings, as a file for
    /// --thresholds.
    #[arg(long, value_name = "TOML")]
    pub(super) fit_thresholds: Option<PathBuf>,
}

impl FittingArgs {
    /// Whether anything is to be fitted.
    pub(super) fn is_asked_for(&self) -> bool {
        self.calibrate.is_some() || self.fit_thresholds.is_some()
    }
}

/// The kinds of calibration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Kind {
    /// One divisor of all logits: keeps the ranking of the classes.
    #[default]
    Temperature,
    /// Slope and offset per class; needs sigmoid outputs and many clips per class.
    Logistic,
    /// Thresholds only.
    None,
}

/// How far scores are from frequencies.
#[derive(Debug, Serialize)]
pub(super) struct Reliability {
    pub(super) expected_calibration_error: Option<f64>,
    pub(super) bins: Vec<ReliabilityBin>,
}

/// What was fitted, and what it is worth on clips that it was not fitted on (5-fold, sources kept
/// whole).
#[derive(Debug, Serialize)]
pub(super) struct Fitted {
    pub(super) n_clips: usize,
    /// What the bundle gets; `None` if it keeps the one it has.
    pub(super) calibration: Option<Calibration>,
    pub(super) thresholds: Thresholds,
    /// Without any calibration, on these clips.
    pub(super) before: Reliability,
    /// With a calibration fitted on other clips.
    pub(super) after: Reliability,
    /// Mean F1 of the classes that occur at the thresholds in use.
    pub(super) macro_f1_before: Option<f64>,
    /// The same at thresholds fitted on other clips.
    pub(super) macro_f1_after: Option<f64>,
}

/// One clip as it was heard.
pub(super) struct HeardClip<'a> {
    pub(super) clip: &'a Clip,
    pub(super) segments: Vec<SegmentScores>,
}

/// Fits what is asked for.
pub(super) fn fit(
    args: &EvaluateArgs,
    metadata: &Metadata,
    clips: Vec<HeardClip<'_>>,
) -> anyhow::Result<Fitted> {
    let n_classes = metadata.vocabulary.len();
    let single = clips.iter().all(|heard| {
        let labels = heard.clip.labels.as_deref().unwrap_or_default();
        labels.len() == 1
    });
    let (mut heard, mut labels, mut sources) = (HeardClips::new(metadata), vec![], vec![]);
    for HeardClip { clip, segments } in clips {
        let mut targets = vec![false; n_classes];
        for label in clip.labels.iter().flatten() {
            targets[*label] = true;
        }
        heard.push(segments, &targets)?;
        labels.push(targets.iter().position(|present| *present).unwrap_or(0));
        sources.push(clip.source.as_deref().unwrap_or(&clip.name));
    }
    let fit = Fit {
        metadata,
        kind: kind(args, metadata),
        labels: single.then_some(labels),
        heard,
    };
    let all: Vec<usize> = (0..fit.heard.len()).collect();
    let (calibration, thresholds) = fit.fit(&all)?;
    let in_use = args.per_class_thresholds(metadata)?;
    let before = fit.heard.scores(&all, metadata.calibration.as_ref());
    let (after, decided) = fit.cross_fitted(&parts(&sources), &all)?;
    Ok(Fitted {
        n_clips: all.len(),
        calibration,
        thresholds,
        before: fit.reliability(&before)?,
        after: fit.reliability(&after)?,
        macro_f1_before: fit
            .macro_f1(|clip, class| before[clip * n_classes + class] >= in_use[class]),
        macro_f1_after: fit.macro_f1(|clip, class| decided[clip * n_classes + class]),
    })
}

/// Writes what was fitted.
pub(super) fn save(
    args: &EvaluateArgs,
    bundle: &Bundle,
    fitted: &Fitted,
    data: &str,
    printer: &Printer,
) -> anyhow::Result<()> {
    if let Some(path) = &args.fitting.fit_thresholds {
        crate::selection::write_thresholds(path, &fitted.thresholds)?;
        printer.note(format!("thresholds: {}", path.display()));
    }
    let Some(path) = &args.fitting.calibrate else {
        return Ok(());
    };
    let metadata = bundle.metadata();
    let metadata = Metadata {
        calibration: fitted.calibration.clone().or(metadata.calibration.clone()),
        thresholds: fitted.thresholds.clone(),
        ..metadata.clone()
    };
    let what = match &fitted.calibration {
        Some(Calibration::Temperature { temperature }) => {
            format!("Temperature {temperature:.3} and thresholds")
        }
        Some(Calibration::Logistic { .. }) => "Calibration per class and thresholds".to_owned(),
        None => "Thresholds".to_owned(),
    };
    let on = format!("{what} were fitted to {data}.");
    super::save_fitted(bundle, metadata, path, &on, printer)
}

/// The kind that is asked for and possible: scores that the graph puts out itself stay as they are.
fn kind(args: &EvaluateArgs, metadata: &Metadata) -> Option<CalibrationKind> {
    let fits_calibration = args.fitting.calibrate.is_some();
    match args.fitting.calibration {
        Kind::None => None,
        _ if !fits_calibration => None,
        Kind::Temperature if metadata.activation == Activation::Identity => None,
        Kind::Temperature => Some(CalibrationKind::Temperature),
        Kind::Logistic => Some(CalibrationKind::Logistic),
    }
}

struct Fit<'a> {
    metadata: &'a Metadata,
    kind: Option<CalibrationKind>,
    /// One label per clip, where every clip has one.
    labels: Option<Vec<usize>>,
    heard: HeardClips,
}

impl Fit<'_> {
    /// Calibration and thresholds of these clips.
    fn fit(&self, clips: &[usize]) -> anyhow::Result<(Option<Calibration>, Thresholds)> {
        let calibration = self
            .kind
            .map(|kind| self.heard.calibrate(kind, clips))
            .transpose()?;
        let scores = self.scores(clips, calibration.as_ref());
        let thresholds = self.heard.thresholds(&scores, clips)?;
        Ok((calibration, thresholds))
    }

    /// The scores with a new calibration, or with the bundle's own if there is none.
    fn scores(&self, clips: &[usize], calibration: Option<&Calibration>) -> Vec<f32> {
        let calibration = calibration.or(self.metadata.calibration.as_ref());
        self.heard.scores(clips, calibration)
    }

    /// Scores and decisions `[clip, class]`, each clip's by what was fitted on the parts without it.
    fn cross_fitted(
        &self,
        parts: &[usize],
        all: &[usize],
    ) -> anyhow::Result<(Vec<f32>, Vec<bool>)> {
        let n_classes = self.metadata.vocabulary.len();
        let mut scores = vec![0.0; all.len() * n_classes];
        let mut decided = vec![false; scores.len()];
        for part in 0..N_PARTS {
            let (judged, rest): (Vec<usize>, Vec<usize>) =
                all.iter().partition(|clip| parts[**clip] == part);
            if judged.is_empty() {
                continue;
            }
            // With a single source there is nothing else to fit on; the figures are then those of
            // the very clips.
            let rest = if rest.is_empty() { all } else { &rest };
            let (calibration, thresholds) = self.fit(rest)?;
            let thresholds = thresholds.per_class(&self.metadata.vocabulary, FALLBACK)?;
            let rows = self.scores(&judged, calibration.as_ref());
            for (clip, row) in judged.iter().zip(rows.chunks_exact(n_classes)) {
                let at = clip * n_classes..(clip + 1) * n_classes;
                let over = row.iter().zip(&thresholds).map(|(score, at)| score >= at);
                decided[at.clone()]
                    .iter_mut()
                    .zip(over)
                    .for_each(|(place, over)| *place = over);
                scores[at].copy_from_slice(row);
            }
        }
        Ok((scores, decided))
    }

    /// Of the highest score where every clip has one label, else of every decision.
    fn reliability(&self, scores: &[f32]) -> anyhow::Result<Reliability> {
        let bins = match &self.labels {
            Some(labels) => {
                let scores = Scores::new(scores, self.metadata.vocabulary.len())?;
                top_class_reliability(scores, labels, N_BINS)?
            }
            None => {
                let all: Vec<usize> = (0..self.heard.len()).collect();
                reliability(scores, &self.heard.targets(&all), N_BINS)?
            }
        };
        Ok(Reliability {
            expected_calibration_error: expected_calibration_error(&bins),
            bins,
        })
    }

    fn macro_f1(&self, is_tagged: impl Fn(usize, usize) -> bool) -> Option<f64> {
        let all: Vec<usize> = (0..self.heard.len()).collect();
        let targets = self.heard.targets(&all);
        let n_classes = self.metadata.vocabulary.len();
        mean_of_defined((0..n_classes).map(|class| {
            let mut counts = BinaryCounts::default();
            for clip in &all {
                counts.add(is_tagged(*clip, class), targets[clip * n_classes + class]);
            }
            (counts.true_positives + counts.false_negatives > 0).then(|| counts.f1())
        }))
    }
}

/// Parts by source: sources in the order of their first clips go round the parts.
fn parts(sources: &[&str]) -> Vec<usize> {
    let mut ids = BTreeMap::new();
    sources
        .iter()
        .map(|source| {
            let next = ids.len();
            *ids.entry(*source).or_insert(next) % N_PARTS
        })
        .collect()
}
