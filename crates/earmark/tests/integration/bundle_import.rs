//! Weights and foreign graphs become bundles without losing or guessing anything.

use std::path::PathBuf;

use crate::support;
use crate::support::bundles::{small_architecture, weights_for};
use earmark::bundle::{
    Activation, Axis, Bundle, ImportOptions, Origin, Task, WrapConfig, import_weights, onnx, wrap,
};
use earmark::dataset::Vocabulary;
use earmark::model::{Architecture, Weights, efficient_at};
use tempfile::TempDir;

/// Writes weights in the safetensors format.
fn safetensors(architecture: &Architecture, folder: &TempDir) -> PathBuf {
    let weights = weights_for(architecture);
    let views = weights.iter().map(|(name, tensor)| {
        let bytes: Vec<u8> = tensor.data().iter().flat_map(|v| v.to_le_bytes()).collect();
        (name.to_owned(), tensor.shape().to_vec(), bytes)
    });
    let views: Vec<_> = views.collect();
    let views = views.iter().map(|(name, shape, bytes)| {
        let dtype = safetensors::Dtype::F32;
        let view = safetensors::tensor::TensorView::new(dtype, shape.clone(), bytes).unwrap();
        (name, view)
    });
    let path = folder.path().join("weights.safetensors");
    std::fs::write(&path, safetensors::serialize(views, None).unwrap()).unwrap();
    path
}

fn weights_of(bundle: &Bundle) -> Weights {
    let architecture = bundle.metadata().architecture.as_ref().unwrap();
    let model = onnx::decode(bundle.file(), bundle.bytes().to_vec()).unwrap();
    onnx::read_weights(bundle.file(), &model, architecture).unwrap()
}

#[test]
fn imported_weights_are_in_the_bundle_number_for_number() {
    let folder = TempDir::new().unwrap();
    let path = safetensors(&small_architecture(), &folder);
    let options = ImportOptions {
        vocabulary: Some(Vocabulary::from_names(["Bark", "Meow", "Chirp"]).unwrap()),
        ..ImportOptions::default()
    };
    let bundle = import_weights(&path, &options).unwrap();
    let target = folder.path().join("small.onnx");
    bundle.save(&target).unwrap();
    let bundle = Bundle::open(&target).unwrap();
    let metadata = bundle.metadata();
    assert_eq!(metadata.name, "mn01");
    assert_eq!(
        (metadata.activation, metadata.task),
        (Activation::Sigmoid, Task::MultiLabel)
    );
    assert_eq!(metadata.provenance.origin, Origin::Imported);
    let source = metadata.provenance.source.as_ref().unwrap();
    assert_eq!(source.file, "weights.safetensors");
    assert_eq!(
        source.sha256,
        support::bundles::sha256(&std::fs::read(&path).unwrap())
    );
    assert_eq!(weights_of(&bundle), weights_for(&small_architecture()));
}

#[test]
fn a_head_without_known_classes_needs_a_vocabulary_of_its_size() {
    let folder = TempDir::new().unwrap();
    let path = safetensors(&small_architecture(), &folder);
    let error = import_weights(&path, &ImportOptions::default()).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("the network has 3 classes, the built-in"),
        "{error}"
    );
    assert!(error.hint().unwrap().contains("--vocabulary CSV"));
    let options = ImportOptions {
        vocabulary: Some(Vocabulary::from_names(["Bark", "Meow"]).unwrap()),
        ..ImportOptions::default()
    };
    let error = import_weights(&path, &options).unwrap_err();
    let expected = "the network has 3 classes, the vocabulary has 2";
    assert!(error.to_string().ends_with(expected), "{error}");
}

#[test]
fn a_head_of_527_classes_is_audio_set() {
    let folder = TempDir::new().unwrap();
    let path = safetensors(&efficient_at(0.1, 527), &folder);
    let bundle = import_weights(&path, &ImportOptions::default()).unwrap();
    assert_eq!(&bundle.metadata().vocabulary, Vocabulary::audio_set());
}

/// A foreign graph: ours, with a property of another program's and one field of the future.
fn foreign(folder: &TempDir) -> PathBuf {
    let architecture = small_architecture();
    let mut model = onnx::build(&architecture, &weights_for(&architecture)).unwrap();
    model.producer_name = Some("another program".to_owned());
    model
        .metadata_props
        .push(onnx::proto::StringStringEntryProto {
            key: Some("author".to_owned()),
            value: Some("A. Person".to_owned()),
        });
    let mut bytes = onnx::encode(&model);
    // Field 1000, length-delimited, of 3 bytes.
    bytes.extend([0xc2, 0x3e, 3, 1, 2, 3]);
    let path = folder.path().join("foreign.onnx");
    std::fs::write(&path, bytes).unwrap();
    path
}

const CONFIG: &str = r#"
name = "pets"
description = "Pets at home."
vocabulary = ["Bark", "Meow", "Chirp"]
front_end = FRONT_END

[tensors]
input = "features"
axes = ["batch", "channel", "band", "frame"]
logits = "logits"
embedding = "embedding"

[output]
activation = "softmax"
task = "single-label"

[segment]
length_secs = 2.0
hop_secs = 1.0
min_secs = 2.0
last_segment = "shift"

[thresholds]
default = 0.4

[licence]
spdx = "Apache-2.0"
"#;

