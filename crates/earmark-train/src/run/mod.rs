//! A whole run: a configuration and a data set in; a directory with figures and a bundle out.

pub mod config;
mod directory;
mod division;
mod features;
mod figures;
mod fit;
mod start;

use std::collections::BTreeMap;
use std::path::PathBuf;

use earmark::dataset::cache::Precision;
use earmark::dataset::{
    CacheOptions, Manifest, Progress, ReadOptions, Split, Vocabulary, WaveformCache,
};
use earmark::eval::Evaluation;
use earmark::features::FrontEnd;
use earmark::{Error, Result};
use serde::Serialize;
use sha2::{Digest, Sha256};

pub use config::RunConfig;
pub use directory::RunDirectory;

use crate::clips::{ClipSet, ValidationClips};
use crate::device::DeviceChoice;
use crate::loss::{Loss, LossConfig};
use crate::observer::Observer;
use crate::teacher::Teacher;
use crate::trainer::{ClassWeights, Scored};
use division::Division;
use fit::{Fit, Fitted};
use start::Start;

/// Missing clips that are named before the others are only counted.
const N_SHOWN: usize = 5;

/// Where a run runs and writes.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// The run directory.
    pub directory: PathBuf,
    /// The device.
    pub device: DeviceChoice,
}

/// What a run found.
#[derive(Debug)]
pub struct RunResult {
    /// The run directory.
    pub directory: RunDirectory,
    /// The figures of all validation clips, if there are any.
    pub evaluation: Option<Evaluation>,
    /// The figures of the data set's own test clips, if it has any.
    pub test: Option<Evaluation>,
    /// Each fold's figures by name.
    pub folds: Vec<BTreeMap<String, f64>>,
    /// The bundles, one per run.
    pub bundles: Vec<PathBuf>,
    /// Whether the run came to its end; an interrupted one continues when started again.
    pub is_complete: bool,
}

/// What describes a run beside its configuration, in `run.json`.
#[derive(Debug, Serialize)]
struct Record<'a> {
    code_version: &'static str,
    seed: u64,
    device: &'a str,
    architecture: &'a str,
    n_parameters: usize,
    data: String,
    data_digest: String,
    init: Option<String>,
    teacher: Option<String>,
    n_training_clips: Vec<usize>,
    n_validation_clips: Vec<usize>,
    classes: Vec<&'a str>,
}

/// Trains as a configuration says.
///
/// # Errors
/// What is wrong with configuration, data set, device or disk; a run that stops in the middle leaves
/// its last checkpoint and continues from it when it is started again.
pub fn run(
    config: &RunConfig,
    options: &RunOptions,
    progress: &dyn Progress,
    observer: &mut dyn Observer,
) -> Result<RunResult> {
    let start = Start::read(config)?;
    let device = options.device.open()?;
    let manifest = open_data(config, observer)?;
    let front_end = FrontEnd::new(&start.front_end)?;
    let mut cache = CacheOptions::new(cache_folder(config, options));
    // Sixteen bits would put a floor of noise under quiet bands that tagging does not have.
    cache.precision = Precision::F32;
    let waveforms =
        WaveformCache::build(&manifest.clips, front_end.sample_rate(), &cache, progress)?;
    for failure in waveforms.failures() {
        let name = &manifest.clips[failure.clip].name;
        observer.notice(&format!("{name}: left out: {}", failure.reason));
    }
    let seed = config.train.seed;
    let (divisions, problems) = division::divide(
        &manifest,
        &config.data,
        &waveforms,
        seed,
        config.teacher.is_some(),
    )?;
    problems.iter().for_each(|problem| observer.notice(problem));
    let teacher = match &config.teacher {
        Some(teacher) => Some(Teacher::open(teacher, &start.front_end, &device)?),
        None => None,
    };
    let directory = RunDirectory::create(&options.directory)?;
    directory.write_text("config.toml", &config.to_toml()?)?;
    let set = ClipSet::new(
        &manifest,
        &waveforms,
        front_end,
        &start.segment,
        config.data.noisy_weight,
    )?;
    let architecture = start.architecture(manifest.vocabulary.len())?;
    directory.write_json(
        "run.json",
        &Record {
            code_version: env!("CARGO_PKG_VERSION"),
            seed,
            device: options.device.name(),
            architecture: &architecture.name,
            n_parameters: architecture.plan()?.n_trained(),
            data: manifest.root.display().to_string(),
            data_digest: manifest.digest(),
            init: start.source.as_ref().map(|source| source.sha256.clone()),
            teacher: teacher.as_ref().map(|teacher| teacher.sha256().to_owned()),
            n_training_clips: divisions.iter().map(|d| d.training.len()).collect(),
            n_validation_clips: divisions.iter().map(|d| d.validation.len()).collect(),
            classes: manifest.vocabulary.names().collect(),
        },
    )?;
    let loss = loss_config(config, &manifest);
    let fit = Fit {
        config,
        teacher,
        manifest: &manifest,
        set: &set,
        start: &start,
        architecture,
        device,
        is_single_label: loss.is_single_label(),
    };
    let mut gathered = Gathered::new(directory);
    for division in &divisions {
        let loss = Loss::new(loss.clone(), class_weights(config, &manifest, division))?;
        let folder = match division.fold {
            Some(fold) if divisions.len() > 1 => gathered.directory.fold(fold)?,
            _ => gathered.directory.clone(),
        };
        let fitted = fit.fit(division, &loss, &folder, observer)?;
        if !gathered.take_in(&fit, division, &folder, fitted, &loss)? {
            break;
        }
    }
    gathered.finish(&fit)
}

