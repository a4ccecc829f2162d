//! A journal of finished work: what a run was begun with, then a line for each finished piece.
//!
//! The first line holds the settings; a run with other ones is refused. Every further line is
//! written at once, so that a kill leaves whole lines and at most one broken at the end, which is
//! no line. One run at a time holds the file.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Seek as _, Write as _};
use std::path::Path;
use std::time::UNIX_EPOCH;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::errors::Hinted;

/// The layout of journals and of what they stand for.
const FORMAT: u32 = 1;

/// Everything that decides what the results are. Two runs with equal settings give equal results.
pub(crate) type Settings = serde_json::Map<String, serde_json::Value>;

#[derive(Serialize, Deserialize)]
struct Header {
    earmark_partial: u32,
    settings: Settings,
}

/// An open journal.
pub(crate) struct Journal {
    file: File,
    /// The file's name, for messages.
    name: String,
    /// Advice for those who do not want to go on.
    start_again: String,
}

impl Journal {
    /// Opens a journal, or begins one; returns it with the lines of finished work. `owner` is what
    /// messages call the run's place, and `start_again` says how to be rid of it.
    ///
    /// # Errors
    /// When another run is using it, or it was begun with other settings.
    pub(crate) fn open(
        path: &Path,
        settings: Settings,
        owner: &str,
        start_again: String,
    ) -> anyhow::Result<(Self, Vec<Vec<u8>>)> {
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(path)
            .with_context(|| format!("cannot open {}", path.display()))?;
        if file.try_lock().is_err() {
            return Err(Hinted::error(
                format!("{owner}: another run is writing to it"),
                "wait for it to end, or give another --output",
            ));
        }
        let name = path.file_name().unwrap_or_default();
        let mut journal = Self {
            file,
            name: name.to_string_lossy().into_owned(),
            start_again,
        };
        let lines = journal
            .read(settings)
            .with_context(|| format!("cannot resume from {owner}"))?;
        Ok((journal, lines))
    }

    /// The place of the `index`-th line of finished work, for messages.
    pub(crate) fn place(&self, index: usize) -> String {
        format!("{}:{}", self.name, index + 2)
    }

    /// Adds a line.
    pub(crate) fn append(&mut self, entry: &impl Serialize) -> anyhow::Result<()> {
        Ok(self.file.write_all(&json_line(entry)?)?)
    }

    fn read(&mut self, settings: Settings) -> anyhow::Result<Vec<Vec<u8>>> {
        self.file.rewind()?;
        let mut reader = BufReader::new(&self.file);
        let mut whole = 0;
        let mut lines: Vec<Vec<u8>> = Vec::new();
        loop {
            let mut line = Vec::new();
            let n_bytes = reader.read_until(b'\n', &mut line)?;
            if line.pop() != Some(b'\n') {
                break;
            }
            whole += n_bytes as u64;
            lines.push(line);
        }
        // What a kill left of the last line would otherwise become part of the next.
        self.file.set_len(whole)?;
        if lines.is_empty() {
            let header = Header {
                earmark_partial: FORMAT,
                settings,
            };
            self.file.write_all(&json_line(&header)?)?;
            return Ok(lines);
        }
        self.check_header(&lines.remove(0), &settings)?;
        Ok(lines)
    }

    fn check_header(&self, line: &[u8], settings: &Settings) -> anyhow::Result<()> {
        let header: Header = serde_json::from_slice(line).map_err(|error| {
            Hinted::error(
                format!("{}:1: {error}", self.name),
                self.start_again.clone(),
            )
        })?;
        if header.earmark_partial != FORMAT {
            return Err(Hinted::error(
                format!(
                    "its layout is version {}, this build reads {FORMAT}",
                    header.earmark_partial
                ),
                self.start_again.clone(),
            ));
        }
        let null = serde_json::Value::Null;
        let keys = header.settings.keys().chain(settings.keys());
        for key in keys {
            let before = header.settings.get(key).unwrap_or(&null);
            let now = settings.get(key).unwrap_or(&null);
            if before != now {
                return Err(Hinted::error(
                    format!("it was begun with {key} = {before}, this run has {now}"),
                    format!("give the same options, or {}", self.start_again),
                ));
            }
        }
        Ok(())
    }
}

/// What tells that a file is still the one that was worked on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stamp {
    size: u64,
    /// Nanoseconds since 1970.
    mtime_ns: u64,
}

impl Stamp {
    /// The stamp of a file as it is now.
    pub(crate) fn of(path: &Path) -> anyhow::Result<Self> {
        let metadata = std::fs::metadata(path).with_context(|| path.display().to_string())?;
        let since = metadata
            .modified()?
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Ok(Self {
            size: metadata.len(),
            mtime_ns: u64::try_from(since.as_nanos()).unwrap_or(u64::MAX),
        })
    }

    /// Whether the file is still the one that was `worked_on`, which is the word for messages. Not one
    /// that cannot be looked at: whoever reads it will say why.
    ///
    /// # Errors
    /// When it has changed since.
    pub(crate) fn still_fits(
        &self,
        path: &Path,
        worked_on: &str,
        start_again: &str,
    ) -> anyhow::Result<bool> {
        match Self::of(path) {
            Ok(now) if now == *self => Ok(true),
            Ok(_) => Err(Hinted::error(
                format!("{}: has changed since it was {worked_on}", path.display()),
                start_again,
            )),
            Err(_) => Ok(false),
        }
    }
}

/// A value as JSON with the end of a line.
pub(crate) fn json_line(value: &impl Serialize) -> anyhow::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    Ok(line)
}

/// The bytes of a text of hexadecimal digits; what is none ends it.
pub(crate) fn unhex(text: &str) -> Vec<u8> {
    text.as_bytes()
        .chunks_exact(2)
        .map_while(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}
