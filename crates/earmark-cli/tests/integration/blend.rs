//! `earmark blend`: means, weights, stacking, and rows that do not fit.

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
