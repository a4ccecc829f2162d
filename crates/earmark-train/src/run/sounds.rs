//! The sounds that augmentation mixes in: folders of backgrounds and impulse responses in, waveforms at
//! the front end's rate out.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use earmark::augment::{AugmentConfig, Material, Sounds};
use earmark::dataset::{CacheOptions, Clip, Progress, Quality, Split, WaveformCache, audio_files};
use earmark::{Error, Result};

use crate::observer::Observer;

/// Decoded sounds, read from the cache when they are asked for.
struct Cached {
    waveforms: WaveformCache,
    usable: Vec<usize>,
}

impl Sounds for Cached {
    fn n_sounds(&self) -> usize {
        self.usable.len()
    }

    fn samples(&self, index: usize) -> Result<Cow<'_, [f32]>> {
        Ok(Cow::Owned(self.waveforms.get(self.usable[index])?))
    }
}

/// Decodes the sounds that the augmentation names.
///
/// # Errors
/// [`Error::Missing`] for a folder without audio, or none of whose files can be decoded;
/// [`Error::Cancelled`], and what writing the cache ends in.
pub(super) fn material(
    config: &AugmentConfig,
    sample_rate: u32,
    cache: &CacheOptions,
    progress: &dyn Progress,
    observer: &mut dyn Observer,
) -> Result<Material> {
    let mut material = Material::new(sample_rate);
    let mut read = |folder: &Path, key: &str| -> Result<Option<Arc<dyn Sounds>>> {
        progress.stage("decoding");
        let sounds = decode(folder, key, sample_rate, cache, progress, observer)?;
        Ok(Some(Arc::new(sounds)))
    };
    if let Some(folder) = &config.backgrounds {
        material.backgrounds = read(folder, "augment.backgrounds")?;
    }
    if let Some(folder) = &config.impulse_responses {
        material.impulse_responses = read(folder, "augment.impulse_responses")?;
    }
    Ok(material)
}

fn decode(
    folder: &Path,
    key: &str,
    sample_rate: u32,
    cache: &CacheOptions,
    progress: &dyn Progress,
    observer: &mut dyn Observer,
) -> Result<Cached> {
    let missing = |reason: String| Error::Missing {
        path: folder.to_owned(),
        reason: format!("{reason}, expected sounds for `{key}`"),
    };
    if !folder.is_dir() {
        return Err(missing("no such folder".to_owned()));
    }
    let clips: Vec<Clip> = audio_files(folder).iter().map(|path| clip(path)).collect();
    if clips.is_empty() {
        return Err(missing("no audio file in it".to_owned()));
    }
    let waveforms = WaveformCache::build(&clips, sample_rate, cache, progress)?;
    for failure in waveforms.failures() {
        observer.notice(&format!("{key}: left out: {}", failure.reason));
    }
    let usable = waveforms.usable();
    if usable.is_empty() {
        return Err(missing(format!(
            "none of {} files can be decoded",
            clips.len()
        )));
    }
    observer.notice(&format!("{key}: {} sounds", usable.len()));
    Ok(Cached { waveforms, usable })
}

/// A file as a clip without labels.
fn clip(path: &Path) -> Clip {
    Clip {
        name: path.display().to_string(),
        path: path.to_owned(),
        labels: None,
        split: Split::Train,
        fold: None,
        weight: 1.0,
        quality: Quality::Curated,
        source: None,
        stretch_secs: None,
        origin: None,
    }
}
