//! `POST /v1/picture`: a recording in, its spectrogram and waveform out, without tags.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use earmark::hear::{DEFAULT_COLUMNS, check_columns, picture};
use serde::Deserialize;
use serde_json::{Value, json};

use super::tag;
use crate::app::Shared;
use crate::params;
use crate::problem::Problem;
use crate::upload;
use crate::work::Failure;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PictureParams {
    columns: Option<usize>,
    name: Option<String>,
}

pub(super) async fn draw(
    State(app): State<Shared>,
    request: Request,
) -> Result<Json<Value>, Problem> {
    let params: PictureParams = params::parse(request.uri())?;
    let columns = params.columns.unwrap_or(DEFAULT_COLUMNS);
    check_columns(columns)?;
    app.check_room()?;
    let upload = upload::spool(&app, request).await?;
    let (name, source) = upload.named(params.name);
    let ticket = app.admit()?;
    let control = app.control(app.config.deadline);
    let limits = app.config.limits;
    let stop = control.clone();
    let (duration_secs, pictures) = tag::work(&app, ticket, &control, move |slot: Arc<_>| {
        let stop = || {
            slot.give_way();
            stop.check().map_err(Failure::from)
        };
        picture(source, limits, columns, stop)
    })
    .await?;
    Ok(Json(json!({
        "path": name,
        "duration_secs": duration_secs,
        "pictures": pictures,
    })))
}
