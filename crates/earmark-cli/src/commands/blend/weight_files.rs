//! Weights from CSV files: of the inputs in each class, and of clips by who checked their labels.

use std::collections::BTreeMap;
use std::path::Path;

use earmark::ensemble::Weights;
use earmark::error::shortened;
use earmark::lines::CsvRows;

/// The weights of a file with a row per class: its name, then a weight per input.
pub(super) fn by_class(
    path: &Path,
    n_tables: usize,
    classes: &[String],
) -> anyhow::Result<Weights> {
    let file = read(path)?;
    let n_columns = file.header.len();
    if n_columns != n_tables + 1 {
        let reason = format!("{n_columns} columns, expected `class` and one per input");
        return Err(file.error(file.header_line, reason).into());
    }
    let mut found: Vec<Option<Vec<f64>>> = vec![None; classes.len()];
    for (line, row) in &file.rows {
        let name = shortened(&row[0]);
        let class = classes.iter().position(|class| *class == row[0]);
        let class = class
            .ok_or_else(|| file.error(*line, format!("class `{name}` is not in the scores")))?;
        if found[class]
            .replace(of_inputs(&file, *line, row)?)
            .is_some()
        {
            let reason = format!("class `{name}` is listed again");
            return Err(file.error(*line, reason).into());
        }
    }
    if let Some(missing) = found.iter().position(Option::is_none) {
        anyhow::bail!(
            "{}: class `{}` is missing",
            path.display(),
            classes[missing]
        );
    }
    let found: Vec<Vec<f64>> = found.into_iter().flatten().collect();
    let values = (0..n_tables).flat_map(|table| found.iter().map(move |own| own[table]));
    Ok(Weights::of_classes(values.collect(), classes.len())?)
}

/// The weights of a row: none below 0, one at least above 0.
fn of_inputs(file: &CsvRows, line: usize, row: &csv::StringRecord) -> earmark::Result<Vec<f64>> {
    let class = shortened(&row[0]);
    let weight = |text: &str| {
        let weight = text.parse::<f64>().ok();
        let weight = weight.filter(|weight| weight.is_finite() && *weight >= 0.0);
        weight.ok_or_else(|| {
            let text = shortened(text);
            let reason =
                format!("weight of `{class}` is `{text}`, expected a number of at least 0");
            file.error(line, reason)
        })
    };
    let weights: Vec<f64> = row
        .iter()
        .skip(1)
        .map(weight)
        .collect::<earmark::Result<_>>()?;
    if weights.iter().all(|&weight| weight == 0.0) {
        let reason = format!("every weight of `{class}` is 0, expected one above 0 at least");
        return Err(file.error(line, reason));
    }
    Ok(weights)
}

/// 1 for clips whose labels a person has checked, `noisy` for the others.
pub(super) fn by_clip(path: &Path, clips: &[String], noisy: f64) -> anyhow::Result<Vec<f64>> {
    if !(noisy.is_finite() && noisy >= 0.0) {
        anyhow::bail!("--noisy-weight is {noisy}, expected 0 or more");
    }
    let file = read(path)?;
    let (clip, verified) = (file.column("fname")?, file.column("manually_verified")?);
    let mut weights = BTreeMap::new();
    for (line, row) in &file.rows {
        let weight = match &row[verified] {
            "0" => noisy,
            "1" => 1.0,
            other => {
                let other = shortened(other);
                let reason = format!("manually_verified is `{other}`, expected 0 or 1");
                return Err(file.error(*line, reason).into());
            }
        };
        weights.insert(&row[clip], weight);
    }
    // Every clip is listed: its label was found in the same table.
    Ok(clips
        .iter()
        .map(|clip| weights.get(clip.as_str()).copied().unwrap_or(1.0))
        .collect())
}

fn read(path: &Path) -> earmark::Result<CsvRows> {
    let text = fs_err::read(path)?;
    let mut options = csv::ReaderBuilder::new();
    CsvRows::parse(
        &path.display().to_string(),
        &text,
        options.trim(csv::Trim::All),
    )
}
