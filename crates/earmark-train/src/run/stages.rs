//! A run in stages: trainings that follow each other, each from the network that the one before ended
//! with, on clips of its own choice.
//!
//! Frozen first and whole afterwards, noisy clips first and curated ones afterwards, noisy clips that
//! the network agrees with: all of these are stages. Every stage is judged on the same validation
//! clips; what a stage chooses are training clips only.

use std::collections::{BTreeMap, BTreeSet};

use earmark::augment::{self, AugmentConfig, Augmenter};
use earmark::dataset::{Manifest, Quality};
use earmark::{Error, Result};
use serde::{Deserialize, Serialize};

use super::config::RunConfig;
use crate::noisy::sharpened;
use crate::schedule;
use crate::trainer::{Scope, Scored, TrainConfig};

/// One entry of `[[stages]]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StageConfig {
    /// Which training clips the stage trains on.
    pub clips: StageClips,
    /// Noisy clips learn the scores that the network before the stage gives them, raised to this power
    /// and brought back to one, in place of their labels. 1 takes the scores as they are; 2 is usual.
    pub pseudo_labels: Option<f64>,
    /// How often the stage is repeated, each time from its own result and with clips chosen anew, at
    /// least 1.
    pub rounds: Option<usize>,
    /// What is done to the clips at random, in place of `[augment]`.
    pub augment: Option<AugmentConfig>,
    /// Settings in place of those of `[train]`, such as `{ epochs = 10, learning_rate = 2e-4 }`.
    pub train: toml::Table,
}

/// Which training clips a stage trains on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum StageClips {
    /// All of them.
    #[default]
    All,
    /// Those whose labels a person has checked.
    Curated,
    /// The others.
    Noisy,
    /// Curated clips, and the noisy clips whose labels a network confirms that has not learned them
    /// (iterative self-verification of Dorfer and Widmer, 2018): its highest scores are the labels, all
    /// of them are above `threshold`, and of every class the surest `max_per_class` are taken.
    ///
    /// A clip is judged by the network of the fold that holds it out, as the stage before left it; the folds of
    /// `data.validate = "all"` are trained stage by stage together for that. That network has learned from the
    /// validation clips of the other folds, so what it says of a noisy clip is not quite independent of them. A
    /// run with one fold can only ask the network that learned the label, and says so.
    Agreed {
        /// The least score of a label, 0 to below 1.
        #[serde(default = "default_threshold")]
        threshold: f64,
        /// The most clips of a class.
        #[serde(default = "default_max_per_class")]
        max_per_class: usize,
    },
    /// Curated clips, and the noisy clips with one label whose class is among the labels of the
    /// validation clips with the highest losses.
    WorstClasses {
        /// So many validation clips name the classes.
        #[serde(default = "default_n_worst")]
        n_worst: usize,
    },
}

fn default_threshold() -> f64 {
    0.95
}
fn default_max_per_class() -> usize {
    40
}
fn default_n_worst() -> usize {
    20
}

impl StageClips {
    /// Whether the choice depends on what the network says of the noisy clips.
    pub(super) fn asks_network(&self) -> bool {
        matches!(self, Self::Agreed { .. })
    }
}

impl StageConfig {
    /// How often the stage is run.
    pub(super) fn rounds(&self) -> usize {
        self.rounds.unwrap_or(1)
    }

    /// The settings of the stage: those of the run with its own in their place.
    ///
    /// # Errors
    /// [`Error::Config`] naming the stage, for unknown keys, wrong types and impossible values.
    pub(super) fn settings(&self, index: usize, train: &TrainConfig) -> Result<TrainConfig> {
        let mut table = toml::Table::try_from(train)
            .map_err(|error| refuse(index, error.to_string(), "must be writable as TOML"))?;
        table.extend(self.train.clone());
        let settings = TrainConfig::deserialize(table).map_err(|error| {
            let reason = error.message().trim().replace('\n', "; ");
            refuse(index, "train".to_owned(), &reason)
        })?;
        settings.check()?;
        Ok(settings)
    }

