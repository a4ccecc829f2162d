//! `earmark score`: submissions of Freesound's challenges against the truth, with figures counted by
//! hand.

use crate::common::Place;

/// Runs `earmark score` with arguments divided by white space and shows what comes of it.
fn score(place: &Place, arguments: &str) -> String {
    place.screen(place.bare().arg("score").args(arguments.split_whitespace()))
}

/// Ranks 1, 2, 3, none, one of them in the private part.
fn kaggle_2018() -> Place {
    let place = Place::new();
    place.file(
        "truth.csv",
        b"fname,label,usage\na.wav,Bark,Public\nb.wav,Meow,Public\nc.wav,Gong,Private\nd.wav,Bark,Private\n",
    );
    place.file(
        "submission.csv",
        b"fname,label\na.wav,Bark Meow Gong\nb.wav,Bark Meow Gong\nc.wav,Bark Meow Gong\nd.wav,Meow Gong\n",
    );
    place
}

#[test]
fn three_guesses_per_clip() {
    let place = kaggle_2018();
    // Public (1 + 1/2) / 2, private (1/3 + 0) / 2.
    insta::assert_snapshot!(score(&place, "submission.csv truth.csv"), @r#"
        exit code: 0
        --- stdout
        Public 0.75000  Private 0.16667

                  clips     MAP@3  accuracy  top-3 error
        Public        2   0.75000   0.50000      0.00000
        Private       2   0.16667   0.00000      0.50000
        Overall       4   0.45833   0.25000      0.25000
        --- stderr
        "#);
    let json = score(&place, "submission.csv truth.csv --format json");
    let (from, to) = (json.find('{').unwrap(), json.rfind('}').unwrap());
    let card: serde_json::Value = serde_json::from_str(&json[from..=to]).unwrap();
    assert!(card["parts"].as_array().unwrap().len() >= 2, "{card:#}");
}

#[test]
fn a_probability_per_class() {
    let place = Place::new();
    place.file(
        "truth.csv",
        b"fname,labels\na.wav,\"Bark,Meow\"\nb.wav,Gong\n",
    );
    place.file(
        "submission.csv",
        b"fname,Bark,Gong,Meow\na.wav,0.9,0.5,0.1\nb.wav,0.2,0.8,0.1\n",
    );
    // Per label: Bark 1/1, Meow 2/3, Gong 1/1; each label weighs the same.
    let screen = score(&place, "submission.csv truth.csv --per-class");
    assert!(screen.starts_with("exit code: 0"), "{screen}");
    assert!(screen.contains("Overall 0.88889"), "{screen}");
    assert!(screen.contains("Meow        1   0.66667"), "{screen}");
}

#[test]
fn submissions_that_do_not_fit_are_refused() {
    let place = kaggle_2018();
    place.file("short.csv", b"fname,label\na.wav,Bark\n");
    insta::assert_snapshot!(score(&place, "short.csv truth.csv"), @r#"
        exit code: 2
        --- stdout
        --- stderr
        error: short.csv:2: `b.wav` (truth.csv:3) is missing, and 2 more
        "#);
    place.file(
        "more.csv",
        b"fname,label\na.wav,Bark\nb.wav,Bark\nc.wav,Bark\nd.wav,Bark\nx.wav,Bark\n",
    );
    insta::assert_snapshot!(score(&place, "more.csv truth.csv"), @r#"
        exit code: 2
        --- stdout
        --- stderr
        error: more.csv:6: `x.wav` is not in truth.csv
        "#);
    assert!(score(&place, "more.csv truth.csv --ignore-unlisted").starts_with("exit code: 0"));
    insta::assert_snapshot!(score(&place, "missing.csv truth.csv"), @r#"
        exit code: 2
        --- stdout
        --- stderr
        error: failed to open file `missing.csv`: No such file or directory (os error 2)
        "#);
    place.file("header.csv", b"name;guess\n");
    insta::assert_snapshot!(score(&place, "header.csv truth.csv"), @r#"
        exit code: 2
        --- stdout
        --- stderr
        error: header.csv:1: columns name;guess, expected one named `fname`
        "#);
}

#[test]
fn faults_are_named_with_the_lines_that_an_editor_shows() {
    let place = kaggle_2018();
    for end in ["\r\n", "\r"] {
        let text = ["fname,label", "a.wav,Bark", "", "b.wav,A B C D", ""].join(end);
        place.file("s.csv", text.as_bytes());
        let screen = score(&place, "s.csv truth.csv");
        assert!(
            screen.contains("s.csv:4: 4 labels, expected 1 to 3"),
            "{screen}"
        );
        let text = ["fname,label", "a.wav,Bark", "", "b.wav,", ""].join(end);
        place.file("t.csv", text.as_bytes());
        let screen = score(&place, "submission.csv t.csv");
        assert!(screen.contains("t.csv:4: `b.wav` has no label"), "{screen}");
    }
}

#[test]
fn a_truth_that_scores_nothing_is_refused() {
    let place = Place::new();
    place.file("none.csv", b"fname,label,usage\na.wav,None,Ignored\n");
    place.file("header.csv", b"fname,label\n");
    place.file("s.csv", b"fname,label\na.wav,Bark\n");
    insta::assert_snapshot!(score(&place, "s.csv none.csv"), @r#"
        exit code: 2
        --- stdout
        --- stderr
        error: none.csv: no clip of 1 is scored, all are `Ignored`
        "#);
    insta::assert_snapshot!(score(&place, "header.csv header.csv"), @r#"
        exit code: 2
        --- stdout
        --- stderr
        error: header.csv: no clips, expected one to score
        "#);
}

#[test]
fn nothing_right_is_zero_without_a_sign() {
    let place = kaggle_2018();
    place.file(
        "wrong.csv",
        b"fname,label\na.wav,Gong\nb.wav,Bark\nc.wav,Bark\nd.wav,Gong\n",
    );
    let screen = score(&place, "wrong.csv truth.csv --per-class");
    assert!(
        screen.contains("Public 0.00000  Private 0.00000"),
        "{screen}"
    );
    assert!(!screen.contains("-0"), "{screen}");
    let json = score(&place, "wrong.csv truth.csv --format json");
    assert!(json.contains("\"map_at_3\": 0.0"), "{json}");
    assert!(!json.contains("-0"), "{json}");
}

#[test]
fn scores_are_ranked_in_double_precision() {
    let place = Place::new();
    place.file("truth.csv", b"fname,label\na.wav,Gong\nb.wav,Gong\n");
    place.file(
        "s.csv",
        b"fname,Bark,Gong,Meow\na.wav,0.99999999,0.999999999,0.9999999\nb.wav,1e38,1e39,1e-47\n",
    );
    let screen = score(&place, "s.csv truth.csv");
    assert!(screen.contains("Overall 1.00000"), "{screen}");
}
