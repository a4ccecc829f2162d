//! `earmark index`: a folder of sounds in, the file of their embeddings out.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use earmark::digest::sha256_of_bytes;
use earmark::search::{UpdateEvent, UpdateOptions, UpdateSummary, update};
use earmark::tagger::{RunOptions, Tagger, TaggerOptions};

use super::Outcome;
use super::bundle::ModelStore;
use crate::errors::Hinted;
use crate::inputs::Inputs;
use crate::interrupt;
use crate::model::{self, RuntimeArg};
use crate::printer::Printer;
use crate::recordings::CuttingArgs;

/// The arguments of `earmark index`.
#[derive(Debug, Args)]
pub(crate) struct IndexArgs {
    /// The folder, searched recursively.
    #[arg(value_name = "DIR")]
    folder: PathBuf,

    /// The index. One that is there already is brought up to date: new and changed recordings are
    /// heard, vanished ones dropped.
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,

    /// The model: a bundle's file, or the name of a fetched one.
    #[arg(long, short, value_name = "FILE|NAME")]
    model: Option<PathBuf>,

    #[command(flatten)]
    store: ModelStore,

    #[command(flatten)]
    cutting: CuttingArgs,

    /// The number of worker threads; one per core unless given.
    #[arg(long, short, value_name = "N")]
    jobs: Option<NonZeroUsize>,

    /// What runs the network.
    #[arg(long, value_enum, default_value = "auto")]
    runtime: RuntimeArg,
}

impl IndexArgs {
    /// Makes the index or brings it up to date.
    pub(crate) fn run(&self, printer: &Printer) -> anyhow::Result<Outcome> {
        earmark::audio::silence_decoder_panics();
        if !self.folder.is_dir() {
            anyhow::bail!("{} is no folder", self.folder.display());
        }
        let bundle = model::open(self.model.as_deref(), &self.store)?;
        let options = TaggerOptions {
            runtime: self.runtime.into(),
            window_secs: self.cutting.window,
            hop_secs: self.cutting.hop,
            ..TaggerOptions::default()
        };
        let tagger = Tagger::from_bundle(&bundle, &options)?;
        if tagger.metadata().tensors.embedding.is_none() {
            return Err(no_embedding());
        }
        let sha256 = sha256_of_bytes(bundle.bytes());
        let inputs = Inputs::expand(std::slice::from_ref(&self.folder))?;
        for unreadable in &inputs.unreadable {
            printer.failure(&unreadable.path, &unreadable.reason);
        }
        let places: Vec<PathBuf> = inputs
            .recordings
            .iter()
            .map(|input| input.place.clone())
            .collect();
        let options = UpdateOptions {
            jobs: self.jobs.unwrap_or(RunOptions::default().jobs),
            stop: Some(interrupt::stop_flag()?),
        };
        let begun = Instant::now();
        let mut done = 0;
        let summary = update(
            &self.output,
            &std::path::absolute(&self.folder)?,
            &places,
            (&tagger, &sha256),
            &options,
            &mut |event| {
                self.tell(event, printer);
                done += 1;
                printer.progress(done, "recordings");
            },
        )?;
        printer.end_progress();
        printer.note(sentence(&summary, begun.elapsed().as_secs_f64()));
        Ok(match summary {
            summary if summary.stopped => Outcome::Interrupted,
            summary if summary.n_failed + inputs.unreadable.len() > 0 => Outcome::SomeFailed,
            _ => Outcome::Done,
        })
    }

    fn tell(&self, event: UpdateEvent<'_>, printer: &Printer) {
        match event {
            UpdateEvent::Planned {
                n_to_hear, rebuilt, ..
            } => {
                if rebuilt {
                    printer.note(
                        "the index is of another model or other segments: everything is heard again",
                    );
                }
                printer.start_progress(n_to_hear as u64, "indexing");
            }
            UpdateEvent::Heard { .. } => {}
            UpdateEvent::Failed { path, error } => {
                let path = self.folder.join(path);
                let message = error.to_string();
                // The library names the absolute path; the user's is printed before it.
                let reason = message
                    .split_once(": ")
                    .filter(|(name, _)| name.ends_with(&*path.to_string_lossy()))
                    .map_or(message.as_str(), |(_, reason)| reason);
                printer.failure(&path, reason);
            }
        }
    }
}

/// What is said of a network that has no embedding.
pub(super) fn no_embedding() -> anyhow::Error {
    Hinted::error(
        "this model gives no embedding",
        "its metadata names none of the graph's outputs as `embedding`",
    )
}

fn sentence(summary: &UpdateSummary, secs: f64) -> String {
    let heard = summary.n_added + summary.n_changed;
    let mut text = format!(
        "{} recordings, {} segments: {} new, {} changed, {} kept, {} dropped",
        summary.n_kept + heard,
        summary.n_rows,
        summary.n_added,
        summary.n_changed,
        summary.n_kept,
        summary.n_dropped
    );
    if summary.n_failed > 0 {
        text.push_str(&format!(", {} failed", summary.n_failed));
    }
    if summary.stopped {
        text.push_str("; stopped, the next run goes on");
    } else if heard > 0 {
        text.push_str(&format!(" ({secs:.1} s)"));
    }
    text
}
