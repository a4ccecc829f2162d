//! Earmark hears a sound and says what it is.
//!
//! ```text
//! bytes / path / reader
//!   └─ audio      decode → mono f32 → resample        Waveform, streamed in blocks
//!        └─ features   front end → [channel, band, frame]
//!             └─ tagger   segments → network → tags with times
//! ```

pub mod audio;
pub mod augment;
pub mod bundle;
pub mod dataset;
pub mod digest;
#[cfg(not(target_arch = "wasm32"))]
pub mod ensemble;
pub mod error;
pub mod eval;
pub mod features;
pub mod hear;
pub mod lines;
pub mod model;
#[cfg(not(target_arch = "wasm32"))]
pub mod numpy;
pub mod results;
pub mod runtime;
#[cfg(not(target_arch = "wasm32"))]
pub mod search;
pub mod tagger;

pub use error::{Error, Result};
