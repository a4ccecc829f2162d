//! `earmark blend`: means, weights, stacking, and rows that do not fit.

use earmark::numpy::{Array, write_npz};

use crate::common::Place;

fn blend(place: &Place, arguments: &str) -> String {
    let mut earmark = place.bare();
    place.screen(earmark.arg("blend").args(arguments.split_whitespace()))
}

fn place() -> Place {
    let place = Place::new();
    place.file(
        "a.csv",
        b"fname,Bark,Flute\nx.wav,0.75,0.25\ny.wav,0.375,0.625\n",
    );
    place.file(
        "b.csv",
        b"fname,Flute,Bark\ny.wav,0.875,0.125\nx.wav,0.75,0.25\n",
    );
    place
}

#[test]
fn tables_are_blended_whatever_their_order() {
    let place = place();
    let screen = blend(&place, "a.csv b.csv -o mean.csv");
    assert!(screen.starts_with("exit code: 0\n"), "{screen}");
    assert_eq!(
        place.read("mean.csv"),
        "fname,Bark,Flute\nx.wav,0.5,0.5\ny.wav,0.25,0.75\n"
    );
    blend(&place, "a.csv b.csv --weights 1,0 -o a-only.csv");
    assert_eq!(place.read("a-only.csv"), place.read("a.csv"));
    blend(&place, "a.csv b.csv --mean rank -o rank.csv");
    assert_eq!(
        place.read("rank.csv"),
        "fname,Bark,Flute\nx.wav,0.5,0.5\ny.wav,0,1\n"
    );
    place.file("weights.csv", b"class,a,b\nFlute,0,1\nBark,1,0\n");
    blend(
        &place,
        "a.csv b.csv --class-weights weights.csv -o by-class.csv",
    );
    assert_eq!(
        place.read("by-class.csv"),
        "fname,Bark,Flute\nx.wav,0.75,0.75\ny.wav,0.375,0.875\n"
    );
}

#[test]
fn submissions_are_blended_into_a_submission_in_the_samples_order() {
    let place = Place::new();
    place.file(
        "one.csv",
        b"fname,label\nx.wav,Bark Flute\ny.wav,Gong Bark\n",
    );
    place.file(
        "two.csv",
        b"fname,label\ny.wav,Bark Gong\nx.wav,Flute Gong Bark\n",
    );
    place.file("three.csv", b"fname,label\nx.wav,Bark\ny.wav,Gong\n");
    place.file("sample.csv", b"fname,label\ny.wav,Bark\nx.wav,Bark\n");
    let arguments = "one.csv two.csv three.csv --sample sample.csv -f kaggle2018 -o s.csv";
    let screen = blend(&place, arguments);
    assert!(screen.starts_with("exit code: 0\n"), "{screen}");
    assert_eq!(
        place.read("s.csv"),
        "fname,label\ny.wav,Gong Bark Flute\nx.wav,Bark Flute Gong\n"
    );
}

#[test]
fn a_stack_is_fitted_on_out_of_fold_scores_and_judged() {
    let place = place();
    // The first model is right about x-like clips, the second always says the opposite.
    let (mut first, mut second) = ("clip,labels,Bark,Flute\n".to_owned(), String::new());
    second.push_str("clip,labels,Bark,Flute\n");
    for clip in 0..40 {
        let (label, bark) = if clip % 2 == 0 {
            ("Bark", 0.7)
        } else {
            ("Flute", 0.35)
        };
        first += &format!("{clip}.wav,{label},{bark},{}\n", 1.0 - bark);
        second += &format!("{clip}.wav,{label},{},{bark}\n", 1.0 - bark);
    }
    place.file("oof-a.csv", first.as_bytes());
    place.file("oof-b.csv", second.as_bytes());
    for kind in ["linear", "logistic"] {
        let arguments = format!(
            "a.csv b.csv --stack {kind} --out-of-fold oof-a.csv oof-b.csv -o s.csv --l2 0.01"
        );
        let screen = blend(&place, &arguments);
        assert!(screen.contains("oof-b.csv:  accuracy 0.0000"), "{screen}");
        assert!(
            screen.contains("stack, 5 folds:  accuracy 1.0000"),
            "{screen}"
        );
    }
    let arguments = "a.csv b.csv --by-class --out-of-fold oof-a.csv oof-b.csv -o by-class.csv";
    let screen = blend(&place, arguments);
    assert!(screen.starts_with("exit code: 0\n"), "{screen}");
    // The second model's lwlrap is one half for both classes: it counts half as much.
    assert!(
        place.read("by-class.csv").contains("x.wav,0.58"),
        "{}",
        place.read("by-class.csv")
    );
    if !cfg!(feature = "trees") {
        let arguments = "a.csv b.csv --stack trees --out-of-fold oof-a.csv oof-b.csv -o s.csv";
        assert!(blend(&place, arguments).contains("this build has no trees"));
    }
}

