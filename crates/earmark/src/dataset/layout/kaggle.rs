//! FSDKaggle2018 and FSDKaggle2019, as Kaggle and as Zenodo lay them out.
//!
//! Kaggle: `train.csv`, `audio_train`, `audio_test` (2018); `train_curated.csv`, `train_noisy.csv` and
//! folders of the same names, `test` (2019). Zenodo: `FSDKaggle2018.meta`, `FSDKaggle2018.audio_train`
//! and so on. Where the tables published after the challenges are there, their Freesound ids become
//! the clips' sources and the test clips get their labels.

use std::path::{Path, PathBuf};

use super::super::clip::{Quality, Split};
use super::super::vocabulary::Vocabulary;
use super::table::{Row, Table, header_of};
use super::{Listed, Listing, first_file, first_folder, split_labels, unlisted};
use crate::lines::{csv_reason, header_line};
use crate::{Error, Result};

const TRAIN_2018: [&str; 3] = [
    "train_post_competition.csv",
    "FSDKaggle2018.meta/train_post_competition.csv",
    "train.csv",
];
const TEST_2018: [&str; 4] = [
    "test_post_competition.csv",
    "FSDKaggle2018.meta/test_post_competition.csv",
    "test_post_competition_scoring_clips.csv",
    "FSDKaggle2018.meta/test_post_competition_scoring_clips.csv",
];
const CURATED_2019: [&str; 3] = [
    "train_curated_post_competition.csv",
    "FSDKaggle2019.meta/train_curated_post_competition.csv",
    "train_curated.csv",
];
const NOISY_2019: [&str; 3] = [
    "train_noisy_post_competition.csv",
    "FSDKaggle2019.meta/train_noisy_post_competition.csv",
    "train_noisy.csv",
];
const TEST_2019: [&str; 2] = [
    "test_post_competition.csv",
    "FSDKaggle2019.meta/test_post_competition.csv",
];

/// Whether the tables of 2018 are there: one with the flag of verified clips.
pub(super) fn fits_2018(root: &Path) -> bool {
    let table = first_file(root, &TRAIN_2018);
    let header = table.and_then(|path| header_of(&path)).unwrap_or_default();
    ["fname", "label", "manually_verified"]
        .iter()
        .all(|name| header.iter().any(|c| c == name))
}

/// Whether the tables of 2019 are there.
pub(super) fn fits_2019(root: &Path) -> bool {
    first_file(root, &CURATED_2019).is_some() || first_file(root, &NOISY_2019).is_some()
}

/// Reads FSDKaggle2018.
pub(super) fn read_2018(root: &Path) -> Result<Listing> {
    let table = first_file(root, &TRAIN_2018).ok_or_else(|| missing(root, TRAIN_2018[2]))?;
    let train = audio_folder(root, &["audio_train", "FSDKaggle2018.audio_train"]);
    let mut listing = Listing::default();
    read_table(
        &table,
        &train,
        Split::Train,
        &mut listing,
        |row, columns, clip| {
            clip.quality = match row.optional(columns.verified) {
                Some("0") => Quality::Noisy,
                Some("1") | None => Quality::Curated,
                Some(other) => {
                    let reason = format!("manually_verified is `{other}`, expected 0 or 1");
                    return Err(row.error(reason));
                }
            };
            Ok(())
        },
    )?;
    let mut folders = vec![train];
    let test = first_folder(root, &["audio_test", "FSDKaggle2018.audio_test"]);
    read_test(root, &TEST_2018, test, &mut folders, &mut listing)?;
    listing.unlisted = unlisted(&folders, &listing.clips);
    Ok(listing)
}

/// Reads FSDKaggle2019.
pub(super) fn read_2019(root: &Path) -> Result<Listing> {
    let parts = [
        (
            first_file(root, &CURATED_2019),
            audio_folder(
                root,
                &["train_curated", "FSDKaggle2019.audio_train_curated"],
            ),
            Quality::Curated,
        ),
        (
            first_file(root, &NOISY_2019),
            audio_folder(root, &["train_noisy", "FSDKaggle2019.audio_train_noisy"]),
            Quality::Noisy,
        ),
    ];
    let mut listing = Listing::default();
    let mut folders = Vec::new();
    for (table, folder, quality) in parts {
        let Some(table) = table else {
            listing
                .notes
                .push(format!("no table for {quality:?} clips").to_lowercase());
            continue;
        };
        read_table(&table, &folder, Split::Train, &mut listing, |_, _, clip| {
            clip.quality = quality;
            Ok(())
        })?;
        folders.push(folder);
    }
    let test = first_folder(root, &["test", "audio_test", "FSDKaggle2019.audio_test"]);
    read_test(root, &TEST_2019, test, &mut folders, &mut listing)?;
    listing.classes = submission_classes(root)?;
    listing.unlisted = unlisted(&folders, &listing.clips);
    Ok(listing)
}

