//! What must be known about MPEG audio frames outside the decoder: recognising the stream, cutting
//! tags off its end, and telling a stream that ends inside a frame.

use std::io::{Read, Seek, SeekFrom};

/// The fields of an MPEG audio frame header that do not change within a stream, and its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FrameHeader {
    /// Version and layer bits, sample-rate index.
    identity: (u8, u8),
    /// The whole frame in bytes, header included.
    n_bytes: usize,
}

/// Bit rates in kbit/s by table and index 1 to 14; ISO/IEC 11172-3 table 3-B.2 (first three) and
/// ISO/IEC 13818-3 (last two).
const KBIT_RATES: [[usize; 14]; 5] = [
    [
        32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448,
    ],
    [
        32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384,
    ],
    [
        32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320,
    ],
    [
        32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256,
    ],
    [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
];

/// Reads a frame header; `None` when the four bytes are none, or the frame is free-format.
fn frame_header(bytes: &[u8]) -> Option<FrameHeader> {
    let &[sync, id, rates, _] = bytes.first_chunk::<4>()?;
    let (version, layer) = ((id >> 3) & 3, (id >> 1) & 3);
    let (bit_rate, rate) = (usize::from(rates >> 4), usize::from((rates >> 2) & 3));
    if sync != 0xff || id & 0xe0 != 0xe0 || version == 1 || layer == 0 || rate == 3 {
        return None;
    }
    if bit_rate == 0 || bit_rate == 15 {
        return None;
    }
    let mpeg1 = version == 3;
    let sample_rate = [44_100, 48_000, 32_000][rate] >> [2, 0, 1, 0][usize::from(version)];
    let table = match (mpeg1, layer) {
        (true, 3) => 0,
        (true, 2) => 1,
        (true, _) => 2,
        (false, 3) => 3,
        (false, _) => 4,
    };
    let bits_per_sec = KBIT_RATES[table][bit_rate - 1] * 1_000;
    let padding = usize::from((rates >> 1) & 1);
    let n_bytes = match layer {
        3 => (12 * bits_per_sec / sample_rate + padding) * 4,
        1 if !mpeg1 => 72 * bits_per_sec / sample_rate + padding,
        _ => 144 * bits_per_sec / sample_rate + padding,
    };
    Some(FrameHeader {
        identity: (id & 0xfe, rates & 0x0c),
        n_bytes,
    })
}

/// Whether `bytes` begin with an MPEG audio frame that is followed by another of the same kind, or
/// by the end of `bytes` inside the first one's length when `bytes` are the whole rest of a file.
pub(super) fn two_frames_at(bytes: &[u8]) -> bool {
    let Some(first) = frame_header(bytes) else {
        return false;
    };
    bytes
        .get(first.n_bytes..)
        .and_then(frame_header)
        .is_some_and(|second| second.identity == first.identity)
}

/// Whether `bytes` begin with an ADTS frame followed by another.
pub(super) fn starts_with_adts(bytes: &[u8]) -> bool {
    let frame_len = |b: &[u8]| -> Option<usize> {
        let b = b.first_chunk::<7>()?;
        let len = usize::from(b[3] & 3) << 11 | usize::from(b[4]) << 3 | usize::from(b[5] >> 5);
        (b[0] == 0xff && b[1] & 0xf6 == 0xf0 && len >= 7).then_some(len)
    };
    frame_len(bytes)
        .and_then(|len| bytes.get(len..))
        .and_then(frame_len)
        .is_some()
}

/// The length in bytes of the ID3v2 tag that `bytes` begin with, its header included.
pub(super) fn id3v2_len(bytes: &[u8]) -> Option<u64> {
    let head = bytes.first_chunk::<10>()?;
    if !head.starts_with(b"ID3") || head[6..].iter().any(|&b| b >= 0x80) {
        return None;
    }
    let body = head[6..].iter().fold(0, |len, &b| len << 7 | u64::from(b));
    let footer = if head[5] & 0x10 != 0 { 10 } else { 0 };
    Some(10 + body + footer)
}

/// Where the audio of a tagged MPEG stream ends: before the ID3v1 and APEv2 tags at its end.
///
/// Tags carry pictures, and a picture can contain a frame's sync pattern.
pub(super) fn audio_end<R: Read + Seek>(reader: &mut R, len: u64) -> std::io::Result<u64> {
    let mut end = len;
    let mut tail = [0; 128];
    if end >= 128 {
        reader.seek(SeekFrom::Start(end - 128))?;
        reader.read_exact(&mut tail)?;
        if tail.starts_with(b"TAG") {
            end -= 128;
        }
    }
    if end >= 32 {
        let mut footer = [0; 32];
        reader.seek(SeekFrom::Start(end - 32))?;
        reader.read_exact(&mut footer)?;
        if footer.starts_with(b"APETAGEX") {
            let size = u32::from_le_bytes([footer[12], footer[13], footer[14], footer[15]]);
            let has_header = footer[23] & 0x80 != 0;
            end = end.saturating_sub(u64::from(size) + if has_header { 32 } else { 0 });
        }
    }
    Ok(end)
}

/// Whether the stream's last bytes hold the beginning of one more frame after its last whole one.
pub(super) fn ends_inside_a_frame(tail: &[u8], last_frame: &[u8]) -> bool {
    let Some(kind) = frame_header(last_frame) else {
        return false;
    };
    let Some(at) = tail
        .windows(last_frame.len())
        .rposition(|window| window == last_frame)
    else {
        return false;
    };
    let rest = &tail[at + last_frame.len()..];
    frame_header(rest)
        .is_some_and(|next| next.identity == kind.identity && rest.len() < next.n_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// MPEG-1 layer III, 128 kbit/s, 44.1 kHz, no padding: 417 bytes.
    const HEADER: [u8; 4] = [0xff, 0xfb, 0x90, 0x00];

    fn frames(n: usize) -> Vec<u8> {
        let mut frame = HEADER.to_vec();
        frame.resize(417, 0);
        frame.repeat(n)
    }

    #[test]
    fn two_frames_make_a_stream_and_one_does_not() {
        assert!(two_frames_at(&frames(2)));
        assert!(!two_frames_at(&frames(1)));
    }

    #[test]
    fn a_cut_frame_at_the_end_is_told() {
        let whole = frames(3);
        assert!(!ends_inside_a_frame(&whole, &whole[..417]));
        assert!(ends_inside_a_frame(&whole[..900], &whole[..417]));
        let mut tagged = whole.clone();
        tagged.extend_from_slice(b"TAGtitle");
        assert!(!ends_inside_a_frame(&tagged, &whole[..417]));
    }

    #[test]
    fn an_id3v2_tag_states_its_length_in_seven_bit_bytes() {
        assert_eq!(id3v2_len(b"ID3\x04\0\0\0\0\x02\x01"), Some(10 + 257));
        assert_eq!(id3v2_len(b"ID3\x04\0\0\0\0\x82\x01"), None);
    }
}
