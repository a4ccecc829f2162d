//! Recordings on their way in: a request's body, or its multipart field `file`, into an unnamed file
//! in the server's private folder. An unnamed file is gone when it is closed, however the server ends.

use std::fs::File;
use std::time::Duration;

use axum::RequestExt as _;
use axum::body::{Body, Bytes};
use axum::extract::multipart::Field;
use axum::extract::{Multipart, Request};
use axum::http::{StatusCode, header};
use earmark::audio::Source;
use http_body_util::BodyExt as _;
use tokio::io::{AsyncWriteExt as _, BufWriter};
use tokio::sync::mpsc::Sender;

use crate::app::App;
use crate::problem::Problem;
use crate::work::Chunk;

/// A complete upload.
pub(crate) struct Upload {
    /// What the client calls it: the last part of a path, without control characters.
    pub(crate) name: Option<String>,
    file: File,
}

impl Upload {
    /// The recording with its name: the client's, else `given`.
    pub(crate) fn named(self, given: Option<String>) -> (String, Source) {
        let name = display_name(&self.name.clone().or(given).unwrap_or_default());
        let source = self.source(&name);
        (name, source)
    }

    /// The recording, called `name` in messages.
    pub(crate) fn source(self, name: &str) -> Source {
        Source::Seekable {
            name: name.to_owned(),
            reader: Box::new(self.file),
        }
    }
}

/// How much of a refused upload is read and dropped, and for how long.
const MAX_DRAINED: u64 = 64 << 20;
const DRAIN_TIME: Duration = Duration::from_secs(5);

/// How much of an upload is written at a time: every write is handed to another thread.
const BLOCK: usize = 1 << 17;

/// Stores a request's recording.
pub(crate) async fn spool(app: &App, request: Request) -> Result<Upload, Problem> {
    if let Err(problem) = check_length(app, &request) {
        return Err(refuse(request, problem).await);
    }
    let file = tempfile::tempfile_in(app.uploads.path()).map_err(|e| Problem::storage(&e))?;
    let mut store = Store {
        file: BufWriter::with_capacity(BLOCK, tokio::fs::File::from_std(file)),
        n_bytes: 0,
        max_bytes: app.config.limits.max_bytes,
    };
    let name = match is_multipart(&request) {
        true => Some(fields(app, request, &mut store).await?),
        false => {
            receive(app, request.into_body(), &mut store).await?;
            None
        }
    };
    if store.n_bytes == 0 {
        let detail = "the upload is empty, expected a recording";
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return Err(Problem::new(
            status,
            "not-audio",
            "The upload is not audio",
            detail,
        ));
    }
    store.file.flush().await.map_err(|e| Problem::storage(&e))?;
    Ok(Upload {
        name,
        file: store.file.into_inner().into_std().await,
    })
}

/// Hands a request's body to a job as it comes. An error says that the job has ended before it.
pub(crate) async fn pump(app: &App, request: Request, to: &Sender<Chunk>) -> Result<(), Problem> {
    check_length(app, &request)?;
    let mut pipe = Pipe(to);
    receive(app, request.into_body(), &mut pipe).await?;
    to.send(Chunk::End).await.map_err(|_| job_has_ended())
}

fn job_has_ended() -> Problem {
    let detail = "the job has ended before the upload; its events say why";
    Problem::new(StatusCode::CONFLICT, "ended", "The job has ended", detail)
}

fn check_length(app: &App, request: &Request) -> Result<(), Problem> {
    let stated = request.headers().get(header::CONTENT_LENGTH);
    let stated: Option<u64> = stated.and_then(|length| length.to_str().ok()?.parse().ok());
    let max_bytes = app.config.limits.max_bytes;
    // A multipart body has some lines around the file.
    match stated.filter(|&stated| stated > max_bytes.saturating_add(1 << 20)) {
        Some(_) => Err(Problem::too_large(max_bytes)),
        None => Ok(()),
    }
}

fn is_multipart(request: &Request) -> bool {
    let content_type = request.headers().get(header::CONTENT_TYPE);
    content_type
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.to_ascii_lowercase().starts_with("multipart/"))
}

/// Takes the pieces of an upload.
trait Take: Send {
    fn take(&mut self, piece: Bytes) -> impl Future<Output = Result<(), Problem>> + Send;
}

/// Into a file.
struct Store {
    file: BufWriter<tokio::fs::File>,
    n_bytes: u64,
    max_bytes: u64,
}

impl Take for Store {
    async fn take(&mut self, piece: Bytes) -> Result<(), Problem> {
        self.n_bytes += piece.len() as u64;
        if self.n_bytes > self.max_bytes {
            return Err(Problem::too_large(self.max_bytes));
        }
        let written = self.file.write_all(&piece).await;
        written.map_err(|error| Problem::storage(&error))
    }
}

