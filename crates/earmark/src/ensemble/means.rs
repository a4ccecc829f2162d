//! Blending with fixed weights: aligned tables in, `[clip, class]` scores out.

use super::ScoreTable;
use crate::eval::{Scores, Targets, lwlrap};
use crate::{Error, Result};

/// Scores below this count as this in a geometric mean: one model that is quite sure must not be able
/// to rule a class out for all.
const LEAST_SCORE: f64 = 1e-7;

/// What kind of mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mean {
    /// `sum w s`.
    Arithmetic,
    /// `exp(sum w ln s)`, with scores below 1e-7 taken as 1e-7: what a class needs is that all models
    /// believe in it.
    Geometric,
    /// The arithmetic mean of ranks within the clip: 1 for its best class, 0 for its worst, ties in
    /// the middle. For models whose scores are not on one scale.
    Rank,
}

/// How much each table counts: for every class alike, or by class.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    /// `[table, class]`, at least 0, and above 0 for some table of every class.
    values: Vec<f64>,
    n_classes: usize,
}

impl Weights {
    /// All tables alike.
    pub fn equal(n_tables: usize, n_classes: usize) -> Self {
        Self {
            values: vec![1.0; n_tables * n_classes],
            n_classes,
        }
    }

    /// One weight per table.
    ///
    /// # Errors
    /// [`Error::Config`] for a weight below 0 or not finite, or if all are 0.
    pub fn of_tables(weights: &[f64], n_classes: usize) -> Result<Self> {
        if weights.iter().all(|&weight| weight == 0.0) {
            return Err(refused(
                "0 for all tables".to_owned(),
                "must be above 0 for one table at least",
            ));
        }
        let values = weights
            .iter()
            .flat_map(|&weight| std::iter::repeat_n(weight, n_classes));
        Self::of_classes(values.collect(), n_classes)
    }

    /// Weights `[table, class]`.
    ///
    /// # Errors
    /// As for [`Weights::of_tables`].
    pub fn of_classes(values: Vec<f64>, n_classes: usize) -> Result<Self> {
        if let Some(weight) = values.iter().find(|w| !(w.is_finite() && **w >= 0.0)) {
            return Err(refused(
                weight.to_string(),
                "must be a finite number of at least 0",
            ));
        }
        let of_class = |class: usize| values.iter().skip(class).step_by(n_classes).sum::<f64>();
        if let Some(class) = (0..n_classes).find(|&class| of_class(class) <= 0.0) {
            return Err(refused(
                format!("0 for all tables in class {class}"),
                "must be above 0 for one table at least",
            ));
        }
        Ok(Self { values, n_classes })
    }

    /// The weights with the largest of every class at 1: then no sum of them passes the largest number.
    fn scaled(&self) -> Vec<f64> {
        let of_class = |class: usize| self.values.iter().skip(class).step_by(self.n_classes);
        let largest: Vec<f64> = (0..self.n_classes)
            .map(|class| of_class(class).copied().fold(0.0, f64::max))
            .collect();
        let weights = self.values.iter().enumerate();
        weights
            .map(|(at, weight)| weight / largest[at % self.n_classes])
            .collect()
    }
}

fn refused(found: String, expected: &str) -> Error {
    Error::Config {
        key: "weights".to_owned(),
        found,
        expected: expected.to_owned(),
    }
}

/// Blends tables of the same clips and classes (see [`align`](super::align)).
///
/// # Shapes
/// - returns `[clip, class]`, as the tables have them
///
/// # Errors
/// [`Error::Shape`] if weights and tables do not fit, or without classes; [`Error::Line`] for a score
/// below 0 in a geometric mean.
pub fn mean(tables: &[ScoreTable], weights: &Weights, kind: Mean) -> Result<Vec<f32>> {
    check_shapes(tables, weights)?;
    let n_classes = weights.n_classes;
    let weights = weights.scaled();
    let n_values = tables.first().map_or(0, |table| table.scores.len());
    let mut sums = vec![0.0_f64; n_values];
    for (table, own) in tables.iter().zip(weights.chunks(n_classes)) {
        if kind == Mean::Geometric {
            check_not_negative(table)?;
        }
        for (row, sums) in table
            .scores
            .chunks(n_classes)
            .zip(sums.chunks_mut(n_classes))
        {
            let values: Vec<f64> = match kind {
                Mean::Arithmetic => row.iter().map(|&score| f64::from(score)).collect(),
                Mean::Geometric => row
                    .iter()
                    .map(|&score| f64::from(score).max(LEAST_SCORE).ln())
                    .collect(),
                Mean::Rank => ranks(row),
            };
            for ((sum, value), weight) in sums.iter_mut().zip(values).zip(own) {
                *sum += weight * value;
            }
        }
    }
    let totals: Vec<f64> = (0..n_classes)
        .map(|class| weights.iter().skip(class).step_by(n_classes).sum())
        .collect();
    let blended = sums.iter().enumerate().map(|(at, sum)| {
        let value = sum / totals[at % n_classes];
        match kind {
            Mean::Geometric => value.exp() as f32,
            Mean::Arithmetic | Mean::Rank => value as f32,
        }
    });
    Ok(blended.collect())
}

