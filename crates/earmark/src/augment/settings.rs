//! The small types that settings are made of: a range to draw from, and its checks.

use std::fmt::Display;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// A range that a value is drawn from, both ends included.
///
/// Written as `[low, high]`, or as one number for a value that is always the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Written<T>", into = "[T; 2]")]
#[serde(bound(
    serialize = "T: Copy + Serialize",
    deserialize = "T: Copy + Deserialize<'de>"
))]
pub struct Span<T> {
    /// The smallest value.
    pub low: T,
    /// The largest value.
    pub high: T,
}

impl<T> Span<T> {
    /// The range from `low` to `high`.
    pub const fn new(low: T, high: T) -> Self {
        Self { low, high }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Written<T> {
    One(T),
    Two([T; 2]),
}

impl<T: Copy> From<Written<T>> for Span<T> {
    fn from(written: Written<T>) -> Self {
        match written {
            Written::One(value) => Self::new(value, value),
            Written::Two([low, high]) => Self::new(low, high),
        }
    }
}

impl<T: Copy> From<Span<T>> for [T; 2] {
    fn from(span: Span<T>) -> Self {
        [span.low, span.high]
    }
}

impl<T: Copy + PartialOrd + Display> Span<T> {
    /// Checks that the range is ordered and lies within `[least, most]`.
    ///
    /// `at` is the dotted path of the step, `name` the setting's name in it.
    ///
    /// # Errors
    /// [`Error::Config`] otherwise; an end that is not a number is outside of every range.
    pub fn check(&self, at: &str, name: &str, least: T, most: T) -> Result<()> {
        let ordered = self.low <= self.high;
        if ordered && self.low >= least && self.high <= most {
            return Ok(());
        }
        Err(Error::Config {
            key: format!("{at}.{name}"),
            found: format!("[{}, {}]", self.low, self.high),
            expected: format!("must be a range [low, high] within {least} to {most}"),
        })
    }
}

/// Checks that one number lies within `[least, most]`; a NaN does not.
pub(super) fn check_number(
    at: &str,
    name: &str,
    value: f32,
    [least, most]: [f32; 2],
) -> Result<()> {
    if value >= least && value <= most {
        return Ok(());
    }
    Err(Error::Config {
        key: format!("{at}.{name}"),
        found: value.to_string(),
        expected: format!("must be {least} to {most}"),
    })
}

/// Checks that a list to choose from is not empty.
pub(super) fn check_choices<T>(at: &str, name: &str, choices: &[T]) -> Result<()> {
    if choices.is_empty() {
        return Err(Error::Config {
            key: format!("{at}.{name}"),
            found: "an empty list".to_owned(),
            expected: "must name at least one".to_owned(),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Holder {
        span: Span<f32>,
    }

    #[test]
    fn a_span_is_a_number_or_a_pair() {
        let one: Holder = toml::from_str("span = 3").unwrap();
        assert_eq!(one.span, Span::new(3.0, 3.0));
        let two: Holder = toml::from_str("span = [-1, 2.5]").unwrap();
        assert_eq!(two.span, Span::new(-1.0, 2.5));
    }

    #[test]
    fn reversed_outside_and_nan_are_refused_with_the_path() {
        for span in [
            Span::new(2.0, 1.0),
            Span::new(-1.0, 1.0),
            Span::new(0.0, 11.0),
            Span::new(f32::NAN, 1.0),
        ] {
            let error = span.check("waveform[0]", "db", 0.0, 10.0).unwrap_err();
            assert!(
                error.to_string().starts_with("waveform[0].db is ["),
                "{error}"
            );
        }
    }
}
