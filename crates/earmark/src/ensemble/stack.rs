//! Stacking: a small model learns from out-of-fold scores how to blend.
//!
//! Fit it on scores of clips that the blended models were not trained on, or it learns whom to trust
//! from models that know the answers.

use super::lbfgs::{Limits, minimise};
use super::{ScoreTable, means};
use crate::{Error, Result};

/// Scores are kept this far from 0 and 1 before they become logits.
const EDGE: f64 = 1e-6;

/// The most inputs of a linear stack: the system of equations grows with their square.
const MAX_INPUTS: usize = 4096;

/// What kind of model blends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StackKind {
    /// Ridge regression of every class on the scores of all classes in all tables: knows which classes
    /// are taken for which. Its results may lie a little outside of [0, 1].
    Linear,
    /// Logistic regression of every class on its own logits in all tables, pulled towards the geometric
    /// mean of the tables: a few numbers per class, for small sets.
    Logistic,
    /// Gradient-boosted trees of every class on the scores of all classes in all tables. Only with the
    /// cargo feature `trees`.
    Trees,
}

/// How a stack is fitted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StackConfig {
    /// What kind of model.
    pub kind: StackKind,
    /// Strength of the penalty on the weights, at least 0. Trees: on the values of leaves.
    pub l2: f64,
}

/// What a stack is fitted on: tables of the same clips (see [`align`](super::align)), each with
/// labels in the first of them.
#[derive(Clone, Copy, Debug)]
pub struct Training<'a> {
    /// The out-of-fold scores of every model.
    pub tables: &'a [ScoreTable],
    /// How much each clip counts, at least 0; all 1 if `None`.
    pub weights: Option<&'a [f64]>,
}

/// A fitted stack.
#[derive(Debug)]
pub struct Stack {
    fitted: Fitted,
    n_tables: usize,
    n_classes: usize,
}

#[derive(Debug)]
enum Fitted {
    /// `[class][table * class + 1]`, the last being the intercept.
    Linear(Vec<Vec<f64>>),
    Logistic {
        /// `[class][table + 1]`, the last being the intercept.
        weights: Vec<Vec<f64>>,
        is_single_label: bool,
    },
    #[cfg(feature = "trees")]
    Trees(super::trees::Trees),
}

/// Aligned tables as rows of inputs, with targets.
pub(super) struct Rows {
    pub(super) n_clips: usize,
    pub(super) n_classes: usize,
    /// `[clip][table * class]`.
    pub(super) inputs: Vec<Vec<f64>>,
    /// `[clip, class]`, 0 or 1.
    pub(super) targets: Vec<f64>,
    pub(super) weights: Vec<f64>,
}

impl Stack {
    /// Fits a stack.
    ///
    /// # Errors
    /// [`Error::Shape`] without clips or labels, or if weights and clips differ in number;
    /// [`Error::Config`] for a penalty that cannot be, and for trees in a build without them.
    pub fn fit(training: Training<'_>, config: &StackConfig) -> Result<Self> {
        if !(config.l2 >= 0.0 && config.l2.is_finite()) {
            return Err(Error::Config {
                key: "l2".to_owned(),
                found: config.l2.to_string(),
                expected: "must be at least 0".to_owned(),
            });
        }
        let rows = Rows::of(training)?;
        let fitted = match config.kind {
            StackKind::Linear => Fitted::Linear(linear(&rows, config.l2)?),
            StackKind::Logistic => logistic(&rows, config.l2),
            StackKind::Trees => trees(&rows, config.l2)?,
        };
        Ok(Self {
            fitted,
            n_tables: training.tables.len(),
            n_classes: rows.n_classes,
        })
    }

