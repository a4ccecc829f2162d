//! Sending events on: JSON in, one HTTP POST each, from a thread with a bounded queue.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use anyhow::Context as _;
use ureq::Agent;

use crate::printer::Printer;

/// Events that wait while the receiver is slow or away; more are dropped, and counted.
const QUEUE: usize = 256;

/// How often an event is tried, and the waits in between.
const ATTEMPTS: u32 = 8;
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The longest wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How long the last events may take when listening ends.
const FAREWELL: Duration = Duration::from_secs(5);

/// The sending side of a webhook.
pub(super) struct Webhook {
    queue: SyncSender<String>,
    /// What the thread has to say; closed when it is done.
    notes: Receiver<String>,
    n_dropped: u64,
}

impl Webhook {
    /// Starts the thread.
    pub(super) fn start(url: &str) -> anyhow::Result<Self> {
        let uri: ureq::http::Uri = url
            .parse()
            .with_context(|| format!("--webhook is `{url}`"))?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none() {
            anyhow::bail!("--webhook is `{url}`, expected an http:// or https:// address");
        }
        let (queue, events) = sync_channel(QUEUE);
        let (notes_to, notes) = sync_channel(QUEUE);
        let url = url.to_owned();
        std::thread::spawn(move || deliver(&url, &events, &notes_to));
        Ok(Self {
            queue,
            notes,
            n_dropped: 0,
        })
    }

    /// Puts an event into the queue; never waits.
    pub(super) fn send(&mut self, event: String, printer: &Printer) {
        self.tell(printer);
        match self.queue.try_send(event) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.n_dropped += 1;
                // Once, and then at every doubling: a receiver may be away for days.
                if self.n_dropped.is_power_of_two() {
                    printer.note(format!(
                        "webhook: {QUEUE} events wait, {} were dropped so far",
                        self.n_dropped
                    ));
                }
            }
        }
    }

    /// Waits a little for what is in the queue.
    pub(super) fn finish(self, printer: &Printer) {
        self.tell(printer);
        drop(self.queue);
        let until = std::time::Instant::now() + FAREWELL;
        loop {
            let left = until.saturating_duration_since(std::time::Instant::now());
            match self.notes.recv_timeout(left) {
                Ok(note) => printer.note(note),
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => return,
                Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {
                    printer.note("webhook: the last events could not be delivered in time");
                    return;
                }
            }
        }
    }

    fn tell(&self, printer: &Printer) {
        self.notes.try_iter().for_each(|note| printer.note(note));
    }
}

/// The life of the thread.
fn deliver(url: &str, events: &Receiver<String>, notes: &SyncSender<String>) {
    let agent: Agent = Agent::config_builder()
        .timeout_global(Some(TIMEOUT))
        .http_status_as_error(false)
        .user_agent(concat!("earmark/", env!("CARGO_PKG_VERSION")))
        .build()
        .into();
    // The queue of notes may be full: then they are not worth waiting for.
    let note = |text: String| drop(notes.try_send(text));
    for event in events {
        let mut pause = FIRST_PAUSE;
        for attempt in 1..=ATTEMPTS {
            match post(&agent, url, &event) {
                Ok(()) => break,
                Err(Refusal::Never(reason)) => {
                    note(format!("webhook: {reason}; the event is dropped"));
                    break;
                }
                Err(Refusal::NotNow(reason)) if attempt == ATTEMPTS => {
                    note(format!(
                        "webhook: {reason}; the event is dropped after {ATTEMPTS} attempts"
                    ));
                }
                Err(Refusal::NotNow(reason)) => {
                    note(format!("webhook: {reason}; trying again"));
                    std::thread::sleep(pause);
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }
}

enum Refusal {
    NotNow(String),
    Never(String),
}

fn post(agent: &Agent, url: &str, event: &str) -> Result<(), Refusal> {
    let response = agent
        .post(url)
        .content_type("application/json")
        .send(event)
        .map_err(|error| Refusal::NotNow(error.to_string()))?;
    let status = response.status();
    match status.as_u16() {
        200..=299 => Ok(()),
        408 | 425 | 429 | 500..=599 => Err(Refusal::NotNow(format!("the receiver says {status}"))),
        _ => Err(Refusal::Never(format!("the receiver says {status}"))),
    }
}
