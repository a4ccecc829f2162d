//! Judging long recordings against annotations: segment-based and event-based figures,
//! precision-recall curves and thresholds.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use earmark::bundle::{Bundle, Metadata, Thresholds};
use earmark::dataset::Vocabulary;
use earmark::eval::detection::{
    Detection, DetectionFigures, DetectionOptions, JudgedRecording, Timeline,
};
use earmark::eval::events::{Collar, Event};
use earmark::eval::label_map::LabelMap;
use earmark::tagger::{
    EventMerger, RunEvent, RunOptions, SegmentScores, Selection, Tagger, TaggerOptions,
};
use serde::Serialize;

use super::super::Outcome;
use super::annotated::{self, Annotated, AnnotatedRecording};
use super::{EvaluateArgs, listen, page, text};
use crate::inputs::Inputs;
use crate::interrupt;
use crate::printer::Printer;

/// How long recordings are judged.
#[derive(Debug, Args)]
#[command(next_help_heading = "Long recordings")]
pub(super) struct RecordingArgs {
    /// Judge long recordings: DIR is then a recording or a folder of them, and this their
    /// annotations: a Raven selection table, an Audacity label track or a CSV (onset, offset, label
    /// and perhaps filename), or a folder with a file per recording.
    #[arg(long, value_name = "PATH", conflicts_with_all = ["part", "fold"])]
    pub(super) annotations: Option<PathBuf>,

    /// What the annotators' labels stand for (CSV: label,class). A label may have several rows; an
    /// empty class leaves it out.
    #[arg(long, value_name = "CSV", requires = "annotations")]
    label_map: Option<PathBuf>,

    /// The length of the segments of segment-based figures and curves, in seconds.
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 1.0,
        requires = "annotations"
    )]
    segment: f64,

    /// How far an onset may be off in event-based figures, in seconds.
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 0.2,
        requires = "annotations"
    )]
    collar: f64,

    /// An end may be off by the collar or by this share of the annotated length.
    #[arg(
        long,
        value_name = "SHARE",
        default_value_t = 0.5,
        requires = "annotations"
    )]
    collar_share: f64,

    /// Judge onsets only: ends may be anywhere.
    #[arg(long, requires = "annotations")]
    onset_only: bool,

    /// The length of the network's segments in seconds, instead of the model's.
    #[arg(long, value_name = "SECONDS", requires = "annotations")]
    window: Option<f32>,

    /// The distance between the starts of the network's segments in seconds, instead of the model's; at
    /// least 0.001.
    #[arg(long, value_name = "SECONDS", requires = "annotations")]
    hop: Option<f32>,

    /// Join found events of the same class across gaps of up to so many seconds.
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 0.0,
        requires = "annotations"
    )]
    merge_gap: f64,
}

impl RecordingArgs {
    fn options(&self) -> anyhow::Result<DetectionOptions> {
        if !(self.merge_gap.is_finite() && self.merge_gap >= 0.0) {
            anyhow::bail!(
                "--merge-gap is {}, expected 0 seconds or more",
                self.merge_gap
            );
        }
        Ok(DetectionOptions {
            segment_secs: self.segment,
            collar: Collar {
                collar_secs: self.collar,
                share_of_length: self.collar_share,
                check_offset: !self.onset_only,
            },
        })
    }
}

/// Everything that is told.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) model: String,
    pub(super) data: String,
    pub(super) annotations: String,
    pub(super) n_failed: usize,
    /// The classes that are judged; `figures.per_class` is in their order.
    pub(super) classes: Vec<String>,
    pub(super) figures: DetectionFigures,
}

