//! Reads `.safetensors`: a JSON header, then the numbers.

use safetensors::{Dtype, SafeTensors};

use super::Budget;
use super::element::Element;
use crate::model::{Tensor, Weights};

/// All tensors of the file, or what is wrong with it.
pub(super) fn read(bytes: &[u8]) -> Result<Weights, String> {
    let file = SafeTensors::deserialize(bytes)
        .map_err(|error| format!("damaged safetensors file: {error}"))?;
    let mut weights = Weights::new();
    let mut budget = Budget::default();
    for (name, view) in file.iter() {
        let element = element(view.dtype())
            .ok_or_else(|| format!("`{name}` has the element type {:?}", view.dtype()))?;
        budget.take(view.data().len() / element.size())?;
        let tensor = Tensor::new(view.shape().to_vec(), element.floats(view.data()))
            .map_err(|error| format!("`{name}`: {error}"))?;
        weights.insert(name, tensor);
    }
    Ok(weights)
}

fn element(dtype: Dtype) -> Option<Element> {
    Some(match dtype {
        Dtype::F16 => Element::F16,
        Dtype::BF16 => Element::Bf16,
        Dtype::F32 => Element::F32,
        Dtype::F64 => Element::F64,
        Dtype::I8 => Element::I8,
        Dtype::U8 => Element::U8,
        Dtype::I16 => Element::I16,
        Dtype::I32 => Element::I32,
        Dtype::I64 => Element::I64,
        Dtype::BOOL => Element::Bool,
        _ => return None,
    })
}
