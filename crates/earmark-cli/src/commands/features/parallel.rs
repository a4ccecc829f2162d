//! Work over a list on several threads, its results on the calling one.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;

/// Does `work` for every number below `n_items` until `stop` is set, and hands each result to `done`
/// as it comes. At most two results per thread wait for `done`.
///
/// # Errors
/// The first error of `done`; work that has begun is finished and dropped.
pub(super) fn for_each<T: Send>(
    n_items: usize,
    jobs: NonZeroUsize,
    stop: &AtomicBool,
    work: impl Fn(usize) -> T + Sync,
    mut done: impl FnMut(usize, T) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let next = AtomicUsize::new(0);
    let failed = AtomicBool::new(false);
    let jobs = jobs.get().min(n_items.max(1));
    std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel(jobs);
        for _ in 0..jobs {
            let sender = sender.clone();
            let (next, failed, work) = (&next, &failed, &work);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) && !failed.load(Ordering::Relaxed) {
                    let item = next.fetch_add(1, Ordering::Relaxed);
                    if item >= n_items || sender.send((item, work(item))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        for (item, result) in receiver {
            if let Err(error) = done(item, result) {
                failed.store(true, Ordering::Relaxed);
                return Err(error);
            }
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1);

    #[test]
    fn every_item_is_done_once() {
        let stop = AtomicBool::new(false);
        let mut seen = Vec::new();
        let work = |item: usize| item * item;
        for_each(50, TWO, &stop, work, |item, square| {
            seen.push((item, square));
            Ok(())
        })
        .unwrap();
        seen.sort_unstable();
        assert_eq!(seen, (0..50).map(|i| (i, i * i)).collect::<Vec<_>>());
    }

    #[test]
    fn stopping_and_failing_end_the_work() {
        let stop = AtomicBool::new(true);
        for_each(
            50,
            TWO,
            &stop,
            |_| (),
            |_, ()| anyhow::bail!("none was to begin"),
        )
        .unwrap();
        let stop = AtomicBool::new(false);
        let n_done = AtomicUsize::new(0);
        let work = |_| n_done.fetch_add(1, Ordering::Relaxed);
        let error = for_each(10_000, TWO, &stop, work, |_, _| anyhow::bail!("full"));
        assert_eq!(error.unwrap_err().to_string(), "full");
        assert!(n_done.load(Ordering::Relaxed) < 10_000);
    }
}
