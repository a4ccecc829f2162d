//! Folds: a manifest in, the part of each clip out; the same source never lies on both sides.
//!
//! Fold `f` is the run that is *validated* on part `f` and trained on the others. Only labelled clips
//! of the training split are divided; test clips are in no fold.

use std::collections::BTreeMap;

use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{Clip, Manifest, Quality, Split};
use crate::digest::sha256_of_bytes;
use crate::{Error, Result};

/// The parts of a data set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folds {
    n_folds: usize,
    /// The part of each clip of the manifest; `None` for clips that are not divided.
    part_of: Vec<Option<usize>>,
}

impl Folds {
    /// The folds that the data set's makers fixed.
    ///
    /// # Errors
    /// [`Error::Dataset`] if a training clip has no fold or there are fewer than two.
    pub fn given(manifest: &Manifest) -> Result<Self> {
        let clips = divided(manifest);
        let fail = |reason: String| Error::Dataset {
            path: manifest.root.clone(),
            reason,
        };
        let mut part_of = vec![None; manifest.clips.len()];
        for at in &clips {
            let clip = &manifest.clips[*at];
            // Background recordings belong to no fold: they are trained in every run.
            if clip.fold.is_none() && !clip.is_negative() {
                return Err(fail(format!(
                    "{} has no fold, other clips do",
                    clip.place()
                )));
            }
            part_of[*at] = clip.fold;
        }
        let n_folds = part_of.iter().flatten().max().map_or(0, |last| last + 1);
        if n_folds < 2 {
            return Err(fail(format!("{n_folds} folds, expected at least 2")));
        }
        let folds = Self { n_folds, part_of };
        folds.check(manifest)?;
        Ok(folds)
    }

    /// `n_folds` parts with, as far as sources allow, the same share of every class.
    ///
    /// Sources are the units that are divided, by iterative stratification: the rarest class that is
    /// left is dealt out first, each source to the part that lacks most of that class. Noisy clips of a class,
    /// and negatives, are dealt out like classes of their own. Equal seeds give equal folds.
    ///
    /// # Errors
    /// [`Error::Config`] for fewer than two folds, [`Error::Dataset`] if there are fewer sources than
    /// folds.
    ///
    /// # Source
    /// Sechidis, Tsoumakas and Vlahavas, "On the stratification of multi-label data", ECML PKDD 2011,
    /// algorithm 1, over sources instead of single examples.
    pub fn stratified(manifest: &Manifest, n_folds: usize, seed: u64) -> Result<Self> {
        check_count(n_folds)?;
        let units = Unit::all(manifest);
        if units.len() < n_folds {
            return Err(Error::Dataset {
                path: manifest.root.clone(),
                reason: format!(
                    "{} sources, expected at least {n_folds} for as many folds",
                    units.len()
                ),
            });
        }
        let mut dealer = Dealer::new(&units, n_groups(manifest), n_folds, seed);
        let parts = dealer.deal(&units);
        let mut part_of = vec![None; manifest.clips.len()];
        for (unit, part) in units.iter().zip(parts) {
            for clip in &unit.clips {
                part_of[*clip] = Some(part);
            }
        }
        Ok(Self { n_folds, part_of })
    }

    /// Parts by name alone: within each class, clips are ranked by the SHA-256 of their file names, and
    /// the part is the rank modulo `n_folds`. Anyone can recompute these folds without a seed.
    ///
    /// # Errors
    /// [`Error::Config`] for fewer than two folds, [`Error::Dataset`] for a clip with several labels.
    pub fn by_hash(manifest: &Manifest, n_folds: usize) -> Result<Self> {
        check_count(n_folds)?;
        let mut by_class = BTreeMap::<Option<usize>, Vec<(String, usize)>>::new();
        for at in divided(manifest) {
            let clip = &manifest.clips[at];
            let labels = clip.labels.as_deref().unwrap_or_default();
            if labels.len() > 1 {
                return Err(Error::Dataset {
                    path: manifest.root.clone(),
                    reason: format!(
                        "{} has {} labels, folds by hash expect one",
                        clip.place(),
                        labels.len()
                    ),
                });
            }
            let digest = sha256_of_bytes(file_name(clip).as_bytes());
            by_class
                .entry(labels.first().copied())
                .or_default()
                .push((digest, at));
        }
        let mut part_of = vec![None; manifest.clips.len()];
        for ranked in by_class.values_mut() {
            ranked.sort();
            for (rank, (_, at)) in ranked.iter().enumerate() {
                part_of[*at] = Some(rank % n_folds);
            }
        }
        Ok(Self { n_folds, part_of })
    }

