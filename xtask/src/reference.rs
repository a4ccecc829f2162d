//! `cargo xtask reference`: every configuration of `configs/reference/` end to end on a few sounds.
//!
//! Makes three small data sets (2018, 2019 and folders), trains each configuration for one epoch a stage,
//! predicts a submission and scores it. It shows that every reference system runs, not how good it is;
//! the figures of so few clips mean nothing.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use crate::sounds::{self, Sound};
use crate::tools;

const CLASSES: [&str; 3] = ["Bark", "Flute", "Gong"];
/// Training clips of a class; every other one is unverified.
const N_TRAIN: usize = 8;
const N_TEST: usize = 6;
/// Clips in a batch.
const BATCH: i64 = 6;

/// Runs all configurations, or those whose names begin with `prefix`, with the program at `program` or
/// the release build.
pub(crate) fn run(prefix: &str, program: Option<&Path>) -> Result<()> {
    let program = tools::trainer(program)?;
    let folder = tools::root().join("target/reference");
    let _ = std::fs::remove_dir_all(folder.join("runs"));
    for layout in ["fsdkaggle2018", "fsdkaggle2019", "folders"] {
        data_set(&folder.join(layout), layout)?;
    }
    let configs = configs(prefix)?;
    println!(
        "{:<26} {:>8} {:>8}  result",
        "configuration", "train", "predict"
    );
    let mut n_failed = 0;
    for config in &configs {
        let name = config
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        match one(&program, &folder, config, &name) {
            Ok(row) => println!("{row}"),
            Err(error) => {
                n_failed += 1;
                println!("{name:<26} failed: {error:#}");
            }
        }
    }
    match n_failed {
        0 => Ok(()),
        _ => bail!("{n_failed} of {} configurations failed", configs.len()),
    }
}

/// The configurations of `configs/reference` whose names begin with `prefix`, sorted; no sweeps.
pub(crate) fn configs(prefix: &str) -> Result<Vec<PathBuf>> {
    let mut configs: Vec<PathBuf> = std::fs::read_dir(tools::root().join("configs/reference"))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<std::io::Result<_>>()?;
    configs.retain(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(prefix) && name.ends_with(".toml") && !name.ends_with(".sweep.toml")
    });
    configs.sort();
    Ok(configs)
}

/// Trains, predicts and scores one configuration and tells how it went in a row.
fn one(program: &Path, folder: &Path, config: &Path, name: &str) -> Result<String> {
    let text = std::fs::read_to_string(config)?;
    let (small, layout) = smaller(&text)?;
    let small_config = folder.join(format!("{name}.toml"));
    std::fs::write(&small_config, small)?;
    let data = folder.join(&layout);
    let run = folder.join("runs").join(name);
    let started = Instant::now();
    earmark(
        program,
        &[
            "train".as_ref(),
            small_config.as_os_str(),
            "--data".as_ref(),
            data.as_os_str(),
            "--output".as_ref(),
            run.as_os_str(),
        ],
    )?;
    let train_secs = started.elapsed().as_secs_f64();
    let started = Instant::now();
    let result = match layout.as_str() {
        "folders" => {
            let model = run.join("model.onnx");
            earmark(
                program,
                &[
                    "evaluate".as_ref(),
                    data.as_os_str(),
                    "--model".as_ref(),
                    model.as_os_str(),
                    "--part".as_ref(),
                    "all".as_ref(),
                ],
            )?
        }
        _ => {
            let submission = run.join("submission.csv");
            let format = layout.replace("fsd", "");
            earmark(
                program,
                &[
                    "predict".as_ref(),
                    "--model".as_ref(),
                    run.as_os_str(),
                    "--data".as_ref(),
                    data.as_os_str(),
                    "--format".as_ref(),
                    format.as_ref(),
                    "--tta".as_ref(),
                    "2".as_ref(),
                    "--output".as_ref(),
                    submission.as_os_str(),
                ],
            )?;
            let truth = data.join("truth.csv");
            earmark(
                program,
                &["score".as_ref(), submission.as_os_str(), truth.as_os_str()],
            )?
        }
    };
    let line = result.lines().next().unwrap_or_default();
    let predict_secs = started.elapsed().as_secs_f64();
    Ok(format!(
        "{name:<26} {train_secs:>6.1} s {predict_secs:>6.1} s  {line}"
    ))
}

/// Runs the program and returns what it prints.
fn earmark(program: &Path, arguments: &[&std::ffi::OsStr]) -> Result<String> {
    let output = Command::new(program).args(arguments).output()?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = stderr.lines().collect();
    let from = lines
        .iter()
        .position(|line| line.contains("error:"))
        .unwrap_or(0);
    bail!("{}", lines[from..].join("; "))
}

