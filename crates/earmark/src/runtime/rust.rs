//! The runtime in Rust: `rten`.

use std::sync::{Arc, Mutex, PoisonError};

use rten::{Model, ModelOptions, NodeId, RunOptions, ThreadPool, Value, ValueView};

use super::{Batch, Graph, Output, Runtime};
use crate::bundle::Axis;
use crate::{Error, Result};

/// The name that outputs report. `Cargo.toml` pins the version.
const NAME: &str = "rten 0.27";

/// A graph loaded by `rten`. Its convolutions have their normalisations folded in, and matrices are
/// stored in the order in which they are read.
pub(super) struct RustRuntime {
    model: Model,
    file: String,
    axes: Vec<Axis>,
    input: NodeId,
    logits: NodeId,
    embedding: Option<NodeId>,
    /// Pools of one thread each that wait for work. `rten` runs in a pool; with one for each caller,
    /// callers do not wait for each other.
    pools: Mutex<Vec<Arc<ThreadPool>>>,
}

impl RustRuntime {
    pub(super) fn load(graph: &Graph<'_>) -> Result<Self> {
        let mut options = ModelOptions::with_all_ops();
        options.prepack_weights(true);
        let model = options
            .load(graph.bytes.to_vec())
            .map_err(|error| refused(graph.file, &error))?;
        let node = |name: &str| {
            model.find_node(name).ok_or_else(|| Error::Bundle {
                name: graph.file.to_owned(),
                reason: format!("the graph has no tensor `{name}`"),
            })
        };
        let tensors = graph.tensors;
        Ok(Self {
            input: node(&tensors.input)?,
            logits: node(&tensors.logits)?,
            embedding: tensors.embedding.as_deref().map(node).transpose()?,
            axes: tensors.axes.clone(),
            file: graph.file.to_owned(),
            pools: Mutex::default(),
            model,
        })
    }

    fn run_in(&self, pool: &Arc<ThreadPool>, batch: &Batch) -> Result<Output> {
        let (shape, data) = batch.arranged(&self.axes)?;
        let input = ValueView::from_shape(&shape, &data[..])
            .map_err(|error| refused(&self.file, &error))?;
        let options = RunOptions::default().with_thread_pool(Some(pool.clone()));
        let wanted: Vec<NodeId> = [self.logits].into_iter().chain(self.embedding).collect();
        let values = self
            .model
            .run(vec![(self.input, input.into())], &wanted, Some(options))
            .map_err(|error| refused(&self.file, &error))?;
        let mut values = values.into_iter().map(|value| self.floats(value));
        Ok(Output {
            logits: values.next().transpose()?.unwrap_or_default(),
            embedding: values.next().transpose()?.unwrap_or_default(),
        })
    }

    fn floats(&self, value: Value) -> Result<Vec<f32>> {
        match value {
            Value::FloatTensor(tensor) => Ok(tensor.into_data()),
            other => Err(Error::Shape {
                what: format!("{}: output", self.file),
                found: format!("{:?}", other.dtype()),
                expected: "32-bit floats".to_owned(),
            }),
        }
    }
}

impl Runtime for RustRuntime {
    fn name(&self) -> &str {
        NAME
    }

    fn run(&self, batch: &Batch) -> Result<Output> {
        let waiting = || self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = waiting().pop();
        let pool = idle.unwrap_or_else(|| Arc::new(ThreadPool::with_num_threads(1)));
        let output = self.run_in(&pool, batch);
        waiting().push(pool);
        output
    }
}

fn refused(file: &str, error: &dyn std::fmt::Display) -> Error {
    Error::Runtime {
        runtime: "rten",
        reason: format!("{file}: {error}"),
    }
}
