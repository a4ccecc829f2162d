//! What a request asks for, from its query.

use std::sync::Arc;

use axum::extract::Query;
use axum::http::Uri;
use earmark::results::Content;
use earmark::tagger::{Channels, Selection};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::app::App;
use crate::models::{Cutting, Model};
use crate::problem::Problem;
use crate::upload::display_name;
use crate::work::Task;

/// Tags per row unless the client asks for another number, as on the command line.
const DEFAULT_TOP: usize = 5;

/// The shortest window and hop in seconds: shorter ones make more rows than sound.
const MIN_SECS: f32 = 0.1;
/// The longest window in seconds, since a worker holds two.
const MAX_SECS: f32 = 60.0;

/// The largest number of columns of a picture.
const MAX_COLUMNS: usize = 16_384;

/// The query of requests that hear something.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HearParams {
    model: Option<String>,
    top: Option<usize>,
    threshold: Option<f32>,
    #[serde(default)]
    pub(crate) timeline: bool,
    window: Option<f32>,
    hop: Option<f32>,
    #[serde(default)]
    channels: ChannelsParam,
    pub(crate) name: Option<String>,
    picture: Option<usize>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum ChannelsParam {
    #[default]
    Mix,
    Each,
}

/// The query of a request, every part of which must be known.
pub(crate) fn parse<T: DeserializeOwned>(uri: &Uri) -> Result<T, Problem> {
    Query::<T>::try_from_uri(uri)
        .map(|query| query.0)
        .map_err(|error| Problem::parameter(error.body_text()))
}

/// Whether a picture may have so many columns.
pub(crate) fn check_columns(n: usize) -> Result<(), Problem> {
    if (1..=MAX_COLUMNS).contains(&n) {
        return Ok(());
    }
    Err(Problem::parameter(format!(
        "the number of columns is {n}, must be from 1 to {MAX_COLUMNS}"
    )))
}

/// A window or a hop that makes sense.
pub(crate) fn check_secs(key: &str, secs: f32) -> Result<f32, Problem> {
    if (MIN_SECS..=MAX_SECS).contains(&secs) {
        return Ok(secs);
    }
    Err(Problem::parameter(format!(
        "{key} is {secs} s, must be from {MIN_SECS} to {MAX_SECS} s"
    )))
}

impl HearParams {
    /// What live sessions share with recordings.
    pub(crate) fn live(model: Option<String>, top: Option<usize>, threshold: Option<f32>) -> Self {
        Self {
            model,
            top,
            threshold,
            ..Self::default()
        }
    }

    /// The model that is asked for.
    pub(crate) fn model(&self, app: &App) -> Result<Arc<Model>, Problem> {
        app.models.get(self.model.as_deref()).ok_or_else(|| {
            let wanted = self.model.as_deref().unwrap_or_default().escape_debug();
            let known = app.models.names().join(", ");
            Problem::not_found(match known.is_empty() {
                true => "this server has no model".to_owned(),
                false => format!("no model is called `{wanted}`, known are {known}"),
            })
        })
    }

    /// Whether the answer is one row.
    pub(crate) fn is_one_row(&self) -> bool {
        !self.timeline && self.channels == ChannelsParam::Mix
    }

    pub(crate) fn selection(&self, model: &Model) -> Result<Selection, Problem> {
        let selection = Selection::all(&model.metadata().vocabulary);
        let selection = match self.threshold {
            Some(threshold) => selection.threshold(threshold)?,
            None => selection,
        };
        match self.top {
            Some(0) => Err(Problem::parameter("top is 0, must be at least 1")),
            top => Ok(selection.top(top.unwrap_or(DEFAULT_TOP))),
        }
    }

    /// The cutting that is asked for, with `window` and `hop` where nothing is.
    pub(crate) fn cutting(&self) -> Result<Cutting, Problem> {
        let check = |key, secs: Option<f32>| secs.map(|secs| check_secs(key, secs)).transpose();
        Ok(Cutting {
            window_secs: check("window", self.window)?,
            hop_secs: check("hop", self.hop)?,
            channels: match self.channels {
                ChannelsParam::Mix => Channels::Mix,
                ChannelsParam::Each => Channels::Each,
            },
        })
    }

    pub(crate) fn picture(&self) -> Result<Option<usize>, Problem> {
        self.picture.map_or(Ok(()), check_columns)?;
        Ok(self.picture)
    }

    /// The task, all but the recording's name.
    pub(crate) fn task(&self, app: &App, wanted: Wanted) -> Result<Task, Problem> {
        let model = self.model(app)?;
        let cutting = self.cutting()?;
        let content = match wanted {
            Wanted::Embeddings if !model.has_embedding() => {
                let detail = format!("the model `{}` gives no embedding", model.name());
                return Err(Problem::parameter(detail));
            }
            Wanted::Embeddings => Content::Embeddings,
            Wanted::Rows | Wanted::Progress => Content::Tags(self.selection(&model)?),
        };
        let progressive = wanted == Wanted::Progress;
        Ok(Task {
            tagger: model.tagger(cutting, app.config.limits)?,
            content,
            timeline: self.timeline || progressive,
            clip: !self.timeline || progressive,
            channels: cutting.channels,
            name: display_name(self.name.as_deref().unwrap_or_default()),
            picture: self.picture()?,
            model,
        })
    }
}

/// What an answer is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Tags of segments or of the recording.
    Rows,
    /// Both, as they come.
    Progress,
    /// The network's embeddings.
    Embeddings,
}
