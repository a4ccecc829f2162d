//! A new head on a graph of another program: the graph up to its embedding stays, what led to its own
//! classes goes, and a small network from the embedding to new classes follows.

use std::collections::BTreeSet;

use super::builder::{Builder, Dim, Setting};
use super::decode;
use super::proto::{GraphProto, ModelProto, NodeProto};
use crate::bundle::{Bundle, Tensors};
use crate::model::block::{BatchNorm, Block, Function, Linear};
use crate::model::{Architecture, Weights};
use crate::{Error, Result};

/// The oldest operator set whose operators mean what the head takes them to mean.
const OLDEST_OPSET: u64 = 9;

/// The bundle's graph with the blocks of `head` behind its embedding, and how its tensors are called
/// now. `head` takes the embedding as channels and is made of linear layers, rectifiers,
/// normalisations and dropout.
///
/// # Errors
/// [`Error::Bundle`] for a graph without embedding or with operators older than version 9;
/// [`Error::Shape`] for a block that no head has, [`Error::Weights`] for missing weights.
pub fn append_head(
    bundle: &Bundle,
    head: &Architecture,
    weights: &Weights,
) -> Result<(ModelProto, Tensors)> {
    let error = |reason: String| Error::Bundle {
        name: bundle.file().to_owned(),
        reason,
    };
    let mut tensors = bundle.metadata().tensors.clone();
    let Some(embedding) = tensors.embedding.clone() else {
        return Err(error(
            "has no embedding, expected one for a new head".to_owned(),
        ));
    };
    if bundle.opset() < OLDEST_OPSET {
        return Err(error(format!(
            "ONNX operator set version {}, expected {OLDEST_OPSET} or newer",
            bundle.opset()
        )));
    }
    let mut model = decode(bundle.file(), bundle.bytes().to_vec())?;
    let mut graph = model.graph.take().unwrap_or_default();
    graph
        .output
        .retain(|output| output.name.as_deref() == Some(&embedding));
    prune(&mut graph);
    let mut builder = Builder::continued(graph);
    // One row per segment, whatever axes of length 1 the graph leaves behind it.
    let flat = [("axis", Setting::Int(1))];
    let mut value = builder.node("Flatten", "head.embedding", &[&embedding], &flat);
    for block in &head.blocks {
        value = match block {
            Block::Output(_) | Block::Dropout(_) => value,
            Block::Linear(linear) => add_linear(&mut builder, linear, weights, &value)?,
            Block::BatchNorm(norm) => add_norm(&mut builder, norm, weights, &value)?,
            Block::Activation(activation) if activation.function == Function::Relu => {
                builder.plain("Relu", &[&value])
            }
            block => {
                return Err(Error::Shape {
                    what: format!("{}: block of a head", head.name),
                    found: format!("{block:?}"),
                    expected: "a linear layer, a rectifier, a normalisation or dropout".to_owned(),
                });
            }
        };
    }
    let logits = builder.node("Identity", "logits", &[&value], &[]);
    builder.output(
        &logits,
        &logits,
        &[Dim::Open("batch"), Dim::Fixed(head.n_classes)],
    );
    tensors.logits = logits;
    model.graph = builder.finish().graph;
    model.producer_name = Some("earmark".to_owned());
    Ok((model, tensors))
}

fn add_linear(
    builder: &mut Builder,
    linear: &Linear,
    weights: &Weights,
    value: &str,
) -> Result<String> {
    let mut inputs = vec![
        value.to_owned(),
        constant(builder, &linear.name, "weight", weights)?,
    ];
    if linear.bias {
        inputs.push(constant(builder, &linear.name, "bias", weights)?);
    } else {
        let zeros = vec![0.0; linear.out_features];
        inputs.push(builder.constant_floats("bias", &[linear.out_features], &zeros));
    }
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    Ok(builder.node(
        "Gemm",
        &linear.name,
        &inputs,
        &[("transB", Setting::Int(1))],
    ))
}

fn add_norm(
    builder: &mut Builder,
    norm: &BatchNorm,
    weights: &Weights,
    value: &str,
) -> Result<String> {
    let mut inputs = vec![value.to_owned()];
    for part in ["weight", "bias", "running_mean", "running_var"] {
        inputs.push(constant(builder, &norm.name, part, weights)?);
    }
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    let settings = [("epsilon", Setting::Float(norm.eps))];
    Ok(builder.node("BatchNormalization", &norm.name, &inputs, &settings))
}

fn constant(builder: &mut Builder, block: &str, part: &str, weights: &Weights) -> Result<String> {
    let name = format!("{block}.{part}");
    let tensor = weights.get(&name).ok_or_else(|| Error::Weights {
        name: "head".to_owned(),
        reason: format!("missing `{name}`"),
    })?;
    Ok(builder.constant_floats(&name, tensor.shape(), tensor.data()))
}

/// Removes the nodes and weights that no output needs.
fn prune(graph: &mut GraphProto) {
    let mut needed: BTreeSet<String> = graph
        .output
        .iter()
        .filter_map(|output| output.name.clone())
        .collect();
    // Nodes come in an order in which they can run, so going back meets every use before its source.
    let mut kept: Vec<NodeProto> = Vec::new();
    for node in std::mem::take(&mut graph.node).into_iter().rev() {
        if node.output.iter().any(|output| needed.contains(output)) {
            use_names(&node, &mut needed);
            kept.push(node);
        }
    }
    kept.reverse();
    graph.node = kept;
    let is_needed = |name: &Option<String>| name.as_ref().is_some_and(|n| needed.contains(n));
    let dropped: BTreeSet<Option<String>> = graph
        .initializer
        .iter()
        .filter(|tensor| !is_needed(&tensor.name))
        .map(|tensor| tensor.name.clone())
        .collect();
    graph.initializer.retain(|tensor| is_needed(&tensor.name));
    // Old files list weights among the inputs.
    graph.input.retain(|input| !dropped.contains(&input.name));
}

/// Adds every name that a node uses, those of graphs inside its settings included.
fn use_names(node: &NodeProto, needed: &mut BTreeSet<String>) {
    needed.extend(node.input.iter().cloned());
    for attribute in &node.attribute {
        let inner = attribute.g.iter().map(|graph| &**graph);
        for graph in inner.chain(&attribute.graphs) {
            graph.node.iter().for_each(|node| use_names(node, needed));
            needed.extend(graph.output.iter().filter_map(|o| o.name.clone()));
        }
    }
}
