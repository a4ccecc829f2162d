//! The configuration of a comparison: what is compared, and everything that is the same for all.

use std::collections::BTreeMap;
use std::path::Path;

use earmark::augment::AugmentConfig;
use earmark::features::{ChannelConfig, ClipConfig, FrontEndConfig, Preset};
use earmark::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::run::config::DataConfig;
use crate::schedule::ScheduleConfig;
use crate::trainer::{Keep, TrainConfig};

/// A comparison of representations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CompareConfig {
    /// Samples per second of the waveforms that `channels` are computed from, in Hz.
    #[serde(default = "default_sample_rate")]
    pub sample_rate: u32,
    /// What is done to every waveform first; presets bring their own.
    #[serde(default)]
    pub clip: ClipConfig,
    /// The seeds of the trainings, each once: every representation is trained with each of them on
    /// every fold.
    #[serde(default = "default_seeds")]
    pub seeds: Vec<u64>,
    /// The seed of stratified folds and of the bootstrap.
    #[serde(default)]
    pub fold_seed: u64,
    /// Resamples of the bootstrap, at least 1000: fewer cannot tell small p-values.
    #[serde(default = "default_resamples")]
    pub n_resamples: usize,
    /// The clips and their folds. `validate` and `segment` have no effect: all folds are used, and
    /// clips are taken whole.
    #[serde(default)]
    pub data: DataConfig,
    /// The network.
    #[serde(default)]
    pub network: NetworkConfig,
    /// What is done at random to features; waveforms stay as they are.
    #[serde(default)]
    pub augment: AugmentConfig,
    /// How the network is trained. The seed is replaced by each of `seeds`.
    #[serde(default)]
    pub train: TrainConfig,
    /// What is compared, at least two.
    pub representations: Vec<RepresentationConfig>,
}

/// The size of the network, [`earmark::model::picture_cnn`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NetworkConfig {
    /// Channels after the first convolution, at least 1; the last one has eight times as many.
    pub width: usize,
    /// The share of the embedding that training drops, 0 to below 1.
    pub dropout: f32,
}

impl Default for NetworkConfig {
    fn default() -> Self {
        Self {
            width: 12,
            dropout: 0.3,
        }
    }
}

/// One representation: a preset, or channels of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RepresentationConfig {
    /// What tables call it.
    pub name: String,
    /// A front end by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preset: Option<String>,
    /// The channels, all of the same size.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<ChannelConfig>,
}

fn default_sample_rate() -> u32 {
    22_050
}

fn default_seeds() -> Vec<u64> {
    vec![1, 2, 3]
}

fn default_resamples() -> usize {
    10_000
}

impl CompareConfig {
    /// Reads a configuration.
    ///
    /// # Errors
    /// [`Error::Line`] for text that does not parse, [`Error::Config`] for impossible settings.
    pub fn open(path: &Path) -> Result<Self> {
        let text = fs_err::read_to_string(path)?;
        Self::parse(&path.display().to_string(), &text)
    }

    /// Like [`CompareConfig::open`] for text at hand; `name` is what messages call it.
    ///
    /// # Errors
    /// As for [`CompareConfig::open`].
    pub fn parse(name: &str, text: &str) -> Result<Self> {
        let config: Self = toml::from_str(text).map_err(|error| Error::toml(name, text, &error))?;
        config.check()?;
        Ok(config)
    }

    /// Refuses impossible settings.
    ///
    /// # Errors
    /// [`Error::Config`] names the setting.
    pub fn check(&self) -> Result<()> {
        self.check_train()?;
        self.check_representations()?;
        let mut seeds = self.seeds.clone();
        seeds.sort_unstable();
        seeds.dedup();
        let is_good = !seeds.is_empty() && seeds.len() == self.seeds.len();
        that(
            is_good,
            "seeds",
            format!("{:?}", self.seeds),
            "must be at least one, each once",
        )?;
        let n = self.n_resamples;
        that(
            n >= 1000,
            "n_resamples",
            n.to_string(),
            "must be at least 1000",
        )?;
        let width = self.network.width;
        that(
            (1..=256).contains(&width),
            "network.width",
            width.to_string(),
            "must be 1 to 256",
        )?;
        let dropout = self.network.dropout;
        that(
            (0.0..1.0).contains(&dropout),
            "network.dropout",
            dropout.to_string(),
            "must be 0 or more, below 1",
        )?;
        let augment = &self.augment;
        let leaves_waveforms = augment.waveform.is_empty() && augment.mix_waveforms.is_empty();
        that(
            leaves_waveforms,
            "augment",
            "changes of waveforms".to_owned(),
            "must be `features` and `mix_features` only: features are computed once",
        )
    }

