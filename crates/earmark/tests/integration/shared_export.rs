//! mn04 with its front end inside gives the scores of the original network from the waveform.

use crate::support::{npy, shared};
use earmark::bundle::{Bundle, Metadata, Origin, Provenance, SegmentConfig, Tensors, onnx};
use earmark::dataset::Vocabulary;
use earmark::features::FrontEndConfig;
use earmark::model::import;
use earmark::runtime::{Batch, Graph, RuntimeChoice, RuntimeOptions, load_graph};

#[test]
fn scores_from_the_waveform_are_those_of_the_original_network() {
    let Some(folder) = shared() else { return };
    let weights = import::read(&folder.join("weights/mn04/mn04_as.safetensors")).unwrap();
    let (architecture, weights) = import::efficient_at("mn04", weights).unwrap();
    let names: Vec<String> = (0..527).map(|class| class.to_string()).collect();
    let graph = onnx::encode(&onnx::build(&architecture, &weights).unwrap());
    let metadata = Metadata::new(
        "mn04",
        FrontEndConfig::efficient_at(),
        Vocabulary::from_names(names).unwrap(),
        SegmentConfig::efficient_at(),
        Provenance::new(Origin::Imported),
    );
    let bundle = Bundle::new("mn04.onnx", &graph, metadata).unwrap();
    let bytes = onnx::encode(&onnx::export_waveform(&bundle).unwrap());
    let tensors = Tensors::waveform();
    let graph = Graph {
        file: "exported.onnx",
        bytes: &bytes,
        tensors: &tensors,
    };
    for choice in [RuntimeChoice::Rust, RuntimeChoice::Onnxruntime] {
        let runtime = match load_graph(&graph, &RuntimeOptions::from(choice)) {
            Ok(runtime) => runtime,
            Err(error) => {
                println!("SKIPPED: needs ONNX Runtime ({error})");
                continue;
            }
        };
        for sound in ["noise_3s", "dog__1-100032-A.ogg"] {
            let golden =
                |what: &str| npy(folder.join(format!("reference/mn04/{sound}_{what}.npy")));
            let output = runtime
                .run(&Batch::waveform(golden("waveform").to_f32()))
                .unwrap();
            let expected = golden("logits")
                .data
                .into_iter()
                .map(|x| 1.0 / (1.0 + (-x).exp()));
            let errors = output
                .logits
                .iter()
                .zip(expected)
                .map(|(&f, e)| (f64::from(f) - e).abs());
            let largest = errors.fold(0.0, f64::max);
            println!("{} {sound}: scores {largest:.1e}", runtime.name());
            assert!(largest <= 1e-3);
        }
    }
}
