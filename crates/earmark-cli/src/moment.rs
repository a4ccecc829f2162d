//! Absolute time: when a recording began, from its header or its name, and how times are written.

use std::path::Path;

use anyhow::Context as _;
use earmark::audio::RecordingMeta;
use jiff::SignedDuration;
use jiff::civil::DateTime;
use jiff::fmt::strtime::BrokenDownTime;
use jiff::tz::Offset;
use serde::{Deserialize, Serialize};

/// A point in time as the recorder wrote it: without an offset from UTC when none is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Moment {
    #[serde(with = "as_text")]
    civil: DateTime,
    /// Seconds east of UTC.
    offset_secs: Option<i32>,
}

/// A date and time in parts of a run, as text in ISO 8601.
mod as_text {
    use jiff::civil::DateTime;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(civil: &DateTime, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(civil)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<DateTime, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

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
            Some(Moment {
                civil,
                offset_secs: time.offset().map(Offset::seconds),
            })
        })
    }
}

impl Moment {
    /// The start that a recording's header states.
    pub(crate) fn from_header(metadata: &RecordingMeta) -> Option<Self> {
        metadata.start.map(|start| Self {
            civil: start.civil,
            offset_secs: start.offset.map(Offset::seconds),
        })
    }

    /// The moment `secs` later, in ISO 8601 with milliseconds.
    pub(crate) fn iso_after(&self, secs: f64) -> Option<String> {
        let milliseconds = SignedDuration::from_millis((secs * 1000.0).round() as i64);
        let civil = self.civil.checked_add(milliseconds).ok()?;
        let mut text = civil.strftime("%Y-%m-%dT%H:%M:%S%.3f").to_string();
        if let Some(offset) = self.offset_secs {
            let minutes = offset.unsigned_abs() / 60;
            let sign = if offset < 0 { '-' } else { '+' };
            text.push_str(&format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60));
        }
        Some(text)
    }
}

/// Seconds from the start of a recording as `hh:mm:ss.mmm`; hours go on after 99.
pub(crate) fn hms(secs: f64) -> String {
    let milliseconds = (secs * 1000.0).round() as u64;
    let (seconds, milliseconds) = (milliseconds / 1000, milliseconds % 1000);
    let (minutes, seconds) = (seconds / 60, seconds % 60);
    format!(
        "{:02}:{:02}:{seconds:02}.{milliseconds:03}",
        minutes / 60,
        minutes % 60
    )
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

    #[test]
    fn times_are_written_to_the_millisecond() {
        let moment = TimePattern::new("%Y%m%d_%H%M%S")
            .unwrap()
            .find_in("20240131_235959")
            .unwrap();
        assert_eq!(
            moment.iso_after(1.5).as_deref(),
            Some("2024-02-01T00:00:00.500")
        );
        assert_eq!(hms(0.0), "00:00:00.000");
        assert_eq!(hms(3_725.25), "01:02:05.250");
        assert_eq!(hms(359_999.999_6), "100:00:00.000");
    }
}
