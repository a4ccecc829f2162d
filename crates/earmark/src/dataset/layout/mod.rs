//! Layouts of data sets on disk: a folder (or a table) in, a list of clips with label names out.
//!
//! [`detect`] looks at file names and headers only. Every reader gives a [`Listing`];
//! [`Manifest`](super::Manifest) resolves its label names against one vocabulary.

mod audio_set;
mod esc;
mod folders;
mod fsd50k;
mod kaggle;
mod plain;
mod table;
mod urban_sound;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::clip::{Clip, Origin, Quality, Split};
use super::manifest::find;
use super::vocabulary::Vocabulary;
use crate::audio::has_audio_extension;
use crate::{Error, Result};

/// How a data set lies on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// FSDKaggle2018 as Kaggle or as Zenodo lays it out.
    Fsdkaggle2018,
    /// FSDKaggle2019 as Kaggle or as Zenodo lays it out.
    Fsdkaggle2019,
    /// ESC-10: `001 - Dog bark/1-100032-A.ogg`.
    Esc10,
    /// ESC-50: `meta/esc50.csv` and `audio`.
    Esc50,
    /// UrbanSound8K: `metadata/UrbanSound8K.csv` and `audio/fold1` to `fold10`.
    Urbansound8k,
    /// FSD50K: `FSD50K.ground_truth/dev.csv`.
    Fsd50k,
    /// AudioSet: segment tables with `YouTube` ids.
    Audioset,
    /// A table with the columns `path` and `label`.
    Table,
    /// One folder per class.
    Folders,
}

impl Layout {
    /// All layouts, in the order in which they are tried.
    pub const ALL: [Self; 9] = [
        Self::Esc50,
        Self::Urbansound8k,
        Self::Fsd50k,
        Self::Fsdkaggle2019,
        Self::Fsdkaggle2018,
        Self::Esc10,
        Self::Audioset,
        Self::Table,
        Self::Folders,
    ];

    /// The name on the command line and in files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fsdkaggle2018 => "fsdkaggle2018",
            Self::Fsdkaggle2019 => "fsdkaggle2019",
            Self::Esc10 => "esc10",
            Self::Esc50 => "esc50",
            Self::Urbansound8k => "urbansound8k",
            Self::Fsd50k => "fsd50k",
            Self::Audioset => "audioset",
            Self::Table => "table",
            Self::Folders => "folders",
        }
    }

    /// Whether a folder has the marks of this layout.
    fn fits(self, root: &Path) -> bool {
        match self {
            Self::Esc50 => esc::find_table(root).is_some(),
            Self::Urbansound8k => urban_sound::find_table(root).is_some(),
            Self::Fsd50k => fsd50k::fits(root),
            Self::Fsdkaggle2019 => kaggle::fits_2019(root),
            Self::Fsdkaggle2018 => kaggle::fits_2018(root),
            Self::Esc10 => esc::fits_folders(root),
            Self::Audioset => !audio_set::find_tables(root).is_empty(),
            Self::Table => plain::find_table(root).is_some(),
            Self::Folders => folders::fits(root),
        }
    }
}

impl std::str::FromStr for Layout {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|layout| layout.as_str() == word)
            .ok_or_else(|| Error::Config {
                key: "layout".to_owned(),
                found: format!("`{word}`"),
                expected: format!("must be one of {}", Self::ALL.map(Self::as_str).join(", ")),
            })
    }
}

/// A clip as a data set lists it: labels are still names.
#[derive(Clone, Debug)]
pub(super) struct Listed {
    pub(super) name: String,
    pub(super) path: PathBuf,
    /// Label names or ids as written; empty for a negative, `None` where nobody says.
    pub(super) labels: Option<Vec<String>>,
    pub(super) split: Split,
    pub(super) fold: Option<usize>,
    pub(super) weight: f32,
    pub(super) quality: Quality,
    pub(super) source: Option<String>,
    pub(super) stretch_secs: Option<(f64, f64)>,
    pub(super) origin: Option<Origin>,
}

impl Listed {
    fn new(name: impl Into<String>, path: PathBuf) -> Self {
        Self {
            name: name.into(),
            path,
            labels: Some(vec![]),
            split: Split::Train,
            fold: None,
            weight: 1.0,
            quality: Quality::Curated,
            source: None,
            stretch_secs: None,
            origin: None,
        }
    }

    /// The clip with its labels as classes of a vocabulary.
    pub(super) fn resolve(self, vocabulary: &Vocabulary) -> Result<Clip> {
        let mut clip = Clip {
            name: self.name,
            path: self.path,
            labels: None,
            split: self.split,
            fold: self.fold,
            weight: self.weight,
            quality: self.quality,
            source: self.source,
            stretch_secs: self.stretch_secs,
            origin: self.origin,
        };
        if let Some(names) = self.labels {
            let place = clip.place();
            let labels: Result<BTreeSet<usize>> = names
                .iter()
                .map(|name| find(name, vocabulary, &place))
                .collect();
            clip.labels = Some(labels?.into_iter().collect());
        }
        Ok(clip)
    }
}

/// What a reader found.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) clips: Vec<Listed>,
    /// The classes where the data set fixes them and their order.
    pub(super) classes: Option<Vocabulary>,
    pub(super) unlisted: Vec<PathBuf>,
    pub(super) notes: Vec<String>,
}