    /// Refuses settings of the training that would not be heeded.
    fn check_train(&self) -> Result<()> {
        let train = &self.train;
        train.check()?;
        let waits = matches!(train.schedule, ScheduleConfig::Plateau { .. })
            || train.patience.is_some()
            || train.keep != Keep::Last;
        that(
            !waits,
            "train",
            "a plateau, patience or keep = \"best\"".to_owned(),
            "must be left out: no clips judge before the last epoch",
        )?;
        that(
            !train.noisy.own_head,
            "train.noisy.own_head",
            "true".to_owned(),
            "must be left out",
        )?;
        let weight = self.data.noisy_weight;
        that(
            weight == 1.0,
            "data.noisy_weight",
            weight.to_string(),
            "must be left out: all clips count alike here",
        )
    }

    fn check_representations(&self) -> Result<()> {
        let n = self.representations.len();
        that(
            n >= 2,
            "representations",
            n.to_string(),
            "must be at least 2",
        )?;
        let mut names = BTreeMap::new();
        for representation in &self.representations {
            let name = &representation.name;
            let slug = slug(name);
            that(
                !slug.is_empty(),
                "representations.name",
                format!("`{name}`"),
                "must have a letter or digit",
            )?;
            if let Some(other) = names.insert(slug, name) {
                let found = format!("`{other}` and `{name}`");
                return that(
                    false,
                    "representations.name",
                    found,
                    "must differ in letters and digits",
                );
            }
            self.front_end(representation)?;
        }
        Ok(())
    }

    /// The front end of a representation.
    ///
    /// # Errors
    /// [`Error::Config`] for an unknown preset, or if there is not exactly one of preset and
    /// channels.
    pub fn front_end(&self, representation: &RepresentationConfig) -> Result<FrontEndConfig> {
        match (&representation.preset, representation.channels.is_empty()) {
            (Some(preset), true) => Ok(Preset::named(preset)?.config()),
            (None, false) => Ok(FrontEndConfig {
                sample_rate: self.sample_rate,
                clip: self.clip.clone(),
                channels: representation.channels.clone(),
            }),
            _ => Err(Error::Config {
                key: format!("representations.{}", representation.name),
                found: "both or none of `preset` and `channels`".to_owned(),
                expected: "must be one of them".to_owned(),
            }),
        }
    }

    /// The configuration as TOML, every setting spelt out.
    ///
    /// # Errors
    /// [`Error::Config`] if a setting cannot be written, which no readable configuration has.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string_pretty(self).map_err(|error| Error::Config {
            key: "configuration".to_owned(),
            found: error.to_string(),
            expected: "must be writable as TOML".to_owned(),
        })
    }
}

fn that(holds: bool, key: &str, found: String, expected: &str) -> Result<()> {
    match holds {
        true => Ok(()),
        false => Err(Error::Config {
            key: key.to_owned(),
            found,
            expected: expected.to_owned(),
        }),
    }
}

/// A representation's name as the name of a folder.
pub(super) fn slug(name: &str) -> String {
    let letters = name.to_lowercase();
    let words = letters.split(|c: char| !c.is_ascii_alphanumeric());
    words
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = "[[representations]]\nname = 'a'\npreset = 'esp-log-db'\n\
        [[representations]]\nname = 'b'\npreset = 'esp-linear-db'\n";

    fn error(text: &str) -> String {
        match CompareConfig::parse("compare.toml", text) {
            Ok(config) => panic!("{config:?}"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_configuration_survives_being_written() -> Result<()> {
        let config = CompareConfig::parse("compare.toml", TWO)?;
        assert_eq!(config.seeds, [1, 2, 3]);
        let text = config.to_toml()?;
        assert_eq!(CompareConfig::parse("written.toml", &text)?, config);
        Ok(())
    }

    #[test]
    fn impossible_settings_are_named() {
        assert!(error("seed = [1]").starts_with("compare.toml:1: unknown field `seed`"));
        let cases = [
            (format!("seeds = [1, 1]\n{TWO}"), "seeds is [1, 1]"),
            (format!("n_resamples = 10\n{TWO}"), "n_resamples is 10"),
            (
                TWO.replace("'b'", "'A'"),
                "representations.name is `a` and `A`",
            ),
            (TWO.replace("'esp-linear-db'", "'mel'"), "preset is `mel`"),
            (
                TWO.replace("preset = 'esp-linear-db'", ""),
                "representations.b is both or none",
            ),
            (
                format!("augment = {{ waveform = [{{ kind = 'noise' }}] }}\n{TWO}"),
                "augment is changes",
            ),
        ];
        for (text, expected) in cases {
            let found = error(&text);
            assert!(found.starts_with(expected), "{found}");
        }
    }
}
