//! What `tag` and `embed` share: their common options, and the run from inputs to outputs.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use earmark::audio::Truncated;
use earmark::digest::sha256_of_bytes;
use earmark::results::{Content, RowMaker};
use earmark::tagger::{Channels, RunOptions, Tagger, TaggerOptions};
use serde_json::json;

use crate::commands::Outcome;
use crate::commands::bundle::ModelStore;
use crate::errors::Hinted;
use crate::inputs::{self, Input, Inputs};
use crate::journal::Settings;
use crate::model::{self, RuntimeArg};
use crate::moment::TimePattern;
use crate::output::{Format, Layout, Outputs, Run};
use crate::printer::Printer;
use crate::resume::Partial;
use crate::save_clips::SaveClips;
use crate::session::{Session, Sink};

/// The options of every command that hears recordings.
#[derive(Debug, Args)]
pub(crate) struct RecordingArgs {
    /// Files, folders (searched recursively), `-` for standard input, or `@LIST` for a file with
    /// one path per line.
    #[arg(required = true, value_name = "INPUT")]
    inputs: Vec<PathBuf>,

    /// The model: a bundle's file, or the name of one fetched with `earmark bundle pull`.
    #[arg(long, short, value_name = "FILE|NAME")]
    model: Option<PathBuf>,

    #[command(flatten)]
    store: ModelStore,

    /// One result per segment, with its start and end, instead of one per recording.
    #[arg(long, short)]
    pub(crate) timeline: bool,

    #[command(flatten)]
    cutting: CuttingArgs,

    /// Mix the channels of a recording, or hear each by itself.
    #[arg(long, value_enum, default_value = "mix")]
    channels: ChannelsArg,

    /// Hear what there is of recordings that were cut short, with a warning, instead of refusing.
    #[arg(long)]
    accept_truncated: bool,

    /// Where to write: a file, or a folder (existing, or ending with `/`) for a file per recording.
    #[arg(long, short, value_name = "PATH")]
    output: Option<PathBuf>,

    /// Keep finished recordings in `PATH.partial/` until the end, and go on from there after a kill.
    #[arg(long, requires = "output")]
    resume: bool,

    /// How to read the start of a recording from its file name, such as `%Y%m%d_%H%M%S`; otherwise
    /// it is taken from the GUANO or bext metadata in the file.
    #[arg(long, value_name = "PATTERN")]
    time_pattern: Option<String>,

    /// The number of worker threads; one per core unless given.
    #[arg(long, short, value_name = "N")]
    jobs: Option<NonZeroUsize>,

    /// What runs the network: ONNX Runtime where its library is found, or the built-in one.
    #[arg(long, value_enum, default_value = "auto")]
    runtime: RuntimeArg,
}

/// How recordings are cut into segments.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct CuttingArgs {
    /// The length of segments in seconds, instead of the model's.
    #[arg(long, value_name = "SECONDS")]
    pub(crate) window: Option<f32>,

    /// The distance between the starts of segments in seconds, instead of the model's; at least 0.001.
    #[arg(long, value_name = "SECONDS")]
    pub(crate) hop: Option<f32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ChannelsArg {
    Mix,
    Each,
}

/// What a command wants from the recordings.
pub(crate) struct Wish {
    /// The word of the summary, such as `tagged`.
    pub(crate) verb: &'static str,
    pub(crate) formats: Vec<Format>,
    /// The format when none is given.
    pub(crate) default_format: Format,
    pub(crate) save_clips: Option<PathBuf>,
    /// The options of the command that decide what rows hold.
    pub(crate) settings: Settings,
}

impl RecordingArgs {
    /// Where results go, for commands that guess a format from it.
    pub(crate) fn output_extension(&self) -> Option<String> {
        let extension = self.output.as_deref()?.extension()?;
        Some(extension.to_str()?.to_ascii_lowercase())
    }