    /// Refuses what cannot be, or would not be heeded.
    ///
    /// # Errors
    /// [`Error::Config`] naming the stage.
    pub(super) fn check(&self, index: usize, train: &TrainConfig) -> Result<()> {
        let settings = self.settings(index, train)?;
        schedule::check(&settings.schedule)?;
        let threshold = match self.clips {
            StageClips::Agreed { threshold, .. } => threshold,
            _ => 0.0,
        };
        let power = self.pseudo_labels.unwrap_or(1.0);
        let sounds = self.augment.as_ref().is_some_and(|augment| {
            augment.backgrounds.is_some() || augment.impulse_responses.is_some()
        });
        let is_probe = matches!(settings.scope, Scope::Probe | Scope::ProbeThenAll);
        let has = |key: &str| self.train.contains_key(key);
        let rules = [
            (
                self.rounds() >= 1,
                format!("rounds = {}", self.rounds()),
                "must be at least 1",
            ),
            (
                power > 0.0 && power.is_finite(),
                format!("pseudo_labels = {power}"),
                "must be above 0",
            ),
            (
                (0.0..1.0).contains(&threshold),
                format!("threshold = {threshold}"),
                "must be 0 to below 1",
            ),
            (
                !has("loss") && !has("class_weights"),
                "train.loss or train.class_weights".to_owned(),
                "must be those of [train], one for the whole run",
            ),
            (
                !(has("scope") && is_probe),
                "train.scope = a probe".to_owned(),
                "must be `all` or `head`",
            ),
            (
                !settings.noisy.own_head,
                "train.noisy.own_head".to_owned(),
                "must be left out",
            ),
            (
                !sounds,
                "augment with a folder of sounds".to_owned(),
                "must have it in [augment], for the whole run",
            ),
        ];
        match rules.into_iter().find(|(holds, ..)| !holds) {
            None => Ok(()),
            Some((_, found, expected)) => Err(refuse(index, found, expected)),
        }
    }
}

fn refuse(index: usize, found: String, expected: &str) -> Error {
    Error::Config {
        key: format!("stages[{index}]"),
        found,
        expected: expected.to_owned(),
    }
}

/// Refuses stages whose way with the clips is impossible, before the first of them is trained.
///
/// # Errors
/// [`Error::Config`] naming the stage or the setting of its augmentation.
pub(super) fn check_material(
    config: &RunConfig,
    sounds: &augment::Material,
    is_frozen: bool,
) -> Result<()> {
    for (index, stage) in config.stages.iter().enumerate() {
        if let Some(augment) = &stage.augment {
            Augmenter::new(augment, sounds.clone())?;
        }
        if is_frozen && (stage.augment.is_some() || stage.pseudo_labels.is_some()) {
            let found = "augment or pseudo_labels".to_owned();
            let expected = "must be left out beside the frozen graph of another program";
            return Err(refuse(index, found, expected));
        }
    }
    Ok(())
}

/// What a stage trains on.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Chosen {
    /// Clips of the manifest, in its order.
    pub(super) clips: Vec<usize>,
    /// Targets in place of the labels, by clip.
    pub(super) targets: BTreeMap<usize, Vec<f32>>,
}

/// Clips, and what a network says of them.
pub(super) struct Heard {
    clips: Vec<usize>,
    /// `[clip, class]`.
    scores: Vec<f32>,
    n_classes: usize,
}

impl Heard {
    pub(super) fn nothing(n_classes: usize) -> Self {
        Self {
            clips: Vec::new(),
            scores: Vec::new(),
            n_classes,
        }
    }

    pub(super) fn append(&mut self, clips: Vec<usize>, scored: Scored) {
        self.clips.extend(clips);
        self.scores.extend(scored.scores);
    }

    fn rows(&self) -> impl Iterator<Item = (usize, &[f32])> {
        let rows = self.scores.chunks_exact(self.n_classes);
        self.clips.iter().copied().zip(rows)
    }
}

/// What is known when a stage chooses.
pub(super) struct Knowledge<'a> {
    pub(super) manifest: &'a Manifest,
    /// The division's training clips.
    pub(super) training: &'a [usize],
    /// Noisy clips with the scores that judge their labels.
    pub(super) verdicts: &'a Heard,
    /// Noisy training clips with the scores of the fold's own network, if it was asked.
    pub(super) heard: &'a Heard,
    /// The classes of the worst validation clips, if they were asked for.
    pub(super) worst: &'a BTreeSet<usize>,
    pub(super) is_single_label: bool,
}

