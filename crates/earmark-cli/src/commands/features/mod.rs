//! `earmark features`: recordings in; what a network would see of them, as arrays, tables and
//! pictures, out.
//!
//! ```text
//! inputs ── listen (decode, front end) ── writer (npy, npz, parquet, png) ── a file per recording
//! data set ── listen ── stack ── samples.npy, labels.npy
//! ```

mod arrays;
mod draw;
mod each;
mod listen;
mod parallel;
mod stack;
mod table;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use earmark::audio::Truncated;
use earmark::digest::sha256_of_bytes;
use earmark::features::{FrontEnd, FrontEndConfig, PRESETS, Preset};
use serde_json::json;

use super::Outcome;
use crate::errors::Hinted;
use crate::journal::Settings;
use crate::pictures::Range;
use crate::printer::Printer;

/// The journal's name in the output folder.
const JOURNAL: &str = ".earmark-features.jsonl";

/// The arguments of `earmark features`.
#[derive(Debug, Args)]
pub(crate) struct FeaturesArgs {
    /// Files, folders (searched recursively), `-` for standard input, or `@LIST` for a file with
    /// one path per line; with --stack a data set's folder or table.
    #[arg(value_name = "INPUT", required_unless_present_any = ["list", "print_config"])]
    inputs: Vec<PathBuf>,

    /// A front end by name; --list shows them.
    #[arg(long, value_name = "NAME", conflicts_with = "config")]
    preset: Option<String>,

    /// A front end's settings (TOML), or a training configuration with a table `[features]`.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// The format of results; may be repeated [default: npy].
    #[arg(long, short, value_enum)]
    format: Vec<Format>,

    /// Write one array of all clips and one of their labels: INPUT is a data set, and the front end
    /// must give all clips the same size.
    #[arg(long)]
    stack: bool,

    /// Draw axes, title and scale around pictures.
    #[arg(long)]
    axes: bool,

    /// The values of the darkest and of the brightest colour, such as `-60,0` [default: by the
    /// front end].
    #[arg(long, value_name = "LOW,HIGH", allow_hyphen_values = true)]
    range: Option<String>,

    /// The folder to write to; made if it is not there. Its files mirror the inputs.
    #[arg(long, short, value_name = "DIR", required_unless_present_any = ["list", "print_config"])]
    output: Option<PathBuf>,

    /// The seed of front ends that cut or pad at random places.
    #[arg(long, default_value_t = 0)]
    seed: u64,

    /// Use what there is of recordings that were cut short, with a warning, instead of refusing.
    #[arg(long)]
    accept_truncated: bool,

    /// The number of worker threads; one per core unless given.
    #[arg(long, short, value_name = "N")]
    jobs: Option<NonZeroUsize>,

    /// Show the front ends that have a name.
    #[arg(long)]
    list: bool,

    /// Show the settings of the front end as TOML, to be changed and given with --config.
    #[arg(long)]
    print_config: bool,
}

/// The format of features.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, ValueEnum)]
enum Format {
    /// A `NumPy` array `[channel, band, frame]`.
    Npy,
    /// `NumPy` arrays in one file: the features, the sample rate, the bands' frequencies.
    Npz,
    /// Apache Parquet, one row per frame.
    Parquet,
    /// A picture, one pixel per value.
    Png,
}

impl Format {
    fn extension(self) -> &'static str {
        match self {
            Self::Npy => "npy",
            Self::Npz => "npz",
            Self::Parquet => "parquet",
            Self::Png => "png",
        }
    }
}

/// What is computed, and how.
struct Job {
    front_end: FrontEnd,
    /// The front end's name: a preset's or a file's.
    name: String,
    seed: u64,
    truncated: Truncated,
    jobs: NonZeroUsize,
    output: PathBuf,
}

