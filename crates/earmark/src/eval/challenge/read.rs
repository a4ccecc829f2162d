//! Reading submissions and truth tables: CSV in, rows with their lines out.

use std::collections::BTreeSet;
use std::path::Path;

use crate::error::shortened;
use crate::lines::{LineCounter, csv_reason, header_line};
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
    /// The line of the header, from 1.
    pub header_line: usize,
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
        /// Scores `[clip, class]`, finite.
        scores: Vec<f64>,
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
                Some(column) => usage_of(&fields[column]).ok_or_else(|| {
                    let reason = format!(
                        "usage is `{}`, expected Public, Private or Ignored",
                        shortened(&fields[column])
                    );
                    table.error(line, reason)
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
                let reason = format!("`{}` has no label", shortened(&clip));
                return Err(table.error(line, reason));
            }
            if let Some(first) = seen.insert(clip.clone(), line) {
                let clip = shortened(&clip);
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
                    shortened(&table.header.join(", "))
                );
                Err(table.error(table.header_line, reason))
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
            header_line: table.header_line,
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
            let reason = format!("two columns for class `{}`", shortened(&classes[twice]));
            return Err(table.error(table.header_line, reason));
        }
        let (mut clips, mut scores) = (Vec::new(), Vec::new());
        let mut labels = label.map(|_| Vec::new());
        while let Some((line, fields)) = table.next()? {
            for (column, class) in columns.iter().zip(&classes) {
                let text = &fields[*column];
                match text.parse::<f64>().ok().filter(|score| score.is_finite()) {
                    Some(score) => scores.push(score),
                    None => {
                        let (class, text) = (shortened(class), shortened(text));
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
            header_line: table.header_line,
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
        self.clips
            .last()
            .map_or(self.header_line, |(_, line)| *line)
    }
}

/// A CSV table with a header, read row by row.
struct CsvTable<'a> {
    name: &'a str,
    text: &'a [u8],
    rows: csv::Reader<&'a [u8]>,
    lines: LineCounter,
    header_line: usize,
    /// Column names as written.
    names: Vec<String>,
    /// Column names in lower case.
    header: Vec<String>,
}

impl<'a> CsvTable<'a> {
    fn new(name: &'a str, bytes: &'a [u8]) -> Result<Self> {
        let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        if text.trim_ascii().is_empty() {
            let reason = "an empty file, expected a header and rows";
            return Err(line_error(name, 1, reason.to_owned()));
        }
        let header_line = header_line(text);
        let mut rows = csv::ReaderBuilder::new()
            .trim(csv::Trim::All)
            .flexible(true)
            .from_reader(text);
        let header = rows
            .headers()
            .map_err(|error| csv_error(name, header_line, &error))?;
        let names: Vec<String> = header.iter().map(str::to_owned).collect();
        let header = names.iter().map(|name| name.to_lowercase()).collect();
        Ok(Self {
            name,
            text,
            rows,
            lines: LineCounter::default(),
            header_line,
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
                shortened(&self.names.join(", ")),
                names[0]
            );
            self.error(self.header_line, reason)
        })
    }

    /// The next row with its line.
    fn next(&mut self) -> Result<Option<(usize, csv::StringRecord)>> {
        let mut record = csv::StringRecord::new();
        let more = self.rows.read_record(&mut record).map_err(|error| {
            let line = self.lines.line(self.text, error.position());
            csv_error(self.name, line, &error)
        })?;
        if !more {
            return Ok(None);
        }
        let line = self.lines.line(self.text, record.position());
        if record.len() != self.names.len() {
            let reason = format!("{} fields, expected {}", record.len(), self.names.len());
            return Err(self.error(line, reason));
        }
        Ok(Some((line, record)))
    }

    fn error(&self, line: usize, reason: String) -> Error {
        line_error(self.name, line, reason)
    }
}

fn csv_error(name: &str, line: usize, error: &csv::Error) -> Error {
    line_error(name, line, format!("{}, expected CSV", csv_reason(error)))
}

fn line_error(name: &str, line: usize, reason: String) -> Error {
    Error::Line {
        name: name.to_owned(),
        line,
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn submission(text: &[u8]) -> String {
        Submission::parse("s.csv", text).unwrap_err().to_string()
    }

    fn truth(text: &[u8]) -> String {
        Truth::parse("t.csv", text).unwrap_err().to_string()
    }

    #[test]
    fn lines_are_those_that_an_editor_shows() {
        for end in ["\n", "\r\n", "\r"] {
            let joined = |rows: &[&str]| rows.join(end).into_bytes();
            assert_eq!(
                submission(&joined(&["fname,A,B", "a,1,2", "", "b,1,2", "", "c,1,x"])),
                "s.csv:6: `B` is `x`, expected a number",
                "{end:?}"
            );
            assert_eq!(
                submission(&joined(&["", "fname,label", "a,A", "b,A,B"])),
                "s.csv:4: 3 fields, expected 2",
                "{end:?}"
            );
            assert_eq!(
                submission(&joined(&["", "", "name;guess"])),
                "s.csv:3: columns name;guess, expected one named `fname`",
                "{end:?}"
            );
            assert_eq!(
                truth(&joined(&["fname,label", "a,A", "", "a,B"])),
                "t.csv:4: `a` is listed again, first on line 2",
                "{end:?}"
            );
            let mut text = joined(&["fname,label", "a,A", "", "b,"]);
            text.push(0xff);
            assert_eq!(
                truth(&text),
                "t.csv:4: field 2 is no UTF-8 text, expected CSV",
                "{end:?}"
            );
        }
    }

    #[test]
    fn an_empty_file_is_called_one() {
        for text in ["", "\r\n\n", "\u{feff} \n"] {
            let found = [submission(text.as_bytes()), truth(text.as_bytes())];
            let reason = "an empty file, expected a header and rows";
            assert_eq!(
                found,
                [format!("s.csv:1: {reason}"), format!("t.csv:1: {reason}")]
            );
        }
    }

    #[test]
    fn long_cells_are_cut_in_messages() {
        let long = "é".repeat(1 << 20);
        let cut = format!("{}…", &long[..160]);
        assert_eq!(
            submission(format!("fname,A,B\na,1,{long}\n").as_bytes()),
            format!("s.csv:2: `B` is `{cut}`, expected a number")
        );
        assert_eq!(
            truth(format!("fname,label,usage\na,A,{long}\n").as_bytes()),
            format!("t.csv:2: usage is `{cut}`, expected Public, Private or Ignored")
        );
        assert_eq!(
            truth(format!("fname,label\n{long},\n").as_bytes()),
            format!("t.csv:2: `{cut}` has no label")
        );
        assert_eq!(
            submission(format!("{long},A,B\n").as_bytes()),
            format!("s.csv:1: columns {cut}, expected one named `fname`")
        );
    }
}
