//! Work that is told as it goes, as server-sent events: `opened`, `picture`, `segment`, `progress`,
//! `clip`, and at the end `done` or `problem`.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::{self, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use earmark::audio::Source;
use earmark::hear::{Event, Heard, Task};
use futures_util::stream;
use serde_json::json;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Receiver, Sender};

use super::tag;
use crate::app::Shared;
use crate::problem::Problem;
use crate::work::{Control, Slot, Stopped, Ticket, hear};

/// How many events wait for a slow client before the work does.
pub(super) const CAPACITY: usize = 64;

/// What a client is told.
#[derive(Debug)]
pub(crate) enum Told {
    /// On the way.
    Event(Event),
    /// All is heard.
    Done(Heard),
    /// It went wrong.
    Problem(Problem),
}

/// Hears a recording when its turn has come and tells `sender` what happens.
pub(super) async fn tell(
    app: Shared,
    ticket: Ticket,
    control: Control,
    task: Task,
    source: impl FnOnce(Arc<Slot>, Control) -> Source + Send + 'static,
    sender: Sender<Told>,
) {
    let job = {
        let (metrics, control) = (Arc::clone(&app.metrics), control.clone());
        let sender = sender.clone();
        move |slot: Arc<Slot>| {
            let source = source(Arc::clone(&slot), control.clone());
            let mut sink = |event| send(&sender, Told::Event(event), &slot, &control);
            hear(&task, source, &slot, &control, &metrics, &mut sink)
        }
    };
    let last = match tag::work(&app, ticket, &control, job).await {
        Ok(heard) => Told::Done(heard),
        Err(problem) => {
            app.metrics.rejected(problem.code);
            Told::Problem(problem)
        }
    };
    // Nobody listens any more: then nobody has to be told.
    let _ = sender.send(last).await;
}

/// Sends an event; gives the slot away while the client does not take it.
fn send(sender: &Sender<Told>, told: Told, slot: &Slot, control: &Control) -> Result<(), Stopped> {
    match sender.try_send(told) {
        Ok(()) => Ok(()),
        Err(TrySendError::Closed(_)) => Err(Stopped::Cancelled),
        Err(TrySendError::Full(told)) => slot.wait(async {
            tokio::select! {
                sent = sender.send(told) => sent.map_err(|_| Stopped::Cancelled),
                stopped = control.stopped() => Err(stopped),
            }
        }),
    }
}

/// The events as a response; the work is stopped when the client leaves.
pub(super) fn response(receiver: Receiver<Told>, control: Control) -> Response {
    let events = stream::unfold((receiver, control.guard()), |(mut receiver, guard)| async {
        let event = event(receiver.recv().await?);
        Some((Ok::<_, Infallible>(event), (receiver, guard)))
    });
    Sse::new(events)
        .keep_alive(KeepAlive::new().interval(Duration::from_secs(5)))
        .into_response()
}

fn event(told: Told) -> sse::Event {
    let (name, data) = match told {
        Told::Event(event) => event.into_name_and_json(),
        Told::Done(heard) => (
            "done",
            json!({ "duration_secs": heard.duration_secs }).to_string(),
        ),
        Told::Problem(problem) => ("problem", json!(problem).to_string()),
    };
    sse::Event::default().event(name).data(data)
}
