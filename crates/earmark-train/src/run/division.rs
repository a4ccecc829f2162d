//! Which clips a run trains on and which ones judge it.

use std::collections::BTreeSet;

use earmark::dataset::{Folds, Manifest, Quality, Split};
use earmark::{Error, Result};

use super::config::{DataConfig, FoldRule, Validate};
use super::noise;

/// One training run's share of the clips, as indices into the manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Division {
    /// The fold, or `None` where the clips were not divided by folds.
    pub(crate) fold: Option<usize>,
    pub(crate) training: Vec<usize>,
    pub(crate) validation: Vec<usize>,
    /// Noisy clips of the fold: its network does not hear them, and they do not judge it.
    pub(crate) held_out: Vec<usize>,
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
    let listed = noise::without(manifest);
    let known = Known {
        usable: usable.iter().copied().collect(),
        in_every_run: in_every_run(manifest, with_unlabelled),
    };
    let given = listed.labelled_in(Split::Validation);
    let whole = match config.validate {
        Validate::None => Some(Vec::new()),
        Validate::First if !given.is_empty() => Some(given),
        _ => None,
    };
    if let Some(validation) = whole {
        let mut division = known.division(None, listed.labelled_in(Split::Train), validation);
        hold_out_noisy(manifest, config, &mut division);
        return Ok(Divided {
            divisions: vec![division],
            folds: None,
            unjudged: BTreeSet::new(),
        });
    }
    let (folds, is_given) = folds(&listed, config, seed)?;
    let n_runs = match config.validate {
        Validate::All => folds.len(),
        _ => 1,
    };
    let mut unjudged = BTreeSet::new();
    let divisions = (0..n_runs).map(|fold| {
        let training = folds.training(&listed, fold);
        let mut division = known.division(Some(fold), training, folds.validation(fold));
        if !is_given {
            unjudged.extend(keep_classes_trained(manifest, &mut division));
        }
        hold_out_noisy(manifest, config, &mut division);
        division
    });
    Ok(Divided {
        divisions: divisions.collect(),
        folds: Some(folds),
        unjudged,
    })
}

/// What is known of the clips before they are divided.
struct Known {
    /// Those whose audio could be read.
    usable: BTreeSet<usize>,
    in_every_run: Vec<usize>,
}

impl Known {
    fn division(
        &self,
        fold: Option<usize>,
        mut training: Vec<usize>,
        mut validation: Vec<usize>,
    ) -> Division {
        training.extend(&self.in_every_run);
        training.retain(|clip| self.usable.contains(clip));
        validation.retain(|clip| self.usable.contains(clip));
        Division {
            fold,
            training,
            validation,
            held_out: Vec::new(),
        }
    }
}

/// Noise made by code, since the folds are those of the data set; and, with a teacher, clips whose labels nobody
/// knows.
fn in_every_run(manifest: &Manifest, with_unlabelled: bool) -> Vec<usize> {
    let clips = || manifest.clips.iter().enumerate();
    let generated = clips().filter(|(_, clip)| noise::is_generated(clip));
    let unlabelled = clips()
        .filter(|(_, clip)| with_unlabelled && clip.labels.is_none() && clip.split == Split::Train);
    generated.chain(unlabelled).map(|(at, _)| at).collect()
}

/// The folds, and whether they are the data set's own.
fn folds(manifest: &Manifest, config: &DataConfig, seed: u64) -> Result<(Folds, bool)> {
    let mut training = manifest.labelled_in(Split::Train).into_iter();
    let is_given = match config.folds {
        FoldRule::Given => true,
        FoldRule::Auto => training.any(|at| manifest.clips[at].fold.is_some()),
        FoldRule::Stratified | FoldRule::Hash => false,
    };
    let folds = match config.folds {
        FoldRule::Auto => Folds::automatic(manifest, config.n_folds, seed),
        FoldRule::Given => Folds::given(manifest),
        FoldRule::Stratified => Folds::stratified(manifest, config.n_folds, seed),
        FoldRule::Hash => Folds::by_hash(manifest, config.n_folds),
    };
    Ok((folds.map_err(advised)?, is_given))
}

