//! The cache: clips in; their front-end output, or their resampled audio, once on disk, out.
//!
//! ```text
//! root/hashes.tsv                     size and time of audio files → content hash
//! root/features-<key>/ab/<piece>.bin  [frame, channel, band] as f16, one file per clip
//! root/waveforms-<key>/…              samples as f16
//! ```
//!
//! * *Ragged*: every entry has its own length; nothing is padded.
//! * *Keyed* by content, not by name: a piece is the SHA-256 of the audio file and the stretch of it;
//!   the folder's key covers the front end's configuration, the program's version and a fingerprint,
//!   the front end's output for a test signal, so that a change of the code misses the cache even
//!   where nobody thought of a version.
//! * *Not held in memory*: a look-up reads the frames that are asked for, through the operating
//!   system's page cache. Frames are contiguous on disk, so a crop is one read.
//! * *Safe to interrupt*: entries appear under their names complete or not at all.
//! * *Bounded*: other keys' folders go first, the longest unused one before the others.
//! * *Honest*: a clip that cannot be decoded or analysed is left out and reported, never zeros.
//!
//! # Examples
//!
//! ```no_run
//! use earmark::dataset::{CacheOptions, FeatureCache, Manifest};
//! use earmark::features::FrontEndConfig;
//!
//! let set = Manifest::open("sounds".as_ref())?;
//! let options = CacheOptions::new("cache".into());
//! let cache = FeatureCache::build(&set.clips, &FrontEndConfig::efficient_at(), &options, &())?;
//! for failure in cache.failures() {
//!     eprintln!("{}: {}", set.clips[failure.clip].name, failure.reason);
//! }
//! for clip in cache.usable() {
//!     let features = cache.get(clip)?;
//!     assert_eq!(features.shape()[1], 128);
//! }
//! # Ok::<(), earmark::Error>(())
//! ```

mod build;
mod entry;
mod key;
mod store;

use std::ops::Range;
use std::path::PathBuf;

use super::{Clip, Progress};
use crate::audio::Limits;
use crate::features::{Features, FrontEnd, FrontEndConfig};
use crate::{Error, Result};

pub(super) use build::read_stretches;
use entry::Entry;

/// How numbers are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// 16 bits: 11 bits of mantissa. A clip with a value beyond ±65504 is kept in 32 bits. Fits
    /// log-mels and waveforms; not linear powers, whose small values it flushes to 0.
    #[default]
    F16,
    /// 32 bits, exactly what the front end computed.
    F32,
}

/// Where and how the cache is kept.
#[derive(Clone, Debug)]
pub struct CacheOptions {
    /// The cache's folder; made if it does not exist.
    pub root: PathBuf,
    /// The largest size of that folder in bytes. Default 64 GiB.
    pub max_bytes: u64,
    /// How numbers are kept. Default 16 bits.
    pub precision: Precision,
    /// Limits on each audio file. The default accepts what the decoder accepts.
    pub limits: Limits,
}

impl CacheOptions {
    /// The defaults, in a folder.
    pub fn new(root: PathBuf) -> Self {
        Self {
            root,
            max_bytes: 64 << 30,
            precision: Precision::default(),
            limits: Limits::default(),
        }
    }
}

/// A clip that is not in the cache, and why.
#[derive(Debug)]
pub struct Failure {
    /// The clip's position in the list that the cache was built from.
    pub clip: usize,
    /// What is wrong with it.
    pub reason: Error,
}

/// Front-end output of clips on disk.
#[derive(Debug)]
pub struct FeatureCache {
    entries: Entries,
    front_end: FrontEnd,
}

impl FeatureCache {
    /// Computes what is not there yet, in parallel on the current rayon pool, and opens the cache.
    ///
    /// # Errors
    /// [`Error::Cancelled`] if `progress` says so (what is finished stays), [`Error::Io`] if the
    /// cache cannot be written (a full disk), [`Error::Limit`] if the clips need more than
    /// `max_bytes`, [`Error::Config`] for an impossible front end. Bad clips are no error: see
    /// [`failures`](Self::failures).
    pub fn build(
        clips: &[Clip],
        front_end: &FrontEndConfig,
        options: &CacheOptions,
        progress: &dyn Progress,
    ) -> Result<Self> {
        let front_end = FrontEnd::new(front_end)?;
        let key = key::of_features(&front_end, options.precision)?;
        let compute = |samples: Vec<f32>| {
            let features = front_end.compute(&samples)?;
            Ok(Entry::from_features(&features))
        };
        let entries = build::build(
            clips,
            front_end.sample_rate(),
            &key,
            options,
            progress,
            &compute,
        )?;
        Ok(Self { entries, front_end })
    }

    /// The front end whose output is cached.
    pub fn front_end(&self) -> &FrontEnd {
        &self.front_end
    }

