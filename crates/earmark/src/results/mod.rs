//! What a recording's scores become for the outside: rows about clips, segments or events, and the
//! JSON line that stands for one.
//!
//! ```text
//! SegmentScores, ClipScores ── RowMaker ── Row ── write_json_line, or a table of the program
//! ```
//!
//! The command line and the server both make their results here, so that the same sound gives the
//! same bytes from both. `docs/outputs.md` documents the keys.

mod json;
mod maker;
mod moment;

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::dataset::Vocabulary;
use crate::tagger::{RecordingInfo, Tag, Tagger};

pub use json::write_json_line;
pub use maker::{Content, RowMaker};
pub use moment::{Moment, hms};

/// What a row is about: a clip, a segment or an event, in one channel or in the mix.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The channel counted from 1; `None` when channels are mixed.
    pub channel: Option<usize>,
    /// Seconds from the start of the recording.
    pub start_secs: f64,
    /// Seconds from the start of the recording.
    pub end_secs: f64,
    /// The tags, best first.
    pub tags: Vec<Tag>,
    /// The embedding; empty for a row of tags.
    pub embedding: Vec<f32>,
}

/// The recording that rows are about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Subject {
    /// When it began, if known.
    pub start: Option<Moment>,
    /// The highest frequency that the tagger hears in it, in Hz.
    pub highest_hz: f64,
}

impl Subject {
    /// The recording as its header describes it.
    pub fn of(info: &RecordingInfo, tagger: &Tagger) -> Self {
        let rate = info.audio.sample_rate.min(tagger.sample_rate());
        Self {
            start: Moment::from_header(&info.audio.metadata),
            highest_hz: f64::from(rate) / 2.0,
        }
    }

    /// The absolute times of a row's start and end, in ISO 8601, if the recording's start is known.
    pub fn times(&self, row: &Row) -> [Option<String>; 2] {
        [row.start_secs, row.end_secs]
            .map(|secs| self.start.and_then(|start| start.iso_after(secs)))
    }
}

/// What all rows of a run have in common.
#[derive(Debug, Clone)]
pub struct Run {
    /// The model's name.
    pub model: String,
    /// The SHA-256 of the model's file, in hexadecimal.
    pub model_sha256: String,
    /// The runtime that ran the network.
    pub runtime: String,
    /// The classes that tags refer to.
    pub vocabulary: Vocabulary,
    /// Whether rows are segments or events rather than whole recordings.
    pub timeline: bool,
}

/// A path as text: UTF-8 as it is, every other byte as `\xNN`.
pub fn path_text(path: &Path) -> String {
    let mut text = String::new();
    for chunk in path.as_os_str().as_encoded_bytes().utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02X}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn bytes_that_are_not_text_are_written_as_hexadecimal() {
        use std::os::unix::ffi::OsStrExt as _;
        let path = Path::new(std::ffi::OsStr::from_bytes(b"caf\xe9/\xc3\xa9.wav"));
        assert_eq!(path_text(path), "caf\\xE9/é.wav");
    }
}
