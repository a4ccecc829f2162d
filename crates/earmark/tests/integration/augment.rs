//! What augmentation promises: the same seed gives the same clip in any order and on any thread,
//! settings are refused by name, and a configuration survives being written and read.

use std::sync::Arc;

use earmark::augment::{
    AugmentConfig, Augmenter, ClipRng, Material, Mixture, Partner, Partners, Scratch,
};
use earmark::features::Features;
use earmark::{Error, Result};

/// Every kind of every list, so that none is forgotten here when it is added there.
const EVERYTHING: &str = r#"
waveform = [
    { kind = "time-stretch" },
    { kind = "speed", probability = 0.5 },
    { kind = "crop", secs = 0.5 },
    { kind = "gain", db = [-6, 6] },
    { kind = "polarity", probability = 0.5 },
    { kind = "shift" },
    { kind = "pitch-shift", semitones = [-2, 2] },
    { kind = "one-of", steps = [
        { kind = "filter", probability = 2 },
        { kind = "chain", steps = [{ kind = "bandwidth" }, { kind = "mu-law" }] },
        { kind = "bit-crush" },
        { kind = "adpcm" },
        { kind = "clip" },
    ] },
    { kind = "reverb", probability = 0.5 },
    { kind = "noise" },
    { kind = "background" },
    { kind = "time-mask" },
]
mix_waveforms = [{ kind = "pressure" }]
features = [
    { kind = "crop", frames = 32 },
    { kind = "frequency-mask" },
    { kind = "time-mask", fill = "min" },
    { kind = "erase" },
    { kind = "resized-crop" },
    { kind = "frequency-shift" },
    { kind = "time-shift" },
    { kind = "frequency-warp" },
    { kind = "time-warp" },
    { kind = "lighting" },
    { kind = "subtract-mean", strength = [0, 1] },
]
mix_features = [
    { kind = "one-of", probability = 0.9, steps = [
        { kind = "sigmoid-concat", probability = 0.5 },
        { kind = "mixup", probability = 0.3, weight = { uniform = [0, 0.5] } },
        { kind = "cut-mix", probability = 0.2 },
    ] },
]
"#;

const RATE: u32 = 8000;

fn material() -> Material {
    let mut material = Material::new(RATE);
    let rain: Vec<f32> = (0..RATE)
        .map(|i| ((i * i) % 97) as f32 / 97.0 - 0.5)
        .collect();
    material.backgrounds = Some(Arc::new(vec![rain]));
    material
}

fn augmenter() -> Augmenter {
    let config = AugmentConfig::from_toml(EVERYTHING).expect("the settings above are valid");
    Augmenter::new(&config, material()).expect("the settings above are possible")
}

/// A tone that glides, different for each clip.
fn tone(clip: usize) -> Vec<f32> {
    let hz = 200.0 + 50.0 * clip as f32;
    let phase = |i: f32| std::f32::consts::TAU * i * (hz + i / 50.0) / RATE as f32;
    (0..RATE).map(|i| phase(i as f32).sin() * 0.5).collect()
}

fn pattern(clip: usize) -> Features {
    Features {
        data: (0..2 * 16 * 40)
            .map(|i| ((i * (clip + 3)) % 101) as f32)
            .collect(),
        n_channels: 2,
        n_bands: 16,
        n_frames: 40,
    }
}

/// The clip after all four lists.
fn augmented(
    augmenter: &Augmenter,
    clip: usize,
    epoch: u64,
    scratch: &mut Scratch,
) -> Result<Vec<f32>> {
    let rng = ClipRng::new(11, epoch, format!("clip {clip}"));
    let mut samples = tone(clip);
    augmenter.waveform(&mut samples, &rng, scratch)?;
    assert_eq!(samples.len(), 4000);
    let mut target = [1.0, 0.0];
    let other = tone(clip + 1)[..4000].to_vec();
    let partner = Partner {
        data: &other,
        target: &[0.0, 1.0],
    };
    let mixture = Mixture {
        data: &mut samples,
        n_rows: 1,
        target: &mut target,
    };
    let partners: &mut dyn Partners = &mut &[partner][..];
    augmenter.mix_waveforms(mixture, partners, &rng, scratch)?;

    let mut features = pattern(clip);
    augmenter.features(&mut features, &rng, scratch)?;
    let mut other = pattern(clip + 1);
    let other_rng = ClipRng::new(11, epoch, format!("clip {}", clip + 1));
    augmenter.features(&mut other, &other_rng, scratch)?;
    let partner = Partner {
        data: &other.data,
        target: &[0.0, 1.0],
    };
    let mixture = Mixture {
        data: &mut features.data,
        n_rows: 32,
        target: &mut target,
    };
    let partners: &mut dyn Partners = &mut &[partner][..];
    augmenter.mix_features(mixture, partners, &rng, scratch)?;

    samples.extend(features.data);
    samples.extend(target);
    assert!(samples.iter().all(|value| value.is_finite()));
    Ok(samples)
}

