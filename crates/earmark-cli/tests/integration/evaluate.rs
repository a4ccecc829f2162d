//! `earmark evaluate`: figures on labelled clips and on annotated recordings, what is fitted to them,
//! and what is said when there is nothing to judge.

use crate::common::{HIGH, LOW, MIDDLE, Place, json_lines, mono};
use serde_json::Value;

/// Runs `earmark` with arguments divided by white space and shows what comes of it.
fn earmark(place: &Place, arguments: &str) -> String {
    place.screen(place.bare().args(arguments.split_whitespace()))
}

/// Runs `earmark evaluate` with the model of the tests.
fn evaluate(place: &Place, arguments: &str) -> String {
    earmark(
        place,
        &format!("evaluate --model tones.onnx --runtime rust --resamples 20 {arguments}"),
    )
}

/// Standard output of a screen.
fn stdout(screen: &str) -> &str {
    let from = screen.find("--- stdout\n").unwrap() + "--- stdout\n".len();
    &screen[from..screen.find("--- stderr\n").unwrap()]
}

fn json(screen: &str) -> Value {
    serde_json::from_str(stdout(screen)).unwrap_or_else(|error| panic!("{error}: {screen}"))
}

/// Four clips, the last one labelled wrong.
fn clips() -> Place {
    let place = Place::new();
    place.file("set/Low/a.wav", &mono(&[(1.0, LOW)]));
    place.file("set/Low/b.wav", &mono(&[(2.0, LOW)]));
    place.file("set/Middle/c.wav", &mono(&[(1.0, MIDDLE)]));
    place.file("set/Middle/wrong.wav", &mono(&[(1.0, LOW)]));
    place
}

