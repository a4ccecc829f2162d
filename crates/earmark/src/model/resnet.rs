//! Residual networks: ResNet-18 and -34 with basic blocks, ResNeXt-50 (32×4d) with bottlenecks.
//!
//! Sources: He et al. 2016 (arXiv 1512.03385), table 1; Xie et al. 2017 (arXiv 1611.05431), table 1;
//! names as in torchvision's checkpoints. The last layer may be preceded by a hidden one, as fastai puts it.

use super::block::{Block, Conv, Pool, PoolKind};
use super::{Architecture, Input, parts};

/// Which network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// 18 layers, basic blocks.
    ResNet18,
    /// 34 layers, basic blocks.
    ResNet34,
    /// 50 layers, bottlenecks with 32 groups.
    ResNeXt50,
}

/// What follows the last map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// Mean over the map, then the logits.
    Linear,
    /// Maximum and mean over the map, normalisation, 512 hidden values, normalisation, logits, with
    /// dropout of a quarter and a half: fastai v1's default.
    Hidden,
}

/// A residual network; `input` is usually one or three channels, any number of bands and frames from
/// 32 on.
pub fn resnet(kind: Kind, input: Input, head: Head, n_classes: usize) -> Architecture {
    let (name, depths) = match kind {
        Kind::ResNet18 => ("resnet18", [2, 2, 2, 2]),
        Kind::ResNet34 => ("resnet34", [3, 4, 6, 3]),
        Kind::ResNeXt50 => ("resnext50", [3, 4, 6, 3]),
    };
    let mut blocks = vec![
        parts::conv("conv1", [input.n_channels, 64], [7, 7], [2, 2], false),
        parts::batch_norm("bn1", 64),
        parts::relu(),
        Block::Pool(Pool {
            kind: PoolKind::Max,
            kernel: [3, 3],
            stride: [2, 2],
            padding: [1, 1],
        }),
    ];
    let mut channels = 64;
    for (stage, depth) in depths.into_iter().enumerate() {
        for index in 0..depth {
            let name = format!("layer{}.{index}", stage + 1);
            let width = 64 << stage;
            let stride = if stage > 0 && index == 0 { 2 } else { 1 };
            let (body, out) = match kind {
                Kind::ResNeXt50 => (bottleneck(&name, channels, width, stride), 4 * width),
                _ => (basic(&name, [channels, width], stride), width),
            };
            let shortcut = shortcut(&name, [channels, out], stride);
            blocks.extend([parts::residual(body, shortcut), parts::relu()]);
            channels = out;
        }
    }
    blocks.extend(last(head, channels, n_classes));
    Architecture {
        name: name.to_owned(),
        input,
        n_classes,
        blocks,
    }
}

fn basic(name: &str, [channels, out]: [usize; 2], stride: usize) -> Vec<Block> {
    vec![
        parts::conv(
            format!("{name}.conv1"),
            [channels, out],
            [3, 3],
            [stride; 2],
            false,
        ),
        parts::batch_norm(format!("{name}.bn1"), out),
        parts::relu(),
        parts::conv(format!("{name}.conv2"), [out, out], [3, 3], [1, 1], false),
        parts::batch_norm(format!("{name}.bn2"), out),
    ]
}

/// 1×1, grouped 3×3, 1×1; twice the stage's width inside, four times outside.
fn bottleneck(name: &str, channels: usize, width: usize, stride: usize) -> Vec<Block> {
    let (inner, out) = (2 * width, 4 * width);
    vec![
        parts::conv(
            format!("{name}.conv1"),
            [channels, inner],
            [1, 1],
            [1, 1],
            false,
        ),
        parts::batch_norm(format!("{name}.bn1"), inner),
        parts::relu(),
        Block::Conv(Conv {
            name: format!("{name}.conv2"),
            in_channels: inner,
            out_channels: inner,
            kernel: [3, 3],
            stride: [stride; 2],
            padding: [1, 1],
            dilation: [1, 1],
            groups: 32,
            bias: false,
        }),
        parts::batch_norm(format!("{name}.bn2"), inner),
        parts::relu(),
        parts::conv(format!("{name}.conv3"), [inner, out], [1, 1], [1, 1], false),
        parts::batch_norm(format!("{name}.bn3"), out),
    ]
}

fn shortcut(name: &str, [channels, out]: [usize; 2], stride: usize) -> Vec<Block> {
    if channels == out && stride == 1 {
        return Vec::new();
    }
    vec![
        parts::conv(
            format!("{name}.downsample.0"),
            [channels, out],
            [1, 1],
            [stride; 2],
            false,
        ),
        parts::batch_norm(format!("{name}.downsample.1"), out),
    ]
}

fn last(head: Head, channels: usize, n_classes: usize) -> Vec<Block> {
    match head {
        Head::Linear => vec![
            parts::mean_all(),
            parts::embedding(),
            parts::linear("fc", [channels, n_classes]),
        ],
        Head::Hidden => vec![
            parts::max_and_mean_all(),
            parts::embedding(),
            parts::batch_norm("head.2", 2 * channels),
            parts::dropout(0.25),
            parts::linear("head.4", [2 * channels, 512]),
            parts::relu(),
            parts::batch_norm("head.6", 512),
            parts::dropout(0.5),
            parts::linear("head.8", [512, n_classes]),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// torchvision's published counts for three channels and 1000 classes.
    #[test]
    fn sizes_are_the_published_ones() {
        let input = Input {
            n_channels: 3,
            n_bands: 224,
            n_frames: None,
        };
        let published = [
            (Kind::ResNet18, 11_689_512),
            (Kind::ResNet34, 21_797_672),
            (Kind::ResNeXt50, 25_028_904),
        ];
        for (kind, expected) in published {
            let plan = resnet(kind, input, Head::Linear, 1000)
                .plan()
                .expect("a sound network");
            assert_eq!(plan.n_trained(), expected, "{kind:?}");
        }
        let plan = resnet(Kind::ResNet34, input, Head::Hidden, 80)
            .plan()
            .expect("a sound network");
        assert_eq!(plan.embedding_dim, 1024);
    }
}
