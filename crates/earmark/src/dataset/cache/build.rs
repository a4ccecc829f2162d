//! Filling the cache: every clip is looked up, and computed where it is not there.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use super::super::{Clip, Progress};
use super::entry::Entry;
use super::store::{Bound, Hashes, entry_path, piece};
use super::{CacheOptions, Entries, Failure};
use crate::audio::{AudioStream, OpenOptions};
use crate::{Error, Result};

/// How far behind a file's end a stretch may reach, in seconds: tables round.
const END_SLACK_SECS: f64 = 0.5;

/// Turns a clip's samples into its entry.
type Compute<'a> = &'a (dyn Fn(Vec<f32>) -> Result<Entry> + Sync);

/// A clip's entry, or why there is none.
type Slot = std::result::Result<(PathBuf, usize), Error>;

/// Builds the entries of all clips.
pub(super) fn build(
    clips: &[Clip],
    sample_rate: u32,
    key: &str,
    options: &CacheOptions,
    progress: &dyn Progress,
    compute: Compute<'_>,
) -> Result<Entries> {
    let folder = options.root.join(key);
    fs_err::create_dir_all(&folder)?;
    progress.begin(clips.len());
    let mut hashes = Hashes::open(&options.root);
    let files = hash_files(clips, &hashes, progress)?;
    let known = files
        .iter()
        .filter_map(|(path, file)| Some((path.to_path_buf(), file.hash.as_ref().ok()?.clone())));
    hashes.remember(known.collect::<Vec<_>>());
    hashes.save()?;

    let path_of =
        |clip: &Clip, content: &str| entry_path(&folder, &piece(content, clip.stretch_secs));
    let needed: HashSet<PathBuf> = files
        .values()
        .filter_map(|file| Some((file, &file.hash.as_ref().ok()?.1)))
        .flat_map(|(file, content)| file.clips.iter().map(|at| path_of(&clips[*at], content)))
        .collect();
    let filler = Filler {
        clips,
        open: OpenOptions {
            sample_rate: Some(sample_rate),
            limits: options.limits,
            ..Default::default()
        },
        options,
        progress,
        compute,
        bound: Bound::new(&options.root, &folder, options.max_bytes, needed)?,
        n_computed: AtomicUsize::new(0),
    };
    let slots: Result<Vec<Vec<(usize, Slot)>>> = files
        .into_par_iter()
        .map(|(path, file)| match file.hash {
            Err(error) => Ok(filler.fail_all(&file.clips, error)),
            Ok((_, content)) => filler.fill(path, &file.clips, |clip| path_of(clip, &content)),
        })
        .collect();
    let slots: Vec<(usize, Slot)> = slots?.into_iter().flatten().collect();
    if slots.len() < clips.len() {
        // A file's stretches were not all read: only a cancelled build stops within a file.
        return Err(Error::Cancelled);
    }
    Ok(sort(clips.len(), slots, filler.n_computed.into_inner()))
}

/// The clips of one audio file and its content hash.
struct File {
    clips: Vec<usize>,
    hash: Result<((u64, u128), String)>,
}

/// Groups clips by file, so that a long recording is decoded once for all its stretches, and hashes
/// the files.
fn hash_files<'a>(
    clips: &'a [Clip],
    hashes: &Hashes,
    progress: &dyn Progress,
) -> Result<BTreeMap<&'a Path, File>> {
    let mut by_path = BTreeMap::<&Path, Vec<usize>>::new();
    for (at, clip) in clips.iter().enumerate() {
        by_path.entry(&clip.path).or_default().push(at);
    }
    by_path
        .into_par_iter()
        .map(|(path, clips)| match progress.is_cancelled() {
            true => Err(Error::Cancelled),
            false => Ok((
                path,
                File {
                    clips,
                    hash: hashes.of(path),
                },
            )),
        })
        .collect()
}

/// Puts the slots in the order of the clips.
fn sort(n_clips: usize, found: Vec<(usize, Slot)>, n_computed: usize) -> Entries {
    let mut slots: Vec<Option<(PathBuf, usize)>> = vec![None; n_clips];
    let mut failures = Vec::new();
    for (clip, slot) in found {
        match slot {
            Ok(entry) => slots[clip] = Some(entry),
            Err(reason) => failures.push(Failure { clip, reason }),
        }
    }
    failures.sort_by_key(|failure| failure.clip);
    Entries {
        slots,
        failures,
        n_computed,
    }
}

