//! `earmark review`: a workbench for the labels of a data set, in the browser.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;
use earmark::dataset::Manifest;
use earmark::runtime::RuntimeChoice;
use earmark::tagger::{RunEvent, RunOptions, Tagger, TaggerOptions};
use earmark_server::review::{ClipScores, Evidence, Review, read_scores};

use super::Outcome;
use super::serve::{ListenArgs, config, serve};
use crate::commands::bundle::ModelStore;
use crate::interrupt;
use crate::model::{self, RuntimeArg};
use crate::printer::Printer;

/// The arguments of `earmark review`.
#[derive(Debug, Args)]
pub(crate) struct ReviewArgs {
    /// The data set: a folder in any layout that `earmark dataset` reads, or a table of clips.
    #[arg(value_name = "DIR|CSV")]
    dataset: PathBuf,

    /// A training run whose clips were scored by models that had not seen them (`scores.csv`, or
    /// those of the folds): labels that they do not believe come first.
    #[arg(long, value_name = "RUN")]
    run: Option<PathBuf>,

    /// A model to hear the clips with: what sounds alike, and without --run scores too.
    #[arg(long, short, value_name = "FILE|NAME")]
    model: Option<PathBuf>,

    #[command(flatten)]
    store: ModelStore,

    /// What runs the network: ONNX Runtime where its library is found, or the built-in one.
    #[arg(long, value_enum, default_value = "auto")]
    runtime: RuntimeArg,

    /// Where the reviewed table is written [default: the data set's name with `.reviewed.csv`].
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Where decisions are kept, one per line, and taken up again [default: the data set's name with
    /// `.review.jsonl`].
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,

    #[command(flatten)]
    listen: ListenArgs,
}

impl ReviewArgs {
    /// Opens the data set and serves the workbench until Ctrl-C or SIGTERM; then writes the table.
    pub(crate) fn run(self, printer: &Printer) -> anyhow::Result<Outcome> {
        let manifest = Manifest::open(&self.dataset)?;
        let mut evidence = Evidence::default();
        if let Some(model) = &self.model {
            let Some(heard) = self.hear(model, &manifest, printer)? else {
                return Ok(Outcome::Interrupted);
            };
            evidence = heard;
        }
        if let Some(run) = &self.run {
            let shown = run.display();
            let scores = read_scores(run).with_context(|| format!("no scores in {shown}"))?;
            evidence.scores = Some(scores);
        }
        let beside = |ending| beside(&self.dataset, ending);
        let log = self
            .log
            .clone()
            .map_or_else(|| beside(".review.jsonl"), Ok)?;
        let output = self
            .output
            .clone()
            .map_or_else(|| beside(".reviewed.csv"), Ok)?;
        let review = Arc::new(Review::open(&manifest, evidence, log, output)?);
        let (n_clips, n_decided) = review.counts();
        printer.note(format!("{n_decided} of {n_clips} clips are decided"));
        let config = config(&self.listen, None)?;
        let outcome = serve(config, Vec::new(), Some(Arc::clone(&review)), None, printer)?;
        let (path, n_written) = review.write()?;
        printer.note(format!("wrote {n_written} clips to {}", path.display()));
        Ok(outcome)
    }

    /// Hears every clip with a model; `None` when the user stopped it.
    fn hear(
        &self,
        model: &Path,
        manifest: &Manifest,
        printer: &Printer,
    ) -> anyhow::Result<Option<Evidence>> {
        earmark::audio::silence_decoder_panics();
        let bundle = model::open(Some(model), &self.store)?;
        let options = TaggerOptions {
            runtime: RuntimeChoice::from(self.runtime),
            ..TaggerOptions::default()
        };
        let tagger = Tagger::from_bundle(&bundle, &options)?;
        let names = tagger.vocabulary().names().map(str::to_owned).collect();
        let mut scores = ClipScores::new(names);
        let mut embeddings = vec![None; manifest.clips.len()];
        // Models hear files; a stretch of one has no scores of its own.
        let whole = manifest.clips.iter().enumerate();
        let whole: Vec<usize> = whole
            .filter_map(|(index, clip)| clip.stretch_secs.is_none().then_some(index))
            .collect();
        let mut n_done = 0;
        printer.start_progress(whole.len() as u64, "heard");
        let stop = interrupt::stop_flag()?;
        let options = RunOptions {
            stop: Some(stop),
            ..RunOptions::default()
        };
        let sources = whole
            .iter()
            .map(|&clip| (&manifest.clips[clip].path).into());
        let heard = tagger.run(sources, &options, |event| -> anyhow::Result<()> {
            match event {
                RunEvent::Finished { input, clips, .. } => {
                    let index = whole[input];
                    if let Some(clip) = clips.into_iter().next() {
                        scores.insert(manifest.clips[index].name.clone(), clip.scores);
                        embeddings[index] = Some(clip.embedding).filter(|e| !e.is_empty());
                    }
                    n_done += 1;
                }
                RunEvent::Failed { input, error } => {
                    printer.failure(&manifest.clips[whole[input]].path, &error.to_string());
                    n_done += 1;
                }
                RunEvent::Opened { .. } | RunEvent::Segment { .. } => {}
            }
            printer.progress(n_done, "");
            Ok(())
        });
        printer.end_progress();
        heard?;
        let was_stopped = stop.load(std::sync::atomic::Ordering::Relaxed);
        Ok((!was_stopped).then_some(Evidence {
            scores: Some(scores),
            embeddings,
        }))
    }
}

/// A file beside the data set, called like it.
fn beside(dataset: &Path, ending: &str) -> anyhow::Result<PathBuf> {
    let whole = std::path::absolute(dataset)?;
    let name = whole
        .file_name()
        .context("the data set has no name; give --log and --output")?;
    let mut file = OsString::from(name);
    file.push(ending);
    Ok(whole.with_file_name(file))
}
