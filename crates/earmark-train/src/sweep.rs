//! Sweeps: one configuration and values to try in, the settings of every trial out.
//!
//! ```toml
//! config = "base.toml"        # relative to this file
//! method = "random"           # or "grid": every combination
//! n_trials = 20               # random only
//! seed = 0
//!
//! [settings]
//! "train.learning_rate" = { low = 1e-4, high = 1e-2, log = true }   # random only
//! "train.batch_size" = [16, 32]
//! ```
//!
//! Without quotes, `train.batch_size = [16, 32]` and `[settings.train]` mean the same.
//!
//! The same file gives the same trials in the same order, so a sweep that was stopped goes on.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use earmark::error::toml_reason;
use earmark::{Error, Result};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;
use toml::de::{DeTable, DeValue};

/// The most trials.
const MAX_TRIALS: usize = 10_000;

/// What the values of a setting must be.
const VALUES: &str = "must be a list, such as [1, 2], or a range, { low = 1, high = 2 }";

/// A sweep.
#[derive(Debug, Clone, PartialEq)]
pub struct SweepConfig {
    /// The configuration of every trial; relative to the sweep's own file.
    pub config: PathBuf,
    /// How settings are combined.
    pub method: Method,
    /// The number of random trials, 1 to 10,000.
    pub n_trials: Option<usize>,
    /// Seeds random trials.
    pub seed: u64,
    /// Settings and the values that they try, in the order of their names.
    pub settings: BTreeMap<String, Values>,
    source: Source,
}

/// Where a sweep comes from, for messages.
#[derive(Debug, Clone, PartialEq)]
struct Source {
    /// The file's name.
    name: String,
    /// The line of every key, by its dotted name, such as `settings.train.epochs`.
    lines: BTreeMap<String, usize>,
}

/// A sweep as its file has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    config: PathBuf,
    #[serde(default)]
    method: Method,
    n_trials: Option<usize>,
    #[serde(default)]
    seed: u64,
    settings: toml::Table,
}

/// How settings are combined.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Every combination, the last setting fastest.
    #[default]
    Grid,
    /// Values drawn at random, by each setting on its own.
    Random,
}

/// The values that a setting tries.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// These.
    List(Vec<toml::Value>),
    /// Numbers between two, evenly or by their logarithm.
    Range(Range),
}

/// Numbers between two.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Range {
    /// The least.
    pub low: f64,
    /// The largest.
    pub high: f64,
    /// Whether their logarithms are spread evenly; then `low` is above 0.
    #[serde(default)]
    pub log: bool,
}

/// The settings of one trial, as overrides of a configuration: `train.epochs=5`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    /// Setting and value, in the order of the settings' names.
    pub settings: Vec<(String, String)>,
}

impl Trial {
    /// The overrides.
    pub fn overrides(&self) -> Vec<String> {
        self.settings
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect()
    }
}

impl SweepConfig {
    /// Reads a sweep; the path of its configuration is made relative to the working directory.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Line`] for unknown keys, wrong types and values that cannot be.
    pub fn open(path: &Path) -> Result<Self> {
        let text = fs_err::read_to_string(path)?;
        let mut config = Self::parse(&path.display().to_string(), &text)?;
        config.config = path.parent().unwrap_or(Path::new("")).join(&config.config);
        Ok(config)
    }

    /// Reads a sweep from text; `name` is what messages call it.
    ///
    /// # Errors
    /// As for [`SweepConfig::open`].
    pub fn parse(name: &str, text: &str) -> Result<Self> {
        let written: Written =
            toml::from_str(text).map_err(|error| Error::toml(name, text, &error))?;
        let mut config = Self {
            config: written.config,
            method: written.method,
            n_trials: written.n_trials,
            seed: written.seed,
            settings: BTreeMap::new(),
            source: Source::of(name, text),
        };
        config.add_settings("", written.settings)?;
        config.check_method()?;
        config.check_settings()?;
        Ok(config)
    }

    /// Takes in the settings of a table. Without quotes TOML makes tables in tables of dotted names.
    fn add_settings(&mut self, prefix: &str, table: toml::Table) -> Result<()> {
        for (key, value) in table {
            let name = format!("{prefix}{key}");
            let values = match value {
                toml::Value::Array(list) => Values::List(list),
                toml::Value::Table(table) if Range::is_meant(&table) => {
                    let range = Range::deserialize(table);
                    Values::Range(range.map_err(|error| {
                        let reason = format!("settings.\"{name}\": {}", toml_reason(&error));
                        self.source.error(&format!("settings.{name}"), reason)
                    })?)
                }
                toml::Value::Table(table) if !table.is_empty() => {
                    self.add_settings(&format!("{name}."), table)?;
                    continue;
                }
                other => return Err(self.refused(&name, &other.to_string(), VALUES)),
            };
            if self.settings.insert(name.clone(), values).is_some() {
                return Err(self.refused(&name, "there twice", "must be there once"));
            }
        }
        Ok(())
    }

