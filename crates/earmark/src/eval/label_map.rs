//! Which classes annotators' labels stand for: a CSV with the columns `label` and `class` in, classes
//! by label out. A label may stand for several classes, one per row; a row without a class leaves the
//! label out.

use std::collections::BTreeMap;
use std::path::Path;

use crate::lines::CsvRows;
use crate::{Error, Result};

/// Classes by label.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelMap {
    classes: BTreeMap<String, Vec<usize>>,
}

impl LabelMap {
    /// Reads a map; `find` gives the index of a class's name.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Line`] for a table without the two columns; [`Error::UnknownLabel`]
    /// with the line of a class that `find` does not know.
    pub fn read(path: &Path, find: impl Fn(&str) -> Result<usize>) -> Result<Self> {
        let name = path.display().to_string();
        Self::parse(&name, &fs_err::read_to_string(path)?, find)
    }

    /// Parses a map; `name` is the file's name for messages.
    ///
    /// # Errors
    /// As for [`LabelMap::read`].
    pub fn parse(name: &str, text: &str, find: impl Fn(&str) -> Result<usize>) -> Result<Self> {
        let mut options = csv::ReaderBuilder::new();
        options.trim(csv::Trim::All).flexible(true);
        let table = CsvRows::parse(name, text.as_bytes(), &options)?;
        let column = |wanted: &str| {
            let mut columns = table.header.iter();
            let found = columns.position(|column| column.eq_ignore_ascii_case(wanted));
            found.ok_or_else(|| {
                let columns: Vec<&str> = table.header.iter().collect();
                let reason = format!("columns {}, expected label,class", columns.join(","));
                table.error(table.header_line, reason)
            })
        };
        let (label_column, class_column) = (column("label")?, column("class")?);
        let mut map = Self::default();
        for (line, record) in &table.rows {
            let label = record.get(label_column).unwrap_or_default();
            if label.is_empty() {
                return Err(table.error(*line, "no label, expected label,class".to_owned()));
            }
            let classes = map.classes.entry(label.to_owned()).or_default();
            let class = record.get(class_column).unwrap_or_default();
            if !class.is_empty() {
                classes.push(find(class).map_err(|error| at_line(name, *line, error))?);
            }
        }
        Ok(map)
    }

    /// The classes that a label stands for, none if it is to be left out; `None` for a label that the
    /// map does not know.
    pub fn classes(&self, label: &str) -> Option<&[usize]> {
        self.classes.get(label).map(Vec::as_slice)
    }

    /// Every class that some label stands for, ascending.
    pub fn all_classes(&self) -> Vec<usize> {
        let mut all: Vec<usize> = self.classes.values().flatten().copied().collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}

/// Adds the line to an error about a class's name.
fn at_line(name: &str, line: usize, error: Error) -> Error {
    match error {
        Error::UnknownClass {
            label,
            n_classes,
            suggestion,
        } => Error::UnknownLabel {
            place: format!("{name}:{line}"),
            label,
            n_classes,
            suggestion,
        },
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(name: &str) -> Result<usize> {
        ["Dog", "Animal", "Bird"]
            .iter()
            .position(|class| *class == name)
            .ok_or_else(|| Error::UnknownClass {
                label: name.to_owned(),
                n_classes: 3,
                suggestion: Some("Bird".to_owned()),
            })
    }

    #[test]
    fn a_label_stands_for_one_class_several_or_none() -> Result<()> {
        let text = "\u{feff}Label,class\nbark, Dog\nbark,Animal\n\"wren, far\",Bird\nunsure,\nx\n";
        let map = LabelMap::parse("map.csv", text, find)?;
        assert_eq!(map.classes("bark"), Some(&[0, 1][..]));
        assert_eq!(map.classes("wren, far"), Some(&[2][..]));
        assert_eq!(map.classes("unsure"), Some(&[][..]));
        assert_eq!(map.classes("x"), Some(&[][..]));
        assert_eq!(map.classes("robin"), None);
        assert_eq!(map.all_classes(), [0, 1, 2]);
        Ok(())
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let message = |text: &str| match LabelMap::parse("map.csv", text, find) {
            Ok(map) => format!("{map:?}"),
            Err(error) => error.to_string(),
        };
        assert_eq!(
            message("label,class\na,Dog\nb,Birt\n"),
            "map.csv:3: label `Birt` is not in the vocabulary (3 classes)"
        );
        assert_eq!(
            message("label,class\r\na,Dog\r\n\r\nb,Birt\r\n"),
            "map.csv:4: label `Birt` is not in the vocabulary (3 classes)"
        );
        assert_eq!(
            message("from,to\na,Dog\n"),
            "map.csv:1: columns from,to, expected label,class"
        );
        assert_eq!(
            message("label,class\n,Dog\n"),
            "map.csv:2: no label, expected label,class"
        );
    }
}