/// Takes clips whose labels nobody checked out of those that judge, unless the data set has no others: their
/// labels are partly wrong. They are not trained either, since recordings must not lie on both sides.
fn hold_out_noisy(manifest: &Manifest, config: &DataConfig, division: &mut Division) {
    let is_curated = |clip: usize| manifest.clips[clip].quality == Quality::Curated;
    // Neither the test clips nor noise made by code could judge in their place.
    let could_judge = |at: usize| {
        let clip = &manifest.clips[at];
        is_curated(at) && clip.split != Split::Test && !noise::is_generated(clip)
    };
    if config.noisy_in_validation || !manifest.labelled().any(|(at, _)| could_judge(at)) {
        return;
    }
    let validation = std::mem::take(&mut division.validation);
    (division.validation, division.held_out) = validation.into_iter().partition(|&c| is_curated(c));
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
                held_out: Vec::new(),
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

    /// Ten clips of two classes, of which the last six are noisy.
    fn partly_noisy() -> Manifest {
        let mut manifest = manifest(&[0, 1, 0, 1, 0, 1, 0, 1, 0, 1]);
        for (at, clip) in manifest.clips.iter_mut().enumerate() {
            if at >= 4 {
                clip.quality = Quality::Noisy;
            }
        }
        manifest
    }

    #[test]
    fn only_checked_labels_judge_unless_there_are_none() {
        let manifest = partly_noisy();
        let usable: Vec<usize> = (0..10).collect();
        let mut config = DataConfig {
            n_folds: 2,
            validate: Validate::All,
            ..DataConfig::default()
        };
        let divide = |manifest, config: &DataConfig| {
            divide(manifest, config, &usable, 0, false)
                .unwrap()
                .divisions
        };
        let is_noisy = |clip: &usize| manifest.clips[*clip].quality == Quality::Noisy;
        let mut held_out = Vec::new();
        for division in divide(&manifest, &config) {
            assert_eq!(division.validation.len(), 2);
            assert!(!division.validation.iter().any(is_noisy));
            assert!(division.held_out.iter().all(is_noisy));
            let mut all = [
                &division.training[..],
                &division.validation,
                &division.held_out,
            ]
            .concat();
            all.sort_unstable();
            assert_eq!(all, usable);
            held_out.extend(division.held_out);
        }
        held_out.sort_unstable();
        assert_eq!(held_out, (0..10).filter(is_noisy).collect::<Vec<_>>());
        config.noisy_in_validation = true;
        for division in divide(&manifest, &config) {
            assert!(division.held_out.is_empty());
            assert_eq!(division.validation.len(), 5);
        }
        config.noisy_in_validation = false;
        // Clips of the test and noise made by code do not judge in place of unchecked ones.
        let mut unchecked = manifest.clone();
        for clip in &mut unchecked.clips {
            clip.quality = Quality::Noisy;
        }
        unchecked.clips[0].split = Split::Test;
        unchecked.clips[0].quality = Quality::Curated;
        noise::add(&mut unchecked, 2, tempfile::tempdir().unwrap().path()).unwrap();
        let divisions = divide(&unchecked, &config);
        let n_judging: usize = divisions.iter().map(|d| d.validation.len()).sum();
        assert_eq!(n_judging, 9);
        assert!(divisions.iter().all(|d| d.held_out.is_empty()));
    }

    #[test]
    fn noise_made_by_code_is_trained_everywhere_and_moves_no_clip() {
        let mut manifest = manifest(&[0, 1, 0, 1, 0, 1, 0, 1]);
        let config = DataConfig {
            n_folds: 2,
            validate: Validate::All,
            ..DataConfig::default()
        };
        let usable: Vec<usize> = (0..14).collect();
        let without = divide(&manifest, &config, &usable, 3, false).unwrap();
        let folder = tempfile::tempdir().unwrap();
        noise::add(&mut manifest, 6, folder.path()).unwrap();
        let with = divide(&manifest, &config, &usable, 3, false).unwrap();
        for (without, with) in without.divisions.iter().zip(with.divisions) {
            assert_eq!(with.validation, without.validation);
            let made: Vec<usize> = (8..14).collect();
            assert_eq!(with.training, [&without.training[..], &made].concat());
        }
    }
}
