//! The folder where fetched models live as bundles: a registry entry in, the path of a bundle out,
//! from the network the first time and without it afterwards.
//!
//! `FOLDER/models/NAME-HASH.onnx` is a bundle, `HASH` the first digits of the hash of the file that it
//! was made from; `….onnx.sha256` beside it is the bundle's own hash, in the form that `sha256sum -c`
//! reads. `FOLDER/downloads` holds files on their way. A lock keeps two processes from fetching
//! the same model at once.

use std::fs::TryLockError;
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy as _;

use super::download::{self, DownloadOptions, Progress, Request};
use super::import::{ImportOptions, import_weights};
use super::registry::{FileFormat, Registry, RegistryEntry};
use super::{Bundle, SourceFile, write_atomically};
use crate::digest::{sha256_of, sha256_of_bytes};
use crate::{Error, Result};

/// Fetched models.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache {
    folder: PathBuf,
}

/// What a cache has of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CacheState {
    /// Nothing.
    Absent,
    /// The beginning of the download.
    Partial {
        /// How many bytes.
        bytes: u64,
    },
    /// The bundle.
    Ready {
        /// Where it is.
        path: PathBuf,
    },
}

impl Cache {
    /// The user's cache folder: `$EARMARK_CACHE` if that is set, else `$XDG_CACHE_HOME/earmark`,
    /// usually `~/.cache/earmark`; on Windows `%LOCALAPPDATA%\earmark`.
    ///
    /// # Errors
    /// [`Error::Missing`] when the system does not say where the user's folders are.
    pub fn user() -> Result<Self> {
        if let Some(folder) = std::env::var_os("EARMARK_CACHE").filter(|folder| !folder.is_empty())
        {
            return Ok(Self::at(folder));
        }
        let strategy = etcetera::choose_base_strategy().map_err(|error| Error::Missing {
            path: "the user's cache folder".into(),
            reason: error.to_string(),
        })?;
        Ok(Self::at(strategy.cache_dir().join("earmark")))
    }

    /// A cache in a folder of one's choice, which is created when something is fetched.
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
        }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What there is of a model. Looks, and changes nothing.
    pub fn state(&self, entry: &RegistryEntry) -> CacheState {
        if let Some(path) = self.find(entry) {
            return CacheState::Ready { path };
        }
        let part = entry.sha256.as_deref().map(|hash| self.part_path(hash));
        match part.and_then(|part| std::fs::metadata(part).ok()) {
            Some(metadata) => CacheState::Partial {
                bytes: metadata.len(),
            },
            None => CacheState::Absent,
        }
    }

    /// The bundle of a model if it is there. For an entry without a hash, the newest bundle of that
    /// name: it was fetched under a hash that the user gave.
    pub fn find(&self, entry: &RegistryEntry) -> Option<PathBuf> {
        if let Some(hash) = &entry.sha256 {
            let path = self.bundle_path(&entry.name, hash);
            return path.is_file().then_some(path);
        }
        let prefix = format!("{}-", entry.name);
        let of_that_name = |path: &PathBuf| {
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or("");
            let hash = name
                .strip_prefix(&prefix)
                .and_then(|rest| rest.strip_suffix(".onnx"));
            hash.is_some_and(|hash| hash.len() == HASH_DIGITS && super::registry::is_hex(hash))
        };
        let folder = std::fs::read_dir(self.models()).ok()?;
        folder
            .filter_map(|item| Some(item.ok()?.path()))
            .filter(of_that_name)
            .max_by_key(|path| std::fs::metadata(path).and_then(|m| m.modified()).ok())
    }

    /// Fetches a model, verifies it, makes it a bundle, and returns the bundle's path. What is there
    /// already is verified and used without the network.
    ///
    /// # Errors
    /// [`Error::NoChecksum`] for an entry without a hash; [`Error::Download`]; [`Error::Weights`] or
    /// [`Error::Bundle`] when the file is not what the registry says; [`Error::Io`] for the cache.
    pub fn pull(
        &self,
        entry: &RegistryEntry,
        options: &DownloadOptions,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<PathBuf> {
        let hash = entry.sha256.as_deref().ok_or_else(|| Error::NoChecksum {
            name: entry.name.clone(),
            url: entry.url.clone(),
        })?;
        entry.check("registry")?;
        let hash = hash.to_ascii_lowercase();
        let target = self.bundle_path(&entry.name, &hash);
        if is_intact(&target)? {
            return Ok(target);
        }
        fs_err::create_dir_all(self.models())?;
        fs_err::create_dir_all(self.folder.join("downloads"))?;
        let _lock = self.lock(&hash, progress)?;
        // Another process may have fetched it while this one waited.
        if is_intact(&target)? {
            return Ok(target);
        }
        let part = self.part_path(&hash);
        let request = Request {
            url: &entry.url,
            sha256: &hash,
            size: entry.size,
        };
        download::download(request, &part, options, progress)?;
        progress(Progress::Importing);
        let bundle = bundle_from(entry, &hash, &part)?;
        bundle.save(&target)?;
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let sum = format!("{}  {name}\n", sha256_of_bytes(bundle.bytes()));
        write_atomically(&sum_path(&target), sum.as_bytes())?;
        fs_err::remove_file(&part)?;
        Ok(target)
    }

    /// Held until dropped; the file stays, since removing it would let a third process lock another.
    fn lock(&self, hash: &str, progress: &mut dyn FnMut(Progress)) -> Result<std::fs::File> {
        let path = self.part_path(hash).with_extension("lock");
        let file = fs_err::OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)?
            .into_file();
        let named = |error: std::io::Error| {
            std::io::Error::new(error.kind(), format!("{}: {error}", path.display()))
        };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                progress(Progress::Waiting);
                file.lock().map_err(named)?;
            }
            Err(TryLockError::Error(error)) => return Err(named(error).into()),
        }
        Ok(file)
    }

    fn models(&self) -> PathBuf {
        self.folder.join("models")
    }

    fn bundle_path(&self, name: &str, hash: &str) -> PathBuf {
        let digits = hash.get(..HASH_DIGITS).unwrap_or(hash).to_ascii_lowercase();
        self.models().join(format!("{name}-{digits}.onnx"))
    }

    fn part_path(&self, hash: &str) -> PathBuf {
        let hash = hash.to_ascii_lowercase();
        self.folder.join("downloads").join(format!("{hash}.part"))
    }
}

