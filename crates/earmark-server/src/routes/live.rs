//! `GET /v1/live`: a WebSocket that takes sound as it happens and gives tags.
//!
//! The client sends binary messages of mono samples, little-endian, 16-bit integers
//! or 32-bit floats, at the rate of the query; messages may end anywhere between two samples. The
//! server sends text messages, JSON objects with `type` `ready`, `segment` (`row` as `/v1/tag` gives
//! it), `picture`, or `problem`, after which it closes.

use std::sync::Arc;
use std::time::Duration;

use axum::RequestExt as _;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::extract::{Request, State};
use axum::response::Response;
use earmark::hear::{Cutting, Model, Painter, Wish};
use earmark::results::{Row, Run, Subject, write_json_line};
use earmark::tagger::{SegmentScores, Selection, Tagger};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::mpsc::{self, Receiver, Sender};

use crate::app::Shared;
use crate::params;
use crate::problem::Problem;
use crate::work::{Control, Slot, Stopped};

/// The name of the protocol, for clients that offer the API key as another one.
pub(crate) const PROTOCOL: &str = "earmark-live";

/// Tags come this often and look this far back unless the client asks for something else.
const DEFAULT_WINDOW_SECS: f32 = 2.0;
const DEFAULT_HOP_SECS: f32 = 0.5;

const MAX_MESSAGE_BYTES: usize = 1 << 20;

