//! Whether a graph is what the metadata says: names, axes and lengths of its input and outputs, and
//! all its weights inside the file.

use super::onnx::proto::{
    GraphProto, ModelProto, TensorProto, TypeProto, ValueInfoProto, dimension, type_proto,
};
use super::{Axis, Input, Metadata};
use crate::features::FrontEnd;
use crate::{Error, Result};

/// An axis of a tensor: its length if that is fixed.
type Dim = Option<usize>;
/// `TensorProto.DataType.FLOAT` of ONNX.
const FLOAT: i32 = 1;
/// `TensorProto.DataLocation.EXTERNAL` of ONNX.
const EXTERNAL: i32 = 1;

/// Compares a graph with its metadata; `file` is what errors call it.
///
/// # Errors
/// [`Error::Bundle`] with what was found and what was expected.
pub(crate) fn check(file: &str, model: &ModelProto, metadata: &Metadata) -> Result<()> {
    let graph = model
        .graph
        .as_ref()
        .ok_or_else(|| error(file, "there is no graph"))?;
    let check = Check {
        file,
        graph,
        metadata,
    };
    check.weights_are_inside()?;
    check.input()?;
    check.logits()?;
    match &metadata.tensors.embedding {
        Some(name) => check.output(name).map(|_| ()),
        None => Ok(()),
    }
}

struct Check<'a> {
    file: &'a str,
    graph: &'a GraphProto,
    metadata: &'a Metadata,
}

impl Check<'_> {
    fn weights_are_inside(&self) -> Result<()> {
        let outside = |tensor: &&TensorProto| tensor.data_location == Some(EXTERNAL);
        match self.graph.initializer.iter().find(outside) {
            None => Ok(()),
            Some(tensor) => Err(error(
                self.file,
                format!(
                    "the weights of `{}` are in another file, expected them inside \
                     (in Python: `onnx.save(onnx.load(path), new_path)`)",
                    tensor.name.as_deref().unwrap_or("")
                ),
            )),
        }
    }

    fn input(&self) -> Result<()> {
        let tensors = &self.metadata.tensors;
        let is_weight = |value: &ValueInfoProto| {
            self.graph
                .initializer
                .iter()
                .any(|tensor| tensor.name == value.name)
        };
        // Before version 4 of the format, weights were listed among the inputs.
        let inputs: Vec<&ValueInfoProto> = self
            .graph
            .input
            .iter()
            .filter(|value| !is_weight(value))
            .collect();
        let value = self.find("input", &inputs, &tensors.input)?;
        if inputs.len() > 1 {
            let found = names(&inputs);
            return Err(error(
                self.file,
                format!("the inputs are {found}, expected one"),
            ));
        }
        let dims = self.dims("input", value)?;
        if dims.len() != tensors.axes.len() {
            return Err(self.wrong_axes(&dims));
        }
        for (axis, dim) in tensors.axes.iter().zip(&dims) {
            let expected = self.expected(*axis)?;
            if let (Some(found), Some(expected)) = (*dim, expected)
                && found != expected
            {
                let axis = format!("{axis:?}").to_lowercase();
                return Err(error(
                    self.file,
                    format!(
                        "the {axis} axis of input `{}` has length {found}, expected {expected}",
                        tensors.input
                    ),
                ));
            }
        }
        Ok(())
    }

    /// The length that the metadata gives to an axis, if any.
    fn expected(&self, axis: Axis) -> Result<Dim> {
        let Input::Features(config) = &self.metadata.input else {
            return Ok((axis == Axis::Channel).then_some(1));
        };
        let front_end = FrontEnd::new(config)?;
        Ok(match axis {
            Axis::Channel => Some(front_end.n_channels()),
            Axis::Band => Some(front_end.n_bands()),
            Axis::Batch | Axis::Frame | Axis::Sample => None,
        })
    }

    fn logits(&self) -> Result<()> {
        let name = &self.metadata.tensors.logits;
        let value = self.output(name)?;
        let dims = self.dims("output", value)?;
        let n_classes = self.metadata.vocabulary.len();
        match dims.last() {
            Some(Some(found)) if *found != n_classes => Err(error(
                self.file,
                format!("output `{name}` has {found} classes, the vocabulary has {n_classes}"),
            )),
            _ => Ok(()),
        }
    }

    fn output(&self, name: &str) -> Result<&ValueInfoProto> {
        let outputs: Vec<&ValueInfoProto> = self.graph.output.iter().collect();
        self.find("output", &outputs, name)
    }

    fn find<'v>(
        &self,
        what: &str,
        values: &[&'v ValueInfoProto],
        name: &str,
    ) -> Result<&'v ValueInfoProto> {
        let found = values
            .iter()
            .find(|value| value.name.as_deref() == Some(name));
        found.copied().ok_or_else(|| {
            let reason = format!(
                "there is no {what} `{name}`, the graph has {}",
                names(values)
            );
            error(self.file, reason)
        })
    }

    /// The axes of a tensor of `f32`; empty when the graph does not say.
    fn dims(&self, what: &str, value: &ValueInfoProto) -> Result<Vec<Dim>> {
        let name = value.name.as_deref().unwrap_or("");
        match value.r#type.as_ref().and_then(|of| of.value.as_ref()) {
            Some(type_proto::Value::TensorType(tensor)) => {
                if tensor.elem_type != Some(FLOAT) {
                    let reason = format!("{what} `{name}` is no tensor of 32-bit floats");
                    return Err(error(self.file, reason));
                }
                Ok(dims_of(value.r#type.as_ref()))
            }
            _ => Err(error(self.file, format!("{what} `{name}` is no tensor"))),
        }
    }

    fn wrong_axes(&self, dims: &[Dim]) -> Error {
        let tensors = &self.metadata.tensors;
        let axes: Vec<String> = tensors
            .axes
            .iter()
            .map(|axis| format!("{axis:?}").to_lowercase())
            .collect();
        error(
            self.file,
            format!(
                "input `{}` is {}, expected the axes [{}]",
                tensors.input,
                shape(dims),
                axes.join(", ")
            ),
        )
    }
}

fn error(file: &str, reason: impl Into<String>) -> Error {
    Error::Bundle {
        name: file.to_owned(),
        reason: reason.into(),
    }
}

fn dims_of(of: Option<&TypeProto>) -> Vec<Dim> {
    let Some(type_proto::Value::TensorType(tensor)) = of.and_then(|of| of.value.as_ref()) else {
        return Vec::new();
    };
    let dims = tensor.shape.iter().flat_map(|shape| &shape.dim);
    dims.map(|dim| match dim.value {
        Some(dimension::Value::DimValue(length)) => usize::try_from(length).ok(),
        _ => None,
    })
    .collect()
}

fn shape(dims: &[Dim]) -> String {
    let lengths: Vec<String> = dims
        .iter()
        .map(|dim| dim.map_or("?".to_owned(), |length| length.to_string()))
        .collect();
    format!("[{}]", lengths.join(", "))
}

/// Names and shapes, for messages.
fn names(values: &[&ValueInfoProto]) -> String {
    let shown: Vec<String> = values
        .iter()
        .map(|value| {
            let name = value.name.as_deref().unwrap_or("");
            format!("`{name}` {}", shape(&dims_of(value.r#type.as_ref())))
        })
        .collect();
    if shown.is_empty() {
        "none".to_owned()
    } else {
        shown.join(", ")
    }
}
