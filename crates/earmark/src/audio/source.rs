//! Where bytes come from: a path, a buffer or any reader, behind one counted and limited reader.

use std::collections::VecDeque;
use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Cursor, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use symphonia::core::io::MediaSource;

use super::Limits;
use crate::{Error, Result};

/// What [`Source::Seekable`] reads.
pub trait ReadSeek: Read + Seek + Send + Sync {}

impl<T: Read + Seek + Send + Sync> ReadSeek for T {}

/// Bytes that hold a recording.
pub enum Source {
    /// A file. A pipe or device given as a path is read like [`Source::Reader`].
    Path(PathBuf),
    /// Anything that can be read at any place, such as an unnamed temporary file.
    Seekable {
        /// The name used in messages.
        name: String,
        /// The recording; it is read from its beginning.
        reader: Box<dyn ReadSeek>,
    },
    /// A buffer in memory.
    Bytes {
        /// The name used in messages.
        name: String,
        /// The whole recording.
        bytes: Arc<[u8]>,
    },
    /// Anything that can be read once from front to back, such as standard input.
    Reader {
        /// The name used in messages.
        name: String,
        /// Where the bytes come from.
        reader: Box<dyn Read + Send + Sync>,
    },
}

impl Source {
    /// The name used in messages: the path, or the name given.
    pub fn name(&self) -> String {
        match self {
            Self::Path(path) => path.display().to_string(),
            Self::Seekable { name, .. } | Self::Bytes { name, .. } | Self::Reader { name, .. } => {
                name.clone()
            }
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Source").field(&self.name()).finish()
    }
}

impl From<PathBuf> for Source {
    fn from(path: PathBuf) -> Self {
        Self::Path(path)
    }
}

impl From<&PathBuf> for Source {
    fn from(path: &PathBuf) -> Self {
        Self::Path(path.clone())
    }
}

impl From<&Path> for Source {
    fn from(path: &Path) -> Self {
        Self::Path(path.to_owned())
    }
}

impl From<&str> for Source {
    fn from(path: &str) -> Self {
        Self::Path(path.into())
    }
}

/// How many bytes may be read without a packet coming out before the stream counts as junk, first
/// before the first packet (tags with pictures, tables of long files), then after it.
const LID_BEFORE_FIRST_PACKET: u64 = 512 << 20;
const LID_BETWEEN_PACKETS: u64 = 64 << 20;

/// How many of the last bytes read are remembered: more than two MPEG audio frames, and what
/// follows the last block of a Matroska file.
const N_TAIL: usize = 512 * 1024;

/// Why a read was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// More bytes than [`Limits::max_bytes`].
    TooManyBytes,
    /// Too many bytes without a packet.
    Junk,
}

/// What the decoder's owner can see of the reads below a demuxer that owns the reader.
#[derive(Debug, Default)]
pub(super) struct Watch {
    state: Mutex<WatchState>,
}

#[derive(Debug, Default)]
struct WatchState {
    refusal: Option<Refusal>,
    io_error: Option<(io::ErrorKind, String)>,
    since_packet: u64,
    had_packet: bool,
    keeps_tail: bool,
    tail: VecDeque<u8>,
}

impl Watch {
    fn lock(&self) -> MutexGuard<'_, WatchState> {
        // A panic inside the lock leaves plain numbers behind; they stay usable.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why reading stopped, if a limit stopped it.
    pub(super) fn refusal(&self) -> Option<Refusal> {
        self.lock().refusal
    }

    /// The operating system's error, if one stopped reading.
    pub(super) fn io_error(&self) -> Option<(io::ErrorKind, String)> {
        self.lock().io_error.clone()
    }

    /// Tells that a packet was found.
    pub(super) fn packet(&self) {
        let mut state = self.lock();
        state.since_packet = 0;
        state.had_packet = true;
    }

    /// Starts to remember the last bytes that are read.
    pub(super) fn keep_tail(&self) {
        self.lock().keeps_tail = true;
    }

    /// The last bytes that were read, contiguous, at most 512 KiB.
    pub(super) fn tail(&self) -> Vec<u8> {
        self.lock().tail.iter().copied().collect()
    }

    fn read(&self, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.lock();
        state.since_packet += bytes.len() as u64;
        let lid = if state.had_packet {
            LID_BETWEEN_PACKETS
        } else {
            LID_BEFORE_FIRST_PACKET
        };
        if state.since_packet > lid {
            state.refusal = Some(Refusal::Junk);
            return Err(io::Error::other("no audio found for too many bytes"));
        }
        if !state.keeps_tail {
            return Ok(());
        }
        let new = &bytes[bytes.len().saturating_sub(N_TAIL)..];
        let excess = (state.tail.len() + new.len()).saturating_sub(N_TAIL);
        state.tail.drain(..excess);
        state.tail.extend(new);
        Ok(())
    }
}

