//! Scoring of submissions to the Freesound challenges: a submission and a truth table in, the figures
//! of the leaderboard out.
//!
//! Two kinds of submissions are told apart by their header. *Ranked* (2018): `fname,label` with up to
//! three names separated by blanks; the figure is MAP@3. *Table* (2019): `fname` and one probability
//! column per class; the figure is lwlrap. A truth table is `fname,label` or `fname,labels` (names
//! separated by commas), with an optional column `usage` of `Public`, `Private` or `Ignored`.
//!
//! Class names are compared letter by letter, as the challenge does: the sample submission of 2018
//! writes `Hi-Hat`, the class is `Hi-hat`, and its score shows that these count as wrong. Such names
//! come back as notes.

mod read;

pub use read::{Answers, Submission, Truth, TruthRow, Usage};

use std::collections::{BTreeMap, BTreeSet};

use super::{Scores, Targets, lwlrap, ranking};
use crate::error::shortened;
use crate::{Error, Result};

/// What the leaderboard of a challenge shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Mean average precision of three guesses (2018).
    MapAt3,
    /// Label-weighted label-ranking average precision (2019).
    Lwlrap,
}

/// The figures of one part of the test set, or of one class.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Figures {
    /// `Public`, `Private` or `Overall`; a class's name in a table by class.
    pub name: String,
    /// Number of scored clips, or of clips with the class.
    pub n_clips: usize,
    /// Mean of 1/rank, 0 beyond rank 3; `None` if a clip has several labels.
    pub map_at_3: Option<f64>,
    /// Share of clips whose label is not among three guesses; `None` if a clip has several labels.
    pub top_3_error: Option<f64>,
    /// Share of clips whose first guess is right; `None` if a clip has several labels.
    pub accuracy: Option<f64>,
    /// lwlrap; `None` for ranked submissions, which hold no scores.
    pub lwlrap: Option<f64>,
}

impl Figures {
    /// The figure that the leaderboard shows.
    pub fn headline(&self, metric: Metric) -> Option<f64> {
        match metric {
            Metric::MapAt3 => self.map_at_3,
            Metric::Lwlrap => self.lwlrap,
        }
    }
}

/// A scored submission.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct ScoreCard {
    /// The challenge's figure.
    pub metric: Metric,
    /// `Public` and `Private` where the truth has usages, then `Overall`.
    pub parts: Vec<Figures>,
    /// Figures by class over all scored clips, in the order of class names.
    pub per_class: Vec<Figures>,
    /// What a careful reader should know.
    pub notes: Vec<String>,
}

/// What to tolerate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScoreOptions {
    /// Leave out submitted clips that the truth does not list, as in the table of 2018 that lists
    /// scored clips only. Default false: they are an error.
    pub ignore_unlisted: bool,
}

/// Scores a submission.
///
/// # Errors
/// [`Error::Line`] with the line in the submission for a clip that is missing, listed twice or
/// unknown, and for a class without a column; [`Error::Dataset`] for a truth that scores no clip.
pub fn score(submission: &Submission, truth: &Truth, options: &ScoreOptions) -> Result<ScoreCard> {
    check_scored(truth)?;
    let rows = matched_rows(submission, truth, options)?;
    let mut card = match &submission.answers {
        Answers::Ranked(guesses) => score_ranked(submission, guesses, truth, &rows)?,
        Answers::Table { classes, scores } => {
            score_table(submission, classes, scores, truth, &rows)?
        }
    };
    if !truth.has_usage {
        card.notes
            .push(format!("{}: no column `usage`, scored overall", truth.name));
    }
    Ok(card)
}

/// Fails where no clip is scored.
fn check_scored(truth: &Truth) -> Result<()> {
    if truth.rows.iter().any(|row| row.usage != Usage::Ignored) {
        return Ok(());
    }
    Err(Error::Dataset {
        path: truth.name.clone().into(),
        reason: match truth.rows.len() {
            0 => "no clips, expected one to score".to_owned(),
            n => format!("no clip of {n} is scored, all are `Ignored`"),
        },
    })
}

