//! Tables of scores, and how several come to one order of clips and classes.

use std::collections::BTreeMap;

use crate::{Error, Result};

/// The scores that one model gives to clips.
#[derive(Clone, Debug, PartialEq)]
pub struct ScoreTable {
    /// The file's name, for messages.
    pub name: String,
    /// The clips, each once.
    pub clips: Vec<String>,
    /// The line of each clip in its file; the row from 1 where the file has no lines.
    pub lines: Vec<usize>,
    /// The classes, each once.
    pub classes: Vec<String>,
    /// `[clip, class]`, finite.
    pub scores: Vec<f32>,
    /// The classes of each clip's labels, where the file has a column of them.
    pub labels: Option<Vec<Vec<usize>>>,
    /// Whether the file holds ranked names only (a submission of 2018): ranks 1 to 3 score 1, 1/2 and
    /// 1/3, and classes that no row names are not known.
    pub is_ranked: bool,
}

impl ScoreTable {
    /// The scores of a clip, `[class]`.
    ///
    /// # Panics
    /// If there is no such clip.
    pub fn row(&self, clip: usize) -> &[f32] {
        let n = self.classes.len();
        &self.scores[clip * n..(clip + 1) * n]
    }

    /// Fails without clips or classes, and where a clip or a class is listed twice.
    pub(super) fn checked(self) -> Result<Self> {
        let counts = [("clips", self.clips.len()), ("classes", self.classes.len())];
        if let Some((what, _)) = counts.iter().find(|(_, count)| *count == 0) {
            return Err(self.error(1, format!("no {what}, expected at least one")));
        }
        let mut seen = BTreeMap::new();
        for (clip, &line) in self.clips.iter().zip(&self.lines) {
            if let Some(first) = seen.insert(clip.as_str(), line) {
                let reason = format!("`{clip}` is listed again, first on line {first}");
                return Err(self.error(line, reason));
            }
        }
        let mut names = std::collections::BTreeSet::new();
        if let Some(twice) = self.classes.iter().find(|class| !names.insert(*class)) {
            return Err(self.error(1, format!("two columns for class `{twice}`")));
        }
        Ok(self)
    }

    /// The table with these clips and classes in this order; `of` is where they come from, for
    /// messages. Classes that a ranked table does not know score 0.
    ///
    /// # Errors
    /// [`Error::Line`] for a clip that is missing or that `of` does not have, and for a class that one
    /// of both does not know.
    pub fn arranged(&self, clips: &[String], classes: &[String], of: &str) -> Result<Self> {
        let rows = self.rows_of(clips, of)?;
        let columns = self.columns_of(classes, of)?;
        let mut scores = Vec::with_capacity(clips.len() * classes.len());
        for &row in &rows {
            let own = self.row(row);
            scores.extend(
                columns
                    .iter()
                    .map(|column| column.map_or(0.0, |at| own[at])),
            );
        }
        let labels = self.labels.as_ref().map(|labels| {
            let mut new_place = vec![0; self.classes.len()];
            for (place, column) in columns.iter().enumerate() {
                column.iter().for_each(|&at| new_place[at] = place);
            }
            let renamed = |row: &usize| {
                let mut own: Vec<usize> = labels[*row].iter().map(|&at| new_place[at]).collect();
                own.sort_unstable();
                own
            };
            rows.iter().map(renamed).collect()
        });
        Ok(Self {
            name: self.name.clone(),
            clips: clips.to_vec(),
            lines: rows.iter().map(|&row| self.lines[row]).collect(),
            classes: classes.to_vec(),
            scores,
            labels,
            is_ranked: self.is_ranked,
        })
    }

