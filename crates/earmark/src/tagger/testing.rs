//! What the tests of this module share: a bundle's metadata without a network, a runtime that does
//! arithmetic one can do by hand, and sounds made of levels.

use std::sync::Arc;

use crate::Result;
use crate::audio::Source;
use crate::bundle::{Input, Metadata, Origin, Provenance, SegmentConfig, WaveformInput};
use crate::dataset::Vocabulary;
use crate::features::FrontEndConfig;
use crate::runtime::{Batch, Output, Runtime};

/// Samples per second of [`metadata`] and [`wav`].
pub(super) const RATE: u32 = 1_000;

/// Two classes, waveform in, sigmoid, segments as for EfficientAT.
pub(super) fn metadata() -> Metadata {
    let vocabulary = Vocabulary::from_names(["Loud", "Quiet"]).unwrap();
    let provenance = Provenance::new(Origin::Wrapped);
    let segment = SegmentConfig::efficient_at();
    let front_end = FrontEndConfig::efficient_at();
    let mut metadata = Metadata::new("level", front_end, vocabulary, segment, provenance);
    metadata.input = Input::Waveform(WaveformInput {
        sample_rate: RATE,
        full_scale: 1.0,
    });
    metadata
}

/// Puts out the mean sample and its negative; the embedding is the mean.
pub(super) struct LevelRuntime;

impl Runtime for LevelRuntime {
    fn name(&self) -> &str {
        "level"
    }

    fn run(&self, batch: &Batch) -> Result<Output> {
        let mean = batch.data().iter().sum::<f32>() / batch.data().len() as f32;
        Ok(Output {
            logits: vec![mean, -mean],
            embedding: vec![mean],
        })
    }
}

/// A WAV file of 32-bit float samples: stretches of so many seconds at a level.
pub(super) fn wav(stretches: &[(usize, f32)]) -> Source {
    let samples: Vec<f32> = stretches
        .iter()
        .flat_map(|&(secs, level)| std::iter::repeat_n(level, secs * RATE as usize))
        .collect();
    let data_len = samples.len() as u32 * 4;
    let mut bytes = b"RIFF".to_vec();
    bytes.extend((36 + data_len).to_le_bytes());
    bytes.extend(b"WAVEfmt \x10\0\0\0\x03\0\x01\0");
    bytes.extend(RATE.to_le_bytes());
    bytes.extend((RATE * 4).to_le_bytes());
    bytes.extend(b"\x04\0\x20\0data");
    bytes.extend(data_len.to_le_bytes());
    bytes.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
    Source::Bytes {
        name: "test.wav".to_owned(),
        bytes: Arc::from(bytes),
    }
}