    /// The data set's own folds, else its validation split as one fold, else stratified ones.
    ///
    /// # Errors
    /// Those of [`Folds::given`] and [`Folds::stratified`].
    pub fn automatic(manifest: &Manifest, n_folds: usize, seed: u64) -> Result<Self> {
        match divided(manifest)
            .iter()
            .any(|at| manifest.clips[*at].fold.is_some())
        {
            true => Self::given(manifest),
            false => Self::stratified(manifest, n_folds, seed),
        }
    }

    /// Number of folds, at least 2.
    pub fn len(&self) -> usize {
        self.n_folds
    }

    /// Never: there are at least two folds.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// The part of each clip of the manifest; `None` for clips in no part.
    pub fn parts(&self) -> &[Option<usize>] {
        &self.part_of
    }

    /// The clips that fold `fold` is validated on.
    pub fn validation(&self, fold: usize) -> Vec<usize> {
        let clips = self.part_of.iter().enumerate();
        clips
            .filter(|(_, part)| **part == Some(fold))
            .map(|(at, _)| at)
            .collect()
    }

    /// The clips that fold `fold` is trained on: all other parts, and the training clips in no part.
    pub fn training(&self, manifest: &Manifest, fold: usize) -> Vec<usize> {
        let clips = divided(manifest).into_iter();
        clips.filter(|at| self.part_of[*at] != Some(fold)).collect()
    }

    /// Sources that lie in more than one part.
    pub fn torn_sources(&self, manifest: &Manifest) -> Vec<String> {
        let mut parts = BTreeMap::<&str, Vec<usize>>::new();
        for (clip, part) in manifest.clips.iter().zip(&self.part_of) {
            if let (Some(source), Some(part)) = (&clip.source, part) {
                parts.entry(source).or_default().push(*part);
            }
        }
        let torn = parts
            .into_iter()
            .filter(|(_, parts)| parts.iter().any(|part| *part != parts[0]));
        torn.map(|(source, _)| source.to_owned()).collect()
    }

    /// What would spoil the runs: empty parts, and classes that some run cannot train or validate.
    pub fn problems(&self, manifest: &Manifest) -> Vec<String> {
        let mut problems = Vec::new();
        let n_classes = manifest.vocabulary.len();
        for fold in 0..self.n_folds {
            let validation = self.validation(fold);
            if validation.is_empty() {
                problems.push(format!("fold {fold} has no clips"));
                continue;
            }
            let trained = classes_in(manifest, &self.training(manifest, fold));
            let validated = classes_in(manifest, &validation);
            for class in 0..n_classes {
                let name = manifest.vocabulary.name(class);
                if validated[class] && !trained[class] {
                    problems.push(format!(
                        "fold {fold}: class `{name}` is missing from training"
                    ));
                }
            }
        }
        problems
    }

    fn check(&self, manifest: &Manifest) -> Result<()> {
        match (0..self.n_folds).find(|fold| self.validation(*fold).is_empty()) {
            None => Ok(()),
            Some(fold) => Err(Error::Dataset {
                path: manifest.root.clone(),
                reason: format!("fold {fold} of {} has no clips", self.n_folds),
            }),
        }
    }
}

/// Which classes some of the clips have.
fn classes_in(manifest: &Manifest, clips: &[usize]) -> Vec<bool> {
    let mut present = vec![false; manifest.vocabulary.len()];
    for label in clips
        .iter()
        .flat_map(|at| manifest.clips[*at].labels.iter().flatten())
    {
        present[*label] = true;
    }
    present
}

/// The labelled clips of the training split.
fn divided(manifest: &Manifest) -> Vec<usize> {
    manifest.labelled_in(Split::Train)
}

fn check_count(n_folds: usize) -> Result<()> {
    if n_folds >= 2 {
        return Ok(());
    }
    Err(Error::Config {
        key: "n_folds".to_owned(),
        found: n_folds.to_string(),
        expected: "must be at least 2".to_owned(),
    })
}

/// The last part of a clip's name.
fn file_name(clip: &Clip) -> &str {
    clip.name.rsplit(['/', '\\']).next().unwrap_or(&clip.name)
}

/// The groups that are divided evenly: the classes of curated clips, those of noisy ones, and negatives.
fn n_groups(manifest: &Manifest) -> usize {
    2 * manifest.vocabulary.len() + 1
}

