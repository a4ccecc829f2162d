//! Saving what was heard: a minute of waveform is remembered, an event's part of it becomes a WAV file
//! in a folder that never grows beyond its limit.

use std::collections::{BTreeSet, VecDeque};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use earmark::audio::wav;
use earmark::dataset::Vocabulary;
use earmark::tagger::Event;
use jiff::Timestamp;

use crate::printer::Printer;

/// What is remembered, and the longest clip, in seconds.
const MEMORY_SECS: f64 = 60.0;

/// The last minute of waveform.
pub(super) struct Recent {
    rate: u32,
    samples: VecDeque<f32>,
    /// The position of the first remembered sample, from the start of listening.
    first: u64,
}

impl Recent {
    pub(super) fn new(rate: u32) -> Self {
        Self {
            rate,
            samples: VecDeque::new(),
            first: 0,
        }
    }

    fn at(&self, secs: f64) -> u64 {
        (secs * f64::from(self.rate)).round() as u64
    }

    fn end(&self) -> u64 {
        self.first + self.samples.len() as u64
    }

    /// Takes a segment: what of it is new. What no segment covered is silence.
    pub(super) fn push(&mut self, start_secs: f64, samples: &[f32]) {
        let start = self.at(start_secs);
        let memory = (MEMORY_SECS * f64::from(self.rate)) as usize;
        if start > self.end() + memory as u64 {
            self.samples.clear();
            self.first = start;
        }
        while self.end() < start {
            self.samples.push_back(0.0);
        }
        let known = (self.end() - start) as usize;
        self.samples.extend(samples.iter().skip(known));
        let excess = self.samples.len().saturating_sub(memory);
        self.samples.drain(..excess);
        self.first += excess as u64;
    }

    /// What is remembered between two times.
    fn between(&self, start_secs: f64, end_secs: f64) -> Vec<f32> {
        let from = self.at(start_secs).saturating_sub(self.first) as usize;
        let to = self.at(end_secs).saturating_sub(self.first) as usize;
        let to = to.min(self.samples.len());
        self.samples.range(from.min(to)..to).copied().collect()
    }
}

/// A folder of clips.
pub(super) struct ClipFolder {
    folder: PathBuf,
    limit_bytes: u64,
    /// Events that go on and were saved already: class and start in milliseconds.
    saved: BTreeSet<(usize, u64)>,
}

impl ClipFolder {
    /// Makes the folder if it is not there.
    pub(super) fn open(folder: &Path, limit_bytes: u64) -> anyhow::Result<Self> {
        fs_err::create_dir_all(folder).context("cannot make the folder for clips")?;
        Ok(Self {
            folder: folder.to_owned(),
            limit_bytes,
            saved: BTreeSet::new(),
        })
    }

    /// Saves an event that is over, unless that was done when it got long. A failure is reported and
    /// listening goes on.
    pub(super) fn save(
        &mut self,
        event: &Event,
        vocabulary: &Vocabulary,
        recent: &Recent,
        printer: &Printer,
    ) -> Option<PathBuf> {
        if self.saved.remove(&key(event)) {
            return None;
        }
        self.write(event, vocabulary, recent)
            .map_err(|error| printer.failure(&self.folder, &format!("{error:#}")))
            .ok()
            .flatten()
    }

    /// Saves an event that has gone on for as long as is remembered.
    pub(super) fn save_if_long(
        &mut self,
        event: &Event,
        vocabulary: &Vocabulary,
        recent: &Recent,
        printer: &Printer,
    ) {
        let is_long = recent.end() >= recent.at(event.start_secs + MEMORY_SECS);
        if is_long && !self.saved.contains(&key(event)) {
            self.save(event, vocabulary, recent, printer);
            self.saved.insert(key(event));
        }
    }

    fn write(
        &self,
        event: &Event,
        vocabulary: &Vocabulary,
        recent: &Recent,
    ) -> anyhow::Result<Option<PathBuf>> {
        let samples = recent.between(event.start_secs, event.end_secs);
        if samples.is_empty() {
            return Ok(None);
        }
        let bytes = wav::integer(&samples, recent.rate);
        self.make_room(bytes.len() as u64)?;
        let time = Timestamp::now().strftime("%Y%m%dT%H%M%S.%3fZ");
        let class: String = vocabulary
            .name(event.class)
            .chars()
            .map(|c| if c.is_alphanumeric() { c } else { '_' })
            .collect();
        let name = format!("{time}_{class}_{:.3}.wav", event.score);
        let path = self.folder.join(name);
        earmark::bundle::write_atomically(&path, &bytes)?;
        Ok(Some(path))
    }

