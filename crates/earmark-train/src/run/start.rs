//! What a run starts from: a fresh network, or a bundle's.

use std::path::Path;

use burn::tensor::Device;
use earmark::bundle::{Bundle, SegmentConfig, SourceFile, onnx};
use earmark::features::{FrontEnd, FrontEndConfig};
use earmark::model::efficient_at::{self, Settings};
use earmark::model::{Architecture, Weights};
use earmark::{Error, Result};
use sha2::{Digest, Sha256};

use super::config::RunConfig;
use crate::network::{Network, groups};

/// The network's name if nothing says otherwise: under a million parameters, good on a processor.
const DEFAULT_ARCHITECTURE: &str = "mn04";

/// Length of a segment in seconds where neither configuration nor bundle names one.
const DEFAULT_SEGMENT_SECS: f32 = 5.0;

/// The start of a run.
#[derive(Debug, Clone)]
pub(super) struct Start {
    pub(super) front_end: FrontEndConfig,
    pub(super) segment: SegmentConfig,
    /// Weights to begin with, with the network that they belong to.
    pub(super) pretrained: Option<(Architecture, Weights)>,
    /// The file that they come from.
    pub(super) source: Option<SourceFile>,
    architecture: Option<String>,
}

impl Start {
    /// Reads the bundle that the configuration names, if it names one.
    ///
    /// # Errors
    /// [`Error::Bundle`] if it is damaged or holds no network that can be trained;
    /// [`Error::Config`] if its input does not fit the configured front end.
    pub(super) fn read(config: &RunConfig) -> Result<Self> {
        let Some(path) = &config.model.init else {
            return Ok(Self::fresh(config));
        };
        let bundle = Bundle::open(path)?;
        let metadata = bundle.metadata();
        let (Some(architecture), Some(front_end)) = (&metadata.architecture, metadata.front_end())
        else {
            return Err(Error::Bundle {
                name: bundle.file().to_owned(),
                reason: "its graph was made by another program, expected a network that Earmark \
                         has built (`earmark bundle import` makes one)"
                    .to_owned(),
            });
        };
        if config.features.as_ref().is_some_and(|own| own != front_end) {
            return Err(Error::Config {
                key: "features".to_owned(),
                found: "another front end than that of `model.init`".to_owned(),
                expected: format!("leave it out: {} brings its own", bundle.file()),
            });
        }
        let model = onnx::decode(bundle.file(), bundle.bytes().to_vec())?;
        let weights = onnx::read_weights(bundle.file(), &model, architecture)?;
        Ok(Self {
            front_end: front_end.clone(),
            segment: config
                .data
                .segment
                .clone()
                .unwrap_or_else(|| metadata.segment.clone()),
            pretrained: Some((architecture.clone(), weights)),
            source: Some(source_file(path, bundle.bytes())),
            architecture: config.model.architecture.clone(),
        })
    }

    fn fresh(config: &RunConfig) -> Self {
        let default_segment = || SegmentConfig {
            length_secs: DEFAULT_SEGMENT_SECS,
            hop_secs: DEFAULT_SEGMENT_SECS,
            ..SegmentConfig::efficient_at()
        };
        Self {
            front_end: config
                .features
                .clone()
                .unwrap_or_else(FrontEndConfig::efficient_at),
            segment: config.data.segment.clone().unwrap_or_else(default_segment),
            pretrained: None,
            source: None,
            architecture: config.model.architecture.clone(),
        }
    }

    /// The network to train for so many classes.
    ///
    /// # Errors
    /// [`Error::Config`] for an unknown name; [`Error::Shape`] if it does not take the front end's
    /// features.
    pub(super) fn architecture(&self, n_classes: usize) -> Result<Architecture> {
        let front_end = FrontEnd::new(&self.front_end)?;
        let architecture = match (&self.architecture, &self.pretrained) {
            (None, Some((pretrained, _))) => groups::with_classes(pretrained, n_classes),
            (name, _) => {
                let name = name.as_deref().unwrap_or(DEFAULT_ARCHITECTURE);
                named(name, n_classes, front_end.n_bands())?
            }
        };
        let input = architecture.input;
        let found = (front_end.n_channels(), front_end.n_bands());
        if (input.n_channels, input.n_bands) != found {
            return Err(Error::Shape {
                what: format!("{}: channels and bands of the front end", architecture.name),
                found: format!("{} and {}", found.0, found.1),
                expected: format!("{} and {}", input.n_channels, input.n_bands),
            });
        }
        architecture.plan()?;
        Ok(architecture)
    }

    /// The network to begin with, and the names of parameters that begin at random although there
    /// are pretrained weights.
    ///
    /// # Errors
    /// [`Error::Weights`] if the pretrained weights belong to another network altogether.
    pub(super) fn network(
        &self,
        architecture: &Architecture,
        seed: u64,
        device: &Device,
    ) -> Result<(Network, Vec<String>)> {
        let mut network = Network::new(architecture, seed, device)?;
        let Some((pretrained, weights)) = &self.pretrained else {
            return Ok((network, Vec::new()));
        };
        let untouched = network.load(weights);
        if untouched.len() * 2 > network.parameters().len() {
            return Err(Error::Weights {
                name: self
                    .source
                    .as_ref()
                    .map_or_else(String::new, |s| s.file.clone()),
                reason: format!(
                    "holds {}, of which {} of {} parameters of {} can be filled",
                    pretrained.name,
                    network.parameters().len() - untouched.len(),
                    network.parameters().len(),
                    architecture.name
                ),
            });
        }
        Ok((network, untouched))
    }
}

/// The network of a name such as `mn04`: the family, then the width in tenths.
fn named(name: &str, n_classes: usize, n_bands: usize) -> Result<Architecture> {
    let width = name
        .strip_prefix("mn")
        .and_then(|tenths| tenths.parse::<u32>().ok())
        .filter(|tenths| (1..=100).contains(tenths));
    match width {
        Some(tenths) => Ok(efficient_at::efficient_at_with(&Settings {
            width: f64::from(tenths) / 10.0,
            n_classes,
            n_bands,
            ..efficient_at::Settings::default()
        })),
        None => Err(Error::Config {
            key: "model.architecture".to_owned(),
            found: format!("`{name}`"),
            expected: "must be `mn01` to `mn100`, the digits being the width in tenths".to_owned(),
        }),
    }
}

fn source_file(path: &Path, bytes: &[u8]) -> SourceFile {
    let name = path.file_name().unwrap_or_default();
    SourceFile {
        file: name.to_string_lossy().into_owned(),
        sha256: super::hex(&Sha256::digest(bytes)),
        url: None,
    }
}
