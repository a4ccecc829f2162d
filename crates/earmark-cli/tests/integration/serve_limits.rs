//! `earmark serve` and clients that one would rather not have: every limit, hostile uploads, cut
//! connections, foreign pages; and nothing is left behind.

#![cfg(feature = "serve")]

use std::io::Write as _;
use std::time::Duration;

use crate::common;
use crate::common::server::{Answer, Server};
use crate::common::{LOW, MIDDLE, Place, mono, wav};

fn sound() -> Vec<u8> {
    mono(&[(2.0, LOW)])
}

fn refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!(
        answer.problem(),
        (status, code.to_owned()),
        "{}",
        answer.text()
    );
}

#[test]
fn recordings_beyond_a_limit_are_refused() {
    let place = Place::new();
    let server = Server::start(
        &place,
        "--max-mib 1 --max-secs 4 --max-channels 2 --max-rate 48000",
    );
    let tag = |body: &[u8]| server.post("/v1/tag", body);
    assert_eq!(tag(&sound()).status, 200);
    refused(&tag(&vec![0; (1 << 20) + 1]), 413, "too-large");
    refused(&tag(&vec![0; 4 << 20]), 413, "too-large");
    let large = vec![0; 4 << 20];
    refused(&server.upload("/v1/tag", "large", &large), 413, "too-large");
    refused(&tag(&mono(&[(5.0, LOW)])), 422, "limit");
    let one: &[common::Stretch] = &[(0.6, LOW)];
    refused(&tag(&wav(16_000, &[one; 3])), 422, "limit");
    refused(&tag(&wav(96_000, &[one])), 422, "limit");
    refused(&tag(&wav(500, &[one])), 422, "limit");
    for query in ["columns=0", "columns=100000", "columns=x", "rows=1"] {
        let answer = server.post(&format!("/v1/picture?{query}"), &sound());
        refused(&answer, 400, "bad-parameter");
    }
    nothing_is_left(&place, &server);
}

#[test]
fn parameters_are_checked() {
    let place = Place::new();
    let server = Server::start(&place, "");
    for query in [
        "top=0",
        "top=-1",
        "top=many",
        "threshold=2",
        "threshold=NaN",
        "timeline=maybe",
        "window=0",
        "window=1e9",
        "hop=0.001",
        "channels=left",
        "picture=0",
        "tpo=5",
        "timeline=true&timeline=true",
    ] {
        let answer = server.post(&format!("/v1/tag?{query}"), &sound());
        refused(&answer, 400, "bad-parameter");
    }
    refused(
        &server.post("/v1/tag?model=none", &sound()),
        404,
        "not-found",
    );
    refused(&server.get("/v1/tag"), 405, "method");
    refused(
        &server.get("/v1/%2e%2e/%2e%2e/etc/passwd"),
        404,
        "not-found",
    );
    refused(&server.get("/v1/jobs/none/events"), 404, "not-found");
}

#[test]
fn what_is_no_sound_is_refused_with_a_reason() {
    let place = Place::new();
    let server = Server::start(&place, "");
    let zip = b"PK\x03\x04\x14\0\0\0\x08\0 a zip of sounds";
    refused(
        &server.upload("/v1/tag", "sounds.zip", zip),
        415,
        "not-audio",
    );
    let html = b"<!doctype html><script>alert(1)</script>";
    refused(
        &server.upload("/v1/tag", "page.wav", html),
        415,
        "not-audio",
    );
    refused(&server.post("/v1/tag", b""), 415, "not-audio");
    refused(
        &server.upload("/v1/tag", "empty.wav", b""),
        415,
        "not-audio",
    );
    refused(&server.post("/v1/tag", &sound()[..60_000]), 422, "damaged");
    let mut random = 1_u32;
    let noise: Vec<u8> = (0..100_000)
        .map(|_| {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (random >> 24) as u8
        })
        .collect();
    let answer = server.post("/v1/tag", &noise);
    assert!([415, 422].contains(&answer.status), "{}", answer.text());
    let form = "Content-Type: multipart/form-data; boundary=limit";
    for body in ["", "--limit", "--limit\r\n\r\n--limit--", "--limit--\r\n"] {
        let answer = server.send("POST", "/v1/tag", &[form], body.as_bytes());
        assert!(
            [400, 408].contains(&answer.status),
            "{body:?}: {}",
            answer.text()
        );
    }
    let other =
        "--limit\r\nContent-Disposition: form-data; name=\"sound\"\r\n\r\nx\r\n--limit--\r\n";
    refused(
        &server.send("POST", "/v1/tag", &[form], other.as_bytes()),
        400,
        "multipart",
    );
    let none = "Content-Type: multipart/form-data";
    refused(
        &server.send("POST", "/v1/tag", &[none], b"x"),
        400,
        "multipart",
    );
    nothing_is_left(&place, &server);
}

