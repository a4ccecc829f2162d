//! WAV files in memory: samples or raw numbers in, bytes that every program opens out.

/// How a sample is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coding {
    /// The format tag: 1 for integers, 3 for floats.
    tag: u16,
    /// Bytes of a sample.
    n_bytes: u16,
}

impl Coding {
    /// 16-bit integers.
    pub const I16: Self = Self { tag: 1, n_bytes: 2 };
    /// 24-bit integers.
    pub const I24: Self = Self { tag: 1, n_bytes: 3 };
    /// 32-bit integers.
    pub const I32: Self = Self { tag: 1, n_bytes: 4 };
    /// 32-bit floats.
    pub const F32: Self = Self { tag: 3, n_bytes: 4 };
}

/// A mono WAV file of 32-bit floats at `sample_rate` (Hz).
pub fn float(samples: &[f32], sample_rate: u32) -> Vec<u8> {
    let data = samples.iter().flat_map(|x| x.to_le_bytes()).collect();
    mono(sample_rate, Coding::F32, data)
}

/// A mono WAV file of 16-bit integers at `sample_rate` (Hz) of samples in [-1, 1]; others are clipped.
pub fn integer(samples: &[f32], sample_rate: u32) -> Vec<u8> {
    let word = |x: &f32| (x * 32_767.0).round().clamp(-32_768.0, 32_767.0) as i16;
    pcm16(&samples.iter().map(word).collect::<Vec<_>>(), sample_rate)
}

/// A mono WAV file of these 16-bit integers at `sample_rate` (Hz).
pub fn pcm16(samples: &[i16], sample_rate: u32) -> Vec<u8> {
    let data = samples.iter().flat_map(|x| x.to_le_bytes()).collect();
    mono(sample_rate, Coding::I16, data)
}

fn mono(sample_rate: u32, coding: Coding, data: Vec<u8>) -> Vec<u8> {
    // Clips of hours do not fit a RIFF size; readers take the largest one as "until the end".
    let size = u32::try_from(data.len()).unwrap_or(u32::MAX);
    let mut file = header(sample_rate, 1, coding, size);
    file.extend_from_slice(&data);
    file
}

/// The header of a stream whose length nobody knows: raw numbers may follow for ever.
///
/// `n_channels` numbers make a frame, `sample_rate` frames a second.
pub fn endless_header(sample_rate: u32, n_channels: u16, coding: Coding) -> Vec<u8> {
    header(sample_rate, n_channels, coding, u32::MAX)
}

fn header(sample_rate: u32, n_channels: u16, coding: Coding, data_len: u32) -> Vec<u8> {
    let frame = n_channels.saturating_mul(coding.n_bytes);
    let mut header = b"RIFF".to_vec();
    header.extend(data_len.saturating_add(36).to_le_bytes());
    header.extend(b"WAVEfmt \x10\0\0\0");
    header.extend(coding.tag.to_le_bytes());
    header.extend(n_channels.to_le_bytes());
    header.extend(sample_rate.to_le_bytes());
    header.extend(sample_rate.saturating_mul(u32::from(frame)).to_le_bytes());
    header.extend(frame.to_le_bytes());
    header.extend((coding.n_bytes * 8).to_le_bytes());
    header.extend(b"data");
    header.extend(data_len.to_le_bytes());
    header
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::audio::{AudioStream, OpenOptions, Source};

    use super::*;

    #[test]
    fn what_is_written_is_read_back() -> crate::Result<()> {
        let samples = [0.0, 0.5, -0.25, 0.125];
        for bytes in [
            float(&samples, 16_000),
            integer(&samples, 16_000),
            [
                endless_header(16_000, 1, Coding::F32),
                samples.iter().flat_map(|x| x.to_le_bytes()).collect(),
            ]
            .concat(),
        ] {
            let source = Source::Bytes {
                name: "x.wav".to_owned(),
                bytes: Arc::from(bytes),
            };
            let read = AudioStream::open(source, &OpenOptions::default())?.read_to_end()?;
            assert_eq!(read.sample_rate, 16_000);
            for (a, b) in read.samples.iter().zip(samples) {
                assert!((a - b).abs() < 1e-4);
            }
            assert_eq!(read.samples.len(), 4);
        }
        Ok(())
    }
}
