//! Coloured noise at a signal-to-noise ratio.

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::augment::scratch::{Scratch, mean_power};
use crate::augment::settings::check_choices;
use crate::augment::{ClipRng, Context, Span};

/// Adds Gaussian noise whose power falls or rises with frequency, at a ratio to the clip's power.
///
/// The signal-to-noise ratio is that of the mean powers over the whole clip, and holds exactly. A
/// clip without any sound has no such ratio and stays silent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Noise {
    /// The signal-to-noise ratio in dB, uniform, -60 to 120; default `[10, 40]`.
    pub snr_db: Span<f32>,
    /// The colours to choose from; default all five.
    pub colours: Vec<Colour>,
}

/// How the power of noise goes with frequency. Below 20 Hz all are flat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Colour {
    /// The same power at each frequency: hiss.
    White,
    /// 3 dB less per octave: rain.
    Pink,
    /// 6 dB less per octave: a far rumble.
    Brown,
    /// 3 dB more per octave.
    Blue,
    /// 6 dB more per octave: a sharp hiss.
    Violet,
}

/// Below this frequency in Hz the power stays the same: nobody hears it, and brown noise would
/// consist of it.
const FLAT_BELOW_HZ: f32 = 20.0;

impl Default for Noise {
    fn default() -> Self {
        Self {
            snr_db: Span::new(10.0, 40.0),
            colours: Colour::ALL.to_vec(),
        }
    }
}

impl Colour {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::White,
        Self::Pink,
        Self::Brown,
        Self::Blue,
        Self::Violet,
    ];

    /// The name in configurations.
    pub fn name(self) -> &'static str {
        match self {
            Self::White => "white",
            Self::Pink => "pink",
            Self::Brown => "brown",
            Self::Blue => "blue",
            Self::Violet => "violet",
        }
    }

    /// `n_samples` of Gaussian noise of this colour, of no particular level.
    pub fn noise(self, n_samples: usize, sample_rate: u32, rng: &mut ClipRng) -> Vec<f32> {
        let mut scratch = Scratch::default();
        self.fill(n_samples, sample_rate, rng, &mut scratch);
        scratch.first
    }

    /// The power of the frequency that the noise's amplitude goes with.
    fn exponent(self) -> f32 {
        match self {
            Self::White => 0.0,
            Self::Pink => -0.5,
            Self::Brown => -1.0,
            Self::Blue => 0.5,
            Self::Violet => 1.0,
        }
    }

    /// Fills `scratch.first` with `n` samples of noise of no particular level.
    ///
    /// Every bin of the spectrum is drawn at its level and transformed back: the slope holds over
    /// the whole range, which filters of a few poles only come near to.
    fn fill(self, n: usize, sample_rate: u32, rng: &mut ClipRng, scratch: &mut Scratch) {
        let n_fft = n.next_power_of_two().max(2);
        let bin_hz = sample_rate as f32 / n_fft as f32;
        let exponent = self.exponent();
        scratch.spectrum.clear();
        scratch.spectrum.extend((0..=n_fft / 2).map(|bin| {
            let hz = (bin as f32 * bin_hz).max(FLAT_BELOW_HZ);
            let level = (hz / 1000.0).powf(exponent);
            let (re, im) = rng.normal_pair();
            realfft::num_complex::Complex::new(level * re, level * im)
        }));
        scratch.first.resize(n_fft, 0.0);
        scratch
            .transforms
            .inverse(&mut scratch.spectrum, &mut scratch.first);
        scratch.first.truncate(n);
    }
}

impl Noise {
    pub(super) fn check(&self, at: &str) -> Result<()> {
        check_choices(at, "colours", &self.colours)?;
        self.snr_db.check(at, "snr_db", -60.0, 120.0)
    }

    pub(super) fn apply(&self, samples: &mut [f32], context: &mut Context<'_>) {
        let snr_db = context.rng.uniform(self.snr_db);
        let colour = self.colours[context.rng.index(self.colours.len())];
        let sample_rate = context.material.sample_rate;
        colour.fill(samples.len(), sample_rate, context.rng, context.scratch);
        add_at_snr(samples, &context.scratch.first, snr_db);
    }
}

/// Adds `noise` to `samples`, scaled so that the ratio of their mean powers is `snr_db`.
pub(super) fn add_at_snr(samples: &mut [f32], noise: &[f32], snr_db: f32) {
    let noise_power = mean_power(noise);
    if noise_power == 0.0 {
        return;
    }
    let wanted = mean_power(samples) / 10.0_f64.powf(f64::from(snr_db) / 10.0);
    let gain = (wanted / noise_power).sqrt() as f32;
    for (sample, noise) in samples.iter_mut().zip(noise) {
        *sample += gain * noise;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::augment::waveform::tests::{apply_at, sine};

    #[test]
    fn the_ratio_is_the_promised_one() {
        for colour in Noise::default().colours {
            let clean = sine(440.0, 1.0, 16_000);
            let mut noisy = clean.clone();
            let noise = Noise {
                snr_db: Span::new(7.0, 7.0),
                colours: vec![colour],
            };
            apply_at(16_000, |context| noise.apply(&mut noisy, context));
            let added: Vec<f32> = noisy.iter().zip(&clean).map(|(a, b)| a - b).collect();
            let snr = 10.0 * (mean_power(&clean) / mean_power(&added)).log10();
            assert!((snr - 7.0).abs() < 1e-3, "{colour:?}: {snr} dB");
        }
    }

    #[test]
    fn colours_have_their_slopes() {
        // Mean power around 4 kHz over that around 500 Hz, three octaves below.
        let expected = [0.0, -9.03, -18.06, 9.03, 18.06];
        for (colour, expected) in Noise::default().colours.into_iter().zip(expected) {
            let mut scratch = Scratch::default();
            let mut rng = ClipRng::new(1, 0, "slope");
            colour.fill(1 << 16, 16_000, &mut rng, &mut scratch);
            let mut spectrum = Vec::new();
            let mut noise = scratch.first.clone();
            scratch.transforms.forward(&mut noise, &mut spectrum);
            let power_around = |hz: f64| {
                let bin = |hz: f64| (hz * 65_536.0 / 16_000.0) as usize;
                let band = &spectrum[bin(hz * 0.9)..bin(hz / 0.9)];
                band.iter().map(|c| f64::from(c.norm_sqr())).sum::<f64>() / band.len() as f64
            };
            let slope = 10.0 * (power_around(4000.0) / power_around(500.0)).log10();
            assert!((slope - expected).abs() < 0.5, "{colour:?}: {slope} dB");
        }
    }

    #[test]
    fn silence_and_nothing_stay_what_they_are() {
        let mut silence = vec![0.0; 100];
        apply_at(8000, |context| {
            Noise::default().apply(&mut silence, context);
        });
        assert_eq!(silence, [0.0; 100]);
        apply_at(8000, |context| Noise::default().apply(&mut [], context));
    }
}
