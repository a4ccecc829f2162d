//! A folder of labelled sounds becomes a bundle that tags them, and a run directory that says how.

use std::f32::consts::TAU;
use std::path::Path;

use earmark::bundle::Bundle;
use earmark_train::observer::{Observer, Silent, StepReport};
use earmark_train::{DeviceChoice, RunConfig, RunOptions, RunResult, run};

use crate::common::Notices;
use crate::common::tones::{self, SAMPLE_RATE};

/// One second of what a function of the time in seconds gives.
fn write_wav(path: &Path, sample: impl Fn(f32) -> f32) {
    let samples = (0..).map(|i| sample(i as f32 / SAMPLE_RATE as f32));
    tones::write_wav(path, samples).expect("a writable folder");
}

/// Low and high tones, four of each, in a folder per class.
fn write_sounds(folder: &Path) {
    for (class, base) in [("low", 200.0f32), ("high", 3_000.0)] {
        std::fs::create_dir_all(folder.join(class)).expect("a writable folder");
        for clip in 0..4 {
            let frequency = base * (1.0 + 0.05 * clip as f32);
            let path = folder.join(class).join(format!("{clip}.wav"));
            write_wav(&path, |t| 0.5 * (TAU * frequency * t).sin());
        }
    }
}

fn config(folder: &Path, extra: &str) -> RunConfig {
    let text = format!(
        "[data]\npath = '{}'\nn_folds = 2\n[model]\narchitecture = 'mn01'\n\
         [train]\nepochs = 2\nbatch_size = 4\n{extra}",
        folder.display()
    );
    RunConfig::parse("run.toml", &text, &[]).expect("a sound configuration")
}

fn train(folder: &Path, config: &RunConfig, observer: &mut dyn Observer) -> RunResult {
    let options = RunOptions {
        directory: folder.join("runs/tones"),
        device: DeviceChoice::Cpu,
    };
    run(config, &options, &(), observer).expect("a run on sound clips")
}

/// Stops after the first epoch.
struct OneEpoch;

impl Observer for OneEpoch {
    fn step(&mut self, _report: &StepReport) {}

    fn wants_to_stop(&mut self) -> bool {
        true
    }
}

#[test]
fn a_run_leaves_figures_and_a_bundle_that_can_be_trained_on() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let sounds = folder.path().join("sounds");
    write_sounds(&sounds);
    let config = config(&sounds, "");
    let interrupted = train(folder.path(), &config, &mut OneEpoch);
    assert!(!interrupted.is_complete && interrupted.bundles.is_empty());
    let result = train(folder.path(), &config, &mut Silent);
    assert!(result.is_complete);
    let directory = &result.directory;
    for name in [
        "config.toml",
        "run.json",
        "history.csv",
        "scores.csv",
        "classes.csv",
        "evaluation.json",
    ] {
        assert!(directory.join(name).is_file(), "{name}");
    }
    let bundle = Bundle::open(&result.bundles[0]).expect("a bundle just written");
    let classes: Vec<&str> = bundle.metadata().vocabulary.names().collect();
    assert_eq!(classes, ["high", "low"]);

    // The bundle is a start for the next run: here of a probe over both folds.
    let text = config.to_toml().expect("settings that can be written");
    let init = format!("model.init={}", result.bundles[0].display());
    let overrides = [
        "train.scope=probe",
        "data.validate=all",
        "model.architecture='mn01'",
        &init,
    ];
    let overrides: Vec<String> = overrides.iter().map(|&o| o.to_owned()).collect();
    let probe = RunConfig::parse("run.toml", &text, &overrides).expect("sound settings");
    let probed = train(&folder.path().join("probe"), &probe, &mut Silent);
    assert_eq!(probed.folds.len(), 2);
    let evaluation = probed.evaluation.expect("both folds were judged");
    assert_eq!(evaluation.n_clips, 8);
    // The network has seen four clips for two epochs; its embedding need not be perfect.
    let accuracy = evaluation.accuracy.expect("one label a clip");
    assert!(accuracy.estimate >= 0.75, "{accuracy:?}");
}