    fn check_method(&self) -> Result<()> {
        let refuse = |key: &str, found: &str, expected: &str| {
            let reason = format!("{key} is {found}, {expected}");
            Err(self.source.error(key, reason))
        };
        match (self.method, self.n_trials) {
            _ if self.settings.is_empty() => {
                refuse("settings", "empty", "must name a setting to try")
            }
            (Method::Random, None) => refuse(
                "n_trials",
                "left out",
                "must be the number of random trials",
            ),
            (Method::Random, Some(n)) if !(1..=MAX_TRIALS).contains(&n) => refuse(
                "n_trials",
                &n.to_string(),
                &format!("must be 1 to {MAX_TRIALS}"),
            ),
            (Method::Grid, Some(n)) => {
                refuse("n_trials", &n.to_string(), "must be left out of a grid")
            }
            _ => Ok(()),
        }
    }

    fn check_settings(&self) -> Result<()> {
        let mut n_trials = 1_usize;
        for (name, values) in &self.settings {
            match values {
                Values::List(list) if list.is_empty() => {
                    return Err(self.refused(name, "an empty list", "must have a value"));
                }
                Values::Range(_) if self.method == Method::Grid => {
                    return Err(self.refused(name, "a range", "must be a list in a grid"));
                }
                Values::Range(range) if !range.is_sound() => {
                    let found = format!("{} to {}", range.low, range.high);
                    return Err(self.refused(name, &found, "must rise, from above 0 if log"));
                }
                Values::List(list) => n_trials = n_trials.saturating_mul(list.len()),
                Values::Range(_) => {}
            }
        }
        if self.method == Method::Grid && n_trials > MAX_TRIALS {
            let reason = format!("settings is more than {MAX_TRIALS} combinations, must be fewer");
            return Err(self.source.error("settings", reason));
        }
        Ok(())
    }

    fn refused(&self, setting: &str, found: &str, expected: &str) -> Error {
        let reason = format!("settings.\"{setting}\" is {found}, {expected}");
        self.source.error(&format!("settings.{setting}"), reason)
    }

    /// What a trial's configuration has wrong, at the line of the setting that it is about, or at that of all
    /// settings with those of the trial.
    pub fn trial_error(&self, trial: &Trial, error: &Error) -> Error {
        let is_about = |(name, value): &&(String, String)| match error {
            Error::Config { key, found, .. } => {
                key == name || *found == format!("`{name}={value}`")
            }
            _ => false,
        };
        match trial.settings.iter().find(is_about) {
            Some((name, _)) => {
                let key = format!("settings.{name}");
                self.source.error(&key, error.to_string())
            }
            None => {
                let reason = format!("{}: {error}", trial.overrides().join(" "));
                self.source.error("settings", reason)
            }
        }
    }

    /// The settings of every trial.
    pub fn trials(&self) -> Vec<Trial> {
        match self.method {
            Method::Grid => self.grid(),
            Method::Random => self.random(),
        }
    }

    fn grid(&self) -> Vec<Trial> {
        let mut trials = vec![Trial { settings: vec![] }];
        for (key, values) in &self.settings {
            let Values::List(list) = values else { continue };
            let with = |trial: &Trial, value: &toml::Value| {
                let mut settings = trial.settings.clone();
                settings.push((key.clone(), value.to_string()));
                Trial { settings }
            };
            trials = trials
                .iter()
                .flat_map(|trial| list.iter().map(move |value| with(trial, value)))
                .collect();
        }
        trials
    }

    fn random(&self) -> Vec<Trial> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let mut draw = |values: &Values| match values {
            Values::List(list) => list[rng.random_range(0..list.len())].to_string(),
            Values::Range(range) => range.at(rng.random::<f64>()).to_string(),
        };
        (0..self.n_trials.unwrap_or(0))
            .map(|_| Trial {
                settings: self
                    .settings
                    .iter()
                    .map(|(key, values)| (key.clone(), draw(values)))
                    .collect(),
            })
            .collect()
    }
}

impl Source {
    fn of(name: &str, text: &str) -> Self {
        let mut lines = BTreeMap::new();
        if let Ok(table) = DeTable::parse(text) {
            add_lines("", table.get_ref(), text, &mut lines);
        }
        Self {
            name: name.to_owned(),
            lines,
        }
    }

