//! Sounds made by code for the workshop's runs: tones of a class with noise, as WAV files.

use std::f64::consts::TAU;
use std::path::Path;

use anyhow::{Context as _, Result};

/// A sound to make.
pub(crate) struct Sound<'a> {
    pub(crate) sample_rate: u32,
    pub(crate) secs: f64,
    /// Numbers of the classes that are heard; each has a pitch of its own.
    pub(crate) classes: &'a [usize],
    /// What is random about it.
    pub(crate) seed: u64,
}

/// Reproducible numbers from 0 to 1.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) fn next(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Writes a mono WAV file of 16-bit samples.
pub(crate) fn write(path: &Path, sound: &Sound<'_>) -> Result<()> {
    let n_samples = (sound.secs * f64::from(sound.sample_rate)).round() as u32;
    let n_bytes = 2 * n_samples;
    let mut wav = b"RIFF".to_vec();
    wav.extend((36 + n_bytes).to_le_bytes());
    wav.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    wav.extend(sound.sample_rate.to_le_bytes());
    wav.extend((2 * sound.sample_rate).to_le_bytes());
    wav.extend([2, 0, 16, 0]);
    wav.extend(b"data");
    wav.extend(n_bytes.to_le_bytes());
    let mut random = Random::new(sound.seed);
    // A pitch a third apart for each class, a little out of tune in each clip.
    let detune = 0.97 + 0.06 * random.next();
    let top = f64::from(sound.sample_rate) / 2.2;
    let pitches: Vec<f64> = sound
        .classes
        .iter()
        .map(|&class| 120.0 * 1.26_f64.powi((class % 18) as i32) * detune)
        .map(|pitch| pitch.min(top))
        .collect();
    for index in 0..n_samples {
        let t = f64::from(index) / f64::from(sound.sample_rate);
        let tones: f64 = pitches.iter().map(|pitch| (TAU * pitch * t).sin()).sum();
        let decay = (-2.0 * t / sound.secs).exp();
        let sample = 0.25 * tones * decay + 0.02 * (random.next() - 0.5);
        wav.extend(((sample.clamp(-1.0, 1.0) * 32_000.0) as i16).to_le_bytes());
    }
    std::fs::write(path, wav).with_context(|| path.display().to_string())
}
