//! A clip that comes in blocks has, bit for bit, the features of the whole clip.

use earmark::Error;
use earmark::features::{
    BinValue, ChannelConfig, ClipConfig, DecibelConfig, FeatureStream, Features, FrequencyAxis,
    FrontEnd, FrontEndConfig, LogAxisConfig, LogConfig, Loudness, MelConfig, Padding, PcenConfig,
    Representation, SpectrogramConfig, Step, StftConfig, WindowPlacement,
};

/// A decaying chirp with a silent gap: exact zeros, loud and quiet parts.
fn sound(n_samples: usize) -> Vec<f32> {
    let value = |n: usize| {
        let t = n as f64 / 16_000.0;
        let gap = if (0.2..0.25).contains(&t) { 0.0 } else { 1.0 };
        (gap * (-t).exp() * (700.0 * t + 3000.0 * t * t).sin()) as f32
    };
    (0..n_samples).map(value).collect()
}

fn with_loudness(stft: StftConfig, loudness: Loudness) -> SpectrogramConfig {
    SpectrogramConfig {
        stft,
        values: BinValue::Power,
        axis: FrequencyAxis::Mel(MelConfig::new(32)),
        loudness,
    }
}

fn front_end(channels: Vec<ChannelConfig>) -> FrontEnd {
    let sample_rate = 16_000;
    FrontEnd::new(&FrontEndConfig {
        sample_rate,
        clip: ClipConfig::default(),
        channels,
    })
    .unwrap()
}

fn stream_in_blocks(mut stream: FeatureStream, samples: &[f32], block: usize) -> Vec<Features> {
    let mut parts: Vec<Features> = samples
        .chunks(block)
        .map(|chunk| stream.push(chunk).unwrap())
        .collect();
    parts.push(stream.finish().unwrap());
    parts
}

fn assert_stream_is_whole(front_end: &FrontEnd, samples: &[f32]) {
    let whole = front_end.compute(samples).unwrap();
    assert_eq!(whole.n_frames, front_end.n_frames(samples.len()).unwrap());
    assert!(whole.data.iter().all(|x| x.is_finite()));
    for block in [1, 77, 160, 4096, samples.len()] {
        let parts = stream_in_blocks(front_end.stream().unwrap(), samples, block);
        let mut first = 0;
        for part in parts {
            for channel in 0..whole.n_channels {
                for band in 0..whole.n_bands {
                    let expected = &whole.row(channel, band)[first..first + part.n_frames];
                    let found = part.row(channel, band);
                    let same = found
                        .iter()
                        .zip(expected)
                        .all(|(a, b)| a.to_bits() == b.to_bits());
                    assert!(same, "channel {channel}, band {band}, blocks of {block}");
                }
            }
            first += part.n_frames;
        }
        assert_eq!(first, whole.n_frames, "blocks of {block}");
    }
}

#[test]
fn every_padding_streams() {
    let samples = sound(7001);
    for padding in [Padding::None, Padding::Zero, Padding::Reflect] {
        for placement in [WindowPlacement::Centre, WindowPlacement::Start] {
            let stft = StftConfig {
                padding,
                placement,
                win_length: Some(400),
                ..StftConfig::new(512, 160)
            };
            let loudness = Loudness::Ln(LogConfig {
                offset: 1e-5,
                floor: 0.0,
            });
            let spectrogram = with_loudness(stft, loudness);
            let channel = Representation::Spectrogram(spectrogram).into();
            assert_stream_is_whole(&front_end(vec![channel]), &samples);
        }
    }
}

#[test]
fn the_efficient_at_front_end_streams() {
    let front_end = FrontEnd::new(&FrontEndConfig::efficient_at()).unwrap();
    assert_stream_is_whole(&front_end, &sound(20_000));
}

#[test]
fn a_stack_of_different_loudness_streams() {
    let stft = StftConfig::new(512, 160);
    let decibel = DecibelConfig {
        top_db: None,
        ..DecibelConfig::power()
    };
    let mut channels: Vec<ChannelConfig> = [
        Loudness::Linear,
        Loudness::Decibel(decibel),
        Loudness::Log10(LogConfig {
            offset: 0.0,
            floor: 1e-10,
        }),
        Loudness::Pcen(PcenConfig::default()),
    ]
    .map(|loudness| Representation::Spectrogram(with_loudness(stft.clone(), loudness)).into())
    .into();
    channels[1].steps = vec![
        Step::Scale {
            add: 40.0,
            divide: 40.0,
        },
        Step::Truncate,
    ];
    channels.push(channels[1].clone());
    assert_stream_is_whole(&front_end(channels), &sound(9000));
}

