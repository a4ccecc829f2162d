//! Second-order filters after the audio EQ cookbook.

use serde::{Deserialize, Serialize};

use crate::augment::settings::check_choices;
use crate::augment::{Context, Span};
use crate::{Error, Result};

/// Filters the clip with one second-order section of a random kind, frequency, width and gain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Filter {
    /// The kinds to choose from; default low-pass, high-pass, both shelves and peaking.
    pub filters: Vec<FilterKind>,
    /// Corner or centre frequency in Hz, uniform in octaves, above 0 and below half the sample
    /// rate; default `[100, 6000]`, of which only what is below 0.45 times the sample rate is used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hz: Option<Span<f32>>,
    /// The quality factor, uniform in its logarithm, 0.05 to 50; default `[0.5, 1.5]`. 0.7071 is a
    /// Butterworth response; a high value is a narrow peak, or a resonance at the corner.
    pub q: Span<f32>,
    /// The gain of shelves and peaks in dB, uniform, -60 to 60; default `[-12, 12]`. Others have
    /// none.
    pub gain_db: Span<f32>,
}

/// The shape of a filter's response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FilterKind {
    /// Passes what is below the corner; 12 dB less per octave above.
    LowPass,
    /// Passes what is above the corner; 12 dB less per octave below.
    HighPass,
    /// Passes what is around the centre, with a gain of 1 there.
    BandPass,
    /// Takes away what is around the centre.
    Notch,
    /// Raises or lowers everything below the corner by the gain.
    LowShelf,
    /// Raises or lowers everything above the corner by the gain.
    HighShelf,
    /// Raises or lowers what is around the centre by the gain.
    Peaking,
}

impl Default for Filter {
    fn default() -> Self {
        use FilterKind::{HighPass, HighShelf, LowPass, LowShelf, Peaking};
        Self {
            filters: vec![LowPass, HighPass, LowShelf, HighShelf, Peaking],
            hz: None,
            q: Span::new(0.5, 1.5),
            gain_db: Span::new(-12.0, 12.0),
        }
    }
}

impl Filter {
    fn hz_at(&self, sample_rate: u32) -> Span<f32> {
        let most = 0.45 * sample_rate as f32;
        self.hz
            .unwrap_or(Span::new(f32::min(100.0, most), f32::min(6000.0, most)))
    }

    pub(super) fn check(&self, at: &str, sample_rate: u32) -> Result<()> {
        check_choices(at, "filters", &self.filters)?;
        self.q.check(at, "q", 0.05, 50.0)?;
        self.gain_db.check(at, "gain_db", -60.0, 60.0)?;
        let Span { low, high } = self.hz_at(sample_rate);
        if low > 0.0 && low <= high && high < sample_rate as f32 / 2.0 {
            return Ok(());
        }
        Err(Error::Config {
            key: format!("{at}.hz"),
            found: format!("[{low}, {high}]"),
            expected: format!(
                "must be a range [low, high] above 0 and below half the sample rate, {} Hz",
                sample_rate as f32 / 2.0
            ),
        })
    }

    pub(super) fn apply(&self, samples: &mut [f32], context: &mut Context<'_>) {
        let rng = &mut *context.rng;
        let sample_rate = context.material.sample_rate;
        let kind = self.filters[rng.index(self.filters.len())];
        let hz = rng.log_uniform(self.hz_at(sample_rate));
        let q = rng.log_uniform(self.q);
        let gain_db = rng.uniform(self.gain_db);
        Biquad::new(kind, [hz, q, gain_db].map(f64::from), sample_rate).filter(samples);
    }
}

/// The coefficients of a second-order section
/// `H(z) = (b0 + b1 z⁻¹ + b2 z⁻²) / (1 + a1 z⁻¹ + a2 z⁻²)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Biquad {
    /// The numerator b0, b1, b2.
    pub b: [f64; 3],
    /// The denominator's a1, a2.
    pub a: [f64; 2],
}

