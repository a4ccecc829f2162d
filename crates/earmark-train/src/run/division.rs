//! Which clips a run trains on and which ones judge it.

use std::collections::BTreeSet;

use earmark::dataset::{Folds, Manifest, Split};
use earmark::{Error, Result};

use super::config::{DataConfig, FoldRule, Validate};

/// One training run's share of the clips, as indices into the manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Division {
    /// The fold, or `None` where the clips were not divided by folds.
    pub(crate) fold: Option<usize>,
    pub(crate) training: Vec<usize>,
    pub(crate) validation: Vec<usize>,
}

/// The divisions that a configuration asks for.
#[derive(Debug, Clone)]
pub(crate) struct Divided {
    pub(crate) divisions: Vec<Division>,
    /// The folds that they come from, if they come from folds.
    pub(crate) folds: Option<Folds>,
    /// Classes with too few sources to be on both sides: trained, and judged nowhere.
    pub(crate) unjudged: BTreeSet<usize>,
}

/// Divides the clips as a configuration asks.
///
/// # Errors
/// [`earmark::Error::Dataset`] if the clips cannot be divided that way.
pub(crate) fn divide(
    manifest: &Manifest,
    config: &DataConfig,
    usable: &[usize],
    seed: u64,
    with_unlabelled: bool,
) -> Result<Divided> {
    let usable: BTreeSet<usize> = usable.iter().copied().collect();
    // Clips whose labels nobody knows teach nothing without a teacher.
    let is_unlabelled = |at: &usize| {
        let clip = &manifest.clips[*at];
        with_unlabelled && clip.labels.is_none() && clip.split == Split::Train
    };
    let unlabelled: Vec<usize> = (0..manifest.clips.len()).filter(is_unlabelled).collect();
    let keep = |mut clips: Vec<usize>| {
        clips.retain(|clip| usable.contains(clip));
        clips
    };
    let with_more = |mut clips: Vec<usize>| {
        clips.extend(&unlabelled);
        clips
    };
    let training = with_more(manifest.labelled_in(Split::Train));
    let given = manifest.labelled_in(Split::Validation);
    let whole = |validation| Divided {
        divisions: vec![Division {
            fold: None,
            training: keep(training.clone()),
            validation: keep(validation),
        }],
        folds: None,
        unjudged: BTreeSet::new(),
    };
    match config.validate {
        Validate::None => return Ok(whole(Vec::new())),
        Validate::First if !given.is_empty() => return Ok(whole(given)),
        _ => {}
    }
    let has_folds = training.iter().any(|&at| manifest.clips[at].fold.is_some());
    let is_given = match config.folds {
        FoldRule::Given => true,
        FoldRule::Auto => has_folds,
        FoldRule::Stratified | FoldRule::Hash => false,
    };
    let folds = match config.folds {
        FoldRule::Auto => Folds::automatic(manifest, config.n_folds, seed),
        FoldRule::Given => Folds::given(manifest),
        FoldRule::Stratified => Folds::stratified(manifest, config.n_folds, seed),
        FoldRule::Hash => Folds::by_hash(manifest, config.n_folds),
    };
    let folds = folds.map_err(advised)?;
    let n_runs = match config.validate {
        Validate::All => folds.len(),
        _ => 1,
    };
    let mut divisions: Vec<Division> = (0..n_runs)
        .map(|fold| Division {
            fold: Some(fold),
            training: keep(with_more(folds.training(manifest, fold))),
            validation: keep(folds.validation(fold)),
        })
        .collect();
    let mut unjudged = BTreeSet::new();
    if !is_given {
        for division in &mut divisions {
            unjudged.extend(keep_classes_trained(manifest, division));
        }
    }
    Ok(Divided {
        divisions,
        folds: Some(folds),
        unjudged,
    })
}

/// Adds what to do to the error of a set that is too small for its folds.
fn advised(error: Error) -> Error {
    match error {
        Error::Dataset { path, reason } => Error::Dataset {
            path,
            reason: format!("{reason}; set `data.n_folds`, or `data.validate = \"none\"`"),
        },
        error => error,
    }
}

/// Moves clips of classes that would otherwise not be trained at all from validation to training, and
/// returns those classes.
fn keep_classes_trained(manifest: &Manifest, division: &mut Division) -> BTreeSet<usize> {
    let labels = |clip: usize| manifest.clips[clip].labels.iter().flatten().copied();
    let present = |clips: &[usize]| -> BTreeSet<usize> {
        clips.iter().flat_map(|&clip| labels(clip)).collect()
    };
    let trained = present(&division.training);
    let untrained: BTreeSet<usize> = present(&division.validation)
        .difference(&trained)
        .copied()
        .collect();
    let is_needed = |clip: usize| labels(clip).any(|class| untrained.contains(&class));
    let needed = division
        .validation
        .iter()
        .copied()
        .filter(|&c| is_needed(c));
    division.training.extend(needed.collect::<Vec<_>>());
    division.training.sort_unstable();
    division.validation.retain(|&clip| !is_needed(clip));
    untrained
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(classes: &[usize]) -> Manifest {
        let folder = tempfile::tempdir().unwrap();
        for (at, class) in classes.iter().enumerate() {
            let folder = folder.path().join(format!("class {class}"));
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join(format!("{at}.wav")), b"").unwrap();
        }
        Manifest::open(folder.path()).unwrap()
    }

    #[test]
    fn a_class_of_one_clip_is_trained_in_every_fold_and_judged_in_none() {
        let manifest = manifest(&[0, 0, 0, 0, 1, 1, 1, 1, 2]);
        let folds = Folds::stratified(&manifest, 3, 0).unwrap();
        let mut n_moved = 0;
        for fold in 0..3 {
            let mut division = Division {
                fold: Some(fold),
                training: folds.training(&manifest, fold),
                validation: folds.validation(fold),
            };
            let unjudged = keep_classes_trained(&manifest, &mut division);
            n_moved += unjudged.len();
            let lone = 8;
            assert!(division.training.contains(&lone));
            assert!(!division.validation.contains(&lone));
            assert_eq!(division.training.len() + division.validation.len(), 9);
        }
        assert_eq!(n_moved, 1);
    }
}
