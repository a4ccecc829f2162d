//! The fully convolutional network that came second in Freesound Audio Tagging 2018.
//!
//! A convolution with a stride, eleven of 3×3, two of 1×1 and the mean over a map of each class. Source: Dorfer
//! and Widmer, *Training general-purpose audio tagging networks with noisy labels and iterative
//! self-verification* (DCASE 2018), and `vgg_gap_spec1_1` and `vgg_gap_spec2` of `github.com/CPJKU/dcase_task2`,
//! whose first block has 48 and 64 channels.

use super::block::{BatchNorm, Block};
use super::{Architecture, Input, parts};

/// What follows the convolutions of a group of blocks.
enum End {
    /// Half the bands and half the frames.
    Halved,
    /// Half the frames.
    Shorter,
}

/// The network for `input` of at least 47 bands and 191 frames; `width` is the number of channels of the
/// first block.
pub fn vgg_gap(input: Input, width: usize, n_classes: usize) -> Architecture {
    let mut network = Builder {
        blocks: Vec::new(),
        channels: input.n_channels,
        n_convolutions: 0,
    };
    network.convolution(width, 5, [2, 2], 2);
    network.convolution(width, 3, [1, 1], 1);
    network.pool(End::Halved);
    network.convolution(2 * width, 3, [1, 1], 1);
    network.convolution(2 * width, 3, [1, 1], 1);
    network.pool(End::Halved);
    for out in [4 * width, 4 * width, 6 * width] {
        network.convolution(out, 3, [1, 1], 1);
        network.blocks.push(parts::dropout(0.3));
    }
    network.convolution(6 * width, 3, [1, 1], 1);
    network.pool(End::Halved);
    for _ in 0..2 {
        network.convolution(8 * width, 3, [1, 1], 1);
        network.convolution(8 * width, 3, [1, 1], 1);
        network.pool(End::Shorter);
    }
    for (kernel, padding) in [(3, 0), (1, 0)] {
        network.convolution(8 * width, kernel, [1, 1], padding);
        network.blocks.push(parts::dropout(0.5));
    }
    network
        .blocks
        .push(parts::embedding_of(vec![parts::mean_all()]));
    network.map_of_classes(n_classes);
    network.blocks.push(parts::mean_all());
    Architecture {
        name: "vgg_gap".to_owned(),
        input,
        n_classes,
        blocks: network.blocks,
    }
}

struct Builder {
    blocks: Vec<Block>,
    channels: usize,
    n_convolutions: usize,
}

impl Builder {
    /// A convolution, normalised, above zero.
    fn convolution(&mut self, out: usize, kernel: usize, stride: [usize; 2], padding: usize) {
        self.normed(out, kernel, stride, padding);
        self.blocks.push(parts::relu());
    }

    /// One channel for each class, normalised.
    fn map_of_classes(&mut self, n_classes: usize) {
        self.normed(n_classes, 1, [1, 1], 0);
    }

    fn normed(&mut self, out: usize, kernel: usize, stride: [usize; 2], padding: usize) {
        self.n_convolutions += 1;
        let number = self.n_convolutions;
        let mut conv = parts::conv(
            format!("conv{number}"),
            [self.channels, out],
            [kernel; 2],
            stride,
            false,
        );
        if let Block::Conv(conv) = &mut conv {
            conv.padding = [padding; 2];
        }
        self.blocks.push(conv);
        self.blocks.push(Block::BatchNorm(BatchNorm {
            name: format!("bn{number}"),
            n_features: out,
            axis: super::block::Axis::Channel,
            // Lasagne's.
            eps: 1e-4,
            momentum: 0.1,
        }));
        self.channels = out;
    }

    fn pool(&mut self, end: End) {
        let kernel = match end {
            End::Halved => [2, 2],
            End::Shorter => [1, 2],
        };
        self.blocks
            .extend([parts::max_pool(kernel, kernel), parts::dropout(0.3)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The paper counts 14,865,124 parameters, the moving means and deviations of the 4,777
    /// normalised channels among them.
    #[test]
    fn its_size_is_the_published_one() {
        let input = Input {
            n_channels: 1,
            n_bands: 128,
            n_frames: None,
        };
        let network = vgg_gap(input, 64, 41);
        let plan = network.plan_for(384).expect("a sound network");
        assert_eq!(plan.n_trained() + 2 * 4_777, 14_865_124);
        assert_eq!(plan.embedding_dim, 512);
        assert_eq!(network.min_frames(), Some(191));
    }
}
