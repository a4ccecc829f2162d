//! `earmark sweep`: one configuration and values to try in; a run for each and one table out.

#[cfg(feature = "train")]
mod basis;
#[cfg(feature = "train")]
mod record;
#[cfg(feature = "train")]
mod table;
#[cfg(feature = "train")]
mod trials;

use std::path::PathBuf;

use clap::Args;

/// Train one configuration with many settings and compare them in a table.
///
/// The sweep is a TOML file: `config`, `method` (`grid` or `random`) and the values of `[settings]`.
/// Finished trials are kept; the same command goes on after an interruption. Where the configuration or the
/// clips have changed since, it refuses to go on.
#[derive(Debug, Args)]
#[cfg_attr(
    not(feature = "train"),
    allow(dead_code, reason = "read by the training build only")
)]
pub(crate) struct SweepArgs {
    /// The sweep.
    #[arg(value_name = "SWEEP.toml")]
    input: PathBuf,

    /// The folder or table of the data set; comes before `data.path` of the configuration.
    #[arg(long)]
    data: Option<PathBuf>,

    /// Where the runs and the table go; by default `runs/` and the name of the sweep.
    #[arg(long, short)]
    output: Option<PathBuf>,

    /// Replace a setting of the configuration in every trial, such as `train.epochs=5`; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,

    /// Where to train: `cpu`, `vulkan` or `cuda`.
    #[arg(long, default_value = "cpu")]
    device: String,
}

#[cfg(not(feature = "train"))]
impl SweepArgs {
    /// Says how to build a program that trains.
    pub(crate) fn run(self, _printer: &crate::printer::Printer) -> anyhow::Result<super::Outcome> {
        anyhow::bail!(
            "this build cannot train; build one that can with `cargo build --release --features train`"
        )
    }
}
