//! Small data sets for the tests of this folder.

use std::path::{Path, PathBuf};

use super::{Clip, Layout, Manifest, Quality, Split, Vocabulary};

/// A training clip with labels.
pub(super) fn clip(name: &str, labels: &[usize]) -> Clip {
    Clip {
        name: name.to_owned(),
        path: Path::new("data").join(name),
        labels: Some(labels.to_vec()),
        split: Split::Train,
        fold: None,
        weight: 1.0,
        quality: Quality::Curated,
        source: None,
        stretch_secs: None,
        origin: None,
    }
}

/// A data set of classes named `class 0`, `class 1`, ….
pub(super) fn manifest(n_classes: usize, clips: Vec<Clip>) -> Manifest {
    Manifest {
        layout: Layout::Folders,
        root: PathBuf::from("data"),
        vocabulary: Vocabulary::from_names((0..n_classes).map(|class| format!("class {class}")))
            .unwrap(),
        clips,
        unlisted: vec![],
        dropped: vec![],
        notes: vec![],
    }
}

/// Writes a mono 16-bit WAV file.
pub(super) fn write_wav(path: &Path, sample_rate: u32, samples: &[f32]) {
    let data: Vec<u8> = samples
        .iter()
        .flat_map(|x| ((x * 32767.0).round() as i16).to_le_bytes())
        .collect();
    let mut bytes = Vec::new();
    bytes.extend_from_slice(b"RIFF");
    bytes.extend_from_slice(&(36 + data.len() as u32).to_le_bytes());
    bytes.extend_from_slice(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    bytes.extend_from_slice(&sample_rate.to_le_bytes());
    bytes.extend_from_slice(&(sample_rate * 2).to_le_bytes());
    bytes.extend_from_slice(b"\x02\0\x10\0data");
    bytes.extend_from_slice(&(data.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&data);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

/// A sine.
pub(super) fn sine(frequency: f32, sample_rate: u32, n_samples: usize) -> Vec<f32> {
    let step = std::f32::consts::TAU * frequency / sample_rate as f32;
    (0..n_samples)
        .map(|i| 0.5 * (step * i as f32).sin())
        .collect()
}
