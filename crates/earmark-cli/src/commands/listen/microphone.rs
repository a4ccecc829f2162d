//! The microphone: the computer's default input as a stream of WAV, through cpal.

use std::collections::VecDeque;
use std::io::Read;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use cpal::traits::{DeviceTrait as _, HostTrait as _, StreamTrait as _};
use cpal::{FromSample, Sample, SampleFormat, SizedSample};
use earmark::audio::wav::{self, Coding};

/// Seconds of sound that wait while the rest is busy; older sound is dropped.
const WAITING_SECS: usize = 10;

/// How long the microphone may be silent in the sense of giving nothing at all: it was unplugged.
const STALL: Duration = Duration::from_secs(5);

/// What the device's thread and ours share.
#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    comes: Condvar,
}

#[derive(Default)]
struct State {
    bytes: VecDeque<u8>,
    error: Option<String>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Bytes stay bytes, whatever panicked meanwhile.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The default microphone as a WAV stream without end.
pub(super) struct Microphone {
    shared: Arc<Shared>,
    /// Ends the thread that keeps the device open when it is dropped.
    _keep: std::sync::mpsc::Sender<()>,
}

/// Opens the default microphone.
///
/// # Errors
/// When there is none, or it gives no numbers that are understood.
pub(super) fn open() -> anyhow::Result<Microphone> {
    let shared = Arc::new(Shared::default());
    let (keep, kept) = std::sync::mpsc::channel();
    let (ready_to, ready) = std::sync::mpsc::channel();
    let theirs = Arc::clone(&shared);
    // A device's stream stays on the thread that made it.
    std::thread::spawn(move || {
        let stream = start(&theirs);
        let is_open = stream.is_ok();
        let (stream, said) = match stream {
            Ok(stream) => (Some(stream), Ok(())),
            Err(error) => (None, Err(error)),
        };
        if ready_to.send(said).is_ok() && is_open {
            // Nothing is ever sent: this ends when the reader is dropped.
            let _ = kept.recv();
        }
        drop(stream);
    });
    ready.recv().context("the microphone's thread ended")??;
    Ok(Microphone {
        shared,
        _keep: keep,
    })
}

fn start(shared: &Arc<Shared>) -> anyhow::Result<cpal::Stream> {
    let device = cpal::default_host()
        .default_input_device()
        .context("no microphone was found")?;
    let config = device
        .default_input_config()
        .context("the microphone does not say what it gives")?;
    let (rate, n_channels) = (config.sample_rate(), config.channels());
    shared
        .lock()
        .bytes
        .extend(wav::endless_header(rate, n_channels, Coding::F32));
    let stream = match config.sample_format() {
        SampleFormat::F32 => build::<f32>(&device, &config, shared),
        SampleFormat::I16 => build::<i16>(&device, &config, shared),
        SampleFormat::U16 => build::<u16>(&device, &config, shared),
        SampleFormat::I32 => build::<i32>(&device, &config, shared),
        other => anyhow::bail!("the microphone gives {other}, expected 16- or 32-bit samples"),
    }?;
    stream.play().context("the microphone does not start")?;
    Ok(stream)
}

fn build<T>(
    device: &cpal::Device,
    config: &cpal::SupportedStreamConfig,
    shared: &Arc<Shared>,
) -> anyhow::Result<cpal::Stream>
where
    T: SizedSample,
    f32: FromSample<T>,
{
    let frame = usize::from(config.channels()) * 4;
    let most = config.sample_rate() as usize * frame * WAITING_SECS;
    let (to, failed) = (Arc::clone(shared), Arc::clone(shared));
    let stream = device.build_input_stream(
        &config.config(),
        move |samples: &[T], _: &cpal::InputCallbackInfo| {
            let mut state = to.lock();
            // Whole frames only, so that channels stay apart.
            if state.bytes.len() + samples.len() * 4 > most {
                let excess = (state.bytes.len() / 2 / frame) * frame;
                state.bytes.drain(..excess);
            }
            for sample in samples {
                state.bytes.extend(f32::from_sample(*sample).to_le_bytes());
            }
            drop(state);
            to.comes.notify_one();
        },
        move |error| {
            failed.lock().error = Some(error.to_string());
            failed.comes.notify_one();
        },
        None,
    );
    stream.context("the microphone cannot be opened")
}

impl Read for Microphone {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let mut state = self.shared.lock();
        while state.bytes.is_empty() {
            if let Some(error) = state.error.take() {
                return Err(std::io::Error::other(error));
            }
            let (next, waited) = self
                .shared
                .comes
                .wait_timeout(state, STALL)
                .unwrap_or_else(PoisonError::into_inner);
            state = next;
            if waited.timed_out() && state.bytes.is_empty() {
                let said = "the microphone gives nothing any more";
                return Err(std::io::Error::new(std::io::ErrorKind::TimedOut, said));
            }
        }
        let n = buffer.len().min(state.bytes.len());
        for (place, byte) in buffer.iter_mut().zip(state.bytes.drain(..n)) {
            *place = byte;
        }
        Ok(n)
    }
}
