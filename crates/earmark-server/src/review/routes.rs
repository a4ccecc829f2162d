//! `/review`: the workbench's page and what it asks for.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Review;
use super::entries::Entry;
use super::log::Action;
use crate::app::{App, Shared};
use crate::params;
use crate::problem::Problem;
use crate::routes::work;
use crate::work::{Control, Failure, Place, Slot};

/// Adds the workbench.
pub(crate) fn routes(router: Router<Shared>) -> Router<Shared> {
    router
        .route("/review/api/clips", get(clips))
        .route("/review/api/clips/{id}/audio", get(audio))
        .route("/review/api/clips/{id}/picture", get(picture))
        .route("/review/api/decisions", post(decide))
        .route("/review/api/undo", post(undo))
        .route("/review/api/write", post(write))
}

impl App {
    fn review(&self) -> Result<&Arc<Review>, Problem> {
        let review = self.review.as_ref();
        review.ok_or_else(|| Problem::not_found("this server reviews no data set"))
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClipsParams {
    #[serde(default)]
    sort: Sort,
    /// The clip that others are compared with, when sorted by similarity.
    like: Option<usize>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Sort {
    /// The most doubtful labels first.
    Doubt,
    /// The clips that models know least about first.
    Uncertainty,
    /// The clips that sound most like one first.
    Similarity,
    /// The order of the data set.
    #[default]
    Name,
}

async fn clips(State(app): State<Shared>, uri: Uri) -> Result<Json<Value>, Problem> {
    let params: ClipsParams = params::parse(&uri)?;
    let review = app.review()?;
    let state = review.lock();
    let mut order: Vec<usize> = (0..state.entries.len()).collect();
    let by = |keys: Vec<f64>, order: &mut Vec<usize>| {
        order.sort_by(|&a, &b| keys[b].total_cmp(&keys[a]));
    };
    let all = &state.entries;
    let lowest = f64::NEG_INFINITY;
    match params.sort {
        Sort::Name => {}
        Sort::Doubt => {
            let doubt = |entry: &Entry| entry.doubt.as_ref().map_or(lowest, |doubt| doubt.value);
            by(all.iter().map(doubt).collect(), &mut order);
        }
        Sort::Uncertainty => {
            let keys = all.iter().map(|entry| entry.uncertainty.unwrap_or(lowest));
            by(keys.collect(), &mut order);
        }
        Sort::Similarity => {
            let like = params.like.and_then(|id| all.get(id)?.embedding.as_deref());
            let Some(like) = like else {
                let detail = "like must be a clip with an embedding";
                return Err(Problem::parameter(detail));
            };
            let key = |e: &Entry| e.embedding.as_deref().map_or(lowest, |of| cosine(of, like));
            by(all.iter().map(key).collect(), &mut order);
        }
    }
    let clips: Vec<&Entry> = order.iter().map(|&id| &all[id]).collect();
    Ok(Json(json!({
        "title": review.title,
        "classes": review.classes,
        "has_scores": review.has_scores,
        "has_embeddings": review.has_embeddings,
        "clips": clips,
    })))
}

/// The cosine of the angle between two embeddings; that of a vector without length is 0.
fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter()
            .zip(b)
            .map(|(&a, &b)| f64::from(a) * f64::from(b))
            .sum()
    };
    let lengths = (dot(a, a) * dot(b, b)).sqrt();
    if lengths > 0.0 {
        dot(a, b) / lengths
    } else {
        0.0
    }
}

/// Does some work on a clip's sound.
async fn on_sound<T: Send + 'static>(
    app: &Shared,
    id: usize,
    work_on: impl FnOnce(&Place, &Slot, &Control) -> Result<T, Failure> + Send + 'static,
) -> Result<T, Problem> {
    let place = {
        let state = app.review()?.lock();
        let entry = state.entries.get(id).ok_or_else(|| no_clip(id))?;
        Place {
            path: entry.path.clone(),
            stretch_secs: entry.stretch_secs,
            limits: app.config.limits,
        }
    };
    let ticket = app.admit()?;
    let control = app.control(app.config.deadline);
    let inner = control.clone();
    work(app, ticket, &control, move |slot| {
        work_on(&place, &slot, &inner)
    })
    .await
}

