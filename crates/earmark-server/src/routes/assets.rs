//! The page: files that are part of the program, and nothing from anywhere else.
//!
//! The WebAssembly module of the private mode is one of them where `cargo xtask web` had built it before
//! the program was; `page.json` tells the page.

use axum::Router;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use sha2::{Digest as _, Sha256};

use crate::app::Shared;

/// A file of the page.
#[derive(Clone, Copy)]
struct Asset {
    path: &'static str,
    content_type: &'static str,
    bytes: &'static [u8],
    /// The content security policy, where it is not everybody's.
    policy: Option<&'static str>,
}

/// The module of the private mode, if it is there.
const MODULE: Option<&[u8]> = include!(concat!(env!("OUT_DIR"), "/module.rs"));

/// What the page is told: that there is a server, and where the module is.
const PAGE: &str = match MODULE {
    Some(_) => concat!(
        r#"{"server":true,"module":"earmark.wasm","version":""#,
        env!("CARGO_PKG_VERSION"),
        "\"}"
    ),
    None => concat!(
        r#"{"server":true,"module":null,"version":""#,
        env!("CARGO_PKG_VERSION"),
        "\"}"
    ),
};

/// Sounds of the private mode are heard under this policy: WebAssembly and the worker's own copies may
/// run, and nothing can be asked of any server, this one included.
const WORKER_POLICY: &str = "default-src 'none'; script-src 'wasm-unsafe-eval'; worker-src blob:; \
                             base-uri 'none'";

macro_rules! assets {
    ($($path:literal = $file:literal, $content_type:expr;)*) => {
        [$(Asset {
            path: $path,
            content_type: $content_type,
            bytes: include_bytes!(concat!("../../web/", $file)),
            policy: None,
        }),*]
    };
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const JSON: &str = "application/json";
const SVG: &str = "image/svg+xml";
const WASM: &str = "application/wasm";

/// Adds a route for every file of the page.
pub(super) fn routes(mut router: Router<Shared>) -> Router<Shared> {
    let assets = assets! {
        "/" = "index.html", HTML;
        "/assets/style.css" = "style.css", CSS;
        "/assets/icon.svg" = "icon.svg", SVG;
        "/assets/alike.js" = "alike.js", JS;
        "/assets/api.js" = "api.js", JS;
        "/assets/app.js" = "app.js", JS;
        "/assets/decode.js" = "decode.js", JS;
        "/assets/detail.js" = "detail.js", JS;
        "/assets/exports.js" = "exports.js", JS;
        "/assets/format.js" = "format.js", JS;
        "/assets/hear.js" = "hear.js", JS;
        "/assets/lanes.js" = "lanes.js", JS;
        "/assets/listeners.js" = "listeners.js", JS;
        "/assets/live.js" = "live.js", JS;
        "/assets/microphone.js" = "microphone.js", JS;
        "/assets/picture.js" = "picture.js", JS;
        "/assets/private.js" = "private.js", JS;
        "/assets/remote.js" = "remote.js", JS;
        "/review" = "review.html", HTML;
        "/assets/review.css" = "review.css", CSS;
        "/assets/review.js" = "review.js", JS;
        "/assets/table.js" = "table.js", JS;
        "/assets/worklet.js" = "worklet.js", JS;
    };
    let more = [
        Some(Asset {
            path: "/assets/private-worker.js",
            content_type: JS,
            bytes: include_bytes!("../../web/private-worker.js"),
            policy: Some(WORKER_POLICY),
        }),
        Some(Asset {
            path: "/assets/page.json",
            content_type: JSON,
            bytes: PAGE.as_bytes(),
            policy: None,
        }),
        MODULE.map(|bytes| Asset {
            path: "/assets/earmark.wasm",
            content_type: WASM,
            bytes,
            policy: None,
        }),
    ];
    for asset in assets.into_iter().chain(more.into_iter().flatten()) {
        let digest = Sha256::digest(asset.bytes);
        let tag: String = digest[..8]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let tag = format!("\"{tag}\"");
        let answer = move |headers: HeaderMap| async move { answer(asset, &tag, &headers) };
        router = router.route(asset.path, get(answer));
    }
    router
}

/// The file, or word that the browser's copy is still right. Both carry the policy: the browser takes it
/// from the newest answer.
fn answer(asset: Asset, tag: &str, headers: &HeaderMap) -> Response {
    let known = headers.get(header::IF_NONE_MATCH);
    let cache = [
        (header::ETAG, tag.to_owned()),
        (header::CACHE_CONTROL, "no-cache".to_owned()),
    ];
    let mut response = match known.is_some_and(|known| known.as_bytes() == tag.as_bytes()) {
        true => (StatusCode::NOT_MODIFIED, cache).into_response(),
        false => {
            let content_type = HeaderValue::from_static(asset.content_type);
            (cache, [(header::CONTENT_TYPE, content_type)], asset.bytes).into_response()
        }
    };
    if let Some(policy) = asset.policy {
        let policy = HeaderValue::from_static(policy);
        response
            .headers_mut()
            .insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}
