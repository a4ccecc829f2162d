//! One recording through the tagger: rows as the command line writes them, pictures, progress.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use earmark::audio::Source;
use earmark::results::{Content, Row, RowMaker, Run, Subject, write_json_line};
use earmark::tagger::{Channels, Tagger};

use super::control::{Control, Stopped};
use super::gate::Slot;
use super::picture::{Painter, Picture};
use crate::metrics::Metrics;
use crate::models::Model;

/// A recording and what is wanted of it.
pub(crate) struct Task {
    pub(crate) model: Arc<Model>,
    pub(crate) tagger: Arc<Tagger>,
    pub(crate) content: Content,
    /// Whether each segment gives a row.
    pub(crate) timeline: bool,
    /// Whether the recording as a whole gives a row.
    pub(crate) clip: bool,
    pub(crate) channels: Channels,
    /// What the client calls the recording.
    pub(crate) name: String,
    /// The number of columns of a picture, if one is wanted.
    pub(crate) picture: Option<usize>,
}

/// What happens on the way.
#[derive(Debug)]
pub(crate) enum Event {
    /// The header is read.
    Opened {
        /// The length in seconds that the header states.
        duration_secs: Option<f64>,
        /// The source's rate in Hz.
        sample_rate: u32,
        n_channels: usize,
        /// Container and codec, for people.
        format: String,
    },
    /// The next columns of the picture.
    Picture(Picture),
    /// A row about a segment, as JSON.
    Segment(String),
    /// So many seconds are heard.
    Progress(f64),
    /// A row about the whole recording, as JSON.
    Clip(String),
}

/// What was heard when all is done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heard {
    pub(crate) duration_secs: f64,
}

/// Why a recording was not heard to its end.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Nobody waits for it any more, or its time is up.
    Stopped(Stopped),
    /// It cannot be heard.
    Recording(earmark::Error),
}

impl From<Stopped> for Failure {
    fn from(stopped: Stopped) -> Self {
        Self::Stopped(stopped)
    }
}

impl From<earmark::Error> for Failure {
    fn from(error: earmark::Error) -> Self {
        Self::Recording(error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Recording(error.into())
    }
}

/// Hears a recording on this thread. Stops between two segments when `control` says so.
pub(crate) fn hear(
    task: &Task,
    source: Source,
    slot: &Slot,
    control: &Control,
    metrics: &Metrics,
    sink: &mut dyn FnMut(Event) -> Result<(), Stopped>,
) -> Result<Heard, Failure> {
    let outcome =
        Hearing::begin(task, source, sink).and_then(|hearing| hearing.run(slot, control, sink));
    match &outcome {
        Ok(heard) => metrics.audio_seconds.inc_by(heard.duration_secs),
        // What was stopped from outside surfaces as a read error too.
        Err(_) if control.check().is_err() => {}
        Err(Failure::Recording(_)) => metrics.decode_failures.inc(),
        Err(Failure::Stopped(_)) => {}
    }
    match control.check() {
        Err(stopped) if outcome.is_err() => Err(stopped.into()),
        _ => outcome,
    }
}

/// A recording that is open.
struct Hearing<'t> {
    task: &'t Task,
    segments: earmark::tagger::Segments<'t>,
    subject: Subject,
    segment_rows: RowWriter,
    clip_rows: RowWriter,
    painter: Option<Arc<Mutex<Painter>>>,
    n_channels: usize,
}

impl<'t> Hearing<'t> {
    fn begin(
        task: &'t Task,
        source: Source,
        sink: &mut dyn FnMut(Event) -> Result<(), Stopped>,
    ) -> Result<Self, Failure> {
        let mut segments = task.tagger.segments(source)?;
        let info = segments.info();
        sink(Event::Opened {
            duration_secs: info.audio.duration_secs,
            sample_rate: info.audio.sample_rate,
            n_channels: info.audio.n_channels,
            format: format!("{}, {}", info.audio.container, info.audio.codec),
        })?;
        let mut painter = None;
        if let Some(max_columns) = task.picture {
            let rate = task.tagger.sample_rate();
            let new = Painter::new(rate, info.audio.duration_secs, max_columns)?;
            let shared = Arc::new(Mutex::new(new));
            let tapped = Arc::clone(&shared);
            segments = segments.with_tap(move |block| {
                let mut painter = tapped.lock().unwrap_or_else(PoisonError::into_inner);
                // What cannot be drawn cannot be tagged either, and that error is told.
                let _ = painter.push(block.channel(0));
            });
            painter = Some(shared);
        }
        let subject = Subject::of(&info, &task.tagger);
        Ok(Self {
            task,
            segments,
            subject,
            segment_rows: RowWriter::new(task, true),
            clip_rows: RowWriter::new(task, false),
            painter,
            n_channels: info.n_channels,
        })
    }

    fn run(
        mut self,
        slot: &Slot,
        control: &Control,
        sink: &mut dyn FnMut(Event) -> Result<(), Stopped>,
    ) -> Result<Heard, Failure> {
        control.check()?;
        while let Some(segment) = self.segments.next() {
            let segment = segment?;
            if let Some(picture) = self.paint(Painter::take) {
                sink(Event::Picture(picture))?;
            }
            let (end_secs, is_last_channel) =
                (segment.end_secs, segment.channel + 1 == self.n_channels);
            if self.task.timeline {
                for row in self.segment_rows.maker.segment(segment) {
                    sink(Event::Segment(self.segment_rows.json(&self.subject, &row)?))?;
                }
            }
            if is_last_channel {
                sink(Event::Progress(end_secs))?;
            }
            control.check()?;
            slot.give_way();
        }
        if let Some(picture) = self.paint(Painter::finish) {
            sink(Event::Picture(picture))?;
        }
        let clips = self.segments.finish()?;
        let duration_secs = clips
            .iter()
            .map(|clip| clip.duration_secs)
            .fold(0.0, f64::max);
        if self.task.clip {
            for row in self.clip_rows.maker.finish(clips) {
                sink(Event::Clip(self.clip_rows.json(&self.subject, &row)?))?;
            }
        }
        Ok(Heard { duration_secs })
    }

    fn paint(&self, step: impl FnOnce(&mut Painter) -> Option<Picture>) -> Option<Picture> {
        let painter = self.painter.as_ref()?;
        step(&mut painter.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Rows as JSON.
struct RowWriter {
    maker: RowMaker,
    run: Run,
    path: PathBuf,
}

impl RowWriter {
    fn new(task: &Task, timeline: bool) -> Self {
        let each_channel = task.channels == Channels::Each;
        Self {
            maker: RowMaker::new(task.content.clone(), timeline, each_channel),
            run: task.model.run(timeline),
            path: PathBuf::from(&task.name),
        }
    }

    /// A row as the command line writes it, without the line's end.
    fn json(&self, subject: &Subject, row: &Row) -> std::io::Result<String> {
        let mut line = Vec::new();
        write_json_line(&mut line, &self.run, &self.path, subject, row)?;
        String::from_utf8(line).map_err(std::io::Error::other)
    }
}