async fn audio(State(app): State<Shared>, Path(id): Path<usize>) -> Result<Response, Problem> {
    let wav = on_sound(&app, id, Place::wav).await?;
    let wave = HeaderValue::from_static("audio/wav");
    Ok(([(header::CONTENT_TYPE, wave)], wav).into_response())
}

async fn picture(State(app): State<Shared>, Path(id): Path<usize>) -> Result<Json<Value>, Problem> {
    let pictures = on_sound(&app, id, Place::picture).await?;
    Ok(Json(json!({ "pictures": pictures })))
}

/// A decision as a page sends it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Decision {
    clip: usize,
    /// The version of the clip that the page has seen.
    version: u64,
    action: Action,
    labels: Option<Vec<String>>,
    stretch_secs: Option<(f64, f64)>,
}

async fn decide(
    State(app): State<Shared>,
    decision: Result<Json<Decision>, axum::extract::rejection::JsonRejection>,
) -> Result<Json<Value>, Problem> {
    let Json(decision) = decision.map_err(|error| Problem::parameter(error.body_text()))?;
    let review = app.review()?;
    check(review, &decision)?;
    let mut state = review.lock();
    let super::State { entries, decisions } = &mut *state;
    let entry = entries
        .get(decision.clip)
        .ok_or_else(|| no_clip(decision.clip))?;
    if entry.version != decision.version {
        let detail = format!("{} was decided about elsewhere in the meantime", entry.name);
        let status = StatusCode::CONFLICT;
        return Err(Problem::new(
            status,
            "taken",
            "Somebody else was faster",
            detail,
        ));
    }
    let key = entry.key();
    let changed = decisions.decide(
        decision.action,
        key,
        decision.labels,
        decision.stretch_secs,
        entries,
    )?;
    let changed = changed.ok_or_else(|| no_clip(decision.clip))?;
    Ok(Json(json!(entries[changed])))
}

/// Whether a decision says what it needs to, and no more.
fn check(review: &Review, decision: &Decision) -> Result<(), Problem> {
    let needs_labels = matches!(decision.action, Action::Fix | Action::Add);
    if decision.labels.is_some() != needs_labels {
        return Err(Problem::parameter(
            "labels are for `fix` and `add`, and needed there",
        ));
    }
    for label in decision.labels.iter().flatten() {
        review.check_class(label)?;
    }
    match (decision.action, decision.stretch_secs) {
        (Action::Undo, _) => Err(Problem::parameter("undo is an address of its own")),
        (Action::Add, Some((start, end))) if 0.0 <= start && start < end && end.is_finite() => {
            Ok(())
        }
        (Action::Add, _) => Err(Problem::parameter(
            "add needs stretch_secs, a start and a later end",
        )),
        (_, Some(_)) => Err(Problem::parameter("stretch_secs is for `add`")),
        (_, None) => Ok(()),
    }
}

async fn undo(State(app): State<Shared>) -> Result<Json<Value>, Problem> {
    let mut state = app.review()?.lock();
    let super::State { entries, decisions } = &mut *state;
    let nothing = || Problem::not_found("there is no decision to take back");
    let key = decisions.last(entries).ok_or_else(nothing)?.key();
    let changed = decisions.decide(Action::Undo, key, None, None, entries)?;
    let changed = changed.ok_or_else(nothing)?;
    Ok(Json(json!(entries[changed])))
}

async fn write(State(app): State<Shared>) -> Result<Json<Value>, Problem> {
    let review = Arc::clone(app.review()?);
    let written = tokio::task::spawn_blocking(move || review.write()).await;
    let (path, n_clips) = written.map_err(|error| Problem::internal(error.to_string()))??;
    Ok(Json(
        json!({ "path": path.display().to_string(), "n_clips": n_clips }),
    ))
}

fn no_clip(id: usize) -> Problem {
    Problem::not_found(format!("there is no clip {id}"))
}
