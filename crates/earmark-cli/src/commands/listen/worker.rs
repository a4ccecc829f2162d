//! The thread that hears: connects, cuts, scores, and connects again when the stream breaks.

use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use earmark::tagger::Tagger;

use super::input::{Input, NoConnection, Pcm, Stdin};

/// The wait before the second attempt to connect; doubled before each further one, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A connection that lived this long was a good one: the next attempt comes soon again.
const GOOD: Duration = Duration::from_secs(10);

/// A scored stretch of sound.
pub(super) struct HeardSegment {
    /// Seconds of sound since listening began, without gaps between connections.
    pub(super) start_secs: f64,
    pub(super) end_secs: f64,
    /// `[class]`.
    pub(super) scores: Vec<f32>,
    /// The segment's waveform at the tagger's rate.
    pub(super) samples: Vec<f32>,
}

/// What the worker tells.
pub(super) enum Message {
    Segment(Box<HeardSegment>),
    /// Something worth knowing.
    Note(String),
    /// The stream ended; what follows is another.
    Break,
    /// It cannot go on.
    Failed(anyhow::Error),
}

/// The listener has gone.
struct Gone;

/// What is heard, and by what.
pub(super) struct Worker {
    pub(super) tagger: Tagger,
    pub(super) input: Input,
    pub(super) pcm: Option<Pcm>,
    pub(super) once: bool,
}

impl Worker {
    /// Listens until there is nothing more to hear, or nobody to tell.
    pub(super) fn run(self, to: &SyncSender<Message>) {
        // An error here means that nobody listens any more.
        let _ = self.listen(to);
    }

    fn listen(&self, to: &SyncSender<Message>) -> Result<(), Gone> {
        let stdin = Stdin::default();
        let tell = |message: Message| to.send(message).map_err(|_| Gone);
        let (mut heard_secs, mut pause, mut has_heard) = (0.0, FIRST_PAUSE, false);
        loop {
            let begun = Instant::now();
            let reason = match self.input.connect(&stdin, self.pcm) {
                Ok(source) => {
                    let before = heard_secs;
                    let ended = self.hear(source, &mut heard_secs, to)?;
                    has_heard |= heard_secs > before;
                    tell(Message::Break)?;
                    match ended {
                        // The first thing that is no sound is a mistake, not a bad connection.
                        Err(error) if !has_heard && !is_worth_another(&error) => {
                            return tell(Message::Failed(error.into()));
                        }
                        Err(error) => error.to_string(),
                        Ok(()) => "the stream ended".to_owned(),
                    }
                }
                Err(NoConnection::Over) => return Ok(()),
                Err(NoConnection::Refused(error)) if !has_heard => {
                    return tell(Message::Failed(error));
                }
                Err(NoConnection::Refused(error)) => format!("{error:#}"),
                Err(NoConnection::NotNow(reason)) => reason,
            };
            if self.once || (!self.input.is_live() && self.input != Input::Stdin) {
                return Ok(());
            }
            if self.input == Input::Stdin {
                // What follows in the pipe may be the next program's header.
                if !stdin.is_over() {
                    tell(Message::Note(format!(
                        "{}: {reason}; reading on",
                        self.input
                    )))?;
                }
                continue;
            }
            if begun.elapsed() >= GOOD {
                pause = FIRST_PAUSE;
            }
            tell(Message::Note(format!(
                "{}: {reason}; connecting again in {:.1} s",
                self.input,
                pause.as_secs_f64()
            )))?;
            std::thread::sleep(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Hears one connection to its end and counts its seconds.
    fn hear(
        &self,
        source: earmark::audio::Source,
        heard_secs: &mut f64,
        to: &SyncSender<Message>,
    ) -> Result<earmark::Result<()>, Gone> {
        let before = *heard_secs;
        let mut segments = match self.tagger.segments(source) {
            Ok(segments) => segments,
            Err(error) => return Ok(Err(error)),
        };
        while let Some(segment) = segments.next() {
            let segment = match segment {
                Ok(segment) => segment,
                Err(error) => return Ok(Err(error)),
            };
            *heard_secs = heard_secs.max(before + segment.end_secs);
            let heard = HeardSegment {
                start_secs: before + segment.start_secs,
                end_secs: before + segment.end_secs,
                scores: segment.scores,
                samples: segments.samples().to_vec(),
            };
            to.send(Message::Segment(Box::new(heard)))
                .map_err(|_| Gone)?;
        }
        Ok(Ok(()))
    }
}

/// Whether the connection failed, and not what came over it.
fn is_worth_another(error: &earmark::Error) -> bool {
    matches!(error, earmark::Error::Io(_))
}