/// A configuration with one epoch a stage, small batches and one fold, and its layout.
fn smaller(text: &str) -> Result<(String, String)> {
    let mut config: toml::Table = toml::from_str(text)?;
    let train = table(&mut config, "train");
    train.insert("epochs".to_owned(), 1.into());
    train.insert("batch_size".to_owned(), BATCH.into());
    train.insert("head_epochs".to_owned(), 0.into());
    for stage in config
        .get_mut("stages")
        .and_then(toml::Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        let Some(stage) = stage.as_table_mut() else {
            continue;
        };
        stage.remove("rounds");
        table(stage, "train").insert("epochs".to_owned(), 1.into());
    }
    let data = table(&mut config, "data");
    data.insert("n_folds".to_owned(), 2.into());
    data.insert("validate".to_owned(), "first".into());
    let layout = data
        .get("layout")
        .and_then(toml::Value::as_str)
        .unwrap_or("folders")
        .to_owned();
    Ok((toml::to_string(&config)?, layout))
}

/// A table in a table, made if it is not there.
fn table<'t>(outer: &'t mut toml::Table, name: &str) -> &'t mut toml::Table {
    let value = outer
        .entry(name)
        .or_insert_with(|| toml::Table::new().into());
    if !value.is_table() {
        *value = toml::Table::new().into();
    }
    match value {
        toml::Value::Table(table) => table,
        _ => unreachable!("it was made a table"),
    }
}

/// Makes a data set of tones in one of three layouts.
fn data_set(folder: &Path, layout: &str) -> Result<()> {
    let place = |sub: &str| -> Result<PathBuf> {
        let folder = folder.join(sub);
        std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        Ok(folder)
    };
    let sound = |path: &Path, class: usize, seed: u64| {
        let sound = Sound {
            sample_rate: 44_100,
            secs: 1.0 + 0.3 * (seed % 4) as f64,
            classes: &[class * 4],
            seed,
        };
        sounds::write(path, &sound)
    };
    let is_2018 = layout == "fsdkaggle2018";
    let mut tables = [String::new(), String::new()];
    for clip in 0..CLASSES.len() * N_TRAIN {
        let (class, is_noisy) = (clip % CLASSES.len(), (clip / CLASSES.len()) % 2 == 1);
        let name = format!("{clip:08x}.wav");
        let sub = match (layout, is_noisy) {
            ("fsdkaggle2018", _) => "audio_train",
            ("fsdkaggle2019", false) => "train_curated",
            ("fsdkaggle2019", true) => "train_noisy",
            _ => CLASSES[class],
        };
        sound(&place(sub)?.join(&name), class, clip as u64)?;
        let row = match is_2018 {
            true => format!("{name},{},{}\n", CLASSES[class], u8::from(!is_noisy)),
            false => format!("{name},{}\n", CLASSES[class]),
        };
        tables[usize::from(is_noisy && !is_2018)] += &row;
    }
    match layout {
        "fsdkaggle2018" => {
            std::fs::write(
                folder.join("train.csv"),
                format!("fname,label,manually_verified\n{}", tables[0]),
            )?;
        }
        "fsdkaggle2019" => {
            for (name, rows) in ["train_curated.csv", "train_noisy.csv"].iter().zip(&tables) {
                std::fs::write(folder.join(name), format!("fname,labels\n{rows}"))?;
            }
        }
        _ => return Ok(()),
    }
    let test = place(if is_2018 { "audio_test" } else { "test" })?;
    let (mut sample, mut truth) = match is_2018 {
        true => ("fname,label\n".to_owned(), "fname,label\n".to_owned()),
        false => (
            format!("fname,{}\n", CLASSES.join(",")),
            "fname,labels\n".to_owned(),
        ),
    };
    for clip in 0..N_TEST {
        let (name, class) = (format!("{:08x}.wav", 1000 + clip), clip % CLASSES.len());
        sound(&test.join(&name), class, 1000 + clip as u64)?;
        sample += &match is_2018 {
            true => format!("{name},{}\n", CLASSES[0]),
            false => format!("{name}{}\n", ",0".repeat(CLASSES.len())),
        };
        truth += &format!("{name},{}\n", CLASSES[class]);
    }
    std::fs::write(folder.join("sample_submission.csv"), sample)?;
    std::fs::write(folder.join("truth.csv"), truth)?;
    Ok(())
}
