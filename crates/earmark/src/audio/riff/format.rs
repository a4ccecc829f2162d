//! The `fmt ` chunk: how the data chunk's bytes are samples.

use super::adpcm::{self, Kind};
use crate::{Error, Result};

/// How one sample is stored.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Coding {
    /// Unsigned 8-bit.
    U8,
    /// Signed 16-bit.
    S16,
    /// Signed 24-bit.
    S24,
    /// Signed 32-bit.
    S32,
    /// 32-bit float.
    F32,
    /// 64-bit float.
    F64,
    /// G.711 A-law.
    ALaw,
    /// G.711 µ-law.
    MuLaw,
    /// 4-bit ADPCM in blocks.
    Adpcm(Kind),
}

/// What the `fmt ` chunk states, checked.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct WavFormat {
    pub(super) coding: Coding,
    pub(super) n_channels: usize,
    pub(super) sample_rate: u32,
    /// Bytes of one sample of all channels, or of one ADPCM block.
    pub(super) block_align: usize,
    /// Samples per channel in one block: 1 but for ADPCM.
    pub(super) frames_per_block: usize,
    /// The speaker positions, `dwChannelMask`; 0 when not stated.
    channel_mask: u32,
}

/// `WAVE_FORMAT_EXTENSIBLE`: the true tag is the first two bytes of the sub-format GUID.
const EXTENSIBLE: u16 = 0xfffe;
/// `SPEAKER_LOW_FREQUENCY` of `dwChannelMask`.
const SPEAKER_LFE: u32 = 0x8;

impl WavFormat {
    /// Reads a `fmt ` chunk's content.
    ///
    /// # Errors
    /// [`Error::Decode`] for a chunk that contradicts itself, [`Error::UnsupportedCodec`] for a
    /// coding that is not read here.
    pub(super) fn parse(name: &str, chunk: &[u8]) -> Result<Self> {
        let u16_at = |at: usize| {
            chunk
                .get(at..at + 2)
                .map_or(0, |b| u16::from_le_bytes([b[0], b[1]]))
        };
        let u32_at = |at: usize| u32::from(u16_at(at)) | u32::from(u16_at(at + 2)) << 16;
        let bad = |reason: String| Error::Decode {
            name: name.to_owned(),
            reason,
        };
        if chunk.len() < 14 {
            return Err(bad(format!(
                "its `fmt ` chunk has {} bytes, expected at least 14",
                chunk.len()
            )));
        }
        let tag = match u16_at(0) {
            EXTENSIBLE if chunk.len() >= 26 => u16_at(24),
            tag => tag,
        };
        let channel_mask = if u16_at(0) == EXTENSIBLE {
            u32_at(20)
        } else {
            0
        };
        let n_channels = usize::from(u16_at(2));
        let (sample_rate, block_align) = (u32_at(4), usize::from(u16_at(12)));
        if n_channels == 0 {
            return Err(bad(
                "its header states 0 channels, expected at least 1".to_owned()
            ));
        }
        if block_align == 0 {
            return Err(bad(
                "its header states 0 bytes per sample, expected at least 1".to_owned(),
            ));
        }
        let bits = match u16_at(14) {
            // A 14-byte chunk states no bits.
            0 => u16::try_from(block_align * 8 / n_channels).unwrap_or(0),
            bits => bits,
        };
        let (coding, frames_per_block) = match tag {
            0x0002 => adpcm::ms(name, chunk, n_channels, block_align)?,
            0x0011 => adpcm::ima(name, n_channels, block_align)?,
            _ => (plain_coding(name, tag, bits, block_align, n_channels)?, 1),
        };
        Ok(Self {
            coding,
            n_channels,
            sample_rate,
            block_align,
            frames_per_block,
            channel_mask,
        })
    }

    /// The samples per channel in `n` bytes of data.
    pub(super) fn frames_in(&self, n: u64) -> u64 {
        let block = self.block_align as u64;
        let whole = n / block * self.frames_per_block as u64;
        let rest = usize::try_from(n % block).unwrap_or(0);
        match &self.coding {
            Coding::Adpcm(kind) => {
                whole + adpcm::frames_in_block(kind, rest, self.n_channels) as u64
            }
            _ => whole,
        }
    }

    /// Whether the data comes in blocks of compressed samples.
    pub(super) fn is_adpcm(&self) -> bool {
        matches!(self.coding, Coding::Adpcm(_))
    }

