//! Clips of a data set as training batches and as validation segments.
//!
//! ```text
//! waveform cache ── crop ── augment ── mix ── front end ── augment ── mix ── batch
//!               └─ segments of the whole clip ── front end ────────────── validation
//! ```
//!
//! Validation cuts clips as the tagger does. Training takes one segment's length at a random place
//! of a longer clip, unless the augmentation crops by itself.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use earmark::audio::PlaybackSpeed;
use earmark::augment::{Augmenter, ClipRng, Mixture, Partner, Partners, Scratch};
use earmark::bundle::{Aggregation, Segment, SegmentConfig, Segmenter};
use earmark::dataset::{BatchSampler, Manifest, Quality, SamplerConfig, WaveformCache};
use earmark::features::{Features, FrontEnd};
use earmark::{Error, Result};
use rayon::prelude::*;

use crate::source::{Batch, Batches, Cut, Examples};

/// The stream of a clip's random numbers that places its crop.
const CROP: u64 = 100;

/// Features of unchanged clips are kept in memory up to this many values in all.
const MAX_KEPT: usize = 1 << 28;

/// A data set's clips with all that turns them into features.
pub struct ClipSet<'a> {
    manifest: &'a Manifest,
    waveforms: &'a WaveformCache,
    front_end: FrontEnd,
    segmenter: Segmenter,
    speeds: Vec<PlaybackSpeed>,
    aggregation: Aggregation,
    noisy_weight: f32,
    /// Features of clips that fit into one segment, by clip, once they were needed.
    kept: Option<Vec<OnceLock<Arc<Features>>>>,
}

impl<'a> ClipSet<'a> {
    /// The clips of a manifest whose audio is in a cache.
    ///
    /// # Errors
    /// [`Error::SampleRate`] if the cache is at another rate than the front end, and
    /// [`Error::Config`] for impossible segments.
    pub fn new(
        manifest: &'a Manifest,
        waveforms: &'a WaveformCache,
        front_end: FrontEnd,
        segment: &SegmentConfig,
        noisy_weight: f32,
    ) -> Result<Self> {
        if waveforms.sample_rate() != front_end.sample_rate() {
            return Err(Error::SampleRate {
                found: waveforms.sample_rate(),
                expected: front_end.sample_rate(),
            });
        }
        let segmenter = segment.in_samples(front_end.sample_rate())?;
        let n_clips = manifest.clips.len();
        let frames = match front_end.n_frames(segmenter.length()) {
            // Where silence is trimmed, a clip has about as many frames or fewer.
            Err(Error::NeedsWholeClip { .. }) => front_end
                .hop_length()
                .map_or(segmenter.length(), |hop| segmenter.length() / hop + 1),
            frames => frames?,
        };
        let largest = n_clips * frames * front_end.n_bands() * front_end.n_channels();
        let slots = || (0..n_clips).map(|_| OnceLock::new()).collect();
        Ok(Self {
            manifest,
            waveforms,
            front_end,
            segmenter,
            speeds: segment.speeds.clone(),
            aggregation: segment.aggregation,
            noisy_weight,
            kept: (largest <= MAX_KEPT).then(slots),
        })
    }

    /// The frames of a whole segment, or `None` where what a clip holds decides.
    pub fn segment_frames(&self) -> Option<usize> {
        self.front_end.n_frames(self.segmenter.length()).ok()
    }

    /// The classes of a clip as `[class]`, 0 or 1.
    fn target(&self, clip: usize) -> Vec<f32> {
        let mut target = vec![0.0; self.manifest.vocabulary.len()];
        for &label in self.manifest.clips[clip].labels.iter().flatten() {
            target[label] = 1.0;
        }
        target
    }

    /// How much a clip counts in the loss; one without labels only hears its teacher.
    pub fn weight(&self, clip: usize) -> f32 {
        let clip = &self.manifest.clips[clip];
        if clip.labels.is_none() {
            return 0.0;
        }
        match clip.quality {
            Quality::Curated => clip.weight,
            Quality::Noisy => clip.weight * self.noisy_weight,
        }
    }

    /// Whether nobody checked a clip's labels.
    pub fn is_noisy(&self, clip: usize) -> bool {
        self.manifest.clips[clip].quality == Quality::Noisy
    }

