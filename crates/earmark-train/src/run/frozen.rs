//! A graph of another program as a frozen embedder: its bundle's runtime computes every segment's
//! embedding once, and a head is trained on those.
//!
//! ```text
//! clip ── segments ── front end ── runtime ── embeddings, kept ── head ── logits
//! ```
//!
//! The head is an ordinary network whose input is an embedding as channels of one band and one frame,
//! so that probes, training, scoring and checkpoints need to know nothing of this. The bundle in the
//! end is one graph: the other program's up to its embedding, then the head.

use std::collections::BTreeMap;

use earmark::bundle::{Aggregation, Bundle, Input as BundleInput};
use earmark::dataset::{BatchSampler, Progress, SamplerConfig};
use earmark::features::{ClipConfig, Features, FrontEnd, FrontEndConfig, Representation};
use earmark::model::{Architecture, Input, parts};
use earmark::runtime::{self, Batch as Given, Runtime, RuntimeChoice};
use earmark::{Error, Result};
use rayon::prelude::*;

use super::RunConfig;
use crate::clips::{ClipSet, ValidationClips};
use crate::probe::Layers;
use crate::source::{Batch, Batches, Cut, Examples};
use crate::trainer::Scope;

/// Values of a head's hidden layer where the configuration names none.
const HIDDEN: usize = 256;

/// The share of hidden values that training leaves out.
const DROPOUT: f32 = 0.3;

/// A bundle of another program with its runtime.
pub(super) struct Frozen {
    pub(super) bundle: Bundle,
    runtime: Box<dyn Runtime>,
    takes_waveforms: bool,
    hidden: usize,
}

impl Frozen {
    /// Loads the graph of a bundle that holds no network of ours.
    ///
    /// # Errors
    /// [`Error::Config`] for settings that a frozen graph cannot follow, [`Error::Bundle`] if it has
    /// no embedding, [`Error::Runtime`] if no runtime takes it.
    pub(super) fn new(bundle: Bundle, config: &RunConfig) -> Result<Self> {
        let file = bundle.file().to_owned();
        let stays = format!("{file} was made by another program and stays as it is");
        let refuse = |key: &str, found: &str, expected: String| {
            Err(Error::Config {
                key: key.to_owned(),
                found: found.to_owned(),
                expected,
            })
        };
        if !matches!(config.train.scope, Scope::Probe | Scope::Head) {
            return refuse(
                "train.scope",
                "for the whole network",
                format!("must be `probe` or `head`: {stays}"),
            );
        }
        if config.model.architecture.is_some() {
            return refuse(
                "model.architecture",
                "given",
                format!("leave it out: {stays}"),
            );
        }
        if config.model.probe_layers != Layers::Embedding {
            return refuse(
                "model.probe_layers",
                "other layers than the embedding",
                format!("leave it out: {stays}"),
            );
        }
        if !config.model.probe_speeds.is_empty() {
            return refuse(
                "model.probe_speeds",
                "not empty",
                format!("must be empty: {stays}, and embeds every clip once"),
            );
        }
        let augment = &config.augment;
        let is_augmented = !(augment.waveform.is_empty()
            && augment.mix_waveforms.is_empty()
            && augment.features.is_empty()
            && augment.mix_features.is_empty());
        if is_augmented {
            return refuse(
                "augment",
                "not empty",
                format!("must be empty: {stays}, and embeds every clip once"),
            );
        }
        if config.teacher.is_some() {
            return refuse("teacher", "given", format!("leave it out: {stays}"));
        }
        if bundle.metadata().tensors.embedding.is_none() {
            return Err(Error::Bundle {
                name: file,
                reason:
                    "has no embedding to train a head on; name one as `tensors.embedding` when \
                         it is wrapped"
                        .to_owned(),
            });
        }
        let runtime = runtime::load(&bundle, RuntimeChoice::Auto)?;
        Ok(Self {
            takes_waveforms: matches!(bundle.metadata().input, BundleInput::Waveform(_)),
            runtime,
            bundle,
            hidden: match config.train.scope {
                Scope::Probe => 0,
                _ => config.model.hidden.unwrap_or(HIDDEN),
            },
        })
    }