/// The clips of one source.
struct Unit {
    clips: Vec<usize>,
    /// How many of them are in each group.
    counts: Vec<usize>,
}

impl Unit {
    fn all(manifest: &Manifest) -> Vec<Self> {
        let n_classes = manifest.vocabulary.len();
        let n_counts = n_groups(manifest);
        let mut units: Vec<Self> = Vec::new();
        let mut unit_of = BTreeMap::<&str, usize>::new();
        for at in divided(manifest) {
            let clip = &manifest.clips[at];
            let new = units.len();
            let unit = match &clip.source {
                Some(source) => *unit_of.entry(source).or_insert(new),
                None => new,
            };
            if unit == new {
                units.push(Self {
                    clips: vec![],
                    counts: vec![0; n_counts],
                });
            }
            units[unit].clips.push(at);
            let labels = clip.labels.as_deref().unwrap_or_default();
            let first = match clip.quality {
                Quality::Curated => 0,
                Quality::Noisy => n_classes,
            };
            for label in labels {
                units[unit].counts[first + *label] += 1;
            }
            units[unit].counts[n_counts - 1] += usize::from(labels.is_empty());
        }
        units
    }
}

/// The state of iterative stratification.
struct Dealer {
    /// How many more clips of each class each part should get, `[class][part]`.
    wanted: Vec<Vec<f64>>,
    /// How many more clips each part should get.
    wanted_in_all: Vec<f64>,
    rng: ChaCha8Rng,
}

impl Dealer {
    fn new(units: &[Unit], n_counts: usize, n_folds: usize, seed: u64) -> Self {
        let share = |total: usize| vec![total as f64 / n_folds as f64; n_folds];
        let of_class = |class: usize| units.iter().map(|unit| unit.counts[class]).sum();
        Self {
            wanted: (0..n_counts).map(|class| share(of_class(class))).collect(),
            wanted_in_all: share(units.iter().map(|unit| unit.clips.len()).sum()),
            rng: ChaCha8Rng::seed_from_u64(seed),
        }
    }

    /// The part of each unit.
    fn deal(&mut self, units: &[Unit]) -> Vec<usize> {
        let mut parts: Vec<Option<usize>> = vec![None; units.len()];
        let mut left: Vec<usize> = (0..self.wanted.len())
            .map(|class| units.iter().map(|unit| unit.counts[class]).sum())
            .collect();
        while let Some(class) = (0..left.len())
            .filter(|class| left[*class] > 0)
            .min_by_key(|class| (left[*class], *class))
        {
            let mut with_class: Vec<usize> = (0..units.len())
                .filter(|at| parts[*at].is_none() && units[*at].counts[class] > 0)
                .collect();
            with_class.shuffle(&mut self.rng);
            // Large sources first: small ones then even out what they leave.
            with_class.sort_by_key(|at| std::cmp::Reverse(units[*at].counts[class]));
            for at in with_class {
                let part = self.neediest_part(class);
                self.give(&units[at], part);
                parts[at] = Some(part);
                for (left, count) in left.iter_mut().zip(&units[at].counts) {
                    *left -= count;
                }
            }
        }
        // Every clip has a class or is a negative, so every unit was dealt out.
        parts.into_iter().map(Option::unwrap_or_default).collect()
    }

    /// The part that lacks most of a class, then most in all, then any.
    fn neediest_part(&mut self, class: usize) -> usize {
        let need = |part: usize| (self.wanted[class][part], self.wanted_in_all[part]);
        let mut best = vec![0];
        for part in 1..self.wanted_in_all.len() {
            let order = need(part).0.total_cmp(&need(best[0]).0);
            match order.then(need(part).1.total_cmp(&need(best[0]).1)) {
                std::cmp::Ordering::Greater => best = vec![part],
                std::cmp::Ordering::Equal => best.push(part),
                std::cmp::Ordering::Less => {}
            }
        }
        best[self.rng.random_range(0..best.len())]
    }

    fn give(&mut self, unit: &Unit, part: usize) {
        for (wanted, count) in self.wanted.iter_mut().zip(&unit.counts) {
            wanted[part] -= *count as f64;
        }
        self.wanted_in_all[part] -= unit.clips.len() as f64;
    }
}

#[cfg(test)]
mod tests {
    use sha2::{Digest as _, Sha256};

    use super::super::test_support::{clip, manifest};
    use super::*;
    use proptest::prelude::*;

