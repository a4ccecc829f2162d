//! A whole run: a configuration and a data set in; a directory with figures and a bundle out.

pub mod config;
mod directory;
pub(crate) mod division;
mod features;
mod figures;
mod find_rate;
mod fit;
mod fold;
mod frozen;
mod gathered;
mod noise;
mod recipes;
mod record;
mod segment;
mod sounds;
mod stages;
mod start;
mod survey;
mod weights_file;

use std::collections::BTreeMap;
use std::path::PathBuf;

use earmark::augment::Augmenter;
use earmark::dataset::cache::Precision;
use earmark::dataset::check::{Level, Problem, check};
use earmark::dataset::{
    CacheOptions, Clip, Manifest, Progress, ReadOptions, Vocabulary, WaveformCache,
};
use earmark::digest::hex;
use earmark::eval::Evaluation;
use earmark::features::FrontEnd;
use earmark::{Error, Result};
use sha2::{Digest, Sha256};

use config::DataConfig;
pub use config::RunConfig;
pub use directory::RunDirectory;
pub use find_rate::find_learning_rate;
pub use stages::{StageClips, StageConfig};
pub use survey::Survey;

use crate::clips::ClipSet;
use crate::device::DeviceChoice;
use crate::loss::{Loss, LossConfig};
use crate::observer::Observer;
use crate::teacher::Teacher;
use crate::trainer::{ClassWeights, Scored, TrainConfig};
use division::{Divided, Division};
use fit::Fit;
use gathered::Gathered;
use start::Start;

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
    pub directory: PathBuf,
    /// The figures of all validation clips, if there are any.
    pub evaluation: Option<Evaluation>,
    /// The figures of the data set's own test clips, if it has any; with several folds of the mean of their
    /// scores.
    pub test: Option<Evaluation>,
    /// Each fold's figures by name.
    pub folds: Vec<BTreeMap<String, f64>>,
    /// The bundles, one per run.
    pub bundles: Vec<PathBuf>,
    /// Whether the run came to its end; an interrupted one continues when started again.
    pub is_complete: bool,
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
    prepare(config, options, progress, observer, |ready, observer| {
        train_all(ready, options, observer)
    })
}

/// Everything that a run works with, read and checked.
struct Ready<'a> {
    fit: Fit<'a>,
    loss: LossConfig,
    divided: &'a Divided,
    survey: &'a Survey,
    directory: RunDirectory,
}

