//! The chunk structure of RIFF WAVE, RF64/BW64 (EBU Tech 3306, ITU-R BS.2088) and Sony Wave64:
//! where the data lies and what the other chunks say.

use std::io::{Read, Seek, SeekFrom};

use super::format::WavFormat;
use crate::audio::container::Container;
use crate::audio::source::{ByteReader, read_error};
use crate::audio::{Limits, RecordingMeta};
use crate::{Error, Result};

/// What the chunks of one file say.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) format: WavFormat,
    pub(super) meta: RecordingMeta,
    /// The position of the first byte of data, where the reader stands.
    pub(super) data_start: u64,
    /// The length of the data in bytes; `None` when it runs to the end of the source.
    pub(super) data_len: Option<u64>,
    /// Samples per channel by the `fact` chunk.
    pub(super) n_frames: Option<u64>,
}

/// The largest chunk that is read into memory, and the most chunks that are looked at.
const MAX_CHUNK_BYTES: u64 = 1 << 20;
const MAX_CHUNKS: usize = 10_000;

/// A data length of this much or more is a streaming writer's placeholder for "not known".
const UNKNOWN_LEN: u64 = 0xffff_ffff;
/// The largest data length that SoX writes when it cannot seek back: 2^31 less its header.
const SOX_UNKNOWN: std::ops::RangeInclusive<u64> = 0x7fff_0000..=0x7fff_ffff;

/// The last twelve bytes of Wave64's chunk GUIDs; the first four are the RIFF name.
const WAVE64_GUID_TAIL: [u8; 12] = [
    0xf3, 0xac, 0xd3, 0x11, 0x8c, 0xd1, 0x00, 0xc0, 0x4f, 0x8e, 0xdb, 0x8a,
];

/// One chunk's header.
struct Chunk {
    id: [u8; 4],
    /// The content's length in bytes as stated.
    len: u64,
    /// Bytes from the content's end to the next chunk.
    padding: u64,
}

/// Reads all chunks up to the data, and behind it where the source can seek, and leaves the reader
/// at the data's first byte.
///
/// # Errors
/// [`Error::Decode`] without `fmt ` or data; whatever [`WavFormat::parse`] says.
pub(super) fn read(
    name: &str,
    reader: &mut ByteReader,
    container: Container,
    limits: &Limits,
) -> Result<Layout> {
    let mut walk = Walk {
        name,
        container,
        limits,
        riff_len: 0,
        ds64: None,
        format: None,
        fact: None,
        bext: None,
        guano: None,
        data: None,
    };
    walk.run(reader)?;
    walk.layout(reader)
}

struct Walk<'a> {
    name: &'a str,
    container: Container,
    limits: &'a Limits,
    riff_len: u64,
    ds64: Option<Ds64>,
    format: Option<WavFormat>,
    fact: Option<u64>,
    bext: Option<Vec<u8>>,
    guano: Option<Vec<u8>>,
    /// Start and stated length of the data.
    data: Option<(u64, u64)>,
}

/// The sizes of RF64: they replace every 32-bit size of `0xffff_ffff`.
struct Ds64 {
    data_len: u64,
    n_frames: u64,
}

