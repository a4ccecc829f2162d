//! Apache Parquet: the columns of CSV, or embeddings, written row group by row group.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, FixedSizeListBuilder, Float32Builder, Float64Builder, RecordBatch, StringBuilder,
    UInt16Builder, UInt32Builder,
};
use arrow::datatypes::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;

use earmark::results::hms;

use super::{Destination, Row, Run, Subject, Table, csv_table, path_text};

/// The version of the columns of embeddings.
const EMBEDDINGS_SCHEMA: &str = "earmark-embeddings-1";

/// Rows that are collected before they are encoded.
const BATCH_ROWS: usize = 1024;

/// Rows of a row group: what is held, encoded, before it is written.
const GROUP_ROWS: usize = 16 * 1024;

/// Writes Parquet with Zstandard compression.
pub(super) struct ParquetTable {
    /// Opened at the first row: the length of embeddings is part of the schema.
    writer: Option<ArrowWriter<Destination>>,
    destination: Option<Destination>,
    common: Common,
    columns: Columns,
    n_rows: usize,
}

/// What a row is about.
#[derive(Default)]
struct Common {
    path: StringBuilder,
    channel: UInt16Builder,
    start_secs: Float64Builder,
    end_secs: Float64Builder,
    start_hms: StringBuilder,
    end_hms: StringBuilder,
    start_time: StringBuilder,
    end_time: StringBuilder,
}

enum Columns {
    Tags(Box<Tags>),
    Embeddings(Option<FixedSizeListBuilder<Float32Builder>>),
}

#[derive(Default)]
struct Tags {
    rank: UInt32Builder,
    class: StringBuilder,
    class_id: StringBuilder,
    score: Float32Builder,
}

