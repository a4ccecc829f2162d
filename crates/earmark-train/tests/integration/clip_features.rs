//! Clips on their way into a batch.

use std::collections::BTreeMap;
use std::error::Error;

use crate::common::tones::{SAMPLE_RATE, hiss, tone, write_wav};
use earmark::augment::{AugmentConfig, Augmenter, ClipRng, Material};
use earmark::bundle::SegmentConfig;
use earmark::dataset::cache::Precision;
use earmark::dataset::{CacheOptions, Manifest, SamplerConfig, WaveformCache};
use earmark::features::{FrontEnd, Preset};
use earmark_train::clips::{ClipSet, TrainingClips};
use earmark_train::source::{Batch, Batches as _};

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

#[test]
fn a_clip_drawn_again_in_an_epoch_is_cut_in_another_place() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let sounds = folder.path().join("sounds");
    for clip in 0..12 {
        let class = if clip == 0 { "rare" } else { "common" };
        write_wav(
            &sounds.join(class).join(format!("{clip}.wav")),
            hiss(clip + 1, 0.5),
        )?;
    }
    let manifest = Manifest::open(&sounds)?;
    let config = Preset::named("efficient-at")?.config();
    let front_end = FrontEnd::new(&config)?;
    let mut options = CacheOptions::new(folder.path().join("cache"));
    options.precision = Precision::F32;
    let waveforms = WaveformCache::build(&manifest.clips, SAMPLE_RATE, &options, &())?;
    let segment = SegmentConfig {
        length_secs: 0.25,
        hop_secs: 0.25,
        min_secs: 0.1,
        ..SegmentConfig::efficient_at()
    };
    let length = SAMPLE_RATE as usize / 4;
    let set = ClipSet::new(
        &manifest,
        &waveforms,
        FrontEnd::new(&config)?,
        &segment,
        1.0,
    )?;
    let augmenter = Augmenter::new(&AugmentConfig::default(), Material::new(SAMPLE_RATE))?;
    let sampler = SamplerConfig {
        batch_size: 5,
        balance_classes: true,
        seed: 7,
        ..SamplerConfig::default()
    };
    let clips = TrainingClips::new(&set, (0..12).collect(), &sampler, augmenter)?;
    let plan = clips.plan(2);
    let make = |batch: &Vec<usize>| clips.batch(2, batch);
    let batches: Vec<Batch> = plan.iter().map(make).collect::<Result<_, _>>()?;
    let mut backwards: Vec<Batch> = plan.iter().rev().map(make).collect::<Result<_, _>>()?;
    backwards.reverse();
    assert!(batches == backwards, "the order of asking does not matter");
    let mut views: BTreeMap<&str, Vec<&[f32]>> = BTreeMap::new();
    for batch in &batches {
        let size = batch.features.len() / batch.names.len();
        for (name, view) in batch.names.iter().zip(batch.features.chunks(size)) {
            views.entry(name).or_default().push(view);
        }
    }
    let mut n_again = 0;
    for (name, views) in views {
        let clip = manifest.clips.iter().position(|clip| clip.name == name);
        let samples = waveforms.get(clip.ok_or("a clip of the set")?)?;
        // The first cut is where the stream of the name alone puts it; 100 is the stage of cuts.
        let mut rng = ClipRng::new(sampler.seed, 2, name).stage(100);
        let start = rng.index(samples.len() - length + 1);
        let first = front_end.compute(&samples[start..start + length])?;
        assert!(views[0] == first.data, "{name}");
        for (at, view) in views.iter().enumerate() {
            assert!(!views[..at].contains(view), "{name}");
        }
        n_again += views.len() - 1;
    }
    assert!(n_again > 0);
    Ok(())
}
