//! The configuration of a run: one TOML file in seven tables, with overrides.
//!
//! Unknown keys and wrong types are refused, in the file and in overrides alike.

use std::path::{Path, PathBuf};

use earmark::audio::{PlaybackSpeed, check_speeds};
use earmark::augment::AugmentConfig;
use earmark::bundle::Card;
use earmark::dataset::Layout;
use earmark::features::FrontEndConfig;
use earmark::{Error, Result};
use serde::{Deserialize, Serialize};

use super::segment::SegmentSettings;
use super::stages::StageConfig;
use crate::noisy::NoisyConfig;
use crate::probe::Layers;
use crate::schedule;
use crate::teacher::TeacherConfig;
use crate::trainer::{Scope, TrainConfig};

/// Everything that decides how a run goes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RunConfig {
    /// The clips and their division.
    pub data: DataConfig,
    /// The front end, a preset or spelled out; left out, that of the bundle to start from, or the
    /// one that fits the network.
    #[serde(deserialize_with = "super::features::read")]
    pub features: Option<FrontEndConfig>,
    /// What is done to training clips at random.
    pub augment: AugmentConfig,
    /// The network.
    pub model: ModelConfig,
    /// A network to learn from beside the labels.
    pub teacher: Option<TeacherConfig>,
    /// How it is trained.
    pub train: TrainConfig,
    /// Trainings that follow each other, each from the result of the one before; left out, one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<StageConfig>,
    /// What the bundle says of itself.
    pub bundle: Card,
}

/// The `[data]` table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataConfig {
    /// The data set's folder, or its table. `--data` comes first.
    pub path: Option<PathBuf>,
    /// A table of the clips (`path,label[,fold][,split]…`), kept apart from the audio: its paths are
    /// those below `path`.
    pub table: Option<PathBuf>,
    /// How it lies on disk; found out if left out.
    pub layout: Option<Layout>,
    /// What the training clips are divided by.
    pub folds: FoldRule,
    /// The number of folds where the data set has none of its own, at least 2.
    pub n_folds: usize,
    /// What the run is judged on.
    pub validate: Validate,
    /// Whether clips judge whose labels nobody checked. Left out, only checked ones do, where there are any; the
    /// others of a fold are neither trained nor judged in it.
    pub noisy_in_validation: bool,
    /// How clips are cut into segments; what is left out is as in the bundle to start from, as the
    /// network or front end demands, or 5 s.
    pub segment: SegmentSettings,
    /// So many clips of noise and hum made by code are trained as negatives; 0 for none.
    pub generated_noise: usize,
    /// How much a clip counts whose labels nobody checked, at least 0.
    pub noisy_weight: f32,
    /// Draw clips so that every class comes up equally often.
    pub balance_classes: bool,
    /// Batches of clips of similar length; 0 does not look at lengths, larger numbers mix less.
    pub bucket_batches: usize,
    /// Where decoded audio is kept between runs; left out, `cache` beside the runs.
    pub cache: Option<PathBuf>,
}

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            path: None,
            table: None,
            layout: None,
            folds: FoldRule::Auto,
            n_folds: 5,
            validate: Validate::First,
            noisy_in_validation: false,
            segment: SegmentSettings::default(),
            generated_noise: 0,
            noisy_weight: 1.0,
            balance_classes: false,
            bucket_batches: 0,
            cache: None,
        }
    }
}

/// How the training clips are divided into folds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FoldRule {
    /// The data set's own folds, else stratified ones.
    Auto,
    /// The data set's own folds.
    Given,
    /// By class and source, as evenly as can be.
    Stratified,
    /// By the SHA-256 of the file names within each class.
    Hash,
}

/// Which clips judge a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Validate {
    /// One run, judged on fold 0 (or on the data set's validation split, if it has one).
    First,
    /// One run per fold, each judged on its fold; figures over all clips.
    All,
    /// One run on all training clips, judged on none of them.
    None,
}

/// The `[model]` table.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelConfig {
    /// The network's name, such as `mn04` or `cnn10` ([`earmark::model::NAMES`]); left out, that of
    /// the bundle to start from, or `mn04`.
    pub architecture: Option<String>,
    /// A bundle to start from: its weights, front end and segments. Or the weights of another program
    /// (PyTorch, safetensors, npz), whose names are those of `architecture`'s parameters. A layer of
    /// another size, as the last one of other classes, starts at random.
    pub init: Option<PathBuf>,
    /// A head on another program's frozen graph (`train.scope = "head"`): values in its hidden layer,
    /// 0 for none; left out, 256.
    pub hidden: Option<usize>,
    /// Linear probe: what it sees of the network.
    pub probe_layers: Layers,
    /// Linear probe: strength of the penalty on the weights, `1 / C` in scikit-learn's terms.
    pub probe_l2: Option<f64>,
    /// Linear probe: speeds at which it hears every training clip besides its own, each once. All views of a
    /// clip together count as one clip. At which speeds a clip is judged, the segments say.
    pub probe_speeds: Vec<PlaybackSpeed>,
}

