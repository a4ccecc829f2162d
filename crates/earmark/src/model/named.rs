//! Networks by name, as a training config asks for them.

use super::aux_attention::{self, aux_attention};
use super::cnn::{Depth, cnn};
use super::crnn::crnn;
use super::dense_excite::dense_excite;
use super::efficient_at::{self, efficient_at_with};
use super::picture::picture_cnn;
use super::resnet::{Head, Kind, resnet};
use super::small::{self, Cnn1dHead};
use super::vgg_gap::vgg_gap;
use super::{Architecture, Input};
use crate::{Error, Result};

/// The names that [`named`] knows, for messages and lists.
pub const NAMES: &[&str] = &[
    "mn01 to mn99 (the width in tenths)",
    "cnn6, cnn10, cnn14 (cnn10-16: 16 channels in the first block instead of 64; picture-cnn-32 and vgg-gap-48 likewise)",
    "resnet18",
    "resnet34",
    "resnext50",
    "resnet18-hidden",
    "resnet34-hidden",
    "resnext50-hidden",
    "aux-attention",
    "dense-excite",
    "vgg-gap",
    "crnn",
    "picture-cnn",
    "cnn-1d",
    "cnn-1d-plain",
    "cnn-1d-dropout",
    "strided-cnn",
    "dcase-cnn",
    "dcase-mlp",
    "waveform-cnn",
    "waveform-cnn-normed",
    "waveform-flat",
    "waveform-gru",
];

/// The network of that name with its usual settings, for features of the given shape.
///
/// # Errors
/// [`Error::Config`] for an unknown name, [`Error::Shape`] when the network cannot take the features.
pub fn named(name: &str, input: Input, n_classes: usize) -> Result<Architecture> {
    let one_channel = |network: Architecture| match input.n_channels {
        1 => Ok(network),
        n => Err(Error::Shape {
            what: format!("{name}: input channels"),
            found: n.to_string(),
            expected: "1".to_owned(),
        }),
    };
    let residual = |kind| Ok(resnet(kind, input, Head::Linear, n_classes));
    let hidden = |kind| Ok(resnet(kind, input, Head::Hidden, n_classes));
    let network = match name {
        "resnet18" => residual(Kind::ResNet18),
        "resnet34" => residual(Kind::ResNet34),
        "resnext50" => residual(Kind::ResNeXt50),
        "resnet18-hidden" => hidden(Kind::ResNet18),
        "resnet34-hidden" => hidden(Kind::ResNet34),
        "resnext50-hidden" => hidden(Kind::ResNeXt50),
        "aux-attention" => {
            let settings = aux_attention::Settings::default();
            Ok(aux_attention(input, n_classes, &settings))
        }
        "dense-excite" => Ok(dense_excite(input, n_classes)),
        "crnn" => one_channel(crnn(32, 128, input.n_bands, n_classes)),
        "cnn-1d" => Ok(small::cnn_1d(Cnn1dHead::Dense, n_classes)),
        "cnn-1d-plain" => Ok(small::cnn_1d(Cnn1dHead::Plain, n_classes)),
        "cnn-1d-dropout" => Ok(small::cnn_1d(Cnn1dHead::Dropout, n_classes)),
        "strided-cnn" => Ok(small::strided_cnn(input, n_classes)),
        "dcase-cnn" => Ok(small::dcase_cnn(n_classes)),
        "dcase-mlp" => Ok(small::dcase_mlp(n_classes)),
        "waveform-cnn" => Ok(small::waveform_cnn(n_classes)),
        "waveform-cnn-normed" => Ok(small::waveform_cnn_normed(n_classes)),
        "waveform-flat" => Ok(small::waveform_flat(n_classes)),
        "waveform-gru" => Ok(small::waveform_gru(n_classes)),
        _ if name.starts_with("picture-cnn") => {
            let channels = first_channels(name, "picture-cnn", 16)?;
            Ok(picture_cnn(input, channels, 0.3, n_classes))
        }
        _ if name.starts_with("vgg-gap") => {
            let channels = first_channels(name, "vgg-gap", 64)?;
            Ok(vgg_gap(input, channels, n_classes))
        }
        _ if name.starts_with("cnn") => {
            let (depth, channels) = plain_cnn(name)?;
            one_channel(cnn(depth, channels, input.n_bands, n_classes))
        }
        _ => one_channel(efficient_at_with(&efficient_at::Settings {
            width: width(name)?,
            n_classes,
            n_bands: input.n_bands,
            ..efficient_at::Settings::default()
        })),
    }?;
    network.plan()?;
    let found = (input.n_channels, input.n_bands);
    let expected = (network.input.n_channels, network.input.n_bands);
    if found != expected {
        return Err(Error::Shape {
            what: format!("{name}: input"),
            found: format!("{} channels × {} bands", found.0, found.1),
            expected: format!("{} channels × {} bands", expected.0, expected.1),
        });
    }
    Ok(network)
}

