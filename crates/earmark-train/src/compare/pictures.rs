//! The features of a representation, stacked from cached channels, as training batches and as
//! validation clips.

use std::sync::Arc;

use earmark::augment::{Augmenter, ClipRng, Scratch};
use earmark::dataset::{BatchSampler, FeatureCache, Manifest, Quality, SamplerConfig};
use earmark::features::Features;
use earmark::{Error, Result};

use crate::clips::{Draw, Made, mixed};
use crate::source::{Batch, Batches, Cut, Examples};

/// The features of some clips in memory, each channel shifted and scaled by what the training clips
/// have on average.
pub(super) struct Pictures<'a> {
    manifest: &'a Manifest,
    /// By clip of the manifest; `None` for clips that take no part.
    features: Vec<Option<Arc<Features>>>,
    shape: [usize; 3],
}

impl<'a> Pictures<'a> {
    /// Reads the channels of `training` and `validation` clips; mean and deviation are those of the
    /// training clips.
    ///
    /// # Errors
    /// [`Error::Shape`] if clips or channels differ in size.
    pub(super) fn read(
        manifest: &'a Manifest,
        channels: &[&FeatureCache],
        training: &[usize],
        validation: &[usize],
    ) -> Result<Self> {
        let mut features: Vec<Option<Features>> = vec![None; manifest.clips.len()];
        let mut shape = None;
        for &clip in training.iter().chain(validation) {
            let stacked = stacked(channels, clip)?;
            let expected = *shape.get_or_insert(stacked.shape());
            if stacked.shape() != expected {
                return Err(Error::Shape {
                    what: format!("{}: channels, bands and frames", manifest.clips[clip].name),
                    found: format!("{:?}", stacked.shape()),
                    expected: format!(
                        "{expected:?} like the first clip; `clip.length` or the step \
                         `fixed-frames` gives all clips one size"
                    ),
                });
            }
            features[clip] = Some(stacked);
        }
        let shape = shape.unwrap_or_default();
        for channel in 0..shape[0] {
            let scale = Scale::of(
                training.iter().filter_map(|&clip| features[clip].as_ref()),
                channel,
            );
            features
                .iter_mut()
                .flatten()
                .for_each(|one| scale.apply(one, channel));
        }
        Ok(Self {
            manifest,
            features: features.into_iter().map(|one| one.map(Arc::new)).collect(),
            shape,
        })
    }

    /// Channels, bands and frames.
    pub(super) fn shape(&self) -> [usize; 3] {
        self.shape
    }

    fn get(&self, clip: usize) -> Result<&Features> {
        let features = self.features.get(clip).and_then(Option::as_deref);
        features.ok_or_else(|| Error::Dataset {
            path: self.manifest.root.clone(),
            reason: format!("clip {clip} takes no part in this training"),
        })
    }

    fn target(&self, clip: usize) -> Vec<f32> {
        let mut target = vec![0.0; self.manifest.vocabulary.len()];
        for &label in self.manifest.clips[clip].labels.iter().flatten() {
            target[label] = 1.0;
        }
        target
    }
}

/// All channels of a clip.
fn stacked(channels: &[&FeatureCache], clip: usize) -> Result<Features> {
    let mut all: Option<Features> = None;
    for cache in channels {
        let one = cache.get(clip)?;
        match &mut all {
            None => all = Some(one),
            Some(all) if all.shape()[1..] == one.shape()[1..] => {
                all.data.extend_from_slice(&one.data);
                all.n_channels += one.n_channels;
            }
            Some(all) => {
                return Err(Error::Shape {
                    what: "bands and frames of a channel".to_owned(),
                    found: format!("{:?}", &one.shape()[1..]),
                    expected: format!("{:?} like the first channel", &all.shape()[1..]),
                });
            }
        }
    }
    all.ok_or_else(|| Error::Config {
        key: "channels".to_owned(),
        found: "0".to_owned(),
        expected: "must be at least 1".to_owned(),
    })
}

/// Mean and deviation of a channel.
struct Scale {
    mean: f64,
    deviation: f64,
}

impl Scale {
    fn of<'f>(features: impl Iterator<Item = &'f Features> + Clone, channel: usize) -> Self {
        let values = || {
            features
                .clone()
                .flat_map(move |one| one.channel(channel))
                .map(|x| f64::from(*x))
        };
        let n = values().count().max(1) as f64;
        let mean = values().sum::<f64>() / n;
        let variance = values().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
        Self {
            mean,
            // A channel that is the same everywhere stays at 0.
            deviation: if variance > 0.0 { variance.sqrt() } else { 1.0 },
        }
    }

    fn apply(&self, features: &mut Features, channel: usize) {
        let length = features.n_bands * features.n_frames;
        for value in &mut features.data[channel * length..][..length] {
            *value = ((f64::from(*value) - self.mean) / self.deviation) as f32;
        }
    }
}

/// The training clips.
pub(super) struct TrainingPictures<'a> {
    pictures: &'a Pictures<'a>,
    sampler: BatchSampler,
    augmenter: &'a Augmenter,
    seed: u64,
}

impl<'a> TrainingPictures<'a> {
    pub(super) fn new(
        pictures: &'a Pictures<'a>,
        clips: &[usize],
        sampler: &SamplerConfig,
        augmenter: &'a Augmenter,
    ) -> Result<Self> {
        let lengths = vec![pictures.shape[2]; clips.len()];
        let labels = |clip: &usize| {
            pictures.manifest.clips[*clip]
                .labels
                .as_deref()
                .unwrap_or_default()
        };
        let labels: Vec<&[usize]> = clips.iter().map(labels).collect();
        Ok(Self {
            pictures,
            sampler: BatchSampler::new(sampler, clips, &lengths, &labels)?,
            augmenter,
            seed: sampler.seed,
        })
    }

