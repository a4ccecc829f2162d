//! `earmark listen`: a microphone or a stream in; what begins and what stops to be heard out, for days.
//!
//! ```text
//! input ── (worker thread) ── Tagger::segments ── bounded channel ── EventDetector ─┬─ screen, JSON lines
//!  ↑ connects again                                                                ├─ clips
//!                                                                                  └─ webhook (thread, bounded queue)
//! ```
//!
//! Everything that grows with time is bounded: the channel, one open event per class, a minute of
//! waveform for clips, the folder of clips, the webhook's queue.

mod clips;
mod input;
#[cfg(feature = "listen")]
mod microphone;
mod screen;
mod webhook;
mod worker;

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use clap::Args;
use earmark::tagger::{Change, DetectorOptions, EventDetector, Tagger, TaggerOptions};

use super::Outcome;
use super::bundle::ModelStore;
use crate::interrupt;
use crate::model::{self, RuntimeArg};
use crate::printer::Printer;
use crate::recordings::CuttingArgs;
use crate::selection::{FALLBACK, SelectionArgs};
use clips::{ClipFolder, Recent};
use input::Input;
use screen::{Format, Screen};
use webhook::Webhook;
use worker::{Message, Worker};

/// Messages between the worker and the rest: enough to ride out a slow disk, little enough to be held
/// back by one.
const CHANNEL: usize = 8;

/// How often the stop flag is looked at while nothing comes.
const STOP_CHECK: Duration = Duration::from_millis(100);

/// The arguments of `earmark listen`.
#[derive(Debug, Args)]
pub(crate) struct ListenArgs {
    /// `microphone`, `-` for standard input, an http:// or https:// address (Icecast too), a named pipe,
    /// or a file.
    #[arg(value_name = "INPUT", default_value = "microphone")]
    input: Input,

    #[command(flatten)]
    pcm: input::PcmArgs,

    /// The model: a bundle's file, or the name of a fetched one.
    #[arg(long, short, value_name = "FILE|NAME")]
    model: Option<PathBuf>,

    #[command(flatten)]
    store: ModelStore,

    #[command(flatten)]
    cutting: CuttingArgs,

    #[command(flatten)]
    selection: SelectionArgs,

    /// An event goes on while its score is at least this share of its threshold.
    #[arg(long, value_name = "SHARE", default_value_t = 0.7)]
    release: f32,

    /// An event goes on through pauses of so many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0)]
    hold: f64,

    /// How events are written.
    #[arg(long, short, value_enum, default_value_t)]
    format: Format,

    /// Also write every segment's tags; needs --format json.
    #[arg(long)]
    segments: bool,

    /// The most tags of a segment that are shown.
    #[arg(long, value_name = "N", default_value_t = 3)]
    top: usize,

    /// Save what was heard of each event as a WAV file, at most its first minute.
    #[arg(long, value_name = "DIR")]
    save_clips: Option<PathBuf>,

    /// The most that the clips may take, in MiB; the oldest go first.
    #[arg(
        long,
        value_name = "MIB",
        default_value_t = 1024,
        requires = "save_clips"
    )]
    clips_limit: u64,

    /// Send every event as JSON to this address (HTTP POST), when it begins and when it stops.
    #[arg(long, value_name = "URL")]
    webhook: Option<String>,

    /// End with the stream instead of connecting again.
    #[arg(long)]
    once: bool,

    /// What runs the network.
    #[arg(long, value_enum, default_value = "auto")]
    runtime: RuntimeArg,
}

