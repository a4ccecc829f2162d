//! Reading submissions and truth tables: CSV in, rows with their lines out.

use std::collections::BTreeSet;
use std::path::Path;

use crate::{Error, Result};

/// Whether and where a clip counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// In the public part of the leaderboard.
    Public,
    /// In the private part of the leaderboard.
    Private,
    /// Not at all.
    Ignored,
    /// The truth does not say; it counts.
    Unstated,
}

/// One clip of a truth table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TruthRow {
    /// The clip's file name.
    pub clip: String,
    /// Its labels, at least one unless it is ignored.
    pub labels: Vec<String>,
    /// Whether and where it counts.
    pub usage: Usage,
    /// The line in the table, from 1.
    pub line: usize,
}

/// A truth table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Truth {
    /// The file's name, for messages.
    pub name: String,
    /// Its rows, each clip once.
    pub rows: Vec<TruthRow>,
    /// Whether it has the column `usage`.
    pub has_usage: bool,
}

/// A submission.
#[derive(Clone, Debug, PartialEq)]
pub struct Submission {
    /// The file's name, for messages.
    pub name: String,
    /// Clips and their lines, in order.
    pub clips: Vec<(String, usize)>,
    /// What it says about them.
    pub answers: Answers,
    /// The label fields, as written, of a table of scores that has a column `labels`.
    pub labels: Option<Vec<String>>,
}

/// What a submission says about its clips.
#[derive(Clone, Debug, PartialEq)]
pub enum Answers {
    /// One to three class names per clip, the likeliest first.
    Ranked(Vec<Vec<String>>),
    /// A score for every class.
    Table {
        /// Class names in the order of the columns.
        classes: Vec<String>,
        /// Scores `[clip, class]`.
        scores: Vec<f32>,
    },
}

impl Truth {
    /// Reads a truth table.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read, [`Error::Line`] for rows that do not fit.
    pub fn read(path: &Path) -> Result<Self> {
        Self::parse(&path.display().to_string(), &fs_err::read(path)?)
    }

    /// Parses a truth table; `name` is the file's name for messages.
    ///
    /// # Errors
    /// [`Error::Line`] for missing columns, an unknown usage, a clip without label or listed twice.
    pub fn parse(name: &str, bytes: &[u8]) -> Result<Self> {
        let mut table = CsvTable::new(name, bytes)?;
        let clip = table.need(&["fname", "filename", "path", "file"])?;
        let label = table.need(&["labels", "label"])?;
        let usage = table.find(&["usage"]);
        let splits = table.header[label] == "labels";
        let mut rows = Vec::new();
        let mut seen = std::collections::BTreeMap::new();
        while let Some((line, fields)) = table.next()? {
            let usage = match usage {
                None => Usage::Unstated,
                Some(column) => usage_of(&fields[column]).ok_or_else(|| Error::Line {
                    name: name.to_owned(),
                    line,
                    reason: format!(
                        "usage is `{}`, expected Public, Private or Ignored",
                        &fields[column]
                    ),
                })?,
            };
            let labels: Vec<String> = match splits {
                true => fields[label]
                    .split(',')
                    .map(|name| name.trim().to_owned())
                    .collect(),
                false => vec![fields[label].to_owned()],
            };
            let clip = fields[clip].to_owned();
            if usage != Usage::Ignored && labels.iter().any(String::is_empty) {
                return Err(table.error(line, format!("`{clip}` has no label")));
            }
            if let Some(first) = seen.insert(clip.clone(), line) {
                let reason = format!("`{clip}` is listed again, first on line {first}");
                return Err(table.error(line, reason));
            }
            rows.push(TruthRow {
                clip,
                labels,
                usage,
                line,
            });
        }
        Ok(Self {
            name: name.to_owned(),
            rows,
            has_usage: usage.is_some(),
        })
    }

    /// The names of all classes that a scored clip has.
    pub fn classes(&self) -> BTreeSet<&str> {
        let scored = self.rows.iter().filter(|row| row.usage != Usage::Ignored);
        scored
            .flat_map(|row| row.labels.iter().map(String::as_str))
            .collect()
    }
}

fn usage_of(text: &str) -> Option<Usage> {
    match text.to_lowercase().as_str() {
        "public" => Some(Usage::Public),
        "private" => Some(Usage::Private),
        "ignored" => Some(Usage::Ignored),
        _ => None,
    }
}

impl Submission {
    /// Reads a submission.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read, [`Error::Line`] for rows that do not fit.
    pub fn read(path: &Path) -> Result<Self> {
        Self::parse(&path.display().to_string(), &fs_err::read(path)?)
    }

    /// Parses a submission; `name` is the file's name for messages.
    ///
    /// # Errors
    /// [`Error::Line`] for missing columns, no or more than three names, or a score that is no number.
    pub fn parse(name: &str, bytes: &[u8]) -> Result<Self> {
        let table = CsvTable::new(name, bytes)?;
        let clip = table.need(&["fname", "filename", "path", "file", "clip"])?;
        match table.find(&["label", "labels"]) {
            Some(label) if table.header.len() == 2 => Self::ranked(table, clip, label),
            _ if table.header.len() > 2 => Self::table(table, clip),
            _ => {
                let reason = format!(
                    "columns {}, expected `fname,label` or `fname` and a column per class",
                    table.header.join(", ")
                );
                Err(table.error(1, reason))
            }
        }
    }