/// How all Parquet files of the program are written: Zstandard, with metadata, in groups of at most
/// so many rows.
pub(crate) fn properties(
    metadata: &[(&str, &str)],
    group_rows: usize,
) -> anyhow::Result<WriterProperties> {
    let pairs = metadata.iter();
    let pairs = pairs.map(|(key, value)| KeyValue::new((*key).to_owned(), (*value).to_owned()));
    Ok(WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
        .set_max_row_group_row_count(Some(group_rows))
        .set_created_by(concat!("earmark ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_key_value_metadata(Some(pairs.collect()))
        .build())
}

impl ParquetTable {
    /// A table of tags.
    pub(super) fn tags(destination: Destination, run: &Run) -> anyhow::Result<Self> {
        let mut table = Self::new(destination, Columns::Tags(Box::default()));
        table.open(run)?;
        Ok(table)
    }

    /// A table of embeddings.
    pub(super) fn embeddings(destination: Destination, _: &Run) -> anyhow::Result<Self> {
        Ok(Self::new(destination, Columns::Embeddings(None)))
    }

    fn new(destination: Destination, columns: Columns) -> Self {
        Self {
            writer: None,
            destination: Some(destination),
            common: Common::default(),
            columns,
            n_rows: 0,
        }
    }

    fn open(&mut self, run: &Run) -> anyhow::Result<()> {
        let Some(destination) = self.destination.take() else {
            return Ok(());
        };
        let schema_name = match self.columns {
            Columns::Tags(_) => csv_table::SCHEMA,
            Columns::Embeddings(_) => EMBEDDINGS_SCHEMA,
        };
        let properties = properties(
            &[
                ("earmark.schema", schema_name),
                ("earmark.model", &run.model),
                ("earmark.model_sha256", &run.model_sha256),
                ("earmark.runtime", &run.runtime),
            ],
            GROUP_ROWS,
        )?;
        let schema = Arc::new(self.schema());
        self.writer = Some(ArrowWriter::try_new(destination, schema, Some(properties))?);
        Ok(())
    }

    fn schema(&self) -> Schema {
        let mut fields = Common::fields();
        match &self.columns {
            Columns::Tags(_) => fields.extend(Tags::fields()),
            Columns::Embeddings(list) => {
                let dim = list.as_ref().map_or(0, |list| list.value_length());
                let item = Arc::new(Field::new("item", DataType::Float32, true));
                fields.push(Field::new(
                    "embedding",
                    DataType::FixedSizeList(item, dim),
                    false,
                ));
            }
        }
        fields.push(Field::new("model", DataType::Utf8, false));
        fields.push(Field::new("runtime", DataType::Utf8, false));
        fields.push(Field::new("schema", DataType::Utf8, false));
        Schema::new(fields)
    }

    /// Encodes the rows collected so far.
    fn encode(&mut self, run: &Run) -> anyhow::Result<()> {
        if self.n_rows == 0 {
            return Ok(());
        }
        let mut arrays = self.common.finish();
        let schema_name = match &mut self.columns {
            Columns::Tags(tags) => {
                arrays.extend(tags.finish());
                csv_table::SCHEMA
            }
            Columns::Embeddings(list) => {
                arrays.extend(
                    list.as_mut()
                        .map(|list| Arc::new(list.finish()) as ArrayRef),
                );
                EMBEDDINGS_SCHEMA
            }
        };
        for value in [run.model.as_str(), &run.runtime, schema_name] {
            let mut column = StringBuilder::new();
            (0..self.n_rows).for_each(|_| column.append_value(value));
            arrays.push(Arc::new(column.finish()));
        }
        let batch = RecordBatch::try_new(Arc::new(self.schema()), arrays)?;
        self.n_rows = 0;
        match &mut self.writer {
            Some(writer) => Ok(writer.write(&batch)?),
            None => Ok(()),
        }
    }
}

impl Table for ParquetTable {
    fn row(&mut self, run: &Run, path: &Path, subject: &Subject, row: &Row) -> anyhow::Result<()> {
        match &mut self.columns {
            Columns::Tags(tags) => {
                for (index, tag) in row.tags.iter().enumerate() {
                    self.common.append(path, subject, row);
                    let class = run.vocabulary.get(tag.class);
                    tags.rank.append_value(index as u32 + 1);
                    tags.class.append_value(run.vocabulary.name(tag.class));
                    tags.class_id
                        .append_option(class.and_then(|class| class.id.as_deref()));
                    tags.score.append_value(tag.score);
                }
                self.n_rows += row.tags.len();
            }
            Columns::Embeddings(list) => {
                let dim = i32::try_from(row.embedding.len())?;
                let list = list
                    .get_or_insert_with(|| FixedSizeListBuilder::new(Float32Builder::new(), dim));
                list.values().append_slice(&row.embedding);
                list.append(true);
                self.common.append(path, subject, row);
                self.n_rows += 1;
                self.open(run)?;
            }
        }
        if self.n_rows >= BATCH_ROWS {
            self.encode(run)?;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>, run: &Run) -> anyhow::Result<()> {
        self.open(run)?;
        self.encode(run)?;
        match self.writer {
            Some(writer) => writer.into_inner()?.finish(),
            None => Ok(()),
        }
    }
}

impl Common {
    fn fields() -> Vec<Field> {
        let text = |name: &str| Field::new(name, DataType::Utf8, true);
        vec![
            Field::new("path", DataType::Utf8, false),
            Field::new("channel", DataType::UInt16, true),
            Field::new("start_secs", DataType::Float64, false),
            Field::new("end_secs", DataType::Float64, false),
            text("start_hms"),
            text("end_hms"),
            text("start_time"),
            text("end_time"),
        ]
    }

    fn append(&mut self, path: &Path, subject: &Subject, row: &Row) {
        let [start_time, end_time] = subject.times(row);
        self.path.append_value(path_text(path));
        self.channel
            .append_option(row.channel.map(|channel| channel as u16));
        self.start_secs.append_value(row.start_secs);
        self.end_secs.append_value(row.end_secs);
        self.start_hms.append_value(hms(row.start_secs));
        self.end_hms.append_value(hms(row.end_secs));
        self.start_time.append_option(start_time);
        self.end_time.append_option(end_time);
    }

    fn finish(&mut self) -> Vec<ArrayRef> {
        vec![
            Arc::new(self.path.finish()),
            Arc::new(self.channel.finish()),
            Arc::new(self.start_secs.finish()),
            Arc::new(self.end_secs.finish()),
            Arc::new(self.start_hms.finish()),
            Arc::new(self.end_hms.finish()),
            Arc::new(self.start_time.finish()),
            Arc::new(self.end_time.finish()),
        ]
    }
}

impl Tags {
    fn fields() -> Vec<Field> {
        vec![
            Field::new("rank", DataType::UInt32, false),
            Field::new("class", DataType::Utf8, false),
            Field::new("class_id", DataType::Utf8, true),
            Field::new("score", DataType::Float32, false),
        ]
    }

    fn finish(&mut self) -> Vec<ArrayRef> {
        vec![
            Arc::new(self.rank.finish()),
            Arc::new(self.class.finish()),
            Arc::new(self.class_id.finish()),
            Arc::new(self.score.finish()),
        ]
    }
}