impl RunConfig {
    /// Reads a configuration and applies overrides such as `train.epochs=5`; values are TOML, and
    /// what is no TOML is taken as a string. Paths in the file are relative to its folder, those of
    /// overrides to the working directory.
    ///
    /// # Errors
    /// [`Error::Config`] or [`Error::Line`] naming the unknown key or wrong type.
    pub fn open(path: &Path, overrides: &[String]) -> Result<Self> {
        let text = fs_err::read_to_string(path)?;
        let mut config = Self::parse(&path.display().to_string(), &text, &[])?;
        let folder = path.parent().unwrap_or(Path::new(""));
        for path in config.paths_mut() {
            *path = folder.join(&path);
        }
        match overrides {
            [] => Ok(config),
            _ => config.overridden(overrides),
        }
    }

    /// Like [`RunConfig::open`] for text at hand; `name` is what messages call it.
    ///
    /// # Errors
    /// As for [`RunConfig::open`].
    pub fn parse(name: &str, text: &str, overrides: &[String]) -> Result<Self> {
        // The text by itself first: an error in it can then be shown with its line.
        let config: Self = toml::from_str(text).map_err(|error| Error::toml(name, text, &error))?;
        let config = match overrides {
            [] => config,
            _ => config.overridden(overrides)?,
        };
        config.check()?;
        Ok(config)
    }

    /// This configuration with some settings replaced.
    ///
    /// # Errors
    /// [`Error::Config`] naming the override.
    pub fn overridden(&self, overrides: &[String]) -> Result<Self> {
        let mut table = toml::Table::try_from(self).map_err(|error| Error::Config {
            key: "configuration".to_owned(),
            found: error.to_string(),
            expected: "must be writable as TOML".to_owned(),
        })?;
        for assignment in overrides {
            let refuse = |expected: &str| Error::Config {
                key: "set".to_owned(),
                found: format!("`{assignment}`"),
                expected: expected.to_owned(),
            };
            let (key, value) = assignment
                .split_once('=')
                .ok_or_else(|| refuse("must be `table.key=value`"))?;
            if key.trim() == "features.preset" {
                // A preset stands for the whole table.
                table.remove("features");
            }
            assign(&mut table, key.trim(), parse_value(value.trim()))
                .ok_or_else(|| refuse("must name a key inside tables"))?;
            // One at a time, so that the message is about this override.
            Self::deserialize(table.clone()).map_err(|error| Error::Config {
                key: key.trim().to_owned(),
                found: format!("`{}`", value.trim()),
                expected: earmark::error::toml_reason(&error),
            })?;
        }
        let config = Self::deserialize(table).map_err(|error| Error::Config {
            key: "set".to_owned(),
            found: overrides.join(" "),
            expected: error.message().to_owned(),
        })?;
        config.check()?;
        Ok(config)
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

    /// The settings that decide the weights: where files lie and what the bundle says does not.
    pub(super) fn decisive(&self) -> Self {
        let mut config = self.clone();
        config.bundle = Card::default();
        config.data.cache = None;
        config
            .paths_mut()
            .for_each(|path| *path = PathBuf::from(path.file_name().unwrap_or_default()));
        config
    }

    /// Every path that is set.
    pub fn paths_mut(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let teacher = self.teacher.as_mut().map(|teacher| &mut teacher.bundle);
        let data = &mut self.data;
        let optional = [
            &mut data.path,
            &mut data.table,
            &mut data.cache,
            &mut self.model.init,
            &mut self.augment.backgrounds,
            &mut self.augment.impulse_responses,
        ];
        optional.into_iter().flatten().chain(teacher)
    }

    fn check(&self) -> Result<()> {
        self.train.check()?;
        schedule::check(&self.train.schedule)?;
        self.teacher.as_ref().map_or(Ok(()), TeacherConfig::check)?;
        let is_probe = matches!(self.train.scope, Scope::Probe | Scope::ProbeThenAll);
        if self.teacher.is_some() && is_probe {
            return Err(Error::Config {
                key: "teacher".to_owned(),
                found: "a teacher for a probe".to_owned(),
                expected: "train.scope must be `all` or `head` to learn from a teacher".to_owned(),
            });
        }
        self.check_probe(is_probe)?;
        self.check_stages(is_probe)?;
        let weight = self.data.noisy_weight;
        if !(weight >= 0.0 && weight.is_finite()) {
            return Err(Error::Config {
                key: "data.noisy_weight".to_owned(),
                found: weight.to_string(),
                expected: "must be at least 0".to_owned(),
            });
        }
        Ok(())
    }
}

impl RunConfig {
    /// Whether what the configuration says of a probe can be, and whether there is one.
    fn check_probe(&self, is_probe: bool) -> Result<()> {
        let model = &self.model;
        let given = [
            ("probe_layers", model.probe_layers != Layers::default()),
            ("probe_l2", model.probe_l2.is_some()),
            ("probe_speeds", !model.probe_speeds.is_empty()),
        ];
        if let Some((key, _)) = given.iter().find(|(_, is_given)| *is_given && !is_probe) {
            return Err(Error::Config {
                key: format!("model.{key}"),
                found: "given".to_owned(),
                expected: "leave it out, or train.scope must be `probe` or `probe-then-all`"
                    .to_owned(),
            });
        }
        check_speeds("model.probe_speeds", &model.probe_speeds)
    }

