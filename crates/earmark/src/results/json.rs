//! One row as one JSON object.

use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;

use super::{Row, Run, Subject, path_text};

/// One line. The first three keys are the contract; the others may grow in number. All are documented
/// in `docs/outputs.md`.
#[derive(Serialize)]
struct Line<'a> {
    path: &'a str,
    duration_secs: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    tags: Option<Vec<JsonTag<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    embedding: Option<&'a [f32]>,
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

/// Writes a row about the recording at `path` as one JSON object, without a line end. A row with an
/// embedding has the key `embedding` instead of `tags`.
///
/// # Errors
/// Those of writing.
pub fn write_json_line(
    to: impl Write,
    run: &Run,
    path: &Path,
    subject: &Subject,
    row: &Row,
) -> io::Result<()> {
    let [start_time, end_time] = subject.times(row);
    let bytes = path.as_os_str().as_encoded_bytes();
    let hex = || bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let tags = || {
        let tags = row.tags.iter().map(|tag| JsonTag {
            class: run.vocabulary.name(tag.class),
            score: tag.score,
        });
        tags.collect()
    };
    let has_embedding = !row.embedding.is_empty();
    let line = Line {
        path: &path_text(path),
        duration_secs: row.end_secs - row.start_secs,
        tags: (!has_embedding).then(tags),
        embedding: has_embedding.then_some(&row.embedding[..]),
        start_secs: run.timeline.then_some(row.start_secs),
        end_secs: run.timeline.then_some(row.end_secs),
        channel: row.channel,
        start_time: start_time.as_deref(),
        end_time: end_time.as_deref(),
        path_bytes: std::str::from_utf8(bytes).is_err().then(hex),
        model: &run.model,
        runtime: &run.runtime,
    };
    serde_json::to_writer(to, &line).map_err(io::Error::from)
}