/// Refuses tables and weights that do not fit each other.
fn check_shapes(tables: &[ScoreTable], weights: &Weights) -> Result<()> {
    let n_classes = weights.n_classes;
    if n_classes == 0 {
        return Err(Error::Shape {
            what: "classes to blend".to_owned(),
            found: "none".to_owned(),
            expected: "at least one".to_owned(),
        });
    }
    let n_values = tables.first().map_or(0, |table| table.scores.len());
    let fits = tables
        .iter()
        .all(|t| t.classes.len() == n_classes && t.scores.len() == n_values);
    if fits && weights.values.len() == tables.len() * n_classes {
        return Ok(());
    }
    Err(Error::Shape {
        what: "weights of tables".to_owned(),
        found: format!(
            "{} weights for {} tables",
            weights.values.len(),
            tables.len()
        ),
        expected: format!("one per table and class, {n_classes} classes"),
    })
}

fn check_not_negative(table: &ScoreTable) -> Result<()> {
    let n = table.classes.len();
    match table.scores.iter().position(|&score| score < 0.0) {
        None => Ok(()),
        Some(at) => Err(table.error(
            table.lines[at / n],
            format!(
                "`{}` is {}, expected at least 0 for a geometric mean",
                table.classes[at % n],
                table.scores[at]
            ),
        )),
    }
}

/// The share of the other classes that each class of a clip beats; a tie counts one half.
fn ranks(row: &[f32]) -> Vec<f64> {
    let others = (row.len().max(2) - 1) as f64;
    let rank = |own: &f32| {
        let below = row.iter().filter(|other| *other < own).count() as f64;
        let tied = row.iter().filter(|other| *other == own).count() as f64 - 1.0;
        (below + tied / 2.0) / others
    };
    row.iter().map(rank).collect()
}

/// Weights by class from scores of clips with known labels: each table's lwlrap over the labels of the
/// class, so that a model counts where it is good. A class without labels takes the table's lwlrap
/// over all labels.
///
/// # Errors
/// [`Error::Shape`] if a table has no labels.
pub fn class_weights(out_of_fold: &[ScoreTable]) -> Result<Weights> {
    let n_classes = out_of_fold.first().map_or(0, |table| table.classes.len());
    let mut values = Vec::new();
    for table in out_of_fold {
        let targets = targets(table)?;
        let scores = Scores::new(&table.scores, n_classes)?;
        let result = lwlrap(scores, Targets::new(&targets, n_classes)?)?;
        let overall = result.overall.unwrap_or(1.0);
        values.extend(
            result
                .per_class
                .iter()
                .map(|class| class.unwrap_or(overall)),
        );
    }
    Weights::of_classes(values, n_classes)
}

