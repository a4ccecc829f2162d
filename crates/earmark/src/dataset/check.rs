//! What is wrong with a data set, as far as its lists tell: a manifest in, problems out.
//!
//! Nothing is decoded here; [`audit`](super::audit) does that.

use std::collections::{BTreeMap, BTreeSet};

use super::{Clip, Folds, Manifest, Quality, Split};

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Good to know.
    Note,
    /// Figures may mislead, or part of the data set is not used.
    Warning,
    /// Training cannot work, or its figures would be wrong.
    Error,
}

/// Something wrong with a data set.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Problem {
    /// How bad it is.
    pub level: Level,
    /// What is wrong, in one sentence without a full stop.
    pub what: String,
    /// The clips, classes or files concerned, all of them.
    pub concerned: Vec<String>,
}

impl Problem {
    pub(super) fn new(level: Level, what: impl Into<String>, concerned: Vec<String>) -> Self {
        Self {
            level,
            what: what.into(),
            concerned,
        }
    }
}

/// How often a class occurs.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ClassCount {
    /// The class's name; `(none)` for negatives.
    pub class: String,
    /// Training clips.
    pub train: usize,
    /// Of these, clips with unchecked labels.
    pub noisy: usize,
    /// Validation clips.
    pub validation: usize,
    /// Test clips.
    pub test: usize,
    /// Different sources over all splits.
    pub sources: usize,
}

/// The table of classes, in the order of the vocabulary, negatives last where there are any.
pub fn class_balance(manifest: &Manifest) -> Vec<ClassCount> {
    let n_classes = manifest.vocabulary.len();
    let empty = |class: String| ClassCount {
        class,
        train: 0,
        noisy: 0,
        validation: 0,
        test: 0,
        sources: 0,
    };
    let mut counts: Vec<ClassCount> = manifest
        .vocabulary
        .names()
        .map(|name| empty(name.to_owned()))
        .collect();
    counts.push(empty("(none)".to_owned()));
    let mut sources: Vec<BTreeSet<&str>> = vec![BTreeSet::new(); n_classes + 1];
    for (at, labels) in manifest.labelled() {
        let clip = &manifest.clips[at];
        let negative = [n_classes];
        for class in if labels.is_empty() { &negative } else { labels } {
            let count = &mut counts[*class];
            match clip.split {
                Split::Train => count.train += 1,
                Split::Validation => count.validation += 1,
                Split::Test => count.test += 1,
            }
            count.noisy +=
                usize::from(clip.split == Split::Train && clip.quality == Quality::Noisy);
            sources[*class].insert(clip.source.as_deref().unwrap_or(&clip.name));
        }
    }
    for (count, sources) in counts.iter_mut().zip(&sources) {
        count.sources = sources.len();
    }
    if sources[n_classes].is_empty() {
        counts.pop();
    }
    counts
}

/// All problems that the lists show, the worst first.
pub fn check(manifest: &Manifest) -> Vec<Problem> {
    let mut problems = Vec::new();
    missing_and_unlisted(manifest, &mut problems);
    listed_twice(manifest, &mut problems);
    classes(manifest, &mut problems);
    sources(manifest, &mut problems);
    given_folds(manifest, &mut problems);
    if !manifest.dropped.is_empty() {
        let concerned = manifest
            .dropped
            .iter()
            .map(|(name, why)| format!("{name}: {why}"))
            .collect();
        problems.push(Problem::new(
            Level::Note,
            "clips left out by the drop list",
            concerned,
        ));
    }
    problems.sort_by_key(|problem| std::cmp::Reverse(problem.level));
    problems
}