    /// The features of a clip that fits into one segment.
    fn whole(&self, clip: usize) -> Result<Arc<Features>> {
        let slot = self.kept.as_ref().map(|kept| &kept[clip]);
        if let Some(features) = slot.and_then(OnceLock::get) {
            return Ok(features.clone());
        }
        let mut samples = self.waveforms.get(clip)?;
        let padded = self.segmenter.all(samples.len() as u64).next();
        self.segmenter
            .pad(&mut samples, padded.map_or(0, |s| s.padded_len));
        let features = Arc::new(self.front_end.compute(&samples)?);
        if let Some(slot) = slot {
            // Another thread may have been faster; it computed the same.
            let _ = slot.set(features.clone());
        }
        Ok(features)
    }

    /// Whether clips of these lengths, each padded for itself, have as many frames.
    fn are_of_one_size(&self, shortest: usize, longest: usize) -> bool {
        let frames = |n_samples: usize| {
            let padded = self.segmenter.all(n_samples as u64).next();
            let n_samples = padded.map_or(n_samples, |s| s.padded_len.max(n_samples));
            self.front_end.n_frames(n_samples).ok()
        };
        let n_frames = frames(shortest);
        shortest == longest || n_frames.is_some() && n_frames == frames(longest)
    }

    /// The features of a segment's samples.
    fn cut(&self, mut samples: Vec<f32>, segment: &Segment) -> Result<Cut> {
        self.segmenter.pad(&mut samples, segment.padded_len);
        Ok(Cut {
            features: self.front_end.compute(&samples)?,
            weight: segment.len as f64,
        })
    }

    /// Whether a clip's audio could be read.
    pub fn is_usable(&self, clip: usize) -> bool {
        self.waveforms.n_samples(clip).is_some()
    }

    fn n_samples(&self, clip: usize) -> usize {
        self.waveforms.n_samples(clip).unwrap_or(0)
    }
}

/// The training clips of a run.
pub struct TrainingClips<'a> {
    set: &'a ClipSet<'a>,
    clips: Vec<usize>,
    sampler: BatchSampler,
    augmenter: Augmenter,
    seed: u64,
    /// Targets in place of the labels, by clip.
    targets: BTreeMap<usize, Vec<f32>>,
}

/// A clip as an epoch draws it. With replacement an epoch draws a clip several times, and each time it is
/// changed in another way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Draw {
    pub(crate) clip: usize,
    /// The draws of the clip before this one in the epoch.
    n_before: usize,
}

impl Draw {
    /// The batches of an epoch with draws in place of clips, each written as `clip + n_clips · n_before`: a batch
    /// says by itself which draws it holds, and a clip's first one is written as the clip.
    pub(crate) fn written(mut batches: Vec<Vec<usize>>, n_clips: usize) -> Vec<Vec<usize>> {
        let mut n_drawn = vec![0_usize; n_clips];
        for number in batches.iter_mut().flatten() {
            let clip = *number;
            *number += n_clips * n_drawn[clip];
            n_drawn[clip] += 1;
        }
        batches
    }

    /// The draws of a batch, written so.
    pub(crate) fn read(batch: &[usize], n_clips: usize) -> Vec<Self> {
        let read = |number: &usize| Self {
            clip: number % n_clips,
            n_before: number / n_clips,
        };
        batch.iter().map(read).collect()
    }

    /// The stream of the draw; the first draw of a clip has the stream of the name alone.
    pub(crate) fn rng(self, seed: u64, epoch: usize, name: &str) -> ClipRng {
        let epoch = epoch as u64;
        match self.n_before {
            0 => ClipRng::new(seed, epoch, name),
            n_before => ClipRng::new(seed, epoch, format!("{name}\0{n_before}")),
        }
    }
}

/// A clip on its way into a batch: samples or features, and the target.
pub(crate) struct Made<T> {
    pub(crate) data: T,
    pub(crate) target: Vec<f32>,
}

/// Features and targets of a batch, each clip mixed with others of the batch where the settings mix
/// features; `rng` is the stream of the clip at a position.
pub(crate) fn mixed(
    augmenter: &Augmenter,
    made: &[Made<Features>],
    rng: impl Fn(usize) -> ClipRng + Sync,
) -> Result<Mixed> {
    let first = made.first().map(|m| &m.data);
    let shape = first.map_or([0; 3], |f| [f.n_channels, f.n_bands, f.n_frames]);
    let others: Vec<Partner<'_>> = made
        .iter()
        .map(|m| Partner {
            data: &m.data.data,
            target: &m.target,
        })
        .collect();
    let mixed: Vec<Made<Vec<f32>>> = made
        .par_iter()
        .enumerate()
        .map(|(at, one)| {
            let (mut data, mut target) = (one.data.data.clone(), one.target.clone());
            let mixture = Mixture {
                data: &mut data,
                n_rows: shape[0] * shape[1],
                target: &mut target,
            };
            let mut partners = others.as_slice();
            augmenter.mix_features(mixture, &mut partners, &rng(at), &mut Scratch::default())?;
            Ok(Made { data, target })
        })
        .collect::<Result<_>>()?;
    let each = mixed.iter();
    Ok(Mixed {
        shape: [made.len(), shape[0], shape[1], shape[2]],
        features: each.clone().flat_map(|m| m.data.iter().copied()).collect(),
        targets: each.flat_map(|m| m.target.iter().copied()).collect(),
    })
}

