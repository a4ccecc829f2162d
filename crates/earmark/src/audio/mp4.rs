//! The part of an MP4 track that is meant to be heard: its edit list, or iTunes' `iTunSMPB`.
//!
//! Symphonia gives out every sample that is stored, encoder delay included; this reads the boxes
//! that say which of them count. Source: ISO/IEC 14496-12, boxes `mvhd`, `mdhd`, `elst`, `stts`.

use std::io::{self, Read, Seek, SeekFrom};

/// The largest `moov` box that is read: a day of AAC needs 16 MiB of tables.
const MAX_MOOV: u64 = 128 << 20;
/// The most top-level boxes that are looked at.
const MAX_BOXES: usize = 10_000;

/// The audible part of one track, in ticks of its time scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Edit {
    /// The track's id.
    pub(super) track_id: u32,
    /// Ticks per second.
    pub(super) time_scale: u32,
    /// The first tick that counts.
    pub(super) start: u64,
    /// How many ticks count; `None` up to the end.
    pub(super) length: Option<u64>,
}

/// Reads the edits of all tracks that have one from a file positioned anywhere; the reader is left
/// at its beginning. Whatever does not parse yields no edit: the demuxer will say what is wrong.
pub(super) fn edits<R: Read + Seek>(reader: &mut R) -> io::Result<Vec<Edit>> {
    let moov = find_moov(reader)?;
    reader.seek(SeekFrom::Start(0))?;
    Ok(moov.as_deref().map(parse_moov).unwrap_or_default())
}

/// The content of the `moov` box.
fn find_moov<R: Read + Seek>(reader: &mut R) -> io::Result<Option<Vec<u8>>> {
    let mut at = 0_u64;
    for _ in 0..MAX_BOXES {
        reader.seek(SeekFrom::Start(at))?;
        let mut header = [0; 16];
        let mut n = 0;
        while n < header.len() {
            match reader.read(&mut header[n..])? {
                0 => break,
                read => n += read,
            }
        }
        if n < 8 {
            return Ok(None);
        }
        let short = u64::from(u32::from_be_bytes([
            header[0], header[1], header[2], header[3],
        ]));
        let (size, n_header) = match short {
            0 => (u64::MAX, 8),
            1 if n == 16 => (header[8..].try_into().map_or(0, u64::from_be_bytes), 16),
            size => (size, 8),
        };
        if size < n_header {
            return Ok(None);
        }
        if &header[4..8] == b"moov" {
            let len = size - n_header;
            if len > MAX_MOOV {
                return Ok(None);
            }
            reader.seek(SeekFrom::Start(at + n_header))?;
            let mut content = Vec::new();
            reader.take(len).read_to_end(&mut content)?;
            return Ok(Some(content));
        }
        match at.checked_add(size) {
            Some(next) => at = next,
            None => return Ok(None),
        }
    }
    Ok(None)
}

/// The boxes directly inside `content`, as name and content.
fn boxes(mut content: &[u8]) -> impl Iterator<Item = (&[u8; 4], &[u8])> {
    std::iter::from_fn(move || {
        let size = u32_at(content, 0)? as usize;
        let name = content.get(4..)?.first_chunk::<4>()?;
        let body = content.get(8..size)?;
        content = &content[size..];
        Some((name, body))
    })
}

/// The content at a path of nested boxes, the first of each name.
fn find<'a>(content: &'a [u8], path: &[&[u8; 4]]) -> Option<&'a [u8]> {
    path.iter().try_fold(content, |content, name| {
        boxes(content)
            .find(|(found, _)| found == name)
            .map(|(_, body)| body)
    })
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes
        .get(at..)?
        .first_chunk()
        .map(|b| u32::from_be_bytes(*b))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes
        .get(at..)?
        .first_chunk()
        .map(|b| u64::from_be_bytes(*b))
}

