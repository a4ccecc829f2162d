//! The work itself: a recording in, events out, on a thread that holds a slot of the gate.
//!
//! ```text
//! request ── Gate::admit (503 when full) ── Ticket::slot (waits its turn) ── hear() ── Event
//! ```

mod chunks;
mod control;
mod gate;
mod hear;
mod sound;

pub(crate) use chunks::{Chunk, ChunkReader};
pub(crate) use control::{Control, Stopped};
pub(crate) use gate::{Gate, Slot, Ticket};
pub(crate) use hear::{Failure, hear};
pub(crate) use sound::Place;
