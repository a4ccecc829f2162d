//! Scores of clips as files: submissions to the Freesound challenges, tables, `NumPy` archives.

use std::path::Path;

use anyhow::Context as _;
use clap::ValueEnum;
use earmark::ensemble::ScoreTable;
use earmark::numpy::{Array, write_npz};

use crate::errors::Hinted;

/// Names that a ranked submission has in a row.
const N_RANKED: usize = 3;

/// How scores are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SubmissionFormat {
    /// `fname,label` with the three best classes, the best first.
    Kaggle2018,
    /// `fname` and a score per class, in the order of the sample's columns.
    Kaggle2019,
    /// `fname` and a score per class.
    Csv,
    /// A `NumPy` archive with `clips`, `classes` and `scores`.
    Npz,
}

impl SubmissionFormat {
    /// The format that a file name stands for: `.npz`, else a table.
    pub(crate) fn of(path: &Path) -> Self {
        match path.extension().is_some_and(|extension| extension == "npz") {
            true => Self::Npz,
            false => Self::Csv,
        }
    }

    /// The name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Kaggle2018 => "kaggle2018",
            Self::Kaggle2019 => "kaggle2019",
            Self::Csv => "csv",
            Self::Npz => "npz",
        }
    }

    /// Refuses classes that the format cannot write.
    ///
    /// # Errors
    /// For names with blanks in ranked submissions, which are divided by blanks.
    pub(crate) fn check(self, classes: &[String]) -> anyhow::Result<()> {
        let has_blank = |class: &&String| class.contains(char::is_whitespace) || class.is_empty();
        match classes.iter().find(has_blank) {
            Some(class) if self == Self::Kaggle2018 => Err(Hinted::error(
                format!("class `{class}` has a blank, and kaggle2018 divides classes by blanks"),
                "use --format csv",
            )),
            _ => Ok(()),
        }
    }

    /// Writes a table. The path never names half a file.
    pub(crate) fn write(self, path: &Path, table: &ScoreTable) -> anyhow::Result<()> {
        self.check(&table.classes)?;
        let bytes = match self {
            Self::Kaggle2018 => ranked(table)?,
            Self::Kaggle2019 | Self::Csv => scores(table)?,
            Self::Npz => archive(table)?,
        };
        earmark::bundle::write_atomically(path, &bytes)
            .with_context(|| format!("cannot write {}", path.display()))
    }
}

/// The three best classes of every clip; equal scores in the order of the classes.
fn ranked(table: &ScoreTable) -> anyhow::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(["fname", "label"])?;
    for (at, clip) in table.clips.iter().enumerate() {
        let row = table.row(at);
        let mut order: Vec<usize> = (0..row.len()).collect();
        order.sort_by(|&a, &b| row[b].total_cmp(&row[a]));
        let best: Vec<&str> = order
            .iter()
            .take(N_RANKED)
            .map(|&class| table.classes[class].as_str())
            .collect();
        writer.write_record([clip.as_str(), &best.join(" ")])?;
    }
    writer.into_inner().context("writing the submission")
}

fn scores(table: &ScoreTable) -> anyhow::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer
        .write_record(std::iter::once("fname").chain(table.classes.iter().map(String::as_str)))?;
    for (at, clip) in table.clips.iter().enumerate() {
        let row = table.row(at).iter().map(f32::to_string);
        writer.write_record(std::iter::once(clip.clone()).chain(row))?;
    }
    writer.into_inner().context("writing the table of scores")
}

fn archive(table: &ScoreTable) -> anyhow::Result<Vec<u8>> {
    let shape = vec![table.clips.len(), table.classes.len()];
    let clips = Array::texts(table.clips.clone());
    let classes = Array::texts(table.classes.clone());
    let scores = Array::numbers(shape, table.scores.clone());
    Ok(write_npz(&[
        ("clips", &clips),
        ("classes", &classes),
        ("scores", &scores),
    ])?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> ScoreTable {
        ScoreTable {
            name: "t".to_owned(),
            clips: vec!["a.wav".to_owned(), "b,c.wav".to_owned()],
            lines: vec![2, 3],
            classes: ["Bark", "Flute", "Gong", "Hi-hat"]
                .map(str::to_owned)
                .to_vec(),
            scores: vec![0.1, 0.5, 0.5, 0.2, 0.0, 0.0, 0.0, 1.0],
            labels: None,
            is_ranked: false,
        }
    }

    #[test]
    fn the_three_best_classes_stand_in_their_order() -> anyhow::Result<()> {
        let text = String::from_utf8(ranked(&table())?)?;
        let expected = "fname,label\na.wav,Flute Gong Hi-hat\n\"b,c.wav\",Hi-hat Bark Flute\n";
        assert_eq!(text, expected);
        Ok(())
    }

    #[test]
    fn what_is_written_is_read_again() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        for format in [SubmissionFormat::Csv, SubmissionFormat::Npz] {
            let path = folder.path().join(format!("scores.{}", format.name()));
            assert_eq!(SubmissionFormat::of(&path), format);
            format.write(&path, &table())?;
            let read = earmark::ensemble::read(&path)?;
            assert_eq!(
                (&read.clips, &read.classes),
                (&table().clips, &table().classes)
            );
            assert_eq!(read.scores, table().scores);
        }
        let blank = ["Violin, fiddle".to_owned()];
        assert!(SubmissionFormat::Kaggle2018.check(&blank).is_err());
        assert!(SubmissionFormat::Csv.check(&blank).is_ok());
        Ok(())
    }
}
