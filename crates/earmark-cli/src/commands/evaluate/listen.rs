//! Clips in, the tagger's scores out, on many threads; what cannot be heard is reported.

use std::io::{Cursor, Read};
use std::num::NonZeroUsize;
use std::path::Path;

use earmark::audio::wav;
use earmark::audio::{OpenOptions, Source};
use earmark::dataset::Clip;
use earmark::tagger::{RunEvent, RunOptions, SegmentScores, Tagger};

use crate::interrupt;
use crate::printer::Printer;

/// What the tagger says of clips.
pub(super) struct Heard {
    /// Positions in the list of clips that could be heard, ascending.
    pub(super) clips: Vec<usize>,
    /// Their scores, `[clip, class]`.
    pub(super) scores: Vec<f32>,
    /// Their segments, where they were to be kept; else empty.
    pub(super) segments: Vec<Vec<SegmentScores>>,
    /// How many could not be heard; each was reported.
    pub(super) n_failed: usize,
    /// Whether the user stopped the run.
    pub(super) stopped: bool,
}

/// Hears clips, the same way as `earmark tag` does; `keep_segments` when segments are wanted too.
pub(super) fn listen(
    tagger: &Tagger,
    clips: &[&Clip],
    jobs: NonZeroUsize,
    keep_segments: bool,
    printer: &Printer,
) -> anyhow::Result<Heard> {
    let stop = interrupt::stop_flag()?;
    let options = RunOptions {
        jobs,
        timeline: keep_segments,
        every_speed: keep_segments,
        stop: Some(stop),
    };
    let mut heard = Heard {
        clips: vec![],
        scores: vec![],
        segments: vec![],
        n_failed: 0,
        stopped: false,
    };
    let mut segments = Vec::new();
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
                if keep_segments {
                    heard.segments.push(std::mem::take(&mut segments));
                }
            }
            RunEvent::Failed { input, error } => {
                printer.failure(&clips[input].path, &own_reason(&clips[input].path, &error));
                heard.n_failed += 1;
                segments.clear();
            }
            RunEvent::Segment { segment, .. } => {
                segments.push(segment);
                return Ok(());
            }
            RunEvent::Opened { .. } => return anyhow::Ok(()),
        }
        printer.progress((heard.clips.len() + heard.n_failed) as u64, "clips");
        Ok(())
    })?;
    printer.end_progress();
    heard.stopped = stop.load(std::sync::atomic::Ordering::Relaxed);
    Ok(heard)
}

/// The reason without the path that the printer puts before it.
pub(super) fn own_reason(path: &Path, error: &earmark::Error) -> String {
    let message = error.to_string();
    let prefix = format!("{}: ", path.display());
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
            self.wav = Some(Cursor::new(wav::float(
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
