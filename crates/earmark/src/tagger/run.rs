//! Many recordings on many threads: sources in, events out in the order of the sources.
//!
//! The calling thread hands events to the caller; `jobs` workers do everything else. What a worker
//! does next is decided by [`schedule`](super::schedule). Nothing here depends on timing but the
//! order in which work is done: results are the same for any number of workers.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::audio::Source;
use crate::{Error, Result};

use super::recording::{Recording, RecordingInfo};
use super::schedule::{Schedule, Scored, Task};
use super::{ClipScores, SegmentScores, Tagger};

/// How [`Tagger::run`] goes about it.
#[derive(Debug, Clone, Copy)]
pub struct RunOptions<'a> {
    /// The number of worker threads.
    pub jobs: NonZeroUsize,
    /// Whether [`RunEvent::Segment`] is wanted.
    pub timeline: bool,
    /// Whether the timeline also has the segments of the recording at other speeds than its own: all
    /// that the clip's scores are made of.
    pub every_speed: bool,
    /// When this becomes true, no new work is begun and [`Tagger::run`] returns after the events
    /// that are ready.
    pub stop: Option<&'a AtomicBool>,
}

impl Default for RunOptions<'_> {
    /// One worker per core, no timeline.
    fn default() -> Self {
        Self {
            jobs: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            timeline: false,
            every_speed: false,
            stop: None,
        }
    }
}

/// What happens to a recording, in this order: `Opened`, any number of `Segment`s, then `Finished`;
/// or `Failed` at any point, after which nothing follows. `input` counts the sources from 0.
#[derive(Debug)]
pub enum RunEvent {
    /// The recording is open and its header is read.
    Opened {
        /// The source's number.
        input: usize,
        /// What the recording says about itself.
        info: Box<RecordingInfo>,
    },
    /// The next segment is scored. Only with [`RunOptions::timeline`].
    Segment {
        /// The source's number.
        input: usize,
        /// Its scores.
        segment: SegmentScores,
    },
    /// All segments are scored.
    Finished {
        /// The source's number.
        input: usize,
        /// The scores of the clip by channel.
        clips: Vec<ClipScores>,
        /// What is missing from a recording that was accepted although it ends early.
        warning: Option<String>,
    },
    /// The recording cannot be tagged.
    Failed {
        /// The source's number.
        input: usize,
        /// Why.
        error: Error,
    },
}

impl Tagger {
    /// Tags recordings on several threads and tells `sink` what happens, in the order of `sources`.
    ///
    /// Short recordings are done one per worker; the segments of a long one are spread over all
    /// workers. At most a few segments per worker are held as samples and a few thousand as scores,
    /// whatever the number and length of the recordings.
    ///
    /// # Errors
    /// The first error of `sink`, after which nothing more is done. Recordings that fail are events.
    pub fn run<E>(
        &self,
        sources: impl Iterator<Item = Source> + Send,
        options: &RunOptions<'_>,
        sink: impl FnMut(RunEvent) -> Result<(), E>,
    ) -> Result<(), E> {
        let jobs = options.jobs.get();
        let aggregation = self.segment.aggregation;
        let pool = Pool {
            tagger: self,
            schedule: Mutex::new(Schedule::new(sources, options, aggregation)),
            work: Condvar::new(),
            results: Condvar::new(),
            stop: options.stop,
        };
        std::thread::scope(|scope| {
            for _ in 0..jobs {
                scope.spawn(|| pool.work());
            }
            // Also when the sink fails or panics: the scope waits for the workers.
            let _stop = StopOnDrop(&pool);
            pool.tell(sink)
        })
    }
}

struct Pool<'p, S: Iterator<Item = Source>> {
    tagger: &'p Tagger,
    schedule: Mutex<Schedule<S>>,
    /// There may be something to do.
    work: Condvar,
    /// There may be something to tell.
    results: Condvar,
    stop: Option<&'p AtomicBool>,
}

/// How often idle threads look at the stop flag, which a signal handler sets without waking them.
const STOP_CHECK: Duration = Duration::from_millis(100);

