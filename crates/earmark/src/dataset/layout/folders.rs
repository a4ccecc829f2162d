//! One folder per class: the folder's name is the label of every audio file at any depth below it.
//!
//! Folders named `_background`, `_background_noise_`, `background`, `noise` or `silence` hold
//! negatives. When the top folders are all called like splits (`train`, `val`, `test`, …), the class
//! folders lie below those.

use std::path::{Path, PathBuf};

use super::super::clip::Split;
use super::{Listed, Listing, audio_files, entries, file_name, is_negative_name};
use crate::Result;
use crate::audio::has_audio_extension;

/// Whether some folder holds audio.
pub(super) fn fits(root: &Path) -> bool {
    entries(root)
        .iter()
        .any(|path| path.is_dir() && !audio_files(path).is_empty())
}

/// Reads the folders.
pub(super) fn read(root: &Path) -> Result<Listing> {
    let mut listing = Listing::default();
    let folders: Vec<PathBuf> = entries(root)
        .into_iter()
        .filter(|path| path.is_dir())
        .collect();
    let splits: Option<Vec<Split>> = folders
        .iter()
        .map(|path| Split::from_word(&file_name(path)))
        .collect();
    match splits.filter(|splits| !splits.is_empty()) {
        Some(splits) => {
            for (folder, split) in folders.iter().zip(splits) {
                read_classes(root, folder, split, &mut listing);
            }
        }
        None => read_classes(root, root, Split::Train, &mut listing),
    }
    // Only at the top: what lies deeper belongs to the class folder above it.
    listing.unlisted = entries(root)
        .into_iter()
        .filter(|path| path.is_file() && has_audio_extension(path))
        .collect();
    Ok(listing)
}

fn read_classes(root: &Path, parent: &Path, split: Split, listing: &mut Listing) {
    for folder in entries(parent).into_iter().filter(|path| path.is_dir()) {
        let class = file_name(&folder).trim().to_owned();
        let files = audio_files(&folder);
        if files.is_empty() {
            listing
                .notes
                .push(format!("folder `{class}` holds no audio and is no class"));
            continue;
        }
        for path in files {
            let name = path
                .strip_prefix(root)
                .unwrap_or(&path)
                .to_string_lossy()
                .into_owned();
            let mut listed = Listed::new(name, path);
            if !is_negative_name(&class) {
                listed.labels = Some(vec![class.clone()]);
            }
            listed.split = split;
            listing.clips.push(listed);
        }
    }
}
