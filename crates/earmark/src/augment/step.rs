//! How effects are put together: one after the other, one of several, each with its probability.
//!
//! A [`Step`] is written as a table with `kind`, `probability` and the effect's own settings. Two
//! kinds hold further steps: `chain` runs them all, `one-of` runs exactly one of them.

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};

use super::Context;
use super::settings::check_number;
use crate::{Error, Result};

/// Something that is done with a probability.
///
/// ```toml
/// kind = "one-of"
/// probability = 0.8
/// steps = [
///     { kind = "sigmoid-concat", probability = 0.6 },
///     { kind = "mixup", probability = 0.4, weight = { uniform = [0, 0.5] } },
/// ]
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Step<E> {
    /// How often the step is done, 0 to 1; default 1. Directly inside `one-of` it is the step's
    /// share among its neighbours instead, and need not be below 1.
    pub probability: f32,
    /// What is done.
    #[serde(flatten)]
    pub action: Action<E>,
}

/// What a [`Step`] does.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Action<E> {
    /// Several steps.
    Group(Group<E>),
    /// One effect.
    Effect(E),
}

/// Several steps that are tried together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
#[serde(bound(deserialize = "E: DeserializeOwned"))]
pub enum Group<E> {
    /// All steps in order, each with its own probability.
    Chain {
        /// The steps.
        steps: Vec<Step<E>>,
    },
    /// Exactly one of the steps, drawn in proportion to their `probability`.
    OneOf {
        /// The steps to choose from.
        steps: Vec<Step<E>>,
    },
}

impl<E> Step<E> {
    /// An effect that is always applied.
    pub fn always(effect: E) -> Self {
        Self {
            probability: 1.0,
            action: Action::Effect(effect),
        }
    }
}

impl<'de, E: DeserializeOwned> Deserialize<'de> for Step<E> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut table = toml::Table::deserialize(deserializer)?;
        let probability = match table.remove("probability") {
            None => 1.0,
            Some(value) => f32::deserialize(value).map_err(D::Error::custom)?,
        };
        let grouped = matches!(
            table.get("kind").and_then(toml::Value::as_str),
            Some("chain" | "one-of")
        );
        let action = if grouped {
            Group::deserialize(table).map(Action::Group)
        } else {
            E::deserialize(table).map(Action::Effect)
        };
        Ok(Self {
            probability,
            action: action.map_err(D::Error::custom)?,
        })
    }
}

/// Checks every step of a list, `at` being the list's dotted path.
pub(super) fn check_steps<E>(
    steps: &[Step<E>],
    at: &str,
    check: &mut dyn FnMut(&E, &str) -> Result<()>,
) -> Result<()> {
    for (index, step) in steps.iter().enumerate() {
        let at = format!("{at}[{index}]");
        check_number(&at, "probability", step.probability, [0.0, 1.0])?;
        check_action(&step.action, &at, check)?;
    }
    Ok(())
}

fn check_action<E>(
    action: &Action<E>,
    at: &str,
    check: &mut dyn FnMut(&E, &str) -> Result<()>,
) -> Result<()> {
    match action {
        Action::Effect(effect) => check(effect, at),
        Action::Group(Group::Chain { steps }) => check_steps(steps, &format!("{at}.steps"), check),
        Action::Group(Group::OneOf { steps }) => {
            let at = format!("{at}.steps");
            let total: f32 = steps.iter().map(|step| step.probability).sum();
            if !(total > 0.0 && total.is_finite()) {
                return Err(Error::Config {
                    key: at,
                    found: format!("{} steps of total probability {total}", steps.len()),
                    expected: "must hold at least one step that can be chosen".to_owned(),
                });
            }
            for (index, step) in steps.iter().enumerate() {
                let at = format!("{at}[{index}]");
                check_number(&at, "probability", step.probability, [0.0, f32::MAX])?;
                check_action(&step.action, &at, check)?;
            }
            Ok(())
        }
    }
}

/// Runs the steps in order, handing each effect that is due to `apply`.
pub(super) fn run_steps<E>(
    steps: &[Step<E>],
    context: &mut Context<'_>,
    apply: &mut dyn FnMut(&E, &mut Context<'_>) -> Result<()>,
) -> Result<()> {
    for step in steps {
        if context.rng.chance(step.probability) {
            run_action(&step.action, context, apply)?;
        }
    }
    Ok(())
}

fn run_action<E>(
    action: &Action<E>,
    context: &mut Context<'_>,
    apply: &mut dyn FnMut(&E, &mut Context<'_>) -> Result<()>,
) -> Result<()> {
    match action {
        Action::Effect(effect) => apply(effect, context),
        Action::Group(Group::Chain { steps }) => run_steps(steps, context, apply),
        Action::Group(Group::OneOf { steps }) => {
            let total: f32 = steps.iter().map(|step| step.probability).sum();
            let mut left = context.rng.unit() * total;
            let chosen = steps.iter().find(|step| {
                left -= step.probability;
                left < 0.0
            });
            // Rounding may leave the draw a hair above the sum; the last step takes it.
            match chosen.or(steps.last()) {
                Some(step) => run_action(&step.action, context, apply),
                None => Ok(()),
            }
        }
    }
}
