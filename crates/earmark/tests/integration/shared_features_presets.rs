//! Presets repeat the numbers of the systems that they are named after.
//!
//! The golden arrays are in `../shared/reference`; every tolerance says where it comes from.

use std::path::{Path, PathBuf};

use crate::support::{Array, npy, shared};
use earmark::features::{
    ClipConfig, EnergyCentre, Features, FrontEnd, FrontEndConfig, Padding, Preset, Representation,
    Step, Trim, centred_on_energy, energy_centre, trim_range,
};

fn root() -> Option<PathBuf> {
    shared().map(|folder| folder.join("reference"))
}

fn preset(name: &str) -> FrontEndConfig {
    Preset::named(name).unwrap().config()
}

/// A preset without its clip shaping, for golden arrays of whole test signals.
fn unshaped(name: &str) -> FrontEndConfig {
    FrontEndConfig {
        clip: ClipConfig::default(),
        ..preset(name)
    }
}

fn with_padding(mut config: FrontEndConfig, wanted: Padding) -> FrontEndConfig {
    for channel in &mut config.channels {
        if let Representation::Spectrogram(spectrogram) = &mut channel.of {
            spectrogram.stft.padding = wanted;
        }
    }
    config
}

fn input(root: &Path, signal: &str, rate: u32) -> Vec<f32> {
    npy(root.join(format!("inputs/{signal}_{rate}.npy"))).to_f32()
}

fn compute(root: &Path, signal: &str, config: &FrontEndConfig) -> Features {
    let samples = input(root, signal, config.sample_rate);
    FrontEnd::new(config).unwrap().compute(&samples).unwrap()
}

/// The golden arrays of an operation: signal and array.
fn goldens(root: &Path, suffix: &str) -> Vec<(String, Array)> {
    let signals = ["chirp", "twotone", "impulses", "noise", "burst"];
    let found: Vec<_> = signals
        .iter()
        .map(|signal| (signal, root.join(format!("librosa/{signal}_{suffix}.npy"))))
        .filter(|(_, file)| file.exists())
        .map(|(signal, file)| ((*signal).to_owned(), npy(file)))
        .collect();
    assert!(!found.is_empty(), "no golden array of {suffix}");
    found
}

fn assert_close(name: &str, found: &[f32], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{name}");
    let pairs = found.iter().zip(expected);
    let worst = pairs
        .map(|(a, b)| (f64::from(*a) - b).abs())
        .fold(0.0, f64::max);
    println!("{name}: max error {worst:.2e}, tolerance {tolerance:.0e}");
    assert!(worst <= tolerance, "{name}: {worst:e}");
}

fn peak(array: &Array) -> f64 {
    array
        .data
        .iter()
        .fold(0.0, |peak: f64, x| peak.max(x.abs()))
}

/// dB values of f32 transforms agree to .01 dB down to 80 dB below the peak.
const DECIBELS: f64 = 0.01;

