//! One JSON object per line.

use std::io::Write as _;
use std::path::Path;

use earmark::results::write_json_line;

use super::{Destination, Row, Run, Subject, Table};

/// Writes JSON lines.
pub(super) struct JsonTable {
    destination: Destination,
}

impl JsonTable {
    pub(super) fn new(destination: Destination) -> Self {
        Self { destination }
    }
}

impl Table for JsonTable {
    fn row(&mut self, run: &Run, path: &Path, subject: &Subject, row: &Row) -> anyhow::Result<()> {
        write_json_line(&mut self.destination, run, path, subject, row)?;
        Ok(self.destination.write_all(b"\n")?)
    }

    fn finish(self: Box<Self>, _: &Run) -> anyhow::Result<()> {
        self.destination.finish()
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        Ok(self.destination.flush()?)
    }
}