#[test]
fn figures_for_people() {
    let place = clips();
    insta::assert_snapshot!(evaluate(&place, "set"), @r#"
        exit code: 0
        --- stdout
        tones.onnx on set, all clips: 4 clips

        accuracy          0.7500  (0.5000 to 1.0000)
        MAP@3             0.8333  (0.6667 to 1.0000)
        top-3 error       0.0000  (0.0000 to 0.0000)
        lwlrap            0.8333  (0.6667 to 1.0000)
        mAP               0.6667
        ROC AUC           0.6250
        d′                0.4506
        macro F1          0.7333
        micro F1          0.7500
        calibration error 0.1905

        class   clips  precision  recall      F1      AP
        Middle      2      1.000   0.500   0.667   0.750
        Low         2      0.667   1.000   0.800   0.583

        taken for another class:
             1 × Middle → Low
        --- stderr
        no test split: all clips are judged, also those trained on, if any
        "#);
}

#[test]
fn figures_and_tables_for_programs() {
    let place = clips();
    let arguments = "set -f json --scores scores.csv --curves curves.csv --report page.html";
    let report = json(&evaluate(&place, arguments));
    assert_eq!(report["evaluation"]["accuracy"]["estimate"], 0.75);
    assert_eq!(report["classes"][2], "High, shrill");
    assert_eq!(report["fitted"], Value::Null);
    let scores = place.read("scores.csv");
    assert!(scores.starts_with("clip,labels,Low,Middle,\"High, shrill\",Never\n"));
    assert_eq!(scores.lines().count(), 5);
    let curves = place.read("curves.csv");
    assert!(curves.starts_with("class,threshold,precision,recall\n"));
    assert!(curves.lines().any(|line| line.starts_with("Middle,")));
    // The page needs nothing from elsewhere, and has a sound and a picture per clip.
    let page = place.read("page.html");
    let addresses = page.replace("http://www.w3.org/2000/svg", "");
    assert!(!addresses.contains("http") && !page.contains("<script"));
    assert_eq!(page.matches("<audio").count(), 4);
    assert_eq!(page.matches("data:image/png").count(), 4);
    assert!(page.contains("precision and recall of Low"));
    let table = evaluate(&place, "set -f csv");
    assert!(stdout(&table).starts_with("class,n_clips,precision,recall,f1,"));
}

/// A table with a validation and a test split: per split and class ten clips, tones of rising pitch,
/// every fifth of which is labelled wrong.
fn splits() -> Place {
    let place = Place::new();
    let mut table = "path,label,split\n".to_owned();
    for split in ["validation", "test"] {
        for at in 0..30 {
            let class = at % 3;
            let hz = [LOW, MIDDLE, HIGH][class] * (1.0 + at as f64 / 100.0);
            let name = format!("{split}{at}.wav");
            place.file(&name, &mono(&[(1.0, hz)]));
            let claimed = if at % 5 == 4 { (class + 1) % 3 } else { class };
            let label = ["Low", "Middle", "High, shrill;"][claimed];
            table.push_str(&format!("{name},\"{label}\",{split}\n"));
        }
    }
    place.file("set.csv", table.as_bytes());
    place
}

#[test]
fn a_calibration_is_fitted_to_validation_clips_and_helps_on_test_clips() {
    let place = splits();
    for kind in ["temperature", "logistic"] {
        let arguments = format!("set.csv -f json --calibrate {kind}.onnx --calibration {kind}");
        let report = json(&evaluate(&place, &arguments));
        assert_eq!(report["part"], "validation");
        assert_eq!(report["fitted"]["calibration"]["kind"], kind);
        let error = |model: &str| -> f64 {
            let arguments = format!(
                "evaluate --model {model} --runtime rust --resamples 20 -f json --part test set.csv"
            );
            let report = json(&earmark(&place, &arguments));
            report["evaluation"]["expected_calibration_error"]
                .as_f64()
                .unwrap()
        };
        let (before, after) = (error("tones.onnx"), error(&format!("{kind}.onnx")));
        assert!(after < before, "{kind}: {before} {after}");
        let info = earmark(&place, &format!("bundle info {kind}.onnx"));
        assert!(info.contains("30 clips of set.csv, validation"), "{info}");
    }
}

#[test]
fn a_temperature_keeps_the_order_of_tags() {
    let place = splits();
    evaluate(&place, "set.csv --calibrate warm.onnx");
    let order = |model: &str| -> Vec<String> {
        let arguments =
            format!("tag --model {model} --runtime rust --top 4 -f json test7.wav test8.wav");
        let lines = json_lines(stdout(&earmark(&place, &arguments)));
        lines
            .iter()
            .flat_map(|line| line["tags"].as_array().unwrap())
            .map(|tag| tag["class"].to_string())
            .collect()
    };
    assert_eq!(order("tones.onnx"), order("warm.onnx"));
    assert_eq!(order("warm.onnx").len(), 8);
    // Thresholds came with it: `--merge-gap` needs some.
    let events = "tag --model warm.onnx --runtime rust -t --merge-gap 1 test7.wav";
    assert!(earmark(&place, events).starts_with("exit code: 0"));
}

#[test]
fn nothing_is_fitted_to_test_clips_without_saying_so() {
    let place = splits();
    let text = place.read("set.csv");
    let no_validation: Vec<&str> = text
        .lines()
        .filter(|line| !line.ends_with(",validation"))
        .collect();
    place.file("test.csv", no_validation.join("\n").as_bytes());
    insta::assert_snapshot!(evaluate(&place, "test.csv --calibrate out.onnx"), @r#"
        exit code: 2
        --- stdout
        --- stderr
        error: test.csv: no validation split to fit to
        hint: name clips that were neither trained on nor will be reported: --fold N, or --part all, train or test
        "#);
    assert!(!place.exists("out.onnx"));
    let screen = evaluate(&place, "test.csv --part test --calibrate out.onnx");
    assert!(
        screen.contains("warning: fitting to the test split"),
        "{screen}"
    );
    let info = earmark(&place, "bundle info out.onnx");
    assert!(info.contains("30 clips of test.csv, test"), "{info}");
}

#[test]
fn fitted_thresholds_are_a_file_that_evaluate_and_tag_read() {
    let place = splits();
    evaluate(&place, "set.csv --fit-thresholds t.toml");
    let text = place.read("t.toml");
    assert!(
        text.contains("default = ") && text.contains("[classes]"),
        "{text}"
    );
    let with_two = place
        .read("set.csv")
        .replacen("\"Low\"", "\"Low;Middle\"", 1);
    place.file("several.csv", with_two.as_bytes());
    for command in [
        "tag --model tones.onnx --thresholds t.toml test1.wav",
        "evaluate --model tones.onnx --thresholds t.toml --part validation several.csv",
        "evaluate --model tones.onnx --thresholds t.toml --fit-thresholds u.toml set.csv",
    ] {
        let screen = earmark(&place, command);
        assert!(screen.starts_with("exit code: 0"), "{screen}");
    }
}

#[test]
fn thresholds_that_decide_nothing_are_refused() {
    let place = clips();
    place.file("t.toml", b"default = 0.25\n");
    insta::assert_snapshot!(evaluate(&place, "set --thresholds t.toml"), @r#"
        exit code: 2
        --- stdout
        --- stderr
        no test split: all clips are judged, also those trained on, if any
        error: --thresholds is for clips with several labels, but each of these 4 has one, and its highest score decides
        hint: leave out --thresholds
        "#);
    let screen = evaluate(&place, "set --threshold 0.25");
    assert!(
        screen.contains("--threshold is for clips with several labels"),
        "{screen}"
    );
    place.file(
        "several.csv",
        b"path,label\nset/Low/a.wav,Low;Middle\nset/Low/b.wav,Low;\n",
    );
    for set in ["set", "several.csv"] {
        let screen = evaluate(&place, &format!("{set} --threshold nan"));
        assert!(screen.starts_with("exit code: 2\n"), "{screen}");
        assert!(
            screen.contains("thresholds.default is NaN, must be from 0 to 1"),
            "{screen}"
        );
    }
}

#[test]
fn files_that_cannot_be_written_are_said_before_anything_is_heard() {
    let place = clips();
    place.file("rec/a.wav", &mono(&[(1.0, LOW)]));
    place.file("a.txt", b"0.0\t0.5\tLow\n");
    let options = [
        "scores",
        "report",
        "curves",
        "calibrate",
        "fit-thresholds",
        "report x.html --scores",
    ];
    for option in options {
        let screen = evaluate(&place, &format!("set --part all --{option} none/x"));
        assert_eq!(
            screen,
            "exit code: 2\n--- stdout\n--- stderr\n\
             error: cannot write none/x: there is no folder none\n",
            "{option}"
        );
    }
    assert!(!place.exists("x.html"));
    let screen = evaluate(&place, "rec --annotations a.txt --report rec");
    assert_eq!(
        screen,
        "exit code: 2\n--- stdout\n--- stderr\n\
         error: cannot write rec: a folder, expected a file\n"
    );
}

/// A recording of 20 s with a low tone from 4 to 8 s and a high one from 12 to 14 s.
fn recording() -> Place {
    let place = Place::new();
    let stretches = [(4.0, 0.0), (4.0, LOW), (4.0, 0.0), (2.0, HIGH), (6.0, 0.0)];
    place.file("rec/site.wav", &mono(&stretches));
    place
}

#[test]
fn recordings_are_judged_against_audacity_raven_and_csv() {
    let place = recording();
    place.file("audacity.txt", b"4.0\t8.0\tLow\n12.0\t14.0\tHigh, shrill\n");
    place.file(
        "raven.selections.txt",
        b"Selection\tBegin Time (s)\tEnd Time (s)\tSpecies\n1\t4.0\t8.0\thum\n2\t12.0\t14.0\twhistle\n3\t1.0\t2.0\tunsure\n",
    );
    place.file(
        "events.csv",
        b"filename,onset,offset,label\nsite.wav,4,8,Low\nsite.wav,12,14,\"High, shrill\"\nother.wav,1,2,Low\n",
    );
    place.file(
        "map.csv",
        b"label,class\nhum,Low\nwhistle,\"High, shrill\"\nunsure,\n",
    );
    for annotations in [
        "audacity.txt",
        "raven.selections.txt --label-map map.csv",
        "events.csv",
    ] {
        let arguments =
            format!("rec --annotations {annotations} -f json --hop 1 --window 1 --threshold 0.3");
        let report = json(&evaluate(&place, &arguments));
        let figures = &report["figures"];
        assert_eq!(figures["segment_based"]["overall"]["f1"], 1.0, "{report:#}");
        assert_eq!(figures["event_based"]["overall"]["f1"], 1.0);
        assert_eq!(figures["event_based"]["error_rate"], 0.0);
        assert_eq!(figures["duration_secs"], 20.0);
        assert_eq!(report["classes"].as_array().unwrap().len(), 2);
    }
}

#[test]
fn figures_of_recordings_for_people() {
    let place = recording();
    // The first annotation ends late, the second is missed, the third is of another pitch.
    place.file(
        "rec/site.txt",
        b"4.0\t12.0\tLow\n16.0\t18.0\tLow\n12.0\t14.0\tMiddle\n",
    );
    let arguments = "rec --annotations rec --threshold 0.3 --report page.html --curves curves.csv --fit-thresholds t.toml";
    insta::assert_snapshot!(evaluate(&place, arguments), @r#"
        exit code: 0
        --- stdout
        tones.onnx on rec, rec: 1 recordings, 20.0 s

                                    precision  recall      F1  macro F1  error rate
        segment-based, 1 s              1.000   0.333   0.500     0.286       0.667
        event-based, 0.2 s / 50 %       1.000   0.333   0.500     0.333       0.667
        mAP over segments: 0.429

        class   events  segment F1  event F1      AP  threshold  best threshold
        Middle       1       0.000     0.000   0.125      0.300           0.033
        Low          2       0.571     0.667   0.733      0.300           0.082
        --- stderr
        report: page.html
        thresholds: t.toml
        "#);
    assert!(
        place
            .read("page.html")
            .contains("precision and recall of Low")
    );
    assert!(place.read("curves.csv").contains("\nLow,"));
    assert!(place.read("t.toml").contains("Low = "));
}

#[test]
fn annotations_that_do_not_fit_are_said() {
    let place = recording();
    place.file("bark.txt", b"4.0\t8.0\tLov\n12.0\t14.0\tbark\n");
    insta::assert_snapshot!(evaluate(&place, "rec --annotations bark.txt"), @r#"
        exit code: 2
        --- stdout
        --- stderr
        error: 2 labels are not in the vocabulary (4 classes): `Lov` (bark.txt:1; near: `Low`), `bark` (bark.txt:2)
        hint: say what they stand for with --label-map CSV (label,class); an empty class leaves a label out
        "#);
    place.file("late.txt", b"4.0\t8.0\tLow\n120.0\t140.0\tLow\n");
    insta::assert_snapshot!(evaluate(&place, "rec --annotations late.txt"), @r#"
        exit code: 2
        --- stdout
        --- stderr
        rec/site.wav: ends after 20.000 s, but late.txt:2 begins at 120.000 s
        error: none of the annotated recordings could be heard
        "#);
    place.file("notes/elsewhere.txt", b"4.0\t8.0\tLow\n");
    insta::assert_snapshot!(evaluate(&place, "rec --annotations notes"), @r#"
        exit code: 2
        --- stdout
        --- stderr
        error: notes: no annotations for any of 1 recordings
        hint: an annotation file is called as its recording (`a.wav`: `a.txt`), or is a table with a column `filename`
        "#);
    place.file("torn.csv", b"onset,offset,label\n4,8,Low\n9,8,Low\n");
    insta::assert_snapshot!(evaluate(&place, "rec --annotations torn.csv"), @r#"
        exit code: 2
        --- stdout
        --- stderr
        error: torn.csv:3: end 8 s lies before start 9 s
        "#);
    place.file("map.csv", b"label,class\nhum,Lov\n");
    insta::assert_snapshot!(evaluate(&place, "rec --annotations bark.txt --label-map map.csv"), @r#"
        exit code: 2
        --- stdout
        --- stderr
        error: cannot read the label map
          Caused by: map.csv:2: label `Lov` is not in the vocabulary (4 classes)
        hint: did you mean `Low`?
        "#);
    insta::assert_snapshot!(evaluate(&place, "rec --annotations late.txt --collar 0"), @r#"
        exit code: 2
        --- stdout
        --- stderr
        error: collar_secs is 0, must be more than 0 seconds
        "#);
}

#[test]
fn data_that_cannot_be_judged_is_said() {
    let place = clips();
    place.file("other/Owl/a.wav", &mono(&[(1.0, LOW)]));
    insta::assert_snapshot!(evaluate(&place, "other"), @r#"
        exit code: 2
        --- stdout
        --- stderr
        error: Owl/a.wav: label `Owl` is not in the vocabulary (4 classes)
        "#);
    insta::assert_snapshot!(evaluate(&place, "set --part test"), @r#"
        exit code: 2
        --- stdout
        --- stderr
        error: set: no labelled clips in test
        "#);
    insta::assert_snapshot!(evaluate(&place, "set --fold 7"), @r#"
        exit code: 2
        --- stdout
        --- stderr
        error: set: 4 sources, expected at least 5 for as many folds
        "#);
    place.file("broken/Low/a.wav", b"no sound");
    insta::assert_snapshot!(evaluate(&place, "broken"), @r#"
        exit code: 2
        --- stdout
        --- stderr
        no test split: all clips are judged, also those trained on, if any
        broken/Low/a.wav: content is text (`no sound…`), expected audio
        error: no clip with a label could be heard
        hint: `earmark dataset check` says what is wrong with the clips
        "#);
}
