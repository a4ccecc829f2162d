//! [`Session`]: what one worker of the page does, whatever calls it.

use earmark::audio::{Limits, Source};
use earmark::bundle::Bundle;
use earmark::hear::{
    Cutting, DEFAULT_COLUMNS, Event, Model, Task, Wish, check_columns, hear, picture,
};
use earmark::runtime::RuntimeChoice;
use earmark::{Error, Result};
use serde::Deserialize;
use serde_json::json;

/// The longest recording in seconds: a browser's tab shares its memory with everything else in it.
pub const MAX_SECS: f64 = 600.0;

/// Bounds on recordings; those that are not about length are the server's.
const LIMITS: Limits = Limits {
    max_bytes: 1 << 30,
    max_duration_secs: MAX_SECS,
    max_channels: 16,
    min_sample_rate: 1_000,
    max_sample_rate: 768_000,
};

/// What the page asks of a recording, as the query of `/v1/jobs` does.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// What the recording is called.
    pub name: String,
    /// The largest number of tags per row. Default: 5.
    pub top: Option<usize>,
    /// The lowest score of a tag, in [0, 1].
    pub threshold: Option<f32>,
    /// The length of segments in seconds, when it is not to be the bundle's.
    pub window: Option<f32>,
    /// The distance between segments in seconds, when it is not to be the bundle's.
    pub hop: Option<f32>,
    /// The number of columns of a picture, if one is wanted.
    pub picture: Option<usize>,
}

/// Hears with one bundle, and tells events by name and as JSON: those of the server, after the last
/// of which comes `done` or `problem`.
#[derive(Debug, Default)]
pub struct Session {
    model: Option<Model>,
}

impl Session {
    /// Loads a bundle in place of the one before and tells its card as `model`; `name` is what errors
    /// call it.
    pub fn load(&mut self, name: &str, bundle: &[u8], tell: &mut dyn FnMut(&str, &str)) {
        let loaded = Bundle::from_bytes(name, bundle)
            .and_then(|bundle| Model::load(&bundle, RuntimeChoice::Rust));
        match loaded {
            Ok(model) => {
                tell("model", &model.card().to_string());
                self.model = Some(model);
            }
            Err(error) => tell_problem(&error, tell),
        }
    }

    /// Hears the recording that `open` gives under its name; `settings` are [`Settings`] as JSON.
    pub fn hear(
        &self,
        settings: &[u8],
        open: impl FnOnce(String) -> Source,
        tell: &mut dyn FnMut(&str, &str),
    ) {
        let heard = self.task(settings).and_then(|task| {
            let mut sink = |event: Event| {
                let (name, json) = event.into_name_and_json();
                tell(name, &json);
                Ok::<(), Error>(())
            };
            hear(&task, open(task.name.clone()), &mut sink, &mut || Ok(()))
        });
        tell_end(heard.map(|heard| Some(heard.duration_secs)), tell);
    }

    fn task(&self, settings: &[u8]) -> Result<Task> {
        let model = self.model.as_ref().ok_or_else(|| Error::Config {
            key: "the model".to_owned(),
            found: "not loaded".to_owned(),
            expected: "must be, before a recording is heard".to_owned(),
        })?;
        Task::new(model, wish(read(settings)?), LIMITS)
    }

    /// Draws a recording without hearing it: `picture` events, as while it is heard.
    pub fn picture(
        &self,
        settings: &[u8],
        open: impl FnOnce(String) -> Source,
        tell: &mut dyn FnMut(&str, &str),
    ) {
        let drawn = read(settings).and_then(|settings| {
            let columns = settings.picture.unwrap_or(DEFAULT_COLUMNS);
            check_columns(columns)?;
            picture::<Error>(open(settings.name), LIMITS, columns, || Ok(()))
        });
        let end = drawn.map(|(duration_secs, pictures)| {
            for picture in pictures {
                tell("picture", &json!(picture).to_string());
            }
            duration_secs
        });
        tell_end(end, tell);
    }
}

fn read(settings: &[u8]) -> Result<Settings> {
    serde_json::from_slice(settings).map_err(|error| Error::Line {
        name: "settings".to_owned(),
        line: error.line(),
        reason: error.to_string(),
    })
}

fn wish(settings: Settings) -> Wish {
    Wish {
        name: settings.name,
        top: settings.top,
        threshold: settings.threshold,
        timeline: true,
        clip: true,
        cutting: Cutting {
            window_secs: settings.window,
            hop_secs: settings.hop,
            ..Cutting::default()
        },
        picture: settings.picture,
        ..Wish::default()
    }
}

fn tell_end(end: Result<Option<f64>>, tell: &mut dyn FnMut(&str, &str)) {
    match end {
        Ok(duration_secs) => tell(
            "done",
            &json!({ "duration_secs": duration_secs }).to_string(),
        ),
        Err(error) => tell_problem(&error, tell),
    }
}

/// Tells an error as the server's problem documents do.
fn tell_problem(error: &Error, tell: &mut dyn FnMut(&str, &str)) {
    let hint = match error {
        Error::Limit { what, .. } if *what == "duration" => Some(format!(
            "private mode takes recordings of up to {} minutes; a server takes longer ones",
            MAX_SECS / 60.0
        )),
        other => other.hint(),
    };
    let problem = json!({ "code": error.code(), "detail": error.to_string(), "hint": hint });
    tell("problem", &problem.to_string());
}