/// The time scale of `mvhd` or `mdhd`.
fn time_scale(full_box: &[u8]) -> Option<u32> {
    u32_at(full_box, if full_box.first() == Some(&1) { 20 } else { 12 })
}

fn parse_moov(moov: &[u8]) -> Vec<Edit> {
    let movie_scale = find(moov, &[b"mvhd"]).and_then(time_scale);
    let gapless = itun_smpb(moov);
    boxes(moov)
        .filter(|(name, _)| *name == b"trak")
        .filter_map(|(_, trak)| track_edit(trak, movie_scale, gapless))
        .collect()
}

/// One sound track's edit.
fn track_edit(trak: &[u8], movie_scale: Option<u32>, gapless: Option<(u64, u64)>) -> Option<Edit> {
    if find(trak, &[b"mdia", b"hdlr"])?.get(8..12)? != b"soun" {
        return None;
    }
    let tkhd = find(trak, &[b"tkhd"])?;
    let track_id = u32_at(tkhd, if tkhd.first() == Some(&1) { 20 } else { 12 })?;
    let time_scale = find(trak, &[b"mdia", b"mdhd"]).and_then(time_scale)?;
    let stored = find(trak, &[b"mdia", b"minf", b"stbl", b"stts"]).map(stts_total);
    let from_list = find(trak, &[b"edts", b"elst"])
        .and_then(single_edit)
        .zip(movie_scale)
        .map(|((start, length), movie_scale)| {
            (
                start,
                media_length(start, length, movie_scale, time_scale, stored),
            )
        });
    // iTunes counts samples, which is what the time scale counts in the files that it writes.
    let (start, length) = match (from_list, gapless) {
        (Some((start, length)), _) if start > 0 => (start, length),
        (_, Some((delay, length))) => (delay, Some(length)),
        (list, None) => list?,
    };
    Some(Edit {
        track_id,
        time_scale,
        start,
        length,
    })
}

/// The edit's length in media ticks. The list counts in the movie's coarser ticks; where the stored
/// length is the same to within one of those, the stored length is the exact one.
fn media_length(
    start: u64,
    length: u64,
    movie_scale: u32,
    time_scale: u32,
    stored: Option<u64>,
) -> Option<u64> {
    if length == 0 || movie_scale == 0 {
        return None;
    }
    let scaled = u128::from(length) * u128::from(time_scale) / u128::from(movie_scale);
    let listed = u64::try_from(scaled).ok()?;
    let tick = u64::from(time_scale.div_ceil(movie_scale));
    match stored.map(|stored| stored.saturating_sub(start)) {
        Some(rest) if rest.abs_diff(listed) <= tick => Some(rest),
        _ => Some(listed),
    }
}

/// The start in media ticks and length in movie ticks of a list with one edit; leading empty edits
/// (a later start, for synchrony with pictures) do not count. Lists that rearrange the track are
/// not followed: everything that is stored is heard.
fn single_edit(elst: &[u8]) -> Option<(u64, u64)> {
    let is_long = elst.first() == Some(&1);
    let n = u32_at(elst, 4)? as usize;
    let width = if is_long { 20 } else { 12 };
    let mut edits = elst
        .get(8..)?
        .chunks_exact(width)
        .take(n)
        .filter_map(|entry| {
            let (length, start) = if is_long {
                (u64_at(entry, 0)?, u64_at(entry, 8)? as i64)
            } else {
                (
                    u64::from(u32_at(entry, 0)?),
                    i64::from(u32_at(entry, 4)? as i32),
                )
            };
            u64::try_from(start).ok().map(|start| (start, length))
        });
    let first = edits.next()?;
    edits.next().is_none().then_some(first)
}

/// The sum of all sample durations, in media ticks.
fn stts_total(stts: &[u8]) -> u64 {
    stts.get(8..)
        .unwrap_or_default()
        .chunks_exact(8)
        .filter_map(|entry| Some(u64::from(u32_at(entry, 0)?) * u64::from(u32_at(entry, 4)?)))
        .fold(0, u64::saturating_add)
}

