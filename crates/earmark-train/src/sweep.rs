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
//! The same file gives the same trials in the same order, so a sweep that was stopped goes on.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use earmark::{Error, Result};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;

/// The most trials of a grid.
const MAX_TRIALS: usize = 10_000;

/// A sweep as its file has it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SweepConfig {
    /// The configuration of every trial; relative to the sweep's own file.
    pub config: PathBuf,
    /// How settings are combined.
    #[serde(default)]
    pub method: Method,
    /// The number of random trials, at least 1.
    pub n_trials: Option<usize>,
    /// Seeds random trials.
    #[serde(default)]
    pub seed: u64,
    /// Settings and the values that they try, in the order of their names.
    pub settings: BTreeMap<String, Values>,
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
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
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
    /// [`Error::Io`], [`Error::Line`] for unknown keys and wrong types, [`Error::Config`] for values
    /// that cannot be.
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
        let config: Self = toml::from_str(text).map_err(|error| Error::toml(name, text, &error))?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<()> {
        let refuse = |key: &str, found: String, expected: &str| {
            Err(Error::Config {
                key: key.to_owned(),
                found,
                expected: expected.to_owned(),
            })
        };
        if self.settings.is_empty() {
            return refuse("settings", "empty".to_owned(), "must name a setting to try");
        }
        match (self.method, self.n_trials) {
            (Method::Random, None) => {
                return refuse(
                    "n_trials",
                    "left out".to_owned(),
                    "must be the number of random trials",
                );
            }
            (Method::Random, Some(0)) => {
                return refuse("n_trials", "0".to_owned(), "must be at least 1");
            }
            (Method::Grid, Some(n)) => {
                return refuse("n_trials", n.to_string(), "must be left out of a grid");
            }
            _ => {}
        }
        for (key, values) in &self.settings {
            let key = format!("settings.\"{key}\"");
            match values {
                Values::List(list) if list.is_empty() => {
                    return refuse(&key, "an empty list".to_owned(), "must have a value");
                }
                Values::Range(_) if self.method == Method::Grid => {
                    return refuse(&key, "a range".to_owned(), "must be a list in a grid");
                }
                Values::Range(range) if !range.is_sound() => {
                    let found = format!("{} to {}", range.low, range.high);
                    return refuse(&key, found, "must rise, from above 0 if log");
                }
                _ => {}
            }
        }
        let n_trials = self
            .settings
            .values()
            .try_fold(1_usize, |n, values| match values {
                Values::List(list) => n.checked_mul(list.len()).filter(|n| *n <= MAX_TRIALS),
                Values::Range(_) => Some(n),
            });
        match (self.method, n_trials) {
            (Method::Grid, None) => refuse(
                "settings",
                format!("more than {MAX_TRIALS} combinations"),
                "must be fewer",
            ),
            _ => Ok(()),
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

impl Range {
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

    #[test]
    fn what_cannot_be_tried_is_refused() {
        let message = |text: &str| {
            parse(text)
                .err()
                .map_or_else(String::new, |e| e.to_string())
        };
        let unknown = "config = 'a'\ntrials = 3\n[settings]\na = [1]";
        assert!(
            message(unknown).starts_with("sweep.toml:2: unknown field"),
            "{}",
            message(unknown)
        );
        assert_eq!(
            message("config = 'a'\n[settings]\n"),
            "settings is empty, must name a setting to try"
        );
        let range = "config = 'a'\n[settings]\na = { low = 1, high = 2 }";
        assert_eq!(
            message(range),
            "settings.\"a\" is a range, must be a list in a grid"
        );
        let zero = "config = 'a'\nmethod = 'random'\nn_trials = 1\n[settings]\na = { low = 0, high = 2, log = true }";
        assert_eq!(
            message(zero),
            "settings.\"a\" is 0 to 2, must rise, from above 0 if log"
        );
    }
}