/// Finds out how the data set in a folder, or listed by a CSV table, is laid out.
///
/// # Errors
/// [`Error::Dataset`] saying what is there if no layout fits, [`Error::Missing`] if nothing is there.
pub fn detect(root: &Path) -> Result<Layout> {
    if !root.exists() {
        return Err(Error::Missing {
            path: root.to_owned(),
            reason: "no such folder or table, expected a data set".to_owned(),
        });
    }
    if root.is_file() {
        return match audio_set::is_table(root) {
            true => Ok(Layout::Audioset),
            false => Ok(Layout::Table),
        };
    }
    Layout::ALL.into_iter().find(|layout| layout.fits(root)).ok_or_else(|| Error::Dataset {
        path: root.to_owned(),
        reason: format!(
            "{}, expected one folder per class, a table with the columns `path` and `label`, or one \
             of the known data sets ({})",
            contents(root),
            Layout::ALL.map(Layout::as_str).join(", ")
        ),
    })
}

/// A folder's contents in a few words.
fn contents(root: &Path) -> String {
    let (files, folders): (Vec<PathBuf>, Vec<PathBuf>) =
        entries(root).into_iter().partition(|path| !path.is_dir());
    let audio = files
        .iter()
        .filter(|path| has_audio_extension(path))
        .count();
    format!(
        "{} folders, {audio} audio files and {} other files at the top",
        folders.len(),
        files.len() - audio
    )
}

/// Reads a data set of a known layout.
pub(super) fn read(root: &Path, layout: Layout) -> Result<Listing> {
    let mut listing = match layout {
        Layout::Fsdkaggle2018 => kaggle::read_2018(root),
        Layout::Fsdkaggle2019 => kaggle::read_2019(root),
        Layout::Esc10 => esc::read_folders(root),
        Layout::Esc50 => esc::read_table(root),
        Layout::Urbansound8k => urban_sound::read(root),
        Layout::Fsd50k => fsd50k::read(root),
        Layout::Audioset => audio_set::read(root),
        Layout::Table => plain::read(root),
        Layout::Folders => folders::read(root),
    }?;
    if listing.clips.is_empty() {
        return Err(Error::Dataset {
            path: root.to_owned(),
            reason: format!(
                "no clips, expected a data set laid out as {}",
                layout.as_str()
            ),
        });
    }
    listing.unlisted.sort();
    Ok(listing)
}

/// Reads a table whose clips lie below another folder.
pub(super) fn read_table(table: &Path, root: &Path) -> Result<Listing> {
    let listing = plain::read_table(table, root)?;
    if listing.clips.is_empty() {
        return Err(Error::Dataset {
            path: table.to_owned(),
            reason: "no clips, expected a row for each".to_owned(),
        });
    }
    Ok(listing)
}

/// Removes the clips that the layout's built-in drop list names and returns them with the reasons.
pub(super) fn drop_known_bad(
    layout: Layout,
    listing: &mut Listing,
) -> Result<Vec<(String, String)>> {
    if layout != Layout::Fsdkaggle2019 {
        return Ok(vec![]);
    }
    let text = include_str!("../drop_lists/fsdkaggle2019.csv");
    let mut table = table::Table::parse("fsdkaggle2019.csv", text.as_bytes())?;
    let (clip, reason) = (table.need(&["fname"])?, table.need(&["reason"])?);
    let mut reasons = std::collections::BTreeMap::new();
    while let Some(row) = table.next()? {
        reasons.insert(row.field(clip).to_owned(), row.field(reason).to_owned());
    }
    let mut dropped = Vec::new();
    listing
        .clips
        .retain(|listed| match reasons.get(&listed.name) {
            Some(reason) => {
                dropped.push((listed.name.clone(), reason.clone()));
                false
            }
            None => true,
        });
    Ok(dropped)
}

/// The entries of a folder in the order of their names, without hidden ones; empty if it cannot be
/// read.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs_err::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| !file_name(path).starts_with('.'))
        .collect();
    paths.sort();
    paths
}

/// A path's last part as text.
fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// The audio files at any depth below a folder, sorted by path.
pub fn audio_files(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = walkdir::WalkDir::new(folder)
        .follow_links(true)
        .into_iter()
        .filter_entry(|entry| entry.depth() == 0 || !file_name(entry.path()).starts_with('.'))
        .flatten()
        .filter(|entry| entry.file_type().is_file() && has_audio_extension(entry.path()))
        .map(walkdir::DirEntry::into_path)
        .collect();
    paths.sort();
    paths
}

/// The audio files below the folders that no clip names.
fn unlisted(folders: &[PathBuf], clips: &[Listed]) -> Vec<PathBuf> {
    let listed: BTreeSet<&Path> = clips.iter().map(|clip| clip.path.as_path()).collect();
    let found = folders.iter().flat_map(|folder| audio_files(folder));
    found
        .filter(|path| !listed.contains(path.as_path()))
        .collect()
}

/// The first of some folders below a root that exists.
fn first_folder(root: &Path, names: &[&str]) -> Option<PathBuf> {
    names
        .iter()
        .map(|name| root.join(name))
        .find(|path| path.is_dir())
}

/// The first of some files below a root that exists.
fn first_file(root: &Path, names: &[&str]) -> Option<PathBuf> {
    names
        .iter()
        .map(|name| root.join(name))
        .find(|path| path.is_file())
}

/// Label names in one field, separated by semicolons or, if there is none, by commas.
fn split_labels(field: &str, separator: char) -> Vec<String> {
    field
        .split(separator)
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Whether a folder or label stands for clips that hold none of the classes.
fn is_negative_name(name: &str) -> bool {
    let name = name.to_lowercase();
    [
        "_background",
        "_background_noise_",
        "background",
        "noise",
        "silence",
    ]
    .contains(&name.as_str())
}
