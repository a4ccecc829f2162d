//! Sounds made by formula, the files that hold them, and how two sounds are compared.

use std::f64::consts::TAU;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

use earmark::Result;
use earmark::audio::{AudioStream, OpenOptions, Source, Waveform};

/// Half a second of the chirp that all files hold: 0.5·sin(2π(200t + 2800t²)).
pub(crate) fn chirp(sample_rate: u32) -> Vec<f32> {
    let n = sample_rate / 2;
    let rate = f64::from(sample_rate);
    (0..n)
        .map(|i| f64::from(i) / rate)
        .map(|t| (0.5 * (TAU * (200.0 * t + 2800.0 * t * t)).sin()) as f32)
        .collect()
}

/// A sine of amplitude 0.5.
pub(crate) fn sine(hz: f64, sample_rate: u32, n: usize) -> Vec<f32> {
    let step = TAU * hz / f64::from(sample_rate);
    (0..n)
        .map(|i| (0.5 * (step * i as f64).sin()) as f32)
        .collect()
}

/// How far `found` is from `expected` in dB: the energy of `expected` over that of the difference.
pub(crate) fn snr_db(found: &[f32], expected: &[f32]) -> f64 {
    assert_eq!(found.len(), expected.len(), "number of samples");
    let square = |x: f64| x * x;
    let signal: f64 = expected.iter().map(|&x| square(f64::from(x))).sum();
    let noise: f64 = found
        .iter()
        .zip(expected)
        .map(|(&a, &b)| square(f64::from(a) - f64::from(b)))
        .sum();
    10.0 * (signal / noise).log10()
}

/// One of the encoded files of `tests/data/audio`.
pub(crate) fn file(name: &str) -> Vec<u8> {
    std::fs::read(path(name)).expect("the file is committed")
}

/// The path of one of the encoded files.
pub(crate) fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/audio")
        .join(name)
}

/// The names of all encoded files.
pub(crate) fn files() -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(path(""))
        .expect("the folder is committed")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .filter(|name| name != "make.sh")
        .collect();
    names.sort();
    names
}

/// Bytes as a source.
pub(crate) fn bytes(name: &str, bytes: impl Into<Vec<u8>>) -> Source {
    Source::Bytes {
        name: name.to_owned(),
        bytes: Arc::from(bytes.into()),
    }
}

/// Bytes as a source that can be read once, in small pieces.
pub(crate) fn pipe(name: &str, bytes: Vec<u8>) -> Source {
    struct Drip(std::io::Cursor<Vec<u8>>);
    impl Read for Drip {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let n = buffer.len().min(777);
            self.0.read(&mut buffer[..n])
        }
    }
    Source::Reader {
        name: name.to_owned(),
        reader: Box::new(Drip(std::io::Cursor::new(bytes))),
    }
}

/// Decodes a source with default options.
pub(crate) fn read(source: Source) -> Result<Waveform> {
    AudioStream::open(source, &OpenOptions::default())?.read_to_end()
}

/// Opens and decodes bytes and returns the error's message.
pub(crate) fn message(name: &str, content: impl Into<Vec<u8>>) -> String {
    match read(bytes(name, content)) {
        Ok(waveform) => panic!("{name} decodes to {} samples", waveform.samples.len()),
        Err(error) => error.to_string(),
    }
}

/// A RIFF chunk with its padding byte.
pub(crate) fn chunk(id: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let mut bytes = id.to_vec();
    bytes.extend((content.len() as u32).to_le_bytes());
    bytes.extend_from_slice(content);
    if content.len() % 2 == 1 {
        bytes.push(0);
    }
    bytes
}

/// The content of a `fmt ` chunk.
pub(crate) fn fmt(tag: u16, n_channels: u16, sample_rate: u32, bits: u16) -> Vec<u8> {
    let align = n_channels * bits / 8;
    let mut bytes = tag.to_le_bytes().to_vec();
    bytes.extend(n_channels.to_le_bytes());
    bytes.extend(sample_rate.to_le_bytes());
    bytes.extend((sample_rate * u32::from(align)).to_le_bytes());
    bytes.extend(align.to_le_bytes());
    bytes.extend(bits.to_le_bytes());
    bytes
}

/// A RIFF WAVE file of the given chunks.
pub(crate) fn riff(chunks: &[Vec<u8>]) -> Vec<u8> {
    let body = chunks.concat();
    let mut bytes = b"RIFF".to_vec();
    bytes.extend((body.len() as u32 + 4).to_le_bytes());
    bytes.extend_from_slice(b"WAVE");
    bytes.extend(body);
    bytes
}

/// A WAV file of one format and data chunk.
pub(crate) fn wav(fmt: &[u8], data: &[u8]) -> Vec<u8> {
    riff(&[chunk(b"fmt ", fmt), chunk(b"data", data)])
}

/// Samples as 16-bit little-endian bytes.
pub(crate) fn s16(samples: &[f32]) -> Vec<u8> {
    samples
        .iter()
        .flat_map(|x| ((x * 32_768.0).round().clamp(-32_768.0, 32_767.0) as i16).to_le_bytes())
        .collect()
}

/// A 16-bit mono WAV file.
pub(crate) fn wav16(samples: &[f32], sample_rate: u32) -> Vec<u8> {
    wav(&fmt(1, 1, sample_rate, 16), &s16(samples))
}