/// Reads, decodes, checks and divides the clips, and hands what a run needs to `go`.
fn prepare<T>(
    config: &RunConfig,
    options: &RunOptions,
    progress: &dyn Progress,
    observer: &mut dyn Observer,
    go: impl FnOnce(Ready<'_>, &mut dyn Observer) -> Result<T>,
) -> Result<T> {
    let start = Start::read(config)?;
    let device = options.device.open()?;
    let (mut manifest, listed) = open_data(&config.data)?;
    // Another version may make other noise.
    let noise = cache_folder(config, options)
        .join("generated-noise")
        .join(env!("CARGO_PKG_VERSION"));
    noise::add(&mut manifest, config.data.generated_noise, &noise)?;
    let architecture = start.architecture(manifest.vocabulary.len())?;
    let teacher = config.teacher.as_ref();
    let teacher = teacher
        .map(|teacher| Teacher::open(teacher, &start.front_end, &manifest.vocabulary, &device))
        .transpose()?;
    let directory = RunDirectory::create(&options.directory)?;
    let front_end = FrontEnd::new(&start.front_end)?;
    let sample_rate = front_end.sample_rate();
    let mut cache = CacheOptions::new(cache_folder(config, options));
    // Sixteen bits would put a floor of noise under quiet bands that tagging does not have.
    cache.precision = Precision::F32;
    let sounds = sounds::material(&config.augment, sample_rate, &cache, progress, observer)?;
    let augmenter = Augmenter::new(&config.augment, sounds.clone())?;
    stages::check_material(config, &sounds, start.frozen.is_some())?;
    progress.stage("decoding");
    let waveforms = WaveformCache::build(&manifest.clips, sample_rate, &cache, progress)?;
    let audit = survey::listen(&manifest, &waveforms, progress)?;
    survey::bind_copies(&mut manifest, &audit);
    let seed = config.train.seed;
    let is_taught = config.teacher.is_some();
    let divided = division::divide(
        &manifest,
        &config.data,
        &waveforms.usable(),
        seed,
        is_taught,
    )?;
    let survey = survey::survey(&manifest, listed, &audit, &divided);
    observer.surveyed(&survey);
    let noisy_weight = config.data.noisy_weight;
    let set = ClipSet::new(
        &manifest,
        &waveforms,
        front_end,
        &start.segment,
        noisy_weight,
    )?;
    let loss = loss_config(&config.train, &manifest);
    let embedded = match &start.frozen {
        Some(frozen) => Some(frozen.embed_all(&set, waveforms.usable(), progress)?),
        None => None,
    };
    let fit = Fit {
        config,
        teacher,
        augmenter,
        sounds,
        embedded,
        manifest: &manifest,
        set: &set,
        start: &start,
        architecture,
        device,
        is_single_label: loss.is_single_label(),
    };
    let ready = Ready {
        fit,
        loss,
        divided: &divided,
        survey: &survey,
        directory,
    };
    go(ready, observer)
}

/// Trains every division and writes what comes of it.
fn train_all(
    ready: Ready<'_>,
    options: &RunOptions,
    observer: &mut dyn Observer,
) -> Result<RunResult> {
    let Ready {
        fit,
        loss,
        divided,
        survey,
        directory,
    } = ready;
    let divisions = &divided.divisions[..];
    fit.check_checkpoints(divisions, &directory)?;
    directory.write_text("config.toml", &fit.config.to_toml()?)?;
    directory.write_json("survey.json", survey)?;
    directory.write_json("run.json", &fit.record(options, divisions)?)?;
    observer.notice(&fit.announcement(divisions)?);
    let groups: Vec<&[Division]> = match fit.folds_judge_each_other() {
        true => vec![divisions],
        false => divisions.chunks(1).collect(),
    };
    let mut gathered = Gathered::new(directory);
    for group in groups {
        let mut folds = Vec::with_capacity(group.len());
        for division in group {
            let weights = class_weights(&fit.config.train, fit.manifest, division);
            let loss = Loss::new(loss.clone(), weights)?;
            let folder = fit.folder(division, divisions.len(), gathered.directory())?;
            if divisions.len() > 1 {
                observer.notice(&fit.fold_announcement(division, divisions.len()));
            }
            folds.push(fit.begin(division, loss, folder, observer)?);
        }
        let Some(folds) = fit.train(folds, observer)? else {
            return Ok(gathered.interrupted());
        };
        for fold in folds {
            gathered.take_in(&fit, fold)?;
        }
    }
    gathered.finish(&fit)
}

/// Reads the data set without the clips that are not there and the classes that no clip has, and what
/// its lists show to be wrong.
pub(crate) fn open_data(config: &DataConfig) -> Result<(Manifest, Vec<Problem>)> {
    let path = config.path.as_ref().ok_or_else(|| Error::Config {
        key: "data.path".to_owned(),
        found: "nothing".to_owned(),
        expected: "must be the folder or table of the data set".to_owned(),
    })?;
    let options = ReadOptions {
        layout: config.layout,
        table: config.table.clone(),
        ..ReadOptions::default()
    };
    let mut manifest = Manifest::open_with(path, &options)?;
    let mut problems = check(&manifest);
    let n_listed = manifest.clips.len();
    if manifest.remove_missing().len() == n_listed {
        return Err(Error::Dataset {
            path: path.clone(),
            reason: format!("none of its {n_listed} clips is there"),
        });
    }
    let manifest = without_empty_classes(manifest, &mut problems)?;
    let has_negatives = manifest.clips.iter().any(Clip::is_negative);
    if manifest.vocabulary.len() < 2 && !has_negatives {
        return Err(Error::Dataset {
            path: path.clone(),
            reason: format!(
                "{} class, expected at least 2, or one beside a folder `_background` of other sounds",
                manifest.vocabulary.len()
            ),
        });
    }
    Ok((manifest, problems))
}

/// Leaves out the classes that no clip has: nothing could teach them.
fn without_empty_classes(manifest: Manifest, problems: &mut Vec<Problem>) -> Result<Manifest> {
    let mut present = vec![false; manifest.vocabulary.len()];
    for (_, labels) in manifest.labelled() {
        labels.iter().for_each(|&label| present[label] = true);
    }
    let classes = manifest.vocabulary.classes().iter().zip(&present);
    let (kept, empty): (Vec<_>, Vec<_>) = classes.partition(|(_, present)| **present);
    if empty.is_empty() {
        return Ok(manifest);
    }
    problems.push(Problem {
        level: Level::Warning,
        what: format!(
            "{} classes are left out: none of their clips is there",
            empty.len()
        ),
        concerned: empty.iter().map(|(class, _)| class.name.clone()).collect(),
    });
    let kept = kept.into_iter().map(|(class, _)| class.clone()).collect();
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
pub(crate) fn loss_config(train: &TrainConfig, manifest: &Manifest) -> LossConfig {
    let has_negatives = manifest.clips.iter().any(Clip::is_negative);
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
    train.loss.clone().unwrap_or(fitting)
}

pub(crate) fn class_weights(
    train: &TrainConfig,
    manifest: &Manifest,
    division: &Division,
) -> Option<Vec<f64>> {
    if train.class_weights == ClassWeights::Equal {
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
    let is_labelled = |clip: &&usize| manifest.clips[**clip].labels.is_some();
    let n_labelled = division.training.iter().filter(is_labelled).count();
    let fair = n_labelled as f64 / n_classes as f64;
    Some(counts.into_iter().map(|n| fair / n.max(1) as f64).collect())
}

/// The fingerprint of a run: a checkpoint of another one must not be continued.
pub(crate) fn fingerprint(parts: &[&str]) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_le_bytes());
        digest.update(part);
    }
    hex(&digest.finalize())
}

impl Fit<'_> {
    /// The scores of clips.
    fn score(&self, network: &crate::Network, clips: &[usize], loss: &Loss) -> Result<Scored> {
        let examples = self.examples(clips.to_vec());
        crate::trainer::score(network, &*examples, loss, self.config.train.batch_size)
    }

    /// Of some clips those whose audio could be read.
    fn usable(&self, mut clips: Vec<usize>) -> Vec<usize> {
        clips.retain(|&clip| self.set.is_usable(clip));
        clips
    }
}