/// The numbers of a batch, see [`Batch`].
pub(crate) struct Mixed {
    pub(crate) shape: [usize; 4],
    pub(crate) features: Vec<f32>,
    pub(crate) targets: Vec<f32>,
}

impl<'a> TrainingClips<'a> {
    /// These clips of a set, in batches.
    ///
    /// # Errors
    /// [`Error::Config`] if there is no clip.
    pub fn new(
        set: &'a ClipSet<'a>,
        clips: Vec<usize>,
        sampler: &SamplerConfig,
        augmenter: Augmenter,
    ) -> Result<Self> {
        let lengths: Vec<usize> = clips.iter().map(|&clip| set.n_samples(clip)).collect();
        let labels: Vec<&[usize]> = clips
            .iter()
            .map(|&clip| {
                set.manifest.clips[clip]
                    .labels
                    .as_deref()
                    .unwrap_or_default()
            })
            .collect();
        Ok(Self {
            sampler: BatchSampler::new(sampler, &clips, &lengths, &labels)?,
            seed: sampler.seed,
            set,
            clips,
            augmenter,
            targets: BTreeMap::new(),
        })
    }

    /// The same clips, some of which learn other targets `[class]` than their labels.
    pub fn with_targets(self, targets: BTreeMap<usize, Vec<f32>>) -> Self {
        Self { targets, ..self }
    }

    fn target(&self, clip: usize) -> Vec<f32> {
        let own = self.targets.get(&clip);
        own.cloned().unwrap_or_else(|| self.set.target(clip))
    }

    /// Whether waveforms go into the front end as they are.
    fn leaves_waveforms_alone(&self) -> bool {
        let config = self.augmenter.config();
        config.waveform.is_empty() && config.mix_waveforms.is_empty()
    }

    /// The stream of a clip; a partner in a mix is another example of its clip.
    fn rng(&self, epoch: usize, draw: Draw, role: &str) -> ClipRng {
        let name = format!("{}{role}", self.set.manifest.clips[draw.clip].name);
        draw.rng(self.seed, epoch, &name)
    }

    /// A segment's length of a clip, augmented.
    fn waveform(&self, clip: usize, rng: &ClipRng) -> Result<Vec<f32>> {
        let n_samples = self.set.n_samples(clip);
        let length = self.set.segmenter.length();
        let mut samples = match n_samples > length {
            true => {
                let start = rng.stage(CROP).index(n_samples - length + 1);
                self.set
                    .waveforms
                    .get_samples(clip, start..start + length)?
            }
            false => self.set.waveforms.get(clip)?,
        };
        self.augmenter
            .waveform(&mut samples, rng, &mut Scratch::default())?;
        Ok(samples)
    }

    /// Brings a waveform to a length: cut at a random place, or padded as the tagger pads.
    fn fit(&self, samples: &mut Vec<f32>, length: usize, rng: &ClipRng) {
        if samples.len() > length {
            let start = rng.stage(CROP + 1).index(samples.len() - length + 1);
            samples.drain(..start);
            samples.truncate(length);
        }
        self.set.segmenter.pad(samples, length);
    }

    /// The augmented features of every clip of a batch, all of one size.
    fn features(&self, epoch: usize, draws: &[Draw]) -> Result<Vec<Made<Features>>> {
        let set = self.set;
        let lengths = || draws.iter().map(move |draw| set.n_samples(draw.clip));
        let longest = lengths().max().unwrap_or(0);
        let shortest = lengths().min().unwrap_or(0);
        let length = self.set.segmenter.length();
        let fit = longest <= length && self.set.are_of_one_size(shortest, longest);
        if fit && self.leaves_waveforms_alone() {
            return draws
                .par_iter()
                .map(|&draw| {
                    let mut features = (*self.set.whole(draw.clip)?).clone();
                    let rng = self.rng(epoch, draw, "");
                    self.augmenter
                        .features(&mut features, &rng, &mut Scratch::default())?;
                    Ok(Made {
                        data: features,
                        target: self.target(draw.clip),
                    })
                })
                .collect();
        }
        let waveforms: Vec<Vec<f32>> = draws
            .par_iter()
            .map(|&draw| self.waveform(draw.clip, &self.rng(epoch, draw, "")))
            .collect::<Result<_>>()?;
        let longest = waveforms.iter().map(Vec::len).max().unwrap_or(0);
        let full = self.set.segmenter.all(longest as u64).next();
        let length = full.map_or(longest, |segment| segment.padded_len.max(longest));
        draws
            .par_iter()
            .zip(waveforms)
            .map(|(&draw, samples)| self.features_of(epoch, draw, samples, length))
            .collect()
    }

