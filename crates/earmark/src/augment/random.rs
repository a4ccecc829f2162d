//! Random numbers that belong to a clip: (seed, epoch, clip) in, the same draws out on every thread.
//!
//! A [`ClipRng`] is a `ChaCha` stream whose key is the SHA-256 of the seed, the epoch and the clip's
//! identifier. Nothing else enters it, so a clip's augmentation depends neither on the order in
//! which clips are read nor on the number of threads. The distributions are written here, and not
//! taken from a crate, so that an update of a dependency cannot change a training run.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use sha2::{Digest as _, Sha256};

use super::settings::Span;

/// The random stream of one clip in one epoch.
#[derive(Clone, Debug)]
pub struct ClipRng(ChaCha8Rng);

impl ClipRng {
    /// The stream of the clip `clip` in epoch `epoch` of the run with seed `seed`.
    ///
    /// `clip` is whatever names the clip for good, such as its path within the dataset.
    pub fn new(seed: u64, epoch: u64, clip: impl AsRef<[u8]>) -> Self {
        let mut hash = Sha256::new();
        hash.update(seed.to_le_bytes());
        hash.update(epoch.to_le_bytes());
        hash.update(clip.as_ref());
        Self(ChaCha8Rng::from_seed(hash.finalize().into()))
    }

    /// An independent stream of the same clip, for another stage of its way.
    ///
    /// Waveforms and features take different stages, so that a longer chain on one leaves the draws
    /// of the other alone.
    pub fn stage(&self, stage: u64) -> Self {
        let mut rng = self.0.clone();
        rng.set_stream(stage);
        rng.set_word_pos(0);
        Self(rng)
    }

    /// A number in [0, 1), uniform, on a grid of 2⁻²⁴.
    pub fn unit(&mut self) -> f32 {
        (self.0.next_u32() >> 8) as f32 * (1.0 / 16_777_216.0)
    }

    /// A number in [0, 1), uniform, on a grid of 2⁻⁵³.
    pub fn unit_f64(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 * (1.0 / 9_007_199_254_740_992.0)
    }

    /// A number of the span, uniform.
    pub fn uniform(&mut self, span: Span<f32>) -> f32 {
        span.low + (span.high - span.low) * self.unit()
    }

    /// A number of the span, uniform in its logarithm: an octave is as likely as any other.
    ///
    /// Both ends must be positive.
    pub fn log_uniform(&mut self, span: Span<f32>) -> f32 {
        (span.low.ln() + (span.high / span.low).ln() * self.unit()).exp()
    }

    /// A whole number of the span, both ends included.
    pub fn count(&mut self, span: Span<usize>) -> usize {
        span.low + self.index(span.high - span.low + 1)
    }

    /// A whole number below `n`, or 0 if `n` is 0.
    pub fn index(&mut self, n: usize) -> usize {
        ((u128::from(self.0.next_u64()) * n as u128) >> 64) as usize
    }

    /// True with the given probability; never for 0, always for 1.
    pub fn chance(&mut self, probability: f32) -> bool {
        self.unit() < probability
    }

    /// Two independent numbers of the normal distribution with mean 0 and variance 1.
    ///
    /// # Source
    /// G. E. P. Box, M. E. Muller: A note on the generation of random normal deviates, 1958.
    pub fn normal_pair(&mut self) -> (f32, f32) {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        let (sin, cos) = (std::f32::consts::TAU * self.unit()).sin_cos();
        (radius * cos, radius * sin)
    }

    /// A number of the beta distribution with both shapes equal to `alpha`, which must be positive.
    ///
    /// Worked out through logarithms: for small `alpha` the two gamma variates underflow, their
    /// ratio does not.
    pub fn beta(&mut self, alpha: f32) -> f32 {
        let first = self.log_gamma(f64::from(alpha));
        let second = self.log_gamma(f64::from(alpha));
        (1.0 / (1.0 + (second - first).exp())) as f32
    }

    /// The logarithm of a number of the gamma distribution with scale 1.
    ///
    /// # Source
    /// G. Marsaglia, W. W. Tsang: A simple method for generating gamma variables, 2000; section 6
    /// for shapes below 1.
    fn log_gamma(&mut self, shape: f64) -> f64 {
        if shape < 1.0 {
            let power = (1.0 - self.unit_f64()).ln() / shape;
            return self.log_gamma(shape + 1.0) + power;
        }
        let d = shape - 1.0 / 3.0;
        let c = 1.0 / (9.0 * d).sqrt();
        loop {
            let x = f64::from(self.normal_pair().0);
            let v = (1.0 + c * x).powi(3);
            if v <= 0.0 {
                continue;
            }
            let u = 1.0 - self.unit_f64();
            if u.ln() < 0.5 * x * x + d - d * v + d * v.ln() {
                return d.ln() + v.ln();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draws(rng: &mut ClipRng) -> Vec<f32> {
        (0..8).map(|_| rng.unit()).collect()
    }

    #[test]
    fn seed_epoch_and_clip_each_change_the_stream() {
        let base = draws(&mut ClipRng::new(1, 2, "dog.wav"));
        assert_eq!(base, draws(&mut ClipRng::new(1, 2, "dog.wav")));
        assert_ne!(base, draws(&mut ClipRng::new(2, 2, "dog.wav")));
        assert_ne!(base, draws(&mut ClipRng::new(1, 3, "dog.wav")));
        assert_ne!(base, draws(&mut ClipRng::new(1, 2, "cat.wav")));
    }

    #[test]
    fn stages_are_independent_of_what_was_drawn_before() {
        let mut rng = ClipRng::new(1, 2, "dog.wav");
        let before = draws(&mut rng.stage(1));
        rng.normal_pair();
        assert_eq!(before, draws(&mut rng.stage(1)));
        assert_ne!(before, draws(&mut rng.stage(2)));
    }

    #[test]
    fn beta_has_the_mean_and_the_variance_of_its_formula() {
        // Variance of Beta(α, α) is 1 / (4 (2α + 1)).
        for alpha in [0.1_f32, 0.4, 1.0, 3.0] {
            let mut rng = ClipRng::new(3, 0, "beta");
            let values: Vec<f64> = (0..20_000).map(|_| f64::from(rng.beta(alpha))).collect();
            let mean = values.iter().sum::<f64>() / 20_000.0;
            let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 20_000.0;
            let expected = 1.0 / (4.0 * (2.0 * f64::from(alpha) + 1.0));
            assert!((mean - 0.5).abs() < 0.015, "alpha {alpha}: mean {mean}");
            assert!(
                (variance / expected - 1.0).abs() < 0.05,
                "alpha {alpha}: variance {variance}"
            );
        }
    }

    #[test]
    fn normal_numbers_have_unit_variance() {
        let mut rng = ClipRng::new(4, 0, "normal");
        let power: f32 = (0..20_000)
            .map(|_| rng.normal_pair())
            .map(|(a, b)| a * a + b * b)
            .sum();
        assert!((power / 40_000.0 - 1.0).abs() < 0.03);
    }

    #[test]
    fn counts_reach_both_ends_and_chances_keep_theirs() {
        let mut rng = ClipRng::new(5, 0, "count");
        let mut seen = [false; 3];
        for _ in 0..100 {
            seen[rng.count(Span::new(0, 2))] = true;
            assert!(rng.chance(1.0));
            assert!(!rng.chance(0.0));
        }
        assert_eq!(seen, [true; 3]);
    }
}
