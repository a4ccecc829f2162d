//! `earmark predict`: rows in the sample's order, several models, empty and broken clips, resumption.

use crate::common;
use crate::common::{HIGH, LOW, MIDDLE, Place, mono, same, tones};
use earmark::dataset::Vocabulary;

/// An unpacked challenge: six test clips, two of them without sound, and a sample submission in
/// another order than that of the names. The models' classes are called as the challenge calls them.
fn challenge(names: [&str; 4]) -> Place {
    let place = Place::new();
    let bundle = tones();
    let mut metadata = bundle.metadata().clone();
    metadata.vocabulary = Vocabulary::from_names(names).unwrap();
    bundle
        .with_metadata(metadata)
        .unwrap()
        .save(&place.path("model.onnx"))
        .unwrap();
    place.file("kaggle/audio_test/a.wav", &mono(&[(3.0, LOW)]));
    place.file("kaggle/audio_test/b.wav", &mono(&[(0.6, MIDDLE)]));
    place.file("kaggle/audio_test/c.wav", &mono(&[(5.0, HIGH)]));
    place.file("kaggle/audio_test/d.wav", &mono(&[(1.0, HIGH)]));
    // A header and nothing else, as three clips of 2018 are.
    place.file("kaggle/audio_test/0b0427e2.wav", &mono(&[]));
    place.file(
        "kaggle/sample_submission.csv",
        b"fname,label\nd.wav,Low Middle\n0b0427e2.wav,Low\nb.wav,Low\na.wav,Low\nc.wav,Low\n",
    );
    place
}

const NAMES: [&str; 4] = ["Low", "Middle", "Hi-hat", "Never"];

fn predict(place: &Place, arguments: &str) -> String {
    let mut earmark = place.bare();
    earmark.args(["predict", "--data", "kaggle", "--runtime", "rust"]);
    place.screen(earmark.args(arguments.split_whitespace()))
}

#[test]
fn a_submission_has_the_samples_rows_and_an_answer_for_empty_clips() {
    let place = challenge(NAMES);
    let screen = predict(
        &place,
        "-m model.onnx -f kaggle2018 -o s.csv --scores s.npz",
    );
    assert!(screen.starts_with("exit code: 0\n"), "{screen}");
    let warning = "0b0427e2.wav: warning: WAV file without samples, expected at least 1; \
                   answered with the mean of all clips";
    assert!(screen.contains(warning), "{screen}");
    let text = place.read("s.csv");
    let rows: Vec<&str> = text.lines().collect();
    assert_eq!(rows[0], "fname,label");
    let starts = [
        "d.wav,Hi-hat ",
        "0b0427e2.wav,Hi-hat ",
        "b.wav,Middle ",
        "a.wav,Low ",
        "c.wav,Hi-hat ",
    ];
    for (row, start) in rows[1..].iter().zip(starts) {
        assert!(
            row.starts_with(start) && row.split(' ').count() == 3,
            "{row}"
        );
    }
    // The answer is the mean of the four that could be heard.
    let scores = earmark::ensemble::read(&place.path("s.npz")).unwrap();
    for class in 0..4 {
        let mean = [0, 2, 3, 4]
            .iter()
            .map(|&clip| scores.row(clip)[class])
            .sum::<f32>()
            / 4.0;
        assert!((scores.row(1)[class] - mean).abs() < 1e-6);
    }
}

#[test]
fn scores_are_those_of_the_tagger() {
    let place = challenge(NAMES);
    predict(&place, "-m model.onnx -f csv -o s.csv");
    let table = earmark::ensemble::read(&place.path("s.csv")).unwrap();
    let mut tag = place.bare();
    tag.args([
        "tag",
        "--model",
        "model.onnx",
        "--runtime",
        "rust",
        "-f",
        "json",
        "--top",
        "4",
    ]);
    let output = tag.arg("kaggle/audio_test/c.wav").output().unwrap();
    let line = common::json_lines(&String::from_utf8(output.stdout).unwrap()).remove(0);
    let row = table.clips.iter().position(|clip| clip == "c.wav").unwrap();
    for tag in line["tags"].as_array().unwrap() {
        let class = table
            .classes
            .iter()
            .position(|class| tag["class"] == **class)
            .unwrap();
        let score = tag["score"].as_f64().unwrap();
        assert!((f64::from(table.row(row)[class]) - score).abs() < 1e-4);
    }
}

