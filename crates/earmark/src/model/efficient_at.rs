//! EfficientAT's `mn` networks: MobileNetV3-Large for spectrograms, in any width.
//!
//! Sources: Schmid, Koutini and Widmer 2023 (arXiv 2211.04772) for the audio networks; Howard et al.
//! 2019 (arXiv 1905.02244), table 1, for the layers; Sandler et al. 2018 (arXiv 1801.04381) for the
//! rounding of channels. Parameter names are those of the published checkpoints.

use super::block::{Axis, BatchNorm, Block, Conv, Function};
use super::{Architecture, Input, parts};

/// The normalisation's constants in the published networks.
const EPS: f32 = 1e-3;
const MOMENTUM: f32 = 0.01;

/// One row of MobileNetV3-Large: kernel, expanded channels, channels out, squeeze-excite, function,
/// stride, all for a width of 1.
struct Row(usize, usize, usize, bool, Function, usize);

const ROWS: [Row; 15] = [
    Row(3, 16, 16, false, Function::Relu, 1),
    Row(3, 64, 24, false, Function::Relu, 2),
    Row(3, 72, 24, false, Function::Relu, 1),
    Row(5, 72, 40, true, Function::Relu, 2),
    Row(5, 120, 40, true, Function::Relu, 1),
    Row(5, 120, 40, true, Function::Relu, 1),
    Row(3, 240, 80, false, Function::Hardswish, 2),
    Row(3, 200, 80, false, Function::Hardswish, 1),
    Row(3, 184, 80, false, Function::Hardswish, 1),
    Row(3, 184, 80, false, Function::Hardswish, 1),
    Row(3, 480, 112, true, Function::Hardswish, 1),
    Row(3, 672, 112, true, Function::Hardswish, 1),
    Row(5, 672, 160, true, Function::Hardswish, 2),
    Row(5, 960, 160, true, Function::Hardswish, 1),
    Row(5, 960, 160, true, Function::Hardswish, 1),
];

/// What leads from the last map to the logits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// Mean over the map, a hidden layer with hard swish, dropout, logits. The published default.
    Mlp,
    /// Logits at every position by a 1×1 convolution and a normalisation, then their mean.
    FullyConvolutional,
}

/// The choices that the published checkpoints make.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// The factor on all channel counts; 0.4 is `mn04`. Above 0.
    pub width: f64,
    /// The number of classes.
    pub n_classes: usize,
    /// The head.
    pub head: Head,
    /// The strides of the four blocks that halve the map, 2 in the usual networks.
    pub strides: [usize; 4],
    /// The bands of the front end, 128 in the usual networks.
    pub n_bands: usize,
    /// Dropout before the last layer of [`Head::Mlp`].
    pub dropout: f32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            width: 1.0,
            n_classes: 527,
            head: Head::Mlp,
            strides: [2; 4],
            n_bands: 128,
            dropout: 0.2,
        }
    }
}

/// The usual network of that width: 128 bands, one channel, any number of frames.
///
/// The embedding is the mean of the last map, 384 values for `mn04`.
pub fn efficient_at(width: f64, n_classes: usize) -> Architecture {
    efficient_at_with(&Settings {
        width,
        n_classes,
        ..Settings::default()
    })
}

/// A network of the family.
pub fn efficient_at_with(settings: &Settings) -> Architecture {
    let scaled = |channels| channels_at(channels, settings.width);
    let mut channels = scaled(16);
    let mut blocks = conv_norm("features.0", [1, channels], 3, 2, 1);
    blocks.push(parts::activation(Function::Hardswish));
    let mut strides = settings.strides.into_iter();
    for (index, row) in ROWS.iter().enumerate() {
        let Row(_, _, out, _, _, stride) = *row;
        let stride = if stride == 2 {
            strides.next().unwrap_or(2)
        } else {
            stride
        };
        let out = scaled(out);
        let shape = Inverted {
            channels: [channels, out],
            expanded: scaled(row.1),
            stride,
        };
        blocks.extend(inverted_residual(
            &format!("features.{}", index + 1),
            row,
            shape,
        ));
        channels = out;
    }
    let features = 6 * channels;
    let last = format!("features.{}", ROWS.len() + 1);
    blocks.extend(conv_norm(&last, [channels, features], 1, 1, 1));
    blocks.push(parts::activation(Function::Hardswish));
    blocks.extend(head(settings, features));
    Architecture {
        name: format!("mn{:02}", (settings.width * 10.0).round()),
        input: Input {
            n_channels: 1,
            n_bands: settings.n_bands,
            n_frames: None,
        },
        n_classes: settings.n_classes,
        blocks,
    }
}

