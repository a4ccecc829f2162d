//! What is known of every clip: labels, scores, doubt, uncertainty, neighbours.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use earmark::dataset::{Manifest, Quality, Split};
use earmark::eval::{Scores, Targets, label_doubts};
use earmark::lines::CsvRows;
use earmark::{Error, Result};
use serde::Serialize;

/// What models say of a data set.
#[derive(Debug, Default)]
pub struct Evidence {
    /// Scores of classes by clip name, from models that were not trained on the clip.
    pub scores: Option<ClipScores>,
    /// Embeddings by clip, in the order of the manifest; `None` for those that cannot be heard.
    pub embeddings: Vec<Option<Vec<f32>>>,
}

/// Scores of clips by name: the classes, and a row of scores each.
#[derive(Debug, Default)]
pub struct ClipScores {
    classes: Vec<String>,
    rows: HashMap<String, Vec<f32>>,
}

impl ClipScores {
    /// Scores of `classes`; clips are added by name.
    pub fn new(classes: Vec<String>) -> Self {
        Self {
            classes,
            rows: HashMap::new(),
        }
    }

    /// Adds a clip's scores, one per class.
    pub fn insert(&mut self, clip: String, scores: Vec<f32>) {
        self.rows.insert(clip, scores);
    }
}

/// One clip, or a stretch of one.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Entry {
    pub(super) id: usize,
    pub(super) name: String,
    #[serde(skip)]
    pub(super) path: PathBuf,
    /// The labels that it has now.
    pub(super) labels: Option<Vec<String>>,
    /// The labels that the data set gives it.
    pub(super) given: Option<Vec<String>>,
    /// `accepted`, `fixed`, `rejected`, `added`, or nothing yet.
    pub(super) decision: Option<&'static str>,
    /// Counts the decisions: who decides says which one was seen.
    pub(super) version: u64,
    pub(super) stretch_secs: Option<(f64, f64)>,
    /// The classes with the highest scores.
    pub(super) scores: Vec<(String, f32)>,
    pub(super) doubt: Option<Doubt>,
    /// How near the most uncertain class is to one half: 0 to 1.
    pub(super) uncertainty: Option<f64>,
    #[serde(skip)]
    pub(super) embedding: Option<Vec<f32>>,
    #[serde(skip)]
    pub(super) fields: Fields,
}

/// Why a clip's labels are in doubt.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Doubt {
    pub(super) value: f64,
    class: String,
    is_labelled: bool,
}

/// The columns of the manifest that a review does not touch.
#[derive(Debug, Clone, Default)]
pub(super) struct Fields {
    pub(super) split: Split,
    pub(super) fold: Option<usize>,
    pub(super) weight: f32,
    pub(super) quality: Quality,
    pub(super) source: Option<String>,
}

impl Entry {
    pub(super) fn is_decided(&self) -> bool {
        self.decision.is_some()
    }

    /// What the log calls it.
    pub(super) fn key(&self) -> String {
        match self.stretch_secs {
            None => self.name.clone(),
            Some((start, end)) => format!("{}[{start}-{end}]", self.name),
        }
    }
}

/// How many scores are shown.
const N_SHOWN: usize = 6;

/// The clips of a data set with what models say of them.
pub(super) fn entries(manifest: &Manifest, evidence: Evidence) -> Result<Vec<Entry>> {
    let name = |&class: &usize| manifest.vocabulary.name(class).to_owned();
    let mut embeddings = evidence.embeddings.into_iter();
    let mut entries: Vec<Entry> = manifest
        .clips
        .iter()
        .enumerate()
        .map(|(id, clip)| {
            let labels: Option<Vec<String>> =
                clip.labels.as_ref().map(|l| l.iter().map(name).collect());
            Entry {
                id,
                name: clip.name.clone(),
                path: clip.path.clone(),
                given: labels.clone(),
                labels,
                decision: None,
                version: 0,
                stretch_secs: clip.stretch_secs,
                scores: Vec::new(),
                doubt: None,
                uncertainty: None,
                embedding: embeddings.next().flatten(),
                fields: Fields {
                    split: clip.split,
                    fold: clip.fold,
                    weight: clip.weight,
                    quality: clip.quality,
                    source: clip.source.clone(),
                },
            }
        })
        .collect();
    if let Some(scores) = &evidence.scores {
        judge(manifest, scores, &mut entries)?;
    }
    Ok(entries)
}

