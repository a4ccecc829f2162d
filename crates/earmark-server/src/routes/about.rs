//! What the server says about itself: models, health, metrics, its own description.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde_json::{Value, json};

use crate::app::Shared;
use crate::params;
use crate::problem::Problem;

/// The `OpenAPI` document.
const OPENAPI: &str = include_str!("../../openapi.json");

pub(super) async fn models(State(app): State<Shared>) -> Json<Value> {
    let limits = &app.config.limits;
    Json(json!({
        "models": app.models.cards(),
        "limits": {
            "max_bytes": limits.max_bytes,
            "max_duration_secs": limits.max_duration_secs,
            "max_channels": limits.max_channels,
            "min_sample_rate": limits.min_sample_rate,
            "max_sample_rate": limits.max_sample_rate,
            "deadline_secs": app.config.deadline.as_secs_f64(),
        },
        "index": app.search.as_ref().map(|search| search.card()),
        "version": env!("CARGO_PKG_VERSION"),
    }))
}

/// The file of a model, for the private mode of the page.
pub(super) async fn bundle(
    State(app): State<Shared>,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    let model = params::model(&app, Some(&name))?;
    let content_type = HeaderValue::from_static("application/octet-stream");
    let bytes = Bytes::from_owner(Arc::clone(model.bundle().bytes()));
    Ok(([(header::CONTENT_TYPE, content_type)], bytes).into_response())
}

pub(super) async fn openapi() -> Response {
    let json = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, json)], OPENAPI).into_response()
}

/// The process runs.
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// The server takes requests.
pub(super) async fn readyz(State(app): State<Shared>) -> Result<&'static str, Problem> {
    match app.is_ready() {
        true => Ok("ready\n"),
        false => Err(app.stopping()),
    }
}

pub(super) async fn metrics(State(app): State<Shared>) -> Result<Response, Problem> {
    let text = app.metrics.text();
    let text = text.map_err(|error| Problem::internal(error.to_string()))?;
    let version = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    Ok((StatusCode::OK, [(header::CONTENT_TYPE, version)], text).into_response())
}
