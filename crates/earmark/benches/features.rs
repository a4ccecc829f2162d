//! How fast the front ends are: `cargo bench -p earmark --bench features`.
//!
//! Everything runs on one thread. Sounds are synthesised; no representation's cost depends on what
//! is heard, but for the high-resolution spectrogram, whose sounds are made of noise, the dearest.

use divan::{Bencher, black_box};
use earmark::features::{
    EnergyCentre, FrontEnd, FrontEndConfig, HighResolution, HighResolutionConfig,
    HighResolutionMode, Preset, centred_on_energy,
};

fn main() {
    rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build_global()
        .expect("nothing used the thread pool before");
    divan::main();
}

/// A chirp with noise.
fn sound(sample_rate: u32, secs: f64) -> Vec<f32> {
    let mut state = 1_u32;
    (0..(f64::from(sample_rate) * secs) as usize)
        .map(|n| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let noise = f64::from(state >> 8) / f64::from(1 << 24) - 0.5;
            let t = n as f64 / f64::from(sample_rate);
            (0.5 * (900.0 * t + 700.0 * t * t).sin() + 0.1 * noise) as f32
        })
        .collect()
}

/// Ten seconds at 32 kHz, `n_fft` 1024, hop 320, 128 mel bands.
#[divan::bench]
fn log_mel_efficient_at_10_s(bencher: Bencher<'_, '_>) {
    let front_end = FrontEnd::new(&FrontEndConfig::efficient_at()).expect("a preset");
    let samples = sound(32_000, 10.0);
    bencher.bench_local(|| front_end.compute(black_box(&samples)));
}

/// The same ten seconds in blocks of 100 ms.
#[divan::bench]
fn log_mel_efficient_at_10_s_streamed(bencher: Bencher<'_, '_>) {
    let front_end = FrontEnd::new(&FrontEndConfig::efficient_at()).expect("a preset");
    let samples = sound(32_000, 10.0);
    bencher.bench_local(|| {
        let mut stream = front_end.stream().expect("no setting needs the clip");
        for block in samples.chunks(3200) {
            let _ = black_box(stream.push(black_box(block)));
        }
        stream.finish()
    });
}

/// One second at 44.1 kHz in 224 × 224 cells.
#[divan::bench(args = [1.0, 2.0, 4.0, 8.0], sample_count = 3, sample_size = 1)]
fn high_resolution_exact_1_s(bencher: Bencher<'_, '_>, q: f64) {
    high_resolution(bencher, q, HighResolutionMode::Exact);
}

/// One second at 44.1 kHz in 224 × 224 cells.
#[divan::bench(args = [1.0, 2.0, 4.0, 8.0], sample_count = 10, sample_size = 1)]
fn high_resolution_fast_1_s(bencher: Bencher<'_, '_>, q: f64) {
    high_resolution(bencher, q, HighResolutionMode::Fast);
}

fn high_resolution(bencher: Bencher<'_, '_>, q: f64, mode: HighResolutionMode) {
    let config = HighResolutionConfig {
        mode,
        ..HighResolutionConfig::new(q)
    };
    let compiled = HighResolution::new(&config).expect("the defaults are good");
    let samples = sound(44_100, 1.0);
    bencher.bench_local(|| compiled.histogram(black_box(&[&samples])));
}

