//! Where a graph stores a parameter in another arrangement than PyTorch: recurrent units.
//!
//! PyTorch orders the thirds of a GRU's matrices r, z, n and keeps directions and constants apart.
//! ONNX orders them z, r, h, stacks the directions, and joins both constants.

use crate::model::block::Gru;
use crate::model::{Tensor, Weights};
use crate::{Error, Result};

/// The names of the three constants that a GRU has in a graph.
fn stored_names(gru: &Gru) -> [String; 3] {
    ["weight_ih_l0", "weight_hh_l0", "bias_l0"].map(|part| format!("{}.{part}", gru.name))
}

fn endings(gru: &Gru) -> &'static [&'static str] {
    if gru.bidirectional {
        &["", "_reverse"]
    } else {
        &[""]
    }
}

/// The constants `W` `[direction, 3 · hidden, in]`, `R` `[direction, 3 · hidden, hidden]` and `B`
/// `[direction, 6 · hidden]` with their names.
pub(super) fn gru_to_onnx(gru: &Gru, weights: &Weights) -> Result<[(String, Tensor); 3]> {
    let n_directions = endings(gru).len();
    let gates = 3 * gru.hidden;
    let part = |names: &[&str]| -> Result<Vec<f32>> {
        let mut values = Vec::new();
        for ending in endings(gru) {
            for name in names {
                let name = format!("{}.{name}{ending}", gru.name);
                let tensor = weights.get(&name).ok_or_else(|| missing(&name))?;
                values.extend(swap_first_thirds(tensor.data()));
            }
        }
        Ok(values)
    };
    let [w, r, b] = stored_names(gru);
    let inputs = vec![n_directions, gates, gru.in_channels];
    let states = vec![n_directions, gates, gru.hidden];
    let constants = vec![n_directions, 2 * gates];
    Ok([
        (w, Tensor::new(inputs, part(&["weight_ih_l0"])?)?),
        (r, Tensor::new(states, part(&["weight_hh_l0"])?)?),
        (
            b,
            Tensor::new(constants, part(&["bias_ih_l0", "bias_hh_l0"])?)?,
        ),
    ])
}

/// The inverse of [`gru_to_onnx`]: replaces the three constants by the parameters.
pub(super) fn gru_from_onnx(gru: &Gru, weights: &mut Weights) -> Result<()> {
    let n_directions = endings(gru).len();
    let [w, r, b] = stored_names(gru);
    let gates = 3 * gru.hidden;
    let stored: [(String, &[&str], Vec<usize>); 3] = [
        (w, &["weight_ih_l0"], vec![gates, gru.in_channels]),
        (r, &["weight_hh_l0"], vec![gates, gru.hidden]),
        (b, &["bias_ih_l0", "bias_hh_l0"], vec![gates]),
    ];
    for (name, parts, shape) in stored {
        let tensor = weights.remove(&name).ok_or_else(|| missing(&name))?;
        let n_values: usize = shape.iter().product();
        let expected = n_directions * parts.len() * n_values;
        if tensor.data().len() != expected {
            return Err(Error::Weights {
                name,
                reason: format!("has {} values, expected {expected}", tensor.data().len()),
            });
        }
        let mut chunks = tensor.data().chunks_exact(n_values);
        for ending in endings(gru) {
            for (part, chunk) in parts.iter().zip(&mut chunks) {
                let values = swap_first_thirds(chunk).collect();
                let name = format!("{}.{part}{ending}", gru.name);
                weights.insert(name, Tensor::new(shape.clone(), values)?);
            }
        }
    }
    Ok(())
}

/// Exchanges the first and second third: r, z, n ⇄ z, r, n.
fn swap_first_thirds(values: &[f32]) -> impl Iterator<Item = f32> + '_ {
    let third = values.len() / 3;
    let (first, rest) = values.split_at(third);
    let (second, last) = rest.split_at(third);
    second.iter().chain(first).chain(last).copied()
}

fn missing(name: &str) -> Error {
    Error::Weights {
        name: "graph".to_owned(),
        reason: format!("missing `{name}`"),
    }
}
