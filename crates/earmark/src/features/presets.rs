//! Front ends of known systems, by name.
//!
//! A preset repeats what a published system computes, conventions of its libraries included;
//! `docs/front-ends.md` lists them with their sources.

use super::clip::{ClipConfig, EnergyCentre, FixedLength, LongClip, ShortClip, Trim};
use super::config::{ChannelConfig, FrontEndConfig, Representation};
use super::high_resolution::HighResolutionConfig;
use super::spectrogram_config::{
    BinLabelling, BinValue, ClipReference, DecibelConfig, EmptyBands, FirstSample, FrequencyAxis,
    LogAxisConfig, LogConfig, Loudness, MelConfig, Padding, PreEmphasis, Reference,
    SpectrogramConfig, StftConfig, StftScaling, WindowConfig, WindowPlacement, WindowShape,
    WindowSymmetry,
};
use super::step::{ResizeMethod, Step};
use crate::{Error, Result};

/// A front end with a name.
#[derive(Debug, Clone, Copy)]
pub struct Preset {
    /// The name, lower case with dashes.
    pub name: &'static str,
    /// A second name; empty if there is none.
    pub alias: &'static str,
    /// The system that it comes from.
    pub system: &'static str,
    /// What it computes, in a few words.
    pub summary: &'static str,
    config: fn() -> FrontEndConfig,
}

impl Preset {
    /// The settings.
    pub fn config(&self) -> FrontEndConfig {
        (self.config)()
    }

    /// The preset of a name.
    ///
    /// # Errors
    /// [`Error::Config`] lists the names that there are.
    pub fn named(name: &str) -> Result<&'static Self> {
        PRESETS
            .iter()
            .find(|preset| preset.name == name || (!name.is_empty() && preset.alias == name))
            .ok_or_else(|| Error::Config {
                key: "preset".to_owned(),
                found: format!("`{name}`"),
                expected: format!("known presets: {}", names()),
            })
    }
}

fn names() -> String {
    let names: Vec<&str> = PRESETS.iter().map(|preset| preset.name).collect();
    names.join(", ")
}

macro_rules! presets {
    ($($name:literal $(or $alias:literal)?, $system:literal, $summary:literal, $config:expr;)*) => {
        /// All presets.
        pub const PRESETS: &[Preset] = &[$(Preset {
            name: $name,
            alias: concat!($($alias)?),
            system: $system,
            summary: $summary,
            config: $config,
        }),*];
    };
}