/// What the threads share.
struct Filler<'a> {
    clips: &'a [Clip],
    open: OpenOptions,
    options: &'a CacheOptions,
    progress: &'a dyn Progress,
    compute: Compute<'a>,
    bound: Bound,
    n_computed: AtomicUsize,
}

impl Filler<'_> {
    /// The slots of one file's clips; only what concerns the cache itself is an error.
    fn fill(
        &self,
        path: &Path,
        clips: &[usize],
        entry_of: impl Fn(&Clip) -> PathBuf,
    ) -> Result<Vec<(usize, Slot)>> {
        if self.progress.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let mut slots = Vec::with_capacity(clips.len());
        let mut absent = Vec::new();
        for at in clips {
            let entry = entry_of(&self.clips[*at]);
            match Entry::probe(&entry) {
                Some(n_frames) => {
                    slots.push((*at, Ok((entry, n_frames))));
                    self.progress.advance();
                }
                None => absent.push(*at),
            }
        }
        if absent.is_empty() {
            return Ok(slots);
        }
        let stretches: Vec<_> = absent
            .iter()
            .map(|at| self.clips[*at].stretch_secs)
            .collect();
        let mut stopped = Ok(());
        let decoded = read_stretches(path, &self.open, &stretches, |stretch, samples| {
            let at = absent[stretch];
            match self.store(samples, entry_of(&self.clips[at])) {
                Ok(slot) => slots.push((at, slot)),
                Err(error) => stopped = Err(error),
            }
            self.progress.advance();
            stopped.is_ok() && !self.progress.is_cancelled()
        });
        stopped?;
        if let Err(error) = decoded {
            let done: HashSet<usize> = slots.iter().map(|(at, _)| *at).collect();
            absent.retain(|at| !done.contains(at));
            slots.extend(self.fail_all(&absent, error));
        }
        Ok(slots)
    }

    /// Computes and writes one entry. The outer error is the cache's, the inner one the clip's.
    fn store(&self, samples: Result<Vec<f32>>, path: PathBuf) -> Result<Slot> {
        let entry = match samples.and_then(|samples| (self.compute)(samples)) {
            Ok(entry) => entry,
            Err(reason) => return Ok(Err(reason)),
        };
        self.bound
            .add(entry.write(&path, self.options.precision)?)?;
        self.n_computed.fetch_add(1, Ordering::Relaxed);
        Ok(Ok((path, entry.n_frames())))
    }

    /// One error for all clips of a file.
    fn fail_all(&self, clips: &[usize], error: Error) -> Vec<(usize, Slot)> {
        let mut reasons = vec![];
        let text = error.to_string();
        let mut first = Some(error);
        for at in clips {
            let reason = first.take().unwrap_or_else(|| Error::Dataset {
                path: self.clips[*at].path.clone(),
                reason: text.clone(),
            });
            reasons.push((*at, Err(reason)));
            self.progress.advance();
        }
        reasons
    }
}

/// Decodes stretches of a file in one pass and hands each over, in any order, as soon as it is
/// complete; `None` is the whole file. `done` returns whether to go on.
///
/// # Errors
/// What the decoder says; stretches handed over before are whole.
pub(in super::super) fn read_stretches(
    path: &Path,
    open: &OpenOptions,
    stretches: &[Option<(f64, f64)>],
    mut done: impl FnMut(usize, Result<Vec<f32>>) -> bool,
) -> Result<()> {
    let mut stream = AudioStream::open(path, open)?;
    let rate = f64::from(stream.sample_rate());
    let mut open_stretches: Vec<Stretch> = stretches
        .iter()
        .enumerate()
        .map(|(index, secs)| Stretch::new(index, *secs, rate))
        .collect();
    let mut at = 0_u64;
    while let Some(block) = stream.next_block()? {
        for stretch in &mut open_stretches {
            stretch.take(at, block.mono());
        }
        at += block.n_samples() as u64;
        let (complete, rest): (Vec<_>, Vec<_>) = open_stretches
            .into_iter()
            .partition(|stretch| stretch.end <= at);
        open_stretches = rest;
        for stretch in complete {
            if !done(stretch.index, Ok(stretch.samples)) {
                return Ok(());
            }
        }
        if open_stretches.is_empty() {
            return Ok(());
        }
    }
    for stretch in open_stretches {
        let (index, samples) = (stretch.index, stretch.at_end(path, at, rate));
        if !done(index, samples) {
            break;
        }
    }
    Ok(())
}

