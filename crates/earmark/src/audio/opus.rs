//! Opus packets to samples at 48 kHz, through `ropus`; the demuxer is Symphonia's.
//!
//! Source: RFC 7845 for the identification header, pre-skip, output gain and channel mapping.

use ropus::OpusMSDecoder;

use super::planes::Planes;

/// The rate at which Opus is always decoded.
pub(super) const SAMPLE_RATE: u32 = 48_000;

/// The longest packet: 120 ms.
const MAX_FRAMES: usize = 5_760;

/// An Opus stream's decoder.
pub(super) struct OpusDecoder {
    decoder: OpusMSDecoder,
    n_channels: usize,
    /// Output gain divided by the integers' full scale.
    scale: f32,
    pcm: Vec<i16>,
    /// Samples to drop at the beginning.
    pub(super) pre_skip: u64,
    /// Channels of low-frequency effects.
    pub(super) lfe: Vec<usize>,
}

/// What the identification header states.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    n_channels: u8,
    pre_skip: u16,
    /// In dB as 7.8 fixed point.
    gain: i16,
    family: u8,
    n_streams: u8,
    n_coupled: u8,
    mapping: Vec<u8>,
}

impl OpusDecoder {
    /// A decoder for the identification header that the container holds: Ogg's and Matroska's
    /// `OpusHead`, or the content of MP4's `dOps` box.
    ///
    /// # Errors
    /// What is wrong with the header.
    pub(super) fn new(header: &[u8]) -> Result<Self, String> {
        let head = parse_head(header)?;
        let n_channels = usize::from(head.n_channels);
        let decoder = OpusMSDecoder::new(
            SAMPLE_RATE as i32,
            i32::from(head.n_channels),
            i32::from(head.n_streams),
            i32::from(head.n_coupled),
            &head.mapping,
        )
        .map_err(|code| format!("opus header has an impossible channel mapping (code {code})"))?;
        // Vorbis channel order: the effects channel is the last of 5.1, 6.1 and 7.1.
        let lfe = match (head.family, n_channels) {
            (1, 6..=8) => vec![n_channels - 1],
            _ => Vec::new(),
        };
        let gain_db = f32::from(head.gain) / 256.0;
        Ok(Self {
            decoder,
            n_channels,
            scale: 10.0_f32.powf(gain_db / 20.0) / 32_768.0,
            pcm: vec![0; MAX_FRAMES * n_channels],
            pre_skip: u64::from(head.pre_skip),
            lfe,
        })
    }

    /// The number of channels.
    pub(super) fn n_channels(&self) -> usize {
        self.n_channels
    }

    /// Replaces the content of `planes` by one packet's samples.
    ///
    /// # Errors
    /// The decoder's reason if the packet is damaged.
    pub(super) fn decode(&mut self, packet: &[u8], planes: &mut Planes) -> Result<(), String> {
        planes.channels.resize(self.n_channels, Vec::new());
        planes.clear();
        if packet.is_empty() {
            return Err("opus packet is empty".to_owned());
        }
        let len = i32::try_from(packet.len()).map_err(|_| "opus packet is too long")?;
        let n = self
            .decoder
            .decode(Some(packet), len, &mut self.pcm, MAX_FRAMES as i32, false)
            .map_err(|code| format!("opus packet is damaged (code {code})"))?;
        let n = usize::try_from(n).unwrap_or(0).min(MAX_FRAMES);
        for (channel, plane) in planes.channels.iter_mut().enumerate() {
            let samples = self.pcm[..n * self.n_channels].iter().skip(channel);
            plane.extend(
                samples
                    .step_by(self.n_channels)
                    .map(|&s| f32::from(s) * self.scale),
            );
        }
        Ok(())
    }
}

/// Reads `OpusHead` (little-endian, with its name) or `dOps` (big-endian, without).
fn parse_head(bytes: &[u8]) -> Result<Head, String> {
    let (fields, little) = match bytes.strip_prefix(b"OpusHead") {
        Some(fields) => (fields, true),
        None => (bytes, false),
    };
    let u16_at = |at: usize| -> u16 {
        let pair = [fields[at], fields[at + 1]];
        if little {
            u16::from_le_bytes(pair)
        } else {
            u16::from_be_bytes(pair)
        }
    };
    if fields.len() < 11 {
        return Err(format!(
            "opus header has {} bytes, expected at least 19",
            bytes.len()
        ));
    }
    if little && fields[0] & 0xf0 != 0 {
        return Err(format!("opus header has version {}, expected 1", fields[0]));
    }
    let (n_channels, family) = (fields[1], fields[10]);
    let (n_streams, n_coupled, mapping) = match (family, n_channels) {
        (_, 0) => return Err("opus header states 0 channels".to_owned()),
        (0, 1 | 2) => (1, n_channels - 1, vec![0, 1]),
        (0, n) => return Err(format!("opus header states {n} channels, expected 1 or 2")),
        (3, _) => return Err("opus channel mapping family 3 (ambisonics) is not read".to_owned()),
        _ => {
            let table = fields.get(11..13 + usize::from(n_channels));
            let table = table.ok_or("opus header ends inside its channel mapping")?;
            (table[0], table[1], table[2..].to_vec())
        }
    };
    Ok(Head {
        n_channels,
        pre_skip: u16_at(2),
        gain: u16_at(8) as i16,
        family,
        n_streams,
        n_coupled,
        mapping,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An `OpusHead` of version 1 with pre-skip 312 and a gain of -6 dB.
    fn head(n_channels: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let mut bytes = b"OpusHead\x01".to_vec();
        bytes.push(n_channels);
        bytes.extend(312_u16.to_le_bytes());
        bytes.extend(48_000_u32.to_le_bytes());
        bytes.extend((-6_i16 * 256).to_le_bytes());
        bytes.push(family);
        bytes.extend_from_slice(rest);
        bytes
    }

    #[test]
    fn the_header_is_read() {
        let decoder = OpusDecoder::new(&head(6, 1, &[4, 2, 0, 4, 1, 2, 3, 5])).expect("5.1");
        assert_eq!((decoder.n_channels(), decoder.pre_skip), (6, 312));
        assert_eq!(decoder.lfe, [5]);
        assert!((decoder.scale * 32_768.0 - 0.501_187).abs() < 1e-5);
    }

    #[test]
    fn impossible_headers_are_refused() {
        for bytes in [
            head(0, 0, &[]),
            head(3, 0, &[]),
            head(6, 1, &[4, 2, 0]),
            head(2, 1, &[1, 1, 0, 9]),
            head(2, 1, &[0, 0, 0, 0]),
            b"OpusHead".to_vec(),
        ] {
            assert!(OpusDecoder::new(&bytes).is_err(), "{bytes:?}");
        }
    }
}
