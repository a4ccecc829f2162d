//! Changes the sample rate by a fixed ratio, block by block.
//!
//! The filter is rubato's synchronous FFT resampler: the spectrum of one block is multiplied by
//! the transform of a windowed sinc (squared Blackman-Harris) and cut or extended to the other
//! rate, which is exact overlap-add convolution. `tests/integration/resample.rs` holds what follows:
//!
//! * **length**: `n` samples at rate `a` become exactly `round(n · b / a)` samples at rate `b`;
//! * **delay**: none, sample 0 stays at time 0; before and after the recording there is silence;
//! * **pass band**: flat within 0.001 dB up to 0.95 of the lower Nyquist frequency, where a sine
//!   comes out as the same sine to 105 dB (measured: 112 dB or more);
//! * **stop band**: from the lower Nyquist frequency plus 2 % of the way to the upper on, a sine is
//!   125 dB down (measured: 133 dB or more);
//! * **block sizes** of the input do not change the output.

use rubato::audioadapter_buffers::direct::SequentialSliceOfVecs;
use rubato::{Fft, FixedSync, Resampler as _, WindowFunction};

use crate::{Error, Result};

/// The filter's wished length in samples at the lower rate; longer is steeper and, up to a few
/// thousand, not slower.
const FILTER_LEN: usize = 1024;

/// Resamples planar blocks from one rate to another; one filter state per channel.
pub struct Resampler {
    fft: Fft<f32>,
    from: u64,
    to: u64,
    /// Input waiting for a whole FFT block, `[channel][sample]`.
    pending: Vec<Vec<f32>>,
    scratch: Vec<Vec<f32>>,
    /// Output samples still to drop: the filter's delay.
    delay: usize,
    n_in: u64,
    n_out: u64,
}

impl std::fmt::Debug for Resampler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resampler")
            .field("from", &self.from)
            .field("to", &self.to)
            .field("n_channels", &self.pending.len())
            .finish_non_exhaustive()
    }
}

impl Resampler {
    /// A resampler from rate `from` to rate `to`, both in Hz, for `n_channels` channels.
    ///
    /// # Errors
    /// [`Error::Config`] if a rate or the number of channels is 0.
    pub fn new(from: u32, to: u32, n_channels: usize) -> Result<Self> {
        for (key, value) in [("source rate", from), ("sample_rate", to)] {
            if value == 0 {
                return Err(Error::Config {
                    key: key.to_owned(),
                    found: "0 Hz".to_owned(),
                    expected: "must be at least 1 Hz".to_owned(),
                });
            }
        }
        let (rate_in, rate_out) = (from as usize, to as usize);
        let chunk = chunk_len(rate_in, rate_out);
        let fft = Fft::new_custom(
            rate_in,
            rate_out,
            chunk,
            1,
            n_channels,
            WindowFunction::BlackmanHarris2,
            FixedSync::Both,
        )
        .map_err(|error| Error::Config {
            key: "sample_rate".to_owned(),
            found: format!("{from} Hz to {to} Hz"),
            expected: format!("no such resampler: {error}"),
        })?;
        let n_out = fft.output_frames_max();
        Ok(Self {
            delay: fft.output_delay(),
            fft,
            from: u64::from(from),
            to: u64::from(to),
            pending: vec![Vec::new(); n_channels],
            scratch: vec![vec![0.0; n_out]; n_channels],
            n_in: 0,
            n_out: 0,
        })
    }

    /// Takes a block and appends what is finished to `out`, `[channel][sample]`.
    ///
    /// # Panics
    /// If the number of channels is another than at construction.
    pub fn process(&mut self, block: &[Vec<f32>], out: &mut [Vec<f32>]) {
        assert_eq!(block.len(), self.pending.len(), "channels of the block");
        for (pending, samples) in self.pending.iter_mut().zip(block) {
            pending.extend_from_slice(samples);
        }
        self.n_in += block.first().map_or(0, Vec::len) as u64;
        self.run(u64::MAX, out);
    }