#[test]
fn the_same_seed_gives_the_same_clips_in_any_order_and_on_any_thread() {
    let augmenter = augmenter();
    let mut scratch = Scratch::default();
    let forward: Vec<_> = (0..6)
        .map(|clip| augmented(&augmenter, clip, 0, &mut scratch).unwrap())
        .collect();
    let mut backward: Vec<_> = (0..6)
        .rev()
        .map(|clip| augmented(&augmenter, clip, 0, &mut scratch).unwrap())
        .collect();
    backward.reverse();
    assert_eq!(forward, backward);
    let threads: Vec<_> = std::thread::scope(|scope| {
        let spawned: Vec<_> = (0..6)
            .map(|clip| {
                let augmenter = &augmenter;
                scope.spawn(move || augmented(augmenter, clip, 0, &mut Scratch::default()).unwrap())
            })
            .collect();
        spawned
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    assert_eq!(forward, threads);
    assert_ne!(
        forward[0],
        augmented(&augmenter, 0, 1, &mut scratch).unwrap()
    );
}

#[test]
fn a_configuration_survives_being_written_and_read() {
    let config = AugmentConfig::from_toml(EVERYTHING).unwrap();
    let written = toml::to_string(&config).unwrap();
    assert_eq!(
        AugmentConfig::from_toml(&written).unwrap(),
        config,
        "{written}"
    );
    let written = serde_json::to_string(&config).unwrap();
    assert_eq!(
        serde_json::from_str::<AugmentConfig>(&written).unwrap(),
        config
    );
}

#[test]
fn nothing_configured_changes_nothing() {
    let augmenter = Augmenter::new(&AugmentConfig::default(), Material::new(RATE)).unwrap();
    let mut samples = tone(0);
    let rng = ClipRng::new(1, 0, "clip");
    augmenter
        .waveform(&mut samples, &rng, &mut Scratch::default())
        .unwrap();
    assert_eq!(samples, tone(0));
}

/// What the settings are refused with.
fn refusal(text: &str) -> String {
    let refused = |config: AugmentConfig| Augmenter::new(&config, Material::new(RATE)).map(drop);
    match AugmentConfig::from_toml(text).and_then(refused) {
        Err(error @ Error::Config { .. }) => error.to_string(),
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn impossible_settings_are_refused_by_name() {
    let cases = [
        (
            "waveform = [{ kind = 'gain', db = [6, -6] }]",
            "augment.waveform[0].db is [6, -6]",
        ),
        (
            "waveform = [{ kind = 'gain', probability = 1.5 }]",
            "augment.waveform[0].probability is 1.5",
        ),
        (
            "waveform = [{ kind = 'noise', colours = [] }]",
            "augment.waveform[0].colours is an empty list",
        ),
        (
            "waveform = [{ kind = 'noise', snr_db = [nan, 3] }]",
            "augment.waveform[0].snr_db is [NaN, 3]",
        ),
        (
            "waveform = [{ kind = 'crop', secs = 0 }]",
            "augment.waveform[0].secs is 0",
        ),
        (
            "waveform = [{ kind = 'pitch-shift', semitones = 99 }]",
            "semitones is [99, 99]",
        ),
        (
            "waveform = [{ kind = 'time-stretch', rate = 0 }]",
            "rate is [0, 0]",
        ),
        (
            "waveform = [{ kind = 'filter', hz = [100, 4000] }]",
            "hz is [100, 4000]",
        ),
        (
            "waveform = [{ kind = 'background' }]",
            "needs at least one background sound",
        ),
        (
            "waveform = [{ kind = 'reverb', source = 'measured' }]",
            "needs at least one impulse response",
        ),
        (
            "waveform = [{ kind = 'one-of', steps = [] }]",
            "augment.waveform[0].steps is 0 steps",
        ),
        (
            "waveform = [{ kind = 'chain', steps = [{ kind = 'speed', factor = 9 }] }]",
            "augment.waveform[0].steps[0].factor is [9, 9]",
        ),
        (
            "features = [{ kind = 'time-mask', share = 2 }]",
            "augment.features[0].share is [2, 2]",
        ),
        (
            "mix_features = [{ kind = 'mixup', weight = { beta = 0 } }]",
            "weight.beta is 0",
        ),
        (
            "mix_features = [{ kind = 'pressure' }]",
            "list it under `mix_waveforms`",
        ),
        (
            "waveform = [{ kind = 'louder' }]",
            "unknown variant `louder`",
        ),
        (
            "waveform = [{ kind = 'gain', level = 3 }]",
            "unknown field `level`",
        ),
        (
            "waveform = [{ kind = 'polarity', level = 3 }]",
            "unknown field `level`",
        ),
        ("waveforms = []", "unknown field `waveforms`"),
    ];
    for (settings, expected) in cases {
        let message = refusal(settings);
        assert!(message.contains(expected), "{settings}: {message}");
    }
}

/// A partner that cannot be read.
struct Unreadable;

impl Partners for Unreadable {
    fn draw(&mut self, _: &mut ClipRng) -> Result<Partner<'_>> {
        Err(Error::NotAudio {
            name: "cat.wav".to_owned(),
            found: "text".to_owned(),
        })
    }
}

#[test]
fn an_unreadable_partner_is_reported_and_the_clip_left_alone() {
    let config = AugmentConfig::from_toml("mix_waveforms = [{ kind = 'mixup' }]").unwrap();
    let augmenter = Augmenter::new(&config, Material::new(RATE)).unwrap();
    let mut samples = tone(0);
    let mixture = Mixture {
        data: &mut samples,
        n_rows: 1,
        target: &mut [1.0],
    };
    let rng = ClipRng::new(1, 0, "clip");
    let error = augmenter.mix_waveforms(mixture, &mut Unreadable, &rng, &mut Scratch::default());
    assert!(error.unwrap_err().to_string().starts_with("cat.wav"));
    assert_eq!(samples, tone(0));
}
