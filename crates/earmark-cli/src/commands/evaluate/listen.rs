//! Clips in, the tagger's scores out, on many threads; what cannot be heard is reported.

use std::io::{Cursor, Read};
use std::num::NonZeroUsize;

use earmark::audio::{OpenOptions, Source};
use earmark::dataset::Clip;
use earmark::tagger::{RunEvent, RunOptions, Tagger};

use crate::interrupt;
use crate::printer::Printer;

/// What the tagger says of clips.
pub(super) struct Heard {
    /// Positions in the list of clips that could be heard, ascending.
    pub(super) clips: Vec<usize>,
    /// Their scores, `[clip, class]`.
    pub(super) scores: Vec<f32>,
    /// How many could not be heard; each was reported.
    pub(super) n_failed: usize,
    /// Whether the user stopped the run.
    pub(super) stopped: bool,
}

/// Hears clips, the same way as `earmark tag` does.
pub(super) fn listen(
    tagger: &Tagger,
    clips: &[&Clip],
    jobs: NonZeroUsize,
    printer: &Printer,
) -> anyhow::Result<Heard> {
    let stop = interrupt::stop_flag()?;
    let options = RunOptions {
        jobs,
        timeline: false,
        stop: Some(stop),
    };
    let mut heard = Heard {
        clips: vec![],
        scores: vec![],
        n_failed: 0,
        stopped: false,
    };
    printer.start_progress(clips.len() as u64, "listening");
    // Events come in the order of the sources, so the lists stay sorted.
    tagger.run(clips.iter().map(|clip| source(clip)), &options, |event| {
        match event {
            RunEvent::Finished {
                input,
                clips: channels,
                ..
            } => {
                heard.clips.push(input);
                heard
                    .scores
                    .extend(channels.iter().take(1).flat_map(|channel| &channel.scores));
            }
            RunEvent::Failed { input, error } => {
                printer.failure(&clips[input].path, &own_reason(clips[input], &error));
                heard.n_failed += 1;
            }
            RunEvent::Opened { .. } | RunEvent::Segment { .. } => return anyhow::Ok(()),
        }
        printer.progress((heard.clips.len() + heard.n_failed) as u64, "clips");
        Ok(())
    })?;
    printer.end_progress();
    heard.stopped = stop.load(std::sync::atomic::Ordering::Relaxed);
    Ok(heard)
}

/// The reason without the path that the printer puts before it.
fn own_reason(clip: &Clip, error: &earmark::Error) -> String {
    let message = error.to_string();
    let prefix = format!("{}: ", clip.path.display());
    message.strip_prefix(&prefix).unwrap_or(&message).to_owned()
}

/// The whole file, or its stretch as a WAV file in memory, decoded when it is first read.
fn source(clip: &Clip) -> Source {
    match clip.stretch_secs {
        None => Source::Path(clip.path.clone()),
        Some(_) => Source::Reader {
            name: clip.path.display().to_string(),
            reader: Box::new(Stretch {
                clip: clip.clone(),
                wav: None,
            }),
        },
    }
}

struct Stretch {
    clip: Clip,
    wav: Option<Cursor<Vec<u8>>>,
}

impl Read for Stretch {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.wav.is_none() {
            let waveform = self
                .clip
                .read(&OpenOptions::default())
                .map_err(std::io::Error::other)?;
            self.wav = Some(Cursor::new(float_wav(
                &waveform.samples,
                waveform.sample_rate,
            )));
        }
        match &mut self.wav {
            Some(wav) => wav.read(buffer),
            None => Ok(0),
        }
    }
}

/// A mono WAV file of 32-bit floats.
fn float_wav(samples: &[f32], sample_rate: u32) -> Vec<u8> {
    wav(
        sample_rate,
        3,
        4,
        samples.iter().flat_map(|x| x.to_le_bytes()).collect(),
    )
}

/// A mono WAV file of 16-bit integers.
pub(super) fn integer_wav(samples: &[f32], sample_rate: u32) -> Vec<u8> {
    let word = |x: &f32| ((x * 32_767.0).round().clamp(-32_768.0, 32_767.0) as i16).to_le_bytes();
    wav(sample_rate, 1, 2, samples.iter().flat_map(word).collect())
}

fn wav(sample_rate: u32, format: u16, n_bytes: u16, data: Vec<u8>) -> Vec<u8> {
    // Clips of hours do not fit a RIFF size; readers take the largest one as "until the end".
    let size = u32::try_from(data.len() + 36).unwrap_or(u32::MAX);
    let mut file = Vec::with_capacity(data.len() + 44);
    file.extend_from_slice(b"RIFF");
    file.extend_from_slice(&size.to_le_bytes());
    file.extend_from_slice(b"WAVEfmt \x10\0\0\0");
    file.extend_from_slice(&format.to_le_bytes());
    file.extend_from_slice(&1_u16.to_le_bytes());
    file.extend_from_slice(&sample_rate.to_le_bytes());
    file.extend_from_slice(&(sample_rate * u32::from(n_bytes)).to_le_bytes());
    file.extend_from_slice(&n_bytes.to_le_bytes());
    file.extend_from_slice(&(n_bytes * 8).to_le_bytes());
    file.extend_from_slice(b"data");
    file.extend_from_slice(&size.saturating_sub(36).to_le_bytes());
    file.extend_from_slice(&data);
    file
}
