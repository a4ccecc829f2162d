//! Files with scores of clips: a table of Earmark's, a submission, or a `NumPy` archive.
//!
//! * CSV with `clip` or `fname` and a column per class; a column `labels` may come after the clip;
//! * CSV with `fname,label`: up to three ranked names;
//! * `.npz` with `clips`, `classes` and `scores`, and perhaps `labels` (`[clip, class]`, 0 or 1).

use std::path::Path;

use super::ScoreTable;
use crate::error::shortened;
use crate::eval::challenge::{Answers, Submission};
use crate::numpy::{self, Array, Values};
use crate::{Error, Result};

/// The scores of ranked names: what each rank is worth in MAP@3.
const OF_RANK: [f32; 3] = [1.0, 1.0 / 2.0, 1.0 / 3.0];

/// Reads a file, recognised by its content.
///
/// # Errors
/// [`Error::Io`] if it cannot be read, [`Error::Line`] for rows that do not fit, with the line.
pub fn read(path: &Path) -> Result<ScoreTable> {
    parse(&path.display().to_string(), &fs_err::read(path)?)
}

/// Reads a file in memory; `name` is what messages call it.
pub(super) fn parse(name: &str, bytes: &[u8]) -> Result<ScoreTable> {
    if bytes.starts_with(b"PK") {
        return archive(name, bytes);
    }
    let submission = Submission::parse(name, bytes)?;
    let (clips, lines): (Vec<String>, Vec<usize>) = submission.clips.into_iter().unzip();
    let table = match submission.answers {
        Answers::Table { classes, scores } => ScoreTable {
            name: name.to_owned(),
            labels: submission
                .labels
                .map(|labels| labelled(name, &lines, &labels, &classes))
                .transpose()?,
            scores: in_single_precision(name, &lines, &classes, &scores)?,
            clips,
            lines,
            classes,
            is_ranked: false,
        },
        Answers::Ranked(guesses) => ranked(name, clips, lines, &guesses)?,
    };
    table.checked()
}

/// Scores as blending computes with them.
fn in_single_precision(
    name: &str,
    lines: &[usize],
    classes: &[String],
    scores: &[f64],
) -> Result<Vec<f32>> {
    let n = classes.len().max(1);
    let narrow = |(at, &score): (usize, &f64)| {
        let narrow = score as f32;
        if narrow.is_finite() {
            return Ok(narrow);
        }
        Err(Error::Line {
            name: name.to_owned(),
            line: lines[at / n],
            reason: format!(
                "`{}` is {score:e}, expected a number within ±{:e}",
                shortened(&classes[at % n]),
                f32::MAX
            ),
        })
    };
    scores.iter().enumerate().map(narrow).collect()
}

/// Ranked names as scores.
fn ranked(
    name: &str,
    clips: Vec<String>,
    lines: Vec<usize>,
    guesses: &[Vec<String>],
) -> Result<ScoreTable> {
    let named: std::collections::BTreeSet<&String> = guesses.iter().flatten().collect();
    let classes: Vec<String> = named.into_iter().cloned().collect();
    let mut scores = vec![0.0; clips.len() * classes.len()];
    for (row, names) in guesses.iter().enumerate() {
        for (rank, guess) in names.iter().enumerate() {
            let at = classes.binary_search(guess).unwrap_or_default();
            let score = &mut scores[row * classes.len() + at];
            if *score > 0.0 {
                return Err(Error::Line {
                    name: name.to_owned(),
                    line: lines[row],
                    reason: format!("`{guess}` is named twice"),
                });
            }
            *score = OF_RANK[rank.min(OF_RANK.len() - 1)];
        }
    }
    Ok(ScoreTable {
        name: name.to_owned(),
        clips,
        lines,
        classes,
        scores,
        labels: None,
        is_ranked: true,
    })
}

/// The classes of label fields. Names are divided by `;`, or else by `,`; a field that is a class as
/// a whole is that class, whatever stands in it.
fn labelled(
    name: &str,
    lines: &[usize],
    fields: &[String],
    classes: &[String],
) -> Result<Vec<Vec<usize>>> {
    let place = |name: &str| classes.iter().position(|class| class == name);
    let row = |(field, &line): (&String, &usize)| {
        if let Some(class) = place(field) {
            return Ok(vec![class]);
        }
        let divider = if field.contains(';') { ';' } else { ',' };
        let names = field
            .split(divider)
            .map(str::trim)
            .filter(|n| !n.is_empty());
        let mut found = Vec::new();
        for label in names {
            found.push(place(label).ok_or_else(|| Error::Line {
                name: name.to_owned(),
                line,
                reason: format!("label `{label}` is no column of the table"),
            })?);
        }
        found.sort_unstable();
        found.dedup();
        Ok(found)
    };
    fields.iter().zip(lines).map(row).collect()
}

