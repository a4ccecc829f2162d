//! Puts a graph together node by node: names, attributes, constants.

use std::collections::BTreeSet;

use prost::bytes::Bytes;

use super::proto::{
    AttributeProto, Dimension, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
    TensorShapeProto, TypeProto, TypeProtoTensor, ValueInfoProto, attribute_type, data_type,
    dimension, type_proto,
};

/// The version of the ONNX operators that graphs of ours use: the newest that all runtimes of the last
/// four years read.
pub const OPSET: i64 = 17;

/// The version of the file layout that goes with it.
pub const IR_VERSION: i64 = 8;

/// An axis of an input or output.
#[derive(Clone, Copy)]
pub(super) enum Dim {
    /// A fixed length.
    Fixed(usize),
    /// An open length with a name.
    Open(&'static str),
}

/// A fixed setting of an operator.
pub(super) enum Setting {
    Int(i64),
    Ints(Vec<i64>),
    Float(f32),
    Text(&'static str),
}

/// A graph in the making.
#[derive(Default)]
pub(super) struct Builder {
    graph: GraphProto,
    taken: BTreeSet<String>,
    grafted_outputs: Vec<ValueInfoProto>,
}

impl Builder {
    pub(super) fn new(name: &str) -> Self {
        let mut builder = Self::default();
        builder.graph.name = Some(name.to_owned());
        builder
    }

    /// A graph that goes on where another one ends.
    pub(super) fn continued(graph: GraphProto) -> Self {
        let mut builder = Self::default();
        let inputs = graph.input.iter().filter_map(|value| value.name.clone());
        let constants = graph.initializer.iter().filter_map(|t| t.name.clone());
        let nodes = graph.node.iter();
        let values = nodes.flat_map(|node| node.output.iter().chain(&node.name).cloned());
        builder.taken = inputs.chain(constants).chain(values).collect();
        builder.graph = graph;
        builder
    }

    /// A name that nothing has yet: `wanted`, or `wanted.1`, `wanted.2`, ….
    fn fresh(&mut self, wanted: &str) -> String {
        let mut name = wanted.to_owned();
        let mut count = 0;
        while !self.taken.insert(name.clone()) {
            count += 1;
            name = format!("{wanted}.{count}");
        }
        name
    }

    pub(super) fn input(&mut self, name: &str, dims: &[Dim]) -> String {
        let name = self.fresh(name);
        self.graph.input.push(value_info(&name, dims));
        name
    }

    /// Makes `value` an output called `name`, by a node that does nothing unless it has that name.
    pub(super) fn output(&mut self, value: &str, name: &str, dims: &[Dim]) {
        if value != name {
            self.node("Identity", name, &[value], &[]);
        }
        self.graph.output.push(value_info(name, dims));
    }

    /// Gives the last node's output another name. Nothing may use the old one yet.
    pub(super) fn rename_last(&mut self, from: &str, to: &str) -> bool {
        let Some(node) = self.graph.node.last_mut() else {
            return false;
        };
        let [output] = &mut node.output[..] else {
            return false;
        };
        if output != from || self.graph.output.iter().any(|o| o.name() == from) {
            return false;
        }
        to.clone_into(output);
        self.taken.insert(to.to_owned());
        true
    }

    /// Adds a node with one output and returns its name.
    pub(super) fn node(
        &mut self,
        operator: &str,
        label: &str,
        inputs: &[&str],
        settings: &[(&str, Setting)],
    ) -> String {
        let name = self.fresh(label);
        self.graph.node.push(NodeProto {
            input: inputs.iter().map(|&i| i.to_owned()).collect(),
            output: vec![name.clone()],
            name: Some(name.clone()),
            op_type: Some(operator.to_owned()),
            attribute: settings
                .iter()
                .map(|(key, value)| attribute(key, value))
                .collect(),
            ..NodeProto::default()
        });
        name
    }

    /// Adds a node without settings, labelled by its operator.
    pub(super) fn plain(&mut self, operator: &str, inputs: &[&str]) -> String {
        self.node(operator, &operator.to_lowercase(), inputs, &[])
    }

    /// Adds a constant of `f32` under exactly this name.
    pub(super) fn floats(&mut self, name: &str, shape: &[usize], values: &[f32]) -> String {
        let raw: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.constant(name, shape, data_type::FLOAT, raw)
    }

