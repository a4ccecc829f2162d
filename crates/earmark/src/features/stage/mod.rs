//! What follows a representation: arithmetic on a `[band, frame]` matrix, as the frames come.
//!
//! A stage takes matrices of consecutive frames and returns what it can of its result; at the end of
//! the clip it returns the rest. Stages that need a statistic of the whole clip return nothing until
//! then, so a clip computed in one go and one computed block by block take the same road.

mod cepstrum;
mod clip_wide;
mod delta;
mod pcen;
mod resize;

pub(crate) use clip_wide::ClipWide;

use super::check;
use super::loudness::Pointwise;
use super::matrix::Matrix;
use super::spectrogram_config::{DecibelConfig, Loudness, Reference};
use super::step::Step;
use crate::Result;
use cepstrum::Cepstrum;
use delta::{Delta, DeltaState};
use pcen::Pcen;

/// A compiled stage.
#[derive(Debug, Clone)]
pub(crate) enum Stage {
    Pointwise(Pointwise),
    /// `(x + add) / divide`
    Scale {
        add: f32,
        divide: f32,
    },
    Clamp {
        low: f32,
        high: f32,
    },
    Truncate,
    Bands {
        first: usize,
        count: usize,
    },
    /// Other bands: the numbers of those that become them.
    Choose(Vec<usize>),
    Cepstrum(Cepstrum),
    Pcen(Pcen),
    Delta(Delta),
    ClipWide(ClipWide),
}

impl Stage {
    /// The stage of a step on pictures of `n_bands`.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) names the setting that cannot be.
    pub(crate) fn new(step: &Step, n_bands: usize) -> Result<Self> {
        Ok(match *step {
            Step::Scale { add, divide } => {
                check::finite("steps.add", add)?;
                check::that(
                    divide.is_finite() && divide != 0.0,
                    "steps.divide",
                    || divide.to_string(),
                    || "must not be 0".to_owned(),
                )?;
                let (add, divide) = (add as f32, divide as f32);
                Self::Scale { add, divide }
            }
            Step::Clamp { low, high } => {
                check::that(
                    low.is_finite() && high.is_finite() && low <= high,
                    "steps.low..high",
                    || format!("{low} to {high}"),
                    || "must not fall".to_owned(),
                )?;
                let (low, high) = (low as f32, high as f32);
                Self::Clamp { low, high }
            }
            Step::Truncate => Self::Truncate,
            Step::Bands { first, count } => {
                check::range("steps.first", first, 0, n_bands - 1)?;
                check::range("steps.count", count, 1, n_bands - first)?;
                Self::Bands { first, count }
            }
            Step::Cepstrum {
                n_coefficients,
                lifter,
            } => Self::Cepstrum(Cepstrum::new(n_bands, n_coefficients, lifter)?),
            Step::Delta { order, width } => Self::Delta(Delta::new(order, width)?),
            Step::SubtractBandMean
            | Step::Standardise { .. }
            | Step::MinMax { .. }
            | Step::Peak
            | Step::FixedFrames { .. }
            | Step::Resize { .. } => Self::ClipWide(ClipWide::new(step)?),
        })
    }

    /// The stages that a loudness needs after its pointwise part.
    pub(crate) fn of_loudness(
        loudness: &Loudness,
        n_bands: usize,
        frames_per_second: f64,
    ) -> Result<Vec<Self>> {
        match loudness {
            Loudness::Linear | Loudness::Ln(_) | Loudness::Log10(_) => Ok(Vec::new()),
            Loudness::Pcen(config) => {
                let pcen = Pcen::new(config, n_bands, frames_per_second)?;
                Ok(vec![Self::Pcen(pcen)])
            }
            Loudness::Decibel(DecibelConfig {
                reference, top_db, ..
            }) => {
                let of_clip = matches!(reference, Reference::OfClip(_));
                let subtract = of_clip.then_some(ClipWide::SubtractMax);
                let cut = top_db.map(|range| ClipWide::TopDb(range as f32));
                let changes = subtract.into_iter().chain(cut);
                Ok(changes.map(Self::ClipWide).collect())
            }
        }
    }

    /// The number of bands that come out of `n_bands`.
    pub(crate) fn n_bands(&self, n_bands: usize) -> usize {
        match self {
            Self::Bands { count, .. } => *count,
            Self::Choose(chosen) => chosen.len(),
            Self::Cepstrum(cepstrum) => cepstrum.n_coefficients(),
            Self::ClipWide(change) => change.n_bands(n_bands),
            Self::Pointwise(_)
            | Self::Scale { .. }
            | Self::Clamp { .. }
            | Self::Truncate
            | Self::Pcen(_)
            | Self::Delta(_) => n_bands,
        }
    }

