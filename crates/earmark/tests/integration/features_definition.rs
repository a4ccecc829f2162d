//! Front ends compute what their definition says: each is compared with the textbook formula,
//! written out in `f64` without a fast transform, sparse filters or blocks of frames.

use std::f64::consts::{PI, TAU};

use earmark::features::{
    BinValue, ClipConfig, DecibelConfig, FrequencyAxis, FrontEnd, FrontEndConfig, Loudness,
    MelConfig, MelScale, Padding, Representation, SpectrogramConfig, Step, StftConfig,
    WindowConfig, WindowShape, WindowSymmetry, mel_from_hz,
};

const RATE: f64 = 8000.0;

/// Two tones, a click and a quiet end.
fn sound(n_samples: usize) -> Vec<f32> {
    (0..n_samples)
        .map(|n| {
            let t = n as f64 / RATE;
            let tones = (TAU * 440.0 * t).sin() + 0.3 * (TAU * 1310.0 * t + 1.0).cos();
            let click = if n == n_samples / 3 { 1.0 } else { 0.0 };
            (0.4 * (-4.0 * t).exp() * tones + click) as f32
        })
        .collect()
}

/// The sample at a position that may lie outside of the clip.
fn at(samples: &[f32], position: i64, padding: Padding) -> f64 {
    let n = samples.len() as i64;
    let inside = match padding {
        Padding::Reflect if position < 0 => -position,
        Padding::Reflect if position >= n => 2 * (n - 1) - position,
        _ => position,
    };
    if (0..n).contains(&inside) {
        f64::from(samples[inside as usize])
    } else {
        0.0
    }
}

/// `|X|²` of one frame and bin by the definition of the Fourier sum.
fn power(samples: &[f32], stft: &StftConfig, frame: usize, bin: usize) -> f64 {
    let n_fft = stft.n_fft as i64;
    let length = stft.win_length() as i64;
    let start = (frame * stft.hop_length) as i64 - n_fft / 2 + (n_fft - length) / 2;
    let offset = (n_fft - length) / 2;
    let (mut re, mut im) = (0.0, 0.0);
    for i in 0..length {
        let period = match stft.window.symmetry {
            WindowSymmetry::Periodic => length,
            WindowSymmetry::Symmetric => length - 1,
        };
        let cosine = (TAU * i as f64 / period as f64).cos();
        let weight = match stft.window.shape {
            WindowShape::Hann => 0.5 - 0.5 * cosine,
            WindowShape::Hamming => 0.54 - 0.46 * cosine,
            other => panic!("{other:?} is not written out here"),
        };
        let value = weight * at(samples, start + i, stft.padding);
        let phase = TAU * bin as f64 * (i + offset) as f64 / n_fft as f64;
        re += value * phase.cos();
        im -= value * phase.sin();
    }
    re * re + im * im
}

/// The weight of a bin in an HTK band without normalisation.
fn htk_weight(n_mels: usize, n_fft: usize, band: usize, bin: usize) -> f64 {
    let mel = |hz: f64| 2595.0 * (1.0 + hz / 700.0).log10();
    let hz = |mel: f64| 700.0 * (10f64.powf(mel / 2595.0) - 1.0);
    let corner = |i: usize| hz(mel(RATE / 2.0) * i as f64 / (n_mels + 1) as f64);
    let [left, centre, right] = [corner(band), corner(band + 1), corner(band + 2)];
    let f = bin as f64 * RATE / n_fft as f64;
    ((f - left) / (centre - left))
        .min((right - f) / (right - centre))
        .max(0.0)
}

fn spectrogram(stft: &StftConfig, axis: FrequencyAxis, loudness: Loudness) -> SpectrogramConfig {
    SpectrogramConfig {
        stft: stft.clone(),
        values: BinValue::Power,
        axis,
        loudness,
    }
}

fn compute(samples: &[f32], config: SpectrogramConfig, steps: Vec<Step>) -> Vec<f64> {
    let mut config = FrontEndConfig {
        sample_rate: RATE as u32,
        clip: ClipConfig::default(),
        channels: vec![Representation::Spectrogram(config).into()],
    };
    config.channels[0].steps = steps;
    let features = FrontEnd::new(&config).unwrap().compute(samples).unwrap();
    features.data.iter().map(|x| f64::from(*x)).collect()
}