/// A stretch being collected, in samples.
struct Stretch {
    index: usize,
    start: u64,
    /// `u64::MAX` for the end of the file.
    end: u64,
    samples: Vec<f32>,
}

impl Stretch {
    fn new(index: usize, secs: Option<(f64, f64)>, rate: f64) -> Self {
        let (start, end) = secs.unwrap_or((0.0, f64::INFINITY));
        let end = if end.is_finite() {
            (end * rate).round() as u64
        } else {
            u64::MAX
        };
        Self {
            index,
            start: (start * rate).round() as u64,
            end,
            samples: Vec::new(),
        }
    }

    /// Adds what a block beginning at sample `at` holds of it.
    fn take(&mut self, at: u64, block: &[f32]) {
        let from = self.start.saturating_sub(at).min(block.len() as u64) as usize;
        let to = self.end.saturating_sub(at).min(block.len() as u64) as usize;
        if from < to {
            self.samples.extend_from_slice(&block[from..to]);
        }
    }

    /// The samples at the end of the file, unless the stretch reaches far behind it.
    fn at_end(self, path: &Path, length: u64, rate: f64) -> Result<Vec<f32>> {
        let too_far = self.end != u64::MAX && self.end > length + (END_SLACK_SECS * rate) as u64;
        if !too_far && (self.start < length || self.start == 0) {
            return Ok(self.samples);
        }
        let end = if self.end == u64::MAX {
            "the end".to_owned()
        } else {
            format!("{:.3} s", self.end as f64 / rate)
        };
        Err(Error::Dataset {
            path: path.to_owned(),
            reason: format!(
                "the file ends at {:.3} s, the stretch is from {:.3} s to {end}",
                length as f64 / rate,
                self.start as f64 / rate
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::test_support::{clip, sine, write_wav};
    use super::super::{FeatureCache, WaveformCache};
    use super::*;
    use crate::features::{FrontEnd, FrontEndConfig};

    fn clips(folder: &Path) -> Vec<Clip> {
        (0..4)
            .map(|i| {
                let path = folder.join(format!("{i}.wav"));
                write_wav(
                    &path,
                    32_000,
                    &sine(300.0 * (i + 1) as f32, 32_000, 16_000 + 3_000 * i),
                );
                Clip {
                    path,
                    ..clip(&format!("{i}.wav"), &[0])
                }
            })
            .collect()
    }

    #[test]
    fn cached_features_are_the_front_ends() {
        let folder = tempfile::tempdir().unwrap();
        let clips = clips(folder.path());
        let options = CacheOptions::new(folder.path().join("cache"));
        let config = FrontEndConfig::efficient_at();
        let cache = FeatureCache::build(&clips, &config, &options, &()).unwrap();
        assert_eq!((cache.n_computed(), cache.usable().len()), (4, 4));
        let samples = AudioStream::open(clips[2].path.as_path(), &OpenOptions::default())
            .unwrap()
            .read_to_end()
            .unwrap()
            .samples;
        let direct = FrontEnd::new(&config).unwrap().compute(&samples).unwrap();
        let cached = cache.get(2).unwrap();
        assert_eq!(cached.shape(), direct.shape());
        for (a, b) in cached.data.iter().zip(&direct.data) {
            // Half precision keeps 11 bits.
            assert!((a - b).abs() <= b.abs() / 1024.0 + 1e-6, "{a} {b}");
        }
        let part = cache.get_frames(2, 3..7).unwrap();
        assert_eq!(part.row(0, 5), &cached.row(0, 5)[3..7]);
        let again = FeatureCache::build(&clips, &config, &options, &()).unwrap();
        assert_eq!(again.n_computed(), 0);
        assert_eq!(again.get(2).unwrap(), cached);
    }

    #[test]
    fn a_changed_file_and_another_front_end_miss() {
        let folder = tempfile::tempdir().unwrap();
        let clips = clips(folder.path());
        let options = CacheOptions::new(folder.path().join("cache"));
        let config = FrontEndConfig::efficient_at();
        FeatureCache::build(&clips, &config, &options, &()).unwrap();
        write_wav(&clips[1].path, 32_000, &sine(50.0, 32_000, 20_001));
        let changed = FeatureCache::build(&clips, &config, &options, &()).unwrap();
        assert_eq!(changed.n_computed(), 1);
        let waveforms = WaveformCache::build(&clips, 32_000, &options, &()).unwrap();
        assert_eq!(
            (waveforms.n_computed(), waveforms.n_samples(1)),
            (4, Some(20_001))
        );
    }

    #[test]
    fn bad_clips_are_left_out_and_reported() {
        let folder = tempfile::tempdir().unwrap();
        let mut clips = clips(folder.path());
        std::fs::write(&clips[0].path, b"not audio at all").unwrap();
        clips[3].path = folder.path().join("missing.wav");
        let options = CacheOptions::new(folder.path().join("cache"));
        let cache = WaveformCache::build(&clips, 32_000, &options, &()).unwrap();
        assert_eq!(cache.usable(), [1, 2]);
        let failed: Vec<usize> = cache
            .failures()
            .iter()
            .map(|failure| failure.clip)
            .collect();
        assert_eq!(failed, [0, 3]);
        assert!(
            cache.failures()[1]
                .reason
                .to_string()
                .contains("missing.wav")
        );
        assert!(cache.get(0).is_err());
    }

    #[test]
    fn stretches_of_one_file_are_exact() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("long.wav");
        let ramp: Vec<f32> = (0..80_000).map(|i| (i % 1000) as f32 / 1000.0).collect();
        write_wav(&path, 16_000, &ramp);
        let stretch = |from: f64, to: f64| Clip {
            path: path.clone(),
            stretch_secs: Some((from, to)),
            ..clip("long.wav", &[0])
        };
        let clips = [
            stretch(1.0, 2.5),
            stretch(0.0, 5.2),
            stretch(4.0, 9.0),
            stretch(2.0, f64::INFINITY),
        ];
        let options = CacheOptions::new(folder.path().join("cache"));
        let cache = WaveformCache::build(&clips, 16_000, &options, &()).unwrap();
        assert_eq!(cache.usable(), [0, 1, 3]);
        assert_eq!(
            (0..4).map(|clip| cache.n_samples(clip)).collect::<Vec<_>>(),
            [Some(24_000), Some(80_000), None, Some(48_000)]
        );
        let got = cache.get_samples(0, 500..510).unwrap();
        for (got, expected) in got.iter().zip(&ramp[16_500..]) {
            assert!((got - expected).abs() < 1e-3);
        }
        let reason = cache.failures()[0].reason.to_string();
        assert!(
            reason.ends_with("the file ends at 5.000 s, the stretch is from 4.000 s to 9.000 s")
        );
    }

    #[test]
    fn a_full_cache_drops_what_is_longest_unused() {
        let folder = tempfile::tempdir().unwrap();
        let clips = clips(folder.path());
        let mut options = CacheOptions::new(folder.path().join("cache"));
        WaveformCache::build(&clips, 8_000, &options, &()).unwrap();
        // Four clips of 16 000 to 25 000 samples at 32 kHz need about 164 kB.
        options.max_bytes = 170_000;
        let cache = WaveformCache::build(&clips, 32_000, &options, &()).unwrap();
        assert_eq!(cache.usable().len(), 4);
        let folders = || {
            let entries = std::fs::read_dir(folder.path().join("cache"))
                .unwrap()
                .flatten();
            entries.filter(|entry| entry.path().is_dir()).count()
        };
        assert_eq!(folders(), 1);
        options.max_bytes = 100_000;
        let error = WaveformCache::build(&clips, 44_100, &options, &()).unwrap_err();
        assert!(matches!(error, Error::Limit { .. }), "{error}");
    }

    #[test]
    fn a_cancelled_build_keeps_what_is_finished() {
        struct StopAfter(AtomicUsize);
        impl Progress for StopAfter {
            fn advance(&self) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
            fn is_cancelled(&self) -> bool {
                self.0.load(Ordering::Relaxed) >= 2
            }
        }
        let folder = tempfile::tempdir().unwrap();
        let clips = clips(folder.path());
        let options = CacheOptions::new(folder.path().join("cache"));
        let stop = StopAfter(AtomicUsize::new(0));
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(1)
            .build()
            .unwrap();
        let stopped = pool.install(|| WaveformCache::build(&clips, 16_000, &options, &stop));
        assert!(matches!(stopped, Err(Error::Cancelled)));
        let cache = WaveformCache::build(&clips, 16_000, &options, &()).unwrap();
        assert_eq!(cache.n_computed(), 2);
    }
}
