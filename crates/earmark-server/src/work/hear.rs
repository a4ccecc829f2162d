//! A recording heard in the server: stopped by its [`Control`], counted by the metrics, and making
//! room for others between two segments.

use earmark::audio::Source;
use earmark::hear::{self, Event, Heard, Task};

use super::control::{Control, Stopped};
use super::gate::Slot;
use crate::metrics::Metrics;

/// Why a recording was not heard to its end.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Nobody waits for it any more, or its time is up.
    Stopped(Stopped),
    /// It cannot be heard.
    Recording(earmark::Error),
}

impl From<Stopped> for Failure {
    fn from(stopped: Stopped) -> Self {
        Self::Stopped(stopped)
    }
}

impl From<earmark::Error> for Failure {
    fn from(error: earmark::Error) -> Self {
        Self::Recording(error)
    }
}

/// Hears a recording on this thread. Stops between two segments when `control` says so.
pub(crate) fn hear(
    task: &Task,
    source: Source,
    slot: &Slot,
    control: &Control,
    metrics: &Metrics,
    sink: &mut dyn FnMut(Event) -> Result<(), Stopped>,
) -> Result<Heard, Failure> {
    let mut tell = |event| sink(event).map_err(Failure::from);
    let mut pause = || {
        control.check()?;
        slot.give_way();
        Ok(())
    };
    let outcome = hear::hear(task, source, &mut tell, &mut pause);
    match &outcome {
        Ok(heard) => metrics.audio_seconds.inc_by(heard.duration_secs),
        // What was stopped from outside surfaces as a read error too.
        Err(_) if control.check().is_err() => {}
        Err(Failure::Recording(_)) => metrics.decode_failures.inc(),
        Err(Failure::Stopped(_)) => {}
    }
    match control.check() {
        Err(stopped) if outcome.is_err() => Err(stopped.into()),
        _ => outcome,
    }
}