/// The first of some audio folders that exists, or where the first one would be.
fn audio_folder(root: &Path, names: &[&str]) -> PathBuf {
    first_folder(root, names).unwrap_or_else(|| root.join(names[0]))
}

fn missing(root: &Path, table: &str) -> Error {
    Error::Missing {
        path: root.join(table),
        reason: "no such table, expected the data set's".to_owned(),
    }
}

/// The columns of any of the tables.
struct Columns {
    clip: usize,
    label: usize,
    splits_labels: bool,
    verified: Option<usize>,
    freesound: Option<usize>,
    usage: Option<usize>,
}

/// Adds the clips of one table; `finish` sets what is special to it.
fn read_table(
    path: &Path,
    folder: &Path,
    split: Split,
    listing: &mut Listing,
    finish: impl Fn(&Row, &Columns, &mut Listed) -> Result<()>,
) -> Result<()> {
    let mut table = Table::open(path)?;
    let columns = Columns {
        clip: table.need(&["fname"])?,
        label: table.need(&["labels", "label"])?,
        splits_labels: table.find(&["labels"]).is_some(),
        verified: table.find(&["manually_verified"]),
        freesound: table.find(&["freesound_id"]),
        usage: table.find(&["usage"]),
    };
    while let Some(row) = table.next()? {
        let name = row.field(columns.clip);
        let mut clip = Listed::new(name, folder.join(name));
        let labels = match columns.splits_labels {
            true => split_labels(row.field(columns.label), ','),
            false => split_labels(row.field(columns.label), '\0'),
        };
        let is_ignored = row
            .optional(columns.usage)
            .is_some_and(|usage| usage.eq_ignore_ascii_case("ignored"));
        if labels.is_empty() && !is_ignored {
            return Err(row.error(format!("`{name}` has no label, expected at least one")));
        }
        // Clips that the challenge ignores were never labelled: their label is the word `None`.
        clip.labels = (!is_ignored).then_some(labels);
        clip.source = row
            .optional(columns.freesound)
            .map(|id| format!("freesound:{id}"));
        clip.split = split;
        finish(&row, &columns, &mut clip)?;
        clip.origin = Some(row.origin);
        listing.clips.push(clip);
    }
    Ok(())
}

/// Adds the test clips, if their audio is there: labelled from the table published afterwards, or
/// unlabelled from their files.
fn read_test(
    root: &Path,
    tables: &[&str],
    folder: Option<PathBuf>,
    folders: &mut Vec<PathBuf>,
    listing: &mut Listing,
) -> Result<()> {
    let Some(folder) = folder else {
        listing
            .notes
            .push("no folder with test clips, only training clips are read".to_owned());
        return Ok(());
    };
    match first_file(root, tables) {
        Some(table) => {
            read_table(&table, &folder, Split::Test, listing, |_, _, _| Ok(()))?;
            folders.push(folder);
        }
        None => {
            listing
                .notes
                .push("no labels for the test clips".to_owned());
            for path in super::audio_files(&folder) {
                let mut clip = Listed::new(super::file_name(&path), path);
                clip.labels = None;
                clip.split = Split::Test;
                listing.clips.push(clip);
            }
        }
    }
    Ok(())
}

/// The classes in the order of the sample submission's columns, or of the published vocabulary.
fn submission_classes(root: &Path) -> Result<Option<Vocabulary>> {
    if let Some(path) = first_file(root, &["sample_submission.csv"]) {
        // The header as written, not in lower case.
        let text = fs_err::read(&path)?;
        let mut reader = csv::Reader::from_reader(text.as_slice());
        let header = reader.headers().map_err(|error| Error::Line {
            name: path.display().to_string(),
            line: header_line(&text),
            reason: csv_reason(&error),
        })?;
        return Vocabulary::from_names(header.iter().skip(1).map(str::to_owned)).map(Some);
    }
    let Some(path) = first_file(
        root,
        &["vocabulary.csv", "FSDKaggle2019.meta/vocabulary.csv"],
    ) else {
        return Ok(None);
    };
    super::fsd50k::headless_vocabulary(&path).map(Some)
}