    /// Blends tables of other clips: as many as it was fitted on, with the same classes in the same
    /// order.
    ///
    /// # Errors
    /// [`Error::Shape`] if there are more or fewer tables or classes.
    pub fn blend(&self, tables: &[ScoreTable]) -> Result<Vec<f32>> {
        let n_classes = tables.first().map_or(0, |table| table.classes.len());
        if tables.len() != self.n_tables || n_classes != self.n_classes {
            return Err(Error::Shape {
                what: "tables to stack".to_owned(),
                found: format!("{} of {n_classes} classes", tables.len()),
                expected: format!("{} of {} classes", self.n_tables, self.n_classes),
            });
        }
        let blended = (0..tables[0].clips.len()).flat_map(|clip| self.row(&inputs(tables, clip)));
        Ok(blended.map(|score| score as f32).collect())
    }

    /// The scores of one clip.
    fn row(&self, inputs: &[f64]) -> Vec<f64> {
        match &self.fitted {
            Fitted::Linear(weights) => weights.iter().map(|own| affine(own, inputs)).collect(),
            Fitted::Logistic {
                weights,
                is_single_label,
            } => {
                let values = logits(inputs, *is_single_label);
                let own = |class: usize| of_class(&values, class, self.n_classes);
                let scored = weights.iter().enumerate();
                let row: Vec<f64> = scored.map(|(c, w)| affine(w, &own(c))).collect();
                match is_single_label {
                    true => softmax(&row),
                    false => row.iter().map(|&x| sigmoid(x)).collect(),
                }
            }
            #[cfg(feature = "trees")]
            Fitted::Trees(trees) => trees.row(inputs),
        }
    }
}

/// The scores that a stack gives clips which it was not fitted on, `[clip, class]`: the clips of every
/// label are dealt to `n_folds` folds in turn, and each fold is blended by a stack fitted on the others.
///
/// # Errors
/// As for [`Stack::fit`].
pub fn cross_fit(training: Training<'_>, config: &StackConfig, n_folds: usize) -> Result<Vec<f32>> {
    let targets = means::targets(first(training.tables)?)?;
    let n_classes = training.tables[0].classes.len();
    let mut dealt = vec![0_usize; n_classes + 1];
    let folds: Vec<usize> = targets
        .chunks(n_classes)
        .map(|row| {
            let label = row.iter().position(|&present| present).unwrap_or(n_classes);
            dealt[label] += 1;
            (dealt[label] - 1) % n_folds.max(2)
        })
        .collect();
    let mut blended = vec![0.0; targets.len()];
    for fold in 0..n_folds.max(2) {
        let (inside, outside): (Vec<usize>, Vec<usize>) =
            (0..folds.len()).partition(|&clip| folds[clip] == fold);
        if inside.is_empty() {
            continue;
        }
        let weights: Option<Vec<f64>> = training
            .weights
            .map(|weights| outside.iter().map(|&clip| weights[clip]).collect());
        let others = Training {
            tables: &rows_of(training.tables, &outside),
            weights: weights.as_deref(),
        };
        let rows = Stack::fit(others, config)?.blend(&rows_of(training.tables, &inside))?;
        for (&clip, row) in inside.iter().zip(rows.chunks(n_classes)) {
            blended[clip * n_classes..(clip + 1) * n_classes].copy_from_slice(row);
        }
    }
    Ok(blended)
}

/// Some rows of tables.
fn rows_of(tables: &[ScoreTable], clips: &[usize]) -> Vec<ScoreTable> {
    let of = |table: &ScoreTable| ScoreTable {
        clips: clips
            .iter()
            .map(|&clip| table.clips[clip].clone())
            .collect(),
        lines: clips.iter().map(|&clip| table.lines[clip]).collect(),
        scores: clips
            .iter()
            .flat_map(|&clip| table.row(clip).to_vec())
            .collect(),
        labels: table
            .labels
            .as_ref()
            .map(|labels| clips.iter().map(|&clip| labels[clip].clone()).collect()),
        name: table.name.clone(),
        classes: table.classes.clone(),
        is_ranked: table.is_ranked,
    };
    tables.iter().map(of).collect()
}

