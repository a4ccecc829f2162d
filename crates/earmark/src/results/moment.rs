//! Absolute time: when a recording began, and how times are written.

use jiff::SignedDuration;
use jiff::civil::DateTime;
use jiff::tz::Offset;
use serde::{Deserialize, Serialize};

use crate::audio::RecordingMeta;

/// A point in time as the recorder wrote it: without an offset from UTC when none is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
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

impl Moment {
    /// A date and time, and its offset from UTC if one is known.
    pub fn new(civil: DateTime, offset: Option<Offset>) -> Self {
        Self {
            civil,
            offset_secs: offset.map(Offset::seconds),
        }
    }

    /// The start that a recording's header states.
    pub fn from_header(metadata: &RecordingMeta) -> Option<Self> {
        metadata
            .start
            .map(|start| Self::new(start.civil, start.offset))
    }

    /// The moment `secs` later, in ISO 8601 with milliseconds.
    pub fn iso_after(&self, secs: f64) -> Option<String> {
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
pub fn hms(secs: f64) -> String {
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

    #[test]
    fn times_are_written_to_the_millisecond() {
        let moment = Moment::new(jiff::civil::date(2024, 1, 31).at(23, 59, 59, 0), None);
        assert_eq!(
            moment.iso_after(1.5).as_deref(),
            Some("2024-02-01T00:00:00.500")
        );
        assert_eq!(hms(0.0), "00:00:00.000");
        assert_eq!(hms(3_725.25), "01:02:05.250");
        assert_eq!(hms(359_999.999_6), "100:00:00.000");
    }
}
