//! One array of all clips of a data set, and one of their labels.
//!
//! ```text
//! samples.npy   [clip, frame, band], or [clip, frame, band, channel] with several channels, f32
//! labels.npy    [clip, class], 0 or 1, f32
//! classes.csv   index and name of every class        clips.csv   what every row is
//! ```
//!
//! Every clip is written to its place in the file as soon as it is computed and then forgotten: the
//! array may be larger than the memory. Until all of it is there it is called `samples.npy.partial`,
//! and a journal says which rows it has.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use anyhow::Context as _;
use earmark::audio;
use earmark::bundle::write_atomically;
use earmark::dataset::{Clip, Manifest};
use earmark::features::Features;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::listen::seed_of;
use super::{JOURNAL, Job, each, parallel};
use crate::commands::Outcome;
use crate::errors::Hinted;
use crate::interrupt;
use crate::journal::{Journal, Settings};
use crate::output::npy::{self, Order};
use crate::printer::Printer;

/// A row that is in the file.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Entry {
    row: usize,
}

/// Writes the arrays of a data set.
pub(super) fn run(
    job: &Job,
    data: &Path,
    mut settings: Settings,
    printer: &Printer,
) -> anyhow::Result<Outcome> {
    let manifest = open(data, printer)?;
    let clips: Vec<usize> = manifest.labelled().map(|(at, _)| at).collect();
    let clip = |row: usize| &manifest.clips[clips[row]];
    settings.insert("data".to_owned(), json!(manifest.digest()));
    fs_err::create_dir_all(&job.output)?;
    let path = job.output.join(JOURNAL);
    let owner = job.output.display().to_string();
    let start_again = format!("remove {} to start again", path.display());
    let (mut journal, lines) = Journal::open(&path, settings, &owner, start_again)?;
    let size = size_of_first(job, (0..clips.len()).map(clip))?;
    let mut stack = Stack::open(job, clips.len(), size)?;
    let mut finished = HashSet::new();
    for (index, line) in lines.iter().enumerate().filter(|_| stack.continues) {
        let entry: Entry = serde_json::from_slice(line).with_context(|| journal.place(index))?;
        finished.insert(entry.row);
    }
    let todo: Vec<usize> = (0..clips.len())
        .filter(|row| !finished.contains(row))
        .collect();
    let stop = interrupt::stop_flag()?;
    let (n_before, mut n_failed) = (finished.len(), 0);
    printer.start_progress(todo.len() as u64, "computing");
    let work = |index: usize| compute(job, clip(todo[index]), Some(size));
    parallel::for_each(todo.len(), job.jobs, stop, work, |index, features| {
        let row = todo[index];
        match features {
            Ok(features) => {
                stack.write(row, &features)?;
                journal.append(&Entry { row })?;
                finished.insert(row);
            }
            Err(error) => {
                let path = &clip(row).path;
                printer.failure(path, &each::reason(path, &error));
                n_failed += 1;
            }
        }
        let done = finished.len() - n_before + n_failed;
        printer.progress(done as u64, &clip(row).name);
        Ok(())
    })?;
    printer.end_progress();
    let rows: Vec<usize> = (0..clips.len())
        .filter(|row| finished.contains(row))
        .collect();
    if stop.load(Ordering::Relaxed) {
        printer.note(format!(
            "stacked {} of {} clips, interrupted; the same command goes on from here",
            rows.len(),
            clips.len()
        ));
        return Ok(Outcome::Interrupted);
    }
    stack.finish(&rows)?;
    let kept: Vec<&Clip> = rows.iter().map(|row| clip(*row)).collect();
    write_labels(job, &manifest, &kept)?;
    drop(journal);
    fs_err::remove_file(&path)?;
    let failed = if n_failed > 0 {
        format!(", {n_failed} failed and left out")
    } else {
        String::new()
    };
    printer.note(format!(
        "stacked {} of {} clips{failed}",
        rows.len(),
        clips.len()
    ));
    Ok(match n_failed {
        0 => Outcome::Done,
        _ => Outcome::SomeFailed,
    })
}

/// Reads the data set and says what is not there.
fn open(data: &Path, printer: &Printer) -> anyhow::Result<Manifest> {
    let mut manifest = Manifest::open(data)?;
    manifest.notes.iter().for_each(|note| printer.note(note));
    let n_missing = manifest.remove_missing().len();
    if n_missing > 0 {
        printer.note(format!(
            "{n_missing} listed files do not exist and are left out"
        ));
    }
    let n_labelled = manifest.labelled().count();
    let n_unknown = manifest.clips.len() - n_labelled;
    if n_labelled == 0 {
        return Err(Hinted::error(
            format!("{}: no clip with known labels", data.display()),
            "--stack writes labels too; leave it out for a file per recording",
        ));
    }
    if n_unknown > 0 {
        printer.note(format!(
            "{n_unknown} clips without known labels are left out"
        ));
    }
    Ok(manifest)
}

/// The size that every clip must have: `[frame, band, channel]` of the first one that can be heard.
fn size_of_first<'a>(
    job: &Job,
    clips: impl Iterator<Item = &'a Clip>,
) -> anyhow::Result<[usize; 3]> {
    let mut first_error = None;
    for clip in clips {
        match compute(job, clip, None) {
            Ok(features) => return Ok(size(&features)),
            Err(error) => {
                first_error.get_or_insert_with(|| error.context(clip.path.display().to_string()));
            }
        }
    }
    Err(first_error
        .unwrap_or_else(|| anyhow::anyhow!("no clips"))
        .context("no clip can be stacked"))
}

