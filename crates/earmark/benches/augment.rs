//! What the changes of a waveform cost: `cargo bench -p earmark --bench augment`.
//!
//! Every effect at its default strength on five seconds at 32 kHz, on one thread, at another draw each time.

use std::cell::Cell;

use divan::{Bencher, black_box};
use earmark::augment::{AugmentConfig, Augmenter, ClipRng, Material, Scratch};

const SAMPLE_RATE: u32 = 32_000;

const EFFECTS: [&str; 12] = [
    "gain",
    "shift",
    "noise",
    "pitch-shift",
    "time-stretch",
    "speed",
    "filter",
    "bandwidth",
    "bit-crush",
    "mu-law",
    "adpcm",
    "clip",
];

fn main() {
    divan::main();
}

#[divan::bench(args = EFFECTS)]
fn waveform_5_s(bencher: Bencher<'_, '_>, effect: &str) {
    let config = format!("waveform = [{{ kind = \"{effect}\" }}]");
    let config: AugmentConfig = toml::from_str(&config).expect("an effect by its name");
    let augmenter =
        Augmenter::new(&config, Material::new(SAMPLE_RATE)).expect("the defaults are good");
    let samples: Vec<f32> = (0..5 * SAMPLE_RATE)
        .map(|n| 0.5 * (0.1 * n as f32 + 1e-6 * (n as f32).powi(2)).sin())
        .collect();
    let epoch = Cell::new(0);
    let mut scratch = Scratch::default();
    bencher.bench_local(|| {
        epoch.set(epoch.get() + 1);
        let mut changed = samples.clone();
        let rng = ClipRng::new(0, epoch.get(), "chirp");
        let outcome = augmenter.waveform(black_box(&mut changed), &rng, &mut scratch);
        outcome.expect("a chirp can be changed");
        changed
    });
}