    /// An error at the line of a key, or at the first line without such a key.
    fn error(&self, key: &str, reason: String) -> Error {
        Error::Line {
            name: self.name.clone(),
            line: self.lines.get(key).copied().unwrap_or(1),
            reason,
        }
    }
}

fn add_lines(prefix: &str, table: &DeTable<'_>, text: &str, lines: &mut BTreeMap<String, usize>) {
    for (key, value) in table {
        let name = format!("{prefix}{}", key.get_ref());
        if let DeValue::Table(inner) = value.get_ref() {
            add_lines(&format!("{name}."), inner, text, lines);
        }
        let before = text.get(..key.span().start).unwrap_or_default();
        let line = 1 + before.matches('\n').count();
        // Of a name that is there twice, with quotes and without, the second place.
        let last = lines.entry(name).or_insert(line);
        *last = line.max(*last);
    }
}

impl Range {
    /// Whether a table is a range and not one of settings: those have lists or tables in it.
    fn is_meant(table: &toml::Table) -> bool {
        let is_bound = |value: &toml::Value| !value.is_array() && !value.is_table();
        let mut keys = ["low", "high", "log"].into_iter();
        keys.any(|key| table.get(key).is_some_and(is_bound))
    }

    fn is_sound(&self) -> bool {
        let bounds = self.low.is_finite() && self.high.is_finite() && self.low < self.high;
        bounds && (!self.log || self.low > 0.0)
    }

