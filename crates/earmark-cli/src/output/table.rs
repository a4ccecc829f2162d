//! Text for people: a line per recording and its tags below, or a line per segment.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::Path;

use earmark::results::hms;

use super::{Destination, Row, Run, Subject, Table};

/// Writes text. Not meant to be parsed; its look may change.
pub(super) struct TextTable {
    destination: Destination,
    last: Option<OsString>,
}

impl TextTable {
    pub(super) fn new(destination: Destination) -> Self {
        Self {
            destination,
            last: None,
        }
    }

    /// Writes the recording's line where a new one begins.
    fn heading(&mut self, run: &Run, path: &Path, row: &Row) -> std::io::Result<()> {
        let is_new = self.last.as_deref() != Some(path.as_os_str());
        if run.timeline && !is_new {
            return Ok(());
        }
        if self.last.replace(path.as_os_str().to_owned()).is_some() {
            writeln!(self.destination)?;
        }
        // The terminal gets the path as the file system has it, whatever its bytes are.
        self.destination
            .write_all(path.as_os_str().as_encoded_bytes())?;
        if let Some(channel) = row.channel.filter(|_| !run.timeline) {
            write!(self.destination, "  channel {channel}")?;
        }
        if !run.timeline {
            write!(self.destination, "  {:.1} s", row.end_secs)?;
        }
        writeln!(self.destination)
    }
}

impl Table for TextTable {
    fn row(&mut self, run: &Run, path: &Path, _: &Subject, row: &Row) -> anyhow::Result<()> {
        self.heading(run, path, row)?;
        let out = &mut self.destination;
        let name = |class: usize| run.vocabulary.name(class);
        if !run.timeline {
            for tag in &row.tags {
                writeln!(out, "  {:.3}  {}", tag.score, name(tag.class))?;
            }
            if row.tags.is_empty() {
                writeln!(out, "  no tag")?;
            }
            return Ok(());
        }
        write!(out, "  {} - {}", hms(row.start_secs), hms(row.end_secs))?;
        if let Some(channel) = row.channel {
            write!(out, "  channel {channel}")?;
        }
        let tags: Vec<String> = row
            .tags
            .iter()
            .map(|tag| format!("{:.3} {}", tag.score, name(tag.class)))
            .collect();
        match tags.is_empty() {
            true => writeln!(out, "  no tag")?,
            false => writeln!(out, "  {}", tags.join(" · "))?,
        }
        Ok(())
    }

    fn finish(self: Box<Self>, _: &Run) -> anyhow::Result<()> {
        self.destination.finish()
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        Ok(self.destination.flush()?)
    }
}