presets! {
    "efficient-at", "EfficientAT (mn and dymn networks)",
        "128 Kaldi mel bands, ln, 32 kHz", FrontEndConfig::efficient_at;
    "fat2019-kernel", "FSDKaggle2019 starter kernel (daisukelab)",
        "2 s, 128 mel bands, dB, standardised, 0 to 255", || fat2019(128, 2560, 694, 88_200);
    "fat2019-resnet" or "seed001", "FSDKaggle2019 ResNet-34 (filipmu)",
        "4 s, 224 mel bands, dB, standardised, 0 to 255", || fat2019(224, 4480, 746, 176_400);
    "fat2019-resnet-rgb" or "seed001-rgb", "FSDKaggle2019 ResNet-34 (filipmu), coloured mel",
        "672 mel bands, low, middle and high ones as channels", fat2019_rgb;
    "fat2019-apd" or "k-solution", "FSDKaggle2019 solution (daisukelab)",
        "160 mel bands: amplitude, phase, delta, each standardised", fat2019_apd;
    "dcase2018-baseline" or "dcase-baseline", "DCASE 2018 Task 2 baseline",
        "64 TensorFlow mel bands, ln, 44.1 kHz", dcase2018;
    "conv1d-mel" or "seed003", "FSDKaggle2018 1-D network (zliuxyz)",
        "64 mel bands, ln, 3001 frames", conv1d_mel;
    "fastai-mel" or "seed004", "FSDKaggle2018 ResNet-34 (MrKiwey)",
        "128 mel bands, dB below the clip's peak, 22.05 kHz", fastai_mel;
    "doshi", "K. Doshi's sound classification article",
        "64 HTK mel bands, dB, 4 s, twice", doshi;
    "xu2018", "Xu et al., arXiv 1810.12832",
        "64 mel bands, dB, with delta and delta-delta", xu2018;
    "xu2018-mfcc", "Xu et al., arXiv 1810.12832",
        "64 cepstral coefficients, with delta and delta-delta", xu2018_mfcc;
    "keras-waveform" or "seed000-waveform", "FSDKaggle2018 raw-waveform network (dimitreOliveira)",
        "2 s at 16 kHz, -½ to ½", keras_waveform;
    "keras-stft" or "seed000-stft", "FSDKaggle2018 (dimitreOliveira)",
        "complex spectrum as two channels, 25 ms windows", keras_stft;
    "keras-mel" or "seed000-mel", "FSDKaggle2018 (dimitreOliveira)",
        "2.97 s, 128 mel bands, power", keras_mel;
    "keras-mel-db" or "seed000-mel-db", "FSDKaggle2018 (dimitreOliveira)",
        "2.95 s, 128 mel bands, 20 log10 of power", keras_mel_db;
    "keras-boxcar" or "seed000-boxcar", "FSDKaggle2018 (dimitreOliveira)",
        "real part of 300 ms boxcar frames", keras_boxcar;
    "esp-waveform" or "seed002-waveform", "FSDKaggle2018 spectrogram comparison (Earth Species)",
        "2 s at 22.05 kHz, divided by the set's deviation", esp_waveform;
    "esp-stft-db" or "seed002-std", "FSDKaggle2018 spectrogram comparison (Earth Species)",
        "1025 bins, dB, centred 2 s", || esp(vec![esp_channel(FrequencyAxis::Linear, true)]);
    "esp-linear", "FSDKaggle2018 spectrogram comparison (Earth Species)",
        "224 × 224, linear frequency, magnitude", || esp_picture(FrequencyAxis::Linear, false);
    "esp-linear-db" or "seed002-linear-db", "FSDKaggle2018 spectrogram comparison (Earth Species)",
        "224 × 224, linear frequency, dB", || esp_picture(FrequencyAxis::Linear, true);
    "esp-log", "FSDKaggle2018 spectrogram comparison (Earth Species)",
        "224 × 224, logarithmic frequency, magnitude", || esp_picture(log_axis(), false);
    "esp-log-db" or "seed002-log-db", "FSDKaggle2018 spectrogram comparison (Earth Species)",
        "224 × 224, logarithmic frequency, dB", || esp_picture(log_axis(), true);
    "esp-mel-axis", "FSDKaggle2018 spectrogram comparison (Earth Species), put right",
        "224 × 224, mel-like frequency axis, magnitude",
        || esp_picture(mel_axis(BinLabelling::Hertz), false);
    "esp-mel-axis-db" or "seed002-mel-db", "FSDKaggle2018 spectrogram comparison (Earth Species), put right",
        "224 × 224, mel-like frequency axis, dB",
        || esp_picture(mel_axis(BinLabelling::Hertz), true);
    "esp-mel-as-made-db", "FSDKaggle2018 spectrogram comparison (Earth Species), as published",
        "224 × 224, dB; almost linear in frequency",
        || esp_picture(mel_axis(BinLabelling::MelBandNumber), true);
    "esp-hires-q1" or "seed002-hires", "FSDKaggle2018 spectrogram comparison (Earth Species)",
        "224 × 224 by linear reassignment, q 1", || esp(vec![hires_channel(1.0)]);
    "esp-hires-q2" or "seed002-hires-q2", "FSDKaggle2018 spectrogram comparison (Earth Species)",
        "224 × 224 by linear reassignment, q 2", || esp(vec![hires_channel(2.0)]);
    "esp-hires-q4" or "seed002-hires-q4", "FSDKaggle2018 spectrogram comparison (Earth Species)",
        "224 × 224 by linear reassignment, q 4", || esp(vec![hires_channel(4.0)]);
    "esp-hires-q8" or "seed002-hires-q8", "FSDKaggle2018 spectrogram comparison (Earth Species)",
        "224 × 224 by linear reassignment, q 8", || esp(vec![hires_channel(8.0)]);
    "esp-log-mel-linear", "FSDKaggle2018 spectrogram comparison (Earth Species)",
        "three frequency axes as channels, dB", || esp([log_axis(), mel_axis(BinLabelling::Hertz),
            FrequencyAxis::Linear].map(|axis| resized(esp_channel(axis, true))).into());
    "esp-q1-q4-q8", "FSDKaggle2018 spectrogram comparison (Earth Species)",
        "three reassigned spectrograms as channels", || esp([1.0, 4.0, 8.0].map(hires_channel).into());
    "esp-q1-q8-log" or "seed002-q1-q8-log", "FSDKaggle2018 spectrogram comparison (Earth Species), its best",
        "q 1, q 8 and logarithmic frequency in dB as channels",
        || esp(vec![hires_channel(1.0), hires_channel(8.0), resized(esp_channel(log_axis(), true))]);
}

