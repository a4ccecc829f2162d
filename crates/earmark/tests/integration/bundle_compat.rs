//! A bundle of every past format version still loads and gives the same numbers.
//!
//! `data/bundle/v1.onnx` was written by the code below when version 1 was the newest; `v1.json` has what
//! it says of a chirp. When the format changes, a `v2` is added and `v1` stays as it is.

use std::collections::BTreeMap;
use std::path::PathBuf;

use earmark::bundle::{
    Activation, Aggregation, Bundle, Calibration, LastSegment, Licence, Metadata, Origin, Padding,
    Provenance, SegmentConfig, SourceFile, Task, Thresholds, onnx,
};
use earmark::dataset::{Class, Vocabulary};
use earmark::features::{FrontEnd, FrontEndConfig};
use earmark::model::{Architecture, Input, parts};
use earmark::runtime::{self, Batch, RuntimeChoice};
use serde::{Deserialize, Serialize};

use crate::support;

/// What a bundle says of [`chirp`].
#[derive(Debug, Serialize, Deserialize)]
struct Expected {
    logits: Vec<f32>,
    embedding: Vec<f32>,
    scores: Vec<f32>,
}

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/bundle")
        .join(name)
}

/// One second at 16 kHz that rises from 100 Hz to 4 kHz.
fn chirp() -> Vec<f32> {
    let phase = |t: f64| std::f64::consts::TAU * (100.0 * t + (4000.0 - 100.0) / 2.0 * t * t);
    (0..16_000)
        .map(|n| (0.5 * phase(f64::from(n) / 16_000.0).sin()) as f32)
        .collect()
}

fn answer(bundle: &Bundle) -> Expected {
    let front_end = FrontEnd::new(bundle.metadata().front_end().unwrap()).unwrap();
    let features = front_end.compute(&chirp()).unwrap();
    let runtime = runtime::load(bundle, RuntimeChoice::Rust).unwrap();
    let output = runtime.run(&Batch::features(features)).unwrap();
    let mut scores = output.logits.clone();
    bundle.metadata().scores_in_place(&mut scores);
    Expected {
        logits: output.logits,
        embedding: output.embedding,
        scores,
    }
}

/// Sums of a few hundred products in other orders, as other processors make them, differ by about
/// 1e-6 of the values, which are near 1.
fn close(found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len());
    for (a, b) in found.iter().zip(expected) {
        assert!((a - b).abs() <= 1e-4, "{found:?} instead of {expected:?}");
    }
}

#[test]
fn version_1_still_gives_the_same_numbers() {
    let bundle = Bundle::open(&file("v1.onnx")).unwrap();
    let text = std::fs::read_to_string(file("v1.json")).unwrap();
    let expected: Expected = serde_json::from_str(&text).unwrap();
    let found = answer(&bundle);
    close(&found.logits, &expected.logits);
    close(&found.embedding, &expected.embedding);
    close(&found.scores, &expected.scores);
}

#[test]
fn version_1_still_says_the_same() {
    let bundle = Bundle::open(&file("v1.onnx")).unwrap();
    assert_eq!(bundle.metadata(), &metadata());
    // What is read is written again byte for byte.
    let again = bundle.with_metadata(bundle.metadata().clone()).unwrap();
    assert_eq!(again.bytes(), bundle.bytes());
}

fn architecture() -> Architecture {
    let convolution = |name: &str, channels: [usize; 2]| {
        let norm = parts::batch_norm(format!("{name}.norm"), channels[1]);
        let conv = parts::conv(format!("{name}.conv"), channels, [3, 3], [2, 2], false);
        [conv, norm, parts::relu()]
    };
    let mut blocks = Vec::new();
    blocks.extend(convolution("first", [1, 4]));
    blocks.extend(convolution("second", [4, 8]));
    blocks.extend([
        parts::mean_all(),
        parts::embedding(),
        parts::linear("head", [8, 3]),
    ]);
    Architecture {
        name: "tiny".to_owned(),
        input: Input {
            n_channels: 1,
            n_bands: 32,
            n_frames: None,
        },
        n_classes: 3,
        blocks,
    }
}

/// Every optional part is there.
fn metadata() -> Metadata {
    let front_end: FrontEndConfig = toml::from_str(
        r#"
        sample_rate = 16000
        [[channels]]
        [channels.of]
        kind = "spectrogram"
        stft = { n_fft = 512, hop_length = 160, padding = "reflect" }
        axis = { kind = "mel", n_mels = 32, f_min = 50.0 }
        loudness = { kind = "ln", offset = 1e-5 }
        "#,
    )
    .unwrap();
    let classes = vec![
        Class::with_id("Bark", "/m/05tny_"),
        Class::new("Meow"),
        Class::new("Chirp"),
    ];
    let segment = SegmentConfig {
        length_secs: 2.0,
        hop_secs: 1.0,
        min_secs: 0.5,
        padding: Padding::Repeat,
        last_segment: LastSegment::Shift,
        aggregation: Aggregation::Max,
        speeds: Vec::new(),
    };
    let provenance = Provenance {
        origin: Origin::Trained,
        code_version: "earmark 0.1.0".to_owned(),
        source: Some(SourceFile {
            file: "start.onnx".to_owned(),
            sha256: "0".repeat(64),
            url: Some("https://example.org/start.onnx".to_owned()),
        }),
        config: Some("[train]\nepochs = 3\n".to_owned()),
        seed: Some(7),
        data_digest: Some("1".repeat(64)),
        data: Some("no data: random weights".to_owned()),
        metrics: BTreeMap::from([("mAP".to_owned(), 0.5)]),
    };
    Metadata {
        description: "Random weights, for a test.".to_owned(),
        activation: Activation::Sigmoid,
        task: Task::MultiLabel,
        calibration: Some(Calibration::Logistic {
            scale: vec![1.0, 0.5, 2.0],
            offset: vec![0.0, 0.25, -0.5],
        }),
        thresholds: Thresholds {
            default: Some(0.3),
            classes: BTreeMap::from([("Meow".to_owned(), 0.4)]),
        },
        licence: Some(Licence {
            spdx: "CC0-1.0".to_owned(),
            attribution: vec!["Nobody needs to be named.".to_owned()],
        }),
        architecture: Some(architecture()),
        ..Metadata::new(
            "tiny",
            front_end,
            Vocabulary::new(classes).unwrap(),
            segment,
            provenance,
        )
    }
}

#[test]
#[ignore = "writes the committed files of the newest format version"]
fn write_the_files() {
    let weights = support::bundles::weights_for(&architecture());
    let graph = onnx::encode(&onnx::build(&architecture(), &weights).unwrap());
    let bundle = Bundle::new("v1.onnx", &graph, metadata()).unwrap();
    bundle.save(&file("v1.onnx")).unwrap();
    let text = serde_json::to_string_pretty(&answer(&bundle)).unwrap();
    std::fs::write(file("v1.json"), text + "\n").unwrap();
}