fn missing_and_unlisted(manifest: &Manifest, problems: &mut Vec<Problem>) {
    let missing = manifest.missing();
    let all = missing.len() == manifest.clips.len();
    let concerned: Vec<String> = missing
        .iter()
        .map(|at| &manifest.clips[*at])
        .map(|clip| match clip.origin {
            Some(_) => format!("{} ({})", clip.path.display(), clip.place()),
            None => clip.path.display().to_string(),
        })
        .collect();
    if !concerned.is_empty() {
        let level = if all { Level::Error } else { Level::Warning };
        let what = format!(
            "{} of {} listed files do not exist",
            concerned.len(),
            manifest.clips.len()
        );
        problems.push(Problem::new(level, what, concerned));
    }
    if !manifest.unlisted.is_empty() {
        let what = format!("{} audio files are not listed", manifest.unlisted.len());
        let concerned = manifest
            .unlisted
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        problems.push(Problem::new(Level::Note, what, concerned));
    }
}

fn listed_twice(manifest: &Manifest, problems: &mut Vec<Problem>) {
    // Times as bits: a stretch is the same only if the table writes it the same.
    let key = |clip: &Clip| {
        let stretch = clip
            .stretch_secs
            .map(|(start, end)| (start.to_bits(), end.to_bits()));
        (clip.path.clone(), stretch)
    };
    let mut first = BTreeMap::new();
    let (mut twice, mut torn) = (Vec::new(), Vec::new());
    for clip in &manifest.clips {
        match first.entry(key(clip)) {
            std::collections::btree_map::Entry::Vacant(place) => {
                place.insert(clip);
            }
            std::collections::btree_map::Entry::Occupied(place) => {
                let other: &Clip = place.get();
                let both = format!("{}: {} and {}", clip.name, other.place(), clip.place());
                if other.split == clip.split {
                    twice.push(both);
                } else {
                    torn.push(both);
                }
            }
        }
    }
    if !torn.is_empty() {
        let what = format!("{} clips are listed in two splits", torn.len());
        problems.push(Problem::new(Level::Error, what, torn));
    }
    if !twice.is_empty() {
        let what = format!("{} clips are listed more than once", twice.len());
        problems.push(Problem::new(Level::Warning, what, twice));
    }
}

fn classes(manifest: &Manifest, problems: &mut Vec<Problem>) {
    let counts = class_balance(manifest);
    let counts = &counts[..manifest.vocabulary.len()];
    let of = |wanted: fn(&ClassCount) -> bool| -> Vec<String> {
        counts
            .iter()
            .filter(|count| wanted(count))
            .map(|count| count.class.clone())
            .collect()
    };
    let mut add = |level, what: &str, concerned: Vec<String>| {
        if !concerned.is_empty() {
            let (n, s) = (
                concerned.len(),
                if concerned.len() == 1 {
                    "class"
                } else {
                    "classes"
                },
            );
            problems.push(Problem::new(level, format!("{n} {s} {what}"), concerned));
        }
    };
    add(
        Level::Error,
        "to be tested but missing from training",
        of(|count| count.train == 0 && count.test + count.validation > 0),
    );
    add(
        Level::Warning,
        "without any clip",
        of(|count| count.train + count.validation + count.test == 0),
    );
    add(
        Level::Warning,
        "with a single training clip: it cannot be trained and validated",
        of(|count| count.train == 1),
    );
    add(
        Level::Warning,
        "with a single source: every clip of it falls into one fold",
        of(|count| count.sources == 1 && count.train > 1),
    );
    let rare = counts.iter().filter(|count| (1..3).contains(&count.train));
    let spelled: Vec<String> = rare
        .filter_map(|count| misspelling(manifest, &count.class))
        .collect();
    add(Level::Warning, "possibly misspelled", spelled);
}

/// A rare class whose name is nearly that of another one.
fn misspelling(manifest: &Manifest, class: &str) -> Option<String> {
    let others = manifest.vocabulary.names().filter(|name| *name != class);
    let others = super::Vocabulary::from_names(others.map(str::to_owned)).ok()?;
    let near = others.suggestion(class)?;
    let first = manifest.vocabulary.index_of(class)?;
    let clip = manifest
        .labelled()
        .find(|(_, labels)| labels.contains(&first))?
        .0;
    Some(format!(
        "`{class}` ({}), did you mean `{near}`?",
        manifest.clips[clip].place()
    ))
}

