//! `earmark sweep` as a person meets it: what is kept, what is refused, and that one trial that diverges
//! keeps none of the others from being trained.

#![cfg(feature = "train")]

use crate::common::{HIGH, LOW, Place, mono};

/// The configuration of every trial: a run of seconds.
fn base(place: &Place, epochs: usize) {
    let text = format!(
        "[data]\npath = 'sounds'\nn_folds = 2\n[model]\narchitecture = 'cnn6-4'\n\
         [train]\nepochs = {epochs}\nbatch_size = 4\n"
    );
    place.file("base.toml", text.as_bytes());
}

/// The sweep `s.toml`.
fn values(place: &Place, settings: &str) {
    let text = format!("config = 'base.toml'\n[settings]\n{settings}\n");
    place.file("s.toml", text.as_bytes());
}

/// Low and high tones, four of each, and a sweep over some values.
fn place(settings: &str) -> Place {
    let place = Place::new();
    sounds(&place, "sounds");
    base(&place, 2);
    values(&place, settings);
    place
}

fn sounds(place: &Place, folder: &str) {
    for (class, hz) in [("low", LOW), ("high", HIGH)] {
        for clip in 0..4 {
            let hz = hz * (1.0 + 0.02 * f64::from(clip));
            place.file(&format!("{folder}/{class}/{clip}.wav"), &mono(&[(1.0, hz)]));
        }
    }
}

fn sweep(place: &Place, more: &[&str]) -> String {
    place.screen(place.bare().args(["sweep", "s.toml"]).args(more))
}

#[test]
fn a_sweep_that_grows_keeps_what_it_has() {
    let place = place("'train.seed' = [0, 1]");
    let screen = sweep(&place, &[]);
    assert!(screen.starts_with("exit code: 0"), "{screen}");
    assert!(screen.contains("trial 2 of 2: train.seed=1\n"), "{screen}");
    // The folder's name does not follow from the number of trials.
    assert!(place.exists("runs/s/0000/model.onnx"));
    assert!(place.exists("runs/s/0001/model.onnx"));
    let table = place.read("runs/s/sweep.csv");
    assert!(table.starts_with("trial,train.seed,"), "{table}");

    let again = sweep(&place, &[]);
    assert!(again.starts_with("exit code: 0"), "{again}");
    assert!(!again.contains("trial 1 of"), "{again}");
    assert_eq!(place.read("runs/s/sweep.csv"), table);

    values(&place, "'train.seed' = [0, 1, 2]");
    let grown = sweep(&place, &[]);
    assert!(grown.contains("trial 3 of 3"), "{grown}");
    assert!(!grown.contains("trial 2 of"), "{grown}");
    assert_eq!(place.read("runs/s/trials.jsonl").lines().count(), 3);
}

#[test]
fn figures_of_other_settings_and_clips_are_refused() {
    let place = place("'train.seed' = [0]");
    assert!(sweep(&place, &[]).starts_with("exit code: 0"));
    let kept = place.read("runs/s/trials.jsonl");
    let refused = |more: &[&str], words: &str| {
        let screen = sweep(&place, more);
        assert!(screen.starts_with("exit code: 2"), "{screen}");
        assert!(screen.contains(words), "no `{words}` in:\n{screen}");
        assert!(
            screen.contains("hint: give another --output, or delete"),
            "{screen}"
        );
        assert!(!screen.contains("trial 1 of"), "{screen}");
    };
    let epochs = "error: runs/s/trials.jsonl: trial 1 was trained with train.epochs = 2, \
                  expected train.epochs = 3\n";
    refused(&["--set", "train.epochs=3"], epochs);
    base(&place, 3);
    refused(&[], epochs);
    base(&place, 2);

    // The same clips under another name of the same folder are the same, those of another folder are not.
    let same = sweep(&place, &["--data", "./sounds/../sounds"]);
    assert!(same.starts_with("exit code: 0"), "{same}");
    sounds(&place, "elsewhere/sounds");
    refused(
        &["--data", "elsewhere/sounds"],
        "trial 1 was trained with data.path = ",
    );
    place.file("sounds/low/new.wav", &mono(&[(1.0, LOW)]));
    refused(&[], "trial 1 was trained on clips of digest ");
    assert_eq!(place.read("runs/s/trials.jsonl"), kept);

    // What earlier builds wrote does not say what it rests on.
    let line = "{\"trial\":0,\"settings\":[\"train.seed=0\"],\"figures\":{\"accuracy\":1.0}}\n";
    place.file("old/trials.jsonl", line.as_bytes());
    refused(
        &["--output", "old"],
        "old/trials.jsonl: trial 1 was trained with a configuration of digest none, expected ",
    );
}

