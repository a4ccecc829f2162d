//! `earmark bundle`: make, look at and fetch model files.

mod card;
mod fetch;
mod make;

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use earmark::bundle::{Bundle, Cache, Registry, find_model};

use super::Outcome;
use crate::printer::Printer;

/// What can be done with bundles.
#[derive(Debug, Subcommand)]
pub(crate) enum BundleCommand {
    /// Make a bundle of EfficientAT weights (.pt or .safetensors).
    Import(make::ImportArgs),
    /// Make a bundle of another program's ONNX tagger.
    Wrap(make::WrapArgs),
    /// Give a bundle another name, description, licence or figures.
    Describe(make::DescribeArgs),
    /// Write a self-contained ONNX file for other programs.
    Export(make::ExportArgs),
    /// Show what a bundle says about itself.
    Info(InfoArgs),
    /// Fetch a model by name, verify it, and keep it for offline use.
    Pull(fetch::PullArgs),
    /// List the models that can be fetched.
    List(fetch::ListArgs),
}

impl BundleCommand {
    /// Runs the chosen command.
    pub(crate) fn run(self, printer: &Printer) -> anyhow::Result<Outcome> {
        match self {
            Self::Import(args) => args.run(printer)?,
            Self::Wrap(args) => args.run(printer)?,
            Self::Describe(args) => args.run(printer)?,
            Self::Export(args) => args.run(printer)?,
            Self::Info(args) => args.run(printer)?,
            Self::Pull(args) => args.run(printer)?,
            Self::List(args) => args.run(printer)?,
        }
        Ok(Outcome::Done)
    }
}

/// How a result is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs: one object.
    Json,
}

/// Where fetched models are, and which there are.
#[derive(Debug, Default, Args)]
pub(crate) struct ModelStore {
    /// A table of models instead of the built-in one (TOML).
    #[arg(long, value_name = "FILE")]
    registry: Option<PathBuf>,

    /// Where fetched models are kept [default: `$EARMARK_CACHE`, or `earmark` in
    /// the user's cache folder].
    #[arg(long, value_name = "DIR")]
    cache_dir: Option<PathBuf>,
}

impl ModelStore {
    /// The table of models.
    pub(crate) fn registry(&self) -> earmark::Result<Registry> {
        match &self.registry {
            Some(path) => Registry::open(path),
            None => Ok(Registry::built_in()),
        }
    }

    /// The folder of fetched models.
    pub(crate) fn cache(&self) -> earmark::Result<Cache> {
        match &self.cache_dir {
            Some(folder) => Ok(Cache::at(folder)),
            None => Cache::user(),
        }
    }

    /// Opens a bundle by path or by the name of a fetched model, or the built-in one by its name.
    pub(crate) fn open(&self, model: &str) -> earmark::Result<Bundle> {
        if model == crate::model::BUILT_IN && !std::path::Path::new(model).exists() {
            return crate::model::built_in();
        }
        Bundle::open(&find_model(model, &self.registry()?, &self.cache()?)?)
    }
}

/// Arguments of `bundle info`.
#[derive(Debug, Args)]
pub(crate) struct InfoArgs {
    /// A bundle, the name of a fetched model, or `built-in`.
    #[arg(default_value = crate::model::BUILT_IN)]
    model: String,

    /// Also list every class.
    #[arg(long)]
    classes: bool,

    /// How to write it.
    #[arg(long, value_enum, default_value_t)]
    format: Format,

    #[command(flatten)]
    store: ModelStore,
}

impl InfoArgs {
    fn run(self, printer: &Printer) -> anyhow::Result<()> {
        let bundle = self.store.open(&self.model)?;
        match self.format {
            Format::Text => printer.line(card::text(&bundle, self.classes)?.trim_end())?,
            Format::Json => {
                let value = bundle.metadata().to_json();
                printer.line(serde_json::to_string_pretty(&value)?)?;
            }
        }
        Ok(())
    }
}
