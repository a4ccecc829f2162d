//! The run itself: events of the library in; rows, failures, progress and the summary out.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::atomic::Ordering;

use earmark::Error;
use earmark::results::{RowMaker, hms};
use earmark::tagger::{RecordingInfo, RunEvent, RunOptions, Tagger};

use crate::commands::Outcome;
use crate::inputs::{self, Input, Inputs};
use crate::interrupt;
use crate::moment::TimePattern;
use crate::output::{Outputs, Row, Subject};
use crate::printer::Printer;
use crate::resume::Partial;
use crate::save_clips::{SaveClips, Stretch};

/// What does not change during a run.
pub(crate) struct Session<'a> {
    pub(crate) printer: &'a Printer,
    pub(crate) tagger: &'a Tagger,
    /// The word of the summary, such as `tagged`.
    pub(crate) verb: &'static str,
    pub(crate) pattern: Option<TimePattern>,
    pub(crate) save_clips: Option<SaveClips>,
    /// Whether there may be a progress bar.
    pub(crate) shows_progress: bool,
}

/// Where rows go: to their tables, or first to parts when the run can be resumed.
pub(crate) struct Sink {
    outputs: Outputs,
    partial: Option<Partial>,
}

/// The recording in work and the counts so far.
struct State<'a> {
    todo: Vec<&'a Input>,
    maker: RowMaker,
    sink: Sink,
    subject: Option<Subject>,
    stretches: Vec<Stretch>,
    duration_secs: Option<f64>,
    n_done: usize,
    n_failed: usize,
}

impl Session<'_> {
    /// Hears the inputs and writes the results.
    pub(crate) fn run(
        &self,
        inputs: &Inputs,
        maker: RowMaker,
        sink: Sink,
        jobs: NonZeroUsize,
    ) -> anyhow::Result<Outcome> {
        for unreadable in &inputs.unreadable {
            self.printer.failure(&unreadable.path, &unreadable.reason);
        }
        let todo = sink.todo(inputs)?;
        let mut state = State {
            n_done: inputs.recordings.len() - todo.len(),
            n_failed: inputs.unreadable.len(),
            todo,
            maker,
            sink,
            subject: None,
            stretches: Vec::new(),
            duration_secs: None,
        };
        let stop = interrupt::stop_flag()?;
        let options = RunOptions {
            jobs,
            timeline: state.maker.wants_timeline(),
            stop: Some(stop),
            ..RunOptions::default()
        };
        if self.shows_progress {
            self.printer.start_progress(inputs.len() as u64, self.verb);
        }
        let sources: Vec<&Input> = state.todo.clone();
        let sources = sources.into_iter().map(Input::source);
        let heard = self
            .tagger
            .run(sources, &options, |event| self.event(&mut state, event));
        self.printer.end_progress();
        heard?;
        let interrupted = stop.load(Ordering::Relaxed);
        let can_resume = state.sink.finish(inputs, interrupted)?;
        self.summary(inputs, state.n_done, state.n_failed, interrupted);
        if interrupted {
            if can_resume {
                self.printer.note("the same command goes on from here");
            }
            return Ok(Outcome::Interrupted);
        }
        Ok(match state.n_failed {
            0 => Outcome::Done,
            _ => Outcome::SomeFailed,
        })
    }

    fn event(&self, state: &mut State<'_>, event: RunEvent) -> anyhow::Result<()> {
        match event {
            RunEvent::Opened { input, info } => self.opened(state, input, &info),
            RunEvent::Segment { input, segment } => {
                let end_secs = segment.end_secs;
                let rows = state.maker.segment(segment);
                self.rows(state, input, rows)?;
                self.progress(state, input, end_secs);
                state.sink.outputs.flush()
            }
            RunEvent::Finished {
                input,
                clips,
                warning,
            } => {
                let rows = state.maker.finish(clips);
                self.rows(state, input, rows)?;
                self.finished(state, input, warning)
            }
            RunEvent::Failed { input, error } => {
                let path = &state.todo[input].path;
                self.printer.failure(path, &reason(path, &error));
                state.n_failed += 1;
                state.stretches.clear();
                match state.subject.take() {
                    Some(_) => state.sink.end(state.todo[input], false),
                    None => Ok(()),
                }
            }
        }
    }

    fn opened(
        &self,
        state: &mut State<'_>,
        input: usize,
        info: &RecordingInfo,
    ) -> anyhow::Result<()> {
        let path = &state.todo[input].path;
        let from_name = self.pattern.as_ref().and_then(|pattern| pattern.find(path));
        let mut subject = Subject::of(info, self.tagger);
        subject.start = from_name.or(subject.start);
        if self.pattern.is_some() && subject.start.is_none() {
            let shown = path.display();
            self.printer
                .note(format!("{shown}: no start time in the name or the header"));
        }
        state.maker.begin(info.n_channels);
        state.duration_secs = info.audio.duration_secs;
        state.sink.begin(state.todo[input], &subject)?;
        state.subject = Some(subject);
        Ok(())
    }

    fn rows(&self, state: &mut State<'_>, input: usize, rows: Vec<Row>) -> anyhow::Result<()> {
        let Some(subject) = &state.subject else {
            return Ok(());
        };
        for row in &rows {
            state.sink.row(state.todo[input], subject, row)?;
            if self.save_clips.is_some() {
                let names = self.tagger.vocabulary();
                state.stretches.extend(Stretch::of(row, names));
            }
        }
        Ok(())
    }

    fn finished(
        &self,
        state: &mut State<'_>,
        input: usize,
        warning: Option<String>,
    ) -> anyhow::Result<()> {
        let recording = state.todo[input];
        if let Some(save_clips) = &self.save_clips {
            save_clips.save(recording, std::mem::take(&mut state.stretches))?;
        }
        state.subject = None;
        state.sink.end(recording, true)?;
        if let Some(warning) = warning {
            let message = without_name(&recording.path, &warning);
            self.printer
                .note(format!("{}: warning: {message}", recording.path.display()));
        }
        state.n_done += 1;
        self.progress(state, input, 0.0);
        Ok(())
    }

    fn progress(&self, state: &State<'_>, input: usize, secs: f64) {
        let name = state.todo[input].path.file_name().unwrap_or_default();
        let mut message = name.to_string_lossy().into_owned();
        if secs > 0.0 {
            message.push_str(&format!(" at {}", hms(secs)));
            if let Some(duration_secs) = state.duration_secs {
                message.push_str(&format!(" of {}", hms(duration_secs)));
            }
        }
        let done = state.n_done + state.n_failed;
        self.printer.progress(done as u64, &message);
    }

    /// The last line.
    fn summary(&self, inputs: &Inputs, n_done: usize, n_failed: usize, interrupted: bool) {
        if let Some(skipped) = inputs.skipped() {
            self.printer.note(skipped);
        }
        let noun = if inputs.len() == 1 { "clip" } else { "clips" };
        let mut line = format!("{} {n_done} of {} {noun}", self.verb, inputs.len());
        if n_failed > 0 {
            line.push_str(&format!(", {n_failed} failed"));
        }
        if interrupted {
            line.push_str(", interrupted");
        }
        self.printer.note(line);
    }
}

