//! A web server for tests that misbehaves on command: each connection is one request, answered by a
//! function, and every request is kept.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// One request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) path: String,
    headers: Vec<(String, String)>,
}

impl Request {
    /// The value of a header, its name in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The first byte that `Range` asks for, 0 without one.
    pub(crate) fn first_byte(&self) -> usize {
        let range = self
            .header("range")
            .and_then(|range| range.strip_prefix("bytes="));
        range.map_or(0, |range| {
            range.trim_end_matches('-').parse().expect("a range")
        })
    }
}

/// A running server; it stops taking connections when the process ends.
pub(crate) struct Server {
    address: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// Starts a server. `answer` is given the number of the request, counted from 0, the request, and
    /// the connection, which is closed when it returns.
    pub(crate) fn start(answer: impl Fn(usize, &Request, &mut TcpStream) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound above").to_string();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = requests.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.expect("a connection");
                let Some(request) = read(&stream) else {
                    continue;
                };
                let number = {
                    let mut seen = seen.lock().expect("no test panics while it holds this");
                    seen.push(request.clone());
                    seen.len() - 1
                };
                answer(number, &request, &mut stream);
            }
        });
        Self { address, requests }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests
            .lock()
            .expect("no test panics while it holds this")
            .clone()
    }
}

fn read(stream: &TcpStream) -> Option<Request> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next()?.ok()?;
    let path = first.split(' ').nth(1)?.to_owned();
    let mut headers = Vec::new();
    for line in lines {
        let line = line.ok()?;
        let Some((key, value)) = line.split_once(':') else {
            break;
        };
        headers.push((key.to_ascii_lowercase(), value.trim().to_owned()));
    }
    Some(Request { path, headers })
}

/// Writes an answer's head. The client may be gone already, which is its own affair.
pub(crate) fn head(stream: &mut TcpStream, status: &str, headers: &[(&str, String)]) {
    let mut text = format!("HTTP/1.1 {status}\r\nConnection: close\r\n");
    for (key, value) in headers {
        text += &format!("{key}: {value}\r\n");
    }
    let _ = stream.write_all((text + "\r\n").as_bytes());
}

/// Sends the part of `body` that was asked for, as a good server does.
pub(crate) fn serve(request: &Request, stream: &mut TcpStream, body: &[u8], tag: &str) {
    serve_until(request, stream, body, tag, body.len());
}

/// Like [`serve`], but the connection ends before byte `end` of the body.
pub(crate) fn serve_until(
    request: &Request,
    stream: &mut TcpStream,
    body: &[u8],
    tag: &str,
    end: usize,
) {
    let same = request
        .header("if-range")
        .is_none_or(|wanted| wanted == tag);
    let first = if same { request.first_byte() } else { 0 };
    let mut headers = vec![
        ("ETag", tag.to_owned()),
        ("Content-Length", (body.len() - first).to_string()),
    ];
    let status = if first == 0 {
        "200 OK"
    } else {
        let range = format!("bytes {first}-{}/{}", body.len() - 1, body.len());
        headers.push(("Content-Range", range));
        "206 Partial Content"
    };
    head(stream, status, &headers);
    let _ = stream.write_all(&body[first..end.max(first)]);
}
