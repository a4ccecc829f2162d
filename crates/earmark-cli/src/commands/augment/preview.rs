//! `earmark augment preview`: a sound in, a sound and a picture for each augmentation out.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;
use earmark::audio::{AudioStream, OpenOptions, wav};
use earmark::augment::mix::Mix;
use earmark::augment::{
    AugmentConfig, Augmenter, ClipRng, Material, Mixture, Partner, Partners, Scratch, Step,
    WaveformEffect,
};
use earmark::features::{Features, FrontEnd, FrontEndConfig};
use serde::Serialize;

use crate::errors::Hinted;
use crate::pictures::{Picture, Range};
use crate::printer::Printer;

/// What `--all` shows.
const ALL: &str = include_str!("all.toml");

/// The name of the clip in [`ClipRng`].
const CLIP: &str = "preview";

/// Arguments of `augment preview`.
#[derive(Debug, Args)]
pub(crate) struct PreviewArgs {
    /// The sound to change.
    input: PathBuf,

    /// A second sound, for mixing and as a background [default: the first, backwards].
    second: Option<PathBuf>,

    /// The augmentation to show: a training configuration, or its `[augment]` table.
    #[arg(long, value_name = "FILE", required_unless_present = "all")]
    config: Option<PathBuf>,

    /// Show every augmentation there is, stronger than one would train with.
    #[arg(long, conflicts_with = "config")]
    all: bool,

    /// Where to write; the folder is made if it is not there.
    #[arg(long, short, value_name = "DIR")]
    output: PathBuf,

    /// The seed of every random choice.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

impl PreviewArgs {
    /// Writes one sound and one picture per step, each step done for certain.
    pub(super) fn run(self, printer: &Printer) -> anyhow::Result<()> {
        let config = self.config()?;
        let preview = Preview::new(&self)?;
        fs_err::create_dir_all(&self.output)?;
        preview.write_sound("original", &preview.samples)?;
        let mut names = Names::default();
        for step in &config.waveform {
            preview.waveform(&names.of("", step)?, step)?;
        }
        for step in &config.mix_waveforms {
            preview.mix_waveforms(&names.of("", step)?, step)?;
        }
        for step in &config.features {
            let name = names.of("spectrogram", step)?;
            let mut features = preview.features.clone();
            let augmenter = preview.augmenter(AugmentConfig {
                features: vec![certain(step)],
                ..AugmentConfig::default()
            })?;
            augmenter.features(&mut features, &preview.rng, &mut Scratch::default())?;
            preview.write_picture(&name, &features)?;
        }
        for step in &config.mix_features {
            preview.mix_features(&names.of("spectrogram", step)?, step)?;
        }
        printer.note(format!(
            "wrote {} augmentations to {}",
            names.used.len(),
            self.output.display()
        ));
        Ok(())
    }

    /// The settings to show.
    fn config(&self) -> anyhow::Result<AugmentConfig> {
        let Some(path) = &self.config else {
            return Ok(AugmentConfig::from_toml(ALL)?);
        };
        let text = fs_err::read_to_string(path)?;
        let mut table: toml::Table =
            toml::from_str(&text).with_context(|| path.display().to_string())?;
        let augment = match table.remove("augment") {
            Some(augment) => toml::to_string(&augment)?,
            None => text,
        };
        let config =
            AugmentConfig::from_toml(&augment).with_context(|| path.display().to_string())?;
        if config == AugmentConfig::default() {
            return Err(Hinted::error(
                format!("{}: no augmentation in it", path.display()),
                "see `--all` for every augmentation there is",
            ));
        }
        Ok(config)
    }
}

/// The step with probability 1.
fn certain<E: Clone>(step: &Step<E>) -> Step<E> {
    Step {
        probability: 1.0,
        ..step.clone()
    }
}

/// The names of files: after the kind of the step, numbered from the second of a name on.
#[derive(Default)]
struct Names {
    used: Vec<String>,
}

impl Names {
    /// The next name for a step, after `prefix`.
    fn of<E: Serialize>(&mut self, prefix: &str, step: &Step<E>) -> anyhow::Result<String> {
        let table = toml::Table::try_from(step)?;
        let kind = table.get("kind").and_then(toml::Value::as_str);
        // Noises and filters differ in their one colour or shape.
        let choice = ["colours", "filters"].iter().find_map(|list| {
            match table.get(*list)?.as_array()?.as_slice() {
                [only] => only.as_str(),
                _ => None,
            }
        });
        let parts = [Some(prefix), kind, choice].into_iter().flatten();
        let name = parts
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join("-");
        let n_before = self.used.iter().filter(|used| **used == name).count();
        self.used.push(name.clone());
        Ok(match n_before {
            0 => name,
            _ => format!("{name}-{}", n_before + 1),
        })
    }
}

/// The sound to change, the other sound, and where to write.
struct Preview<'a> {
    folder: &'a Path,
    front_end: FrontEnd,
    samples: Vec<f32>,
    features: Features,
    /// As long as `samples`.
    other: Vec<f32>,
    rng: ClipRng,
}