impl<S: Iterator<Item = Source>> Pool<'_, S> {
    /// The state is whole even after a panic of the iterator of sources: that is the only foreign
    /// code that runs under the lock, and the scope passes the panic on.
    fn lock(&self) -> MutexGuard<'_, Schedule<S>> {
        let mut schedule = self.schedule.lock().unwrap_or_else(PoisonError::into_inner);
        if self.stop.is_some_and(|stop| stop.load(Ordering::Relaxed)) {
            schedule.stop();
        }
        schedule
    }

    /// The life of a worker.
    fn work(&self) {
        let _quit = QuitOnDrop(self);
        loop {
            match self.next_task() {
                Task::Open { input, source } => {
                    let opened = Recording::open(self.tagger, source).map(Box::new);
                    self.lock().opened(input, opened);
                }
                Task::Decode {
                    input,
                    mut recording,
                } => {
                    let decoded = recording.next_segment();
                    self.lock().decoded(input, recording, decoded);
                }
                Task::Score {
                    input,
                    ordinal,
                    cut,
                } => {
                    let is_own_speed = cut.speed.is_none();
                    let scored = self.tagger.score(&cut).map(|segment| Scored {
                        segment,
                        is_own_speed,
                    });
                    drop(cut);
                    self.lock().scored(input, ordinal, scored);
                }
                Task::Wait => continue,
                Task::Quit => return,
            }
            self.work.notify_all();
            self.results.notify_one();
        }
    }

    /// The next piece of work, or `Wait` after some time without.
    fn next_task(&self) -> Task {
        let mut schedule = self.lock();
        match schedule.next_task() {
            Task::Wait => {
                let waited = self.work.wait_timeout(schedule, STOP_CHECK);
                drop(waited);
                Task::Wait
            }
            task => task,
        }
    }

    /// The caller's part: tells the events in their order until none can follow.
    fn tell<E>(&self, mut sink: impl FnMut(RunEvent) -> Result<(), E>) -> Result<(), E> {
        let mut events = Vec::new();
        loop {
            let mut schedule = self.lock();
            schedule.take_events(self.tagger, &mut events);
            if events.is_empty() {
                if schedule.is_done() || schedule.is_still() {
                    return Ok(());
                }
                drop(self.results.wait_timeout(schedule, STOP_CHECK));
                continue;
            }
            drop(schedule);
            self.work.notify_all();
            events.drain(..).try_for_each(&mut sink)?;
        }
    }
}

/// Makes the workers quit when the caller leaves, however it leaves.
struct StopOnDrop<'a, 'p, S: Iterator<Item = Source>>(&'a Pool<'p, S>);

impl<S: Iterator<Item = Source>> Drop for StopOnDrop<'_, '_, S> {
    fn drop(&mut self) {
        self.0.lock().stop();
        self.0.work.notify_all();
    }
}

/// Signs a worker off, and stops the run if it panics, or the others would wait for its results.
struct QuitOnDrop<'a, 'p, S: Iterator<Item = Source>>(&'a Pool<'p, S>);

