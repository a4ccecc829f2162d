//! What a run found: the figures, the bundles, and what to type next.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use earmark::eval::{Evaluation, Interval};
use earmark_train::run::config::Validate;
use earmark_train::{RunConfig, RunResult};

use crate::printer::Printer;

/// Shows the figures of a run.
pub(super) fn show(result: &RunResult, printer: &Printer) -> anyhow::Result<()> {
    if result.folds.len() > 1 {
        for (fold, figures) in result.folds.iter().enumerate() {
            let figures: Vec<String> = figures
                .iter()
                .map(|(name, value)| format!("{name} {value:.4}"))
                .collect();
            printer.line(format!("fold {fold}: {}", figures.join("  ")))?;
        }
        if result.is_complete {
            printer.line(format!("mean ± deviation: {}", spread(&result.folds)))?;
        }
    }
    if let Some(evaluation) = &result.evaluation {
        show_evaluation("validation", evaluation, printer)?;
    }
    if let Some(evaluation) = &result.test {
        show_evaluation("test", evaluation, printer)?;
    }
    for bundle in &result.bundles {
        printer.line(bundle.display().to_string())?;
    }
    Ok(())
}

/// Mean and standard deviation of every figure over the folds.
fn spread(folds: &[BTreeMap<String, f64>]) -> String {
    let names: BTreeSet<&String> = folds.iter().flat_map(BTreeMap::keys).collect();
    let of = |name: &String| {
        let values: Vec<f64> = folds.iter().filter_map(|f| f.get(name).copied()).collect();
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
        let deviation = (squares / (n - 1.0).max(1.0)).sqrt();
        format!("{name} {mean:.4} ± {deviation:.4}")
    };
    names.into_iter().map(of).collect::<Vec<_>>().join("  ")
}

/// Says what to type next.
pub(super) fn next_steps(result: &RunResult, config: &RunConfig, printer: &Printer) {
    let Some(bundle) = result.bundles.first() else {
        return;
    };
    printer.note("");
    printer.note(format!(
        "tag with it:  earmark tag --model {} SOUNDS",
        quoted(bundle)
    ));
    let data = config.data.path.as_deref().unwrap_or(Path::new("DATA"));
    if config.data.validate == Validate::None {
        return;
    }
    printer.note(format!(
        "every figure is in {}",
        quoted(&result.directory.join("evaluation.json"))
    ));
    printer.note(match result.bundles.len() {
        1 => format!(
            "it has not heard the clips that judged it; one that has heard all of {}: \
             --set data.validate=none --output DIR",
            data.display()
        ),
        _ => "each has heard all folds but its own; one that has heard all clips: \
              --set data.validate=none --output DIR"
            .to_owned(),
    });
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+=:,@%".contains(c);
    match text.chars().all(is_plain) {
        true => text,
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

fn show_evaluation(what: &str, evaluation: &Evaluation, printer: &Printer) -> anyhow::Result<()> {
    printer.line(format!("{what}, {} clips:", evaluation.n_clips))?;
    let show = |name: &str, interval: Option<Interval>| match interval {
        Some(Interval {
            estimate,
            lower,
            upper,
        }) => printer.line(format!(
            "  {name:<10} {estimate:.4}  ({lower:.4} to {upper:.4})"
        )),
        None => Ok(()),
    };
    show("accuracy", evaluation.accuracy)?;
    show("MAP@3", evaluation.map_at_3)?;
    show("lwlrap", evaluation.lwlrap)?;
    if let Some(value) = evaluation.mean_average_precision {
        printer.line(format!("  {:<10} {value:.4}", "mAP"))?;
    }
    Ok(())
}
