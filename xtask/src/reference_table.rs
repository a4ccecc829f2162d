//! `cargo xtask reference-table`: every reference system on the same clips and folds, as a table.
//!
//! Trains each configuration of `configs/reference` at its own schedule on the FSDKaggle2018 clips in a
//! folder, judged on five folds by the rank of sha256(fname) within the class. Above a thousand million
//! multiplications a segment only the first fold is done. Hours to days on a processor: what is finished stays
//! in `target/reference-table`, and the same command goes on.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::reference::configs;
use crate::tools;

/// Configurations of more than a thousand million multiplications a segment, by the start of their names.
const ONE_FOLD: [&str; 9] = [
    "001-",
    "002-hires",
    "002-linear",
    "002-log",
    "002-mel",
    "002-q1",
    "004-resnet34",
    "argus",
    "cp-jku",
];

/// The settings that put every configuration on the same clips and folds, and have all clips judge.
const SAME_FOLDS: [&str; 4] = [
    "data.layout=fsdkaggle2018",
    "data.folds=hash",
    "data.n_folds=5",
    "data.noisy_in_validation=true",
];

/// Trains the configurations whose names begin with `prefix` and prints the table of all that are finished.
pub(crate) fn run(data: &Path, prefix: &str, program: Option<&Path>) -> Result<()> {
    let program = tools::trainer(program)?;
    let folder = tools::root().join("target/reference-table");
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let table = Table {
        program,
        data,
        folder,
    };
    let mut n_failed = 0;
    for config in configs(prefix)? {
        if let Err(error) = table.train(&config) {
            n_failed += 1;
            eprintln!("{}: {error:#}", config.display());
        }
    }
    println!(
        "| configuration | parameters | multiplications | folds | epochs | minutes | accuracy | MAP@3 |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for config in configs("")? {
        if let Some(row) = table.row(&config)? {
            println!("{row}");
        }
    }
    ensure!(n_failed == 0, "{n_failed} configurations failed");
    Ok(())
}

struct Table<'a> {
    program: PathBuf,
    data: &'a Path,
    folder: PathBuf,
}

impl Table<'_> {
    fn directory(&self, config: &Path) -> PathBuf {
        self.folder.join(config.file_stem().unwrap_or_default())
    }

    /// Trains a configuration, or goes on with it; nothing if it is finished.
    fn train(&self, config: &Path) -> Result<()> {
        let directory = self.directory(config);
        if directory.join("evaluation.json").exists() {
            return Ok(());
        }
        let name = config
            .file_stem()
            .and_then(OsStr::to_str)
            .unwrap_or_default();
        let is_large = ONE_FOLD.iter().any(|prefix| name.starts_with(prefix));
        let validate = match is_large {
            true => "data.validate=first",
            false => "data.validate=all",
        };
        let mut train = Command::new(&self.program);
        train.arg("train").arg(config).arg("--data").arg(self.data);
        for setting in SAME_FOLDS.iter().chain([&validate]) {
            train.args(["--set", setting]);
        }
        train.arg("--output").arg(&directory);
        // What this command prints is the table.
        train.stdout(std::io::stderr());
        eprintln!("{name}");
        let started = Instant::now();
        let status = train.status()?;
        self.add_time(config, started.elapsed())?;
        ensure!(status.success(), "earmark train ended with {status}");
        Ok(())
    }

    fn time_file(&self, config: &Path) -> PathBuf {
        self.directory(config).with_extension("seconds")
    }

    /// How long a configuration was trained, all its parts together.
    fn time(&self, config: &Path) -> f64 {
        std::fs::read_to_string(self.time_file(config))
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .unwrap_or(0.0)
    }

    fn add_time(&self, config: &Path, more: Duration) -> Result<()> {
        let secs = self.time(config) + more.as_secs_f64();
        std::fs::write(self.time_file(config), format!("{secs:.1}\n"))?;
        Ok(())
    }

    /// The row of a configuration, if it is finished.
    fn row(&self, config: &Path) -> Result<Option<String>> {
        let directory = self.directory(config);
        let Some(evaluation) = json(&directory.join("evaluation.json"))? else {
            return Ok(None);
        };
        let Some(run) = json(&directory.join("run.json"))? else {
            return Ok(None);
        };
        let name = config
            .file_stem()
            .and_then(OsStr::to_str)
            .unwrap_or_default();
        let n_folds = run["n_validation_clips"].as_array().map_or(0, Vec::len);
        let millions = |key: &str| match run[key].as_f64() {
            Some(n) => format!("{:.2} M", n / 1e6),
            None => "–".to_owned(),
        };
        Ok(Some(format!(
            "| `{name}` | {} | {} | {n_folds} | {} | {:.0} | {} | {} |",
            millions("n_parameters"),
            millions("n_macs"),
            epochs(config)?,
            self.time(config) / 60.0,
            figure(&evaluation["accuracy"]),
            figure(&evaluation["map_at_3"]),
        )))
    }
}

/// A figure with its interval.
fn figure(value: &Value) -> String {
    let part = |key: &str| value[key].as_f64().unwrap_or(f64::NAN);
    format!(
        "{:.3} ({:.3} to {:.3})",
        part("estimate"),
        part("lower"),
        part("upper")
    )
}

/// The epochs of a configuration, all stages and rounds together.
fn epochs(config: &Path) -> Result<i64> {
    let table: toml::Table = toml::from_str(&std::fs::read_to_string(config)?)?;
    let epochs = |table: &toml::Table| {
        let train = table.get("train")?.as_table()?;
        train.get("epochs")?.as_integer()
    };
    let stages = table.get("stages").and_then(toml::Value::as_array);
    let Some(stages) = stages else {
        return epochs(&table).with_context(|| format!("{}: no epochs", config.display()));
    };
    let of_stage = |stage: &toml::Value| {
        let stage = stage.as_table()?;
        let rounds = stage.get("rounds").and_then(toml::Value::as_integer);
        Some(epochs(stage)? * rounds.unwrap_or(1))
    };
    Ok(stages.iter().filter_map(of_stage).sum())
}

/// A JSON file, or `None` where it is not there yet.
fn json(path: &Path) -> Result<Option<Value>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| path.display().to_string()),
    }
}
