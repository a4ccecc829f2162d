//! The sub-commands: each file holds its arguments and the function that runs them.
//!
//! A command gets its parsed arguments and the [`Printer`], and returns an [`Outcome`]. An `Err` says
//! that the command could not start (exit code 2); inputs that fail one by one are reported through
//! [`Printer::failure`] and counted in [`Outcome::SomeFailed`].

mod augment;
mod blend;
pub(crate) mod bundle;
mod compare;
mod dataset;
mod embed;
mod evaluate;
mod features;
mod index;
mod listen;
mod predict;
#[cfg(feature = "serve")]
mod review;
mod score;
mod search;
#[cfg(feature = "serve")]
mod serve;
mod sweep;
mod tag;
mod train;

use std::process::ExitCode;

use clap::Subcommand;

use crate::printer::Printer;

/// How a command that started has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Everything asked for is done.
    Done,
    /// Some inputs failed; each was reported.
    SomeFailed,
    /// The user stopped the run; what was finished is written.
    Interrupted,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Done => Self::SUCCESS,
            Outcome::SomeFailed => Self::from(1),
            // 128 + SIGINT, as shells report it.
            Outcome::Interrupted => Self::from(130),
        }
    }
}

/// What `earmark` can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Say what is heard in recordings.
    Tag(Box<tag::TagArgs>),
    /// Write the network's embeddings of recordings.
    Embed(Box<embed::EmbedArgs>),
    /// Write what a network would see of recordings: arrays, tables, pictures.
    Features(Box<features::FeaturesArgs>),
    /// Hear and see what training will do to its clips.
    #[command(subcommand)]
    Augment(augment::AugmentCommand),
    /// Make, look at and fetch model files.
    #[command(subcommand)]
    Bundle(bundle::BundleCommand),
    /// Look at labelled sounds: what there is, what is wrong, folds.
    #[command(subcommand)]
    Dataset(dataset::DatasetCommand),
    /// Judge a model on labelled clips: every figure, intervals, a page with plots.
    Evaluate(Box<evaluate::EvaluateArgs>),
    /// Listen to a microphone or a stream: what begins and what stops, as it happens.
    Listen(Box<listen::ListenArgs>),
    /// Write the embeddings of a folder's sounds for `earmark search`.
    Index(Box<index::IndexArgs>),
    /// Find the sounds that are most like a sound.
    Search(Box<search::SearchArgs>),
    /// Write a challenge submission: the scores of one or several models for a folder of clips.
    Predict(Box<predict::PredictArgs>),
    /// Blend the scores of several models, with fixed weights or by stacking.
    Blend(Box<blend::BlendArgs>),
    /// Score a challenge submission against the truth.
    Score(score::ScoreArgs),
    /// Check and mend the labels of a data set, in the browser.
    #[cfg(feature = "serve")]
    Review(Box<review::ReviewArgs>),
    /// Serve the web page and the HTTP API.
    #[cfg(feature = "serve")]
    Serve(Box<serve::ServeArgs>),
    /// Compare representations of sound: train the same small network on each.
    Compare(Box<compare::CompareArgs>),
    /// Train one configuration with many settings and compare them in a table.
    Sweep(Box<sweep::SweepArgs>),
    /// Train a tagger on labelled clips.
    Train(Box<train::TrainCommand>),
}

impl Command {
    /// Whether networks are trained.
    pub(crate) fn trains(&self) -> bool {
        matches!(self, Self::Compare(_) | Self::Sweep(_) | Self::Train(_))
    }

    /// Runs the chosen command.
    pub(crate) fn run(self, printer: &Printer) -> anyhow::Result<Outcome> {
        match self {
            Self::Tag(args) => tag::run(&args, printer),
            Self::Embed(args) => embed::run(&args, printer),
            Self::Features(args) => features::run(&args, printer),
            Self::Augment(command) => command.run(printer),
            Self::Bundle(command) => command.run(printer),
            Self::Dataset(command) => command.run(printer),
            Self::Evaluate(args) => evaluate::run(&args, printer),
            Self::Listen(args) => args.run(printer),
            Self::Index(args) => args.run(printer),
            Self::Search(args) => args.run(printer),
            Self::Predict(args) => predict::run(&args, printer),
            Self::Blend(args) => blend::run(&args, printer),
            Self::Score(args) => args.run(printer),
            #[cfg(feature = "serve")]
            Self::Review(args) => args.run(printer),
            #[cfg(feature = "serve")]
            Self::Serve(args) => args.run(printer),
            Self::Compare(args) => args.run(printer),
            Self::Sweep(args) => args.run(printer),
            Self::Train(command) => command.run(printer),
        }
    }
}
