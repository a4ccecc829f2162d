//! The one thing that Symphonia's Matroska demuxer does not pass on: how much of the last block is
//! padding. Source: RFC 9559, `BlockGroup` and its `DiscardPadding`.

/// EBML ids of the elements that follow a block within its group.
const DISCARD_PADDING: u64 = 0x75a2;
const BLOCK_DURATION: u64 = 0x9b;
const REFERENCE_BLOCK: u64 = 0xfb;
const BLOCK_ADDITIONS: u64 = 0x75a1;

/// The padding in nanoseconds that is stated behind the block that ends in `packet`, 0 if none;
/// `tail` is the end of the file.
pub(super) fn discard_padding(tail: &[u8], packet: &[u8]) -> u64 {
    if packet.is_empty() {
        return 0;
    }
    let mut windows = tail.windows(packet.len());
    let Some(at) = windows.rposition(|window| window == packet) else {
        return 0;
    };
    let mut rest = &tail[at + packet.len()..];
    while let Some((id, content, after)) = element(rest) {
        match id {
            DISCARD_PADDING if !content.is_empty() && content.len() <= 8 => {
                let negative = content[0] & 0x80 != 0;
                let nanos = content.iter().fold(0, |n, &b| n << 8 | u64::from(b));
                return if negative { 0 } else { nanos };
            }
            BLOCK_DURATION | REFERENCE_BLOCK | BLOCK_ADDITIONS => rest = after,
            _ => return 0,
        }
    }
    0
}

/// The element that `bytes` begin with: its id, its content, and what follows.
fn element(bytes: &[u8]) -> Option<(u64, &[u8], &[u8])> {
    let (id, bytes) = number(bytes, true)?;
    let (len, bytes) = number(bytes, false)?;
    let len = usize::try_from(len).ok()?;
    Some((id, bytes.get(..len)?, &bytes[len..]))
}

/// A variable-length number; an id keeps the marker bit that tells its length.
fn number(bytes: &[u8], keep_marker: bool) -> Option<(u64, &[u8])> {
    let first = *bytes.first()?;
    let n = first.leading_zeros() as usize + 1;
    if n > 8 {
        return None;
    }
    let all = bytes
        .get(..n)?
        .iter()
        .fold(0, |n, &b| n << 8 | u64::from(b));
    let marker = 1 << (7 * n);
    Some((
        if keep_marker { all } else { all & (marker - 1) },
        &bytes[n..],
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_is_found_behind_the_last_block() {
        // … block data | BlockDuration 20 | DiscardPadding 13 500 000 ns | next cluster
        let tail = b"xxPACKET\x9b\x81\x14\x75\xa2\x83\xcd\xfe\x60\x1f\x43\xb6\x75";
        assert_eq!(discard_padding(tail, b"PACKET"), 0, "a negative number");
        let tail = b"xxPACKET\x9b\x81\x14\x75\xa2\x84\x00\xcd\xfe\x60\x1f\x43\xb6\x75";
        assert_eq!(discard_padding(tail, b"PACKET"), 13_500_000);
        assert_eq!(
            discard_padding(b"xxPACKET\x1f\x43\xb6\x75\x80", b"PACKET"),
            0
        );
        assert_eq!(discard_padding(b"xxPACKET\x75\xa2\x84\x00", b"PACKET"), 0);
        assert_eq!(discard_padding(b"", b"PACKET"), 0);
    }
}
