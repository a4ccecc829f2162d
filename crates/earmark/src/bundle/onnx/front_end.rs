//! A front end as ONNX operators.
//!
//! The Fourier transform is a convolution with windowed cosines and sines, filters are 1×1
//! convolutions, everything else is arithmetic on each value. Steps that need the whole clip, such as
//! a range below the clip's peak, are refused: they would see a segment as a clip.

use super::builder::{Builder, Setting};
use crate::features::{
    BinValue, ChannelConfig, DecibelConfig, DecibelLaw, FirstSample, FrequencyAxis, FrontEnd,
    FrontEndConfig, LogConfig, Loudness, MelBank, Padding, Reference, Representation,
    SpectrogramConfig, Step, StftConfig, WindowPlacement, nearest_bins, scaled_window,
};
use crate::{Error, Result};

/// Adds the front end of `config`: reads `waveform` `[batch, sample]`, returns the features' value
/// `[batch, channel, band, frame]`.
pub(super) fn front_end(
    builder: &mut Builder,
    config: &FrontEndConfig,
    waveform: &str,
) -> Result<String> {
    let clip_wide = FrontEnd::new(config)?.clip_wide_settings();
    if let Some(setting) = clip_wide.first() {
        return Err(unsupported(setting, "a setting that needs the whole clip"));
    }
    let mut channels = Vec::new();
    for channel in &config.channels {
        let mut lowering = Lowering {
            builder,
            sample_rate: config.sample_rate,
        };
        channels.push(lowering.channel(channel, waveform)?);
    }
    let names: Vec<&str> = channels.iter().map(String::as_str).collect();
    if let [one] = names[..] {
        return Ok(one.to_owned());
    }
    Ok(builder.node(
        "Concat",
        "front_end.channels",
        &names,
        &[("axis", Setting::Int(1))],
    ))
}

fn unsupported(key: &str, found: &str) -> Error {
    Error::Config {
        key: format!("front_end.{key}"),
        found: found.to_owned(),
        expected: "which has no ONNX operators here".to_owned(),
    }
}

struct Lowering<'a> {
    builder: &'a mut Builder,
    sample_rate: u32,
}

