//! The results of a comparison as tables: figures with intervals, and which differences are real.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use earmark::dataset::Manifest;
use earmark::eval::{BootstrapOptions, Comparison, Scores, Targets, compare, lwlrap, ranking};
use earmark::{Error, Result};
use serde::Serialize;

use super::{CompareConfig, Trained};
use crate::run::RunDirectory;

/// Corrected p-values below this are called real.
const LEVEL: f64 = 0.05;

/// What a comparison found.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The data set's digest.
    pub data_digest: String,
    /// Clips that were judged, each with every seed.
    pub n_clips: usize,
    /// Folds.
    pub n_folds: usize,
    /// Seeds.
    pub n_seeds: usize,
    /// The representations, in the order of the configuration.
    pub rows: Vec<Row>,
    /// The figures; the first one is the one that is talked about.
    pub tables: Vec<FigureTable>,
}

/// A representation.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// Channels, bands and frames.
    pub shape: [usize; 3],
    /// The mean time of a training in seconds.
    pub mean_secs: f64,
    /// The mean loss of the training clips in the last epoch.
    pub train_loss: f64,
}

/// One figure of all representations.
#[derive(Debug, Clone, Serialize)]
pub struct FigureTable {
    /// Its name, such as `accuracy`.
    pub name: &'static str,
    /// Whether more is better.
    pub higher_is_better: bool,
    /// The figures and differences; indices are those of the rows.
    pub comparison: Comparison,
    /// The standard deviation of the figure over the seeds, by representation; absent with one seed.
    pub deviation_over_seeds: Vec<Option<f64>>,
}

/// The values of a figure: per clip, and what each clip counts.
struct Figure {
    name: &'static str,
    higher_is_better: bool,
    /// The value of a clip from its scores and labels.
    of_clip: fn(&[f32], &[usize]) -> Result<f64>,
    weight: fn(&[usize]) -> f64,
}

const ONE: fn(&[usize]) -> f64 = |_| 1.0;

fn rank(scores: &[f32], labels: &[usize]) -> usize {
    ranking::rank_of(scores, labels[0])
}

/// The figures of clips with one label each.
const SINGLE_LABEL: [Figure; 3] = [
    Figure {
        name: "accuracy",
        higher_is_better: true,
        of_clip: |scores, labels| Ok(f64::from(u8::from(rank(scores, labels) == 1))),
        weight: ONE,
    },
    Figure {
        name: "top-3 error",
        higher_is_better: false,
        of_clip: |scores, labels| Ok(f64::from(u8::from(rank(scores, labels) > 3))),
        weight: ONE,
    },
    Figure {
        name: "MAP@3",
        higher_is_better: true,
        of_clip: |scores, labels| match rank(scores, labels) {
            rank @ 1..=3 => Ok(1.0 / rank as f64),
            _ => Ok(0.0),
        },
        weight: ONE,
    },
];

/// The figures of clips with several labels.
const MULTI_LABEL: [Figure; 1] = [Figure {
    name: "lwlrap",
    higher_is_better: true,
    of_clip: |scores, labels| {
        let mut targets = vec![false; scores.len()];
        labels.iter().for_each(|label| targets[*label] = true);
        let n_classes = scores.len();
        let of_clip = lwlrap(
            Scores::new(scores, n_classes)?,
            Targets::new(&targets, n_classes)?,
        )?;
        Ok(of_clip.overall.unwrap_or(0.0))
    },
    weight: |labels| labels.len() as f64,
}];

impl Report {
    /// Judges trainings, which are ordered by representation, fold and seed.
    pub(super) fn new(
        config: &CompareConfig,
        manifest: &Manifest,
        is_single_label: bool,
        results: &[Trained],
    ) -> Result<Self> {
        let n_seeds = config.seeds.len();
        let per_row = results.len() / config.representations.len();
        let judged = Judged::new(manifest, &results[..per_row], n_seeds);
        let figures: &[Figure] = match is_single_label {
            true => &SINGLE_LABEL,
            false => &MULTI_LABEL,
        };
        let options = BootstrapOptions {
            n_resamples: config.n_resamples,
            seed: config.fold_seed,
            groups: Some(&judged.sources),
            ..Default::default()
        };
        let mut tables = Vec::new();
        for figure in figures {
            let systems = results.chunks_exact(per_row);
            let systems = systems.map(|runs| judged.values(figure, runs, n_seeds));
            let systems: Vec<Vec<f64>> = systems.collect::<Result<_>>()?;
            let weights: Vec<f64> = judged.labels.iter().map(|l| (figure.weight)(l)).collect();
            let deviations = systems.iter().map(|system| deviation(system, &weights));
            tables.push(FigureTable {
                name: figure.name,
                higher_is_better: figure.higher_is_better,
                deviation_over_seeds: deviations.collect(),
                comparison: compare(&systems, &weights, &options)?,
            });
        }
        let mean = |runs: &[Trained], of: fn(&Trained) -> f64| {
            runs.iter().map(of).sum::<f64>() / runs.len() as f64
        };
        let rows = results.chunks_exact(per_row).map(|runs| Row {
            name: runs[0].representation.clone(),
            shape: runs[0].shape,
            mean_secs: mean(runs, |run| run.secs),
            train_loss: mean(runs, |run| run.train_loss),
        });
        Ok(Self {
            data_digest: manifest.digest(),
            n_clips: judged.labels.len(),
            n_folds: per_row / n_seeds,
            n_seeds,
            rows: rows.collect(),
            tables,
        })
    }