/// A `NumPy` archive.
fn archive(name: &str, bytes: &[u8]) -> Result<ScoreTable> {
    let refuse = |reason: String| Error::Line {
        name: name.to_owned(),
        line: 1,
        reason,
    };
    let arrays = numpy::read_npz(bytes).map_err(refuse)?;
    let find = |wanted: &str| {
        arrays
            .iter()
            .find(|(name, _)| name == wanted)
            .map(|(_, a)| a)
    };
    let texts = |wanted: &str| match find(wanted) {
        Some(Array {
            values: Values::Texts(texts),
            shape,
        }) if shape.len() == 1 => Ok(texts.clone()),
        _ => Err(refuse(format!("no list of texts `{wanted}`"))),
    };
    let (clips, classes) = (texts("clips")?, texts("classes")?);
    let table = |wanted: &str, array: &Array| match &array.values {
        Values::Numbers(values) if array.shape == [clips.len(), classes.len()] => {
            Ok(values.clone())
        }
        _ => Err(refuse(format!(
            "`{wanted}` has the shape {:?}, expected numbers of [{}, {}]",
            array.shape,
            clips.len(),
            classes.len()
        ))),
    };
    let scores = find("scores").ok_or_else(|| refuse("no array `scores`".to_owned()))?;
    let scores = table("scores", scores)?;
    let n = classes.len().max(1);
    if let Some(at) = scores.iter().position(|score| !score.is_finite()) {
        return Err(Error::Line {
            name: name.to_owned(),
            line: at / n + 1,
            reason: format!(
                "`{}` of `{}` is {}, expected a number",
                classes[at % n],
                clips[at / n],
                scores[at]
            ),
        });
    }
    let labels = find("labels")
        .map(|array| table("labels", array))
        .transpose()?;
    let present = |row: &[f32]| (0..n).filter(|&class| row[class] > 0.5).collect();
    ScoreTable {
        name: name.to_owned(),
        lines: (1..=clips.len()).collect(),
        labels: labels.map(|labels| labels.chunks(n).map(present).collect()),
        clips,
        classes,
        scores,
        is_ranked: false,
    }
    .checked()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> String {
        parse("s.csv", text.as_bytes())
            .err()
            .map_or_else(String::new, |e| e.to_string())
    }

    #[test]
    fn rows_that_do_not_fit_are_named() {
        assert_eq!(
            message("fname,Bark,Flute\na.wav,0.5,0.5\nb.wav,NaN,0.5\n"),
            "s.csv:3: `Bark` is `NaN`, expected a number"
        );
        assert_eq!(
            message("fname,Bark,Flute\r\na.wav,0.5,0.5\r\nb.wav,0.5,-1e39\r\n"),
            "s.csv:3: `Flute` is -1e39, expected a number within ±3.4028235e38"
        );
        assert_eq!(
            message("fname,Bark,Flute\na.wav,0.5,0.5\na.wav,0.1,0.5\n"),
            "s.csv:3: `a.wav` is listed again, first on line 2"
        );
        assert_eq!(
            message("fname,label\na.wav,Bark Bark\n"),
            "s.csv:2: `Bark` is named twice"
        );
        assert_eq!(
            message("clip,labels,Bark,Flute\na.wav,Gong,0.5,0.5\n"),
            "s.csv:2: label `Gong` is no column of the table"
        );
    }

    #[test]
    fn tables_without_clips_or_classes_are_refused() -> Result<()> {
        for text in [
            "fname,Bark,Flute\n",
            "clip,labels,Bark,Flute\n",
            "fname,label\n",
        ] {
            assert_eq!(message(text), "s.csv:1: no clips, expected at least one");
        }
        for (n_clips, n_classes, what) in [(2, 0, "classes"), (0, 2, "clips"), (0, 0, "clips")] {
            let names = |n: usize| Array::texts((0..n).map(|at| at.to_string()));
            let numbers = || Array::numbers(vec![n_clips, n_classes], vec![]);
            let bytes = numpy::write_npz(&[
                ("clips", &names(n_clips)),
                ("classes", &names(n_classes)),
                ("scores", &numbers()),
                ("labels", &numbers()),
            ])?;
            let error = parse("s.npz", &bytes).err().map(|error| error.to_string());
            let expected = format!("s.npz:1: no {what}, expected at least one");
            assert_eq!(error, Some(expected));
        }
        Ok(())
    }

    #[test]
    fn labels_may_have_commas_in_them() -> Result<()> {
        let text = "clip,labels,\"Violin, fiddle\",Dog\na.wav,\"Violin, fiddle\",1,0\n\
            b.wav,\"Violin, fiddle;Dog\",1,0\nc.wav,,0,0\n";
        let labels = parse("s.csv", text.as_bytes())?.labels;
        assert_eq!(labels, Some(vec![vec![0], vec![0, 1], vec![]]));
        Ok(())
    }

    #[test]
    fn an_archive_holds_the_same_table() -> Result<()> {
        let text = "clip,labels,Bark,Flute\na.wav,Flute,0.5,0.25\nb.wav,,0.125,0.5\n";
        let table = parse("s", text.as_bytes())?;
        let bytes = numpy::write_npz(&[
            ("clips", &Array::texts(table.clips.clone())),
            ("classes", &Array::texts(table.classes.clone())),
            ("scores", &Array::numbers(vec![2, 2], table.scores.clone())),
            (
                "labels",
                &Array::numbers(vec![2, 2], vec![0.0, 1.0, 0.0, 0.0]),
            ),
        ])?;
        let read = parse("s", &bytes)?;
        assert_eq!((&read.scores, &read.labels), (&table.scores, &table.labels));
        let nan = Array::numbers(vec![1, 1], vec![f32::NAN]);
        let bytes = numpy::write_npz(&[
            ("clips", &Array::texts(["a.wav"])),
            ("classes", &Array::texts(["Bark"])),
            ("scores", &nan),
        ])?;
        let error = parse("s.npz", &bytes).err().map(|error| error.to_string());
        assert_eq!(
            error.as_deref(),
            Some("s.npz:1: `Bark` of `a.wav` is NaN, expected a number")
        );
        Ok(())
    }
}
