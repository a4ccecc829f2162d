//! One recording through the tagger: rows as the command line writes them, pictures, progress.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::json;

use super::model::{Cutting, Model};
use super::picture::{Painter, Picture, check_columns};
use crate::audio::{Channels, Limits, Source};
use crate::results::{Content, Row, RowMaker, Run, Subject, write_json_line};
use crate::tagger::{Segments, Selection, Tagger};
use crate::{Error, Result};

/// Tags per row unless another number is asked for, as on the command line.
const DEFAULT_TOP: usize = 5;

/// What is asked of a recording.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Wish {
    /// What the recording is called.
    pub name: String,
    /// The largest number of tags per row, at least 1. Default: 5.
    pub top: Option<usize>,
    /// The lowest score of a tag, in [0, 1]. Default: the bundle's thresholds, or all.
    pub threshold: Option<f32>,
    /// Whether rows have the network's embedding instead of tags.
    pub embeddings: bool,
    /// Whether each segment gives a row.
    pub timeline: bool,
    /// Whether the recording as a whole gives a row.
    pub clip: bool,
    /// How it is cut and mixed.
    pub cutting: Cutting,
    /// The number of columns of a picture, if one is wanted.
    pub picture: Option<usize>,
}

impl Wish {
    /// The tags that are asked for.
    ///
    /// # Errors
    /// [`Error::Config`] for a threshold or a number of tags that cannot be.
    pub fn selection(&self, model: &Model) -> Result<Selection> {
        let selection = Selection::all(&model.metadata().vocabulary);
        let selection = match self.threshold {
            Some(threshold) => selection.threshold(threshold)?,
            None => selection,
        };
        match self.top {
            Some(0) => Err(Error::Config {
                key: "top".to_owned(),
                found: "0".to_owned(),
                expected: "must be at least 1".to_owned(),
            }),
            top => Ok(selection.top(top.unwrap_or(DEFAULT_TOP))),
        }
    }
}

/// A recording and what is wanted of it.
#[derive(Debug, Clone)]
pub struct Task {
    tagger: Arc<Tagger>,
    content: Content,
    segments: Option<Run>,
    clip: Option<Run>,
    channels: Channels,
    /// What the recording is called.
    pub name: String,
    picture: Option<usize>,
}

impl Task {
    /// A task for `model`, with bounds on the recording.
    ///
    /// # Errors
    /// [`Error::Config`] for a wish that cannot be fulfilled.
    pub fn new(model: &Model, wish: Wish, limits: Limits) -> Result<Self> {
        let content = match wish.embeddings {
            true if !model.has_embedding() => {
                return Err(Error::Config {
                    key: "model".to_owned(),
                    found: format!("`{}`", model.name()),
                    expected: "which gives no embedding".to_owned(),
                });
            }
            true => Content::Embeddings,
            false => Content::Tags(wish.selection(model)?),
        };
        wish.picture.map_or(Ok(()), check_columns)?;
        Ok(Self {
            tagger: model.tagger(wish.cutting, limits)?,
            content,
            segments: wish.timeline.then(|| model.run(true)),
            clip: wish.clip.then(|| model.run(false)),
            channels: wish.cutting.channels,
            name: wish.name,
            picture: wish.picture,
        })
    }
}