/// A front end without clip shaping.
fn plain(sample_rate: u32, channels: Vec<ChannelConfig>) -> FrontEndConfig {
    FrontEndConfig {
        sample_rate,
        clip: ClipConfig::default(),
        channels,
    }
}

fn with_length(n_samples: usize, short: ShortClip, long: LongClip) -> ClipConfig {
    ClipConfig {
        length: Some(FixedLength {
            n_samples,
            short,
            long,
        }),
        ..ClipConfig::default()
    }
}

/// A mel power spectrogram with librosa's defaults of its time, which reflected the clip's ends.
fn reflected_mel(
    n_fft: usize,
    hop_length: usize,
    mel: MelConfig,
    loudness: Loudness,
) -> SpectrogramConfig {
    SpectrogramConfig {
        stft: StftConfig {
            padding: Padding::Reflect,
            ..StftConfig::new(n_fft, hop_length)
        },
        values: BinValue::Power,
        axis: FrequencyAxis::Mel(mel),
        loudness,
    }
}

fn spectrogram(config: SpectrogramConfig) -> ChannelConfig {
    Representation::Spectrogram(config).into()
}

fn power_db() -> Loudness {
    Loudness::Decibel(DecibelConfig::power())
}

fn ln_above(offset: f64) -> Loudness {
    Loudness::Ln(LogConfig { offset, floor: 0.0 })
}

impl FrontEndConfig {
    /// The front end of the EfficientAT networks (`mn…_as`): 32 kHz, pre-emphasis .97, 25 ms
    /// symmetric Hann windows every 10 ms, 128 Kaldi mel bands from 0 to 15 kHz,
    /// `(ln(x + 1e-5) + 4.5) / 5`.
    ///
    /// # Source
    /// `AugmentMelSTFT` of github.com/fschmid56/EfficientAT with its default settings, in
    /// evaluation mode.
    pub fn efficient_at() -> Self {
        let mut log_mel = reflected_mel(
            1024,
            320,
            MelConfig::kaldi(128, 0.0, 15_000.0),
            ln_above(1e-5),
        );
        log_mel.stft.win_length = Some(800);
        log_mel.stft.window = WindowConfig {
            shape: WindowShape::Hann,
            symmetry: WindowSymmetry::Symmetric,
        };
        log_mel.stft.pre_emphasis = Some(PreEmphasis {
            coefficient: 0.97,
            first: FirstSample::Drop,
        });
        let mut channel = spectrogram(log_mel);
        channel.steps.push(Step::Scale {
            add: 4.5,
            divide: 5.0,
        });
        plain(32_000, vec![channel])
    }
}

/// From 20 Hz to half of 44.1 kHz.
fn fat2019_mel(n_mels: usize) -> MelConfig {
    MelConfig {
        f_min: 20.0,
        ..MelConfig::new(n_mels)
    }
}

/// Standardised, stretched to 0 to 255 and cut to whole numbers, as for an 8-bit picture.
fn as_bytes() -> Vec<Step> {
    vec![
        Step::Standardise { epsilon: 1e-6 },
        Step::MinMax {
            low: 0.0,
            high: 255.0,
            epsilon: 0.0,
            flat_below: 1e-6,
        },
        Step::Truncate,
    ]
}

/// Silence trimmed, short clips centred in zeros, long ones kept whole.
fn fat2019_clip(n_samples: usize) -> ClipConfig {
    ClipConfig {
        trim: Some(Trim::default()),
        ..with_length(n_samples, ShortClip::ZerosAround, LongClip::Keep)
    }
}

