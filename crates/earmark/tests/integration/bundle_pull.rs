//! Models are fetched by name over any kind of bad line, verified, and used offline afterwards.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use crate::support;
use crate::support::http::{Request, Server, head, serve, serve_until};
use earmark::Error;
use earmark::bundle::{
    Bundle, Cache, CacheState, DownloadOptions, FileFormat, Licence, Progress, RegistryEntry,
};
use tempfile::TempDir;

const TAG: &str = "\"first\"";

struct Setup {
    body: Vec<u8>,
    folder: TempDir,
    server: Server,
}

impl Setup {
    /// A server that answers with the function, which is also given the bundle's bytes.
    fn new(answer: impl Fn(usize, &Request, &mut TcpStream, &[u8]) + Send + 'static) -> Self {
        let body = support::bundles::small_bundle().bytes().to_vec();
        let served = body.clone();
        Self {
            body,
            folder: TempDir::new().unwrap(),
            server: Server::start(move |number, request, stream| {
                answer(number, request, stream, &served);
            }),
        }
    }

    fn entry(&self) -> RegistryEntry {
        RegistryEntry {
            name: "small".to_owned(),
            description: "a small bundle".to_owned(),
            url: self.server.url("/small.onnx"),
            sha256: Some(support::bundles::sha256(&self.body)),
            size: Some(self.body.len() as u64),
            format: FileFormat::Bundle,
            source: None,
            licence: Licence {
                spdx: "CC0-1.0".to_owned(),
                attribution: Vec::new(),
            },
            metrics: Default::default(),
        }
    }

    fn cache(&self) -> Cache {
        Cache::at(self.folder.path().join("cache"))
    }

    fn pull(&self, entry: &RegistryEntry) -> Result<PathBuf, Error> {
        self.cache().pull(entry, &impatient(), &mut |_| {})
    }

    fn failure(&self, entry: &RegistryEntry) -> String {
        self.pull(entry).unwrap_err().to_string()
    }

    /// Names in `downloads` but for locks.
    fn downloads(&self) -> Vec<String> {
        names(&self.cache().folder().join("downloads"))
    }
}

fn names(folder: &Path) -> Vec<String> {
    let Ok(items) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let names = items.map(|item| item.unwrap().file_name().into_string().unwrap());
    names.filter(|name| !name.ends_with(".lock")).collect()
}

fn impatient() -> DownloadOptions {
    DownloadOptions {
        connect_timeout: Duration::from_secs(5),
        stall_timeout: Duration::from_millis(300),
        attempts: 2,
        pause: Duration::from_millis(1),
    }
}

#[test]
fn a_model_is_fetched_once_and_used_offline_afterwards() {
    let setup = Setup::new(|_, request, stream, body| serve(request, stream, body, TAG));
    let entry = setup.entry();
    assert_eq!(setup.cache().state(&entry), CacheState::Absent);
    let path = setup.pull(&entry).unwrap();
    assert_eq!(Bundle::open(&path).unwrap().metadata().name, "small");
    assert_eq!(
        setup.cache().state(&entry),
        CacheState::Ready { path: path.clone() }
    );
    assert_eq!(setup.pull(&entry).unwrap(), path);
    assert_eq!(setup.server.requests().len(), 1);
    assert!(setup.downloads().is_empty(), "{:?}", setup.downloads());
}

#[test]
fn a_broken_connection_is_resumed_where_it_broke() {
    let setup = Setup::new(|number, request, stream, body| match number {
        0 => serve_until(request, stream, body, TAG, 100_000),
        _ => serve(request, stream, body, TAG),
    });
    let mut told = Vec::new();
    let path = setup
        .cache()
        .pull(&setup.entry(), &impatient(), &mut |progress| {
            told.push(progress);
        })
        .unwrap();
    assert_eq!(std::fs::read(path).unwrap(), setup.body);
    let requests = setup.server.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[0].header("range"), None);
    let rest = requests[1].first_byte();
    assert!(rest > 0 && rest <= 100_000, "resumed at {rest}");
    assert_eq!(requests[1].header("if-range"), Some(TAG));
    assert!(
        told.iter()
            .any(|progress| matches!(progress, Progress::Retrying { .. }))
    );
    let total = Some(setup.body.len() as u64);
    assert!(told.contains(&Progress::Bytes {
        done: setup.body.len() as u64,
        total
    }));
}