    /// Mixes a waveform, runs the front end and augments the features.
    fn features_of(
        &self,
        epoch: usize,
        draw: Draw,
        mut samples: Vec<f32>,
        length: usize,
    ) -> Result<Made<Features>> {
        let rng = self.rng(epoch, draw, "");
        let mut scratch = Scratch::default();
        let mut target = self.target(draw.clip);
        self.fit(&mut samples, length, &rng);
        let mut partners = Drawn::new(
            |partner: usize| {
                let other = Draw {
                    clip: partner,
                    ..draw
                };
                let rng = self.rng(epoch, other, &format!(" with {}", draw.clip));
                let mut data = self.waveform(partner, &rng)?;
                self.fit(&mut data, length, &rng);
                Ok(data)
            },
            self,
        );
        let mixture = Mixture {
            data: &mut samples,
            n_rows: 1,
            target: &mut target,
        };
        self.augmenter
            .mix_waveforms(mixture, &mut partners, &rng, &mut scratch)?;
        let mut features = self.set.front_end.compute(&samples)?;
        self.augmenter.features(&mut features, &rng, &mut scratch)?;
        Ok(Made {
            data: features,
            target,
        })
    }
}

impl TrainingClips<'_> {
    /// Refuses features of a batch that differ in size.
    fn check_shapes(&self, draws: &[Draw], made: &[Made<Features>]) -> Result<()> {
        let shape = made.first().map_or([0; 3], |first| first.data.shape());
        let odd = draws
            .iter()
            .zip(made)
            .find(|(_, m)| m.data.shape() != shape);
        match odd {
            None => Ok(()),
            Some((draw, m)) => Err(Error::Shape {
                what: format!(
                    "{}: frames beside the other clips of a batch",
                    self.set.manifest.clips[draw.clip].name
                ),
                found: m.data.n_frames.to_string(),
                expected: format!(
                    "{}, as a step such as {{ kind = \"crop\", frames = 256 }} in `augment.features` \
                     makes of all (a front end that trims silence needs one)",
                    shape[2]
                ),
            }),
        }
    }
}

/// Partners for a mix: training clips drawn at random and made by a function.
struct Drawn<'a, F> {
    make: F,
    clips: &'a TrainingClips<'a>,
    data: Vec<f32>,
    target: Vec<f32>,
}

impl<'a, F: FnMut(usize) -> Result<Vec<f32>>> Drawn<'a, F> {
    fn new(make: F, clips: &'a TrainingClips<'a>) -> Self {
        Self {
            make,
            clips,
            data: Vec::new(),
            target: Vec::new(),
        }
    }
}

impl<F: FnMut(usize) -> Result<Vec<f32>>> Partners for Drawn<'_, F> {
    fn draw(&mut self, rng: &mut ClipRng) -> Result<Partner<'_>> {
        let clip = self.clips.clips[rng.index(self.clips.clips.len())];
        self.data = (self.make)(clip)?;
        self.target = self.clips.target(clip);
        Ok(Partner {
            data: &self.data,
            target: &self.target,
        })
    }
}

impl Batches for TrainingClips<'_> {
    fn n_classes(&self) -> usize {
        self.set.manifest.vocabulary.len()
    }

    fn plan(&self, epoch: usize) -> Vec<Vec<usize>> {
        let batches = self.sampler.epoch(epoch as u64);
        Draw::written(batches, self.set.manifest.clips.len())
    }

    /// Mixing of features draws its partners from the batch.
    fn batch(&self, epoch: usize, clips: &[usize]) -> Result<Batch> {
        let draws = Draw::read(clips, self.set.manifest.clips.len());
        let made = self.features(epoch, &draws)?;
        self.check_shapes(&draws, &made)?;
        let mixed = mixed(&self.augmenter, &made, |at| self.rng(epoch, draws[at], ""))?;
        let clips = || draws.iter().map(|draw| draw.clip);
        Ok(Batch {
            shape: mixed.shape,
            features: mixed.features,
            targets: mixed.targets,
            weights: clips().map(|clip| self.set.weight(clip)).collect(),
            is_noisy: clips().map(|clip| self.set.is_noisy(clip)).collect(),
            names: clips()
                .map(|clip| self.set.manifest.clips[clip].name.clone())
                .collect(),
        })
    }
}