    /// Writes `comparison.json`, `table.csv`, `differences.csv` and `table.md`.
    pub(super) fn write(&self, directory: &RunDirectory) -> Result<()> {
        directory.write_json("comparison.json", self)?;
        self.write_table(directory)?;
        self.write_differences(directory)?;
        directory.write_text("table.md", &self.markdown())
    }

    fn write_table(&self, directory: &RunDirectory) -> Result<()> {
        let mut header: Vec<String> = [
            "representation",
            "channels",
            "bands",
            "frames",
            "mean_secs",
            "train_loss",
        ]
        .map(str::to_owned)
        .into();
        for table in &self.tables {
            let name = column(table.name);
            header.extend(["", "_lower", "_upper", "_seed_sd"].map(|end| format!("{name}{end}")));
        }
        let header: Vec<&str> = header.iter().map(String::as_str).collect();
        let rows = self.rows.iter().enumerate().map(|(at, row)| {
            let mut cells = vec![row.name.clone()];
            cells.extend(row.shape.map(|length| length.to_string()));
            cells.extend([row.mean_secs, row.train_loss].map(|x| x.to_string()));
            for table in &self.tables {
                let figure = table.comparison.figures[at];
                cells.extend([figure.estimate, figure.lower, figure.upper].map(|x| x.to_string()));
                let deviation = table.deviation_over_seeds[at];
                cells.push(deviation.map(|x| x.to_string()).unwrap_or_default());
            }
            cells
        });
        directory.write_csv("table.csv", &header, rows)
    }

    fn write_differences(&self, directory: &RunDirectory) -> Result<()> {
        let header = [
            "figure",
            "first",
            "second",
            "difference",
            "lower",
            "upper",
            "p",
            "p_corrected",
        ];
        let rows = self.tables.iter().flat_map(|table| {
            table.comparison.differences.iter().map(|pair| {
                let mut cells = vec![
                    table.name.to_owned(),
                    self.rows[pair.first].name.clone(),
                    self.rows[pair.second].name.clone(),
                ];
                let difference = pair.difference;
                let numbers = [
                    difference.estimate,
                    difference.lower,
                    difference.upper,
                    pair.p,
                    pair.p_corrected,
                ];
                cells.extend(numbers.map(|x| x.to_string()));
                cells
            })
        });
        directory.write_csv("differences.csv", &header, rows)
    }

    /// The table and the differences as Markdown, best representation first.
    pub fn markdown(&self) -> String {
        let mut text = String::from("| representation | channels × bands × frames |");
        for table in &self.tables {
            let _ = write!(text, " {} |", table.name);
        }
        text.push_str(" over seeds | seconds |\n|---|---|");
        text.push_str(&"---|".repeat(self.tables.len() + 2));
        text.push('\n');
        for at in self.order() {
            let Row {
                name,
                shape,
                mean_secs,
                ..
            } = &self.rows[at];
            let _ = write!(
                text,
                "| {name} | {} × {} × {} |",
                shape[0], shape[1], shape[2]
            );
            for table in &self.tables {
                let figure = table.comparison.figures[at];
                let _ = write!(
                    text,
                    " {} ({} to {}) |",
                    three(figure.estimate),
                    three(figure.lower),
                    three(figure.upper)
                );
            }
            let first = self
                .tables
                .first()
                .and_then(|table| table.deviation_over_seeds[at]);
            let over_seeds = first.map_or_else(|| "–".to_owned(), |sd| format!("± {}", three(sd)));
            let _ = writeln!(text, " {over_seeds} | {mean_secs:.1} |");
        }
        for table in &self.tables {
            text.push('\n');
            for line in self.sentences(table) {
                let _ = writeln!(text, "* {line}");
            }
        }
        text
    }