#[test]
fn labels_may_come_from_a_truth_table() {
    let place = place();
    place.file(
        "oof.csv",
        b"fname,Bark,Flute\n1.wav,0.9,0.1\n2.wav,0.2,0.8\n3.wav,0.8,0.2\n4.wav,0.1,0.9\n",
    );
    place.file(
        "train.csv",
        b"fname,label,manually_verified\n1.wav,Bark,1\n2.wav,Flute,0\n3.wav,Bark,0\n4.wav,Flute,1\n",
    );
    let arguments = "a.csv --stack logistic --out-of-fold oof.csv --truth train.csv --noisy-weight 0.6 -o s.csv";
    let screen = blend(&place, arguments);
    assert!(screen.contains("oof.csv:  accuracy 1.0000"), "{screen}");
    let screen = blend(
        &place,
        "a.csv --stack logistic --out-of-fold oof.csv -o s.csv",
    );
    assert!(screen.contains("has no column `labels`"), "{screen}");
    place.file(
        "train.csv",
        b"fname,label\n1.wav,Bark\n2.wav,Gong\n3.wav,Bark\n4.wav,Flute\n",
    );
    let screen = blend(
        &place,
        "a.csv --by-class --out-of-fold oof.csv --truth train.csv -o s.csv",
    );
    assert!(
        screen.contains("train.csv:3: label `Gong` is no class of oof.csv"),
        "{screen}"
    );
}

#[test]
fn rows_that_do_not_fit_are_named_with_their_lines() {
    let place = place();
    for (text, message) in [
        (
            "fname,Bark,Flute\nx.wav,1,0\n",
            "c.csv:2: `y.wav` of a.csv is missing",
        ),
        (
            "fname,Bark,Flute\nx.wav,1,0\nx.wav,1,0\n",
            "c.csv:3: `x.wav` is listed again, first on line 2",
        ),
        (
            "fname,Bark,Flute\nx.wav,1,0\ny.wav,1,0\nz.wav,1,0\n",
            "c.csv:4: `z.wav` is not in a.csv",
        ),
        (
            "fname,Bark,Flute\nx.wav,1,0\ny.wav,NaN,0\n",
            "c.csv:3: `Bark` is `NaN`, expected a number",
        ),
        (
            "fname,Bark,Flute\r\nx.wav,1,0\r\n\r\ny.wav,1e39,0\r\n",
            "c.csv:4: `Bark` is 1e39, expected a number within ±3.4028235e38",
        ),
        (
            "fname,Bark,Gong\nx.wav,1,0\ny.wav,1,0\n",
            "c.csv:1: no column for class `Flute` of a.csv",
        ),
        (
            "fname,Bark,Flute\nx.wav,1\n",
            "c.csv:2: 2 fields, expected 3",
        ),
    ] {
        place.file("c.csv", text.as_bytes());
        let screen = blend(&place, "a.csv c.csv -o s.csv");
        assert!(
            screen.starts_with("exit code: 2\n") && screen.contains(message),
            "{screen}"
        );
        assert!(!place.exists("s.csv"));
    }
    place.file("weights.csv", b"class,a,b\r\nBark,1,0\r\n\r\nGong,0,1\r\n");
    let screen = blend(&place, "a.csv b.csv --class-weights weights.csv -o s.csv");
    assert!(
        screen.contains("weights.csv:4: class `Gong` is not in the scores"),
        "{screen}"
    );
    let screen = blend(&place, "a.csv b.csv --weights 1,2,3 -o s.csv");
    assert!(
        screen.contains("--weights has 3 numbers, expected 2"),
        "{screen}"
    );
    let screen = blend(
        &place,
        "a.csv b.csv --by-class --out-of-fold a.csv -o s.csv",
    );
    assert!(
        screen.contains("--out-of-fold has 1 files, expected 2"),
        "{screen}"
    );
}

