//! The API: one file per thing that can be asked for.

mod about;
mod assets;
mod events;
mod jobs;
mod live;
mod picture;
mod search;
mod tag;

pub(crate) use events::Told;
pub(crate) use search::Search;
pub(crate) use tag::work;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware;
use axum::routing::{delete, get, post, put};

use crate::app::Shared;
use crate::guard;
use crate::problem::Problem;
use crate::review;

/// All routes, guarded.
pub(crate) fn router(app: Shared) -> Router {
    review::routes(assets::routes(Router::new()))
        .route("/v1/tag", post(tag::tag))
        .route("/v1/embed", post(tag::embed))
        .route("/v1/picture", post(picture::draw))
        .route("/v1/models", get(about::models))
        .route("/v1/models/{name}/bundle", get(about::bundle))
        .route("/v1/search", post(search::search))
        .route("/v1/search/sound", get(search::sound))
        .route("/v1/jobs", post(jobs::create))
        .route("/v1/jobs/{id}", delete(jobs::cancel))
        .route("/v1/jobs/{id}/audio", put(jobs::upload))
        .route("/v1/jobs/{id}/events", get(jobs::events))
        .route("/v1/live", get(live::live))
        .route("/openapi.json", get(about::openapi))
        .route("/healthz", get(about::healthz))
        .route("/readyz", get(about::readyz))
        .route("/metrics", get(about::metrics))
        .fallback(|| async { Problem::not_found("there is nothing at this address") })
        .method_not_allowed_fallback(|| async {
            let status = StatusCode::METHOD_NOT_ALLOWED;
            let detail = "this address does not take this method";
            Problem::new(status, "method", "Method not allowed", detail)
        })
        // Uploads are counted where they are stored.
        .layer(DefaultBodyLimit::disable())
        .layer(middleware::from_fn_with_state(app.clone(), guard::guard))
        .with_state(app)
}
