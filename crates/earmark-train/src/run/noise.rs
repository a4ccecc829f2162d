//! Noise made by code for negatives: hiss of five colours and mains hum, at all levels.
//!
//! A network that has never heard plain noise takes it for the class that is most like it, such as rain.

use std::f32::consts::TAU;
use std::path::Path;
use std::sync::Arc;

use earmark::Result;
use earmark::audio::wav;
use earmark::augment::{ClipRng, Colour, Span};
use earmark::bundle::write_atomically;
use earmark::dataset::{Clip, Manifest, Origin, Quality, Split};

const SAMPLE_RATE: u32 = 44_100;
const N_SAMPLES: usize = 6 * SAMPLE_RATE as usize;

/// The root mean square of a clip, dB of full scale.
const LEVELS_DB: Span<f32> = Span {
    low: -80.0,
    high: -12.0,
};

/// Harmonics of a hum.
const N_HARMONICS: usize = 15;

/// The place of a made clip in messages.
const PLACE: &str = "data.generated_noise";

/// Adds `n` clips of noise to a data set as negatives for training. Their files are written into `folder`
/// if they are not there; the same numbers give the same noise.
///
/// # Errors
/// [`earmark::Error::Io`] if a file cannot be written.
pub(super) fn add(manifest: &mut Manifest, n: usize, folder: &Path) -> Result<()> {
    if n == 0 {
        return Ok(());
    }
    fs_err::create_dir_all(folder)?;
    let file: Arc<str> = Arc::from(PLACE);
    for index in 0..n {
        let kind = Kind::of(index);
        let name = format!("noise-{index:04}-{}.wav", kind.name());
        let path = folder.join(&name);
        if !path.exists() {
            let bytes = wav::float(&kind.samples(&name), SAMPLE_RATE);
            write_atomically(&path, &bytes)?;
        }
        manifest.clips.push(Clip {
            source: Some(name.clone()),
            name,
            path,
            labels: Some(Vec::new()),
            split: Split::Train,
            fold: None,
            weight: 1.0,
            quality: Quality::Curated,
            stretch_secs: None,
            origin: Some(Origin {
                file: Arc::clone(&file),
                line: index + 1,
            }),
        });
    }
    Ok(())
}

/// Whether a clip was made here.
pub(super) fn is_generated(clip: &Clip) -> bool {
    let file = clip.origin.as_ref().map(|origin| &*origin.file);
    file == Some(PLACE)
}

/// The data set as it was before noise was added to its end.
pub(super) fn without(manifest: &Manifest) -> Manifest {
    let mut listed = manifest.clone();
    listed.clips.retain(|clip| !is_generated(clip));
    listed
}

#[derive(Clone, Copy)]
enum Kind {
    Hiss(Colour),
    Hum,
}

impl Kind {
    fn of(index: usize) -> Self {
        let n = Colour::ALL.len();
        Colour::ALL
            .get(index % (n + 1))
            .map_or(Self::Hum, |colour| Self::Hiss(*colour))
    }

    fn name(self) -> &'static str {
        match self {
            Self::Hiss(colour) => colour.name(),
            Self::Hum => "hum",
        }
    }

    /// A clip of this noise at a level that its name draws, within [-1, 1].
    fn samples(self, name: &str) -> Vec<f32> {
        let mut rng = ClipRng::new(0, 0, name);
        let mut samples = match self {
            Self::Hiss(colour) => colour.noise(N_SAMPLES, SAMPLE_RATE, &mut rng),
            Self::Hum => hum(&mut rng),
        };
        let level = 10.0_f32.powf(rng.uniform(LEVELS_DB) / 20.0);
        let power = samples.iter().map(|x| f64::from(x * x)).sum::<f64>() / samples.len() as f64;
        let gain = level / (power.sqrt() as f32).max(f32::MIN_POSITIVE);
        for sample in &mut samples {
            *sample = (gain * *sample).clamp(-1.0, 1.0);
        }
        samples
    }
}

/// Harmonics of 50 or 60 Hz at random levels, falling with frequency.
fn hum(rng: &mut ClipRng) -> Vec<f32> {
    let mains = if rng.unit() < 0.5 { 50.0 } else { 60.0 };
    let mut samples = vec![0.0; N_SAMPLES];
    for harmonic in 1..=N_HARMONICS {
        let step = TAU * mains * harmonic as f32 / SAMPLE_RATE as f32;
        let (level, phase) = (rng.unit() / harmonic as f32, TAU * rng.unit());
        for (at, sample) in samples.iter_mut().enumerate() {
            *sample += level * (step * at as f32 + phase).sin();
        }
    }
    samples
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_comes_up_at_many_levels_and_stays_what_it_is() {
        let made: Vec<(String, Vec<f32>)> = (0..12)
            .map(|index| {
                let kind = Kind::of(index);
                let name = format!("{index}-{}", kind.name());
                let samples = kind.samples(&name);
                assert_eq!(samples, kind.samples(&name));
                (name, samples)
            })
            .collect();
        let level_db = |samples: &[f32]| {
            let power: f32 = samples.iter().map(|x| x * x).sum::<f32>() / samples.len() as f32;
            10.0 * power.log10()
        };
        let mut levels: Vec<f32> = made.iter().map(|(_, samples)| level_db(samples)).collect();
        assert!(made.iter().all(|(_, s)| s.iter().all(|x| x.abs() <= 1.0)));
        levels.sort_by(f32::total_cmp);
        assert!(levels[0] < -50.0 && levels[11] > -30.0, "{levels:?}");
        // Differences of neighbours have twice the power of white noise, and nearly none of hum's.
        for (name, samples) in &made {
            let change: f32 = samples.windows(2).map(|w| (w[1] - w[0]).powi(2)).sum();
            let ratio = change / samples.iter().map(|x| x * x).sum::<f32>();
            match name.split_once('-').map(|(_, kind)| kind) {
                Some("white") => assert!((ratio - 2.0).abs() < 0.05, "{name}: {ratio}"),
                Some("hum" | "brown") => assert!(ratio < 0.1, "{name}: {ratio}"),
                Some("violet") => assert!(ratio > 2.3, "{name}: {ratio}"),
                _ => {}
            }
        }
    }
}
