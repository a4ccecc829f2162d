//! Fetches a file whose hash is known: an address in, a verified file out, through broken
//! connections if need be.
//!
//! The bytes go into a file `….part`. When a connection breaks, the next request asks for the rest
//! with `Range`, and with `If-Range` where the server gave an entity tag, so that parts of different
//! files are never joined; a server that ignores `Range` sends everything and is read from the start.
//! Whatever way the bytes came, only the SHA-256 of the whole decides.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use fs_err::OpenOptions;
use ureq::http::Response;
use ureq::{Agent, Body, Timeout};

use crate::digest::sha256_of;
use crate::{Error, Result};

/// The most bytes that are fetched when the size is not known beforehand.
const MAX_BYTES: u64 = 1 << 31;
/// How much is read at a time.
const BLOCK: usize = 1 << 16;

/// How long to wait and how often to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DownloadOptions {
    /// The longest wait for a connection.
    pub connect_timeout: Duration,
    /// The longest wait for the next bytes of a connection.
    pub stall_timeout: Duration,
    /// How often in a row a connection may break without having brought any bytes.
    pub attempts: u32,
    /// The wait before the second attempt; doubled before each further one.
    pub pause: Duration,
}

impl Default for DownloadOptions {
    /// 15 s for a connection, 30 s for the next bytes, 4 attempts, pauses of 1, 2 and 4 s.
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(15),
            stall_timeout: Duration::from_secs(30),
            attempts: 4,
            pause: Duration::from_secs(1),
        }
    }
}

/// What a download is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Another process fetches the same file; waiting for it.
    Waiting,
    /// `done` of `total` bytes are there.
    Bytes {
        /// Bytes fetched so far, earlier runs included.
        done: u64,
        /// The length of the file, if known.
        total: Option<u64>,
    },
    /// The connection broke and is tried again.
    Retrying {
        /// What happened.
        reason: String,
    },
    /// All bytes are there; their hash is computed.
    Verifying,
    /// The file is turned into a bundle.
    Importing,
}

/// What is fetched and what it must be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'a> {
    /// The address.
    pub(crate) url: &'a str,
    /// The SHA-256 of the file in hexadecimal.
    pub(crate) sha256: &'a str,
    /// The length of the file in bytes, if known.
    pub(crate) size: Option<u64>,
}