#[test]
fn what_a_sweep_has_wrong_is_told_with_its_file_and_line() {
    let place = place("");
    let refused = |words: &str| {
        let screen = sweep(&place, &[]);
        assert!(screen.starts_with("exit code: 2"), "{screen}");
        assert!(screen.contains(words), "no `{words}` in:\n{screen}");
        assert!(!place.exists("runs"), "{screen}");
    };
    refused("error: s.toml:2: settings is empty, must name a setting to try\n");
    for (settings, words) in [
        (
            "'train.seed' = []",
            "error: s.toml:3: settings.\"train.seed\" is an empty list, must have a value\n",
        ),
        (
            "'train.epochs' = 5",
            "error: s.toml:3: settings.\"train.epochs\" is 5, must be a list, such as [1, 2]",
        ),
        (
            "'train.seed' = [1]\n'train.learning_rate' = { low = 1e-4, highs = 1e-2 }",
            "error: s.toml:4: settings.\"train.learning_rate\": unknown field `highs`, expected one of",
        ),
        (
            "'train.seed' = [1]\n'train.epoch' = [1]",
            "error: s.toml:4: train.epoch is `1`, unknown field `epoch`, expected one of",
        ),
        (
            "'train.seed' = [1]\ntrain.epoch = [1]",
            "error: s.toml:4: train.epoch is `1`, unknown field `epoch`, expected one of",
        ),
    ] {
        values(&place, settings);
        refused(words);
    }
    for n in ["0", "9000000000000000000"] {
        let text = format!(
            "config = 'base.toml'\nmethod = 'random'\nn_trials = {n}\n[settings]\n'train.seed' = [0]\n"
        );
        place.file("s.toml", text.as_bytes());
        refused(&format!(
            "error: s.toml:3: n_trials is {n}, must be 1 to 10000\n"
        ));
    }
}

#[test]
fn a_trial_that_diverges_is_recorded_and_the_others_go_on() {
    let place = place("'train.learning_rate' = [1e30, 1e-3]");
    let told = |screen: &str| {
        assert!(screen.starts_with("exit code: 1"), "{screen}");
        assert!(screen.contains("runs/s/0000: epoch 1, "), "{screen}");
        assert!(
            screen.ends_with("1 of 2 trials finished, 1 diverged\n"),
            "{screen}"
        );
    };
    let screen = sweep(&place, &[]);
    told(&screen);
    assert!(screen.contains("trial 2 of 2"), "{screen}");
    let table = place.read("runs/s/sweep.csv");
    let rows: Vec<&str> = table.lines().collect();
    assert_eq!(rows.len(), 3, "{table}");
    assert!(rows[0].ends_with(",outcome"), "{table}");
    assert!(
        rows[1].starts_with("1,") && rows[1].ends_with(",finished"),
        "{table}"
    );
    assert!(
        rows[2].starts_with("0,") && rows[2].ends_with(",,diverged"),
        "{table}"
    );
    let record = place.read("runs/s/trials.jsonl");
    assert!(record.contains("\"failure\":\"epoch 1, "), "{record}");

    let again = sweep(&place, &[]);
    told(&again);
    assert!(!again.contains(" of 2: "), "{again}");
}

#[cfg(unix)]
#[test]
fn ctrl_c_while_clips_are_decoded_is_an_interruption() {
    use std::io::{BufRead as _, BufReader, Read as _};
    use std::process::{Command, Stdio};

    use crate::common::wav;

    let place = place("'train.seed' = [0]");
    base(&place, 100);
    // At a rate that is not the network's, so that decoding takes a while.
    for clip in 0..8 {
        let sound = [(20.0, LOW + f64::from(clip))];
        let path = format!("sounds/low/long-{clip}.wav");
        place.file(&path, &wav(44_100, &[&sound]));
    }
    let mut child = place
        .bare()
        .args(["sweep", "s.toml"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut text = String::new();
    while !text.contains("trial 1 of 1") {
        assert!(stderr.read_line(&mut text).unwrap() > 0, "{text}");
    }
    let pid = child.id().to_string();
    let mut kill = Command::new("kill");
    assert!(kill.args(["-INT", &pid]).status().unwrap().success());
    stderr.read_to_string(&mut text).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{text}");
    assert!(
        text.ends_with("interrupted; the same command goes on from here\n"),
        "{text}"
    );
    assert!(!place.exists("runs/s/trials.jsonl"));
}
