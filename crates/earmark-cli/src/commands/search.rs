//! `earmark search`: a sound and an index in, the sounds most like it out.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use earmark::audio::Source;
use earmark::digest::sha256_of_bytes;
use earmark::results::hms;
use earmark::search::{Hit, Index, SearchOptions};
use earmark::tagger::{Tagger, TaggerOptions};
use serde_json::json;

use super::Outcome;
use super::bundle::ModelStore;
use super::index::no_embedding;
use crate::model::{self, RuntimeArg};
use crate::output::path_text;
use crate::printer::Printer;

/// The arguments of `earmark search`.
#[derive(Debug, Args)]
pub(crate) struct SearchArgs {
    /// The sound to compare with, or `-` for standard input.
    #[arg(value_name = "SOUND")]
    sound: PathBuf,

    /// The index that `earmark index` wrote.
    #[arg(long, short, value_name = "FILE")]
    index: PathBuf,

    /// The model that the index was made with: a bundle's file, or the name of a fetched one.
    #[arg(long, short, value_name = "FILE|NAME")]
    model: Option<PathBuf>,

    #[command(flatten)]
    store: ModelStore,

    /// The most results.
    #[arg(long, value_name = "N", default_value_t = 10)]
    top: usize,

    /// Show every stretch of a recording that is near, instead of the nearest of each.
    #[arg(long)]
    every_stretch: bool,

    /// How results are written.
    #[arg(long, short, value_enum, default_value_t)]
    format: Format,

    /// What runs the network.
    #[arg(long, value_enum, default_value = "auto")]
    runtime: RuntimeArg,
}

/// How results are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    #[default]
    Table,
    /// One object per line.
    Json,
    /// One line per result.
    Csv,
}

impl SearchArgs {
    /// Searches and prints.
    pub(crate) fn run(&self, printer: &Printer) -> anyhow::Result<Outcome> {
        earmark::audio::silence_decoder_panics();
        let index = Index::open(&self.index)?;
        let bundle = model::open(self.model.as_deref(), &self.store)?;
        index.check_model(&bundle.metadata().name, &sha256_of_bytes(bundle.bytes()))?;
        let info = index.info();
        let options = TaggerOptions {
            runtime: self.runtime.into(),
            // The sound is cut as the sounds in the index were.
            window_secs: Some(info.window_secs),
            hop_secs: Some(info.hop_secs),
            ..TaggerOptions::default()
        };
        let tagger = Tagger::from_bundle(&bundle, &options)?;
        let source = match self.sound.as_os_str() == "-" {
            true => Source::Reader {
                name: "-".to_owned(),
                reader: Box::new(std::io::stdin()),
            },
            false => Source::Path(self.sound.clone()),
        };
        let clip = tagger
            .tag(source)?
            .into_iter()
            .next()
            .context("no segment was scored")?;
        if clip.embedding.is_empty() {
            return Err(no_embedding());
        }
        let options = SearchOptions {
            top: self.top,
            once_per_recording: !self.every_stretch,
        };
        let hits = index.search(&clip.embedding, &options)?;
        self.print(&hits, printer)?;
        Ok(Outcome::Done)
    }

    fn print(&self, hits: &[Hit], printer: &Printer) -> anyhow::Result<()> {
        match self.format {
            Format::Table => {
                for hit in hits {
                    printer.line(format!(
                        "{:.3}  {} - {}  {}",
                        hit.score,
                        hms(hit.start_secs),
                        hms(hit.end_secs),
                        path_text(&hit.path)
                    ))?;
                }
            }
            Format::Json => {
                for hit in hits {
                    let line = json!({
                        "path": path_text(&hit.path),
                        "start_secs": hit.start_secs,
                        "end_secs": hit.end_secs,
                        "score": hit.score,
                    });
                    printer.line(line.to_string())?;
                }
            }
            Format::Csv => {
                let mut table = csv::Writer::from_writer(Printer::stdout());
                table.write_record(["rank", "path", "start_secs", "end_secs", "score"])?;
                for (at, hit) in hits.iter().enumerate() {
                    table.write_record([
                        (at + 1).to_string(),
                        path_text(&hit.path),
                        hit.start_secs.to_string(),
                        hit.end_secs.to_string(),
                        hit.score.to_string(),
                    ])?;
                }
                table.flush()?;
            }
        }
        Ok(())
    }
}