    /// Removes the oldest clips until so many bytes fit. Other files in the folder are left alone.
    fn make_room(&self, n_bytes: u64) -> anyhow::Result<()> {
        let mut clips = Vec::new();
        for entry in fs_err::read_dir(&self.folder)? {
            let entry = entry?;
            if is_clip(&entry.file_name().to_string_lossy()) {
                clips.push((entry.file_name(), entry.path(), entry.metadata()?.len()));
            }
        }
        // Names begin with the time.
        clips.sort();
        let mut total: u64 = clips.iter().map(|(_, _, len)| len).sum();
        for (_, path, len) in clips {
            if total + n_bytes <= self.limit_bytes {
                break;
            }
            fs_err::remove_file(path)?;
            total -= len;
        }
        Ok(())
    }
}

/// An event's identity while it goes on.
fn key(event: &Event) -> (usize, u64) {
    (event.class, (event.start_secs * 1000.0).round() as u64)
}

/// Whether a name is one that this module gives: `20260131T053000.123Z_CLASS_0.900.wav`.
fn is_clip(name: &str) -> bool {
    let bytes = name.as_bytes();
    let is_digit = |range: std::ops::Range<usize>| {
        bytes
            .get(range)
            .is_some_and(|bytes| bytes.iter().all(u8::is_ascii_digit))
    };
    let marks = [(8, b'T'), (15, b'.'), (19, b'Z'), (20, b'_')];
    is_digit(0..8)
        && is_digit(9..15)
        && is_digit(16..19)
        && marks.iter().all(|(at, mark)| bytes.get(*at) == Some(mark))
        && name.ends_with(".wav")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(start_secs: f64, end_secs: f64) -> Event {
        Event {
            class: 0,
            start_secs,
            end_secs,
            score: 0.9,
            n_segments: 1,
        }
    }

    #[test]
    fn overlapping_segments_are_remembered_once_and_for_a_minute() {
        let mut recent = Recent::new(10);
        // Segments of 4 s every second; sample n has the value n.
        for start in 0..200_u32 {
            let samples: Vec<f32> = (start * 10..start * 10 + 40).map(|n| n as f32).collect();
            recent.push(f64::from(start), &samples);
            assert!(recent.samples.len() <= 600);
        }
        let part = recent.between(150.0, 150.5);
        assert_eq!(part, [1500.0, 1501.0, 1502.0, 1503.0, 1504.0]);
        assert_eq!(recent.between(10.0, 11.0), Vec::<f32>::new());
        assert_eq!(recent.between(202.5, 300.0).len(), 5);
    }

    #[test]
    fn the_folder_stays_below_its_limit_and_other_files_stay() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("notes_0.9.wav"), vec![0; 5000])?;
        let vocabulary = Vocabulary::from_names(["Dog / bark"])?;
        let mut recent = Recent::new(1000);
        recent.push(0.0, &[0.25; 4000]);
        let printer = Printer::new(true);
        // Room for two clips of 2 s, 4044 bytes each.
        let mut clips = ClipFolder::open(folder.path(), 9000)?;
        let mut paths = Vec::new();
        for at in 0..5 {
            let saved = clips.save(&event(1.0, 3.0), &vocabulary, &recent, &printer);
            let path = saved.with_context(|| format!("clip {at}"))?;
            assert_eq!(std::fs::metadata(&path)?.len(), 4044);
            paths.push(path);
            std::thread::sleep(std::time::Duration::from_millis(3));
        }
        let there: Vec<bool> = paths.iter().map(|path| path.exists()).collect();
        assert_eq!(there, [false, false, false, true, true]);
        assert!(folder.path().join("notes_0.9.wav").exists());
        assert!(
            paths[4]
                .display()
                .to_string()
                .ends_with("_Dog___bark_0.900.wav")
        );
        Ok(())
    }

    #[test]
    fn a_long_event_is_saved_once() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let vocabulary = Vocabulary::from_names(["Rain"])?;
        let mut recent = Recent::new(10);
        let printer = Printer::new(true);
        let mut clips = ClipFolder::open(folder.path(), 1 << 20)?;
        for at in 0..100_u32 {
            recent.push(f64::from(at), &[0.5; 10]);
            let so_far = event(0.0, f64::from(at) + 1.0);
            clips.save_if_long(&so_far, &vocabulary, &recent, &printer);
        }
        assert!(
            clips
                .save(&event(0.0, 100.0), &vocabulary, &recent, &printer)
                .is_none()
        );
        assert_eq!(std::fs::read_dir(folder.path())?.count(), 1);
        assert!(clips.saved.is_empty());
        Ok(())
    }
}
