//! Clips on their way into a batch.

use std::error::Error;

use crate::common::tones::{SAMPLE_RATE, hiss, tone, write_wav};
use earmark::augment::{AugmentConfig, Augmenter, Material};
use earmark::bundle::SegmentConfig;
use earmark::dataset::cache::Precision;
use earmark::dataset::{CacheOptions, Manifest, SamplerConfig, WaveformCache};
use earmark::features::{FrontEnd, Preset};
use earmark_train::clips::{ClipSet, TrainingClips};
use earmark_train::source::Batches as _;

#[test]
fn a_front_end_of_one_size_hears_whole_clips_once() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let secs = |secs: f32| (secs * SAMPLE_RATE as f32) as usize;
    let files = [
        ("tone/a.wav", 0.3),
        ("tone/b.wav", 1.0),
        ("hiss/c.wav", 0.7),
    ];
    for (seed, (name, length)) in (0..).zip(files) {
        let samples = hiss(seed, 0.1).zip(tone(500.0)).map(|(x, y)| x + y);
        write_wav(
            &folder.path().join("sounds").join(name),
            samples.take(secs(length)),
        )?;
    }
    let manifest = Manifest::open(&folder.path().join("sounds"))?;
    // Pictures of the loudest two seconds, whatever the clip's length.
    let front_end = FrontEnd::new(&Preset::named("esp-log-db")?.config())?;
    let mut options = CacheOptions::new(folder.path().join("cache"));
    options.precision = Precision::F32;
    let rate = front_end.sample_rate();
    let waveforms = WaveformCache::build(&manifest.clips, rate, &options, &())?;
    let alone: Vec<f32> = (0..3)
        .map(|clip| Ok(front_end.compute(&waveforms.get(clip)?)?.data))
        .collect::<Result<Vec<_>, earmark::Error>>()?
        .concat();
    let segment = SegmentConfig {
        length_secs: 30.0,
        hop_secs: 30.0,
        min_secs: 0.1,
        ..SegmentConfig::efficient_at()
    };
    let set = ClipSet::new(&manifest, &waveforms, front_end, &segment, 1.0)?;
    let augmenter = Augmenter::new(&AugmentConfig::default(), Material::new(rate))?;
    let sampler = SamplerConfig::default();
    let clips = TrainingClips::new(&set, vec![0, 1, 2], &sampler, augmenter)?;
    let batch = clips.batch(0, &[0, 1, 2])?;
    assert_eq!(batch.shape, [3, 1, 224, 224]);
    assert!(batch.features == alone, "each clip's features are its own");
    // The sound is not asked for again.
    std::fs::remove_dir_all(folder.path().join("cache"))?;
    assert!(clips.batch(1, &[0, 1, 2])? == batch);
    Ok(())
}