/// The labels of a table as `[clip, class]`.
///
/// # Errors
/// [`Error::Shape`] if it has none.
pub(super) fn targets(table: &ScoreTable) -> Result<Vec<bool>> {
    let labels = table.labels.as_ref().ok_or_else(|| Error::Shape {
        what: format!("{}: labels", table.name),
        found: "none".to_owned(),
        expected: "a column `labels`, or a table of the truth".to_owned(),
    })?;
    let n_classes = table.classes.len();
    let mut targets = vec![false; labels.len() * n_classes];
    for (row, labels) in targets.chunks_mut(n_classes.max(1)).zip(labels) {
        labels.iter().for_each(|&label| row[label] = true);
    }
    Ok(targets)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(scores: &[f32], labels: Option<&[usize]>) -> ScoreTable {
        let n_clips = scores.len() / 3;
        ScoreTable {
            name: "t.csv".to_owned(),
            clips: (0..n_clips).map(|clip| clip.to_string()).collect(),
            lines: (2..n_clips + 2).collect(),
            classes: ["a", "b", "c"].map(str::to_owned).to_vec(),
            scores: scores.to_vec(),
            labels: labels.map(|labels| labels.iter().map(|&label| vec![label]).collect()),
            is_ranked: false,
        }
    }

    const A: [f32; 6] = [0.7, 0.2, 0.1, 0.3, 0.3, 0.4];
    const B: [f32; 6] = [0.1, 0.8, 0.1, 0.0, 0.6, 0.4];

    fn near(found: &[f32], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        for (a, b) in found.iter().zip(expected) {
            assert!(
                (f64::from(*a) - b).abs() < 1e-6,
                "{found:?}, expected {expected:?}"
            );
        }
    }

    #[test]
    fn means_are_their_formulas() -> Result<()> {
        let tables = [table(&A, None), table(&B, None)];
        let weights = Weights::of_tables(&[3.0, 1.0], 3)?;
        let pairs = || {
            A.iter()
                .zip(&B)
                .map(|(&a, &b)| (f64::from(a), f64::from(b)))
        };
        let arithmetic: Vec<f64> = pairs().map(|(a, b)| (3.0 * a + b) / 4.0).collect();
        near(&mean(&tables, &weights, Mean::Arithmetic)?, &arithmetic);
        let geometric: Vec<f64> = pairs()
            .map(|(a, b)| a.powf(0.75) * b.max(1e-7).powf(0.25))
            .collect();
        near(&mean(&tables, &weights, Mean::Geometric)?, &geometric);
        // By hand: ranks of A are 1, .5, 0 and .25, .25, 1; of B .25, 1, .25 and 0, 1, .5.
        let rank = [0.8125, 0.625, 0.0625, 0.1875, 0.4375, 0.875];
        near(&mean(&tables, &weights, Mean::Rank)?, &rank);
        Ok(())
    }

    #[test]
    fn weights_of_any_size_are_taken_by_their_ratio() -> Result<()> {
        let tables = [table(&A, None), table(&B, None)];
        for kind in [Mean::Arithmetic, Mean::Geometric, Mean::Rank] {
            let plain = mean(&tables, &Weights::of_tables(&[4.0, 1.0], 3)?, kind)?;
            for unit in [f64::MAX / 4.0, 1e-300] {
                let weights = Weights::of_tables(&[4.0 * unit, unit], 3)?;
                let found = mean(&tables, &weights, kind)?;
                let plain: Vec<f64> = plain.iter().map(|&score| f64::from(score)).collect();
                near(&found, &plain);
            }
        }
        Ok(())
    }

    #[test]
    fn weights_by_class_choose_for_each_class() -> Result<()> {
        let tables = [table(&A, None), table(&B, None)];
        let weights = Weights::of_classes(vec![1.0, 0.0, 1.0, 0.0, 1.0, 1.0], 3)?;
        let blended = mean(&tables, &weights, Mean::Arithmetic)?;
        near(
            &blended,
            &[0.7, 0.8, 0.1, 0.3, 0.6, 0.4].map(|x: f32| f64::from(x)),
        );
        Ok(())
    }

    #[test]
    fn a_model_counts_where_it_is_right() -> Result<()> {
        // The first table is right about class a, the second about class b; nobody has class c.
        let first = table(&[0.9, 0.0, 0.1, 0.9, 0.2, 0.1], Some(&[0, 1]));
        let second = table(&[0.2, 0.9, 0.1, 0.2, 0.9, 0.1], Some(&[0, 1]));
        let weights = class_weights(&[first, second])?;
        assert_eq!(weights.values, [1.0, 0.5, 0.75, 0.5, 1.0, 0.75]);
        assert!(class_weights(&[table(&A, None)]).is_err());
        Ok(())
    }

    #[test]
    fn what_has_no_mean_is_refused() {
        let negative = table(&[0.1, -0.5, 0.1], None);
        let error = mean(&[negative], &Weights::equal(1, 3), Mean::Geometric).err();
        assert_eq!(
            error.map(|error| error.to_string()).as_deref(),
            Some("t.csv:2: `b` is -0.5, expected at least 0 for a geometric mean")
        );
        let message = |weights: &[f64]| {
            let error = Weights::of_tables(weights, 3).err();
            error.map_or_else(String::new, |error| error.to_string())
        };
        assert_eq!(
            message(&[0.0, 0.0]),
            "weights is 0 for all tables, must be above 0 for one table at least"
        );
        for (weight, shown) in [(-1.0, "-1"), (f64::NAN, "NaN"), (f64::INFINITY, "inf")] {
            assert_eq!(
                message(&[1.0, weight]),
                format!("weights is {shown}, must be a finite number of at least 0")
            );
        }
        assert!(mean(&[table(&A, None)], &Weights::equal(2, 3), Mean::Rank).is_err());
        assert!(mean(&[], &Weights::equal(0, 0), Mean::Rank).is_err());
    }
}