#[test]
fn names_are_shown_and_never_used() {
    let place = Place::new();
    let server = Server::start(&place, "");
    let name_of = |name: &str| {
        let answer = server.upload("/v1/tag", name, &sound());
        answer.json()["path"].as_str().unwrap().to_owned()
    };
    assert_eq!(
        name_of("../../../../tmp/earmark-owned.wav"),
        "earmark-owned.wav"
    );
    assert_eq!(name_of(".."), "recording");
    assert_eq!(
        name_of("<img src=x onerror=alert(1)>.wav"),
        "<img src=x onerror=alert(1)>.wav"
    );
    assert_eq!(
        server
            .post("/v1/tag?name=%2Fetc%2Fa%00b.wav", &sound())
            .json()["path"],
        "ab.wav"
    );
    let refused = server.upload("/v1/tag", "<b>.wav", b"<b>");
    // Served as data, and the browser is told not to guess.
    assert_eq!(refused.header("x-content-type-options"), Some("nosniff"));
    assert!(!std::path::Path::new("/tmp/earmark-owned.wav").exists());
    nothing_is_left(&place, &server);
}

#[test]
fn a_bomb_of_silence_is_stopped_while_it_is_decoded() {
    let place = Place::new();
    let server = Server::start(&place, "--max-secs 60 --deadline 600");
    // Ten hours at 8 kHz in some 60 kB, with a header that does not say how many.
    let bomb = silent_flac(10 * 3600 * 8_000 / 65_535);
    assert!(bomb.len() < 100_000, "{}", bomb.len());
    refused(&server.post("/v1/tag", &bomb), 422, "limit");
    let short = silent_flac(2);
    assert_eq!(server.post("/v1/tag", &short).status, 200);
}

/// A mono FLAC file at 8 kHz: blocks of 65535 samples of one constant, 0.
fn silent_flac(n_blocks: usize) -> Vec<u8> {
    let mut flac = b"fLaC\x80\0\0\x22".to_vec();
    flac.extend([0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0]);
    // 20 bits of rate, 3 of channels - 1, 5 of bits - 1, 36 of samples (0 is unknown).
    flac.extend([0x01, 0xf4, 0x00, 0xf0, 0, 0, 0, 0]);
    flac.extend([0; 16]);
    for number in 0..n_blocks {
        // Fixed block size; 16-bit size and 8 kHz; mono, 16 bits.
        let mut frame = vec![0xff, 0xf8, 0x74, 0x08];
        let number = char::from_u32(number as u32).unwrap();
        frame.extend(number.encode_utf8(&mut [0; 4]).as_bytes());
        frame.extend(65_534_u16.to_be_bytes());
        frame.push(crc(&frame, 8, 0x07) as u8);
        frame.extend([0, 0, 0]);
        let check = crc(&frame, 16, 0x8005);
        frame.extend(check.to_be_bytes());
        flac.extend(frame);
    }
    flac
}

/// The cyclic redundancy checks of FLAC, bit by bit.
fn crc(bytes: &[u8], width: u32, polynomial: u32) -> u16 {
    let (top, mask) = (1 << (width - 1), (1_u32 << width) - 1);
    let remainder = bytes.iter().fold(0_u32, |remainder, &byte| {
        (0..8).fold(remainder ^ u32::from(byte) << (width - 8), |r, _| {
            (if r & top == 0 {
                r << 1
            } else {
                r << 1 ^ polynomial
            }) & mask
        })
    });
    remainder as u16
}