/// What the runs of all folds have found so far.
struct Gathered {
    directory: RunDirectory,
    scored: Option<Scored>,
    clips: Vec<usize>,
    test: Option<Evaluation>,
    folds: Vec<BTreeMap<String, f64>>,
    bundles: Vec<PathBuf>,
    is_complete: bool,
}

impl Gathered {
    fn new(directory: RunDirectory) -> Self {
        Self {
            directory,
            scored: None,
            clips: Vec::new(),
            test: None,
            folds: Vec::new(),
            bundles: Vec::new(),
            is_complete: true,
        }
    }

    /// Judges, saves and keeps the result of one division; `false` after an interruption.
    fn take_in(
        &mut self,
        fit: &Fit<'_>,
        division: &Division,
        folder: &RunDirectory,
        fitted: Fitted,
        loss: &Loss,
    ) -> Result<bool> {
        if !fitted.is_complete {
            self.is_complete = false;
            return Ok(false);
        }
        folder.write_history(&fitted.history)?;
        let mut metrics = BTreeMap::new();
        if !division.validation.is_empty() {
            let scored = fit.score(&fitted.network, &division.validation, loss)?;
            for figure in figures::judge(&scored, fit.is_single_label)? {
                metrics.extend(figure.value.map(|value| (figure.name, value)));
            }
            write_figures(fit, folder, &division.validation, &scored)?;
            self.clips.extend(&division.validation);
            match &mut self.scored {
                Some(all) => all.append(scored),
                None => self.scored = Some(scored),
            }
        }
        let test = fit.usable(fit.manifest.labelled_in(Split::Test));
        if !test.is_empty() {
            let scored = fit.score(&fitted.network, &test, loss)?;
            let evaluation = figures::evaluate(&scored, fit.is_single_label)?;
            folder.write_json("test.json", &evaluation)?;
            self.test = Some(evaluation);
        }
        fit.bundle(&fitted.network, metrics.clone())?
            .save(&folder.bundle())?;
        self.folds.push(metrics);
        self.bundles.push(folder.bundle());
        Ok(true)
    }