/// The description above after some replacements, as a file.
fn config(folder: &TempDir, replacements: &[(&str, &str)]) -> earmark::Result<WrapConfig> {
    let front_end = earmark::features::FrontEndConfig::efficient_at();
    let front_end = toml::Value::try_from(front_end).unwrap().to_string();
    let mut text = CONFIG.replace("FRONT_END", &front_end);
    for (from, to) in replacements {
        assert!(text.contains(from), "nothing to replace: {from}");
        text = text.replace(from, to);
    }
    let path = folder.path().join("wrap.toml");
    std::fs::write(&path, text).unwrap();
    WrapConfig::open(&path)
}

#[test]
fn a_wrapped_file_begins_with_the_original_bytes() {
    let folder = TempDir::new().unwrap();
    let path = foreign(&folder);
    let bundle = wrap(&path, &config(&folder, &[]).unwrap()).unwrap();
    assert!(bundle.bytes().starts_with(&std::fs::read(&path).unwrap()));
    assert_eq!(bundle.producer(), "another program");
    let metadata = bundle.metadata();
    assert_eq!(metadata.provenance.origin, Origin::Wrapped);
    assert_eq!(metadata.segment.length_secs, 2.0);
    assert_eq!(metadata.thresholds.default, Some(0.4));
    assert_eq!(metadata.architecture, None);

    let target = folder.path().join("pets.onnx");
    bundle.save(&target).unwrap();
    assert_eq!(Bundle::open(&target).unwrap().metadata(), metadata);
    let error = wrap(&target, &config(&folder, &[]).unwrap()).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("pets.onnx: is a bundle already"),
        "{error}"
    );
}

#[test]
fn a_vocabulary_file_lies_beside_the_description() {
    let folder = TempDir::new().unwrap();
    std::fs::write(
        folder.path().join("classes.csv"),
        "name\nWoof\nMeow\nChirp\n",
    )
    .unwrap();
    let list = r#"["Bark", "Meow", "Chirp"]"#;
    let config = config(&folder, &[(list, r#""classes.csv""#)]).unwrap();
    let bundle = wrap(&foreign(&folder), &config).unwrap();
    assert_eq!(bundle.metadata().vocabulary.name(0), "Woof");
}

#[test]
fn a_description_that_does_not_fit_the_graph_is_refused() {
    let folder = TempDir::new().unwrap();
    let path = foreign(&folder);
    let refused = |replacements: &[(&str, &str)]| {
        let wrapped = config(&folder, replacements).and_then(|config| wrap(&path, &config));
        wrapped.unwrap_err().to_string()
    };
    let shown = refused(&[("input = \"features\"", "input = \"audio\"")]);
    let expected = "there is no input `audio`, the graph has `features` [?, 1, 128, ?]";
    assert!(shown.ends_with(expected), "{shown}");
    let shown = refused(&[("logits = \"logits\"", "logits = \"scores\"")]);
    assert!(
        shown.contains("there is no output `scores`, the graph has"),
        "{shown}"
    );
    let shown = refused(&[(", \"Chirp\"", "")]);
    assert!(
        shown.ends_with("output `logits` has 3 classes, the vocabulary has 2"),
        "{shown}"
    );
    let shown = refused(&[(
        r#"["batch", "channel", "band", "frame"]"#,
        r#"["band", "frame"]"#,
    )]);
    assert!(
        shown.ends_with("is [?, 1, 128, ?], expected the axes [band, frame]"),
        "{shown}"
    );
    let swapped = r#"["batch", "channel", "frame", "band"]"#;
    assert!(
        config(
            &folder,
            &[(r#"["batch", "channel", "band", "frame"]"#, swapped)]
        )
        .is_ok()
    );
    let shown = refused(&[("n_mels = 128", "n_mels = 64")]);
    assert!(
        shown.contains("the band axis of input `features` has length 128"),
        "{shown}"
    );
    let shown = refused(&[("spdx", "spdy")]);
    assert!(
        shown.contains("wrap.toml:") && shown.contains("unknown field `spdy`"),
        "{shown}"
    );
    let shown = refused(&[("min_secs = 2.0", "min_secs = 3.0")]);
    assert!(shown.starts_with("segment.min_secs is 3"), "{shown}");
}

#[test]
fn a_waveform_tagger_is_described_by_its_rate() {
    let folder = TempDir::new().unwrap();
    let text = "[waveform]\nsample_rate = 16000\nfull_scale = 32768.0\n";
    let axes = r#"["batch", "channel", "band", "frame"]"#;
    let mut config = config(&folder, &[(axes, r#"["batch", "sample"]"#)]).unwrap();
    config.front_end = None;
    let table: toml::Table = toml::from_str(text).unwrap();
    config.waveform = Some(table["waveform"].clone().try_into().unwrap());
    assert_eq!(config.tensors.axes, [Axis::Batch, Axis::Sample]);
    let error = wrap(&foreign(&folder), &config).unwrap_err().to_string();
    assert!(
        error.ends_with("expected the axes [batch, sample]"),
        "{error}"
    );
    config.waveform = None;
    let error = wrap(&foreign(&folder), &config).unwrap_err().to_string();
    let expected = "front_end is missing, as is `waveform`, expected exactly one of them";
    assert_eq!(error, expected);
}
