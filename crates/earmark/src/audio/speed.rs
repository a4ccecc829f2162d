//! Sound played at another speed: pitch and tempo together, as a tape does it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::resample::Resampler;
use crate::{Error, Result};

/// A speed in hundredths: a ratio of small numbers keeps the resampler's filter short.
const DENOMINATOR: u32 = 100;

/// How often a recording is heard at most, its own speed included.
const MAX_SPEEDS: usize = 16;

/// A speed other than 1, from 0.25 to 4 in steps of 0.01: at 2 a clip is half as long and an octave
/// higher.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "f32", into = "f32")]
pub struct PlaybackSpeed {
    hundredths: u32,
}

impl PlaybackSpeed {
    /// A speed.
    ///
    /// # Errors
    /// [`Error::Config`] for one that is 1, out of range or between two steps.
    pub fn new(factor: f32) -> Result<Self> {
        let refuse = |expected: &str| {
            Err(Error::Config {
                key: "speed".to_owned(),
                found: factor.to_string(),
                expected: expected.to_owned(),
            })
        };
        let hundredths = f64::from(factor) * f64::from(DENOMINATOR);
        if !(25.0..=400.0).contains(&hundredths) || (hundredths - hundredths.round()).abs() > 1e-3 {
            return refuse("must be 0.25 to 4 in steps of 0.01");
        }
        match hundredths.round() as u32 {
            DENOMINATOR => refuse("a clip is heard at its own speed anyway: leave it out"),
            hundredths => Ok(Self { hundredths }),
        }
    }

    /// How many times as fast as the recording.
    pub fn factor(self) -> f64 {
        f64::from(self.hundredths) / f64::from(DENOMINATOR)
    }

    /// What plays sound of any rate at this speed, block by block; the rate stays.
    ///
    /// # Errors
    /// [`Error::Config`] if the number of channels is 0.
    pub fn player(self, n_channels: usize) -> Result<Resampler> {
        Resampler::new(self.hundredths, DENOMINATOR, n_channels)
    }

    /// A whole mono waveform at this speed: `round(n / factor)` samples.
    ///
    /// # Errors
    /// Never in practice: see [`PlaybackSpeed::player`].
    pub fn play(self, samples: &[f32]) -> Result<Vec<f32>> {
        super::resample::resample(samples, self.hundredths, DENOMINATOR)
    }
}

impl fmt::Display for PlaybackSpeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.factor().fmt(f)
    }
}

impl TryFrom<f32> for PlaybackSpeed {
    type Error = Error;

    fn try_from(factor: f32) -> Result<Self> {
        Self::new(factor)
    }
}

impl From<PlaybackSpeed> for f32 {
    fn from(speed: PlaybackSpeed) -> Self {
        speed.factor() as Self
    }
}

impl FromStr for PlaybackSpeed {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.trim().parse() {
            Ok(factor) => Self::new(factor),
            Err(_) => Err(Error::Config {
                key: "speed".to_owned(),
                found: text.to_owned(),
                expected: "must be a number".to_owned(),
            }),
        }
    }
}

/// Whether a list of further speeds can be followed: each once, not more than 15.
///
/// # Errors
/// [`Error::Config`] with the key.
pub fn check_speeds(key: &str, speeds: &[PlaybackSpeed]) -> Result<()> {
    let refuse = |found: String, expected: String| {
        Err(Error::Config {
            key: key.to_owned(),
            found,
            expected,
        })
    };
    if speeds.len() >= MAX_SPEEDS {
        let most = MAX_SPEEDS - 1;
        return refuse(
            format!("{} speeds", speeds.len()),
            format!("must be at most {most}"),
        );
    }
    let twice = speeds
        .iter()
        .enumerate()
        .find(|(at, speed)| speeds[..*at].contains(speed));
    match twice {
        None => Ok(()),
        Some((_, speed)) => refuse(format!("{speed} twice"), "must be there once".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sine_played_faster_is_a_higher_and_shorter_sine() -> Result<()> {
        let rate = 8_000.0;
        let sine = |hz: f64, n: usize| -> Vec<f32> {
            let step = std::f64::consts::TAU * hz / rate;
            (0..n).map(|i| (step * i as f64).sin() as f32).collect()
        };
        for factor in [0.5, 0.89, 1.12, 2.0] {
            let speed = PlaybackSpeed::new(factor)?;
            let played = speed.play(&sine(440.0, 16_000))?;
            let n_samples = (16_000.0 / speed.factor()).round() as usize;
            assert_eq!(played.len(), n_samples);
            let expected = sine(440.0 * speed.factor(), n_samples);
            // The ends ring: there is silence before and after a recording.
            let middle = n_samples / 4..n_samples * 3 / 4;
            for (a, b) in played[middle.clone()].iter().zip(&expected[middle]) {
                assert!((a - b).abs() < 1e-4, "{factor}: {a} instead of {b}");
            }
        }
        Ok(())
    }

    #[test]
    fn speeds_that_cannot_be_are_refused() {
        for factor in [0.0, 0.24, 4.01, 1.0, 0.7937, f32::NAN, f32::INFINITY, -1.0] {
            assert!(PlaybackSpeed::new(factor).is_err(), "{factor}");
        }
        assert!("fast".parse::<PlaybackSpeed>().is_err());
        let speeds = |text: &str| -> Vec<PlaybackSpeed> {
            text.split(',').filter_map(|one| one.parse().ok()).collect()
        };
        assert!(check_speeds("speeds", &speeds("0.8,1.25,4,0.25")).is_ok());
        let error = check_speeds("speeds", &speeds("0.8,1.25,0.8")).map_err(|e| e.to_string());
        assert_eq!(
            error,
            Err("speeds is 0.8 twice, must be there once".to_owned())
        );
    }

    #[test]
    fn a_speed_is_a_number_in_a_file() {
        let read: std::result::Result<Vec<PlaybackSpeed>, _> = serde_json::from_str("[0.79, 2]");
        let speeds = read.unwrap_or_default();
        assert_eq!(
            serde_json::to_string(&speeds).ok().as_deref(),
            Some("[0.79,2.0]")
        );
        assert!(serde_json::from_str::<PlaybackSpeed>("1.0").is_err());
    }
}
