//! The high-resolution spectrogram against plain NumPy, one after the other on one thread:
//! `cargo bench -p earmark --bench high_resolution_numpy`.
//!
//! Both get the same second of sound; the histograms are compared as well as the clocks. Without
//! `python3` and NumPy it says so and ends.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use earmark::features::{Cells, HighResolution, HighResolutionConfig, HighResolutionMode};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// How often each is run; the fastest counts.
const ROUNDS: usize = 3;

/// One second in 224 × 224 cells at 44.1 kHz, and at half of it.
const RATES: [u32; 2] = [22_050, 44_100];

#[allow(clippy::print_stdout, reason = "a benchmark prints its figures")]
fn main() -> Outcome<()> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build_global()?;
    let folder = tempfile::tempdir()?;
    for rate in RATES {
        let samples = chirp(rate);
        for q in [1.0, 8.0] {
            let config = HighResolutionConfig {
                cells: Cells::All,
                ..HighResolutionConfig::new(q)
            };
            let mut numpy_secs = f64::INFINITY;
            let mut expected = Vec::new();
            let modes = [HighResolutionMode::Exact, HighResolutionMode::Fast];
            let mut found = modes.map(|mode| (mode, f64::INFINITY, Vec::new()));
            // In turn, so that what slows the machine down for a while slows all of them down.
            for _ in 0..ROUNDS {
                let Some((secs, histogram)) = numpy(folder.path(), &config, &samples)? else {
                    println!("no python3 with NumPy: nothing to compare with");
                    return Ok(());
                };
                (numpy_secs, expected) = (numpy_secs.min(secs), histogram);
                for (mode, fastest, energy) in &mut found {
                    let (secs, histogram) = ours(*mode, &config, &samples)?;
                    (*fastest, *energy) = (fastest.min(secs), histogram);
                }
            }
            for (mode, secs, energy) in found {
                let pairs = energy.iter().zip(&expected);
                let difference: f64 = pairs.map(|(a, b)| (a - b).abs()).sum();
                println!(
                    "{rate} Hz, q {q}: {mode:?} {secs:.3} s, NumPy {numpy_secs:.2} s, ratio {:.1}, \
                     relative L1 {:.1e}",
                    numpy_secs / secs,
                    difference / expected.iter().sum::<f64>()
                );
            }
        }
    }
    Ok(())
}

/// The seconds that the library takes, and its histogram.
fn ours(
    mode: HighResolutionMode,
    config: &HighResolutionConfig,
    samples: &[f32],
) -> Outcome<(f64, Vec<f64>)> {
    let compiled = HighResolution::new(&HighResolutionConfig {
        mode,
        ..config.clone()
    })?;
    let start = Instant::now();
    let energy = compiled.histogram(&[samples])?.energy;
    Ok((start.elapsed().as_secs_f64(), energy))
}

/// A second of a chirp with noise.
fn chirp(sample_rate: u32) -> Vec<f32> {
    let mut state = 1_u32;
    let sample = |n: u32| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let noise = f64::from(state >> 8) / f64::from(1 << 24) - 0.5;
        let t = f64::from(n) / f64::from(sample_rate);
        (0.5 * (900.0 * t + 9000.0 * t * t).sin() + 0.1 * noise) as f32
    };
    (0..sample_rate).map(sample).collect()
}

/// The seconds that NumPy took, and its histogram.
fn numpy(
    folder: &Path,
    config: &HighResolutionConfig,
    samples: &[f32],
) -> Outcome<Option<(f64, Vec<f64>)>> {
    let [input, output] = ["samples.f32", "histogram.f64"].map(|name| folder.join(name));
    let bytes: Vec<u8> = samples.iter().flat_map(|x| x.to_le_bytes()).collect();
    std::fs::write(&input, bytes)?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/high_resolution_numpy.py");
    let numbers = [
        config.q,
        config.tdeci as f64,
        config.over as f64,
        config.noct,
        config.minf,
        config.maxf,
    ];
    let run = Command::new("python3")
        .arg(script)
        .args([&input, &output])
        .args(numbers.map(|x| x.to_string()))
        .env("OMP_NUM_THREADS", "1")
        .output();
    let Ok(run) = run else { return Ok(None) };
    if !run.status.success() {
        return Ok(None);
    }
    let secs = String::from_utf8(run.stdout)?.trim().parse()?;
    let bytes = std::fs::read(output)?;
    let mut histogram = Vec::new();
    for value in bytes.chunks_exact(8) {
        histogram.push(f64::from_le_bytes(value.try_into()?));
    }
    Ok(Some((secs, histogram)))
}