fn size(features: &Features) -> [usize; 3] {
    [features.n_frames, features.n_bands, features.n_channels]
}

/// A clip's features, of the size that is expected.
fn compute(job: &Job, clip: &Clip, expected: Option<[usize; 3]>) -> anyhow::Result<Features> {
    let options = audio::OpenOptions {
        sample_rate: Some(job.front_end.sample_rate()),
        truncated: job.truncated,
        ..audio::OpenOptions::default()
    };
    let samples = clip.read(&options)?.samples;
    let seed = seed_of(job.seed, clip.name.as_bytes());
    let features = job.front_end.compute_seeded(&samples, seed)?;
    match expected {
        Some(expected) if size(&features) != expected => anyhow::bail!(
            "it has {} frames, the first clip has {}; a stack needs a front end with a fixed \
             length (`clip.length`, or the step `fixed-frames`)",
            features.n_frames,
            expected[0]
        ),
        _ => Ok(features),
    }
}

/// `samples.npy` while it is written.
struct Stack {
    file: File,
    partial: PathBuf,
    target: PathBuf,
    size: [usize; 3],
    /// Whether rows of an earlier run are in it.
    continues: bool,
}

impl Stack {
    fn open(job: &Job, n_rows: usize, size: [usize; 3]) -> anyhow::Result<Self> {
        let target = job.output.join("samples.npy");
        let partial = job.output.join("samples.npy.partial");
        let context = || format!("cannot write {}", partial.display());
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false);
        let file = options.open(&partial).with_context(context)?;
        let stack = Self {
            continues: false,
            file,
            partial: partial.clone(),
            target,
            size,
        };
        let length = stack.place(n_rows);
        let continues = stack.file.metadata()?.len() == length;
        stack.file.set_len(length).with_context(context)?;
        Ok(Self { continues, ..stack })
    }

    fn row_bytes(&self) -> u64 {
        4 * self.size.iter().product::<usize>() as u64
    }

    /// Where a row begins in the file.
    fn place(&self, row: usize) -> u64 {
        npy::HEADER_LEN as u64 + row as u64 * self.row_bytes()
    }

    /// Writes a clip as `[frame, band, channel]`.
    fn write(&mut self, row: usize, features: &Features) -> anyhow::Result<()> {
        let [n_frames, n_bands, n_channels] = self.size;
        let mut bytes = Vec::with_capacity(self.row_bytes() as usize);
        for frame in 0..n_frames {
            for band in 0..n_bands {
                for channel in 0..n_channels {
                    let value = features.row(channel, band)[frame];
                    bytes.extend_from_slice(&value.to_le_bytes());
                }
            }
        }
        self.put(row, &bytes)
    }

    fn put(&mut self, row: usize, bytes: &[u8]) -> anyhow::Result<()> {
        let place = self.place(row);
        let mut put = || {
            self.file.seek(SeekFrom::Start(place))?;
            self.file.write_all(bytes)
        };
        put().with_context(|| format!("cannot write {}", self.partial.display()))
    }

    /// Closes the gaps that failed clips left, and gives the file its name.
    fn finish(mut self, rows: &[usize]) -> anyhow::Result<()> {
        let mut bytes = vec![0; self.row_bytes() as usize];
        for (to, &from) in rows.iter().enumerate() {
            if to != from {
                self.file.seek(SeekFrom::Start(self.place(from)))?;
                self.file.read_exact(&mut bytes)?;
                self.put(to, &bytes)?;
            }
        }
        self.file.set_len(self.place(rows.len()))?;
        let mut shape = vec![rows.len() as u64];
        shape.extend(self.size.map(|length| length as u64));
        if self.size[2] == 1 {
            shape.pop();
        }
        self.file.seek(SeekFrom::Start(0))?;
        self.file
            .write_all(&npy::header("<f4", Order::LastFastest, &shape))?;
        self.file.sync_all()?;
        std::fs::rename(&self.partial, &self.target)
            .with_context(|| format!("cannot write {}", self.target.display()))
    }
}

/// Writes the labels and what classes and rows are.
fn write_labels(job: &Job, manifest: &Manifest, clips: &[&Clip]) -> anyhow::Result<()> {
    let vocabulary = &manifest.vocabulary;
    let shape = [clips.len() as u64, vocabulary.len() as u64];
    let mut labels = npy::header("<f4", Order::LastFastest, &shape);
    let mut rows = csv::Writer::from_writer(Vec::new());
    rows.write_record(["row", "clip", "labels", "split", "fold"])?;
    for (row, clip) in clips.iter().enumerate() {
        let present = clip.labels.as_deref().unwrap_or_default();
        for class in 0..vocabulary.len() {
            let value = f32::from(u8::from(present.contains(&class)));
            labels.extend_from_slice(&value.to_le_bytes());
        }
        let names: Vec<&str> = present
            .iter()
            .map(|class| vocabulary.name(*class))
            .collect();
        let fold = clip.fold.map(|fold| fold.to_string()).unwrap_or_default();
        let row = row.to_string();
        rows.write_record([
            row.as_str(),
            &clip.name,
            &names.join(","),
            clip.split.as_str(),
            &fold,
        ])?;
    }
    let mut classes = csv::Writer::from_writer(Vec::new());
    classes.write_record(["index", "name"])?;
    for (index, name) in vocabulary.names().enumerate() {
        classes.write_record([index.to_string().as_str(), name])?;
    }
    write_atomically(&job.output.join("labels.npy"), &labels)?;
    write_atomically(&job.output.join("clips.csv"), &rows.into_inner()?)?;
    Ok(write_atomically(
        &job.output.join("classes.csv"),
        &classes.into_inner()?,
    )?)
}
