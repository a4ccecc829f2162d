//! Embeddings as a `NumPy` array `[row, dim]` of `f32`, and a CSV file beside it that says what the
//! rows are.

use std::io::Write as _;
use std::path::Path;

use earmark::results::hms;

use super::{Destination, Row, Run, Subject, Table, path_text};

/// The version of the columns of the file beside the array.
const SCHEMA: &str = "earmark-rows-1";

/// The length of the header with everything before it: room for any shape, a multiple of 64.
pub(crate) const HEADER_LEN: usize = 128;

/// Writes version 1.0 of the format; the shape goes into the header at the end.
pub(super) struct NpyTable {
    destination: Destination,
    rows: Option<csv::Writer<Destination>>,
    n_rows: u64,
    dim: usize,
}

impl NpyTable {
    pub(super) fn new(mut destination: Destination) -> anyhow::Result<Self> {
        if !destination.can_seek() {
            anyhow::bail!("an npy file needs an ordinary file as --output: its header comes last");
        }
        let mut rows = destination
            .sibling("rows.csv")?
            .map(csv::Writer::from_writer);
        if let Some(rows) = &mut rows {
            rows.write_record([
                "row",
                "path",
                "channel",
                "start_secs",
                "end_secs",
                "start_hms",
                "end_hms",
                "start_time",
                "end_time",
                "model",
                "runtime",
                "schema",
            ])?;
        }
        destination.write_all(&embeddings(0, 0))?;
        Ok(Self {
            destination,
            rows,
            n_rows: 0,
            dim: 0,
        })
    }
}

impl Table for NpyTable {
    fn row(&mut self, run: &Run, path: &Path, subject: &Subject, row: &Row) -> anyhow::Result<()> {
        let [start_time, end_time] = subject.times(row);
        if let Some(rows) = &mut self.rows {
            rows.write_record([
                self.n_rows.to_string().as_str(),
                &path_text(path),
                &row.channel
                    .map(|channel| channel.to_string())
                    .unwrap_or_default(),
                &row.start_secs.to_string(),
                &row.end_secs.to_string(),
                &hms(row.start_secs),
                &hms(row.end_secs),
                start_time.as_deref().unwrap_or_default(),
                end_time.as_deref().unwrap_or_default(),
                &run.model,
                &run.runtime,
                SCHEMA,
            ])?;
        }
        for value in &row.embedding {
            self.destination.write_all(&value.to_le_bytes())?;
        }
        self.dim = row.embedding.len();
        self.n_rows += 1;
        Ok(())
    }

    fn finish(mut self: Box<Self>, _: &Run) -> anyhow::Result<()> {
        self.destination
            .write_at_start(&embeddings(self.n_rows, self.dim))?;
        self.destination.finish()?;
        match self.rows {
            Some(rows) => rows
                .into_inner()
                .map_err(|error| std::io::Error::from(error.error().kind()))?
                .finish(),
            None => Ok(()),
        }
    }
}

/// The header of an array `[n_rows, dim]`.
fn embeddings(n_rows: u64, dim: usize) -> Vec<u8> {
    header("<f4", Order::LastFastest, &[n_rows, dim as u64])
}

/// Which index of an array runs fastest in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// The last one, as in C.
    LastFastest,
    /// The first one, as in Fortran.
    FirstFastest,
}

/// The header of an array of numbers of a `kind` such as `<f4`, little-endian `f32`.
///
/// # Source
/// `numpy.lib.format`, version 1.0: magic, version, length, a Python dictionary padded with spaces.
pub(crate) fn header(kind: &str, order: Order, shape: &[u64]) -> Vec<u8> {
    let order = match order {
        Order::LastFastest => "False",
        Order::FirstFastest => "True",
    };
    let mut lengths: String = shape.iter().map(|length| format!("{length}, ")).collect();
    if shape.len() > 1 {
        lengths.truncate(lengths.len() - 2);
    }
    let lengths = lengths.trim_end();
    let text = format!("{{'descr': '{kind}', 'fortran_order': {order}, 'shape': ({lengths}), }}");
    let mut header = b"\x93NUMPY\x01\x00".to_vec();
    header.extend_from_slice(&((HEADER_LEN - 10) as u16).to_le_bytes());
    header.extend_from_slice(text.as_bytes());
    header.resize(HEADER_LEN - 1, b' ');
    header.push(b'\n');
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_what_numpy_writes() {
        let header = embeddings(3, 384);
        assert_eq!(header.len(), 128);
        assert_eq!(&header[..10], b"\x93NUMPY\x01\x00\x76\x00");
        let text = std::str::from_utf8(&header[10..]).unwrap();
        let dictionary = "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 384), }";
        assert!(
            text.starts_with(dictionary) && text.ends_with(" \n"),
            "{text:?}"
        );
    }
    #[test]
    fn shapes_are_python_tuples() {
        let text = |shape: &[u64]| {
            let header = header("<f8", Order::FirstFastest, shape);
            String::from_utf8_lossy(&header[10..]).trim_end().to_owned()
        };
        let with = |shape| format!("{{'descr': '<f8', 'fortran_order': True, 'shape': {shape}, }}");
        assert_eq!(text(&[]), with("()"));
        assert_eq!(text(&[7]), with("(7,)"));
        assert_eq!(text(&[1, 2, 3]), with("(1, 2, 3)"));
    }
}