    fn finish(self, fit: &Fit<'_>) -> Result<RunResult> {
        let evaluation = match &self.scored {
            Some(scored) => Some(write_figures(fit, &self.directory, &self.clips, scored)?),
            None => None,
        };
        Ok(RunResult {
            directory: self.directory,
            evaluation,
            test: self.test,
            folds: self.folds,
            bundles: self.bundles,
            is_complete: self.is_complete,
        })
    }
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

/// Reads the data set and reports what is missing.
fn open_data(config: &RunConfig, observer: &mut dyn Observer) -> Result<Manifest> {
    let path = config.data.path.as_ref().ok_or_else(|| Error::Config {
        key: "data.path".to_owned(),
        found: "nothing".to_owned(),
        expected: "must be the folder or table of the data set".to_owned(),
    })?;
    let options = ReadOptions {
        layout: config.data.layout,
        table: config.data.table.clone(),
        ..ReadOptions::default()
    };
    let mut manifest = Manifest::open_with(path, &options)?;
    manifest.notes.iter().for_each(|note| observer.notice(note));
    let missing: Vec<String> = manifest
        .remove_missing()
        .iter()
        .map(|clip| {
            format!(
                "{}: left out: {} is missing",
                clip.place(),
                clip.path.display()
            )
        })
        .collect();
    missing
        .iter()
        .take(N_SHOWN)
        .for_each(|line| observer.notice(line));
    if missing.len() > N_SHOWN {
        observer.notice(&format!(
            "and {} more clips are missing",
            missing.len() - N_SHOWN
        ));
    }
    without_empty_classes(manifest, observer)
}

/// Leaves out the classes that no clip has: nothing could teach them.
fn without_empty_classes(manifest: Manifest, observer: &mut dyn Observer) -> Result<Manifest> {
    let mut present = vec![false; manifest.vocabulary.len()];
    for (_, labels) in manifest.labelled() {
        labels.iter().for_each(|&label| present[label] = true);
    }
    let classes = manifest.vocabulary.classes().iter().zip(&present);
    let kept: Vec<_> = classes
        .filter(|(_, present)| **present)
        .map(|(c, _)| c.clone())
        .collect();
    let n_empty = manifest.vocabulary.len() - kept.len();
    if n_empty == 0 {
        return Ok(manifest);
    }
    observer.notice(&format!("{n_empty} classes without any clip are left out"));
    manifest.in_vocabulary(&Vocabulary::new(kept)?)
}

fn cache_folder(config: &RunConfig, options: &RunOptions) -> PathBuf {
    let beside = || {
        options
            .directory
            .parent()
            .unwrap_or(&options.directory)
            .join("cache")
    };
    config.data.cache.clone().unwrap_or_else(beside)
}

/// The configured loss, or the one that fits the labels: negatives and several labels a clip need
/// scores that do not have to add up to one.
fn loss_config(config: &RunConfig, manifest: &Manifest) -> LossConfig {
    let has_negatives = manifest
        .clips
        .iter()
        .any(earmark::dataset::Clip::is_negative);
    let plain = LossConfig::CrossEntropy {
        label_smoothing: 0.0,
    };
    let binary = LossConfig::Bce {
        label_smoothing: 0.0,
    };
    let fitting = match manifest.is_multi_label() || has_negatives {
        true => binary,
        false => plain,
    };
    config.train.loss.clone().unwrap_or(fitting)
}

fn class_weights(config: &RunConfig, manifest: &Manifest, division: &Division) -> Option<Vec<f64>> {
    if config.train.class_weights == ClassWeights::Equal {
        return None;
    }
    let n_classes = manifest.vocabulary.len();
    let mut counts = vec![0usize; n_classes];
    for &clip in &division.training {
        manifest.clips[clip]
            .labels
            .iter()
            .flatten()
            .for_each(|&label| counts[label] += 1);
    }
    let fair = division.training.len() as f64 / n_classes as f64;
    Some(counts.into_iter().map(|n| fair / n.max(1) as f64).collect())
}

/// The fingerprint of a run: a checkpoint of another one must not be continued.
fn fingerprint(parts: &[&str]) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_le_bytes());
        digest.update(part);
    }
    hex(&digest.finalize())
}

/// Bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Fit<'_> {
    /// The scores of clips.
    fn score(&self, network: &crate::Network, clips: &[usize], loss: &Loss) -> Result<Scored> {
        let examples = ValidationClips::new(self.set, clips.to_vec());
        crate::trainer::score(network, &examples, loss, self.config.train.batch_size)
    }

    /// Of some clips those whose audio could be read.
    fn usable(&self, mut clips: Vec<usize>) -> Vec<usize> {
        clips.retain(|&clip| self.set.is_usable(clip));
        clips
    }
}