#[test]
fn a_folder_without_sounds_and_a_foreign_start_are_named() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let options = RunOptions {
        directory: folder.path().join("run"),
        device: DeviceChoice::Cpu,
    };
    let empty = config(folder.path(), "");
    assert!(run(&empty, &options, &(), &mut Silent).is_err());
    let mut foreign = empty;
    let text = folder.path().join("text.onnx");
    std::fs::write(&text, "no model").expect("a writable folder");
    foreign.model.init = Some(text);
    let error = run(&foreign, &options, &(), &mut Silent).expect_err("no bundle");
    assert!(error.to_string().contains("text.onnx"), "{error}");
}

/// The layout of FSDKaggle2018: tones of each class, of which the first `n_checked` are checked; the last has the
/// other class's label where `is_mislabelled`.
fn write_challenge(
    folder: &Path,
    n_clips: usize,
    n_checked: usize,
    is_mislabelled: bool,
) -> std::io::Result<()> {
    std::fs::create_dir_all(folder.join("audio_train"))?;
    let mut table = "fname,label,manually_verified\n".to_owned();
    for (class, other, base) in [("low", "high", 200.0f32), ("high", "low", 3_000.0)] {
        for clip in 0..n_clips {
            let frequency = base * (1.0 + 0.05 * clip as f32);
            let name = format!("{class}{clip}.wav");
            write_wav(&folder.join("audio_train").join(&name), |t| {
                0.5 * (TAU * frequency * t).sin()
            });
            let is_wrong = is_mislabelled && clip + 1 == n_clips;
            let label = if is_wrong { other } else { class };
            table += &format!("{name},{label},{}\n", u8::from(clip < n_checked));
        }
    }
    std::fs::write(folder.join("train.csv"), table)
}

const STAGES: &str = "[[stages]]\nclips = { kind = 'curated' }\ntrain = { epochs = 1 }\n\
    [[stages]]\nclips = { kind = 'agreed', threshold = 0.0, max_per_class = 1 }\nrounds = 2\n\
    train = { epochs = 1, learning_rate = 1e-4 }\n\
    [[stages]]\nclips = { kind = 'noisy' }\npseudo_labels = 2.0\ntrain = { epochs = 1 }\n";

#[test]
fn stages_follow_each_other_and_an_interrupted_run_ends_the_same()
-> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let sounds = folder.path().join("challenge");
    write_challenge(&sounds, 5, 2, false)?;
    let config = config(&sounds, STAGES);
    let mut notices = Notices::default();
    let unbroken = train(folder.path(), &config, &mut notices);
    assert!(unbroken.is_complete);
    let announced = notices
        .0
        .iter()
        .any(|n| n.contains("from scratch, 4 epochs, on"));
    assert!(announced, "{:?}", notices.0);
    let history = std::fs::read_to_string(unbroken.directory.join("history.csv"))?;
    // A header, and one epoch of each of four trainings.
    let epochs: Vec<&str> = history
        .lines()
        .filter_map(|row| row.split(',').next())
        .collect();
    assert_eq!(epochs, ["epoch", "1", "2", "3", "4"]);
    let again = folder.path().join("again");
    let broken = train(&again, &config, &mut OneEpoch);
    assert!(!broken.is_complete);
    let resumed = train(&again, &config, &mut Silent);
    let scores = |result: &RunResult| std::fs::read(result.directory.join("scores.csv"));
    assert_eq!(scores(&unbroken)?, scores(&resumed)?);
    Ok(())
}

const VERIFIED: &str = "[data]\nvalidate = 'all'\nn_folds = 2\n[features]\npreset = 'dcase2018-baseline'\n\
    [model]\narchitecture = 'dcase-mlp'\n[train]\nbatch_size = 4\nlearning_rate = 1e-2\n\
    [[stages]]\ntrain = { epochs = 20 }\n\
    [[stages]]\nclips = { kind = 'agreed', threshold = 0.5 }\ntrain = { epochs = 1 }\n";

