//! The index's file: rows of half-precision embeddings, where each comes from, and the recordings.
//!
//! ```text
//! magic (8) · length of the header (u32) · header, JSON · zeros up to a multiple of 64
//! rows × dim × f16 · rows × (recording u32, start f64, end f64)
//! folder and recordings: (length u32, bytes) and (length u32, bytes, size u64, time i64) · magic (8)
//! ```
//!
//! All numbers are little endian. A file is written beside its place and renamed, so that its path
//! never names half of it. Whatever a file claims, no more is read than it has bytes.

use std::fs::File;
use std::io::{BufWriter, Read as _, Seek as _, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::bundle::SegmentConfig;
use crate::{Error, Result};

const MAGIC: [u8; 8] = *b"EARMIDX1";
/// Rows begin at a multiple of this.
const ALIGNMENT: u64 = 64;
const MAX_HEADER: u32 = 1 << 16;
const MAX_DIM: usize = 1 << 16;
/// Bytes of a row's place.
const PLACE_BYTES: usize = 20;

/// What an index was made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IndexInfo {
    /// The bundle's name.
    pub model: String,
    /// The SHA-256 of the bundle's file, in hexadecimal.
    pub model_sha256: String,
    /// The number of values of an embedding.
    pub dim: usize,
    /// The length of segments in seconds.
    pub window_secs: f32,
    /// The distance between the starts of segments in seconds.
    pub hop_secs: f32,
    /// The number of rows: segments of all recordings.
    pub n_rows: u64,
    /// The number of recordings.
    pub n_recordings: u64,
    /// Bytes of the table of recordings.
    table_bytes: u64,
}

impl IndexInfo {
    /// An index without rows, whose first row says how long all are.
    pub(super) fn new(model: &str, model_sha256: &str, segment: &SegmentConfig) -> Self {
        Self {
            model: model.to_owned(),
            model_sha256: model_sha256.to_owned(),
            dim: 0,
            window_secs: segment.length_secs,
            hop_secs: segment.hop_secs,
            n_rows: 0,
            n_recordings: 0,
            table_bytes: 0,
        }
    }

    /// Whether rows made with these settings can stand beside each other.
    pub(super) fn is_comparable(&self, other: &Self) -> bool {
        self.model_sha256 == other.model_sha256
            && (self.window_secs, self.hop_secs) == (other.window_secs, other.hop_secs)
    }
}

/// Where a row comes from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Row {
    pub(super) recording: u32,
    pub(super) start_secs: f64,
    pub(super) end_secs: f64,
}

/// A recording as it was when it was heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Recording {
    /// Below the folder that was indexed.
    pub(super) path: PathBuf,
    pub(super) size: u64,
    /// Nanoseconds since 1970.
    pub(super) modified_ns: i64,
}

/// An index that is open for reading.
#[derive(Debug)]
pub(super) struct IndexFile {
    name: String,
    file: File,
    info: IndexInfo,
    /// Where the first row's values begin.
    first: u64,
    rows: Vec<Row>,
    root: PathBuf,
    recordings: Vec<Recording>,
}