impl ListenArgs {
    /// Listens until the input ends or the user has heard enough.
    pub(crate) fn run(self, printer: &Printer) -> anyhow::Result<Outcome> {
        earmark::audio::silence_decoder_panics();
        if self.segments && self.format != Format::Json {
            anyhow::bail!("--segments needs --format json");
        }
        let pcm = self.pcm.coding(&self.input)?;
        self.input.check()?;
        let thresholds = self.selection.read_thresholds()?;
        let bundle = model::open(self.model.as_deref(), &self.store)?;
        let options = TaggerOptions {
            runtime: self.runtime.into(),
            window_secs: self.cutting.window,
            hop_secs: self.cutting.hop,
            // A stream that breaks off is no damaged file.
            truncated: earmark::audio::Truncated::Accept,
            limits: input::LIMITS,
            ..TaggerOptions::default()
        };
        let tagger = Tagger::from_bundle(&bundle, &options)?;
        drop(bundle);
        if self.selection.has_none(tagger.metadata()) {
            printer.note(format!(
                "the model has no thresholds: {FALLBACK} for every class (--threshold, --thresholds)"
            ));
        }
        let selection = self
            .selection
            .selection(thresholds.as_ref(), tagger.metadata(), true)?;
        let detector = EventDetector::new(DetectorOptions {
            selection,
            release: self.release,
            hold_secs: self.hold,
        })?;
        let clips = match &self.save_clips {
            Some(folder) => Some(ClipFolder::open(folder, self.clips_limit << 20)?),
            None => None,
        };
        let webhook = self.webhook.as_deref().map(Webhook::start).transpose()?;
        let screen = Screen::new(
            printer,
            self.format,
            self.segments,
            self.top,
            &self.input,
            &tagger,
        );
        let vocabulary = tagger.vocabulary().clone();
        let mut listener = Listener {
            recent: clips.as_ref().map(|_| Recent::new(tagger.sample_rate())),
            detector,
            screen,
            clips,
            webhook,
            printer,
            vocabulary,
        };
        let worker = Worker {
            tagger,
            input: self.input,
            pcm,
            once: self.once,
        };
        listener.run(worker)
    }
}

/// Takes what the worker hears and tells everyone.
struct Listener<'a> {
    detector: EventDetector,
    screen: Screen<'a>,
    recent: Option<Recent>,
    clips: Option<ClipFolder>,
    webhook: Option<Webhook>,
    printer: &'a Printer,
    vocabulary: earmark::dataset::Vocabulary,
}

impl Listener<'_> {
    fn run(&mut self, worker: Worker) -> anyhow::Result<Outcome> {
        let stop = interrupt::stop_flag()?;
        let (to, from) = sync_channel(CHANNEL);
        // Not joined: it may be waiting for a stream that has nothing to say.
        std::thread::spawn(move || worker.run(&to));
        let outcome = loop {
            if stop.load(Ordering::Relaxed) {
                break Ok(Outcome::Interrupted);
            }
            match from.recv_timeout(STOP_CHECK) {
                Ok(Message::Segment(heard)) => self.segment(&heard)?,
                Ok(Message::Note(note)) => self.printer.note(note),
                Ok(Message::Break) => self.pause()?,
                Ok(Message::Failed(error)) => break Err(error),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break Ok(Outcome::Done),
            }
        };
        self.pause()?;
        self.screen.end();
        if let Some(webhook) = self.webhook.take() {
            webhook.finish(self.printer);
        }
        outcome
    }

    fn segment(&mut self, heard: &worker::HeardSegment) -> anyhow::Result<()> {
        if let Some(recent) = &mut self.recent {
            recent.push(heard.start_secs, &heard.samples);
        }
        let changes = self
            .detector
            .push(heard.start_secs, heard.end_secs, &heard.scores);
        self.screen.heard_until(heard.end_secs);
        self.tell(changes)?;
        self.screen.segment(heard, &self.vocabulary)?;
        if let (Some(recent), Some(clips)) = (&self.recent, &mut self.clips) {
            // A minute is over: what it has is saved now, before it is forgotten.
            for event in self.detector.open() {
                clips.save_if_long(event, &self.vocabulary, recent, self.printer);
            }
        }
        Ok(())
    }

    /// The stream broke: nothing that was heard goes on across the gap.
    fn pause(&mut self) -> anyhow::Result<()> {
        let changes = self.detector.finish();
        self.tell(changes)
    }

    fn tell(&mut self, changes: Vec<Change>) -> anyhow::Result<()> {
        for change in changes {
            let clip = match (&change, &self.recent, &mut self.clips) {
                (Change::Stopped(event), Some(recent), Some(clips)) => {
                    clips.save(event, &self.vocabulary, recent, self.printer)
                }
                _ => None,
            };
            let line = self.screen.json(&change, &self.vocabulary, clip.as_deref());
            self.screen.change(&change, &self.vocabulary, &line)?;
            if let Some(webhook) = &mut self.webhook {
                webhook.send(line.to_string(), self.printer);
            }
        }
        Ok(())
    }
}