    /// The codec's name.
    pub(super) fn codec_name(&self) -> &'static str {
        match &self.coding {
            Coding::U8 => "PCM unsigned 8-bit",
            Coding::S16 => "PCM 16-bit",
            Coding::S24 => "PCM 24-bit",
            Coding::S32 => "PCM 32-bit",
            Coding::F32 => "PCM 32-bit float",
            Coding::F64 => "PCM 64-bit float",
            Coding::ALaw => "A-law",
            Coding::MuLaw => "µ-law",
            Coding::Adpcm(Kind::Ms(_)) => "MS ADPCM",
            Coding::Adpcm(Kind::Ima) => "IMA ADPCM",
        }
    }

    /// The indices of low-frequency-effects channels, if the file states positions.
    pub(super) fn lfe_channels(&self) -> Vec<usize> {
        let stated = self.channel_mask.count_ones() as usize >= self.n_channels;
        if stated && self.channel_mask & SPEAKER_LFE != 0 {
            vec![(self.channel_mask & (SPEAKER_LFE - 1)).count_ones() as usize]
        } else {
            Vec::new()
        }
    }
}

/// The coding of one of the tags that store each sample by itself.
fn plain_coding(
    name: &str,
    tag: u16,
    bits: u16,
    block_align: usize,
    n_channels: usize,
) -> Result<Coding> {
    // The container's width counts: 20 bits lie left-justified in three bytes.
    let width = block_align / n_channels;
    let fits = block_align.is_multiple_of(n_channels) && usize::from(bits) <= width * 8;
    match (tag, width) {
        (1, 1) if fits => Ok(Coding::U8),
        (1, 2) if fits => Ok(Coding::S16),
        (1, 3) if fits => Ok(Coding::S24),
        (1, 4) if fits => Ok(Coding::S32),
        (3, 4) if fits => Ok(Coding::F32),
        (3, 8) if fits => Ok(Coding::F64),
        (6, 1) if fits => Ok(Coding::ALaw),
        (7, 1) if fits => Ok(Coding::MuLaw),
        (1 | 3 | 6 | 7, _) => Err(Error::Decode {
            name: name.to_owned(),
            reason: format!(
                "its header states {bits} bits, {n_channels} channels and {block_align} bytes per \
                 sample, which do not fit"
            ),
        }),
        _ => Err(Error::UnsupportedCodec {
            name: name.to_owned(),
            codec: unsupported_name(tag),
        }),
    }
}

/// The name of a coding that is not read.
fn unsupported_name(tag: u16) -> String {
    let known = match tag {
        0x0031 => "GSM 6.10",
        0x0045 => "G.726 ADPCM",
        0x0050 => "MPEG audio in WAV",
        0x0055 => "MP3 in WAV",
        0x00ff | 0x1610 => "AAC in WAV",
        0x0160..=0x0163 => "Windows Media Audio",
        _ => return format!("WAV format tag 0x{tag:04x}"),
    };
    format!("{known} (format tag 0x{tag:04x})")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(tag: u16, n_channels: u16, rate: u32, align: u16, bits: u16) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(tag.to_le_bytes());
        bytes.extend(n_channels.to_le_bytes());
        bytes.extend(rate.to_le_bytes());
        bytes.extend((rate * u32::from(align)).to_le_bytes());
        bytes.extend(align.to_le_bytes());
        bytes.extend(bits.to_le_bytes());
        bytes
    }

    #[test]
    fn impossible_headers_say_what_is_wrong() {
        let message = |bytes: &[u8]| {
            WavFormat::parse("x.wav", bytes)
                .expect_err("no such format")
                .to_string()
        };
        assert_eq!(
            message(&chunk(1, 0, 8000, 2, 16)),
            "x.wav: its header states 0 channels, expected at least 1"
        );
        assert_eq!(
            message(&chunk(0x31, 1, 8000, 65, 0)),
            "x.wav: no decoder for GSM 6.10 (format tag 0x0031)"
        );
        assert!(message(&chunk(1, 2, 8000, 5, 16)).contains("do not fit"));
        assert!(message(&chunk(1, 2, 8000, 4, 24)).contains("do not fit"));
        assert!(message(&[1, 0]).contains("2 bytes, expected at least 14"));
    }

    #[test]
    fn the_lfe_channel_is_found_from_the_mask() {
        let mut bytes = chunk(0xfffe, 6, 48_000, 12, 16);
        bytes.extend([22, 0, 16, 0]);
        bytes.extend(0x3f_u32.to_le_bytes());
        bytes.extend([
            1, 0, 0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71,
        ]);
        let format = WavFormat::parse("x.wav", &bytes).expect("5.1 PCM");
        assert_eq!(format.coding, Coding::S16);
        assert_eq!(format.lfe_channels(), [3]);
    }
}
