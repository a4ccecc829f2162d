//! The small networks of Freesound Audio Tagging 2018: a task baseline, a one-dimensional network on
//! log-mel features, and networks on the raw waveform.
//!
//! A waveform is one channel of one band whose frames are samples. Layer counts and sizes are those of
//! the published systems; parameter counts are tested against the originals.

use super::block::{Axis, Block, Pad, PoolKind, ReduceKind};
use super::{Architecture, Input, parts};
use crate::model::block::{Gru, Pool};

/// The baseline of DCASE 2018 task 2 (Fonseca et al. 2018, arXiv 1807.09902): three convolutions on 25
/// frames × 64 bands, maximum over the map.
///
/// The original pads at the end where the size is even; a padding of its own does that here.
pub fn dcase_cnn(n_classes: usize) -> Architecture {
    let halved = || {
        [
            Block::Pad(Pad {
                before: [0, 1],
                after: [1, 1],
            }),
            parts::relu(),
            parts::max_pool([3, 3], [2, 2]),
        ]
    };
    let conv = |number: usize, channels: [usize; 2], kernel: usize| {
        parts::conv(format!("conv{number}"), channels, [kernel; 2], [1, 1], true)
    };
    let mut blocks = vec![conv(1, [1, 100], 7)];
    blocks.extend(halved());
    blocks.push(conv(2, [100, 150], 5));
    blocks.extend(halved());
    blocks.extend([
        conv(3, [150, 200], 3),
        parts::relu(),
        parts::max_all(),
        parts::embedding(),
        parts::linear("fc", [200, n_classes]),
    ]);
    network("dcase_cnn", [64, 25], n_classes, blocks)
}

/// The other baseline of the same task: two hidden layers of 256 on 25 frames × 64 bands.
pub fn dcase_mlp(n_classes: usize) -> Architecture {
    let blocks = vec![
        Block::Flatten,
        parts::linear("fc1", [64 * 25, 256]),
        parts::relu(),
        parts::linear("fc2", [256, 256]),
        parts::relu(),
        parts::embedding(),
        parts::linear("fc3", [256, n_classes]),
    ];
    network("dcase_mlp", [64, 25], n_classes, blocks)
}

/// The head of [`cnn_1d`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cnn1dHead {
    /// The logits follow the maximum.
    Plain,
    /// A dropout of .2 between them.
    Dropout,
    /// Dropout, a layer of 100, dropout.
    Dense,
}

/// Three one-dimensional convolutions over the frames of 64 bands and the maximum over the frames
/// (Z. Liu 2018, github.com/zliuxyz/freesound-audio-tagging: `cnn_1d`, `cnn_1d_dropout` and
/// `cnn_1d_dense_dropout`).
pub fn cnn_1d(head: Cnn1dHead, n_classes: usize) -> Architecture {
    let pool = || {
        Block::Pool(Pool {
            kind: PoolKind::Max,
            kernel: [1, 3],
            stride: [1, 2],
            padding: [0, 1],
        })
    };
    let conv = |number: usize, channels: [usize; 2], kernel: usize| {
        parts::conv(format!("conv{number}"), channels, [1, kernel], [1, 1], true)
    };
    let mut blocks = vec![
        Block::StackBands,
        conv(1, [64, 100], 7),
        parts::relu(),
        pool(),
        conv(2, [100, 150], 5),
        parts::relu(),
        pool(),
        conv(3, [150, 200], 3),
        parts::relu(),
        parts::reduce(ReduceKind::Max, &[Axis::Frame]),
        parts::embedding(),
    ];
    if head != Cnn1dHead::Plain {
        blocks.push(parts::dropout(0.2));
    }
    let mut features = 200;
    if head == Cnn1dHead::Dense {
        blocks.extend([
            parts::linear("fc1", [200, 100]),
            parts::relu(),
            parts::dropout(0.2),
        ]);
        features = 100;
    }
    blocks.push(parts::linear("fc", [features, n_classes]));
    network("cnn_1d", [64, 0], n_classes, blocks)
}