impl IndexFile {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let mut file = fs_err::File::open(path)?.into_parts().0;
        let name = path.display().to_string();
        let error = |reason: String| Error::Index {
            name: name.clone(),
            reason,
        };
        let read = |file: &mut File, n: u64| -> Result<Vec<u8>> {
            let mut bytes = Vec::new();
            file.take(n)
                .read_to_end(&mut bytes)
                .map_err(|e| named(&name, e))?;
            match bytes.len() as u64 == n {
                true => Ok(bytes),
                false => Err(error(format!("ends after {} of {n} bytes", bytes.len()))),
            }
        };
        let len = file.metadata().map_err(|e| named(&name, e))?.len();
        let head = read(&mut file, 12)
            .map_err(|_| error(format!("is {len} bytes long, expected an index")))?;
        let header_len = number(&head[8..12]);
        if head[..8] != MAGIC || header_len > u64::from(MAX_HEADER) {
            return Err(error("is no index: it does not begin as one".to_owned()));
        }
        let header = read(&mut file, header_len)?;
        let info: IndexInfo = serde_json::from_slice(&header)
            .map_err(|e| error(format!("its header says nothing sensible: {e}")))?;
        let layout = Layout::of(&info, header_len)
            .filter(|layout| layout.end == len)
            .ok_or_else(|| {
                error(format!(
                    "is {len} bytes long, its header promises another length"
                ))
            })?;
        let seek =
            |file: &mut File, to: u64| file.seek(SeekFrom::Start(to)).map_err(|e| named(&name, e));
        seek(&mut file, layout.places)?;
        let places = read(&mut file, layout.table - layout.places)?;
        let table = read(&mut file, info.table_bytes)?;
        if read(&mut file, 8)? != MAGIC {
            return Err(error(
                "does not end as an index: it was cut short or edited".to_owned(),
            ));
        }
        let (root, recordings) = read_table(&table, info.n_recordings)
            .ok_or_else(|| error("its table of recordings is damaged".to_owned()))?;
        let rows: Vec<Row> = places
            .chunks_exact(PLACE_BYTES)
            .map(Row::from_bytes)
            .collect();
        let is_possible = |row: &Row| {
            (row.recording as usize) < recordings.len()
                && row.start_secs >= 0.0
                && row.end_secs >= row.start_secs
                && row.end_secs.is_finite()
        };
        if let Some(at) = rows.iter().position(|row| !is_possible(row)) {
            return Err(error(format!("row {at} lies in no recording")));
        }
        Ok(Self {
            first: layout.rows,
            name,
            file,
            info,
            rows,
            root,
            recordings,
        })
    }

    pub(super) fn info(&self) -> &IndexInfo {
        &self.info
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn rows(&self) -> &[Row] {
        &self.rows
    }

    pub(super) fn recordings(&self) -> &[Recording] {
        &self.recordings
    }

    pub(super) fn path(&self, row: &Row) -> &Path {
        &self.recordings[row.recording as usize].path
    }

    pub(super) fn error(&self, reason: String) -> Error {
        Error::Index {
            name: self.name.clone(),
            reason,
        }
    }

    /// Reads rows from `first` on, as the file has them, until `bytes` is full.
    pub(super) fn read_rows(&self, first: usize, bytes: &mut [u8]) -> Result<()> {
        let offset = self.first + (first * self.info.dim * 2) as u64;
        read_at(&self.file, bytes, offset).map_err(|error| named(&self.name, error))
    }
}

/// Reads at a position, whatever other threads read.
#[cfg(unix)]
fn read_at(file: &File, bytes: &mut [u8], offset: u64) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, offset)
}

/// Reads at a position, whatever other threads read.
#[cfg(windows)]
fn read_at(file: &File, mut bytes: &mut [u8], mut offset: u64) -> std::io::Result<()> {
    use std::os::windows::fs::FileExt as _;
    while !bytes.is_empty() {
        let n = file.seek_read(bytes, offset)?;
        if n == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        bytes = &mut bytes[n..];
        offset += n as u64;
    }
    Ok(())
}

/// Where the parts of a file begin.
struct Layout {
    rows: u64,
    places: u64,
    table: u64,
    end: u64,
}

impl Layout {
    /// `None` for numbers that no file can have.
    fn of(info: &IndexInfo, header_len: u64) -> Option<Self> {
        if !(1..=MAX_DIM).contains(&info.dim) || info.n_rows > u64::from(u32::MAX) {
            return None;
        }
        let rows = (12 + header_len).next_multiple_of(ALIGNMENT);
        let places = rows.checked_add(info.n_rows.checked_mul(info.dim as u64 * 2)?)?;
        let table = places.checked_add(info.n_rows * PLACE_BYTES as u64)?;
        let end = table.checked_add(info.table_bytes)?.checked_add(8)?;
        Some(Self {
            rows,
            places,
            table,
            end,
        })
    }
}

impl Row {
    fn from_bytes(bytes: &[u8]) -> Self {
        Self {
            recording: number(&bytes[..4]) as u32,
            start_secs: f64::from_bits(number(&bytes[4..12])),
            end_secs: f64::from_bits(number(&bytes[12..20])),
        }
    }

    fn to_bytes(self) -> Vec<u8> {
        [
            self.recording.to_le_bytes().as_slice(),
            &self.start_secs.to_le_bytes(),
            &self.end_secs.to_le_bytes(),
        ]
        .concat()
    }
}

/// A little-endian number of at most 8 bytes.
fn number(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rev()
        .fold(0, |value, byte| value << 8 | u64::from(*byte))
}

/// Bytes of the table that were not read yet.
struct Table<'a>(&'a [u8]);

impl<'a> Table<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(taken)
    }

    fn path(&mut self) -> Option<PathBuf> {
        let len = number(self.take(4)?) as usize;
        path_of(self.take(len)?)
    }
}

/// The folder and the recordings; `None` unless the bytes are exactly that.
fn read_table(bytes: &[u8], n_recordings: u64) -> Option<(PathBuf, Vec<Recording>)> {
    let mut table = Table(bytes);
    let root = table.path()?;
    // The table's length bounds the number of its entries, whatever the header says.
    let mut recordings = Vec::new();
    for _ in 0..n_recordings {
        recordings.push(Recording {
            path: table.path()?,
            size: number(table.take(8)?),
            modified_ns: number(table.take(8)?) as i64,
        });
    }
    table.0.is_empty().then_some((root, recordings))
}

