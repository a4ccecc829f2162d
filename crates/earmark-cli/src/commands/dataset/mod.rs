//! `earmark dataset`: what a data set holds, what is wrong with it, and how it is divided.

mod report;
mod split;

#[cfg(feature = "train")]
pub(crate) use report::{class_table, duration_line, problem_lines};

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use clap::{Args, Subcommand};
use earmark::dataset::{Layout, Manifest, Progress, ReadOptions, Vocabulary};

use super::Outcome;
use crate::printer::Printer;

/// What can be done with data sets.
#[derive(Debug, Subcommand)]
pub(crate) enum DatasetCommand {
    /// Show the layout, the classes, the durations and the splits.
    Info(report::InfoArgs),
    /// Look for everything that would spoil training or its figures; decodes every clip.
    Check(report::CheckArgs),
    /// Divide into folds and write them as a table that `earmark` reads.
    Split(split::SplitArgs),
}

impl DatasetCommand {
    /// Runs the chosen command.
    pub(crate) fn run(self, printer: &Printer) -> anyhow::Result<Outcome> {
        match self {
            Self::Info(args) => args.run(printer),
            Self::Check(args) => args.run(printer),
            Self::Split(args) => args.run(printer),
        }
    }
}

/// Which data set, and how it is read.
#[derive(Debug, Args)]
pub(crate) struct DatasetArgs {
    /// The data set's folder, or a CSV table of its clips.
    #[arg(value_name = "DIR")]
    path: PathBuf,

    /// A table of the clips that is kept apart from the audio; its paths are those below the folder.
    #[arg(long, value_name = "CSV", conflicts_with = "layout")]
    table: Option<PathBuf>,

    /// The layout, where it should not be found out: fsdkaggle2018, fsdkaggle2019, esc10, esc50,
    /// urbansound8k, fsd50k, audioset, table or folders.
    #[arg(long, value_name = "NAME")]
    layout: Option<Layout>,

    /// The classes and their order (CSV with a column `name`) instead of those found in the data.
    #[arg(long, value_name = "CSV")]
    vocabulary: Option<PathBuf>,

    /// Keep the clips that the data set's drop list names.
    #[arg(long)]
    keep_known_bad: bool,
}

impl DatasetArgs {
    /// What the user named.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the data set.
    pub(crate) fn open(&self) -> earmark::Result<Manifest> {
        let vocabulary = self
            .vocabulary
            .as_deref()
            .map(Vocabulary::from_csv)
            .transpose()?;
        let options = ReadOptions {
            layout: self.layout,
            table: self.table.clone(),
            vocabulary,
            drop_known_bad: !self.keep_known_bad,
        };
        Manifest::open_with(&self.path, &options)
    }
}

/// Shows the library's progress over clips and passes on the user's wish to stop.
pub(crate) struct ClipProgress<'a> {
    printer: &'a Printer,
    what: &'static str,
    done: AtomicU64,
    stop: &'static AtomicBool,
}

impl<'a> ClipProgress<'a> {
    /// A progress bar called `what`.
    ///
    /// # Errors
    /// When Ctrl-C cannot be listened for.
    pub(crate) fn new(printer: &'a Printer, what: &'static str) -> anyhow::Result<Self> {
        let stop = crate::interrupt::stop_flag()?;
        Ok(Self {
            printer,
            what,
            done: AtomicU64::new(0),
            stop,
        })
    }
}

impl Progress for ClipProgress<'_> {
    fn begin(&self, n_clips: usize) {
        self.printer.start_progress(n_clips as u64, self.what);
    }

    fn advance(&self) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        self.printer.progress(done, "clips");
    }

    fn is_cancelled(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}