/// For each row of the truth the row of the submission.
fn matched_rows(
    submission: &Submission,
    truth: &Truth,
    options: &ScoreOptions,
) -> Result<Vec<usize>> {
    let mut row_of = BTreeMap::new();
    for (row, (clip, line)) in submission.clips.iter().enumerate() {
        if let Some(first) = row_of.insert(clip.as_str(), row) {
            let reason = format!(
                "`{}` is listed again, first on line {}",
                shortened(clip),
                submission.clips[first].1
            );
            return Err(submission.error(*line, reason));
        }
    }
    let known: BTreeSet<&str> = truth.rows.iter().map(|row| row.clip.as_str()).collect();
    let mut unknown = submission
        .clips
        .iter()
        .filter(|(clip, _)| !known.contains(clip.as_str()));
    if let (false, Some((clip, line))) = (options.ignore_unlisted, unknown.next()) {
        let (clip, more) = (shortened(clip), and_more(unknown.count()));
        let reason = format!("`{clip}` is not in {}{more}", truth.name);
        return Err(submission.error(*line, reason));
    }
    let mut missing = truth
        .rows
        .iter()
        .filter(|row| !row_of.contains_key(row.clip.as_str()));
    if let Some(row) = missing.next() {
        let reason = format!(
            "`{}` ({}:{}) is missing{}",
            shortened(&row.clip),
            truth.name,
            row.line,
            and_more(missing.count())
        );
        return Err(submission.error(submission.last_line(), reason));
    }
    Ok(truth
        .rows
        .iter()
        .map(|row| row_of[row.clip.as_str()])
        .collect())
}

fn and_more(count: usize) -> String {
    if count == 0 {
        String::new()
    } else {
        format!(", and {count} more")
    }
}

/// A part of the test set: its name and which rows of the truth belong to it.
fn parts(truth: &Truth) -> Vec<(&'static str, Vec<usize>)> {
    let rows_with = |wanted: fn(&Usage) -> bool| -> Vec<usize> {
        (0..truth.rows.len())
            .filter(|row| wanted(&truth.rows[*row].usage))
            .collect()
    };
    let overall = ("Overall", rows_with(|usage| *usage != Usage::Ignored));
    if !truth.has_usage {
        return vec![overall];
    }
    vec![
        ("Public", rows_with(|usage| *usage == Usage::Public)),
        ("Private", rows_with(|usage| *usage == Usage::Private)),
        overall,
    ]
}

/// Figures by part and by class from something that computes the figures of rows.
fn card(
    metric: Metric,
    truth: &Truth,
    notes: Vec<String>,
    figures: impl Fn(&str, &[usize]) -> Result<Figures>,
) -> Result<ScoreCard> {
    let parts: Result<Vec<_>> = parts(truth)
        .iter()
        .map(|(name, rows)| figures(name, rows))
        .collect();
    Ok(ScoreCard {
        metric,
        parts: parts?,
        per_class: vec![],
        notes,
    })
}

/// The rows of each class among the scored ones.
fn rows_by_class(truth: &Truth) -> BTreeMap<&str, Vec<usize>> {
    let mut by_class = BTreeMap::<&str, Vec<usize>>::new();
    for (at, row) in truth
        .rows
        .iter()
        .enumerate()
        .filter(|(_, row)| row.usage != Usage::Ignored)
    {
        for label in &row.labels {
            by_class.entry(label).or_default().push(at);
        }
    }
    by_class
}

fn rank_figures(name: &str, ranks: &[usize]) -> Figures {
    Figures {
        name: name.to_owned(),
        n_clips: ranks.len(),
        map_at_3: ranking::mean_average_precision_at(ranks, 3),
        top_3_error: ranking::top_k_error(ranks, 3),
        accuracy: ranking::accuracy(ranks),
        lwlrap: None,
    }
}

