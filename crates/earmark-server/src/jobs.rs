//! Jobs: a recording that is heard while it is uploaded. One request makes the job, one uploads, one
//! listens to the events; each part is taken once.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use earmark::hear::Task;
use tokio::sync::mpsc::{Receiver, Sender};

use crate::routes::Told;
use crate::work::{Control, Ticket};

/// How long a part of a job waits for its request.
const PATIENCE: Duration = Duration::from_secs(60);

/// The jobs that are not over.
#[derive(Default)]
pub(crate) struct Jobs(Mutex<HashMap<String, Job>>);

/// What an upload sets to work.
pub(crate) struct Work {
    pub(crate) ticket: Ticket,
    pub(crate) task: Task,
    pub(crate) events: Sender<Told>,
}

struct Job {
    control: Control,
    created: Instant,
    work: Option<Work>,
    events: Option<Receiver<Told>>,
}

impl Jobs {
    /// Adds a job and gives its id, which nobody can guess.
    pub(crate) fn add(&self, control: Control, work: Work, events: Receiver<Told>) -> String {
        let id = format!("{:032x}", rand::random::<u128>());
        let job = Job {
            control,
            created: Instant::now(),
            work: Some(work),
            events: Some(events),
        };
        self.lock().insert(id.clone(), job);
        id
    }

    /// The part that an upload sets to work; `None` for no such job, `Some(None)` when it was taken.
    pub(crate) fn take_work(&self, id: &str) -> Option<Option<(Work, Control)>> {
        let mut jobs = self.lock();
        let job = jobs.get_mut(id)?;
        let control = job.control.clone();
        Some(job.work.take().map(|work| (work, control)))
    }

    /// The part that listens, in the same way.
    pub(crate) fn take_events(&self, id: &str) -> Option<Option<(Receiver<Told>, Control)>> {
        let mut jobs = self.lock();
        let job = jobs.get_mut(id)?;
        let control = job.control.clone();
        Some(job.events.take().map(|events| (events, control)))
    }

    /// Stops a job; `false` if there is none.
    pub(crate) fn cancel(&self, id: &str) -> bool {
        let job = self.lock().remove(id);
        if let Some(job) = &job {
            job.control.cancel();
        }
        job.is_some()
    }

    /// Forgets jobs that are over or that nobody came back for.
    pub(crate) fn sweep(&self) {
        self.lock().retain(|_, job| {
            let is_complete = job.work.is_none() && job.events.is_none();
            let is_late = job.created.elapsed() > PATIENCE;
            if is_late && !is_complete {
                job.control.cancel();
            }
            !is_late && job.control.check().is_ok()
        });
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Job>> {
        // Jobs are added and removed as a whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