/// Depth and first channels of a name such as `cnn10` or `cnn10-16`.
fn plain_cnn(name: &str) -> Result<(Depth, usize)> {
    let family = name.split_once('-').map_or(name, |(family, _)| family);
    let depth = match family {
        "cnn6" => Depth::Cnn6,
        "cnn10" => Depth::Cnn10,
        "cnn14" => Depth::Cnn14,
        _ => return Err(unknown(name)),
    };
    Ok((depth, first_channels(name, family, 64)?))
}

/// The channels of the first block in a name such as `cnn10-16`, or the usual number where it has none.
fn first_channels(name: &str, family: &str, usual: usize) -> Result<usize> {
    let channels = match name.strip_prefix(family) {
        Some("") => Some(usual),
        Some(rest) => rest.strip_prefix('-').and_then(|n| n.parse().ok()),
        None => None,
    };
    channels
        .filter(|n| (1..=512).contains(n))
        .ok_or_else(|| unknown(name))
}

fn unknown(name: &str) -> Error {
    Error::Config {
        key: "model.architecture".to_owned(),
        found: format!("`{name}`"),
        expected: format!("must be one of {}", NAMES.join(", ")),
    }
}

/// The width of a name such as `mn04`.
fn width(name: &str) -> Result<f64> {
    let tenths = name
        .strip_prefix("mn")
        .filter(|digits| digits.len() == 2)
        .and_then(|digits| digits.parse::<u32>().ok())
        .filter(|tenths| *tenths > 0);
    tenths
        .map(|tenths| f64::from(tenths) / 10.0)
        .ok_or_else(|| unknown(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(n_channels: usize, n_bands: usize) -> Input {
        Input {
            n_channels,
            n_bands,
            n_frames: None,
        }
    }

    #[test]
    fn every_listed_name_is_a_sound_network() {
        let listed = NAMES[2..].iter().copied();
        for name in ["cnn6", "cnn10", "cnn14", "cnn10-16", "picture-cnn-8"]
            .into_iter()
            .chain(listed)
        {
            let n_bands = if name.starts_with("waveform") { 1 } else { 64 };
            let network = named(name, input(1, n_bands), 10);
            assert_eq!(network.expect("a sound network").n_classes, 10, "{name}");
        }
        let network = named("mn04", input(1, 128), 7).expect("a sound network");
        assert_eq!(network, crate::model::efficient_at(0.4, 7));
    }

    #[test]
    fn unknown_names_and_shapes_that_do_not_fit_are_errors() {
        let error = named("mn4", input(1, 128), 7)
            .expect_err("two digits")
            .to_string();
        assert!(error.contains("`mn4`, must be one of mn01"), "{error}");
        for name in ["cnn7", "cnn10-0", "cnn10-x", "picture-cnn-", "picture-cnn8"] {
            assert!(named(name, input(1, 64), 7).is_err(), "{name}");
        }
        assert!(named("mn04", input(3, 128), 7).is_err());
        assert!(named("dcase-cnn", input(1, 40), 7).is_err());
        assert!(named("resnet18", input(3, 128), 7).is_ok());
    }
}