    /// Fails where this table's labels are not the known ones, for each clip the places of its classes in
    /// rising order; `place` says where those of a clip stand.
    ///
    /// # Errors
    /// [`Error::Line`] with both labels.
    pub fn check_labels(
        &self,
        known: &[Vec<usize>],
        place: impl Fn(usize) -> String,
    ) -> Result<()> {
        let own = self.labels.as_deref().unwrap_or_default();
        let mut pairs = own.iter().zip(known);
        let Some(clip) = pairs.position(|(own, known)| own != known) else {
            return Ok(());
        };
        let reason = format!(
            "the label of `{}` is {}, expected {} as in {}",
            self.clips[clip],
            self.words(&own[clip]),
            self.words(&known[clip]),
            place(clip)
        );
        Err(self.error(self.lines[clip], reason))
    }

    /// The names of classes, for messages.
    fn words(&self, classes: &[usize]) -> String {
        let names: Vec<String> = classes
            .iter()
            .map(|&class| format!("`{}`", self.classes[class]))
            .collect();
        match names.is_empty() {
            true => "none".to_owned(),
            false => names.join(", "),
        }
    }

    /// For each of some clips its row.
    fn rows_of(&self, clips: &[String], of: &str) -> Result<Vec<usize>> {
        let mut rows: BTreeMap<&str, usize> = self
            .clips
            .iter()
            .enumerate()
            .map(|(row, clip)| (clip.as_str(), row))
            .collect();
        let found: Vec<Option<usize>> = clips
            .iter()
            .map(|clip| rows.remove(clip.as_str()))
            .collect();
        if let Some((clip, &row)) = rows.iter().min_by_key(|(_, row)| **row) {
            let reason = format!("`{clip}` is not in {of}{}", and_more(rows.len() - 1));
            return Err(self.error(self.lines[row], reason));
        }
        let mut missing = clips.iter().zip(&found).filter(|(_, row)| row.is_none());
        if let Some((clip, _)) = missing.next() {
            let last = self.lines.last().copied().unwrap_or(1);
            let reason = format!("`{clip}` of {of} is missing{}", and_more(missing.count()));
            return Err(self.error(last, reason));
        }
        Ok(found.into_iter().flatten().collect())
    }

    /// For each of some classes its column; none for those that a ranked table never names.
    fn columns_of(&self, classes: &[String], of: &str) -> Result<Vec<Option<usize>>> {
        let near = |class: &str, among: &[String]| {
            let near = among.iter().find(|name| name.eq_ignore_ascii_case(class));
            near.map_or_else(String::new, |name| format!(", the nearest is `{name}`"))
        };
        let mut columns: BTreeMap<&str, usize> = self
            .classes
            .iter()
            .enumerate()
            .map(|(at, class)| (class.as_str(), at))
            .collect();
        let mut found = Vec::with_capacity(classes.len());
        for class in classes {
            let column = columns.remove(class.as_str());
            if column.is_none() && !self.is_ranked {
                let near = near(class, &self.classes);
                return Err(self.error(1, format!("no column for class `{class}` of {of}{near}")));
            }
            found.push(column);
        }
        if let Some((class, &at)) = columns.iter().next() {
            let reason = format!("class `{class}` is not in {of}{}", near(class, classes));
            let place = self.first_line_with(at);
            return Err(self.error(place, reason));
        }
        Ok(found)
    }

    /// Where a class comes in: its header line, or in a ranked table the first row that names it.
    fn first_line_with(&self, column: usize) -> usize {
        if !self.is_ranked {
            return 1;
        }
        let row = (0..self.clips.len()).find(|&row| self.row(row)[column] > 0.0);
        row.map_or(1, |row| self.lines[row])
    }

    /// An error at a line of this file.
    pub(super) fn error(&self, line: usize, reason: String) -> Error {
        Error::Line {
            name: self.name.clone(),
            line,
            reason,
        }
    }
}

pub(super) fn and_more(count: usize) -> String {
    match count {
        0 => String::new(),
        _ => format!(", and {count} more"),
    }
}