/// Judges recordings.
pub(super) fn run(
    args: &EvaluateArgs,
    annotations: &Path,
    bundle: &Bundle,
    printer: &Printer,
) -> anyhow::Result<Outcome> {
    let options = args.recordings.options()?;
    let tagger_options = TaggerOptions {
        runtime: args.runtime.into(),
        window_secs: args.recordings.window,
        hop_secs: args.recordings.hop,
        ..TaggerOptions::default()
    };
    let tagger = Tagger::from_bundle(bundle, &tagger_options)?;
    let vocabulary = tagger.vocabulary();
    let map = args
        .recordings
        .label_map
        .as_deref()
        .map(|path| LabelMap::read(path, |name| vocabulary.find(name)))
        .transpose()
        .context("cannot read the label map")?;
    let inputs = Inputs::expand(&[args.dataset.path().to_owned()])?;
    for unreadable in &inputs.unreadable {
        printer.failure(&unreadable.path, &unreadable.reason);
    }
    let annotated = annotated::read(
        annotations,
        &inputs.recordings,
        map.as_ref(),
        vocabulary,
        printer,
    )?;
    let all = args.per_class_thresholds(tagger.metadata())?;
    let thresholds: Vec<f32> = annotated.classes.iter().map(|class| all[*class]).collect();
    let mut judge = Judge {
        detection: Detection::new(annotated.classes.len(), options)?,
        selection: selection(&annotated.classes, &all, vocabulary)?,
        merge_gap: args.recordings.merge_gap,
        annotated: &annotated,
        n_failed: inputs.unreadable.len(),
        open: Open::default(),
        printer,
    };
    if judge.hear(args, &tagger)? {
        return Ok(Outcome::Interrupted);
    }
    let report = Report {
        model: args.model.display().to_string(),
        data: args.dataset.path().display().to_string(),
        annotations: annotations.display().to_string(),
        n_failed: judge.n_failed,
        classes: annotated
            .classes
            .iter()
            .map(|class| vocabulary.name(*class).to_owned())
            .collect(),
        figures: judge.detection.figures(&thresholds)?,
    };
    if report.figures.n_recordings == 0 {
        anyhow::bail!("none of the annotated recordings could be heard");
    }
    write(args, &report, printer)?;
    save_thresholds(args, bundle, &report, printer)?;
    Ok(if report.n_failed > 0 {
        Outcome::SomeFailed
    } else {
        Outcome::Done
    })
}

/// Tags of the judged classes at their thresholds.
fn selection(
    classes: &[usize],
    thresholds: &[f32],
    vocabulary: &Vocabulary,
) -> anyhow::Result<Selection> {
    let named = Thresholds {
        default: None,
        classes: classes
            .iter()
            .map(|class| (vocabulary.name(*class).to_owned(), thresholds[*class]))
            .collect(),
    };
    let names = classes.iter().map(|class| vocabulary.name(*class));
    Ok(Selection::all(vocabulary)
        .thresholds(&named, vocabulary, 1.0)?
        .only(names, vocabulary)?)
}

/// Collects what is heard and judges recording by recording.
struct Judge<'a> {
    detection: Detection,
    selection: Selection,
    merge_gap: f64,
    annotated: &'a Annotated,
    n_failed: usize,
    open: Open,
    printer: &'a Printer,
}

/// The recording that is being heard.
#[derive(Default)]
struct Open {
    timeline: Timeline,
    merger: Option<EventMerger>,
    found: Vec<earmark::tagger::Event>,
}