/// Four convolutions with strides of 2 and the mean over the map (K. Doshi's article on sound
/// classification, 2021), for any number of channels and bands.
pub fn strided_cnn(input: Input, n_classes: usize) -> Architecture {
    let mut blocks = Vec::new();
    let sizes = [
        (input.n_channels, 8, 5),
        (8, 16, 3),
        (16, 32, 3),
        (32, 64, 3),
    ];
    for (index, (channels, out, kernel)) in sizes.into_iter().enumerate() {
        let name = format!("conv{}", index + 1);
        blocks.extend([
            parts::conv(name, [channels, out], [kernel; 2], [2, 2], true),
            parts::relu(),
            parts::batch_norm(format!("bn{}", index + 1), out),
        ]);
    }
    blocks.extend([
        parts::mean_all(),
        parts::embedding(),
        parts::linear("lin", [64, n_classes]),
    ]);
    Architecture {
        input,
        ..network("strided_cnn", [input.n_bands, 0], n_classes, blocks)
    }
}

/// Eight convolutions on the waveform, maximum over time, two hidden layers; made for two seconds at
/// 16 kHz (`get_model` of github.com/dimitreOliveira/FreesoundAudioTagging).
pub fn waveform_cnn(n_classes: usize) -> Architecture {
    let mut blocks = Vec::new();
    let groups = [
        (1, 16, 9, 16),
        (16, 32, 3, 4),
        (32, 32, 3, 4),
        (32, 256, 3, 0),
    ];
    for (index, (channels, out, kernel, pool)) in groups.into_iter().enumerate() {
        for (step, channels) in [channels, out].into_iter().enumerate() {
            let name = format!("conv{}", 2 * index + step + 1);
            blocks.push(parts::conv_valid(name, [channels, out], [1, kernel]));
            blocks.push(parts::relu());
        }
        if pool > 0 {
            blocks.extend([parts::max_pool([1, pool], [1, pool]), parts::dropout(0.1)]);
        }
    }
    blocks.extend([
        parts::max_all(),
        parts::embedding(),
        parts::dropout(0.2),
        parts::linear("fc1", [256, 64]),
        parts::relu(),
        parts::linear("fc2", [64, 1028]),
        parts::relu(),
        parts::linear("fc3", [1028, n_classes]),
    ]);
    network("waveform_cnn", [1, 0], n_classes, blocks)
}

/// Three convolutions on two seconds at 16 kHz, everything into a layer of 500 (`get_model2` there).
pub fn waveform_flat(n_classes: usize) -> Architecture {
    let mut blocks = Vec::new();
    for (index, (channels, out, kernel, pool)) in [(1, 16, 2, 2), (16, 32, 9, 4), (32, 32, 9, 4)]
        .into_iter()
        .enumerate()
    {
        blocks.extend([
            parts::conv_valid(format!("conv{}", index + 1), [channels, out], [1, kernel]),
            parts::relu(),
            parts::max_pool([1, pool], [1, pool]),
        ]);
    }
    blocks.extend([
        Block::Flatten,
        parts::linear("fc1", [31_904, 500]),
        parts::relu(),
        parts::embedding(),
        parts::dropout(0.5),
        parts::linear("fc2", [500, n_classes]),
    ]);
    network("waveform_flat", [1, 32_000], n_classes, blocks)
}

/// A convolution and two recurrent units on two seconds at 16 kHz, all states into the logits
/// (`get_model3` there).
///
/// The recurrent units have two constants for each gate, as PyTorch's do; Keras' older ones had one.
pub fn waveform_gru(n_classes: usize) -> Architecture {
    let mut stem = parts::conv_valid("conv1", [1, 64], [1, 15]);
    if let Block::Conv(conv) = &mut stem {
        conv.stride = [1, 4];
    }
    let gru = |name: &str, in_channels: usize| {
        Block::Gru(Gru {
            name: name.to_owned(),
            in_channels,
            hidden: 16,
            bidirectional: false,
        })
    };
    let blocks = vec![
        stem,
        parts::batch_norm("bn1", 64),
        parts::relu(),
        parts::dropout(0.5),
        gru("gru1", 64),
        parts::dropout(0.8),
        parts::batch_norm("bn2", 16),
        gru("gru2", 16),
        parts::dropout(0.5),
        parts::batch_norm("bn3", 16),
        parts::dropout(0.5),
        Block::Flatten,
        parts::embedding(),
        parts::linear("fc", [127_952, n_classes]),
    ];
    network("waveform_gru", [1, 32_000], n_classes, blocks)
}