    fn ranked(mut table: CsvTable<'_>, clip: usize, label: usize) -> Result<Self> {
        let (mut clips, mut guesses) = (Vec::new(), Vec::new());
        while let Some((line, fields)) = table.next()? {
            let names: Vec<String> = fields[label]
                .split_whitespace()
                .map(str::to_owned)
                .collect();
            if !(1..=3).contains(&names.len()) {
                let reason = format!("{} labels, expected 1 to 3", names.len());
                return Err(table.error(line, reason));
            }
            clips.push((fields[clip].to_owned(), line));
            guesses.push(names);
        }
        Ok(Self {
            name: table.name.to_owned(),
            clips,
            answers: Answers::Ranked(guesses),
            labels: None,
        })
    }

    fn table(mut table: CsvTable<'_>, clip: usize) -> Result<Self> {
        // Right after the clip: as a class further on it would be somebody's class name.
        let label = table.find(&["labels"]).filter(|column| *column == clip + 1);
        let columns: Vec<usize> = (0..table.names.len())
            .filter(|column| *column != clip && Some(*column) != label)
            .collect();
        let classes: Vec<String> = columns
            .iter()
            .map(|column| table.names[*column].clone())
            .collect();
        if let Some(twice) = (1..classes.len()).find(|at| classes[..*at].contains(&classes[*at])) {
            let reason = format!("two columns for class `{}`", classes[twice]);
            return Err(table.error(1, reason));
        }
        let (mut clips, mut scores) = (Vec::new(), Vec::new());
        let mut labels = label.map(|_| Vec::new());
        while let Some((line, fields)) = table.next()? {
            for (column, class) in columns.iter().zip(&classes) {
                let text = &fields[*column];
                match text.parse::<f32>().ok().filter(|score| score.is_finite()) {
                    Some(score) => scores.push(score),
                    None => {
                        let reason = format!("`{class}` is `{text}`, expected a number");
                        return Err(table.error(line, reason));
                    }
                }
            }
            clips.push((fields[clip].to_owned(), line));
            if let (Some(labels), Some(label)) = (&mut labels, label) {
                labels.push(fields[label].to_owned());
            }
        }
        Ok(Self {
            name: table.name.to_owned(),
            clips,
            answers: Answers::Table { classes, scores },
            labels,
        })
    }

    /// An error at a line of this file.
    pub(super) fn error(&self, line: usize, reason: String) -> Error {
        Error::Line {
            name: self.name.clone(),
            line,
            reason,
        }
    }

    /// The line of the last row.
    pub(super) fn last_line(&self) -> usize {
        self.clips.last().map_or(1, |(_, line)| *line)
    }
}

/// A CSV table with a header, read row by row.
struct CsvTable<'a> {
    name: &'a str,
    rows: csv::Reader<&'a [u8]>,
    /// Column names as written.
    names: Vec<String>,
    /// Column names in lower case.
    header: Vec<String>,
}

impl<'a> CsvTable<'a> {
    fn new(name: &'a str, bytes: &'a [u8]) -> Result<Self> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let mut rows = csv::ReaderBuilder::new()
            .trim(csv::Trim::All)
            .flexible(true)
            .from_reader(bytes);
        let header = rows.headers().map_err(|error| csv_error(name, &error))?;
        let names: Vec<String> = header.iter().map(str::to_owned).collect();
        let header = names.iter().map(|name| name.to_lowercase()).collect();
        Ok(Self {
            name,
            rows,
            names,
            header,
        })
    }

    fn find(&self, names: &[&str]) -> Option<usize> {
        names
            .iter()
            .find_map(|name| self.header.iter().position(|column| column == name))
    }

    fn need(&self, names: &[&str]) -> Result<usize> {
        self.find(names).ok_or_else(|| {
            let reason = format!(
                "columns {}, expected one named `{}`",
                self.names.join(", "),
                names[0]
            );
            self.error(1, reason)
        })
    }

    /// The next row with its line.
    fn next(&mut self) -> Result<Option<(usize, csv::StringRecord)>> {
        let mut record = csv::StringRecord::new();
        let more = self
            .rows
            .read_record(&mut record)
            .map_err(|error| csv_error(self.name, &error))?;
        if !more {
            return Ok(None);
        }
        let line = record.position().map_or(0, |at| at.line() as usize);
        if record.len() != self.names.len() {
            let reason = format!("{} fields, expected {}", record.len(), self.names.len());
            return Err(self.error(line, reason));
        }
        Ok(Some((line, record)))
    }

    fn error(&self, line: usize, reason: String) -> Error {
        Error::Line {
            name: self.name.to_owned(),
            line,
            reason,
        }
    }
}

fn csv_error(name: &str, error: &csv::Error) -> Error {
    Error::Line {
        name: name.to_owned(),
        line: error.position().map_or(1, |at| at.line() as usize),
        reason: format!("{error}, expected CSV"),
    }
}
