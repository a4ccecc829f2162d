//! Judging labelled clips: scores of every clip in, all figures out.

use std::path::Path;

use anyhow::Context as _;
use earmark::bundle::{Bundle, Metadata};
use earmark::dataset::{Clip, Folds, Manifest, Split};
use earmark::eval::{BootstrapOptions, Evaluation, PrCurve, Scores, Targets};
use earmark::tagger::{Tagger, TaggerOptions};
use serde::Serialize;

use super::super::Outcome;
use super::calibrate::{self, Fitted, HeardClip};
use super::{EvaluateArgs, Part, listen, page, text, worst};
use crate::errors::Hinted;
use crate::printer::Printer;

/// A negative passes when no class scores this much.
const NEGATIVE_LIMIT: f32 = 0.3;

/// How clips that hold none of the classes fared.
#[derive(Debug, Serialize)]
pub(super) struct Negatives {
    pub(super) n_clips: usize,
    /// The share of them in which no class scores 0.3.
    pub(super) share_quiet: f64,
    /// The highest score in any of them.
    pub(super) highest_score: f32,
}

/// Everything that is told.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) model: String,
    pub(super) data: String,
    pub(super) part: String,
    pub(super) data_digest: String,
    pub(super) n_failed: usize,
    pub(super) classes: Vec<String>,
    pub(super) evaluation: Evaluation,
    pub(super) negatives: Option<Negatives>,
    /// What was fitted to these clips, if anything.
    pub(super) fitted: Option<Fitted>,
}

/// What was heard, clip by clip.
pub(super) struct Judged<'a> {
    pub(super) clips: Vec<&'a Clip>,
    /// `[clip, class]`.
    pub(super) scores: Vec<f32>,
    pub(super) n_classes: usize,
}

impl Judged<'_> {
    pub(super) fn row(&self, clip: usize) -> &[f32] {
        &self.scores[clip * self.n_classes..(clip + 1) * self.n_classes]
    }
}

/// Judges the clips of a data set.
pub(super) fn run(
    args: &EvaluateArgs,
    bundle: &Bundle,
    printer: &Printer,
) -> anyhow::Result<Outcome> {
    let options = TaggerOptions {
        runtime: args.runtime.into(),
        ..TaggerOptions::default()
    };
    let tagger = Tagger::from_bundle(bundle, &options)?;
    let mut manifest = args.dataset.open()?.in_vocabulary(tagger.vocabulary())?;
    let missing = manifest.remove_missing();
    if !missing.is_empty() {
        printer.note(format!(
            "{} listed files do not exist and are left out",
            missing.len()
        ));
    }
    let (part, chosen) = chosen(args, &manifest, printer)?;
    let clips: Vec<&Clip> = chosen.iter().map(|at| &manifest.clips[*at]).collect();
    check_thresholds(args, tagger.metadata(), &clips)?;
    let keep_segments = args.fitting.is_asked_for();
    let mut heard = listen::listen(&tagger, &clips, args.jobs(), keep_segments, printer)?;
    if heard.stopped {
        return Ok(Outcome::Interrupted);
    }
    let segments = std::mem::take(&mut heard.segments);
    let kept: Vec<HeardClip<'_>> = heard
        .clips
        .iter()
        .zip(segments)
        .map(|(at, segments)| HeardClip {
            clip: clips[*at],
            segments,
        })
        .collect();
    let judged = Judged {
        clips: heard.clips.iter().map(|at| clips[*at]).collect(),
        scores: heard.scores,
        n_classes: tagger.vocabulary().len(),
    };
    let (positives, negatives) = without_negatives(judged);
    if positives.clips.is_empty() {
        return Err(Hinted::error(
            "no clip with a label could be heard",
            "`earmark dataset check` says what is wrong with the clips",
        ));
    }
    let fitted = match keep_segments {
        true => Some(calibrate::fit(args, tagger.metadata(), kept)?),
        false => None,
    };
    let report = Report {
        model: args.model.display().to_string(),
        data: manifest.root.display().to_string(),
        part,
        data_digest: manifest.digest(),
        n_failed: heard.n_failed,
        classes: tagger.vocabulary().names().map(str::to_owned).collect(),
        evaluation: evaluation(args, &tagger, &positives)?,
        negatives,
        fitted,
    };
    write(args, &tagger, &report, &positives, printer)?;
    if let Some(fitted) = &report.fitted {
        calibrate::save(args, bundle, fitted, &described(&report), printer)?;
    }
    Ok(if heard.n_failed > 0 {
        Outcome::SomeFailed
    } else {
        Outcome::Done
    })
}

