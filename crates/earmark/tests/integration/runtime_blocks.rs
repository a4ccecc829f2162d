//! Every kind of block, written as ONNX and run by each runtime at hand, equals its definition.

use earmark::bundle::{Tensors, onnx};
use earmark::model::block::{
    Activation, Axis, BatchNorm, Block, Conv, Function, Gru, Join, Linear, Pad, Pool, PoolKind,
    Prelu, ReduceKind, Softmax,
};
use earmark::model::{Architecture, Input, parts};
use earmark::runtime::{Batch, Graph, Runtime, RuntimeChoice, RuntimeOptions, load_graph};

use crate::naive_network;

/// The largest difference allowed: rounding of `f32` over at most a few hundred products.
const TOLERANCE: f64 = 2e-5;

/// All runtimes that this machine has; the one in Rust is always among them.
fn runtimes(graph: &Graph<'_>) -> Vec<Box<dyn Runtime>> {
    let load = |choice: RuntimeChoice| load_graph(graph, &RuntimeOptions::from(choice));
    let mut runtimes = vec![load(RuntimeChoice::Rust).unwrap()];
    match load(RuntimeChoice::Onnxruntime) {
        Ok(runtime) => runtimes.push(runtime),
        Err(error) => println!("SKIPPED one of two runtimes: {error}"),
    }
    runtimes
}

/// A network on 2 channels × 6 bands with these blocks before its end.
fn network(blocks: Vec<Block>, channels: usize) -> Architecture {
    let mut all = blocks;
    all.extend([
        parts::mean_all(),
        parts::embedding(),
        parts::linear("last", [channels, 3]),
    ]);
    Architecture {
        name: "tiny".to_owned(),
        input: Input {
            n_channels: 2,
            n_bands: 6,
            n_frames: None,
        },
        n_classes: 3,
        blocks: all,
    }
}

fn agrees(net: &Architecture, n_frames: usize) {
    let weights = naive_network::random_weights(net, 7);
    let model = onnx::build(net, &weights).unwrap();
    assert_eq!(onnx::read_weights("tiny", &model, net).unwrap(), weights);
    let bytes = onnx::encode(&model);
    let tensors = Tensors::features();
    let graph = Graph {
        file: "tiny.onnx",
        bytes: &bytes,
        tensors: &tensors,
    };
    let size = net.input.n_channels * net.input.n_bands * n_frames;
    let features = naive_network::random_features(2 * size, 3);
    let shape = vec![2, net.input.n_channels, net.input.n_bands, n_frames];
    let batch = Batch::new(shape, features.clone()).unwrap();
    let mut logits = Vec::new();
    let mut embedding = Vec::new();
    for segment in features.chunks(size) {
        let (l, e) = naive_network::run(net, &weights, segment);
        logits.extend(l);
        embedding.extend(e);
    }
    for runtime in runtimes(&graph) {
        let output = runtime.run(&batch).unwrap();
        close(runtime.name(), &output.logits, &logits);
        close(runtime.name(), &output.embedding, &embedding);
    }
}

fn close(name: &str, found: &[f32], expected: &[f64]) {
    assert_eq!(found.len(), expected.len(), "{name}");
    for (found, expected) in found.iter().zip(expected) {
        let error = (f64::from(*found) - expected).abs();
        assert!(
            error <= TOLERANCE * expected.abs().max(1.0),
            "{name}: {found}, expected {expected}"
        );
    }
}

fn convolution(groups: usize, bias: bool) -> Conv {
    Conv {
        name: "c".to_owned(),
        in_channels: 2,
        out_channels: 4,
        kernel: [3, 2],
        stride: [2, 1],
        padding: [1, 2],
        dilation: [1, 2],
        groups,
        bias,
    }
}

#[test]
fn convolutions() {
    for conv in [
        convolution(1, false),
        convolution(1, true),
        convolution(2, true),
    ] {
        agrees(&network(vec![Block::Conv(conv)], 4), 9);
    }
}

#[test]
fn normalisations() {
    let conv = parts::conv("c", [2, 4], [3, 3], [1, 1], false);
    agrees(
        &network(vec![conv, parts::batch_norm("n", 4), parts::relu()], 4),
        5,
    );
    let bands = Block::BatchNorm(BatchNorm {
        name: "n".to_owned(),
        n_features: 6,
        axis: Axis::Band,
        eps: 1e-3,
        momentum: 0.1,
    });
    agrees(&network(vec![bands], 2), 5);
}

#[test]
fn functions() {
    let functions = [
        Function::Relu,
        Function::LeakyRelu { slope: 0.1 },
        Function::Elu,
        Function::Gelu,
        Function::Silu,
        Function::Hardsigmoid,
        Function::Hardswish,
        Function::Sigmoid,
        Function::Tanh,
    ];
    for function in functions {
        // Large values too, where the hard functions have their corners.
        let conv = parts::conv("c", [2, 2], [1, 1], [1, 1], true);
        let twice = parts::parallel(Join::Add, vec![vec![]; 3]);
        let block = Block::Activation(Activation { function });
        agrees(&network(vec![conv, twice, block], 2), 7);
    }
    for n_slopes in [1, 2] {
        let prelu = Block::Prelu(Prelu {
            name: "p".to_owned(),
            n_slopes,
        });
        agrees(&network(vec![prelu], 2), 7);
    }
}