fn first(tables: &[ScoreTable]) -> Result<&ScoreTable> {
    let filled = tables.first().filter(|table| !table.scores.is_empty());
    filled.ok_or_else(|| Error::Shape {
        what: "out-of-fold scores".to_owned(),
        found: "none".to_owned(),
        expected: "those of one clip and one class at least".to_owned(),
    })
}

/// The scores of a clip in all tables, one table after the other.
fn inputs(tables: &[ScoreTable], clip: usize) -> Vec<f64> {
    let scores = tables.iter().flat_map(|table| table.row(clip));
    scores.map(|&score| f64::from(score)).collect()
}

impl Rows {
    fn of(training: Training<'_>) -> Result<Self> {
        let first = first(training.tables)?;
        let n_clips = first.clips.len();
        let weights = training
            .weights
            .map_or_else(|| vec![1.0; n_clips], <[f64]>::to_vec);
        if weights.len() != n_clips || training.tables.iter().any(|t| t.clips.len() != n_clips) {
            return Err(Error::Shape {
                what: "weights of clips".to_owned(),
                found: weights.len().to_string(),
                expected: format!("one for each of {n_clips} clips"),
            });
        }
        let targets = means::targets(first)?.into_iter();
        Ok(Self {
            n_clips,
            n_classes: first.classes.len(),
            inputs: (0..n_clips)
                .map(|clip| inputs(training.tables, clip))
                .collect(),
            targets: targets
                .map(|present| f64::from(u8::from(present)))
                .collect(),
            weights,
        })
    }

    pub(super) fn target(&self, clip: usize) -> &[f64] {
        &self.targets[clip * self.n_classes..(clip + 1) * self.n_classes]
    }

    fn is_single_label(&self) -> bool {
        (0..self.n_clips).all(|clip| self.target(clip).iter().sum::<f64>() == 1.0)
    }
}

/// `w · x + b`, the last weight being `b`.
fn affine(weights: &[f64], inputs: &[f64]) -> f64 {
    let products = weights.iter().zip(inputs).map(|(w, x)| w * x);
    products.sum::<f64>() + weights[inputs.len()]
}

/// Ridge regression by the normal equations; the intercept is not penalised.
fn linear(rows: &Rows, l2: f64) -> Result<Vec<Vec<f64>>> {
    let n = rows.inputs[0].len() + 1;
    if n > MAX_INPUTS {
        return Err(Error::Config {
            key: "stack".to_owned(),
            found: format!("linear, on {} scores a clip", n - 1),
            expected: format!("must be logistic for more than {} scores", MAX_INPUTS - 1),
        });
    }
    let mut matrix = vec![0.0; n * n];
    let mut sides = vec![vec![0.0; n]; rows.n_classes];
    for (clip, inputs) in rows.inputs.iter().enumerate() {
        let x = |at: usize| inputs.get(at).copied().unwrap_or(1.0);
        let weight = rows.weights[clip];
        for i in 0..n {
            let own = weight * x(i);
            (0..=i).for_each(|j| matrix[i * n + j] += own * x(j));
            for (side, target) in sides.iter_mut().zip(rows.target(clip)) {
                side[i] += own * target;
            }
        }
    }
    // Scores that repeat each other make the equations singular; this much keeps them solvable.
    let floor = 1e-9 * rows.weights.iter().sum::<f64>().max(1.0);
    (0..n).for_each(|i| matrix[i * n + i] += floor + if i + 1 < n { l2 } else { 0.0 });
    let factor = cholesky(matrix, n).ok_or_else(|| Error::NotFinite {
        what: "a pivot of the stack's equations".to_owned(),
        found: f32::NAN,
    })?;
    Ok(sides.into_iter().map(|side| solve(&factor, side)).collect())
}

