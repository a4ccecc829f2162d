//! Readers of annotations of long recordings: Raven selection tables, Audacity label tracks and CSV
//! text in, a list of labelled times out.
//!
//! The format is recognised from the text. Raven: a tab-separated table with the columns
//! `Begin Time (s)` and `End Time (s)`. Audacity: no header, start, end and label separated by tabs;
//! lines that begin with a backslash hold the frequencies of the line above. CSV: a header with an
//! onset, an offset and a label column under one of their usual names, separated by commas,
//! semicolons or tabs.

use std::path::Path;

use crate::lines::{LineCounter, csv_reason, header_line};
use crate::{Error, Result};

/// One labelled stretch of a recording.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Annotation {
    /// Start in seconds.
    pub onset_secs: f64,
    /// End in seconds, not before the start.
    pub offset_secs: f64,
    /// The label as written, without surrounding blanks.
    pub label: String,
    /// Lowest frequency in Hz, where the file says it.
    pub low_hz: Option<f64>,
    /// Highest frequency in Hz, where the file says it.
    pub high_hz: Option<f64>,
    /// The recording's name, where the file lists several.
    pub file: Option<String>,
    /// The line in the annotation file, from 1.
    pub line: usize,
}

/// Which kind of file was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A selection table of Raven.
    Raven,
    /// A label track of Audacity.
    Audacity,
    /// A table with a header.
    Csv,
}

/// Reads an annotation file, in the order of its lines.
///
/// # Errors
/// [`Error::Io`] if the file cannot be read, otherwise those of [`parse`].
pub fn read(path: &Path) -> Result<(Format, Vec<Annotation>)> {
    let bytes = fs_err::read(path)?;
    let name = path.display().to_string();
    let text = String::from_utf8(bytes).map_err(|error| Error::Line {
        line: LineCounter::default().line_at(error.as_bytes(), error.utf8_error().valid_up_to()),
        reason: "bytes that are no UTF-8 text, expected an annotation file".to_owned(),
        name: name.clone(),
    })?;
    parse(&name, &text)
}

/// Parses annotation text; `name` is the file's name for messages.
///
/// An empty text is an annotation file without annotations.
///
/// # Errors
/// [`Error::Line`] for a table without the needed columns, a time that is no number, or an end before
/// its start.
pub fn parse(name: &str, text: &str) -> Result<(Format, Vec<Annotation>)> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let first = text
        .split(['\n', '\r'])
        .find(|line| !line.trim().is_empty())
        .unwrap_or_default();
    let delimiter = delimiter_of(first);
    let first_field = first
        .split(char::from(delimiter))
        .next()
        .unwrap_or_default()
        .trim();
    if first.is_empty() || first_field.parse::<f64>().is_ok() {
        return Ok((Format::Audacity, parse_headless(name, text, delimiter)?));
    }
    let table = Table::new(name, text, delimiter)?;
    let format = if table.is_raven {
        Format::Raven
    } else {
        Format::Csv
    };
    Ok((format, table.annotations()?))
}

/// The most frequent of the usual separators; a label may hold the others.
fn delimiter_of(line: &str) -> u8 {
    [b'\t', b';', b',']
        .into_iter()
        .find(|delimiter| line.bytes().filter(|byte| byte == delimiter).count() >= 2)
        .unwrap_or(b'\t')
}

/// Lines of start, end, label.
fn parse_headless(name: &str, text: &str, delimiter: u8) -> Result<Vec<Annotation>> {
    let mut annotations: Vec<Annotation> = Vec::new();
    let text = text.replace("\r\n", "\n");
    for (at, row) in text.split(['\n', '\r']).enumerate() {
        let line = at + 1;
        if row.trim().is_empty() {
            continue;
        }
        let mut fields = row.splitn(3, char::from(delimiter));
        let mut next = || fields.next().unwrap_or_default().trim();
        let (first, second, third) = (next(), next(), next());
        if first == "\\" {
            // Audacity: frequencies of the label above; -1 or 0 where it has none.
            if let Some(last) = annotations.last_mut() {
                last.low_hz = positive(second);
                last.high_hz = positive(third);
            }
            continue;
        }
        annotations.push(annotation(name, line, first, second, third)?);
    }
    Ok(annotations)
}

fn positive(field: &str) -> Option<f64> {
    field
        .parse::<f64>()
        .ok()
        .filter(|value| *value > 0.0 && value.is_finite())
}