/// The data that something was fitted to, in words for the bundle.
fn described(report: &Report) -> String {
    let name = Path::new(&report.data).file_name().map_or_else(
        || report.data.clone(),
        |name| name.to_string_lossy().into_owned(),
    );
    format!(
        "{} clips of {name}, {} (data digest {})",
        report.fitted.as_ref().map_or(0, |fitted| fitted.n_clips),
        report.part,
        &report.data_digest[..12]
    )
}

/// The clips to judge and what they are called.
fn chosen(
    args: &EvaluateArgs,
    manifest: &Manifest,
    printer: &Printer,
) -> anyhow::Result<(String, Vec<usize>)> {
    if let Some(fold) = args.fold {
        let folds = Folds::automatic(manifest, args.folds, args.seed)?;
        if fold >= folds.len() {
            anyhow::bail!("--fold is {fold}, expected 0 to {}", folds.len() - 1);
        }
        return Ok((
            format!("fold {fold} of {}", folds.len()),
            folds.validation(fold),
        ));
    }
    let in_split = |split: Split| (split.as_str().to_owned(), manifest.labelled_in(split));
    let all = || {
        (
            "all clips".to_owned(),
            manifest.labelled().map(|(at, _)| at).collect(),
        )
    };
    if args.fitting.is_asked_for() && args.part == Some(Part::Test) {
        printer.note(
            "warning: fitting to the test split: figures on these clips say nothing about the \
             fitted bundle any more",
        );
    }
    let chosen = match args.part {
        Some(Part::Test) => in_split(Split::Test),
        Some(Part::Validation) => in_split(Split::Validation),
        Some(Part::Train) => in_split(Split::Train),
        Some(Part::All) => all(),
        // Nobody fits to the test split without saying so.
        None if args.fitting.is_asked_for() => {
            let chosen = in_split(Split::Validation);
            if chosen.1.is_empty() {
                return Err(Hinted::error(
                    format!("{}: no validation split to fit to", manifest.root.display()),
                    "name clips that were neither trained on nor will be reported: --fold N, or \
                     --part all, train or test",
                ));
            }
            chosen
        }
        None => [Split::Test, Split::Validation]
            .map(in_split)
            .into_iter()
            .find(|(_, clips)| !clips.is_empty())
            .unwrap_or_else(|| {
                printer.note("no test split: all clips are judged, also those trained on, if any");
                all()
            }),
    };
    match chosen.1.is_empty() {
        true => anyhow::bail!(
            "{}: no labelled clips in {}",
            manifest.root.display(),
            chosen.0
        ),
        false => Ok(chosen),
    }
}

/// Refuses thresholds that cannot be, and those by which nothing would be decided.
fn check_thresholds(
    args: &EvaluateArgs,
    metadata: &Metadata,
    clips: &[&Clip],
) -> anyhow::Result<()> {
    args.per_class_thresholds(metadata)?;
    let option = match (args.threshold, &args.thresholds) {
        (Some(_), _) => "--threshold",
        (None, Some(_)) => "--thresholds",
        (None, None) => return Ok(()),
    };
    let labels = clips.iter().filter_map(|clip| clip.labels.as_ref());
    let n_labels: Vec<usize> = labels.map(Vec::len).filter(|n| *n > 0).collect();
    let is_used = args.fitting.is_asked_for() || n_labels.iter().any(|n| *n > 1);
    if is_used || n_labels.is_empty() {
        return Ok(());
    }
    Err(Hinted::error(
        format!(
            "{option} is for clips with several labels, but each of these {} has one, and its highest \
             score decides",
            n_labels.len()
        ),
        format!("leave out {option}"),
    ))
}

