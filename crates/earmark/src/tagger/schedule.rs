//! What a worker does next: decode a recording that is open, open another, or score a segment.
//!
//! There are no threads for decoding. Whoever is free looks for work in this order:
//!
//! 1. While fewer segments are ready than there are workers: decode one more segment of the first
//!    open recording that nobody is decoding; if there is none, open the next recording.
//! 2. Score the segment that has been ready longest.
//!
//! With many short recordings this gives one file per worker; with one long recording one worker at
//! a time decodes and all of them score. Both need no more threads than workers.
//!
//! # Bounds
//! Segments as samples: one per worker ready, one per worker in work. Scores that wait for their turn
//! in the output: [`MAX_WAITING_OF_ONE`] per recording and about [`MAX_WAITING`] in all, where only
//! the first recording in the output may pass the latter, so that the run always goes on.

use std::collections::{BTreeMap, VecDeque};

use crate::audio::Source;
use crate::bundle::Aggregation;
use crate::{Error, Result};

use super::cutter::CutSegment;
use super::recording::{Collectors, Recording, RecordingInfo, named};
use super::{RunEvent, RunOptions, SegmentScores, Tagger};

/// The most segments of one recording between cutting and output.
const MAX_WAITING_OF_ONE: u64 = 256;

/// From this many segments between cutting and output, only the first recording goes on.
const MAX_WAITING: u64 = 2048;

/// The most recordings between opening and output.
const MAX_RECORDINGS: usize = 1024;

/// A piece of work for one worker. `input` is the number of the source.
pub(super) enum Task {
    Open {
        input: usize,
        source: Source,
    },
    Decode {
        input: usize,
        recording: Box<Recording>,
    },
    Score {
        input: usize,
        /// The segment's number over all channels of the recording.
        ordinal: u64,
        cut: CutSegment,
    },
    /// Nothing now.
    Wait,
    /// Nothing ever again.
    Quit,
}

/// A segment's scores.
pub(super) struct Scored {
    pub(super) segment: SegmentScores,
    /// Whether the recording was played at its own speed.
    pub(super) is_own_speed: bool,
}

/// Which segments are told.
#[derive(Clone, Copy)]
enum Told {
    None,
    OwnSpeed,
    All,
}

/// The state of a run.
pub(super) struct Schedule<S> {
    sources: Option<S>,
    jobs: usize,
    told: Told,
    aggregation: Aggregation,
    /// The recordings between opening and output, in the order of the sources.
    slots: VecDeque<Slot>,
    /// The source's number of the first slot.
    first: usize,
    ready: VecDeque<Task>,
    n_decoding: usize,
    /// Segments between cutting and output, over all slots.
    n_waiting: u64,
    n_workers: usize,
    stopped: bool,
}

enum Decoder {
    Idle(Box<Recording>),
    Busy,
    Gone,
}

/// How the decoding of a recording came to its end.
enum End {
    Complete {
        duration_secs: f64,
        warning: Option<String>,
    },
    Failed(Error),
}

struct Slot {
    /// What errors call the recording.
    name: String,
    decoder: Decoder,
    /// Until it is told.
    info: Option<Box<RecordingInfo>>,
    collectors: Option<Collectors>,
    n_cut: u64,
    /// Segments that went to the collectors, in order.
    n_collected: u64,
    /// Segments that wait no longer.
    n_released: u64,
    scored: BTreeMap<u64, Scored>,
    timeline: VecDeque<SegmentScores>,
    /// The number of segments before the end, and what the end is.
    end: Option<(u64, End)>,
}

impl<S: Iterator<Item = Source>> Schedule<S> {
    pub(super) fn new(sources: S, options: &RunOptions<'_>, aggregation: Aggregation) -> Self {
        let jobs = options.jobs.get();
        Self {
            sources: Some(sources),
            jobs,
            told: match (options.timeline, options.every_speed) {
                (false, _) => Told::None,
                (true, false) => Told::OwnSpeed,
                (true, true) => Told::All,
            },
            aggregation,
            slots: VecDeque::new(),
            first: 0,
            ready: VecDeque::new(),
            n_decoding: 0,
            n_waiting: 0,
            n_workers: jobs,
            stopped: false,
        }
    }