#[test]
fn a_run_directory_stands_for_its_folds_and_models_are_averaged() {
    let place = challenge(NAMES);
    for fold in ["run/fold-0", "run/fold-1", "run/fold-10"] {
        let bytes = std::fs::read(place.path("model.onnx")).unwrap();
        place.file(&format!("{fold}/model.onnx"), &bytes);
    }
    predict(&place, "-m model.onnx -f csv -o one.csv");
    let screen = predict(&place, "-m run -m model.onnx -f csv -o four.csv");
    assert!(screen.starts_with("exit code: 0\n"), "{screen}");
    let [one, four] =
        ["one.csv", "four.csv"].map(|name| earmark::ensemble::read(&place.path(name)).unwrap());
    assert_eq!(one.clips, four.clips);
    assert!(
        one.scores
            .iter()
            .zip(&four.scores)
            .all(|(a, b)| (a - b).abs() < 1e-6)
    );
    // A fold that is not finished is named, not skipped.
    std::fs::remove_file(place.path("run/fold-1/model.onnx")).unwrap();
    let screen = predict(&place, "-m run -f csv -o x.csv");
    assert!(
        screen.starts_with("exit code: 2") && screen.contains("fold-1"),
        "{screen}"
    );
    assert!(!place.exists("x.csv"));
}

#[test]
fn columns_are_those_of_the_sample() {
    let place = challenge(NAMES);
    place.file(
        "kaggle/sample_submission.csv",
        b"fname,Never,Hi-hat,Gong,Low,Middle\na.wav,0,0,0,0,0\nd.wav,0,0,0,0,0\n",
    );
    let screen = predict(&place, "-m model.onnx -f kaggle2019 -o s.csv");
    assert!(
        screen.contains("1 of 5 columns are no classes of the model"),
        "{screen}"
    );
    let text = place.read("s.csv");
    assert!(
        text.starts_with("fname,Never,Hi-hat,Gong,Low,Middle\na.wav,"),
        "{text}"
    );
    let table = earmark::ensemble::read(&place.path("s.csv")).unwrap();
    assert_eq!((table.row(0)[2], table.clips.len()), (0.0, 2));
    assert!(table.row(0)[3] > 0.5 && table.row(1)[1] > 0.5);
}

#[test]
fn classes_that_the_sample_leaves_out_are_said() {
    let place = challenge(NAMES);
    place.file("two.csv", b"fname,Middle,Low\na.wav,0,0\n");
    for format in ["kaggle2019", "csv"] {
        let screen = predict(
            &place,
            &format!("-m model.onnx -f {format} --sample two.csv -o s.csv"),
        );
        assert!(screen.starts_with("exit code: 0\n"), "{screen}");
        let warning = "model.onnx: warning: 2 of 4 classes of the model are no columns of the sample and \
                       are left out, `Hi-hat` first";
        assert!(screen.contains(warning), "{screen}");
        assert!(place.read("s.csv").starts_with("fname,Middle,Low\na.wav,"));
    }
}

#[test]
fn every_format_has_the_rows_of_the_sample() {
    let place = challenge(NAMES);
    for name in ["s.csv", "s.npz"] {
        let (_, format) = name.split_once('.').unwrap();
        predict(&place, &format!("-m model.onnx -f {format} -o {name}"));
        let table = earmark::ensemble::read(&place.path(name)).unwrap();
        assert_eq!(
            table.clips,
            ["d.wav", "0b0427e2.wav", "b.wav", "a.wav", "c.wav"]
        );
        assert_eq!(table.classes, NAMES);
    }
    // Without one they come by name.
    std::fs::remove_file(place.path("kaggle/sample_submission.csv")).unwrap();
    predict(&place, "-m model.onnx -f csv -o s.csv");
    let table = earmark::ensemble::read(&place.path("s.csv")).unwrap();
    assert_eq!(table.clips[..2], ["0b0427e2.wav", "a.wav"]);
}

