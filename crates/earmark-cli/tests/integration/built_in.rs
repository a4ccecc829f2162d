//! The bundle inside the program: what it is, what it knows, and what it does not claim to know.

use std::path::{Path, PathBuf};

use crate::common::{Place, json_lines, wav_of};

/// The largest size that the program should carry, in bytes.
const MAX_BYTES: u64 = 5_000_000;

/// What the best score of silence must stay below.
const UNKNOWN: f64 = 0.3;

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples")
}

/// The tags of a sound as `(class, score)`, best first, by the model that needs no name.
fn tags(place: &Place, sound: &Path) -> Vec<(String, f64)> {
    let mut command = place.bare();
    let output = command
        .args(["tag", "--format", "json", "--top", "26"])
        .args(["--runtime", "rust"])
        .arg(sound)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", place.show(&output));
    let line = json_lines(&String::from_utf8(output.stdout).unwrap()).remove(0);
    let tags = line["tags"].as_array().unwrap();
    tags.iter()
        .map(|tag| {
            let class = tag["class"].as_str().unwrap().to_owned();
            (class, tag["score"].as_f64().unwrap())
        })
        .collect()
}

#[test]
fn it_is_small_and_says_where_it_comes_from() {
    let place = Place::new();
    let mut command = place.bare();
    let output = command
        .args(["bundle", "info", "--format", "json"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", place.show(&output));
    let card: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/built-in.onnx");
    assert!(std::fs::metadata(file).unwrap().len() <= MAX_BYTES);
    assert!(card["licence"]["spdx"].is_string(), "{card}");
    assert!(card["provenance"]["config"].is_string(), "{card}");
    assert!(card["provenance"]["data"].is_string(), "{card}");
}

#[test]
fn the_example_sounds_are_among_the_first_three_tags() {
    let place = Place::new();
    for (sound, class) in [
        ("kick", "Bass_drum"),
        ("snare", "Snare_drum"),
        ("hi-hat", "Hi-hat"),
        ("guitar", "Acoustic_guitar"),
        ("chime", "Chime"),
    ] {
        let tags = tags(&place, &examples().join(format!("{sound}.wav")));
        let first: Vec<&str> = tags[..3].iter().map(|tag| tag.0.as_str()).collect();
        assert!(first.contains(&class), "{sound}: {first:?}");
    }
}

#[test]
fn silence_is_nothing_that_it_knows() {
    let place = Place::new();
    let silence = place.file("silence.wav", &wav_of(32_000, &[vec![0; 96_000]], &[]));
    let (class, score) = tags(&place, &silence).remove(0);
    assert!(score < UNKNOWN, "{class} {score}");
}