    /// Chooses the next piece of work.
    pub(super) fn next_task(&mut self) -> Task {
        if self.stopped {
            return Task::Quit;
        }
        if self.ready.len() + self.n_decoding < self.jobs
            && let Some(task) = self.decode().or_else(|| self.open())
        {
            self.n_decoding += 1;
            return task;
        }
        if let Some(task) = self.ready.pop_front() {
            return task;
        }
        let none_left = self.sources.is_none()
            && self
                .slots
                .iter()
                .all(|slot| matches!(slot.decoder, Decoder::Gone));
        if none_left { Task::Quit } else { Task::Wait }
    }

    fn decode(&mut self) -> Option<Task> {
        let crowded = self.n_waiting >= MAX_WAITING;
        let first = self.first;
        self.slots.iter_mut().enumerate().find_map(|(index, slot)| {
            let waiting = slot.n_cut - slot.n_released;
            if waiting >= MAX_WAITING_OF_ONE || (crowded && index > 0) {
                return None;
            }
            match std::mem::replace(&mut slot.decoder, Decoder::Busy) {
                Decoder::Idle(recording) => Some(Task::Decode {
                    input: first + index,
                    recording,
                }),
                other => {
                    slot.decoder = other;
                    None
                }
            }
        })
    }

    fn open(&mut self) -> Option<Task> {
        let is_live = |slot: &&Slot| !matches!(slot.decoder, Decoder::Gone);
        let full = self.slots.len() >= MAX_RECORDINGS
            || self.slots.iter().filter(is_live).count() >= self.jobs
            || (self.n_waiting >= MAX_WAITING && !self.slots.is_empty());
        if full {
            return None;
        }
        let Some(source) = self.sources.as_mut()?.next() else {
            self.sources = None;
            return None;
        };
        self.slots.push_back(Slot::new());
        Some(Task::Open {
            input: self.first + self.slots.len() - 1,
            source,
        })
    }

    /// The recording is open, or not.
    pub(super) fn opened(&mut self, input: usize, opened: Result<Box<Recording>>) {
        self.n_decoding -= 1;
        let aggregation = self.aggregation;
        let Some(slot) = self.slot(input) else { return };
        match opened {
            Ok(recording) => {
                let info = recording.info();
                slot.name = recording.name().to_owned();
                slot.collectors = Some(Collectors::new(info.n_channels, aggregation));
                slot.info = Some(Box::new(info));
                slot.decoder = Decoder::Idle(recording);
            }
            Err(error) => {
                slot.decoder = Decoder::Gone;
                slot.fail(0, error);
            }
        }
    }

    /// The recording gave a segment, or its end, or broke.
    pub(super) fn decoded(
        &mut self,
        input: usize,
        recording: Box<Recording>,
        decoded: Result<Option<CutSegment>>,
    ) {
        self.n_decoding -= 1;
        let Some(slot) = self.slot(input) else { return };
        match decoded {
            // A segment before this one failed: the rest is not wanted.
            Ok(_) if slot.end.is_some() => slot.decoder = Decoder::Gone,
            Ok(Some(cut)) => {
                let task = Task::Score {
                    input,
                    ordinal: slot.n_cut,
                    cut,
                };
                slot.n_cut += 1;
                slot.decoder = Decoder::Idle(recording);
                self.n_waiting += 1;
                self.ready.push_back(task);
            }
            Ok(None) => {
                let end = End::Complete {
                    duration_secs: recording.duration_secs(),
                    warning: recording.warning(),
                };
                slot.end = Some((slot.n_cut, end));
                slot.decoder = Decoder::Gone;
            }
            Err(error) => {
                slot.decoder = Decoder::Gone;
                slot.fail(slot.n_cut, error);
            }
        }
    }

