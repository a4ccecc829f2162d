//! Training starts from a file of another program's weights: generated here with torchvision's names.

use std::error::Error;
use std::path::Path;

use crate::common::tones::write_tones;
use burn::tensor::Device;
use earmark::bundle::{Bundle, onnx};
use earmark::model::{Input, Tensor, Weights, named};
use earmark_train::network::Network;
use earmark_train::observer::Silent;
use earmark_train::{DeviceChoice, RunConfig, RunOptions, run};
use safetensors::tensor::{Dtype, TensorView};

type Outcome = Result<(), Box<dyn Error>>;

/// A ResNet-18 for pictures in colour and a thousand classes, as torchvision's checkpoints hold it.
fn of_pictures() -> Result<Weights, Box<dyn Error>> {
    let input = Input {
        n_channels: 3,
        n_bands: 64,
        n_frames: None,
    };
    Ok(Network::new(&named("resnet18", input, 1000)?, 5, &Device::flex())?.weights()?)
}

fn write_safetensors(path: &Path, weights: &Weights) -> Outcome {
    let bytes = |tensor: &Tensor| -> Vec<u8> {
        tensor.data().iter().flat_map(|x| x.to_le_bytes()).collect()
    };
    let all: Vec<_> = weights
        .iter()
        .map(|(name, tensor)| (name, tensor.shape().to_vec(), bytes(tensor)))
        .collect();
    let views = all
        .iter()
        .map(|(name, shape, data)| Ok((name, TensorView::new(Dtype::F32, shape.clone(), data)?)))
        .collect::<Result<Vec<_>, Box<dyn Error>>>()?;
    std::fs::write(path, safetensors::serialize(views, None)?)?;
    Ok(())
}

#[test]
fn the_body_of_a_file_is_kept_and_its_first_layer_hears_one_channel() -> Outcome {
    let folder = tempfile::tempdir()?;
    let sounds = folder.path().join("sounds");
    write_tones(&sounds, 4)?;
    let file = folder.path().join("resnet18.safetensors");
    let published = of_pictures()?;
    write_safetensors(&file, &published)?;
    let text = format!(
        "[data]\npath = '{}'\nn_folds = 2\n\
         [features]\nsample_rate = 32000\n[[features.channels]]\n\
         of = {{ kind = 'spectrogram', stft = {{ n_fft = 1024, hop_length = 1024 }}, values = 'power', \
         axis = {{ kind = 'mel', n_mels = 64 }}, loudness = {{ kind = 'ln', offset = 1e-5 }} }}\n\
         [model]\narchitecture = 'resnet18'\ninit = '{}'\n\
         [train]\nepochs = 1\nbatch_size = 4\nscope = 'head'",
        sounds.display(),
        file.display(),
    );
    let options = RunOptions {
        directory: folder.path().join("run"),
        device: DeviceChoice::Cpu,
    };
    let config = RunConfig::parse("run.toml", &text, &[])?;
    let result = run(&config, &options, &(), &mut Silent)?;
    let bundle = Bundle::open(&result.bundles[0])?;
    let metadata = bundle.metadata();
    let architecture = metadata.architecture.as_ref().ok_or("no architecture")?;
    let graph = onnx::decode("model.onnx", bundle.bytes().to_vec())?;
    let trained = onnx::read_weights("model.onnx", &graph, architecture)?;

    let value = |weights: &Weights, name: &str| -> Result<Tensor, Box<dyn Error>> {
        Ok(weights.get(name).ok_or(name)?.clone())
    };
    for name in [
        "layer1.0.conv1.weight",
        "layer4.1.bn2.weight",
        "layer2.0.downsample.0.weight",
    ] {
        let found = value(&trained, name)?;
        assert_eq!(found.data(), value(&published, name)?.data(), "{name}");
    }
    let first = value(&trained, "conv1.weight")?;
    assert_eq!(first.shape(), [64, 1, 7, 7]);
    let colours = value(&published, "conv1.weight")?;
    for (grey, colours) in first.data().chunks(49).zip(colours.data().chunks(3 * 49)) {
        for (i, grey) in grey.iter().enumerate() {
            let sum = colours[i] + colours[49 + i] + colours[98 + i];
            assert!((grey - sum).abs() < 1e-6, "{grey} {sum}");
        }
    }
    assert_eq!(value(&trained, "fc.weight")?.shape()[0], 2);
    Ok(())
}
