//! What all requests share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::jobs::Jobs;
use crate::metrics::Metrics;
use crate::models::Models;
use crate::problem::Problem;
use crate::review::Review;
use crate::routes::Search;
use crate::work::{Control, Failure, Gate, Stopped, Ticket};

/// The server's state.
pub(crate) struct App {
    pub(crate) config: Config,
    pub(crate) models: Models,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) jobs: Jobs,
    pub(crate) review: Option<Arc<Review>>,
    pub(crate) search: Option<Arc<Search>>,
    pub(crate) live: Arc<Semaphore>,
    pub(crate) uploads: TempDir,
    /// Cancelled when the server gives up on what still runs.
    pub(crate) ended: CancellationToken,
    /// Cancelled when the server stops taking new work.
    pub(crate) draining: CancellationToken,
    /// Set once the server listens.
    pub(crate) ready: AtomicBool,
}

/// A handle to the state, as routes take it.
pub(crate) type Shared = Arc<App>;

impl App {
    pub(crate) fn control(&self, deadline: Duration) -> Control {
        let now = Instant::now();
        Control::new(&self.ended, now.checked_add(deadline).unwrap_or(now))
    }

    /// A place in the queue.
    pub(crate) fn admit(&self) -> Result<Ticket, Problem> {
        if self.draining.is_cancelled() {
            return Err(self.stopping());
        }
        self.gate.admit().ok_or_else(|| self.busy())
    }

    /// Refuses early what [`App::admit`] would refuse.
    pub(crate) fn check_room(&self) -> Result<(), Problem> {
        match self.gate.has_room() {
            true if self.draining.is_cancelled() => Err(self.stopping()),
            true => Ok(()),
            false => Err(self.busy()),
        }
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire) && !self.draining.is_cancelled()
    }

    fn busy(&self) -> Problem {
        let n_waiting = self.config.queue;
        let detail = format!("{n_waiting} requests are waiting already");
        Problem::busy(detail, self.gate.retry_after())
    }

    pub(crate) fn stopping(&self) -> Problem {
        Problem::busy("the server is about to stop", Duration::from_secs(5))
    }

    /// A failure of the work as a problem.
    pub(crate) fn problem(&self, failure: Failure, deadline: Duration) -> Problem {
        match failure {
            Failure::Recording(earmark::Error::Io(error)) => match error.kind() {
                std::io::ErrorKind::TimedOut | std::io::ErrorKind::ConnectionAborted => {
                    Problem::upload(error.to_string())
                }
                _ => Problem::internal(error.to_string()),
            },
            Failure::Recording(error) => error.into(),
            Failure::Stopped(Stopped::Deadline) => Problem::deadline(deadline),
            Failure::Stopped(Stopped::Cancelled) => self.stopping(),
        }
    }
}
