//! Runs that survive a kill: finished recordings as parts on disk, a journal of them, and the merge
//! at the end.
//!
//! `PATH.partial/` holds `journal.jsonl` and one part per finished recording. A part has the
//! recording's rows before they take a format, so that the merge writes the very bytes that an
//! unbroken run writes, in any format. The journal's first line says with what settings the run was
//! begun; each further line names a finished recording with its size, its time of change, and its
//! part's length and digest. A line that a kill cut short is not a line.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use earmark::digest::{hex, sha256_of_bytes};
use earmark::tagger::Tag;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::inputs::Input;
use crate::journal::{Journal, Settings, Stamp, json_line, unhex};
use crate::output::{Row, Subject};

/// The parts of an unfinished run.
pub(crate) struct Partial {
    folder: PathBuf,
    journal: Journal,
    finished: HashMap<Vec<u8>, Entry>,
    n_parts: u64,
    /// The part in work.
    part: Option<Part>,
}

struct Part {
    name: String,
    writer: BufWriter<File>,
    digest: Sha256,
    n_bytes: u64,
}

/// A finished recording.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Entry {
    /// The path's bytes in hexadecimal: it may not be text.
    path: String,
    #[serde(flatten)]
    stamp: Stamp,
    part: String,
    part_bytes: u64,
    part_sha256: String,
}

/// A row in a part.
#[derive(Serialize, Deserialize)]
struct PartRow {
    channel: Option<usize>,
    start_secs: f64,
    end_secs: f64,
    tags: Vec<(usize, f32)>,
    embedding: Vec<f32>,
}

impl Partial {
    /// Opens `PATH.partial/`, or creates it.
    ///
    /// # Errors
    /// When another run is using it, or it was begun with other settings.
    pub(crate) fn open(output: &Path, settings: Settings) -> anyhow::Result<Self> {
        let folder = folder_for(output);
        let shown = folder.display().to_string();
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {shown}"))?;
        let path = folder.join("journal.jsonl");
        let start_again = start_again(&folder);
        let (journal, lines) = Journal::open(&path, settings, &shown, start_again)?;
        let mut partial = Self {
            folder,
            journal,
            finished: HashMap::new(),
            n_parts: 0,
            part: None,
        };
        partial
            .take_in(&lines)
            .with_context(|| format!("cannot resume from {shown}"))?;
        Ok(partial)
    }

    /// Whether this recording's rows are there already.
    ///
    /// # Errors
    /// When the file has changed since.
    pub(crate) fn has(&self, input: &Input) -> anyhow::Result<bool> {
        let Some(entry) = self.finished.get(key(input)) else {
            return Ok(false);
        };
        let start_again = start_again(&self.folder);
        entry.stamp.still_fits(&input.path, "tagged", &start_again)
    }

    /// Begins a recording's part.
    pub(crate) fn begin(&mut self, subject: &Subject) -> anyhow::Result<()> {
        let name = format!("{:08}.jsonl", self.n_parts);
        let path = self.folder.join(&name);
        let file =
            File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        let mut part = Part {
            name,
            writer: BufWriter::new(file),
            digest: Sha256::new(),
            n_bytes: 0,
        };
        part.line(subject)?;
        self.n_parts += 1;
        self.part = Some(part);
        Ok(())
    }

    /// Adds a row to the part.
    pub(crate) fn row(&mut self, row: &Row) -> anyhow::Result<()> {
        let Some(part) = &mut self.part else {
            return Ok(());
        };
        part.line(&PartRow {
            channel: row.channel,
            start_secs: row.start_secs,
            end_secs: row.end_secs,
            tags: row.tags.iter().map(|tag| (tag.class, tag.score)).collect(),
            embedding: row.embedding.clone(),
        })
    }

    /// Completes the part and writes it into the journal; or drops it.
    pub(crate) fn end(&mut self, input: &Input, complete: bool) -> anyhow::Result<()> {
        let Some(mut part) = self.part.take() else {
            return Ok(());
        };
        part.writer.flush()?;
        if !complete {
            let _ = std::fs::remove_file(self.folder.join(&part.name));
            return Ok(());
        }
        let entry = Entry {
            path: hex(key(input)),
            stamp: Stamp::of(&input.path)?,
            part: part.name,
            part_bytes: part.n_bytes,
            part_sha256: hex(&part.digest.finalize()),
        };
        self.journal.append(&entry)?;
        self.finished.insert(key(input).to_vec(), entry);
        Ok(())
    }

    /// Gives the rows of a finished recording to `sink`.
    pub(crate) fn replay(
        &self,
        input: &Input,
        mut sink: impl FnMut(&Subject, &Row) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let Some(entry) = self.finished.get(key(input)) else {
            return Ok(());
        };
        let path = self.folder.join(&entry.part);
        let context = || path.display().to_string();
        let mut lines = BufReader::new(File::open(&path).with_context(context)?).lines();
        let first = lines.next().transpose()?.unwrap_or_default();
        let subject: Subject = serde_json::from_str(&first).with_context(context)?;
        for line in lines {
            let row: PartRow = serde_json::from_str(&line?).with_context(context)?;
            let tags = row
                .tags
                .iter()
                .map(|&(class, score)| Tag { class, score })
                .collect();
            let row = Row {
                channel: row.channel,
                start_secs: row.start_secs,
                end_secs: row.end_secs,
                tags,
                embedding: row.embedding,
            };
            sink(&subject, &row)?;
        }
        Ok(())
    }

