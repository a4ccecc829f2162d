//! The `earmark` program: arguments in, words and files out.
//!
//! [`commands`] holds one file per sub-command; each turns its arguments into calls of the library
//! and reports through the [`printer`]. Exit codes: 0 all good, 1 some inputs failed, 2 could not
//! start, 130 interrupted.

mod commands;
mod errors;
mod inputs;
mod interrupt;
mod journal;
mod memory;
mod model;
mod moment;
mod output;
mod pictures;
mod printer;
mod recordings;
mod resume;
mod save_clips;
mod selection;
mod session;
mod submission;

use std::process::ExitCode;

use clap::Parser;

use crate::commands::Command;
use crate::printer::Printer;

/// Hears a sound and says what it is.
#[derive(Debug, Parser)]
#[command(
    name = "earmark",
    version,
    arg_required_else_help = true,
    max_term_width = 100
)]
struct Cli {
    #[command(subcommand)]
    command: Command,

    /// Print results and failures only: no progress, no notes, no summary.
    #[arg(long, short, global = true)]
    quiet: bool,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    if cli.command.trains() {
        memory::keep();
    }
    let printer = Printer::new(cli.quiet);
    match cli.command.run(&printer) {
        Ok(outcome) => outcome.into(),
        // The reader of standard output has seen enough, as `head` does: nothing went wrong.
        Err(error) if errors::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            printer.error(&error);
            ExitCode::from(2)
        }
    }
}
