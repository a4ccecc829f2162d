//! Log-mel spectrograms agree with librosa, torchaudio, TensorFlow and EfficientAT.
//!
//! The golden arrays were written by those libraries (see `../shared/reference`).

use std::path::Path;

use crate::support::{Array, npy, shared};
use earmark::features::{
    BinValue, ClipConfig, ClipReference, DecibelConfig, FrequencyAxis, FrontEnd, FrontEndConfig,
    Loudness, MelBank, MelConfig, MelNorm, MelScale, Padding, Preset, Reference, Representation,
    SpectrogramConfig, StftConfig,
};

const SIGNALS: [&str; 5] = ["chirp", "twotone", "impulses", "noise", "burst"];

fn front_end(sample_rate: u32, spectrogram: SpectrogramConfig) -> FrontEnd {
    FrontEnd::new(&FrontEndConfig {
        sample_rate,
        clip: ClipConfig::default(),
        channels: vec![Representation::Spectrogram(spectrogram).into()],
    })
    .unwrap()
}

/// The features of a reference signal, as `[band, frame]`.
fn compute(root: &Path, signal: &str, front_end: &FrontEnd) -> Array {
    let rate = front_end.sample_rate();
    let input = npy(root.join(format!("inputs/{signal}_{rate}.npy"))).to_f32();
    let features = front_end.compute(&input).unwrap();
    Array {
        shape: vec![features.n_bands, features.n_frames],
        data: features.data.iter().map(|x| f64::from(*x)).collect(),
    }
}

