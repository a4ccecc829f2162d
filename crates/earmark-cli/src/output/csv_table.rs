//! Comma-separated values: one row per tag, always the same columns.

use std::path::Path;

use earmark::results::hms;

use super::{Destination, Row, Run, Subject, Table, path_text};

/// The version of the columns below, in the last of them. It changes when a column is renamed,
/// removed, moved or means something else.
pub(super) const SCHEMA: &str = "earmark-tags-1";

/// The columns, as `docs/outputs.md` describes them.
pub(super) const COLUMNS: [&str; 15] = [
    "path",
    "channel",
    "start_secs",
    "end_secs",
    "start_hms",
    "end_hms",
    "start_time",
    "end_time",
    "rank",
    "class",
    "class_id",
    "score",
    "model",
    "runtime",
    "schema",
];

/// Writes CSV as RFC 4180 with `\n` line ends, in UTF-8.
pub(super) struct CsvTable {
    writer: csv::Writer<Destination>,
}

impl CsvTable {
    pub(super) fn new(destination: Destination) -> anyhow::Result<Self> {
        let mut writer = csv::Writer::from_writer(destination);
        writer.write_record(COLUMNS)?;
        Ok(Self { writer })
    }
}

impl Table for CsvTable {
    fn row(&mut self, run: &Run, path: &Path, subject: &Subject, row: &Row) -> anyhow::Result<()> {
        let [start_time, end_time] = subject.times(row);
        let path = path_text(path);
        let channel = row.channel.map(|channel| channel.to_string());
        for (index, tag) in row.tags.iter().enumerate() {
            let class = run.vocabulary.get(tag.class);
            let id = class.and_then(|class| class.id.as_deref());
            self.writer
                .write_record([
                    path.as_str(),
                    channel.as_deref().unwrap_or_default(),
                    &row.start_secs.to_string(),
                    &row.end_secs.to_string(),
                    &hms(row.start_secs),
                    &hms(row.end_secs),
                    start_time.as_deref().unwrap_or_default(),
                    end_time.as_deref().unwrap_or_default(),
                    &(index + 1).to_string(),
                    run.vocabulary.name(tag.class),
                    id.unwrap_or_default(),
                    &tag.score.to_string(),
                    &run.model,
                    &run.runtime,
                    SCHEMA,
                ])
                .map_err(into_io)?;
        }
        Ok(())
    }

    fn finish(self: Box<Self>, _: &Run) -> anyhow::Result<()> {
        let destination = self
            .writer
            .into_inner()
            .map_err(|error| std::io::Error::from(error.error().kind()))?;
        destination.finish()
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        Ok(self.writer.flush()?)
    }
}

/// The I/O error inside, so that a closed pipe is recognised.
fn into_io(error: csv::Error) -> std::io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => std::io::Error::other(format!("{other:?}")),
    }
}