    fn counts(manifest: &Manifest, folds: &Folds, class: usize) -> Vec<usize> {
        let has = |at: &usize| {
            manifest.clips[*at]
                .labels
                .as_ref()
                .unwrap()
                .contains(&class)
        };
        (0..folds.len())
            .map(|fold| folds.validation(fold).iter().filter(|at| has(at)).count())
            .collect()
    }

    #[test]
    fn single_labels_are_divided_evenly() {
        let clips = (0..103)
            .map(|i| clip(&format!("{i}.wav"), &[i % 3]))
            .collect();
        let set = manifest(3, clips);
        let folds = Folds::stratified(&set, 5, 1).unwrap();
        for class in 0..3 {
            let counts = counts(&set, &folds, class);
            let (low, high) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
            assert!(high - low <= 1, "{counts:?}");
        }
        assert_eq!(folds, Folds::stratified(&set, 5, 1).unwrap());
        assert_ne!(folds, Folds::stratified(&set, 5, 2).unwrap());
    }

    #[test]
    fn curated_and_noisy_clips_of_a_class_are_divided_evenly() {
        let mut clips: Vec<Clip> = (0..100)
            .map(|i| clip(&format!("{i}.wav"), &[i % 2]))
            .collect();
        for clip in &mut clips[20..] {
            clip.quality = Quality::Noisy;
        }
        let set = manifest(2, clips);
        for seed in 0..5 {
            let folds = Folds::stratified(&set, 5, seed).unwrap();
            for fold in 0..5 {
                let clips = folds.validation(fold);
                let (curated, noisy): (Vec<usize>, Vec<usize>) = clips
                    .iter()
                    .partition(|&&at| set.clips[at].quality == Quality::Curated);
                assert_eq!((curated.len(), noisy.len()), (4, 16));
                assert_eq!(curated.iter().filter(|&at| at % 2 == 0).count(), 2);
            }
        }
    }

    #[test]
    fn hash_folds_are_ranks_of_digests() {
        // sha256 in hexadecimal begins: a.wav 7c8a…, computed below instead of trusted.
        let names = ["a.wav", "b.wav", "c.wav", "d.wav"];
        let set = manifest(1, names.iter().map(|name| clip(name, &[0])).collect());
        let folds = Folds::by_hash(&set, 2).unwrap();
        let mut by_digest: Vec<&str> = names.to_vec();
        by_digest.sort_by_key(|name| Sha256::digest(name).to_vec());
        for (rank, name) in by_digest.iter().enumerate() {
            let at = names.iter().position(|other| other == name).unwrap();
            assert_eq!(folds.parts()[at], Some(rank % 2));
        }
    }

    #[test]
    fn problems_are_named() {
        let mut clips: Vec<Clip> = (0..4)
            .map(|i| clip(&format!("{i}.wav"), &[i % 2]))
            .collect();
        for (at, clip) in clips.iter_mut().enumerate() {
            clip.fold = Some(at % 2);
        }
        let set = manifest(2, clips);
        let problems = Folds::given(&set).unwrap().problems(&set);
        assert_eq!(
            problems,
            [
                "fold 0: class `class 0` is missing from training",
                "fold 1: class `class 1` is missing from training"
            ]
        );
    }

    #[test]
    fn an_empty_fold_is_an_error() {
        let mut clips: Vec<Clip> = (0..2).map(|i| clip(&format!("{i}.wav"), &[0])).collect();
        clips[0].fold = Some(0);
        clips[1].fold = Some(2);
        let error = Folds::given(&manifest(1, clips)).unwrap_err().to_string();
        assert_eq!(error, "data: fold 1 of 3 has no clips");
    }

    proptest! {
        #[test]
        fn sources_stay_whole_and_every_clip_has_a_part(
            clips in prop::collection::vec((0_usize..12, prop::collection::btree_set(0_usize..4, 0..3)), 24..80),
            seed in 0_u64..50,
        ) {
            let clips = clips
                .iter()
                .enumerate()
                .map(|(at, (source, labels))| {
                    let labels: Vec<usize> = labels.iter().copied().collect();
                    Clip { source: Some(source.to_string()), ..clip(&format!("{at}.wav"), &labels) }
                })
                .collect();
            let set = manifest(4, clips);
            // Twenty-four clips of twelve sources could still, rarely, come from fewer than three.
            if let Ok(folds) = Folds::stratified(&set, 3, seed) {
                prop_assert!(folds.torn_sources(&set).is_empty());
                prop_assert!(folds.parts().iter().all(|part| part.is_some_and(|part| part < 3)));
            }
        }
    }
}