    /// The number at a share of the way, to three digits so that tables stay readable.
    fn at(&self, share: f64) -> f64 {
        let value = match self.log {
            true => (self.low.ln() + share * (self.high.ln() - self.low.ln())).exp(),
            false => self.low + share * (self.high - self.low),
        };
        let rounded = format!("{value:.2e}").parse().unwrap_or(value);
        f64::clamp(rounded, self.low, self.high)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<SweepConfig> {
        SweepConfig::parse("sweep.toml", text)
    }

    #[test]
    fn a_grid_is_every_combination() -> Result<()> {
        let sweep = parse(
            "config = 'base.toml'\n[settings]\n'train.epochs' = [1, 2]\n'data.validate' = ['all', 'first']",
        )?;
        let overrides: Vec<String> = sweep
            .trials()
            .iter()
            .map(|trial| trial.overrides().join(" "))
            .collect();
        assert_eq!(
            overrides,
            [
                "data.validate=\"all\" train.epochs=1",
                "data.validate=\"all\" train.epochs=2",
                "data.validate=\"first\" train.epochs=1",
                "data.validate=\"first\" train.epochs=2",
            ]
        );
        Ok(())
    }

    #[test]
    fn random_trials_repeat_and_stay_in_their_ranges() -> Result<()> {
        let text = "config = 'base.toml'\nmethod = 'random'\nn_trials = 200\nseed = 3\n[settings]\n\
            'train.learning_rate' = { low = 1e-4, high = 1e-2, log = true }\n'train.batch_size' = [16, 32]";
        let trials = parse(text)?.trials();
        assert_eq!(trials, parse(text)?.trials());
        let rates: Vec<f64> = trials
            .iter()
            .filter_map(|trial| trial.settings[1].1.parse().ok())
            .collect();
        assert_eq!(rates.len(), 200);
        assert!(rates.iter().all(|rate| (1e-4..=1e-2).contains(rate)));
        // By their logarithms, half of them lie below the geometric middle.
        let below = rates.iter().filter(|rate| **rate < 1e-3).count();
        assert!((60..140).contains(&below), "{below}");
        let other = text.replace("seed = 3", "seed = 4");
        assert_ne!(trials, parse(&other)?.trials());
        Ok(())
    }

    fn message(text: &str) -> String {
        let error = parse(text).err();
        error.map_or_else(String::new, |error| error.to_string())
    }

    #[test]
    fn names_without_quotes_are_the_same_settings() -> Result<()> {
        let quoted = parse("config = 'a'\n[settings]\n'train.epochs' = [1, 2]\n'data.seed' = [3]")?;
        for text in [
            "config = 'a'\n[settings]\ntrain.epochs = [1, 2]\ndata.seed = [3]",
            "config = 'a'\n[settings]\n'data.seed' = [3]\n[settings.train]\nepochs = [1, 2]",
        ] {
            assert_eq!(parse(text)?.trials(), quoted.trials());
        }
        let range = "config = 'a'\nmethod = 'random'\nn_trials = 3\n[settings]\n";
        let trials = |setting: &str| -> Result<Vec<Trial>> {
            Ok(parse(&format!("{range}{setting}"))?.trials())
        };
        assert_eq!(
            trials("'train.body_rate' = { low = 1, high = 2 }")?,
            trials("train.body_rate = { low = 1, high = 2 }")?
        );
        Ok(())
    }

    #[test]
    fn what_cannot_be_tried_is_refused_at_its_line() {
        let unknown = "config = 'a'\ntrials = 3\n[settings]\na = [1]";
        assert!(
            message(unknown).starts_with("sweep.toml:2: unknown field"),
            "{}",
            message(unknown)
        );
        assert_eq!(
            message("config = 'a'\n[settings]\n"),
            "sweep.toml:2: settings is empty, must name a setting to try"
        );
        for (settings, expected) in [
            (
                "a = { low = 1, high = 2 }",
                "4: settings.\"a\" is a range, must be a list in a grid",
            ),
            (
                "'b.c' = []",
                "4: settings.\"b.c\" is an empty list, must have a value",
            ),
            (
                "b.c = []",
                "4: settings.\"b.c\" is an empty list, must have a value",
            ),
            (
                "b = 5",
                "4: settings.\"b\" is 5, must be a list, such as [1, 2], or a range, { low = 1, high = 2 }",
            ),
            (
                "b = { c = 'x' }",
                "4: settings.\"b.c\" is \"x\", must be a list, such as [1, 2], or a range, { low = 1, high = 2 }",
            ),
            (
                "b = {}",
                "4: settings.\"b\" is {}, must be a list, such as [1, 2], or a range, { low = 1, high = 2 }",
            ),
            (
                "'b.c' = { low = 1, highs = 2 }",
                "4: settings.\"b.c\": unknown field `highs`, expected one of `low`, `high`, `log`; \
                 did you mean `high`?",
            ),
            ("b = { low = 1 }", "4: settings.\"b\": missing field `high`"),
            (
                "'b.c' = [1]\nb.c = [2]",
                "5: settings.\"b.c\" is there twice, must be there once",
            ),
        ] {
            let text = format!("config = 'a'\n[settings]\nz = [1]\n{settings}");
            assert_eq!(message(&text), format!("sweep.toml:{expected}"));
        }
        let zero = "config = 'a'\nmethod = 'random'\nn_trials = 1\n[settings]\na = { low = 0, high = 2, log = true }";
        assert_eq!(
            message(zero),
            "sweep.toml:5: settings.\"a\" is 0 to 2, must rise, from above 0 if log"
        );
    }

    #[test]
    fn the_number_of_trials_has_limits() -> Result<()> {
        let random = |n: u64| {
            let settings = "[settings]\na = [1, 2]";
            format!("config = 'a'\nmethod = 'random'\nn_trials = {n}\n{settings}")
        };
        for n in [0, 10_001, 9_000_000_000_000_000_000] {
            assert_eq!(
                message(&random(n)),
                format!("sweep.toml:3: n_trials is {n}, must be 1 to 10000")
            );
        }
        assert_eq!(parse(&random(10_000))?.trials().len(), 10_000);
        assert_eq!(
            message("config = 'a'\nmethod = 'random'\n[settings]\na = [1]"),
            "sweep.toml:1: n_trials is left out, must be the number of random trials"
        );
        let hundred = format!("{:?}", [0; 101]);
        let grid = format!("config = 'a'\n[settings]\na = {hundred}\nb = {hundred}");
        assert_eq!(
            message(&grid),
            "sweep.toml:2: settings is more than 10000 combinations, must be fewer"
        );
        Ok(())
    }

    #[test]
    fn what_a_trial_has_wrong_stands_at_its_setting() -> Result<()> {
        let sweep = parse("config = 'a'\n[settings]\ntrain.epoch = [1]\n'train.seed' = [2]")?;
        let trial = &sweep.trials()[0];
        let error = |key: &str, found: &str| Error::Config {
            key: key.to_owned(),
            found: found.to_owned(),
            expected: "must be otherwise".to_owned(),
        };
        let shown = |error: Error| sweep.trial_error(trial, &error).to_string();
        assert_eq!(
            shown(error("train.seed", "2")),
            "sweep.toml:4: train.seed is 2, must be otherwise"
        );
        assert_eq!(
            shown(error("set", "`train.epoch=1`")),
            "sweep.toml:3: set is `train.epoch=1`, must be otherwise"
        );
        assert_eq!(
            shown(error("train.head_epochs", "9")),
            "sweep.toml:2: train.epoch=1 train.seed=2: train.head_epochs is 9, must be otherwise"
        );
        Ok(())
    }
}
