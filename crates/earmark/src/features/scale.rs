//! What the numbers of a channel mean: the range they are shown in, their unit, and the frequencies
//! of the bands. All of it follows from the configuration, never from a clip, so that a picture's
//! colours mean the same in every clip.

use super::check;
use super::clip::ClipConfig;
use super::config::{ChannelConfig, FrontEndConfig, Representation};
use super::front_end::FrontEnd;
use super::high_resolution::{HighResolutionConfig, HighResolutionMode};
use super::log_axis;
use super::mel::mel_points;
use super::spectrogram_config::{
    BinLabelling, BinValue, FrequencyAxis, LogConfig, Loudness, MelConfig, Reference,
    SpectrogramConfig,
};
use super::step::Step;
use crate::Result;

/// Logarithmic values are shown from this far below a full-scale tone, in dB.
const SPAN_DB: f64 = 100.0;

/// The fall below a clip's own peak that is shown where no `top_db` says so, in dB.
const SPAN_BELOW_PEAK_DB: f64 = 80.0;

/// Linear values are shown up to those of a tone of this amplitude: louder ones are rare.
const LINEAR_AMPLITUDE: f64 = 0.1;

/// The range of a channel's values that pictures show, and the values' unit.
#[derive(Debug, Clone, PartialEq)]
pub struct ChannelScale {
    /// Shown in the darkest colour, as is everything below.
    pub low: f64,
    /// Shown in the brightest colour, as is everything above.
    pub high: f64,
    /// The unit of the values, such as `dB`.
    pub unit: String,
}

impl ChannelScale {
    fn new(low: f64, high: f64, unit: impl Into<String>) -> Self {
        Self {
            low,
            high,
            unit: unit.into(),
        }
    }

    fn symmetric(high: f64, unit: impl Into<String>) -> Self {
        Self::new(-high, high, unit)
    }

    /// The scale after a step.
    fn after(self, step: &Step) -> Self {
        let span = self.high - self.low;
        match *step {
            Step::Scale { add, divide } => {
                let ends = [self.low, self.high].map(|x| (x + add) / divide);
                let unit = format!("{}, scaled", self.unit);
                Self::new(ends[0].min(ends[1]), ends[0].max(ends[1]), unit)
            }
            Step::Clamp { low, high } => Self::new(
                self.low.max(low).min(high),
                self.high.min(high).max(low),
                self.unit,
            ),
            // A sound that begins or ends changes by a twentieth of the range from frame to frame.
            Step::Delta { order, .. } => Self::symmetric(
                span / 20.0 / order as f64,
                match order {
                    1 => format!("{} per frame", self.unit),
                    n => format!("{} per frame^{n}", self.unit),
                },
            ),
            Step::Cepstrum { .. } => Self::symmetric(span, format!("{}, cepstrum", self.unit)),
            Step::SubtractBandMean => Self::symmetric(span / 2.0, self.unit),
            Step::Standardise { .. } => Self::symmetric(3.0, "standard deviations"),
            Step::MinMax { low, high, .. } => Self::new(low, high, "share of the clip's range"),
            Step::Peak => Self::symmetric(1.0, "share of the clip's peak"),
            Step::Truncate
            | Step::Bands { .. }
            | Step::FixedFrames { .. }
            | Step::Resize { .. } => self,
        }
    }
}

impl FrontEnd {
    /// The range in which a channel's values are shown. It is that of a full-scale tone and 100 dB
    /// below it, the range below the clip's peak, that of the last step that fixes one, or, for
    /// linear values, up to those of a tone of 0.1. `None` for statistics of whole clips, which
    /// have a scale each.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) if there is no such channel.
    pub fn channel_scale(&self, channel: usize) -> Result<Option<ChannelScale>> {
        let config = self.config();
        check::range(
            "channel",
            channel,
            0,
            config.channels.len().saturating_sub(1),
        )?;
        let ChannelConfig { of, steps } = &config.channels[channel];
        let scale = match of {
            Representation::Statistics(_) => return Ok(None),
            Representation::Waveform => {
                let full = ChannelScale::symmetric(1.0, "amplitude");
                config.clip.steps.iter().fold(full, ChannelScale::after)
            }
            Representation::Spectrogram(spectrogram) => of_spectrogram(config, spectrogram)?,
            Representation::HighResolution(settings) => of_high_resolution(config, settings)?,
        };
        Ok(Some(steps.iter().fold(scale, ChannelScale::after)))
    }