impl<'a> Preview<'a> {
    fn new(args: &'a PreviewArgs) -> anyhow::Result<Self> {
        let front_end = FrontEnd::new(&FrontEndConfig::efficient_at())?;
        let read = |path: &PathBuf| {
            let options = OpenOptions {
                sample_rate: Some(front_end.sample_rate()),
                ..OpenOptions::default()
            };
            AudioStream::open(path.as_path(), &options)?.read_to_end()
        };
        let samples = read(&args.input)?.samples;
        let other = match &args.second {
            Some(path) => read(path)?.samples,
            None => samples.iter().rev().copied().collect(),
        };
        let features = front_end
            .compute(&samples)
            .with_context(|| args.input.display().to_string())?;
        let other = other.into_iter().chain(std::iter::repeat(0.0));
        Ok(Self {
            folder: &args.output,
            other: other.take(samples.len()).collect(),
            front_end,
            features,
            samples,
            rng: ClipRng::new(args.seed, 0, CLIP),
        })
    }

    fn augmenter(&self, config: AugmentConfig) -> earmark::Result<Augmenter> {
        let mut material = Material::new(self.front_end.sample_rate());
        material.backgrounds = Some(Arc::new(vec![self.other.clone()]));
        material.impulse_responses = material.backgrounds.clone();
        Augmenter::new(&config, material)
    }

    fn waveform(&self, name: &str, step: &Step<WaveformEffect>) -> anyhow::Result<()> {
        let augmenter = self.augmenter(AugmentConfig {
            waveform: vec![certain(step)],
            ..AugmentConfig::default()
        })?;
        let mut samples = self.samples.clone();
        augmenter.waveform(&mut samples, &self.rng, &mut Scratch::default())?;
        self.write_sound(name, &samples)?;
        self.write_picture(name, &self.front_end.compute(&samples)?)
    }

    fn mix_waveforms(&self, name: &str, step: &Step<Mix>) -> anyhow::Result<()> {
        let augmenter = self.augmenter(AugmentConfig {
            mix_waveforms: vec![certain(step)],
            ..AugmentConfig::default()
        })?;
        let mut samples = self.samples.clone();
        let clip = mixture(&mut samples, 1);
        let partners: &mut dyn Partners = &mut &[partner(&self.other)][..];
        augmenter.mix_waveforms(clip, partners, &self.rng, &mut Scratch::default())?;
        self.write_sound(name, &samples)?;
        self.write_picture(name, &self.front_end.compute(&samples)?)
    }

    fn mix_features(&self, name: &str, step: &Step<Mix>) -> anyhow::Result<()> {
        let augmenter = self.augmenter(AugmentConfig {
            mix_features: vec![certain(step)],
            ..AugmentConfig::default()
        })?;
        let other = self.front_end.compute(&self.other)?;
        let mut features = self.features.clone();
        let n_rows = features.n_channels * features.n_bands;
        let clip = mixture(&mut features.data, n_rows);
        let partners: &mut dyn Partners = &mut &[partner(&other.data)][..];
        augmenter.mix_features(clip, partners, &self.rng, &mut Scratch::default())?;
        self.write_picture(name, &features)
    }

    /// Draws the features before and after a change, one beside the other.
    fn write_picture(&self, name: &str, after: &Features) -> anyhow::Result<()> {
        let path = self.folder.join(format!("{name}.png"));
        let range = Range::of(&self.front_end, 0)?.context("log-mels have a range")?;
        let [before, after] =
            [&self.features, after].map(|features| Picture::of_channel(features, 0, range));
        Ok(fs_err::write(path, before.beside(&after).png()?)?)
    }

    /// Writes 32-bit float samples: what an augmentation drives beyond full scale stays as it is.
    fn write_sound(&self, name: &str, samples: &[f32]) -> anyhow::Result<()> {
        let path = self.folder.join(format!("{name}.wav"));
        let bytes = wav::float(samples, self.front_end.sample_rate());
        Ok(fs_err::write(path, bytes)?)
    }
}

/// A clip to mix into; targets are not shown.
fn mixture(data: &mut [f32], n_rows: usize) -> Mixture<'_> {
    Mixture {
        data,
        n_rows,
        target: &mut [],
    }
}

/// A clip to mix in.
fn partner(data: &[f32]) -> Partner<'_> {
    Partner { data, target: &[] }
}