    /// Whether stages and the methods for noisy labels go with the other settings.
    fn check_stages(&self, is_probe: bool) -> Result<()> {
        let noisy = &self.train.noisy;
        let has_noisy = *noisy != NoisyConfig::default();
        let has_stages = !self.stages.is_empty();
        let has_teacher = self.teacher.is_some();
        let is_probe_alone = self.train.scope == Scope::Probe;
        let conflicts = [
            ("stages", has_stages, has_teacher, "a teacher"),
            ("stages", has_stages, noisy.own_head, "train.noisy.own_head"),
            (
                "stages",
                has_stages,
                is_probe_alone,
                "train.scope = \"probe\"",
            ),
            ("train.noisy", has_noisy, has_teacher, "a teacher"),
            ("train.noisy", has_noisy, is_probe, "a probe"),
        ];
        let mut conflicts = conflicts.into_iter();
        let conflict = conflicts.find(|(_, is_set, is_other, _)| *is_set && *is_other);
        if let Some((key, _, _, other)) = conflict {
            return Err(Error::Config {
                key: key.to_owned(),
                found: "set".to_owned(),
                expected: format!("must be left out beside {other}"),
            });
        }
        let mut stages = self.stages.iter().enumerate();
        stages.try_for_each(|(index, stage)| stage.check(index, &self.train))
    }
}

/// Sets `a.b.c` in nested tables, which are made where they are missing.
fn assign(table: &mut toml::Table, key: &str, value: toml::Value) -> Option<()> {
    let Some((head, rest)) = key.split_once('.') else {
        table.insert(key.to_owned(), value);
        return Some(());
    };
    let inner = table
        .entry(head)
        .or_insert_with(|| toml::Value::Table(toml::Table::new()));
    assign(inner.as_table_mut()?, rest, value)
}

/// A TOML value, or the text itself where it is none.
fn parse_value(text: &str) -> toml::Value {
    let parsed = toml::from_str::<toml::Table>(&format!("value = {text}"));
    let value = parsed.ok().and_then(|mut table| table.remove("value"));
    value.unwrap_or_else(|| toml::Value::String(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::ScheduleConfig;

    fn parse(text: &str, overrides: &[&str]) -> Result<RunConfig> {
        let overrides: Vec<String> = overrides.iter().map(|&o| o.to_owned()).collect();
        RunConfig::parse("run.toml", text, &overrides)
    }

    #[test]
    fn an_empty_file_is_all_defaults() {
        assert_eq!(parse("", &[]).unwrap(), RunConfig::default());
    }

    #[test]
    fn a_configuration_survives_being_written() {
        let config = parse(
            "[train]\nepochs = 3\nschedule = { kind = 'cosine', end = 0.1 }\n[data]\nvalidate = 'all'",
            &[],
        )
        .unwrap();
        assert_eq!(config.train.schedule, ScheduleConfig::Cosine { end: 0.1 });
        assert_eq!(parse(&config.to_toml().unwrap(), &[]).unwrap(), config);
    }

    #[test]
    fn overrides_take_numbers_words_and_tables() {
        let config = parse(
            "[train]\nepochs = 3",
            &[
                "train.epochs=5",
                "data.validate=all",
                "train.schedule={ kind = 'constant' }",
                "model.init=mn04.onnx",
            ],
        )
        .unwrap();
        assert_eq!(config.train.epochs, 5);
        assert_eq!(config.data.validate, Validate::All);
        assert_eq!(config.train.schedule, ScheduleConfig::Constant);
        assert_eq!(config.model.init, Some(PathBuf::from("mn04.onnx")));
    }

    #[test]
    fn unknown_keys_and_wrong_types_are_named() {
        let message = |text, overrides: &[&str]| parse(text, overrides).unwrap_err().to_string();
        let error = message("\n[train]\nepoch = 3", &[]);
        assert!(
            error.starts_with("run.toml:3: unknown field `epoch`"),
            "{error}"
        );
        assert!(error.ends_with("; did you mean `epochs`?"), "{error}");
        let error = message("[data]\nvalidate = 'al'", &[]);
        assert!(error.ends_with("; did you mean `all`?"), "{error}");
        let error = message("", &["train.epoch=3"]);
        assert!(
            error.starts_with("train.epoch is `3`, unknown field `epoch`"),
            "{error}"
        );
        let error = message("", &["train.epochs=many"]);
        assert!(error.starts_with("train.epochs is `many`"), "{error}");
        assert_eq!(
            message("", &["train.epochs"]),
            "set is `train.epochs`, must be `table.key=value`"
        );
        assert_eq!(
            message("[train]\nepochs = 0", &[]),
            "train.epochs is 0, must be at least 1"
        );
    }
}
