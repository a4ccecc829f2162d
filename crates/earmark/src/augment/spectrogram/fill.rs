//! What masked places are filled with.

use serde::{Deserialize, Serialize};

use crate::augment::ClipRng;

/// The value of a masked place: `"min"`, `"mean"`, `"noise"`, or a number.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "Written", into = "Written")]
pub enum Fill {
    /// The channel's smallest value: silence, for log-mel features.
    Min,
    /// The channel's mean.
    Mean,
    /// Random values of the normal distribution with the channel's mean and deviation.
    Noise,
    /// This value.
    Value(f32),
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Named(Named),
    Value(f32),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Named {
    Min,
    Mean,
    Noise,
}

impl From<Written> for Fill {
    fn from(written: Written) -> Self {
        match written {
            Written::Named(Named::Min) => Self::Min,
            Written::Named(Named::Mean) => Self::Mean,
            Written::Named(Named::Noise) => Self::Noise,
            Written::Value(value) => Self::Value(value),
        }
    }
}

impl From<Fill> for Written {
    fn from(fill: Fill) -> Self {
        match fill {
            Fill::Min => Self::Named(Named::Min),
            Fill::Mean => Self::Named(Named::Mean),
            Fill::Noise => Self::Named(Named::Noise),
            Fill::Value(value) => Self::Value(value),
        }
    }
}

impl Fill {
    /// What to fill places of this channel with: mean and deviation.
    pub(super) fn level_of(self, channel: &[f32]) -> Level {
        let (mean, deviation) = match self {
            Self::Min => (channel.iter().copied().fold(f32::INFINITY, f32::min), 0.0),
            Self::Mean => (mean_and_deviation(channel).0, 0.0),
            Self::Noise => mean_and_deviation(channel),
            Self::Value(value) => (value, 0.0),
        };
        Level { mean, deviation }
    }
}

/// What a channel's masked places get.
#[derive(Clone, Copy, Debug)]
pub(super) struct Level {
    mean: f32,
    deviation: f32,
}

impl Level {
    /// Fills the places of a row.
    pub(super) fn fill(self, places: &mut [f32], rng: &mut ClipRng) {
        if self.deviation == 0.0 {
            places.fill(self.mean);
            return;
        }
        for pair in places.chunks_mut(2) {
            let (first, second) = rng.normal_pair();
            for (place, noise) in pair.iter_mut().zip([first, second]) {
                *place = self.mean + self.deviation * noise;
            }
        }
    }
}

/// The mean and the (population) standard deviation of a channel that is not empty.
pub(super) fn mean_and_deviation(channel: &[f32]) -> (f32, f32) {
    let n = channel.len() as f64;
    let mean = channel.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
    let square = channel.iter().map(|&v| (f64::from(v) - mean).powi(2));
    (mean as f32, (square.sum::<f64>() / n).sqrt() as f32)
}