    /// The number of frames that come out of `n_frames`, or `None` if these are too few.
    pub(crate) fn n_frames(&self, n_frames: usize) -> Option<usize> {
        match self {
            Self::Delta(delta) => (n_frames >= delta.width()).then_some(n_frames),
            Self::ClipWide(change) => Some(change.n_frames(n_frames)),
            Self::Pointwise(_)
            | Self::Scale { .. }
            | Self::Clamp { .. }
            | Self::Truncate
            | Self::Bands { .. }
            | Self::Choose(_)
            | Self::Cepstrum(_)
            | Self::Pcen(_) => Some(n_frames),
        }
    }

    /// The change that needs the whole clip, if it is one.
    pub(crate) fn clip_wide(&self) -> Option<ClipWide> {
        match self {
            Self::ClipWide(change) => Some(*change),
            _ => None,
        }
    }
}

/// Stages in a row, at work on one clip.
#[derive(Debug)]
pub(crate) struct Chain {
    links: Vec<Link>,
}

impl Chain {
    pub(crate) fn new(stages: &[Stage]) -> Self {
        Self {
            links: stages.iter().map(Link::new).collect(),
        }
    }

    /// Sends frames through; returns those that are complete.
    pub(crate) fn push(&mut self, matrix: Matrix) -> Matrix {
        let links = self.links.iter_mut();
        links.fold(matrix, |matrix, link| link.push(matrix))
    }

    /// Sends the clip's last frames through; returns everything that was held back.
    pub(crate) fn finish(&mut self, matrix: Matrix) -> Matrix {
        let links = self.links.iter_mut();
        links.fold(matrix, |matrix, link| link.finish(matrix))
    }
}

/// A stage with its state.
#[derive(Debug)]
enum Link {
    /// Looks at a frame at a time, or keeps its state itself.
    Running(Stage),
    Delta(DeltaState),
    /// A change of the whole clip, with the frames that wait for its end.
    Held(ClipWide, Option<Matrix>),
}

impl Link {
    fn new(stage: &Stage) -> Self {
        match stage {
            Stage::Delta(delta) => Self::Delta(DeltaState::new(delta.clone())),
            Stage::ClipWide(change) => Self::Held(*change, None),
            other => Self::Running(other.clone()),
        }
    }

    fn push(&mut self, matrix: Matrix) -> Matrix {
        match self {
            Self::Running(stage) => run(stage, matrix),
            Self::Delta(state) => state.push(matrix),
            Self::Held(_, held) => {
                let nothing = Matrix::zeros(matrix.n_bands, 0);
                match held {
                    Some(held) => held.append(matrix),
                    None => *held = Some(matrix),
                }
                nothing
            }
        }
    }

    fn finish(&mut self, matrix: Matrix) -> Matrix {
        match self {
            Self::Running(stage) => run(stage, matrix),
            Self::Delta(state) => state.finish(matrix),
            Self::Held(change, held) => {
                let whole = match held.take() {
                    Some(mut held) => {
                        held.append(matrix);
                        held
                    }
                    None => matrix,
                };
                change.apply(whole)
            }
        }
    }
}

/// Sends frames through a stage that holds nothing back.
fn run(stage: &mut Stage, mut matrix: Matrix) -> Matrix {
    match stage {
        Stage::Pointwise(pointwise) => pointwise.apply(&mut matrix.data),
        Stage::Scale { add, divide } => {
            let values = matrix.data.iter_mut();
            values.for_each(|x| *x = (*x + *add) / *divide);
        }
        Stage::Clamp { low, high } => {
            let values = matrix.data.iter_mut();
            values.for_each(|x| *x = x.clamp(*low, *high));
        }
        Stage::Truncate => matrix.data.iter_mut().for_each(|x| *x = x.trunc()),
        Stage::Bands { first, count } => {
            let n_frames = matrix.n_frames;
            matrix.data.truncate((*first + *count) * n_frames);
            matrix.data.drain(..*first * n_frames);
            matrix.n_bands = *count;
        }
        Stage::Choose(chosen) => return matrix.rows(chosen),
        Stage::Cepstrum(cepstrum) => return cepstrum.apply(&matrix),
        Stage::Pcen(pcen) => pcen.apply(&mut matrix),
        Stage::Delta(_) | Stage::ClipWide(_) => {
            unreachable!("links of these stages keep their own state")
        }
    }
    matrix
}
