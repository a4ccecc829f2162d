//! Figures of scores whose labels are known, a line for each table.

use earmark::ensemble::ScoreTable;
use earmark::eval::{Scores, Targets, accuracy, lwlrap, mean_average_precision_at, ranking};

use crate::printer::Printer;

/// Shows accuracy and MAP@3 where every clip has one label, and lwlrap.
pub(super) fn show(
    table: &ScoreTable,
    labels: Option<&[Vec<usize>]>,
    printer: &Printer,
) -> anyhow::Result<()> {
    let Some(labels) = labels else {
        return Ok(());
    };
    let n_classes = table.classes.len();
    let scores = Scores::new(&table.scores, n_classes)?;
    let mut targets = vec![false; table.scores.len()];
    for (row, labels) in targets.chunks_mut(n_classes).zip(labels) {
        labels.iter().for_each(|&label| row[label] = true);
    }
    let mut line = format!("{}:", table.name);
    if labels.iter().all(|labels| labels.len() == 1) {
        let labels: Vec<usize> = labels.iter().map(|labels| labels[0]).collect();
        let ranks = ranking::label_ranks(scores, &labels)?;
        let figures = [
            ("accuracy", accuracy(&ranks)),
            ("MAP@3", mean_average_precision_at(&ranks, 3)),
        ];
        for (name, value) in figures {
            line += &value.map_or_else(String::new, |value| format!("  {name} {value:.4}"));
        }
    }
    if let Some(value) = lwlrap(scores, Targets::new(&targets, n_classes)?)?.overall {
        line += &format!("  lwlrap {value:.4}");
    }
    printer.line(line)?;
    Ok(())
}