impl Judge<'_> {
    /// Hears all recordings; says whether the user stopped it.
    fn hear(&mut self, args: &EvaluateArgs, tagger: &Tagger) -> anyhow::Result<bool> {
        let stop = interrupt::stop_flag()?;
        let options = RunOptions {
            jobs: args.jobs(),
            timeline: true,
            stop: Some(stop),
            ..RunOptions::default()
        };
        let annotated = self.annotated;
        let sources = annotated
            .recordings
            .iter()
            .map(|recording| earmark::audio::Source::Path(recording.path.clone()));
        self.printer
            .start_progress(annotated.recordings.len() as u64, "listening");
        tagger.run(sources, &options, |event| self.take(event))?;
        self.printer.end_progress();
        Ok(stop.load(std::sync::atomic::Ordering::Relaxed))
    }

    fn take(&mut self, event: RunEvent) -> anyhow::Result<()> {
        match event {
            RunEvent::Opened { .. } => {
                self.open = Open {
                    merger: Some(EventMerger::new(self.merge_gap)),
                    ..Open::default()
                };
            }
            RunEvent::Segment { segment, .. } => self.segment(&segment),
            RunEvent::Finished { input, clips, .. } => {
                let duration_secs = clips.first().map_or(0.0, |clip| clip.duration_secs);
                let open = std::mem::take(&mut self.open);
                let recording = &self.annotated.recordings[input];
                match self.judge(recording, duration_secs, open) {
                    Ok(()) => {}
                    Err(error) => self.fail(&recording.path, &format!("{error:#}")),
                }
                self.printer.progress(input as u64 + 1, "recordings");
            }
            RunEvent::Failed { input, error } => {
                let path = &self.annotated.recordings[input].path;
                self.fail(path, &listen::own_reason(path, &error));
                self.printer.progress(input as u64 + 1, "recordings");
            }
        }
        Ok(())
    }

    fn segment(&mut self, segment: &SegmentScores) {
        let times = (segment.start_secs, segment.end_secs);
        let tags = self.selection.tags(&segment.scores);
        if let Some(merger) = &mut self.open.merger {
            self.open.found.extend(merger.push(times.0, times.1, &tags));
        }
        self.open.timeline.stretches_secs.push(times);
        let judged = self.annotated.classes.iter();
        let scores = judged.map(|class| segment.scores[*class]);
        self.open.timeline.scores.extend(scores);
    }

    fn judge(
        &mut self,
        recording: &AnnotatedRecording,
        duration_secs: f64,
        mut open: Open,
    ) -> anyhow::Result<()> {
        // Headers round, and so do annotators.
        const SLACK_SECS: f64 = 0.5;
        let late = recording
            .events
            .iter()
            .find(|(placed, _)| placed.annotation.onset_secs > duration_secs + SLACK_SECS);
        if let Some((placed, _)) = late {
            anyhow::bail!(
                "ends after {duration_secs:.3} s, but {}:{} begins at {:.3} s",
                placed.file.display(),
                placed.annotation.line,
                placed.annotation.onset_secs
            );
        }
        if let Some(mut merger) = open.merger.take() {
            open.found.extend(merger.finish());
        }
        let classes = &self.annotated.classes;
        let column = |class: usize| classes.binary_search(&class).unwrap_or(0);
        let annotated: Vec<Event> = recording
            .events
            .iter()
            .map(|(placed, class)| Event {
                onset_secs: placed.annotation.onset_secs,
                offset_secs: placed.annotation.offset_secs,
                class: column(*class),
            })
            .collect();
        let found: Vec<Event> = open
            .found
            .iter()
            .map(|event| Event {
                onset_secs: event.start_secs,
                offset_secs: event.end_secs,
                class: column(event.class),
            })
            .collect();
        self.detection.add(JudgedRecording {
            duration_secs,
            annotated: &annotated,
            found: &found,
            timeline: &open.timeline,
        })?;
        Ok(())
    }

    fn fail(&mut self, path: &Path, reason: &str) {
        self.printer.failure(path, reason);
        self.n_failed += 1;
    }
}

/// Writes everything that was asked for.
fn write(args: &EvaluateArgs, report: &Report, printer: &Printer) -> anyhow::Result<()> {
    super::print(
        args.format,
        report,
        || text::recording_lines(report),
        || text::recording_csv(report),
        printer,
    )?;
    if let Some(path) = &args.curves {
        let curves = report
            .figures
            .per_class
            .iter()
            .map(|class| (report.classes[class.class].as_str(), &class.curve));
        earmark::bundle::write_atomically(path, &text::curves_csv(curves)?)?;
    }
    if let Some(path) = &args.report {
        let page = page::recordings::page(report);
        earmark::bundle::write_atomically(path, page.as_bytes())?;
        printer.note(format!("report: {}", path.display()));
    }
    Ok(())
}

/// Writes the best thresholds, by themselves or in the bundle. Other classes keep theirs.
fn save_thresholds(
    args: &EvaluateArgs,
    bundle: &Bundle,
    report: &Report,
    printer: &Printer,
) -> anyhow::Result<()> {
    let best = report.figures.per_class.iter().filter_map(|class| {
        let threshold = class.best_threshold?.clamp(0.0, 1.0);
        Some((report.classes[class.class].clone(), threshold))
    });
    let metadata = bundle.metadata();
    let mut thresholds = metadata.thresholds.clone();
    thresholds.classes.extend(best);
    if let Some(path) = &args.fitting.fit_thresholds {
        crate::selection::write_thresholds(path, &thresholds)?;
        printer.note(format!("thresholds: {}", path.display()));
    }
    let Some(path) = &args.fitting.calibrate else {
        return Ok(());
    };
    let on = format!(
        "Thresholds of {} classes were fitted to {} annotated recordings ({:.0} s).",
        report.classes.len(),
        report.figures.n_recordings,
        report.figures.duration_secs
    );
    let metadata = Metadata {
        thresholds,
        ..metadata.clone()
    };
    super::save_fitted(bundle, metadata, path, &on, printer)
}
