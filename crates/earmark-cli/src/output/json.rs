//! One JSON object per line.

use std::io::Write as _;
use std::path::Path;

use serde::Serialize;

use super::{Destination, Row, RowTimes, Run, Subject, Table, path_text};

/// Writes JSON lines. The first three keys are the contract; the others may grow in number.
pub(super) struct JsonTable {
    destination: Destination,
}

/// One line. Keys are documented in `docs/outputs.md`.
#[derive(Serialize)]
struct Line<'a> {
    path: &'a str,
    duration_secs: f64,
    tags: Vec<JsonTag<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_secs: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_secs: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_time: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_time: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_bytes: Option<String>,
    model: &'a str,
    runtime: &'a str,
}

#[derive(Serialize)]
struct JsonTag<'a> {
    class: &'a str,
    score: f32,
}

impl JsonTable {
    pub(super) fn new(destination: Destination) -> Self {
        Self { destination }
    }
}

impl Table for JsonTable {
    fn row(&mut self, run: &Run, path: &Path, subject: &Subject, row: &Row) -> anyhow::Result<()> {
        let times = RowTimes::of(subject, row);
        let bytes = path.as_os_str().as_encoded_bytes();
        let hex = || bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let line = Line {
            path: &path_text(path),
            duration_secs: row.end_secs - row.start_secs,
            tags: row
                .tags
                .iter()
                .map(|tag| JsonTag {
                    class: run.vocabulary.name(tag.class),
                    score: tag.score,
                })
                .collect(),
            start_secs: run.timeline.then_some(row.start_secs),
            end_secs: run.timeline.then_some(row.end_secs),
            channel: row.channel,
            start_time: times.start_time.as_deref(),
            end_time: times.end_time.as_deref(),
            path_bytes: std::str::from_utf8(bytes).is_err().then(hex),
            model: &run.model,
            runtime: &run.runtime,
        };
        serde_json::to_writer(&mut self.destination, &line).map_err(std::io::Error::from)?;
        Ok(self.destination.write_all(b"\n")?)
    }

    fn finish(self: Box<Self>, _: &Run) -> anyhow::Result<()> {
        self.destination.finish()
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        Ok(self.destination.flush()?)
    }
}
