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
pub(crate) mod npy;
mod parquet_table;
mod place;
mod table;

use std::path::Path;

use clap::ValueEnum;

pub(crate) use earmark::results::{Row, Run, Subject, path_text};
pub(crate) use parquet_table::properties as parquet_properties;
pub(crate) use place::{Destination, Layout, Outputs, check_output};

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
