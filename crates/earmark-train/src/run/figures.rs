//! From scores of validation clips to figures.

use earmark::Result;
use earmark::eval::{
    self, BootstrapOptions, Evaluation, Scores, Targets, accuracy, mean_average_precision,
    mean_average_precision_at,
};

use crate::observer::Figure;
use crate::trainer::Scored;

/// The threshold at which a class counts as tagged in sets with several labels a clip.
const THRESHOLD: f32 = 0.5;

/// The figures shown after every epoch; the first one decides what is best.
///
/// # Errors
/// [`earmark::Error::NotFinite`] if a score is not a number.
pub(super) fn judge(scored: &Scored, is_single_label: bool) -> Result<Vec<Figure>> {
    let figure = |name: &str, value: Option<f64>| Figure {
        name: name.to_owned(),
        value,
    };
    if is_single_label {
        let (scores, labels) = single_labelled(scored);
        let ranks = eval::ranking::label_ranks(Scores::new(&scores, scored.n_classes)?, &labels)?;
        return Ok(vec![
            figure("accuracy", accuracy(&ranks)),
            figure("MAP@3", mean_average_precision_at(&ranks, 3)),
        ]);
    }
    let targets: Vec<bool> = scored.targets.iter().map(|&t| t > 0.5).collect();
    let scores = Scores::new(&scored.scores, scored.n_classes)?;
    let targets = Targets::new(&targets, scored.n_classes)?;
    Ok(vec![
        figure("lwlrap", eval::lwlrap(scores, targets)?.overall),
        figure("mAP", mean_average_precision(scores, targets)?),
    ])
}

/// All figures of a run's validation clips.
///
/// # Errors
/// [`earmark::Error::NotFinite`] if a score is not a number.
pub(super) fn evaluate(scored: &Scored, is_single_label: bool) -> Result<Evaluation> {
    let options = BootstrapOptions::default();
    if is_single_label {
        let (scores, labels) = single_labelled(scored);
        let scores = Scores::new(&scores, scored.n_classes)?;
        return Evaluation::single_label(scores, &labels, &options);
    }
    let targets: Vec<bool> = scored.targets.iter().map(|&t| t > 0.5).collect();
    Evaluation::multi_label(
        Scores::new(&scored.scores, scored.n_classes)?,
        Targets::new(&targets, scored.n_classes)?,
        &vec![THRESHOLD; scored.n_classes],
        &options,
    )
}

/// The scores and labels of the clips that have a label; negatives have no rank to judge.
fn single_labelled(scored: &Scored) -> (Vec<f32>, Vec<usize>) {
    let n = scored.n_classes;
    let (mut scores, mut labels) = (Vec::new(), Vec::new());
    for (row, target) in scored.scores.chunks(n).zip(scored.targets.chunks(n)) {
        if let Some(label) = target.iter().position(|&t| t > 0.5) {
            scores.extend_from_slice(row);
            labels.push(label);
        }
    }
    (scores, labels)
}