/// Runs `earmark features`.
pub(crate) fn run(args: &FeaturesArgs, printer: &Printer) -> anyhow::Result<Outcome> {
    if args.list {
        list(printer)?;
        return Ok(Outcome::Done);
    }
    let (name, config) = args.front_end()?;
    if args.print_config {
        printer.line(toml::to_string_pretty(&config)?.trim_end())?;
        return Ok(Outcome::Done);
    }
    earmark::audio::silence_decoder_panics();
    let output = args.output.clone().context("--output DIR is needed")?;
    if output.is_file() {
        anyhow::bail!("{} is a file, expected a folder", output.display());
    }
    let job = Job {
        front_end: FrontEnd::new(&config)?,
        name,
        seed: args.seed,
        truncated: match args.accept_truncated {
            true => Truncated::Accept,
            false => Truncated::Refuse,
        },
        jobs: args
            .jobs
            .or(std::thread::available_parallelism().ok())
            .unwrap_or(NonZeroUsize::MIN),
        output,
    };
    if args.stack {
        args.check_stack()?;
        let [input] = &args.inputs[..] else {
            anyhow::bail!(
                "--stack takes one data set, found {} inputs",
                args.inputs.len()
            );
        };
        return stack::run(&job, input, args.settings(&job)?, printer);
    }
    let range = args.range.as_deref().map(parse_range).transpose()?;
    let formats = args.formats();
    let drawing = match formats.contains(&Format::Png) {
        true => Some(draw::Drawing::new(&job, range, args.axes)?),
        false => None,
    };
    each::run(&job, args, drawing.as_ref(), printer)
}

impl FeaturesArgs {
    /// The front end's name and settings.
    fn front_end(&self) -> anyhow::Result<(String, FrontEndConfig)> {
        if let Some(name) = &self.preset {
            let preset = Preset::named(name).map_err(|error| {
                Hinted::error(
                    error.to_string(),
                    "`earmark features --list` describes them",
                )
            })?;
            return Ok((preset.name.to_owned(), preset.config()));
        }
        let Some(path) = &self.config else {
            return Err(Hinted::error(
                "no front end is given",
                "give --preset NAME (`earmark features --list` shows them) or --config FILE",
            ));
        };
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        Ok((name.into_owned(), read_config(path)?))
    }

    /// The formats, each once.
    fn formats(&self) -> Vec<Format> {
        let mut formats = Vec::new();
        for format in &self.format {
            if !formats.contains(format) {
                formats.push(*format);
            }
        }
        match formats.is_empty() {
            true => vec![Format::Npy],
            false => formats,
        }
    }

    fn check_stack(&self) -> anyhow::Result<()> {
        if self.formats() != [Format::Npy] {
            return Err(Hinted::error(
                "--stack writes npy arrays only",
                "leave --format out, or leave --stack out for a file per recording",
            ));
        }
        if self.axes || self.range.is_some() {
            anyhow::bail!("--axes and --range belong to --format png, not to --stack");
        }
        Ok(())
    }

    /// Everything that decides what the files hold.
    fn settings(&self, job: &Job) -> anyhow::Result<Settings> {
        let config = serde_json::to_vec(job.front_end.config())?;
        let settings = [
            ("version", json!(env!("CARGO_PKG_VERSION"))),
            ("front_end", json!(job.name)),
            ("front_end_sha256", json!(sha256_of_bytes(&config))),
            ("stack", json!(self.stack)),
            ("axes", json!(self.axes)),
            ("range", json!(self.range)),
            ("seed", json!(self.seed)),
            ("accept_truncated", json!(self.accept_truncated)),
        ];
        Ok(settings
            .map(|(key, value)| (key.to_owned(), value))
            .into_iter()
            .collect())
    }
}

/// A front end in a file of its own or in a training configuration.
fn read_config(path: &Path) -> anyhow::Result<FrontEndConfig> {
    let context = || format!("cannot read the front end in {}", path.display());
    let text = fs_err::read_to_string(path).with_context(context)?;
    let mut table: toml::Table = toml::from_str(&text).with_context(context)?;
    match table.remove("features") {
        Some(features) => features.try_into().with_context(context),
        None => toml::from_str(&text).with_context(context),
    }
}

fn parse_range(text: &str) -> anyhow::Result<Range> {
    let ends = text
        .split_once(',')
        .and_then(|(low, high)| Some((low.trim().parse().ok()?, high.trim().parse().ok()?)));
    match ends {
        Some((low, high)) if low < high && f32::is_finite(high - low) => Ok(Range { low, high }),
        _ => anyhow::bail!("--range is `{text}`, expected two rising numbers such as `-60,0`"),
    }
}

/// Prints the presets.
fn list(printer: &Printer) -> anyhow::Result<()> {
    let names = PRESETS.iter().map(|preset| match preset.alias {
        "" => preset.name.to_owned(),
        alias => format!("{} ({alias})", preset.name),
    });
    let names: Vec<String> = names.collect();
    let width = names.iter().map(String::len).max().unwrap_or(0);
    for (preset, name) in PRESETS.iter().zip(&names) {
        printer.line(format!(
            "{name:width$}  {}; {}",
            preset.summary, preset.system
        ))?;
    }
    Ok(())
}
