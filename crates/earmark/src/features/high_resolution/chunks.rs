//! Long clips in overlapping chunks, so that memory and the cost of a sample do not grow with length.
//!
//! A filter at frequency `f` reaches `q / f` samples (one standard deviation) in time. A chunk has,
//! on both sides of the samples that count, as many deviations of the lowest filter as the filters
//! have in frequency, so that what lies beyond it is below their precision. Beyond the clip's ends
//! lies its other end, as for the Fourier transform of the whole clip. What remains of the
//! difference comes from the filters next to half the sample rate, which end there abruptly and ring.

use super::HighResolutionConfig;
use super::points::Span;
use super::scan::smooth_at_least;

/// Clips up to this many samples are analysed in one piece: 48 s at 22.05 kHz.
pub(super) const WHOLE: usize = 1 << 20;

/// The least length of a chunk.
const LENGTH: usize = 1 << 18;

/// A chunk is at least so many margins long.
const MARGINS: usize = 6;

/// A division of a clip.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chunks {
    n_samples: usize,
    /// The length of a chunk.
    length: usize,
    /// The samples before the first one that counts; whole frames.
    margin: usize,
    /// The samples that count, but for the last chunk; whole frames.
    core: usize,
    tdeci: usize,
}

/// One chunk.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chunk {
    /// The sample of the clip at which it begins; before the clip for the first one.
    start: i64,
    pub(super) span: Span,
    /// The clip's frame that is its first one.
    pub(super) first_frame: i64,
}

impl Chunks {
    /// The clip in one piece.
    pub(super) fn whole(n_samples: usize) -> Self {
        Self {
            n_samples,
            length: n_samples,
            margin: 0,
            core: n_samples,
            tdeci: 1,
        }
    }

    /// A division for filters that reach `width` standard deviations.
    pub(super) fn of(config: &HighResolutionConfig, n_samples: usize, width: f64) -> Self {
        match n_samples > WHOLE {
            true => Self::of_length(config, n_samples, width, LENGTH),
            false => Self::whole(n_samples),
        }
    }

    /// A division into chunks of about a length.
    pub(super) fn of_length(
        config: &HighResolutionConfig,
        n_samples: usize,
        width: f64,
        length: usize,
    ) -> Self {
        let tdeci = config.tdeci;
        let reach = (width * config.q / config.minf).ceil() as usize;
        let margin = reach.div_ceil(tdeci) * tdeci;
        let length = smooth_at_least(length.max(MARGINS * margin).max(4 * tdeci));
        if length >= n_samples {
            return Self::whole(n_samples);
        }
        Self {
            n_samples,
            length,
            margin,
            core: (length - 2 * margin) / tdeci * tdeci,
            tdeci,
        }
    }

    /// The number of samples of every chunk.
    pub(super) fn length(&self) -> usize {
        self.length
    }

    pub(super) fn iter(self) -> impl Iterator<Item = Chunk> {
        (0..self.n_samples.div_ceil(self.core)).map(move |index| self.chunk(index * self.core))
    }

    /// The chunk whose samples count from one of the clip's on.
    fn chunk(&self, from: usize) -> Chunk {
        let start = from as i64 - self.margin as i64;
        let n_counting = self.core.min(self.n_samples - from);
        let whole = Span::whole(self.n_samples);
        Chunk {
            start,
            span: Span {
                from: self.margin,
                to: self.margin + n_counting,
                earliest: whole.earliest - start as f64,
                latest: whole.latest - start as f64,
            },
            first_frame: start / self.tdeci as i64,
        }
    }

    /// The samples of a chunk; beyond the clip's ends it goes on at the other end.
    pub(super) fn samples(&self, chunk: &Chunk, clip: &[f32]) -> Vec<f32> {
        let first = chunk.start.rem_euclid(self.n_samples as i64) as usize;
        let round = clip[first..].iter().chain(clip.iter().cycle());
        round.take(self.length).copied().collect()
    }
}
