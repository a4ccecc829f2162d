//! The page: files that are part of the program, and nothing from anywhere else.

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
}

macro_rules! assets {
    ($($path:literal = $file:literal, $content_type:expr;)*) => {
        [$(Asset {
            path: $path,
            content_type: $content_type,
            bytes: include_bytes!(concat!("../../web/", $file)),
        }),*]
    };
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// Adds a route for every file of the page.
pub(super) fn routes(mut router: Router<Shared>) -> Router<Shared> {
    let assets = assets! {
        "/" = "index.html", HTML;
        "/assets/style.css" = "style.css", CSS;
        "/assets/icon.svg" = "icon.svg", SVG;
        "/assets/api.js" = "api.js", JS;
        "/assets/app.js" = "app.js", JS;
        "/assets/detail.js" = "detail.js", JS;
        "/assets/exports.js" = "exports.js", JS;
        "/assets/format.js" = "format.js", JS;
        "/assets/hear.js" = "hear.js", JS;
        "/assets/lanes.js" = "lanes.js", JS;
        "/assets/live.js" = "live.js", JS;
        "/assets/microphone.js" = "microphone.js", JS;
        "/assets/picture.js" = "picture.js", JS;
        "/review" = "review.html", HTML;
        "/assets/review.css" = "review.css", CSS;
        "/assets/review.js" = "review.js", JS;
        "/assets/table.js" = "table.js", JS;
        "/assets/worklet.js" = "worklet.js", JS;
    };
    for asset in assets {
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

/// The file, or word that the browser's copy is still right.
fn answer(asset: Asset, tag: &str, headers: &HeaderMap) -> Response {
    let known = headers.get(header::IF_NONE_MATCH);
    let cache = [
        (header::ETAG, tag.to_owned()),
        (header::CACHE_CONTROL, "no-cache".to_owned()),
    ];
    if known.is_some_and(|known| known.as_bytes() == tag.as_bytes()) {
        return (StatusCode::NOT_MODIFIED, cache).into_response();
    }
    let content_type = HeaderValue::from_static(asset.content_type);
    (cache, [(header::CONTENT_TYPE, content_type)], asset.bytes).into_response()
}