fn fat2019(n_mels: usize, n_fft: usize, hop_length: usize, n_samples: usize) -> FrontEndConfig {
    let mel = fat2019_mel(n_mels);
    let channel = ChannelConfig {
        steps: as_bytes(),
        ..spectrogram(reflected_mel(n_fft, hop_length, mel, power_db()))
    };
    FrontEndConfig {
        clip: fat2019_clip(n_samples),
        ..plain(44_100, vec![channel; 3])
    }
}

fn fat2019_rgb() -> FrontEndConfig {
    // Three times as many bands as bins allow at low frequencies: some stay empty.
    let mel = MelConfig {
        empty_bands: EmptyBands::Keep,
        ..fat2019_mel(672)
    };
    let picture = reflected_mel(4480, 746, mel, power_db());
    let third = |index: usize| {
        let mut channel = spectrogram(picture.clone());
        channel.steps = as_bytes();
        let bands = Step::Bands {
            first: 224 * index,
            count: 224,
        };
        channel.steps.push(bands);
        channel
    };
    FrontEndConfig {
        clip: fat2019_clip(176_400),
        ..plain(44_100, [0, 1, 2].map(third).into())
    }
}

fn fat2019_apd() -> FrontEndConfig {
    let amplitude = reflected_mel(3200, 276, fat2019_mel(160), power_db());
    let phase = SpectrogramConfig {
        values: BinValue::Phase,
        loudness: Loudness::Linear,
        ..amplitude.clone()
    };
    let standardise = Step::Standardise { epsilon: 1e-6 };
    let with = |config, steps| ChannelConfig {
        steps,
        ..spectrogram(config)
    };
    let delta = Step::Delta { order: 1, width: 9 };
    let channels = vec![
        with(amplitude.clone(), vec![standardise]),
        with(phase, vec![standardise]),
        with(amplitude, vec![delta, standardise]),
    ];
    FrontEndConfig {
        clip: fat2019_clip(88_200),
        ..plain(44_100, channels)
    }
}

fn dcase2018() -> FrontEndConfig {
    let config = SpectrogramConfig {
        stft: StftConfig {
            win_length: Some(1102),
            placement: WindowPlacement::Start,
            padding: Padding::None,
            ..StftConfig::new(2048, 441)
        },
        values: BinValue::Magnitude,
        axis: FrequencyAxis::Mel(MelConfig::tensorflow(64, 125.0, 7500.0)),
        loudness: ln_above(0.001),
    };
    plain(44_100, vec![spectrogram(config)])
}

fn conv1d_mel() -> FrontEndConfig {
    let mel = MelConfig {
        f_min: 125.0,
        f_max: Some(7500.0),
        ..MelConfig::new(64)
    };
    let mut channel = spectrogram(reflected_mel(2048, 441, mel, ln_above(0.001)));
    channel.steps.push(Step::FixedFrames {
        n_frames: 3001,
        fill: 0.0,
    });
    plain(44_100, vec![channel])
}

fn fastai_mel() -> FrontEndConfig {
    let loudness = Loudness::Decibel(DecibelConfig {
        reference: Reference::OfClip(ClipReference::Max),
        ..DecibelConfig::power()
    });
    // librosa of 2024: zeros beyond the clip's ends.
    let config = SpectrogramConfig {
        stft: StftConfig::new(2048, 512),
        ..reflected_mel(2048, 512, MelConfig::new(128), loudness)
    };
    plain(22_050, vec![spectrogram(config)])
}

fn doshi() -> FrontEndConfig {
    let channel = spectrogram(reflected_mel(1024, 512, MelConfig::htk(64), power_db()));
    FrontEndConfig {
        clip: with_length(176_000, ShortClip::ZerosAtRandom, LongClip::Random),
        ..plain(44_100, vec![channel; 2])
    }
}

/// A channel, its slope and its curvature.
fn with_deltas(channel: &ChannelConfig) -> Vec<ChannelConfig> {
    let derived = |order: usize| {
        let mut derived = channel.clone();
        if order > 0 {
            derived.steps.push(Step::Delta { order, width: 9 });
        }
        derived
    };
    [0, 1, 2].map(derived).into()
}