/// To a job.
struct Pipe<'s>(&'s Sender<Chunk>);

impl Take for Pipe<'_> {
    async fn take(&mut self, piece: Bytes) -> Result<(), Problem> {
        let sent = self.0.send(Chunk::Data(piece)).await;
        sent.map_err(|_| job_has_ended())
    }
}

/// Gives the pieces of an upload.
trait Pieces: Send {
    /// The next bytes; `None` at the end.
    fn next(&mut self) -> impl Future<Output = Result<Option<Bytes>, Problem>> + Send;
}

impl Pieces for Body {
    async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        while let Some(frame) = self.frame().await {
            let frame = frame.map_err(|error| Problem::upload(error.to_string()))?;
            if let Ok(data) = frame.into_data() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }
}

impl Pieces for Field<'_> {
    async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        let piece = self.chunk().await;
        piece.map_err(|error| Problem::upload(error.body_text()))
    }
}

/// Hands on what comes. What is refused is read and dropped for a while, so that the client comes to
/// read the answer.
async fn receive(app: &App, mut from: impl Pieces, to: &mut impl Take) -> Result<(), Problem> {
    while let Some(piece) = in_time(app, from.next()).await?? {
        if let Err(problem) = to.take(piece).await {
            // Whoever is still sending after that has had the chance to stop.
            let _ = tokio::time::timeout(DRAIN_TIME, drop_all(&mut from)).await;
            return Err(problem);
        }
    }
    Ok(())
}

/// Refuses an upload before any of it is stored; drops it for a while, as [`receive`] does.
pub(crate) async fn refuse(request: Request, problem: Problem) -> Problem {
    let mut body = request.into_body();
    // A client that goes on for longer sees its connection closed.
    let _ = tokio::time::timeout(DRAIN_TIME, drop_all(&mut body)).await;
    problem
}

async fn drop_all(from: &mut impl Pieces) {
    let mut n_bytes = 0;
    while let Ok(Some(piece)) = from.next().await {
        n_bytes += piece.len() as u64;
        if n_bytes > MAX_DRAINED {
            return;
        }
    }
}

/// The field `file` of a multipart body; returns its file name.
async fn fields(app: &App, request: Request, to: &mut impl Take) -> Result<String, Problem> {
    let bad = |detail: String| {
        let status = StatusCode::BAD_REQUEST;
        Problem::new(status, "multipart", "The multipart body is wrong", detail)
    };
    let mut multipart: Multipart = request
        .extract()
        .await
        .map_err(|error: axum::extract::multipart::MultipartRejection| bad(error.body_text()))?;
    let mut name = None;
    while let Some(field) = in_time(app, multipart.next_field())
        .await?
        .map_err(|error| bad(error.body_text()))?
    {
        match (field.name(), &name) {
            (Some("file"), None) => {
                name = Some(display_name(field.file_name().unwrap_or_default()));
                receive(app, field, to).await?;
            }
            (Some("file"), Some(_)) => {
                return Err(bad("there is a second field `file`, expected one".into()));
            }
            (other, _) => {
                let found = other.unwrap_or_default().escape_debug().to_string();
                return Err(bad(format!("found the field `{found}`, expected `file`")));
            }
        }
    }
    name.ok_or_else(|| bad("there is no field `file`".into()))
}

/// Fails when the client sends nothing for too long.
async fn in_time<F: Future>(app: &App, future: F) -> Result<F::Output, Problem> {
    let idle = app.config.idle;
    tokio::time::timeout(idle, future)
        .await
        .map_err(|_| Problem::upload(format!("nothing came for {} s", idle.as_secs_f32())))
}

/// A name that a client gives a recording, as messages and results show it: never a path, never
/// used as one.
pub(crate) fn display_name(given: &str) -> String {
    let last = given.rsplit(['/', '\\']).next().unwrap_or_default();
    let mut name: String = last.chars().filter(|c| !c.is_control()).take(255).collect();
    if name.trim().is_empty() || name == "." || name == ".." {
        name = "recording".to_owned();
    }
    name
}

#[cfg(test)]
mod tests {
    use super::display_name;

    #[test]
    fn names_are_no_paths() {
        assert_eq!(display_name("../../etc/passwd"), "passwd");
        assert_eq!(display_name(r"C:\sounds\dog.wav"), "dog.wav");
        assert_eq!(display_name(".."), "recording");
        assert_eq!(display_name("a\r\nb\0.wav"), "ab.wav");
        assert_eq!(display_name(""), "recording");
        assert_eq!(display_name("<b>é</b>.wav"), "b>.wav");
        assert_eq!(
            display_name("<img src=x onerror=1>.wav"),
            "<img src=x onerror=1>.wav"
        );
    }
}
