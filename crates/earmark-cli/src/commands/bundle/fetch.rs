//! `earmark bundle pull | list`: models by name.

use clap::Args;
use earmark::bundle::{
    CacheState, DownloadOptions, FileFormat, Progress, RegistryEntry, is_sha256,
};
use serde_json::json;

use super::card::grouped;
use super::{Format, ModelStore};
use crate::printer::Printer;

/// Arguments of `bundle pull`.
#[derive(Debug, Args)]
pub(crate) struct PullArgs {
    /// A name from `earmark bundle list`.
    name: String,

    /// The SHA-256 that the downloaded file must have. Needed where the registry does not know it.
    #[arg(long, value_name = "HEX", value_parser = parse_sha256)]
    sha256: Option<String>,

    #[command(flatten)]
    store: ModelStore,
}

fn parse_sha256(text: &str) -> Result<String, String> {
    if is_sha256(text) {
        return Ok(text.to_ascii_lowercase());
    }
    Err("expected 64 hexadecimal digits".to_owned())
}

impl PullArgs {
    pub(super) fn run(self, printer: &Printer) -> anyhow::Result<()> {
        let mut entry = self.store.registry()?.get(&self.name)?.clone();
        if self.sha256.is_some() {
            entry.sha256 = self.sha256;
        }
        let cache = self.store.cache()?;
        let mut display = Display {
            printer,
            entry: &entry,
            started: false,
        };
        let pulled = cache.pull(&entry, &DownloadOptions::default(), &mut |p| {
            display.show(&p);
        });
        printer.end_progress();
        printer.line(pulled?.display().to_string())?;
        Ok(())
    }
}

/// Shows a download's progress: a bar in kilobytes on a terminal, a few notes elsewhere.
struct Display<'a> {
    printer: &'a Printer,
    entry: &'a RegistryEntry,
    started: bool,
}

impl Display<'_> {
    fn show(&mut self, progress: &Progress) {
        match progress {
            Progress::Waiting => self.printer.note("another process fetches it; waiting"),
            Progress::Bytes { done, total } => {
                if !self.started {
                    self.started = true;
                    self.printer.note(self.announcement(*done, *total));
                    self.printer
                        .start_progress(total.unwrap_or(0).div_ceil(1000), &self.entry.name);
                }
                self.printer.progress(done / 1000, "kB");
            }
            Progress::Retrying { reason } => self.printer.note(format!("{reason}; trying again")),
            Progress::Verifying | Progress::Importing => {}
        }
    }

    fn announcement(&self, done: u64, total: Option<u64>) -> String {
        let of = total.map_or(String::new(), |total| format!(", {} bytes", grouped(total)));
        let from = match done {
            0 => String::new(),
            done => format!(", {} are here already", grouped(done)),
        };
        format!("fetching {}{of}{from}", self.entry.url)
    }
}

/// Arguments of `bundle list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// How to write it.
    #[arg(long, value_enum, default_value_t)]
    format: Format,

    #[command(flatten)]
    store: ModelStore,
}

impl ListArgs {
    pub(super) fn run(self, printer: &Printer) -> anyhow::Result<()> {
        let (registry, cache) = (self.store.registry()?, self.store.cache()?);
        let entries = registry
            .entries()
            .iter()
            .map(|entry| (entry, cache.state(entry)));
        match self.format {
            Format::Json => {
                let values: Vec<_> = entries
                    .map(|(entry, state)| as_json(entry, &state))
                    .collect();
                printer.line(serde_json::to_string_pretty(&values)?)?;
            }
            Format::Text => {
                for (entry, state) in entries {
                    printer.line(as_row(entry, &state))?;
                }
            }
        }
        Ok(())
    }
}

fn as_row(entry: &RegistryEntry, state: &CacheState) -> String {
    let state = match state {
        CacheState::Ready { .. } => "here",
        CacheState::Partial { .. } => "partly here",
        CacheState::Absent if entry.sha256.is_none() => "needs --sha256",
        CacheState::Absent => "-",
    };
    let size = entry.size.map_or("? MB".to_owned(), |size| {
        format!("{:.1} MB", size as f64 / 1e6)
    });
    format!(
        "{:<10}{size:>9}  {state:<15} {:<9} {}",
        entry.name, entry.licence.spdx, entry.description
    )
}

fn as_json(entry: &RegistryEntry, state: &CacheState) -> serde_json::Value {
    let (state, path) = match state {
        CacheState::Ready { path } => ("ready", Some(path.display().to_string())),
        CacheState::Partial { .. } => ("partial", None),
        CacheState::Absent => ("absent", None),
    };
    json!({
        "name": entry.name,
        "description": entry.description,
        "url": entry.url,
        "sha256": entry.sha256,
        "size": entry.size,
        "format": match entry.format {
            FileFormat::Weights => "weights",
            FileFormat::Bundle => "bundle",
        },
        "source": entry.source,
        "licence": entry.licence.spdx,
        "metrics": entry.metrics,
        "state": state,
        "path": path,
    })
}
