//! `earmark serve` over real connections: the same results as the command line, jobs, live sound, and
//! what the server says about itself.

#![cfg(feature = "serve")]

use std::io::Write as _;

use crate::common;
use crate::common::server::{Answer, Server};
use crate::common::{HIGH, LOW, MIDDLE, Place, best, json_lines, mono, wav};
use tungstenite::Message;
use tungstenite::client::IntoClientRequest as _;

/// Low, middle and high for two seconds each.
fn song() -> Vec<u8> {
    mono(&[(2.0, LOW), (2.0, MIDDLE), (2.0, HIGH)])
}

fn stdout(place: &Place, arguments: &str) -> String {
    let output = place
        .earmark("tag")
        .args(["-q", "--format", "json"])
        .args(arguments.split_whitespace())
        .output()
        .unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn answers_are_the_bytes_of_the_command_line() {
    let place = Place::new();
    let stereo = wav(44_100, &[&[(3.0, LOW)], &[(3.0, HIGH)]]);
    place.file("song.wav", &song());
    place.file("stereo.wav", &stereo);
    let server = Server::start(&place, "");
    let clip = server.upload("/v1/tag", "song.wav", &song());
    assert_eq!(clip.header("content-type"), Some("application/json"));
    assert_eq!(clip.text(), stdout(&place, "song.wav"));
    let raw = server.post("/v1/tag?name=song.wav&top=1&threshold=0.25", &song());
    assert_eq!(
        raw.text(),
        stdout(&place, "song.wav --top 1 --threshold 0.25")
    );
    let lines = |query: &str, name: &str, body: &[u8]| {
        let path = format!("/v1/tag?name={name}&{query}");
        let accept = "Accept: application/x-ndjson";
        server.send("POST", &path, &[accept], body).text()
    };
    assert_eq!(
        lines("timeline=true&window=1&hop=0.5", "song.wav", &song()),
        stdout(&place, "song.wav --timeline --window 1 --hop 0.5")
    );
    assert_eq!(
        lines("channels=each", "stereo.wav", &stereo),
        stdout(&place, "stereo.wav --channels each")
    );
    let array = server.post("/v1/tag?timeline=true&name=song.wav", &song());
    let rows = array.json().as_array().unwrap().clone();
    assert_eq!(rows, json_lines(&stdout(&place, "song.wav --timeline")));
    assert_eq!(best(&rows[1]), "Middle");
}

#[test]
fn embeddings_have_their_length() {
    let place = Place::new();
    let server = Server::start(&place, "");
    let row = server.post("/v1/embed", &song()).json();
    assert_eq!(row["embedding"].as_array().unwrap().len(), 3);
    assert_eq!(row["duration_secs"], 6.0);
    assert!(row.get("tags").is_none());
    let rows = server.post("/v1/embed?timeline=true", &song()).json();
    assert_eq!(rows.as_array().unwrap().len(), 3);
}

#[test]
fn the_server_describes_itself() {
    let place = Place::new();
    let server = Server::start(&place, "");
    assert_eq!(server.get("/healthz").text(), "ok\n");
    assert_eq!(server.get("/readyz").text(), "ready\n");
    let models = server.get("/v1/models").json();
    assert_eq!(models["models"][0]["name"], "tones");
    assert_eq!(models["models"][0]["classes"][2]["name"], "High, shrill");
    assert_eq!(
        models["models"][0]["classes"][3]["id"],
        serde_json::Value::Null
    );
    let document = server.get("/openapi.json").json();
    assert_eq!(document["openapi"], "3.1.0");
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            if method == "parameters" {
                continue;
            }
            let path = path.replace("{id}", "none").replace("{name}", "tones");
            let answer = server.send(&method.to_uppercase(), &path, &[], b"x");
            let is_routed = answer.status != 405
                && !(answer.status == 404 && answer.text().contains("nothing at this address"));
            assert!(is_routed, "{method} {path}: {}", answer.status);
        }
    }
}

