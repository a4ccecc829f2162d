//! The only place that writes to standard output and standard error.
//!
//! Results go to standard output; failures, notes, the summary and the progress bar go to standard
//! error. The bar is drawn on a terminal only. Colour follows the terminal and `NO_COLOR`.

use std::io::{self, IsTerminal as _, Write};
use std::path::Path;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::errors;

/// Writes the program's words.
#[derive(Debug)]
pub(crate) struct Printer {
    quiet: bool,
    bar: ProgressBar,
    bold_red: (&'static str, &'static str),
    bold: (&'static str, &'static str),
}

impl Printer {
    /// A printer for this process's standard streams.
    pub(crate) fn new(quiet: bool) -> Self {
        let coloured = io::stderr().is_terminal()
            && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            && std::env::var_os("TERM").is_none_or(|value| value != "dumb");
        let style = |code| {
            if coloured {
                (code, "\u{1b}[0m")
            } else {
                ("", "")
            }
        };
        Self {
            quiet,
            bar: ProgressBar::hidden(),
            bold_red: style("\u{1b}[1;31m"),
            bold: style("\u{1b}[1m"),
        }
    }

    /// Standard output, buffered: write results here and flush at the end.
    pub(crate) fn stdout() -> io::BufWriter<io::Stdout> {
        io::BufWriter::with_capacity(1 << 16, io::stdout())
    }

    /// Whether a person reads standard output.
    pub(crate) fn stdout_is_terminal() -> bool {
        io::stdout().is_terminal()
    }

    /// Writes one line of results to standard output.
    ///
    /// # Errors
    /// When standard output is closed or full.
    pub(crate) fn line(&self, text: impl AsRef<str>) -> io::Result<()> {
        self.bar.suspend(|| {
            let mut stdout = io::stdout().lock();
            stdout.write_all(text.as_ref().as_bytes())?;
            stdout.write_all(b"\n")
        })
    }

    /// Writes something worth knowing to standard error, unless asked to be quiet.
    pub(crate) fn note(&self, text: impl AsRef<str>) {
        if !self.quiet {
            self.to_stderr(text.as_ref().as_bytes());
        }
    }

    /// Reports an input that failed, as `path: reason`. The path's bytes are written as they are.
    pub(crate) fn failure(&self, path: &Path, reason: &str) {
        let mut line = path.as_os_str().as_encoded_bytes().to_vec();
        line.extend_from_slice(b": ");
        line.extend_from_slice(reason.as_bytes());
        self.to_stderr(&line);
    }

    /// Advice that belongs to the failure before it.
    pub(crate) fn hint(&self, hint: &str) {
        let (bold, reset) = self.bold;
        self.to_stderr(format!("{bold}hint:{reset} {hint}").as_bytes());
    }

    /// Reports why the program could not start, with its causes and advice.
    pub(crate) fn error(&self, error: &anyhow::Error) {
        let mut messages = errors::messages(error).into_iter();
        let (red, reset) = self.bold_red;
        let first = messages.next().unwrap_or_default();
        self.to_stderr(format!("{red}error:{reset} {first}").as_bytes());
        for message in messages {
            self.to_stderr(format!("  Caused by: {message}").as_bytes());
        }
        if let Some(hint) = errors::hint(error) {
            self.hint(&hint);
        }
    }

    /// Starts a progress bar of `total` steps on a terminal; does nothing elsewhere.
    pub(crate) fn start_progress(&self, total: u64, what: &str) {
        if self.quiet || !io::stderr().is_terminal() {
            return;
        }
        let template = "{prefix} {bar:30} {pos}/{len} {msg} {elapsed} (about {eta} left)";
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style);
        }
        // A bar that was removed comes back with a clock of its own.
        self.bar.reset();
        self.bar.set_prefix(what.to_owned());
        self.bar.set_length(total);
        self.bar
            .set_draw_target(ProgressDrawTarget::stderr_with_hz(5));
        self.bar.enable_steady_tick(Duration::from_millis(500));
    }

    /// Moves the progress bar to `done` steps and shows `message` beside it.
    pub(crate) fn progress(&self, done: u64, message: &str) {
        self.bar.set_position(done);
        if !self.bar.is_hidden() {
            self.bar.set_message(message.to_owned());
        }
    }

    /// Starts a line on a terminal that [`Printer::status`] changes; does nothing elsewhere.
    pub(crate) fn start_status(&self) {
        if self.quiet || !io::stderr().is_terminal() {
            return;
        }
        if let Ok(style) = ProgressStyle::with_template("{wide_msg}") {
            self.bar.set_style(style);
        }
        self.bar
            .set_draw_target(ProgressDrawTarget::stderr_with_hz(5));
    }

    /// Changes the line that [`Printer::start_status`] began.
    pub(crate) fn status(&self, text: String) {
        if !self.bar.is_hidden() {
            self.bar.set_message(text);
        }
    }

    /// Removes the progress bar.
    pub(crate) fn end_progress(&self) {
        self.bar.finish_and_clear();
    }

    /// Standard error can be closed like any file; there is no place left to say so.
    fn to_stderr(&self, line: &[u8]) {
        self.bar.suspend(|| {
            let mut stderr = io::stderr().lock();
            let _ = stderr
                .write_all(line)
                .and_then(|()| stderr.write_all(b"\n"));
        });
    }
}