#[test]
fn positions_change_scores_a_little_and_answers_not_at_all() {
    let place = challenge(NAMES);
    predict(&place, "-m model.onnx -f kaggle2018 -o one.csv");
    let screen = predict(&place, "-m model.onnx -f kaggle2018 --tta 4 -o four.csv");
    assert!(screen.starts_with("exit code: 0\n"), "{screen}");
    let first = |name: &str| -> Vec<String> {
        let text = place.read(name);
        text.lines()
            .map(|row| row.split(' ').next().unwrap_or_default().to_owned())
            .collect()
    };
    assert_eq!(first("one.csv"), first("four.csv"));
    let screen = predict(&place, "-m model.onnx -f kaggle2018 --tta 101 -o more.csv");
    assert!(
        screen.contains("error: --tta is 101, expected 1 to 100\n"),
        "{screen}"
    );
}

#[test]
fn clips_are_heard_at_the_speeds_that_are_asked_for() {
    let place = challenge(NAMES);
    predict(&place, "-m model.onnx -f csv -o one.csv");
    let own = predict(&place, "-m model.onnx -f csv -o own.csv --speeds 1");
    assert!(own.starts_with("exit code: 0\n"), "{own}");
    assert!(same(&place.path("one.csv"), &place.path("own.csv")));
    let three = predict(&place, "-m model.onnx -f csv -o three.csv --speeds 0.5,1,2");
    assert!(three.starts_with("exit code: 0\n"), "{three}");
    assert!(!same(&place.path("one.csv"), &place.path("three.csv")));
    for (speeds, complaint) in [
        (
            "0.905",
            "speed is 0.905, must be 0.25 to 4 in steps of 0.01",
        ),
        ("fast", "speed is fast, must be a number"),
        ("2,2", "segment.speeds is 2 twice, must be there once"),
    ] {
        let screen = predict(
            &place,
            &format!("-m model.onnx -f csv -o s.csv --speeds {speeds}"),
        );
        assert!(screen.contains(complaint), "{screen}");
        assert!(!place.exists("s.csv"));
    }
}

// A run that fails in the end needs a device that is always full.
#[cfg(target_os = "linux")]
#[test]
fn what_is_heard_is_kept_and_other_settings_are_refused() {
    let place = challenge(NAMES);
    let unbroken = predict(&place, "-m model.onnx -f csv -o unbroken.csv");
    assert!(unbroken.starts_with("exit code: 0\n"), "{unbroken}");
    // What a kill leaves: some lines, and a broken one.
    predict(&place, "-m model.onnx -f csv -o s.csv --resume");
    assert!(!place.exists("s.csv.partial"));
    let journal = "s.csv.partial/model-0.jsonl";
    let begun = begin(&place);
    place.file(journal, format!("{begun}{{\"clip\":\"a.w").as_bytes());
    let screen = predict(&place, "-m model.onnx -f csv -o s.csv --resume");
    assert!(screen.starts_with("exit code: 0\n"), "{screen}");
    assert!(same(&place.path("unbroken.csv"), &place.path("s.csv")));
    place.file(journal, begun.as_bytes());
    let other = predict(&place, "-m model.onnx -f csv -o s.csv --resume --tta 2");
    assert!(
        other.contains("it was begun with tta = 1, this run has 2"),
        "{other}"
    );
    assert!(
        other.contains("hint: give the same options, or remove s.csv.partial to start again"),
        "{other}"
    );
}

#[cfg(target_os = "linux")]
#[test]
fn other_clips_of_the_same_names_are_refused() {
    let place = challenge(NAMES);
    let journal = "s.csv.partial/model-0.jsonl";
    place.file(journal, begin(&place).as_bytes());
    for (name, tone) in [("a", HIGH), ("b", HIGH), ("c", HIGH), ("d", LOW)] {
        let clip = format!("other/audio_test/{name}.wav");
        place.file(&clip, &mono(&[(1.0, tone)]));
    }
    let resume = "-m model.onnx -f csv -o s.csv --resume";
    let mut other = place.bare();
    other.args(["predict", "--data", "other", "--runtime", "rust"]);
    let screen = place.screen(other.args(resume.split_whitespace()));
    let complaint = "it was begun with data = \"[PLACE]/kaggle\", this run has \"[PLACE]/other\"";
    assert!(screen.starts_with("exit code: 2\n"), "{screen}");
    assert!(screen.contains(complaint), "{screen}");
    // The same size and another time of change.
    let changed = std::fs::File::options()
        .write(true)
        .open(place.path("kaggle/audio_test/d.wav"))
        .unwrap();
    changed.set_modified(std::time::UNIX_EPOCH).unwrap();
    let screen = predict(&place, resume);
    assert!(screen.starts_with("exit code: 2\n"), "{screen}");
    assert!(
        screen.contains("kaggle/audio_test/d.wav: has changed since it was heard"),
        "{screen}"
    );
    assert!(!place.exists("s.csv"));
}