/// The read buffer of a file.
const BUFFER_BYTES: usize = 64 * 1024;

enum Inner {
    Seekable(BufReader<Box<dyn ReadSeek>>),
    Bytes(Cursor<Arc<[u8]>>),
    Stream(Box<dyn Read + Send + Sync>),
}

impl Inner {
    fn seekable(reader: Box<dyn ReadSeek>) -> Self {
        Self::Seekable(BufReader::with_capacity(BUFFER_BYTES, reader))
    }
}

/// A reader over any [`Source`], positioned at the recording's first byte.
pub(super) struct ByteReader {
    inner: Inner,
    /// The beginning of a stream, read ahead to recognise it and given out again.
    head: Vec<u8>,
    position: u64,
    len: Option<u64>,
    forward_only: bool,
    max_bytes: u64,
    watch: Arc<Watch>,
}

impl ByteReader {
    /// Opens the source.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be opened, [`Error::NotAudio`] for a folder, [`Error::Limit`] if
    /// it is larger than the limit.
    pub(super) fn open(source: Source, limits: &Limits) -> Result<Self> {
        let name = source.name();
        let (inner, len) = match source {
            Source::Path(path) => {
                let named = |error: io::Error| io_error(&name, error.kind(), &error.to_string());
                let file = File::open(&path).map_err(named)?;
                let metadata = file.metadata().map_err(named)?;
                if metadata.is_dir() {
                    return Err(Error::NotAudio {
                        name,
                        found: "path is a folder".to_owned(),
                    });
                }
                if metadata.is_file() {
                    (Inner::seekable(Box::new(file)), Some(metadata.len()))
                } else {
                    (Inner::Stream(Box::new(file)), None)
                }
            }
            Source::Seekable { mut reader, .. } => {
                let named = |error: io::Error| io_error(&name, error.kind(), &error.to_string());
                let len = reader.seek(SeekFrom::End(0)).map_err(named)?;
                reader.seek(SeekFrom::Start(0)).map_err(named)?;
                (Inner::seekable(reader), Some(len))
            }
            Source::Bytes { bytes, .. } => {
                let len = bytes.len() as u64;
                (Inner::Bytes(Cursor::new(bytes)), Some(len))
            }
            Source::Reader { reader, .. } => (Inner::Stream(reader), None),
        };
        if let Some(len) = len.filter(|&len| len > limits.max_bytes) {
            return Err(Error::Limit {
                name,
                what: "size",
                found: format!("{len} bytes"),
                limit: format!("{} bytes", limits.max_bytes),
            });
        }
        Ok(Self {
            inner,
            head: Vec::new(),
            position: 0,
            len,
            forward_only: false,
            max_bytes: limits.max_bytes,
            watch: Arc::default(),
        })
    }

    /// What the owner may look at while a demuxer holds the reader.
    pub(super) fn watch(&self) -> Arc<Watch> {
        Arc::clone(&self.watch)
    }

    /// The length in bytes, unless the source is a stream.
    pub(super) fn len(&self) -> Option<u64> {
        self.len
    }

    /// The position of the next byte.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Whether positions can be jumped to.
    pub(super) fn can_seek(&self) -> bool {
        !self.forward_only && !matches!(self.inner, Inner::Stream(_))
    }

    /// Makes the reader refuse to seek and end at `end`, which a demuxer then believes.
    pub(super) fn restrict(&mut self, end: Option<u64>) {
        self.forward_only = true;
        self.len = match (self.len, end) {
            (Some(len), Some(end)) => Some(len.min(end)),
            (len, _) => len,
        };
    }

    /// Copies a stream to an unnamed temporary file, for formats whose index comes last.
    ///
    /// # Errors
    /// Those of reading and writing, and the limit on the number of bytes.
    pub(super) fn spool(&mut self) -> io::Result<()> {
        if self.can_seek() {
            return Ok(());
        }
        let mut file = tempfile::tempfile()?;
        let mut len = 0;
        loop {
            // A piece at a time, each of which counts as progress.
            let piece = io::copy(&mut self.by_ref().take(1 << 20), &mut file)?;
            self.watch.packet();
            len += piece;
            if piece == 0 {
                break;
            }
        }
        file.seek(SeekFrom::Start(0))?;
        self.inner = Inner::seekable(Box::new(file));
        (self.len, self.position, self.head) = (Some(len), 0, Vec::new());
        Ok(())
    }

    /// The first `n` bytes, or all if there are fewer, without consuming them. Call it before any
    /// other read.
    pub(super) fn peek(&mut self, n: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        match &mut self.inner {
            Inner::Stream(reader) => {
                let more = n.saturating_sub(self.head.len()) as u64;
                reader.take(more).read_to_end(&mut self.head)?;
                bytes.extend_from_slice(&self.head[..n.min(self.head.len())]);
            }
            Inner::Seekable(reader) => {
                reader.take(n as u64).read_to_end(&mut bytes)?;
                reader.seek(SeekFrom::Start(0))?;
            }
            Inner::Bytes(reader) => {
                reader.take(n as u64).read_to_end(&mut bytes)?;
                reader.set_position(0);
            }
        }
        Ok(bytes)
    }

