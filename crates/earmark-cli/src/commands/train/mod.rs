//! `earmark train`: a configuration or a folder of labelled clips in, a run directory with a bundle
//! out.
//!
//! Training is a cargo feature because its tensor framework takes minutes to build. Without it the
//! command says how to get it.

#[cfg(feature = "train")]
mod training;

use std::path::PathBuf;

use clap::Args;

/// Train a tagger on labelled clips.
///
/// Without a configuration everything has a default: `earmark train sounds/` trains on a folder with
/// one sub-folder per class. A run that was interrupted continues when the same command is given
/// again.
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

    /// Start from this bundle: its weights, front end and segments.
    #[arg(long, value_name = "BUNDLE")]
    init: Option<PathBuf>,

    /// Replace a setting, such as `train.epochs=5`; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,

    /// Where to train: `cpu`, `vulkan` or `cuda`.
    #[arg(long, default_value = "cpu")]
    device: String,
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