/// Tables of the same clips in any order, brought to the clips of the first one. Classes are those of
/// the first table with columns; where all are ranked, every class that any of them names.
///
/// # Errors
/// [`Error::Line`] with file and line for rows and columns that do not fit and for a clip whose labels
/// are others than in a table before, and [`Error::Shape`] if there is no table.
pub fn align(tables: &[ScoreTable]) -> Result<Vec<ScoreTable>> {
    let Some(first) = tables.first() else {
        return Err(Error::Shape {
            what: "tables of scores".to_owned(),
            found: "none".to_owned(),
            expected: "at least one".to_owned(),
        });
    };
    let full = tables.iter().find(|table| !table.is_ranked);
    let classes = match full {
        Some(table) => table.classes.clone(),
        None => {
            let named = tables.iter().flat_map(|table| &table.classes);
            let named: std::collections::BTreeSet<&String> = named.collect();
            named.into_iter().cloned().collect()
        }
    };
    let of_classes = full.unwrap_or(first).name.clone();
    let placed = |table: &ScoreTable| {
        let placed = table.arranged(&first.clips, &table.classes, &first.name)?;
        placed.arranged(&first.clips, &classes, &of_classes)
    };
    let aligned: Vec<ScoreTable> = tables.iter().map(placed).collect::<Result<_>>()?;
    let mut with_labels = aligned.iter().filter_map(|t| Some((t, t.labels.as_ref()?)));
    if let Some((first, known)) = with_labels.next() {
        let place = |clip: usize| format!("{}:{}", first.name, first.lines[clip]);
        with_labels.try_for_each(|(table, _)| table.check_labels(known, place))?;
    }
    Ok(aligned)
}

/// Notes on classes of some tables that differ in nothing but capital letters, with the first place of
/// each. Names are compared letter by letter, as the challenges do, so such classes stay apart.
pub fn spelling_notes(tables: &[ScoreTable]) -> Vec<String> {
    let mut spellings = BTreeMap::<String, BTreeMap<&str, String>>::new();
    for table in tables {
        for (column, class) in table.classes.iter().enumerate() {
            let place = || format!("{}:{}", table.name, table.first_line_with(column));
            let own = spellings.entry(class.to_ascii_lowercase()).or_default();
            own.entry(class).or_insert_with(place);
        }
    }
    let note = |own: BTreeMap<&str, String>| {
        let shown: Vec<String> = own
            .iter()
            .map(|(class, place)| format!("`{class}` ({place})"))
            .collect();
        format!(
            "{} differ in capital letters only and stay {} classes",
            shown.join(" and "),
            shown.len()
        )
    };
    let several = spellings.into_values().filter(|own| own.len() > 1);
    several.map(note).collect()
}

#[cfg(test)]
mod tests {
    use super::super::read::parse;
    use super::*;

    fn table(name: &str, text: &str) -> Result<ScoreTable> {
        parse(name, text.as_bytes())
    }

    #[test]
    fn another_order_of_rows_and_columns_is_the_same_table() -> Result<()> {
        let a = table("a.csv", "fname,Bark,Flute\nx.wav,0.9,0.1\ny.wav,0.2,0.8\n")?;
        let b = table(
            "b.csv",
            "clip,labels,Flute,Bark\ny.wav,Flute,0.7,0.3\nx.wav,Bark,0.4,0.6\n",
        )?;
        let aligned = align(&[a.clone(), b])?;
        assert_eq!(aligned[0], a);
        assert_eq!(aligned[1].scores, [0.6, 0.4, 0.3, 0.7]);
        assert_eq!(aligned[1].labels, Some(vec![vec![0], vec![1]]));
        assert_eq!(aligned[1].lines, [3, 2]);
        Ok(())
    }

    #[test]
    fn ranked_names_score_by_rank_and_take_the_classes_of_tables() -> Result<()> {
        let ranked = table("r.csv", "fname,label\nx.wav,Flute Bark\ny.wav,Bark\n")?;
        let full = table(
            "f.csv",
            "fname,Bark,Flute,Gong\nx.wav,0.9,0.1,0\ny.wav,0.2,0.8,0\n",
        )?;
        let aligned = align(&[ranked, full])?;
        assert_eq!(aligned[0].classes, ["Bark", "Flute", "Gong"]);
        assert_eq!(aligned[0].scores, [0.5, 1.0, 0.0, 1.0, 0.0, 0.0]);
        Ok(())
    }

