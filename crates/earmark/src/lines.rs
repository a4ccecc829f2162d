//! Where a CSV record stands in its file, and what a CSV reader has to say about it: for messages.
//!
//! The reader's own number is the count of line feeds that it has passed. Where lines end in CR LF the
//! last feed still lies ahead, where they end in CR there is none, and blank lines before a record are
//! not passed yet: so lines are counted here.

use crate::{Error, Result};

/// A small CSV table in memory, its rows with the lines on which they begin.
#[derive(Clone, Debug)]
pub struct CsvRows {
    name: String,
    /// The names of the columns, as written; of a table without a header its first row.
    pub header: csv::StringRecord,
    /// The line of the header.
    pub header_line: usize,
    /// The rows with their lines.
    pub rows: Vec<(usize, csv::StringRecord)>,
}

impl CsvRows {
    /// Reads all rows; `name` is what messages call the table.
    ///
    /// # Errors
    /// [`Error::Line`] for a row that is no CSV.
    pub fn parse(name: &str, text: &[u8], options: &csv::ReaderBuilder) -> Result<Self> {
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        let mut reader = options.from_reader(text);
        let mut lines = LineCounter::default();
        let mut table = Self {
            name: name.to_owned(),
            header: csv::StringRecord::new(),
            header_line: header_line(text),
            rows: Vec::new(),
        };
        table.header = match reader.headers() {
            Ok(header) => header.clone(),
            Err(error) => return Err(table.error(table.header_line, csv_reason(&error))),
        };
        for record in reader.records() {
            let record = record.map_err(|error| {
                let line = lines.line(text, error.position());
                table.error(line, csv_reason(&error))
            })?;
            let line = lines.line(text, record.position());
            table.rows.push((line, record));
        }
        Ok(table)
    }

    /// The place of the column with that name.
    ///
    /// # Errors
    /// [`Error::Line`] if there is none.
    pub fn column(&self, name: &str) -> Result<usize> {
        let found = self.header.iter().position(|column| column == name);
        found.ok_or_else(|| self.error(self.header_line, format!("no column `{name}`")))
    }

    /// An error at a line of this table.
    pub fn error(&self, line: usize, reason: String) -> Error {
        Error::Line {
            name: self.name.clone(),
            line,
            reason,
        }
    }
}

/// Numbers the lines on which CSV records begin. CR LF, LF and CR each end a line.
///
/// Asked from the first record to the last it goes through the text once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LineCounter {
    /// How far the text is counted, in bytes.
    byte: usize,
    /// The line ends before it.
    ends: usize,
}

impl LineCounter {
    /// The line, from 1, of a record or of an error at `position` in `text`, which is all that the
    /// reader reads; without a position that of the first record.
    pub fn line(&mut self, text: &[u8], position: Option<&csv::Position>) -> usize {
        self.line_at(
            text,
            position.map_or(0, |position| position.byte() as usize),
        )
    }

    /// The line, from 1, of the first byte from `byte` on that ends no line.
    pub fn line_at(&mut self, text: &[u8], byte: usize) -> usize {
        let byte = byte.min(text.len());
        // A record's position is the end of the one before it.
        let is_end = |byte: &&u8| matches!(**byte, b'\n' | b'\r');
        let start = byte + text[byte..].iter().take_while(is_end).count();
        if start < self.byte {
            *self = Self::default();
        }
        let ends = (self.byte..start).filter(|&at| match text[at] {
            b'\r' => true,
            b'\n' => at == 0 || text[at - 1] != b'\r',
            _ => false,
        });
        self.ends += ends.count();
        self.byte = start;
        self.ends + 1
    }
}

/// The line, from 1, of a table's header: the first that is not blank.
pub fn header_line(text: &[u8]) -> usize {
    LineCounter::default().line_at(text, 0)
}

/// What a CSV reader has to say, without the place that it gives.
pub fn csv_reason(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::Utf8 { err, .. } => {
            format!("field {} is no UTF-8 text", err.field() + 1)
        }
        csv::ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => format!("{len} fields, expected {expected_len}"),
        csv::ErrorKind::Deserialize { err, .. } => match err.field() {
            Some(field) => format!("field {}: {}", field + 1, err.kind()),
            None => err.to_string(),
        },
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of a table's records, header left out.
    fn lines(text: &[u8]) -> Vec<usize> {
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(text);
        let mut counter = LineCounter::default();
        reader
            .byte_records()
            .map(|record| counter.line(text, record.unwrap().position()))
            .collect()
    }

    #[test]
    fn every_kind_of_line_end_counts_once() {
        for end in ["\n", "\r\n", "\r"] {
            let text = ["a,b", "1,2", "", "3,4", "", "", "5,6"].join(end);
            assert_eq!(lines(text.as_bytes()), [2, 4, 7], "{end:?}");
            let ended = format!("{end}{end}{text}{end}");
            assert_eq!(lines(ended.as_bytes()), [4, 6, 9], "{end:?}");
            assert_eq!(header_line(ended.as_bytes()), 3, "{end:?}");
        }
        assert_eq!(lines(b"a,b\r\n1,2\n3,4\r5,6\n\r\n7,8"), [2, 3, 4, 6]);
        assert_eq!(header_line(b""), 1);
    }

    #[test]
    fn line_ends_in_quotes_count() {
        assert_eq!(
            lines(b"a,b\r\n\"1\r\n\r\n\",2\r\n3,4\n\"5\n\",6\n7,8\n"),
            [2, 5, 6, 8]
        );
    }

    #[test]
    fn records_may_be_asked_for_in_any_order() {
        let text = b"a\r\nb\r\nc\r\n";
        let mut counter = LineCounter::default();
        assert_eq!(
            [6, 0, 3, 5, 99].map(|byte| counter.line_at(text, byte)),
            [3, 1, 2, 3, 4]
        );
    }

    #[test]
    fn what_the_reader_says_has_no_place_in_it() {
        let reason = |text: &[u8]| {
            let mut reader = csv::Reader::from_reader(text);
            let error = reader.records().find_map(Result::err).unwrap();
            csv_reason(&error)
        };
        assert_eq!(reason(b"a,b\n1,2,3\n"), "3 fields, expected 2");
        assert_eq!(reason(b"a,b\n1,\xff\n"), "field 2 is no UTF-8 text");
    }
}