/// Fills in scores, doubts and uncertainties.
fn judge(manifest: &Manifest, scores: &ClipScores, entries: &mut [Entry]) -> Result<()> {
    let labelled: Vec<usize> = manifest
        .labelled()
        .map(|(clip, _)| clip)
        .filter(|&clip| scores.rows.contains_key(&manifest.clips[clip].name))
        .collect();
    for entry in entries.iter_mut() {
        if let Some(row) = scores.rows.get(&entry.name) {
            let mut named: Vec<(String, f32)> = scores
                .classes
                .iter()
                .cloned()
                .zip(row.iter().copied())
                .collect();
            named.sort_by(|a, b| b.1.total_cmp(&a.1));
            named.truncate(N_SHOWN);
            entry.uncertainty = uncertainty(row);
            entry.scores = named;
        }
    }
    // Doubt compares scores with labels, so only classes that both know count.
    let known: Vec<(usize, usize)> = scores
        .classes
        .iter()
        .enumerate()
        .filter_map(|(column, name)| Some((column, manifest.vocabulary.index_of(name)?)))
        .collect();
    if known.is_empty() || labelled.is_empty() {
        return Ok(());
    }
    let all_targets = manifest.targets(&labelled);
    let n_classes = manifest.vocabulary.len();
    let (mut table, mut targets) = (Vec::new(), Vec::new());
    for (row, clip) in labelled.iter().enumerate() {
        let clip_scores = &scores.rows[&manifest.clips[*clip].name];
        for &(column, class) in &known {
            table.push(clip_scores[column]);
            targets.push(all_targets[row * n_classes + class]);
        }
    }
    let doubts = label_doubts(
        Scores::new(&table, known.len())?,
        Targets::new(&targets, known.len())?,
    )?;
    for (clip, doubt) in labelled.into_iter().zip(doubts) {
        entries[clip].doubt = doubt.map(|doubt| Doubt {
            value: doubt.doubt,
            class: scores.classes[known[doubt.class].0].clone(),
            is_labelled: doubt.is_labelled,
        });
    }
    Ok(())
}

/// 1 for a class at one half, 0 when all are at 0 or 1.
fn uncertainty(row: &[f32]) -> Option<f64> {
    let nearest = row.iter().map(|&s| 1.0 - 2.0 * (f64::from(s) - 0.5).abs());
    nearest.reduce(f64::max)
}

/// Reads the scores of a run: `scores.csv` in its folder, or those of its folds, or a table of that
/// form (`clip,labels`, then a column per class).
///
/// # Errors
/// [`Error::Missing`] without any, [`Error::Line`] for rows that do not parse.
pub fn read_scores(run: &Path) -> Result<ClipScores> {
    let tables = tables(run)?;
    let mut scores = ClipScores::default();
    for table in &tables {
        read_table(table, &mut scores)?;
    }
    Ok(scores)
}

fn tables(run: &Path) -> Result<Vec<PathBuf>> {
    if run.is_file() {
        return Ok(vec![run.to_owned()]);
    }
    let mut tables = Vec::new();
    for entry in std::fs::read_dir(run)?.flatten() {
        let is_fold = entry.file_name().to_string_lossy().starts_with("fold-");
        let table = entry.path().join("scores.csv");
        if is_fold && table.is_file() {
            tables.push(table);
        }
    }
    tables.sort();
    let own = run.join("scores.csv");
    if tables.is_empty() && own.is_file() {
        tables.push(own);
    }
    match tables.is_empty() {
        false => Ok(tables),
        true => Err(Error::Missing {
            path: run.to_owned(),
            reason: "no scores.csv here or in a folder fold-0, fold-1, …".to_owned(),
        }),
    }
}

fn read_table(path: &Path, scores: &mut ClipScores) -> Result<()> {
    let name = path.display().to_string();
    let text = std::fs::read(path).map_err(|error| Error::Line {
        name: name.clone(),
        line: 1,
        reason: error.to_string(),
    })?;
    let table = CsvRows::parse(&name, &text, &csv::ReaderBuilder::new())?;
    let header = &table.header;
    let error = |line: usize, reason: &str| table.error(line, reason.to_owned());
    let classes: Vec<String> = header.iter().skip(2).map(str::to_owned).collect();
    if header.get(0) != Some("clip") || header.get(1) != Some("labels") || classes.is_empty() {
        let reason = "expected the columns `clip`, `labels`, and one per class";
        return Err(error(table.header_line, reason));
    }
    if !scores.classes.is_empty() && scores.classes != classes {
        let reason = "other classes than in the other folds";
        return Err(error(table.header_line, reason));
    }
    scores.classes = classes;
    for (line, record) in &table.rows {
        let row: Result<Vec<f32>> = record
            .iter()
            .skip(2)
            .map(|text| {
                let score: Option<f32> = text.parse().ok().filter(|s: &f32| s.is_finite());
                score.ok_or_else(|| error(*line, &format!("score is `{text}`, expected a number")))
            })
            .collect();
        scores.insert(record[0].to_owned(), row?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{ClipScores, read_table, uncertainty};

    #[test]
    fn a_score_that_is_no_number_is_named_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scores.csv");
        std::fs::write(&path, "clip,labels,Bark\r\n\r\na.wav,Bark,much\r\n").unwrap();
        let error = read_table(&path, &mut ClipScores::default()).unwrap_err();
        let end = "scores.csv:3: score is `much`, expected a number";
        assert!(error.to_string().ends_with(end), "{error}");
    }

    #[test]
    fn the_most_uncertain_class_counts() {
        assert_eq!(uncertainty(&[0.0, 1.0]), Some(0.0));
        assert_eq!(uncertainty(&[0.0, 0.5, 1.0]), Some(1.0));
        assert_eq!(uncertainty(&[]), None);
    }
}
