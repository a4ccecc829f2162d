//! `POST /v1/tag` and `POST /v1/embed`: a recording in, rows out.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use earmark::hear::Event;
use tokio::sync::mpsc;

use super::events;
use crate::app::{App, Shared};
use crate::params::{self, HearParams, Wanted};
use crate::problem::Problem;
use crate::upload;
use crate::work::{Control, Failure, Slot, Stopped, Ticket, hear};

/// How rows are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// One object, or an array.
    Json,
    /// An object per line, as the command line writes them.
    Lines,
    /// Server-sent events, as they come.
    Events,
}

impl Form {
    fn wanted(headers: &HeaderMap) -> Self {
        let accept = headers.get(header::ACCEPT).and_then(|v| v.to_str().ok());
        let accept = accept.unwrap_or_default();
        if accept.contains("text/event-stream") {
            Self::Events
        } else if accept.contains("application/x-ndjson") {
            Self::Lines
        } else {
            Self::Json
        }
    }
}

pub(super) async fn tag(State(app): State<Shared>, request: Request) -> Result<Response, Problem> {
    let form = Form::wanted(request.headers());
    let wanted = match form {
        Form::Events => Wanted::Progress,
        Form::Json | Form::Lines => Wanted::Rows,
    };
    answer(app, request, wanted, form).await
}

pub(super) async fn embed(
    State(app): State<Shared>,
    request: Request,
) -> Result<Response, Problem> {
    let form = match Form::wanted(request.headers()) {
        Form::Lines => Form::Lines,
        Form::Json | Form::Events => Form::Json,
    };
    answer(app, request, Wanted::Embeddings, form).await
}

async fn answer(
    app: Shared,
    request: Request,
    wanted: Wanted,
    form: Form,
) -> Result<Response, Problem> {
    let prepared = params::parse(request.uri()).and_then(|params: HearParams| {
        let task = params.task(&app, wanted)?;
        app.check_room()?;
        Ok((params, task))
    });
    let (params, mut task) = match prepared {
        Ok(prepared) => prepared,
        Err(problem) => return Err(upload::refuse(request, problem).await),
    };
    let upload = upload::spool(&app, request).await?;
    if let Some(name) = &upload.name {
        task.name.clone_from(name);
    }
    let source = upload.source(&task.name);
    let ticket = app.admit()?;
    let control = app.control(app.config.deadline);
    if form == Form::Events {
        let (sender, receiver) = mpsc::channel(events::CAPACITY);
        let response = events::response(receiver, control.clone());
        let work = events::tell(app, ticket, control, task, |_, _| source, sender);
        tokio::spawn(work);
        return Ok(response);
    }
    let rows = work(&app, ticket, &control, {
        let (metrics, control) = (Arc::clone(&app.metrics), control.clone());
        move |slot| {
            let mut rows = Vec::new();
            let mut sink = |event| {
                if let Event::Segment(row) | Event::Clip(row) = event {
                    rows.push(row);
                }
                Ok(())
            };
            hear(&task, source, &slot, &control, &metrics, &mut sink)?;
            Ok(rows)
        }
    })
    .await?;
    Ok(rows_response(&rows, form, params.is_one_row()))
}

/// Does some work when its turn has come; stops it when this future is dropped.
pub(crate) async fn work<T: Send + 'static>(
    app: &App,
    ticket: Ticket,
    control: &Control,
    job: impl FnOnce(Arc<Slot>) -> Result<T, Failure> + Send + 'static,
) -> Result<T, Problem> {
    let _stop_when_dropped = control.guard();
    let started = Instant::now();
    let slot = match ticket.slot(control).await {
        Ok(slot) => Arc::new(slot),
        // It has waited in vain: the server has more to do than it can.
        Err(Stopped::Deadline) => {
            let detail = "no worker was free before the deadline";
            return Err(Problem::busy(detail, app.gate.retry_after()));
        }
        Err(Stopped::Cancelled) => return Err(app.stopping()),
    };
    let done = tokio::task::spawn_blocking(move || job(slot)).await;
    app.metrics.worked(started.elapsed().as_secs_f64());
    match done {
        Ok(Ok(result)) => Ok(result),
        Ok(Err(failure)) => Err(app.problem(failure, app.config.deadline)),
        Err(_) => Err(Problem::internal("the work ended with a panic")),
    }
}

fn rows_response(rows: &[String], form: Form, one: bool) -> Response {
    let (content_type, body) = match (form, one) {
        (Form::Json | Form::Events, false) => {
            ("application/json", format!("[{}]\n", rows.join(",\n")))
        }
        (Form::Json | Form::Events, true) => ("application/json", lines(rows)),
        (Form::Lines, _) => ("application/x-ndjson", lines(rows)),
    };
    let content_type = HeaderValue::from_static(content_type);
    ([(header::CONTENT_TYPE, content_type)], body).into_response()
}

fn lines(rows: &[String]) -> String {
    rows.iter().flat_map(|row| [row.as_str(), "\n"]).collect()
}
