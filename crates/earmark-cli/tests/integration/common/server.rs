//! `earmark serve` as a process, and a client that can misbehave.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::time::Duration;

use super::Place;

/// A running server; it is killed when the test ends.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: String,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Server {
    /// `earmark serve --model tones.onnx --runtime rust --port 0` with more arguments, its uploads in
    /// the folder `uploads`.
    pub(crate) fn start(place: &Place, arguments: &str) -> Self {
        std::fs::create_dir_all(place.path("uploads")).unwrap();
        let child = place
            .earmark("serve")
            .args(["--port", "0", "--temp-dir", "uploads"])
            .args(arguments.split_whitespace())
            .env_remove("EARMARK_API_KEY")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self::of(child)
    }

    /// A server that says on standard output where it listens.
    pub(crate) fn of(mut child: Child) -> Self {
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        let address = line.trim().trim_end_matches("/review");
        let address = address.strip_prefix("http://").expect(&line).to_owned();
        Self { child, address }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        // A server that does not answer fails the test instead of stopping it.
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        stream
    }

    /// Sends a request whole and reads the answer.
    pub(crate) fn send(&self, method: &str, path: &str, headers: &[&str], body: &[u8]) -> Answer {
        let mut stream = self.connect();
        let head = self.head(method, path, headers, body.len());
        stream.write_all(head.as_bytes()).unwrap();
        // The server may answer and close before it has everything.
        let _ = stream.write_all(body);
        Answer::read(stream)
    }

    /// The head of a request with a body of so many bytes.
    pub(crate) fn head(&self, method: &str, path: &str, headers: &[&str], length: usize) -> String {
        let mut head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
        if !headers.iter().any(|header| header.starts_with("Host:")) {
            head += &format!("Host: {}\r\n", self.address);
        }
        for header in headers {
            head += &format!("{header}\r\n");
        }
        head + &format!("Content-Length: {length}\r\n\r\n")
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], &[])
    }

    pub(crate) fn post(&self, path: &str, body: &[u8]) -> Answer {
        self.send("POST", path, &[], body)
    }

    /// Sends `body` as the multipart field `file` called `name`.
    pub(crate) fn upload(&self, path: &str, name: &str, body: &[u8]) -> Answer {
        let mut form = format!(
            "--limit\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
             Content-Type: audio/wav\r\n\r\n"
        )
        .into_bytes();
        form.extend_from_slice(body);
        form.extend_from_slice(b"\r\n--limit--\r\n");
        let content_type = "Content-Type: multipart/form-data; boundary=limit";
        self.send("POST", path, &[content_type], &form)
    }

    /// The value of a line of `/metrics`.
    pub(crate) fn metric(&self, line: &str) -> f64 {
        let text = self.get("/metrics").text();
        let found = text.lines().find_map(|l| l.strip_prefix(line));
        found.map_or(0.0, |value| value.trim().parse().unwrap())
    }

    /// Sends SIGTERM.
    #[cfg(unix)]
    pub(crate) fn terminate(&self) {
        let pid = self.child.id().to_string();
        let mut kill = std::process::Command::new("kill");
        assert!(kill.args(["-TERM", &pid]).status().unwrap().success());
    }

    /// Waits for the end and gives the exit code.
    pub(crate) fn wait(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Answer {
    /// Reads until the server closes.
    pub(crate) fn read(mut stream: TcpStream) -> Self {
        let mut bytes = Vec::new();
        // A connection that is reset after the answer has brought the answer.
        let _ = stream.read_to_end(&mut bytes);
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("no head in {:?}", String::from_utf8_lossy(&bytes)));
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let mut body = bytes[end + 4..].to_vec();
        let mut answer = Self {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            head,
            body: Vec::new(),
        };
        if answer.header("transfer-encoding") == Some("chunked") {
            body = unchunked(&body);
        }
        answer.body = body;
        answer
    }

    /// A header's value, its name in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The problem's code, after a look at its form.
    pub(crate) fn problem(&self) -> (u16, String) {
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json")
        );
        let problem = self.json();
        assert_eq!(problem["status"], self.status);
        (self.status, problem["code"].as_str().unwrap().to_owned())
    }

    /// Server-sent events: names and data.
    pub(crate) fn events(&self) -> Vec<(String, serde_json::Value)> {
        let text = self.text();
        let blocks = text.split("\n\n").filter(|block| block.contains("event:"));
        blocks
            .map(|block| {
                let field = |key: &str| {
                    let line = block.lines().find_map(|line| line.strip_prefix(key));
                    line.unwrap().trim().to_owned()
                };
                let data = serde_json::from_str(&field("data:")).unwrap();
                (field("event:"), data)
            })
            .collect()
    }
}

fn unchunked(mut bytes: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let Some(end) = bytes.windows(2).position(|two| two == b"\r\n") else {
            return body;
        };
        let size = std::str::from_utf8(&bytes[..end]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 || bytes.len() < end + 2 + size {
            return body;
        }
        body.extend_from_slice(&bytes[end + 2..end + 2 + size]);
        bytes = &bytes[(end + 4 + size).min(bytes.len())..];
    }
}