    /// Whether a recording's rows are there to be merged.
    pub(crate) fn is_finished(&self, input: &Input) -> bool {
        self.finished.contains_key(key(input))
    }

    /// Removes parts and journal after the merge.
    pub(crate) fn remove(self) -> anyhow::Result<()> {
        drop(self.journal);
        std::fs::remove_dir_all(&self.folder)
            .with_context(|| format!("cannot remove {}", self.folder.display()))
    }

    fn take_in(&mut self, lines: &[Vec<u8>]) -> anyhow::Result<()> {
        for (index, line) in lines.iter().enumerate() {
            let entry: Entry =
                serde_json::from_slice(line).with_context(|| self.journal.place(index))?;
            let number = entry
                .part
                .split('.')
                .next()
                .and_then(|name| name.parse::<u64>().ok());
            self.n_parts = self.n_parts.max(number.map_or(0, |number| number + 1));
            if self.is_whole(&entry) {
                self.finished.insert(unhex(&entry.path), entry);
            }
        }
        Ok(())
    }

    /// Whether the part is as it was written: a power cut can lose what a kill cannot.
    fn is_whole(&self, entry: &Entry) -> bool {
        std::fs::read(self.folder.join(&entry.part)).is_ok_and(|bytes| {
            bytes.len() as u64 == entry.part_bytes && sha256_of_bytes(&bytes) == entry.part_sha256
        })
    }
}

impl Part {
    fn line(&mut self, value: &impl Serialize) -> anyhow::Result<()> {
        let line = json_line(value)?;
        self.digest.update(&line);
        self.n_bytes += line.len() as u64;
        Ok(self.writer.write_all(&line)?)
    }
}

/// Advice for those who do not want to go on.
pub(crate) fn start_again(folder: &Path) -> String {
    format!("remove {} to start again", folder.display())
}

/// `PATH.partial` beside the output, also when that is a folder with a slash at its end.
pub(crate) fn folder_for(output: &Path) -> PathBuf {
    let mut name = output.components().collect::<PathBuf>().into_os_string();
    name.push(".partial");
    PathBuf::from(name)
}

fn key(input: &Input) -> &[u8] {
    input.path.as_os_str().as_encoded_bytes()
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;

    use super::*;

    fn settings(top: u64) -> Settings {
        let mut settings = Settings::new();
        settings.insert("top".to_owned(), top.into());
        settings
    }

    fn row(score: f32) -> Row {
        Row {
            channel: None,
            start_secs: 0.1,
            end_secs: 10.0,
            tags: vec![Tag { class: 3, score }],
            embedding: vec![score, -score],
        }
    }

    const SUBJECT: Subject = Subject {
        start: None,
        highest_hz: 16_000.0,
    };

    /// An output path and a recording beside it.
    fn place() -> (tempfile::TempDir, PathBuf, Input) {
        let folder = tempfile::tempdir().unwrap();
        let recording = folder.path().join("a.wav");
        std::fs::write(&recording, b"sound").unwrap();
        let input = crate::inputs::Inputs::expand(&[recording])
            .unwrap()
            .recordings
            .remove(0);
        let output = folder.path().join("out.csv");
        (folder, output, input)
    }

    fn finish(output: &Path, input: &Input) {
        let mut partial = Partial::open(output, settings(5)).unwrap();
        partial.begin(&SUBJECT).unwrap();
        partial.row(&row(0.123_456_79)).unwrap();
        partial.end(input, true).unwrap();
    }

    #[test]
    fn finished_recordings_are_found_again_with_the_same_rows() {
        let (_folder, output, input) = place();
        finish(&output, &input);
        let journal = folder_for(&output).join("journal.jsonl");
        let mut file = OpenOptions::new().append(true).open(&journal).unwrap();
        file.write_all(b"{\"path\":\"cut sho").unwrap();
        let partial = Partial::open(&output, settings(5)).unwrap();
        assert!(partial.has(&input).unwrap());
        let mut rows = Vec::new();
        partial
            .replay(&input, |subject, row| {
                assert_eq!(subject, &SUBJECT);
                rows.push(row.clone());
                Ok(())
            })
            .unwrap();
        assert_eq!(rows, [row(0.123_456_79)]);
        partial.remove().unwrap();
        assert!(!folder_for(&output).exists());
    }

    #[test]
    fn other_settings_and_changed_files_are_errors() {
        let (_folder, output, input) = place();
        finish(&output, &input);
        let error = Partial::open(&output, settings(3)).err().unwrap();
        assert!(format!("{error:#}").ends_with("it was begun with top = 5, this run has 3"));
        let partial = Partial::open(&output, settings(5)).unwrap();
        std::fs::write(&input.path, b"another sound").unwrap();
        let error = partial.has(&input).unwrap_err().to_string();
        assert!(
            error.ends_with("a.wav: has changed since it was tagged"),
            "{error}"
        );
    }

    #[test]
    fn a_damaged_part_is_done_again() {
        let (_folder, output, input) = place();
        finish(&output, &input);
        std::fs::write(folder_for(&output).join("00000000.jsonl"), b"").unwrap();
        let partial = Partial::open(&output, settings(5)).unwrap();
        assert!(!partial.has(&input).unwrap());
    }

    #[test]
    fn two_runs_do_not_share_parts() {
        let (_folder, output, _) = place();
        let _first = Partial::open(&output, settings(5)).unwrap();
        let error = Partial::open(&output, settings(5))
            .err()
            .unwrap()
            .to_string();
        assert!(error.ends_with("another run is writing to it"), "{error}");
    }
}
