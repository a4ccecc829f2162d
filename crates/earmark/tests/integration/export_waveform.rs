//! A graph with its front end inside gives the scores of the road through the front end here, for
//! every kind of front end that has operators, in each runtime at hand.

use earmark::bundle::{Bundle, Calibration, Metadata, Tensors, onnx};
use earmark::features::{FrontEnd, FrontEndConfig};
use earmark::model::efficient_at::{Settings, efficient_at_with};
use earmark::runtime::{self, Batch, Graph, RuntimeChoice, RuntimeOptions, load_graph};

use crate::support::bundles;

/// The largest difference of a score or an embedding's value.
const TOLERANCE: f32 = 1e-3;

fn bundle_with(front_end: FrontEndConfig) -> Bundle {
    let bands = FrontEnd::new(&front_end).unwrap();
    let mut architecture = efficient_at_with(&Settings {
        width: 0.1,
        n_classes: 3,
        n_bands: bands.n_bands(),
        ..Settings::default()
    });
    architecture.input.n_channels = bands.n_channels();
    if let Some(earmark::model::Block::Conv(stem)) = architecture.blocks.first_mut() {
        stem.in_channels = bands.n_channels();
    }
    let model = onnx::build(&architecture, &bundles::weights_for(&architecture)).unwrap();
    let metadata = Metadata {
        architecture: Some(architecture),
        input: earmark::bundle::Input::Features(front_end),
        ..bundles::small_metadata()
    };
    Bundle::new("small.onnx", &onnx::encode(&model), metadata).unwrap()
}

/// A rising tone with some noise.
fn sound(n_samples: usize) -> Vec<f32> {
    let mut noise = 1_u32;
    (0..n_samples)
        .map(|n| {
            let t = n as f32 / n_samples as f32;
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let hiss = noise as f32 / u32::MAX as f32 - 0.5;
            0.3 * (t * t * n_samples as f32 * 0.3).sin() + 0.01 * hiss
        })
        .collect()
}

fn agrees(bundle: &Bundle) {
    let samples = sound(12_345);
    let front_end = FrontEnd::new(bundle.metadata().front_end().unwrap()).unwrap();
    let features = Batch::features(front_end.compute(&samples).unwrap());
    let mut road = runtime::load(bundle, RuntimeChoice::Rust)
        .unwrap()
        .run(&features)
        .unwrap();
    bundle.metadata().scores_in_place(&mut road.logits);
    let bytes = onnx::encode(&onnx::export_waveform(bundle).unwrap());
    let tensors = Tensors::waveform();
    let graph = Graph {
        file: "exported.onnx",
        bytes: &bytes,
        tensors: &tensors,
    };
    for choice in [RuntimeChoice::Rust, RuntimeChoice::Onnxruntime] {
        let runtime = match load_graph(&graph, &RuntimeOptions::from(choice)) {
            Ok(runtime) => runtime,
            Err(error) if choice == RuntimeChoice::Onnxruntime => {
                println!("SKIPPED one of two runtimes: {error}");
                continue;
            }
            Err(error) => panic!("{error}"),
        };
        let output = runtime.run(&Batch::waveform(samples.clone())).unwrap();
        let pairs = output.logits.iter().zip(&road.logits);
        let embeddings = output.embedding.iter().zip(&road.embedding);
        assert_eq!(output.logits.len(), 3);
        assert_eq!(output.embedding.len(), road.embedding.len());
        for (found, expected) in pairs.chain(embeddings) {
            let name = runtime.name();
            assert!(
                (found - expected).abs() <= TOLERANCE,
                "{name}: {found}, expected {expected}"
            );
        }
    }
}

/// A front end written as TOML: a spectrogram and the steps after it.
fn front_end(spectrogram: &str, steps: &str) -> FrontEndConfig {
    let text = format!(
        "sample_rate = 16000\n[[channels]]\n{steps}\n[channels.of]\nkind = \"spectrogram\"\n{spectrogram}"
    );
    toml::from_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

#[test]
fn the_front_end_of_efficient_at() {
    agrees(&bundle_with(FrontEndConfig::efficient_at()));
}

#[test]
fn every_padding_placement_axis_and_loudness() {
    let stft = |more: &str| format!("stft = {{ n_fft = 512, hop_length = 160, {more} }}\n");
    let mel = "axis = { kind = \"mel\", n_mels = 40 }\n";
    let decibel = "loudness = { kind = \"decibel\", floor = 1e-6, reference = 2.0 }";
    let ln = "loudness = { kind = \"ln\", offset = 1e-3 }";
    let settings = [
        stft("padding = \"zero\"") + mel + decibel,
        stft("padding = \"none\", win_length = 401") + mel + ln,
        stft("padding = \"reflect\", win_length = 400, placement = \"start\"") + mel + ln,
        stft("win_length = 301, scaling = \"window-sum\"")
            + "values = \"magnitude\"\n"
            + "axis = { kind = \"log\", n_bands = 50, linear_below = 100.0, linear_length = 1.0 }\n"
            + "loudness = { kind = \"log10\", floor = 1e-4 }",
        stft("pre_emphasis = { coefficient = 0.9, first = \"keep\" }") + "values = \"real\"",
        stft("padding = \"none\"") + "values = \"imaginary\"",
    ];
    for text in settings {
        agrees(&bundle_with(front_end(&text, "")));
    }
    let steps = "steps = [{ kind = \"scale\", add = 3.0, divide = 0.5 }]";
    agrees(&bundle_with(front_end(&(stft("") + mel + ln), steps)));
}

#[test]
fn several_channels_and_calibrated_scores() {
    let mut config = FrontEndConfig::efficient_at();
    config.channels.push(config.channels[0].clone());
    let bundle = bundle_with(config);
    agrees(&bundle);
    let calibrations = [
        Calibration::Temperature { temperature: 2.0 },
        Calibration::Logistic {
            scale: vec![0.5, 1.0, 2.0],
            offset: vec![-1.0, 0.0, 1.0],
        },
    ];
    for calibration in calibrations {
        let mut metadata = bundle.metadata().clone();
        metadata.calibration = Some(calibration);
        agrees(&bundle.with_metadata(metadata).unwrap());
    }
}

#[test]
fn what_needs_the_whole_clip_is_refused_by_name() {
    let text = "stft = { n_fft = 512, hop_length = 160 }\naxis = { kind = \"mel\", n_mels = 40 }\n\
                loudness = { kind = \"decibel\", floor = 1e-10, top_db = 80.0 }";
    let bundle = bundle_with(front_end(text, ""));
    let error = onnx::export_waveform(&bundle).unwrap_err().to_string();
    assert!(
        error.contains("top_db") && error.contains("whole clip"),
        "{error}"
    );
}
