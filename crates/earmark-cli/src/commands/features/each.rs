//! A file per recording and format.
//!
//! The output folder mirrors the inputs: `DIR/birds/a.wav.npy` for `birds/a.wav` below a folder that
//! was named. Finished files are noted in a journal, so that the same command goes on where it was
//! stopped, and takes up new and changed recordings later.

use std::collections::{HashMap, HashSet};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;
use earmark::digest::hex;
use serde::{Deserialize, Serialize};

use super::arrays::{Npy, Npz};
use super::draw::{Drawing, Png};
use super::listen::{Heard, listen};
use super::table::FrameTable;
use super::{FeaturesArgs, Format, JOURNAL, Job, parallel};
use crate::commands::Outcome;
use crate::inputs::{self, Input, Inputs};
use crate::interrupt;
use crate::journal::{Journal, Stamp};
use crate::output::Destination;
use crate::printer::Printer;

/// Writes the features of one recording in one format.
pub(super) trait Writer {
    /// Adds frames.
    fn frames(&mut self, features: &earmark::features::Features) -> anyhow::Result<()>;

    /// Completes the file and gives it its name.
    fn finish(self: Box<Self>, heard: &Heard) -> anyhow::Result<()>;
}

/// A finished file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    /// The recording's path in hexadecimal: it may not be text.
    path: String,
    /// The file's path below the output folder, likewise.
    file: String,
    #[serde(flatten)]
    stamp: Stamp,
}

/// A recording and the formats that it still needs.
struct Task<'a> {
    input: &'a Input,
    files: Vec<(Format, PathBuf)>,
}

/// Writes the features of all recordings.
pub(super) fn run(
    job: &Job,
    args: &FeaturesArgs,
    drawing: Option<&Drawing>,
    printer: &Printer,
) -> anyhow::Result<Outcome> {
    let mut inputs = Inputs::expand(&args.inputs)?;
    give_distinct_places(&mut inputs.recordings);
    inputs::check_places(&inputs.recordings)?;
    std::fs::create_dir_all(&job.output)
        .with_context(|| format!("cannot create the folder {}", job.output.display()))?;
    let (mut journal, finished) = open_journal(job, args)?;
    for unreadable in &inputs.unreadable {
        printer.failure(&unreadable.path, &unreadable.reason);
    }
    let formats = args.formats();
    let tasks: Vec<Task<'_>> = inputs
        .recordings
        .iter()
        .map(|input| task(job, input, &formats, &finished))
        .filter(|task| !task.files.is_empty())
        .collect();
    let n_before = inputs.recordings.len() - tasks.len();
    let (mut n_done, mut n_failed) = (0, inputs.unreadable.len());
    let stop = interrupt::stop_flag()?;
    printer.start_progress(tasks.len() as u64, "computing");
    let work = |index: usize| write(job, &tasks[index], drawing, stop);
    parallel::for_each(tasks.len(), job.jobs, stop, work, |index, result| {
        let Task { input, files } = &tasks[index];
        match result {
            Ok(Some(heard)) => {
                if let Some(warning) = heard.warning {
                    printer.note(format!("{}: warning: {warning}", input.path.display()));
                }
                n_done += 1;
                note(job, &mut journal, input, files)?;
            }
            Ok(None) => return Ok(()),
            Err(error) if is_about_output(&error) => return Err(error),
            Err(error) => {
                printer.failure(&input.path, &reason(&input.path, &error));
                n_failed += 1;
            }
        }
        let name = input.path.file_name().unwrap_or_default();
        printer.progress((n_done + n_failed) as u64, &name.to_string_lossy());
        Ok(())
    })?;
    printer.end_progress();
    let interrupted = stop.load(Ordering::Relaxed);
    summary(printer, &inputs, [n_done, n_before, n_failed], interrupted);
    Ok(match (interrupted, n_failed) {
        (true, _) => Outcome::Interrupted,
        (false, 0) => Outcome::Done,
        _ => Outcome::SomeFailed,
    })
}

/// Files that were named one by one have their names as places, so that files of one name from
/// different folders would meet; they get their folders back.
fn give_distinct_places(recordings: &mut Vec<Input>) {
    let mut seen = HashSet::new();
    recordings.retain(|input| seen.insert(input.path.clone()));
    let mut n_at: HashMap<PathBuf, usize> = HashMap::new();
    for input in recordings.iter() {
        *n_at.entry(input.place.clone()).or_default() += 1;
    }
    for input in recordings {
        if n_at[&input.place] > 1 {
            let normal = |part: &Component<'_>| matches!(part, Component::Normal(_));
            input.place = input.path.components().filter(normal).collect();
        }
    }
}

fn open_journal(
    job: &Job,
    args: &FeaturesArgs,
) -> anyhow::Result<(Journal, HashMap<String, Entry>)> {
    let path = job.output.join(JOURNAL);
    let owner = job.output.display().to_string();
    let start_again = format!("remove {} to write everything again", path.display());
    let (journal, lines) = Journal::open(&path, args.settings(job)?, &owner, start_again)?;
    let mut finished = HashMap::new();
    for (index, line) in lines.iter().enumerate() {
        let entry: Entry = serde_json::from_slice(line).with_context(|| journal.place(index))?;
        finished.insert(entry.file.clone(), entry);
    }
    Ok((journal, finished))
}

