//! Checks of settings: each returns the one configuration error, with the value found.

use crate::{Error, Result};

/// Refuses a setting unless `holds`.
pub(crate) fn that(
    holds: bool,
    key: &str,
    found: impl FnOnce() -> String,
    expected: impl FnOnce() -> String,
) -> Result<()> {
    if holds {
        return Ok(());
    }
    Err(Error::Config {
        key: key.to_owned(),
        found: found(),
        expected: expected(),
    })
}

/// Refuses a whole number outside of `low..=high`.
pub(crate) fn range(key: &str, value: usize, low: usize, high: usize) -> Result<()> {
    that(
        (low..=high).contains(&value),
        key,
        || value.to_string(),
        || format!("must be {low} to {high}"),
    )
}

/// Refuses a number that is not finite and above 0.
pub(crate) fn positive(key: &str, value: f64) -> Result<()> {
    that(
        value.is_finite() && value > 0.0,
        key,
        || value.to_string(),
        || "must be above 0".to_owned(),
    )
}

/// Refuses a number that is not finite.
pub(crate) fn finite(key: &str, value: f64) -> Result<()> {
    that(
        value.is_finite(),
        key,
        || value.to_string(),
        || "must be finite".to_owned(),
    )
}
