//! An attention network with skip connections and auxiliary classifiers, in the shape of the winner of
//! Freesound Audio Tagging 2019.
//!
//! Four blocks of convolutions; the map after each, pooled to the size of the last and brought to the
//! same number of channels, is set beside it, weighted by CBAM and merged. Classifiers on the first
//! three maps serve training. Source: the description of `AuxSkipAttention` in
//! github.com/lRomul/argus-freesound; the order of the four maps is this program's own.

use super::block::{Block, Join};
use super::{Architecture, Input, parts};

/// The choices of the winning solution are the defaults.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// The channels of the first block; each next one has twice as many.
    pub width: usize,
    /// The dropout before a classifier's first layer; half of it before its second.
    pub dropout: f32,
    /// How many times fewer channels CBAM's gate has inside.
    pub ratio: usize,
    /// CBAM's kernel over positions, odd.
    pub kernel: usize,
    /// The loss weights of the classifiers after the first, second and third block.
    pub auxiliary: [f32; 3],
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            width: 64,
            dropout: 0.4,
            ratio: 16,
            kernel: 7,
            auxiliary: [0.1, 0.2, 0.4],
        }
    }
}

/// The network for `input` of at least 16 bands and 16 frames.
pub fn aux_attention(input: Input, n_classes: usize, settings: &Settings) -> Architecture {
    let width = settings.width;
    let wide = 8 * width;
    let last = conv_block(4, [4 * width, wide]);
    // From the inside out: each level is a block and what follows, beside the skip of its own map.
    let third = level(3, [2 * width, 4 * width], last, settings, n_classes);
    let second = level(2, [width, 2 * width], third, settings, n_classes);
    let mut blocks = level(1, [input.n_channels, width], second, settings, n_classes);
    let together = 4 * wide;
    blocks.extend(parts::cbam(
        "attention",
        together,
        (together / settings.ratio).max(1),
        settings.kernel,
    ));
    blocks.extend(skip("merge", [together, wide]));
    blocks.extend([parts::mean_all(), parts::embedding()]);
    blocks.extend(classifier("fc", wide, n_classes, settings));
    Architecture {
        name: "aux_attention".to_owned(),
        input,
        n_classes,
        blocks,
    }
}

/// Block `number`, then what follows it, beside its map pooled to the last size and its auxiliary
/// classifier.
fn level(
    number: usize,
    channels: [usize; 2],
    next: Vec<Block>,
    settings: &Settings,
    n_classes: usize,
) -> Vec<Block> {
    let wide = 8 * settings.width;
    let pooled = 1 << (4 - number);
    let mut beside = vec![parts::mean_pool([pooled, pooled])];
    beside.extend(skip(&format!("skip{number}"), [channels[1], wide]));
    let mut head = vec![parts::mean_all()];
    head.extend(classifier(
        &format!("aux{number}.fc"),
        wide,
        n_classes,
        settings,
    ));
    beside.push(parts::auxiliary(settings.auxiliary[number - 1], head));
    let mut blocks = conv_block(number, channels);
    blocks.push(parts::parallel(Join::ConcatChannels, vec![next, beside]));
    blocks
}

/// Two 3×3 convolutions, then half the size.
fn conv_block(number: usize, [channels, out]: [usize; 2]) -> Vec<Block> {
    let name = format!("conv{number}");
    vec![
        parts::conv(
            format!("{name}.conv1.0"),
            [channels, out],
            [3, 3],
            [1, 1],
            false,
        ),
        parts::batch_norm(format!("{name}.conv1.1"), out),
        parts::relu(),
        parts::conv(format!("{name}.conv2.0"), [out, out], [3, 3], [1, 1], false),
        parts::batch_norm(format!("{name}.conv2.1"), out),
        parts::relu(),
        parts::mean_pool([2, 2]),
    ]
}

fn skip(name: &str, channels: [usize; 2]) -> Vec<Block> {
    vec![
        parts::conv(format!("{name}.conv"), channels, [3, 3], [1, 1], false),
        parts::batch_norm(format!("{name}.bn"), channels[1]),
        parts::relu(),
    ]
}

fn classifier(name: &str, features: usize, n_classes: usize, settings: &Settings) -> Vec<Block> {
    let hidden = 2 * settings.width;
    vec![
        parts::dropout(settings.dropout),
        parts::linear(format!("{name}.1"), [features, hidden]),
        parts::prelu(format!("{name}.2")),
        parts::batch_norm(format!("{name}.3"), hidden),
        parts::dropout(settings.dropout / 2.0),
        parts::linear(format!("{name}.5"), [hidden, n_classes]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_three_auxiliary_classifiers_and_the_size_worked_out_by_hand() {
        let input = Input {
            n_channels: 3,
            n_bands: 128,
            n_frames: None,
        };
        let net = aux_attention(input, 80, &Settings::default());
        let plan = net.plan().expect("a sound network");
        assert_eq!(plan.embedding_dim, 512);
        // The innermost classifier comes first: it stands on the third map.
        assert_eq!(plan.auxiliary, [0.4, 0.2, 0.1]);
        let conv_blocks = 9
            * (3 * 64
                + 64 * 64
                + 64 * 128
                + 128 * 128
                + 128 * 256
                + 256 * 256
                + 256 * 512
                + 512 * 512)
            + 4 * (64 + 128 + 256 + 512);
        let skips = 9 * 512 * (64 + 128 + 256) + 3 * 1024;
        let attention = 2 * 2048 * 128 + 2 * 49;
        let merge = 9 * 2048 * 512 + 1024;
        let classifier = 512 * 128 + 128 + 1 + 256 + 128 * 80 + 80;
        assert_eq!(
            plan.n_trained(),
            conv_blocks + skips + attention + merge + 4 * classifier
        );
        assert_eq!(net.min_frames(), Some(16));
    }
}
