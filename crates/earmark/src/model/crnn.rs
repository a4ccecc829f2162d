//! A convolutional recurrent network: convolutions over the picture, a recurrent unit over its frames,
//! attention over the unit's states.
//!
//! In the shape of the baseline systems of DCASE's sound event tasks (Cakir et al. 2017, arXiv
//! 1702.06286). The frames are halved twice only, so that events stay apart in time.

use super::block::Function;
use super::{Architecture, Block, Input, parts};

/// A network for features of one channel; `n_bands` is a multiple of 16. Channels are `width`, twice,
/// four times and four times that; the recurrent unit has `hidden` values each way.
pub fn crnn(width: usize, hidden: usize, n_bands: usize, n_classes: usize) -> Architecture {
    let channels = [1, width, 2 * width, 4 * width, 4 * width];
    let pools = [[2, 2], [2, 2], [2, 1], [2, 1]];
    let mut blocks = Vec::new();
    for (index, pair) in channels.windows(2).enumerate() {
        let (channels, out) = (pair[0], pair[1]);
        blocks.extend([
            parts::conv(
                format!("conv.{index}.0"),
                [channels, out],
                [3, 3],
                [1, 1],
                false,
            ),
            parts::batch_norm(format!("conv.{index}.1"), out),
            parts::relu(),
            parts::mean_pool(pools[index]),
            parts::dropout(0.2),
        ]);
    }
    let stacked = 4 * width * (n_bands / 16);
    blocks.extend([
        Block::StackBands,
        parts::linear("stacked", [stacked, 2 * hidden]),
        parts::activation(Function::Gelu),
        parts::gru_both_ways("gru", 2 * hidden, hidden),
        parts::dropout(0.2),
    ]);
    blocks.extend(parts::attention_over_frames("attention", 2 * hidden));
    blocks.extend([
        parts::embedding(),
        parts::dropout(0.2),
        parts::linear("fc", [2 * hidden, n_classes]),
    ]);
    Architecture {
        name: "crnn".to_owned(),
        input: Input {
            n_channels: 1,
            n_bands,
            n_frames: None,
        },
        n_classes,
        blocks,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_the_size_worked_out_by_hand() {
        let plan = crnn(16, 64, 64, 10).plan().expect("a sound network");
        let convolutions = 9 * (16 + 16 * 32 + 32 * 64 + 64 * 64) + 2 * (16 + 32 + 64 + 64);
        let stacked = 256 * 128 + 128;
        let gru = 2 * (3 * 64 * 128 + 3 * 64 * 64 + 2 * 3 * 64);
        let rest = 128 * 128 + 128 + 128 * 10 + 10;
        assert_eq!(plan.n_trained(), convolutions + stacked + gru + rest);
        assert_eq!(plan.embedding_dim, 128);
    }
}
