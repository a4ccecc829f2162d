//! A bundle with its front end inside the graph tags like the one that it was made from.

use earmark::bundle::{Activation, Bundle, Input, Metadata, WaveformInput};
use earmark::features::FrontEnd;
use earmark::runtime::{self, Batch, RuntimeChoice};

use crate::support;

/// Two seconds at 32 kHz of a tone that fades.
fn tone() -> Vec<f32> {
    let sample = |n: f64| (0.4 * (n * 0.11).sin() * (-n / 20_000.0).exp()) as f32;
    (0..64_000).map(|n| sample(f64::from(n))).collect()
}

fn run(bundle: &Bundle, batch: &Batch) -> (Vec<f32>, Vec<f32>) {
    let runtime = runtime::load(bundle, RuntimeChoice::Rust).unwrap();
    let output = runtime.run(batch).unwrap();
    let mut scores = output.logits;
    bundle.metadata().scores_in_place(&mut scores);
    (scores, output.embedding)
}

fn close(found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len());
    for (a, b) in found.iter().zip(expected) {
        assert!(
            (a - b).abs() <= tolerance,
            "{found:?} instead of {expected:?}"
        );
    }
}

#[test]
fn scores_and_embedding_are_those_of_the_original() {
    let original = support::bundles::small_bundle();
    let exported = original.to_waveform().unwrap();
    // A file of its own: what was written is read again.
    let exported = Bundle::from_bytes("w.onnx", exported.bytes().clone()).unwrap();
    let metadata = exported.metadata();
    assert_eq!(metadata.sample_rate(), 32_000);
    assert_eq!(
        (metadata.activation, &metadata.architecture),
        (Activation::Identity, &None)
    );
    assert_eq!(metadata.vocabulary, original.metadata().vocabulary);

    let front_end = FrontEnd::new(original.metadata().front_end().unwrap()).unwrap();
    let features = Batch::features(front_end.compute(&tone()).unwrap());
    let (scores, embedding) = run(&original, &features);
    let (found_scores, found_embedding) = run(&exported, &Batch::waveform(tone()));
    // The promise to users of exported graphs is 1e-3.
    close(&found_scores, &scores, 1e-3);
    close(&found_embedding, &embedding, 1e-3);
}

#[test]
fn samples_are_scaled_to_what_the_graph_expects() {
    let exported = support::bundles::small_bundle().to_waveform().unwrap();
    let louder = Metadata {
        input: Input::Waveform(WaveformInput {
            sample_rate: 32_000,
            full_scale: 2.0,
        }),
        ..exported.metadata().clone()
    };
    let louder = exported.with_metadata(louder).unwrap();
    let half: Vec<f32> = tone().iter().map(|sample| sample / 2.0).collect();
    let (expected, _) = run(&exported, &Batch::waveform(tone()));
    let (found, _) = run(&louder, &Batch::waveform(half));
    assert_eq!(found, expected);
}

#[test]
fn what_takes_the_waveform_already_is_not_exported_again() {
    let exported = support::bundles::small_bundle().to_waveform().unwrap();
    let error = exported.to_waveform().unwrap_err().to_string();
    assert!(error.ends_with("takes the waveform already"), "{error}");
}
