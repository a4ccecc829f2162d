//! `/v1/jobs`: recordings that are heard while they are uploaded.

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use earmark::audio::Source;
use serde_json::json;
use tokio::sync::mpsc;

use super::events;
use crate::app::Shared;
use crate::jobs::Work;
use crate::params::{self, HearParams, Wanted};
use crate::problem::Problem;
use crate::upload;
use crate::work::ChunkReader;

/// How many pieces of an upload wait for the work before the client does.
const PIECES: usize = 16;

pub(super) async fn create(State(app): State<Shared>, uri: Uri) -> Result<Response, Problem> {
    let params: HearParams = params::parse(&uri)?;
    let task = params.task(&app, Wanted::Progress)?;
    let ticket = app.admit()?;
    let control = app.control(app.config.session_deadline);
    let (sender, receiver) = mpsc::channel(events::CAPACITY);
    let work = Work {
        ticket,
        task,
        events: sender,
    };
    let id = app.jobs.add(control, work, receiver);
    let place = format!("/v1/jobs/{id}");
    let body = Json(json!({
        "id": id,
        "audio": format!("{place}/audio"),
        "events": format!("{place}/events"),
    }));
    Ok((StatusCode::CREATED, [(header::LOCATION, place)], body).into_response())
}

pub(super) async fn upload(
    State(app): State<Shared>,
    Path(id): Path<String>,
    request: Request,
) -> Result<StatusCode, Problem> {
    let (work, control) = taken(&id, app.jobs.take_work(&id), "uploaded to")?;
    let (chunks, pieces) = mpsc::channel(PIECES);
    let (name, idle) = (work.task.name.clone(), app.config.idle);
    let source = move |slot, control| Source::Reader {
        name,
        reader: Box::new(ChunkReader::new(pieces, slot, control, idle)),
    };
    let Work {
        ticket,
        task,
        events,
    } = work;
    let told = events::tell(app.clone(), ticket, control, task, source, events);
    tokio::spawn(told);
    upload::pump(&app, request, &chunks).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn events(
    State(app): State<Shared>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let (events, control) = taken(&id, app.jobs.take_events(&id), "listened to")?;
    Ok(events::response(events, control))
}

pub(super) async fn cancel(
    State(app): State<Shared>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    match app.jobs.cancel(&id) {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(no_job(&id)),
    }
}

/// The part of a job, unless there is no such job or another request has it.
fn taken<T>(id: &str, part: Option<Option<T>>, done: &str) -> Result<T, Problem> {
    let part = part.ok_or_else(|| no_job(id))?;
    part.ok_or_else(|| {
        let detail = format!("the job is {done} already");
        let status = StatusCode::CONFLICT;
        Problem::new(status, "taken", "The job's part is taken", detail)
    })
}

fn no_job(id: &str) -> Problem {
    Problem::not_found(format!("there is no job `{}`", id.escape_debug()))
}
