//! Networks as data: an [`Architecture`] is a list of [`Block`]s that takes features
//! `[batch, channel, band, frame]` and gives logits `[batch, class]` and an embedding `[batch, dim]`.
//!
//! The training module and the ONNX graph of a bundle are both built from this one description, and
//! neither knows anything about a network that is not in it. Adding a network is one file with one
//! function that returns blocks; [`parts`] has the usual compounds (squeeze-excite, inverted
//! residual, bottleneck, CBAM, …) as functions.
//!
//! # Values
//! Every value between blocks is a map `[batch, channel, band, frame]` with the frame index fastest.
//! A vector is a map with one band and one frame; a sequence is a map with one band. A
//! one-dimensional convolution is therefore a convolution with a kernel of one band. The number of
//! frames may be left open ([`Input::n_frames`] is `None`): then the network takes any length.
//!
//! # Names
//! A block with parameters carries its full name, and the names of its parameters are those of a
//! PyTorch state dict: `NAME.weight`, `NAME.bias`, `NAME.running_mean`, …. A checkpoint of the
//! original network is read with no renaming, and the initializers of the ONNX graph keep the names.
//!
//! # What each block means
//! The documentation of each struct in [`block`] is the definition, exact to the padding rule. The
//! builders must agree with it to within rounding; tests hold them to it.

pub mod aux_attention;
pub mod block;
pub mod cnn;
pub mod crnn;
pub mod dense_excite;
pub mod efficient_at;
#[cfg(not(target_arch = "wasm32"))]
pub mod import;
mod named;
pub mod parameter;
pub mod parts;
pub mod picture;
pub mod resnet;
pub mod shape;
pub mod small;
pub mod vgg_gap;
pub mod weights;

use serde::{Deserialize, Serialize};

pub use block::Block;
pub use efficient_at::efficient_at;
pub use named::{NAMES, named};
pub use parameter::{Parameter, Role};
pub use picture::picture_cnn;
pub use shape::{Plan, Shape};
pub use weights::{Tensor, Weights};

use crate::Result;

/// A network: what goes in, the blocks, and how many classes come out.
///
/// The blocks run one after the other. The value after the last one is the logits and must be
/// `[batch, n_classes, 1, 1]`; the embedding is what the one [`block::Output`] block of kind
/// [`block::OutputKind::Embedding`] names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Architecture {
    /// The family and its size, such as `mn04`. Free text: nothing depends on it.
    pub name: String,
    /// The shape of the features.
    pub input: Input,
    /// The number of logits.
    pub n_classes: usize,
    /// The network, first block first.
    pub blocks: Vec<Block>,
}

/// The features that a network takes: `[batch, n_channels, n_bands, n_frames]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The channels of the front end, at least 1.
    pub n_channels: usize,
    /// The frequency bands of the front end, at least 1. A waveform has one band.
    pub n_bands: usize,
    /// The frames of a segment, or `None` when the network takes any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n_frames: Option<usize>,
}

impl Architecture {
    /// Follows shapes through all blocks and returns the parameters and outputs.
    ///
    /// This is the check of a description: whatever it returns can be built.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] that names the block, what it was given and what it expects.
    pub fn plan(&self) -> Result<Plan> {
        shape::plan(self, self.input.n_frames)
    }

    /// Like [`Architecture::plan`], for a given number of frames, so that [`Plan::macs`] is known.
    ///
    /// # Errors
    /// As for `plan`; also when `n_frames` is too short for the network or not the fixed number.
    pub fn plan_for(&self, n_frames: usize) -> Result<Plan> {
        if let Some(fixed) = self.input.n_frames.filter(|&fixed| fixed != n_frames) {
            return Err(crate::Error::Shape {
                what: format!("{}: frames", self.name),
                found: n_frames.to_string(),
                expected: fixed.to_string(),
            });
        }
        shape::plan(self, Some(n_frames))
    }

    /// The fewest frames that leave something after every pooling, or `None` when no length up to
    /// a million frames does.
    pub fn min_frames(&self) -> Option<usize> {
        let fits = |n: usize| shape::plan(self, Some(n)).is_ok();
        if let Some(fixed) = self.input.n_frames {
            return fits(fixed).then_some(fixed);
        }
        let mut high = 1;
        while !fits(high) {
            high *= 2;
            if high > 1 << 20 {
                return None;
            }
        }
        let mut low = high / 2;
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if fits(middle) {
                high = middle;
            } else {
                low = middle;
            }
        }
        Some(high)
    }
}