/// Takes negatives out: they have no label to be found.
fn without_negatives(judged: Judged<'_>) -> (Judged<'_>, Option<Negatives>) {
    let mut kept = Judged {
        clips: vec![],
        scores: vec![],
        n_classes: judged.n_classes,
    };
    let mut highest = Vec::new();
    for (at, clip) in judged.clips.iter().enumerate() {
        let row = judged.row(at);
        if clip.is_negative() {
            highest.push(row.iter().copied().fold(0.0_f32, f32::max));
        } else {
            kept.clips.push(clip);
            kept.scores.extend_from_slice(row);
        }
    }
    let quiet = highest
        .iter()
        .filter(|score| **score < NEGATIVE_LIMIT)
        .count();
    let negatives = (!highest.is_empty()).then(|| Negatives {
        n_clips: highest.len(),
        share_quiet: quiet as f64 / highest.len() as f64,
        highest_score: highest.iter().copied().fold(0.0, f32::max),
    });
    (kept, negatives)
}

/// All figures. Sources are what the bootstrap draws, where the data set names them.
fn evaluation(
    args: &EvaluateArgs,
    tagger: &Tagger,
    judged: &Judged<'_>,
) -> anyhow::Result<Evaluation> {
    let mut ids = std::collections::BTreeMap::new();
    let groups: Vec<usize> = judged
        .clips
        .iter()
        .map(|clip| {
            let next = ids.len();
            *ids.entry(clip.source.as_deref().unwrap_or(&clip.name))
                .or_insert(next)
        })
        .collect();
    let options = BootstrapOptions {
        n_resamples: args.resamples,
        seed: args.seed,
        groups: Some(&groups),
        ..Default::default()
    };
    let scores = Scores::new(&judged.scores, judged.n_classes)?;
    let labels: Vec<&[usize]> = judged
        .clips
        .iter()
        .map(|clip| clip.labels.as_deref().unwrap_or_default())
        .collect();
    if labels.iter().all(|labels| labels.len() == 1) {
        let labels: Vec<usize> = labels.iter().map(|labels| labels[0]).collect();
        return Ok(Evaluation::single_label(scores, &labels, &options)?);
    }
    let mut targets = vec![false; judged.scores.len()];
    for (row, labels) in targets.chunks_exact_mut(judged.n_classes).zip(&labels) {
        labels.iter().for_each(|label| row[*label] = true);
    }
    let thresholds = args.per_class_thresholds(tagger.metadata())?;
    let targets = Targets::new(&targets, judged.n_classes)?;
    Ok(Evaluation::multi_label(
        scores,
        targets,
        &thresholds,
        &options,
    )?)
}

/// Writes everything that was asked for.
fn write(
    args: &EvaluateArgs,
    tagger: &Tagger,
    report: &Report,
    judged: &Judged<'_>,
    printer: &Printer,
) -> anyhow::Result<()> {
    let lines = || text::lines(report);
    super::print(
        args.format,
        report,
        lines,
        || text::class_csv(report),
        printer,
    )?;
    if let Some(path) = &args.scores {
        earmark::bundle::write_atomically(path, &text::scores_csv(report, judged)?)?;
    }
    if args.curves.is_none() && args.report.is_none() {
        return Ok(());
    }
    let curves = curves(report, judged)?;
    if let Some(path) = &args.curves {
        let named = curves
            .iter()
            .map(|(class, curve)| (report.classes[*class].as_str(), curve));
        earmark::bundle::write_atomically(path, &text::curves_csv(named)?)?;
    }
    if let Some(path) = &args.report {
        let worst = worst::worst(tagger, judged, args.worst);
        let page = page::clips::page(report, &curves, &worst, args.run.as_deref())?;
        earmark::bundle::write_atomically(path, page.as_bytes())?;
        printer.note(format!("report: {}", path.display()));
    }
    Ok(())
}

/// The precision-recall curves of the classes that occur.
fn curves(report: &Report, judged: &Judged<'_>) -> anyhow::Result<Vec<(usize, PrCurve)>> {
    let scores = Scores::new(&judged.scores, judged.n_classes)?;
    let occurring = report
        .evaluation
        .per_class
        .iter()
        .filter(|class| class.n_clips > 0);
    occurring
        .map(|class| {
            let has = |clip: &&Clip| clip.labels.iter().flatten().any(|at| *at == class.class);
            let targets: Vec<bool> = judged.clips.iter().map(has).collect();
            let curve = PrCurve::new(&scores.class(class.class), &targets)
                .with_context(|| report.classes[class.class].clone())?;
            Ok((class.class, curve))
        })
        .collect()
}