impl Walk<'_> {
    fn bad(&self, reason: impl Into<String>) -> Error {
        Error::Decode {
            name: self.name.to_owned(),
            reason: reason.into(),
        }
    }

    fn run(&mut self, reader: &mut ByteReader) -> Result<()> {
        let mut header = [0; 40];
        let n = if self.container == Container::Wave64 {
            40
        } else {
            12
        };
        self.read_full(reader, &mut header[..n])?;
        if header.starts_with(b"RIFX") {
            return Err(Error::UnsupportedCodec {
                name: self.name.to_owned(),
                codec: "big-endian WAV (RIFX)".to_owned(),
            });
        }
        self.riff_len = u64::from(u32::from_le_bytes([
            header[4], header[5], header[6], header[7],
        ]));
        for _ in 0..MAX_CHUNKS {
            let Some(chunk) = self.next_header(reader)? else {
                return Ok(());
            };
            if !self.take(reader, &chunk)? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Handles one chunk; `false` when no further chunk is to be looked at.
    fn take(&mut self, reader: &mut ByteReader, chunk: &Chunk) -> Result<bool> {
        let start = reader.position();
        if &chunk.id == b"data" && self.data.is_none() {
            let len = match &self.ds64 {
                Some(ds64) if chunk.len == UNKNOWN_LEN => ds64.data_len,
                _ => chunk.len,
            };
            self.data = Some((start, len));
            // Behind the data lies metadata only; a stream cannot come back from there.
            let end = start.saturating_add(len);
            let more = reader.can_seek() && reader.len().is_some_and(|total| end < total);
            if more && len > 0 {
                let padding = match self.container {
                    Container::Wave64 => chunk.padding,
                    _ => len & 1,
                };
                self.skip(reader, len.saturating_add(padding))?;
            }
            return Ok(more && len > 0);
        }
        let wanted = matches!(&chunk.id, b"fmt " | b"fact" | b"bext" | b"guan" | b"ds64");
        if !wanted || chunk.len > MAX_CHUNK_BYTES {
            if &chunk.id == b"fmt " {
                return Err(self.bad(format!("its `fmt ` chunk states {} bytes", chunk.len)));
            }
            self.skip(reader, chunk.len.saturating_add(chunk.padding))?;
            return Ok(true);
        }
        let mut content = Vec::new();
        reader
            .by_ref()
            .take(chunk.len)
            .read_to_end(&mut content)
            .map_err(|e| read_error(self.name, &reader.watch(), self.limits, &e))?;
        if (content.len() as u64) < chunk.len {
            let id = String::from_utf8_lossy(&chunk.id);
            return Err(self.bad(format!("file ends inside its `{id}` chunk")));
        }
        self.skip(reader, chunk.padding)?;
        self.keep(chunk.id, content)?;
        Ok(true)
    }

    fn keep(&mut self, id: [u8; 4], content: Vec<u8>) -> Result<()> {
        let u64_at = |at: usize| {
            content
                .get(at..at + 8)
                .and_then(|b| b.try_into().ok())
                .map(u64::from_le_bytes)
        };
        match &id {
            b"fmt " => self.format = Some(WavFormat::parse(self.name, &content)?),
            b"fact" => {
                self.fact = match (self.container, content.first_chunk::<4>()) {
                    (Container::Wave64, _) if content.len() >= 8 => u64_at(0),
                    (_, Some(n)) => Some(u64::from(u32::from_le_bytes(*n))),
                    _ => None,
                }
            }
            b"ds64" => {
                let (Some(data_len), Some(n_frames)) = (u64_at(8), u64_at(16)) else {
                    return Err(self.bad(format!(
                        "its `ds64` chunk has {} bytes, expected at least 24",
                        content.len()
                    )));
                };
                self.ds64 = Some(Ds64 { data_len, n_frames });
            }
            b"bext" => self.bext = Some(content),
            _ => self.guano = Some(content),
        }
        Ok(())
    }

    /// The next chunk's header; `None` at the end or where no chunk can begin.
    fn next_header(&self, reader: &mut ByteReader) -> Result<Option<Chunk>> {
        let mut header = [0; 24];
        let n_header = if self.container == Container::Wave64 {
            24
        } else {
            8
        };
        let n = reader
            .read_full(&mut header[..n_header])
            .map_err(|e| read_error(self.name, &reader.watch(), self.limits, &e))?;
        if n < n_header {
            return Ok(None);
        }
        let [a, b, c, d, ..] = header;
        let id = [a, b, c, d];
        if self.container != Container::Wave64 {
            let len = u64::from(u32::from_le_bytes([
                header[4], header[5], header[6], header[7],
            ]));
            return Ok(Some(Chunk {
                id,
                len,
                padding: len & 1,
            }));
        }
        if header[4..16] != WAVE64_GUID_TAIL {
            // A vendor's chunk: skipped by a name that nothing asks for.
            header[..4].copy_from_slice(b"????");
        }
        let size = header[16..24].try_into().map_or(0, u64::from_le_bytes);
        // The size counts the header; chunks begin at multiples of eight bytes.
        let Some(len) = size.checked_sub(24) else {
            return Ok(None);
        };
        let id = [header[0], header[1], header[2], header[3]];
        Ok(Some(Chunk {
            id,
            len,
            padding: len.wrapping_neg() & 7,
        }))
    }

    fn skip(&self, reader: &mut ByteReader, n: u64) -> Result<()> {
        reader
            .skip(n)
            .map_err(|e| read_error(self.name, &reader.watch(), self.limits, &e))
    }

    fn read_full(&self, reader: &mut ByteReader, buffer: &mut [u8]) -> Result<()> {
        let n = reader
            .read_full(buffer)
            .map_err(|e| read_error(self.name, &reader.watch(), self.limits, &e))?;
        if n < buffer.len() {
            return Err(self.bad(format!("file ends after {n} bytes, inside its header")));
        }
        Ok(())
    }

    fn layout(self, reader: &mut ByteReader) -> Result<Layout> {
        let Some((data_start, stated)) = self.data else {
            return Err(self.bad("has no `data` chunk, expected samples"));
        };
        let Some(format) = &self.format else {
            return Err(self.bad("has no `fmt ` chunk before its data"));
        };
        let data_len = self.data_len(reader, data_start, stated);
        let n_frames = match (&self.ds64, self.fact) {
            (Some(ds64), _) if ds64.n_frames > 0 && ds64.n_frames != u64::MAX => {
                Some(ds64.n_frames)
            }
            (_, Some(n)) if n > 0 && n != UNKNOWN_LEN => Some(n),
            _ => None,
        };
        let mut meta = RecordingMeta::default();
        if let Some(bext) = &self.bext {
            meta.add_bext(bext, format.sample_rate);
        }
        if let Some(guano) = &self.guano {
            meta.add_guano(guano);
        }
        if reader.position() != data_start {
            reader
                .seek(SeekFrom::Start(data_start))
                .map_err(|e| read_error(self.name, &reader.watch(), self.limits, &e))?;
        }
        // Only block-coded data ends in padding that the sample count tells apart.
        let n_frames = n_frames.filter(|_| format.is_adpcm());
        Ok(Layout {
            format: format.clone(),
            meta,
            data_start,
            data_len,
            n_frames,
        })
    }

    /// The data's length, or `None` when a streaming writer left it open.
    fn data_len(&self, reader: &ByteReader, data_start: u64, stated: u64) -> Option<u64> {
        let available = reader.len().map(|len| len.saturating_sub(data_start));
        let open_end = match stated {
            // A recorder that never came back to its header, or truly nothing.
            0 => match reader.len() {
                Some(total) => self.riff_len + 8 != total && available != Some(0),
                None => self.riff_len == 0 || self.riff_len == UNKNOWN_LEN,
            },
            UNKNOWN_LEN if self.container == Container::Wav => true,
            u64::MAX => true,
            n if SOX_UNKNOWN.contains(&n) => available.is_none_or(|available| available < n),
            _ => false,
        };
        (!open_end).then_some(stated)
    }
}
