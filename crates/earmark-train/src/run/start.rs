//! What a run starts from: a fresh network, or a bundle's.

use std::path::Path;

use burn::tensor::Device;
use earmark::bundle::{Bundle, SegmentConfig, SourceFile, onnx};
use earmark::digest::sha256_of_bytes;
use earmark::features::{FrontEnd, FrontEndConfig};
use earmark::model::{Architecture, Weights};
use earmark::{Error, Result};

use super::config::RunConfig;
use super::features::{check_segments, named, usual_front_end, usual_segment};
use super::frozen::Frozen;
use super::weights_file;
use crate::network::{Network, groups};

/// The network's name if nothing says otherwise: under a million parameters, good on a processor.
const DEFAULT_ARCHITECTURE: &str = "mn04";

/// The start of a run.
pub(super) struct Start {
    pub(super) front_end: FrontEndConfig,
    pub(super) segment: SegmentConfig,
    /// Weights to begin with, with the network that they belong to.
    pub(super) pretrained: Option<(Architecture, Weights)>,
    /// The file that they come from.
    pub(super) source: Option<SourceFile>,
    /// Another program's graph, whose embeddings are all that is trained on.
    pub(super) frozen: Option<Frozen>,
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
            return Self::fresh(config);
        };
        if weights_file::is_one(path)? {
            return Self::of_weights(path, config);
        }
        let bundle = Bundle::open(path)?;
        let metadata = bundle.metadata();
        let (Some(architecture), Some(front_end)) = (&metadata.architecture, metadata.front_end())
        else {
            return Self::frozen(config, path, bundle);
        };
        check_features(config, front_end, bundle.file())?;
        let model = onnx::decode(bundle.file(), bundle.bytes().to_vec())?;
        let weights = onnx::read_weights(bundle.file(), &model, architecture)?;
        Ok(Self {
            front_end: front_end.clone(),
            segment: config.data.segment.over(metadata.segment.clone())?,
            pretrained: Some((architecture.clone(), weights)),
            source: Some(source_file(path, bundle.bytes())),
            frozen: None,
            architecture: config.model.architecture.clone(),
        })
    }

    /// Another program's graph, which stays as it is.
    fn frozen(config: &RunConfig, path: &Path, bundle: Bundle) -> Result<Self> {
        let source = source_file(path, bundle.bytes());
        let frozen = Frozen::new(bundle, config)?;
        let front_end = frozen.front_end();
        check_features(config, &front_end, frozen.bundle.file())?;
        let usual = frozen.bundle.metadata().segment.clone();
        Ok(Self {
            front_end,
            segment: config.data.segment.over(usual)?,
            pretrained: None,
            source: Some(source),
            frozen: Some(frozen),
            architecture: None,
        })
    }

    /// The network that the configuration names, with the weights of another program by their names.
    fn of_weights(path: &Path, config: &RunConfig) -> Result<Self> {
        let name = config.model.architecture.as_deref();
        let name = name.ok_or_else(|| Error::Config {
            key: "model.architecture".to_owned(),
            found: format!("left out beside the weights {}", path.display()),
            expected: "must name the network that the weights belong to".to_owned(),
        })?;
        let start = Self::fresh(config)?;
        let front_end = FrontEnd::new(&start.front_end)?;
        let architecture = named(name, &front_end, 2)?;
        let weights = weights_file::read(path, &architecture)?;
        Ok(Self {
            pretrained: Some((architecture, weights)),
            source: Some(source_file(path, &fs_err::read(path)?)),
            ..start
        })
    }

    fn fresh(config: &RunConfig) -> Result<Self> {
        let name = config.model.architecture.as_deref();
        let name = name.unwrap_or(DEFAULT_ARCHITECTURE);
        let front_end = match &config.features {
            Some(front_end) => front_end.clone(),
            None => usual_front_end(name)?,
        };
        let settings = &config.data.segment;
        let usual = match settings.has_all_lengths() {
            true => SegmentConfig::efficient_at(),
            false => {
                let front_end = FrontEnd::new(&front_end)?;
                // How many classes there are makes no difference to the input.
                usual_segment(&named(name, &front_end, 2)?, &front_end)?
            }
        };
        let segment = settings.over(usual)?;
        Ok(Self {
            front_end,
            segment,
            pretrained: None,
            source: None,
            frozen: None,
            architecture: Some(name.to_owned()),
        })
    }

    /// The network to train for so many classes.
    ///
    /// # Errors
    /// [`Error::Config`] for an unknown name; [`Error::Shape`] if it does not take the front end's
    /// features or the segments' lengths.
    pub(super) fn architecture(&self, n_classes: usize) -> Result<Architecture> {
        let front_end = FrontEnd::new(&self.front_end)?;
        if let Some(frozen) = &self.frozen {
            let segmenter = self.segment.in_samples(front_end.sample_rate())?;
            return frozen.head(segmenter.length(), n_classes);
        }
        let architecture = match (&self.architecture, &self.pretrained) {
            (None, Some((pretrained, _))) => groups::with_classes(pretrained, n_classes),
            (name, _) => {
                let name = name.as_deref().unwrap_or(DEFAULT_ARCHITECTURE);
                named(name, &front_end, n_classes)?
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
        check_segments(&architecture, &front_end, &self.segment)?;
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

/// Refuses a front end beside that of the bundle to start from.
fn check_features(config: &RunConfig, front_end: &FrontEndConfig, file: &str) -> Result<()> {
    match &config.features {
        Some(own) if own != front_end => Err(Error::Config {
            key: "features".to_owned(),
            found: "another front end than that of `model.init`".to_owned(),
            expected: format!("leave it out: {file} brings its own"),
        }),
        _ => Ok(()),
    }
}

fn source_file(path: &Path, bytes: &[u8]) -> SourceFile {
    let name = path.file_name().unwrap_or_default();
    SourceFile {
        file: name.to_string_lossy().into_owned(),
        sha256: sha256_of_bytes(bytes),
        url: None,
    }
}
