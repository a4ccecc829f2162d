//! What describes a run beside its configuration: `run.json`, and the sentences that announce it.

use earmark::Result;
use earmark::dataset::Split;
use serde::Serialize;

use super::RunOptions;
use super::directory::RunDirectory;
use super::division::Division;
use super::fit::Fit;
use crate::checkpoint::CheckpointFile;
use crate::trainer::Scope;

/// The content of `run.json`.
#[derive(Debug, Serialize)]
pub(super) struct Record<'a> {
    code_version: &'static str,
    seed: u64,
    device: &'a str,
    architecture: &'a str,
    n_parameters: usize,
    /// Multiplications of a whole segment; unknown where what it holds decides how many frames it has.
    n_macs: Option<u64>,
    data: String,
    data_digest: String,
    init: Option<String>,
    teacher: Option<String>,
    n_training_clips: Vec<usize>,
    n_validation_clips: Vec<usize>,
    classes: Vec<&'a str>,
}

impl<'a> Fit<'a> {
    /// What a run is, for its directory.
    pub(super) fn record(
        &'a self,
        options: &'a RunOptions,
        divisions: &[Division],
    ) -> Result<Record<'a>> {
        let manifest = self.manifest;
        Ok(Record {
            code_version: env!("CARGO_PKG_VERSION"),
            seed: self.config.train.seed,
            device: options.device.name(),
            architecture: &self.architecture.name,
            n_parameters: self.architecture.plan()?.n_trained(),
            n_macs: self.n_macs(),
            data: manifest.root.display().to_string(),
            data_digest: manifest.digest(),
            init: self
                .start
                .source
                .as_ref()
                .map(|source| source.sha256.clone()),
            teacher: self
                .teacher
                .as_ref()
                .map(|teacher| teacher.sha256().to_owned()),
            n_training_clips: divisions.iter().map(|d| d.training.len()).collect(),
            n_validation_clips: divisions.iter().map(|d| d.validation.len()).collect(),
            classes: manifest.vocabulary.names().collect(),
        })
    }

    /// The multiplications of a whole segment.
    fn n_macs(&self) -> Option<u64> {
        let n_frames = self.set.segment_frames()?;
        self.architecture.plan_for(n_frames).ok()?.macs
    }

    /// What is about to be trained, from what, on how many clips.
    pub(super) fn announcement(&self, divisions: &[Division]) -> Result<String> {
        let train = &self.config.train;
        let n_parameters = self.architecture.plan()?.n_trained();
        let from = match &self.start.source {
            Some(source) => format!("from {}", source.file),
            None => "from scratch".to_owned(),
        };
        let n_epochs = self.n_epochs()?;
        let what = match train.scope {
            Scope::All => format!("{n_epochs} epochs"),
            Scope::Head => format!("the head only, {n_epochs} epochs"),
            Scope::Probe => "a linear probe on its embedding".to_owned(),
            Scope::ProbeThenAll => format!("a linear probe, then {n_epochs} epochs"),
        };
        let clips = match divisions {
            [one] => format!(
                "on {} clips, judged on {}",
                one.training.len(),
                one.validation.len()
            ),
            all => format!("on {} folds in turn", all.len()),
        };
        let n_test = self.manifest.labelled_in(Split::Test).len();
        let test = match n_test {
            0 => String::new(),
            n => format!(", tested on {n}"),
        };
        let macs = self.n_macs().map_or(String::new(), |n| {
            format!(", {:.2} billion multiplications a segment", n as f64 / 1e9)
        });
        Ok(format!(
            "training {} ({} thousand parameters{macs}) {from}, {what}, {clips}{test}",
            self.architecture.name,
            n_parameters.div_ceil(1000),
        ))
    }

    /// The epochs of all stages and rounds together.
    fn n_epochs(&self) -> Result<usize> {
        let train = &self.config.train;
        if self.config.stages.is_empty() {
            return Ok(train.epochs);
        }
        let stages = self.config.stages.iter().enumerate();
        stages
            .map(|(index, stage)| Ok(stage.rounds() * stage.settings(index, train)?.epochs))
            .sum()
    }

    /// Which of several runs begins.
    pub(super) fn fold_announcement(&self, division: &Division, n_divisions: usize) -> String {
        format!(
            "fold {} (of {n_divisions}): training on {} clips, judged on {}",
            division.fold.unwrap_or(0),
            division.training.len(),
            division.validation.len()
        )
    }

    /// Where a division's run writes: the run directory, or a folder in it if there are several.
    pub(super) fn folder(
        &self,
        division: &Division,
        n_divisions: usize,
        directory: &RunDirectory,
    ) -> Result<RunDirectory> {
        match division.fold {
            Some(fold) if n_divisions > 1 => directory.fold(fold),
            _ => Ok(directory.clone()),
        }
    }

    /// Refuses a run directory whose checkpoints belong to another run, before anything in it is
    /// replaced.
    pub(super) fn check_checkpoints(
        &self,
        divisions: &[Division],
        directory: &RunDirectory,
    ) -> Result<()> {
        if self.config.train.scope == Scope::Probe {
            return Ok(());
        }
        for division in divisions {
            let folder = self.folder(division, divisions.len(), directory)?;
            CheckpointFile::new(folder.checkpoint(0), self.fingerprint(division)?).read()?;
        }
        Ok(())
    }
}
