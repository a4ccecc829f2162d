//! A `[band, frame]` matrix, the frame running fastest: what passes between the stages.

use super::lanes::Lanes;

/// Values by band and frame.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Matrix {
    pub(crate) data: Vec<f32>,
    pub(crate) n_bands: usize,
    pub(crate) n_frames: usize,
}

impl Matrix {
    /// A matrix of these values, band by band.
    #[cfg(test)]
    pub(crate) fn of(n_bands: usize, data: &[f32]) -> Self {
        Self {
            n_bands,
            n_frames: data.len() / n_bands,
            data: data.to_vec(),
        }
    }

    pub(crate) fn zeros(n_bands: usize, n_frames: usize) -> Self {
        Self {
            data: vec![0.0; n_bands * n_frames],
            n_bands,
            n_frames,
        }
    }

    /// The frames of one band.
    pub(crate) fn row(&self, band: usize) -> &[f32] {
        &self.data[band * self.n_frames..][..self.n_frames]
    }

    /// The frames of one band.
    pub(crate) fn row_mut(&mut self, band: usize) -> &mut [f32] {
        &mut self.data[band * self.n_frames..][..self.n_frames]
    }

    /// Writes the first `count` lanes of every band to frames `first..first + count`.
    pub(crate) fn write_lanes(&mut self, first: usize, count: usize, bands: &[Lanes]) {
        for (band, lanes) in bands.iter().enumerate() {
            self.row_mut(band)[first..first + count].copy_from_slice(&lanes.0[..count]);
        }
    }

    /// Adds the frames of `other` after the last one.
    pub(crate) fn append(&mut self, other: Self) {
        if self.n_frames == 0 {
            *self = other;
            return;
        }
        if other.n_frames == 0 {
            return;
        }
        let n_frames = self.n_frames + other.n_frames;
        let mut data = Vec::with_capacity(self.n_bands * n_frames);
        for band in 0..self.n_bands {
            data.extend_from_slice(self.row(band));
            data.extend_from_slice(other.row(band));
        }
        self.data = data;
        self.n_frames = n_frames;
    }

    /// Removes and returns the first `count` frames.
    pub(crate) fn take_front(&mut self, count: usize) -> Self {
        if count == self.n_frames {
            let n_bands = self.n_bands;
            return std::mem::replace(self, Self::zeros(n_bands, 0));
        }
        let front = self.columns(0, count);
        *self = self.columns(count, self.n_frames - count);
        front
    }

    /// The bands of these numbers.
    pub(crate) fn rows(&self, bands: &[usize]) -> Self {
        let data = bands.iter().flat_map(|band| self.row(*band));
        Self {
            data: data.copied().collect(),
            n_bands: bands.len(),
            n_frames: self.n_frames,
        }
    }

    /// One frame, `count` times.
    pub(crate) fn repeated(&self, frame: usize, count: usize) -> Self {
        let mut out = Self::zeros(self.n_bands, count);
        for band in 0..self.n_bands {
            out.row_mut(band).fill(self.row(band)[frame]);
        }
        out
    }

    fn columns(&self, first: usize, count: usize) -> Self {
        let mut data = Vec::with_capacity(self.n_bands * count);
        for band in 0..self.n_bands {
            data.extend_from_slice(&self.row(band)[first..first + count]);
        }
        Self {
            data,
            n_bands: self.n_bands,
            n_frames: count,
        }
    }
}