/// The clips of a stage.
pub(super) fn choose(stage: &StageConfig, known: &Knowledge<'_>) -> Chosen {
    let is_noisy = |clip: &usize| known.manifest.clips[*clip].quality == Quality::Noisy;
    let labels = |clip: usize| {
        known.manifest.clips[clip]
            .labels
            .as_deref()
            .unwrap_or_default()
    };
    let accepted = match stage.clips {
        StageClips::Agreed {
            threshold,
            max_per_class,
        } => {
            let rows = known.verdicts.rows();
            let rows = rows.map(|(clip, row)| (clip, labels(clip), row));
            agreed(rows, threshold as f32, max_per_class)
        }
        _ => BTreeSet::new(),
    };
    let is_chosen = |clip: &usize| match &stage.clips {
        StageClips::All => true,
        StageClips::Curated => !is_noisy(clip),
        StageClips::Noisy => is_noisy(clip),
        StageClips::Agreed { .. } => !is_noisy(clip) || accepted.contains(clip),
        StageClips::WorstClasses { .. } => {
            let is_of_worst = || match labels(*clip) {
                [class] => known.worst.contains(class),
                _ => false,
            };
            !is_noisy(clip) || is_of_worst()
        }
    };
    let clips: Vec<usize> = known.training.iter().copied().filter(is_chosen).collect();
    let of_power = |power| {
        let rows = known.heard.rows();
        rows.map(move |(clip, row)| (clip, sharpened(row, power, known.is_single_label)))
    };
    let targets = stage.pseudo_labels.into_iter().flat_map(of_power);
    let targets = targets.collect();
    Chosen { clips, targets }
}

/// The clips whose labels the scores confirm: the highest scores are the labels, each is above the
/// threshold, and no class has more than so many, the surest first.
fn agreed<'a>(
    rows: impl Iterator<Item = (usize, &'a [usize], &'a [f32])>,
    threshold: f32,
    max_per_class: usize,
) -> BTreeSet<usize> {
    let mut sure: Vec<(f32, usize, &[usize])> = Vec::new();
    for (clip, labels, row) in rows {
        let least = labels.iter().map(|&label| row[label]);
        let least = least.fold(f32::INFINITY, f32::min);
        let others = row.iter().enumerate();
        let others = others.filter(|(class, _)| !labels.contains(class));
        let highest_other = others.map(|(_, &score)| score).fold(0.0, f32::max);
        if !labels.is_empty() && least > threshold && least > highest_other {
            sure.push((least, clip, labels));
        }
    }
    sure.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let mut taken: BTreeMap<usize, usize> = BTreeMap::new();
    let mut has_room = |labels: &[usize]| {
        let count = |class: &usize| taken.get(class).copied().unwrap_or(0);
        let has_room = labels.iter().all(|class| count(class) < max_per_class);
        if has_room {
            labels
                .iter()
                .for_each(|&class| *taken.entry(class).or_default() += 1);
        }
        has_room
    };
    sure.retain(|(_, _, labels)| has_room(labels));
    sure.into_iter().map(|(_, clip, _)| clip).collect()
}

