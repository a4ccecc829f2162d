//! What the runs of all folds have found, put together and written.

use std::collections::BTreeMap;
use std::path::PathBuf;

use earmark::Result;
use earmark::dataset::Split;
use earmark::eval::Evaluation;

use super::directory::RunDirectory;
use super::fit::Fit;
use super::fold::FoldRun;
use super::{RunResult, figures};
use crate::trainer::Scored;

/// The results so far.
pub(super) struct Gathered {
    directory: RunDirectory,
    scored: Option<Scored>,
    clips: Vec<usize>,
    /// The scores of the test clips, by fold.
    tested: Vec<Scored>,
    folds: Vec<BTreeMap<String, f64>>,
    bundles: Vec<PathBuf>,
}

impl Gathered {
    pub(super) fn new(directory: RunDirectory) -> Self {
        Self {
            directory,
            scored: None,
            clips: Vec::new(),
            tested: Vec::new(),
            folds: Vec::new(),
            bundles: Vec::new(),
        }
    }

    /// Where the run writes.
    pub(super) fn directory(&self) -> &RunDirectory {
        &self.directory
    }

    /// Judges, saves and keeps the result of one fold.
    pub(super) fn take_in(&mut self, fit: &Fit<'_>, fold: FoldRun<'_>) -> Result<()> {
        let FoldRun {
            division,
            loss,
            folder,
            network,
            history,
        } = fold;
        folder.write_history(&history)?;
        let mut metrics = BTreeMap::new();
        if !division.validation.is_empty() {
            let scored = fit.score(&network, &division.validation, &loss)?;
            for figure in figures::judge(&scored, fit.is_single_label)? {
                metrics.extend(figure.value.map(|value| (figure.name, value)));
            }
            write_figures(fit, &folder, &division.validation, &scored)?;
            self.clips.extend(&division.validation);
            match &mut self.scored {
                Some(all) => all.append(scored),
                None => self.scored = Some(scored),
            }
        }
        let test = fit.usable(fit.manifest.labelled_in(Split::Test));
        if !test.is_empty() {
            let scored = fit.score(&network, &test, &loss)?;
            let evaluation = figures::evaluate(&scored, fit.is_single_label)?;
            folder.write_json("test.json", &evaluation)?;
            self.tested.push(scored);
        }
        fit.bundle(&network, metrics.clone())?
            .save(&folder.bundle())?;
        self.folds.push(metrics);
        self.bundles.push(folder.bundle());
        Ok(())
    }

    /// The result of a run that was stopped: figures of a part of the folds would pass for those of all.
    pub(super) fn interrupted(self) -> RunResult {
        RunResult {
            directory: self.directory.path().to_owned(),
            evaluation: None,
            test: None,
            folds: self.folds,
            bundles: self.bundles,
            is_complete: false,
        }
    }

    /// Writes the figures over all folds.
    pub(super) fn finish(self, fit: &Fit<'_>) -> Result<RunResult> {
        let evaluation = match &self.scored {
            Some(scored) => Some(write_figures(fit, &self.directory, &self.clips, scored)?),
            None => None,
        };
        let test = match mean_of(self.tested) {
            Some(scored) => {
                let evaluation = figures::evaluate(&scored, fit.is_single_label)?;
                self.directory.write_json("test.json", &evaluation)?;
                Some(evaluation)
            }
            None => None,
        };
        Ok(RunResult {
            directory: self.directory.path().to_owned(),
            evaluation,
            test,
            folds: self.folds,
            bundles: self.bundles,
            is_complete: true,
        })
    }
}

/// The mean scores of several networks for the same clips.
fn mean_of(tested: Vec<Scored>) -> Option<Scored> {
    let n = tested.len() as f32;
    let mut tested = tested.into_iter();
    let mut mean = tested.next()?;
    for scored in tested {
        let scores = mean.scores.iter_mut().zip(scored.scores);
        scores.for_each(|(sum, score)| *sum += score);
    }
    mean.scores.iter_mut().for_each(|sum| *sum /= n);
    Some(mean)
}

/// Writes scores and figures of clips into a folder.
fn write_figures(
    fit: &Fit<'_>,
    folder: &RunDirectory,
    clips: &[usize],
    scored: &Scored,
) -> Result<Evaluation> {
    let evaluation = figures::evaluate(scored, fit.is_single_label)?;
    folder.write_scores(fit.manifest, clips, scored)?;
    folder.write_classes(&fit.manifest.vocabulary, &evaluation)?;
    folder.write_json("evaluation.json", &evaluation)?;
    Ok(evaluation)
}
