//! The small networks of Freesound Audio Tagging 2018 give the numbers of the originals, with the
//! originals' weights.

use std::path::Path;

use crate::support::{Array, npy, shared};
use earmark::bundle::{Tensors, onnx};
use earmark::model::{Architecture, Tensor, Weights, small};
use earmark::runtime::{Batch, Graph, RuntimeChoice, RuntimeOptions, load_graph};

/// Keras orders a kernel `[frame, band, in, out]` (or `[frame, in, out]`, or `[in, out]`), PyTorch
/// `[out, in, band, frame]`.
fn turned(array: &Array, shape: &[usize]) -> Tensor {
    let data = &array.data;
    let n_values = data.len();
    let axes = array.shape.len();
    let values = (0..n_values).map(|index| {
        let at = |axis: usize| index / shape[axis + 1..].iter().product::<usize>() % shape[axis];
        let from = match axes {
            1 => index,
            2 => at(1) * shape[0] + at(0),
            3 => (at(3) * shape[1] + at(1)) * shape[0] + at(0),
            _ => ((at(3) * shape[2] + at(2)) * shape[1] + at(1)) * shape[0] + at(0),
        };
        data[from] as f32
    });
    Tensor::new(shape.to_vec(), values.collect()).unwrap()
}

/// The largest error of the probabilities of all clips in the golden file.
fn largest_error(folder: &Path, name: &str, net: &Architecture) -> f64 {
    let golden = |what: &str| npy(folder.join(format!("reference/nets/{name}_{what}.npy")));
    let plan = net.plan().unwrap();
    let weights: Weights = (plan.parameters.iter().enumerate())
        .map(|(i, p)| (p.name.clone(), turned(&golden(&format!("w{i}")), &p.shape)))
        .collect();
    let bytes = onnx::encode(&onnx::build(net, &weights).unwrap());
    let tensors = Tensors::features();
    let graph = Graph {
        file: "small.onnx",
        bytes: &bytes,
        tensors: &tensors,
    };
    let runtime = load_graph(&graph, &RuntimeOptions::from(RuntimeChoice::Rust)).unwrap();
    let (x, y) = (golden("x"), golden("y"));
    let n_clips = x.shape[0];
    let n_frames = x.shape[1];
    let mut largest = 0.0_f64;
    for clip in 0..n_clips {
        let size = n_frames * 64;
        let picture = Array {
            shape: vec![n_frames, 64],
            data: x.data[clip * size..][..size].to_vec(),
        };
        let batch = Batch::new(vec![1, 1, 64, n_frames], picture.transposed().to_f32()).unwrap();
        let logits = runtime.run(&batch).unwrap().logits;
        let exponentials: Vec<f64> = logits.iter().map(|&v| f64::from(v).exp()).collect();
        let sum: f64 = exponentials.iter().sum();
        for (found, expected) in exponentials.iter().zip(&y.data[clip * 41..]) {
            largest = largest.max((found / sum - expected).abs());
        }
    }
    largest
}

#[test]
fn probabilities_are_those_of_the_originals() {
    let Some(folder) = shared() else { return };
    let networks = [
        (
            "seed003_cnn_1d_dense_dropout",
            small::cnn_1d(small::Cnn1dHead::Dense, 41),
        ),
        ("dcase_cnn", small::dcase_cnn(41)),
    ];
    for (name, network) in networks {
        let error = largest_error(&folder, name, &network);
        // Probabilities; the originals ran in 32-bit floats too.
        assert!(error <= 1e-5, "{name}: {error:e}");
    }
}
