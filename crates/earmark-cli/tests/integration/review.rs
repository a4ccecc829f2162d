//! `earmark review` over real connections: a wrong label is found, mended and kept, and training gets
//! a table with what was decided.

#![cfg(feature = "serve")]

use std::process::{Child, Stdio};

use crate::common::server;
use crate::common::server::Server;
use crate::common::{HIGH, LOW, MIDDLE, Place, mono};
use earmark::dataset::Manifest;
use serde_json::{Value, json};

/// Folders `Low`, `Middle` and `High, shrill` with three clips each; `Low/wrong.wav` is a high tone.
fn data_set(place: &Place) {
    for (class, hz) in [("Low", LOW), ("Middle", MIDDLE), ("High, shrill", HIGH)] {
        for clip in ["a", "b", "c"] {
            let detuned = hz * (1.0 + 0.000_5 * f64::from(clip.as_bytes()[0]));
            place.file(
                &format!("set/{class}/{clip}.wav"),
                &mono(&[(2.0, detuned.min(9_500.0))]),
            );
        }
    }
    place.file("set/Low/wrong.wav", &mono(&[(2.0, HIGH)]));
}

fn start(place: &Place, arguments: &[&str]) -> Server {
    Server::of(spawn(place, arguments))
}

fn spawn(place: &Place, arguments: &[&str]) -> Child {
    place
        .bare()
        .args(["review", "set", "--port", "0"])
        .args(arguments)
        .env_remove("EARMARK_API_KEY")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

const MODEL: [&str; 4] = ["--model", "tones.onnx", "--runtime", "rust"];

fn clips(server: &Server, query: &str) -> Vec<Value> {
    let answer = server.get(&format!("/review/api/clips?{query}"));
    answer.json()["clips"].as_array().unwrap().clone()
}

fn post(server: &Server, path: &str, body: &Value) -> server::Answer {
    let json = "Content-Type: application/json";
    server.send("POST", path, &[json], body.to_string().as_bytes())
}

fn decide(server: &Server, clip: &Value, action: &str, more: Value) -> server::Answer {
    let mut body = json!({ "clip": clip["id"], "version": clip["version"], "action": action });
    body.as_object_mut()
        .unwrap()
        .extend(more.as_object().cloned().unwrap_or_default());
    post(server, "/review/api/decisions", &body)
}

#[test]
fn the_wrong_label_comes_first_and_is_mended_for_good() {
    let place = Place::new();
    data_set(&place);
    let server = start(&place, &MODEL);
    let doubtful = clips(&server, "sort=doubt");
    assert_eq!(doubtful.len(), 10);
    let wrong = &doubtful[0];
    assert_eq!(wrong["name"], "Low/wrong.wav");
    assert_eq!(wrong["scores"][0][0], "High, shrill");
    assert!(wrong["doubt"]["value"].as_f64().unwrap() >= 0.9, "{wrong}");
    let alike = clips(&server, &format!("sort=similarity&like={}", wrong["id"]));
    assert!(
        alike[1]["name"].as_str().unwrap().starts_with("High"),
        "{alike:?}"
    );
    let fixed = decide(&server, wrong, "fix", json!({ "labels": ["High, shrill"] })).json();
    assert_eq!(
        (&fixed["decision"], &fixed["labels"][0]),
        (&json!("fixed"), &json!("High, shrill"))
    );
    // A second tab that has not seen this decision is told so, and nothing is lost.
    let late = decide(&server, wrong, "reject", json!({}));
    assert_eq!(late.problem(), (409, "taken".to_owned()));
    let rejected = clips(&server, "")
        .into_iter()
        .find(|c| c["name"] == "Middle/b.wav")
        .unwrap();
    assert_eq!(decide(&server, &rejected, "reject", json!({})).status, 200);
    let kept = clips(&server, "")
        .into_iter()
        .find(|c| c["name"] == "Middle/a.wav")
        .unwrap();
    assert_eq!(decide(&server, &kept, "reject", json!({})).status, 200);
    let back = server.post("/review/api/undo", &[]).json();
    assert_eq!(
        (&back["name"], &back["decision"]),
        (&json!("Middle/a.wav"), &Value::Null)
    );
    let stretch = json!({ "labels": ["Low", "Middle"], "stretch_secs": [0.5, 1.25] });
    assert_eq!(
        decide(&server, &back, "add", stretch).json()["decision"],
        "added"
    );
    drop(server);
    // All of it is there again after a crash, also behind a line that was cut.
    let log = place.path("set.review.jsonl");
    let mut lines = std::fs::read(&log).unwrap();
    assert_eq!(lines.iter().filter(|&&byte| byte == b'\n').count(), 5);
    lines.extend(b"{\"at_millis\":1,\"cl");
    std::fs::write(&log, lines).unwrap();
    let server = start(&place, &[]);
    let decided: Vec<Value> = clips(&server, "")
        .into_iter()
        .filter(|clip| !clip["decision"].is_null())
        .collect();
    assert_eq!(decided.len(), 3);
    let written = server.post("/review/api/write", &[]).json();
    assert_eq!(written["n_clips"], 10);
    let table = Manifest::open(&place.path("set.reviewed.csv")).unwrap();
    let labels = |name: &str| -> Vec<Vec<&str>> {
        let of = table.clips.iter().filter(|clip| clip.name.ends_with(name));
        let names = |clip: &earmark::dataset::Clip| {
            let labels = clip.labels.as_ref().unwrap();
            labels
                .iter()
                .map(|&label| table.vocabulary.name(label))
                .collect()
        };
        of.map(names).collect()
    };
    assert_eq!(labels("Low/wrong.wav"), [["High, shrill"]]);
    assert_eq!(labels("Middle/b.wav"), Vec::<Vec<&str>>::new());
    assert_eq!(
        labels("Middle/a.wav"),
        [vec!["Middle"], vec!["Low", "Middle"]]
    );
    let stretches: Vec<_> = table
        .clips
        .iter()
        .filter_map(|clip| clip.stretch_secs)
        .collect();
    assert_eq!(stretches, [(0.5, 1.25)]);
    assert!(table.missing().is_empty());
}

#[test]
fn clips_are_heard_and_seen() {
    let place = Place::new();
    data_set(&place);
    let server = start(&place, &[]);
    let wav = server.get("/review/api/clips/0/audio");
    assert_eq!(wav.header("content-type"), Some("audio/wav"));
    assert_eq!(wav.body.len(), 44 + 2 * 2 * 32_000);
    let picture = server.get("/review/api/clips/0/picture").json();
    assert_eq!(picture["pictures"][0]["n_bands"], 96);
    assert_eq!(server.get("/review/api/clips/99/audio").problem().0, 404);
    assert!(server.get("/review").text().contains("<title>Review"));
}

#[test]
fn nonsense_is_refused_and_changes_nothing() {
    let place = Place::new();
    data_set(&place);
    let server = start(&place, &[]);
    let clip = &clips(&server, "")[0];
    for (action, more) in [
        ("fix", json!({})),
        ("accept", json!({ "labels": ["Low"] })),
        ("fix", json!({ "labels": ["Loud"] })),
        ("add", json!({ "labels": ["Low"] })),
        (
            "add",
            json!({ "labels": ["Low"], "stretch_secs": [2.0, 1.0] }),
        ),
        ("undo", json!({})),
        ("delete", json!({})),
    ] {
        let answer = decide(&server, clip, action, more);
        assert_eq!(
            answer.problem(),
            (400, "bad-parameter".to_owned()),
            "{action}"
        );
    }
    assert_eq!(server.post("/review/api/undo", &[]).problem().0, 404);
    let missing = json!({ "clip": 99, "version": 0, "action": "accept" });
    assert_eq!(
        post(&server, "/review/api/decisions", &missing).problem().0,
        404
    );
    let foreign = server.send(
        "POST",
        "/review/api/write",
        &["Origin: https://evil.example"],
        &[],
    );
    assert_eq!(foreign.problem().0, 403);
    assert_eq!(std::fs::read(place.path("set.review.jsonl")).unwrap(), b"");
    // A second server may not write the same log.
    let second = spawn(&place, &[]).wait_with_output().unwrap();
    assert_eq!(second.status.code(), Some(2));
}

#[test]
fn scores_of_a_run_are_read_from_its_folds() {
    let place = Place::new();
    data_set(&place);
    let table = |clips: &[(&str, [f32; 3])]| {
        let mut csv = "clip,labels,\"High, shrill\",Low,Middle\n".to_owned();
        for (clip, [high, low, middle]) in clips {
            csv += &format!("\"{clip}\",x,{high},{low},{middle}\n");
        }
        csv
    };
    let first = table(&[
        ("Low/a.wav", [0.1, 0.8, 0.1]),
        ("Low/b.wav", [0.1, 0.8, 0.1]),
    ]);
    let second = table(&[
        ("Low/c.wav", [0.9, 0.1, 0.1]),
        ("Middle/a.wav", [0.1, 0.1, 0.9]),
    ]);
    place.file("run/fold-0/scores.csv", first.as_bytes());
    place.file("run/fold-1/scores.csv", second.as_bytes());
    let server = start(&place, &["--run", "run"]);
    let doubtful = clips(&server, "sort=doubt");
    assert_eq!(doubtful[0]["name"], "Low/c.wav");
    let unsure = clips(&server, "sort=uncertainty");
    assert!(unsure[0]["uncertainty"].as_f64().unwrap() >= 0.39);
    drop(server);
    place.file(
        "run/fold-1/scores.csv",
        b"clip,labels,Low\nLow/a.wav,Low,much\n",
    );
    let refused = spawn(&place, &["--run", "run"]).wait_with_output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
}

#[cfg(unix)]
#[test]
fn the_table_is_written_at_the_end() {
    let place = Place::new();
    data_set(&place);
    let mut server = start(&place, &["--output", "mended.csv"]);
    server.terminate();
    assert_eq!(server.wait(), Some(0));
    assert_eq!(
        Manifest::open(&place.path("mended.csv"))
            .unwrap()
            .clips
            .len(),
        10
    );
}
