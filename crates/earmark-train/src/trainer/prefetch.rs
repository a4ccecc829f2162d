//! Makes batches ahead of time on a thread of its own.

use std::sync::mpsc::sync_channel;

use earmark::{Error, Result};

use crate::source::{Batch, Batches};

/// Batches that may wait to be used.
const N_AHEAD: usize = 2;

/// Hands the batches of an epoch to `consume` in order, until it returns `false`.
///
/// # Errors
/// The first error of making or consuming a batch.
pub(super) fn for_each_batch(
    batches: &dyn Batches,
    epoch: usize,
    plan: &[Vec<usize>],
    mut consume: impl FnMut(usize, Batch) -> Result<bool>,
) -> Result<()> {
    let (sender, receiver) = sync_channel::<Result<Batch>>(N_AHEAD);
    std::thread::scope(|scope| {
        std::thread::Builder::new()
            .name("batches".to_owned())
            .spawn_scoped(scope, move || {
                for clips in plan {
                    let batch = batches.batch(epoch, clips);
                    let failed = batch.is_err();
                    if sender.send(batch).is_err() || failed {
                        return;
                    }
                }
            })
            .map_err(Error::Io)?;
        for (index, batch) in receiver.into_iter().enumerate() {
            if !consume(index, batch?)? {
                break;
            }
        }
        Ok(())
    })
}
