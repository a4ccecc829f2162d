//! The runs of folds: each by itself, or stage by stage together where folds judge each other's clips.

use std::collections::BTreeSet;

use earmark::Result;
use earmark::dataset::Quality;

use super::directory::RunDirectory;
use super::division::Division;
use super::fit::{Fit, Stage};
use super::stages::{self, Chosen, Heard, Knowledge, StageClips, StageConfig, worst_classes};
use crate::loss::Loss;
use crate::network::Network;
use crate::observer::{EpochReport, Observer};
use crate::trainer::{Scope, Scored};

/// The run of one division, as far as it has come.
pub(super) struct FoldRun<'a> {
    pub(super) division: &'a Division,
    pub(super) loss: Loss,
    pub(super) folder: RunDirectory,
    pub(super) network: Network,
    pub(super) history: Vec<EpochReport>,
}

/// A round of a stage, as all folds have it.
struct Round<'a> {
    stage: &'a StageConfig,
    /// The stage, counted from 0, and how many there are.
    index: usize,
    n_stages: usize,
    /// The rounds before it, of all stages.
    number: u64,
    is_first: bool,
    is_of_all_folds: bool,
    /// What folds say of the noisy clips that they have not heard; `None` in a run by itself.
    verdicts: Option<Heard>,
}

impl Fit<'_> {
    /// Whether folds have to be trained stage by stage together.
    pub(super) fn folds_judge_each_other(&self) -> bool {
        self.config.stages.iter().any(|s| s.clips.asks_network())
    }

    /// The run of a division before anything is trained but a probe.
    pub(super) fn begin<'d>(
        &self,
        division: &'d Division,
        loss: Loss,
        folder: RunDirectory,
        observer: &mut dyn Observer,
    ) -> Result<FoldRun<'d>> {
        let network = match self.config.train.scope {
            Scope::Probe | Scope::ProbeThenAll => self.probe(division, &loss, observer)?,
            Scope::All | Scope::Head => self.fresh(observer)?,
        };
        Ok(FoldRun {
            division,
            loss,
            folder,
            network,
            history: Vec::new(),
        })
    }

    /// Trains in the run's stages, or in one; `None` after an interruption.
    pub(super) fn train<'d>(
        &self,
        mut folds: Vec<FoldRun<'d>>,
        observer: &mut dyn Observer,
    ) -> Result<Option<Vec<FoldRun<'d>>>> {
        if self.config.train.scope == Scope::Probe {
            return Ok(Some(folds));
        }
        let whole = [StageConfig::default()];
        let stages = match self.config.stages.as_slice() {
            [] => &whole[..],
            stages => stages,
        };
        let mut number = 0;
        for (index, stage) in stages.iter().enumerate() {
            for round in 0..stage.rounds() {
                let round = Round {
                    stage,
                    index,
                    n_stages: stages.len(),
                    number,
                    is_first: round == 0,
                    is_of_all_folds: folds.len() > 1,
                    verdicts: self.verdicts(stage, &folds)?,
                };
                let mut trained = Vec::with_capacity(folds.len());
                for fold in folds {
                    let Some(fold) = self.train_round(fold, &round, observer)? else {
                        return Ok(None);
                    };
                    trained.push(fold);
                }
                folds = trained;
                number += 1;
            }
        }
        Ok(Some(folds))
    }

    /// What the network of each fold says of the noisy clips that it has not heard, if the stage asks.
    fn verdicts(&self, stage: &StageConfig, folds: &[FoldRun<'_>]) -> Result<Option<Heard>> {
        if !stage.clips.asks_network() || folds.len() < 2 {
            return Ok(None);
        }
        let mut verdicts = Heard::nothing(self.manifest.vocabulary.len());
        for fold in folds {
            let unheard = [&fold.division.held_out[..], &fold.division.validation].concat();
            let noisy = self.noisy(&unheard);
            if !noisy.is_empty() {
                verdicts.append(
                    noisy.clone(),
                    self.score(&fold.network, &noisy, &fold.loss)?,
                );
            }
        }
        Ok(Some(verdicts))
    }

    fn train_round<'d>(
        &self,
        fold: FoldRun<'d>,
        round: &Round<'_>,
        observer: &mut dyn Observer,
    ) -> Result<Option<FoldRun<'d>>> {
        let training = self.stage_training(&fold, round, observer)?;
        let mut settings = round.stage.settings(round.index, &self.config.train)?;
        settings.seed = settings.seed.wrapping_add(round.number);
        if round.n_stages > 1 || round.stage.rounds() > 1 {
            let place = match fold.division.fold {
                Some(fold) if round.is_of_all_folds => format!("fold {fold}, "),
                _ => String::new(),
            };
            observer.notice(&format!(
                "{place}stage {} of {}: {} clips, {} epochs",
                round.index + 1,
                round.n_stages,
                training.clips.len(),
                settings.epochs
            ));
        }
        let stage = Stage {
            number: round.number,
            settings: &settings,
            augment: round.stage.augment.as_ref(),
            training,
        };
        self.train_stage(fold, stage, observer)
    }

    /// What a fold trains on in a round.
    fn stage_training(
        &self,
        fold: &FoldRun<'_>,
        round: &Round<'_>,
        observer: &mut dyn Observer,
    ) -> Result<Chosen> {
        let stage = round.stage;
        let division = fold.division;
        let noisy = self.noisy(&division.training);
        let judges_itself = stage.clips.asks_network() && round.verdicts.is_none();
        if judges_itself && round.is_first && !noisy.is_empty() {
            observer.notice(
                "no fold has left the noisy clips out: their labels are judged by the network that \
                 learned them; with `data.validate = \"all\"` by one that did not",
            );
        }
        let mut own = Heard::nothing(self.manifest.vocabulary.len());
        if !noisy.is_empty() && (judges_itself || stage.pseudo_labels.is_some()) {
            own.append(
                noisy.clone(),
                self.score(&fold.network, &noisy, &fold.loss)?,
            );
        }
        let worst = match stage.clips {
            StageClips::WorstClasses { n_worst } if !division.validation.is_empty() => {
                let scored = self.score(&fold.network, &division.validation, &fold.loss)?;
                worst_classes(&self.losses(&scored, &fold.loss), &scored, n_worst)
            }
            _ => BTreeSet::new(),
        };
        let known = Knowledge {
            manifest: self.manifest,
            training: &division.training,
            verdicts: round.verdicts.as_ref().unwrap_or(&own),
            heard: &own,
            worst: &worst,
            is_single_label: self.is_single_label,
        };
        Ok(stages::choose(stage, &known))
    }

    /// The loss of every clip by itself.
    fn losses(&self, scored: &Scored, loss: &Loss) -> Vec<f64> {
        let weights = vec![1.0; scored.targets.len() / scored.n_classes];
        loss.evaluate(&scored.logits, &scored.targets, &weights)
            .per_clip
    }

    /// Of some clips the noisy ones.
    fn noisy(&self, clips: &[usize]) -> Vec<usize> {
        let is_noisy = |clip: &usize| self.manifest.clips[*clip].quality == Quality::Noisy;
        clips.iter().copied().filter(is_noisy).collect()
    }
}
