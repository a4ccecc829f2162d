//! `earmark train` as a person meets it: what it says, what it leaves behind, and that a kill or
//! another number of threads changes nothing.

#![cfg(feature = "train")]

use std::process::{Command, Stdio};
use std::time::Duration;

use crate::common::{HIGH, LOW, MIDDLE, Place, mono};

/// Settings that make a run a matter of seconds.
const TINY: [&str; 4] = [
    "--set=model.architecture=cnn6-4",
    "--set=train.epochs=3",
    "--set=train.batch_size=4",
    "--set=data.n_folds=2",
];

/// Low and high tones, four of each, in a folder per class.
fn sounds(place: &Place) {
    for (class, hz) in [("low", LOW), ("high", HIGH)] {
        for clip in 0..4 {
            let hz = hz * (1.0 + 0.02 * f64::from(clip));
            place.file(&format!("sounds/{class}/{clip}.wav"), &mono(&[(1.0, hz)]));
        }
    }
}

fn train(place: &Place, arguments: &[&str]) -> Command {
    let mut command = place.bare();
    command.arg("train").args(TINY).args(arguments);
    command
}

/// The lines of a screen that hold some words.
fn line<'a>(screen: &'a str, words: &str) -> &'a str {
    let found = screen.lines().find(|line| line.contains(words));
    found.unwrap_or_else(|| panic!("no `{words}` in:\n{screen}"))
}

#[test]
fn a_folder_becomes_a_tagger_without_a_configuration() {
    let place = Place::new();
    sounds(&place);
    place.file("sounds/high/broken.wav", b"RIFF????");
    place.file("sounds/_background/0.wav", &mono(&[(1.0, MIDDLE)]));
    let screen = place.screen(&mut train(&place, &["sounds"]));
    assert!(screen.starts_with("exit code: 0"), "{screen}");
    // Before training: the clips, the classes, what is wrong, what is about to happen.
    line(&screen, "10 clips, 2 classes, one label per clip");
    assert!(line(&screen, "(none)").contains(" 1"), "{screen}");
    line(
        &screen,
        "warning: 1 clips cannot be decoded and will be left out",
    );
    line(&screen, "durations of 9 clips");
    line(&screen, "training cnn6");
    line(&screen, "these are few clips to learn from nothing");
    line(&screen, "epoch 3/3");
    // Afterwards: the bundle, and what to type.
    line(&screen, "runs/sounds/model.onnx");
    let next = line(&screen, "tag with it:").trim_start_matches("tag with it:");
    let mut words = next.split_whitespace().skip(1);
    let mut tag = place.bare();
    tag.args(words.by_ref().take(3)).arg("sounds/low/0.wav");
    let tagged = place.screen(&mut tag);
    assert!(tagged.starts_with("exit code: 0"), "{tagged}");
    let classes =
        place.screen(
            place
                .bare()
                .args(["bundle", "info", "--classes", "runs/sounds/model.onnx"]),
        );
    assert!(!classes.contains("_background"), "{classes}");
}

/// The files of a run that hold numbers.
fn numbers(place: &Place, run: &str) -> [String; 2] {
    ["history.csv", "scores.csv"].map(|name| place.read(&format!("{run}/{name}")))
}

#[test]
fn threads_and_a_kill_change_nothing() {
    let place = Place::new();
    sounds(&place);
    let run = |output: &str, threads: &str| {
        let mut command = train(&place, &["sounds", "--output", output]);
        command.env("RAYON_NUM_THREADS", threads);
        command
    };
    for (output, threads) in [("one", "1"), ("two", "2")] {
        let screen = place.screen(&mut run(output, threads));
        assert!(screen.starts_with("exit code: 0"), "{screen}");
    }
    assert_eq!(numbers(&place, "one"), numbers(&place, "two"));

    let mut killed = run("killed", "2")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while killed.try_wait().unwrap().is_none() {
        if place.exists("killed/checkpoint.safetensors") {
            killed.kill().unwrap();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let screen = place.screen(&mut run("killed", "2"));
    assert!(screen.starts_with("exit code: 0"), "{screen}");
    assert_eq!(numbers(&place, "one"), numbers(&place, "killed"));
}

#[test]
fn mistakes_are_named_with_the_way_out() {
    let place = Place::new();
    sounds(&place);
    let screen = |arguments: &[&str]| place.screen(&mut train(&place, arguments));
    let key = screen(&["sounds", "--set", "train.epoch=3"]);
    assert!(key.starts_with("exit code: 2"), "{key}");
    line(&key, "did you mean `epochs`?");
    line(
        &screen(&["sounds", "--set", "model.architecture=resnet-18"]),
        "did you mean `resnet18`?",
    );
    line(
        &screen(&["sounds", "--set", "features.preset=dcase2018"]),
        "did you mean `dcase2018-baseline`?",
    );
    let misfit = screen(&[
        "sounds",
        "--set",
        "model.architecture=dcase-cnn",
        "--set",
        "features.preset=xu2018",
    ]);
    line(&misfit, "found 3 channels × 64 bands");
    line(
        &screen(&["sounds", "--device", "gpu"]),
        "`cpu`, `vulkan` or `cuda`",
    );
    line(&screen(&["sounds", "--device", "cuda"]), "cuda");
    line(&screen(&["nowhere"]), "nowhere");
    place.file("runs/blocked", b"a file where the run directory should be");
    line(
        &screen(&["sounds", "--output", "runs/blocked"]),
        "runs/blocked",
    );
    let wild = screen(&[
        "sounds",
        "--output",
        "wild",
        "--set",
        "train.learning_rate=1e30",
    ]);
    assert!(line(&wild, "epoch 1").contains(".wav"), "{wild}");
}

#[test]
fn another_run_s_directory_is_refused_until_restart() {
    let place = Place::new();
    sounds(&place);
    let run = |more: &[&str]| {
        let arguments = [&["sounds", "--output", "run"][..], more].concat();
        place.screen(&mut train(&place, &arguments))
    };
    assert!(run(&[]).starts_with("exit code: 0"));
    let other = ["--set", "train.seed=7"];
    let refused = run(&other);
    assert!(refused.starts_with("exit code: 2"), "{refused}");
    line(&refused, "--restart");
    // The other run's second stage does not go on either.
    let stale = place.path("run/checkpoint-1.safetensors");
    std::fs::copy(place.path("run/checkpoint.safetensors"), &stale).unwrap();
    let again = run(&[&other[..], &["--restart"][..]].concat());
    assert!(again.starts_with("exit code: 0"), "{again}");
    assert!(!stale.exists());
}

#[test]
fn learning_rates_are_tried_and_one_is_suggested() {
    let place = Place::new();
    sounds(&place);
    let screen = place.screen(&mut train(&place, &["sounds", "--find-lr"]));
    assert!(screen.starts_with("exit code: 0"), "{screen}");
    line(&screen, "learning rate  loss");
    assert!(
        place
            .read("runs/sounds/learning_rates.svg")
            .ends_with("</svg>")
    );
    assert!(place.exists("runs/sounds/learning_rates.csv"));
    assert!(!place.exists("runs/sounds/model.onnx"));
}