    /// The segment is scored, or cannot be.
    pub(super) fn scored(&mut self, input: usize, ordinal: u64, scored: Result<Scored>) {
        let told = self.told;
        let Some(slot) = self.slot(input) else { return };
        match scored {
            Ok(scored) => {
                slot.scored.insert(ordinal, scored);
            }
            Err(error) => {
                // A worker that is decoding finds the end when it comes back.
                if matches!(slot.decoder, Decoder::Idle(_)) {
                    slot.decoder = Decoder::Gone;
                }
                slot.fail(ordinal, named(&slot.name, error));
            }
        }
        let released = slot.collect(told);
        self.n_waiting -= released;
    }

    /// Moves what can be told, in the order of the sources, to `events`.
    pub(super) fn take_events(&mut self, tagger: &Tagger, events: &mut Vec<RunEvent>) {
        while let Some(slot) = self.slots.front_mut() {
            let input = self.first;
            if let Some(info) = slot.info.take() {
                events.push(RunEvent::Opened { input, info });
            }
            slot.n_released += slot.timeline.len() as u64;
            self.n_waiting -= slot.timeline.len() as u64;
            let segments = slot.timeline.drain(..);
            events.extend(segments.map(|segment| RunEvent::Segment { input, segment }));
            let over = slot
                .end
                .as_ref()
                .is_some_and(|(n, _)| slot.n_collected == *n);
            if !over || matches!(slot.decoder, Decoder::Busy) {
                return;
            }
            let Some(slot) = self.slots.pop_front() else {
                return;
            };
            self.first += 1;
            self.n_waiting -= slot.n_cut - slot.n_released;
            events.extend(slot.last_event(input, tagger));
        }
    }

    /// Whether every source's last event is taken.
    pub(super) fn is_done(&self) -> bool {
        self.slots.is_empty() && self.sources.is_none()
    }

    /// Makes every worker quit after what it is doing.
    pub(super) fn stop(&mut self) {
        self.stopped = true;
    }

    /// Counts a worker that has quit.
    pub(super) fn worker_quit(&mut self) {
        self.n_workers -= 1;
    }

    /// Whether nothing will change any more.
    pub(super) fn is_still(&self) -> bool {
        self.n_workers == 0
    }

    /// The slot of a source, unless its last event is taken already.
    fn slot(&mut self, input: usize) -> Option<&mut Slot> {
        self.slots.get_mut(input.checked_sub(self.first)?)
    }
}

impl Slot {
    fn new() -> Self {
        Self {
            name: String::new(),
            decoder: Decoder::Busy,
            info: None,
            collectors: None,
            n_cut: 0,
            n_collected: 0,
            n_released: 0,
            scored: BTreeMap::new(),
            timeline: VecDeque::new(),
            end: None,
        }
    }

    /// Ends the recording before segment `ordinal`, unless it ended earlier: of several errors the
    /// first in the recording counts, whichever worker came first.
    fn fail(&mut self, ordinal: u64, error: Error) {
        let earlier = matches!(&self.end, Some((n, End::Failed(_))) if *n <= ordinal);
        if !earlier {
            self.end = Some((ordinal, End::Failed(error)));
        }
    }

    /// Gives the scores whose turn it is to the collectors; returns how many wait no longer.
    fn collect(&mut self, told: Told) -> u64 {
        let Some(collectors) = &mut self.collectors else {
            return 0;
        };
        let end = self.end.as_ref().map_or(u64::MAX, |(n, _)| *n);
        let mut released = 0;
        while self.n_collected < end {
            let Some(scored) = self.scored.remove(&self.n_collected) else {
                break;
            };
            collectors.add(&scored.segment);
            self.n_collected += 1;
            let is_told = match told {
                Told::None => false,
                Told::OwnSpeed => scored.is_own_speed,
                Told::All => true,
            };
            if is_told {
                self.timeline.push_back(scored.segment);
            } else {
                released += 1;
            }
        }
        self.n_released += released;
        released
    }

    fn last_event(self, input: usize, tagger: &Tagger) -> Option<RunEvent> {
        Some(match self.end?.1 {
            End::Failed(error) => RunEvent::Failed { input, error },
            End::Complete {
                duration_secs,
                warning,
            } => RunEvent::Finished {
                input,
                clips: self
                    .collectors
                    .map(|collectors| collectors.finish(tagger, duration_secs))
                    .unwrap_or_default(),
                warning,
            },
        })
    }
}
