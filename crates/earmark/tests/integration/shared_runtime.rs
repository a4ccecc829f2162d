//! mn04 gives the numbers of the original network in every runtime at hand.

use crate::support::{npy, shared};
use earmark::bundle::{Tensors, onnx};
use earmark::model::import;
use earmark::runtime::{Batch, Graph, RuntimeChoice, RuntimeOptions, load_graph};

/// The largest difference of a logit or an embedding's value; the values reach about 10.
const TOLERANCE: f64 = 1e-3;

const SOUNDS: [&str; 5] = [
    "chirp",
    "noise_3s",
    "dog__1-100032-A.ogg",
    "rooster__1-26806-A.ogg",
    "chainsaw__1-116765-A.ogg",
];

#[test]
fn logits_and_embeddings_are_those_of_the_original_network() {
    let Some(folder) = shared() else { return };
    let weights = import::read(&folder.join("weights/mn04/mn04_as_mAP_432.pt")).unwrap();
    let (architecture, weights) = import::efficient_at("mn04", weights).unwrap();
    let bytes = onnx::encode(&onnx::build(&architecture, &weights).unwrap());
    let tensors = Tensors::features();
    let graph = Graph {
        file: "mn04.onnx",
        bytes: &bytes,
        tensors: &tensors,
    };
    for choice in [RuntimeChoice::Rust, RuntimeChoice::Onnxruntime] {
        let runtime = match load_graph(&graph, &RuntimeOptions::from(choice)) {
            Ok(runtime) => runtime,
            Err(error) if choice == RuntimeChoice::Onnxruntime => {
                println!("SKIPPED: needs ONNX Runtime ({error})");
                continue;
            }
            Err(error) => panic!("{error}"),
        };
        for sound in SOUNDS {
            let golden =
                |what: &str| npy(folder.join(format!("reference/mn04/{sound}_{what}.npy")));
            let log_mel = golden("logmel");
            let n_frames = log_mel.data.len() / 128;
            let batch = Batch::new(vec![1, 1, 128, n_frames], log_mel.to_f32()).unwrap();
            let output = runtime.run(&batch).unwrap();
            let logits = largest_error(&output.logits, &golden("logits").data);
            let embedding = largest_error(&output.embedding, &golden("embedding").data);
            println!(
                "{} {sound}: logits {logits:.1e}, embedding {embedding:.1e}",
                runtime.name()
            );
            assert!(logits <= TOLERANCE && embedding <= TOLERANCE);
            let found: Vec<f64> = output.logits.iter().map(|&v| f64::from(v)).collect();
            assert_eq!(
                top_five(&found),
                top_five(&golden("logits").data),
                "{sound}"
            );
        }
    }
}

fn largest_error(found: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let errors = found
        .iter()
        .zip(expected)
        .map(|(f, e)| (f64::from(*f) - e).abs());
    errors.fold(0.0, f64::max)
}

fn top_five(scores: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    order.truncate(5);
    order
}