fn assert_close(found: &[f64], expected: &[f64], tolerance: f64, name: &str) {
    assert_eq!(found.len(), expected.len(), "{name}");
    for (i, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!(
            (a - b).abs() <= tolerance,
            "{name}, value {i}: {a} is not {b}"
        );
    }
}

fn transforms() -> Vec<StftConfig> {
    let mut all = Vec::new();
    for padding in [Padding::Zero, Padding::Reflect] {
        for (n_fft, win_length, hop_length) in [(64, 64, 16), (64, 50, 23), (45, 45, 20)] {
            for shape in [WindowShape::Hann, WindowShape::Hamming] {
                for symmetry in [WindowSymmetry::Periodic, WindowSymmetry::Symmetric] {
                    all.push(StftConfig {
                        win_length: Some(win_length),
                        window: WindowConfig { shape, symmetry },
                        padding,
                        ..StftConfig::new(n_fft, hop_length)
                    });
                }
            }
        }
    }
    all
}

#[test]
fn power_spectra_are_fourier_sums() {
    let samples = sound(400);
    for stft in transforms() {
        let config = spectrogram(&stft, FrequencyAxis::Linear, Loudness::Linear);
        let found = compute(&samples, config, Vec::new());
        let n_bins = stft.n_fft / 2 + 1;
        let n_frames = found.len() / n_bins;
        let of = |i: usize| power(&samples, &stft, i % n_frames, i / n_frames);
        let expected: Vec<f64> = (0..found.len()).map(of).collect();
        let peak = expected.iter().copied().fold(0.0, f64::max);
        // An f32 transform of 64 values is good to a few parts in 10^7 of its largest.
        assert_close(&found, &expected, 2e-6 * peak, &format!("{stft:?}"));
    }
}

#[test]
fn log_mels_and_cepstra_are_their_sums() {
    let samples = sound(700);
    let (n_mels, stft) = (10, StftConfig::new(128, 40));
    let n_frames = 1 + 700 / 40;
    let mut db = Vec::new();
    for band in 0..n_mels {
        for frame in 0..n_frames {
            let bins = 0..=64;
            let terms = bins
                .map(|bin| htk_weight(n_mels, 128, band, bin) * power(&samples, &stft, frame, bin));
            db.push(10.0 * terms.sum::<f64>().max(1e-10).log10());
        }
    }
    let top = db.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    db.iter_mut().for_each(|x| *x = x.max(top - 80.0));
    let axis = FrequencyAxis::Mel(MelConfig::htk(n_mels));
    let config = spectrogram(&stft, axis, Loudness::Decibel(DecibelConfig::power()));
    // See the tolerance of the librosa comparison: 80 dB down, .01 dB is rounding.
    assert_close(
        &compute(&samples, config.clone(), Vec::new()),
        &db,
        0.01,
        "log-mel",
    );

    let steps = vec![Step::Cepstrum {
        n_coefficients: 6,
        lifter: 22.0,
    }];
    let found = compute(&samples, config, steps);
    let mut expected = Vec::new();
    for k in 0..6 {
        let norm = if k == 0 {
            (1.0 / 10.0_f64).sqrt()
        } else {
            (2.0 / 10.0_f64).sqrt()
        };
        let lift = 1.0 + 11.0 * (PI * (k + 1) as f64 / 22.0).sin();
        for frame in 0..n_frames {
            let terms = (0..n_mels).map(|band| {
                let cosine = (PI * k as f64 * (2 * band + 1) as f64 / 20.0).cos();
                db[band * n_frames + frame] * cosine
            });
            expected.push(norm * lift * terms.sum::<f64>());
        }
    }
    // Twelve times (the largest lift) the error of a few bands.
    assert_close(&found, &expected, 0.2, "cepstrum");
}

#[test]
fn the_two_htk_formulas_differ_in_the_fifth_digit() {
    for hz in [100.0, 1000.0, 8000.0] {
        let (htk, kaldi) = (
            mel_from_hz(MelScale::Htk, hz),
            mel_from_hz(MelScale::Kaldi, hz),
        );
        assert!(
            (htk / kaldi - 1.0).abs() < 1e-5,
            "{htk} and {kaldi} mel at {hz} Hz"
        );
    }
}
