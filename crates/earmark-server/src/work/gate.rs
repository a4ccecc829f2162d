//! Who may compute: as many at a time as there are workers, the others wait in the order in which
//! they came, and beyond the queue's length nobody is let in.
//!
//! Kernels run on the thread that calls them, so the number of slots is the number of busy cores. A
//! long recording gives its slot away every [`TURN`] if somebody waits, and work that waits for its
//! client holds none: short clips do not wait for long ones, nor anybody for slow uploads. A short clip
//! is done within its turn, so only as many of them are in memory as there are slots.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::control::{Control, Stopped};
use crate::metrics::Metrics;

/// How long a recording may be heard before it has to make room.
const TURN: Duration = Duration::from_millis(200);

/// The slots and the queue before them.
pub(crate) struct Gate {
    slots: Arc<Semaphore>,
    n_slots: usize,
    max_admitted: usize,
    admitted: AtomicUsize,
    waiting: AtomicUsize,
    metrics: Arc<Metrics>,
}

impl Gate {
    pub(crate) fn new(workers: usize, queue: usize, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self {
            slots: Arc::new(Semaphore::new(workers)),
            n_slots: workers,
            max_admitted: workers.saturating_add(queue),
            admitted: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            metrics,
        })
    }

    /// Whether [`Gate::admit`] would let somebody in.
    pub(crate) fn has_room(&self) -> bool {
        self.admitted.load(Ordering::Relaxed) < self.max_admitted
    }

    /// A place in the queue, or `None` when it is full.
    pub(crate) fn admit(self: &Arc<Self>) -> Option<Ticket> {
        let max = self.max_admitted;
        self.admitted
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| {
                (n < max).then_some(n + 1)
            })
            .ok()?;
        Some(Ticket(Arc::clone(self)))
    }

    /// When it may be worth coming back.
    pub(crate) fn retry_after(&self) -> Duration {
        let per_task = self.metrics.mean_work_secs();
        let n_tasks = self.admitted.load(Ordering::Relaxed) as f64;
        Duration::from_secs_f64((n_tasks * per_task / self.n_slots as f64).clamp(1.0, 60.0))
    }

    async fn acquire(&self) -> Option<OwnedSemaphorePermit> {
        let _waiting = Waiting::new(self);
        // The semaphore is never closed.
        Arc::clone(&self.slots).acquire_owned().await.ok()
    }
}

/// Counts a waiter, also one that gives up.
struct Waiting<'g>(&'g Gate);

impl<'g> Waiting<'g> {
    fn new(gate: &'g Gate) -> Self {
        gate.waiting.fetch_add(1, Ordering::Relaxed);
        gate.metrics.queue_depth.inc();
        Self(gate)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
        self.0.metrics.queue_depth.dec();
    }
}

/// A place in the queue, given back when dropped.
pub(crate) struct Ticket(Arc<Gate>);

impl Ticket {
    /// Waits for a slot.
    ///
    /// # Errors
    /// When the work has to stop before it began.
    pub(crate) async fn slot(self, control: &Control) -> Result<Slot, Stopped> {
        let permit = tokio::select! {
            biased;
            permit = self.0.acquire() => permit,
            stopped = control.stopped() => return Err(stopped),
        };
        Ok(Slot {
            ticket: self,
            permit: std::sync::Mutex::new(permit),
            since: std::sync::Mutex::new(Instant::now()),
            handle: Handle::current(),
        })
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.0.admitted.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The right to compute. Used by one thread at a time, outside of asynchronous code.
pub(crate) struct Slot {
    ticket: Ticket,
    permit: std::sync::Mutex<Option<OwnedSemaphorePermit>>,
    since: std::sync::Mutex<Instant>,
    handle: Handle,
}

impl Slot {
    /// Runs a future while others may compute.
    pub(crate) fn wait<F: Future>(&self, future: F) -> F::Output {
        self.pause();
        let output = self.handle.block_on(future);
        self.resume();
        output
    }

    /// Lets those who wait go first, once the turn is over.
    pub(crate) fn give_way(&self) {
        let is_over = lock(&self.since).elapsed() >= TURN;
        if is_over && self.ticket.0.waiting.load(Ordering::Relaxed) > 0 {
            self.pause();
            self.resume();
        }
    }

    fn pause(&self) {
        let permit = lock(&self.permit).take();
        if permit.is_some() {
            let busy = lock(&self.since).elapsed();
            self.ticket
                .0
                .metrics
                .busy_seconds
                .inc_by(busy.as_secs_f64());
        }
    }

    fn resume(&self) {
        let permit = self.handle.block_on(self.ticket.0.acquire());
        *lock(&self.permit) = permit;
        *lock(&self.since) = Instant::now();
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.pause();
    }
}

fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // What is inside is replaced as a whole, so a panic elsewhere leaves nothing half done.
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
