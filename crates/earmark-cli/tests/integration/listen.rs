//! `earmark listen`: events begin and stop once, streams that break are taken up again, and nothing
//! grows with time.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use crate::common;
use crate::common::{HIGH, LOW, Place, Stretch, json_lines, mono};
use serde_json::Value;

/// How long a test waits for something that takes a moment; only a failure takes that long.
const PATIENCE: Duration = Duration::from_secs(60);

/// `earmark listen` with the model of the tests, segments of 1 s and JSON unless the
/// arguments, divided by white space, say otherwise.
fn listen(place: &Place, arguments: &str) -> Command {
    let mut command = place.earmark("listen");
    if !arguments.contains("--window") {
        command.args(["--window", "1"]);
    }
    if !arguments.contains("--format") {
        command.args(["--format", "json"]);
    }
    command
        .args(["--threshold", "0.3"])
        .args(arguments.split_whitespace())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Lets `earmark listen` hear bytes from its standard input to the end.
fn hear(place: &Place, arguments: &str, bytes: &[u8]) -> (Vec<Value>, String) {
    let mut child = listen(place, arguments).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let bytes = bytes.to_vec();
    // The program may end before it has read everything.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&bytes)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let screen = place.show(&output);
    (
        json_lines(&String::from_utf8(output.stdout).unwrap()),
        screen,
    )
}

/// What an event says, without clocks and scores.
fn told(line: &Value) -> String {
    let number = |key: &str| {
        line[key]
            .as_f64()
            .map_or(String::new(), |secs| format!(" {secs:.1}"))
    };
    format!(
        "{} {}{}{}",
        line["event"].as_str().unwrap(),
        line["class"].as_str().unwrap_or("-"),
        number("start_secs"),
        number("end_secs")
    )
}

fn all_told(lines: &[Value]) -> Vec<String> {
    lines.iter().map(told).collect()
}

#[test]
fn events_begin_and_stop_once() {
    let place = Place::new();
    let sound = mono(&[(2.0, 0.0), (3.0, LOW), (3.0, 0.0), (2.0, HIGH)]);
    let (lines, screen) = hear(&place, "-", &sound);
    assert!(screen.starts_with("exit code: 0"), "{screen}");
    assert_eq!(
        all_told(&lines),
        [
            "started Low 2.0",
            "stopped Low 2.0 5.0",
            "started High, shrill 8.0",
            "stopped High, shrill 8.0 10.0"
        ]
    );
    let first = &lines[0];
    assert_eq!(
        (&first["source"], &first["model"]),
        (&"-".into(), &"tones".into())
    );
    assert!(first["time"].as_str().unwrap().ends_with('Z'));
    assert!(first["score"].as_f64().unwrap() > 0.3);
    // A pause that is held does not stop an event.
    let pause = mono(&[(2.0, LOW), (1.0, 0.0), (2.0, LOW), (4.0, 0.0)]);
    let (lines, _) = hear(&place, "- --hold 1.5", &pause);
    assert_eq!(all_told(&lines), ["started Low 0.0", "stopped Low 0.0 5.0"]);
    let (lines, _) = hear(&place, "- --hold 0", &pause);
    assert_eq!(lines.len(), 4);
    let (lines, _) = hear(&place, "- --exclude Low", &pause);
    assert_eq!(lines.len(), 0);
}

#[test]
fn people_get_lines_and_programs_get_segments() {
    let place = Place::new();
    let sound = mono(&[(1.0, 0.0), (2.0, LOW), (3.0, 0.0)]);
    let mut text = listen(&place, "- --format text");
    let mut child = text.spawn().unwrap();
    child.stdin.take().unwrap().write_all(&sound).unwrap();
    let screen = place.show(&child.wait_with_output().unwrap());
    assert!(screen.contains("00:00:01.000  + "), "{screen}");
    assert!(
        screen.contains("00:00:03.000  - ") && screen.contains("  Low  2.0 s"),
        "{screen}"
    );
    let (lines, _) = hear(&place, "- --segments --top 2", &sound);
    let segments: Vec<&Value> = lines
        .iter()
        .filter(|line| line["event"] == "segment")
        .collect();
    assert_eq!(segments.len(), 6);
    assert_eq!(segments[1]["tags"].as_array().unwrap().len(), 2);
    assert_eq!(segments[1]["tags"][0]["class"], "Low");
}

#[test]
fn raw_numbers_are_heard_as_they_are_declared() {
    let place = Place::new();
    let wav = common::wav(
        16_000,
        &[&[(2.0, LOW), (3.0, 0.0)], &[(2.0, LOW), (3.0, 0.0)]],
    );
    let arguments = "- --pcm s16le --rate 16000 --channels 2";
    let (lines, screen) = hear(&place, arguments, &wav[44..]);
    assert_eq!(
        all_told(&lines),
        ["started Low 0.0", "stopped Low 0.0 2.0"],
        "{screen}"
    );
    let (_, screen) = hear(&place, "- --pcm s16le", &[]);
    assert!(screen.contains("--rate <HZ>"), "{screen}");
    let (_, screen) = hear(&place, "- --pcm s16le --rate 12", &[]);
    assert!(
        screen.contains("--rate is 12 Hz, expected 1000 to 1000000 Hz"),
        "{screen}"
    );
}

/// A WAV header without a length, as programs write it into pipes, and samples.
fn stream(stretches: &[Stretch]) -> Vec<u8> {
    let mut wav = mono(stretches);
    wav[4..8].fill(0xff);
    wav[40..44].fill(0xff);
    wav
}

#[test]
fn a_pipe_that_dies_ends_what_goes_on() {
    let place = Place::new();
    let mut bytes = stream(&[(1.0, 0.0), (3.5, LOW)]);
    // In the middle of a sample.
    bytes.pop();
    let (lines, screen) = hear(&place, "-", &bytes);
    assert!(screen.starts_with("exit code: 0"), "{screen}");
    assert_eq!(told(&lines[0]), "started Low 1.0");
    assert_eq!(lines[1]["event"], "stopped");
    assert_eq!(lines.len(), 2);
}

/// A program that runs, and its lines as they come.
struct Running {
    child: Child,
    lines: Receiver<String>,
    notes: Receiver<String>,
}

impl Running {
    fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let lines = follow(child.stdout.take().unwrap());
        let notes = follow(child.stderr.take().unwrap());
        Self {
            child,
            lines,
            notes,
        }
    }

    /// The next event.
    fn next(&self) -> Value {
        let line = self.lines.recv_timeout(PATIENCE).unwrap();
        serde_json::from_str(&line).unwrap()
    }

    /// Waits for a note with these words.
    fn note(&self, words: &str) -> String {
        loop {
            let note = self.notes.recv_timeout(PATIENCE).unwrap();
            if note.contains(words) {
                return note;
            }
        }
    }

    /// Ctrl-C; returns the exit code.
    fn interrupt(mut self) -> Option<i32> {
        let id = self.child.id().to_string();
        Command::new("kill").args(["-INT", &id]).status().unwrap();
        self.child.wait().unwrap().code()
    }
}

