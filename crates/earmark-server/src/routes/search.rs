//! `POST /v1/search`: a recording in, the sounds of the index that are most like it out; and
//! `GET /v1/search/sound`, to hear one of those.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Uri, header};
use axum::response::{IntoResponse as _, Response};
use earmark::audio::{Limits, Source};
use earmark::hear::{Cutting, Model};
use earmark::results::path_text;
use earmark::search::{Hit, Index, SearchOptions};
use earmark::tagger::Tagger;
use earmark::{Error, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use super::tag;
use crate::app::{App, Shared};
use crate::models::Models;
use crate::params;
use crate::problem::Problem;
use crate::upload;
use crate::work::{Control, Failure, Place, Slot};

/// Hits unless the client asks for another number, as on the command line.
const DEFAULT_TOP: usize = 10;
const MAX_TOP: usize = 1_000;

/// An index and what it takes to ask it.
pub(crate) struct Search {
    index: Index,
    tagger: Arc<Tagger>,
    model: String,
    /// The indexed recordings by their names below the folder, as text.
    recordings: HashMap<String, PathBuf>,
}

impl Search {
    /// # Errors
    /// [`Error::Index`] when none of the models is the one that the index was made with.
    pub(crate) fn new(index: Index, models: &Models, limits: Limits) -> Result<Self> {
        let model = models.for_index(&index)?;
        let info = index.info();
        // Sounds are cut as those in the index were.
        let cutting = Cutting {
            window_secs: Some(info.window_secs),
            hop_secs: Some(info.hop_secs),
            ..Cutting::default()
        };
        let named = |path: &std::path::Path| (path_text(path), index.root().join(path));
        Ok(Self {
            tagger: model.tagger(cutting, limits)?,
            model: model.name().to_owned(),
            recordings: index.recordings().map(named).collect(),
            index,
        })
    }

    /// The index as `/v1/models` describes it.
    pub(crate) fn card(&self) -> Value {
        let info = self.index.info();
        json!({
            "model": self.model,
            "n_recordings": info.n_recordings,
            "n_segments": info.n_rows,
        })
    }

    /// The recording's embedding, on this thread.
    fn embedding(
        &self,
        source: Source,
        slot: &Slot,
        control: &Control,
    ) -> Result<Vec<f32>, Failure> {
        let mut segments = self.tagger.segments(source)?;
        for segment in &mut segments {
            segment?;
            control.check()?;
            slot.give_way();
        }
        let clips = segments.finish()?;
        // Channels are mixed: there is one.
        Ok(clips.into_iter().flat_map(|clip| clip.embedding).collect())
    }

    fn hit(&self, hit: &Hit) -> Value {
        let below = hit.path.strip_prefix(self.index.root());
        json!({
            "path": path_text(below.unwrap_or(&hit.path)),
            "start_secs": hit.start_secs,
            "end_secs": hit.end_secs,
            "score": hit.score,
        })
    }
}

impl Models {
    /// The model that an index was made with.
    fn for_index(&self, index: &Index) -> Result<Arc<Model>> {
        if let Some(model) = self.by_sha256(&index.info().model_sha256) {
            return Ok(model);
        }
        let first = self.get(None).ok_or_else(|| Error::Config {
            key: "index".to_owned(),
            found: "given without a model".to_owned(),
            expected: "must come with the model that it was made with".to_owned(),
        })?;
        index.check_model(first.name(), first.sha256())?;
        Ok(first)
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SearchParams {
    top: Option<usize>,
    #[serde(default)]
    every_stretch: bool,
    name: Option<String>,
}

pub(super) async fn search(
    State(app): State<Shared>,
    request: Request,
) -> Result<Json<Value>, Problem> {
    let params: SearchParams = params::parse(request.uri())?;
    let options = SearchOptions {
        top: params.top.unwrap_or(DEFAULT_TOP),
        once_per_recording: !params.every_stretch,
    };
    if !(1..=MAX_TOP).contains(&options.top) {
        let detail = format!("top is {}, must be from 1 to {MAX_TOP}", options.top);
        return Err(Problem::parameter(detail));
    }
    let index = Arc::clone(index(&app)?);
    app.check_room()?;
    let upload = upload::spool(&app, request).await?;
    let (name, source) = upload.named(params.name);
    let ticket = app.admit()?;
    let control = app.control(app.config.deadline);
    let stop = control.clone();
    let hits = tag::work(&app, ticket, &control, move |slot: Arc<_>| {
        let embedding = index.embedding(source, &slot, &stop)?;
        let hits = index.index.search(&embedding, &options)?;
        Ok(hits.iter().map(|hit| index.hit(hit)).collect::<Vec<_>>())
    })
    .await?;
    Ok(Json(json!({ "path": name, "hits": hits })))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SoundParams {
    path: String,
    start_secs: f64,
    end_secs: f64,
}

pub(super) async fn sound(State(app): State<Shared>, uri: Uri) -> Result<Response, Problem> {
    let params: SoundParams = params::parse(&uri)?;
    let (start, end) = (params.start_secs, params.end_secs);
    if !(0.0 <= start && start < end && end.is_finite()) {
        let detail = format!("expected a start and a later end, found {start} and {end} s");
        return Err(Problem::parameter(detail));
    }
    let path = index(&app)?.recordings.get(&params.path);
    let path = path.ok_or_else(|| {
        let name = params.path.escape_debug();
        Problem::not_found(format!("the index has no recording `{name}`"))
    })?;
    let place = Place {
        path: path.clone(),
        stretch_secs: Some((start, end)),
        limits: app.config.limits,
    };
    let ticket = app.admit()?;
    let control = app.control(app.config.deadline);
    let stop = control.clone();
    let wav = tag::work(&app, ticket, &control, move |slot: Arc<_>| {
        place.wav(&slot, &stop)
    })
    .await?;
    let content_type = HeaderValue::from_static("audio/wav");
    Ok(([(header::CONTENT_TYPE, content_type)], wav).into_response())
}

fn index(app: &App) -> Result<&Arc<Search>, Problem> {
    let nothing = || Problem::not_found("this server has no index, see `earmark serve --index`");
    app.search.as_ref().ok_or_else(nothing)
}
