//! The cache's folder: content hashes of audio files, sizes, and making room.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

use sha2::{Digest, Sha256};

use crate::digest::{hex, sha256_of};
use crate::{Error, Result};

/// Written into a key's folder whenever it is opened; its time says when it was last used.
const STAMP: &str = "last_used";

/// What is known of an audio file without reading it: size in bytes, modification time in ns.
type Stat = (u64, u128);

/// Content hashes of audio files, remembered by path, size and modification time.
pub(super) struct Hashes {
    table: PathBuf,
    known: BTreeMap<String, (Stat, String)>,
}

impl Hashes {
    /// Reads the table of a cache; a missing or damaged one is an empty one.
    pub(super) fn open(root: &Path) -> Self {
        let table = root.join("hashes.tsv");
        let text = std::fs::read_to_string(&table).unwrap_or_default();
        let parse = |line: &str| {
            let mut fields = line.split('\t');
            let (size, time) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
            let hash = fields.next().filter(|hash| hash.len() == 64)?.to_owned();
            Some((fields.next()?.to_owned(), ((size, time), hash)))
        };
        Self {
            known: text.lines().filter_map(parse).collect(),
            table,
        }
    }

    /// The SHA-256 of a file's bytes, read only if the file is new or changed.
    pub(super) fn of(&self, path: &Path) -> Result<(Stat, String)> {
        let stat = stat(path)?;
        match self.known.get(&*path.to_string_lossy()) {
            Some((known, hash)) if *known == stat => Ok((stat, hash.clone())),
            _ => Ok((stat, sha256_of(path)?)),
        }
    }

    /// Remembers hashes.
    pub(super) fn remember(&mut self, found: impl IntoIterator<Item = (PathBuf, (Stat, String))>) {
        for (path, entry) in found {
            let path = path.to_string_lossy().into_owned();
            // A path with these characters would break the table; it is hashed every time instead.
            if !path.contains(['\t', '\n', '\r']) {
                self.known.insert(path, entry);
            }
        }
    }

    /// Writes the table at once.
    pub(super) fn save(&self) -> Result<()> {
        use std::fmt::Write as _;
        let mut text = String::new();
        for (path, ((size, time), hash)) in &self.known {
            let _ = writeln!(text, "{size}\t{time}\t{hash}\t{path}");
        }
        crate::bundle::write_atomically(&self.table, text.as_bytes())
    }
}

fn stat(path: &Path) -> Result<Stat> {
    let metadata = fs_err::metadata(path)?;
    let time = metadata.modified().unwrap_or(UNIX_EPOCH);
    Ok((
        metadata.len(),
        time.duration_since(UNIX_EPOCH)
            .map_or(0, |time| time.as_nanos()),
    ))
}

/// The name of a piece of audio: the file's content and the stretch of it.
pub(super) fn piece(content: &str, stretch_secs: Option<(f64, f64)>) -> String {
    let Some((start, end)) = stretch_secs else {
        return content.to_owned();
    };
    let mut hasher = Sha256::new();
    hasher.update(content);
    hasher.update(start.to_le_bytes());
    hasher.update(end.to_le_bytes());
    hex(&hasher.finalize())
}

/// The entry file of a piece in a key's folder.
pub(super) fn entry_path(folder: &Path, piece: &str) -> PathBuf {
    folder.join(&piece[..2]).join(format!("{piece}.bin"))
}

/// The bound on the cache's size.
pub(super) struct Bound {
    root: PathBuf,
    folder: PathBuf,
    max_bytes: u64,
    /// Entries of this key that the current clips need.
    needed: HashSet<PathBuf>,
    used: Mutex<u64>,
}

impl Bound {
    /// Measures the cache and marks this key as used now.
    pub(super) fn new(
        root: &Path,
        folder: &Path,
        max_bytes: u64,
        needed: HashSet<PathBuf>,
    ) -> Result<Self> {
        fs_err::create_dir_all(folder)?;
        fs_err::write(folder.join(STAMP), b"")?;
        let used = Mutex::new(size_of(root));
        Ok(Self {
            root: root.to_owned(),
            folder: folder.to_owned(),
            max_bytes,
            needed,
            used,
        })
    }

    /// Accounts for an entry just written and makes room if the bound is passed.
    pub(super) fn add(&self, n_bytes: u64) -> Result<()> {
        let mut used = self
            .used
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        *used += n_bytes;
        if *used <= self.max_bytes {
            return Ok(());
        }
        self.make_room()?;
        *used = size_of(&self.root);
        if *used <= self.max_bytes {
            return Ok(());
        }
        Err(Error::Limit {
            name: self.root.display().to_string(),
            what: "size of the cache",
            found: format!("more than {} MB for these clips", *used / 1_000_000),
            limit: format!("{} MB", self.max_bytes / 1_000_000),
        })
    }

    /// Removes other keys' folders, the longest unused first, then this key's unneeded entries.
    fn make_room(&self) -> Result<()> {
        let mut others: Vec<(SystemTime, PathBuf)> = fs_err::read_dir(&self.root)?
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| *path != self.folder && is_key_folder(path))
            .map(|path| (last_used(&path), path))
            .collect();
        others.sort();
        for (_, folder) in others {
            fs_err::remove_dir_all(folder)?;
            if size_of(&self.root) <= self.max_bytes {
                return Ok(());
            }
        }
        let entries = walkdir::WalkDir::new(&self.folder).into_iter().flatten();
        for entry in entries.filter(|entry| entry.path().extension().is_some_and(|e| e == "bin")) {
            if !self.needed.contains(entry.path()) {
                fs_err::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}

/// Only folders that carry this cache's stamp are ever removed.
fn is_key_folder(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    (name.starts_with("features-") || name.starts_with("waveforms-")) && path.join(STAMP).is_file()
}

fn last_used(folder: &Path) -> SystemTime {
    std::fs::metadata(folder.join(STAMP))
        .and_then(|m| m.modified())
        .unwrap_or(UNIX_EPOCH)
}

fn size_of(root: &Path) -> u64 {
    let entries = walkdir::WalkDir::new(root).into_iter().flatten();
    entries
        .filter_map(|entry| entry.metadata().ok())
        .filter(|m| m.is_file())
        .map(|m| m.len())
        .sum()
}
