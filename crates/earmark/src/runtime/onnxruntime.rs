//! ONNX Runtime through its shared library.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use ort::logging::LogLevel;
use ort::session::Session;
use ort::value::{DynValue, TensorRef};

use super::library::{self, Library};
use super::{Batch, Graph, Output, Runtime};
use crate::bundle::Axis;
use crate::{Error, Result};

/// A graph loaded by ONNX Runtime.
pub(super) struct OnnxRuntime {
    library: &'static Library,
    bytes: Arc<[u8]>,
    file: String,
    axes: Vec<Axis>,
    input: String,
    logits: String,
    embedding: Option<String>,
    /// Sessions that wait for work. One can only run one batch at a time; there are as many as callers
    /// have run at once.
    sessions: Mutex<Vec<Session>>,
}

impl OnnxRuntime {
    pub(super) fn load(graph: &Graph<'_>, library: Option<&Path>) -> Result<Self> {
        let library = library::load(library)?;
        let runtime = Self {
            library,
            bytes: graph.bytes.into(),
            file: graph.file.to_owned(),
            axes: graph.tensors.axes.clone(),
            input: graph.tensors.input.clone(),
            logits: graph.tensors.logits.clone(),
            embedding: graph.tensors.embedding.clone(),
            sessions: Mutex::default(),
        };
        let session = runtime.session()?;
        let inputs = session.inputs().iter().map(ort::value::Outlet::name);
        let outputs = session.outputs().iter().map(ort::value::Outlet::name);
        let names: Vec<&str> = inputs.chain(outputs).collect();
        let needed = [&runtime.input, &runtime.logits]
            .into_iter()
            .chain(&runtime.embedding);
        for name in needed {
            if !names.contains(&name.as_str()) {
                return Err(Error::Bundle {
                    name: runtime.file,
                    reason: format!(
                        "the graph has no tensor `{name}`, only {}",
                        names.join(", ")
                    ),
                });
            }
        }
        runtime.wait(session);
        Ok(runtime)
    }

    /// A new session: one thread, silent.
    fn session(&self) -> Result<Session> {
        let failed = |error: &dyn std::fmt::Display| refused(&self.file, error);
        let builder = Session::builder(&self.library.environment).map_err(|e| failed(&e))?;
        let builder = builder
            .with_log_level(LogLevel::Fatal)
            .map_err(|e| failed(&e))?;
        let builder = builder.with_intra_threads(1).map_err(|e| failed(&e))?;
        let mut builder = builder.with_inter_threads(1).map_err(|e| failed(&e))?;
        builder
            .commit_from_memory(&self.bytes)
            .map_err(|e| failed(&e))
    }

    fn wait(&self, session: Session) {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.push(session);
    }

    fn run_in(&self, session: &mut Session, batch: &Batch) -> Result<Output> {
        let (shape, data) = batch.arranged(&self.axes)?;
        let input = TensorRef::from_array_view((shape, &data[..]))
            .map_err(|error| refused(&self.file, &error))?;
        let outputs = session
            .run(ort::inputs![self.input.as_str() => input])
            .map_err(|error| refused(&self.file, &error))?;
        let read = |name: &str| match outputs.get(name) {
            Some(value) => self.floats(value),
            None => Ok(Vec::new()),
        };
        Ok(Output {
            logits: read(&self.logits)?,
            embedding: self
                .embedding
                .as_deref()
                .map_or_else(|| Ok(Vec::new()), read)?,
        })
    }

    fn floats(&self, value: &DynValue) -> Result<Vec<f32>> {
        let tensor = value.try_extract_tensor::<f32>();
        let (_, values) = tensor.map_err(|error| refused(&self.file, &error))?;
        Ok(values.to_vec())
    }
}

impl Runtime for OnnxRuntime {
    fn name(&self) -> &str {
        &self.library.name
    }

    fn run(&self, batch: &Batch) -> Result<Output> {
        let idle = self
            .sessions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        let mut session = match idle {
            Some(session) => session,
            None => self.session()?,
        };
        let output = self.run_in(&mut session, batch);
        self.wait(session);
        output
    }
}

fn refused(file: &str, error: &dyn std::fmt::Display) -> Error {
    Error::Runtime {
        runtime: "onnxruntime",
        reason: format!("{file}: {error}"),
    }
}
