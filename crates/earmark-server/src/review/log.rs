//! The log: one decision per line of JSON, only ever appended to, on disk before it counts.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use earmark::{Error, Result};
use serde::{Deserialize, Serialize};

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Line {
    /// Milliseconds since 1970, UTC.
    pub(super) at_millis: u64,
    /// The clip, and its stretch if it has one.
    pub(super) clip: String,
    pub(super) action: Action,
    /// The labels from now on; those of `fix` and `add`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) labels: Option<Vec<String>>,
    /// The stretch in seconds of `add`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) stretch_secs: Option<(f64, f64)>,
}

/// What was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Action {
    /// The labels are right.
    Accept,
    /// Other labels are right.
    Fix,
    /// The clip is of no use.
    Reject,
    /// A stretch of the clip is a clip of its own.
    Add,
    /// The last decision that is not taken back is taken back; `clip` is the one that it was about.
    Undo,
}

/// An open log, which no other server has.
pub(super) struct Log {
    path: PathBuf,
    file: File,
}

impl Log {
    /// Opens or makes a log and reads what is in it. A last line that a crash has cut is dropped.
    pub(super) fn open(path: PathBuf) -> Result<(Self, Vec<Line>)> {
        let named = |error: std::io::Error| {
            Error::Io(std::io::Error::new(
                error.kind(),
                format!("{}: {error}", path.display()),
            ))
        };
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true);
        let mut file = options.open(&path).map_err(named)?;
        file.try_lock().map_err(|_| {
            named(std::io::Error::other(
                "another server reviews this data set",
            ))
        })?;
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(named)?;
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        if whole < text.len() {
            file.set_len(whole as u64).map_err(named)?;
            file.seek(SeekFrom::End(0)).map_err(named)?;
        }
        let lines: Result<Vec<Line>> = text[..whole]
            .lines()
            .enumerate()
            .map(|(index, line)| parse(&path, index + 1, line))
            .collect();
        Ok((Self { file, path }, lines?))
    }

    /// Appends a decision; it is on disk when this returns.
    pub(super) fn append(&mut self, line: &Line) -> Result<()> {
        let mut text = serde_json::to_vec(line).map_err(std::io::Error::from)?;
        text.push(b'\n');
        self.file.write_all(&text)?;
        self.file.sync_data()?;
        Ok(())
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

fn parse(path: &Path, number: usize, line: &str) -> Result<Line> {
    serde_json::from_str(line).map_err(|error| Error::Line {
        name: path.display().to_string(),
        line: number,
        reason: error.to_string(),
    })
}

/// Now, in milliseconds since 1970.
pub(super) fn now_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}
