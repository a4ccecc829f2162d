//! The `[data.segment]` table of a run's configuration: how its segments differ from the usual ones.

use earmark::Result;
use earmark::audio::PlaybackSpeed;
use earmark::bundle::{Aggregation, LastSegment, Padding, SegmentConfig};
use serde::{Deserialize, Serialize};

/// What is left out stays as in the bundle to start from, or as the network or the front end demands.
/// The settings are those of [`SegmentConfig`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SegmentSettings {
    /// The length of a segment in seconds.
    pub length_secs: Option<f32>,
    /// The distance between the starts of segments in seconds; with another length, left out, that.
    pub hop_secs: Option<f32>,
    /// The shortest segment that the network takes in seconds.
    pub min_secs: Option<f32>,
    /// What fills a segment that is too short.
    pub padding: Option<Padding>,
    /// What becomes of the end of a clip that does not fill a segment.
    pub last_segment: Option<LastSegment>,
    /// How the scores of segments become the score of the clip.
    pub aggregation: Option<Aggregation>,
    /// Speeds at which a clip is heard besides its own.
    pub speeds: Option<Vec<PlaybackSpeed>>,
}

impl SegmentSettings {
    /// Whether nothing about lengths is left to others.
    pub(super) fn has_all_lengths(&self) -> bool {
        self.length_secs.is_some() && self.hop_secs.is_some() && self.min_secs.is_some()
    }

    /// These settings where they are given, else the usual ones.
    ///
    /// # Errors
    /// [`earmark::Error::Config`] for values that cannot be.
    pub(super) fn over(&self, usual: SegmentConfig) -> Result<SegmentConfig> {
        let length_secs = self.length_secs.unwrap_or(usual.length_secs);
        // A network of one length takes no other.
        let usual_min = match usual.min_secs == usual.length_secs {
            true => length_secs,
            false => usual.min_secs.min(length_secs),
        };
        let usual_hop = match self.length_secs {
            Some(length_secs) => length_secs,
            None => usual.hop_secs,
        };
        let segment = SegmentConfig {
            length_secs,
            hop_secs: self.hop_secs.unwrap_or(usual_hop),
            min_secs: self.min_secs.unwrap_or(usual_min),
            padding: self.padding.unwrap_or(usual.padding),
            last_segment: self.last_segment.unwrap_or(usual.last_segment),
            aggregation: self.aggregation.unwrap_or(usual.aggregation),
            speeds: self.speeds.clone().unwrap_or(usual.speeds),
        };
        segment.check()?;
        Ok(segment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn over(text: &str, usual: &SegmentConfig) -> Result<SegmentConfig> {
        let settings: SegmentSettings = toml::from_str(text).unwrap_or_default();
        settings.over(usual.clone())
    }

    #[test]
    fn what_is_left_out_is_as_usual() -> Result<()> {
        let usual = SegmentConfig {
            hop_secs: 5.0,
            last_segment: LastSegment::Shift,
            ..SegmentConfig::efficient_at()
        };
        assert_eq!(over("", &usual)?, usual);
        let several = over("speeds = [0.8, 1.25]", &usual)?;
        assert_eq!(several.speeds.len(), 2);
        let own = SegmentConfig {
            speeds: Vec::new(),
            ..several
        };
        assert_eq!(own, usual);
        let shorter = over("length_secs = 0.5", &usual)?;
        let lengths = (shorter.length_secs, shorter.hop_secs, shorter.min_secs);
        assert_eq!(lengths, (0.5, 0.5, 0.5));
        assert_eq!(shorter.last_segment, LastSegment::Shift);
        Ok(())
    }

    #[test]
    fn a_network_of_one_length_keeps_to_one() -> Result<()> {
        let usual = SegmentConfig {
            min_secs: 10.0,
            ..SegmentConfig::efficient_at()
        };
        assert_eq!(over("length_secs = 4", &usual)?.min_secs, 4.0);
        assert_eq!(over("length_secs = 4\nmin_secs = 1", &usual)?.min_secs, 1.0);
        let error = over("hop_secs = 11", &usual).map_err(|error| error.to_string());
        let expected = "segment.hop_secs is 11, must be above 0 and at most length_secs = 10";
        assert_eq!(error, Err(expected.to_owned()));
        Ok(())
    }
}