#[test]
fn pools_and_padding() {
    for kind in [PoolKind::Max, PoolKind::Mean] {
        let pool = Block::Pool(Pool {
            kind,
            kernel: [3, 2],
            stride: [2, 1],
            padding: [1, 1],
        });
        agrees(&network(vec![pool], 2), 7);
    }
    let pad = Block::Pad(Pad {
        before: [1, 0],
        after: [0, 1],
    });
    let pooled = vec![pad.clone(), parts::relu(), parts::max_pool([2, 2], [2, 2])];
    agrees(&network(pooled, 2), 6);
    let straight = network(vec![pad, parts::max_pool([2, 2], [2, 2])], 2);
    assert!(
        straight.plan().is_err(),
        "ONNX Runtime takes such zeros for minus infinity"
    );
}

#[test]
fn reductions_and_attention() {
    for kind in [ReduceKind::Max, ReduceKind::Mean, ReduceKind::Sum] {
        for axes in [
            &[Axis::Band][..],
            &[Axis::Frame],
            &[Axis::Band, Axis::Frame],
        ] {
            agrees(&network(vec![parts::reduce(kind, axes)], 2), 5);
        }
        agrees(&network(vec![parts::reduce(kind, &[Axis::Channel])], 1), 5);
    }
    for axis in [Axis::Channel, Axis::Band, Axis::Frame] {
        agrees(&network(vec![Block::Softmax(Softmax { axis })], 2), 5);
    }
    agrees(&network(parts::attention_over_frames("a", 2), 2), 5);
    agrees(&network(vec![parts::max_plus_mean_over_frames()], 2), 5);
    agrees(&network(vec![parts::max_and_mean_all()], 4), 5);
}

#[test]
fn fully_connected_layers_on_maps_and_vectors() {
    let free = Block::Linear(Linear {
        name: "l".to_owned(),
        in_features: 2,
        out_features: 5,
        bias: false,
    });
    agrees(&network(vec![free, parts::linear("m", [5, 4])], 4), 5);
    let mut net = network(vec![], 2);
    net.blocks.truncate(2);
    net.blocks.extend([
        parts::linear("l", [2, 6]),
        parts::prelu("p"),
        parts::batch_norm("n", 6),
        parts::dropout(0.5),
        parts::linear("m", [6, 3]),
    ]);
    agrees(&net, 5);
}

#[test]
fn recurrent_units() {
    for bidirectional in [false, true] {
        let gru = Block::Gru(Gru {
            name: "g".to_owned(),
            in_channels: 12,
            hidden: 4,
            bidirectional,
        });
        let channels = if bidirectional { 8 } else { 4 };
        agrees(&network(vec![Block::StackBands, gru], channels), 6);
    }
}

#[test]
fn joins_and_compounds() {
    for join in [Join::Add, Join::ConcatFrames, Join::ConcatChannels] {
        let branch = vec![parts::conv("c", [2, 2], [3, 3], [1, 1], true)];
        let channels = if join == Join::ConcatChannels { 6 } else { 2 };
        let parallel = parts::parallel(join, vec![branch, vec![], vec![parts::relu()]]);
        agrees(&network(vec![parallel], channels), 5);
    }
    agrees(&network(vec![parts::squeeze_excite("s", 2, 3)], 2), 5);
    agrees(&network(parts::cbam("a", 2, 1, 3), 2), 5);
}

#[test]
fn a_fixed_length_may_be_flattened() {
    let mut net = network(vec![], 0);
    net.input.n_frames = Some(4);
    net.blocks = vec![
        parts::relu(),
        Block::Flatten,
        parts::embedding(),
        parts::linear("last", [48, 3]),
    ];
    agrees(&net, 4);
}

#[test]
fn an_embedding_beside_the_road_and_auxiliary_classifiers_left_out() {
    let mut net = network(vec![], 2);
    net.blocks = vec![
        parts::conv("c", [2, 4], [3, 3], [1, 1], true),
        parts::embedding_of(vec![parts::max_all()]),
        parts::conv("d", [4, 3], [1, 1], [1, 1], true),
        parts::mean_all(),
    ];
    agrees(&net, 5);
    let weights = naive_network::random_weights(&net, 7);
    let mut taught = net.clone();
    let head = vec![parts::mean_all(), parts::linear("aux", [4, 3])];
    taught.blocks.insert(1, parts::auxiliary(0.4, head));
    assert_eq!(taught.plan().unwrap().auxiliary, [0.4]);
    let plain = onnx::encode(&onnx::build(&net, &weights).unwrap());
    assert_eq!(
        onnx::encode(&onnx::build(&taught, &weights).unwrap()),
        plain
    );
}

#[test]
fn a_batch_of_another_shape_is_an_error_not_a_crash() {
    let net = network(vec![parts::conv("c", [2, 2], [3, 3], [1, 1], true)], 2);
    let bytes = onnx::encode(&onnx::build(&net, &naive_network::random_weights(&net, 1)).unwrap());
    let tensors = Tensors::features();
    let graph = Graph {
        file: "tiny.onnx",
        bytes: &bytes,
        tensors: &tensors,
    };
    let batch = Batch::new(vec![1, 3, 6, 4], vec![0.0; 72]).unwrap();
    for runtime in runtimes(&graph) {
        let error = runtime.run(&batch).unwrap_err().to_string();
        assert!(error.contains("tiny.onnx"), "{error}");
    }
    let cut = Graph {
        bytes: &bytes[..bytes.len() / 2],
        ..graph
    };
    for choice in [RuntimeChoice::Rust, RuntimeChoice::Auto] {
        assert!(load_graph(&cut, &RuntimeOptions::from(choice)).is_err());
    }
    let mut renamed = Tensors::features();
    renamed.logits = "scores".to_owned();
    let other = Graph {
        tensors: &renamed,
        ..graph
    };
    let error = load_graph(&other, &RuntimeOptions::from(RuntimeChoice::Rust))
        .err()
        .unwrap();
    assert_eq!(
        error.to_string(),
        "tiny.onnx: the graph has no tensor `scores`"
    );
}
