//! The published mn04 weights are read from both file formats, and come back out of the graph.

use crate::support::shared;
use earmark::bundle::onnx;
use earmark::model::{efficient_at, import};

#[test]
fn both_files_hold_the_same_network() {
    let Some(folder) = shared() else { return };
    let folder = folder.join("weights/mn04");
    let pickled = import::read(&folder.join("mn04_as_mAP_432.pt")).unwrap();
    let plain = import::read(&folder.join("mn04_as.safetensors")).unwrap();
    assert_eq!(pickled.len(), 312);
    let (architecture, weights) = import::efficient_at("mn04_as_mAP_432.pt", pickled).unwrap();
    assert_eq!(
        weights,
        import::efficient_at("mn04_as.safetensors", plain)
            .unwrap()
            .1
    );
    assert_eq!(architecture, efficient_at(0.4, 527));
    weights.check(&architecture, "mn04").unwrap();
}

#[test]
fn weights_come_back_out_of_the_graph() {
    let Some(folder) = shared() else { return };
    let file = folder.join("weights/mn04/mn04_as.safetensors");
    let (architecture, weights) =
        import::efficient_at("mn04", import::read(&file).unwrap()).unwrap();
    let bytes = onnx::encode(&onnx::build(&architecture, &weights).unwrap());
    let model = onnx::decode("mn04.onnx", bytes).unwrap();
    assert_eq!(
        onnx::read_weights("mn04.onnx", &model, &architecture).unwrap(),
        weights
    );
}

#[test]
fn a_truncated_file_is_an_error_wherever_it_ends() {
    let Some(folder) = shared() else { return };
    for file in ["mn04_as_mAP_432.pt", "mn04_as.safetensors"] {
        let bytes = std::fs::read(folder.join("weights/mn04").join(file)).unwrap();
        for kept in [0, 3, 9, 100, 30_000, bytes.len() / 2, bytes.len() - 1] {
            let error = import::from_bytes(file, &bytes[..kept])
                .unwrap_err()
                .to_string();
            assert!(error.starts_with(file), "{error}");
        }
    }
}
