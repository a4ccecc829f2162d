//! Errors as the API tells them: RFC 9457 problem documents.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// What went wrong with a request.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Problem {
    /// One word per kind of problem, for programs.
    pub(crate) code: &'static str,
    title: &'static str,
    status: u16,
    pub(crate) detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    #[serde(skip)]
    retry_after: Option<Duration>,
}

impl Problem {
    pub(crate) fn new(
        status: StatusCode,
        code: &'static str,
        title: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            code,
            title,
            status: status.as_u16(),
            detail: detail.into(),
            hint: None,
            retry_after: None,
        }
    }

    /// A parameter that is not what it should be.
    pub(crate) fn parameter(detail: impl Into<String>) -> Self {
        let status = StatusCode::BAD_REQUEST;
        Self::new(status, "bad-parameter", "A parameter is wrong", detail)
    }

    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "Not found", detail)
    }

    /// More work than the server takes on.
    pub(crate) fn busy(detail: impl Into<String>, retry_after: Duration) -> Self {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        Self {
            retry_after: Some(retry_after),
            ..Self::new(status, "busy", "The server is busy", detail)
        }
    }

    pub(crate) fn too_large(max_bytes: u64) -> Self {
        let detail = format!("the upload is more than {max_bytes} bytes long, the limit");
        let status = StatusCode::PAYLOAD_TOO_LARGE;
        Self::new(status, "too-large", "The upload is too large", detail)
    }

    /// The upload paused for too long or broke off.
    pub(crate) fn upload(detail: impl Into<String>) -> Self {
        let status = StatusCode::REQUEST_TIMEOUT;
        Self::new(status, "upload", "The upload did not end", detail)
    }

    pub(crate) fn deadline(deadline: Duration) -> Self {
        let detail = format!("the work took longer than {} s", deadline.as_secs_f32());
        let status = StatusCode::GATEWAY_TIMEOUT;
        Self::new(status, "deadline", "The deadline has passed", detail)
    }

    /// A failure of the server's own.
    pub(crate) fn internal(detail: impl Into<String>) -> Self {
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        Self::new(status, "internal", "The server failed", detail)
    }

    /// Storing an upload failed.
    pub(crate) fn storage(error: &std::io::Error) -> Self {
        let full = matches!(
            error.kind(),
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded
        );
        if full {
            let status = StatusCode::INSUFFICIENT_STORAGE;
            return Self::new(status, "disk-full", "The disk is full", error.to_string());
        }
        Self::internal(format!("cannot store the upload: {error}"))
    }

    pub(crate) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl From<earmark::Error> for Problem {
    fn from(error: earmark::Error) -> Self {
        let code = error.code();
        let (status, title) = match code {
            "too-large" => (StatusCode::PAYLOAD_TOO_LARGE, "The upload is too large"),
            "limit" => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "The recording passes a limit",
            ),
            "not-audio" => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "The upload is not audio",
            ),
            "codec" => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "The recording's codec is not known",
            ),
            "damaged" => (StatusCode::UNPROCESSABLE_ENTITY, "The recording is damaged"),
            "bad-parameter" => (StatusCode::BAD_REQUEST, "A parameter is wrong"),
            _ => (StatusCode::INTERNAL_SERVER_ERROR, "The server failed"),
        };
        Self {
            hint: error.hint(),
            ..Self::new(status, code, title, error.to_string())
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (self.status(), body).into_response();
        let headers = response.headers_mut();
        let json = HeaderValue::from_static("application/problem+json");
        headers.insert(header::CONTENT_TYPE, json);
        if let Some(after) = self.retry_after {
            headers.insert(header::RETRY_AFTER, after.as_secs().max(1).into());
        }
        if self.status() == StatusCode::UNAUTHORIZED {
            let bearer = HeaderValue::from_static("Bearer");
            headers.insert(header::WWW_AUTHENTICATE, bearer);
        }
        response.extensions_mut().insert(self);
        response
    }
}
