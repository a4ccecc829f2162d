//! A recording in, its features out, block by block where the front end allows it.

use std::sync::atomic::{AtomicBool, Ordering};

use earmark::audio::{AudioStream, OpenOptions, Source};
use earmark::features::{Features, FrontEnd, MAX_CLIP_WIDE_SECS};
use sha2::{Digest as _, Sha256};

use super::Job;

/// What is known of a recording when all of it was heard.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Heard {
    /// The number of samples at the front end's rate.
    pub(super) n_samples: usize,
    pub(super) warning: Option<String>,
}

/// Decodes a recording and hands its features to `take` in order; `None` when it was stopped.
///
/// A front end that streams holds one block; another one holds the recording, of at most ten
/// minutes.
///
/// # Errors
/// What is wrong with the recording, and the errors of `take`.
pub(super) fn listen(
    job: &Job,
    source: Source,
    name: &[u8],
    stop: &AtomicBool,
    mut take: impl FnMut(&Features) -> anyhow::Result<()>,
) -> anyhow::Result<Option<Heard>> {
    let front_end = &job.front_end;
    let options = OpenOptions {
        sample_rate: Some(front_end.sample_rate()),
        truncated: job.truncated,
        ..OpenOptions::default()
    };
    let mut audio = AudioStream::open(source, &options)?;
    let mut n_samples = 0;
    if front_end.clip_wide_settings().is_empty() {
        let mut stream = front_end.stream()?;
        while let Some(block) = audio.next_block()? {
            if stop.load(Ordering::Relaxed) {
                return Ok(None);
            }
            n_samples += block.n_samples();
            take_finite(&stream.push(block.mono())?, &mut take)?;
        }
        take_finite(&stream.finish()?, &mut take)?;
    } else {
        let mut samples = Vec::new();
        while let Some(block) = audio.next_block()? {
            if stop.load(Ordering::Relaxed) {
                return Ok(None);
            }
            samples.extend_from_slice(block.mono());
            check_length(front_end, samples.len(), audio.info().duration_secs)?;
        }
        n_samples = samples.len();
        let features = front_end.compute_seeded(&samples, seed_of(job.seed, name))?;
        take_finite(&features, &mut take)?;
    }
    Ok(Some(Heard {
        n_samples,
        warning: audio.warning().map(str::to_owned),
    }))
}

/// The seed of a clip: another one for each name, the same in every run.
pub(super) fn seed_of(seed: u64, name: &[u8]) -> u64 {
    let mut digest = Sha256::new();
    digest.update(seed.to_le_bytes());
    digest.update(name);
    let mut first = [0; 8];
    first.copy_from_slice(&digest.finalize()[..8]);
    u64::from_le_bytes(first)
}

/// Refuses a recording as soon as it is too long to be held, not when all of it is.
fn check_length(
    front_end: &FrontEnd,
    n_samples: usize,
    duration_secs: Option<f64>,
) -> earmark::Result<()> {
    let rate = f64::from(front_end.sample_rate());
    let secs = n_samples as f64 / rate;
    if secs <= f64::from(MAX_CLIP_WIDE_SECS) {
        return Ok(());
    }
    Err(earmark::Error::ClipTooLong {
        found_secs: duration_secs.map_or(secs, |stated| stated.max(secs)),
        limit_secs: f64::from(MAX_CLIP_WIDE_SECS),
        settings: front_end.clip_wide_settings().join(", "),
    })
}

/// Passes features on, if all of them are numbers.
fn take_finite(
    features: &Features,
    take: &mut impl FnMut(&Features) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    if let Some(value) = features.data.iter().find(|value| !value.is_finite()) {
        anyhow::bail!("the front end gives {value}, expected finite numbers");
    }
    match features.n_frames {
        0 => Ok(()),
        _ => take(features),
    }
}