#[test]
fn silence_is_trimmed_where_librosa_trims_it() {
    let Some(root) = root() else { return };
    let text = std::fs::read_to_string(root.join("librosa/manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&text).unwrap();
    let index = manifest["trim"]["index"].as_object().unwrap();
    assert_eq!(index.len(), 30);
    for (name, range) in index {
        let (signal, rest) = name.split_once('_').unwrap();
        let (rate, top_db) = rest.split_once("_top").unwrap();
        let samples = input(&root, signal, rate.parse().unwrap());
        let trim = Trim {
            top_db: top_db.parse().unwrap(),
            ..Trim::default()
        };
        let found = trim_range(&samples, &trim);
        assert_eq!(found.start as u64, range[0].as_u64().unwrap(), "{name}");
        assert_eq!(found.end as u64, range[1].as_u64().unwrap(), "{name}");
    }
}

#[test]
fn clips_are_centred_on_their_energy() {
    let Some(root) = root() else { return };
    let centre = EnergyCentre {
        window_length: 11_025,
        n_samples: 44_100,
    };
    // The golden positions count from the beginning of one second of padding.
    for (signal, position) in [("burst", 30_869), ("noise", 27_570)] {
        let samples = input(&root, signal, 22_050);
        assert_eq!(energy_centre(&samples, &centre), position - 22_050);
        let expected = npy(root.join(format!("librosa/{signal}_22050_seed002_centred.npy")));
        let found = centred_on_energy(&samples, &centre);
        assert_close(signal, &found, &expected.data, 0.0);
    }
}

#[test]
fn fat2019_pictures_are_the_originals() {
    let Some(root) = root() else { return };
    let cases = [
        ("fat2019-kernel", "44100_fat2019kernel_mel128_u8"),
        ("fat2019-resnet", "44100_seed001_mel224_u8"),
    ];
    for (name, suffix) in cases {
        for (signal, expected) in goldens(&root, suffix) {
            let found = compute(&root, &signal, &preset(name));
            assert_eq!(found.n_channels, 3);
            assert_eq!([found.n_bands, found.n_frames], expected.shape[..]);
            assert_eq!(found.channel(0), found.channel(2));
            // The original's mean and deviation are f32 sums; a value next to a whole number can
            // fall on its other side when it is cut.
            let pairs = found.channel(0).iter().zip(&expected.data);
            let off: Vec<f64> = pairs.map(|(a, b)| (f64::from(*a) - b).abs()).collect();
            let n_off = off.iter().filter(|error| **error > 0.0).count();
            println!("{name}, {signal}: {n_off} of {} cells differ", off.len());
            assert!(off.iter().all(|error| *error <= 1.0), "{name}, {signal}");
            assert!(n_off * 200 <= off.len(), "{name}, {signal}: {n_off} cells");
        }
    }
    let mut config = preset("fat2019-resnet");
    config.channels.truncate(1);
    config.channels[0].steps.clear();
    for (signal, expected) in goldens(&root, "44100_seed001_mel224_db") {
        let found = compute(&root, &signal, &config);
        assert_close(
            &format!("fat2019-resnet dB, {signal}"),
            &found.data,
            &expected.data,
            DECIBELS,
        );
    }
}

#[test]
fn the_coloured_mel_is_the_mel_in_three_parts() {
    let Some(root) = root() else { return };
    let found = compute(&root, "noise", &preset("fat2019-resnet-rgb"));
    assert_eq!(found.shape(), [3, 224, 237]);
    let mut whole = preset("fat2019-resnet-rgb");
    whole.channels.truncate(1);
    whole.channels[0].steps.pop();
    let whole = compute(&root, "noise", &whole);
    assert_eq!(whole.shape(), [1, 672, 237]);
    assert_eq!(found.data, whole.data);
}

#[test]
fn the_conv1d_mel_is_padded_to_3001_frames() {
    let Some(root) = root() else { return };
    for (suffix, padding) in [("reflect", Padding::Reflect), ("constant", Padding::Zero)] {
        for (signal, expected) in goldens(&root, &format!("44100_seed003_logmel64_{suffix}")) {
            let config = with_padding(preset("conv1d-mel"), padding);
            let found = compute(&root, &signal, &config);
            assert_eq!(found.shape(), [1, 64, 3001]);
            let expected = expected.transposed();
            for band in 0..64 {
                let row = found.row(0, band);
                let golden = &expected.data[band * 101..][..101];
                // ln(x + .001): errors of 1e-6 of the peak beside the offset.
                let name = format!("conv1d-mel, {signal}, {suffix}, band {band}");
                let pairs = row[..101].iter().zip(golden);
                let worst = pairs
                    .map(|(a, b)| (f64::from(*a) - b).abs())
                    .fold(0.0, f64::max);
                assert!(worst < 1e-3, "{name}: {worst:e}");
                assert!(row[101..].iter().all(|x| *x == 0.0), "{name}");
            }
        }
    }
}

#[test]
fn decibels_below_the_clips_peak_are_librosas() {
    let Some(root) = root() else { return };
    let suffix = "22050_mel128_slaneyscale_normslaney_constant_db_refmax_top80";
    for (signal, expected) in goldens(&root, suffix) {
        let found = compute(&root, &signal, &preset("fastai-mel"));
        assert_close(
            &format!("fastai-mel, {signal}"),
            &found.data,
            &expected.data,
            DECIBELS,
        );
    }
}

#[test]
fn the_doshi_mel_is_torchaudios_twice() {
    let Some(root) = root() else { return };
    for signal in ["chirp", "noise"] {
        let expected = npy(root.join(format!("torchaudio/{signal}_44100_doshi_mel64_db.npy")));
        let found = compute(&root, signal, &unshaped("doshi"));
        for channel in [0, 1] {
            let name = format!("doshi, {signal}");
            assert_close(&name, found.channel(channel), &expected.data, DECIBELS);
        }
        assert_eq!(
            compute(&root, signal, &preset("doshi")).shape(),
            [2, 64, 344]
        );
    }
}

#[test]
fn xu2018_deltas_and_cepstra_are_librosas() {
    let Some(root) = root() else { return };
    for (signal, expected) in goldens(&root, "22050_xu2018_logmel_d_dd") {
        let found = compute(&root, &signal, &preset("xu2018"));
        assert_eq!(found.shape(), expected.shape[..]);
        assert_close(
            &format!("xu2018, {signal}"),
            &found.data,
            &expected.data,
            DECIBELS,
        );
    }
    for (signal, expected) in goldens(&root, "22050_xu2018_mfcc64") {
        let found = compute(&root, &signal, &preset("xu2018-mfcc"));
        // A coefficient is a sum of 128 decibels with weights of about 1/8.
        let name = format!("xu2018-mfcc, {signal}");
        assert_close(&name, found.channel(0), &expected.data, 0.02);
    }
}

#[test]
fn cepstra_deltas_and_pcen_are_librosas() {
    let Some(root) = root() else { return };
    let base = {
        // librosa's default log-mel: zeros beyond the ends, reference 1.
        let mut config = with_padding(unshaped("xu2018"), Padding::Zero);
        if let Representation::Spectrogram(spectrogram) = &mut config.channels[0].of {
            spectrogram.stft.n_fft = 2048;
            spectrogram.stft.hop_length = 512;
            let text = "kind = \"mel\"\nn_mels = 128";
            spectrogram.axis = toml::from_str(text).unwrap();
        }
        config.channels.truncate(1);
        config
    };
    let with_step = |step: Step| {
        let mut config = base.clone();
        config.channels[0].steps.push(step);
        config
    };
    let mfcc = with_step(Step::Cepstrum {
        n_coefficients: 20,
        lifter: 0.0,
    });
    for rate in [22_050, 44_100] {
        let config = FrontEndConfig {
            sample_rate: rate,
            ..mfcc.clone()
        };
        for (signal, expected) in goldens(&root, &format!("{rate}_mfcc20")) {
            let found = compute(&root, &signal, &config);
            assert_close(
                &format!("mfcc20, {signal}"),
                &found.data,
                &expected.data,
                0.02,
            );
        }
    }
    for order in [1, 2] {
        let config = with_step(Step::Delta { order, width: 9 });
        for (signal, expected) in goldens(&root, &format!("22050_logmel_delta{order}_w9")) {
            let found = compute(&root, &signal, &config);
            let name = format!("delta {order}, {signal}");
            assert_close(&name, &found.data, &expected.data, DECIBELS);
        }
    }
    let mut pcen = base.clone();
    if let Representation::Spectrogram(spectrogram) = &mut pcen.channels[0].of {
        spectrogram.loudness = earmark::features::Loudness::Pcen(Default::default());
    }
    for (signal, expected) in goldens(&root, "22050_pcen") {
        let found = compute(&root, &signal, &pcen);
        // A ratio of band energy and its mean, both scaled by 2³¹: an f32 transform's rounding
        // errors in silent bands (1e-14 of the peak's energy) are compressed by the root.
        let name = format!("pcen, {signal}");
        assert_close(&name, &found.data, &expected.data, 1e-3 * peak(&expected));
    }
}

#[test]
fn the_keras_front_ends_are_the_originals() {
    let Some(root) = root() else { return };
    for (signal, expected) in goldens(&root, "22050_seed000_audionorm") {
        let config = FrontEndConfig {
            sample_rate: 22_050,
            ..unshaped("keras-waveform")
        };
        let found = compute(&root, &signal, &config);
        assert_close(
            &format!("keras-waveform, {signal}"),
            &found.data,
            &expected.data,
            1e-6,
        );
    }
    for (signal, expected) in goldens(&root, "44100_seed000_stftmag_1102_551") {
        let found = compute(&root, &signal, &preset("keras-stft"));
        let pairs = found.channel(0).iter().zip(found.channel(1));
        let magnitude: Vec<f32> = pairs.map(|(re, im)| re.hypot(*im)).collect();
        let tolerance = 1e-6 * peak(&expected);
        assert_close(
            &format!("keras-stft, {signal}"),
            &magnitude,
            &expected.data,
            tolerance,
        );
    }
    for (signal, expected) in goldens(&root, "22050_mel128_slaneyscale_normslaney_reflect") {
        let found = compute(&root, &signal, &unshaped("keras-mel"));
        let tolerance = 1e-5 * peak(&expected);
        assert_close(
            &format!("keras-mel, {signal}"),
            &found.data,
            &expected.data,
            tolerance,
        );
    }
    let front_end = FrontEnd::new(&preset("keras-mel")).unwrap();
    assert_eq!(
        front_end.compute(&[0.1; 70_000]).unwrap().shape(),
        [1, 128, 128]
    );
    for (signal, expected) in goldens(&root, "44100_seed000_boxcar_real") {
        let front_end = FrontEnd::new(&preset("keras-boxcar")).unwrap();
        // The original reads 16-bit files.
        let samples = input(&root, &signal, 44_100);
        let stored: Vec<f32> = samples
            .iter()
            .map(|x| (f64::from(*x) * 32_767.0).round_ties_even() as f32 / 32_768.0)
            .collect();
        let found = front_end.compute(&stored).unwrap();
        assert_eq!(found.shape(), [1, 6616, 100]);
        let first: Vec<f32> = (0..6616)
            .flat_map(|band| found.row(0, band)[..4].to_vec())
            .collect();
        let tolerance = 1e-5 * peak(&expected);
        assert_close(
            &format!("keras-boxcar, {signal}"),
            &first,
            &expected.data,
            tolerance,
        );
    }
}

/// A picture with its highest band first, as the golden arrays have it.
fn top_down(features: &Features) -> Vec<f32> {
    let bands = (0..features.n_bands).rev();
    bands
        .flat_map(|band| features.row(0, band).to_vec())
        .collect()
}

#[test]
fn pictures_over_three_frequency_axes_are_the_originals() {
    let Some(root) = root() else { return };
    for (name, suffix) in [
        ("esp-log-db", "22050_seed002_logaxis_db_224"),
        ("esp-mel-axis-db", "22050_seed002_meltrueaxis_db_224"),
        ("esp-mel-as-made-db", "22050_seed002_melasmadeaxis_db_224"),
    ] {
        for (signal, expected) in goldens(&root, suffix) {
            if signal == "twotone" {
                // Steady: every window is as loud as the next, up to rounding.
                continue;
            }
            let found = compute(&root, &signal, &preset(name));
            assert_eq!(found.shape(), [1, 224, 224]);
            let name = format!("{name}, {signal}");
            assert_close(&name, &top_down(&found), &expected.data, DECIBELS);
        }
    }
}

#[test]
fn reassigned_pictures_are_the_originals_in_decibels() {
    let Some(root) = root() else { return };
    for q in [2, 8] {
        let found = compute(&root, "chirp", &unshaped(&format!("esp-hires-q{q}")));
        let histo = npy(root.join(format!("hyperres/chirp_22050_q{q}_histo.npy"))).transposed();
        let db: Vec<f64> = histo
            .data
            .iter()
            .map(|e| 20.0 * e.max(1e-5).log10())
            .collect();
        let top = db.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let expected: Vec<f64> = db.iter().map(|x| x.max(top - 80.0)).collect();
        assert_close(
            &format!("esp-hires-q{q}"),
            &top_down(&found),
            &expected,
            1e-4,
        );
    }
    let found = compute(&root, "burst", &preset("esp-q1-q8-log"));
    assert_eq!(found.shape(), [3, 224, 224]);
    for (channel, name) in [(0, "esp-hires-q1"), (1, "esp-hires-q8"), (2, "esp-log-db")] {
        let single = compute(&root, "burst", &preset(name));
        assert_eq!(found.channel(channel), single.data);
    }
}
