//! Which annotations belong to which recording: files and tables in, annotated events by recording
//! out.
//!
//! A file without names of recordings belongs to the recording whose name it begins with
//! (`site3.wav`: `site3.txt`, `site3.wav.csv`, `site3.Table.1.selections.txt`), or, named alone, to
//! the only recording. A table with a column of file names lists any number of recordings.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use earmark::dataset::Vocabulary;
use earmark::eval::annotations::{self, Annotation};
use earmark::eval::label_map::LabelMap;
use walkdir::WalkDir;

use crate::errors::Hinted;
use crate::inputs::Input;
use crate::printer::Printer;

/// Unknown labels named in one message.
const N_NAMED: usize = 8;

/// An annotation and the file that it was read from.
pub(super) struct Placed {
    pub(super) annotation: Annotation,
    pub(super) file: PathBuf,
}

/// A recording with what people say is in it, in classes of the model.
pub(super) struct AnnotatedRecording {
    pub(super) path: PathBuf,
    /// Annotation and class.
    pub(super) events: Vec<(Placed, usize)>,
}

/// Annotations by recording.
pub(super) struct Annotated {
    pub(super) recordings: Vec<AnnotatedRecording>,
    /// The classes that annotators could name, ascending: those that are judged.
    pub(super) classes: Vec<usize>,
}

/// Reads annotations and gives each recording its own. Recordings without are left out, with a note.
pub(super) fn read(
    path: &Path,
    recordings: &[Input],
    map: Option<&LabelMap>,
    vocabulary: &Vocabulary,
    printer: &Printer,
) -> anyhow::Result<Annotated> {
    let mut by_recording: BTreeMap<usize, Vec<Placed>> = BTreeMap::new();
    let (files, is_alone) = files(path)?;
    let mut n_homeless = 0;
    for file in &files {
        let (_, read) = annotations::read(file)?;
        let own = owner(file, recordings).or((is_alone && recordings.len() == 1).then_some(0));
        let names_files = read.iter().any(|annotation| annotation.file.is_some());
        if let Some(own) = own.filter(|_| !names_files) {
            // Also when it is empty: then somebody says that nothing is there.
            by_recording.entry(own).or_default();
        }
        for annotation in read {
            let at = match &annotation.file {
                Some(name) => named(name, recordings),
                None => own,
            };
            let Some(at) = at else {
                n_homeless += 1;
                continue;
            };
            by_recording.entry(at).or_default().push(Placed {
                annotation,
                file: file.clone(),
            });
        }
    }
    if by_recording.is_empty() {
        return Err(Hinted::error(
            format!(
                "{}: no annotations for any of {} recordings",
                path.display(),
                recordings.len()
            ),
            "an annotation file is called as its recording (`a.wav`: `a.txt`), or is a table with \
             a column `filename`",
        ));
    }
    if n_homeless > 0 {
        printer.note(format!(
            "{n_homeless} annotations belong to none of the recordings and are left out"
        ));
    }
    let n_without = recordings.len() - by_recording.len();
    if n_without > 0 {
        printer.note(format!(
            "{n_without} recordings have no annotations and are left out"
        ));
    }
    in_classes(by_recording, recordings, map, vocabulary)
}

/// Turns labels into classes; all labels that are unknown are named at once.
fn in_classes(
    by_recording: BTreeMap<usize, Vec<Placed>>,
    recordings: &[Input],
    map: Option<&LabelMap>,
    vocabulary: &Vocabulary,
) -> anyhow::Result<Annotated> {
    let mut judged: BTreeSet<usize> = map
        .map(LabelMap::all_classes)
        .into_iter()
        .flatten()
        .collect();
    let mut unknown: BTreeMap<String, String> = BTreeMap::new();
    let mut annotated = Vec::new();
    for (at, placed) in by_recording {
        let mut events = Vec::new();
        for placed in placed {
            let label = &placed.annotation.label;
            let classes = match map.and_then(|map| map.classes(label)) {
                Some(classes) => classes.to_vec(),
                None => match vocabulary.find(label) {
                    Ok(class) => vec![class],
                    Err(_) => {
                        let place = format!("{}:{}", placed.file.display(), placed.annotation.line);
                        unknown.entry(label.clone()).or_insert(place);
                        continue;
                    }
                },
            };
            judged.extend(&classes);
            events.extend(classes.iter().map(|class| {
                let placed = Placed {
                    annotation: placed.annotation.clone(),
                    file: placed.file.clone(),
                };
                (placed, *class)
            }));
        }
        annotated.push(AnnotatedRecording {
            path: recordings[at].path.clone(),
            events,
        });
    }
    if !unknown.is_empty() {
        return Err(unknown_labels(&unknown, vocabulary));
    }
    if judged.is_empty() {
        return Err(Hinted::error(
            "the annotations name no class, so there is nothing to judge",
            "name the classes in --label-map CSV (label,class)",
        ));
    }
    Ok(Annotated {
        recordings: annotated,
        classes: judged.into_iter().collect(),
    })
}

fn unknown_labels(unknown: &BTreeMap<String, String>, vocabulary: &Vocabulary) -> anyhow::Error {
    let named: Vec<String> = unknown
        .iter()
        .take(N_NAMED)
        .map(|(label, place)| match vocabulary.suggestion(label) {
            Some(near) => format!("`{label}` ({place}; near: `{near}`)"),
            None => format!("`{label}` ({place})"),
        })
        .collect();
    let more = match unknown.len().saturating_sub(N_NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Hinted::error(
        format!(
            "{} labels are not in the vocabulary ({} classes): {}{more}",
            unknown.len(),
            vocabulary.len(),
            named.join(", ")
        ),
        "say what they stand for with --label-map CSV (label,class); an empty class leaves a label \
         out",
    )
}

/// The annotation files, and whether the user named a single one.
fn files(path: &Path) -> anyhow::Result<(Vec<PathBuf>, bool)> {
    if !path.is_dir() {
        return Ok((vec![path.to_owned()], true));
    }
    let mut files = Vec::new();
    for entry in WalkDir::new(path).follow_links(true).sort_by_file_name() {
        let path = entry?.into_path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        let is_text = matches!(
            extension.map(str::to_ascii_lowercase).as_deref(),
            Some("txt" | "csv" | "tsv")
        );
        if is_text && path.is_file() {
            files.push(path);
        }
    }
    Ok((files, false))
}

/// The recording whose name an annotation file's name begins with, the longest of several.
fn owner(file: &Path, recordings: &[Input]) -> Option<usize> {
    let file = file.file_name()?.to_str()?;
    let begins = |name: &str| {
        file.strip_prefix(name)
            .is_some_and(|rest| rest.starts_with('.'))
    };
    let stem_of = |recording: &Input| -> Option<String> {
        let stem = recording.path.file_stem()?.to_str()?;
        begins(stem).then(|| stem.to_owned())
    };
    recordings
        .iter()
        .enumerate()
        .filter_map(|(at, recording)| Some((stem_of(recording)?.len(), at)))
        .max_by_key(|(length, at)| (*length, std::cmp::Reverse(*at)))
        .map(|(_, at)| at)
}

/// The recording that a table means: by its place in the folder, its file name, or that without
/// ending.
fn named(name: &str, recordings: &[Input]) -> Option<usize> {
    let name = name.replace('\\', "/");
    let name = Path::new(&name);
    let by = |fits: &dyn Fn(&Input) -> bool| recordings.iter().position(fits);
    by(&|recording| recording.place == name)
        .or_else(|| by(&|recording| recording.path.file_name() == name.file_name()))
        .or_else(|| by(&|recording| recording.path.file_stem() == Some(name.as_os_str())))
}