    /// A clip's features, `[channel, band, frame]`.
    ///
    /// # Errors
    /// [`Error::Dataset`] for a clip that was left out, [`Error::Io`] if its entry is gone.
    pub fn get(&self, clip: usize) -> Result<Features> {
        let n_frames = self.n_frames(clip).unwrap_or(0);
        self.get_frames(clip, 0..n_frames)
    }

    /// Some consecutive frames of a clip, read alone from disk.
    ///
    /// # Errors
    /// As for [`get`](Self::get), and [`Error::Shape`] for frames that the clip does not have.
    pub fn get_frames(&self, clip: usize, frames: Range<usize>) -> Result<Features> {
        Ok(self.entries.read(clip, frames)?.into_features())
    }

    /// The number of frames of a clip; `None` if it was left out.
    pub fn n_frames(&self, clip: usize) -> Option<usize> {
        self.entries.n_frames(clip)
    }

    /// The clips that are in the cache.
    pub fn usable(&self) -> Vec<usize> {
        self.entries.usable()
    }

    /// The clips that are not, with the reasons.
    pub fn failures(&self) -> &[Failure] {
        &self.entries.failures
    }

    /// How many clips were computed by this call and not found on disk.
    pub fn n_computed(&self) -> usize {
        self.entries.n_computed
    }
}

/// Resampled audio of clips on disk.
#[derive(Debug)]
pub struct WaveformCache {
    entries: Entries,
    sample_rate: u32,
}

impl WaveformCache {
    /// Decodes, mixes and resamples what is not there yet, in parallel on the current rayon pool, and
    /// opens the cache.
    ///
    /// # Errors
    /// As for [`FeatureCache::build`].
    pub fn build(
        clips: &[Clip],
        sample_rate: u32,
        options: &CacheOptions,
        progress: &dyn Progress,
    ) -> Result<Self> {
        let key = key::of_waveforms(sample_rate, options.precision)?;
        let compute = |samples: Vec<f32>| match samples.is_empty() {
            false => Ok(Entry::from_samples(samples)),
            true => Err(Error::ClipTooShort {
                found: 0,
                needed: 1,
            }),
        };
        let entries = build::build(clips, sample_rate, &key, options, progress, &compute)?;
        Ok(Self {
            entries,
            sample_rate,
        })
    }

    /// Samples per second of every waveform, in Hz.
    pub fn sample_rate(&self) -> u32 {
        self.sample_rate
    }

    /// A clip's samples.
    ///
    /// # Errors
    /// [`Error::Dataset`] for a clip that was left out, [`Error::Io`] if its entry is gone.
    pub fn get(&self, clip: usize) -> Result<Vec<f32>> {
        let n_samples = self.n_samples(clip).unwrap_or(0);
        self.get_samples(clip, 0..n_samples)
    }

    /// Some consecutive samples of a clip, read alone from disk.
    ///
    /// # Errors
    /// As for [`get`](Self::get), and [`Error::Shape`] for samples that the clip does not have.
    pub fn get_samples(&self, clip: usize, samples: Range<usize>) -> Result<Vec<f32>> {
        Ok(self.entries.read(clip, samples)?.values)
    }

    /// The number of samples of a clip; `None` if it was left out.
    pub fn n_samples(&self, clip: usize) -> Option<usize> {
        self.entries.n_frames(clip)
    }

    /// The clips that are in the cache.
    pub fn usable(&self) -> Vec<usize> {
        self.entries.usable()
    }

    /// The clips that are not, with the reasons.
    pub fn failures(&self) -> &[Failure] {
        &self.entries.failures
    }

    /// How many clips were computed by this call and not found on disk.
    pub fn n_computed(&self) -> usize {
        self.entries.n_computed
    }
}

/// Where each clip's entry lies.
#[derive(Debug)]
struct Entries {
    /// Entry file and number of frames by clip; `None` for clips that were left out.
    slots: Vec<Option<(PathBuf, usize)>>,
    failures: Vec<Failure>,
    n_computed: usize,
}

impl Entries {
    fn n_frames(&self, clip: usize) -> Option<usize> {
        self.slots
            .get(clip)?
            .as_ref()
            .map(|(_, n_frames)| *n_frames)
    }

    fn usable(&self) -> Vec<usize> {
        (0..self.slots.len())
            .filter(|clip| self.slots[*clip].is_some())
            .collect()
    }

    fn read(&self, clip: usize, frames: Range<usize>) -> Result<Entry> {
        match self.slots.get(clip) {
            Some(Some((path, n_frames)))
                if frames.start <= frames.end && frames.end <= *n_frames =>
            {
                Entry::read(path, frames)
            }
            Some(Some((_, n_frames))) => Err(Error::Shape {
                what: format!("frames of clip {clip}"),
                found: format!("{frames:?}"),
                expected: format!("a range within 0..{n_frames}"),
            }),
            _ => Err(Error::Dataset {
                path: PathBuf::from(format!("clip {clip}")),
                reason: "left out of the cache because it could not be read".to_owned(),
            }),
        }
    }
}