    #[test]
    fn labels_that_contradict_each_other_are_named_with_both_places() -> Result<()> {
        let a = table(
            "a.csv",
            "clip,labels,Bark,Flute\nx.wav,Bark,1,0\ny.wav,Bark;Flute,1,0\nz.wav,,1,0\n",
        )?;
        let message = |text: &str| -> Result<String> {
            let unlabelled = table(
                "u.csv",
                "fname,Bark,Flute\nx.wav,1,0\ny.wav,1,0\nz.wav,1,0\n",
            )?;
            let error = align(&[unlabelled, a.clone(), table("b.csv", text)?]).err();
            Ok(error.map_or_else(String::new, |error| error.to_string()))
        };
        // The same labels, with rows, columns and names in another order.
        let same = "clip,labels,Flute,Bark\nz.wav,,0,1\ny.wav,Flute;Bark,0,1\nx.wav,Bark,0,1\n";
        assert_eq!(message(same)?, "");
        assert_eq!(
            message(&same.replace("x.wav,Bark", "x.wav,Flute"))?,
            "b.csv:4: the label of `x.wav` is `Flute`, expected `Bark` as in a.csv:2"
        );
        assert_eq!(
            message(&same.replace("Flute;Bark", "Flute"))?,
            "b.csv:3: the label of `y.wav` is `Flute`, expected `Bark`, `Flute` as in a.csv:3"
        );
        assert_eq!(
            message(&same.replace("z.wav,", "z.wav,Bark"))?,
            "b.csv:2: the label of `z.wav` is `Bark`, expected none as in a.csv:4"
        );
        Ok(())
    }

    #[test]
    fn classes_that_differ_in_capital_letters_only_are_noted() -> Result<()> {
        let a = table("a.csv", "fname,label\nx.wav,Bark\ny.wav,Hi-hat Bark\n")?;
        let b = table("b.csv", "fname,label\ny.wav,Hi-Hat\nx.wav,Bark Hi-hat\n")?;
        assert_eq!(
            spelling_notes(&[a.clone(), b]),
            [
                "`Hi-Hat` (b.csv:2) and `Hi-hat` (a.csv:3) differ in capital letters only and stay 2 classes"
            ]
        );
        assert!(spelling_notes(&[a.clone(), a]).is_empty());
        Ok(())
    }

    #[test]
    fn rows_and_columns_that_do_not_fit_are_named_with_their_lines() -> Result<()> {
        let a = table("a.csv", "fname,Bark,Flute\nx.wav,0.9,0.1\ny.wav,0.2,0.8\n")?;
        let message = |text: &str| -> Result<String> {
            let error = align(&[a.clone(), table("b.csv", text)?]).err();
            Ok(error.map_or_else(String::new, |error| error.to_string()))
        };
        assert_eq!(
            message("fname,Bark,Flute\nx.wav,1,0\n")?,
            "b.csv:2: `y.wav` of a.csv is missing"
        );
        assert_eq!(
            message("fname,Bark,Flute\nx.wav,1,0\nz.wav,1,0\ny.wav,1,0\n")?,
            "b.csv:3: `z.wav` is not in a.csv"
        );
        assert_eq!(
            message("fname,Bark,flute\nx.wav,1,0\ny.wav,1,0\n")?,
            "b.csv:1: no column for class `Flute` of a.csv, the nearest is `flute`"
        );
        assert_eq!(
            message("fname,label\nx.wav,Bark\ny.wav,Bark Gong\n")?,
            "b.csv:3: class `Gong` is not in a.csv"
        );
        Ok(())
    }
}
