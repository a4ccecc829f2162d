//! What a request asks for, from its query.

use std::sync::Arc;

use axum::extract::Query;
use axum::http::Uri;
use earmark::audio::Channels;
use earmark::hear::{Cutting, Model, Task, Wish};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::app::App;
use crate::problem::Problem;
use crate::upload::display_name;

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

/// The model of a name, or the default.
pub(crate) fn model(app: &App, name: Option<&str>) -> Result<Arc<Model>, Problem> {
    app.models.get(name).ok_or_else(|| {
        let wanted = name.unwrap_or_default().escape_debug();
        let known = app.models.names().join(", ");
        Problem::not_found(match known.is_empty() {
            true => "this server has no model".to_owned(),
            false => format!("no model is called `{wanted}`, known are {known}"),
        })
    })
}

impl HearParams {
    /// Whether the answer is one row.
    pub(crate) fn is_one_row(&self) -> bool {
        !self.timeline && self.channels == ChannelsParam::Mix
    }

    /// What is asked of the recording.
    pub(crate) fn wish(&self, wanted: Wanted) -> Wish {
        let progressive = wanted == Wanted::Progress;
        Wish {
            name: display_name(self.name.as_deref().unwrap_or_default()),
            top: self.top,
            threshold: self.threshold,
            embeddings: wanted == Wanted::Embeddings,
            timeline: self.timeline || progressive,
            clip: !self.timeline || progressive,
            cutting: Cutting {
                window_secs: self.window,
                hop_secs: self.hop,
                channels: match self.channels {
                    ChannelsParam::Mix => Channels::Mix,
                    ChannelsParam::Each => Channels::Each,
                },
            },
            picture: self.picture,
        }
    }

    /// The task, all but the recording's name if the upload has another.
    pub(crate) fn task(&self, app: &App, wanted: Wanted) -> Result<Task, Problem> {
        let model = model(app, self.model.as_deref())?;
        Ok(Task::new(&model, self.wish(wanted), app.config.limits)?)
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
