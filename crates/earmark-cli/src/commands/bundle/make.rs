//! `earmark bundle import | wrap | export`: bundles from other programs' files, and for them.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use earmark::bundle::{
    Activation, Bundle, Card, ImportOptions, Licence, WrapConfig, import_weights, wrap,
};
use earmark::dataset::Vocabulary;

use super::ModelStore;
use super::card::grouped;
use crate::printer::Printer;

/// Arguments of `bundle import`.
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// EfficientAT weights: a PyTorch (.pt) or .safetensors file. Nothing in it is executed.
    weights: PathBuf,

    /// The bundle to write.
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,

    /// The classes in the order of the outputs: a CSV file with a column `name` and perhaps `id`.
    /// Not needed for the 527 classes of AudioSet.
    #[arg(long, value_name = "CSV")]
    vocabulary: Option<PathBuf>,

    /// What turns the outputs into scores.
    #[arg(long, value_enum, default_value_t)]
    activation: ActivationArg,

    /// The bundle's name [default: the registry's for known weights, else the network's].
    #[arg(long)]
    name: Option<String>,

    /// The terms of use as an SPDX expression, such as `MIT`.
    #[arg(long, value_name = "SPDX")]
    licence: Option<String>,
}

/// An activation by name.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum ActivationArg {
    /// Each class by itself.
    #[default]
    Sigmoid,
    /// One class out of all.
    Softmax,
}

impl ImportArgs {
    pub(super) fn run(self, printer: &Printer) -> anyhow::Result<()> {
        let options = ImportOptions {
            name: self.name,
            vocabulary: self
                .vocabulary
                .as_deref()
                .map(Vocabulary::from_csv)
                .transpose()?,
            activation: match self.activation {
                ActivationArg::Sigmoid => Activation::Sigmoid,
                ActivationArg::Softmax => Activation::Softmax,
            },
            licence: self.licence.map(|spdx| Licence {
                spdx,
                attribution: Vec::new(),
            }),
            ..ImportOptions::default()
        };
        let bundle = import_weights(&self.weights, &options)?;
        save(&bundle, &self.output, printer)
    }
}

/// Arguments of `bundle wrap`.
#[derive(Debug, Args)]
pub(crate) struct WrapArgs {
    /// Another program's tagger as ONNX.
    model: PathBuf,

    /// What it takes and gives, as TOML.
    #[arg(long, short, value_name = "TOML")]
    config: PathBuf,

    /// The bundle to write.
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
}

impl WrapArgs {
    pub(super) fn run(self, printer: &Printer) -> anyhow::Result<()> {
        let bundle = wrap(&self.model, &WrapConfig::open(&self.config)?)?;
        save(&bundle, &self.output, printer)
    }
}

/// Arguments of `bundle describe`.
#[derive(Debug, Args)]
pub(crate) struct DescribeArgs {
    /// A bundle, or the name of a fetched model.
    model: String,

    /// Name, description, data, licence and figures, as TOML; what it leaves out stays.
    #[arg(long, value_name = "TOML")]
    card: PathBuf,

    /// The bundle to write.
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,

    #[command(flatten)]
    store: ModelStore,
}

impl DescribeArgs {
    pub(super) fn run(self, printer: &Printer) -> anyhow::Result<()> {
        let card = Card::open(&self.card)?;
        let bundle = self.store.open(&self.model)?.described(&card)?;
        save(&bundle, &self.output, printer)
    }
}

/// Arguments of `bundle export`.
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// A bundle, or the name of a fetched model.
    model: String,

    /// Put the front end into the graph: waveform in, scores out. For phones and browsers.
    #[arg(long)]
    waveform: bool,

    /// The ONNX file to write.
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,

    #[command(flatten)]
    store: ModelStore,
}

impl ExportArgs {
    pub(super) fn run(self, printer: &Printer) -> anyhow::Result<()> {
        if !self.waveform {
            anyhow::bail!("nothing says what to write, expected --waveform");
        }
        let bundle = self.store.open(&self.model)?.to_waveform()?;
        save(&bundle, &self.output, printer)
    }
}

fn save(bundle: &Bundle, path: &Path, printer: &Printer) -> anyhow::Result<()> {
    bundle.save(path)?;
    printer.note(format!(
        "{}: {}, {} classes, {} bytes",
        path.display(),
        bundle.metadata().name,
        bundle.metadata().vocabulary.len(),
        grouped(bundle.bytes().len() as u64)
    ));
    Ok(())
}