/// Fetches a file into `part`, going on where an earlier run ended. When this returns, `part` is the
/// whole file and its hash is right.
///
/// # Errors
/// [`Error::Download`] when the server refuses, the connection breaks too often (`part` then stays
/// for the next run), or size or hash are wrong (`part` is then removed); [`Error::Io`] for `part`.
pub(crate) fn download(
    request: Request<'_>,
    part: &Path,
    options: &DownloadOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<()> {
    let mut transfer = Transfer::new(request, part, options)?;
    transfer.fetch(options, progress)?;
    progress(Progress::Verifying);
    let mut found = sha256_of(part)?;
    if !found.eq_ignore_ascii_case(request.sha256) && transfer.resumed {
        // The earlier part may have been of another file.
        transfer.restart()?;
        transfer.fetch(options, progress)?;
        progress(Progress::Verifying);
        found = sha256_of(part)?;
    }
    if found.eq_ignore_ascii_case(request.sha256) {
        return transfer.forget_tag();
    }
    transfer.restart()?;
    Err(transfer.error(format!(
        "the file's SHA-256 is {found}, expected {}; it was removed",
        request.sha256.to_ascii_lowercase()
    )))
}

/// How one connection ended.
enum End {
    /// All bytes are there.
    Complete,
    /// Worth another attempt.
    Broken(String),
    /// What is in the part file is of no use for this server.
    StartAgain,
    /// Not worth another attempt.
    Failed(Error),
}

impl From<Error> for End {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// The state of one download over several connections.
struct Transfer<'a> {
    request: Request<'a>,
    part: &'a Path,
    tag_path: PathBuf,
    agent: Agent,
    /// Bytes in the part file.
    done: u64,
    /// Whether some of them came from an earlier connection.
    resumed: bool,
}

impl<'a> Transfer<'a> {
    fn new(request: Request<'a>, part: &'a Path, options: &DownloadOptions) -> Result<Self> {
        let config = Agent::config_builder()
            .timeout_connect(Some(options.connect_timeout))
            .timeout_resolve(Some(options.connect_timeout))
            .timeout_per_read(Some(options.stall_timeout))
            .timeout_per_write(Some(options.stall_timeout))
            .http_status_as_error(false)
            .user_agent(concat!("earmark/", env!("CARGO_PKG_VERSION")))
            .build();
        let mut tag_path = part.as_os_str().to_owned();
        tag_path.push(".etag");
        let done = match fs_err::metadata(part) {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error.into()),
        };
        let mut transfer = Self {
            request,
            part,
            tag_path: tag_path.into(),
            agent: config.into(),
            done,
            resumed: done > 0,
        };
        if request.size.is_some_and(|size| done > size) {
            transfer.restart()?;
        }
        Ok(transfer)
    }

    /// Connects as often as needed until all bytes are there.
    fn fetch(
        &mut self,
        options: &DownloadOptions,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<()> {
        let (mut failures, mut restarts) = (0, 0);
        while self.request.size != Some(self.done) || self.done == 0 {
            let before = self.done;
            match self.connect(progress).unwrap_or_else(|end| end) {
                End::Complete => return Ok(()),
                End::Failed(error) => return Err(error),
                End::StartAgain => {
                    restarts += 1;
                    if restarts > 2 {
                        return Err(self.error("the server sends other parts than it is asked for"));
                    }
                    self.restart()?;
                }
                End::Broken(reason) => {
                    failures = if self.done > before { 1 } else { failures + 1 };
                    if failures >= options.attempts {
                        return Err(self.gave_up(&reason));
                    }
                    progress(Progress::Retrying { reason });
                    std::thread::sleep(options.pause * (1 << (failures - 1).min(6)));
                    self.resumed = self.done > 0;
                }
            }
        }
        Ok(())
    }

    /// One request and its answer, whichever way it ends.
    fn connect(&mut self, progress: &mut dyn FnMut(Progress)) -> Result<End, End> {
        let tag = fs_err::read_to_string(&self.tag_path).ok();
        let mut request = self
            .agent
            .get(self.request.url)
            .header("Accept-Encoding", "identity");
        if self.done > 0 {
            request = request.header("Range", format!("bytes={}-", self.done));
            if let Some(tag) = &tag {
                request = request.header("If-Range", tag);
            }
        }
        let response = request.call().map_err(|error| self.judge(&error))?;
        match response.status().as_u16() {
            200 => self.begin(&response)?,
            206 if self.done > 0 => self.check_range(&response)?,
            416 if self.done > 0 => return Err(End::StartAgain),
            status @ (408 | 425 | 429 | 500..=599) => {
                return Err(End::Broken(format!("HTTP status {status}")));
            }
            _ => {
                let status = response.status();
                return Err(self.error(format!("the server says {status}")).into());
            }
        }
        self.receive(response, progress)
    }

    /// The server sends the file from its start.
    fn begin(&mut self, response: &Response<Body>) -> Result<(), End> {
        let length = response.body().content_length();
        if let Some(found) = length {
            self.check_size(found)?;
        }
        self.restart()?;
        // A weak tag does not promise equal bytes.
        let tag = header(response, "ETag").filter(|tag| tag.starts_with('"'));
        if let Some(tag) = tag {
            fs_err::write(&self.tag_path, tag).map_err(Error::from)?;
        }
        Ok(())
    }

    /// The server sends the rest: is it the rest of what is here?
    fn check_range(&self, response: &Response<Body>) -> Result<(), End> {
        let range = header(response, "Content-Range").and_then(parse_range);
        let Some((first, total)) = range.filter(|&(first, _)| first == self.done) else {
            return Err(End::StartAgain);
        };
        debug_assert_eq!(first, self.done);
        total.map_or(Ok(()), |total| self.check_size(total))
    }

    fn check_size(&self, found: u64) -> Result<(), End> {
        match self.request.size {
            Some(expected) if expected != found => Err(self
                .error(format!(
                    "the server's file is {found} bytes long, expected {expected}"
                ))
                .into()),
            _ => Ok(()),
        }
    }

    /// Writes what comes to the part file.
    fn receive(
        &mut self,
        mut response: Response<Body>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<End, End> {
        let rest = response.body().content_length();
        let total = self.request.size.or(rest.map(|rest| self.done + rest));
        let limit = self.request.size.unwrap_or(MAX_BYTES);
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.part)
            .map_err(Error::from)?;
        let mut reader = response.body_mut().as_reader();
        let mut block = vec![0; BLOCK];
        progress(Progress::Bytes {
            done: self.done,
            total,
        });
        loop {
            let n = match reader.read(&mut block) {
                Ok(n) => n,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(self.judge(&ureq::Error::from(error))),
            };
            if n == 0 {
                break;
            }
            if self.done + n as u64 > limit {
                self.restart()?;
                let reason = format!("the server sends more than {limit} bytes");
                return Err(self.error(reason).into());
            }
            file.write_all(&block[..n]).map_err(Error::from)?;
            self.done += n as u64;
            progress(Progress::Bytes {
                done: self.done,
                total,
            });
        }
        match total {
            Some(total) if self.done < total => Err(End::Broken(self.ended_early(total))),
            _ => {
                file.sync_all().map_err(Error::from)?;
                Ok(End::Complete)
            }
        }
    }

    /// Whether an error of the connection is worth another attempt.
    fn judge(&self, error: &ureq::Error) -> End {
        match error {
            ureq::Error::Timeout(Timeout::PerRead | Timeout::PerWrite) => {
                End::Broken("the server stopped sending".to_owned())
            }
            ureq::Error::Timeout(_) => End::Broken("no connection in time".to_owned()),
            ureq::Error::HostNotFound => End::Broken("the host name is not known".to_owned()),
            ureq::Error::Io(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                End::Broken(match self.request.size {
                    Some(total) => self.ended_early(total),
                    None => "the connection ended early".to_owned(),
                })
            }
            ureq::Error::Io(_) | ureq::Error::ConnectionFailed | ureq::Error::Protocol(_) => {
                End::Broken(error.to_string())
            }
            _ => End::Failed(self.error(error.to_string())),
        }
    }

    fn ended_early(&self, total: u64) -> String {
        format!("the connection ended after {} of {total} bytes", self.done)
    }

    fn gave_up(&self, reason: &str) -> Error {
        if self.done == 0 {
            return self.error(reason);
        }
        self.error(format!(
            "{reason}; what has come is kept, the same command goes on from there"
        ))
    }

    /// Forgets what has come.
    fn restart(&mut self) -> Result<()> {
        remove_if_there(self.part)?;
        self.forget_tag()?;
        self.done = 0;
        self.resumed = false;
        Ok(())
    }

    fn forget_tag(&self) -> Result<()> {
        remove_if_there(&self.tag_path)
    }

    fn error(&self, reason: impl Into<String>) -> Error {
        Error::Download {
            url: self.request.url.to_owned(),
            reason: reason.into(),
        }
    }
}

fn header<'a>(response: &'a Response<Body>, name: &str) -> Option<&'a str> {
    response.headers().get(name)?.to_str().ok()
}

/// First byte and length of the whole, from `bytes 100-199/500` or `bytes 100-199/*`.
fn parse_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let first = range.split_once('-')?.0.trim().parse().ok()?;
    match total.trim() {
        "*" => Some((first, None)),
        total => Some((first, Some(total.parse().ok()?))),
    }
}

fn remove_if_there(path: &Path) -> Result<()> {
    match fs_err::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_servers_write_them() {
        assert_eq!(parse_range("bytes 100-199/500"), Some((100, Some(500))));
        assert_eq!(parse_range("bytes 0-0/*"), Some((0, None)));
        assert_eq!(parse_range("bytes */500"), None);
        assert_eq!(parse_range("octets 1-2/3"), None);
    }
}
