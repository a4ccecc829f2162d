//! When a recording began, from its file's name.

use std::path::Path;

use anyhow::Context as _;
use earmark::results::Moment;
use jiff::fmt::strtime::BrokenDownTime;
use jiff::tz::Offset;

/// Finds the time in a file's name, such as `%Y%m%d_%H%M%S` in `SITE3_20240131_053000.wav`.
#[derive(Debug, Clone)]
pub(crate) struct TimePattern(String);

impl TimePattern {
    /// Checks a pattern in the syntax of `strptime`.
    ///
    /// # Errors
    /// When the pattern has an unknown directive or does not give a date.
    pub(crate) fn new(pattern: &str) -> anyhow::Result<Self> {
        let example = jiff::civil::date(2024, 1, 31).at(5, 30, 1, 0);
        let written = BrokenDownTime::from(example)
            .to_string(pattern)
            .or_else(|_| {
                Offset::UTC.to_timestamp(example).map_or_else(Err, |at| {
                    BrokenDownTime::from(&at.to_zoned(jiff::tz::TimeZone::UTC)).to_string(pattern)
                })
            })
            .with_context(|| format!("time pattern `{pattern}`"))?;
        let pattern = Self(pattern.to_owned());
        pattern.find_in(&written).with_context(|| {
            format!(
                "time pattern `{}` does not give a date, expected for example `%Y%m%d_%H%M%S`",
                pattern.0
            )
        })?;
        Ok(pattern)
    }

    /// The first time in a file's name that the pattern finds.
    pub(crate) fn find(&self, path: &Path) -> Option<Moment> {
        self.find_in(&path.file_name()?.to_string_lossy())
    }

    fn find_in(&self, name: &str) -> Option<Moment> {
        name.char_indices().find_map(|(at, _)| {
            let (time, _) = BrokenDownTime::parse_prefix(&self.0, &name[at..]).ok()?;
            let date = time.to_date().ok()?;
            let civil = match time.hour() {
                Some(_) => time.to_datetime().ok()?,
                None => date.to_datetime(jiff::civil::Time::midnight()),
            };
            Some(Moment::new(civil, time.offset()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(pattern: &str, name: &str) -> Option<String> {
        TimePattern::new(pattern)
            .unwrap()
            .find(Path::new(name))
            .and_then(|moment| moment.iso_after(0.0))
    }

    #[test]
    fn the_time_is_found_anywhere_in_the_name() {
        let found = start("%Y%m%d_%H%M%S", "rec/SITE3_20240131_053000.wav");
        assert_eq!(found.as_deref(), Some("2024-01-31T05:30:00.000"));
        let zoned = start("%Y-%m-%dT%H-%M-%S%z", "2024-01-31T05-30-00+0200_a.flac");
        assert_eq!(zoned.as_deref(), Some("2024-01-31T05:30:00.000+02:00"));
        assert_eq!(
            start("%Y%m%d", "x20240131.wav").as_deref(),
            Some("2024-01-31T00:00:00.000")
        );
        assert_eq!(start("%Y%m%d_%H%M%S", "no-date.wav"), None);
        // The 45th of a month is no date.
        assert_eq!(start("%Y%m%d_%H%M%S", "20240145_053000.wav"), None);
    }

    #[test]
    fn a_pattern_without_a_date_is_refused() {
        assert!(
            TimePattern::new("%H%M%S")
                .unwrap_err()
                .to_string()
                .contains("does not give a date")
        );
        assert!(TimePattern::new("%Q!").is_err());
    }
}
