//! What a run finds out about its clips before it trains: class balance, durations, problems.

use std::collections::BTreeSet;
use std::path::PathBuf;

use earmark::Result;
use earmark::dataset::audit::{Audit, Durations, audit_cached};
use earmark::dataset::check::{ClassCount, Level, Problem, class_balance};
use earmark::dataset::{Manifest, Progress, Split, WaveformCache};
use serde::Serialize;

use super::division::Divided;

/// The clips of a run before it begins.
#[derive(Debug, Clone, Serialize)]
pub struct Survey {
    /// The data set's folder or table.
    pub path: PathBuf,
    /// How it lies on disk.
    pub layout: &'static str,
    /// The clips that are listed and there.
    pub n_clips: usize,
    /// Whether some clip has more than one label.
    pub is_multi_label: bool,
    /// What the reader of the data set decided.
    pub notes: Vec<String>,
    /// How often each class occurs, negatives last.
    pub classes: Vec<ClassCount>,
    /// How long the clips are that can be decoded.
    pub durations: Option<Durations>,
    /// What is wrong, the worst first.
    pub problems: Vec<Problem>,
}

/// Listens to the decoded clips.
///
/// # Errors
/// [`earmark::Error::Cancelled`] if `progress` says so; what reading the cache ends in.
pub(super) fn listen(
    manifest: &Manifest,
    waveforms: &WaveformCache,
    progress: &dyn Progress,
) -> Result<Audit> {
    progress.stage("checking");
    audit_cached(manifest, waveforms, progress)
}

/// Makes training clips with the same sound one source, so that folds made here never tear them
/// apart. Returns the number of clips that are copies of others.
pub(super) fn bind_copies(manifest: &mut Manifest, audit: &Audit) -> usize {
    let mut n_copies = 0;
    for group in audit.duplicates() {
        let clips = &mut manifest.clips;
        let training: Vec<usize> = group
            .into_iter()
            .filter(|&at| clips[at].split == Split::Train)
            .collect();
        let Some((&first, copies)) = training.split_first() else {
            continue;
        };
        let source_of = |at: usize, clips: &[earmark::dataset::Clip]| {
            clips[at]
                .source
                .clone()
                .unwrap_or_else(|| clips[at].name.clone())
        };
        let source = source_of(first, clips);
        let bound: BTreeSet<String> = copies.iter().map(|&at| source_of(at, clips)).collect();
        for clip in clips.iter_mut() {
            if bound.contains(clip.source.as_ref().unwrap_or(&clip.name)) {
                clip.source = Some(source.clone());
            }
        }
        clips[first].source = Some(source);
        n_copies += copies.len();
    }
    n_copies
}

/// Puts together what the lists, the sounds and the division show.
pub(super) fn survey(
    manifest: &Manifest,
    listed: Vec<Problem>,
    audit: &Audit,
    divided: &Divided,
) -> Survey {
    let mut problems = listed;
    problems.extend(audit.problems(manifest, divided.folds.as_ref()));
    let empty = divided.divisions.iter().filter(|d| d.fold.is_some());
    let empty = empty.filter(|division| division.validation.is_empty());
    problems.extend(empty.map(|division| Problem {
        level: Level::Warning,
        what: format!("fold {}: no clip to judge by", division.fold.unwrap_or(0)),
        concerned: Vec::new(),
    }));
    if !divided.unjudged.is_empty() {
        let names = divided.unjudged.iter();
        problems.push(Problem {
            level: Level::Warning,
            what: format!(
                "{} classes have too few sources to be judged, they are trained only",
                divided.unjudged.len()
            ),
            concerned: names
                .map(|&c| manifest.vocabulary.name(c).to_owned())
                .collect(),
        });
    }
    problems.sort_by_key(|problem| std::cmp::Reverse(problem.level));
    Survey {
        path: manifest.root.clone(),
        layout: manifest.layout.as_str(),
        n_clips: manifest.clips.len(),
        is_multi_label: manifest.is_multi_label(),
        notes: manifest.notes.clone(),
        classes: class_balance(manifest),
        durations: audit.durations(),
        problems,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use earmark::dataset::Folds;
    use earmark::dataset::audit::Heard;

    #[test]
    fn copies_of_a_sound_become_one_source() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a/1.wav", "a/2.wav", "b/3.wav", "b/4.wav"] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, b"").unwrap();
        }
        let mut manifest = Manifest::open(folder.path()).unwrap();
        // The third clip is a copy of the first; the fourth was cut from the third's recording.
        manifest.clips[2].source = Some("tape".to_owned());
        manifest.clips[3].source = Some("tape".to_owned());
        let heard = |content: &str| {
            Ok(Heard {
                duration_secs: 1.0,
                peak: 0.5,
                content: content.to_owned(),
            })
        };
        let audit = Audit {
            clips: ["x", "y", "x", "z"].map(heard).into(),
        };
        assert_eq!(bind_copies(&mut manifest, &audit), 1);
        let sources: Vec<Option<&str>> =
            manifest.clips.iter().map(|c| c.source.as_deref()).collect();
        assert_eq!(sources[0], sources[2]);
        assert_eq!(sources[0], sources[3]);
        assert_ne!(sources[0], sources[1]);
        let folds = Folds::stratified(&manifest, 2, 0).unwrap();
        assert!(
            audit
                .problems(&manifest, Some(&folds))
                .iter()
                .all(|p| p.level != Level::Error)
        );
    }
}
