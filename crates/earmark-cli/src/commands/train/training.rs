//! `earmark train`: settings from a file or a recipe, the run, and what came of it.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use earmark::bundle::{Bundle, find_model};
use earmark::dataset::{Manifest, Split};
use earmark_train::run::RunDirectory;
use earmark_train::{RunConfig, RunOptions};

use super::TrainCommand;
use super::find_rate::find;
use super::results::{next_steps, show};
use super::watch::{Epochs, Reading};
use crate::commands::Outcome;
use crate::errors::Hinted;
use crate::interrupt;
use crate::printer::Printer;

/// Fewer training clips a class than this are few to learn from nothing.
const FEW_CLIPS: usize = 100;

/// Whether an input is a data set rather than a configuration.
fn names_data(input: &Path) -> bool {
    input
        .extension()
        .is_none_or(|extension| extension != "toml")
}

impl TrainCommand {
    /// Trains and shows the figures.
    pub(crate) fn run(self, printer: &Printer) -> anyhow::Result<Outcome> {
        let stop = interrupt::stop_flag()?;
        let config = self.config(printer)?;
        let options = RunOptions {
            directory: self.directory(),
            device: self.device.parse()?,
        };
        let progress = Reading::new(printer, stop);
        let mut observer = Epochs::new(printer, stop);
        if self.find_lr {
            return find(&config, &options, &progress, &mut observer, printer);
        }
        if self.restart {
            forget(&options.directory)?;
        }
        let result = earmark_train::run(&config, &options, &progress, &mut observer);
        printer.end_progress();
        let result = match result {
            Err(earmark::Error::Cancelled) => {
                printer.note("interrupted before training; what is decoded is kept");
                return Ok(Outcome::Interrupted);
            }
            Err(error @ earmark::Error::Checkpoint { .. }) => {
                return Err(Hinted::error(error.to_string(), RESTART));
            }
            result => result?,
        };
        show(&result, printer)?;
        if !result.is_complete {
            printer.note("interrupted; the same command continues the run");
            return Ok(Outcome::Interrupted);
        }
        next_steps(&result, &config, printer);
        Ok(Outcome::Done)
    }

    /// The configuration file, or a recipe, with what the command line replaces.
    fn config(&self, printer: &Printer) -> anyhow::Result<RunConfig> {
        let mut config = match names_data(&self.input) {
            true => self.recipe(printer)?,
            false => RunConfig::open(&self.input, &[])?,
        };
        if let Some(data) = &self.data {
            config.data.path = Some(data.clone());
        }
        if let Some(init) = &self.init {
            config.model.init = Some(init.clone());
        }
        let mut config = config.overridden(&self.overrides)?;
        if let Some(init) = &config.model.init {
            config.model.init = Some(self.bundle(init)?);
        }
        Ok(config)
    }

    /// Settings that fit the data set, for those who give none.
    fn recipe(&self, printer: &Printer) -> anyhow::Result<RunConfig> {
        let manifest = Manifest::open(&self.input)?;
        let n_clips = manifest.labelled_in(Split::Train).len();
        let starts_from_bundle = self.init.is_some()
            || self
                .overrides
                .iter()
                .any(|set| set.starts_with("model.init"));
        let is_foreign = match &self.init {
            Some(init) => Bundle::open(&self.bundle(init)?)?
                .metadata()
                .architecture
                .is_none(),
            None => false,
        };
        let mut config = match (starts_from_bundle, is_foreign) {
            (_, true) => RunConfig::frozen(),
            (true, false) => RunConfig::fine_tuned(n_clips),
            (false, false) => RunConfig::from_scratch(n_clips),
        };
        if !starts_from_bundle && n_clips < FEW_CLIPS * manifest.vocabulary.len() {
            printer.note(
                "hint: these are few clips to learn from nothing; `earmark bundle pull mn04` and \
                 `--init mn04` start from a network that knows sounds, in minutes",
            );
        }
        config.data.path = Some(self.input.clone());
        Ok(config)
    }

    /// The file of a bundle to start from: a path, or a fetched model's name.
    fn bundle(&self, init: &Path) -> anyhow::Result<PathBuf> {
        match init.to_str() {
            Some(name) if !init.exists() => {
                find_model(name, &self.store.registry()?, &self.store.cache()?)
                    .with_context(|| format!("cannot start from {name}"))
            }
            _ => Ok(init.to_owned()),
        }
    }

    fn directory(&self) -> PathBuf {
        self.output.clone().unwrap_or_else(|| {
            // `.` and `..` have names too.
            let whole = std::path::absolute(&self.input).unwrap_or_else(|_| self.input.clone());
            let whole = whole.canonicalize().unwrap_or(whole);
            let name = match names_data(&self.input) && whole.is_dir() {
                true => whole.file_name(),
                false => whole.file_stem(),
            };
            Path::new("runs").join(name.unwrap_or("run".as_ref()))
        })
    }
}

/// Advice for a run directory that holds another run.
const RESTART: &str = "choose another directory with --output, or begin again with --restart";

/// Removes the checkpoints of a run directory that no run uses, so that the run begins again.
fn forget(directory: &Path) -> anyhow::Result<()> {
    let directory = RunDirectory::create(directory)?;
    let named = |path: &Path, belongs: fn(&str) -> bool| {
        belongs(&path.file_name().unwrap_or_default().to_string_lossy())
    };
    let inside = |folder: &Path| {
        let entries = fs_err::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.path())
    };
    let is_fold = |name: &str| {
        name.strip_prefix("fold-")
            .is_some_and(|number| number.parse::<usize>().is_ok())
    };
    let is_checkpoint =
        |name: &str| name.starts_with("checkpoint") && name.ends_with(".safetensors");
    let folds = inside(directory.path()).filter(|path| named(path, is_fold));
    for folder in folds.chain([directory.path().to_owned()]) {
        for checkpoint in inside(&folder).filter(|path| named(path, is_checkpoint)) {
            fs_err::remove_file(checkpoint)?;
        }
    }
    Ok(())
}