fn xu2018() -> FrontEndConfig {
    let log_mel = spectrogram(reflected_mel(1764, 220, MelConfig::new(64), power_db()));
    plain(22_050, with_deltas(&log_mel))
}

fn xu2018_mfcc() -> FrontEndConfig {
    let mut mfcc = spectrogram(reflected_mel(1764, 220, MelConfig::new(128), power_db()));
    mfcc.steps.push(Step::Cepstrum {
        n_coefficients: 64,
        lifter: 0.0,
    });
    plain(22_050, with_deltas(&mfcc))
}

fn keras_waveform() -> FrontEndConfig {
    let channel = ChannelConfig {
        of: Representation::Waveform,
        steps: vec![Step::MinMax {
            low: -0.5,
            high: 0.5,
            epsilon: 1e-4,
            flat_below: 0.0,
        }],
    };
    FrontEndConfig {
        clip: with_length(32_000, ShortClip::ZerosAtRandom, LongClip::Random),
        ..plain(16_000, vec![channel])
    }
}

fn keras_stft() -> FrontEndConfig {
    let part = |values| {
        spectrogram(SpectrogramConfig {
            stft: StftConfig {
                padding: Padding::Reflect,
                ..StftConfig::new(1102, 551)
            },
            values,
            axis: FrequencyAxis::Linear,
            loudness: Loudness::Linear,
        })
    };
    plain(
        44_100,
        vec![part(BinValue::Real), part(BinValue::Imaginary)],
    )
}

fn keras_mel() -> FrontEndConfig {
    let channel = spectrogram(reflected_mel(
        2048,
        512,
        MelConfig::new(128),
        Loudness::Linear,
    ));
    // 2.97 s; shorter clips are left out by the original.
    FrontEndConfig {
        clip: with_length(65_488, ShortClip::Refuse, LongClip::First),
        ..plain(22_050, vec![channel])
    }
}

fn keras_mel_db() -> FrontEndConfig {
    // The original applies the function for amplitudes to powers.
    let loudness = Loudness::Decibel(DecibelConfig::amplitude());
    let channel = spectrogram(reflected_mel(2048, 512, MelConfig::new(128), loudness));
    FrontEndConfig {
        clip: with_length(512 * 127, ShortClip::Refuse, LongClip::First),
        ..plain(22_050, vec![channel])
    }
}

fn keras_boxcar() -> FrontEndConfig {
    let mut channel = spectrogram(SpectrogramConfig {
        stft: StftConfig {
            window: WindowConfig {
                shape: WindowShape::Boxcar,
                symmetry: WindowSymmetry::Periodic,
            },
            padding: Padding::None,
            scaling: StftScaling::Density,
            ..StftConfig::new(13_230, 13_230)
        },
        values: BinValue::Real,
        axis: FrequencyAxis::Linear,
        loudness: Loudness::Linear,
    });
    channel.steps.push(Step::FixedFrames {
        n_frames: 100,
        fill: 0.0,
    });
    plain(44_100, vec![channel])
}

fn esp_waveform() -> FrontEndConfig {
    let channel = ChannelConfig {
        of: Representation::Waveform,
        steps: vec![Step::Scale {
            add: 0.0,
            divide: 0.077,
        }],
    };
    FrontEndConfig {
        clip: with_length(44_100, ShortClip::ZerosAfter, LongClip::First),
        ..plain(22_050, vec![channel])
    }
}

/// Two seconds around the loudest half second.
fn esp(channels: Vec<ChannelConfig>) -> FrontEndConfig {
    let clip = ClipConfig {
        centre: Some(EnergyCentre {
            window_length: 11_025,
            n_samples: 44_100,
        }),
        ..ClipConfig::default()
    };
    FrontEndConfig {
        clip,
        ..plain(22_050, channels)
    }
}

fn esp_channel(axis: FrequencyAxis, in_decibels: bool) -> ChannelConfig {
    let loudness = if in_decibels {
        Loudness::Decibel(DecibelConfig::amplitude())
    } else {
        Loudness::Linear
    };
    spectrogram(SpectrogramConfig {
        stft: StftConfig {
            padding: Padding::Reflect,
            ..StftConfig::new(2048, 512)
        },
        values: BinValue::Magnitude,
        axis,
        loudness,
    })
}

