//! `earmark embed`: writes the network's embeddings of recordings.

use clap::{Args, ValueEnum};
use earmark::results::Content;
use earmark::tagger::Tagger;
use serde_json::json;

use super::Outcome;
use crate::errors::Hinted;
use crate::journal::Settings;
use crate::output::Format;
use crate::printer::Printer;
use crate::recordings::{RecordingArgs, Wish};

/// The arguments of `earmark embed`.
#[derive(Debug, Args)]
pub(crate) struct EmbedArgs {
    #[command(flatten)]
    recordings: RecordingArgs,

    /// The format of results; may be repeated [default: by the ending of --output].
    #[arg(long, short, value_enum)]
    format: Vec<EmbeddingFormat>,
}

/// The formats of embeddings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum EmbeddingFormat {
    /// A `NumPy` array, one row per recording or segment, and a CSV file that says which.
    Npy,
    /// Apache Parquet.
    Parquet,
}

/// Runs `earmark embed`.
pub(crate) fn run(args: &EmbedArgs, printer: &Printer) -> anyhow::Result<Outcome> {
    let mut settings = Settings::new();
    settings.insert("command".to_owned(), json!("embed"));
    let wish = Wish {
        verb: "embedded",
        formats: formats(args)?,
        default_format: Format::ParquetEmbeddings,
        save_clips: None,
        settings,
    };
    let content = |tagger: &Tagger| match tagger.metadata().tensors.embedding {
        Some(_) => Ok(Content::Embeddings),
        None => Err(Hinted::error(
            "this model gives no embedding",
            "its metadata names none of the graph's outputs as `embedding`",
        )),
    };
    args.recordings.run(wish, content, printer)
}

fn formats(args: &EmbedArgs) -> anyhow::Result<Vec<Format>> {
    let formats: Vec<Format> = args
        .format
        .iter()
        .map(|format| match format {
            EmbeddingFormat::Npy => Format::Npy,
            EmbeddingFormat::Parquet => Format::ParquetEmbeddings,
        })
        .collect();
    if !formats.is_empty() {
        return Ok(formats);
    }
    match args.recordings.output_extension().as_deref() {
        Some("npy") => Ok(vec![Format::Npy]),
        Some("parquet") => Ok(vec![Format::ParquetEmbeddings]),
        _ => Err(Hinted::error(
            "no format is given",
            "give --format npy or parquet, or --output FILE.npy or FILE.parquet",
        )),
    }
}
