//! Reads the weights of a network back out of a graph that was built from its description.

use half::{bf16, f16};

use super::layout;
use super::proto::{ModelProto, TensorProto, data_type};
use crate::model::block::{Block, Gru};
use crate::model::{Architecture, Tensor, Weights};
use crate::{Error, Result};

/// The parameters of `architecture` from the initializers of the same names. Other constants of the
/// graph are passed over; parameters of auxiliary classifiers are not in a graph. `name` is what
/// errors call the file.
///
/// # Errors
/// [`Error::Weights`] that names what is missing or of another size.
pub fn read_weights(
    name: &str,
    model: &ModelProto,
    architecture: &Architecture,
) -> Result<Weights> {
    let plan = architecture.plan()?;
    let initializers = model
        .graph
        .as_ref()
        .map_or(&[][..], |graph| &graph.initializer);
    let mut weights = Weights::new();
    let mut units = Vec::new();
    recurrent_units(&architecture.blocks, &mut units);
    for tensor in initializers {
        let wanted = plan.parameter(tensor.name());
        let recurrent = units.iter().any(|gru| {
            let rest = tensor.name().strip_prefix(&gru.name);
            rest.is_some_and(|rest| matches!(rest, ".weight_ih_l0" | ".weight_hh_l0" | ".bias_l0"))
        });
        let values = || {
            floats(tensor).map_err(|reason| Error::Weights {
                name: name.to_owned(),
                reason: format!("`{}`: {reason}", tensor.name()),
            })
        };
        if recurrent {
            let values = values()?;
            weights.insert(tensor.name(), Tensor::new(vec![values.len()], values)?);
        } else if let Some(parameter) = wanted {
            let values = values()?;
            if values.len() != parameter.n_values() {
                return Err(Error::Weights {
                    name: name.to_owned(),
                    reason: format!(
                        "`{}` is {:?}, expected {:?}",
                        tensor.name(),
                        tensor.dims,
                        parameter.shape
                    ),
                });
            }
            // The graph may store a matrix as a 1×1 kernel: the values are in the same order.
            weights.insert(tensor.name(), Tensor::new(parameter.shape.clone(), values)?);
        }
    }
    for gru in units {
        layout::gru_from_onnx(gru, &mut weights)?;
    }
    weights.check(architecture, name)?;
    Ok(weights)
}

fn recurrent_units<'a>(blocks: &'a [Block], units: &mut Vec<&'a Gru>) {
    for block in blocks {
        match block {
            Block::Gru(gru) => units.push(gru),
            Block::Parallel(parallel) => {
                for branch in &parallel.branches {
                    recurrent_units(branch, units);
                }
            }
            Block::Output(output) => recurrent_units(&output.blocks, units),
            _ => {}
        }
    }
}

/// The values of a tensor as `f32`.
fn floats(tensor: &TensorProto) -> Result<Vec<f32>, String> {
    if tensor.data_location() == 1 {
        return Err("the values lie in another file, expected one self-contained file".to_owned());
    }
    let n_values = tensor.dims.iter().try_fold(1usize, |n, &dim| {
        usize::try_from(dim).ok().and_then(|dim| n.checked_mul(dim))
    });
    let raw = tensor.raw_data();
    let values: Vec<f32> = match tensor.data_type() {
        data_type::FLOAT if raw.is_empty() => tensor.float_data.clone(),
        data_type::FLOAT => each(raw, f32::from_le_bytes),
        data_type::DOUBLE if raw.is_empty() => {
            tensor.double_data.iter().map(|&v| v as f32).collect()
        }
        data_type::DOUBLE => each(raw, |bytes| f64::from_le_bytes(bytes) as f32),
        data_type::FLOAT16 => each(raw, |bytes| f16::from_le_bytes(bytes).to_f32()),
        data_type::BFLOAT16 => each(raw, |bytes| bf16::from_le_bytes(bytes).to_f32()),
        other => return Err(format!("element type {other}, expected a float type")),
    };
    match n_values {
        Some(n) if n == values.len() => Ok(values),
        _ => Err(format!(
            "{} values for the shape {:?}",
            values.len(),
            tensor.dims
        )),
    }
}

fn each<const N: usize>(raw: &[u8], value: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    raw.as_chunks::<N>()
        .0
        .iter()
        .map(|&bytes| value(bytes))
        .collect()
}