/// Checks one line's times.
fn annotation(
    name: &str,
    line: usize,
    onset: &str,
    offset: &str,
    label: &str,
) -> Result<Annotation> {
    let fail = |reason: String| Error::Line {
        name: name.to_owned(),
        line,
        reason,
    };
    let time = |what: &str, field: &str| {
        let value = field
            .parse::<f64>()
            .ok()
            .filter(|value| value.is_finite() && *value >= 0.0);
        value.ok_or_else(|| fail(format!("{what} is `{field}`, expected seconds from 0")))
    };
    let onset_secs = time("start", onset)?;
    let offset_secs = time("end", offset)?;
    if offset_secs < onset_secs {
        return Err(fail(format!(
            "end {offset_secs} s lies before start {onset_secs} s"
        )));
    }
    if label.is_empty() {
        return Err(fail("no label, expected the name of a class".to_owned()));
    }
    Ok(Annotation {
        onset_secs,
        offset_secs,
        label: label.to_owned(),
        low_hz: None,
        high_hz: None,
        file: None,
        line,
    })
}

const ONSET: [&str; 9] = [
    "begin time (s)",
    "onset",
    "start",
    "begin",
    "start_secs",
    "start_seconds",
    "start_time",
    "start time (s)",
    "start (s)",
];
const OFFSET: [&str; 8] = [
    "end time (s)",
    "offset",
    "end",
    "end_secs",
    "end_seconds",
    "end_time",
    "stop",
    "end (s)",
];
const LABEL: [&str; 13] = [
    "event_label",
    "label",
    "class",
    "annotation",
    "annotations",
    "species",
    "common name",
    "tag",
    "tags",
    "type",
    "sound",
    "name",
    "call",
];
const FILE: [&str; 6] = [
    "filename",
    "file",
    "path",
    "begin file",
    "recording",
    "fname",
];

/// A table with a header, its needed columns found.
struct Table<'a> {
    name: &'a str,
    text: &'a [u8],
    rows: csv::Reader<&'a [u8]>,
    is_raven: bool,
    onset: usize,
    offset: usize,
    label: usize,
    low: Option<usize>,
    high: Option<usize>,
    file: Option<usize>,
    view: Option<usize>,
}

impl<'a> Table<'a> {
    fn new(name: &'a str, text: &'a str, delimiter: u8) -> Result<Self> {
        let mut rows = csv::ReaderBuilder::new()
            .delimiter(delimiter)
            .trim(csv::Trim::All)
            .flexible(true)
            .from_reader(text.as_bytes());
        let header: Vec<String> = rows
            .headers()
            .map_err(|error| line_error(name, header_line(text.as_bytes()), &error))?
            .iter()
            .map(str::to_lowercase)
            .collect();
        let find = |names: &[&str]| {
            names
                .iter()
                .find_map(|name| header.iter().position(|column| column == name))
        };
        let need = |what: &str, names: &[&str]| {
            find(names).ok_or_else(|| Error::Line {
                name: name.to_owned(),
                line: header_line(text.as_bytes()),
                reason: format!(
                    "columns {}, expected {what}: one of {}",
                    header.join(", "),
                    names.join(", ")
                ),
            })
        };
        Ok(Self {
            onset: need("a start", &ONSET)?,
            offset: need("an end", &OFFSET)?,
            label: need("a label", &LABEL)?,
            low: find(&["low freq (hz)", "low_hz", "f_min"]),
            high: find(&["high freq (hz)", "high_hz", "f_max"]),
            file: find(&FILE),
            view: find(&["view"]),
            is_raven: find(&["begin time (s)"]).is_some(),
            name,
            text: text.as_bytes(),
            rows,
        })
    }

    fn annotations(mut self) -> Result<Vec<Annotation>> {
        let mut annotations: Vec<Annotation> = Vec::new();
        let mut lines = LineCounter::default();
        let mut record = csv::StringRecord::new();
        while self.rows.read_record(&mut record).map_err(|error| {
            line_error(self.name, lines.line(self.text, error.position()), &error)
        })? {
            let line = lines.line(self.text, record.position());
            // Raven writes a selection once per view: the waveform rows repeat the spectrogram's.
            let view = self
                .view
                .and_then(|column| record.get(column))
                .unwrap_or_default();
            if view.to_lowercase().starts_with("waveform")
                && self.has_spectrogram(&annotations, &record)
            {
                continue;
            }
            let field = |column: usize| record.get(column).unwrap_or_default();
            let number =
                |column: Option<usize>| column.and_then(|column| field(column).parse::<f64>().ok());
            let found = annotation(
                self.name,
                line,
                field(self.onset),
                field(self.offset),
                field(self.label),
            )?;
            let found = Annotation {
                low_hz: number(self.low),
                high_hz: number(self.high),
                file: self
                    .file
                    .map(|column| field(column).to_owned())
                    .filter(|f| !f.is_empty()),
                ..found
            };
            if view.to_lowercase().starts_with("spectrogram") {
                annotations.retain(|other| !same_selection(other, &found));
            }
            annotations.push(found);
        }
        Ok(annotations)
    }