#[test]
fn labels_are_verified_by_folds_that_have_not_learned_them()
-> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let sounds = folder.path().join("challenge");
    write_challenge(&sounds, 8, 4, true)?;
    let path = format!("data.path='{}'", sounds.display());
    let config = RunConfig::parse("run.toml", VERIFIED, &[path])?;
    let mut notices = Notices::default();
    let unbroken = train(folder.path(), &config, &mut notices);
    assert!(unbroken.is_complete);
    // Only the eight checked clips judge, each once.
    assert_eq!(unbroken.evaluation.as_ref().map(|e| e.n_clips), Some(8));
    let stages: Vec<&String> = notices.0.iter().filter(|n| n.contains("stage")).collect();
    // A fold trains on four checked and four unchecked clips. Of the eight unchecked ones the two with wrong
    // labels are taken by neither.
    assert_eq!(stages.len(), 4, "{stages:?}");
    for (fold, stage) in [(0, stages[0]), (1, stages[1])] {
        assert_eq!(
            *stage,
            format!("fold {fold}, stage 1 of 2: 8 clips, 20 epochs")
        );
    }
    let n_taken: usize = [stages[2], stages[3]]
        .iter()
        .map(|stage| n_clips(stage))
        .sum();
    assert_eq!(n_taken, 2 * 4 + 6, "{stages:?}");

    let again = folder.path().join("again");
    let broken = train(&again, &config, &mut OneEpoch);
    assert!(!broken.is_complete && broken.evaluation.is_none());
    let resumed = train(&again, &config, &mut Silent);
    let scores = |result: &RunResult| std::fs::read(result.directory.join("scores.csv"));
    assert_eq!(scores(&unbroken)?, scores(&resumed)?);
    Ok(())
}

/// The number of clips that a notice of a stage names.
fn n_clips(notice: &str) -> usize {
    let before = notice.split(" clips").next().unwrap_or_default();
    let number = before.rsplit(' ').next().unwrap_or_default();
    number.parse().expect("a number of clips")
}

#[test]
fn a_probe_without_a_trained_network_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let sounds = folder.path().join("sounds");
    write_sounds(&sounds);
    let mut config = config(&sounds, "scope = 'probe'\n");
    let options = RunOptions {
        directory: folder.path().join("run"),
        device: DeviceChoice::Cpu,
    };
    let error = run(&config, &options, &(), &mut Silent).expect_err("nothing to probe");
    assert!(
        error.to_string().starts_with("model.init is nothing"),
        "{error}"
    );
    config.train.scope = earmark_train::trainer::Scope::All;
    config.train.epochs = 1;
    assert!(run(&config, &options, &(), &mut Silent).is_ok());
}

#[test]
fn noisy_clips_have_losses_of_their_own() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let sounds = folder.path().join("challenge");
    write_challenge(&sounds, 5, 2, false)?;
    let plain = train(folder.path(), &config(&sounds, ""), &mut Silent);
    let scores = |result: &RunResult| std::fs::read(result.directory.join("scores.csv"));
    for method in [
        "bootstrap = 0.5",
        "lq = 0.7",
        "mask_above = 0.1",
        "own_head = true",
    ] {
        let place = folder.path().join(method);
        let config = config(&sounds, &format!("[train.noisy]\n{method}\n"));
        let result = train(&place, &config, &mut Silent);
        assert!(result.is_complete, "{method}");
        assert_ne!(scores(&result)?, scores(&plain)?, "{method}");
        let bundle = Bundle::open(&result.bundles[0])?;
        let classes: Vec<&str> = bundle.metadata().vocabulary.names().collect();
        assert_eq!(classes, ["high", "low"]);
    }
    let text = format!("[train.noisy]\nown_head = true\n{STAGES}");
    let error = RunConfig::parse("run.toml", &text, &[])
        .err()
        .map(|error| error.to_string());
    assert_eq!(
        error.as_deref(),
        Some("stages is set, must be left out beside train.noisy.own_head")
    );
    Ok(())
}
