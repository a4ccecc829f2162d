//! A bundle's card: what it is, what it knows and how it was made, on one screen.

use std::fmt::Write as _;

use earmark::bundle::{
    Activation, Aggregation, Bundle, Calibration, FORMAT_VERSION, Input, LastSegment, Metadata,
    Padding, Task,
};
use earmark::features::FrontEnd;

/// How many characters of the class list are shown.
const CLASSES_WIDTH: usize = 200;

/// The card as text.
///
/// # Errors
/// When the front end cannot be, which opening the bundle has excluded.
pub(super) fn text(bundle: &Bundle, all_classes: bool) -> anyhow::Result<String> {
    let metadata = bundle.metadata();
    let mut text = format!("{}\n", metadata.name);
    if !metadata.description.is_empty() {
        text += &format!("{}\n", metadata.description.trim_end());
    }
    text += "\n";
    let mut row = |key: &str, value: String| {
        let _ = writeln!(text, "{key:<12}{value}");
    };
    row("file", file(bundle));
    row("input", input(metadata)?);
    if let Some(architecture) = &metadata.architecture {
        let plan = architecture.plan()?;
        let counted = plan
            .parameters
            .iter()
            .filter(|p| p.is_trained() && !p.auxiliary);
        let n: usize = counted.map(earmark::model::Parameter::n_values).sum();
        row(
            "network",
            format!("{}, {} parameters", architecture.name, grouped(n as u64)),
        );
    } else {
        row("network", "of another program".to_owned());
    }
    row("output", output(metadata));
    row("segments", segments(metadata));
    row("thresholds", thresholds(metadata));
    row("classes", classes(metadata));
    row("licence", licence(metadata));
    row("made", made(metadata));
    for line in provenance(metadata) {
        row("", line);
    }
    if all_classes {
        text += "\n";
        for (index, class) in metadata.vocabulary.classes().iter().enumerate() {
            let _ = writeln!(
                text,
                "{index:>5}  {:<12} {}",
                class.id.as_deref().unwrap_or(""),
                class.name
            );
        }
    }
    Ok(text
        .lines()
        .map(|line| line.trim_end().to_owned() + "\n")
        .collect())
}

fn file(bundle: &Bundle) -> String {
    let producer = match bundle.producer() {
        "" => String::new(),
        name => format!(", graph by {name}"),
    };
    format!(
        "{}, {} bytes, bundle format {FORMAT_VERSION}, ONNX operators {}{producer}",
        bundle.file(),
        grouped(bundle.bytes().len() as u64),
        bundle.opset(),
    )
}

fn input(metadata: &Metadata) -> anyhow::Result<String> {
    Ok(match &metadata.input {
        Input::Waveform(waveform) => format!("waveform at {} Hz", waveform.sample_rate),
        Input::Features(config) => {
            let front_end = FrontEnd::new(config)?;
            format!(
                "features at {} Hz: {} × {} bands, {} frames a second",
                config.sample_rate,
                counted(front_end.n_channels() as u64, "channel"),
                front_end.n_bands(),
                front_end.frames_per_second(),
            )
        }
    })
}

fn output(metadata: &Metadata) -> String {
    let activation = match metadata.activation {
        Activation::Sigmoid => "sigmoid of the logits",
        Activation::Softmax => "softmax of the logits",
        Activation::Identity => "scores of the graph itself",
    };
    let task = match metadata.task {
        Task::MultiLabel => "any number of classes at once",
        Task::SingleLabel => "one class at a time",
    };
    let calibration = match &metadata.calibration {
        None => "not calibrated".to_owned(),
        Some(Calibration::Temperature { temperature }) => {
            format!("calibrated by a temperature of {temperature}")
        }
        Some(Calibration::Logistic { .. }) => "calibrated class by class".to_owned(),
    };
    format!("{activation}, {task}, {calibration}")
}

