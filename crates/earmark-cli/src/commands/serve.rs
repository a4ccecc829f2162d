//! `earmark serve`: the web page and the HTTP API.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use earmark::audio::Limits;
use earmark::hear::Model;
use earmark::runtime::RuntimeChoice;
use earmark::search::Index;
use earmark_server::review::Review;
use earmark_server::{Config, Server};

use super::Outcome;
use crate::commands::bundle::ModelStore;
use crate::errors::Hinted;
use crate::interrupt;
use crate::model::{self, RuntimeArg};
use crate::printer::Printer;

/// The arguments of `earmark serve`.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// The model: a bundle's file, or the name of one fetched with `earmark bundle pull`; may be
    /// repeated, the first is the default.
    #[arg(long, short, value_name = "FILE|NAME")]
    model: Vec<PathBuf>,

    #[command(flatten)]
    store: ModelStore,

    /// What runs the network: ONNX Runtime where its library is found, or the built-in one.
    #[arg(long, value_enum, default_value = "auto")]
    runtime: RuntimeArg,

    /// An index that `earmark index` wrote, in which the page and the API find the sounds most like
    /// another; one of the models must be the one that it was made with.
    #[arg(long, value_name = "FILE")]
    index: Option<PathBuf>,

    #[command(flatten)]
    listen: ListenArgs,

    #[command(flatten)]
    guards: GuardArgs,
}

/// Where to listen, and for whom.
#[derive(Debug, Args)]
pub(crate) struct ListenArgs {
    /// The address to listen on; anything but this machine's own wants an API key.
    #[arg(long, value_name = "ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    host: IpAddr,

    /// The port to listen on; 0 takes a free one.
    #[arg(long, value_name = "PORT", default_value_t = 8080)]
    port: u16,

    /// The key that the API asks for. It is better kept in the environment, where `ps` does not show
    /// it.
    #[arg(
        long,
        value_name = "KEY",
        env = "EARMARK_API_KEY",
        hide_env_values = true
    )]
    api_key: Option<String>,

    /// Another origin whose pages may use the API, such as `https://example.org`; may be repeated.
    #[arg(long, value_name = "ORIGIN")]
    cors_origin: Vec<String>,

    /// A name under which the server may be asked, besides its address and `localhost`; may be
    /// repeated.
    #[arg(long, value_name = "NAME")]
    allow_host: Vec<String>,
}

/// Bounds on what is accepted.
#[derive(Debug, Args)]
pub(crate) struct GuardArgs {
    /// The largest upload in MiB.
    #[arg(
        long,
        value_name = "MIB",
        default_value_t = 1024,
        help_heading = "Limits"
    )]
    max_mib: u64,

    /// The longest recording in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 21_600.0, value_parser = positive_secs,
          help_heading = "Limits")]
    max_secs: f64,

    /// The most channels of a recording.
    #[arg(long, value_name = "N", default_value_t = 16, help_heading = "Limits")]
    max_channels: usize,

    /// The highest sample rate of a recording in Hz.
    #[arg(
        long,
        value_name = "HZ",
        default_value_t = 768_000,
        help_heading = "Limits"
    )]
    max_rate: u32,

    /// The number of recordings that are computed at the same time; one per core unless given.
    #[arg(long, short, value_name = "N", help_heading = "Limits")]
    jobs: Option<NonZeroUsize>,

    /// The number of requests that may wait for a worker; others are told to come back.
    #[arg(long, value_name = "N", default_value_t = 256, help_heading = "Limits")]
    queue: usize,

    /// The longest time from an upload to its answer, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0, value_parser = positive_secs,
          help_heading = "Limits")]
    deadline: f64,

    /// The longest pause within an upload, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0, value_parser = positive_secs,
          help_heading = "Limits")]
    idle: f64,

    /// The number of live sessions at the same time.
    #[arg(long, value_name = "N", default_value_t = 8, help_heading = "Limits")]
    live: usize,

    /// How long running requests may take to end when the server is stopped, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0, value_parser = positive_secs,
          help_heading = "Limits")]
    drain: f64,

    /// Where uploads are kept while they are heard, instead of the system's temporary folder.
    #[arg(long, value_name = "DIR", help_heading = "Limits")]
    temp_dir: Option<PathBuf>,
}