    /// The centre frequencies of a channel's bands in Hz, lowest first; `None` where bands are no
    /// frequencies (waveforms, cepstra, statistics) and where there is no such channel.
    pub fn band_frequencies(&self, channel: usize) -> Option<Vec<f64>> {
        let config = self.config();
        let ChannelConfig { of, steps } = config.channels.get(channel)?;
        let mut hz = match of {
            Representation::Waveform | Representation::Statistics(_) => return None,
            Representation::Spectrogram(spectrogram) => {
                spectrogram_hz(spectrogram, config.sample_rate)?
            }
            Representation::HighResolution(settings) => {
                high_resolution_hz(settings, config.sample_rate)
            }
        };
        for step in steps {
            match *step {
                Step::Cepstrum { .. } => return None,
                Step::Bands { first, count } => {
                    hz = hz.into_iter().skip(first).take(count).collect();
                }
                Step::Resize { n_bands, .. } => {
                    let nearest = |band: usize| {
                        ((band as f64 + 0.5) / n_bands as f64 * hz.len() as f64) as usize
                    };
                    hz = (0..n_bands)
                        .map(|band| hz[nearest(band).min(hz.len() - 1)])
                        .collect();
                }
                _ => {}
            }
        }
        Some(hz)
    }
}

fn of_spectrogram(
    config: &FrontEndConfig,
    spectrogram: &SpectrogramConfig,
) -> Result<ChannelScale> {
    let is_power = spectrogram.values == BinValue::Power;
    let unit = match spectrogram.values {
        BinValue::Magnitude => "magnitude",
        BinValue::Power => "power",
        BinValue::Real => "real part",
        BinValue::Imaginary => "imaginary part",
        BinValue::Phase => "rad",
    };
    let linear = matches!(spectrogram.loudness, Loudness::Linear);
    if linear && spectrogram.values == BinValue::Phase {
        return Ok(ChannelScale::symmetric(std::f64::consts::PI, unit));
    }
    let hz = tone_hz(&spectrogram.axis, config.sample_rate);
    let loudest = loudest_of_tone(config, Representation::Spectrogram(spectrogram.clone()), hz)?;
    let scale = of_loudness(&spectrogram.loudness, loudest, is_power, unit);
    let is_signed = matches!(spectrogram.values, BinValue::Real | BinValue::Imaginary);
    Ok(match linear && is_signed {
        true => ChannelScale::symmetric(scale.high, scale.unit),
        false => scale,
    })
}

fn of_high_resolution(
    config: &FrontEndConfig,
    settings: &HighResolutionConfig,
) -> Result<ChannelScale> {
    // The tone's energy is the same in the fast mode to within a percent.
    let quick = HighResolutionConfig {
        mode: HighResolutionMode::Fast,
        ..settings.clone()
    };
    let middle = (settings.minf * settings.maxf).sqrt() * f64::from(config.sample_rate);
    let loudest = loudest_of_tone(config, Representation::HighResolution(quick), middle)?;
    Ok(of_loudness(&settings.loudness, loudest, true, "energy"))
}