/// The largest absolute difference.
fn max_error(found: &Array, expected: &Array) -> f64 {
    assert_eq!(found.shape, expected.shape);
    let pairs = found.data.iter().zip(&expected.data);
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

fn max(array: &Array) -> f64 {
    array.data.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

struct Worst(f64, String);

impl Worst {
    fn new() -> Self {
        Self(0.0, String::new())
    }

    fn note(&mut self, error: f64, name: &str) {
        if error >= self.0 {
            *self = Self(error, name.to_owned());
        }
    }

    fn assert(self, what: &str, tolerance: f64) {
        println!(
            "{what}: worst {:.2e} in {}, tolerance {tolerance:.0e}",
            self.0, self.1
        );
        assert!(!self.1.is_empty(), "{what}: no golden array was compared");
        assert!(self.0 <= tolerance, "{what}: {:e} in {}", self.0, self.1);
    }
}

fn librosa_mel(name: &str, padding: Padding, loudness: Loudness) -> SpectrogramConfig {
    let (scale, norm) = match name {
        "slaneyscale_normslaney" => (MelScale::Slaney, MelNorm::Slaney),
        "slaneyscale_normnone" => (MelScale::Slaney, MelNorm::None),
        "htk_normslaney" => (MelScale::Htk, MelNorm::Slaney),
        "htk_normnone" => (MelScale::Htk, MelNorm::None),
        other => panic!("{other}"),
    };
    SpectrogramConfig {
        stft: StftConfig {
            padding,
            ..StftConfig::new(2048, 512)
        },
        values: BinValue::Power,
        axis: FrequencyAxis::Mel(MelConfig {
            scale,
            norm,
            ..MelConfig::new(128)
        }),
        loudness,
    }
}

const PADDINGS: [(&str, Padding); 2] = [("constant", Padding::Zero), ("reflect", Padding::Reflect)];

#[test]
fn mel_powers_are_librosas() {
    let Some(shared) = shared() else { return };
    let root = shared.join("reference");
    // Both sides sum f32 products of an f32 transform: 1e-4 of the peak is far above the rounding
    // of either (about 1e-6) and far below any difference of convention.
    let mut worst = Worst::new();
    for signal in SIGNALS {
        for rate in [22_050, 44_100] {
            for (pad_name, padding) in PADDINGS {
                for mel in [
                    "slaneyscale_normslaney",
                    "slaneyscale_normnone",
                    "htk_normslaney",
                    "htk_normnone",
                ] {
                    let name = format!("{signal}_{rate}_mel128_{mel}_{pad_name}");
                    let file = root.join(format!("librosa/{name}.npy"));
                    if !file.exists() {
                        continue;
                    }
                    let config = librosa_mel(mel, padding, Loudness::Linear);
                    let found = compute(&root, signal, &front_end(rate, config));
                    let expected = npy(file);
                    worst.note(max_error(&found, &expected) / max(&expected), &name);
                }
            }
        }
    }
    worst.assert("librosa mel power, relative to the peak", 1e-4);
}

#[test]
fn log_mels_in_decibels_are_librosas() {
    let Some(shared) = shared() else { return };
    let root = shared.join("reference");
    let references = [
        ("ref1", Reference::Value(1.0)),
        ("refmax", Reference::OfClip(ClipReference::Max)),
    ];
    let mut worst = Worst::new();
    for signal in SIGNALS {
        for rate in [22_050, 44_100] {
            for (pad_name, padding) in PADDINGS {
                for (ref_name, reference) in references {
                    let name = format!(
                        "{signal}_{rate}_mel128_slaneyscale_normslaney_{pad_name}_db_{ref_name}_top80"
                    );
                    let file = root.join(format!("librosa/{name}.npy"));
                    if !file.exists() {
                        continue;
                    }
                    let loudness = Loudness::Decibel(DecibelConfig {
                        reference,
                        ..DecibelConfig::power()
                    });
                    let config = librosa_mel("slaneyscale_normslaney", padding, loudness);
                    let found = compute(&root, signal, &front_end(rate, config));
                    worst.note(max_error(&found, &npy(file)), &name);
                }
            }
        }
    }
    // 80 dB below the peak an f32 transform's rounding (1e-7 of the peak amplitude) is a part in
    // a thousand of the value, which is .01 dB.
    worst.assert("librosa log-mel, dB", 0.01);
}

#[test]
fn magnitudes_are_librosas() {
    let Some(shared) = shared() else { return };
    let root = shared.join("reference");
    let mut worst = Worst::new();
    let mut worst_db = Worst::new();
    for signal in SIGNALS {
        for rate in [22_050, 44_100] {
            for (pad_name, padding) in PADDINGS {
                let name = format!("{signal}_{rate}_stftmag_{pad_name}");
                let file = root.join(format!("librosa/{name}.npy"));
                if !file.exists() {
                    continue;
                }
                let linear = |loudness| SpectrogramConfig {
                    stft: StftConfig {
                        padding,
                        ..StftConfig::new(2048, 512)
                    },
                    values: BinValue::Magnitude,
                    axis: FrequencyAxis::Linear,
                    loudness,
                };
                let found = compute(&root, signal, &front_end(rate, linear(Loudness::Linear)));
                let expected = npy(file);
                worst.note(max_error(&found, &expected) / max(&expected), &name);
                let db = root.join(format!("librosa/{signal}_{rate}_lindb_amp_ref1_top80.npy"));
                if pad_name == "constant" && db.exists() {
                    let loudness = Loudness::Decibel(DecibelConfig::amplitude());
                    let found = compute(&root, signal, &front_end(rate, linear(loudness)));
                    worst_db.note(max_error(&found, &npy(db)), &name);
                }
            }
        }
    }
    worst.assert("librosa magnitude, relative to the peak", 1e-4);
    // See the tolerance of the log-mel.
    worst_db.assert("librosa linear spectrogram, dB", 0.01);
}

#[test]
fn filter_banks_are_librosas() {
    let Some(shared) = shared() else { return };
    let folder = shared.join("reference/librosa");
    let cases = [
        (
            "22050_2048_128_0_11025_htk_none",
            22_050,
            2048,
            MelConfig::htk(128),
        ),
        (
            "22050_2048_128_0_11025_slaney_slaney",
            22_050,
            2048,
            MelConfig::new(128),
        ),
        (
            "44100_2048_64_125_7500_slaney_slaney",
            44_100,
            2048,
            MelConfig {
                f_min: 125.0,
                f_max: Some(7500.0),
                ..MelConfig::new(64)
            },
        ),
        (
            "44100_4480_224_20_22050_slaney_slaney",
            44_100,
            4480,
            MelConfig {
                f_min: 20.0,
                ..MelConfig::new(224)
            },
        ),
    ];
    for (name, rate, n_fft, config) in cases {
        let golden = npy(folder.join(format!("melfb_{name}_sparse.npy")));
        let n = golden.shape[1];
        let expected: Vec<(usize, usize, f64)> = (0..n)
            .map(|i| {
                (
                    golden.data[i] as usize,
                    golden.data[n + i] as usize,
                    golden.data[2 * n + i],
                )
            })
            .collect();
        assert_bank(
            name,
            &MelBank::new(&config, n_fft, rate).unwrap(),
            &expected,
        );
    }
}

/// Weights agree to 1e-6 of the largest: both were rounded to f32 after f64 arithmetic.
fn assert_bank(name: &str, bank: &MelBank, expected: &[(usize, usize, f64)]) {
    let largest = expected.iter().map(|e| e.2).fold(0.0, f64::max);
    let weight_of = |band: usize, bin: usize| {
        let entry = bank.entries().find(|e| (e.0, e.1) == (band, bin));
        entry.map_or(0.0, |e| f64::from(e.2))
    };
    let mut found_sum = 0.0;
    for (band, bin, weight) in expected {
        let found = weight_of(*band, *bin);
        found_sum += found;
        let error = (found - weight).abs() / largest;
        assert!(
            error < 1e-6,
            "{name}: band {band}, bin {bin}: {found} is not {weight}"
        );
    }
    let all: f64 = bank.entries().map(|e| f64::from(e.2)).sum();
    assert!(
        (all - found_sum).abs() < 1e-6 * largest,
        "{name} has weights elsewhere"
    );
}

#[test]
fn the_dcase_baselines_log_mel_is_tensorflows() {
    let Some(shared) = shared() else { return };
    let root = shared.join("reference");
    let mel = MelConfig::tensorflow(64, 125.0, 7500.0);
    let bank = MelBank::new(&mel, 2048, 44_100).unwrap();
    let golden = npy(root.join("dcase_baseline/mel_weights_sparse.npy"));
    for i in 0..golden.shape[1] {
        let [bin, band, weight] = [0, 1, 2].map(|row| golden.data[row * golden.shape[1] + i]);
        let entry = bank
            .entries()
            .find(|e| (e.0, e.1) == (band as usize, bin as usize));
        // TensorFlow subtracts mel values near 2000 in f32 and divides by 39 mel: 2e-4 / 39.
        let found = entry.map_or(0.0, |e| f64::from(e.2));
        assert!(
            (found - weight).abs() < 1e-5,
            "band {band}, bin {bin}: {found}, not {weight}"
        );
    }
    let preset = Preset::named("dcase2018-baseline").unwrap();
    let front_end = FrontEnd::new(&preset.config()).unwrap();
    let (mut worst, mut worst_loud) = (Worst::new(), Worst::new());
    for signal in ["chirp", "noise", "burst", "impulses"] {
        let expected = npy(root.join(format!("dcase_baseline/{signal}_44100_logmel.npy")));
        let expected = expected.transposed();
        let found = compute(&root, signal, &front_end);
        let linear = |array: &Array| Array {
            data: array.data.iter().map(|x| x.exp()).collect(),
            ..array.clone()
        };
        let peak = max(&linear(&expected));
        worst.note(
            max_error(&linear(&found), &linear(&expected)) / peak,
            signal,
        );
        let loud = found.data.iter().zip(&expected.data);
        let loud = loud.filter(|(_, expected)| expected.exp() > 0.01);
        let error = loud.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        worst_loud.note(error, signal);
    }
    // TensorFlow's f32 transform leaves magnitudes of about 1e-7 of the peak where there should be
    // none, and so does ours; beside the offset .001 that is up to 1.4 % of a silent band (the
    // golden array is that far from an f64 computation). The logarithm is compared where a band is
    // ten times the offset.
    worst.assert("DCASE baseline mel magnitude, relative to the peak", 1e-5);
    worst_loud.assert("DCASE baseline log-mel of loud bands", 2e-3);
}

#[test]
fn the_doshi_mel_is_torchaudios() {
    let Some(shared) = shared() else { return };
    let root = shared.join("reference");
    let config = SpectrogramConfig {
        stft: StftConfig {
            padding: Padding::Reflect,
            ..StftConfig::new(1024, 512)
        },
        values: BinValue::Power,
        axis: FrequencyAxis::Mel(MelConfig::htk(64)),
        loudness: Loudness::Decibel(DecibelConfig::power()),
    };
    let front_end = front_end(44_100, config);
    let mut worst = Worst::new();
    for signal in ["chirp", "noise"] {
        let expected = npy(root.join(format!("torchaudio/{signal}_44100_doshi_mel64_db.npy")));
        worst.note(
            max_error(&compute(&root, signal, &front_end), &expected),
            signal,
        );
    }
    worst.assert("torchaudio log-mel, dB", 0.01);
}

#[test]
fn the_efficient_at_log_mel_is_the_original_networks() {
    let Some(shared) = shared() else { return };
    let folder = shared.join("reference/mn04");
    let front_end = FrontEnd::new(&FrontEndConfig::efficient_at()).unwrap();
    let mut worst = Worst::new();
    for clip in [
        "chirp",
        "noise_3s",
        "dog__1-100032-A.ogg",
        "rooster__1-26806-A.ogg",
        "chainsaw__1-116765-A.ogg",
    ] {
        let waveform = npy(folder.join(format!("{clip}_waveform.npy"))).to_f32();
        let expected = npy(folder.join(format!("{clip}_logmel.npy")));
        let features = front_end.compute(&waveform).unwrap();
        let found = Array {
            shape: vec![features.n_bands, features.n_frames],
            data: features.data.iter().map(|x| f64::from(*x)).collect(),
        };
        worst.note(max_error(&found, &expected), clip);
    }
    // The original computes transform, filters and logarithm in f32; quiet bands of the chirp are
    // sums of rounding errors around the offset 1e-5.
    worst.assert("EfficientAT log-mel", 1e-3);
}
