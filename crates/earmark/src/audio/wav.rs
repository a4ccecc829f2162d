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
    let n_samples = data.len() as u64 / u64::from(coding.n_bytes);
    let mut file = header(sample_rate, 1, coding, Some(n_samples));
    file.extend_from_slice(&data);
    file
}

/// The header of a mono file of `n_samples` 32-bit floats at `sample_rate` (Hz): as long for any number,
/// so that it can be written first and again when the number is known.
pub fn float_header(sample_rate: u32, n_samples: u64) -> Vec<u8> {
    header(sample_rate, 1, Coding::F32, Some(n_samples))
}

/// The header of a stream whose length nobody knows: raw numbers may follow for ever.
///
/// `n_channels` numbers make a frame, `sample_rate` frames a second.
pub fn endless_header(sample_rate: u32, n_channels: u16, coding: Coding) -> Vec<u8> {
    header(sample_rate, n_channels, coding, None)
}

/// Floats bring the size of an empty extension and a `fact` chunk along, which the format asks for when
/// samples are no integers; a stream without end has nothing to say there.
fn header(sample_rate: u32, n_channels: u16, coding: Coding, n_frames: Option<u64>) -> Vec<u8> {
    let frame = n_channels.saturating_mul(coding.n_bytes);
    // Clips of hours do not fit a RIFF size; readers take the largest one as "until the end".
    let short = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
    let data_len = n_frames.map_or(u32::MAX, |n| short(n.saturating_mul(u64::from(frame))));
    let fact = n_frames.filter(|_| coding.tag == Coding::F32.tag);
    let mut format = coding.tag.to_le_bytes().to_vec();
    format.extend(n_channels.to_le_bytes());
    format.extend(sample_rate.to_le_bytes());
    format.extend(sample_rate.saturating_mul(u32::from(frame)).to_le_bytes());
    format.extend(frame.to_le_bytes());
    format.extend((coding.n_bytes * 8).to_le_bytes());
    if fact.is_some() {
        format.extend([0, 0]);
    }
    let mut chunks = b"WAVEfmt ".to_vec();
    chunks.extend((format.len() as u32).to_le_bytes());
    chunks.extend(format);
    if let Some(n_frames) = fact {
        chunks.extend(b"fact\x04\0\0\0");
        chunks.extend(short(n_frames).to_le_bytes());
    }
    chunks.extend(b"data");
    chunks.extend(data_len.to_le_bytes());
    let mut header = b"RIFF".to_vec();
    header.extend(data_len.saturating_add(chunks.len() as u32).to_le_bytes());
    header.extend(chunks);
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

    #[test]
    fn headers_have_their_fields_where_the_format_puts_them() {
        let floats = float_header(48_000, 7);
        assert_eq!(floats.len(), 58);
        assert_eq!(floats[4..8], (58 - 8 + 28_u32).to_le_bytes());
        assert_eq!(floats[16..22], [18, 0, 0, 0, 3, 0]);
        assert_eq!(floats[38..46], *b"fact\x04\0\0\0");
        assert_eq!(floats[46..50], 7_u32.to_le_bytes());
        assert_eq!(floats[54..58], 28_u32.to_le_bytes());
        let integers = integer(&[0.0; 5], 8_000);
        assert_eq!(integers.len(), 44 + 10);
        assert_eq!(integers[4..8], (44 - 8 + 10_u32).to_le_bytes());
        assert_eq!(integers[40..44], 10_u32.to_le_bytes());
    }

    #[test]
    fn lengths_beyond_the_format_are_its_largest() {
        let day = float_header(48_000, 24 * 3600 * 48_000);
        assert_eq!(day.len(), 58);
        assert_eq!(day[54..58], u32::MAX.to_le_bytes());
        assert_eq!(day[4..8], u32::MAX.to_le_bytes());
    }
}