#[test]
fn a_full_queue_says_when_to_come_back() {
    let place = Place::new();
    let server = Server::start(&place, "--jobs 1 --queue 1");
    for _ in 0..2 {
        assert_eq!(server.post("/v1/jobs", &[]).status, 201);
    }
    let busy = server.post("/v1/tag", &sound());
    refused(&busy, 503, "busy");
    assert!(busy.header("retry-after").unwrap().parse::<u32>().unwrap() >= 1);
    assert_eq!(server.metric(r#"earmark_rejects_total{code="busy"}"#), 1.0);
}

#[test]
fn the_deadline_stops_the_work() {
    let place = Place::new();
    let server = Server::start(&place, "--deadline 0.001");
    let long = mono(&[(120.0, MIDDLE)]);
    refused(
        &server.post("/v1/tag?window=1&hop=0.1", &long),
        504,
        "deadline",
    );
    nothing_is_left(&place, &server);
}

#[test]
fn slow_and_cut_uploads_end() {
    let place = Place::new();
    let server = Server::start(&place, "--idle 0.3");
    let part = |path: &str, length: usize| {
        let mut stream = server.connect();
        let head = server.head("POST", path, &[], length);
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&sound()[..10_000]).unwrap();
        stream
    };
    // Nothing more comes.
    refused(&Answer::read(part("/v1/tag", 20_000)), 408, "upload");
    // The client leaves.
    drop(part("/v1/tag", 20_000));
    // A head that never ends is not waited for.
    let mut stream = server.connect();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: ").unwrap();
    let mut answer = Vec::new();
    let _ = std::io::Read::read_to_end(&mut stream, &mut answer);
    assert!(!answer.starts_with(b"HTTP/1.1 200"));
    // A job whose upload breaks off says so.
    let job = server.post("/v1/jobs", &[]).json();
    let mut upload = server.connect();
    let head = server.head("PUT", job["audio"].as_str().unwrap(), &[], 100_000);
    upload.write_all(head.as_bytes()).unwrap();
    upload.write_all(&sound()[..50_000]).unwrap();
    drop(upload);
    let events = server.get(job["events"].as_str().unwrap()).events();
    let (name, problem) = events.last().unwrap();
    assert_eq!(
        (name.as_str(), &problem["code"]),
        ("problem", &"upload".into())
    );
    assert_eq!(server.post("/v1/tag", &sound()).status, 200);
    nothing_is_left(&place, &server);
}

#[test]
fn foreign_pages_and_names_are_kept_out() {
    let place = Place::new();
    let server = Server::start(
        &place,
        "--cors-origin https://friend.example --allow-host ear.local",
    );
    let with = |header: &str| server.send("POST", "/v1/tag", &[header], &sound());
    refused(&with("Origin: https://evil.example"), 403, "origin");
    refused(&with("Origin: null"), 403, "origin");
    refused(&with("Host: evil.example"), 421, "host");
    assert_eq!(with("Host: ear.local").status, 200);
    let own = format!("Origin: http://{}", server.address);
    let same = with(&own);
    assert_eq!(
        (same.status, same.header("access-control-allow-origin")),
        (200, None)
    );
    let friend = with("Origin: https://friend.example");
    let allowed = friend.header("access-control-allow-origin");
    assert_eq!(
        (friend.status, allowed),
        (200, Some("https://friend.example"))
    );
    let preflight = server.send(
        "OPTIONS",
        "/v1/tag",
        &["Origin: https://friend.example"],
        &[],
    );
    assert_eq!(preflight.status, 204);
    for answer in [
        server.get("/healthz"),
        server.get("/nothing"),
        server.get("/v1/models"),
    ] {
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'self';"), "{policy}");
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
}

#[cfg(unix)]
#[test]
fn the_server_drains_when_it_is_asked_to_stop() {
    let place = Place::new();
    let mut server = Server::start(&place, "");
    let mut upload = server.connect();
    let sound = sound();
    let head = server.head("POST", "/v1/tag", &[], sound.len());
    upload.write_all(head.as_bytes()).unwrap();
    upload.write_all(&sound[..1000]).unwrap();
    wait_for_an_upload(&server);
    server.terminate();
    std::thread::sleep(Duration::from_millis(300));
    upload.write_all(&sound[1000..]).unwrap();
    let answer = Answer::read(upload);
    // What was accepted is either answered or refused in words, never cut.
    assert!([200, 503].contains(&answer.status), "{}", answer.text());
    assert_eq!(server.wait(), Some(0));
    let left: Vec<_> = std::fs::read_dir(place.path("uploads")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

/// Waits until the server has begun to write what a client sends.
#[cfg(unix)]
fn wait_for_an_upload(server: &Server) {
    for _ in 0..1000 {
        // Where open files cannot be listed, a moment has to do.
        if open_uploads(server).is_none_or(|n| n > 0) {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// How many uploads the server holds open: their files have no names. None where that cannot be told.
fn open_uploads(server: &Server) -> Option<usize> {
    let files = std::fs::read_dir(format!("/proc/{}/fd", server.pid())).ok()?;
    let targets = files.filter_map(|file| std::fs::read_link(file.ok()?.path()).ok());
    let ours = |target: &std::path::PathBuf| target.to_string_lossy().contains("earmark-uploads-");
    Some(targets.filter(ours).count())
}

/// The private folder holds nothing, and the server holds no file that was removed from it.
fn nothing_is_left(place: &Place, server: &Server) {
    let folders = std::fs::read_dir(place.path("uploads")).unwrap();
    for folder in folders {
        let inside: Vec<_> = std::fs::read_dir(folder.unwrap().path()).unwrap().collect();
        assert!(inside.is_empty(), "{inside:?}");
    }
    // What was cut is noticed a moment later.
    for _ in 0..100 {
        if open_uploads(server).is_none_or(|n| n == 0) {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("{:?} uploads are still open", open_uploads(server));
}