#[test]
fn counters_count() {
    let place = Place::new();
    let server = Server::start(&place, "");
    for _ in 0..3 {
        assert_eq!(server.post("/v1/tag", &song()).status, 200);
    }
    assert_eq!(server.post("/v1/tag", b"not a sound at all").status, 415);
    let requests = r#"earmark_requests_total{route="/v1/tag",status="200"}"#;
    assert_eq!(server.metric(requests), 3.0);
    assert_eq!(
        server.metric(r#"earmark_rejects_total{code="not-audio"}"#),
        1.0
    );
    assert_eq!(server.metric("earmark_decode_failures_total"), 1.0);
    assert_eq!(server.metric("earmark_audio_seconds_total"), 18.0);
    assert_eq!(server.metric("earmark_queue_depth"), 0.0);
    assert_eq!(
        server.metric(r#"earmark_request_seconds_count{route="/v1/tag"}"#),
        4.0
    );
    let factor = server.metric("earmark_real_time_factor");
    let busy = server.metric("earmark_busy_seconds_total");
    assert!(
        busy > 0.0 && (factor - busy / 18.0).abs() < 1e-9,
        "{factor} {busy}"
    );
}

#[test]
fn pictures_show_where_the_sound_is() {
    let place = Place::new();
    let server = Server::start(&place, "");
    let drawn = server.post("/v1/picture?columns=60", &song()).json();
    let picture = &drawn["pictures"][0];
    let (n_columns, n_bands) = (picture["n_columns"].as_u64().unwrap(), 96);
    assert!((59..=62).contains(&n_columns), "{n_columns}");
    let levels = base64(picture["levels"].as_str().unwrap());
    assert_eq!(levels.len(), n_columns as usize * n_bands);
    let loudest = |column: usize| {
        let column = &levels[column * n_bands..][..n_bands];
        (0..n_bands).max_by_key(|&band| column[band]).unwrap()
    };
    let bands = [loudest(10), loudest(30), loudest(50)];
    assert!(bands[0] < bands[1] && bands[1] < bands[2], "{bands:?}");
    let peaks = base64(picture["peaks"].as_str().unwrap());
    // 8000 of 32768, times 127.
    assert_eq!((peaks[20] as i8, peaks[21] as i8), (-31, 31));
}

fn base64(text: &str) -> Vec<u8> {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bytes = Vec::new();
    for four in text.trim_end_matches('=').as_bytes().chunks(4) {
        let bits = four.iter().fold(0_u32, |bits, symbol| {
            bits << 6 | alphabet.iter().position(|a| a == symbol).unwrap() as u32
        }) << (6 * (4 - four.len()));
        bytes.extend(&bits.to_be_bytes()[1..four.len()]);
    }
    bytes
}

#[test]
fn a_job_is_heard_while_it_is_uploaded() {
    let place = Place::new();
    place.file("song.wav", &song());
    let server = Server::start(&place, "");
    let created = server.post("/v1/jobs?name=song.wav&picture=100", &[]);
    assert_eq!(created.status, 201);
    let job = created.json();
    let path = |key: &str| job[key].as_str().unwrap().to_owned();
    let sound = song();
    let mut upload = server.connect();
    let head = server.head("PUT", &path("audio"), &[], sound.len());
    upload.write_all(head.as_bytes()).unwrap();
    let (first, rest) = sound.split_at(sound.len() * 5 / 6);
    upload.write_all(first).unwrap();
    let mut listening = server.connect();
    let head = server.head("GET", &path("events"), &[], 0);
    listening.write_all(head.as_bytes()).unwrap();
    // The first segment is told before the upload is complete.
    let mut told = String::new();
    while !told.contains("event: segment") {
        let mut bytes = [0; 4096];
        let n = std::io::Read::read(&mut listening, &mut bytes).unwrap();
        assert!(n > 0, "{told}");
        told += &String::from_utf8_lossy(&bytes[..n]);
    }
    assert!(!told.contains("event: done"));
    upload.write_all(rest).unwrap();
    assert_eq!(Answer::read(upload).status, 204);
    std::io::Read::read_to_string(&mut listening, &mut told).unwrap();
    assert!(told.contains("event: done"), "{told}");
    let clip = stdout(&place, "song.wav");
    assert!(told.contains(&format!("data: {}", clip.trim())), "{told}");
    for line in stdout(&place, "song.wav --timeline").lines() {
        assert!(told.contains(line), "{line} is not in {told}");
    }
    assert!(told.contains("event: picture"));
    assert_eq!(server.get(&path("events")).problem(), (409, "taken".into()));
}

#[test]
fn events_come_from_one_request_too() {
    let place = Place::new();
    let server = Server::start(&place, "");
    let accept = "Accept: text/event-stream";
    let answer = server.send("POST", "/v1/tag", &[accept], &song());
    let events = answer.events();
    let names: Vec<&str> = events.iter().map(|(name, _)| name.as_str()).collect();
    let expected = [
        "opened", "segment", "progress", "segment", "progress", "segment", "progress", "clip",
        "done",
    ];
    assert_eq!(names, expected);
    assert_eq!(events[0].1["duration_secs"], 6.0);
    assert_eq!(best(&events[3].1), "Middle");
    let broken = server.send("POST", "/v1/tag", &[accept], &song()[..100_000]);
    let (name, problem) = broken.events().pop().unwrap();
    assert_eq!(
        (name.as_str(), problem["status"].as_u64()),
        ("problem", Some(422))
    );
}

#[test]
fn a_cancelled_job_is_gone() {
    let place = Place::new();
    let server = Server::start(&place, "--jobs 1 --queue 0");
    let job = server.post("/v1/jobs", &[]).json();
    assert_eq!(
        server.post("/v1/tag", &song()).problem(),
        (503, "busy".into())
    );
    let path = format!("/v1/jobs/{}", job["id"].as_str().unwrap());
    assert_eq!(server.send("DELETE", &path, &[], &[]).status, 204);
    assert_eq!(server.send("DELETE", &path, &[], &[]).problem().0, 404);
    assert_eq!(server.post("/v1/tag", &song()).status, 200);
}

#[test]
fn live_sound_gives_the_rows_of_the_recording() {
    let place = Place::new();
    place.file("live", &song());
    let server = Server::start(&place, "");
    let url = format!(
        "ws://{}/v1/live?rate=32000&hop=1&picture=true",
        server.address
    );
    let (mut socket, _) = tungstenite::connect(url).unwrap();
    let ready: serde_json::Value = json(&socket.read().unwrap());
    assert_eq!(
        (&ready["type"], &ready["window_secs"]),
        (&"ready".into(), &2.0.into())
    );
    let expected = json_lines(&stdout(&place, "live --timeline --hop 1"));
    // Messages that end in the middle of a sample.
    for piece in song()[44..].chunks(9_999) {
        socket.send(Message::Binary(piece.to_vec().into())).unwrap();
    }
    let (mut rows, mut n_columns) = (Vec::new(), 0);
    while rows.len() < 5 {
        let message = json(&socket.read().unwrap());
        match message["type"].as_str().unwrap() {
            "segment" => rows.push(message["row"].clone()),
            "picture" => n_columns += message["picture"]["n_columns"].as_u64().unwrap(),
            other => panic!("{other}"),
        }
    }
    assert_eq!(rows, expected[..5]);
    assert!((140..=150).contains(&n_columns), "{n_columns}");
    socket.close(None).unwrap();
}

fn json(message: &Message) -> serde_json::Value {
    let text = message.to_text().unwrap();
    serde_json::from_str(text).unwrap_or_else(|_| panic!("{message:?}"))
}

#[test]
fn live_sound_that_cannot_be_is_refused() {
    let place = Place::new();
    let server = Server::start(&place, "--live 1");
    for query in [
        "",
        "rate=0",
        "rate=32000&hop=0",
        "rate=32000&format=mp3",
        "rate=32000&x=1",
    ] {
        let answer = server.get(&format!("/v1/live?{query}"));
        assert_eq!(answer.problem(), (400, "bad-parameter".into()), "{query}");
    }
    let url = format!("ws://{}/v1/live?rate=32000&format=f32le", server.address);
    let (mut socket, _) = tungstenite::connect(&url).unwrap();
    let refused = tungstenite::connect(&url).unwrap_err().to_string();
    assert!(refused.contains("503"), "{refused}");
    socket.read().unwrap();
    let nan = f32::NAN.to_le_bytes();
    socket.send(Message::Binary(nan.to_vec().into())).unwrap();
    let problem = json(&socket.read().unwrap());
    assert_eq!(problem["problem"]["code"], "damaged");
    assert!(matches!(socket.read().unwrap(), Message::Close(_)));
}

#[test]
fn the_key_opens_the_api() {
    let place = Place::new();
    let server = Server::start(&place, "--api-key sesame");
    assert_eq!(server.get("/healthz").status, 200);
    let refused = server.post("/v1/tag", &song());
    assert_eq!(refused.problem(), (401, "key".into()));
    assert_eq!(refused.header("www-authenticate"), Some("Bearer"));
    for wrong in [
        "Authorization: Bearer sesam",
        "X-API-Key: sesame1",
        "Authorization: Basic sesame",
    ] {
        assert_eq!(
            server.send("GET", "/v1/models", &[wrong], &[]).status,
            401,
            "{wrong}"
        );
    }
    for right in ["Authorization: Bearer sesame", "X-API-Key: sesame"] {
        assert_eq!(
            server.send("GET", "/v1/models", &[right], &[]).status,
            200,
            "{right}"
        );
    }
    let url = format!("ws://{}/v1/live?rate=32000", server.address);
    assert!(tungstenite::connect(&url).is_err());
    let mut request = url.into_client_request().unwrap();
    // BASE64URL of `sesame`.
    let offered = "earmark-live, earmark-key.c2VzYW1l".parse().unwrap();
    request
        .headers_mut()
        .insert("sec-websocket-protocol", offered);
    let (_, answer) = tungstenite::connect(request).unwrap();
    assert_eq!(answer.headers()["sec-websocket-protocol"], "earmark-live");
}

#[test]
fn the_index_finds_what_the_command_line_finds() {
    let place = Place::new();
    place.file("sounds/low.wav", &mono(&[(2.0, LOW)]));
    place.file("sounds/both.wav", &mono(&[(2.0, HIGH), (2.0, LOW)]));
    place.file("secret.wav", &mono(&[(2.0, LOW)]));
    let earmark = |command: &str, arguments: &str| {
        let mut run = place.earmark(command);
        let output = run.args(arguments.split_whitespace()).output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    earmark("index", "-q sounds -o s.index");
    let query = mono(&[(1.0, LOW + 20.0)]);
    place.file("query.wav", &query);
    let expected = json_lines(&earmark("search", "query.wav --index s.index -f json"));
    let server = Server::start(&place, "--index s.index");
    assert_eq!(server.get("/v1/models").json()["index"]["n_recordings"], 2);
    let found = server.upload("/v1/search", "query.wav", &query).json();
    assert_eq!(found["path"], "query.wav");
    let hits = found["hits"].as_array().unwrap();
    assert_eq!(hits.len(), expected.len());
    for (hit, expected) in hits.iter().zip(&expected) {
        let path = format!("/{}", hit["path"].as_str().unwrap());
        assert!(expected["path"].as_str().unwrap().ends_with(&path));
        for key in ["start_secs", "end_secs", "score"] {
            assert_eq!(hit[key], expected[key]);
        }
    }
    let every = server.post("/v1/search?every_stretch=true&top=2", &query);
    assert_eq!(every.json()["hits"].as_array().map(Vec::len), Some(2));
    let sound = |path: &str, end: &str| {
        let path = format!("/v1/search/sound?path={path}&start_secs=1&end_secs={end}");
        server.get(&path)
    };
    let stretch = sound("both.wav", "2.5");
    assert_eq!(stretch.header("content-type"), Some("audio/wav"));
    assert_eq!(stretch.body.len(), 44 + 2 * 48_000);
    // Nothing but what was indexed.
    assert_eq!(sound("../secret.wav", "2").status, 404);
    assert_eq!(sound("secret.wav", "2").status, 404);
    assert_eq!(sound("both.wav", "0.5").status, 400);
    assert_eq!(server.post("/v1/search?top=0", &query).status, 400);
    assert_eq!(server.post("/v1/search", b"no sound").status, 415);
    let without = Server::start(&place, "");
    assert_eq!(without.post("/v1/search", &query).status, 404);
}

#[test]
#[ignore = "makes the model of the browser tests: `cargo xtask browser` runs it"]
fn writes_the_bundle_of_the_browser_tests() {
    if let Some(path) = std::env::var_os("EARMARK_TONES") {
        common::tones().save(path.as_ref()).unwrap();
    }
}