    /// Runs a command: reads the model, finds the inputs, hears them and writes the results.
    /// `content` chooses what rows hold once the model is known.
    pub(crate) fn run(
        &self,
        wish: Wish,
        content: impl FnOnce(&Tagger) -> anyhow::Result<Content>,
        printer: &Printer,
    ) -> anyhow::Result<Outcome> {
        earmark::audio::silence_decoder_panics();
        let layout = Layout::new(&wish.formats, self.output.as_deref(), wish.default_format)?;
        let pattern = self
            .time_pattern
            .as_deref()
            .map(TimePattern::new)
            .transpose()?;
        let bundle = model::open(self.model.as_deref(), &self.store)?;
        let tagger = Tagger::from_bundle(&bundle, &self.tagger_options())?;
        let content = content(&tagger)?;
        let inputs = Inputs::expand(&self.inputs)?;
        self.check(&inputs, &layout, wish.save_clips.is_some())?;
        let run = Run {
            model: tagger.metadata().name.clone(),
            model_sha256: sha256_of_bytes(bundle.bytes()),
            runtime: tagger.runtime_name().to_owned(),
            vocabulary: tagger.vocabulary().clone(),
            timeline: self.timeline,
        };
        drop(bundle);
        let partial = match self.output.as_deref().filter(|_| self.resume) {
            Some(output) => Some(Partial::open(output, self.settings(&run, wish.settings))?),
            None => None,
        };
        let session = Session {
            printer,
            tagger: &tagger,
            verb: wish.verb,
            pattern,
            save_clips: wish.save_clips.map(|folder| self.save_clips(folder)),
            shows_progress: !(layout.is_stdout() && Printer::stdout_is_terminal()),
        };
        let maker = RowMaker::new(content, self.timeline, self.channels == ChannelsArg::Each);
        let sink = Sink::new(Outputs::open(layout, run)?, partial);
        let jobs = self.jobs.unwrap_or(RunOptions::default().jobs);
        session.run(&inputs, maker, sink, jobs)
    }

    fn tagger_options(&self) -> TaggerOptions {
        TaggerOptions {
            runtime: self.runtime.into(),
            window_secs: self.cutting.window,
            hop_secs: self.cutting.hop,
            channels: self.channels.into(),
            truncated: self.truncated(),
            ..TaggerOptions::default()
        }
    }

    fn truncated(&self) -> Truncated {
        match self.accept_truncated {
            true => Truncated::Accept,
            false => Truncated::Refuse,
        }
    }

    fn save_clips(&self, folder: PathBuf) -> SaveClips {
        SaveClips {
            folder,
            channels: self.channels.into(),
            truncated: self.truncated(),
        }
    }

    /// Refuses what cannot work before any recording is heard.
    fn check(&self, inputs: &Inputs, layout: &Layout, saves_clips: bool) -> anyhow::Result<()> {
        let has_stdin = inputs.recordings.iter().any(Input::is_stdin);
        if has_stdin && self.resume {
            anyhow::bail!("standard input (`-`) cannot be resumed");
        }
        if has_stdin && saves_clips {
            anyhow::bail!("clips cannot be saved from standard input (`-`): it is read once only");
        }
        if layout.is_folder() {
            return inputs::check_places(&inputs.recordings);
        }
        match layout
            .formats()
            .iter()
            .find(|format| format.is_per_recording())
        {
            Some(format) if inputs.recordings.len() > 1 => Err(Hinted::error(
                format!("{} has one file per recording", format.name()),
                "give --output DIR/",
            )),
            _ => Ok(()),
        }
    }

    /// Everything that decides what rows hold; `--jobs` and formats do not.
    fn settings(&self, run: &Run, mut settings: Settings) -> Settings {
        let common = [
            ("version", json!(env!("CARGO_PKG_VERSION"))),
            ("model", json!(run.model_sha256)),
            ("runtime", json!(run.runtime)),
            ("timeline", json!(self.timeline)),
            ("window", json!(self.cutting.window)),
            ("hop", json!(self.cutting.hop)),
            ("each_channel", json!(self.channels == ChannelsArg::Each)),
            ("accept_truncated", json!(self.accept_truncated)),
            ("time_pattern", json!(self.time_pattern)),
        ];
        settings.extend(common.map(|(key, value)| (key.to_owned(), value)));
        settings
    }
}

impl From<ChannelsArg> for Channels {
    fn from(channels: ChannelsArg) -> Self {
        match channels {
            ChannelsArg::Mix => Self::Mix,
            ChannelsArg::Each => Self::Each,
        }
    }
}