impl<S: Iterator<Item = Source>> Drop for QuitOnDrop<'_, '_, S> {
    fn drop(&mut self) {
        let mut schedule = self.0.lock();
        if std::thread::panicking() {
            schedule.stop();
        }
        schedule.worker_quit();
        drop(schedule);
        self.0.work.notify_all();
        self.0.results.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use super::*;
    use crate::tagger::TaggerOptions;
    use crate::tagger::testing::{self, LevelRuntime};

    fn tagger() -> Tagger {
        let options = TaggerOptions {
            window_secs: Some(1.0),
            ..TaggerOptions::default()
        };
        Tagger::with_runtime(testing::metadata(), Box::new(LevelRuntime), &options).unwrap()
    }

    /// Recordings of different lengths, a broken one among them.
    fn sources() -> Vec<Source> {
        let mut sources: Vec<Source> = (0..40_usize)
            .map(|n| testing::wav(&[(n % 7 * 3 + 1, n as f32 / 100.0), (1, 0.0)]))
            .collect();
        sources[11] = Source::Bytes {
            name: "broken".to_owned(),
            bytes: b"no sound".as_slice().into(),
        };
        // Longer than what may wait for output.
        sources[20] = testing::wav(&[(600, 0.5), (100, 0.25)]);
        sources
    }

    fn events(jobs: usize, timeline: bool) -> Vec<String> {
        events_of(&tagger(), jobs, timeline)
    }

    fn events_of(tagger: &Tagger, jobs: usize, timeline: bool) -> Vec<String> {
        let options = RunOptions {
            jobs: NonZeroUsize::new(jobs).unwrap(),
            timeline,
            ..RunOptions::default()
        };
        let mut events = Vec::new();
        tagger
            .run(sources().into_iter(), &options, |event| {
                events.push(format!("{event:?}"));
                Ok::<(), ()>(())
            })
            .unwrap();
        events
    }

    #[test]
    fn any_number_of_workers_tells_the_same_events_in_the_same_order() {
        for timeline in [false, true] {
            let expected = events(1, timeline);
            let n_segments = expected
                .iter()
                .filter(|event| event.starts_with("Segment"))
                .count();
            assert_eq!(n_segments > 700, timeline);
            assert!(
                expected
                    .iter()
                    .any(|event| event.starts_with("Failed { input: 11"))
            );
            for jobs in [2, 3, 16] {
                assert_eq!(events(jobs, timeline), expected);
            }
        }
    }

    #[test]
    fn a_timeline_is_of_a_recordings_own_speed_unless_all_are_wanted() -> Result<()> {
        let options = TaggerOptions {
            window_secs: Some(1.0),
            speeds: Some(vec!["0.5".parse()?, "1.6".parse()?]),
            ..TaggerOptions::default()
        };
        let runtime = Box::new(LevelRuntime);
        let several = Tagger::with_runtime(testing::metadata(), runtime, &options)?;
        let segments = |events: Vec<String>| -> Vec<String> {
            let is_segment = |event: &String| event.starts_with("Segment");
            events.into_iter().filter(is_segment).collect()
        };
        let own = segments(events(1, true));
        for jobs in [1, 3] {
            assert_eq!(segments(events_of(&several, jobs, true)), own);
            assert_eq!(segments(events_of(&several, jobs, false)), own[..0]);
        }
        let source = || testing::wav(&[(4, 0.5), (4, -0.5)]);
        let run = RunOptions {
            timeline: true,
            every_speed: true,
            ..RunOptions::default()
        };
        let (mut heard, mut duration) = (Vec::new(), 0.0);
        several
            .run(std::iter::once(source()), &run, |event| {
                match event {
                    RunEvent::Segment { segment, .. } => heard.push(segment),
                    RunEvent::Finished { clips, .. } => duration = clips[0].duration_secs,
                    _ => {}
                }
                Ok::<(), ()>(())
            })
            .unwrap();
        // 8 s at its own speed, 16 and 5 of what is played, each covering the recording once.
        assert_eq!((heard.len(), duration), (8 + 16 + 5, 8.0));
        let covered: f64 = heard.iter().map(|s| s.end_secs - s.start_secs).sum();
        assert!((covered - 3.0 * 8.0).abs() < 1e-9, "{covered}");
        Ok(())
    }

    #[test]
    fn a_run_equals_one_recording_after_the_other() {
        let tagger = tagger();
        let mut sources = sources();
        sources.remove(11);
        let mut clips = Vec::new();
        let run = tagger.run(sources.into_iter(), &RunOptions::default(), |event| {
            if let RunEvent::Finished { clips: clip, .. } = event {
                clips.push(clip);
            }
            Ok::<(), ()>(())
        });
        run.unwrap();
        let mut sources = self::sources();
        sources.remove(11);
        let expected: Vec<_> = sources
            .into_iter()
            .map(|s| tagger.tag(s).unwrap())
            .collect();
        assert_eq!(clips, expected);
    }

    #[test]
    fn an_error_of_the_sink_ends_the_run() {
        let mut n_events = 0;
        let outcome = tagger().run(sources().into_iter(), &RunOptions::default(), |_| {
            n_events += 1;
            if n_events == 3 { Err("full") } else { Ok(()) }
        });
        assert_eq!((outcome, n_events), (Err("full"), 3));
    }

    #[test]
    fn the_stop_flag_ends_a_run_without_an_end() {
        let stop = AtomicBool::new(false);
        let options = RunOptions {
            stop: Some(&stop),
            ..RunOptions::default()
        };
        let endless = std::iter::repeat_with(|| testing::wav(&[(1, 0.0)]));
        let mut n_finished = 0;
        let outcome: ControlFlow<(), ()> = match tagger().run(endless, &options, |event| {
            if matches!(event, RunEvent::Finished { .. }) {
                n_finished += 1;
                stop.store(n_finished >= 10, Ordering::Relaxed);
            }
            Ok::<(), ()>(())
        }) {
            Ok(()) => ControlFlow::Continue(()),
            Err(()) => ControlFlow::Break(()),
        };
        assert!(outcome.is_continue() && n_finished >= 10);
    }
}