    /// Whether the row repeats a selection that is already there.
    fn has_spectrogram(&self, annotations: &[Annotation], record: &csv::StringRecord) -> bool {
        let field = |column: usize| record.get(column).unwrap_or_default();
        let (onset, offset) = (field(self.onset).parse(), field(self.offset).parse());
        annotations.iter().rev().take(2).any(|other| {
            onset.as_ref() == Ok(&other.onset_secs)
                && offset.as_ref() == Ok(&other.offset_secs)
                && other.label == field(self.label)
        })
    }
}

/// One selection in two views: equal in everything but the frequencies, which one view may lack.
fn same_selection(a: &Annotation, b: &Annotation) -> bool {
    a.onset_secs == b.onset_secs
        && a.offset_secs == b.offset_secs
        && a.label == b.label
        && a.file == b.file
        && (a.low_hz.is_none() || a.low_hz == b.low_hz)
}

fn line_error(name: &str, line: usize, error: &csv::Error) -> Error {
    Error::Line {
        name: name.to_owned(),
        line,
        reason: format!("{}, expected a table of annotations", csv_reason(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_audacity_track_with_frequencies() {
        let text = "1.5\t2.25\tdog bark\n\\\t500.0\t8000.0\n3\t3\tclick\r\n";
        let (format, found) = parse("labels.txt", text).unwrap();
        assert_eq!(format, Format::Audacity);
        assert_eq!((found[0].onset_secs, found[0].offset_secs), (1.5, 2.25));
        assert_eq!(
            (found[0].low_hz, found[0].high_hz),
            (Some(500.0), Some(8000.0))
        );
        assert_eq!((found[1].label.as_str(), found[1].line), ("click", 3));
        let (_, old) = parse(
            "labels.txt",
            &text.replace("\r\n", "\n").replace('\n', "\r"),
        )
        .unwrap();
        assert_eq!(old, found);
    }

    #[test]
    fn a_raven_table_counts_each_selection_once() {
        let text = "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)\tSpecies\n\
            1\tWaveform 1\t1\t0.5\t1.0\t100\t900\twren\n\
            1\tSpectrogram 1\t1\t0.5\t1.0\t100\t900\twren\n\
            2\tSpectrogram 1\t1\t4.0\t5.5\t200\t700\trobin\n";
        let (format, found) = parse("a.selections.txt", text).unwrap();
        assert_eq!(format, Format::Raven);
        assert_eq!(
            found.iter().map(|a| a.label.as_str()).collect::<Vec<_>>(),
            ["wren", "robin"]
        );
        assert_eq!(found[1].high_hz, Some(700.0));
    }

    #[test]
    fn csv_with_any_separator_and_file_names() {
        for text in [
            "filename,onset,offset,event_label\na.wav,0,1.5,\"Bark, far\"\n",
            "filename\tonset\toffset\tevent_label\na.wav\t0\t1.5\tBark, far\n",
            "\u{feff}filename;onset;offset;event_label\na.wav;0;1.5;Bark, far\n",
        ] {
            let (format, found) = parse("events", text).unwrap();
            assert_eq!(format, Format::Csv);
            assert_eq!(found[0].label, "Bark, far");
            assert_eq!(found[0].file.as_deref(), Some("a.wav"));
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let message = |text: &str| parse("x.csv", text).unwrap_err().to_string();
        assert_eq!(
            message("onset,offset,label\n0,1,a\n2,1,b\n"),
            "x.csv:3: end 1 s lies before start 2 s"
        );
        for end in ["\r\n", "\r"] {
            let text = ["onset,offset,label", "0,1,a", "", "2,1,b", ""].join(end);
            assert_eq!(message(&text), "x.csv:4: end 1 s lies before start 2 s");
        }
        assert_eq!(
            message("1\tNaN\tx\n"),
            "x.csv:1: end is `NaN`, expected seconds from 0"
        );
        assert!(message("onset,stop_at,label\n").contains("expected an end: one of"));
        assert_eq!(parse("x.csv", "").unwrap().1, []);
    }
}