#[test]
fn what_has_come_is_kept_for_the_next_run() {
    let setup = Setup::new(|number, request, stream, body| match number {
        0 => serve_until(request, stream, body, TAG, 50_000),
        1 | 2 => head(stream, "503 Service Unavailable", &[]),
        _ => serve(request, stream, body, TAG),
    });
    let message = setup.failure(&setup.entry());
    assert!(
        message.contains("HTTP status 503; what has come is kept"),
        "{message}"
    );
    let CacheState::Partial { bytes } = setup.cache().state(&setup.entry()) else {
        panic!("nothing was kept");
    };
    assert!(bytes > 0 && bytes <= 50_000);
    setup.pull(&setup.entry()).unwrap();
    assert_eq!(setup.server.requests()[3].first_byte() as u64, bytes);
}

#[test]
fn a_server_that_ignores_ranges_is_read_from_the_start() {
    let setup = Setup::new(|number, _, stream, body| {
        head(
            stream,
            "200 OK",
            &[("Content-Length", body.len().to_string())],
        );
        let end = if number == 0 { 70_000 } else { body.len() };
        let _ = std::io::Write::write_all(stream, &body[..end]);
    });
    let path = setup.pull(&setup.entry()).unwrap();
    assert_eq!(std::fs::read(path).unwrap(), setup.body);
    assert_eq!(setup.server.requests().len(), 2);
}

#[test]
fn parts_of_different_files_are_never_joined() {
    // The file changes between the connections; the server honours `If-Range` and sends it anew.
    let setup = Setup::new(|number, request, stream, body| match number {
        0 => serve_until(request, stream, &vec![7; body.len()], "\"old\"", 70_000),
        _ => serve(request, stream, body, TAG),
    });
    let path = setup.pull(&setup.entry()).unwrap();
    assert_eq!(std::fs::read(path).unwrap(), setup.body);

    // Without entity tags the hash of the whole finds it out, and all is fetched again.
    let setup = Setup::new(|number, request, stream, body| {
        let (old, length) = (vec![7; 70_000], body.len().to_string());
        match number {
            0 => {
                head(stream, "200 OK", &[("Content-Length", length)]);
                let _ = std::io::Write::write_all(stream, &old);
            }
            _ => serve(request, stream, body, ""),
        }
    });
    let path = setup.pull(&setup.entry()).unwrap();
    assert_eq!(std::fs::read(path).unwrap(), setup.body);
    assert_eq!(setup.server.requests().len(), 3);
}

#[test]
fn a_server_that_sends_another_part_is_not_believed() {
    let setup = Setup::new(|number, request, stream, body| match number {
        0 => serve_until(request, stream, body, TAG, 70_000),
        1 => {
            let range = format!("bytes 5-{}/{}", body.len() - 1, body.len());
            let length = (body.len() - 5).to_string();
            head(
                stream,
                "206 Partial Content",
                &[("Content-Range", range), ("Content-Length", length)],
            );
            let _ = std::io::Write::write_all(stream, &body[5..]);
        }
        _ => serve(request, stream, body, TAG),
    });
    let path = setup.pull(&setup.entry()).unwrap();
    assert_eq!(std::fs::read(path).unwrap(), setup.body);
    assert_eq!(setup.server.requests()[2].header("range"), None);
}

#[test]
fn a_wrong_hash_is_refused_and_the_file_removed() {
    let setup = Setup::new(|_, request, stream, body| serve(request, stream, body, TAG));
    let mut entry = setup.entry();
    entry.sha256 = Some("0".repeat(64));
    let message = setup.failure(&entry);
    let found = support::bundles::sha256(&setup.body);
    let expected = "0".repeat(64);
    assert!(
        message.ends_with(&format!(
            "the file's SHA-256 is {found}, expected {expected}; it was removed"
        )),
        "{message}"
    );
    assert!(setup.downloads().is_empty());
    assert!(names(&setup.cache().folder().join("models")).is_empty());
    assert_eq!(setup.cache().state(&entry), CacheState::Absent);
}

#[test]
fn a_file_of_another_size_is_refused_before_it_is_fetched() {
    let setup = Setup::new(|_, request, stream, body| serve(request, stream, body, TAG));
    let mut entry = setup.entry();
    entry.size = Some(1000);
    let message = setup.failure(&entry);
    let found = setup.body.len();
    assert!(
        message.ends_with(&format!(
            "the server's file is {found} bytes long, expected 1000"
        )),
        "{message}"
    );
    assert!(setup.downloads().is_empty());
}

#[test]
fn a_server_that_never_ends_is_cut_off() {
    let setup = Setup::new(|_, _, stream, _| {
        head(stream, "200 OK", &[]);
        while std::io::Write::write_all(stream, &[7; 4096]).is_ok() {}
    });
    let message = setup.failure(&setup.entry());
    assert!(message.contains("the server sends more than"), "{message}");
    assert!(setup.downloads().is_empty());
}

