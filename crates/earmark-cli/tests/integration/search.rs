//! `earmark index` and `earmark search`: what sounds alike is found, what has not changed is not heard
//! again, and what does not belong together is refused.

use crate::common;
use crate::common::{HIGH, LOW, MIDDLE, Place, json_lines, mono};

/// Runs `earmark COMMAND` with the model of the tests and arguments divided by white space.
fn run(place: &Place, command: &str, arguments: &str) -> String {
    place.screen(place.earmark(command).args(arguments.split_whitespace()))
}

fn sounds() -> Place {
    let place = Place::new();
    place.file("sounds/low.wav", &mono(&[(2.0, LOW)]));
    place.file("sounds/deep/middle.wav", &mono(&[(2.0, MIDDLE)]));
    place.file("sounds/both.wav", &mono(&[(2.0, HIGH), (2.0, LOW)]));
    place
}

/// The summary without how long it took.
fn timeless(screen: &str) -> String {
    match screen.rfind(" (") {
        Some(at) => screen[..at].to_owned(),
        None => screen.trim_end().to_owned(),
    }
}

#[test]
fn what_sounds_alike_is_found() {
    let place = sounds();
    insta::assert_snapshot!(timeless(&run(&place, "index", "sounds -o s.index")), @r#"
        exit code: 0
        --- stdout
        --- stderr
        3 recordings, 4 segments: 3 new, 0 changed, 0 kept, 0 dropped
        "#);
    place.file("query.wav", &mono(&[(1.0, LOW + 20.0)]));
    let found = run(&place, "search", "query.wav --index s.index -f json");
    let lines = json_lines(
        found
            .split("--- stdout\n")
            .nth(1)
            .unwrap()
            .split("--- stderr")
            .next()
            .unwrap(),
    );
    let name = |at: usize| {
        lines[at]["path"]
            .as_str()
            .unwrap()
            .rsplit('/')
            .next()
            .unwrap()
            .to_owned()
    };
    // Two recordings have a low tone, one of them in its second half.
    let mut nearest = [name(0), name(1)];
    nearest.sort();
    assert_eq!(nearest, ["both.wav", "low.wav"]);
    let both = lines
        .iter()
        .find(|line| line["path"].as_str().unwrap().ends_with("both.wav"));
    assert_eq!(both.unwrap()["start_secs"], 2.0);
    assert!(lines[0]["score"].as_f64().unwrap() > 0.99);
    assert_eq!(lines.len(), 3);
    let every = run(
        &place,
        "search",
        "query.wav --index s.index --every-stretch -f csv",
    );
    assert!(
        every.contains("rank,path,start_secs,end_secs,score\n1,"),
        "{every}"
    );
    assert_eq!(every.matches("both.wav").count(), 2);
    let table = run(&place, "search", "sounds/low.wav --index s.index --top 1");
    assert!(
        // The same tone, in itself or in the recording whose second half it is.
        table.contains("1.000  00:00:00.000 - 00:00:02.000")
            || table.contains("1.000  00:00:02.000 - 00:00:04.000"),
        "{table}"
    );
}

#[test]
fn an_index_is_brought_up_to_date() {
    let place = sounds();
    run(&place, "index", "sounds -o s.index");
    std::fs::remove_file(place.path("sounds/low.wav")).unwrap();
    place.file("sounds/new.wav", &mono(&[(2.0, HIGH)]));
    place.file("sounds/broken.wav", b"RIFF");
    insta::assert_snapshot!(timeless(&run(&place, "index", "sounds -o s.index")), @r#"
        exit code: 1
        --- stdout
        --- stderr
        sounds/broken.wav: content is a RIFF file that is not WAVE, expected audio
        3 recordings, 4 segments: 1 new, 0 changed, 2 kept, 1 dropped, 1 failed
        "#);
    std::fs::remove_file(place.path("sounds/broken.wav")).unwrap();
    insta::assert_snapshot!(timeless(&run(&place, "index", "sounds -o s.index")), @r#"
        exit code: 0
        --- stdout
        --- stderr
        3 recordings, 4 segments: 0 new, 0 changed, 3 kept, 0 dropped
        "#);
    let other = run(&place, "index", "sounds -o s.index --window 1");
    assert!(
        other.contains("everything is heard again") && other.contains("3 new"),
        "{other}"
    );
}

#[test]
fn what_does_not_belong_together_is_refused() {
    let place = sounds();
    place.file("notes.txt", b"my notes");
    insta::assert_snapshot!(run(&place, "index", "sounds -o notes.txt"), @r#"
        exit code: 2
        --- stdout
        --- stderr
        error: notes.txt: is 8 bytes long, expected an index
        "#);
    assert_eq!(place.read("notes.txt"), "my notes");
    insta::assert_snapshot!(run(&place, "index", "sounds/low.wav -o s.index"), @r#"
        exit code: 2
        --- stdout
        --- stderr
        error: sounds/low.wav is no folder
        "#);
    insta::assert_snapshot!(run(&place, "search", "sounds/low.wav --index missing.index"), @r#"
        exit code: 2
        --- stdout
        --- stderr
        error: failed to open file `missing.index`: No such file or directory (os error 2)
        "#);
    run(&place, "index", "sounds -o s.index");
    // The same graph with another name is another file.
    let mut metadata = common::tones().metadata().clone();
    metadata.name = "other".to_owned();
    let other = common::tones().with_metadata(metadata).unwrap();
    other.save(&place.path("other.onnx")).unwrap();
    let screen = place.screen(place.bare().args([
        "search",
        "sounds/low.wav",
        "--index",
        "s.index",
        "--model",
        "other.onnx",
    ]));
    assert!(
        screen.contains("holds embeddings of the model tones ("),
        "{screen}"
    );
    assert!(screen.contains("expected other ("), "{screen}");
    insta::assert_snapshot!(run(&place, "search", "notes.txt --index s.index"), @r#"
        exit code: 2
        --- stdout
        --- stderr
        error: notes.txt: content is text (`my notes…`), expected audio
        "#);
}