impl Lowering<'_> {
    /// One channel, `[batch, 1, band, frame]`.
    fn channel(&mut self, channel: &ChannelConfig, waveform: &str) -> Result<String> {
        let mut value = match &channel.of {
            Representation::Spectrogram(config) => self.spectrogram(config, waveform)?,
            #[allow(unreachable_patterns, reason = "there may be other kinds of channels")]
            _ => {
                return Err(unsupported(
                    "channels.of",
                    "something other than a spectrogram",
                ));
            }
        };
        for step in &channel.steps {
            value = self.step(step, &value)?;
        }
        Ok(self.unsqueeze(&value))
    }

    fn step(&mut self, step: &Step, x: &str) -> Result<String> {
        match step {
            Step::Scale { add, divide } => {
                let sum = self.with_constant("Add", x, *add as f32);
                Ok(self.with_constant("Div", &sum, *divide as f32))
            }
            Step::Truncate => {
                // 7 is ONNX's number for 64-bit integers, 1 that for 32-bit floats.
                let whole = self.node("Cast", &[x], &[("to", Setting::Int(7))]);
                Ok(self.node("Cast", &[&whole], &[("to", Setting::Int(1))]))
            }
            other => Err(unsupported("channels.steps", &format!("{other:?}"))),
        }
    }

    /// `[batch, band, frame]`.
    fn spectrogram(&mut self, config: &SpectrogramConfig, waveform: &str) -> Result<String> {
        let samples = self.unsqueeze(waveform);
        let samples = self.pre_emphasis(&config.stft, samples);
        let bins = self.bins(config, &samples)?;
        let bands = self.bands(config, &bins)?;
        self.loudness(&config.loudness, &bands)
    }

    fn pre_emphasis(&mut self, stft: &StftConfig, samples: String) -> String {
        let Some(emphasis) = &stft.pre_emphasis else {
            return samples;
        };
        let before = i64::from(emphasis.first == FirstSample::Keep);
        let filter = [-emphasis.coefficient as f32, 1.0];
        let filter = self.floats("pre_emphasis", &[1, 1, 2], &filter);
        self.conv(&samples, &filter, 1, [before, 0])
    }

    /// One real number for each bin and frame, `[batch, bin, frame]`.
    fn bins(&mut self, config: &SpectrogramConfig, samples: &str) -> Result<String> {
        let (samples, transform) = self.padded(&config.stft, samples);
        match config.values {
            BinValue::Real => Ok(self.transformed(&transform, &samples, f64::cos)),
            // The transform's exponent is negative.
            BinValue::Imaginary => Ok(self.transformed(&transform, &samples, |phase| -phase.sin())),
            BinValue::Phase => Err(unsupported("stft.values", "phase")),
            BinValue::Power | BinValue::Magnitude => {
                let cosines = self.transformed(&transform, &samples, f64::cos);
                let sines = self.transformed(&transform, &samples, f64::sin);
                let squares = [cosines, sines].map(|part| self.node("Mul", &[&part, &part], &[]));
                let power = self.node("Add", &[&squares[0], &squares[1]], &[]);
                if config.values == BinValue::Power {
                    return Ok(power);
                }
                Ok(self.node("Sqrt", &[&power], &[]))
            }
        }
    }

    /// The samples with their padding, and the transform that fits it. Zeros are left to the
    /// convolution; where there is padding, only the part of it that the window sees is made.
    fn padded(&mut self, stft: &StftConfig, samples: &str) -> (String, Transform) {
        let window = scaled_window(stft, self.sample_rate);
        let frame_length = match stft.placement {
            WindowPlacement::Centre => stft.n_fft,
            WindowPlacement::Start => window.len(),
        };
        let start = (frame_length - window.len()) / 2;
        let mut transform = Transform {
            window,
            start,
            n_fft: stft.n_fft,
            hop_length: stft.hop_length,
            pads: [0, 0],
        };
        let half = frame_length / 2;
        let rest = frame_length - start - transform.window.len();
        let pads = [half - start, half - rest];
        match stft.padding {
            Padding::None => {
                let mut whole = vec![0.0; frame_length];
                whole[start..start + transform.window.len()].copy_from_slice(&transform.window);
                transform.window = whole;
                transform.start = 0;
                (samples.to_owned(), transform)
            }
            Padding::Zero => {
                transform.pads = pads;
                (samples.to_owned(), transform)
            }
            Padding::Reflect => {
                let [before, after] = pads.map(|n| n as i64);
                let pads = self
                    .builder
                    .constant_ints("front_end.pads", &[0, 0, before, 0, 0, after]);
                let mode = [("mode", Setting::Text("reflect"))];
                (self.node("Pad", &[samples, &pads], &mode), transform)
            }
        }
    }

    /// One part of the Fourier transform, `[batch, bin, frame]`.
    fn transformed(
        &mut self,
        transform: &Transform,
        samples: &str,
        part: fn(f64) -> f64,
    ) -> String {
        let n_bins = transform.n_fft / 2 + 1;
        let length = transform.window.len();
        let mut kernels = Vec::with_capacity(n_bins * length);
        for bin in 0..n_bins {
            for (n, &weight) in transform.window.iter().enumerate() {
                // Whole turns are taken off while the phase is still an exact integer.
                let turns = bin * (n + transform.start) % transform.n_fft;
                let phase = std::f64::consts::TAU * turns as f64 / transform.n_fft as f64;
                kernels.push((f64::from(weight) * part(phase)) as f32);
            }
        }
        let kernels = self.floats("transform", &[n_bins, 1, length], &kernels);
        let pads = transform.pads.map(|n| n as i64);
        self.conv(samples, &kernels, transform.hop_length, pads)
    }

    /// `[batch, band, frame]` from `[batch, bin, frame]`.
    fn bands(&mut self, config: &SpectrogramConfig, bins: &str) -> Result<String> {
        let n_bins = config.stft.n_fft / 2 + 1;
        match &config.axis {
            FrequencyAxis::Linear => Ok(bins.to_owned()),
            FrequencyAxis::Mel(mel) => {
                let bank = MelBank::new(mel, config.stft.n_fft, self.sample_rate)?;
                let mut weights = vec![0.0; bank.n_bands() * n_bins];
                for (band, bin, weight) in bank.entries() {
                    weights[band * n_bins + bin] = weight;
                }
                let weights = self.floats("mel", &[bank.n_bands(), n_bins, 1], &weights);
                Ok(self.conv(bins, &weights, 1, [0, 0]))
            }
            FrequencyAxis::Log(log) => {
                let nearest = nearest_bins(log, n_bins, self.sample_rate)?;
                let nearest: Vec<i64> = nearest.iter().map(|&bin| bin as i64).collect();
                let nearest = self.builder.constant_ints("front_end.bins", &nearest);
                Ok(self.node("Gather", &[bins, &nearest], &[("axis", Setting::Int(1))]))
            }
        }
    }

    fn loudness(&mut self, loudness: &Loudness, x: &str) -> Result<String> {
        match loudness {
            Loudness::Linear => Ok(x.to_owned()),
            Loudness::Ln(config) => Ok(self.logarithm(config, x)),
            Loudness::Log10(config) => {
                let natural = self.logarithm(config, x);
                Ok(self.with_constant("Mul", &natural, std::f32::consts::LOG10_E))
            }
            Loudness::Decibel(config) => self.decibel(config, x),
            Loudness::Pcen(_) => Err(unsupported("loudness", "pcen")),
        }
    }

    fn logarithm(&mut self, config: &LogConfig, x: &str) -> String {
        let sum = self.with_constant("Add", x, config.offset as f32);
        let floor = (config.floor as f32).max(f32::MIN_POSITIVE);
        let raised = self.with_constant("Max", &sum, floor);
        self.node("Log", &[&raised], &[])
    }

    fn decibel(&mut self, config: &DecibelConfig, x: &str) -> Result<String> {
        let Reference::Value(reference) = config.reference else {
            return Err(unsupported("loudness.reference", "the clip's own peak"));
        };
        let factor = match config.law {
            DecibelLaw::Power => 10.0,
            DecibelLaw::Amplitude => 20.0,
        };
        let floor = LogConfig {
            offset: 0.0,
            floor: config.floor,
        };
        let natural = self.logarithm(&floor, x);
        let scaled =
            self.with_constant("Mul", &natural, (factor * std::f64::consts::LOG10_E) as f32);
        let shift = factor * reference.max(config.floor).log10();
        Ok(self.with_constant("Sub", &scaled, shift as f32))
    }

    /// A convolution over the last of three axes. Defaults are spelled out: not every runtime knows
    /// them for one axis.
    fn conv(&mut self, x: &str, kernels: &str, stride: usize, pads: [i64; 2]) -> String {
        let settings = [
            ("strides", Setting::Ints(vec![stride as i64])),
            ("dilations", Setting::Ints(vec![1])),
            ("pads", Setting::Ints(pads.to_vec())),
        ];
        self.node("Conv", &[x, kernels], &settings)
    }

    fn unsqueeze(&mut self, x: &str) -> String {
        let axes = self.builder.constant_ints("front_end.axes", &[1]);
        self.node("Unsqueeze", &[x, &axes], &[])
    }

    fn with_constant(&mut self, operator: &str, x: &str, value: f32) -> String {
        let constant = self.floats("constant", &[], &[value]);
        self.node(operator, &[x, &constant], &[])
    }

    fn floats(&mut self, label: &str, shape: &[usize], values: &[f32]) -> String {
        self.builder
            .constant_floats(&format!("front_end.{label}"), shape, values)
    }

    fn node(&mut self, operator: &str, inputs: &[&str], settings: &[(&str, Setting)]) -> String {
        let label = format!("front_end.{}", operator.to_lowercase());
        self.builder.node(operator, &label, inputs, settings)
    }
}

/// A windowed Fourier transform as a convolution.
struct Transform {
    window: Vec<f32>,
    /// Where the window begins in the frame.
    start: usize,
    n_fft: usize,
    hop_length: usize,
    /// Zeros before and after the samples.
    pads: [usize; 2],
}