/// The classes of the clips with the highest losses.
pub(super) fn worst_classes(losses: &[f64], scored: &Scored, n_worst: usize) -> BTreeSet<usize> {
    let mut order: Vec<usize> = (0..losses.len()).collect();
    order.sort_by(|&a, &b| losses[b].total_cmp(&losses[a]));
    let rows = order.iter().take(n_worst);
    let present = |clip: &usize| {
        let row = &scored.targets[clip * scored.n_classes..][..scored.n_classes];
        (0..scored.n_classes)
            .filter(|&class| row[class] > 0.5)
            .collect::<Vec<_>>()
    };
    rows.flat_map(present).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> StageConfig {
        toml::from_str(text).unwrap()
    }

    /// Clips 0 to 2 are curated, 3 to 7 noisy; class = clip % 2, clip 7 has both.
    fn manifest() -> Manifest {
        let folder = tempfile::tempdir().unwrap();
        let mut table = "fname,label,manually_verified\n".to_owned();
        for clip in 0..8 {
            let class = ["a", "b"][clip % 2];
            table += &format!("{clip}.wav,{class},{}\n", u8::from(clip < 3));
        }
        std::fs::write(folder.path().join("train.csv"), table).unwrap();
        let mut manifest = Manifest::open(folder.path()).unwrap();
        manifest.clips[7].labels = Some(vec![0, 1]);
        manifest
    }

    /// Of clips 3 (b), 4 (a), 5 (b), 6 (a), 7 (both).
    fn scored() -> Scored {
        Scored {
            scores: vec![0.02, 0.98, 0.97, 0.03, 0.6, 0.4, 0.99, 0.01, 0.96, 0.97],
            logits: vec![],
            targets: vec![0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0],
            n_classes: 2,
            mean_loss: 0.0,
        }
    }

    fn chosen(text: &str, worst: &[usize]) -> Chosen {
        let manifest = manifest();
        let mut heard = Heard::nothing(2);
        heard.append(vec![3, 4, 5, 6, 7], scored());
        let training: Vec<usize> = (0..8).collect();
        let known = Knowledge {
            manifest: &manifest,
            training: &training,
            verdicts: &heard,
            heard: &heard,
            worst: &worst.iter().copied().collect(),
            is_single_label: true,
        };
        choose(&parse(text), &known)
    }

    #[test]
    fn stages_choose_by_quality_agreement_and_worst_classes() {
        assert_eq!(chosen("", &[]).clips, [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(chosen("clips = { kind = 'curated' }", &[]).clips, [0, 1, 2]);
        assert_eq!(
            chosen("clips = { kind = 'noisy' }", &[]).clips,
            [3, 4, 5, 6, 7]
        );
        // Clip 5 is believed to be of class a, but labelled b.
        let agreed = chosen("clips = { kind = 'agreed' }", &[]);
        assert_eq!(agreed.clips, [0, 1, 2, 3, 4, 6, 7]);
        let few = chosen("clips = { kind = 'agreed', max_per_class = 1 }", &[]);
        assert_eq!(few.clips, [0, 1, 2, 3, 6]);
        let sure = chosen("clips = { kind = 'agreed', threshold = 0.985 }", &[]);
        assert_eq!(sure.clips, [0, 1, 2, 6]);
        let worst = chosen("clips = { kind = 'worst-classes' }", &[1]);
        assert_eq!(worst.clips, [0, 1, 2, 3, 5]);
    }

    #[test]
    fn pseudo_labels_replace_those_of_noisy_clips() {
        let chosen = chosen("pseudo_labels = 2.0\nclips = { kind = 'noisy' }", &[]);
        assert_eq!(
            chosen.targets.keys().copied().collect::<Vec<_>>(),
            [3, 4, 5, 6, 7]
        );
        let row = &chosen.targets[&5];
        assert!((row[0] - 0.36 / 0.52).abs() < 1e-6 && (row[1] - 0.16 / 0.52).abs() < 1e-6);
    }

    #[test]
    fn the_worst_clips_name_their_classes() {
        let losses = [0.1, 0.5, 3.0, 0.2, 0.3];
        let classes = |n| {
            worst_classes(&losses, &scored(), n)
                .into_iter()
                .collect::<Vec<_>>()
        };
        assert_eq!(classes(1), [1]);
        assert_eq!(classes(2), [0, 1]);
        assert_eq!(classes(0), [0; 0]);
    }

    #[test]
    fn a_stage_replaces_settings_and_refuses_what_cannot_be() {
        let train = TrainConfig::default();
        let stage =
            parse("train = { epochs = 3, scope = 'head', schedule = { kind = 'constant' } }");
        let settings = stage.settings(0, &train).unwrap();
        assert_eq!(
            (settings.epochs, settings.batch_size),
            (3, train.batch_size)
        );
        assert_eq!(settings.scope, crate::trainer::Scope::Head);
        let message = |text: &str| parse(text).check(1, &train).unwrap_err().to_string();
        let error = message("train = { epoch = 3 }");
        assert!(
            error.starts_with("stages[1] is train, unknown field `epoch`"),
            "{error}"
        );
        assert_eq!(
            message("train = { epochs = 0 }"),
            "train.epochs is 0, must be at least 1"
        );
        for (text, found) in [
            ("rounds = 0", "rounds = 0, must be at least 1"),
            ("pseudo_labels = 0.0", "pseudo_labels = 0, must be above 0"),
            (
                "clips = { kind = 'agreed', threshold = 1.0 }",
                "threshold = 1, must be 0 to below 1",
            ),
            (
                "train = { loss = { kind = 'bce' } }",
                "train.loss or train.class_weights, must be those of [train], one for the whole run",
            ),
            (
                "train = { scope = 'probe' }",
                "train.scope = a probe, must be `all` or `head`",
            ),
            (
                "train = { noisy = { own_head = true } }",
                "train.noisy.own_head, must be left out",
            ),
            (
                "augment = { backgrounds = 'street' }",
                "augment with a folder of sounds, must have it in [augment], for the whole run",
            ),
        ] {
            assert_eq!(message(text), format!("stages[1] is {found}"));
        }
        let error = message("train = { schedule = { kind = 'cosine', end = 2.0 } }");
        assert!(error.contains("schedule.end is 2"), "{error}");
    }

    #[test]
    fn every_label_of_a_clip_takes_a_place_of_its_class() {
        // Three clips of both classes, then one of the second, which has two places.
        let both: &[usize] = &[0, 1];
        let rows = [
            (10, both, &[0.9, 0.8][..]),
            (11, both, &[0.9, 0.7]),
            (12, both, &[0.6, 0.6]),
            (13, &both[1..], &[0.1, 0.95]),
        ];
        let taken: Vec<usize> = agreed(rows.into_iter(), 0.5, 2).into_iter().collect();
        assert_eq!(taken, [10, 13]);
        let taken: Vec<usize> = agreed(rows.into_iter(), 0.5, 9).into_iter().collect();
        assert_eq!(taken, [10, 11, 12, 13]);
    }
}