/// Everything that is not a preset of its own, in TOML, for one channel at 22.05 kHz.
const REPRESENTATIONS: [(&str, &str); 13] = [
    (
        "waveform",
        "of = { kind = 'waveform' }\nsteps = [{ kind = 'min-max', low = -0.5, high = 0.5 }]",
    ),
    (
        "magnitude",
        "of = { kind = 'spectrogram', stft = { n_fft = 2048, hop_length = 512 }, values = 'magnitude' }",
    ),
    (
        "power",
        "of = { kind = 'spectrogram', stft = { n_fft = 2048, hop_length = 512 } }",
    ),
    (
        "phase",
        "of = { kind = 'spectrogram', stft = { n_fft = 2048, hop_length = 512 }, values = 'phase' }",
    ),
    (
        "linear dB",
        "of = { kind = 'spectrogram', stft = { n_fft = 2048, hop_length = 512 }, loudness = { kind = 'decibel', floor = 1e-10, top_db = 80.0 } }",
    ),
    (
        "log dB",
        "of = { kind = 'spectrogram', stft = { n_fft = 2048, hop_length = 512 }, axis = { kind = 'log', n_bands = 224, linear_below = 65.4, linear_length = 0.5 }, loudness = { kind = 'decibel', floor = 1e-10, top_db = 80.0 } }",
    ),
    (
        "mel dB",
        "of = { kind = 'spectrogram', stft = { n_fft = 2048, hop_length = 512 }, axis = { kind = 'mel', n_mels = 128 }, loudness = { kind = 'decibel', floor = 1e-10, top_db = 80.0 } }",
    ),
    (
        "mel ln",
        "of = { kind = 'spectrogram', stft = { n_fft = 2048, hop_length = 512 }, axis = { kind = 'mel', n_mels = 128 }, loudness = { kind = 'ln', offset = 1e-5 } }",
    ),
    (
        "mel PCEN",
        "of = { kind = 'spectrogram', stft = { n_fft = 2048, hop_length = 512 }, axis = { kind = 'mel', n_mels = 128 }, loudness = { kind = 'pcen', scale = 2147483648.0, gain = 0.98, bias = 2.0, power = 0.5, time_constant_secs = 0.4, epsilon = 1e-6, start = 1.0 } }",
    ),
    (
        "MFCC",
        "of = { kind = 'spectrogram', stft = { n_fft = 2048, hop_length = 512 }, axis = { kind = 'mel', n_mels = 128 }, loudness = { kind = 'decibel', floor = 1e-10, top_db = 80.0 } }\nsteps = [{ kind = 'cepstrum', n_coefficients = 20 }]",
    ),
    (
        "MFCC delta 2",
        "of = { kind = 'spectrogram', stft = { n_fft = 2048, hop_length = 512 }, axis = { kind = 'mel', n_mels = 128 }, loudness = { kind = 'decibel', floor = 1e-10, top_db = 80.0 } }\nsteps = [{ kind = 'cepstrum', n_coefficients = 20 }, { kind = 'delta', order = 2 }]",
    ),
    (
        "boxcar, real part",
        "of = { kind = 'spectrogram', stft = { n_fft = 6615, hop_length = 6615, padding = 'none', window = { shape = 'boxcar' } }, values = 'real' }",
    ),
    ("statistics", "of = { kind = 'statistics' }"),
];

/// Ten seconds at 22.05 kHz in every representation.
#[divan::bench(args = REPRESENTATIONS.map(|(name, _)| name))]
fn representation_10_s(bencher: Bencher<'_, '_>, name: &str) {
    let channel = REPRESENTATIONS.iter().find(|(known, _)| *known == name);
    let channel = channel.map_or("", |(_, channel)| *channel);
    let text = format!("sample_rate = 22050\n[[channels]]\n{channel}\n");
    let config: FrontEndConfig = toml::from_str(&text).expect("a sound configuration");
    let front_end = FrontEnd::new(&config).expect("a sound front end");
    let samples = sound(22_050, 10.0);
    bencher.bench_local(|| front_end.compute(black_box(&samples)));
}

/// Ten seconds in presets of several channels or with clip shaping.
#[divan::bench(args = ["fat2019-resnet", "fat2019-resnet-rgb", "fat2019-apd", "dcase2018-baseline", "conv1d-mel", "xu2018", "esp-log-mel-linear"], sample_count = 20)]
fn preset_10_s(bencher: Bencher<'_, '_>, name: &str) {
    let preset = Preset::named(name).expect("a preset");
    let front_end = FrontEnd::new(&preset.config()).expect("a sound front end");
    let samples = sound(front_end.sample_rate(), 10.0);
    bencher.bench_local(|| front_end.compute(black_box(&samples)));
}

/// The loudest half second of thirty, and two seconds around it.
#[divan::bench]
fn energy_centre_30_s(bencher: Bencher<'_, '_>) {
    let centre = EnergyCentre {
        window_length: 11_025,
        n_samples: 44_100,
    };
    let samples = sound(22_050, 30.0);
    bencher.bench_local(|| centred_on_energy(black_box(&samples), &centre));
}