/// The validation clips of a run.
pub struct ValidationClips<'a> {
    set: &'a ClipSet<'a>,
    clips: Vec<usize>,
    /// How fast clips are played, one after the other; `None` is their own speed.
    speeds: Vec<Option<PlaybackSpeed>>,
}

impl<'a> ValidationClips<'a> {
    /// These clips of a set, as they are judged: at every speed that the set's segments name.
    pub fn new(set: &'a ClipSet<'a>, clips: Vec<usize>) -> Self {
        Self {
            set,
            clips,
            speeds: std::iter::once(None)
                .chain(set.speeds.iter().copied().map(Some))
                .collect(),
        }
    }

    /// These clips of a set at one speed alone; `None` is their own.
    pub fn at_one_speed(
        set: &'a ClipSet<'a>,
        clips: Vec<usize>,
        speed: Option<PlaybackSpeed>,
    ) -> Self {
        Self {
            set,
            clips,
            speeds: vec![speed],
        }
    }

    /// The clips, in order.
    pub fn clips(&self) -> &[usize] {
        &self.clips
    }
}

impl ClipSet<'_> {
    /// The segments of a clip at its own speed.
    fn cuts(&self, clip: usize) -> Result<Vec<Cut>> {
        let n_samples = self.n_samples(clip);
        if n_samples <= self.segmenter.length() {
            return Ok(vec![Cut {
                features: (*self.whole(clip)?).clone(),
                weight: n_samples as f64,
            }]);
        }
        let cut = |segment: Segment| {
            let start = segment.start as usize;
            let samples = self
                .waveforms
                .get_samples(clip, start..start + segment.len)?;
            self.cut(samples, &segment)
        };
        self.segmenter.all(n_samples as u64).map(cut).collect()
    }

    /// The segments of a clip that is played at another speed, their weights as long as in the clip.
    fn played_cuts(&self, clip: usize, speed: PlaybackSpeed) -> Result<Vec<Cut>> {
        let played = speed.play(&self.waveforms.get(clip)?)?;
        let cut = |segment: Segment| {
            let start = segment.start as usize;
            let samples = played[start..start + segment.len].to_vec();
            let cut = self.cut(samples, &segment)?;
            Ok(Cut {
                weight: cut.weight * speed.factor(),
                ..cut
            })
        };
        self.segmenter.all(played.len() as u64).map(cut).collect()
    }
}

impl Examples for ValidationClips<'_> {
    fn n_clips(&self) -> usize {
        self.clips.len()
    }

    fn segments(&self, clip: usize) -> Result<Vec<Cut>> {
        let (set, clip) = (self.set, self.clips[clip]);
        let mut cuts = Vec::new();
        for speed in &self.speeds {
            cuts.extend(match *speed {
                None => set.cuts(clip)?,
                Some(speed) => set.played_cuts(clip, speed)?,
            });
        }
        Ok(cuts)
    }

    fn aggregation(&self) -> Aggregation {
        self.set.aggregation
    }

    fn target(&self, clip: usize) -> Vec<f32> {
        self.set.target(self.clips[clip])
    }

    fn name(&self, clip: usize) -> String {
        self.set.manifest.clips[self.clips[clip]].name.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_of_a_clip_are_told_apart_and_the_first_is_the_clip() {
        let clips = vec![vec![2, 0, 2], vec![1, 2], vec![0]];
        let written = Draw::written(clips.clone(), 3);
        assert_eq!(written, [vec![2, 0, 5], vec![1, 8], vec![3]]);
        let n_before = [vec![0, 0, 1], vec![0, 2], vec![1]];
        for (batch, (clips, n_before)) in written.iter().zip(clips.iter().zip(n_before)) {
            let draws = Draw::read(batch, 3);
            assert!(draws.iter().map(|draw| draw.clip).eq(clips.iter().copied()));
            assert!(draws.iter().map(|draw| draw.n_before).eq(n_before));
        }
    }

    #[test]
    fn only_the_first_draw_has_the_stream_of_the_clip() {
        let stream = |mut rng: ClipRng| [(); 4].map(|()| rng.unit_f64());
        let draws = Draw::read(&[1, 4, 7], 3);
        let [first, second, third] =
            [0_usize, 1, 2].map(|at| stream(draws[at].rng(9, 2, "dog.wav")));
        assert_eq!(first, stream(ClipRng::new(9, 2, "dog.wav")));
        assert_ne!(first, second);
        assert_ne!(first, third);
        assert_ne!(second, third);
    }
}
