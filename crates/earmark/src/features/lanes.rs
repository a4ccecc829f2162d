//! A handful of frames side by side.
//!
//! Spectra are transposed into `[bin]` arrays of [`Lanes`], one frame per lane. Loops over the lanes
//! have a fixed length, so the compiler makes vector instructions of them without any `unsafe`.

/// The number of frames that are worked on together.
pub(crate) const N_LANES: usize = 8;

/// One value of each of [`N_LANES`] frames.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Lanes(pub(crate) [f32; N_LANES]);

impl Lanes {
    /// Adds `weight · other`, lane by lane.
    #[inline(always)]
    pub(crate) fn add_scaled(&mut self, weight: f32, other: &Self) {
        for (sum, value) in self.0.iter_mut().zip(&other.0) {
            *sum += weight * value;
        }
    }
}