/// The scale of a loudness in which a full-scale tone reaches `loudest`.
fn of_loudness(loudness: &Loudness, loudest: f64, is_power: bool, unit: &str) -> ChannelScale {
    let per_decade = if is_power { 0.1 } else { 0.05 };
    let logarithm = |config: &LogConfig, per_decade: f64, decades_to_unit: f64, unit: &str| {
        let span = SPAN_DB * per_decade * decades_to_unit;
        let least = config.offset.max(config.floor).log10() * decades_to_unit;
        ChannelScale::new((loudest - span).max(least), loudest, unit)
    };
    match loudness {
        Loudness::Decibel(config) => match config.reference {
            Reference::OfClip(_) => ChannelScale::new(
                -config.top_db.unwrap_or(SPAN_BELOW_PEAK_DB),
                0.0,
                "dB below the peak",
            ),
            Reference::Value(_) => ChannelScale::new(loudest - SPAN_DB, loudest, "dB"),
        },
        Loudness::Ln(config) => logarithm(
            config,
            per_decade,
            std::f64::consts::LN_10,
            &format!("ln {unit}"),
        ),
        Loudness::Log10(config) => logarithm(config, per_decade, 1.0, &format!("log10 {unit}")),
        Loudness::Pcen(_) => ChannelScale::new(0.0, loudest, "PCEN"),
        Loudness::Linear => {
            let share = LINEAR_AMPLITUDE.powi(if is_power { 2 } else { 1 });
            ChannelScale::new(0.0, loudest * share, unit)
        }
    }
}

/// The largest absolute value that a representation gives for a tone of amplitude 1.
fn loudest_of_tone(config: &FrontEndConfig, of: Representation, hz: f64) -> Result<f64> {
    let front_end = FrontEnd::new(&FrontEndConfig {
        sample_rate: config.sample_rate,
        clip: ClipConfig {
            steps: config.clip.steps.clone(),
            ..ClipConfig::default()
        },
        channels: vec![of.into()],
    })?;
    let n_samples = front_end.min_samples().max(config.sample_rate as usize / 2);
    let step = std::f64::consts::TAU * hz / f64::from(config.sample_rate);
    let tone: Vec<f32> = (0..n_samples)
        .map(|n| (step * n as f64).sin() as f32)
        .collect();
    let features = front_end.compute(&tone)?;
    let largest = features
        .data
        .iter()
        .copied()
        .fold(f32::NEG_INFINITY, f32::max);
    Ok(f64::from(largest))
}

/// A frequency that an axis shows, where it can a sixteenth of the sample rate, which falls on a bin.
fn tone_hz(axis: &FrequencyAxis, sample_rate: u32) -> f64 {
    let usual = f64::from(sample_rate) / 16.0;
    match axis {
        FrequencyAxis::Mel(mel) => {
            let (low, high) = (mel.f_min, f_max(mel, sample_rate));
            if low < usual && usual < high {
                usual
            } else {
                0.5 * (low + high)
            }
        }
        FrequencyAxis::Linear | FrequencyAxis::Log(_) => usual,
    }
}

fn f_max(mel: &MelConfig, sample_rate: u32) -> f64 {
    mel.f_max.unwrap_or(f64::from(sample_rate) / 2.0)
}

fn spectrogram_hz(config: &SpectrogramConfig, sample_rate: u32) -> Option<Vec<f64>> {
    let n_bins = config.stft.n_fft / 2 + 1;
    let of_bin = |bin: usize| bin as f64 * f64::from(sample_rate) / config.stft.n_fft as f64;
    Some(match &config.axis {
        FrequencyAxis::Linear => (0..n_bins).map(of_bin).collect(),
        FrequencyAxis::Mel(mel) => {
            let edges = mel_points(
                mel.scale,
                mel.f_min,
                f_max(mel, sample_rate),
                mel.n_mels + 2,
            );
            edges[1..=mel.n_mels].to_vec()
        }
        FrequencyAxis::Log(axis) => match axis.labelling {
            BinLabelling::Hertz => log_axis::band_frequencies(axis, sample_rate),
            BinLabelling::MelBandNumber => {
                let bins = log_axis::nearest_bins(axis, n_bins, sample_rate).ok()?;
                bins.into_iter().map(of_bin).collect()
            }
        },
    })
}

