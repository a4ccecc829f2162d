//! When and with what a recording was made, from the `bext` chunk of Broadcast WAVE and from GUANO.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::Offset;

/// What a recording's header says about the recording.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RecordingMeta {
    /// When the first sample was recorded.
    pub start: Option<StartTime>,
    /// Free text: the `bext` description or GUANO's `Note`.
    pub description: Option<String>,
    /// The recorder: the `bext` originator, or GUANO's `Make` and `Model`.
    pub device: Option<String>,
    /// All GUANO fields in file order, as `key` and `value`.
    pub guano: Vec<(String, String)>,
}

/// The time of a recording's first sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StartTime {
    /// Date and time of day as written.
    pub civil: DateTime,
    /// The offset from UTC, where the file states one. Broadcast WAVE never does.
    pub offset: Option<Offset>,
    /// Where the time was found.
    pub source: StartSource,
}

/// Where a start time was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StartSource {
    /// The `bext` chunk.
    Bext,
    /// The GUANO chunk, which wins where both are present: it may carry an offset.
    Guano,
}

impl RecordingMeta {
    /// Adds what a `bext` chunk says (EBU Tech 3285, version 0 fields).
    ///
    /// The time is `OriginationDate` and `OriginationTime`. `TimeReference` counts samples since
    /// midnight; where it agrees with the time to within two seconds it gives the fraction, and
    /// otherwise it is not used, since many recorders write 0.
    pub(super) fn add_bext(&mut self, bext: &[u8], sample_rate: u32) {
        let text = |from: usize, len: usize| {
            bext.get(from..from + len).and_then(|bytes| {
                let end = bytes.iter().position(|&b| b == 0).unwrap_or(len);
                let text = String::from_utf8_lossy(&bytes[..end]).trim().to_owned();
                (!text.is_empty()).then_some(text)
            })
        };
        self.description = self.description.take().or_else(|| text(0, 256));
        self.device = self.device.take().or_else(|| text(256, 32));
        let samples = bext
            .get(338..346)
            .and_then(|b| b.try_into().ok())
            .map_or(0, u64::from_le_bytes);
        let civil = text(320, 10)
            .and_then(|date| bext_date(&date))
            .zip(text(330, 8).and_then(|time| bext_time(&time)))
            .map(|(date, time)| refine(date.to_datetime(time), samples, sample_rate));
        if self.start.is_none() {
            self.start = civil.map(|civil| StartTime {
                civil,
                offset: None,
                source: StartSource::Bext,
            });
        }
    }

    /// Adds what a GUANO chunk says: lines of `key: value` in UTF-8.
    pub(super) fn add_guano(&mut self, guano: &[u8]) {
        let text = String::from_utf8_lossy(guano);
        self.guano = text
            .lines()
            .filter_map(|line| line.trim_matches(['\0', '\r', ' ']).split_once(':'))
            .map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()))
            .collect();
        let get = |wanted: &str| {
            self.guano
                .iter()
                .find(|(key, value)| key == wanted && !value.is_empty())
                .map(|(_, value)| value.clone())
        };
        let device: Vec<String> = [get("Make"), get("Model")].into_iter().flatten().collect();
        let (note, start) = (get("Note"), get("Timestamp").and_then(|t| guano_time(&t)));
        if !device.is_empty() {
            self.device = Some(device.join(" "));
        }
        self.description = note.or(self.description.take());
        self.start = start.or(self.start);
    }
}

/// `yyyy-mm-dd`; the standard allows `_ : space .` as separators and recorders use `/` too.
fn bext_date(text: &str) -> Option<Date> {
    let [year, month, day] = numbers(text)?;
    Date::new(
        i16::try_from(year).ok()?,
        month.try_into().ok()?,
        day.try_into().ok()?,
    )
    .ok()
}

/// `hh:mm:ss` with the same separators.
fn bext_time(text: &str) -> Option<Time> {
    let [hour, minute, second] = numbers(text)?;
    Time::new(
        hour.try_into().ok()?,
        minute.try_into().ok()?,
        second.try_into().ok()?,
        0,
    )
    .ok()
}

/// Three numbers with one separator between each.
fn numbers(text: &str) -> Option<[u16; 3]> {
    let mut parts = text.split(['-', '_', ':', ' ', '.', '/']);
    let mut next = || parts.next()?.parse().ok();
    let found = [next()?, next()?, next()?];
    parts.next().is_none().then_some(found)
}

