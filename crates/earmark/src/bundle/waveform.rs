//! A bundle whose front end is inside the graph, for phones and browsers: waveform in, scores out.

use super::{Activation, Bundle, Input, Metadata, Tensors, WaveformInput, onnx};
use crate::Result;

impl Bundle {
    /// The same tagger with front end, calibration and activation as ONNX operators: the graph takes
    /// `waveform` `[batch, sample]` and gives `scores` `[batch, class]` and, where there is one,
    /// `embedding` `[batch, dim]`. Cutting into segments and aggregation stay with the caller; the
    /// metadata says how. It is a bundle too and tags like the original, but cannot be trained on.
    ///
    /// # Errors
    /// As for [`onnx::export_waveform`].
    pub fn to_waveform(&self) -> Result<Self> {
        let model = onnx::export_waveform(self)?;
        let metadata = self.metadata();
        let tensors = Tensors::waveform();
        let exported = Metadata {
            input: Input::Waveform(WaveformInput {
                sample_rate: metadata.sample_rate(),
                full_scale: 1.0,
            }),
            tensors: Tensors {
                embedding: tensors
                    .embedding
                    .filter(|_| metadata.tensors.embedding.is_some()),
                ..tensors
            },
            activation: Activation::Identity,
            calibration: None,
            architecture: None,
            ..metadata.clone()
        };
        Self::new(self.file(), &onnx::encode(&model), exported)
    }
}
