//! [`Manifest`]: a data set as one list of clips with one vocabulary, whatever its layout on disk.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::layout::{self, Layout, Listing};
use super::{Clip, Split, Vocabulary};
use crate::digest::hex;
use crate::{Error, Result};

/// How a data set is read.
#[derive(Clone, Debug)]
pub struct ReadOptions {
    /// The layout; `None` finds it out.
    pub layout: Option<Layout>,
    /// A table of clips kept apart from the audio: its paths are looked for below the folder that is
    /// opened. Decides the layout.
    pub table: Option<PathBuf>,
    /// The classes, in order; `None` takes them from the data set.
    pub vocabulary: Option<Vocabulary>,
    /// Leave out the clips that the built-in drop list of the data set names. Default true.
    pub drop_known_bad: bool,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            layout: None,
            table: None,
            vocabulary: None,
            drop_known_bad: true,
        }
    }
}

/// A data set: clips and their classes.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// How it lies on disk.
    pub layout: Layout,
    /// The folder, or the table, that was opened.
    pub root: PathBuf,
    /// The classes. Negatives have no entry.
    pub vocabulary: Vocabulary,
    /// The clips, in the order of the tables or of their paths.
    pub clips: Vec<Clip>,
    /// Audio files below the data set's audio folders that no table lists.
    pub unlisted: Vec<PathBuf>,
    /// Clips that a drop list left out: name and reason.
    pub dropped: Vec<(String, String)>,
    /// What the reader decided, in sentences for the user.
    pub notes: Vec<String>,
}

impl Manifest {
    /// Reads the data set in a folder, or the one that a CSV table lists, whatever its layout.
    ///
    /// # Errors
    /// [`Error::Dataset`] if no layout fits, [`Error::Line`] for rows that do not parse,
    /// [`Error::UnknownLabel`] for labels outside a given vocabulary, [`Error::Io`].
    pub fn open(root: &Path) -> Result<Self> {
        Self::open_with(root, &ReadOptions::default())
    }

    /// Reads a data set with options.
    ///
    /// # Errors
    /// As for [`Manifest::open`].
    pub fn open_with(root: &Path, options: &ReadOptions) -> Result<Self> {
        let (layout, mut listing) = match (&options.table, options.layout) {
            (Some(table), _) => (Layout::Table, layout::read_table(table, root)?),
            (None, Some(layout)) => (layout, layout::read(root, layout)?),
            (None, None) => {
                let layout = layout::detect(root)?;
                (layout, layout::read(root, layout)?)
            }
        };
        let dropped = match options.drop_known_bad {
            true => layout::drop_known_bad(layout, &mut listing)?,
            false => vec![],
        };
        let vocabulary = match (&options.vocabulary, listing.classes.take()) {
            (Some(vocabulary), _) => vocabulary.clone(),
            (None, Some(classes)) => classes,
            (None, None) => vocabulary_of(root, &listing)?,
        };
        let clips: Result<Vec<Clip>> = listing
            .clips
            .into_iter()
            .map(|listed| listed.resolve(&vocabulary))
            .collect();
        Ok(Self {
            layout,
            root: root.to_owned(),
            vocabulary,
            clips: clips?,
            unlisted: listing.unlisted,
            dropped,
            notes: listing.notes,
        })
    }

    /// Whether some clip has more than one label.
    pub fn is_multi_label(&self) -> bool {
        self.labelled().any(|(_, labels)| labels.len() > 1)
    }

    /// Clip indices with their labels, for the clips whose labels are known.
    pub fn labelled(&self) -> impl Iterator<Item = (usize, &[usize])> {
        self.clips
            .iter()
            .enumerate()
            .filter_map(|(at, clip)| Some((at, clip.labels.as_deref()?)))
    }

    /// The clips of one split whose labels are known.
    pub fn labelled_in(&self, split: Split) -> Vec<usize> {
        self.labelled()
            .map(|(at, _)| at)
            .filter(|at| self.clips[*at].split == split)
            .collect()
    }

    /// Presence of each class in the given clips, `[clip, class]`. Unknown labels count as absent.
    ///
    /// # Panics
    /// If there is no such clip.
    pub fn targets(&self, clips: &[usize]) -> Vec<bool> {
        let mut targets = vec![false; clips.len() * self.vocabulary.len()];
        for (row, clip) in targets.chunks_exact_mut(self.vocabulary.len()).zip(clips) {
            for label in self.clips[*clip].labels.iter().flatten() {
                row[*label] = true;
            }
        }
        targets
    }