/// Runs a blend that must be refused with some words and must write nothing.
fn refused(place: &Place, arguments: &str, words: &str) {
    let screen = blend(place, &format!("{arguments} -o new.csv"));
    assert!(
        screen.starts_with("exit code: 2\n") && screen.contains(words),
        "no `{words}` in:\n{screen}"
    );
    assert!(
        !screen.contains("new.csv:") && !place.exists("new.csv"),
        "{screen}"
    );
}

#[test]
fn tables_without_clips_or_classes_are_refused() {
    let place = place();
    place.file("header.csv", b"fname,Bark,Flute\n");
    refused(
        &place,
        "header.csv header.csv",
        "header.csv:1: no clips, expected at least one",
    );
    let archive = write_npz(&[
        ("clips", &Array::texts(["x.wav", "y.wav"])),
        ("classes", &Array::texts(Vec::<String>::new())),
        ("scores", &Array::numbers(vec![2, 0], Vec::new())),
    ]);
    place.file("zeroc.npz", &archive.unwrap());
    refused(
        &place,
        "zeroc.npz",
        "zeroc.npz:1: no classes, expected at least one",
    );
}

#[test]
fn weights_count_by_their_ratio_however_large_they_are() {
    let place = place();
    blend(&place, "a.csv b.csv -o mean.csv");
    let screen = blend(&place, "a.csv b.csv --weights=1e308,1e308 -o large.csv");
    assert!(screen.starts_with("exit code: 0\n"), "{screen}");
    assert_eq!(place.read("large.csv"), place.read("mean.csv"));
    place.file(
        "w.csv",
        b"class,a,b\nBark,1e308,1e308\nFlute,1e-300,1e-300\n",
    );
    blend(&place, "a.csv b.csv --class-weights w.csv -o by-class.csv");
    assert_eq!(place.read("by-class.csv"), place.read("mean.csv"));
    let negative = "weights is -1, must be a finite number of at least 0";
    refused(&place, "a.csv b.csv --weights=-1,2", negative);
    refused(
        &place,
        "a.csv b.csv --weights=0,0",
        "weights is 0 for all tables",
    );
}

#[test]
fn weights_by_class_that_cannot_be_are_named_with_their_lines() {
    let place = place();
    for (rows, words) in [
        (
            "Flute,1,1\nBark,-1,1",
            "w.csv:3: weight of `Bark` is `-1`, expected a number of at least 0",
        ),
        (
            "Flute,1,NaN\nBark,1,1",
            "w.csv:2: weight of `Flute` is `NaN`, expected a number of at least 0",
        ),
        (
            "Flute,1,much\nBark,1,1",
            "w.csv:2: weight of `Flute` is `much`, expected a number of at least 0",
        ),
        (
            "Flute,1,1\n\nBark,0,0",
            "w.csv:4: every weight of `Bark` is 0, expected one above 0 at least",
        ),
        (
            "Flute,1,1\nGong,1,1",
            "w.csv:3: class `Gong` is not in the scores",
        ),
        (
            "Flute,1,1\nFlute,1,1",
            "w.csv:3: class `Flute` is listed again",
        ),
        ("Flute,1,1\nBark,1", "w.csv:3: 2 fields, expected 3"),
        ("Flute,1,1", "w.csv: class `Bark` is missing"),
    ] {
        place.file("w.csv", format!("class,a,b\n{rows}\n").as_bytes());
        refused(&place, "a.csv b.csv --class-weights w.csv", words);
    }
    place.file("folder/w.csv", b"");
    refused(&place, "a.csv b.csv --class-weights folder", "`folder`");
}

