//! Making an index and bringing it up to date: recordings and a tagger in, the file out.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::UNIX_EPOCH;

use half::f16;

use super::file::{IndexFile, IndexInfo, Recording, Writer};
use super::unit;
use crate::audio::Source;
use crate::tagger::{RunEvent, RunOptions, SegmentScores, Tagger};
use crate::{Error, Result};

/// How an index is made.
#[derive(Clone, Copy, Debug)]
pub struct UpdateOptions<'a> {
    /// The number of worker threads.
    pub jobs: NonZeroUsize,
    /// When this becomes true, no further recording is heard; the index is written with what is there,
    /// and the next update goes on.
    pub stop: Option<&'a AtomicBool>,
}

/// What happens during an update.
#[derive(Debug)]
pub enum UpdateEvent<'a> {
    /// So much is to be done.
    Planned {
        /// Recordings that stay as they are.
        n_kept: usize,
        /// Recordings that are new or have changed.
        n_to_hear: usize,
        /// Whether the index was of another model or other segments, so that everything is heard again.
        rebuilt: bool,
    },
    /// A recording was heard.
    Heard {
        /// Its path below the folder.
        path: &'a Path,
    },
    /// A recording cannot be heard; it is not in the index.
    Failed {
        /// Its path below the folder.
        path: &'a Path,
        /// Why.
        error: Error,
    },
}

/// What an update did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UpdateSummary {
    /// Recordings that stayed as they were.
    pub n_kept: usize,
    /// Recordings that were not in the index before.
    pub n_added: usize,
    /// Recordings that had changed and were heard again.
    pub n_changed: usize,
    /// Recordings that were in the index and are no longer there.
    pub n_dropped: usize,
    /// Recordings that cannot be heard.
    pub n_failed: usize,
    /// Segments in the index now.
    pub n_rows: usize,
    /// Whether it was stopped before everything was heard.
    pub stopped: bool,
}

/// What becomes of a recording.
enum Plan {
    /// Its rows in the old index.
    Keep(Range<usize>),
    Hear {
        is_new: bool,
    },
}