/// The files of a recording that are not there yet, or are of an older state of it.
fn task<'a>(
    job: &Job,
    input: &'a Input,
    formats: &[Format],
    finished: &HashMap<String, Entry>,
) -> Task<'a> {
    let stamp = match input.is_stdin() {
        true => None,
        false => Stamp::of(&input.path).ok(),
    };
    let is_finished = |file: &Path| {
        let entry = finished.get(&hex(file.as_os_str().as_encoded_bytes()));
        let same = |entry: &Entry| {
            Some(&entry.stamp) == stamp.as_ref() && entry.path == path_key(&input.path)
        };
        entry.is_some_and(same) && job.output.join(file).is_file()
    };
    let files = formats.iter().map(|format| {
        let mut name = input.place.clone().into_os_string();
        name.push(".");
        name.push(format.extension());
        (*format, PathBuf::from(name))
    });
    Task {
        input,
        files: files.filter(|(_, file)| !is_finished(file)).collect(),
    }
}

/// An error of writing, after which nothing else can be written either.
#[derive(Debug)]
struct CannotWrite(String);

impl std::fmt::Display for CannotWrite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for CannotWrite {}

fn is_about_output(error: &anyhow::Error) -> bool {
    error.downcast_ref::<CannotWrite>().is_some()
}

fn cannot_write<T>(result: anyhow::Result<T>) -> anyhow::Result<T> {
    result.map_err(|error| {
        let is_io = error.chain().any(|cause| cause.is::<std::io::Error>());
        let text = format!("{error:#}");
        match is_io {
            true => error.context(CannotWrite(text)),
            false => error,
        }
    })
}

/// Computes a recording's features once for all its files.
fn write(
    job: &Job,
    task: &Task<'_>,
    drawing: Option<&Drawing>,
    stop: &AtomicBool,
) -> anyhow::Result<Option<Heard>> {
    let mut writers: Vec<Box<dyn Writer + '_>> = Vec::new();
    for (format, file) in &task.files {
        writers.push(cannot_write(writer(
            job, task.input, *format, file, drawing,
        ))?);
    }
    let name = task.input.place.as_os_str().as_encoded_bytes();
    let heard = listen(job, task.input.source(), name, stop, |features| {
        let mut writers = writers.iter_mut();
        cannot_write(writers.try_for_each(|writer| writer.frames(features)))
    })?;
    let Some(heard) = heard else {
        return Ok(None);
    };
    let mut writers = writers.into_iter();
    cannot_write(writers.try_for_each(|writer| writer.finish(&heard)))?;
    Ok(Some(heard))
}

fn writer<'a>(
    job: &Job,
    input: &Input,
    format: Format,
    file: &Path,
    drawing: Option<&'a Drawing>,
) -> anyhow::Result<Box<dyn Writer + 'a>> {
    let path = job.output.join(file);
    let folder = path.parent().unwrap_or(&job.output);
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot create the folder {}", folder.display()))?;
    let destination = Destination::file(&path)?;
    Ok(match (format, drawing) {
        (Format::Npy, _) => Box::new(Npy::new(destination, &job.front_end)?),
        (Format::Npz, _) => Box::new(Npz::new(destination, &job.front_end)?),
        (Format::Parquet, _) => Box::new(FrameTable::new(destination, job, &input.path)?),
        (Format::Png, Some(drawing)) => Box::new(Png::new(destination, drawing, &input.place)),
        (Format::Png, None) => anyhow::bail!("a picture needs to know its colours"),
    })
}

/// Writes finished files into the journal.
fn note(
    job: &Job,
    journal: &mut Journal,
    input: &Input,
    files: &[(Format, PathBuf)],
) -> anyhow::Result<()> {
    if input.is_stdin() {
        return Ok(());
    }
    for (_, file) in files {
        let entry = Entry {
            path: path_key(&input.path),
            file: hex(file.as_os_str().as_encoded_bytes()),
            stamp: Stamp::of(&input.path)?,
        };
        let context = || format!("cannot write {}", job.output.join(JOURNAL).display());
        journal.append(&entry).with_context(context)?;
    }
    Ok(())
}

fn path_key(path: &Path) -> String {
    hex(path.as_os_str().as_encoded_bytes())
}

/// Why a recording failed, without its name, which stands before it.
pub(super) fn reason(path: &Path, error: &anyhow::Error) -> String {
    if let Some(earmark::Error::Io(error)) = error.downcast_ref()
        && error.raw_os_error().is_some()
    {
        return inputs::reason(error);
    }
    let message = format!("{error:#}");
    let name = format!("{}: ", path.display());
    message.strip_prefix(&name).unwrap_or(&message).to_owned()
}

fn summary(
    printer: &Printer,
    inputs: &Inputs,
    [n_done, n_before, n_failed]: [usize; 3],
    interrupted: bool,
) {
    if let Some(skipped) = inputs.skipped() {
        printer.note(skipped);
    }
    let noun = if inputs.len() == 1 { "clip" } else { "clips" };
    let mut line = format!("computed {n_done} of {} {noun}", inputs.len());
    if n_before > 0 {
        line.push_str(&format!(", {n_before} were there"));
    }
    if n_failed > 0 {
        line.push_str(&format!(", {n_failed} failed"));
    }
    if interrupted {
        line.push_str(", interrupted; the same command goes on from here");
    }
    printer.note(line);
}