/// How much of a hash is in a bundle's file name: enough to never meet twice by accident.
const HASH_DIGITS: usize = 16;

/// The bundle that `--model` means: a file, or the name of a fetched model.
///
/// # Errors
/// [`Error::NotPulled`] for a known model that was not fetched; [`Error::Missing`] when it is neither
/// a file nor a name in the registry; [`Error::Io`].
pub fn find_model(model: &str, registry: &Registry, cache: &Cache) -> Result<PathBuf> {
    let path = Path::new(model);
    if path.is_file() {
        return Ok(path.to_owned());
    }
    let entry = registry.get(model).map_err(|unknown| Error::Missing {
        path: path.to_owned(),
        reason: format!("no such file, and {unknown}"),
    })?;
    cache.find(entry).ok_or_else(|| Error::NotPulled {
        name: entry.name.clone(),
        folder: cache.folder.clone(),
    })
}

fn bundle_from(entry: &RegistryEntry, hash: &str, part: &Path) -> Result<Bundle> {
    match entry.format {
        FileFormat::Bundle => Bundle::open(part),
        FileFormat::Weights => import_weights(
            part,
            &ImportOptions {
                name: Some(entry.name.clone()),
                description: entry.description.clone(),
                licence: Some(entry.licence.clone()),
                metrics: entry.metrics.clone(),
                source: Some(SourceFile {
                    file: entry.file_name().to_owned(),
                    sha256: hash.to_owned(),
                    url: Some(entry.url.clone()),
                }),
                ..ImportOptions::default()
            },
        ),
    }
}

fn sum_path(bundle: &Path) -> PathBuf {
    let mut path = bundle.as_os_str().to_owned();
    path.push(".sha256");
    path.into()
}

/// Whether a bundle is there and its bytes are those that were written.
fn is_intact(bundle: &Path) -> Result<bool> {
    let (Ok(sum), true) = (fs_err::read_to_string(sum_path(bundle)), bundle.is_file()) else {
        return Ok(false);
    };
    let expected = sum.split_whitespace().next().unwrap_or("");
    Ok(sha256_of(bundle)? == expected)
}