    /// Adds a constant of `f32` under a name like `label`.
    pub(super) fn constant_floats(
        &mut self,
        label: &str,
        shape: &[usize],
        values: &[f32],
    ) -> String {
        let name = self.fresh(label);
        self.floats(&name, shape, values)
    }

    /// Adds a list of `i64` under a name like `label`.
    pub(super) fn constant_ints(&mut self, label: &str, values: &[i64]) -> String {
        let name = self.fresh(label);
        let raw: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.constant(&name, &[values.len()], data_type::INT64, raw)
    }

    fn constant(&mut self, name: &str, shape: &[usize], kind: i32, raw: Vec<u8>) -> String {
        self.taken.insert(name.to_owned());
        self.graph.initializer.push(TensorProto {
            dims: shape.iter().map(|&n| n as i64).collect(),
            data_type: Some(kind),
            name: Some(name.to_owned()),
            raw_data: Some(Bytes::from(raw)),
            ..TensorProto::default()
        });
        name.to_owned()
    }

    /// Marks names as taken.
    pub(super) fn take_names(&mut self, names: impl Iterator<Item = String>) {
        self.taken.extend(names);
    }

    /// Adds a whole graph whose input `input` is the value `features` here, and returns its value
    /// `logits`, which like all its outputs becomes an inner value.
    pub(super) fn graft(
        &mut self,
        inner: GraphProto,
        input: &str,
        features: &str,
        logits: &str,
    ) -> String {
        let mut nodes = inner.node;
        for name in nodes.iter_mut().flat_map(|node| &mut node.input) {
            if name == input {
                features.clone_into(name);
            }
        }
        self.graph.node.extend(nodes);
        self.graph.initializer.extend(inner.initializer);
        self.graph
            .sparse_initializer
            .extend(inner.sparse_initializer);
        self.graph.value_info.extend(inner.value_info);
        self.grafted_outputs = inner.output;
        logits.to_owned()
    }

    /// Makes an output of a grafted graph one of this graph, under another name if need be.
    pub(super) fn keep_output(&mut self, grafted: &str, name: &str) {
        let found = self
            .grafted_outputs
            .iter()
            .find(|output| output.name() == grafted);
        let Some(mut info) = found.cloned() else {
            return;
        };
        if grafted != name {
            self.node("Identity", name, &[grafted], &[]);
            info.name = Some(name.to_owned());
        }
        self.graph.output.push(info);
    }

    pub(super) fn finish(self) -> ModelProto {
        ModelProto {
            ir_version: Some(IR_VERSION),
            producer_name: Some("earmark".to_owned()),
            producer_version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            opset_import: vec![OperatorSetIdProto {
                domain: Some(String::new()),
                version: Some(OPSET),
            }],
            graph: Some(self.graph),
            ..ModelProto::default()
        }
    }
}

fn attribute(name: &str, setting: &Setting) -> AttributeProto {
    let mut attribute = AttributeProto {
        name: Some(name.to_owned()),
        ..AttributeProto::default()
    };
    attribute.r#type = Some(match setting {
        Setting::Int(value) => {
            attribute.i = Some(*value);
            attribute_type::INT
        }
        Setting::Ints(values) => {
            attribute.ints.clone_from(values);
            attribute_type::INTS
        }
        Setting::Float(value) => {
            attribute.f = Some(*value);
            attribute_type::FLOAT
        }
        Setting::Text(value) => {
            attribute.s = Some(value.as_bytes().to_vec());
            attribute_type::STRING
        }
    });
    attribute
}

fn value_info(name: &str, dims: &[Dim]) -> ValueInfoProto {
    let dim = dims.iter().map(|dim| Dimension {
        value: Some(match dim {
            Dim::Fixed(length) => dimension::Value::DimValue(*length as i64),
            Dim::Open(name) => dimension::Value::DimParam((*name).to_owned()),
        }),
        denotation: None,
    });
    let tensor = TypeProtoTensor {
        elem_type: Some(data_type::FLOAT),
        shape: Some(TensorShapeProto { dim: dim.collect() }),
    };
    ValueInfoProto {
        name: Some(name.to_owned()),
        r#type: Some(TypeProto {
            value: Some(type_proto::Value::TensorType(tensor)),
            denotation: None,
        }),
        ..ValueInfoProto::default()
    }
}
