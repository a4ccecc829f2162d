//! A clip to hear and to see: decoded by the library, so that the browser need not know its format.

use std::path::Path;

use earmark::audio::{AudioStream, Channels, Limits, OpenOptions, wav};
use earmark::hear::{Painter, Picture};

use super::control::Control;
use super::gate::Slot;
use super::hear::Failure;

/// The longest sound that is sent to a page, in seconds.
const MAX_SECS: f64 = 900.0;

/// The rate of what is sent in Hz.
const RATE: u32 = 32_000;

/// Columns of a picture.
const COLUMNS: usize = 1_500;

/// Where a clip lies.
pub(crate) struct Place {
    pub(crate) path: std::path::PathBuf,
    pub(crate) stretch_secs: Option<(f64, f64)>,
    pub(crate) limits: Limits,
}

impl Place {
    /// The clip as a 16-bit mono WAV file.
    pub(crate) fn wav(&self, slot: &Slot, control: &Control) -> Result<Vec<u8>, Failure> {
        let mut samples = Vec::new();
        self.read(slot, control, |block| {
            samples.extend(
                block
                    .iter()
                    .map(|s| (s.clamp(-1.0, 1.0) * 32_767.0).round() as i16),
            );
        })?;
        Ok(wav::pcm16(&samples, RATE))
    }

    /// The clip's spectrogram and waveform.
    pub(crate) fn picture(&self, slot: &Slot, control: &Control) -> Result<Vec<Picture>, Failure> {
        let secs = match self.stretch_secs {
            Some((start, end)) => Some(end - start),
            None => self.open(&self.path)?.info().duration_secs,
        };
        let mut painter = Painter::new(RATE, secs, COLUMNS)?;
        let mut outcome = Ok(());
        self.read(slot, control, |block| {
            if outcome.is_ok() {
                outcome = painter.push(block);
            }
        })?;
        outcome?;
        Ok(painter.finish().into_iter().collect())
    }

    fn open(&self, path: &Path) -> Result<AudioStream, Failure> {
        let options = OpenOptions {
            sample_rate: Some(RATE),
            channels: Channels::Mix,
            limits: self.limits,
            ..OpenOptions::default()
        };
        Ok(AudioStream::open(path, &options)?)
    }

    /// Hands the samples of the stretch to `take`.
    fn read(
        &self,
        slot: &Slot,
        control: &Control,
        mut take: impl FnMut(&[f32]),
    ) -> Result<(), Failure> {
        let (start, end) = self.stretch_secs.unwrap_or((0.0, f64::INFINITY));
        let in_samples = |secs: f64| (secs * f64::from(RATE)).round() as usize;
        let (first, last) = (in_samples(start), in_samples(end.min(start + MAX_SECS)));
        let mut stream = self.open(&self.path)?;
        let mut at = 0;
        while at < last {
            control.check()?;
            slot.give_way();
            let Some(block) = stream.next_block()? else {
                return Ok(());
            };
            let samples = block.mono();
            let from = first.saturating_sub(at).min(samples.len());
            let to = (last - at).min(samples.len());
            if from < to {
                take(&samples[from..to]);
            }
            at += samples.len();
        }
        Ok(())
    }
}
