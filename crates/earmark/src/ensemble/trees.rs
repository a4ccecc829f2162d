//! Gradient-boosted trees of every class on the scores of all classes in all tables.
//!
//! Trees of depth 5 at a rate of 0.025, as Xu et al. (arXiv 1810.12832) stack with; the number of
//! rounds is chosen on every fifth clip, then all clips are used.

use forust_ml::data::Matrix;
use forust_ml::gradientbooster::GradientBooster;

use super::stack::Rows;
use crate::{Error, Result};

const RATE: f32 = 0.025;
const DEPTH: usize = 5;
const LEAVES: usize = 31;
const MOST_ROUNDS: usize = 2000;
/// Rounds without gain after which no more are tried.
const PATIENCE: usize = 100;
/// One clip of so many chooses the number of rounds.
const FOLDS: usize = 5;

/// One booster per class.
pub(super) struct Trees {
    boosters: Vec<GradientBooster>,
    /// The inputs that differ between clips; the crate refuses others.
    inputs: Vec<usize>,
}

impl std::fmt::Debug for Trees {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trees")
            .field("n_classes", &self.boosters.len())
            .finish()
    }
}

/// The inputs of some clips, column by column, and their targets of one class.
struct Part {
    columns: Vec<f64>,
    targets: Vec<f64>,
    weights: Vec<f64>,
    n_inputs: usize,
}

impl Part {
    fn of(rows: &Rows, clips: &[usize], inputs: &[usize], class: usize) -> Self {
        let column = |at: usize| clips.iter().map(move |&clip| rows.inputs[clip][at]);
        Self {
            columns: inputs.iter().flat_map(|&at| column(at)).collect(),
            targets: clips.iter().map(|&clip| rows.target(clip)[class]).collect(),
            weights: clips.iter().map(|&clip| rows.weights[clip]).collect(),
            n_inputs: inputs.len(),
        }
    }

    fn matrix(&self) -> Matrix<'_, f64> {
        Matrix::new(&self.columns, self.targets.len(), self.n_inputs)
    }
}

impl Trees {
    /// Fits the boosters.
    pub(super) fn fit(rows: &Rows, l2: f64) -> Result<Self> {
        let (judging, fitting): (Vec<usize>, Vec<usize>) =
            (0..rows.n_clips).partition(|clip| clip % FOLDS == FOLDS - 1);
        let n_inputs = rows.inputs.first().map_or(0, Vec::len);
        let varies = |at: &usize| {
            let mut values = fitting.iter().map(|&clip| rows.inputs[clip][*at]);
            let first = values.next();
            values.any(|value| Some(value) != first)
        };
        let inputs: Vec<usize> = (0..n_inputs).filter(varies).collect();
        if inputs.is_empty() || judging.is_empty() {
            return Err(Error::Training {
                place: "trees".to_owned(),
                reason: format!(
                    "{} clips with {} scores that differ, expected at least {FOLDS} and 1",
                    rows.n_clips,
                    inputs.len()
                ),
            });
        }
        let boosters = (0..rows.n_classes)
            .map(|class| booster(rows, [&fitting, &judging], &inputs, class, l2 as f32))
            .collect::<Result<_>>()?;
        Ok(Self { boosters, inputs })
    }

    /// The scores of one clip.
    pub(super) fn row(&self, inputs: &[f64]) -> Vec<f64> {
        let inputs: Vec<f64> = self.inputs.iter().map(|&at| inputs[at]).collect();
        let data = Matrix::new(&inputs, 1, inputs.len());
        let score = |booster: &GradientBooster| {
            let logit = booster
                .predict(&data, false)
                .first()
                .copied()
                .unwrap_or(0.0);
            1.0 / (1.0 + (-logit).exp())
        };
        self.boosters.iter().map(score).collect()
    }
}

fn booster(
    rows: &Rows,
    [fitting, judging]: [&[usize]; 2],
    inputs: &[usize],
    class: usize,
    l2: f32,
) -> Result<GradientBooster> {
    let settings = || {
        GradientBooster::default()
            .set_learning_rate(RATE)
            .set_max_depth(DEPTH)
            .set_max_leaves(LEAVES)
            .set_l2(l2)
            .set_parallel(false)
            .set_initialize_base_score(true)
    };
    let failed = |error: forust_ml::errors::ForustError| Error::Training {
        place: format!("trees of class {class}"),
        reason: error.to_string(),
    };
    let part = |clips: &[usize]| Part::of(rows, clips, inputs, class);
    let (fitted, judged) = (part(fitting), part(judging));
    let mut trial = settings()
        .set_iterations(MOST_ROUNDS)
        .set_early_stopping_rounds(Some(PATIENCE));
    let evaluation = vec![(
        judged.matrix(),
        judged.targets.as_slice(),
        judged.weights.as_slice(),
    )];
    trial
        .fit(
            &fitted.matrix(),
            &fitted.targets,
            &fitted.weights,
            Some(evaluation),
        )
        .map_err(failed)?;
    let n_rounds = trial.best_iteration.unwrap_or(PATIENCE).max(1);
    let all = part(&(0..rows.n_clips).collect::<Vec<_>>());
    let mut booster = settings().set_iterations(n_rounds);
    booster
        .fit(&all.matrix(), &all.targets, &all.weights, None)
        .map_err(failed)?;
    Ok(booster)
}

#[cfg(test)]
mod tests {
    use super::super::stack::{Stack, StackConfig, StackKind, Training};
    use super::super::table::ScoreTable;
    use crate::Result;

    /// Class `b` is present where both tables are unsure of `a`, which no weighted mean can say.
    fn table(name: &str, flip: bool) -> ScoreTable {
        let n_clips = 200;
        let score = |clip: usize| {
            if (clip % 2 == 0) ^ flip && clip % 4 < 2 {
                0.9
            } else {
                0.5
            }
        };
        ScoreTable {
            name: name.to_owned(),
            clips: (0..n_clips).map(|clip| clip.to_string()).collect(),
            lines: (2..n_clips + 2).collect(),
            classes: ["a", "b"].map(str::to_owned).to_vec(),
            scores: (0..n_clips).flat_map(|clip| [score(clip), 0.5]).collect(),
            labels: Some(
                (0..n_clips)
                    .map(|clip| vec![usize::from(clip % 4 >= 2)])
                    .collect(),
            ),
            is_ranked: false,
        }
    }

    #[test]
    fn trees_learn_what_no_mean_can_say() -> Result<()> {
        let tables = [table("one", false), table("two", true)];
        let config = StackConfig {
            kind: StackKind::Trees,
            l2: 1.0,
        };
        let training = Training {
            tables: &tables,
            weights: None,
        };
        let scores = Stack::fit(training, &config)?.blend(&tables)?;
        for (clip, row) in scores.chunks(2).enumerate() {
            assert_eq!(row[1] > row[0], clip % 4 >= 2, "clip {clip}: {row:?}");
        }
        Ok(())
    }
}