impl Sink {
    pub(crate) fn new(outputs: Outputs, partial: Option<Partial>) -> Self {
        Self { outputs, partial }
    }

    /// The recordings that are not finished yet.
    fn todo<'i>(&self, inputs: &'i Inputs) -> anyhow::Result<Vec<&'i Input>> {
        let Some(partial) = &self.partial else {
            return Ok(inputs.recordings.iter().collect());
        };
        let mut todo = Vec::new();
        for input in &inputs.recordings {
            if !partial.has(input)? {
                todo.push(input);
            }
        }
        Ok(todo)
    }

    fn begin(&mut self, input: &Input, subject: &Subject) -> anyhow::Result<()> {
        match &mut self.partial {
            Some(partial) => partial.begin(subject),
            None => self.outputs.begin(input),
        }
    }

    fn row(&mut self, input: &Input, subject: &Subject, row: &Row) -> anyhow::Result<()> {
        match &mut self.partial {
            Some(partial) => partial.row(row),
            None => self.outputs.row(input, subject, row),
        }
    }

    fn end(&mut self, input: &Input, complete: bool) -> anyhow::Result<()> {
        match &mut self.partial {
            Some(partial) => partial.end(input, complete),
            None => self.outputs.end(complete),
        }
    }

    /// Completes the tables; parts are merged in the order of the inputs first. After an interruption
    /// parts are left as they are: then returns true.
    fn finish(self, inputs: &Inputs, interrupted: bool) -> anyhow::Result<bool> {
        let Self {
            mut outputs,
            partial,
        } = self;
        let Some(partial) = partial else {
            outputs.finish()?;
            return Ok(false);
        };
        if interrupted {
            return Ok(true);
        }
        for input in &inputs.recordings {
            if partial.is_finished(input) {
                outputs.begin(input)?;
                partial.replay(input, |subject, row| outputs.row(input, subject, row))?;
                outputs.end(true)?;
            }
        }
        outputs.finish()?;
        partial.remove()?;
        Ok(false)
    }
}

/// Why a recording failed, without its name, which stands before it.
fn reason(path: &Path, error: &Error) -> String {
    match error {
        Error::Io(error) if error.raw_os_error().is_some() => inputs::reason(error),
        _ => without_name(path, &error.to_string()).to_owned(),
    }
}

fn without_name<'m>(path: &Path, message: &'m str) -> &'m str {
    let name = path.display().to_string();
    message
        .strip_prefix(&name)
        .and_then(|rest| rest.strip_prefix(": "))
        .unwrap_or(message)
}
