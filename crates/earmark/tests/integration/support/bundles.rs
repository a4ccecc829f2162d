//! A small bundle made by code: the narrowest EfficientAT network with the same random weights on
//! every machine.

use earmark::bundle::{Bundle, Metadata, Origin, Provenance, SegmentConfig, onnx};
use earmark::dataset::Vocabulary;
use earmark::features::FrontEndConfig;
use earmark::model::{Architecture, Role, Tensor, Weights, efficient_at};

/// The narrowest EfficientAT network for three classes.
pub(crate) fn small_architecture() -> Architecture {
    efficient_at(0.1, 3)
}

/// Weights for a network, the same on every machine: a multiplicative generator, scaled so that
/// values neither vanish nor explode.
pub(crate) fn weights_for(architecture: &Architecture) -> Weights {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut uniform = move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 24) as f32 * 2.0 - 1.0
    };
    let plan = architecture.plan().expect("a sound architecture");
    let tensors = plan.parameters.into_iter().map(|parameter| {
        let n = parameter.n_values();
        let values: Vec<f32> = match parameter.role {
            Role::ConvWeight { fan_in, .. } | Role::LinearWeight { fan_in, .. } => {
                let scale = (3.0 / fan_in as f32).sqrt();
                (0..n).map(|_| uniform() * scale).collect()
            }
            Role::NormWeight | Role::RunningVar => (0..n).map(|_| 1.0 + 0.2 * uniform()).collect(),
            _ => (0..n).map(|_| 0.1 * uniform()).collect(),
        };
        let tensor = Tensor::new(parameter.shape, values).expect("as many values as the shape has");
        (parameter.name, tensor)
    });
    tensors.collect()
}

/// Metadata for [`small_architecture`].
pub(crate) fn small_metadata() -> Metadata {
    let vocabulary = Vocabulary::from_names(["Bark", "Meow", "Chirp"]).expect("distinct names");
    Metadata {
        architecture: Some(small_architecture()),
        ..Metadata::new(
            "small",
            FrontEndConfig::efficient_at(),
            vocabulary,
            SegmentConfig::efficient_at(),
            Provenance::new(Origin::Trained),
        )
    }
}

/// A whole bundle of some hundred kilobytes.
pub(crate) fn small_bundle() -> Bundle {
    let architecture = small_architecture();
    let model = onnx::build(&architecture, &weights_for(&architecture)).expect("fitting weights");
    Bundle::new("small.onnx", &onnx::encode(&model), small_metadata()).expect("fitting metadata")
}

/// The SHA-256 of bytes in hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