/// Delay and length in samples from iTunes' gapless text: ` 00000000 <delay> <padding> <length> …`.
fn itun_smpb(moov: &[u8]) -> Option<(u64, u64)> {
    let after = |bytes: &[u8], needle: &[u8]| -> Option<usize> {
        let at = bytes
            .windows(needle.len())
            .position(|window| window == needle)?;
        Some(at + needle.len())
    };
    let meta = find(moov, &[b"udta"])?;
    let rest = &meta[after(meta, b"iTunSMPB")?..];
    // The value follows in a `data` box: four bytes of type, four of locale.
    let text = rest.get(after(rest, b"data")? + 8..)?;
    let text = String::from_utf8_lossy(&text[..text.len().min(64)]);
    let mut fields = text.split_ascii_whitespace().skip(1);
    let mut next = || u64::from_str_radix(fields.next()?, 16).ok();
    let (delay, _padding, length) = (next()?, next()?, next()?);
    (length > 0).then_some((delay, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mp4_box(name: &[u8; 4], content: &[u8]) -> Vec<u8> {
        let mut bytes = (content.len() as u32 + 8).to_be_bytes().to_vec();
        bytes.extend_from_slice(name);
        bytes.extend_from_slice(content);
        bytes
    }

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|w| w.to_be_bytes()).collect()
    }

    /// A file with one track of 44 100 ticks per second and the given edit list.
    fn file(elst: &[u32], stored: u32) -> Vec<u8> {
        let mut hdlr = words(&[0, 0]);
        hdlr.extend_from_slice(b"soun");
        let stbl = mp4_box(b"stbl", &mp4_box(b"stts", &words(&[0, 1, 1, stored])));
        let mdia = [
            mp4_box(b"mdhd", &words(&[0, 0, 0, 44_100, stored])),
            mp4_box(b"hdlr", &hdlr),
            mp4_box(b"minf", &stbl),
        ]
        .concat();
        let trak = [
            mp4_box(b"tkhd", &words(&[0, 0, 0, 7])),
            mp4_box(b"edts", &mp4_box(b"elst", &words(elst))),
            mp4_box(b"mdia", &mdia),
        ]
        .concat();
        let moov = [
            mp4_box(b"mvhd", &words(&[0, 0, 0, 1000, 500])),
            mp4_box(b"trak", &trak),
        ]
        .concat();
        [mp4_box(b"ftyp", b"M4A "), mp4_box(b"moov", &moov)].concat()
    }

    fn edits_of(bytes: Vec<u8>) -> Vec<Edit> {
        edits(&mut io::Cursor::new(bytes)).expect("memory reads")
    }

    #[test]
    fn an_edit_gives_delay_and_exact_length() {
        // 500 ms from tick 1024; 23 074 ticks are stored: 22 050 count.
        let found = edits_of(file(&[0, 1, 500, 1024, 0x1_0000], 23_074));
        let expected = Edit {
            track_id: 7,
            time_scale: 44_100,
            start: 1024,
            length: Some(22_050),
        };
        assert_eq!(found, [expected]);
    }

    #[test]
    fn an_empty_edit_before_it_does_not_count_and_several_are_not_followed() {
        let found = edits_of(file(
            &[0, 2, 9, u32::MAX, 0x1_0000, 100, 1024, 0x1_0000],
            23_074,
        ));
        assert_eq!(found[0].length, Some(4410));
        let found = edits_of(file(&[0, 2, 9, 500, 0x1_0000, 100, 1024, 0x1_0000], 23_074));
        assert_eq!(found, []);
    }

    #[test]
    fn damaged_boxes_give_no_edit() {
        let whole = file(&[0, 1, 500, 1024, 0x1_0000], 23_074);
        for n in 0..whole.len() {
            let _ = edits_of(whole[..n].to_vec());
        }
    }
}
