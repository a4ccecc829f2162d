//! Cuts what was heard out of a recording: one WAV file per tag and stretch.
//!
//! The recording is decoded a second time, at its own rate, so that a clip sounds as the recording
//! does, and memory does not grow with the length of either.

use std::fs::File;
use std::io::{BufWriter, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use earmark::audio::{AudioStream, Channels, OpenOptions, Truncated, wav};

use crate::inputs::Input;
use crate::output::Row;

/// Where clips go and how recordings are opened for them.
#[derive(Debug, Clone)]
pub(crate) struct SaveClips {
    pub(crate) folder: PathBuf,
    pub(crate) channels: Channels,
    pub(crate) truncated: Truncated,
}

/// A stretch to cut.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stretch {
    start_secs: f64,
    end_secs: f64,
    /// Counted from 0.
    channel: usize,
    class: String,
    score: f32,
}

impl Stretch {
    /// The stretches of a row: one per tag.
    pub(crate) fn of<'a>(
        row: &'a Row,
        names: &'a earmark::dataset::Vocabulary,
    ) -> impl Iterator<Item = Self> {
        row.tags.iter().map(|tag| Self {
            start_secs: row.start_secs,
            end_secs: row.end_secs,
            channel: row.channel.map_or(0, |channel| channel - 1),
            class: names.name(tag.class).to_owned(),
            score: tag.score,
        })
    }

    /// `CLASS/RECORDING_START-END_SCORE.wav`, with the channel where it matters.
    fn file(&self, input: &Input, several_channels: bool) -> PathBuf {
        let mut name = input
            .place
            .as_os_str()
            .to_string_lossy()
            .replace(['/', '\\'], "_");
        name.push_str(&format!("_{:.3}-{:.3}", self.start_secs, self.end_secs));
        if several_channels {
            name.push_str(&format!("_channel{}", self.channel + 1));
        }
        name.push_str(&format!("_{:.3}.wav", self.score));
        Path::new(&file_name(&self.class)).join(name)
    }
}

/// A class' name as the name of a folder on any system.
fn file_name(class: &str) -> String {
    let replaced = |c: char| match c {
        '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|' => '_',
        c if c.is_control() => '_',
        c => c,
    };
    let name: String = class.chars().map(replaced).collect();
    match name.trim_matches(['.', ' ']) {
        "" => "_".to_owned(),
        name => name.to_owned(),
    }
}

impl SaveClips {
    /// Cuts stretches out of a recording.
    pub(crate) fn save(&self, input: &Input, mut stretches: Vec<Stretch>) -> anyhow::Result<()> {
        if stretches.is_empty() {
            return Ok(());
        }
        stretches.sort_by(|a, b| b.start_secs.total_cmp(&a.start_secs));
        let options = OpenOptions {
            channels: self.channels,
            truncated: self.truncated,
            ..OpenOptions::default()
        };
        let mut stream = AudioStream::open(input.source(), &options)?;
        let rate = stream.sample_rate();
        let several_channels = self.channels == Channels::Each;
        let mut open: Vec<Clip> = Vec::new();
        let mut at: u64 = 0;
        while let Some(block) = stream.next_block()? {
            let end = at + block.n_samples() as u64;
            let begins = |stretch: &Stretch| samples(stretch.start_secs, rate) < end;
            while stretches.last().is_some_and(begins) {
                let Some(stretch) = stretches.pop() else {
                    break;
                };
                let path = self.folder.join(stretch.file(input, several_channels));
                open.push(Clip::create(&path, &stretch, rate)?);
            }
            for clip in &mut open {
                clip.write(at, block.channel(clip.channel))?;
            }
            let (over, rest) = open.into_iter().partition(|clip| clip.end <= end);
            open = rest;
            let over: Vec<Clip> = over;
            over.into_iter().try_for_each(Clip::finish)?;
            at = end;
            if open.is_empty() && stretches.is_empty() {
                break;
            }
        }
        // The last stretch may end some samples later than the recording: rates differ.
        open.into_iter().try_for_each(Clip::finish)
    }
}

fn samples(secs: f64, rate: u32) -> u64 {
    (secs * f64::from(rate)).round() as u64
}

/// A clip being written: mono WAV of 32-bit float samples, which no recording exceeds.
struct Clip {
    writer: BufWriter<File>,
    name: String,
    rate: u32,
    channel: usize,
    start: u64,
    end: u64,
    n_written: u64,
}

impl Clip {
    fn create(path: &Path, stretch: &Stretch, rate: u32) -> anyhow::Result<Self> {
        let name = path.display().to_string();
        let folder = path.parent().unwrap_or(path);
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot create the folder {}", folder.display()))?;
        let file = File::create(path).with_context(|| format!("cannot write {name}"))?;
        let mut writer = BufWriter::new(file);
        writer.write_all(&wav::float_header(rate, 0))?;
        Ok(Self {
            writer,
            name,
            rate,
            channel: stretch.channel,
            start: samples(stretch.start_secs, rate),
            end: samples(stretch.end_secs, rate),
            n_written: 0,
        })
    }

    /// Writes what this block of the recording, which begins at sample `at`, has of the clip.
    fn write(&mut self, at: u64, block: &[f32]) -> anyhow::Result<()> {
        let within = |sample: u64| (sample.saturating_sub(at) as usize).min(block.len());
        for sample in &block[within(self.start)..within(self.end)] {
            self.writer
                .write_all(&sample.to_le_bytes())
                .with_context(|| format!("cannot write {}", self.name))?;
            self.n_written += 1;
        }
        Ok(())
    }

    fn finish(mut self) -> anyhow::Result<()> {
        self.writer
            .flush()
            .with_context(|| format!("cannot write {}", self.name))?;
        let mut file = self
            .writer
            .into_inner()
            .map_err(std::io::IntoInnerError::into_error)?;
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&wav::float_header(self.rate, self.n_written))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn class_names_become_folders_anywhere() {
        assert_eq!(file_name("Music/Song: a?"), "Music_Song_ a_");
        assert_eq!(file_name("Engine."), "Engine");
        assert_eq!(file_name(".."), "_");
    }
}
