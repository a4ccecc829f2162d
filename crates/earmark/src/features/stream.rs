//! [`FeatureStream`]: blocks of samples in, the features of the frames that they complete out.

use super::Features;
use super::front_end::{FrontEnd, check_samples};
use super::matrix::Matrix;
use super::source::{Source, SourceStream};
use super::stage::Chain;
use crate::Result;

/// The computation of one clip, block by block. Holds a few frames, never the clip.
///
/// # Examples
///
/// ```
/// use earmark::features::{FrontEnd, FrontEndConfig};
///
/// let front_end = FrontEnd::new(&FrontEndConfig::efficient_at())?;
/// let mut stream = front_end.stream()?;
/// let first = stream.push(&[0.1; 5000])?;
/// let second = stream.push(&[0.1; 5000])?;
/// let last = stream.finish()?;
/// let n_frames = first.n_frames + second.n_frames + last.n_frames;
/// assert_eq!(n_frames, front_end.n_frames(10_000)?);
/// # Ok::<(), earmark::Error>(())
/// ```
#[derive(Debug)]
pub struct FeatureStream {
    front_end: FrontEnd,
    sources: Vec<SourceStream>,
    channels: Vec<ChannelStream>,
    n_samples: usize,
}

#[derive(Debug)]
struct ChannelStream {
    source: usize,
    chain: Chain,
    /// Frames that other channels do not have yet.
    ready: Matrix,
}

impl FeatureStream {
    /// For front ends whose every source streams.
    pub(crate) fn new(front_end: &FrontEnd) -> Self {
        let compiled = &front_end.0;
        let channel = |channel: &super::front_end::Channel| ChannelStream {
            source: channel.source,
            chain: Chain::new(&channel.stages),
            ready: Matrix::zeros(front_end.n_bands(), 0),
        };
        Self {
            front_end: front_end.clone(),
            sources: compiled.sources.iter().filter_map(Source::stream).collect(),
            channels: compiled.channels.iter().map(channel).collect(),
            n_samples: 0,
        }
    }

    /// Takes the next samples; returns the frames that they complete, perhaps none.
    ///
    /// # Errors
    /// [`Error::Sample`](crate::Error::Sample) for a sample that is not finite or too large.
    pub fn push(&mut self, samples: &[f32]) -> Result<Features> {
        check_samples(samples, self.n_samples)?;
        self.n_samples += samples.len();
        let matrices: Vec<Matrix> = self.sources.iter_mut().map(|s| s.push(samples)).collect();
        for channel in &mut self.channels {
            let matrix = matrices[channel.source].clone();
            channel.ready.append(channel.chain.push(matrix));
        }
        self.take()
    }

    /// Ends the clip; returns its last frames.
    ///
    /// # Errors
    /// [`Error::ClipTooShort`](crate::Error::ClipTooShort) if the clip gives no frame.
    pub fn finish(mut self) -> Result<Features> {
        // The same check, and the same message, as for a whole clip.
        self.front_end.n_frames(self.n_samples)?;
        let matrices: Result<Vec<Matrix>> = self.sources.iter_mut().map(|s| s.finish()).collect();
        let matrices = matrices?;
        for channel in &mut self.channels {
            let matrix = matrices[channel.source].clone();
            channel.ready.append(channel.chain.finish(matrix));
        }
        self.take()
    }

    /// The frames that every channel has.
    fn take(&mut self) -> Result<Features> {
        let ready = self.channels.iter().map(|channel| channel.ready.n_frames);
        let n_frames = ready.min().unwrap_or(0);
        let channels = self.channels.iter_mut();
        Features::stack(channels.map(|c| c.ready.take_front(n_frames)).collect())
    }
}
