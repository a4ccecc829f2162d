//! What every request passes: the host that it asks, the page that it comes from, the API key; and
//! what every answer carries.

use std::net::IpAddr;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq as _;

use crate::app::{App, Shared};
use crate::problem::Problem;

/// Answers carry these, unless they have their own. The page may use only what this server gives, and its
/// own sounds and pictures as blobs.
const HEADERS: [(HeaderName, &str); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'self'; img-src 'self' blob: data:; \
         media-src 'self' blob:; object-src 'none'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        HeaderName::from_static("permissions-policy"),
        "microphone=(self), camera=(), geolocation=()",
    ),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
];

/// Checks a request, passes it on, and completes the answer.
pub(crate) async fn guard(State(app): State<Shared>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let matched = request.extensions().get::<MatchedPath>();
    let route = matched.map_or("other", MatchedPath::as_str).to_owned();
    let origin = foreign_origin(request.headers());
    let allowed = origin.clone().filter(|origin| {
        let origins = &app.config.cors_origins;
        origins.iter().any(|known| origin == known)
    });
    let mut response = match check(&app, &request, origin.is_some() && allowed.is_none()) {
        Err(problem) => problem.into_response(),
        Ok(()) if allowed.is_some() && request.method() == Method::OPTIONS => {
            StatusCode::NO_CONTENT.into_response()
        }
        Ok(()) => match check_key(&app, &request) {
            Err(problem) => problem.into_response(),
            Ok(()) => next.run(request).await,
        },
    };
    if let Some(problem) = response.extensions().get::<Problem>() {
        app.metrics.rejected(problem.code);
    }
    let secs = started.elapsed().as_secs_f64();
    app.metrics
        .answered(&route, response.status().as_u16(), secs);
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    if let Some(origin) = allowed {
        allow(headers, &origin);
    }
    response
}

fn check(app: &App, request: &Request, is_foreign: bool) -> Result<(), Problem> {
    check_host(app, request)?;
    if is_foreign {
        let status = StatusCode::FORBIDDEN;
        let detail = "the request comes from a page of another origin, which is not allowed";
        return Err(Problem::new(status, "origin", "Another origin", detail));
    }
    Ok(())
}

/// A page of another origin that makes this request, if one does.
fn foreign_origin(headers: &HeaderMap) -> Option<String> {
    let origin = headers.get(header::ORIGIN)?.to_str().unwrap_or("null");
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let same = ["http://", "https://"].iter().any(|scheme| {
        origin
            .strip_prefix(scheme)
            .is_some_and(|of| Some(of) == host)
    });
    (!same).then(|| origin.to_owned())
}

/// Refuses names that this server is not known by, where it serves this machine only.
fn check_host(app: &App, request: &Request) -> Result<(), Problem> {
    let hosts = &app.config.hosts;
    if !app.config.address.ip().is_loopback() && hosts.is_empty() {
        return Ok(());
    }
    let stated = request.headers().get(header::HOST);
    let stated = stated
        .and_then(|host| host.to_str().ok())
        .unwrap_or_default();
    let name = host_name(stated);
    let is_address = name.parse::<IpAddr>().is_ok();
    if is_address || name.eq_ignore_ascii_case("localhost") || hosts.iter().any(|h| h == name) {
        return Ok(());
    }
    let detail = format!(
        "the server is not called `{}`, allow the name with --allow-host",
        name.escape_debug()
    );
    let status = StatusCode::MISDIRECTED_REQUEST;
    Err(Problem::new(status, "host", "Another host", detail))
}

/// The host without its port and without the brackets of an IPv6 address.
fn host_name(host: &str) -> &str {
    if let Some((address, _)) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return address;
    }
    host.rsplit_once(':').map_or(host, |(name, _)| name)
}

/// Whether a path is the API's, which the key protects; the page and the probes are free.
fn needs_key(path: &str) -> bool {
    path.starts_with("/v1/") || path.starts_with("/review/api/") || path == "/metrics"
}

fn check_key(app: &App, request: &Request) -> Result<(), Problem> {
    let Some(key) = &app.config.api_key else {
        return Ok(());
    };
    if !needs_key(request.uri().path()) {
        return Ok(());
    }
    let given = given_key(request.headers()).unwrap_or_default();
    if bool::from(given.as_bytes().ct_eq(key.as_bytes())) {
        return Ok(());
    }
    let status = StatusCode::UNAUTHORIZED;
    let detail = "expected the API key, as `Authorization: Bearer KEY`";
    Err(Problem::new(status, "key", "The API key is needed", detail))
}

/// The key that a request brings: as a bearer token, as `X-API-Key`, or, where a browser can set no
/// header, as the WebSocket protocol `earmark-key.BASE64URL`.
fn given_key(headers: &HeaderMap) -> Option<String> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let bearer = text(header::AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer "));
    let plain = || text(HeaderName::from_static("x-api-key"));
    if let Some(key) = bearer.or_else(plain) {
        return Some(key.trim().to_owned());
    }
    let protocols = text(header::SEC_WEBSOCKET_PROTOCOL)?;
    let encoded = protocols
        .split(',')
        .find_map(|protocol| protocol.trim().strip_prefix("earmark-key."))?;
    String::from_utf8(URL_SAFE_NO_PAD.decode(encoded).ok()?).ok()
}

/// Lets the page of an allowed origin read the answer.
fn allow(headers: &mut HeaderMap, origin: &str) {
    if let Ok(origin) = HeaderValue::from_str(origin) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    }
    for (name, value) in [
        (
            header::ACCESS_CONTROL_ALLOW_METHODS,
            "GET, POST, PUT, DELETE",
        ),
        (
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            "authorization, content-type, x-api-key",
        ),
        (header::VARY, "origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_come_with_and_without_ports() {
        assert_eq!(host_name("localhost:8080"), "localhost");
        assert_eq!(host_name("[::1]:8080"), "::1");
        assert_eq!(host_name("127.0.0.1"), "127.0.0.1");
    }

    #[test]
    fn a_page_of_this_server_is_not_foreign() {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static("127.0.0.1:8080"));
        assert_eq!(foreign_origin(&headers), None);
        let own = HeaderValue::from_static("http://127.0.0.1:8080");
        headers.insert(header::ORIGIN, own);
        assert_eq!(foreign_origin(&headers), None);
        let other = HeaderValue::from_static("http://127.0.0.1:9");
        headers.insert(header::ORIGIN, other);
        assert!(foreign_origin(&headers).is_some());
        headers.insert(header::ORIGIN, HeaderValue::from_static("null"));
        assert_eq!(foreign_origin(&headers).as_deref(), Some("null"));
    }
}
