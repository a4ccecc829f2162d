//! `earmark compare`: representations and a data set in; which of them serves recognition best, with
//! intervals and tested differences, out.
//!
//! Like training, a cargo feature.

#[cfg(feature = "train")]
mod running;

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;

/// Compare representations of sound: train the same small network on each.
///
/// Every representation gets the same clips, folds and seeds. A comparison that was interrupted
/// continues when the same command is given again, and one that is made larger trains only what is
/// new.
#[derive(Debug, Args)]
#[cfg_attr(
    not(feature = "train"),
    allow(dead_code, reason = "read by the training build only")
)]
pub(crate) struct CompareArgs {
    /// What is compared, and how (TOML), such as configs/spectrograms.toml.
    #[arg(value_name = "CONFIG")]
    config: PathBuf,

    /// The folder or table of the data set; comes before `data.path` of the configuration.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    /// Where the results go; by default `runs/`, the configuration's and the data set's name.
    #[arg(long, short, value_name = "DIR")]
    output: Option<PathBuf>,

    /// Trainings side by side; one per core unless given.
    #[arg(long, short, value_name = "N")]
    jobs: Option<NonZeroUsize>,

    /// Where to train: `cpu`, `vulkan` or `cuda`.
    #[arg(long, default_value = "cpu")]
    device: String,
}

#[cfg(not(feature = "train"))]
impl CompareArgs {
    /// Says how to build a program that trains.
    pub(crate) fn run(self, _printer: &crate::printer::Printer) -> anyhow::Result<super::Outcome> {
        anyhow::bail!(
            "this build cannot train; build one that can with `cargo build --release --features train`"
        )
    }
}
