//! What is seen: a line that rolls on a terminal, a line per event, or JSON.

use std::path::Path;

use clap::ValueEnum;
use earmark::dataset::Vocabulary;
use earmark::results::hms;
use earmark::tagger::{Change, Tagger};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::input::Input;
use super::worker::HeardSegment;
use crate::output::path_text;
use crate::printer::Printer;

/// How events are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people: a line when something begins, one when it stops.
    #[default]
    Text,
    /// One object per line.
    Json,
}

/// Writes what happens.
pub(super) struct Screen<'a> {
    printer: &'a Printer,
    format: Format,
    segments: bool,
    top: usize,
    source: String,
    model: String,
    /// Seconds of sound that were heard, as far as the clock is concerned: that much is now.
    heard_secs: f64,
}

impl<'a> Screen<'a> {
    pub(super) fn new(
        printer: &'a Printer,
        format: Format,
        segments: bool,
        top: usize,
        input: &Input,
        tagger: &Tagger,
    ) -> Self {
        printer.start_status();
        Self {
            printer,
            format,
            segments,
            top,
            source: input.to_string(),
            model: tagger.metadata().name.clone(),
            heard_secs: 0.0,
        }
    }

    /// Says how much was heard; what follows is told at this time.
    pub(super) fn heard_until(&mut self, secs: f64) {
        self.heard_secs = secs;
    }

    /// Shows a segment's tags, and writes them where that is asked for.
    pub(super) fn segment(
        &self,
        heard: &HeardSegment,
        vocabulary: &Vocabulary,
    ) -> anyhow::Result<()> {
        let mut best: Vec<usize> = (0..heard.scores.len()).collect();
        best.sort_by(|a, b| heard.scores[*b].total_cmp(&heard.scores[*a]).then(a.cmp(b)));
        best.truncate(self.top);
        if self.segments {
            let tags: Vec<Value> = best
                .iter()
                .map(|class| json!({"class": vocabulary.name(*class), "score": heard.scores[*class]}))
                .collect();
            let line = json!({
                "event": "segment",
                "tags": tags,
                "start_secs": heard.start_secs,
                "end_secs": heard.end_secs,
                "time": self.time_of(heard.end_secs),
                "source": self.source,
                "model": self.model,
            });
            self.printer.line(line.to_string())?;
        }
        let tags: Vec<String> = best
            .iter()
            .map(|class| format!("{:.2} {}", heard.scores[*class], vocabulary.name(*class)))
            .collect();
        self.printer
            .status(format!("{}  {}", hms(heard.end_secs), tags.join(" · ")));
        Ok(())
    }

    /// A change as the object that `--format json` and the webhook send.
    pub(super) fn json(
        &self,
        change: &Change,
        vocabulary: &Vocabulary,
        clip: Option<&Path>,
    ) -> Value {
        let (name, event, at) = match change {
            Change::Started(event) => ("started", event, event.start_secs),
            Change::Stopped(event) => ("stopped", event, event.end_secs),
        };
        let mut line = json!({
            "event": name,
            "class": vocabulary.name(event.class),
            "score": event.score,
            "start_secs": event.start_secs,
            "time": self.time_of(at),
            "source": self.source,
            "model": self.model,
        });
        if let Change::Stopped(event) = change {
            line["end_secs"] = json!(event.end_secs);
        }
        if let Some(clip) = clip {
            line["clip"] = json!(path_text(clip));
        }
        line
    }

    /// Writes a change.
    pub(super) fn change(
        &self,
        change: &Change,
        vocabulary: &Vocabulary,
        line: &Value,
    ) -> anyhow::Result<()> {
        if self.format == Format::Json {
            self.printer.line(line.to_string())?;
            return Ok(());
        }
        self.printer.line(match change {
            Change::Started(event) => format!(
                "{}  + {:.3}  {}",
                hms(event.start_secs),
                event.score,
                vocabulary.name(event.class)
            ),
            Change::Stopped(event) => format!(
                "{}  - {:.3}  {}  {:.1} s",
                hms(event.end_secs),
                event.score,
                vocabulary.name(event.class),
                event.end_secs - event.start_secs
            ),
        })?;
        Ok(())
    }

    /// Removes the rolling line.
    pub(super) fn end(&self) {
        self.printer.end_progress();
    }

    /// The computer's clock when a moment of the sound was heard.
    fn time_of(&self, secs: f64) -> String {
        let ago = SignedDuration::from_millis(((self.heard_secs - secs) * 1000.0).round() as i64);
        let now = Timestamp::now();
        let then = now.checked_sub(ago).unwrap_or(now);
        then.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
    }
}