    /// Appends the rest to `out` after the last block, up to the exact length.
    pub fn finish(&mut self, out: &mut [Vec<f32>]) {
        let n_total = resampled_len(self.n_in, self.from, self.to);
        while self.n_out < n_total {
            let n_before = self.pending.first().map_or(0, Vec::len);
            let n_chunk = self.fft.input_frames_next();
            for pending in &mut self.pending {
                pending.resize(n_before.next_multiple_of(n_chunk).max(n_chunk), 0.0);
            }
            self.run(n_total, out);
        }
    }

    /// Processes all whole chunks that are pending and stops at `n_total` output samples.
    fn run(&mut self, n_total: u64, out: &mut [Vec<f32>]) {
        let (n_chunk, n_result) = (self.fft.input_frames_next(), self.fft.output_frames_next());
        let n_channels = self.pending.len();
        let n_pending = self.pending.first().map_or(0, Vec::len);
        let n_chunks = n_pending / n_chunk;
        for i in 0..n_chunks {
            let indexing = rubato::Indexing::new().input_offset(i * n_chunk);
            let input = SequentialSliceOfVecs::new(&self.pending[..], n_channels, n_pending)
                .expect("pending holds n_pending samples per channel");
            let mut output =
                SequentialSliceOfVecs::new_mut(&mut self.scratch[..], n_channels, n_result)
                    .expect("scratch holds one result per channel");
            self.fft
                .process_into_buffer(&input, &mut output, Some(&indexing))
                .expect("both buffers have the sizes that the resampler asks for");
            let first = self.delay.min(n_result);
            self.delay -= first;
            let wanted = usize::try_from(n_total - self.n_out).unwrap_or(usize::MAX);
            let last = n_result.min(first.saturating_add(wanted));
            for (to, from) in out.iter_mut().zip(&self.scratch) {
                to.extend_from_slice(&from[first..last]);
            }
            self.n_out += (last - first) as u64;
        }
        for pending in &mut self.pending {
            pending.drain(..n_chunks * n_chunk);
        }
    }
}

/// Resamples a whole mono waveform: `round(n · to / from)` samples.
///
/// # Errors
/// [`Error::Config`] if a rate is 0.
pub fn resample(samples: &[f32], from: u32, to: u32) -> Result<Vec<f32>> {
    if from == to {
        return Ok(samples.to_vec());
    }
    let mut resampler = Resampler::new(from, to, 1)?;
    let mut out = vec![Vec::new()];
    resampler.process(&[samples.to_vec()], &mut out);
    resampler.finish(&mut out);
    Ok(out.pop().unwrap_or_default())
}

/// `round(n · to / from)`, ties upwards.
fn resampled_len(n: u64, from: u64, to: u64) -> u64 {
    let exact = (u128::from(n) * u128::from(to) * 2 + u128::from(from)) / (u128::from(from) * 2);
    u64::try_from(exact).unwrap_or(u64::MAX)
}

/// The FFT block in input samples: an even multiple of the ratio's smallest block on both sides, so
/// that the filter's centre, and with it the delay, is a whole number of samples.
fn chunk_len(rate_in: usize, rate_out: usize) -> usize {
    let divisor = gcd(rate_in, rate_out);
    let (block_in, block_out) = (rate_in / divisor, rate_out / divisor);
    let n_blocks = FILTER_LEN.div_ceil(block_in.min(block_out));
    block_in * n_blocks.next_multiple_of(2)
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_rounded_to_the_nearest_sample() {
        assert_eq!(resampled_len(220_500, 44_100, 32_000), 160_000);
        assert_eq!(resampled_len(1, 44_100, 32_000), 1);
        assert_eq!(resampled_len(1, 48_000, 16_000), 0);
        assert_eq!(resampled_len(3, 2, 1), 2);
        assert_eq!(resampled_len(u64::MAX, 1, 2), u64::MAX);
    }

    #[test]
    fn a_rate_of_zero_is_refused() {
        let error = Resampler::new(0, 16_000, 1).expect_err("0 Hz");
        assert_eq!(
            error.to_string(),
            "source rate is 0 Hz, must be at least 1 Hz"
        );
    }
}