    /// The front end that its segments go through; for a graph that takes waveforms, the samples
    /// themselves.
    pub(super) fn front_end(&self) -> FrontEndConfig {
        match &self.bundle.metadata().input {
            BundleInput::Features(front_end) => front_end.clone(),
            BundleInput::Waveform(waveform) => FrontEndConfig {
                sample_rate: waveform.sample_rate,
                clip: ClipConfig::default(),
                channels: vec![Representation::Waveform.into()],
            },
        }
    }

    /// The head for so many classes, on the embedding of a segment of `n_samples`.
    ///
    /// # Errors
    /// What the runtime says of a segment of silence.
    pub(super) fn head(&self, n_samples: usize, n_classes: usize) -> Result<Architecture> {
        let front_end = FrontEnd::new(&self.front_end())?;
        let dim = self.embed(front_end.compute(&vec![0.0; n_samples])?)?.len();
        let mut blocks = vec![parts::embedding()];
        let last = match self.hidden {
            0 => dim,
            hidden => {
                blocks.extend([
                    parts::batch_norm("head.norm", dim),
                    parts::linear("head.hidden", [dim, hidden]),
                    parts::relu(),
                    parts::dropout(DROPOUT),
                ]);
                hidden
            }
        };
        blocks.push(parts::linear("head.classes", [last, n_classes]));
        let head = Architecture {
            name: self.bundle.metadata().name.clone(),
            input: Input {
                n_channels: dim,
                n_bands: 1,
                n_frames: Some(1),
            },
            n_classes,
            blocks,
        };
        head.plan()?;
        Ok(head)
    }

    fn embed(&self, features: Features) -> Result<Vec<f32>> {
        let given = match self.takes_waveforms {
            true => Given::waveform(features.data),
            false => Given::features(features),
        };
        let embedding = self.runtime.run(&given)?.embedding;
        match embedding.iter().find(|value| !value.is_finite()) {
            None => Ok(embedding),
            Some(&found) => Err(Error::NotFinite {
                what: format!("{}: a value of the embedding", self.bundle.file()),
                found,
            }),
        }
    }

    /// The embeddings of the segments of clips, in parallel on the current rayon pool.
    ///
    /// # Errors
    /// [`Error::Cancelled`] if `progress` says so; what reading a clip or the runtime ends in, with
    /// the clip's name.
    pub(super) fn embed_all(
        &self,
        set: &ClipSet<'_>,
        clips: Vec<usize>,
        progress: &dyn Progress,
    ) -> Result<Embedded> {
        progress.stage("embedding");
        progress.begin(clips.len());
        let examples = ValidationClips::new(set, clips);
        let embed_clip = |index: usize| -> Result<(usize, Vec<Cut>)> {
            if progress.is_cancelled() {
                return Err(Error::Cancelled);
            }
            let cuts = examples.segments(index)?.into_iter().map(|cut| {
                let data = self.embed(cut.features).map_err(|error| Error::Training {
                    place: examples.name(index),
                    reason: error.to_string(),
                })?;
                Ok(Cut {
                    features: as_features(data),
                    weight: cut.weight,
                })
            });
            let cuts: Vec<Cut> = cuts.collect::<Result<_>>()?;
            progress.advance();
            Ok((examples.clips()[index], cuts))
        };
        let cuts: Result<BTreeMap<usize, Vec<Cut>>> = (0..examples.n_clips())
            .into_par_iter()
            .map(embed_clip)
            .collect();
        Ok(Embedded { cuts: cuts? })
    }
}

/// An embedding as the features that a head takes.
fn as_features(data: Vec<f32>) -> Features {
    Features {
        n_channels: data.len(),
        n_bands: 1,
        n_frames: 1,
        data,
    }
}

/// The embeddings of a data set's clips.
pub(super) struct Embedded {
    cuts: BTreeMap<usize, Vec<Cut>>,
}