    /// The rows from the best to the worst by the first figure.
    pub fn order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.rows.len()).collect();
        if let Some(table) = self.tables.first() {
            let key = |at: usize| {
                let estimate = table.comparison.figures[at].estimate;
                if table.higher_is_better {
                    -estimate
                } else {
                    estimate
                }
            };
            order.sort_by(|a, b| key(*a).total_cmp(&key(*b)));
        }
        order
    }

    /// Which differences of a figure are real, in words: one line for each representation that is
    /// better than others.
    pub fn sentences(&self, table: &FigureTable) -> Vec<String> {
        let mut worse: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        let pairs = &table.comparison.differences;
        for pair in pairs.iter().filter(|pair| pair.p_corrected < LEVEL) {
            let second_is_better = (pair.difference.estimate > 0.0) == table.higher_is_better;
            let (better, other) = match second_is_better {
                true => (pair.second, pair.first),
                false => (pair.first, pair.second),
            };
            worse.entry(better).or_default().push(other);
        }
        let n_real: usize = worse.values().map(Vec::len).sum();
        let mut lines = vec![format!(
            "{}: {n_real} of {} differences are real (p < {LEVEL}, bootstrap over clips and seeds, \
             Holm's correction)",
            table.name,
            pairs.len()
        )];
        for better in self.order() {
            if let Some(others) = worse.get(&better) {
                let names: Vec<&str> = others
                    .iter()
                    .map(|at| self.rows[*at].name.as_str())
                    .collect();
                lines.push(format!(
                    "{} is better than {}",
                    self.rows[better].name,
                    names.join("; ")
                ));
            }
        }
        lines
    }
}

/// The judged clips: the same ones, in the same order, for every representation and seed.
struct Judged {
    clips: Vec<usize>,
    labels: Vec<Vec<usize>>,
    /// `[clip]`: the number of its source.
    sources: Vec<usize>,
}

impl Judged {
    /// The clips of the folds of one representation.
    fn new(manifest: &Manifest, runs: &[Trained], n_seeds: usize) -> Self {
        let folds = runs.iter().step_by(n_seeds);
        let labels = |clip: usize| manifest.clips[clip].labels.clone().unwrap_or_default();
        let clips: Vec<usize> = folds
            .flat_map(|run| run.clips.iter().copied())
            .filter(|clip| !labels(*clip).is_empty())
            .collect();
        let mut numbers = BTreeMap::new();
        let sources = clips.iter().map(|&clip| {
            let clip = &manifest.clips[clip];
            let next = numbers.len();
            *numbers
                .entry(clip.source.as_deref().unwrap_or(&clip.name))
                .or_insert(next)
        });
        Self {
            sources: sources.collect(),
            labels: clips.iter().map(|clip| labels(*clip)).collect(),
            clips,
        }
    }

    /// A figure's values of one representation, `[seed, clip]`.
    fn values(&self, figure: &Figure, runs: &[Trained], n_seeds: usize) -> Result<Vec<f64>> {
        let mut values = Vec::with_capacity(n_seeds * self.clips.len());
        for seed in 0..n_seeds {
            let mut scores = BTreeMap::new();
            for run in runs.iter().skip(seed).step_by(n_seeds) {
                let n_classes = run.scores.len() / run.clips.len().max(1);
                scores.extend(
                    run.clips
                        .iter()
                        .zip(run.scores.chunks_exact(n_classes.max(1))),
                );
            }
            for (clip, labels) in self.clips.iter().zip(&self.labels) {
                let row = scores.get(clip).ok_or_else(|| Error::Shape {
                    what: "clips of a result".to_owned(),
                    found: format!("no clip {clip}"),
                    expected: "the same clips for every seed".to_owned(),
                })?;
                values.push((figure.of_clip)(row, labels)?);
            }
        }
        Ok(values)
    }
}

/// The standard deviation over the runs of their weighted means.
fn deviation(values: &[f64], weights: &[f64]) -> Option<f64> {
    let total: f64 = weights.iter().sum();
    let of_run = |run: &[f64]| run.iter().zip(weights).map(|(v, w)| v * w).sum::<f64>() / total;
    let means: Vec<f64> = values.chunks_exact(weights.len()).map(of_run).collect();
    if means.len() < 2 {
        return None;
    }
    let mean = means.iter().sum::<f64>() / means.len() as f64;
    let squares: f64 = means.iter().map(|x| (x - mean).powi(2)).sum();
    Some((squares / (means.len() - 1) as f64).sqrt())
}

/// A figure's name as part of a column's.
fn column(name: &str) -> String {
    name.to_lowercase().replace([' ', '-', '@'], "_")
}

/// Three digits after the point, and none before it below 1.
fn three(value: f64) -> String {
    let text = format!("{value:.3}");
    text.strip_prefix('0')
        .map_or_else(|| text.clone(), str::to_owned)
}
