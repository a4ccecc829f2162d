//! Keeps a decoder's panic from becoming the program's: the decoders come from elsewhere and read
//! hostile bytes.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use crate::{Error, Result};

thread_local! {
    /// Whether this thread is inside a guarded decoder call.
    static DECODING: Cell<bool> = const { Cell::new(false) };
}

/// Runs one decoder call; a panic becomes [`Error::Decode`].
pub(super) fn guarded<T>(name: &str, call: impl FnOnce() -> T) -> Result<T> {
    let outer = DECODING.replace(true);
    let outcome = panic::catch_unwind(AssertUnwindSafe(call));
    DECODING.set(outer);
    outcome.map_err(|payload| {
        let said = payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_default();
        Error::Decode {
            name: name.to_owned(),
            reason: format!("damaged: its decoder gave up with a panic ({said})"),
        }
    })
}

/// Installs a panic hook that prints nothing for panics inside decoders, which are caught and
/// reported as [`Error::Decode`], and leaves every other panic to the hook that was there.
///
/// A program calls this once at its start; the library does not do it by itself, because the hook
/// belongs to the process.
pub fn silence_decoder_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !DECODING.get() {
                previous(info);
            }
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error_that_names_the_file() {
        silence_decoder_panics();
        let error = guarded("bad.mp3", || panic!("index 7")).expect_err("the call panics");
        assert_eq!(
            error.to_string(),
            "bad.mp3: damaged: its decoder gave up with a panic (index 7)"
        );
    }
}
