//! The result: a plain table of clips that training reads.

use std::path::{Path, PathBuf};

use earmark::Result;
use earmark::dataset::Quality;

use super::entries::Entry;

const COLUMNS: [&str; 9] = [
    "path", "label", "fold", "weight", "start", "end", "split", "source", "quality",
];

/// Writes all entries but the rejected ones, at once or not at all. Returns how many.
pub(super) fn write(path: &Path, entries: &[Entry]) -> Result<usize> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut writer = csv::Writer::from_writer(Vec::new());
    let broken = |error: csv::Error| std::io::Error::other(error.to_string());
    writer.write_record(COLUMNS).map_err(broken)?;
    let base = std::path::absolute(folder)?;
    let mut n_clips = 0;
    for entry in entries.iter().filter(|e| e.decision != Some("rejected")) {
        writer.write_record(record(entry, &base)?).map_err(broken)?;
        n_clips += 1;
    }
    let table = writer
        .into_inner()
        .map_err(|error| std::io::Error::other(error.to_string()))?;
    earmark::bundle::write_atomically(path, &table)?;
    Ok(n_clips)
}

fn record(entry: &Entry, base: &Path) -> Result<[String; 9]> {
    let absolute = std::path::absolute(&entry.path)?;
    let below: PathBuf = absolute.strip_prefix(base).unwrap_or(&absolute).to_owned();
    let text = |value: Option<String>| value.unwrap_or_default();
    let fields = &entry.fields;
    let (start, end) = entry.stretch_secs.unzip();
    Ok([
        below.to_string_lossy().into_owned(),
        labels(entry.labels.as_deref()),
        text(fields.fold.map(|fold| fold.to_string())),
        fields.weight.to_string(),
        text(start.map(|secs| secs.to_string())),
        text(end.map(|secs| secs.to_string())),
        fields.split.as_str().to_owned(),
        text(fields.source.clone()),
        match fields.quality {
            Quality::Curated => "curated".to_owned(),
            Quality::Noisy => "noisy".to_owned(),
        },
    ])
}

/// Labels divided by semicolons. One is at the end, so that the commas of class names are never taken
/// for dividers.
fn labels(labels: Option<&[String]>) -> String {
    match labels {
        None => String::new(),
        Some([]) => "_background".to_owned(),
        Some(labels) => labels.iter().flat_map(|l| [l.as_str(), ";"]).collect(),
    }
}
