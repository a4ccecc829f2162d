//! UrbanSound8K: `metadata/UrbanSound8K.csv`, audio in `audio/fold1` to `audio/fold10`.

use std::path::{Path, PathBuf};

use super::super::vocabulary::Vocabulary;
use super::table::{Row, Table};
use super::{Listed, Listing, first_file, unlisted};
use crate::{Error, Result};

/// The table of UrbanSound8K.
pub(super) fn find_table(root: &Path) -> Option<PathBuf> {
    first_file(root, &["metadata/UrbanSound8K.csv", "UrbanSound8K.csv"])
}

/// Reads `slice_file_name`, `fsID`, `fold`, `classID`, `class`. The columns `start` and `end` tell where in the
/// original recording a slice was; the slices are cut already.
pub(super) fn read(root: &Path) -> Result<Listing> {
    let path = find_table(root).ok_or_else(|| Error::Missing {
        path: root.join("metadata/UrbanSound8K.csv"),
        reason: "no such table, expected that of UrbanSound8K".to_owned(),
    })?;
    let mut table = Table::open(&path)?;
    let (clip, fold) = (table.need(&["slice_file_name"])?, table.need(&["fold"])?);
    let (target, class) = (table.need(&["classid"])?, table.need(&["class"])?);
    let source = table.find(&["fsid"]);
    let mut listing = Listing::default();
    let mut classes = NumberedClasses::default();
    while let Some(row) = table.next()? {
        let name = row.field(clip);
        let folder = root.join("audio").join(format!("fold{}", row.field(fold)));
        let mut listed = Listed::new(name, folder.join(name));
        listed.labels = Some(vec![row.field(class).to_owned()]);
        listed.fold = Some(fold_from_one(&row, fold)?);
        listed.source = row.optional(source).map(|id| format!("freesound:{id}"));
        classes.add(&row, target, row.field(class))?;
        listed.origin = Some(row.origin);
        listing.clips.push(listed);
    }
    listing.classes = classes.vocabulary()?;
    listing.unlisted = unlisted(&[root.join("audio")], &listing.clips);
    Ok(listing)
}

/// A fold that the table counts from 1, counted from 0.
pub(super) fn fold_from_one(row: &Row, column: usize) -> Result<usize> {
    let field = row.field(column);
    let fold: Option<usize> = field.parse().ok();
    fold.and_then(|fold| fold.checked_sub(1))
        .ok_or_else(|| row.error(format!("fold is `{field}`, expected a number from 1")))
}

/// Classes that a table numbers.
#[derive(Default)]
pub(super) struct NumberedClasses(std::collections::BTreeMap<usize, String>);

impl NumberedClasses {
    /// Notes a row's class; a number with two names is an error.
    pub(super) fn add(&mut self, row: &Row, column: usize, name: &str) -> Result<()> {
        let field = row.field(column);
        let number: usize = field.parse().map_err(|_| {
            row.error(format!(
                "class number is `{field}`, expected a number from 0"
            ))
        })?;
        let known = self.0.entry(number).or_insert_with(|| name.to_owned());
        if known != name {
            let reason = format!("class {number} is `{name}`, earlier lines call it `{known}`");
            return Err(row.error(reason));
        }
        Ok(())
    }

    /// The classes in the order of their numbers; `None` if there are none.
    pub(super) fn vocabulary(self) -> Result<Option<Vocabulary>> {
        (!self.0.is_empty())
            .then(|| Vocabulary::from_names(self.0.into_values()))
            .transpose()
    }
}
