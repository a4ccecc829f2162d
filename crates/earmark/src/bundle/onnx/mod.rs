//! ONNX files: the messages, the graph that an [`Architecture`](crate::model::Architecture) becomes,
//! and the way back to its weights.
//!
//! [`build`] takes a description and its weights and gives a [`proto::ModelProto`] with the input
//! `features` `[batch, channel, band, frame]` and the outputs `logits` `[batch, class]` and
//! `embedding` `[batch, dim]`; batch is open, and so is frame where the network allows it.
//! [`read_weights`] undoes it exactly. [`export_waveform`] adds the front end, so that a waveform goes
//! in and scores come out. [`append_head`] gives another program's graph new classes.
//!
//! Graphs are written for runtimes to be fast on: one node per block, no arithmetic on shapes,
//! normalisations right after their convolutions so that every runtime can fold them at load, and
//! not folded in the file, so that training can start from it.

pub mod proto;

mod builder;
mod export;
mod front_end;
mod head;
mod layout;
mod lower;
mod read;

pub use builder::{IR_VERSION, OPSET};
pub use export::export_waveform;
pub use head::append_head;
pub use lower::{EMBEDDING, FEATURES, LOGITS, build};
pub use read::read_weights;

use prost::Message;
use prost::bytes::Bytes;

use crate::{Error, Result};
use proto::ModelProto;

/// The bytes of an ONNX file.
pub fn encode(model: &ModelProto) -> Vec<u8> {
    model.encode_to_vec()
}

/// Reads all of an ONNX file. Weights stay where they are in `bytes`.
///
/// # Errors
/// [`Error::Bundle`] when the bytes are no ONNX file or damaged; `name` is what it calls the file.
pub fn decode(name: &str, bytes: impl Into<Bytes>) -> Result<ModelProto> {
    let model = ModelProto::decode(bytes.into()).map_err(|error| Error::Bundle {
        name: name.to_owned(),
        reason: format!("damaged or no ONNX file: {error}"),
    })?;
    if model.graph.is_none() {
        return Err(Error::Bundle {
            name: name.to_owned(),
            reason: "ONNX header without a graph: the file is truncated".to_owned(),
        });
    }
    Ok(model)
}
