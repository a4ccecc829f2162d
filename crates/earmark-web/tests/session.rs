//! What a worker of the page does, on the host: the rows of the tagger, and a problem for everything bad.

#![allow(clippy::unwrap_used, reason = "a panic is a failed test")]

use std::io::Cursor;
use std::path::PathBuf;

use earmark::Result;
use earmark::audio::Source;
use earmark::bundle::Bundle;
use earmark::runtime::RuntimeChoice;
use earmark::tagger::{Tagger, TaggerOptions};
use earmark_web::{MAX_SECS, Session};
use serde_json::{Value, json};

type Told = Vec<(String, Value)>;

fn file(path: &str) -> Vec<u8> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    std::fs::read(root.join(path)).unwrap()
}

fn bundle() -> Vec<u8> {
    file("crates/earmark-cli/assets/built-in.onnx")
}

/// Collects what is told.
fn listen(ask: impl FnOnce(&mut dyn FnMut(&str, &str))) -> Told {
    let mut told = Told::new();
    ask(&mut |name, json| told.push((name.to_owned(), serde_json::from_str(json).unwrap())));
    told
}

fn loaded() -> Session {
    let mut session = Session::default();
    let told = listen(|tell| session.load("built-in.onnx", &bundle(), tell));
    assert_eq!(told[0].0, "model");
    session
}

fn source(bytes: Vec<u8>) -> impl FnOnce(String) -> Source {
    move |name| Source::Seekable {
        name,
        reader: Box::new(Cursor::new(bytes)),
    }
}

fn hear(session: &Session, settings: Value, recording: Vec<u8>) -> Told {
    let settings = settings.to_string();
    listen(|tell| session.hear(settings.as_bytes(), source(recording), tell))
}

fn named<'t>(told: &'t Told, name: &str) -> Vec<&'t Value> {
    told.iter()
        .filter(|(n, _)| n == name)
        .map(|(_, json)| json)
        .collect()
}

/// Eight-bit mono silence at 1 kHz.
fn silence(secs: u32) -> Vec<u8> {
    let n_bytes = 1_000 * secs;
    let mut wav = b"RIFF".to_vec();
    wav.extend((36 + n_bytes).to_le_bytes());
    wav.extend(b"WAVEfmt ");
    wav.extend(16_u32.to_le_bytes());
    wav.extend([1, 0, 1, 0]);
    wav.extend(1_000_u32.to_le_bytes());
    wav.extend(1_000_u32.to_le_bytes());
    wav.extend([1, 0, 8, 0]);
    wav.extend(b"data");
    wav.extend(n_bytes.to_le_bytes());
    wav.resize(44 + n_bytes as usize, 128);
    wav
}

#[test]
fn a_recording_gives_the_scores_of_the_tagger() -> Result<()> {
    let options = TaggerOptions {
        runtime: RuntimeChoice::Rust,
        window_secs: Some(1.0),
        hop_secs: Some(0.5),
        ..TaggerOptions::default()
    };
    let tagger = Tagger::from_bundle(&Bundle::from_bytes("built-in.onnx", bundle())?, &options)?;
    let recording = file("examples/guitar.wav");
    let bytes = || Source::Bytes {
        name: "guitar.wav".to_owned(),
        bytes: recording.clone().into(),
    };
    let clip = tagger.tag(bytes())?.remove(0);
    let settings =
        json!({ "name": "guitar.wav", "window": 1.0, "hop": 0.5, "top": 3, "picture": 100 });
    let told = hear(&loaded(), settings, recording.clone());
    let best = clip.scores.iter().copied().fold(0.0, f32::max);
    let row = named(&told, "clip")[0];
    assert_eq!(row["tags"].as_array().map(Vec::len), Some(3));
    let score = row["tags"][0]["score"].as_f64().map(|score| score as f32);
    assert_eq!(score, Some(best));
    assert_eq!(row["path"], "guitar.wav");
    let ends: Vec<_> = named(&told, "segment")
        .iter()
        .map(|row| row["end_secs"].clone())
        .collect();
    let expected = tagger
        .segments(bytes())?
        .map(|segment| Ok(json!(segment?.end_secs)));
    assert_eq!(ends, expected.collect::<Result<Vec<_>>>()?);
    assert!(!named(&told, "picture").is_empty());
    assert_eq!(told[0].0, "opened");
    assert_eq!(told.last().unwrap().0, "done");
    Ok(())
}

#[test]
fn ten_minutes_are_the_limit_and_the_hint_says_what_to_do() {
    let session = loaded();
    let too_long = hear(
        &session,
        json!({ "name": "long.wav" }),
        silence(MAX_SECS as u32 + 1),
    );
    let problem = named(&too_long, "problem")[0];
    assert_eq!(problem["code"], "limit");
    assert_eq!(
        problem["detail"],
        "long.wav: duration is 601.0 s, the limit is 600 s"
    );
    assert!(problem["hint"].as_str().unwrap().contains("10 minutes"));
    let drawn =
        listen(|tell| session.picture(br#"{"name":"ten.wav"}"#, source(silence(600)), tell));
    assert_eq!(named(&drawn, "done")[0]["duration_secs"], 600.0);
}

#[test]
fn what_is_wrong_is_told_as_a_problem() {
    let session = loaded();
    let code = |settings: Value, recording: Vec<u8>| {
        let told = hear(&session, settings, recording);
        assert_eq!(told.last().unwrap().0, "problem");
        told.last().unwrap().1["code"].clone()
    };
    let guitar = || file("examples/guitar.wav");
    assert_eq!(
        code(json!({ "name": "x" }), b"no sound at all".to_vec()),
        "not-audio"
    );
    assert_eq!(
        code(json!({ "name": "x" }), guitar()[..2_000].to_vec()),
        "damaged"
    );
    assert_eq!(
        code(json!({ "name": "x", "top": 0 }), guitar()),
        "bad-parameter"
    );
    assert_eq!(
        code(json!({ "name": "x", "window": 1e9 }), guitar()),
        "bad-parameter"
    );
    assert_eq!(
        code(json!({ "name": "x", "picture": 0 }), guitar()),
        "bad-parameter"
    );
    assert_eq!(
        code(json!({ "name": "x", "colour": 1 }), guitar()),
        "internal"
    );
    let told = hear(&Session::default(), json!({ "name": "x" }), guitar());
    assert!(told[0].1["detail"].as_str().unwrap().contains("not loaded"));
}

#[test]
fn a_bad_bundle_leaves_the_one_before() {
    let mut session = loaded();
    let told = listen(|tell| session.load("bad.onnx", b"not a bundle", tell));
    assert_eq!(told[0].0, "problem");
    assert!(
        told[0].1["detail"]
            .as_str()
            .unwrap()
            .starts_with("bad.onnx: ")
    );
    let told = hear(&session, json!({ "name": "x" }), file("examples/kick.wav"));
    assert_eq!(told.last().unwrap().0, "done");
}