/// The first lines of the journal of a run whose output could not be written.
#[cfg(target_os = "linux")]
fn begin(place: &Place) -> String {
    std::os::unix::fs::symlink("/dev/full", place.path("blocked.csv")).unwrap();
    let screen = predict(place, "-m model.onnx -f csv -o blocked.csv --resume");
    assert!(screen.starts_with("exit code: 2"), "{screen}");
    let journal = place.read("blocked.csv.partial/model-0.jsonl");
    let lines: Vec<&str> = journal.split_inclusive('\n').collect();
    assert_eq!(lines.len(), 5, "a header and four clips");
    lines[..3].concat()
}

#[test]
fn broken_and_missing_clips_are_failures_with_an_answer() {
    let place = challenge(NAMES);
    place.file("kaggle/audio_test/a.wav", b"no sound at all");
    std::fs::remove_file(place.path("kaggle/audio_test/b.wav")).unwrap();
    let screen = predict(&place, "-m model.onnx -f kaggle2018 -o s.csv");
    assert!(screen.starts_with("exit code: 1\n"), "{screen}");
    assert!(screen.contains("kaggle/audio_test/a.wav: "), "{screen}");
    assert!(screen.contains("kaggle/audio_test/b.wav: "), "{screen}");
    assert!(screen.contains("2 could not be heard"), "{screen}");
    assert_eq!(place.read("s.csv").lines().count(), 6);
}

#[test]
fn a_place_that_cannot_be_written_is_said_before_hearing() {
    let place = challenge(NAMES);
    for (options, complaint) in [
        (
            "-o none/o.csv",
            "cannot write none/o.csv: there is no folder none",
        ),
        (
            "-o none/o.csv --resume",
            "cannot write none/o.csv: there is no folder none",
        ),
        (
            "-o kaggle",
            "cannot write kaggle: a folder, expected a file",
        ),
        (
            "-o s.csv --scores none/x.npz",
            "cannot write none/x.npz: there is no folder none",
        ),
    ] {
        let screen = predict(&place, &format!("-m model.onnx -f csv {options}"));
        // Nothing is said of the clip without sound: it was not heard.
        let expected = format!("exit code: 2\n--- stdout\n--- stderr\nerror: {complaint}\n");
        assert_eq!(screen, expected, "{options}");
    }
    assert!(!place.exists("s.csv") && !place.exists("none"));
}

#[test]
fn what_cannot_become_a_submission_is_said_before_hearing() {
    let place = challenge(["Low", "Middle", "High, shrill", "Never"]);
    let screen = predict(&place, "-m model.onnx -f kaggle2018 -o s.csv");
    assert!(
        screen.contains("class `High, shrill` has a blank"),
        "{screen}"
    );
    let screen = predict(&place, "-m model.onnx -f kaggle2019 -o s.csv");
    assert!(
        screen.contains("expected a column per class for kaggle2019"),
        "{screen}"
    );
    place.file(
        "kaggle/sample_submission.csv",
        b"fname,label\na.wav,Low\na.wav,Low\n",
    );
    let screen = predict(&place, "-m model.onnx -f kaggle2018 -o s.csv");
    assert!(
        screen.contains("sample_submission.csv:3: `a.wav` is listed again"),
        "{screen}"
    );
    place.file("empty.csv", b"fname,label\n");
    let screen = predict(
        &place,
        "-m model.onnx -f kaggle2018 -o s.csv --sample empty.csv",
    );
    assert!(screen.contains("empty.csv:1: no clips"), "{screen}");
    let screen = predict(&place, "-m nowhere/run -f csv -o s.csv");
    assert!(screen.starts_with("exit code: 2"), "{screen}");
    assert!(!place.exists("s.csv"));
}
