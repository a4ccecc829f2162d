//! A small network for small pictures of sound, cheap enough to be trained hundreds of times.
//!
//! A 5×5 convolution with stride 2, then three blocks of a 3×3 convolution and 2×2 maximum, each with
//! twice the channels; mean over the bands, maximum plus mean over the frames. Every convolution is
//! followed by batch normalisation and `ReLU`. It asks nothing of its input but the size, so that
//! representations can be compared with it.

use super::block::{Axis, ReduceKind};
use super::{Architecture, Input, parts};

/// Blocks after the first convolution.
const N_BLOCKS: usize = 3;

/// The network with `width` channels after the first convolution.
pub fn picture_cnn(input: Input, width: usize, dropout: f32, n_classes: usize) -> Architecture {
    let normed = |number: usize, channels: usize| {
        [
            parts::batch_norm(format!("bn{number}"), channels),
            parts::relu(),
        ]
    };
    let mut blocks = vec![parts::conv(
        "conv1",
        [input.n_channels, width],
        [5, 5],
        [2, 2],
        false,
    )];
    blocks.extend(normed(1, width));
    let mut channels = width;
    for block in 0..N_BLOCKS {
        let (number, out) = (block + 2, channels * 2);
        blocks.push(parts::max_pool([2, 2], [2, 2]));
        blocks.push(parts::conv(
            format!("conv{number}"),
            [channels, out],
            [3, 3],
            [1, 1],
            false,
        ));
        blocks.extend(normed(number, out));
        channels = out;
    }
    blocks.extend([
        parts::reduce(ReduceKind::Mean, &[Axis::Band]),
        parts::max_plus_mean_over_frames(),
        parts::embedding(),
        parts::dropout(dropout),
        parts::linear("fc", [channels, n_classes]),
    ]);
    Architecture {
        name: "picture-cnn".to_owned(),
        input,
        n_classes,
        blocks,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_size_is_that_of_its_convolutions() {
        let input = Input {
            n_channels: 3,
            n_bands: 64,
            n_frames: None,
        };
        let network = picture_cnn(input, 12, 0.3, 10);
        let plan = network.plan_for(64).expect("a sound network");
        let convolutions = 3 * 12 * 25 + 12 * 24 * 9 + 24 * 48 * 9 + 48 * 96 * 9;
        let norms = 2 * (12 + 24 + 48 + 96);
        assert_eq!(plan.n_trained(), convolutions + norms + 96 * 10 + 10);
        assert_eq!(network.min_frames(), Some(15));
    }
}
