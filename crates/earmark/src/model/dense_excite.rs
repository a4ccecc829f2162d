//! The densely connected network that came first in Freesound Audio Tagging 2018.
//!
//! Eight dense blocks, each with a squeeze-excite gate on what it adds, with half the size after every block,
//! and the mean of the classes over the map that is left. Source: Jeong and Lim, *Audio tagging system using
//! densely connected convolutional networks* (DCASE 2018), and `build_model_mel` of
//! `github.com/finejuly/dcase2018_task2_cochlearai`. The original rounds half of an odd number of frames up.

use super::block::{Axis, BatchNorm, Block, Join};
use super::{Architecture, Input, parts};

const N_BLOCKS: u32 = 8;

/// What a block adds has at most this many channels.
const MAX_GROWTH: usize = 512;

/// The network for `input` of at least 256 frames; the number of bands is halved until one is left.
pub fn dense_excite(input: Input, n_classes: usize) -> Architecture {
    let mut blocks = vec![Block::BatchNorm(BatchNorm {
        name: "bn_bands".to_owned(),
        n_features: input.n_bands,
        axis: Axis::Band,
        // Keras'.
        eps: 1e-3,
        momentum: 0.01,
    })];
    let stem = parts::conv("stem", [input.n_channels, 15], [3, 3], [1, 1], true);
    blocks.push(parts::parallel(
        Join::ConcatChannels,
        vec![vec![], vec![stem]],
    ));
    let mut channels = input.n_channels + 15;
    let mut bands = input.n_bands;
    for index in 0..N_BLOCKS {
        let growth = (16 << index).min(MAX_GROWTH);
        let added = added(&format!("block{}", index + 1), [channels, growth]);
        blocks.push(parts::parallel(Join::ConcatChannels, vec![added, vec![]]));
        channels += growth;
        let kernel = [bands.min(2), 2];
        blocks.push(parts::max_pool(kernel, kernel));
        bands = (bands / 2).max(1);
    }
    blocks.extend([
        norm("bn", channels),
        parts::relu(),
        parts::mean_all(),
        parts::embedding(),
        parts::linear("fc", [channels, n_classes]),
    ]);
    Architecture {
        name: "dense_excite".to_owned(),
        input,
        n_classes,
        blocks,
    }
}

/// What a block sets beside its input.
fn added(name: &str, [channels, growth]: [usize; 2]) -> Vec<Block> {
    let step = |number: usize, channels: usize, kernel: usize| {
        [
            norm(&format!("{name}.bn{number}"), channels),
            parts::relu(),
            parts::conv(
                format!("{name}.conv{number}"),
                [channels, growth],
                [kernel; 2],
                [1, 1],
                true,
            ),
        ]
    };
    let mut blocks: Vec<Block> = step(1, channels, 1).into();
    blocks.extend(step(2, growth, 3));
    blocks.push(parts::squeeze_excite(
        &format!("{name}.se"),
        growth,
        growth / 2,
    ));
    blocks
}

fn norm(name: &str, n_features: usize) -> Block {
    Block::BatchNorm(BatchNorm {
        name: name.to_owned(),
        n_features,
        axis: Axis::Channel,
        eps: 1e-3,
        momentum: 0.01,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_block_sees_all_that_came_before() {
        let input = Input {
            n_channels: 1,
            n_bands: 64,
            n_frames: None,
        };
        let network = dense_excite(input, 41);
        let plan = network.plan_for(500).expect("a sound network");
        // Channels into each block and out of it, counted by hand.
        let growth = [16, 32, 64, 128, 256, 512, 512, 512];
        let mut channels = 16;
        let mut expected = 2 * 64 + 15 * 9 + 15;
        for growth in growth {
            expected += 2 * channels + channels * growth + growth;
            expected += 2 * growth + 9 * growth * growth + growth;
            expected += growth * (growth / 2) + growth / 2 + (growth / 2) * growth + growth;
            channels += growth;
        }
        expected += 2 * channels + channels * 41 + 41;
        assert_eq!(plan.n_trained(), expected);
        assert_eq!(plan.embedding_dim, 2_048);
        assert_eq!(network.min_frames(), Some(256));
    }
}
