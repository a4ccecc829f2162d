//! CSV tables with a header: rows with their line numbers out.

use std::path::Path;
use std::sync::Arc;

use super::super::clip::Origin;
use crate::lines::{LineCounter, csv_reason, header_line};
use crate::{Error, Result};

/// A table, read row by row.
pub(super) struct Table {
    name: Arc<str>,
    rows: csv::Reader<std::io::Cursor<Vec<u8>>>,
    lines: LineCounter,
    /// Column names in lower case.
    header: Vec<String>,
}

/// One row.
pub(super) struct Row {
    record: csv::StringRecord,
    /// Where it stands.
    pub(super) origin: Origin,
}

impl Row {
    /// A field, empty where the row is too short.
    pub(super) fn field(&self, column: usize) -> &str {
        self.record.get(column).unwrap_or_default()
    }

    /// A field of an optional column, `None` where there is no column or nothing in it.
    pub(super) fn optional(&self, column: Option<usize>) -> Option<&str> {
        column
            .map(|column| self.field(column))
            .filter(|field| !field.is_empty())
    }

    /// A number in an optional column.
    pub(super) fn number<T: std::str::FromStr>(
        &self,
        column: Option<usize>,
        what: &str,
    ) -> Result<Option<T>> {
        let parse = |field: &str| {
            let reason = || format!("{what} is `{field}`, expected a number");
            field.parse().map_err(|_| self.error(reason()))
        };
        self.optional(column).map(parse).transpose()
    }

    /// An error on this line.
    pub(super) fn error(&self, reason: String) -> Error {
        Error::Line {
            name: self.origin.file.to_string(),
            line: self.origin.line,
            reason,
        }
    }
}

impl Table {
    /// Opens a table in a file.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let bytes = fs_err::read(path)?;
        Self::from_bytes(&path.display().to_string(), bytes)
    }

    /// Parses a table; `name` is the file's name for messages.
    pub(super) fn parse(name: &str, bytes: &[u8]) -> Result<Self> {
        Self::from_bytes(name, bytes.to_vec())
    }

    fn from_bytes(name: &str, mut bytes: Vec<u8>) -> Result<Self> {
        if bytes.starts_with(b"\xef\xbb\xbf") {
            bytes.drain(..3);
        }
        let first_line = header_line(&bytes);
        let header = bytes
            .split(|byte| matches!(byte, b'\n' | b'\r'))
            .find(|line| !line.is_empty())
            .unwrap_or_default();
        let mut rows = csv::ReaderBuilder::new()
            .delimiter(delimiter_of(header))
            .trim(csv::Trim::All)
            .flexible(true)
            .from_reader(std::io::Cursor::new(bytes));
        let header = rows
            .headers()
            .map_err(|error| csv_error(name, first_line, &error))?;
        let header = header.iter().map(str::to_lowercase).collect();
        Ok(Self {
            name: name.into(),
            rows,
            lines: LineCounter::default(),
            header,
        })
    }
}

/// The separator that the header uses most.
fn delimiter_of(header: &[u8]) -> u8 {
    let count = |delimiter: u8| header.iter().filter(|byte| **byte == delimiter).count();
    // `max_by_key` keeps the last of equals, so a header without any separator is read by commas.
    [b'\t', b';', b',']
        .into_iter()
        .max_by_key(|delimiter| count(*delimiter))
        .unwrap_or(b',')
}

impl Table {
    /// The column with one of some names, the first name that occurs.
    pub(super) fn find(&self, names: &[&str]) -> Option<usize> {
        names
            .iter()
            .find_map(|name| self.header.iter().position(|column| column == name))
    }

    /// Like [`find`](Self::find); an error where there is no such column.
    pub(super) fn need(&self, names: &[&str]) -> Result<usize> {
        self.find(names).ok_or_else(|| Error::Line {
            name: self.name.to_string(),
            line: header_line(self.rows.get_ref().get_ref()),
            reason: match self.header.is_empty() {
                true => format!(
                    "an empty file, expected a column `{}`",
                    names.join("` or `")
                ),
                false => format!(
                    "columns are `{}`, expected `{}`",
                    self.header.join("`, `"),
                    names.join("` or `")
                ),
            },
        })
    }

    /// The next row that is not empty.
    pub(super) fn next(&mut self) -> Result<Option<Row>> {
        loop {
            let mut record = csv::StringRecord::new();
            let more = self.rows.read_record(&mut record);
            let text = self.rows.get_ref().get_ref();
            let more = more.map_err(|error| {
                let line = self.lines.line(text, error.position());
                csv_error(&self.name, line, &error)
            })?;
            if !more {
                return Ok(None);
            }
            if record.iter().all(str::is_empty) {
                continue;
            }
            let line = self.lines.line(text, record.position());
            let row = Row {
                record,
                origin: Origin {
                    file: self.name.clone(),
                    line,
                },
            };
            if row.record.len() != self.header.len() {
                let reason = format!(
                    "{} fields, expected {}",
                    row.record.len(),
                    self.header.len()
                );
                return Err(row.error(reason));
            }
            return Ok(Some(row));
        }
    }
}

fn csv_error(name: &str, line: usize, error: &csv::Error) -> Error {
    Error::Line {
        name: name.to_owned(),
        line,
        reason: format!("{}, expected CSV", csv_reason(error)),
    }
}

/// The lower-case column names of a table, `None` if it cannot be read as one.
pub(super) fn header_of(path: &Path) -> Option<Vec<String>> {
    use std::io::BufRead as _;
    let file = fs_err::File::open(path).ok()?;
    let mut line = Vec::new();
    // A header is short; a huge first line is no table.
    let mut reader = std::io::BufReader::new(std::io::Read::take(file, 1 << 16));
    reader.read_until(b'\n', &mut line).ok()?;
    Table::from_bytes("", line).ok().map(|table| table.header)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of a table's rows, or what is wrong with it.
    fn lines(text: &[u8]) -> Result<Vec<usize>, String> {
        let mut table = Table::parse("t.csv", text).map_err(|error| error.to_string())?;
        table.need(&["path"]).map_err(|error| error.to_string())?;
        let mut lines = Vec::new();
        while let Some(row) = table.next().map_err(|error| error.to_string())? {
            lines.push(row.origin.line);
        }
        Ok(lines)
    }

    #[test]
    fn rows_have_the_lines_that_an_editor_shows() {
        for end in ["\n", "\r\n", "\r"] {
            let text = ["path;label", "a.wav;x", "", ";", "b.wav;y", ""].join(end);
            assert_eq!(lines(text.as_bytes()), Ok(vec![2, 5]), "{end:?}");
            let text = ["", "path;label", "", "a.wav;x;z"].join(end);
            let wrong = Err("t.csv:4: 3 fields, expected 2".to_owned());
            assert_eq!(lines(text.as_bytes()), wrong, "{end:?}");
        }
        assert_eq!(
            lines(b"path,label\r\na.wav,x\r\nb.wav,\xff\r\n"),
            Err("t.csv:3: field 2 is no UTF-8 text, expected CSV".to_owned())
        );
        assert_eq!(
            lines(b"\r\nname\r\n"),
            Err("t.csv:2: columns are `name`, expected `path`".to_owned())
        );
        assert_eq!(
            lines(b""),
            Err("t.csv:1: an empty file, expected a column `path`".to_owned())
        );
    }
}