fn high_resolution_hz(config: &HighResolutionConfig, sample_rate: u32) -> Vec<f64> {
    let below = |band: usize| config.maxf * (-(band as f64) / config.noct).exp2();
    let bands = (0..config.n_bands()).rev();
    bands
        .map(|band| below(band) * f64::from(sample_rate))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::PRESETS;

    fn preset(name: &str) -> FrontEnd {
        let preset = PRESETS.iter().find(|preset| preset.name == name);
        FrontEnd::new(&preset.unwrap().config()).unwrap()
    }

    fn scale(name: &str, channel: usize) -> ChannelScale {
        preset(name).channel_scale(channel).unwrap().unwrap()
    }

    #[test]
    fn a_full_scale_tone_is_the_brightest() {
        // Half the sum of a Hann window of 2048 samples is 512: 54.2 dB.
        let db = scale("esp-stft-db", 0);
        assert!((db.high - 54.185).abs() < 0.01, "{db:?}");
        assert!((db.high - db.low - 100.0).abs() < 1e-9, "{db:?}");
        assert_eq!(db.unit, "dB");
        // A tenth of it.
        let linear = scale("esp-linear", 0);
        assert_eq!(linear.low, 0.0);
        assert!((linear.high - 51.2).abs() < 0.1, "{linear:?}");
    }

    #[test]
    fn settings_that_fix_the_range_are_taken_at_their_word() {
        let ends = |name, channel| {
            let scale = scale(name, channel);
            (scale.low, scale.high)
        };
        assert_eq!(ends("fat2019-kernel", 2), (0.0, 255.0));
        assert_eq!(ends("fat2019-apd", 1), (-3.0, 3.0));
        assert_eq!(ends("fastai-mel", 0), (-80.0, 0.0));
        assert_eq!(ends("keras-waveform", 0), (-0.5, 0.5));
        // ln(x + 0.001) is never below ln 0.001.
        assert!((ends("conv1d-mel", 0).0 - 0.001f64.ln()).abs() < 1e-9);
    }

    #[test]
    fn every_preset_has_a_scale_and_as_many_frequencies_as_bands() {
        for preset in PRESETS {
            let front_end = FrontEnd::new(&preset.config()).unwrap();
            for channel in 0..front_end.n_channels() {
                let scale = front_end.channel_scale(channel).unwrap().unwrap();
                assert!(scale.low < scale.high, "{}: {scale:?}", preset.name);
                if let Some(hz) = front_end.band_frequencies(channel) {
                    assert_eq!(hz.len(), front_end.n_bands(), "{}", preset.name);
                    assert!(hz.is_sorted(), "{}", preset.name);
                    let nyquist = f64::from(front_end.sample_rate()) / 2.0;
                    assert!(
                        hz.iter().all(|hz| (0.0..=nyquist).contains(hz)),
                        "{}",
                        preset.name
                    );
                }
            }
            assert!(front_end.channel_scale(64).is_err());
        }
    }

    #[test]
    fn bands_are_where_a_tone_lights_them() {
        for name in [
            "esp-mel-axis-db",
            "esp-mel-as-made-db",
            "esp-hires-q8",
            "efficient-at",
            "fastai-mel",
        ] {
            let front_end = preset(name);
            let step = 1500.0 * std::f64::consts::TAU / f64::from(front_end.sample_rate());
            let n_samples = front_end.sample_rate() as usize * 2;
            let tone: Vec<f32> = (0..n_samples)
                .map(|n| (step * n as f64).sin() as f32)
                .collect();
            let features = front_end.compute(&tone).unwrap();
            let frame = features.n_frames / 2;
            let value = |band: &usize| features.row(0, *band)[frame];
            let loudest = (0..features.n_bands)
                .max_by(|a, b| value(a).total_cmp(&value(b)))
                .unwrap();
            let hz = front_end.band_frequencies(0).unwrap()[loudest];
            assert!((hz - 1500.0).abs() < 60.0, "{name}: {hz}");
        }
    }
}