/// Eight convolutions on the waveform, activation before normalisation, mean over time; made for two
/// seconds at 22.05 kHz (R. Osmulski's first network for the task, 2019).
pub fn waveform_cnn_normed(n_classes: usize) -> Architecture {
    let mut blocks = Vec::new();
    let groups = [
        (1, 16, 9, 16),
        (16, 32, 3, 4),
        (32, 64, 3, 4),
        (64, 128, 3, 0),
    ];
    for (index, (channels, out, kernel, pool)) in groups.into_iter().enumerate() {
        for (step, channels) in [channels, out].into_iter().enumerate() {
            let number = 2 * index + step + 1;
            blocks.push(parts::conv_valid(
                format!("conv{number}"),
                [channels, out],
                [1, kernel],
            ));
            blocks.extend([parts::relu(), parts::batch_norm(format!("bn{number}"), out)]);
        }
        if pool > 0 {
            blocks.extend([parts::max_pool([1, pool], [1, pool]), parts::dropout(0.1)]);
        }
    }
    blocks.extend([
        parts::mean_all(),
        parts::embedding(),
        parts::linear("fc1", [128, 128]),
        parts::relu(),
        parts::batch_norm("bn9", 128),
        parts::linear("fc2", [128, 128]),
        parts::relu(),
        parts::batch_norm("bn10", 128),
        parts::linear("fc3", [128, n_classes]),
    ]);
    network("waveform_cnn_normed", [1, 0], n_classes, blocks)
}

/// `size` is bands and frames; no frames stand for any number.
fn network(name: &str, size: [usize; 2], n_classes: usize, blocks: Vec<Block>) -> Architecture {
    let [n_bands, n_frames] = size;
    Architecture {
        name: name.to_owned(),
        input: Input {
            n_channels: 1,
            n_bands,
            n_frames: (n_frames > 0).then_some(n_frames),
        },
        n_classes,
        blocks,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts measured on the original networks, 41 classes.
    #[test]
    fn sizes_are_those_of_the_originals() {
        // Two recurrent units of 16 with a second constant for each of three gates.
        let second_constants = 2 * 3 * 16;
        // Running means and variances count as parameters in Keras: here, only what is trained.
        let counted = [
            (dcase_cnn(41), 658_591),
            (cnn_1d(Cnn1dHead::Plain, 41), 218_491),
            (cnn_1d(Cnn1dHead::Dropout, 41), 218_491),
            (cnn_1d(Cnn1dHead::Dense, 41), 234_491),
            (waveform_cnn(41), 360_513),
            (waveform_flat(41), 15_986_977),
            (waveform_cnn_normed(41), 139_481),
            (waveform_gru(41), 5_252_761 + second_constants),
        ];
        for (network, expected) in counted {
            let plan = network.plan().expect("a sound network");
            assert_eq!(plan.n_trained(), expected, "{}", network.name);
        }
        let million = cnn_1d(Cnn1dHead::Plain, 41)
            .plan_for(3001)
            .expect("long enough")
            .macs;
        assert_eq!(million.map(|n| (n as f64 / 1e5).round()), Some(3146.0));
        assert!(dcase_mlp(41).plan().is_ok());
        // Counted by hand: kernels, constants, two per normalised channel, the last layer.
        let stereo = Input {
            n_channels: 2,
            n_bands: 64,
            n_frames: None,
        };
        let by_hand = (2 * 8 * 25 + 3 * 8)
            + (8 * 16 * 9 + 3 * 16)
            + (16 * 32 * 9 + 3 * 32)
            + (32 * 64 * 9 + 3 * 64)
            + 65 * 10;
        let plan = strided_cnn(stereo, 10).plan().expect("a sound network");
        assert_eq!(plan.n_trained(), by_hand);
    }

    #[test]
    fn the_normed_waveform_network_is_near_the_published_count() {
        // The original's 139,481 were counted by hand.
        let plan = waveform_cnn_normed(41).plan().expect("a sound network");
        let found = plan.n_trained() as f64;
        assert!((found - 139_481.0).abs() < 2000.0, "{found}");
    }
}