/// Clips as the embeddings of their segments.
pub(super) struct EmbeddedExamples<'a> {
    inner: ValidationClips<'a>,
    embedded: &'a Embedded,
}

impl<'a> EmbeddedExamples<'a> {
    pub(super) fn new(inner: ValidationClips<'a>, embedded: &'a Embedded) -> Self {
        Self { inner, embedded }
    }

    /// The mean embedding of a clip, its segments weighted by their lengths.
    fn mean(&self, clip: usize) -> Result<Vec<f32>> {
        let cuts = self.segments(clip)?;
        let total: f64 = cuts.iter().map(|cut| cut.weight).sum();
        let dim = cuts.first().map_or(0, |cut| cut.features.data.len());
        let value = |at: usize| {
            let sum: f64 = cuts
                .iter()
                .map(|cut| f64::from(cut.features.data[at]) * cut.weight)
                .sum();
            (sum / total) as f32
        };
        Ok((0..dim).map(value).collect())
    }
}

impl Examples for EmbeddedExamples<'_> {
    fn n_clips(&self) -> usize {
        self.inner.n_clips()
    }

    fn segments(&self, clip: usize) -> Result<Vec<Cut>> {
        let found = self.embedded.cuts.get(&self.inner.clips()[clip]);
        found.cloned().ok_or_else(|| Error::Training {
            place: self.name(clip),
            reason: "the clip was not embedded".to_owned(),
        })
    }

    fn aggregation(&self) -> Aggregation {
        self.inner.aggregation()
    }

    fn target(&self, clip: usize) -> Vec<f32> {
        self.inner.target(clip)
    }

    fn name(&self, clip: usize) -> String {
        self.inner.name(clip)
    }
}

/// Training clips as their mean embeddings, in batches.
pub(super) struct EmbeddedBatches<'a> {
    examples: EmbeddedExamples<'a>,
    set: &'a ClipSet<'a>,
    sampler: BatchSampler,
    n_classes: usize,
}

impl<'a> EmbeddedBatches<'a> {
    /// These clips in batches.
    ///
    /// # Errors
    /// [`Error::Config`] if there is no clip.
    pub(super) fn new(
        examples: EmbeddedExamples<'a>,
        set: &'a ClipSet<'a>,
        sampler: &SamplerConfig,
        n_classes: usize,
    ) -> Result<Self> {
        let n_clips = examples.n_clips();
        let places: Vec<usize> = (0..n_clips).collect();
        let labels: Vec<Vec<usize>> = places
            .iter()
            .map(|&clip| {
                let target = examples.target(clip);
                (0..target.len()).filter(|&c| target[c] > 0.5).collect()
            })
            .collect();
        let labels: Vec<&[usize]> = labels.iter().map(Vec::as_slice).collect();
        Ok(Self {
            sampler: BatchSampler::new(sampler, &places, &vec![1; n_clips], &labels)?,
            examples,
            set,
            n_classes,
        })
    }
}

impl Batches for EmbeddedBatches<'_> {
    fn n_classes(&self) -> usize {
        self.n_classes
    }

    fn plan(&self, epoch: usize) -> Vec<Vec<usize>> {
        self.sampler.epoch(epoch as u64)
    }

    fn batch(&self, _epoch: usize, clips: &[usize]) -> Result<Batch> {
        let rows: Vec<Vec<f32>> = clips
            .iter()
            .map(|&clip| self.examples.mean(clip))
            .collect::<Result<_>>()?;
        let dim = rows.first().map_or(0, Vec::len);
        let inner = self.examples.inner.clips();
        Ok(Batch {
            features: rows.concat(),
            shape: [clips.len(), dim, 1, 1],
            targets: clips
                .iter()
                .flat_map(|&c| self.examples.target(c))
                .collect(),
            weights: clips.iter().map(|&c| self.set.weight(inner[c])).collect(),
            is_noisy: clips.iter().map(|&c| self.set.is_noisy(inner[c])).collect(),
            names: clips.iter().map(|&c| self.examples.name(c)).collect(),
        })
    }
}
