//! WAV, RF64/BW64 and Wave64: bytes in, planar samples out, without a size limit.
//!
//! `chunks` finds the format, the data and the metadata; `format` reads the `fmt ` chunk; `pcm` and
//! `adpcm` turn bytes into samples. Written here because files beyond 4 GiB, the `fact` length and
//! the recording's metadata are all in the chunk structure, which the PCM itself is simpler than.

mod adpcm;
mod chunks;
mod format;
mod pcm;

use std::sync::Arc;

use super::Limits;
use super::container::Container;
use super::options::{OpenOptions, Truncated};
use super::planes::Planes;
use super::source::{ByteReader, Watch, read_error};
use super::stream::{AudioInfo, Decoder, Opened};
use crate::{Error, Result};
use chunks::Layout;
use format::{Coding, WavFormat};

/// The bytes read at once: a quarter of a megabyte, one or two seconds of most recordings.
const BLOCK_BYTES: usize = 256 * 1024;

/// The seconds read at once from a stream, which may be live: nobody is to wait for a block to fill.
const STREAM_BLOCK_SECS: f64 = 0.05;

/// Opens a file of the RIFF family.
///
/// # Errors
/// [`Error::Truncated`] if the header promises more than the file holds, unless that is accepted;
/// [`Error::Decode`] if the chunks make no sense; [`Error::UnsupportedCodec`] for other codings.
pub(super) fn open(
    name: &Arc<str>,
    mut reader: ByteReader,
    container: Container,
    options: &OpenOptions,
) -> Result<Opened> {
    let layout = chunks::read(name, &mut reader, container, &options.limits)?;
    let Layout {
        format,
        meta,
        data_start,
        data_len,
        n_frames,
        ..
    } = layout;
    let available = reader.len().map(|len| len.saturating_sub(data_start));
    let promised = data_len.or(available);
    let n_frames = match (n_frames, promised) {
        (Some(stated), Some(bytes)) => Some(stated.min(format.frames_in(bytes))),
        (_, bytes) => bytes.map(|bytes| format.frames_in(bytes)),
    };
    let info = AudioInfo {
        container,
        codec: format.codec_name().to_owned(),
        sample_rate: format.sample_rate,
        n_channels: format.n_channels,
        duration_secs: n_frames.map(|n| n as f64 / f64::from(format.sample_rate.max(1))),
        metadata: meta,
    };
    let block_bytes = match reader.can_seek() {
        true => BLOCK_BYTES,
        false => {
            let rate = f64::from(format.sample_rate);
            let frames = (rate * STREAM_BLOCK_SECS) as usize;
            frames.saturating_mul(format.block_align).min(BLOCK_BYTES)
        }
    };
    let decoder = RiffDecoder {
        name: Arc::clone(name),
        block_bytes,
        watch: reader.watch(),
        reader,
        limits: options.limits,
        bytes_left: data_len,
        promised: data_len,
        frames_left: if format.is_adpcm() { n_frames } else { None },
        n_read: 0,
        bytes: Vec::new(),
        format,
    };
    // A seekable file that is too short is told before anything is decoded.
    if let (Truncated::Refuse, Some(promised), Some(available)) =
        (options.truncated, data_len, available)
        && decoder.format.frames_in(available) < decoder.format.frames_in(promised)
        && decoder.format.sample_rate > 0
    {
        return Err(decoder.truncated(available));
    }
    let lfe = decoder.format.lfe_channels();
    Ok(Opened {
        decoder: Box::new(decoder),
        info,
        lfe,
    })
}

struct RiffDecoder {
    name: Arc<str>,
    reader: ByteReader,
    watch: Arc<Watch>,
    limits: Limits,
    format: WavFormat,
    /// Data bytes still to come; `None` up to the end of the source.
    bytes_left: Option<u64>,
    /// Data bytes that the header states.
    promised: Option<u64>,
    /// Frames still to give out, where the `fact` chunk or the data length bounds them (ADPCM).
    frames_left: Option<u64>,
    n_read: u64,
    /// How much is read at once.
    block_bytes: usize,
    bytes: Vec<u8>,
}

impl RiffDecoder {
    fn truncated(&self, found: u64) -> Error {
        let secs = |bytes: u64| {
            self.format.frames_in(bytes) as f64 / f64::from(self.format.sample_rate.max(1))
        };
        Error::Truncated {
            name: self.name.to_string(),
            found_secs: secs(found),
            reason: format!(
                "its header promises {:.3} s ({} bytes of data, found {found})",
                secs(self.promised.unwrap_or(found)),
                self.promised.unwrap_or(found),
            ),
        }
    }
}

impl Decoder for RiffDecoder {
    fn decode(&mut self, planes: &mut Planes) -> Result<bool> {
        planes.clear();
        if self.frames_left == Some(0) {
            return Ok(false);
        }
        let block = self.format.block_align;
        let wanted = (self.block_bytes / block).max(1) * block;
        let wanted = self.bytes_left.map_or(wanted, |left| {
            wanted.min(usize::try_from(left).unwrap_or(usize::MAX))
        });
        self.bytes.resize(wanted, 0);
        let n = self
            .reader
            .read_full(&mut self.bytes)
            .map_err(|error| read_error(&self.name, &self.watch, &self.limits, &error))?;
        self.watch.packet();
        self.n_read += n as u64;
        if let Some(left) = &mut self.bytes_left {
            *left -= n as u64;
        }
        // A rest shorter than one frame is no sample. ADPCM's last block may be short.
        let usable = if self.format.is_adpcm() {
            n
        } else {
            n - n % block
        };
        if usable == 0 {
            return match self.bytes_left {
                Some(left) if left >= block as u64 => Err(self.truncated(self.n_read)),
                _ => Ok(false),
            };
        }
        match &self.format.coding {
            Coding::Adpcm(kind) => adpcm::decode(
                kind,
                &self.bytes[..usable],
                block,
                self.format.frames_per_block,
                planes,
            ),
            coding => pcm::decode(coding, &self.bytes[..usable], block, planes),
        }
        if let Some(left) = &mut self.frames_left {
            let n = planes.n_samples() as u64;
            planes.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
            *left -= n.min(*left);
        }
        Ok(true)
    }
}
