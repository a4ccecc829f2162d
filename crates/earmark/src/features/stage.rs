//! What follows a representation: arithmetic on a `[band, frame]` matrix, as the frames come.
//!
//! A stage takes matrices of consecutive frames and returns what it can of its result; at the end of
//! the clip it returns the rest. Stages that need a statistic of the whole clip return nothing until
//! then, so a clip computed in one go and one computed block by block take the same road.

use super::check;
use super::config::Step;
use super::matrix::Matrix;
use super::spectrogram_config::{DecibelConfig, Loudness, PcenConfig, Reference};
use crate::Result;

/// A compiled stage.
#[derive(Debug, Clone)]
pub(crate) enum Stage {
    /// `(x + add) / divide`
    Scale { add: f32, divide: f32 },
    /// Per-channel energy normalisation.
    Pcen(Pcen),
    /// Drops the digits after the point.
    Truncate,
    /// A change that depends on all values of the clip.
    ClipWide(ClipWide),
}

/// A change that depends on all values of the clip.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ClipWide {
    /// Subtracts the largest value.
    SubtractMax,
    /// Raises everything to at least the largest value less this.
    TopDb(f32),
    Standardise {
        epsilon: f64,
    },
    MinMax {
        low: f64,
        high: f64,
        epsilon: f64,
    },
}

impl ClipWide {
    /// The name of the setting, for messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::SubtractMax => "loudness.reference = \"max\"",
            Self::TopDb(_) => "loudness.top_db",
            Self::Standardise { .. } => "standardise",
            Self::MinMax { .. } => "min-max",
        }
    }

    fn apply(self, values: &mut [f32]) {
        match self {
            Self::SubtractMax => {
                let max = max(values);
                values.iter_mut().for_each(|x| *x -= max);
            }
            Self::TopDb(range) => {
                let floor = max(values) - range;
                values.iter_mut().for_each(|x| *x = x.max(floor));
            }
            Self::Standardise { epsilon } => standardise(values, epsilon),
            Self::MinMax { low, high, epsilon } => {
                let (least, most) = (f64::from(min(values)), f64::from(max(values)));
                if most - least <= epsilon {
                    values.fill(low as f32);
                    return;
                }
                for x in values {
                    let part = (f64::from(*x) - least) / (most - least);
                    *x = (low + part * (high - low)) as f32;
                }
            }
        }
    }
}

fn max(values: &[f32]) -> f32 {
    values.iter().copied().fold(f32::NEG_INFINITY, f32::max)
}

fn min(values: &[f32]) -> f32 {
    values.iter().copied().fold(f32::INFINITY, f32::min)
}

fn standardise(values: &mut [f32], epsilon: f64) {
    let n = values.len() as f64;
    let mean = values.iter().map(|x| f64::from(*x)).sum::<f64>() / n;
    let square = |x: &f32| (f64::from(*x) - mean).powi(2);
    let deviation = (values.iter().map(square).sum::<f64>() / n).sqrt();
    for x in values {
        *x = ((f64::from(*x) - mean) / (deviation + epsilon)) as f32;
    }
}

impl Stage {
    /// The stage of a step.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) names the setting that cannot be.
    pub(crate) fn new(step: &Step) -> Result<Self> {
        match *step {
            Step::Scale { add, divide } => {
                check::finite("steps.add", add)?;
                check::that(
                    divide.is_finite() && divide != 0.0,
                    "steps.divide",
                    || divide.to_string(),
                    || "must not be 0".to_owned(),
                )?;
                let (add, divide) = (add as f32, divide as f32);
                Ok(Self::Scale { add, divide })
            }
            Step::Standardise { epsilon } => {
                check::positive("steps.epsilon", epsilon)?;
                Ok(Self::ClipWide(ClipWide::Standardise { epsilon }))
            }
            Step::MinMax { low, high, epsilon } => {
                check::positive("steps.epsilon", epsilon)?;
                check::that(
                    low.is_finite() && high.is_finite() && low < high,
                    "steps.low..high",
                    || format!("{low} to {high}"),
                    || "must rise".to_owned(),
                )?;
                Ok(Self::ClipWide(ClipWide::MinMax { low, high, epsilon }))
            }
            Step::Truncate => Ok(Self::Truncate),
        }
    }

    /// The stages that a loudness needs after its pointwise part.
    pub(crate) fn of_loudness(
        loudness: &Loudness,
        n_bands: usize,
        frames_per_second: f64,
    ) -> Result<Vec<Self>> {
        match loudness {
            Loudness::Linear | Loudness::Ln(_) | Loudness::Log10(_) => Ok(Vec::new()),
            Loudness::Pcen(config) => Ok(vec![Self::Pcen(Pcen::new(
                config,
                n_bands,
                frames_per_second,
            )?)]),
            Loudness::Decibel(DecibelConfig {
                reference, top_db, ..
            }) => {
                let of_clip = matches!(reference, Reference::OfClip(_));
                let subtract = of_clip.then_some(ClipWide::SubtractMax);
                let cut = top_db.map(|range| ClipWide::TopDb(range as f32));
                Ok(subtract
                    .into_iter()
                    .chain(cut)
                    .map(Self::ClipWide)
                    .collect())
            }
        }
    }