impl Biquad {
    /// The section of a kind for `[frequency in Hz, q, gain in dB]` at a sample rate in Hz.
    ///
    /// # Source
    /// R. Bristow-Johnson: Cookbook formulae for audio equalizer biquad filter coefficients.
    pub fn new(kind: FilterKind, [hz, q, gain_db]: [f64; 3], sample_rate: u32) -> Self {
        let (sin, cos) = (std::f64::consts::TAU * hz / f64::from(sample_rate)).sin_cos();
        let alpha = sin / (2.0 * q);
        let gain = 10.0_f64.powf(gain_db / 40.0);
        let root = 2.0 * gain.sqrt() * alpha;
        let (b, a) = match kind {
            FilterKind::LowPass => (
                [(1.0 - cos) / 2.0, 1.0 - cos, (1.0 - cos) / 2.0],
                [1.0 + alpha, -2.0 * cos, 1.0 - alpha],
            ),
            FilterKind::HighPass => (
                [(1.0 + cos) / 2.0, -(1.0 + cos), (1.0 + cos) / 2.0],
                [1.0 + alpha, -2.0 * cos, 1.0 - alpha],
            ),
            FilterKind::BandPass => ([alpha, 0.0, -alpha], [1.0 + alpha, -2.0 * cos, 1.0 - alpha]),
            FilterKind::Notch => (
                [1.0, -2.0 * cos, 1.0],
                [1.0 + alpha, -2.0 * cos, 1.0 - alpha],
            ),
            FilterKind::Peaking => (
                [1.0 + alpha * gain, -2.0 * cos, 1.0 - alpha * gain],
                [1.0 + alpha / gain, -2.0 * cos, 1.0 - alpha / gain],
            ),
            FilterKind::LowShelf => shelf(gain, cos, root),
            FilterKind::HighShelf => {
                // The high shelf is the low shelf mirrored at half of Nyquist: cos changes its sign
                // and so do the odd coefficients.
                let (b, a) = shelf(gain, -cos, root);
                ([b[0], -b[1], b[2]], [a[0], -a[1], a[2]])
            }
        };
        Self {
            b: b.map(|c| c / a[0]),
            a: [a[1] / a[0], a[2] / a[0]],
        }
    }

    /// Filters in place, from rest.
    pub fn filter(&self, samples: &mut [f32]) {
        let [b0, b1, b2] = self.b;
        let [a1, a2] = self.a;
        let (mut s1, mut s2) = (0.0_f64, 0.0_f64);
        for sample in samples {
            let input = f64::from(*sample);
            let output = b0 * input + s1;
            s1 = b1 * input - a1 * output + s2;
            s2 = b2 * input - a2 * output;
            *sample = output as f32;
        }
    }
}

/// The cookbook's low shelf.
fn shelf(gain: f64, cos: f64, root: f64) -> ([f64; 3], [f64; 3]) {
    let (up, down) = (gain + 1.0, gain - 1.0);
    (
        [
            gain * (up - down * cos + root),
            2.0 * gain * (down - up * cos),
            gain * (up - down * cos - root),
        ],
        [
            up + down * cos + root,
            -2.0 * (down + up * cos),
            up + down * cos - root,
        ],
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::augment::scratch::mean_power;
    use crate::augment::waveform::tests::{apply_at, sine};

    /// What a sine of `hz` comes out as, in dB, measured after the filter has settled.
    fn response_db(biquad: &Biquad, hz: f64) -> f64 {
        let mut samples = sine(hz, 1.0, 48_000);
        let before = mean_power(&samples[24_000..]);
        biquad.filter(&mut samples);
        10.0 * (mean_power(&samples[24_000..]) / before).log10()
    }

    #[test]
    fn responses_are_the_textbook_ones() {
        use FilterKind::*;
        // Analogue prototypes at the corner, far below and far above; 12 dB per octave.
        let butterworth = 0.5_f64.sqrt();
        let cases = [
            (LowPass, 0.0, [0.0, -3.0103, -40.0]),
            (HighPass, 0.0, [-40.0, -3.0103, 0.0]),
            (BandPass, 0.0, [-17.0, 0.0, -17.0]),
            (LowShelf, 9.0, [9.0, 4.5, 0.0]),
            (HighShelf, 9.0, [0.0, 4.5, 9.0]),
            (LowShelf, -9.0, [-9.0, -4.5, 0.0]),
            (Peaking, 6.0, [0.0, 6.0, 0.0]),
        ];
        for (kind, gain_db, [below, corner, above]) in cases {
            let biquad = Biquad::new(kind, [1000.0, butterworth, gain_db], 48_000);
            let measured = [100.0, 1000.0, 10_000.0].map(|hz| response_db(&biquad, hz));
            // The bilinear transform bends the top of the range: 3 dB there at 10 kHz.
            assert!((measured[0] - below).abs() < 0.3, "{kind:?} {measured:?}");
            assert!((measured[1] - corner).abs() < 0.01, "{kind:?} {measured:?}");
            assert!((measured[2] - above).abs() < 5.0, "{kind:?} {measured:?}");
        }
        let notch = Biquad::new(Notch, [1000.0, 1.0, 0.0], 48_000);
        assert!(response_db(&notch, 1000.0) < -80.0);
    }

    #[test]
    fn a_corner_above_nyquist_is_refused() {
        let filter = Filter {
            hz: Some(Span::new(100.0, 5000.0)),
            ..Filter::default()
        };
        assert!(filter.check("w[0]", 8000).is_err());
        assert!(filter.check("w[0]", 16_000).is_ok());
        assert!(Filter::default().check("w[0]", 8000).is_ok());
    }

    #[test]
    fn every_draw_is_stable() {
        let mut samples = sine(500.0, 0.5, 8000);
        for _ in 0..20 {
            apply_at(8000, |context| {
                Filter::default().apply(&mut samples, context);
            });
        }
        assert!(samples.iter().all(|s| s.is_finite()));
    }
}
