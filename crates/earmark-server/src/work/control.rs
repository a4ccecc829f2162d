//! When work has to stop: the client is gone, the server ends, or the time is up.

use std::time::Instant;

use tokio_util::sync::{CancellationToken, DropGuard};

/// Why work was stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stopped {
    /// Nobody waits for the result any more.
    Cancelled,
    /// The deadline has passed.
    Deadline,
}

/// Shared by the one who waits for some work and the thread that does it.
#[derive(Debug, Clone)]
pub(crate) struct Control {
    token: CancellationToken,
    deadline: Instant,
}

impl Control {
    /// Work that ends at `deadline`, or when `parent` is cancelled.
    pub(crate) fn new(parent: &CancellationToken, deadline: Instant) -> Self {
        Self {
            token: parent.child_token(),
            deadline,
        }
    }

    pub(crate) fn cancel(&self) {
        self.token.cancel();
    }

    /// Cancels the work when it is dropped.
    pub(crate) fn guard(&self) -> DropGuard {
        self.token.clone().drop_guard()
    }

    /// # Errors
    /// When the work has to stop.
    pub(crate) fn check(&self) -> Result<(), Stopped> {
        if self.token.is_cancelled() {
            return Err(Stopped::Cancelled);
        }
        if Instant::now() >= self.deadline {
            return Err(Stopped::Deadline);
        }
        Ok(())
    }

    /// Ends when the work has to stop.
    pub(crate) async fn stopped(&self) -> Stopped {
        tokio::select! {
            () = self.token.cancelled() => Stopped::Cancelled,
            () = tokio::time::sleep_until(self.deadline.into()) => Stopped::Deadline,
        }
    }
}
