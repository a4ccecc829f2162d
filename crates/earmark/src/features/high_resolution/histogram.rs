//! The histogram that reassigned energy is collected in.

use super::HighResolutionConfig;

/// Energy over time and frequency.
#[derive(Debug, Clone, PartialEq)]
pub struct EnergyHistogram {
    /// The energy, `[frame, band]`. Band 0 is at `maxf`, the last one at `minf`.
    pub energy: Vec<f64>,
    /// The (weighted) number of points that fell into each cell, `[frame, band]`.
    pub counts: Vec<f64>,
    /// The number of frames.
    pub n_frames: usize,
    /// The number of bands.
    pub n_bands: usize,
}

impl EnergyHistogram {
    pub(super) fn new(config: &HighResolutionConfig, n_samples: usize) -> Self {
        let (n_frames, n_bands) = (config.n_frames(n_samples), config.n_bands());
        Self {
            energy: vec![0.0; n_frames * n_bands],
            counts: vec![0.0; n_frames * n_bands],
            n_frames,
            n_bands,
        }
    }

    /// Adds a point; points outside of the histogram are ignored.
    #[inline(always)]
    pub(super) fn add(&mut self, frame: usize, band: usize, energy: f64, weight: f64) {
        if frame < self.n_frames && band < self.n_bands {
            let cell = frame * self.n_bands + band;
            self.energy[cell] += energy * weight;
            self.counts[cell] += weight;
        }
    }

    /// Adds a point that stands for one sample to a cell; cells outside of the histogram are ignored.
    #[inline(always)]
    pub(super) fn add_to(&mut self, cell: usize, energy: f64) {
        if let Some((sum, count)) = self.energy.get_mut(cell).zip(self.counts.get_mut(cell)) {
            *sum += energy;
            *count += 1.0;
        }
    }

    /// Adds a histogram whose frame 0 is this one's frame `first`; frames outside are ignored.
    pub(super) fn merge(&mut self, other: &Self, first: i64) {
        let n_cells = self.energy.len() as i64;
        let start = first * self.n_bands as i64;
        let from = (-start).clamp(0, other.energy.len() as i64) as usize;
        let to = (n_cells - start).clamp(from as i64, other.energy.len() as i64) as usize;
        let at = (start + from as i64).clamp(0, n_cells) as usize;
        let add = |sums: &mut [f64], values: &[f64]| {
            let cells = sums[at..].iter_mut().zip(&values[from..to]);
            cells.for_each(|(sum, value)| *sum += value);
        };
        add(&mut self.energy, &other.energy);
        add(&mut self.counts, &other.counts);
    }

    /// Clears cells that few points fell into: fewer than the root of the largest count.
    pub fn drop_unsupported_cells(&mut self) {
        let most = self.counts.iter().copied().fold(0.0, f64::max);
        let needed = most.sqrt();
        for (energy, count) in self.energy.iter_mut().zip(&self.counts) {
            if *count < needed {
                *energy = 0.0;
            }
        }
    }
}
