//! An upload that is heard while it comes in: pieces of bytes from the network, a reader for the
//! decoder.

use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use tokio::sync::mpsc::Receiver;

use super::control::{Control, Stopped};
use super::gate::Slot;

/// A piece of an upload.
#[derive(Debug)]
pub(crate) enum Chunk {
    /// The next bytes.
    Data(Bytes),
    /// The upload is complete. A channel that closes without it was cut.
    End,
}

/// Reads an upload; gives its slot away while it waits for the network.
pub(crate) struct ChunkReader {
    chunks: Receiver<Chunk>,
    current: Bytes,
    ended: bool,
    slot: Arc<Slot>,
    control: Control,
    idle: Duration,
}

impl ChunkReader {
    pub(crate) fn new(
        chunks: Receiver<Chunk>,
        slot: Arc<Slot>,
        control: Control,
        idle: Duration,
    ) -> Self {
        Self {
            chunks,
            current: Bytes::new(),
            ended: false,
            slot,
            control,
            idle,
        }
    }

    fn next(&mut self) -> io::Result<Option<Chunk>> {
        if let Ok(chunk) = self.chunks.try_recv() {
            return Ok(Some(chunk));
        }
        let (chunks, control, idle) = (&mut self.chunks, &self.control, self.idle);
        self.slot.wait(async {
            tokio::select! {
                chunk = tokio::time::timeout(idle, chunks.recv()) => {
                    chunk.map_err(|_| io::Error::new(
                        io::ErrorKind::TimedOut,
                        format!("nothing came for {} s", idle.as_secs_f32()),
                    ))
                }
                stopped = control.stopped() => Err(io::Error::other(match stopped {
                    Stopped::Cancelled => "the work was cancelled",
                    Stopped::Deadline => "the deadline has passed",
                })),
            }
        })
    }
}

impl Read for ChunkReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            if self.ended {
                return Ok(0);
            }
            match self.next()? {
                Some(Chunk::Data(bytes)) => self.current = bytes,
                Some(Chunk::End) => self.ended = true,
                None => {
                    let kind = io::ErrorKind::ConnectionAborted;
                    return Err(io::Error::new(kind, "the upload broke off"));
                }
            }
        }
        let n = buffer.len().min(self.current.len());
        self.current.copy_to_slice(&mut buffer[..n]);
        Ok(n)
    }
}
