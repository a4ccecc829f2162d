//! Results on their way out: rows in, tables in the wished formats out.
//!
//! ```text
//! Row ── Table (one format) ── Place (standard output, a file, a file per recording)
//! ```
//!
//! A [`Row`] is what every format is made from; the formats and their columns are documented in
//! `docs/outputs.md`. Files appear under their name when they are complete, never before.

mod csv_table;
mod json;
mod labels;
mod npy;
mod parquet_table;
mod place;
mod table;

use std::path::Path;

use clap::ValueEnum;
use earmark::dataset::Vocabulary;
use earmark::tagger::Tag;
use serde::{Deserialize, Serialize};

use crate::moment::Moment;

pub(crate) use place::{Layout, Outputs};

use place::Destination;

/// What a row is about: a clip, a segment or an event, in one channel or in the mix.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    /// The channel counted from 1; `None` when channels are mixed.
    pub(crate) channel: Option<usize>,
    /// Seconds from the start of the recording.
    pub(crate) start_secs: f64,
    /// Seconds from the start of the recording.
    pub(crate) end_secs: f64,
    /// The tags, best first.
    pub(crate) tags: Vec<Tag>,
    /// The embedding; empty for a row of tags.
    pub(crate) embedding: Vec<f32>,
}

/// The recording that rows are about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Subject {
    /// When it began, if known.
    pub(crate) start: Option<Moment>,
    /// The highest frequency that the tagger hears in it, in Hz.
    pub(crate) highest_hz: f64,
}

/// What all rows of a run have in common.
#[derive(Debug)]
pub(crate) struct Run {
    /// The model's name.
    pub(crate) model: String,
    /// The SHA-256 of the model's file.
    pub(crate) model_sha256: String,
    /// The runtime that ran the network.
    pub(crate) runtime: String,
    pub(crate) vocabulary: Vocabulary,
    /// Whether rows are segments or events rather than whole recordings.
    pub(crate) timeline: bool,
}

/// The format of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, ValueEnum)]
pub(crate) enum Format {
    /// Text for people.
    Table,
    /// One JSON object per line.
    Json,
    /// Comma-separated values, one row per tag.
    Csv,
    /// Apache Parquet with the columns of CSV.
    Parquet,
    /// Label tracks of Audacity.
    Audacity,
    /// Selection tables of Raven.
    Raven,
    /// A `NumPy` array of embeddings, one row per clip or segment.
    #[value(skip)]
    Npy,
    /// Embeddings in Apache Parquet.
    #[value(skip)]
    ParquetEmbeddings,
}

impl Format {
    /// What a file of this format is called after its stem.
    pub(crate) fn extension(self) -> &'static str {
        match self {
            Self::Table => "txt",
            Self::Json => "jsonl",
            Self::Csv => "csv",
            Self::Parquet | Self::ParquetEmbeddings => "parquet",
            Self::Audacity => "audacity.txt",
            Self::Raven => "raven.txt",
            Self::Npy => "npy",
        }
    }

    /// Whether the format describes one recording and so needs a file for each.
    pub(crate) fn is_per_recording(self) -> bool {
        matches!(self, Self::Audacity | Self::Raven)
    }

    /// The format's name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Json => "json",
            Self::Csv => "csv",
            Self::Parquet | Self::ParquetEmbeddings => "parquet",
            Self::Audacity => "audacity",
            Self::Raven => "raven",
            Self::Npy => "npy",
        }
    }
}

/// One table in one format.
pub(crate) trait Table {
    /// Adds a row about the recording at `path`.
    fn row(&mut self, run: &Run, path: &Path, subject: &Subject, row: &Row) -> anyhow::Result<()>;

    /// Completes the table and puts it in its place.
    fn finish(self: Box<Self>, run: &Run) -> anyhow::Result<()>;

    /// Hands what is written so far to the reader; for tables that somebody watches.
    fn flush(&mut self) -> anyhow::Result<()> {
        Ok(())
    }
}

/// Creates a table of a format in a place.
pub(crate) fn create(
    format: Format,
    destination: Destination,
    run: &Run,
) -> anyhow::Result<Box<dyn Table>> {
    Ok(match format {
        Format::Table => Box::new(table::TextTable::new(destination)),
        Format::Json => Box::new(json::JsonTable::new(destination)),
        Format::Csv => Box::new(csv_table::CsvTable::new(destination)?),
        Format::Parquet => Box::new(parquet_table::ParquetTable::tags(destination, run)?),
        Format::ParquetEmbeddings => {
            Box::new(parquet_table::ParquetTable::embeddings(destination, run)?)
        }
        Format::Audacity => Box::new(labels::AudacityTable::new(destination)),
        Format::Raven => Box::new(labels::RavenTable::new(destination)?),
        Format::Npy => Box::new(npy::NpyTable::new(destination)?),
    })
}

/// A path as text: UTF-8 as it is, every other byte as `\xNN`.
pub(crate) fn path_text(path: &Path) -> String {
    let mut text = String::new();
    for chunk in path.as_os_str().as_encoded_bytes().utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02X}"));
        }
    }
    text
}

/// The columns that say what a row is about, the same in every format.
#[derive(Debug)]
pub(crate) struct RowTimes {
    pub(crate) start_time: Option<String>,
    pub(crate) end_time: Option<String>,
}

impl RowTimes {
    pub(crate) fn of(subject: &Subject, row: &Row) -> Self {
        let at = |secs: f64| subject.start.and_then(|start| start.iso_after(secs));
        Self {
            start_time: at(row.start_secs),
            end_time: at(row.end_secs),
        }
    }
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