    fn rng(&self, epoch: usize, draw: Draw) -> ClipRng {
        let name = &self.pictures.manifest.clips[draw.clip].name;
        draw.rng(self.seed, epoch, name)
    }
}

impl Batches for TrainingPictures<'_> {
    fn n_classes(&self) -> usize {
        self.pictures.manifest.vocabulary.len()
    }

    fn plan(&self, epoch: usize) -> Vec<Vec<usize>> {
        let batches = self.sampler.epoch(epoch as u64);
        Draw::written(batches, self.pictures.manifest.clips.len())
    }

    fn batch(&self, epoch: usize, clips: &[usize]) -> Result<Batch> {
        let all = &self.pictures.manifest.clips;
        let draws = Draw::read(clips, all.len());
        let make = |&draw: &Draw| {
            let mut data = self.pictures.get(draw.clip)?.clone();
            let rng = self.rng(epoch, draw);
            self.augmenter
                .features(&mut data, &rng, &mut Scratch::default())?;
            let target = self.pictures.target(draw.clip);
            Ok(Made { data, target })
        };
        let made: Vec<Made<Features>> = draws.iter().map(make).collect::<Result<_>>()?;
        let mixed = mixed(self.augmenter, &made, |at| self.rng(epoch, draws[at]))?;
        let clips = || draws.iter().map(move |draw| &all[draw.clip]);
        Ok(Batch {
            shape: mixed.shape,
            features: mixed.features,
            targets: mixed.targets,
            weights: clips().map(|clip| clip.weight).collect(),
            is_noisy: clips().map(|clip| clip.quality == Quality::Noisy).collect(),
            names: clips().map(|clip| clip.name.clone()).collect(),
        })
    }
}

/// The validation clips.
pub(super) struct ValidationPictures<'a> {
    pub(super) pictures: &'a Pictures<'a>,
    pub(super) clips: &'a [usize],
}

impl Examples for ValidationPictures<'_> {
    fn n_clips(&self) -> usize {
        self.clips.len()
    }

    fn segments(&self, clip: usize) -> Result<Vec<Cut>> {
        let features = self.pictures.get(self.clips[clip])?.clone();
        Ok(vec![Cut {
            features,
            weight: 1.0,
        }])
    }

    fn target(&self, clip: usize) -> Vec<f32> {
        self.pictures.target(self.clips[clip])
    }

    fn name(&self, clip: usize) -> String {
        self.pictures.manifest.clips[self.clips[clip]].name.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use earmark::augment::{AugmentConfig, Material};
    use std::collections::BTreeMap;

    /// Twelve clips of a table, the first alone in its class.
    fn manifest() -> Manifest {
        let folder = tempfile::tempdir().unwrap();
        let mut table = "fname,label,manually_verified\n".to_owned();
        for clip in 0..12 {
            let class = if clip == 0 { "rare" } else { "common" };
            table += &format!("{clip}.wav,{class},1\n");
        }
        std::fs::write(folder.path().join("train.csv"), table).unwrap();
        Manifest::open(folder.path()).unwrap()
    }

    fn features(clip: usize) -> Features {
        let value = |i: usize| ((i * 7 + clip) % 10) as f32;
        Features {
            data: (0..12).map(value).collect(),
            n_channels: 1,
            n_bands: 3,
            n_frames: 4,
        }
    }

    #[test]
    fn a_clip_drawn_again_in_an_epoch_is_changed_in_another_way() {
        let manifest = manifest();
        let pictures = Pictures {
            manifest: &manifest,
            features: (0..12).map(|clip| Some(Arc::new(features(clip)))).collect(),
            shape: [1, 3, 4],
        };
        let config = AugmentConfig::from_toml("[[features]]\nkind = 'lighting'").unwrap();
        let augmenter = Augmenter::new(&config, Material::new(32_000)).unwrap();
        let sampler = SamplerConfig {
            batch_size: 5,
            balance_classes: true,
            seed: 3,
            ..SamplerConfig::default()
        };
        let clips: Vec<usize> = (0..12).collect();
        let training = TrainingPictures::new(&pictures, &clips, &sampler, &augmenter).unwrap();
        let plan = training.plan(4);
        let make = |clips: &Vec<usize>| training.batch(4, clips).unwrap();
        let batches: Vec<Batch> = plan.iter().map(make).collect();
        let mut backwards: Vec<Batch> = plan.iter().rev().map(make).collect();
        backwards.reverse();
        assert_eq!(batches, backwards);
        let mut views: BTreeMap<&str, Vec<&[f32]>> = BTreeMap::new();
        for batch in &batches {
            for (name, view) in batch.names.iter().zip(batch.features.chunks(12)) {
                views.entry(name).or_default().push(view);
            }
        }
        let mut n_again = 0;
        for (name, views) in views {
            let clip = manifest.clips.iter().position(|clip| clip.name == name);
            let mut first = features(clip.unwrap());
            let rng = ClipRng::new(3, 4, name);
            let scratch = &mut Scratch::default();
            augmenter.features(&mut first, &rng, scratch).unwrap();
            assert_eq!(views[0], first.data);
            for (at, view) in views.iter().enumerate() {
                assert!(!views[..at].contains(view), "{name}");
            }
            n_again += views.len() - 1;
        }
        assert!(n_again > 0);
    }
}
