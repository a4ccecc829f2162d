//! A recording told as it is heard: bytes in; header, picture, segments, progress and the whole out.
//!
//! ```text
//! Source ── Tagger::segments ─┬─ rows ─────────────────┐
//!                             └─ samples ── Painter ───┴── Event: a name and JSON
//! ```
//!
//! This is what an application shows while it waits. The server sends the [`Event`]s over a
//! connection, the page's private mode hands them from WebAssembly to the page: both are made here, so
//! that one page draws both. `docs/server.md` documents the events.

mod model;
mod picture;
mod recording;

pub use model::{Cutting, Model};
pub use picture::{DEFAULT_COLUMNS, Painter, Picture, check_columns, picture};
pub use recording::{Event, Heard, Task, Wish, hear};