/// How many messages wait for the work before the client does.
const BLOCKS: usize = 32;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LiveParams {
    model: Option<String>,
    top: Option<usize>,
    threshold: Option<f32>,
    window: Option<f32>,
    hop: Option<f32>,
    rate: u32,
    #[serde(default)]
    format: SampleFormat,
    #[serde(default)]
    picture: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum SampleFormat {
    #[default]
    S16le,
    F32le,
}

pub(super) async fn live(State(app): State<Shared>, request: Request) -> Result<Response, Problem> {
    let params: LiveParams = params::parse(request.uri())?;
    let session = Session::new(&app, &params)?;
    let upgrade: WebSocketUpgrade = request.extract().await.map_err(
        |rejection: axum::extract::ws::rejection::WebSocketUpgradeRejection| {
            Problem::parameter(format!("expected a WebSocket: {}", rejection.body_text()))
        },
    )?;
    if app.draining.is_cancelled() {
        return Err(app.stopping());
    }
    let Ok(place) = Arc::clone(&app.live).try_acquire_owned() else {
        let detail = format!("{} live sessions are open already", app.config.live);
        return Err(Problem::busy(detail, Duration::from_secs(10)));
    };
    let upgrade = upgrade
        .protocols([PROTOCOL])
        .max_message_size(MAX_MESSAGE_BYTES);
    Ok(upgrade.on_upgrade(async move |socket| {
        app.metrics.live_sessions.inc();
        serve(&app, socket, session).await;
        app.metrics.live_sessions.dec();
        drop(place);
    }))
}

/// What one client wants.
struct Session {
    model: Arc<Model>,
    tagger: Arc<Tagger>,
    selection: Selection,
    rate: u32,
    format: SampleFormat,
    picture: bool,
}

impl Session {
    fn new(app: &Shared, params: &LiveParams) -> Result<Self, Problem> {
        let model = params::model(app, params.model.as_deref())?;
        let own = &model.metadata().segment;
        let window = params
            .window
            .unwrap_or(own.length_secs.min(DEFAULT_WINDOW_SECS));
        let hop = params.hop.unwrap_or(window.min(DEFAULT_HOP_SECS));
        let cutting = Cutting {
            window_secs: Some(window),
            hop_secs: Some(hop),
            ..Cutting::default()
        };
        let wish = Wish {
            top: params.top,
            threshold: params.threshold,
            ..Wish::default()
        };
        let tagger = model.tagger(cutting, app.config.limits)?;
        // Also checks the rate.
        tagger.live(params.rate)?;
        Ok(Self {
            selection: wish.selection(&model)?,
            tagger,
            rate: params.rate,
            format: params.format,
            picture: params.picture,
            model,
        })
    }

    fn ready(&self) -> String {
        let segment = self.tagger.segment();
        json!({
            "type": "ready",
            "model": self.model.name(),
            "window_secs": segment.length_secs,
            "hop_secs": segment.hop_secs,
        })
        .to_string()
    }
}

/// Carries messages between the socket and the thread that computes.
async fn serve(app: &Shared, mut socket: WebSocket, session: Session) {
    let control = app.control(app.config.session_deadline);
    let _stop_when_dropped = control.guard();
    let (blocks, to_work) = mpsc::channel(BLOCKS);
    let (told, mut to_client) = mpsc::channel(BLOCKS);
    let format = session.format;
    if send(&mut socket, session.ready()).await.is_err() {
        return;
    }
    let Some(ticket) = app.gate.admit() else {
        close(&mut socket, 1013, "the server is busy").await;
        return;
    };
    let work = {
        let control = control.clone();
        async move {
            let Ok(slot) = ticket.slot(&control).await else {
                return;
            };
            let run = move || session.run(&slot, &control, to_work, &told);
            let _ = tokio::task::spawn_blocking(run).await;
        }
    };
    tokio::spawn(work);
    let mut samples = Samples::new(format);
    loop {
        tokio::select! {
            told = to_client.recv() => match told {
                Some(text) => if send(&mut socket, text).await.is_err() { return },
                None => return close(&mut socket, 1000, "the session is over").await,
            },
            () = app.draining.cancelled() => {
                return close(&mut socket, 1001, "the server is about to stop").await;
            }
            message = tokio::time::timeout(app.config.idle, socket.recv()) => match message {
                Err(_) => return close(&mut socket, 1008, "no sound came for too long").await,
                Ok(Some(Ok(Message::Binary(bytes)))) => {
                    let block = samples.read(&bytes);
                    // Work that is behind does not keep its results from the client.
                    loop {
                        tokio::select! {
                            permit = blocks.reserve() => {
                                if let Ok(permit) = permit {
                                    permit.send(block);
                                }
                                break;
                            }
                            Some(text) = to_client.recv() => {
                                if send(&mut socket, text).await.is_err() { return }
                            }
                        }
                    }
                }
                Ok(Some(Ok(Message::Text(_)))) => {
                    let why = "expected binary messages of samples";
                    return close(&mut socket, 1003, why).await;
                }
                Ok(Some(Ok(Message::Ping(_) | Message::Pong(_)))) => {}
                Ok(Some(Ok(Message::Close(_)) | Err(_)) | None) => return,
            },
        }
    }
}

async fn send(socket: &mut WebSocket, text: String) -> Result<(), axum::Error> {
    socket.send(Message::Text(text.into())).await
}

async fn close(socket: &mut WebSocket, code: u16, reason: &'static str) {
    let frame = CloseFrame {
        code,
        reason: Utf8Bytes::from_static(reason),
    };
    // The other side may be gone already.
    let _ = socket.send(Message::Close(Some(frame))).await;
}

/// Bytes in, samples out; keeps the beginning of a sample that a message cut in two.
struct Samples {
    format: SampleFormat,
    rest: Vec<u8>,
}

impl Samples {
    fn new(format: SampleFormat) -> Self {
        Self {
            format,
            rest: Vec::new(),
        }
    }

    fn read(&mut self, bytes: &[u8]) -> Vec<f32> {
        self.rest.extend_from_slice(bytes);
        let samples = match self.format {
            SampleFormat::S16le => {
                let (whole, _) = self.rest.as_chunks();
                whole
                    .iter()
                    .map(|&b| f32::from(i16::from_le_bytes(b)) / 32_768.0)
                    .collect::<Vec<f32>>()
            }
            SampleFormat::F32le => {
                let (whole, _) = self.rest.as_chunks();
                whole.iter().map(|&b| f32::from_le_bytes(b)).collect()
            }
        };
        let width = match self.format {
            SampleFormat::S16le => 2,
            SampleFormat::F32le => 4,
        };
        self.rest.drain(..samples.len() * width);
        samples
    }
}

impl Session {
    /// The thread that computes: holds a slot only while there is something to hear.
    fn run(
        &self,
        slot: &Slot,
        control: &Control,
        mut blocks: Receiver<Vec<f32>>,
        told: &Sender<String>,
    ) {
        if let Err(problem) = self.hear(slot, control, &mut blocks, told) {
            let text = json!({ "type": "problem", "problem": problem }).to_string();
            let _ = slot.wait(told.send(text));
        }
    }

    fn hear(
        &self,
        slot: &Slot,
        control: &Control,
        blocks: &mut Receiver<Vec<f32>>,
        told: &Sender<String>,
    ) -> Result<(), Problem> {
        let mut live = self.tagger.live(self.rate)?;
        let run = self.model.run(true);
        // The picture is of what the client sent, so that it is there before a segment is full.
        let mut painter = match self.picture {
            true => Some(Painter::live(self.rate)?),
            false => None,
        };
        let next = |blocks: &mut Receiver<Vec<f32>>| {
            blocks.try_recv().ok().or_else(|| {
                slot.wait(async {
                    tokio::select! {
                        block = blocks.recv() => block,
                        _ = control.stopped() => None,
                    }
                })
            })
        };
        while let Some(block) = next(blocks) {
            if let Some(painter) = &mut painter {
                painter.push(&block)?;
                if let Some(picture) = painter.take() {
                    let text = json!({ "type": "picture", "picture": picture }).to_string();
                    if tell(slot, control, told, text).is_err() {
                        return Ok(());
                    }
                }
            }
            for segment in live.push(&block)? {
                let text = self.segment(&run, segment)?;
                if tell(slot, control, told, text).is_err() {
                    return Ok(());
                }
            }
            if control.check().is_err() {
                return Ok(());
            }
            slot.give_way();
        }
        Ok(())
    }

    fn segment(&self, run: &Run, segment: SegmentScores) -> Result<String, Problem> {
        let row = Row {
            channel: None,
            start_secs: segment.start_secs,
            end_secs: segment.end_secs,
            tags: self.selection.tags(&segment.scores),
            embedding: Vec::new(),
        };
        let subject = Subject {
            start: None,
            highest_hz: f64::from(self.rate.min(self.tagger.sample_rate())) / 2.0,
        };
        let mut text = br#"{"type":"segment","row":"#.to_vec();
        write_json_line(&mut text, run, "live".as_ref(), &subject, &row)
            .map_err(|error| Problem::internal(error.to_string()))?;
        text.push(b'}');
        String::from_utf8(text).map_err(|error| Problem::internal(error.to_string()))
    }
}

/// Sends a text; gives the slot away while the client does not take it.
fn tell(
    slot: &Slot,
    control: &Control,
    told: &Sender<String>,
    text: String,
) -> Result<(), Stopped> {
    let Err(error) = told.try_send(text) else {
        return Ok(());
    };
    let text = error.into_inner();
    slot.wait(async {
        tokio::select! {
            sent = told.send(text) => sent.map_err(|_| Stopped::Cancelled),
            stopped = control.stopped() => Err(stopped),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_survive_messages_that_cut_them() {
        let mut samples = Samples::new(SampleFormat::S16le);
        assert_eq!(samples.read(&[0, 64, 0]), [0.5]);
        assert_eq!(samples.read(&[192]), [-0.5]);
        let mut samples = Samples::new(SampleFormat::F32le);
        let bytes = 0.25_f32.to_le_bytes();
        assert!(samples.read(&bytes[..3]).is_empty());
        assert_eq!(samples.read(&bytes[3..]), [0.25]);
    }
}