/// The lower triangle `L` with `L Lᵀ = matrix`, or none if there is no such.
fn cholesky(mut matrix: Vec<f64>, n: usize) -> Option<Vec<f64>> {
    for i in 0..n {
        for j in 0..=i {
            let sum: f64 = (0..j).map(|k| matrix[i * n + k] * matrix[j * n + k]).sum();
            let rest = matrix[i * n + j] - sum;
            matrix[i * n + j] = match i == j {
                true if rest > 0.0 => rest.sqrt(),
                true => return None,
                false => rest / matrix[j * n + j],
            };
        }
    }
    Some(matrix)
}

/// The solution of `L Lᵀ x = side`.
fn solve(factor: &[f64], mut side: Vec<f64>) -> Vec<f64> {
    let n = side.len();
    for i in 0..n {
        let sum: f64 = (0..i).map(|k| factor[i * n + k] * side[k]).sum();
        side[i] = (side[i] - sum) / factor[i * n + i];
    }
    for i in (0..n).rev() {
        let sum: f64 = (i + 1..n).map(|k| factor[k * n + i] * side[k]).sum();
        side[i] = (side[i] - sum) / factor[i * n + i];
    }
    side
}

/// Scores as logits: `ln s` where they are a softmax, `ln s/(1 − s)` where each stands for itself.
fn logits(scores: &[f64], is_single_label: bool) -> Vec<f64> {
    let logit = |score: &f64| {
        let score = score.clamp(EDGE, 1.0 - EDGE);
        match is_single_label {
            true => score.ln(),
            false => (score / (1.0 - score)).ln(),
        }
    };
    scores.iter().map(logit).collect()
}

/// The values of one class in all tables.
fn of_class(values: &[f64], class: usize, n_classes: usize) -> Vec<f64> {
    values
        .iter()
        .skip(class)
        .step_by(n_classes)
        .copied()
        .collect()
}

/// Minimises the mean cross-entropy plus `l2 / n_clips · |w − 1/n_tables|²`.
fn logistic(rows: &Rows, l2: f64) -> Fitted {
    let is_single_label = rows.is_single_label();
    let n_classes = rows.n_classes;
    let n_tables = rows.inputs[0].len() / n_classes;
    let values: Vec<Vec<f64>> = rows
        .inputs
        .iter()
        .map(|inputs| logits(inputs, is_single_label))
        .collect();
    let width = n_tables + 1;
    let plain = 1.0 / n_tables as f64;
    let mut start = vec![plain; n_classes * width];
    start
        .iter_mut()
        .skip(n_tables)
        .step_by(width)
        .for_each(|b| *b = 0.0);
    let total: f64 = rows.weights.iter().sum::<f64>().max(f64::MIN_POSITIVE);
    let objective = |weights: &[f64]| {
        let (mut loss, mut gradient) = (0.0, vec![0.0; weights.len()]);
        for (clip, values) in values.iter().enumerate() {
            let own = |class: usize| of_class(values, class, n_classes);
            let row: Vec<f64> = (0..n_classes)
                .map(|class| affine(&weights[class * width..][..width], &own(class)))
                .collect();
            let (value, slopes) = cross_entropy(&row, rows.target(clip), is_single_label);
            let share = rows.weights[clip] / total;
            loss += share * value;
            for (class, slope) in slopes.into_iter().enumerate() {
                let gradient = &mut gradient[class * width..][..width];
                for (g, x) in gradient.iter_mut().zip(own(class).into_iter().chain([1.0])) {
                    *g += share * slope * x;
                }
            }
        }
        for (at, (&weight, gradient)) in weights.iter().zip(&mut gradient).enumerate() {
            let centre = if at % width == n_tables { 0.0 } else { plain };
            loss += l2 / total * (weight - centre).powi(2);
            *gradient += 2.0 * l2 / total * (weight - centre);
        }
        (loss, gradient)
    };
    let limits = Limits {
        max_steps: 500,
        tolerance: 1e-7,
    };
    let weights = minimise(start, limits, objective);
    Fitted::Logistic {
        weights: weights.chunks(width).map(<[f64]>::to_vec).collect(),
        is_single_label,
    }
}