#[test]
fn labels_that_contradict_each_other_are_refused() {
    let place = place();
    place.file(
        "oof1.csv",
        b"clip,labels,Bark,Flute\n1.wav,Bark,0.9,0.1\n2.wav,Flute,0.2,0.8\n",
    );
    place.file(
        "oof2.csv",
        b"clip,labels,Flute,Bark\n2.wav,Bark,0.8,0.2\n1.wav,Bark,0.2,0.8\n",
    );
    let words = "oof2.csv:2: the label of `2.wav` is `Bark`, expected `Flute` as in oof1.csv:3";
    for kind in ["--stack linear", "--by-class"] {
        let arguments = format!("a.csv b.csv {kind} --out-of-fold oof1.csv oof2.csv");
        refused(&place, &arguments, words);
    }
    refused(&place, "oof1.csv oof2.csv", words);
    place.file("truth.csv", b"fname,label\n2.wav,Flute\n1.wav,Flute\n");
    refused(
        &place,
        "a.csv --by-class --out-of-fold oof1.csv --truth truth.csv",
        "oof1.csv:2: the label of `1.wav` is `Bark`, expected `Flute` as in truth.csv:3",
    );
}

#[test]
fn what_nothing_would_read_is_refused() {
    let place = place();
    refused(
        &place,
        "a.csv b.csv --out-of-fold a.csv b.csv",
        "--out-of-fold is given without --stack or --by-class",
    );
    for (unread, words) in [
        ("--l2 2", "--l2 is given without --stack"),
        ("--l2 2 --weights 1", "--l2 is given without --stack"),
        (
            "--by-class --out-of-fold a.csv --truth t.csv --noisy-weight 0.5",
            "--noisy-weight is given without --stack",
        ),
    ] {
        refused(&place, &format!("a.csv {unread}"), words);
    }
}

#[test]
fn who_checked_a_label_is_said_by_0_or_1() {
    let place = place();
    place.file(
        "oof.csv",
        b"fname,Bark,Flute\n1.wav,0.9,0.1\n2.wav,0.2,0.8\n",
    );
    place.file(
        "train.csv",
        b"fname,label,manually_verified\n1.wav,Bark,1\n\n2.wav,Flute,banana\n",
    );
    refused(
        &place,
        "a.csv --stack linear --out-of-fold oof.csv --truth train.csv --noisy-weight 0.6",
        "train.csv:4: manually_verified is `banana`, expected 0 or 1",
    );
}

#[test]
fn a_sample_that_does_not_fit_is_named() {
    let place = place();
    for (text, words) in [
        (
            "fname,Bark,Flute\nx.wav,0,0\n",
            "bad.csv:2: `y.wav` of a.csv is missing",
        ),
        (
            "fname,Bark,Flute\nx.wav,0,0\nz.wav,0,0\ny.wav,0,0\n",
            "bad.csv:3: `z.wav` is not in a.csv",
        ),
        (
            "fname,Bark,Gong\nx.wav,0,0\ny.wav,0,0\n",
            "bad.csv:1: no column for class `Flute` of a.csv",
        ),
        (
            "fname,label\nx.wav,Bark\n",
            "bad.csv:2: `y.wav` of a.csv is missing",
        ),
    ] {
        place.file("bad.csv", text.as_bytes());
        refused(&place, "a.csv b.csv --sample bad.csv", words);
    }
    place.file("good.csv", b"fname,Flute,Bark\ny.wav,0,0\nx.wav,0,0\n");
    blend(&place, "a.csv --sample good.csv -o s.csv");
    assert_eq!(
        place.read("s.csv"),
        "fname,Flute,Bark\ny.wav,0.625,0.375\nx.wav,0.25,0.75\n"
    );
}

#[test]
fn classes_that_differ_in_capital_letters_only_are_noted() {
    let place = Place::new();
    place.file("one.csv", b"fname,label\nx.wav,Hi-hat Bark\n");
    place.file("two.csv", b"fname,label\nx.wav,Bark Hi-Hat\n");
    let screen = blend(&place, "one.csv two.csv -o s.csv");
    assert!(screen.starts_with("exit code: 0\n"), "{screen}");
    let note = "`Hi-Hat` (two.csv:2) and `Hi-hat` (one.csv:2) differ in capital letters only and stay \
                2 classes\n";
    assert!(screen.contains(note), "{screen}");
    assert!(screen.contains("1 clips, 3 classes"), "{screen}");
    let screen = blend(&place, "one.csv one.csv -o s.csv");
    assert!(!screen.contains("capital letters"), "{screen}");
}
