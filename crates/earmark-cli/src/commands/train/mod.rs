//! `earmark train`: a configuration or a folder of labelled clips in, a run directory with a bundle
//! out.
//!
//! Training is a cargo feature because its tensor framework takes minutes to build. Without it the
//! command says how to get it.

#[cfg(feature = "train")]
mod find_rate;
#[cfg(feature = "train")]
mod results;
#[cfg(feature = "train")]
mod training;
#[cfg(feature = "train")]
mod watch;

use std::path::PathBuf;

use clap::Args;

use super::bundle::ModelStore;

/// Train a tagger on labelled clips.
///
/// `earmark train sounds/` needs no configuration: one sub-folder per class, and sub-folders called
/// `_background`, `noise` or `silence` for sounds that are none of the classes. Other data sets
/// (Kaggle, ESC, UrbanSound8K, FSD50K, AudioSet, tables) are recognised by their files.
///
/// With less than some hundred clips a class, start from a network that has heard millions:
/// `earmark bundle pull mn04`, then `earmark train sounds/ --init mn04`. That takes minutes and is
/// nearly always better than starting from nothing.
///
/// A run that was interrupted or killed continues when the same command is given again.
#[derive(Debug, Args)]
#[cfg_attr(
    not(feature = "train"),
    allow(dead_code, reason = "read by the training build only")
)]
pub(crate) struct TrainCommand {
    /// A configuration (TOML), or the folder or table of a data set.
    #[arg(value_name = "CONFIG|DATA")]
    input: PathBuf,

    /// The folder or table of the data set; comes before `data.path` of the configuration.
    #[arg(long)]
    data: Option<PathBuf>,

    /// The run directory; by default `runs/` and the name of the configuration or data set.
    #[arg(long, short)]
    output: Option<PathBuf>,

    /// Start from this bundle: its weights, front end and segments. A file, or a model that
    /// `earmark bundle pull` has fetched, such as `mn04`. Beside a configuration that names
    /// `model.architecture` also from another program's weights: PyTorch, safetensors or npz.
    #[arg(long, value_name = "FILE|NAME")]
    init: Option<PathBuf>,

    /// Begin again where the run directory holds an unfinished or finished run.
    #[arg(long)]
    restart: bool,

    /// Do not train: try learning rates from 1e-6 to 1 on some batches, and show the loss at each
    /// and the rate to begin with. The curve goes into the run directory.
    #[arg(long)]
    find_lr: bool,

    /// Replace a setting, such as `train.epochs=5` or `model.architecture=cnn10`; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,

    /// Where to train: `cpu`, `vulkan` or `cuda`.
    #[arg(long, default_value = "cpu")]
    device: String,

    #[command(flatten)]
    store: ModelStore,
}

#[cfg(not(feature = "train"))]
impl TrainCommand {
    /// Says how to build a program that trains.
    pub(crate) fn run(self, _printer: &crate::printer::Printer) -> anyhow::Result<super::Outcome> {
        anyhow::bail!(
            "this build cannot train; build one that can with `cargo build --release --features train`"
        )
    }
}
