//! Folders of tones and noise, made by code.

use std::f32::consts::TAU;
use std::path::Path;

/// Samples per second of the files.
pub(crate) const SAMPLE_RATE: u32 = 32_000;

/// A 16-bit WAV of one second.
pub(crate) fn write_wav(path: &Path, samples: impl Iterator<Item = f32>) -> std::io::Result<()> {
    let samples: Vec<i16> = samples
        .take(SAMPLE_RATE as usize)
        .map(|x| (x * 32_000.0) as i16)
        .collect();
    let n_bytes = 2 * samples.len() as u32;
    let mut bytes = b"RIFF".to_vec();
    bytes.extend((36 + n_bytes).to_le_bytes());
    bytes.extend(b"WAVEfmt ");
    bytes.extend(16u32.to_le_bytes());
    bytes.extend([1, 0, 1, 0]);
    bytes.extend(SAMPLE_RATE.to_le_bytes());
    bytes.extend((2 * SAMPLE_RATE).to_le_bytes());
    bytes.extend([2, 0, 16, 0]);
    bytes.extend(b"data");
    bytes.extend(n_bytes.to_le_bytes());
    bytes.extend(samples.iter().flat_map(|x| x.to_le_bytes()));
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(path, bytes)
}

/// A tone of half full scale.
pub(crate) fn tone(hz: f32) -> impl Iterator<Item = f32> {
    (0..).map(move |i| 0.5 * (TAU * hz * i as f32 / SAMPLE_RATE as f32).sin())
}

/// White noise that a seed decides.
pub(crate) fn hiss(seed: u32, amplitude: f32) -> impl Iterator<Item = f32> {
    super::noise(SAMPLE_RATE as usize, seed)
        .into_iter()
        .map(move |x| amplitude * x)
}

/// Low and high tones in a folder per class, `n` of each.
pub(crate) fn write_tones(folder: &Path, n: usize) -> std::io::Result<()> {
    for (class, base) in [("low", 200.0f32), ("high", 3_000.0)] {
        for clip in 0..n {
            let path = folder.join(class).join(format!("{clip}.wav"));
            write_wav(&path, tone(base * (1.0 + 0.03 * clip as f32)))?;
        }
    }
    Ok(())
}
