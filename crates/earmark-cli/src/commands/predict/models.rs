//! The models of a prediction: bundles, and run directories that stand for their folds' bundles.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use earmark::bundle::Bundle;
use earmark::dataset::Vocabulary;
use earmark::tagger::Tagger;

use crate::commands::bundle::ModelStore;
use crate::errors::Hinted;
use crate::printer::Printer;

/// A bundle's file or the name of a fetched model.
pub(super) struct Model(PathBuf);

impl Model {
    pub(super) fn open(&self, store: &ModelStore) -> anyhow::Result<Bundle> {
        crate::model::open(Some(&self.0), store)
    }
}

/// Every bundle that the arguments stand for. All are opened once, so that the last one cannot fail
/// after hours.
pub(super) fn expand(arguments: &[PathBuf], store: &ModelStore) -> anyhow::Result<Vec<Model>> {
    let mut models = Vec::new();
    for argument in arguments {
        match argument.is_dir() {
            true => models.extend(bundles_of_run(argument)?.into_iter().map(Model)),
            false => models.push(Model(argument.clone())),
        }
    }
    for model in &models {
        model.open(store)?;
    }
    Ok(models)
}

/// `model.onnx`, or that of every fold in the order of their numbers.
fn bundles_of_run(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let single = folder.join("model.onnx");
    if single.is_file() {
        return Ok(vec![single]);
    }
    let context = || format!("cannot read {}", folder.display());
    let mut folds = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(context)? {
        let name = entry.with_context(context)?.file_name();
        let number = name
            .to_str()
            .and_then(|name| name.strip_prefix("fold-")?.parse().ok());
        folds.extend(number.map(|number: usize| (number, folder.join(&name).join("model.onnx"))));
    }
    folds.sort();
    if let Some((_, missing)) = folds.iter().find(|(_, bundle)| !bundle.is_file()) {
        return Err(Hinted::error(
            format!("{}: no bundle, the fold is not finished", missing.display()),
            "finish the run with the command that began it, or name the finished bundles one by one",
        ));
    }
    if folds.is_empty() {
        anyhow::bail!(
            "{}: neither `model.onnx` nor `fold-0`, expected a run directory",
            folder.display()
        );
    }
    Ok(folds.into_iter().map(|(_, bundle)| bundle).collect())
}

/// For each column the model's class of that name. Columns of a sample that the model does not know
/// score 0, and classes that the sample does not have are left out, both with a warning; models among
/// each other must know the same classes.
pub(super) fn columns(
    model: &Model,
    tagger: &Tagger,
    classes: &[String],
    are_of_sample: bool,
    printer: &Printer,
) -> anyhow::Result<Vec<Option<usize>>> {
    let vocabulary = tagger.vocabulary();
    let shown = model.0.display();
    let columns: Vec<Option<usize>> = classes
        .iter()
        .map(|class| vocabulary.index_of(class))
        .collect();
    let unknown: Vec<&String> = classes
        .iter()
        .zip(&columns)
        .filter_map(|(class, column)| column.is_none().then_some(class))
        .collect();
    if let Some(first) = unknown.first() {
        if unknown.len() == classes.len() || !are_of_sample {
            return Err(does_not_know(model, vocabulary, first, are_of_sample));
        }
        printer.note(format!(
            "{shown}: warning: {} of {} columns are no classes of the model and score 0, `{first}` first",
            unknown.len(),
            classes.len()
        ));
    }
    let extra: Vec<&str> = vocabulary
        .names()
        .filter(|name| !classes.iter().any(|class| class == name))
        .collect();
    match extra.first() {
        None => {}
        Some(first) if are_of_sample => printer.note(format!(
            "{shown}: warning: {} of {} classes of the model are no columns of the sample and are left \
             out, `{first}` first",
            extra.len(),
            vocabulary.len()
        )),
        Some(first) => anyhow::bail!(
            "{shown}: knows the class `{first}`, which the first model does not know"
        ),
    }
    Ok(columns)
}

fn does_not_know(
    model: &Model,
    vocabulary: &Vocabulary,
    class: &str,
    is_of_sample: bool,
) -> anyhow::Error {
    let whose = match is_of_sample {
        true => "the sample",
        false => "the first model",
    };
    let near = vocabulary.suggestion(class);
    Hinted::error(
        format!(
            "{}: does not know the class `{class}` of {whose}",
            model.0.display()
        ),
        near.map_or_else(
            || "blend models of the same classes".to_owned(),
            |near| format!("its nearest is `{near}`"),
        ),
    )
}