    /// Skips `n` bytes, by seeking where possible; stops at the end of a stream.
    pub(super) fn skip(&mut self, n: u64) -> io::Result<()> {
        if self.can_seek() {
            self.seek(SeekFrom::Start(self.position.saturating_add(n)))?;
        } else {
            io::copy(&mut self.by_ref().take(n), &mut io::sink())?;
        }
        Ok(())
    }

    /// Fills `buffer` as far as the source reaches; returns the number of bytes read.
    pub(super) fn read_full(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut n = 0;
        while n < buffer.len() {
            match self.read(&mut buffer[n..]) {
                Ok(0) => break,
                Ok(read) => n += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(n)
    }
}

impl Read for ByteReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self
            .len
            .map_or(u64::MAX, |len| len.saturating_sub(self.position));
        let n = buffer
            .len()
            .min(usize::try_from(left).unwrap_or(usize::MAX));
        let buffer = &mut buffer[..n];
        let result = match &mut self.inner {
            Inner::Seekable(reader) => reader.read(buffer),
            Inner::Bytes(reader) => reader.read(buffer),
            Inner::Stream(reader) => {
                let at = usize::try_from(self.position).unwrap_or(usize::MAX);
                match self.head.get(at..) {
                    Some(ahead) if !ahead.is_empty() => {
                        let n = n.min(ahead.len());
                        buffer[..n].copy_from_slice(&ahead[..n]);
                        Ok(n)
                    }
                    _ => reader.read(buffer),
                }
            }
        };
        let n = result.inspect_err(|error| {
            if error.kind() != io::ErrorKind::Interrupted {
                self.watch.lock().io_error = Some((error.kind(), error.to_string()));
            }
        })?;
        self.position += n as u64;
        if self.position > self.max_bytes {
            self.watch.lock().refusal = Some(Refusal::TooManyBytes);
            return Err(io::Error::other("too many bytes"));
        }
        self.watch.read(&buffer[..n])?;
        Ok(n)
    }
}

impl Seek for ByteReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let no = |why: &str| io::Error::new(io::ErrorKind::Unsupported, why.to_owned());
        let target = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
            SeekFrom::End(by) => self.len.and_then(|len| len.checked_add_signed(by)),
        }
        .ok_or_else(|| no("position is before the beginning or the length is unknown"))?;
        if target == self.position {
            return Ok(target);
        }
        match &mut self.inner {
            _ if self.forward_only => return Err(no("source cannot seek")),
            Inner::Seekable(reader) => {
                // Relative seeks keep what is buffered; offsets beyond i64 are no real files.
                let by = i64::try_from(i128::from(target) - i128::from(self.position))
                    .map_err(|_| no("position is out of range"))?;
                reader.seek_relative(by)?;
            }
            Inner::Bytes(reader) => reader.set_position(target),
            Inner::Stream(_) => return Err(no("source cannot seek")),
        }
        self.position = target;
        self.watch.lock().tail.clear();
        Ok(target)
    }
}

impl MediaSource for ByteReader {
    fn is_seekable(&self) -> bool {
        self.can_seek()
    }

    fn byte_len(&self) -> Option<u64> {
        self.len.filter(|_| self.can_seek())
    }
}

/// An [`Error::Io`] whose message begins with the file's name.
pub(super) fn io_error(name: &str, kind: io::ErrorKind, said: &str) -> Error {
    // The operating system's number adds nothing for a reader of the message.
    let said = said.split(" (os error").next().unwrap_or(said);
    let mut said = said.to_owned();
    if let Some(first) = said.get_mut(..1) {
        first.make_ascii_lowercase();
    }
    Error::Io(io::Error::new(kind, format!("{name}: {said}")))
}

/// The error for a failed read, looked up in the watch first: a limit, then the system's error.
pub(super) fn read_error(name: &str, watch: &Watch, limits: &Limits, error: &io::Error) -> Error {
    match watch.refusal() {
        Some(Refusal::TooManyBytes) => Error::Limit {
            name: name.to_owned(),
            what: "size",
            found: format!("more than {} bytes", limits.max_bytes),
            limit: format!("{} bytes", limits.max_bytes),
        },
        Some(Refusal::Junk) => Error::Decode {
            name: name.to_owned(),
            reason: format!(
                "found no audio in {} MiB of data, expected the next packet",
                LID_BETWEEN_PACKETS >> 20
            ),
        },
        None => match watch.io_error() {
            Some((kind, said)) => io_error(name, kind, &said),
            None => io_error(name, error.kind(), &error.to_string()),
        },
    }
}
