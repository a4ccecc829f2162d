//! What a trial's figures rest on: digests of its effective configuration and of its list of clips, and
//! the words for what has changed.

use std::collections::BTreeMap;
use std::path::Path;

use earmark::bundle::Card;
use earmark::dataset::{Manifest, ReadOptions};
use earmark::digest::sha256_of_bytes;
use earmark_train::RunConfig;
use earmark_train::run::config::DataConfig;
use serde::{Deserialize, Serialize};

/// Digests in hexadecimal; figures of equal ones can stand in one table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Basis {
    configuration: String,
    clips: String,
}

impl Basis {
    /// The basis of a trial with this configuration.
    pub(super) fn of(config: &RunConfig, lists: &mut ClipLists) -> anyhow::Result<Self> {
        let settings = decisive(config).to_toml()?;
        Ok(Self {
            configuration: sha256_of_bytes(settings.as_bytes()),
            clips: lists.digest(&config.data)?,
        })
    }

    /// What figures of this basis were found for and what a trial of basis `now` expects; `None` if they fit.
    /// `saved` is the configuration of the run that found them, `config` the trial's.
    pub(super) fn conflict(&self, now: &Self, saved: &Path, config: &RunConfig) -> Option<String> {
        if self.configuration != now.configuration {
            let saved = RunConfig::open(saved, &[]).ok();
            return Some(match saved.and_then(|then| changed(&then, config)) {
                Some([found, expected]) => format!("was trained with {found}, expected {expected}"),
                None => format!(
                    "was trained with a configuration of digest {}, expected {}",
                    short(&self.configuration),
                    short(&now.configuration)
                ),
            });
        }
        let data = config.data.path.as_deref().unwrap_or(Path::new(""));
        (self.clips != now.clips).then(|| {
            format!(
                "was trained on clips of digest {}, expected {}, that of {}",
                short(&self.clips),
                short(&now.clips),
                data.display()
            )
        })
    }
}

/// The digests of data sets' lists of clips, each read once for all trials.
#[derive(Debug, Default)]
pub(super) struct ClipLists(BTreeMap<String, String>);

impl ClipLists {
    fn digest(&mut self, data: &DataConfig) -> earmark::Result<String> {
        let Some(path) = &data.path else {
            // The run itself says what is missing.
            return Ok(String::new());
        };
        let key = format!("{:?}", (path, &data.table, data.layout));
        if let Some(digest) = self.0.get(&key) {
            return Ok(digest.clone());
        }
        let options = ReadOptions {
            layout: data.layout,
            table: data.table.clone(),
            ..ReadOptions::default()
        };
        let mut manifest = Manifest::open_with(path, &options)?;
        manifest.remove_missing();
        let digest = manifest.digest();
        self.0.insert(key, digest.clone());
        Ok(digest)
    }
}

/// The configuration with paths from the root on: its copy in the run directory means the same from anywhere.
pub(super) fn with_full_paths(mut config: RunConfig) -> RunConfig {
    for path in config.paths_mut() {
        if let Ok(whole) = std::path::absolute(&*path) {
            *path = whole;
        }
    }
    config
}

/// The settings that decide figures: not what the bundle says, nor where decoded audio is kept.
fn decisive(config: &RunConfig) -> RunConfig {
    let mut config = config.clone();
    config.bundle = Card::default();
    config.data.cache = None;
    for path in config.paths_mut() {
        // `a/../b` is `b`.
        if let Ok(whole) = path.canonicalize() {
            *path = whole;
        }
    }
    config
}

/// The first setting that differs, as it was and as it is.
fn changed(then: &RunConfig, now: &RunConfig) -> Option<[String; 2]> {
    let [then, now] = [then, now].map(|config| by_name(&decisive(config)));
    let mut keys = then.keys().chain(now.keys());
    let key = keys.find(|key| then.get(*key) != now.get(*key))?;
    let shown = |settings: &BTreeMap<String, String>| match settings.get(key) {
        Some(value) => format!("{key} = {value}"),
        None => format!("{key} left out"),
    };
    Some([shown(&then), shown(&now)])
}

/// Every setting by its dotted name.
fn by_name(config: &RunConfig) -> BTreeMap<String, String> {
    let mut settings = BTreeMap::new();
    if let Ok(table) = toml::Table::try_from(config) {
        collect("", &table, &mut settings);
    }
    settings
}

fn collect(prefix: &str, table: &toml::Table, settings: &mut BTreeMap<String, String>) {
    for (key, value) in table {
        match value {
            toml::Value::Table(inner) => collect(&format!("{prefix}{key}."), inner, settings),
            value => {
                settings.insert(format!("{prefix}{key}"), value.to_string());
            }
        }
    }
}

/// The beginning of a digest, enough to tell two apart.
fn short(digest: &str) -> &str {
    digest.get(..8).unwrap_or("none")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> RunConfig {
        RunConfig::parse("run.toml", text, &[]).unwrap()
    }

    fn basis(text: &str) -> Basis {
        Basis::of(&config(text), &mut ClipLists::default()).unwrap()
    }

    #[test]
    fn settings_decide_and_names_and_caches_do_not() {
        let plain = basis("");
        let told = basis("[bundle]\nname = 'bells'\n[data]\ncache = 'elsewhere'");
        assert_eq!(plain, told);
        assert_ne!(plain, basis("[train]\nepochs = 5"));
        assert_ne!(plain, basis("[model]\ninit = 'a.onnx'"));
    }

    #[test]
    fn the_setting_that_changed_is_named() {
        let words = |then: &str, now: &str| changed(&config(then), &config(now)).unwrap();
        assert_eq!(
            words("[train]\nepochs = 5", "[train]\nepochs = 30"),
            ["train.epochs = 5", "train.epochs = 30"]
        );
        assert_eq!(
            words("", "[train]\npatience = 3"),
            ["train.patience left out", "train.patience = 3"]
        );
        assert_eq!(changed(&config(""), &config("")), None);
    }
}
