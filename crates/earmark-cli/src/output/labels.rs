//! Label tracks of Audacity and selection tables of Raven: one row per tag, one file per recording.

use std::io::Write as _;
use std::path::Path;

use super::{Destination, Row, Run, Subject, Table, path_text};

/// Audacity's label track: start, end and text, divided by tabs.
///
/// # Source
/// Audacity manual, "Importing and Exporting Labels", standard format.
pub(super) struct AudacityTable {
    destination: Destination,
}

impl AudacityTable {
    pub(super) fn new(destination: Destination) -> Self {
        Self { destination }
    }
}

impl Table for AudacityTable {
    fn row(&mut self, run: &Run, _: &Path, _: &Subject, row: &Row) -> anyhow::Result<()> {
        for tag in &row.tags {
            write!(
                self.destination,
                "{:.6}\t{:.6}\t{} {:.3}",
                row.start_secs,
                row.end_secs,
                run.vocabulary.name(tag.class),
                tag.score
            )?;
            match row.channel {
                Some(channel) => writeln!(self.destination, " (channel {channel})")?,
                None => writeln!(self.destination)?,
            }
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

/// Raven's selection table: the columns that Raven needs, then ours, divided by tabs.
///
/// # Source
/// Raven Pro user's manual, "Selection tables": Selection, View, Channel, Begin Time, End Time, Low
/// Freq and High Freq are required; other columns become annotations.
pub(super) struct RavenTable {
    destination: Destination,
    n_rows: u64,
}

impl RavenTable {
    pub(super) fn new(mut destination: Destination) -> anyhow::Result<Self> {
        writeln!(
            destination,
            "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)\t\
             Begin Path\tClass\tScore\tModel\tRuntime"
        )?;
        Ok(Self {
            destination,
            n_rows: 0,
        })
    }
}

impl Table for RavenTable {
    fn row(&mut self, run: &Run, path: &Path, subject: &Subject, row: &Row) -> anyhow::Result<()> {
        // Raven reads the path to find the sound; a relative one would depend on its folder.
        let path = path_text(&std::path::absolute(path).unwrap_or_else(|_| path.to_owned()));
        let path = path.replace(['\t', '\n', '\r'], " ");
        for tag in &row.tags {
            self.n_rows += 1;
            writeln!(
                self.destination,
                "{}\tSpectrogram 1\t{}\t{:.6}\t{:.6}\t0.0\t{:.1}\t{path}\t{}\t{}\t{}\t{}",
                self.n_rows,
                row.channel.unwrap_or(1),
                row.start_secs,
                row.end_secs,
                subject.highest_hz,
                run.vocabulary.name(tag.class),
                tag.score,
                run.model,
                run.runtime,
            )?;
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
