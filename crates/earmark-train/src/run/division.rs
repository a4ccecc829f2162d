//! Which clips a run trains on and which ones judge it.

use std::collections::BTreeSet;

use earmark::Result;
use earmark::dataset::{Folds, Manifest, Split, WaveformCache};

use super::config::{DataConfig, FoldRule, Validate};

/// One training run's share of the clips, as indices into the manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Division {
    /// The fold, or `None` where the clips were not divided by folds.
    pub(super) fold: Option<usize>,
    pub(super) training: Vec<usize>,
    pub(super) validation: Vec<usize>,
}

/// The divisions that a configuration asks for, with sentences about what is wrong with them.
///
/// # Errors
/// [`earmark::Error::Dataset`] if the clips cannot be divided that way.
pub(super) fn divide(
    manifest: &Manifest,
    config: &DataConfig,
    waveforms: &WaveformCache,
    seed: u64,
    with_unlabelled: bool,
) -> Result<(Vec<Division>, Vec<String>)> {
    let usable: BTreeSet<usize> = waveforms.usable().into_iter().collect();
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
    let whole = |validation| Division {
        fold: None,
        training: keep(training.clone()),
        validation: keep(validation),
    };
    match config.validate {
        Validate::None => return Ok((vec![whole(Vec::new())], Vec::new())),
        Validate::First if !given.is_empty() => return Ok((vec![whole(given)], Vec::new())),
        _ => {}
    }
    let folds = match config.folds {
        FoldRule::Auto => Folds::automatic(manifest, config.n_folds, seed)?,
        FoldRule::Given => Folds::given(manifest)?,
        FoldRule::Stratified => Folds::stratified(manifest, config.n_folds, seed)?,
        FoldRule::Hash => Folds::by_hash(manifest, config.n_folds)?,
    };
    let n_runs = match config.validate {
        Validate::All => folds.len(),
        _ => 1,
    };
    let divisions = (0..n_runs)
        .map(|fold| Division {
            fold: Some(fold),
            training: keep(with_more(folds.training(manifest, fold))),
            validation: keep(folds.validation(fold)),
        })
        .collect();
    Ok((divisions, folds.problems(manifest)))
}