/// Channels at a width: the nearest multiple of 8, and one step more where that takes away over a tenth.
pub(super) fn channels_at(channels: usize, width: f64) -> usize {
    let wanted = channels as f64 * width;
    let nearest = (((wanted + 4.0) / 8.0).floor() * 8.0).max(8.0);
    let kept = if nearest < 0.9 * wanted {
        nearest + 8.0
    } else {
        nearest
    };
    kept as usize
}

/// The width-dependent half of an inverted residual.
struct Inverted {
    channels: [usize; 2],
    expanded: usize,
    stride: usize,
}

fn inverted_residual(name: &str, row: &Row, shape: Inverted) -> Vec<Block> {
    let Row(kernel, _, _, squeeze, function, _) = *row;
    let Inverted {
        channels: [channels, out],
        expanded,
        stride,
    } = shape;
    let mut body = Vec::new();
    let mut step = 0;
    let mut next = || {
        step += 1;
        format!("{name}.block.{}", step - 1)
    };
    if expanded != channels {
        body.extend(conv_norm(&next(), [channels, expanded], 1, 1, 1));
        body.push(parts::activation(function));
    }
    body.extend(conv_norm(
        &next(),
        [expanded, expanded],
        kernel,
        stride,
        expanded,
    ));
    body.push(parts::activation(function));
    if squeeze {
        // The checkpoints can gate several axes side by side; the published ones gate channels only.
        let name = format!("{}.conc_se_layers.0", next());
        body.push(parts::squeeze_excite(
            &name,
            expanded,
            channels_at(expanded / 4, 1.0),
        ));
    }
    body.extend(conv_norm(&next(), [expanded, out], 1, 1, 1));
    if stride == 1 && channels == out {
        vec![parts::residual(body, Vec::new())]
    } else {
        body
    }
}

/// A convolution without constant and its normalisation, `NAME.0` and `NAME.1`.
fn conv_norm(
    name: &str,
    channels: [usize; 2],
    kernel: usize,
    stride: usize,
    groups: usize,
) -> Vec<Block> {
    let [in_channels, out_channels] = channels;
    vec![
        Block::Conv(Conv {
            name: format!("{name}.0"),
            in_channels,
            out_channels,
            kernel: [kernel; 2],
            stride: [stride; 2],
            padding: [kernel / 2; 2],
            dilation: [1, 1],
            groups,
            bias: false,
        }),
        Block::BatchNorm(BatchNorm {
            name: format!("{name}.1"),
            n_features: out_channels,
            axis: Axis::Channel,
            eps: EPS,
            momentum: MOMENTUM,
        }),
    ]
}

fn head(settings: &Settings, features: usize) -> Vec<Block> {
    let n_classes = settings.n_classes;
    match settings.head {
        Head::Mlp => {
            let hidden = channels_at(1280, settings.width);
            vec![
                parts::mean_all(),
                parts::embedding(),
                parts::linear("classifier.2", [features, hidden]),
                parts::activation(Function::Hardswish),
                parts::dropout(settings.dropout),
                parts::linear("classifier.5", [hidden, n_classes]),
            ]
        }
        Head::FullyConvolutional => vec![
            parts::embedding_of(vec![parts::mean_all()]),
            parts::conv("classifier.0", [features, n_classes], [1, 1], [1, 1], false),
            parts::batch_norm("classifier.1", n_classes),
            parts::mean_all(),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sizes of the published table (EfficientAT's README): millions of parameters and billions of
    /// multiply-adds for ten seconds.
    #[test]
    fn sizes_are_the_published_ones() {
        let published = [
            (0.4, 0.98, 0.11),
            (0.5, 1.43, 0.16),
            (1.0, 4.88, 0.54),
            (4.0, 68.43, 8.03),
        ];
        for (width, millions, billions) in published {
            let plan = efficient_at(width, 527)
                .plan_for(1000)
                .expect("a sound network");
            let found = plan.n_trained() as f64 / 1e6;
            assert!(
                (found - millions).abs() < 0.006,
                "mn {width}: {found} M parameters"
            );
            let macs = plan.macs.expect("frames are given") as f64 / 1e9;
            assert!(
                (macs - billions).abs() < 0.006,
                "mn {width}: {macs} G multiply-adds"
            );
        }
    }

    #[test]
    fn mn04_has_its_embedding_and_takes_short_clips() {
        let net = efficient_at(0.4, 527);
        assert_eq!(net.name, "mn04");
        assert_eq!(net.plan().expect("a sound network").embedding_dim, 384);
        assert_eq!(net.min_frames(), Some(1));
    }

    #[test]
    fn survives_serialisation() {
        let net = efficient_at(0.1, 10);
        let text = serde_json::to_string(&net).expect("plain data");
        let back: Architecture = serde_json::from_str(&text).expect("what was written");
        assert_eq!(back, net);
    }
}