fn follow(from: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (to, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            if to.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

#[cfg(unix)]
#[test]
fn a_named_pipe_is_opened_again_when_its_writer_dies() {
    let place = Place::new();
    let pipe = place.path("pipe");
    assert!(
        Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    let running = Running::start(listen(&place, "pipe"));
    for (hz, class) in [(LOW, "Low"), (HIGH, "High, shrill")] {
        std::fs::write(&pipe, stream(&[(2.0, hz), (0.5, 0.0)])).unwrap();
        let started = running.next();
        assert_eq!(
            (&started["event"], &started["class"]),
            (&"started".into(), &class.into())
        );
        assert_eq!(running.next()["event"], "stopped");
        running.note("connecting again");
    }
    assert_eq!(running.interrupt(), Some(130));
}

#[test]
fn programs_that_follow_each_other_in_one_pipe_are_all_heard() {
    let place = Place::new();
    // The first header states its length, so that the second is found behind it.
    let bytes = [mono(&[(2.0, LOW)]), mono(&[(2.0, HIGH)])].concat();
    let (lines, screen) = hear(&place, "-", &bytes);
    assert_eq!(
        all_told(&lines),
        [
            "started Low 0.0",
            "stopped Low 0.0 2.0",
            "started High, shrill 2.0",
            "stopped High, shrill 2.0 4.0"
        ],
        "{screen}"
    );
}

/// A server; `answer` is given the number of the connection and what was asked.
fn serve(answer: impl Fn(usize, String, &mut TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            let Some(request) = read_request(&stream) else {
                continue;
            };
            answer(number, request, &mut stream);
        }
    });
    format!("http://{address}/stream")
}

/// Head and body of a request.
fn read_request(stream: &TcpStream) -> Option<String> {
    let mut reader = BufReader::new(stream);
    let (mut request, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line == "\r\n" {
            break;
        }
        request.push_str(&line);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(request + "\n" + &String::from_utf8(body).ok()?)
}

fn respond(stream: &mut TcpStream, status: &str, body: &[u8]) {
    let head = format!("HTTP/1.1 {status}\r\nContent-Type: audio/wav\r\nConnection: close\r\n\r\n");
    let _ = stream
        .write_all(head.as_bytes())
        .and_then(|()| stream.write_all(body));
}

#[test]
fn a_stream_that_breaks_is_connected_again() {
    let place = Place::new();
    let url = serve(|number, _, to| match number {
        0 => respond(to, "200 OK", &stream(&[(2.0, LOW), (0.2, 0.0)])),
        1 => respond(to, "503 Service Unavailable", b"later"),
        _ => respond(to, "200 OK", &stream(&[(2.0, HIGH), (0.2, 0.0)])),
    });
    let running = Running::start(listen(&place, &url));
    assert_eq!(told(&running.next()), "started Low 0.0");
    assert_eq!(running.next()["event"], "stopped");
    running.note("the stream ended; connecting again in 0.5 s");
    running.note("503 Service Unavailable; connecting again in 1.0 s");
    let high = running.next();
    assert_eq!(
        (&high["event"], &high["class"]),
        (&"started".into(), &"High, shrill".into())
    );
    // The clock of the sound goes on where it was.
    assert!(high["start_secs"].as_f64().unwrap() > 2.0);
    assert_eq!(running.interrupt(), Some(130));
}

#[test]
fn what_is_no_stream_is_refused_at_once() {
    let place = Place::new();
    let missing = serve(|_, _, to| respond(to, "404 Not Found", b"no"));
    let (_, screen) = hear(&place, &missing, &[]);
    assert!(screen.starts_with("exit code: 2"), "{screen}");
    assert!(
        screen.contains("404 Not Found, expected a stream"),
        "{screen}"
    );
    let page = serve(|_, _, to| respond(to, "200 OK", b"<!doctype html><p>Hello, this is a page."));
    let (_, screen) = hear(&place, &page, &[]);
    assert!(
        screen.starts_with("exit code: 2") && screen.contains("expected audio"),
        "{screen}"
    );
    let (_, screen) = hear(&place, "no-such-file.wav", &[]);
    assert!(
        screen.contains("no-such-file.wav: no such file"),
        "{screen}"
    );
    let (_, screen) = hear(&place, "- --release 2", &[]);
    assert!(
        screen.contains("release is 2, must be above 0 and at most 1"),
        "{screen}"
    );
    let (_, screen) = hear(&place, "- --webhook ftp://example.org", &[]);
    assert!(
        screen.contains("expected an http:// or https:// address"),
        "{screen}"
    );
}

#[cfg(not(feature = "listen"))]
#[test]
fn a_build_without_microphone_says_how_to_get_one() {
    let place = Place::new();
    let (_, screen) = hear(&place, "", &[]);
    assert!(screen.starts_with("exit code: 2"), "{screen}");
    assert!(
        screen.contains("this build cannot listen to a microphone"),
        "{screen}"
    );
    assert!(screen.contains("--features listen"), "{screen}");
}

#[test]
fn events_are_posted_and_tried_again() {
    let place = Place::new();
    let (to, posts) = channel();
    let url = serve(move |number, request, stream| {
        let status = match number {
            0 => "500 Internal Server Error",
            _ => "204 No Content",
        };
        respond(stream, status, b"");
        to.send((status, request)).unwrap();
    });
    let arguments = format!("- --webhook {url}");
    let (lines, screen) = hear(&place, &arguments, &mono(&[(2.0, LOW), (3.0, 0.0)]));
    assert_eq!(lines.len(), 2);
    assert!(
        screen.contains("500 Internal Server Error; trying again"),
        "{screen}"
    );
    let posts: Vec<(&str, String)> = posts.try_iter().collect();
    assert_eq!(posts.len(), 3, "{posts:?}");
    let body = |at: usize| -> Value {
        let (_, request) = &posts[at];
        assert!(request.starts_with("POST /stream"), "{request}");
        serde_json::from_str(
            request
                .split("\n\n")
                .last()
                .unwrap()
                .split("\r\n\n")
                .last()
                .unwrap(),
        )
        .unwrap()
    };
    assert_eq!(
        (body(0), body(1), body(2)),
        (lines[0].clone(), lines[0].clone(), lines[1].clone())
    );
}

#[test]
fn clips_of_events_are_saved() {
    let place = Place::new();
    let sound = mono(&[(2.0, 0.0), (3.0, LOW), (4.0, 0.0)]);
    let (lines, _) = hear(&place, "- --save-clips clips", &sound);
    let clip = lines[1]["clip"].as_str().unwrap();
    assert!(
        clip.starts_with("clips/") && clip.contains("_Low_"),
        "{clip}"
    );
    let tagged = place.tag(&format!("--top 1 {clip}"));
    assert!(
        tagged.contains("3.0 s") && tagged.contains("Low"),
        "{tagged}"
    );
}

/// The most memory that a process ever had, in KiB.
#[cfg(target_os = "linux")]
fn peak_kib(id: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[cfg(target_os = "linux")]
#[test]
fn hours_are_heard_in_the_memory_of_minutes() {
    let place = Place::new();
    let arguments =
        "- --pcm s16le --rate 32000 --window 2 --save-clips clips --clips-limit 1 --segments";
    let mut child = listen(&place, arguments)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let id = child.id();
    let mut stdin = child.stdin.take().unwrap();
    let out = child.stdout.take().unwrap();
    let reader = std::thread::spawn(move || {
        BufReader::new(out)
            .lines()
            .map_while(Result::ok)
            .filter(|line| !line.contains("\"segment\""))
            .count()
    });
    // A minute: tones with pauses between them.
    let minute = mono(&[(10.0, LOW), (10.0, 0.0), (10.0, HIGH), (30.0, 0.0)]);
    let mut early = 0;
    for minute_number in 0..120 {
        stdin.write_all(&minute[44..]).unwrap();
        if minute_number == 10 {
            early = peak_kib(id);
        }
    }
    let late = peak_kib(id);
    drop(stdin);
    assert!(child.wait().unwrap().success());
    // Two events a minute, each begins and stops.
    assert_eq!(reader.join().unwrap(), 480);
    assert!(
        late < early + 4 * 1024,
        "{early} KiB after 10 minutes, {late} KiB after 2 hours"
    );
    let clips: u64 = std::fs::read_dir(place.path("clips"))
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum();
    assert!(clips <= 1 << 20, "{clips}");
}
