//! `earmark dataset split`: folds as a table that lists every labelled clip.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use earmark::dataset::{Clip, Folds, Manifest, Quality};

use super::super::Outcome;
use super::DatasetArgs;
use crate::printer::Printer;

/// How clips are divided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Rule {
    /// The data set's own folds, else stratified ones.
    #[default]
    Auto,
    /// Equal shares of every class, sources kept whole.
    Stratified,
    /// By the SHA-256 of the file names within each class; the same everywhere, without a seed.
    Hash,
}

/// Arguments of `earmark dataset split`.
#[derive(Debug, Args)]
pub(crate) struct SplitArgs {
    #[command(flatten)]
    dataset: DatasetArgs,

    /// How clips are divided.
    #[arg(long, value_enum, default_value_t)]
    rule: Rule,

    /// Number of folds.
    #[arg(long, default_value_t = 5)]
    folds: usize,

    /// Seed of stratified folds.
    #[arg(long, default_value_t = 0)]
    seed: u64,

    /// Where the table goes [default: standard output]. Its paths are relative to its folder.
    #[arg(long, short, value_name = "CSV")]
    output: Option<PathBuf>,
}

impl SplitArgs {
    /// Divides and writes.
    pub(crate) fn run(self, printer: &Printer) -> anyhow::Result<Outcome> {
        let mut manifest = self.dataset.open()?;
        let missing = manifest.remove_missing();
        if !missing.is_empty() {
            printer.note(format!(
                "{} listed files do not exist and are left out",
                missing.len()
            ));
        }
        let folds = match self.rule {
            Rule::Auto => Folds::automatic(&manifest, self.folds, self.seed),
            Rule::Stratified => Folds::stratified(&manifest, self.folds, self.seed),
            Rule::Hash => Folds::by_hash(&manifest, self.folds),
        }?;
        for problem in folds.problems(&manifest) {
            printer.note(format!("warning: {problem}"));
        }
        let torn = folds.torn_sources(&manifest);
        if !torn.is_empty() {
            printer.note(format!(
                "warning: {} sources have clips in several folds",
                torn.len()
            ));
        }
        let here = std::env::current_dir().context("the current folder")?;
        let table_path = here.join(self.output.as_deref().unwrap_or(Path::new("folds.csv")));
        let table = table(&manifest, &folds, table_path.parent().unwrap_or(&here))?;
        match &self.output {
            Some(output) => earmark::bundle::write_atomically(output, &table)?,
            None => std::io::Write::write_all(&mut Printer::stdout(), &table)?,
        }
        let sizes: Vec<String> = (0..folds.len())
            .map(|fold| folds.validation(fold).len().to_string())
            .collect();
        printer.note(format!(
            "{} folds with {} clips",
            folds.len(),
            sizes.join(", ")
        ));
        Ok(Outcome::Done)
    }
}

/// The table: one row per labelled clip.
fn table(manifest: &Manifest, folds: &Folds, folder: &Path) -> anyhow::Result<Vec<u8>> {
    let mut table = csv::Writer::from_writer(Vec::new());
    table.write_record([
        "path", "label", "fold", "split", "source", "quality", "weight", "start", "end",
    ])?;
    for (at, labels) in manifest.labelled() {
        let clip = &manifest.clips[at];
        let path = std::path::absolute(&clip.path).context("a clip's path")?;
        let path = path
            .strip_prefix(folder)
            .unwrap_or(&path)
            .to_string_lossy()
            .into_owned();
        let fold = folds.parts()[at]
            .map(|fold| fold.to_string())
            .unwrap_or_default();
        let (start, end) = times(clip);
        table.write_record([
            path.as_str(),
            &label_field(manifest, labels),
            &fold,
            clip.split.as_str(),
            clip.source.as_deref().unwrap_or_default(),
            if clip.quality == Quality::Noisy {
                "noisy"
            } else {
                "curated"
            },
            &clip.weight.to_string(),
            &start,
            &end,
        ])?;
    }
    table.into_inner().context("writing the table")
}

/// Labels separated by semicolons; a name with a comma is closed by one, so that reading the table
/// does not take the comma for a separator.
fn label_field(manifest: &Manifest, labels: &[usize]) -> String {
    let names: Vec<&str> = labels
        .iter()
        .map(|label| manifest.vocabulary.name(*label))
        .collect();
    match names.as_slice() {
        [] => "_background".to_owned(),
        names if names.iter().any(|name| name.contains(',')) => names.join(";") + ";",
        names => names.join(";"),
    }
}

fn times(clip: &Clip) -> (String, String) {
    match clip.stretch_secs {
        None => (String::new(), String::new()),
        Some((start, end)) if end.is_finite() => (start.to_string(), end.to_string()),
        Some((start, _)) => (start.to_string(), String::new()),
    }
}

#[cfg(test)]
mod tests {
    use earmark::dataset::Split;

    use super::*;

    #[test]
    fn the_table_reads_back_as_the_same_data_set() {
        let root = tempfile::tempdir().unwrap();
        for path in [
            "bird, small/a.wav",
            "bird, small/b.wav",
            "dog/c.wav",
            "dog/d.wav",
            "noise/n.wav",
        ] {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let set = Manifest::open(root.path()).unwrap();
        let folds = Folds::stratified(&set, 2, 0).unwrap();
        let csv = root.path().join("folds.csv");
        std::fs::write(&csv, table(&set, &folds, root.path()).unwrap()).unwrap();
        let again = Manifest::open(&csv).unwrap();
        assert_eq!(again.vocabulary, set.vocabulary);
        assert_eq!(Folds::given(&again).unwrap().parts(), folds.parts());
        let labels =
            |set: &Manifest| -> Vec<_> { set.clips.iter().map(|c| c.labels.clone()).collect() };
        assert_eq!(labels(&again), labels(&set));
        assert_eq!(again.clips[0].path, root.path().join("bird, small/a.wav"));
        assert_eq!(again.clips[0].split, Split::Train);
    }
}