#[cfg(unix)]
fn path_of(bytes: &[u8]) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt as _;
    Some(PathBuf::from(std::ffi::OsStr::from_bytes(bytes)))
}

#[cfg(not(unix))]
fn path_of(bytes: &[u8]) -> Option<PathBuf> {
    Some(PathBuf::from(std::str::from_utf8(bytes).ok()?))
}

fn named(name: &str, error: std::io::Error) -> Error {
    Error::Io(std::io::Error::new(
        error.kind(),
        format!("{name}: {error}"),
    ))
}

/// An index that is being written.
pub(super) struct Writer {
    path: PathBuf,
    info: IndexInfo,
    /// The values of rows, in a file of their own until their number is known.
    values: BufWriter<File>,
    rows: Vec<Row>,
    root: PathBuf,
    recordings: Vec<Recording>,
}

impl Writer {
    pub(super) fn new(path: &Path, info: IndexInfo, root: &Path) -> Result<Self> {
        let values = tempfile::tempfile_in(folder_of(path))
            .map_err(|error| named(&path.display().to_string(), error))?;
        Ok(Self {
            path: path.to_owned(),
            info,
            values: BufWriter::with_capacity(1 << 20, values),
            rows: Vec::new(),
            root: root.to_owned(),
            recordings: Vec::new(),
        })
    }

    /// Begins a recording; rows that follow belong to it.
    pub(super) fn recording(&mut self, recording: Recording) {
        self.recordings.push(recording);
    }

    /// Number of rows so far.
    pub(super) fn n_rows(&self) -> usize {
        self.rows.len()
    }

    /// Adds a row: half-precision numbers as the file has them, of unit length together.
    pub(super) fn row(&mut self, (start_secs, end_secs): (f64, f64), bytes: &[u8]) -> Result<()> {
        if self.rows.is_empty() {
            self.info.dim = bytes.len() / 2;
        }
        if bytes.len() != self.info.dim * 2 || self.rows.len() as u64 >= u64::from(u32::MAX) {
            return Err(Error::Index {
                name: self.path.display().to_string(),
                reason: format!(
                    "row {} of {} values does not fit, expected {} and at most {} rows",
                    self.rows.len(),
                    bytes.len() / 2,
                    self.info.dim,
                    u32::MAX
                ),
            });
        }
        self.values.write_all(bytes)?;
        self.rows.push(Row {
            recording: self.recordings.len().saturating_sub(1) as u32,
            start_secs,
            end_secs,
        });
        Ok(())
    }

    /// Puts the file in its place at once.
    pub(super) fn finish(self) -> Result<()> {
        let name = self.path.display().to_string();
        let named = |error: std::io::Error| named(&name, error);
        let table = self.table();
        let info = IndexInfo {
            n_rows: self.rows.len() as u64,
            n_recordings: self.recordings.len() as u64,
            table_bytes: table.len() as u64,
            ..self.info
        };
        let header = serde_json::to_vec(&info).map_err(|error| Error::Index {
            name: name.clone(),
            reason: error.to_string(),
        })?;
        let mut values = self
            .values
            .into_inner()
            .map_err(|error| named(error.into_error()))?;
        values.seek(SeekFrom::Start(0)).map_err(named)?;
        crate::bundle::write_atomically_with(&self.path, |file| {
            let mut out = BufWriter::with_capacity(1 << 20, file);
            out.write_all(&MAGIC)?;
            out.write_all(&(header.len() as u32).to_le_bytes())?;
            out.write_all(&header)?;
            let at = 12 + header.len() as u64;
            let padding = at.next_multiple_of(ALIGNMENT) - at;
            out.write_all(&vec![0; padding as usize])?;
            std::io::copy(&mut values, &mut out)?;
            for row in &self.rows {
                out.write_all(&row.to_bytes())?;
            }
            out.write_all(&table)?;
            out.write_all(&MAGIC)?;
            out.flush()
        })
    }

    fn table(&self) -> Vec<u8> {
        let mut table = Vec::new();
        let path = |path: &Path, table: &mut Vec<u8>| {
            let bytes = path.as_os_str().as_encoded_bytes();
            table.extend((bytes.len() as u32).to_le_bytes());
            table.extend(bytes);
        };
        path(&self.root, &mut table);
        for recording in &self.recordings {
            path(&recording.path, &mut table);
            table.extend(recording.size.to_le_bytes());
            table.extend(recording.modified_ns.to_le_bytes());
        }
        table
    }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}
