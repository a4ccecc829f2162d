//! Which representation of sound serves recognition best: the same small network trained on each,
//! with the same folds and seeds; a table with intervals and tested differences out.
//!
//! ```text
//! CompareConfig ── channels, each computed once ── cache
//!               └─ (representation, fold, seed) ── training ── results/NAME/fold-F-seed-S.json
//!                                                  all of them ── table, differences
//! ```
//!
//! Every training is a file: what an interrupted comparison has is not trained again, and a changed
//! setting trains again what it changes. Each runs on one thread, several side by side, so that the
//! figures do not depend on the number of threads.

pub mod config;
mod pictures;
mod report;
mod training;

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use earmark::augment::{Augmenter, Material};
use earmark::dataset::cache::Precision;
use earmark::dataset::{CacheOptions, FeatureCache, Manifest, Progress};
use earmark::features::FrontEndConfig;
use earmark::{Error, Result};

pub use config::{CompareConfig, NetworkConfig, RepresentationConfig};
pub use report::{FigureTable, Report, Row};
pub use training::Trained;

use crate::device::DeviceChoice;
use crate::run::division::{Division, divide};
use crate::run::{RunDirectory, loss_config, open_data};
use training::Training;

/// Where a comparison runs and writes.
#[derive(Debug, Clone)]
pub struct CompareOptions {
    /// The folder of its results.
    pub directory: PathBuf,
    /// The device of the trainings.
    pub device: DeviceChoice,
    /// Trainings side by side.
    pub jobs: NonZeroUsize,
}

/// Is told how a comparison goes on, from any thread.
pub trait CompareObserver: Progress {
    /// The features of a channel are about to be computed: the `index`-th of `n_channels`.
    fn computing(&self, index: usize, n_channels: usize) {
        let _ = (index, n_channels);
    }

    /// `n_todo` of `n_trainings` trainings are left to do.
    fn training(&self, n_todo: usize, n_trainings: usize) {
        let _ = (n_todo, n_trainings);
    }

    /// A training is done.
    fn trained(&self, trained: &Trained) {
        let _ = trained;
    }

    /// Something worth knowing that stops nothing.
    fn notice(&self, text: &str) {
        let _ = text;
    }
}

impl CompareObserver for () {}

/// Compares representations; `None` after an interruption, from which the same call goes on.
///
/// # Errors
/// What is wrong with configuration, data set, device or disk.
pub fn compare(
    config: &CompareConfig,
    options: &CompareOptions,
    observer: &dyn CompareObserver,
) -> Result<Option<Report>> {
    config.check()?;
    let (manifest, problems) = open_data(&config.data)?;
    problems
        .iter()
        .for_each(|problem| observer.notice(&problem.what));
    let directory = RunDirectory::create(&options.directory)?;
    directory.write_text("config.toml", &config.to_toml()?)?;
    let Some(channels) = Channels::build(config, options, &manifest, observer)? else {
        return Ok(None);
    };
    let usable = channels.usable(&manifest);
    let all_folds = data_of_all_folds(config);
    let divided = divide(&manifest, &all_folds, &usable, config.fold_seed, false)?;
    for &class in &divided.unjudged {
        let name = manifest.vocabulary.name(class);
        observer.notice(&format!(
            "{name}: too few sources, trained but not judged in every fold"
        ));
    }
    let divisions = divided.divisions;
    let augmenter = Augmenter::new(&config.augment, Material::new(config.sample_rate))?;
    let loss = loss_config(&config.train, &manifest);
    let trainings = trainings(config, &divisions);
    let context = training::Context {
        config,
        manifest: &manifest,
        channels: &channels,
        augmenter: &augmenter,
        loss: &loss,
        device: options.device,
        directory: &directory,
    };
    let mut results: Vec<Option<Trained>> = Vec::new();
    for training in &trainings {
        results.push(context.read(training)?);
    }
    let todo: Vec<usize> = (0..results.len())
        .filter(|at| results[*at].is_none())
        .collect();
    observer.training(todo.len(), trainings.len());
    for (at, trained) in todo.iter().zip(run_all(
        &context,
        &trainings,
        &todo,
        options.jobs,
        observer,
    )?) {
        results[*at] = trained;
    }
    let Some(results) = results.into_iter().collect::<Option<Vec<Trained>>>() else {
        return Ok(None);
    };
    let report = report::Report::new(config, &manifest, loss.is_single_label(), &results)?;
    report.write(&directory)?;
    Ok(Some(report))
}

/// The division of the clips: every fold is validated once.
fn data_of_all_folds(config: &CompareConfig) -> crate::run::config::DataConfig {
    crate::run::config::DataConfig {
        validate: crate::run::config::Validate::All,
        ..config.data.clone()
    }
}

