//! Named tensors: what a network has learned, apart from any framework.

use std::collections::BTreeMap;

use super::{Architecture, Parameter};
use crate::{Error, Result};

/// A tensor of `f32`, last axis fastest.
#[derive(Clone, PartialEq)]
pub struct Tensor {
    shape: Vec<usize>,
    data: Vec<f32>,
}

impl std::fmt::Debug for Tensor {
    /// The shape and the first values: tensors have millions.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let first = &self.data[..self.data.len().min(4)];
        write!(f, "Tensor({:?}, {first:?} …)", self.shape)
    }
}

impl Tensor {
    /// A tensor of the given shape.
    ///
    /// # Errors
    /// [`Error::Shape`] when the number of values is not the product of the shape.
    pub fn new(shape: Vec<usize>, data: Vec<f32>) -> Result<Self> {
        let wanted = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
        if wanted != Some(data.len()) {
            return Err(Error::Shape {
                what: "tensor".to_owned(),
                found: format!("{} values", data.len()),
                expected: format!("the product of {shape:?}"),
            });
        }
        Ok(Self { shape, data })
    }

    /// The lengths of the axes; empty for a single number.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The values.
    pub fn data(&self) -> &[f32] {
        &self.data
    }

    /// The values, to be changed in place.
    pub fn data_mut(&mut self) -> &mut [f32] {
        &mut self.data
    }

    /// The values by themselves.
    pub fn into_data(self) -> Vec<f32> {
        self.data
    }
}

/// The parameters of a network by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Weights {
    tensors: BTreeMap<String, Tensor>,
}

impl Weights {
    /// No tensors.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds or replaces a tensor; returns the one that had the name.
    pub fn insert(&mut self, name: impl Into<String>, tensor: Tensor) -> Option<Tensor> {
        self.tensors.insert(name.into(), tensor)
    }

    /// The tensor of that name.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.tensors.get(name)
    }

    /// Takes out the tensor of that name.
    pub fn remove(&mut self, name: &str) -> Option<Tensor> {
        self.tensors.remove(name)
    }

    /// Names and tensors in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.tensors.iter().map(|(name, t)| (name.as_str(), t))
    }

    /// The number of tensors.
    pub fn len(&self) -> usize {
        self.tensors.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.tensors.is_empty()
    }

    /// Compares names and shapes with what an architecture asks for. Parameters of auxiliary
    /// classifiers may be missing.
    ///
    /// # Errors
    /// [`Error::Weights`] that names what is missing, what is unexpected and what has another shape;
    /// `source` is the name of the file they came from.
    pub fn check(&self, architecture: &Architecture, source: &str) -> Result<()> {
        let plan = architecture.plan()?;
        let missing: Vec<&str> = plan
            .parameters
            .iter()
            .filter(|p| !p.auxiliary && !self.tensors.contains_key(&p.name))
            .map(|p| p.name.as_str())
            .collect();
        let known = |name: &str| plan.parameters.iter().any(|p| p.name == name);
        let unexpected: Vec<&str> = self.iter().map(|(n, _)| n).filter(|n| !known(n)).collect();
        let other: Vec<String> = plan
            .parameters
            .iter()
            .filter_map(|p| self.differs(p))
            .collect();
        let problems = [
            listed("missing", &missing),
            listed("unexpected", &unexpected),
            (!other.is_empty()).then(|| shortened(&other)),
        ];
        let problems: Vec<String> = problems.into_iter().flatten().collect();
        if problems.is_empty() {
            return Ok(());
        }
        Err(Error::Weights {
            name: source.to_owned(),
            reason: format!(
                "does not fit {}: {}",
                architecture.name,
                problems.join("; ")
            ),
        })
    }

    fn differs(&self, parameter: &Parameter) -> Option<String> {
        let tensor = self.get(&parameter.name)?;
        (tensor.shape() != parameter.shape).then(|| {
            format!(
                "`{}` is {:?}, expected {:?}",
                parameter.name,
                tensor.shape(),
                parameter.shape
            )
        })
    }
}

impl FromIterator<(String, Tensor)> for Weights {
    fn from_iter<I: IntoIterator<Item = (String, Tensor)>>(tensors: I) -> Self {
        Self {
            tensors: tensors.into_iter().collect(),
        }
    }
}

fn listed(what: &str, names: &[&str]) -> Option<String> {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    (!names.is_empty()).then(|| format!("{what} {}", shortened(&quoted)))
}

/// The first few of many, and how many more there are.
fn shortened(items: &[String]) -> String {
    const SHOWN: usize = 5;
    let mut text = items[..items.len().min(SHOWN)].join(", ");
    if items.len() > SHOWN {
        text += &format!(" and {} more", items.len() - SHOWN);
    }
    text
}