/// The loss of a row of logits and its derivative with respect to each.
fn cross_entropy(row: &[f64], targets: &[f64], is_single_label: bool) -> (f64, Vec<f64>) {
    if is_single_label {
        let scores = softmax(row);
        let pairs = scores.iter().zip(targets);
        let loss = pairs
            .clone()
            .map(|(s, t)| -t * s.max(f64::MIN_POSITIVE).ln())
            .sum();
        return (loss, pairs.map(|(s, t)| s - t).collect());
    }
    let n = row.len() as f64;
    let pairs = row.iter().zip(targets);
    let term = |(&x, &t): (&f64, &f64)| x.max(0.0) - x * t + (-x.abs()).exp().ln_1p();
    let loss = pairs.clone().map(term).sum::<f64>() / n;
    (loss, pairs.map(|(&x, &t)| (sigmoid(x) - t) / n).collect())
}

fn softmax(row: &[f64]) -> Vec<f64> {
    let peak = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = row.iter().map(|x| (x - peak).exp()).collect();
    let total: f64 = powers.iter().sum();
    powers.iter().map(|power| power / total).collect()
}

fn sigmoid(x: f64) -> f64 {
    match x >= 0.0 {
        true => 1.0 / (1.0 + (-x).exp()),
        false => x.exp() / (1.0 + x.exp()),
    }
}

#[cfg(feature = "trees")]
fn trees(rows: &Rows, l2: f64) -> Result<Fitted> {
    super::trees::Trees::fit(rows, l2).map(Fitted::Trees)
}