/// Takes the fraction of a second from the sample count since midnight, if it is near the time.
fn refine(stated: DateTime, samples_since_midnight: u64, sample_rate: u32) -> DateTime {
    let rate = u128::from(sample_rate.max(1));
    let nanos = u128::from(samples_since_midnight) * 1_000_000_000 / rate;
    let Ok(nanos) = i64::try_from(nanos) else {
        return stated;
    };
    let counted = jiff::SignedDuration::from_nanos(nanos);
    let midnight = stated.date().to_datetime(Time::midnight());
    match midnight.checked_add(counted) {
        Ok(exact) if stated.duration_until(exact).abs() < jiff::SignedDuration::from_secs(2) => {
            exact
        }
        _ => stated,
    }
}

/// An ISO 8601 time with an optional `Z` or `±hh:mm`, as GUANO's `Timestamp`.
fn guano_time(text: &str) -> Option<StartTime> {
    let text = text.trim();
    let (civil, offset) = match text.strip_suffix(['Z', 'z']) {
        Some(civil) => (civil, Some(Offset::UTC)),
        None => {
            // A sign after the time's `T` can only be the offset's.
            let from = text.find(['T', ' ']).unwrap_or(0);
            match text[from..].rfind(['+', '-']) {
                Some(at) => (&text[..from + at], Some(parse_offset(&text[from + at..])?)),
                None => (text, None),
            }
        }
    };
    Some(StartTime {
        civil: civil.trim().parse().ok()?,
        offset,
        source: StartSource::Guano,
    })
}

/// `±hh:mm`, `±hhmm` or `±hh`.
fn parse_offset(text: &str) -> Option<Offset> {
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let hours: i32 = digits.get(..2)?.parse().ok()?;
    let minutes: i32 = match digits.get(2..4) {
        Some(minutes) => minutes.parse().ok()?,
        None => 0,
    };
    Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    /// A `bext` chunk with the fields that are read.
    fn bext(date: &str, time: &str, samples: u64) -> Vec<u8> {
        let mut chunk = vec![0; 602];
        chunk[..4].copy_from_slice(b"dawn");
        chunk[256..265].copy_from_slice(b"AudioMoth");
        chunk[320..320 + date.len()].copy_from_slice(date.as_bytes());
        chunk[330..330 + time.len()].copy_from_slice(time.as_bytes());
        chunk[338..346].copy_from_slice(&samples.to_le_bytes());
        chunk
    }

    #[test]
    fn bext_gives_date_time_and_recorder() {
        let mut meta = RecordingMeta::default();
        meta.add_bext(&bext("2024-05-17", "04:30:05", 0), 48_000);
        let start = meta.start.expect("a start time");
        assert_eq!(start.civil, date(2024, 5, 17).at(4, 30, 5, 0));
        assert_eq!((start.offset, start.source), (None, StartSource::Bext));
        assert_eq!(meta.device.as_deref(), Some("AudioMoth"));
        assert_eq!(meta.description.as_deref(), Some("dawn"));
    }

    #[test]
    fn a_sample_count_near_the_time_gives_the_fraction() {
        let samples = (4 * 3600 + 30 * 60 + 5) * 48_000 + 24_000;
        let mut meta = RecordingMeta::default();
        meta.add_bext(&bext("2024:05:17", "04-30-05", samples), 48_000);
        let start = meta.start.expect("a start time");
        assert_eq!(start.civil, date(2024, 5, 17).at(4, 30, 5, 500_000_000));
    }

    #[test]
    fn guano_wins_and_may_carry_an_offset() {
        let mut meta = RecordingMeta::default();
        meta.add_bext(&bext("2024-05-17", "04:30:05", 0), 48_000);
        meta.add_guano(
            b"GUANO|Version: 1.0\nTimestamp: 2016-12-10T01:02:03.25-07:30\nMake: Pettersson\nModel: D500X\n",
        );
        let start = meta.start.expect("a start time");
        assert_eq!(start.civil, date(2016, 12, 10).at(1, 2, 3, 250_000_000));
        assert_eq!(start.offset, Offset::from_seconds(-27_000).ok());
        assert_eq!(start.source, StartSource::Guano);
        assert_eq!(meta.device.as_deref(), Some("Pettersson D500X"));
    }

    #[test]
    fn guano_times_without_offset_or_in_utc() {
        let local = guano_time("2023-01-02T03:04:05").expect("a time");
        assert_eq!(local.offset, None);
        let utc = guano_time("2023-01-02 03:04:05Z").expect("a time");
        assert_eq!(utc.offset, Some(Offset::UTC));
        assert_eq!(guano_time("yesterday"), None);
    }

    #[test]
    fn nonsense_in_bext_is_no_time() {
        for (day, time) in [
            ("2024-13-17", "04:30:05"),
            ("", ""),
            ("2024-05-17", "25:00:00"),
        ] {
            let mut meta = RecordingMeta::default();
            meta.add_bext(&bext(day, time, 0), 48_000);
            assert_eq!(meta.start, None, "{day} {time}");
        }
    }
}