    /// The clips whose audio file does not exist.
    pub fn missing(&self) -> Vec<usize> {
        // One listing per folder: tens of thousands of single look-ups are slow on network disks.
        let mut folders = BTreeMap::<PathBuf, BTreeSet<PathBuf>>::new();
        let exists = |clip: &Clip, folders: &mut BTreeMap<PathBuf, BTreeSet<PathBuf>>| {
            let parent = clip.path.parent().unwrap_or(Path::new("")).to_owned();
            let files = folders.entry(parent).or_insert_with_key(|folder| {
                // The folder of a bare file name is the current one; its entries begin with `./`.
                let here = match folder.as_os_str().is_empty() {
                    true => Path::new("."),
                    false => folder,
                };
                let entries = fs_err::read_dir(here).into_iter().flatten().flatten();
                entries
                    .map(|entry| folder.join(entry.file_name()))
                    .collect()
            });
            files.contains(&clip.path)
        };
        let missing = self.clips.iter().enumerate();
        missing
            .filter(|(_, clip)| !exists(clip, &mut folders))
            .map(|(at, _)| at)
            .collect()
    }

    /// Keeps the clips that `keep` accepts.
    pub fn retain(&mut self, keep: impl FnMut(&Clip) -> bool) {
        self.clips.retain(keep);
    }

    /// Removes the clips whose audio file does not exist and returns them.
    pub fn remove_missing(&mut self) -> Vec<Clip> {
        let missing: BTreeSet<usize> = self.missing().into_iter().collect();
        let (mut kept, mut removed) = (Vec::new(), Vec::new());
        for (at, clip) in std::mem::take(&mut self.clips).into_iter().enumerate() {
            if missing.contains(&at) {
                removed.push(clip);
            } else {
                kept.push(clip);
            }
        }
        self.clips = kept;
        removed
    }

    /// Expresses the labels in another vocabulary, such as that of a trained bundle.
    ///
    /// # Errors
    /// [`Error::UnknownLabel`] naming the first clip with a class that the other one does not have.
    pub fn in_vocabulary(&self, vocabulary: &Vocabulary) -> Result<Self> {
        let mut manifest = Self {
            vocabulary: vocabulary.clone(),
            ..self.clone()
        };
        for clip in &mut manifest.clips {
            let place = clip.place();
            if let Some(labels) = &mut clip.labels {
                for label in labels.iter_mut() {
                    *label = find(self.vocabulary.name(*label), vocabulary, &place)?;
                }
                labels.sort_unstable();
            }
        }
        Ok(manifest)
    }

    /// The SHA-256, in hexadecimal, of everything that training can see in the list: names, labels,
    /// splits, folds, weights, qualities, sources, stretches and the vocabulary. Not of the audio.
    pub fn digest(&self) -> String {
        let mut hasher = Sha256::new();
        hasher.update(self.vocabulary.digest());
        for clip in &self.clips {
            // Debug output of plain fields: unambiguous, and equal for equal lists.
            let Clip {
                name,
                labels,
                split,
                fold,
                weight,
                quality,
                source,
                stretch_secs,
                ..
            } = clip;
            hasher.update(format!(
                "{:?}\n",
                (
                    name,
                    labels,
                    split,
                    fold,
                    weight,
                    quality,
                    source,
                    stretch_secs
                )
            ));
        }
        hex(&hasher.finalize())
    }
}

/// The index of a label, or the error that names where it stands.
pub(super) fn find(label: &str, vocabulary: &Vocabulary, place: &str) -> Result<usize> {
    vocabulary
        .index_of(label)
        .or_else(|| vocabulary.index_of_id(label))
        .ok_or_else(|| Error::UnknownLabel {
            place: place.to_owned(),
            label: label.to_owned(),
            n_classes: vocabulary.len(),
            suggestion: vocabulary.suggestion(label).map(str::to_owned),
        })
}

/// The classes of the labels, in the order of their names.
fn vocabulary_of(root: &Path, listing: &Listing) -> Result<Vocabulary> {
    let names: BTreeSet<&str> = listing
        .clips
        .iter()
        .flat_map(|clip| clip.labels.iter().flatten())
        .map(String::as_str)
        .collect();
    if names.is_empty() {
        return Err(Error::Dataset {
            path: root.to_owned(),
            reason: format!(
                "{} clips without any label, expected labelled clips",
                listing.clips.len()
            ),
        });
    }
    Vocabulary::from_names(names)
}