fn positive_secs(text: &str) -> Result<f64, String> {
    let secs: f64 = text.parse().map_err(|_| "expected a number".to_owned())?;
    // A year is as good as for ever, and all clocks can add it.
    match secs > 0.0 && secs <= 31_536_000.0 {
        true => Ok(secs),
        false => Err("expected more than 0 and at most a year".to_owned()),
    }
}

impl ServeArgs {
    /// Loads the models and serves until Ctrl-C or SIGTERM.
    pub(crate) fn run(self, printer: &Printer) -> anyhow::Result<Outcome> {
        let models = self.models()?;
        let index = self.index.as_deref().map(Index::open).transpose()?;
        let config = config(&self.listen, Some(self.guards))?;
        serve(config, models, None, index, printer)
    }

    fn models(&self) -> anyhow::Result<Vec<Model>> {
        let choice = RuntimeChoice::from(self.runtime);
        let named = self.model.iter().map(|model| Some(model.as_path()));
        let wanted: Vec<_> = match self.model.is_empty() {
            true => vec![None],
            false => named.collect(),
        };
        let load = |wanted| -> anyhow::Result<Model> {
            let bundle = model::open(wanted, &self.store)?;
            Ok(Model::load(&bundle, choice)?)
        };
        wanted.into_iter().map(load).collect()
    }
}

/// The settings of a server; the bounds are the library's unless they are given.
pub(super) fn config(listen: &ListenArgs, guards: Option<GuardArgs>) -> anyhow::Result<Config> {
    if listen.api_key.as_ref().is_some_and(|key| key.is_empty()) {
        return Err(Hinted::error(
            "the API key is empty",
            "give one that is long and random, or none",
        ));
    }
    let config = Config {
        address: SocketAddr::new(listen.host, listen.port),
        api_key: listen.api_key.clone(),
        cors_origins: listen.cors_origin.clone(),
        hosts: listen.allow_host.clone(),
        ..Config::default()
    };
    match guards {
        Some(guards) => guards.apply(config),
        None => Ok(config),
    }
}

impl GuardArgs {
    fn apply(self, default: Config) -> anyhow::Result<Config> {
        let max_bytes = self.max_mib.checked_mul(1 << 20);
        Ok(Config {
            limits: Limits {
                max_bytes: max_bytes.context("--max-mib is too large")?,
                max_duration_secs: self.max_secs,
                max_channels: self.max_channels,
                max_sample_rate: self.max_rate,
                ..default.limits
            },
            workers: self.jobs.unwrap_or(default.workers),
            queue: self.queue,
            deadline: Duration::from_secs_f64(self.deadline),
            idle: Duration::from_secs_f64(self.idle),
            live: self.live,
            drain: Duration::from_secs_f64(self.drain),
            temp_dir: self.temp_dir,
            ..default
        })
    }
}

/// Serves until Ctrl-C or SIGTERM.
pub(super) fn serve(
    config: Config,
    models: Vec<Model>,
    review: Option<Arc<Review>>,
    index: Option<Index>,
    printer: &Printer,
) -> anyhow::Result<Outcome> {
    earmark::audio::silence_decoder_panics();
    let stop = interrupt::stop_flag()?;
    let (is_local, has_key) = (config.address.ip().is_loopback(), config.api_key.is_some());
    let names: Vec<&str> = models.iter().map(Model::name).collect();
    let with = names.join(", ");
    let page = if review.is_some() { "/review" } else { "" };
    let server = Server::bind(config, models, review.clone(), index)?;
    let address = server.address();
    if !is_local {
        printer.note(match has_key {
            true => "warning: other machines can reach this server; its answers are not encrypted",
            false => "warning: everyone who can reach this machine can use this server; consider --api-key",
        });
    }
    printer.line(format!("http://{address}{page}"))?;
    printer.note(match review {
        Some(_) => "Ctrl-C ends and writes the table".to_owned(),
        None => format!("serving {with}; Ctrl-C ends"),
    });
    server.run(stop)?;
    printer.note("stopped");
    Ok(Outcome::Done)
}
