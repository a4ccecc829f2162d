//! Ctrl-C and SIGTERM: the first asks a command to finish what it has begun and close its files, the
//! second ends the program at once.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

static ASKED: AtomicBool = AtomicBool::new(false);

/// A flag that becomes true when the user asks the program to stop.
///
/// # Errors
/// When the signal handler cannot be installed.
pub(crate) fn stop_flag() -> anyhow::Result<&'static AtomicBool> {
    static INSTALLED: OnceLock<Result<(), String>> = OnceLock::new();
    INSTALLED
        .get_or_init(|| {
            ctrlc::set_handler(|| {
                if ASKED.swap(true, Ordering::SeqCst) {
                    std::process::exit(130);
                }
            })
            .map_err(|error| error.to_string())
        })
        .clone()
        .map_err(|reason| anyhow::anyhow!("cannot listen for Ctrl-C: {reason}"))?;
    Ok(&ASKED)
}
