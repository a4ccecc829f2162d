//! The published mn04 network gives the published logits and embeddings.

use crate::common::{max_difference, read_npy, shared};
use burn::tensor::{Device, Tensor, TensorData};
use earmark::model::{self, Weights, efficient_at};
use earmark_train::network::{Network, Pass};

const SOUNDS: [&str; 5] = [
    "chirp",
    "noise_3s",
    "dog__1-100032-A.ogg",
    "rooster__1-26806-A.ogg",
    "chainsaw__1-116765-A.ogg",
];

fn weights(path: &std::path::Path) -> Weights {
    let bytes = std::fs::read(path).expect("the weights beside the goldens");
    let file = safetensors::SafeTensors::deserialize(&bytes).expect("a sound file");
    file.iter()
        .filter(|(name, _)| !name.ends_with("num_batches_tracked"))
        .map(|(name, view)| {
            let data = view
                .data()
                .chunks_exact(4)
                .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
                .collect();
            let tensor = model::Tensor::new(view.shape().to_vec(), data).expect("whole tensors");
            (name.to_owned(), tensor)
        })
        .collect()
}

#[test]
fn logits_and_embeddings_are_those_of_the_original() {
    let Some(shared) = shared() else { return };
    let device = Device::flex();
    let weights = weights(&shared.join("weights/mn04/mn04_as.safetensors"));
    let network =
        Network::with_weights(&efficient_at(0.4, 527), &weights, "mn04", &device).unwrap();
    for sound in SOUNDS {
        let file = |what: &str| shared.join(format!("reference/mn04/{sound}_{what}.npy"));
        let (shape, log_mel) = read_npy(&file("logmel"));
        let shape = [1, 1, shape[shape.len() - 2], shape[shape.len() - 1]];
        let features = Tensor::<4>::from_data(TensorData::new(log_mel, shape), &device);
        let forward = network.forward(features, &mut Pass::Evaluate);
        for (what, found) in [("logits", forward.logits), ("embedding", forward.embedding)] {
            let (_, expected) = read_npy(&file(what));
            let found: Vec<f32> = found.try_into_vec_as().unwrap();
            let error = max_difference(&found, &expected);
            println!("{sound} {what}: {error:.2e}");
            assert!(error <= 1e-3, "{sound} {what}: {error}");
        }
    }
}