fn score_ranked(
    submission: &Submission,
    guesses: &[Vec<String>],
    truth: &Truth,
    rows: &[usize],
) -> Result<ScoreCard> {
    let mut ranks = vec![usize::MAX; truth.rows.len()];
    for (at, row) in truth
        .rows
        .iter()
        .enumerate()
        .filter(|(_, row)| row.usage != Usage::Ignored)
    {
        let [label] = row.labels.as_slice() else {
            return Err(Error::Line {
                name: truth.name.clone(),
                line: row.line,
                reason: format!(
                    "{} labels, expected 1 for a submission of ranked names",
                    row.labels.len()
                ),
            });
        };
        if let Some(place) = guesses[rows[at]].iter().position(|guess| guess == label) {
            ranks[at] = place + 1;
        }
    }
    let of = |rows: &[usize]| -> Vec<usize> { rows.iter().map(|row| ranks[*row]).collect() };
    let notes = unknown_guesses(submission, guesses, truth);
    let mut card = card(Metric::MapAt3, truth, notes, |name, rows| {
        Ok(rank_figures(name, &of(rows)))
    })?;
    card.per_class = rows_by_class(truth)
        .iter()
        .map(|(class, rows)| rank_figures(class, &of(rows)))
        .collect();
    Ok(card)
}

/// Notes on guessed names that are no class, with the class that was probably meant.
fn unknown_guesses(submission: &Submission, guesses: &[Vec<String>], truth: &Truth) -> Vec<String> {
    let classes = truth.classes();
    let mut unknown = BTreeMap::<&str, (usize, usize)>::new();
    for (row, names) in guesses.iter().enumerate() {
        for name in names.iter().filter(|name| !classes.contains(name.as_str())) {
            unknown
                .entry(name)
                .or_insert((submission.clips[row].1, 0))
                .1 += 1;
        }
    }
    unknown
        .into_iter()
        .map(|(name, (line, count))| {
            let near = classes
                .iter()
                .find(|class| class.eq_ignore_ascii_case(name));
            let hint = near
                .map(|class| format!(" (the class is `{}`)", shortened(class)))
                .unwrap_or_default();
            format!(
                "{}:{line}: `{}` is no class{hint}; it counts as wrong in {count} rows",
                submission.name,
                shortened(name)
            )
        })
        .collect()
}

/// The column of each class; every class of the truth has one.
fn columns<'a>(
    submission: &Submission,
    classes: &'a [String],
    truth: &Truth,
) -> Result<BTreeMap<&'a str, usize>> {
    let column: BTreeMap<&str, usize> = classes
        .iter()
        .enumerate()
        .map(|(at, class)| (class.as_str(), at))
        .collect();
    if let Some(missing) = truth
        .classes()
        .iter()
        .find(|class| !column.contains_key(**class))
    {
        let near = classes
            .iter()
            .find(|class| class.eq_ignore_ascii_case(missing));
        let hint = near
            .map(|class| format!(", the nearest is `{}`", shortened(class)))
            .unwrap_or_default();
        let reason = format!("no column for class `{}`{hint}", shortened(missing));
        return Err(submission.error(submission.header_line, reason));
    }
    Ok(column)
}

/// For each of a clip's scores how many different ones are lower: all that the figures ask of them.
/// As numbers of single precision, scores that differ could be equal.
fn order_of(scores: &[f64]) -> Vec<f32> {
    let mut ascending: Vec<usize> = (0..scores.len()).collect();
    ascending.sort_by(|&a, &b| scores[a].total_cmp(&scores[b]));
    let mut order = vec![0.0_f32; scores.len()];
    for pair in ascending.windows(2) {
        // Not by `total_cmp`: -0.0 and 0.0 are one score.
        let step = if scores[pair[0]] == scores[pair[1]] {
            0.0
        } else {
            1.0
        };
        order[pair[1]] = order[pair[0]] + step;
    }
    order
}