/// Every representation on every fold with every seed.
fn trainings<'a>(config: &'a CompareConfig, divisions: &'a [Division]) -> Vec<Training<'a>> {
    let mut trainings = Vec::new();
    for (index, representation) in config.representations.iter().enumerate() {
        for (fold, division) in divisions.iter().enumerate() {
            for &seed in &config.seeds {
                trainings.push(Training {
                    index,
                    representation,
                    fold,
                    division,
                    seed,
                });
            }
        }
    }
    trainings
}

/// Runs trainings side by side; `None` for those that an interruption left out.
fn run_all(
    context: &training::Context<'_>,
    trainings: &[Training<'_>],
    todo: &[usize],
    jobs: NonZeroUsize,
    observer: &dyn CompareObserver,
) -> Result<Vec<Option<Trained>>> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(vec![None; todo.len()]);
    let failure = Mutex::new(None);
    let lock_is_whole = "no thread panics while it holds the lock";
    let work = || {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            if at >= todo.len() || observer.is_cancelled() {
                return;
            }
            match context.train(&trainings[todo[at]], observer) {
                Ok(Some(trained)) => {
                    observer.trained(&trained);
                    observer.advance();
                    results.lock().expect(lock_is_whole)[at] = Some(trained);
                }
                Ok(None) => return,
                Err(error) => {
                    failure.lock().expect(lock_is_whole).get_or_insert(error);
                    next.store(todo.len(), Ordering::Relaxed);
                    return;
                }
            }
        }
    };
    std::thread::scope(|scope| -> Result<()> {
        for _ in 0..jobs.get().min(todo.len()) {
            let pool = one_thread()?;
            let work = &work;
            scope.spawn(move || pool.install(work));
        }
        Ok(())
    })?;
    match failure.into_inner().expect(lock_is_whole) {
        Some(error) => Err(error),
        None => Ok(results.into_inner().expect(lock_is_whole)),
    }
}

/// A pool of one thread: a training does not spread over the cores that others work on.
fn one_thread() -> Result<rayon::ThreadPool> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
    pool.map_err(|error| Error::Io(std::io::Error::other(error)))
}

/// The channels of all representations, each of them computed once.
struct Channels {
    caches: Vec<FeatureCache>,
    /// The channels of each representation.
    of: Vec<Vec<usize>>,
}

impl Channels {
    /// Computes what is not in the cache yet; `None` after an interruption.
    fn build(
        config: &CompareConfig,
        options: &CompareOptions,
        manifest: &Manifest,
        observer: &dyn CompareObserver,
    ) -> Result<Option<Self>> {
        let mut wanted: Vec<FrontEndConfig> = Vec::new();
        let mut of = Vec::new();
        for representation in &config.representations {
            let front_end = config.front_end(representation)?;
            let mut indices = Vec::new();
            for channel in &front_end.channels {
                let alone = FrontEndConfig {
                    channels: vec![channel.clone()],
                    ..front_end.clone()
                };
                let known = wanted.iter().position(|known| *known == alone);
                indices.push(known.unwrap_or(wanted.len()));
                if known.is_none() {
                    wanted.push(alone);
                }
            }
            of.push(indices);
        }
        let beside = || parent(&options.directory).join("cache");
        let mut cache = CacheOptions::new(config.data.cache.clone().unwrap_or_else(beside));
        cache.precision = Precision::F32;
        let mut caches = Vec::new();
        for (index, front_end) in wanted.iter().enumerate() {
            observer.computing(index, wanted.len());
            match FeatureCache::build(&manifest.clips, front_end, &cache, observer) {
                Ok(built) => caches.push(built),
                Err(Error::Cancelled) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        let channels = Self { caches, of };
        channels.report_failures(manifest, observer);
        Ok(Some(channels))
    }

    /// The caches of a representation's channels.
    fn of(&self, representation: usize) -> Vec<&FeatureCache> {
        self.of[representation]
            .iter()
            .map(|at| &self.caches[*at])
            .collect()
    }

    /// The clips that every channel could be computed from: all representations get the same ones.
    fn usable(&self, manifest: &Manifest) -> Vec<usize> {
        let sets: Vec<BTreeSet<usize>> = self
            .caches
            .iter()
            .map(|cache| cache.usable().into_iter().collect())
            .collect();
        let clips = 0..manifest.clips.len();
        clips
            .filter(|clip| sets.iter().all(|set| set.contains(clip)))
            .collect()
    }

    fn report_failures(&self, manifest: &Manifest, observer: &dyn CompareObserver) {
        let mut seen = BTreeSet::new();
        for failure in self.caches.iter().flat_map(FeatureCache::failures) {
            if seen.insert(failure.clip) {
                let name = &manifest.clips[failure.clip].name;
                observer.notice(&format!("{name}: left out: {}", failure.reason));
            }
        }
    }
}

fn parent(directory: &Path) -> &Path {
    directory.parent().unwrap_or(directory)
}
