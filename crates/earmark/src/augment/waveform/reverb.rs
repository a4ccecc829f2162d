//! Rooms: the clip as heard through an impulse response.

use serde::{Deserialize, Serialize};

use super::convolve::convolve_with;
use crate::augment::scratch::{gain_from_db, mean_power};
use crate::augment::{ClipRng, Context, Material, Span};
use crate::{Error, Result};

/// Puts the clip into a room. Its length and its mean power stay.
///
/// The response's largest value is taken for the direct sound, and what comes before it is left
/// out, so that the clip is not delayed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Reverb {
    /// Where the impulse response comes from; default `synthetic`.
    pub source: ResponseSource,
    /// For synthetic rooms, the seconds in which the reverberation falls by 60 dB, uniform in its
    /// logarithm, 0.01 to 10; default `[0.15, 1.0]`.
    pub rt60_secs: Span<f32>,
    /// For synthetic rooms, the ratio of the direct sound to the reverberation in dB, uniform, -60
    /// to 60; default `[-3, 12]`. Low values are far from the source.
    pub direct_db: Span<f32>,
}

/// Where [`Reverb`] takes its impulse responses from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResponseSource {
    /// [`decaying_response`], another one for each clip.
    #[default]
    Synthetic,
    /// [`Material::impulse_responses`], each as likely as any other.
    Measured,
}

impl Default for Reverb {
    fn default() -> Self {
        Self {
            source: ResponseSource::Synthetic,
            rt60_secs: Span::new(0.15, 1.0),
            direct_db: Span::new(-3.0, 12.0),
        }
    }
}

impl Reverb {
    pub(super) fn check(&self, at: &str, material: &Material) -> Result<()> {
        let measured = material.impulse_responses.as_ref();
        if self.source == ResponseSource::Measured && measured.is_none_or(|s| s.n_sounds() == 0) {
            return Err(Error::Config {
                key: format!("{at}.source"),
                found: "`measured` without impulse responses".to_owned(),
                expected: "needs at least one impulse response".to_owned(),
            });
        }
        self.rt60_secs.check(at, "rt60_secs", 0.01, 10.0)?;
        self.direct_db.check(at, "direct_db", -60.0, 60.0)
    }

    pub(super) fn apply(&self, samples: &mut [f32], context: &mut Context<'_>) -> Result<()> {
        let power = mean_power(samples);
        match (self.source, &context.material.impulse_responses) {
            (ResponseSource::Measured, Some(responses)) => {
                let response = responses.samples(context.rng.index(responses.n_sounds()))?;
                let direct = (0..response.len())
                    .max_by(|&a, &b| response[a].abs().total_cmp(&response[b].abs()));
                let response = &response[direct.unwrap_or(0)..];
                convolve_with(&mut context.scratch.transforms, samples, response);
            }
            _ => {
                let rt60_secs = context.rng.log_uniform(self.rt60_secs);
                let direct_db = context.rng.uniform(self.direct_db);
                let sample_rate = context.material.sample_rate;
                let response = decaying_response(rt60_secs, direct_db, sample_rate, context.rng);
                convolve_with(&mut context.scratch.transforms, samples, &response);
            }
        }
        let heard = mean_power(samples);
        if heard > 0.0 {
            let gain = (power / heard).sqrt() as f32;
            samples.iter_mut().for_each(|sample| *sample *= gain);
        }
        Ok(())
    }
}

/// The impulse response of a made-up room: the direct sound, then noise that dies away.
///
/// `rt60_secs` is the time in which the noise falls by 60 dB, and the response's length;
/// `direct_db` is the ratio of the direct sound's energy to the noise's. The noise begins 2 to
/// 20 ms after the direct sound and is dulled by a low-pass at 2 to 10 kHz, as by walls and air.
///
/// # Source
/// J. A. Moorer: About this reverberation business, 1979: exponentially decaying white noise as the
/// response of a concert hall.
pub fn decaying_response(
    rt60_secs: f32,
    direct_db: f32,
    sample_rate: u32,
    rng: &mut ClipRng,
) -> Vec<f32> {
    let rate = sample_rate as f32;
    let n = ((rt60_secs * rate) as usize).max(2);
    let delay = (rng.uniform(Span::new(0.002, 0.02)) * rate) as usize;
    let corner_hz = rng.log_uniform(Span::new(2000.0, 10_000.0));
    let pole = (-std::f32::consts::TAU * corner_hz / rate).exp();
    // Amplitude falls to a thousandth, 60 dB, in rt60.
    let fall = 0.001_f32.powf(1.0 / n as f32);
    let mut response = vec![0.0; delay.max(1) + n];
    let (mut level, mut dulled) = (1.0_f32, 0.0_f32);
    for pair in response[delay.max(1)..].chunks_mut(2) {
        let (first, second) = rng.normal_pair();
        for (sample, noise) in pair.iter_mut().zip([first, second]) {
            dulled = noise + pole * (dulled - noise);
            *sample = level * dulled;
            level *= fall;
        }
    }
    let energy: f32 = response.iter().map(|s| s * s).sum();
    let gain = gain_from_db(-direct_db) / energy.sqrt().max(f32::MIN_POSITIVE);
    response.iter_mut().for_each(|sample| *sample *= gain);
    response[0] = 1.0;
    response
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::augment::waveform::tests::{apply_at, apply_with, sine};

    #[test]
    fn the_room_decays_in_the_stated_time_at_the_stated_ratio() {
        let mut rng = ClipRng::new(1, 0, "room");
        let response = decaying_response(0.8, 3.0, 16_000, &mut rng);
        let energy =
            |from: usize| -> f64 { response[from..].iter().map(|s| f64::from(*s).powi(2)).sum() };
        assert!((-10.0 * energy(1).log10() - 3.0).abs() < 0.01);
        // Schroeder's backward integral between 100 ms and 400 ms, out of the way of both ends.
        let fall = 10.0 * (energy(1600) / energy(6400)).log10();
        let rt60 = 0.3 * 60.0 / fall;
        assert!((rt60 - 0.8).abs() < 0.08, "{rt60} s");
    }

    #[test]
    fn length_and_power_stay_and_silence_too() {
        let mut samples = sine(440.0, 0.5, 16_000);
        let before = mean_power(&samples);
        apply_at(16_000, |context| {
            Reverb::default().apply(&mut samples, context)
        })
        .unwrap();
        assert_eq!(samples.len(), 8000);
        assert!((mean_power(&samples) / before - 1.0).abs() < 1e-4);
        let mut silence = vec![0.0; 100];
        apply_at(16_000, |context| {
            Reverb::default().apply(&mut silence, context)
        })
        .unwrap();
        assert_eq!(silence, [0.0; 100]);
    }

    #[test]
    fn a_measured_response_does_not_delay_the_clip() {
        let mut material = Material::new(8000);
        material.impulse_responses = Some(Arc::new(vec![vec![0.0, 0.0, 2.0, 0.0, 1.0]]));
        let reverb = Reverb {
            source: ResponseSource::Measured,
            ..Reverb::default()
        };
        reverb.check("w[0]", &material).unwrap();
        let mut samples = vec![1.0, 0.0, 0.0, 0.0];
        apply_with(&material, |context| reverb.apply(&mut samples, context)).unwrap();
        assert!((samples[2] / samples[0] - 0.5).abs() < 1e-5, "{samples:?}");
        assert!(reverb.check("w[0]", &Material::new(8000)).is_err());
    }
}
