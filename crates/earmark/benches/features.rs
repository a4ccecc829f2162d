//! How fast the front ends are: `cargo bench -p earmark --bench features`.
//!
//! Everything runs on one thread. Sounds are synthesised; no representation's cost depends on what
//! is heard, but for the high-resolution spectrogram, whose sounds are made of noise, the dearest.

use divan::{Bencher, black_box};
use earmark::features::{
    FrontEnd, FrontEndConfig, HighResolution, HighResolutionConfig, HighResolutionMode,
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