#[cfg(not(feature = "trees"))]
fn trees(_: &Rows, _: f64) -> Result<Fitted> {
    Err(Error::Config {
        key: "stack".to_owned(),
        found: "trees".to_owned(),
        expected: "must be linear or logistic: this build has no trees (cargo feature `trees`)"
            .to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reproducible numbers from 0 to 1.
    fn noise(n: usize, seed: u32) -> Vec<f32> {
        let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(12_345);
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state as f32 / u32::MAX as f32
        };
        (0..n).map(|_| next()).collect()
    }

    /// Three classes; the score of the right one is raised by `skill` in a table of noise.
    fn table(n_clips: usize, skill: [f32; 3], seed: u32) -> ScoreTable {
        let mut scores = noise(n_clips * 3, seed);
        for (clip, row) in scores.chunks_mut(3).enumerate() {
            row[clip % 3] += skill[clip % 3];
            let total: f32 = row.iter().sum();
            row.iter_mut().for_each(|score| *score /= total);
        }
        ScoreTable {
            name: format!("{seed}.csv"),
            clips: (0..n_clips).map(|clip| clip.to_string()).collect(),
            lines: (2..n_clips + 2).collect(),
            classes: ["a", "b", "c"].map(str::to_owned).to_vec(),
            scores,
            labels: Some((0..n_clips).map(|clip| vec![clip % 3]).collect()),
            is_ranked: false,
        }
    }

    fn n_right(scores: &[f32]) -> usize {
        let best = |row: &[f32]| (0..3).max_by(|&a, &b| row[a].total_cmp(&row[b]));
        scores
            .chunks(3)
            .enumerate()
            .filter(|(clip, row)| best(row) == Some(clip % 3))
            .count()
    }

    fn config(kind: StackKind) -> StackConfig {
        StackConfig { kind, l2: 1.0 }
    }

    /// One model knows class a, the other class b, neither much of c.
    fn models(n_clips: usize, seed: u32) -> [ScoreTable; 2] {
        [
            table(n_clips, [3.0, 0.0, 0.3], seed),
            table(n_clips, [0.0, 3.0, 0.3], seed + 1),
        ]
    }

    #[test]
    fn a_stack_learns_whom_to_trust() -> Result<()> {
        let (known, fresh) = (models(300, 1), models(300, 7));
        let weights = means::Weights::equal(2, 3);
        let plain = n_right(&means::mean(&fresh, &weights, means::Mean::Arithmetic)?);
        for kind in [StackKind::Linear, StackKind::Logistic] {
            let training = Training {
                tables: &known,
                weights: None,
            };
            let stack = Stack::fit(training, &config(kind))?;
            let stacked = n_right(&stack.blend(&fresh)?);
            assert!(
                stacked > plain + 5,
                "{kind:?}: {stacked}, the mean has {plain} of 300"
            );
            let crossed = n_right(&cross_fit(training, &config(kind), 5)?);
            assert!(
                crossed.abs_diff(stacked) < 40,
                "{kind:?}: {crossed} and {stacked}"
            );
        }
        Ok(())
    }

    #[test]
    fn a_linear_stack_solves_its_normal_equations() -> Result<()> {
        let tables = models(60, 3);
        let clip_weights: Vec<f64> = noise(60, 5).iter().map(|&w| f64::from(w) + 0.1).collect();
        let training = Training {
            tables: &tables,
            weights: Some(&clip_weights),
        };
        let stack = Stack::fit(training, &config(StackKind::Linear))?;
        let Fitted::Linear(weights) = &stack.fitted else {
            return Err(Error::Cancelled);
        };
        // The gradient of the penalised squares is zero at the solution.
        for (class, own) in weights.iter().enumerate() {
            for at in 0..7 {
                let mut gradient = if at < 6 { own[at] } else { 0.0 };
                for (clip, clip_weight) in clip_weights.iter().enumerate() {
                    let inputs = inputs(&tables, clip);
                    let target = f64::from(u8::from(clip % 3 == class));
                    let x = inputs.get(at).copied().unwrap_or(1.0);
                    gradient += clip_weight * (affine(own, &inputs) - target) * x;
                }
                assert!(
                    gradient.abs() < 1e-6,
                    "class {class}, weight {at}: {gradient}"
                );
            }
        }
        Ok(())
    }

    #[test]
    fn a_strong_penalty_gives_the_geometric_mean() -> Result<()> {
        let tables = models(30, 9);
        let training = Training {
            tables: &tables,
            weights: None,
        };
        let strong = StackConfig {
            kind: StackKind::Logistic,
            l2: 1e9,
        };
        let stacked = Stack::fit(training, &strong)?.blend(&tables)?;
        let weights = means::Weights::equal(2, 3);
        let plain = means::mean(&tables, &weights, means::Mean::Geometric)?;
        for (stacked, plain) in stacked.chunks(3).zip(plain.chunks(3)) {
            let total: f32 = plain.iter().sum();
            for (a, b) in stacked.iter().zip(plain) {
                assert!((a - b / total).abs() < 1e-4, "{stacked:?} {plain:?}");
            }
        }
        Ok(())
    }

    #[test]
    fn several_labels_and_none_are_learnt_too() -> Result<()> {
        let mut tables = models(90, 11);
        if let Some(labels) = &mut tables[0].labels {
            labels[0] = vec![];
            labels[1] = vec![0, 1];
        }
        let training = Training {
            tables: &tables,
            weights: None,
        };
        let scores = Stack::fit(training, &config(StackKind::Logistic))?.blend(&tables)?;
        assert!(scores.iter().all(|score| (0.0..=1.0).contains(score)));
        assert!(n_right(&scores) > 60);
        Ok(())
    }

    #[test]
    fn a_stack_without_labels_or_with_other_tables_is_refused() -> Result<()> {
        let mut tables = models(30, 1);
        let training = Training {
            tables: &tables,
            weights: None,
        };
        let stack = Stack::fit(training, &config(StackKind::Linear))?;
        assert!(stack.blend(&tables[..1]).is_err());
        tables[0].labels = None;
        let training = Training {
            tables: &tables,
            weights: None,
        };
        let error = Stack::fit(training, &config(StackKind::Linear)).err();
        let error = error.map_or_else(String::new, |error| error.to_string());
        assert!(error.contains("1.csv: labels"), "{error}");
        Ok(())
    }
}
