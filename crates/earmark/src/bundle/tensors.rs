//! How a graph calls its input and outputs, and how its input's axes are ordered. Graphs of ours all
//! use [`Tensors::features`]; other programs' graphs keep their own names.

use serde::{Deserialize, Serialize};

use super::Input;
use crate::{Error, Result};

/// The names of a graph's tensors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tensors {
    /// The input.
    pub input: String,
    /// The input's axes, slowest first.
    pub axes: Vec<Axis>,
    /// The output `[batch, class]` that the activation is applied to.
    pub logits: String,
    /// The output `[batch, dim]` that describes the segment as a whole, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedding: Option<String>,
}

/// An axis of a graph's input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Axis {
    /// Segments; of length 1 where the graph takes no more.
    Batch,
    /// The channels of the front end; always of length 1 for a waveform. A graph without this axis
    /// takes a single channel.
    Channel,
    /// Frequency bands.
    Band,
    /// Frames of the front end.
    Frame,
    /// Samples of a waveform.
    Sample,
}

impl Tensors {
    /// The names in graphs of ours that take features: `features` `[batch, channel, band, frame]` in,
    /// `logits` and `embedding` out.
    pub fn features() -> Self {
        Self {
            input: "features".to_owned(),
            axes: vec![Axis::Batch, Axis::Channel, Axis::Band, Axis::Frame],
            logits: "logits".to_owned(),
            embedding: Some("embedding".to_owned()),
        }
    }

    /// The names in graphs of ours that take the waveform: `waveform` `[batch, sample]` in, `scores`
    /// and `embedding` out.
    pub fn waveform() -> Self {
        Self {
            input: "waveform".to_owned(),
            axes: vec![Axis::Batch, Axis::Sample],
            logits: "scores".to_owned(),
            embedding: Some("embedding".to_owned()),
        }
    }

    /// Whether the axes suit the kind of input, each once.
    ///
    /// # Errors
    /// [`Error::Config`] with the axes found.
    pub fn check(&self, input: &Input) -> Result<()> {
        let (needed, allowed): (&[Axis], &[Axis]) = match input {
            Input::Features(_) => (
                &[Axis::Band, Axis::Frame],
                &[Axis::Batch, Axis::Channel, Axis::Band, Axis::Frame],
            ),
            Input::Waveform(_) => (&[Axis::Sample], &[Axis::Batch, Axis::Channel, Axis::Sample]),
        };
        let count = |axis: &Axis| self.axes.iter().filter(|found| *found == axis).count();
        let possible = needed.iter().all(|axis| count(axis) == 1)
            && self
                .axes
                .iter()
                .all(|axis| count(axis) == 1 && allowed.contains(axis));
        if possible {
            return Ok(());
        }
        Err(Error::Config {
            key: "tensors.axes".to_owned(),
            found: listed(&self.axes),
            expected: format!("must hold {}, may hold {}", listed(needed), listed(allowed)),
        })
    }
}

fn listed(axes: &[Axis]) -> String {
    let names: Vec<String> = axes
        .iter()
        .map(|axis| format!("{axis:?}").to_lowercase())
        .collect();
    format!("[{}]", names.join(", "))
}