    pub(crate) fn clip_wide(&self) -> Option<ClipWide> {
        match self {
            Self::ClipWide(change) => Some(*change),
            Self::Scale { .. } | Self::Pcen(_) | Self::Truncate => None,
        }
    }
}

/// Stages in a row, at work on one clip.
#[derive(Debug)]
pub(crate) struct Chain {
    links: Vec<Link>,
}

#[derive(Debug)]
struct Link {
    stage: Stage,
    /// Frames that wait for the end of the clip.
    held: Option<Matrix>,
}

impl Chain {
    pub(crate) fn new(stages: &[Stage]) -> Self {
        let link = |stage: &Stage| Link {
            stage: stage.clone(),
            held: None,
        };
        Self {
            links: stages.iter().map(link).collect(),
        }
    }

    /// Sends frames through; returns those that are complete.
    pub(crate) fn push(&mut self, matrix: Matrix) -> Matrix {
        self.links
            .iter_mut()
            .fold(matrix, |matrix, link| link.push(matrix))
    }

    /// Sends the clip's last frames through; returns everything that was held back.
    pub(crate) fn finish(&mut self, matrix: Matrix) -> Matrix {
        self.links
            .iter_mut()
            .fold(matrix, |matrix, link| link.finish(matrix))
    }
}

impl Link {
    fn push(&mut self, mut matrix: Matrix) -> Matrix {
        match &mut self.stage {
            Stage::Scale { add, divide } => {
                matrix
                    .data
                    .iter_mut()
                    .for_each(|x| *x = (*x + *add) / *divide);
                matrix
            }
            Stage::Truncate => {
                matrix.data.iter_mut().for_each(|x| *x = x.trunc());
                matrix
            }
            Stage::Pcen(pcen) => {
                pcen.apply(&mut matrix);
                matrix
            }
            Stage::ClipWide(_) => {
                let nothing = Matrix::zeros(matrix.n_bands, 0);
                match &mut self.held {
                    Some(held) => held.append(matrix),
                    held @ None => *held = Some(matrix),
                }
                nothing
            }
        }
    }

    fn finish(&mut self, matrix: Matrix) -> Matrix {
        let Stage::ClipWide(change) = self.stage else {
            return self.push(matrix);
        };
        let mut whole = match self.held.take() {
            Some(mut held) => {
                held.append(matrix);
                held
            }
            None => matrix,
        };
        change.apply(&mut whole.data);
        whole
    }
}

/// Per-channel energy normalisation, with the state of its smoother.
#[derive(Debug, Clone)]
pub(crate) struct Pcen {
    config: PcenConfig,
    /// The share of the new value in the smoothed one.
    smoothing: f64,
    /// `[band]`
    smoothed: Vec<f64>,
}

impl Pcen {
    fn new(config: &PcenConfig, n_bands: usize, frames_per_second: f64) -> Result<Self> {
        check::positive("loudness.scale", config.scale)?;
        check::positive("loudness.bias", config.bias)?;
        check::positive("loudness.power", config.power)?;
        check::positive("loudness.time_constant_secs", config.time_constant_secs)?;
        check::positive("loudness.epsilon", config.epsilon)?;
        check::finite("loudness.start", config.start)?;
        check::that(
            (0.0..=1.0).contains(&config.gain),
            "loudness.gain",
            || config.gain.to_string(),
            || "must be 0 to 1".to_owned(),
        )?;
        // The pole of the smoother has the time constant at its -3 dB point, as in librosa.pcen.
        let frames = config.time_constant_secs * frames_per_second;
        let squared = frames * frames;
        Ok(Self {
            config: *config,
            smoothing: ((1.0 + 4.0 * squared).sqrt() - 1.0) / (2.0 * squared),
            smoothed: vec![config.start; n_bands],
        })
    }

    fn apply(&mut self, matrix: &mut Matrix) {
        let PcenConfig {
            scale,
            gain,
            bias,
            power,
            epsilon,
            ..
        } = self.config;
        let scaled_root = bias.powf(power);
        for (band, smoothed) in self.smoothed.iter_mut().enumerate() {
            for x in matrix.row_mut(band) {
                let energy = f64::from(*x) * scale;
                *smoothed += self.smoothing * (energy - *smoothed);
                let gained = (-gain * (epsilon.ln() + (*smoothed / epsilon).ln_1p())).exp();
                let compressed = (power * (energy * gained / bias).ln_1p()).exp_m1();
                *x = (scaled_root * compressed) as f32;
            }
        }
    }
}