fn segments(metadata: &Metadata) -> String {
    let segment = &metadata.segment;
    let padding = match segment.padding {
        Padding::Zeros => "silence after it",
        Padding::ZerosAround => "silence around it",
        Padding::Repeat => "its repetition",
    };
    let last = match segment.last_segment {
        LastSegment::Keep => "is a shorter segment",
        LastSegment::Shift => "is covered by a full segment that overlaps",
        LastSegment::Pad => "is padded to a full segment",
        LastSegment::Drop => "is left out",
    };
    let aggregation = match segment.aggregation {
        Aggregation::Mean => "mean of the scores",
        Aggregation::Max => "highest score",
        Aggregation::MeanLogit => "mean of the logits",
    };
    let speeds: Vec<String> = segment.speeds.iter().map(ToString::to_string).collect();
    let speeds = match speeds.as_slice() {
        [] => String::new(),
        speeds => format!("; heard at speed 1 and at {}", speeds.join(", ")),
    };
    format!(
        "{} s every {} s; below {} s filled with {padding}; what is left {last}; clip: {aggregation}{speeds}",
        segment.length_secs, segment.hop_secs, segment.min_secs
    )
}

fn thresholds(metadata: &Metadata) -> String {
    let thresholds = &metadata.thresholds;
    match (thresholds.default, thresholds.classes.len()) {
        (None, 0) => "none".to_owned(),
        (None, n) => format!("for {}", counted(n as u64, "class")),
        (Some(value), 0) => format!("{value} for all classes"),
        (Some(value), n) => format!("{value}, another for {}", counted(n as u64, "class")),
    }
}

fn classes(metadata: &Metadata) -> String {
    let mut text = format!("{}: ", metadata.vocabulary.len());
    let mut names = metadata.vocabulary.names().peekable();
    while let Some(name) = names.next() {
        if text.chars().count() + name.chars().count() > CLASSES_WIDTH {
            return text + "…";
        }
        text += name;
        if names.peek().is_some() {
            text += " · ";
        }
    }
    text
}

fn licence(metadata: &Metadata) -> String {
    let Some(licence) = &metadata.licence else {
        return "not stated".to_owned();
    };
    match licence.attribution.join(" ") {
        attribution if attribution.is_empty() => licence.spdx.clone(),
        attribution => format!("{} ({attribution})", licence.spdx),
    }
}

fn made(metadata: &Metadata) -> String {
    let provenance = &metadata.provenance;
    format!(
        "{} by {}",
        provenance.origin.as_str(),
        provenance.code_version
    )
}

/// The rest of the provenance, one line each.
fn provenance(metadata: &Metadata) -> Vec<String> {
    let provenance = &metadata.provenance;
    let mut lines = Vec::new();
    if let Some(source) = &provenance.source {
        lines.push(format!("from {}, SHA-256 {}", source.file, source.sha256));
        lines.extend(source.url.clone());
    }
    if let Some(data) = &provenance.data {
        lines.push(format!("trained on {data}"));
    }
    if let Some(digest) = &provenance.data_digest {
        lines.push(format!("data digest {digest}"));
    }
    if let Some(seed) = provenance.seed {
        lines.push(format!("seed {seed}"));
    }
    if !provenance.metrics.is_empty() {
        let metrics = provenance.metrics.iter();
        let metrics: Vec<String> = metrics
            .map(|(name, value)| format!("{name} {value}"))
            .collect();
        lines.push(metrics.join(", "));
    }
    lines
}

/// `1 class`, `2 classes`, `2 channels`.
fn counted(n: u64, noun: &str) -> String {
    match (n, noun.ends_with('s')) {
        (1, _) => format!("1 {noun}"),
        (_, true) => format!("{n} {noun}es"),
        (_, false) => format!("{n} {noun}s"),
    }
}

/// A number with a comma between thousands.
pub(super) fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_nouns_read_well() {
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(4_066_513), "4,066,513");
        assert_eq!(counted(1, "class"), "1 class");
        assert_eq!(counted(527, "class"), "527 classes");
        assert_eq!(counted(2, "channel"), "2 channels");
    }
}
