//! Plain convolutional networks in the shape of PANNs' CNN6, CNN10 and CNN14.
//!
//! Source: Kong et al. 2020 (arXiv 1912.10211), table 1; names of the published checkpoints. The input
//! is normalised band by band, blocks of convolutions halve the map, bands are averaged, frames are
//! pooled by maximum plus mean, and a hidden layer gives the embedding.

use super::block::{Axis, BatchNorm, Block, ReduceKind};
use super::{Architecture, Input, parts};

/// The size of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Four blocks of one 5×5 convolution.
    Cnn6,
    /// Four blocks of two 3×3 convolutions.
    Cnn10,
    /// Six blocks of two 3×3 convolutions.
    Cnn14,
}

/// A plain network for features of one channel; `width` is the number of channels of the first block,
/// 64 in the paper. Every block doubles it; the last block's channels are the embedding's length.
pub fn cnn(depth: Depth, width: usize, n_bands: usize, n_classes: usize) -> Architecture {
    let (name, n_blocks) = match depth {
        Depth::Cnn6 => ("cnn6", 4),
        Depth::Cnn10 => ("cnn10", 4),
        Depth::Cnn14 => ("cnn14", 6),
    };
    let mut blocks = vec![Block::BatchNorm(BatchNorm {
        name: "bn0".to_owned(),
        n_features: n_bands,
        axis: Axis::Band,
        eps: 1e-5,
        momentum: 0.1,
    })];
    let mut channels = 1;
    for index in 0..n_blocks {
        let out = width << index;
        let name = format!("conv_block{}", index + 1);
        blocks.extend(conv_block(&name, depth, [channels, out]));
        // The last block of the deepest network keeps the size of the map.
        if !(depth == Depth::Cnn14 && index + 1 == n_blocks) {
            blocks.push(parts::mean_pool([2, 2]));
        }
        blocks.push(parts::dropout(0.2));
        channels = out;
    }
    blocks.extend([
        parts::reduce(ReduceKind::Mean, &[Axis::Band]),
        parts::max_plus_mean_over_frames(),
        parts::dropout(0.5),
        parts::linear("fc1", [channels, channels]),
        parts::relu(),
        parts::embedding(),
        parts::dropout(0.5),
        parts::linear("fc_audioset", [channels, n_classes]),
    ]);
    Architecture {
        name: name.to_owned(),
        input: Input {
            n_channels: 1,
            n_bands,
            n_frames: None,
        },
        n_classes,
        blocks,
    }
}

fn conv_block(name: &str, depth: Depth, [channels, out]: [usize; 2]) -> Vec<Block> {
    let step = |number: usize, channels: usize, kernel: usize| {
        [
            parts::conv(
                format!("{name}.conv{number}"),
                [channels, out],
                [kernel; 2],
                [1, 1],
                false,
            ),
            parts::batch_norm(format!("{name}.bn{number}"), out),
            parts::relu(),
        ]
    };
    if depth == Depth::Cnn6 {
        return step(1, channels, 5).to_vec();
    }
    step(1, channels, 3)
        .into_iter()
        .chain(step(2, out, 3))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Trained parameters as published for 64 bands and 527 classes.
    #[test]
    fn sizes_are_the_published_ones() {
        let published = [
            (Depth::Cnn6, 4_837_455),
            (Depth::Cnn10, 5_219_279),
            (Depth::Cnn14, 80_753_615),
        ];
        for (depth, expected) in published {
            let plan = cnn(depth, 64, 64, 527).plan().expect("a sound network");
            assert_eq!(plan.n_trained(), expected, "{depth:?}");
        }
    }

    #[test]
    fn the_deepest_needs_thirty_two_frames() {
        assert_eq!(cnn(Depth::Cnn14, 4, 64, 3).min_frames(), Some(32));
    }
}
