//! A tagger whose embeddings are what a test wants: the waveform's own numbers.

use std::path::Path;

use earmark::Result;
use earmark::bundle::{Input, Metadata, Origin, Provenance, SegmentConfig, Tensors, WaveformInput};
use earmark::dataset::Vocabulary;
use earmark::features::FrontEndConfig;
use earmark::runtime::{Batch, Output, Runtime};
use earmark::tagger::{Tagger, TaggerOptions};

/// Samples per second.
pub(crate) const RATE: u32 = 1_000;

/// Puts out the mean of every third sample, from the first, the second and the third on, as the
/// embedding, and the first of these as the only logit.
struct Levels;

impl Runtime for Levels {
    fn name(&self) -> &str {
        "levels"
    }

    fn run(&self, batch: &Batch) -> Result<Output> {
        let mean = |from: usize| -> f32 {
            let every: Vec<f32> = batch.data().iter().skip(from).step_by(3).copied().collect();
            every.iter().sum::<f32>() / every.len() as f32
        };
        let embedding: Vec<f32> = (0..3).map(mean).collect();
        Ok(Output {
            logits: vec![embedding[0]],
            embedding,
        })
    }
}

/// A tagger of segments of so many seconds that follow each other.
pub(crate) fn tagger(window_secs: f32) -> Result<Tagger> {
    with_runtime(window_secs, Box::new(Levels))
}

/// The same with another network.
pub(crate) fn with_runtime(window_secs: f32, runtime: Box<dyn Runtime>) -> Result<Tagger> {
    let segment = SegmentConfig {
        length_secs: window_secs,
        hop_secs: window_secs,
        min_secs: window_secs,
        ..SegmentConfig::efficient_at()
    };
    let mut metadata = Metadata::new(
        "levels",
        FrontEndConfig::efficient_at(),
        Vocabulary::from_names(["Loud"])?,
        segment,
        Provenance::new(Origin::Wrapped),
    );
    metadata.input = Input::Waveform(WaveformInput {
        sample_rate: RATE,
        full_scale: 1.0,
    });
    metadata.tensors = Tensors {
        embedding: Some("embedding".to_owned()),
        ..metadata.tensors
    };
    Tagger::with_runtime(metadata, runtime, &TaggerOptions::default())
}

/// Writes a WAV file: for each embedding so many seconds that give it.
pub(crate) fn write(path: &Path, stretches: &[(f64, [f32; 3])]) -> Result<()> {
    let samples = stretches.iter().flat_map(|(secs, values)| {
        let n = (secs * f64::from(RATE)) as usize;
        (0..n).map(|at| values[at % 3])
    });
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(path, wav(samples))?;
    Ok(())
}

/// A mono WAV file of floats.
pub(crate) fn wav(samples: impl Iterator<Item = f32>) -> Vec<u8> {
    let data: Vec<u8> = samples.flat_map(f32::to_le_bytes).collect();
    let len = data.len() as u32;
    let mut bytes = b"RIFF".to_vec();
    bytes.extend((36 + len).to_le_bytes());
    bytes.extend(b"WAVEfmt \x10\0\0\0\x03\0\x01\0");
    bytes.extend(RATE.to_le_bytes());
    bytes.extend((RATE * 4).to_le_bytes());
    bytes.extend(b"\x04\0\x20\0data");
    bytes.extend(len.to_le_bytes());
    bytes.extend(data);
    bytes
}
