//! ESC-10 and ESC-50: `fold-freesound_id-take[-target].ext`, in folders `001 - Dog bark` or in a table.

use std::path::{Path, PathBuf};

use super::table::Table;
use super::{Listed, Listing, entries, file_name, first_file, unlisted};
use crate::{Error, Result};

/// The table of ESC-50.
pub(super) fn find_table(root: &Path) -> Option<PathBuf> {
    first_file(root, &["meta/esc50.csv", "esc50.csv"])
}

/// Reads ESC-50: `filename`, `fold`, `target`, `category`, `src_file`.
pub(super) fn read_table(root: &Path) -> Result<Listing> {
    let path = find_table(root).ok_or_else(|| Error::Missing {
        path: root.join("meta/esc50.csv"),
        reason: "no such table, expected that of ESC-50".to_owned(),
    })?;
    let folder = root.join("audio");
    let mut table = Table::open(&path)?;
    let (clip, fold) = (table.need(&["filename"])?, table.need(&["fold"])?);
    let (target, class) = (table.need(&["target"])?, table.need(&["category"])?);
    let source = table.find(&["src_file"]);
    let mut listing = Listing::default();
    let mut classes = super::urban_sound::NumberedClasses::default();
    while let Some(row) = table.next()? {
        let name = row.field(clip);
        let mut listed = Listed::new(name, folder.join(name));
        listed.labels = Some(vec![row.field(class).to_owned()]);
        listed.fold = Some(super::urban_sound::fold_from_one(&row, fold)?);
        listed.source = row.optional(source).map(|id| format!("freesound:{id}"));
        classes.add(&row, target, row.field(class))?;
        listed.origin = Some(row.origin);
        listing.clips.push(listed);
    }
    listing.classes = classes.vocabulary()?;
    listing.unlisted = unlisted(&[folder], &listing.clips);
    Ok(listing)
}

/// The class of a folder named `001 - Dog bark`.
fn class_of_folder(folder: &Path) -> Option<String> {
    let name = file_name(folder);
    let (number, class) = name.split_once(" - ")?;
    (number.len() == 3 && number.bytes().all(|b| b.is_ascii_digit()) && folder.is_dir())
        .then(|| class.trim().to_owned())
}

/// Whether some folder is named as in ESC-10.
pub(super) fn fits_folders(root: &Path) -> bool {
    entries(root)
        .iter()
        .any(|folder| class_of_folder(folder).is_some())
}

/// Reads ESC-10: the classes in the order of their folders' numbers.
pub(super) fn read_folders(root: &Path) -> Result<Listing> {
    let mut listing = Listing::default();
    let mut names = Vec::new();
    for folder in entries(root) {
        let Some(class) = class_of_folder(&folder) else {
            continue;
        };
        for path in super::audio_files(&folder) {
            let file = file_name(&path);
            let name = format!("{}/{file}", file_name(&folder));
            let Some((fold, id)) = parse_name(&file) else {
                listing.unlisted.push(path);
                continue;
            };
            let mut listed = Listed::new(name, path);
            listed.labels = Some(vec![class.clone()]);
            listed.fold = Some(fold);
            listed.source = Some(format!("freesound:{id}"));
            listing.clips.push(listed);
        }
        names.push(class);
    }
    listing.classes = Some(super::super::Vocabulary::from_names(names)?);
    Ok(listing)
}

/// Fold from 0 and Freesound id of a file name such as `1-100032-A.ogg`.
fn parse_name(name: &str) -> Option<(usize, &str)> {
    let mut parts = name.split('-');
    let fold: usize = parts.next()?.parse().ok()?;
    let id = parts
        .next()
        .filter(|id| !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit()))?;
    parts.next()?;
    Some((fold.checked_sub(1)?, id))
}
