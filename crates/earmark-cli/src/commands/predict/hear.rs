//! One model over all clips: scores, and why there are none.

use std::num::NonZeroUsize;
use std::sync::atomic::Ordering;

use earmark::audio::Source;
use earmark::tagger::{RunEvent, RunOptions, Tagger};

use super::clips::ClipList;
use super::journal::Journal;
use crate::interrupt;
use crate::printer::Printer;

/// A clip that could not be heard.
pub(super) struct Failure {
    pub(super) clip: usize,
    pub(super) reason: String,
    /// Whether it is an audio file without sound.
    pub(super) is_empty: bool,
}

/// What one model says of all clips.
pub(super) struct Heard {
    /// Scores in the order of the columns, by clip; none where the clip could not be heard.
    pub(super) scores: Vec<Option<Vec<f32>>>,
    pub(super) failures: Vec<Failure>,
}

/// What hearing needs.
pub(super) struct Hearing<'a> {
    pub(super) tagger: &'a Tagger,
    pub(super) list: &'a ClipList,
    /// For each column the model's class.
    pub(super) columns: &'a [Option<usize>],
    pub(super) jobs: NonZeroUsize,
    pub(super) what: String,
    pub(super) printer: &'a Printer,
}

impl Hearing<'_> {
    /// Hears the clips that are not in the journal; nothing after an interruption.
    pub(super) fn run(&self, mut journal: Option<Journal>) -> anyhow::Result<Option<Heard>> {
        let clips = &self.list.clips;
        let mut heard = Heard {
            scores: vec![None; clips.len()],
            failures: Vec::new(),
        };
        let mut todo = Vec::new();
        for (at, clip) in clips.iter().enumerate() {
            let known = match &journal {
                Some(journal) => journal.get(clip)?,
                None => None,
            };
            let known = known.filter(|scores| scores.len() == self.tagger.vocabulary().len());
            match known {
                Some(scores) => heard.scores[at] = Some(self.row(scores)),
                None => todo.push(at),
            }
        }
        let stop = interrupt::stop_flag()?;
        let options = RunOptions {
            jobs: self.jobs,
            stop: Some(stop),
            ..RunOptions::default()
        };
        self.printer.start_progress(clips.len() as u64, &self.what);
        let mut n_done = clips.len() - todo.len();
        let sources = todo.iter().map(|&at| Source::Path(clips[at].path.clone()));
        self.tagger
            .run(sources, &options, |event| -> anyhow::Result<()> {
                match event {
                    RunEvent::Finished {
                        input,
                        clips: channels,
                        warning,
                    } => {
                        let clip = &clips[todo[input]];
                        let scores = channels.into_iter().next().map(|channel| channel.scores);
                        let scores = scores.unwrap_or_default();
                        if let Some(journal) = &mut journal {
                            journal.add(clip, &scores)?;
                        }
                        heard.scores[todo[input]] = Some(self.row(&scores));
                        if let Some(warning) = warning {
                            self.printer
                                .note(format!("{}: warning: {warning}", clip.path.display()));
                        }
                    }
                    RunEvent::Failed { input, error } => {
                        let clip = todo[input];
                        heard.failures.push(Failure {
                            clip,
                            reason: own_reason(&clips[clip].path.display().to_string(), &error),
                            is_empty: matches!(error, earmark::Error::NoSamples { .. }),
                        });
                    }
                    RunEvent::Opened { .. } | RunEvent::Segment { .. } => return Ok(()),
                }
                n_done += 1;
                self.printer.progress(n_done as u64, "clips");
                Ok(())
            })?;
        self.printer.end_progress();
        Ok((!stop.load(Ordering::Relaxed)).then_some(heard))
    }

    /// A model's scores in the order of the columns.
    fn row(&self, scores: &[f32]) -> Vec<f32> {
        let score = |column: &Option<usize>| column.map_or(0.0, |class| scores[class]);
        self.columns.iter().map(score).collect()
    }
}

/// The reason without the path that stands before it anyway.
fn own_reason(path: &str, error: &earmark::Error) -> String {
    let message = error.to_string();
    let own = message
        .strip_prefix(path)
        .and_then(|rest| rest.strip_prefix(": "));
    own.unwrap_or(&message).to_owned()
}