/// Writes the index of `recordings`, paths below the folder `root`, to `path`.
///
/// Where an index of the same model and segments is there already, recordings whose size and time of
/// change are the same keep their rows. `model_sha256` is the SHA-256 of the tagger's bundle.
///
/// # Errors
/// [`Error::Index`] if `path` is a file that is no index (it is not overwritten) or nothing can be
/// indexed, [`Error::Io`] if files cannot be read or written, [`Error::Shape`] for a network without
/// embeddings. Recordings that cannot be heard are events.
pub fn update(
    path: &Path,
    root: &Path,
    recordings: &[PathBuf],
    (tagger, model_sha256): (&Tagger, &str),
    options: &UpdateOptions<'_>,
    on_event: &mut dyn FnMut(UpdateEvent<'_>),
) -> Result<UpdateSummary> {
    let info = IndexInfo::new(&tagger.metadata().name, model_sha256, tagger.segment());
    let old = match path.exists() {
        true => Some(IndexFile::open(path)?),
        false => None,
    };
    let (comparable, rebuilt) = match old {
        Some(old) if old.info().is_comparable(&info) => (Some(old), false),
        Some(_) => (None, true),
        None => (None, false),
    };
    let mut update = Update {
        writer: Writer::new(path, info, root)?,
        plan: Vec::new(),
        next: 0,
        open: Vec::new(),
        summary: UpdateSummary::default(),
        old: comparable,
    };
    let failed = update.make_plan(root, recordings);
    let n_to_hear = update.to_hear().count();
    on_event(UpdateEvent::Planned {
        n_kept: update.plan.len() - n_to_hear,
        n_to_hear,
        rebuilt,
    });
    for (path, error) in failed {
        update.summary.n_failed += 1;
        on_event(UpdateEvent::Failed { path: &path, error });
    }
    update.hear(root, tagger, options, on_event)?;
    update.finish(path)
}

struct Update {
    old: Option<IndexFile>,
    writer: Writer,
    plan: Vec<(Recording, Plan)>,
    /// The first entry of the plan that is not done.
    next: usize,
    /// Times and values of the segments of the recording that is being heard.
    open: Vec<((f64, f64), Vec<u8>)>,
    summary: UpdateSummary,
}

impl Update {
    /// Compares what is there with the old index. Returns what cannot even be looked at.
    fn make_plan(&mut self, root: &Path, recordings: &[PathBuf]) -> Vec<(PathBuf, Error)> {
        let mut known: HashMap<&Path, (&Recording, Range<usize>)> = HashMap::new();
        if let Some(old) = &self.old {
            known.extend(
                ranges(old)
                    .into_iter()
                    .zip(old.recordings())
                    .map(|(rows, recording)| (recording.path.as_path(), (recording, rows))),
            );
        }
        let n_known = known.len();
        let (mut n_found, mut failed) = (0, Vec::new());
        for path in recordings {
            let now = match stat(root, path) {
                Ok(now) => now,
                Err(error) => {
                    failed.push((path.clone(), error));
                    continue;
                }
            };
            let before = known.get(path.as_path());
            n_found += usize::from(before.is_some());
            let plan = match before {
                Some((recording, rows)) if **recording == now && rows.start < rows.end => {
                    Plan::Keep(rows.clone())
                }
                before => Plan::Hear {
                    is_new: before.is_none(),
                },
            };
            self.plan.push((now, plan));
        }
        self.summary.n_dropped = n_known - n_found;
        failed
    }

    /// The positions in the plan of what is to be heard.
    fn to_hear(&self) -> impl Iterator<Item = usize> {
        self.plan
            .iter()
            .enumerate()
            .filter(|(_, (_, plan))| matches!(plan, Plan::Hear { .. }))
            .map(|(at, _)| at)
    }

    fn hear(
        &mut self,
        root: &Path,
        tagger: &Tagger,
        options: &UpdateOptions<'_>,
        on_event: &mut dyn FnMut(UpdateEvent<'_>),
    ) -> Result<()> {
        let heard: Vec<usize> = self.to_hear().collect();
        let sources: Vec<Source> = heard
            .iter()
            .map(|at| Source::Path(root.join(&self.plan[*at].0.path)))
            .collect();
        let run = RunOptions {
            jobs: options.jobs,
            timeline: true,
            stop: options.stop,
            ..RunOptions::default()
        };
        tagger.run(sources.into_iter(), &run, |event| match event {
            RunEvent::Opened { .. } => {
                self.open.clear();
                Ok(())
            }
            RunEvent::Segment { segment, .. } => self.segment(&segment),
            RunEvent::Finished { input, .. } => {
                let at = heard[input];
                self.keep_until(at)?;
                self.write_heard(at)?;
                let path = &self.plan[at].0.path;
                on_event(UpdateEvent::Heard { path });
                Ok(())
            }
            RunEvent::Failed { input, error } => {
                self.summary.n_failed += 1;
                self.open.clear();
                let path = &self.plan[heard[input]].0.path;
                on_event(UpdateEvent::Failed { path, error });
                Ok(())
            }
        })?;
        self.summary.stopped = options
            .stop
            .is_some_and(|stop| stop.load(Ordering::Relaxed));
        self.keep_until(self.plan.len())
    }

    fn segment(&mut self, segment: &SegmentScores) -> Result<()> {
        if segment.embedding.is_empty() {
            return Err(Error::Shape {
                what: "embedding".to_owned(),
                found: "none".to_owned(),
                expected: "a network with an embedding".to_owned(),
            });
        }
        let values = unit(&segment.embedding)
            .into_iter()
            .flat_map(|value| f16::from_f32(value).to_le_bytes())
            .collect();
        self.open
            .push(((segment.start_secs, segment.end_secs), values));
        Ok(())
    }

    /// Writes what was heard of an entry of the plan.
    fn write_heard(&mut self, at: usize) -> Result<()> {
        let (recording, plan) = &self.plan[at];
        match plan {
            Plan::Hear { is_new: true } => self.summary.n_added += 1,
            _ => self.summary.n_changed += 1,
        }
        self.writer.recording(recording.clone());
        for (times, values) in self.open.drain(..) {
            self.writer.row(times, &values)?;
        }
        self.next = at + 1;
        Ok(())
    }

    /// Copies the kept recordings before an entry of the plan, so that the order stays.
    fn keep_until(&mut self, end: usize) -> Result<()> {
        for at in std::mem::replace(&mut self.next, end)..end {
            let (recording, Plan::Keep(rows)) = &self.plan[at] else {
                continue;
            };
            let Some(old) = &self.old else { continue };
            self.writer.recording(recording.clone());
            self.summary.n_kept += 1;
            let mut values = vec![0; old.info().dim * 2];
            for row in rows.clone() {
                old.read_rows(row, &mut values)?;
                let place = old.rows()[row];
                self.writer
                    .row((place.start_secs, place.end_secs), &values)?;
            }
        }
        Ok(())
    }

    fn finish(mut self, path: &Path) -> Result<UpdateSummary> {
        self.summary.n_rows = self.writer.n_rows();
        if self.summary.n_rows == 0 {
            return Err(Error::Index {
                name: path.display().to_string(),
                reason: "nothing to index: no recording could be heard".to_owned(),
            });
        }
        self.writer.finish()?;
        Ok(self.summary)
    }
}

/// The rows of each recording of an index; rows that do not lie together count as none, so that such a
/// recording is heard again.
fn ranges(index: &IndexFile) -> Vec<Range<usize>> {
    let mut ranges = vec![0..0; index.recordings().len()];
    for (at, row) in index.rows().iter().enumerate() {
        let range = &mut ranges[row.recording as usize];
        if range.start == range.end {
            *range = at..at + 1;
        } else if range.end == at {
            range.end += 1;
        }
    }
    ranges
}

/// A recording's size and time of change.
fn stat(root: &Path, path: &Path) -> Result<Recording> {
    let metadata = fs_err::metadata(root.join(path))?;
    let modified = metadata.modified().unwrap_or(UNIX_EPOCH);
    let since = modified.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(Recording {
        path: path.to_owned(),
        size: metadata.len(),
        modified_ns: i64::try_from(since.as_nanos()).unwrap_or(i64::MAX),
    })
}
