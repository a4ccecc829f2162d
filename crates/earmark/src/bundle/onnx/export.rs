//! A self-contained graph from a bundle: waveform in, scores out, for programs that have no front end.

use super::builder::{Builder, Dim, Setting};
use super::proto::{GraphProto, ModelProto};
use super::{EMBEDDING, decode, front_end};
use crate::bundle::{Activation, Bundle, Calibration, Tensors};
use crate::{Error, Result};

/// The name of the input.
const WAVEFORM: &str = "waveform";
/// The name of the class output.
const SCORES: &str = "scores";

/// The bundle's graph with its front end before it and its activation and calibration after it: the
/// input `waveform` `[batch, sample]` at the bundle's rate, the outputs `scores` `[batch, class]` and,
/// where there is one, `embedding` `[batch, dim]`.
///
/// One run is one segment: cutting, padding and aggregation stay with the caller.
///
/// # Errors
/// [`Error::Config`] for a front end that needs the whole clip or has no operators in ONNX,
/// [`Error::Bundle`] for a graph of another program that is arranged otherwise or uses operators
/// older than version 13.
pub fn export_waveform(bundle: &Bundle) -> Result<ModelProto> {
    let metadata = bundle.metadata();
    let error = |reason: String| Error::Bundle {
        name: bundle.file().to_owned(),
        reason,
    };
    let Some(config) = metadata.front_end() else {
        return Err(error("takes the waveform already".to_owned()));
    };
    if metadata.tensors.axes != Tensors::features().axes {
        return Err(error(format!(
            "the graph's axes are {:?}, expected batch, channel, band, frame",
            metadata.tensors.axes
        )));
    }
    let mut model = decode(bundle.file(), bundle.bytes().to_vec())?;
    if bundle.opset() < 13 {
        let found = bundle.opset();
        return Err(error(format!(
            "ONNX operator set version {found}, expected 13 or newer"
        )));
    }
    let inner = model.graph.take().unwrap_or_default();
    let reserved = |name: &str| [WAVEFORM, SCORES].contains(&name);
    if inner
        .node
        .iter()
        .flat_map(|node| &node.output)
        .any(|name| reserved(name))
    {
        return Err(error(format!(
            "the graph has its own `{WAVEFORM}` or `{SCORES}`"
        )));
    }
    let mut builder = Builder::new(inner.name());
    builder.reserve(&inner);
    let waveform = builder.input(WAVEFORM, &[Dim::Open("batch"), Dim::Open("sample")]);
    let features = front_end::front_end(&mut builder, config, &waveform)?;
    let logits = builder.graft(
        inner,
        &metadata.tensors.input,
        &features,
        &metadata.tensors.logits,
    );
    let scores = scores(
        &mut builder,
        &logits,
        metadata.activation,
        metadata.calibration.as_ref(),
    );
    let n_classes = metadata.vocabulary.len();
    builder.output(
        &scores,
        SCORES,
        &[Dim::Open("batch"), Dim::Fixed(n_classes)],
    );
    if let Some(embedding) = &metadata.tensors.embedding {
        builder.keep_output(embedding, EMBEDDING);
    }
    model.graph = builder.finish().graph;
    model.producer_name = Some("earmark".to_owned());
    model.metadata_props.clear();
    Ok(model)
}

fn scores(
    builder: &mut Builder,
    logits: &str,
    activation: Activation,
    calibration: Option<&Calibration>,
) -> String {
    let mut value = logits.to_owned();
    match calibration {
        None => {}
        Some(Calibration::Temperature { temperature }) => {
            let constant = builder.constant_floats("calibration.temperature", &[], &[*temperature]);
            value = builder.node("Div", "calibrated", &[&value, &constant], &[]);
        }
        Some(Calibration::Logistic { scale, offset }) => {
            let scale = builder.constant_floats("calibration.scale", &[scale.len()], scale);
            let scaled = builder.node("Mul", "calibrated", &[&value, &scale], &[]);
            let offset = builder.constant_floats("calibration.offset", &[offset.len()], offset);
            value = builder.node("Add", "calibrated", &[&scaled, &offset], &[]);
        }
    }
    match activation {
        Activation::Sigmoid => builder.node("Sigmoid", SCORES, &[&value], &[]),
        Activation::Softmax => {
            let last = [("axis", Setting::Int(-1))];
            builder.node("Softmax", SCORES, &[&value], &last)
        }
        Activation::Identity => value,
    }
}

impl Builder {
    /// Keeps clear of the names of a graph that will be grafted.
    fn reserve(&mut self, graph: &GraphProto) {
        let nodes = graph
            .node
            .iter()
            .flat_map(|node| node.output.iter().cloned());
        let constants = graph
            .initializer
            .iter()
            .map(|tensor| tensor.name().to_owned());
        self.take_names(nodes.chain(constants));
    }
}
