//! `earmark score`: a submission and the truth in, the figures of the leaderboard out.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use earmark::eval::challenge::{
    Figures, Metric, ScoreCard, ScoreOptions, Submission, Truth, score,
};

use super::Outcome;
use super::bundle::Format;
use crate::printer::Printer;

/// Arguments of `earmark score`.
#[derive(Debug, Args)]
pub(crate) struct ScoreArgs {
    /// The submission: `fname,label` with up to three names (2018), or `fname` and one probability
    /// column per class (2019).
    #[arg(value_name = "SUBMISSION.csv")]
    submission: PathBuf,

    /// The truth: `fname,label` or `fname,labels`, with an optional column `usage`.
    #[arg(value_name = "TRUTH.csv")]
    truth: PathBuf,

    /// Show every class.
    #[arg(long)]
    per_class: bool,

    /// Leave out submitted clips that the truth does not list.
    #[arg(long)]
    ignore_unlisted: bool,

    /// How the figures are written; JSON always holds every class.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl ScoreArgs {
    /// Scores and prints.
    pub(crate) fn run(self, printer: &Printer) -> anyhow::Result<Outcome> {
        let truth = Truth::read(&self.truth)?;
        let submission = Submission::read(&self.submission)?;
        let options = ScoreOptions {
            ignore_unlisted: self.ignore_unlisted,
        };
        let card = score(&submission, &truth, &options)?;
        for note in &card.notes {
            printer.note(note);
        }
        match self.format {
            Format::Json => {
                let text = serde_json::to_string_pretty(&card).context("writing JSON")?;
                printer.line(text)?;
            }
            Format::Text => {
                for line in text(&card, self.per_class) {
                    printer.line(line)?;
                }
            }
        }
        Ok(Outcome::Done)
    }
}

/// The figures for people: the leaderboard's line first.
fn text(card: &ScoreCard, per_class: bool) -> Vec<String> {
    let overall_only = card.parts.len() == 1;
    let headline: Vec<String> = card
        .parts
        .iter()
        .filter(|part| overall_only || part.name != "Overall")
        .map(|part| format!("{} {}", part.name, figure(part.headline(card.metric))))
        .collect();
    let mut lines = vec![headline.join("  "), String::new()];
    lines.extend(table("", &card.parts, card.metric));
    if per_class {
        lines.push(String::new());
        lines.extend(table("class", &card.per_class, card.metric));
    }
    lines
}

/// A column's heading and how to get its value.
type Column = (&'static str, fn(&Figures) -> Option<f64>);

fn table(heading: &str, rows: &[Figures], metric: Metric) -> Vec<String> {
    let columns: &[Column] = match metric {
        Metric::MapAt3 => &[
            ("MAP@3", |row| row.map_at_3),
            ("accuracy", |row| row.accuracy),
            ("top-3 error", |row| row.top_3_error),
            ("lwlrap", |row| row.lwlrap),
        ],
        Metric::Lwlrap => &[("lwlrap", |row| row.lwlrap)],
    };
    let columns: Vec<&Column> = columns
        .iter()
        .filter(|(_, get)| rows.iter().any(|row| get(row).is_some()))
        .collect();
    let width = rows
        .iter()
        .map(|row| row.name.chars().count())
        .max()
        .unwrap_or(0)
        .max(heading.len());
    let mut head = format!("{heading:width$}  {:>6}", "clips");
    for (name, _) in &columns {
        head.push_str(&format!("  {name:>8}"));
    }
    let body = rows.iter().map(|row| {
        let mut line = format!("{:width$}  {:>6}", row.name, row.n_clips);
        for (name, get) in &columns {
            line.push_str(&format!("  {:>1$}", figure(get(row)), name.len().max(8)));
        }
        line
    });
    std::iter::once(head).chain(body).collect()
}

/// Five decimals, as the leaderboard shows.
fn figure(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.5}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_is_the_leaderboards() {
        let part = |name: &str, value| Figures {
            name: name.to_owned(),
            n_clips: 2,
            map_at_3: Some(value),
            top_3_error: Some(0.5),
            accuracy: None,
            lwlrap: None,
        };
        let card = ScoreCard {
            metric: Metric::MapAt3,
            parts: vec![
                part("Public", 0.807_309),
                part("Private", 0.75),
                part("Overall", 0.76),
            ],
            per_class: vec![],
            notes: vec![],
        };
        assert_eq!(
            text(&card, false),
            [
                "Public 0.80731  Private 0.75000",
                "",
                "          clips     MAP@3  top-3 error",
                "Public        2   0.80731      0.50000",
                "Private       2   0.75000      0.50000",
                "Overall       2   0.76000      0.50000",
            ]
        );
    }
}