#[test]
fn redirects_are_followed_and_keep_the_range() {
    let setup = Setup::new(|number, request, stream, body| {
        if request.path == "/small.onnx" {
            let to = "/elsewhere/file".to_owned();
            return head(
                stream,
                "302 Found",
                &[("Location", to), ("Content-Length", "0".to_owned())],
            );
        }
        let end = if number == 1 { 70_000 } else { body.len() };
        serve_until(request, stream, body, TAG, end);
    });
    let path = setup.pull(&setup.entry()).unwrap();
    assert_eq!(std::fs::read(path).unwrap(), setup.body);
    let requests = setup.server.requests();
    let paths: Vec<&str> = requests
        .iter()
        .map(|request| request.path.as_str())
        .collect();
    assert_eq!(
        paths,
        [
            "/small.onnx",
            "/elsewhere/file",
            "/small.onnx",
            "/elsewhere/file"
        ]
    );
    assert!(requests[3].first_byte() > 0);
}

#[test]
fn a_missing_file_is_said_at_once() {
    let setup = Setup::new(|_, _, stream, _| {
        head(
            stream,
            "404 Not Found",
            &[("Content-Length", "0".to_owned())],
        );
    });
    let message = setup.failure(&setup.entry());
    assert!(
        message.ends_with("/small.onnx: the server says 404 Not Found"),
        "{message}"
    );
    assert_eq!(setup.server.requests().len(), 1);
}

#[test]
fn a_connection_that_goes_silent_is_given_up() {
    // The server holds the connection open until the test is over.
    let (over, wait) = mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let setup = Setup::new(move |_, request, stream, body| {
        serve_until(request, stream, body, TAG, 70_000);
        let _ = wait.lock().unwrap().recv_timeout(Duration::from_secs(1));
    });
    let mut options = impatient();
    options.attempts = 1;
    let error = setup
        .cache()
        .pull(&setup.entry(), &options, &mut |_| {})
        .unwrap_err();
    drop(over);
    let message = error.to_string();
    assert!(
        message.contains("the server stopped sending; what has come is kept"),
        "{message}"
    );
}

#[test]
fn nobody_at_the_address_is_an_error_that_names_it() {
    let setup = Setup::new(|_, _, _, _| {});
    let mut entry = setup.entry();
    // A port that was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    entry.url = format!("http://{free}/small.onnx");
    assert!(setup.failure(&entry).starts_with(&entry.url));
}

#[test]
fn two_pulls_at_once_fetch_once() {
    let setup = Setup::new(|_, request, stream, body| serve(request, stream, body, TAG));
    let entry = setup.entry();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| setup.pull(&entry).unwrap());
        }
    });
    assert_eq!(setup.server.requests().len(), 1);
}

#[test]
fn a_damaged_bundle_in_the_cache_is_fetched_again() {
    let setup = Setup::new(|_, request, stream, body| serve(request, stream, body, TAG));
    let path = setup.pull(&setup.entry()).unwrap();
    let mut damaged = setup.body.clone();
    damaged[5000] ^= 1;
    std::fs::write(&path, &damaged).unwrap();
    assert_eq!(setup.pull(&setup.entry()).unwrap(), path);
    assert_eq!(std::fs::read(&path).unwrap(), setup.body);
    assert_eq!(setup.server.requests().len(), 2);
}

#[test]
fn without_a_hash_nothing_is_fetched() {
    let setup = Setup::new(|_, request, stream, body| serve(request, stream, body, TAG));
    let mut entry = setup.entry();
    let hash = entry.sha256.take();
    let error = setup.pull(&entry).unwrap_err();
    assert!(error.to_string().contains("no SHA-256 for `small`"));
    let hint = error.hint().unwrap();
    assert!(
        hint.contains("earmark bundle pull small --sha256 HEX"),
        "{hint}"
    );
    assert!(setup.server.requests().is_empty());

    // Fetched under a hash of the user's, it is found under its name alone.
    let given = RegistryEntry {
        sha256: hash,
        ..entry.clone()
    };
    let path = setup.pull(&given).unwrap();
    assert_eq!(setup.cache().find(&entry), Some(path));
}

#[test]
fn a_file_that_is_no_bundle_is_refused_though_its_hash_is_right() {
    let setup = Setup::new(|_, request, stream, _| serve(request, stream, b"hello", TAG));
    let entry = RegistryEntry {
        sha256: Some(support::bundles::sha256(b"hello")),
        size: None,
        ..setup.entry()
    };
    let message = setup.failure(&entry);
    assert!(
        message.contains("a text file, expected a bundle"),
        "{message}"
    );
    assert!(names(&setup.cache().folder().join("models")).is_empty());
}