#[test]
fn every_value_and_axis_streams() {
    let axes = [
        FrequencyAxis::Linear,
        FrequencyAxis::Log(LogAxisConfig {
            n_bands: 100,
            linear_below: 65.4,
            linear_length: 0.5,
            labelling: Default::default(),
        }),
    ];
    for axis in axes {
        let channel = |values| {
            let spectrogram = SpectrogramConfig {
                stft: StftConfig::new(300, 100),
                values,
                axis: axis.clone(),
                loudness: Loudness::Linear,
            };
            Representation::Spectrogram(spectrogram).into()
        };
        let values = [
            BinValue::Magnitude,
            BinValue::Power,
            BinValue::Real,
            BinValue::Imaginary,
            BinValue::Phase,
        ];
        assert_stream_is_whole(&front_end(values.map(channel).into()), &sound(5000));
    }
}

#[test]
fn settings_that_need_the_whole_clip_are_named() {
    let spectrogram = with_loudness(
        StftConfig::new(512, 160),
        Loudness::Decibel(DecibelConfig::power()),
    );
    let channel = ChannelConfig {
        of: Representation::Spectrogram(spectrogram),
        steps: vec![Step::Standardise { epsilon: 1e-6 }],
    };
    let front_end = front_end(vec![channel]);
    assert_eq!(
        front_end.stream().unwrap_err().to_string(),
        "the front end needs the whole clip because of loudness.top_db, standardise"
    );
    let eleven_minutes = vec![0.0; 11 * 60 * 16_000];
    assert_eq!(
        front_end.compute(&eleven_minutes).unwrap_err().to_string(),
        "clip is 660.0 s long, the limit is 600 s with loudness.top_db, standardise"
    );
}

#[test]
fn odd_clips_are_refused_with_their_numbers() {
    let front_end = FrontEnd::new(&FrontEndConfig::efficient_at()).unwrap();
    let message = |samples: &[f32]| front_end.compute(samples).unwrap_err().to_string();
    for clip in [&[][..], &[0.5], &[0.5; 513]] {
        assert_eq!(
            message(clip),
            format!(
                "clip has {} samples, the front end needs at least 514",
                clip.len()
            )
        );
    }
    assert_eq!(front_end.min_samples(), 514);
    assert_eq!(front_end.compute(&[0.5; 514]).unwrap().n_frames, 2);
    let mut clip = vec![0.1; 2000];
    clip[1234] = f32::NAN;
    assert_eq!(
        message(&clip),
        "sample 1234 is NaN, expected a number within ±1e9"
    );
    let mut stream = front_end.stream().unwrap();
    stream.push(&clip[..1000]).unwrap();
    let error = stream.push(&clip[1000..]).unwrap_err();
    assert!(
        matches!(error, Error::Sample { index: 1234, .. }),
        "{error}"
    );
    assert!(matches!(
        front_end.stream().unwrap().finish(),
        Err(Error::ClipTooShort { .. })
    ));
}

#[test]
fn silence_and_extreme_samples_give_numbers() {
    let front_end = FrontEnd::new(&FrontEndConfig::efficient_at()).unwrap();
    for value in [0.0, 1e-30, 1e9] {
        let mut clip = sound(4000);
        clip.iter_mut().for_each(|x| *x *= value);
        let features = front_end.compute(&clip).unwrap();
        assert!(
            features.data.iter().all(|x| x.is_finite()),
            "at a gain of {value}"
        );
    }
    // ln(1e-5) everywhere.
    let silence = front_end.compute(&[0.0; 4000]).unwrap();
    let floor = ((1e-5_f64).ln() + 4.5) / 5.0;
    assert!(
        silence
            .data
            .iter()
            .all(|x| (f64::from(*x) - floor).abs() < 1e-6)
    );
}