fn resized(mut channel: ChannelConfig) -> ChannelConfig {
    channel.steps.push(Step::Resize {
        n_bands: 224,
        n_frames: 224,
        method: ResizeMethod::Nearest,
    });
    channel
}

fn esp_picture(axis: FrequencyAxis, in_decibels: bool) -> FrontEndConfig {
    esp(vec![resized(esp_channel(axis, in_decibels))])
}

/// Linear up to C2, as librosa draws a logarithmic axis.
fn log_axis() -> FrequencyAxis {
    FrequencyAxis::Log(LogAxisConfig {
        n_bands: 224,
        linear_below: 65.406_391_325_149_66,
        linear_length: 0.5,
        labelling: BinLabelling::Hertz,
    })
}

/// Linear up to 1 kHz, as librosa draws a mel axis.
fn mel_axis(labelling: BinLabelling) -> FrequencyAxis {
    FrequencyAxis::Log(LogAxisConfig {
        n_bands: 224,
        linear_below: 1000.0,
        linear_length: 1.0,
        labelling,
    })
}

fn hires_channel(q: f64) -> ChannelConfig {
    // The amplitude law on energies doubles the decibels, as in the original.
    Representation::HighResolution(HighResolutionConfig {
        loudness: Loudness::Decibel(DecibelConfig::amplitude()),
        ..HighResolutionConfig::new(q)
    })
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use crate::features::FrontEnd;

    #[test]
    fn every_preset_compiles_and_survives_toml_and_json() {
        for preset in PRESETS {
            let config = preset.config();
            let text = toml::to_string(&config).unwrap();
            let back: FrontEndConfig =
                toml::from_str(&text).unwrap_or_else(|e| panic!("{text}\n{e}"));
            assert_eq!(back, config, "{}", preset.name);
            let text = serde_json::to_string(&config).unwrap();
            assert_eq!(
                serde_json::from_str::<FrontEndConfig>(&text).unwrap(),
                config
            );
            FrontEnd::new(&config).unwrap_or_else(|e| panic!("{}: {e}", preset.name));
        }
    }

    #[test]
    fn names_are_unique_and_unknown_ones_are_answered_with_the_list() {
        let both = PRESETS
            .iter()
            .flat_map(|preset| [preset.name, preset.alias]);
        let mut names: Vec<&str> = both.filter(|name| !name.is_empty()).collect();
        let n_names = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), n_names);
        for name in names {
            let preset = Preset::named(name).unwrap();
            assert!(preset.name == name || preset.alias == name);
        }
        let error = Preset::named("mel").unwrap_err().to_string();
        assert!(
            error.starts_with("preset is `mel`, known presets: efficient-at, "),
            "{error}"
        );
    }

    #[test]
    fn frames_of_a_clip_that_is_trimmed_are_known_where_it_is_filled() {
        let front_end = FrontEnd::new(&Preset::named("fat2019-resnet").unwrap().config()).unwrap();
        for [n_silent, n_sound] in [[0, 176_400], [80_000, 96_400], [20_000, 3000]] {
            let tone = (0..n_sound).map(|n| (0.05 * n as f32).sin());
            let samples: Vec<f32> = std::iter::repeat_n(0.0, n_silent).chain(tone).collect();
            let found = front_end.compute(&samples).unwrap().n_frames;
            assert_eq!(front_end.n_frames(samples.len()).unwrap(), found);
        }
        let error = front_end.n_frames(176_401).unwrap_err();
        assert!(matches!(error, Error::NeedsWholeClip { .. }), "{error}");
    }

    #[test]
    fn unknown_keys_are_refused() {
        let text = toml::to_string(&FrontEndConfig::efficient_at()).unwrap();
        for (from, to) in [
            ("n_mels", "n_mel"),
            ("hop_length", "hop"),
            ("offset", "add"),
            ("sample_rate", "rate"),
        ] {
            let text = text.replacen(from, to, 1);
            assert!(toml::from_str::<FrontEndConfig>(&text).is_err(), "{text}");
        }
    }
}