/// What happens on the way, in this order: `Opened`, then any number of `Picture`, `Segment` and
/// `Progress`, then `Clip`s.
#[derive(Debug)]
pub enum Event {
    /// The header is read.
    Opened {
        /// The length in seconds that the header states.
        duration_secs: Option<f64>,
        /// The source's rate in Hz.
        sample_rate: u32,
        /// The source's number of channels.
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

impl Event {
    /// Its name, and what it says as JSON.
    pub fn into_name_and_json(self) -> (&'static str, String) {
        match self {
            Self::Opened {
                duration_secs,
                sample_rate,
                n_channels,
                format,
            } => {
                let data = json!({
                    "duration_secs": duration_secs,
                    "sample_rate": sample_rate,
                    "n_channels": n_channels,
                    "format": format,
                });
                ("opened", data.to_string())
            }
            Self::Picture(picture) => ("picture", json!(picture).to_string()),
            Self::Segment(row) => ("segment", row),
            Self::Progress(secs) => ("progress", json!({ "heard_secs": secs }).to_string()),
            Self::Clip(row) => ("clip", row),
        }
    }
}

/// What was heard when all is done.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Heard {
    /// The length of the recording in seconds.
    pub duration_secs: f64,
}

/// Hears a recording on this thread and tells `sink` what happens. `pause` is called between two
/// segments.
///
/// # Errors
/// What decoding and the network say, and the first error of `sink` and of `pause`, which end it.
pub fn hear<E: From<Error>>(
    task: &Task,
    source: Source,
    sink: &mut dyn FnMut(Event) -> Result<(), E>,
    pause: &mut dyn FnMut() -> Result<(), E>,
) -> Result<Heard, E> {
    let hearing = Hearing::begin(task, source, sink)?;
    pause()?;
    hearing.run(sink, pause)
}

/// A recording that is open.
struct Hearing<'t> {
    segments: Segments<'t>,
    subject: Subject,
    segment_rows: Option<RowWriter>,
    clip_rows: Option<RowWriter>,
    painter: Option<Arc<Mutex<Painter>>>,
    n_channels: usize,
}

impl<'t> Hearing<'t> {
    fn begin<E: From<Error>>(
        task: &'t Task,
        source: Source,
        sink: &mut dyn FnMut(Event) -> Result<(), E>,
    ) -> Result<Self, E> {
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
        Ok(Self {
            subject: Subject::of(&info, &task.tagger),
            segments,
            segment_rows: RowWriter::new(task, task.segments.as_ref()),
            clip_rows: RowWriter::new(task, task.clip.as_ref()),
            painter,
            n_channels: info.n_channels,
        })
    }

    fn run<E: From<Error>>(
        mut self,
        sink: &mut dyn FnMut(Event) -> Result<(), E>,
        pause: &mut dyn FnMut() -> Result<(), E>,
    ) -> Result<Heard, E> {
        while let Some(segment) = self.segments.next() {
            let segment = segment?;
            if let Some(picture) = self.paint(Painter::take) {
                sink(Event::Picture(picture))?;
            }
            let (end_secs, is_last_channel) =
                (segment.end_secs, segment.channel + 1 == self.n_channels);
            if let Some(rows) = &mut self.segment_rows {
                for row in rows.maker.segment(segment) {
                    sink(Event::Segment(rows.json(&self.subject, &row)?))?;
                }
            }
            if is_last_channel {
                sink(Event::Progress(end_secs))?;
            }
            pause()?;
        }
        if let Some(picture) = self.paint(Painter::finish) {
            sink(Event::Picture(picture))?;
        }
        let clips = self.segments.finish()?;
        let lengths = clips.iter().map(|clip| clip.duration_secs);
        let duration_secs = lengths.fold(0.0, f64::max);
        if let Some(rows) = &mut self.clip_rows {
            for row in rows.maker.finish(clips) {
                sink(Event::Clip(rows.json(&self.subject, &row)?))?;
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
    /// A writer of the rows of `run`, if they are wanted.
    fn new(task: &Task, run: Option<&Run>) -> Option<Self> {
        let run = run?.clone();
        let each_channel = task.channels == Channels::Each;
        Some(Self {
            maker: RowMaker::new(task.content.clone(), run.timeline, each_channel),
            path: PathBuf::from(&task.name),
            run,
        })
    }

    /// A row as the command line writes it, without the line's end.
    fn json(&self, subject: &Subject, row: &Row) -> Result<String> {
        let mut line = Vec::new();
        write_json_line(&mut line, &self.run, &self.path, subject, row)?;
        Ok(String::from_utf8(line).map_err(std::io::Error::other)?)
    }
}