fn score_table(
    submission: &Submission,
    classes: &[String],
    scores: &[f64],
    truth: &Truth,
    rows: &[usize],
) -> Result<ScoreCard> {
    let column = columns(submission, classes, truth)?;
    let orders: Vec<f32> = scores
        .chunks(classes.len().max(1))
        .flat_map(order_of)
        .collect();
    let scores = Scores::new(&orders, classes.len())?;
    let single = truth
        .rows
        .iter()
        .all(|row| row.usage == Usage::Ignored || row.labels.len() == 1);
    let figures = |name: &str, part: &[usize]| -> Result<Figures> {
        let (mut values, mut present, mut ranks) = (vec![], vec![], vec![]);
        for row in part {
            let own = scores.clip(rows[*row]);
            values.extend_from_slice(own);
            let labels: BTreeSet<usize> = truth.rows[*row]
                .labels
                .iter()
                .map(|label| column[label.as_str()])
                .collect();
            present.extend((0..classes.len()).map(|class| labels.contains(&class)));
            ranks.extend(labels.first().map(|label| ranking::rank_of(own, *label)));
        }
        let n = classes.len();
        let result = lwlrap(Scores::new(&values, n)?, Targets::new(&present, n)?)?;
        let ranks = if single { ranks } else { vec![] };
        Ok(Figures {
            n_clips: part.len(),
            lwlrap: result.overall,
            ..rank_figures(name, &ranks)
        })
    };
    let metric = if single {
        Metric::MapAt3
    } else {
        Metric::Lwlrap
    };
    let mut card = card(
        metric,
        truth,
        unused_columns(submission, classes, truth),
        figures,
    )?;
    card.per_class = per_class_lwlrap(scores, &column, truth, rows)?;
    Ok(card)
}

/// lwlrap of each class's labels over all scored clips.
fn per_class_lwlrap(
    scores: Scores<'_>,
    column: &BTreeMap<&str, usize>,
    truth: &Truth,
    rows: &[usize],
) -> Result<Vec<Figures>> {
    let (mut values, mut present) = (vec![], vec![]);
    for (at, row) in truth
        .rows
        .iter()
        .enumerate()
        .filter(|(_, row)| row.usage != Usage::Ignored)
    {
        values.extend_from_slice(scores.clip(rows[at]));
        let start = present.len();
        present.resize(start + scores.n_classes(), false);
        for label in &row.labels {
            present[start + column[label.as_str()]] = true;
        }
    }
    let n = scores.n_classes();
    let result = lwlrap(Scores::new(&values, n)?, Targets::new(&present, n)?)?;
    Ok(rows_by_class(truth)
        .iter()
        .map(|(class, rows)| Figures {
            n_clips: rows.len(),
            lwlrap: result.per_class[column[class]],
            ..rank_figures(class, &[])
        })
        .collect())
}

