//! `earmark dataset info|check|split`: what is in a data set, what is wrong with it, and folds that
//! can be read again.

use crate::common::{HIGH, LOW, Place, mono};

/// Runs `earmark dataset` with arguments divided by white space and shows what comes of it.
fn dataset(place: &Place, arguments: &str) -> String {
    place.screen(
        place
            .bare()
            .arg("dataset")
            .args(arguments.split_whitespace()),
    )
}

fn set() -> Place {
    let place = Place::new();
    place.file("set/bell/a.wav", &mono(&[(1.0, HIGH)]));
    place.file("set/bell/b.wav", &mono(&[(1.5, HIGH)]));
    place.file("set/bell/c.wav", &mono(&[(2.0, HIGH)]));
    place.file("set/hum/d.wav", &mono(&[(1.0, LOW)]));
    place.file("set/hum/e.wav", &mono(&[(3.0, LOW)]));
    place.file("set/noise/n.wav", &mono(&[(1.0, 0.0)]));
    place
}

#[test]
fn info_counts_and_measures() {
    let place = set();
    let text = dataset(&place, "info set");
    insta::assert_snapshot!(text, @r#"
        exit code: 0
        --- stdout
        set: folders layout
        6 clips, 0 missing, 0 audio files not listed; 2 classes, one label per clip
        splits: train 6
        durations of 6 clips: 9.5 s in all; shortest 1.00 s, median 1.00 s, longest 3.00 s

        class     train  sources
        bell          3        3  ▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪
        hum           2        2  ▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪
        (none)        1        1  ▪▪▪▪▪▪▪▪
        --- stderr
        "#);
    let json = dataset(&place, "info set --format json");
    let from = json.find('{').unwrap();
    let to = json.rfind('}').unwrap();
    let info: serde_json::Value = serde_json::from_str(&json[from..=to]).unwrap();
    assert_eq!(info["n_clips"], 6);
    assert_eq!(info["durations"]["total_secs"], 9.5);
    assert_eq!(info["durations"]["median_secs"], 1.0);
    assert_eq!(info["digest"].as_str().unwrap().len(), 64);
}

#[test]
fn check_finds_what_would_spoil_a_figure() {
    let place = Place::new();
    let table = "path,label,split\n\
        a.wav,bell,train\ncopy.wav,bell,test\nhum.wav,hum,train\ngone.wav,hum,train\nbroken.wav,hum,train\n";
    place.file("set.csv", table.as_bytes());
    place.file("a.wav", &mono(&[(1.0, HIGH)]));
    place.file("copy.wav", &mono(&[(1.0, HIGH)]));
    place.file("hum.wav", &mono(&[(1.0, LOW)]));
    place.file("broken.wav", b"RIFF");
    insta::assert_snapshot!(dataset(&place, "check set.csv"), @r#"
        exit code: 1
        --- stdout
        error: 1 sounds are in training and in what it is judged by
          a.wav = copy.wav (train and test)
        warning: 1 of 5 listed files do not exist
          gone.wav (set.csv:5)
        warning: 1 class with a single training clip: it cannot be trained and validated
          bell
        warning: 1 clips cannot be decoded and will be left out
          broken.wav: content is a RIFF file that is not WAVE, expected audio
        durations of 3 clips: 3.0 s in all; shortest 1.00 s, median 1.00 s, longest 1.00 s
        set.csv: 5 clips, 2 classes; 1 errors, 3 warnings
        --- stderr
        "#);
    insta::assert_snapshot!(dataset(&place, "check set.csv --lists-only"), @r#"
        exit code: 0
        --- stdout
        warning: 1 of 5 listed files do not exist
          gone.wav (set.csv:5)
        warning: 1 class with a single training clip: it cannot be trained and validated
          bell
        set.csv: 5 clips, 2 classes; 0 errors, 2 warnings
        --- stderr
        "#);
}

#[test]
fn folds_are_a_table_that_reads_back() {
    let place = Place::new();
    for at in 0..4 {
        place.file(
            &format!("set/bell/{at}.wav"),
            &mono(&[(0.5, HIGH + f64::from(at))]),
        );
        place.file(
            &format!("set/hum, deep/{at}.wav"),
            &mono(&[(0.5, LOW + f64::from(at))]),
        );
    }
    insta::assert_snapshot!(dataset(&place, "split set --folds 2 -o folds.csv"), @r#"
        exit code: 0
        --- stdout
        --- stderr
        2 folds with 4, 4 clips
        "#);
    let folds = place.read("folds.csv");
    assert!(folds.starts_with("path,label,fold,split,source,quality,weight,start,end\n"));
    let of_class = |class: &str, fold: usize| {
        folds
            .lines()
            .filter(|line| line.contains(class) && line.contains(&format!(",{fold},train,")))
            .count()
    };
    for fold in 0..2 {
        assert_eq!((of_class("bell", fold), of_class("deep", fold)), (2, 2));
    }
    let again = dataset(&place, "info folds.csv");
    assert!(again.contains("folds: 2 with 4, 4 clips"), "{again}");
    assert!(again.contains("hum, deep"), "{again}");
}

#[test]
fn what_cannot_be_read_is_said() {
    let place = set();
    place.file("empty/.keep", b"");
    insta::assert_snapshot!(dataset(&place, "info empty"), @r#"
        exit code: 2
        --- stdout
        --- stderr
        error: empty: 0 folders, 0 audio files and 0 other files at the top, expected one folder per class, a table with the columns `path` and `label`, or one of the known data sets (esc50, urbansound8k, fsd50k, fsdkaggle2019, fsdkaggle2018, esc10, audioset, table, folders)
        "#);
    insta::assert_snapshot!(dataset(&place, "info missing"), @r#"
        exit code: 2
        --- stdout
        --- stderr
        error: missing: no such folder or table, expected a data set
        "#);
    insta::assert_snapshot!(dataset(&place, "info set --layout esc11"), @r#"
        exit code: 2
        --- stdout
        --- stderr
        error: invalid value 'esc11' for '--layout <NAME>': layout is `esc11`, must be one of esc50, urbansound8k, fsd50k, fsdkaggle2019, fsdkaggle2018, esc10, audioset, table, folders

        For more information, try '--help'.
        "#);
    place.file("words.csv", b"name\nbel\nhum\n");
    insta::assert_snapshot!(dataset(&place, "info set --vocabulary words.csv"), @r#"
        exit code: 2
        --- stdout
        --- stderr
        error: bell/a.wav: label `bell` is not in the vocabulary (2 classes)
        hint: did you mean `bel`?
        "#);
    place.file("bad.csv", b"path,label,start,end\nx.wav,hum,3,1\n");
    insta::assert_snapshot!(dataset(&place, "info bad.csv"), @r#"
        exit code: 2
        --- stdout
        --- stderr
        error: bad.csv:2: stretch from 3 to 1 s, expected 0 ≤ start < end
        "#);
    insta::assert_snapshot!(dataset(&place, "split set --folds 1"), @r#"
        exit code: 2
        --- stdout
        --- stderr
        error: n_folds is 1, must be at least 2
        "#);
}
