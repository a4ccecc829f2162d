//! Features as Apache Parquet: a row per frame.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, FixedSizeListBuilder, Float32Builder, Float64Builder, RecordBatch, StringBuilder,
    UInt64Builder,
};
use arrow::datatypes::{DataType, Field, Schema};
use earmark::features::Features;
use parquet::arrow::ArrowWriter;

use super::Job;
use super::each::Writer;
use super::listen::Heard;
use crate::output::{Destination, parquet_properties, path_text};

/// The version of the columns.
const SCHEMA: &str = "earmark-features-1";

/// Values that are held before they are encoded, and encoded before they are written.
const GROUP_VALUES: usize = 1 << 21;

/// Writes the columns `path`, `frame`, `start_secs` and `features`, a list of all bands of the first
/// channel, then of the second.
pub(super) struct FrameTable {
    writer: ArrowWriter<Destination>,
    schema: Arc<Schema>,
    path: String,
    /// Seconds from frame to frame; `None` where a frame has no fixed length.
    hop_secs: Option<f64>,
    n_frames: u64,
}

impl FrameTable {
    pub(super) fn new(destination: Destination, job: &Job, path: &Path) -> anyhow::Result<Self> {
        let front_end = &job.front_end;
        let [n_channels, n_bands] = [front_end.n_channels(), front_end.n_bands()];
        let item = Arc::new(Field::new("item", DataType::Float32, true));
        let list = DataType::FixedSizeList(item, i32::try_from(n_channels * n_bands)?);
        let schema = Arc::new(Schema::new(vec![
            Field::new("path", DataType::Utf8, false),
            Field::new("frame", DataType::UInt64, false),
            Field::new("start_secs", DataType::Float64, true),
            Field::new("features", list, false),
        ]));
        let properties = parquet_properties(
            &[
                ("earmark.schema", SCHEMA),
                (
                    "earmark.front_end",
                    &serde_json::to_string(front_end.config())?,
                ),
                ("earmark.front_end_name", &job.name),
                ("earmark.n_channels", &n_channels.to_string()),
                ("earmark.n_bands", &n_bands.to_string()),
            ],
            (GROUP_VALUES / (n_channels * n_bands)).max(64),
        )?;
        let rate = front_end.frames_per_second();
        Ok(Self {
            writer: ArrowWriter::try_new(destination, schema.clone(), Some(properties))?,
            schema,
            path: path_text(path),
            hop_secs: (rate > 0.0).then(|| rate.recip()),
            n_frames: 0,
        })
    }

    fn encode(
        &mut self,
        features: &Features,
        frames: std::ops::Range<usize>,
    ) -> anyhow::Result<()> {
        let dim = features.n_channels * features.n_bands;
        let mut path = StringBuilder::new();
        let mut number = UInt64Builder::new();
        let mut start = Float64Builder::new();
        let values = Float32Builder::with_capacity(dim * frames.len());
        let mut list = FixedSizeListBuilder::new(values, i32::try_from(dim)?);
        for frame in frames {
            path.append_value(&self.path);
            number.append_value(self.n_frames);
            start.append_option(self.hop_secs.map(|hop| hop * self.n_frames as f64));
            let rows = features.data.chunks_exact(features.n_frames);
            rows.for_each(|row| list.values().append_value(row[frame]));
            list.append(true);
            self.n_frames += 1;
        }
        let columns: Vec<ArrayRef> = vec![
            Arc::new(path.finish()),
            Arc::new(number.finish()),
            Arc::new(start.finish()),
            Arc::new(list.finish()),
        ];
        Ok(self
            .writer
            .write(&RecordBatch::try_new(self.schema.clone(), columns)?)?)
    }
}

impl Writer for FrameTable {
    fn frames(&mut self, features: &Features) -> anyhow::Result<()> {
        let at_once = (GROUP_VALUES / (features.n_channels * features.n_bands).max(1)).max(1);
        let mut start = 0;
        while start < features.n_frames {
            let end = (start + at_once).min(features.n_frames);
            self.encode(features, start..end)?;
            start = end;
        }
        Ok(())
    }

    fn finish(self: Box<Self>, _: &Heard) -> anyhow::Result<()> {
        self.writer.into_inner()?.finish()
    }
}