fn unused_columns(submission: &Submission, classes: &[String], truth: &Truth) -> Vec<String> {
    let known = truth.classes();
    let unused: Vec<&str> = classes
        .iter()
        .map(String::as_str)
        .filter(|class| !known.contains(class))
        .collect();
    match unused.as_slice() {
        [] => vec![],
        [first, rest @ ..] => vec![format!(
            "{}: column `{}`{} is no label of any scored clip",
            submission.name,
            shortened(first),
            and_more(rest.len())
        )],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRUTH: &str = "fname,label,usage\na.wav,Hi-hat,Public\nb.wav,Bark,Private\n\
        c.wav,Flute,Private\nd.wav,None,Ignored\n";

    fn run(submission: &str, truth: &str) -> Result<ScoreCard> {
        let submission = Submission::parse("s.csv", submission.as_bytes())?;
        score(
            &submission,
            &Truth::parse("t.csv", truth.as_bytes())?,
            &ScoreOptions::default(),
        )
    }

    fn message(submission: &str, truth: &str) -> String {
        run(submission, truth).unwrap_err().to_string()
    }

    #[test]
    fn ranked_names_are_scored_by_usage() {
        let card = run(
            "fname,label\na.wav,Bark Hi-hat Flute\nb.wav,Bark Flute Hi-hat\nc.wav,Bark Hi-hat\nd.wav,Bark\n",
            TRUTH,
        )
        .unwrap();
        let maps: Vec<_> = card
            .parts
            .iter()
            .map(|part| (part.name.as_str(), part.map_at_3))
            .collect();
        assert_eq!(
            maps,
            [
                ("Public", Some(0.5)),
                ("Private", Some(0.5)),
                ("Overall", Some(0.5))
            ]
        );
        assert_eq!(card.parts[1].top_3_error, Some(0.5));
        assert_eq!(card.parts[2].n_clips, 3);
        assert_eq!(card.per_class[0].name, "Bark");
        assert_eq!(card.per_class[0].accuracy, Some(1.0));
        assert!(card.notes.is_empty(), "{:?}", card.notes);
    }

    #[test]
    fn another_spelling_counts_as_wrong_and_is_noted() {
        let card = run(
            "fname,label\na.wav,Hi-Hat\nb.wav,Bark\nc.wav,Flute\nd.wav,Bark\n",
            TRUTH,
        )
        .unwrap();
        assert_eq!(card.parts[0].map_at_3, Some(0.0));
        assert_eq!(
            card.notes,
            ["s.csv:2: `Hi-Hat` is no class (the class is `Hi-hat`); it counts as wrong in 1 rows"]
        );
    }

    #[test]
    fn rows_that_do_not_fit_are_named() {
        let rest = "b.wav,Bark\nc.wav,Bark\nd.wav,Bark\n";
        assert_eq!(
            message("fname,label\na.wav,Bark\nb.wav,Bark\n", TRUTH),
            "s.csv:3: `c.wav` (t.csv:4) is missing, and 1 more"
        );
        assert_eq!(
            message(
                &format!("fname,label\na.wav,Bark\na.wav,Bark\n{rest}"),
                TRUTH
            ),
            "s.csv:3: `a.wav` is listed again, first on line 2"
        );
        assert_eq!(
            message(
                &format!("fname,label\na.wav,Bark\nx.wav,Bark\n{rest}"),
                TRUTH
            ),
            "s.csv:3: `x.wav` is not in t.csv"
        );
        assert_eq!(
            message(
                &format!("fname,label\na.wav,Bark Flute Gong Hi-hat\n{rest}"),
                TRUTH
            ),
            "s.csv:2: 4 labels, expected 1 to 3"
        );
    }

    #[test]
    fn probabilities_are_scored_by_lwlrap() {
        let truth = "fname,labels\na.wav,\"Bark,Flute\"\nb.wav,Gong\n";
        let card = run(
            "fname,Bark,Flute,Gong\na.wav,.9,.1,.5\nb.wav,.2,.1,.7\n",
            truth,
        )
        .unwrap();
        // a: Bark 1/1, Flute 2/3; b: Gong 1/1.
        let expected = (1.0 + 2.0 / 3.0 + 1.0) / 3.0;
        assert!((card.parts[0].lwlrap.unwrap() - expected).abs() < 1e-12);
        assert_eq!(card.parts[0].map_at_3, None);
        assert_eq!(card.per_class[1].lwlrap, Some(2.0 / 3.0));
        assert_eq!(card.notes, ["t.csv: no column `usage`, scored overall"]);
    }

    #[test]
    fn columns_and_numbers_that_do_not_fit_are_named() {
        let truth = "fname,labels\na.wav,\"Bark,Flute\"\nb.wav,Gong\n";
        assert_eq!(
            message("fname,Bark,Gong\na.wav,.9,.1\nb.wav,.2,.1\n", truth),
            "s.csv:1: no column for class `Flute`"
        );
        assert_eq!(
            message(
                "fname,Bark,Flute,Gong\na.wav,.9,.1,.2\nb.wav,.2,NaN,.1\n",
                truth
            ),
            "s.csv:3: `Flute` is `NaN`, expected a number"
        );
        assert_eq!(
            message("fname,Bark,Flute,Gong\na.wav,.9,.1\n", truth),
            "s.csv:2: 3 fields, expected 4"
        );
    }

    #[test]
    fn scores_that_differ_in_double_precision_only_are_ranked() {
        let truth = "fname,label\na.wav,Gong\nb.wav,Bark\n";
        for rows in [
            "a.wav,1e-47,2e-47,3e-47\nb.wav,3e-47,2e-47,1e-47\n",
            "a.wav,0.9999999,0.99999999,0.999999999\nb.wav,-1e39,-2e39,-1e300\n",
        ] {
            let card = run(&format!("fname,Bark,Flute,Gong\n{rows}"), truth).unwrap();
            assert_eq!(card.parts[0].map_at_3, Some(1.0), "{rows}");
            assert_eq!(card.parts[0].lwlrap, Some(1.0), "{rows}");
        }
        assert_eq!(
            message(
                "fname,Bark,Flute,Gong\na.wav,1e400,0,0\nb.wav,0,0,0\n",
                truth
            ),
            "s.csv:2: `Bark` is `1e400`, expected a number"
        );
    }

    #[test]
    fn equal_scores_stay_equal() {
        assert_eq!(order_of(&[0.5, -1.0, 5e-1, 2.0]), [1.0, 0.0, 1.0, 2.0]);
        assert_eq!(order_of(&[0.0, -0.0, -1.0]), [1.0, 1.0, 0.0]);
        assert!(order_of(&[]).is_empty());
        let card = run(
            "fname,Bark,Flute,Gong\na.wav,0,-0,0\n",
            "fname,label\na.wav,Gong\n",
        )
        .unwrap();
        assert_eq!(card.parts[0].map_at_3, Some(1.0 / 3.0));
        assert_eq!(card.parts[0].lwlrap, Some(1.0 / 3.0));
    }

    #[test]
    fn a_truth_that_scores_nothing_is_refused() {
        let ignored = "fname,label,usage\na.wav,None,Ignored\nb.wav,None,Ignored\n";
        assert_eq!(
            message("fname,label\na.wav,Bark\nb.wav,Bark\n", ignored),
            "t.csv: no clip of 2 is scored, all are `Ignored`"
        );
        assert_eq!(
            message("fname,label\n", "fname,label\n"),
            "t.csv: no clips, expected one to score"
        );
        assert_eq!(
            message("\r\nfname,label\r\n", TRUTH),
            "s.csv:2: `a.wav` (t.csv:2) is missing, and 3 more"
        );
    }

    #[test]
    fn nothing_right_is_zero_without_a_sign() {
        let card = run(
            "fname,label\na.wav,Gong\nb.wav,Gong\nc.wav,Gong\nd.wav,Gong\n",
            TRUTH,
        )
        .unwrap();
        for figures in card.parts.iter().chain(&card.per_class) {
            let map = figures.map_at_3.unwrap();
            assert!(map == 0.0 && map.is_sign_positive(), "{figures:?}");
        }
    }

    #[test]
    fn long_names_are_cut_in_messages() {
        let long = "x".repeat(1 << 20);
        let cut = format!("`{}…`", &long[..80]);
        let rest = "b.wav,Bark\nc.wav,Bark\nd.wav,Bark\n";
        let card = run(&format!("fname,label\na.wav,{long}\n{rest}"), TRUTH).unwrap();
        assert_eq!(
            card.notes,
            [format!(
                "s.csv:2: {cut} is no class; it counts as wrong in 1 rows"
            )]
        );
        assert_eq!(
            message(
                &format!("fname,label\n{long},Bark\na.wav,Bark\n{rest}"),
                TRUTH
            ),
            format!("s.csv:2: {cut} is not in t.csv")
        );
        assert_eq!(
            message(
                "fname,Bark,Flute\na.wav,0,0\n",
                &format!("fname,label\na.wav,{long}\n")
            ),
            format!("s.csv:1: no column for class {cut}")
        );
    }

    #[test]
    fn a_truth_of_scored_clips_only_needs_leave() {
        let truth = Truth::parse("t.csv", b"fname,label\na.wav,Bark\n").unwrap();
        let submission =
            Submission::parse("s.csv", b"fname,label\na.wav,Bark\nb.wav,Bark\n").unwrap();
        assert!(score(&submission, &truth, &ScoreOptions::default()).is_err());
        let options = ScoreOptions {
            ignore_unlisted: true,
        };
        assert_eq!(
            score(&submission, &truth, &options).unwrap().parts[0].accuracy,
            Some(1.0)
        );
    }
}
