//! `earmark augment`: hear and see what training will do to its clips.

mod preview;

use clap::Subcommand;

use super::Outcome;
use crate::printer::Printer;

/// What can be done with augmentation outside of training.
#[derive(Debug, Subcommand)]
pub(crate) enum AugmentCommand {
    /// Write each augmentation of a sound as a sound and as a picture.
    Preview(preview::PreviewArgs),
}

impl AugmentCommand {
    /// Runs the chosen command.
    pub(crate) fn run(self, printer: &Printer) -> anyhow::Result<Outcome> {
        match self {
            Self::Preview(args) => args.run(printer)?,
        }
        Ok(Outcome::Done)
    }
}