fn sources(manifest: &Manifest, problems: &mut Vec<Problem>) {
    let mut splits = BTreeMap::<&str, BTreeSet<Split>>::new();
    for clip in &manifest.clips {
        if let (Some(source), Some(_)) = (&clip.source, &clip.labels) {
            splits.entry(source).or_default().insert(clip.split);
        }
    }
    let torn: Vec<String> = splits
        .iter()
        .filter(|(_, splits)| splits.len() > 1)
        .map(|(s, _)| (*s).to_owned())
        .collect();
    if !torn.is_empty() {
        let what = format!(
            "{} sources have clips in training and in test or validation",
            torn.len()
        );
        problems.push(Problem::new(Level::Warning, what, torn));
    }
}

fn given_folds(manifest: &Manifest, problems: &mut Vec<Problem>) {
    let has_fold = |clip: &Clip| clip.split == Split::Train && clip.fold.is_some();
    if !manifest.clips.iter().any(has_fold) {
        return;
    }
    match Folds::given(manifest) {
        Err(error) => problems.push(Problem::new(Level::Error, error.to_string(), vec![])),
        Ok(folds) => {
            let torn = folds.torn_sources(manifest);
            if !torn.is_empty() {
                let what = format!("{} sources have clips in several folds", torn.len());
                problems.push(Problem::new(Level::Warning, what, torn));
            }
            for what in folds.problems(manifest) {
                problems.push(Problem::new(Level::Error, what, vec![]));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_support::{clip, manifest};
    use super::*;

    fn whats(problems: &[Problem]) -> Vec<&str> {
        problems
            .iter()
            .map(|problem| problem.what.as_str())
            .collect()
    }

    #[test]
    fn every_kind_of_problem_is_named() {
        let mut clips: Vec<Clip> = (0..6)
            .map(|i| clip(&format!("{i}.wav"), &[i % 2]))
            .collect();
        clips.push(clip("0.wav", &[0]));
        clips.push(Clip {
            split: Split::Test,
            ..clip("1.wav", &[1])
        });
        clips.push(clip("single.wav", &[2]));
        clips.push(Clip {
            split: Split::Test,
            ..clip("t.wav", &[3])
        });
        clips.push(Clip {
            source: Some("s".into()),
            ..clip("a.wav", &[0])
        });
        clips.push(Clip {
            source: Some("s".into()),
            split: Split::Test,
            ..clip("b.wav", &[0])
        });
        let set = manifest(5, clips);
        let problems = check(&set);
        assert_eq!(
            whats(&problems),
            [
                "12 of 12 listed files do not exist",
                "1 clips are listed in two splits",
                "1 class to be tested but missing from training",
                "1 clips are listed more than once",
                "1 class without any clip",
                "1 class with a single training clip: it cannot be trained and validated",
                "1 class possibly misspelled",
                "1 sources have clips in training and in test or validation",
            ]
        );
        assert_eq!(problems[2].concerned, ["class 3"]);
    }

    #[test]
    fn the_balance_counts_labels_and_negatives() {
        let set = manifest(
            2,
            vec![
                clip("a.wav", &[0, 1]),
                Clip {
                    quality: Quality::Noisy,
                    ..clip("b.wav", &[1])
                },
                clip("n.wav", &[]),
                Clip {
                    labels: None,
                    split: Split::Test,
                    ..clip("u.wav", &[])
                },
            ],
        );
        let balance = class_balance(&set);
        assert_eq!(balance.len(), 3);
        assert_eq!(
            (balance[1].train, balance[1].noisy, balance[1].sources),
            (2, 1, 2)
        );
        assert_eq!((balance[2].class.as_str(), balance[2].train), ("(none)", 1));
    }
}
