//! The private mode of the page: a bundle and a recording in, the server's events out, in the browser.
//!
//! ```text
//! page ── private.js ── worker.js ══ boundary (WebAssembly) ── Session ── earmark::hear
//! ```
//!
//! [`Session`] is all there is, and it runs on any machine; `boundary` hands it the worker's bytes and
//! exists in WebAssembly only. Decoding, front end, network and rows are the library's, so that private
//! mode tells what the server would. `cargo xtask web` builds the module; `docs/private-mode.md` is for
//! those who use it.

#[cfg(target_arch = "wasm32")]
mod boundary;
mod session;

pub use session::{MAX_SECS, Session, Settings};
