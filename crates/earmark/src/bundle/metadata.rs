//! What a bundle says about its graph, and how that is written into the file: one metadata property
//! per concern, named `earmark.…`, its value plain text or JSON. `docs/bundle-format.md` lists them.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::container::PREFIX;
use super::output::{self, Activation, Calibration, Task, Thresholds};
use super::provenance::{Licence, Provenance};
use super::segment::SegmentConfig;
use super::tensors::Tensors;
use crate::dataset::Vocabulary;
use crate::features::{FrontEnd, FrontEndConfig, MAX_SAMPLE_RATE};
use crate::model::Architecture;
use crate::{Error, Result};

/// The newest format version that this build reads, and the one that it writes.
pub const FORMAT_VERSION: u32 = 1;

/// Everything that tagging needs to know besides the graph.
#[derive(Clone, Debug, PartialEq)]
pub struct Metadata {
    /// The bundle's short name, such as `mn04`.
    pub name: String,
    /// What it is, for what, and where it fails, as Markdown; empty if nothing is said.
    pub description: String,
    /// What the graph is given.
    pub input: Input,
    /// How the graph calls its input and outputs.
    pub tensors: Tensors,
    /// The classes in the order of the outputs.
    pub vocabulary: Vocabulary,
    /// How clips are cut into segments and scores brought together again.
    pub segment: SegmentConfig,
    /// What turns the graph's output into scores.
    pub activation: Activation,
    /// How many classes a clip may have.
    pub task: Task,
    /// What makes scores into probabilities, if it was fitted.
    pub calibration: Option<Calibration>,
    /// From which score on a class counts as heard; empty if nothing is said.
    pub thresholds: Thresholds,
    /// Where the bundle comes from.
    pub provenance: Provenance,
    /// Under which terms it may be used, if known.
    pub licence: Option<Licence>,
    /// The network as blocks; `None` for a graph of another program, which cannot be trained on.
    pub architecture: Option<Architecture>,
}

/// What a graph is given.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// Features of this front end.
    Features(FrontEndConfig),
    /// The waveform: the front end is inside the graph.
    Waveform(WaveformInput),
}

/// The waveform that a graph with its own front end is given.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WaveformInput {
    /// Samples per second in Hz.
    pub sample_rate: u32,
    /// The value of a full-scale sample: 1 for samples from -1 to 1, 32768 for 16-bit integers.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub full_scale: f32,
}

fn one() -> f32 {
    1.0
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for a reference"
)]
fn is_one(value: &f32) -> bool {
    *value == 1.0
}

/// The value of `earmark.output`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Output {
    activation: Activation,
    task: Task,
}

impl Metadata {
    /// Metadata of a network that takes features of `front_end` and knows these classes, with sigmoid
    /// outputs; the other fields may be set afterwards.
    pub fn new(
        name: impl Into<String>,
        front_end: FrontEndConfig,
        vocabulary: Vocabulary,
        segment: SegmentConfig,
        provenance: Provenance,
    ) -> Self {
        Self {
            name: name.into(),
            description: String::new(),
            input: Input::Features(front_end),
            tensors: Tensors::features(),
            vocabulary,
            segment,
            activation: Activation::Sigmoid,
            task: Task::MultiLabel,
            calibration: None,
            thresholds: Thresholds::default(),
            provenance,
            licence: None,
            architecture: None,
        }
    }

    /// The rate of the waveforms that it takes, in Hz.
    pub fn sample_rate(&self) -> u32 {
        match &self.input {
            Input::Features(front_end) => front_end.sample_rate,
            Input::Waveform(waveform) => waveform.sample_rate,
        }
    }

    /// The front end, or `None` when it is inside the graph.
    pub fn front_end(&self) -> Option<&FrontEndConfig> {
        match &self.input {
            Input::Features(front_end) => Some(front_end),
            Input::Waveform(_) => None,
        }
    }

    /// Turns one row of the graph's output, one value per class, into scores in place.
    pub fn scores_in_place(&self, row: &mut [f32]) {
        output::scores_in_place(row, self.activation, self.calibration.as_ref());
    }

    /// Whether all parts are possible and fit each other.
    ///
    /// # Errors
    /// [`Error::Config`], [`Error::Shape`] or [`Error::UnknownClass`] that says what does not.
    pub fn check(&self) -> Result<()> {
        if self.name.trim().is_empty() || self.name.chars().any(char::is_control) {
            return Err(Error::Config {
                key: "name".to_owned(),
                found: format!("`{}`", self.name.escape_debug()),
                expected: "must be a short text".to_owned(),
            });
        }
        self.segment.check()?;
        self.tensors.check(&self.input)?;
        self.thresholds.check(&self.vocabulary)?;
        if let Some(calibration) = &self.calibration {
            calibration.check(self.activation, self.vocabulary.len())?;
        }
        if let Some(architecture) = &self.architecture {
            let n_classes = self.vocabulary.len();
            fits(architecture, "classes", architecture.n_classes, n_classes)?;
        }
        match &self.input {
            Input::Waveform(waveform) => waveform.check(),
            Input::Features(front_end) => self.check_front_end(&FrontEnd::new(front_end)?),
        }
    }

    fn check_front_end(&self, front_end: &FrontEnd) -> Result<()> {
        let Some(architecture) = &self.architecture else {
            return Ok(());
        };
        let input = &architecture.input;
        fits(
            architecture,
            "channels",
            input.n_channels,
            front_end.n_channels(),
        )?;
        fits(architecture, "bands", input.n_bands, front_end.n_bands())
    }

    /// The metadata as properties of an ONNX file.
    pub(crate) fn to_properties(&self) -> Vec<(&'static str, String)> {
        let mut properties = vec![
            ("earmark.format_version", FORMAT_VERSION.to_string()),
            ("earmark.name", self.name.clone()),
        ];
        if !self.description.is_empty() {
            properties.push(("earmark.description", self.description.clone()));
        }
        properties.push(match &self.input {
            Input::Features(front_end) => ("earmark.front_end", json(front_end)),
            Input::Waveform(waveform) => ("earmark.waveform", json(waveform)),
        });
        let output = Output {
            activation: self.activation,
            task: self.task,
        };
        properties.push(("earmark.tensors", json(&self.tensors)));
        properties.push(("earmark.segment", json(&self.segment)));
        properties.push(("earmark.output", json(&output)));
        if let Some(calibration) = &self.calibration {
            properties.push(("earmark.calibration", json(calibration)));
        }
        if !self.thresholds.is_empty() {
            properties.push(("earmark.thresholds", json(&self.thresholds)));
        }
        properties.push(("earmark.vocabulary", json(&self.vocabulary)));
        if let Some(architecture) = &self.architecture {
            properties.push(("earmark.architecture", json(architecture)));
        }
        if let Some(licence) = &self.licence {
            properties.push(("earmark.licence", json(licence)));
        }
        // The last of the required ones: a file that ends before it is recognised as truncated.
        properties.push(("earmark.provenance", json(&self.provenance)));
        properties
    }

    /// The metadata as one JSON object, for programs: the keys of the file without `earmark.`.
    pub fn to_json(&self) -> serde_json::Value {
        let properties = self.to_properties().into_iter().map(|(key, text)| {
            let key = key.strip_prefix(PREFIX).unwrap_or(key);
            // Names and descriptions are plain text, however much they look like JSON.
            let value = match key {
                "name" | "description" => text.into(),
                _ => serde_json::from_str(&text).unwrap_or_else(|_| text.into()),
            };
            (key.to_owned(), value)
        });
        serde_json::Value::Object(properties.collect())
    }

    /// Reads the metadata from the properties of the ONNX file called `file`.
    pub(crate) fn from_properties(file: &str, properties: &[(String, String)]) -> Result<Self> {
        let mut reader = Reader::of(file, properties)?;
        reader.check_version()?;
        let input = match (
            reader.json("earmark.front_end")?,
            reader.json("earmark.waveform")?,
        ) {
            (Some(front_end), None) => Input::Features(front_end),
            (None, Some(waveform)) => Input::Waveform(waveform),
            (Some(_), Some(_)) => {
                let reason = "has both earmark.front_end and earmark.waveform, expected one";
                return Err(reader.error(reason));
            }
            (None, None) => return Err(reader.missing("earmark.front_end")),
        };
        let output: Output = reader.required("earmark.output")?;
        let metadata = Self {
            name: reader
                .take("earmark.name")
                .ok_or_else(|| reader.missing("earmark.name"))?,
            description: reader.take("earmark.description").unwrap_or_default(),
            input,
            tensors: reader.required("earmark.tensors")?,
            vocabulary: reader.required("earmark.vocabulary")?,
            segment: reader.required("earmark.segment")?,
            activation: output.activation,
            task: output.task,
            calibration: reader.json("earmark.calibration")?,
            thresholds: reader.json("earmark.thresholds")?.unwrap_or_default(),
            provenance: reader.required("earmark.provenance")?,
            licence: reader.json("earmark.licence")?,
            architecture: reader.json("earmark.architecture")?,
        };
        reader.finish()?;
        metadata
            .check()
            .map_err(|error| reader.error(&error.to_string()))?;
        Ok(metadata)
    }
}

/// Whether a size in the architecture is what the rest of the metadata says.
fn fits(architecture: &Architecture, what: &str, found: usize, expected: usize) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(Error::Shape {
        what: format!("{what} of the network {}", architecture.name),
        found: found.to_string(),
        expected: expected.to_string(),
    })
}

impl WaveformInput {
    fn check(&self) -> Result<()> {
        let error = |key: &str, found: String, expected: String| Error::Config {
            key: format!("waveform.{key}"),
            found,
            expected,
        };
        if !(1..=MAX_SAMPLE_RATE).contains(&self.sample_rate) {
            let expected = format!("must be 1 to {MAX_SAMPLE_RATE}");
            return Err(error("sample_rate", self.sample_rate.to_string(), expected));
        }
        if !(self.full_scale.is_finite() && self.full_scale > 0.0) {
            let expected = "must be above 0".to_owned();
            return Err(error("full_scale", self.full_scale.to_string(), expected));
        }
        Ok(())
    }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("metadata has string keys only")
}

/// Takes properties out one by one, so that what is left over is known to be unknown.
struct Reader<'a> {
    file: &'a str,
    left: Vec<(&'a str, &'a str)>,
}

impl<'a> Reader<'a> {
    fn of(file: &'a str, properties: &'a [(String, String)]) -> Result<Self> {
        let mut left: Vec<(&str, &str)> = Vec::new();
        for (key, value) in properties {
            if !key.starts_with(PREFIX) {
                continue;
            }
            if left.iter().any(|(known, _)| known == key) {
                return Err(Error::Bundle {
                    name: file.to_owned(),
                    reason: format!("{key} is there twice"),
                });
            }
            left.push((key, value));
        }
        if left.is_empty() {
            return Err(Error::NotABundle {
                name: file.to_owned(),
            });
        }
        Ok(Self { file, left })
    }

    fn check_version(&mut self) -> Result<()> {
        const KEY: &str = "earmark.format_version";
        let text = self.take(KEY).ok_or_else(|| self.missing(KEY))?;
        match text.trim().parse::<u32>() {
            Ok(FORMAT_VERSION) => Ok(()),
            Ok(found) if found > FORMAT_VERSION => Err(Error::BundleVersion {
                name: self.file.to_owned(),
                found,
                newest: FORMAT_VERSION,
            }),
            _ => Err(self.error(&format!(
                "{KEY} is `{text}`, expected 1 to {FORMAT_VERSION}"
            ))),
        }
    }

    fn take(&mut self, key: &str) -> Option<String> {
        let index = self.left.iter().position(|(known, _)| *known == key)?;
        Some(self.left.swap_remove(index).1.to_owned())
    }

    fn json<T: DeserializeOwned>(&mut self, key: &str) -> Result<Option<T>> {
        let Some(text) = self.take(key) else {
            return Ok(None);
        };
        serde_json::from_str(&text)
            .map(Some)
            .map_err(|error| self.error(&format!("{key}: {error}")))
    }

    fn required<T: DeserializeOwned>(&mut self, key: &str) -> Result<T> {
        self.json(key)?.ok_or_else(|| self.missing(key))
    }

    fn finish(&self) -> Result<()> {
        let unknown: Vec<&str> = self.left.iter().map(|(key, _)| *key).collect();
        if unknown.is_empty() {
            return Ok(());
        }
        Err(self.error(&format!(
            "unknown metadata `{}` for format version {FORMAT_VERSION}",
            unknown.join("`, `")
        )))
    }

    fn missing(&self, key: &str) -> Error {
        self.error(&format!(
            "{key} is missing: the file is truncated or was edited"
        ))
    }

    fn error(&self, reason: &str) -> Error {
        Error::Bundle {
            name: self.file.to_owned(),
            reason: reason.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::container::tests::tiny;
    use crate::bundle::{Bundle, Origin};
    use crate::model;

    fn metadata() -> Metadata {
        let vocabulary = Vocabulary::from_names(["Bark", "Meow"]).unwrap();
        let architecture = model::efficient_at(0.1, vocabulary.len());
        Metadata {
            description: "Dogs and cats.".to_owned(),
            calibration: Some(Calibration::Temperature { temperature: 1.5 }),
            thresholds: Thresholds {
                default: Some(0.3),
                classes: [("Meow".to_owned(), 0.4)].into(),
            },
            licence: Some(Licence {
                spdx: "MIT".to_owned(),
                attribution: vec!["Weights by A. Person.".to_owned()],
            }),
            architecture: Some(architecture),
            ..Metadata::new(
                "pets",
                FrontEndConfig::efficient_at(),
                vocabulary,
                SegmentConfig::efficient_at(),
                Provenance::new(Origin::Trained),
            )
        }
    }

    fn waveform() -> Metadata {
        Metadata {
            input: Input::Waveform(WaveformInput {
                sample_rate: 16_000,
                full_scale: 32_768.0,
            }),
            tensors: Tensors::waveform(),
            architecture: None,
            ..metadata()
        }
    }

    /// A bundle whose properties went through `change` on their way.
    fn changed(change: impl Fn(&mut Vec<(&'static str, String)>)) -> Result<Bundle> {
        let mut properties = metadata().to_properties();
        change(&mut properties);
        let bytes = crate::bundle::container::with_properties(&tiny(17), &properties);
        Bundle::from_bytes("pets.onnx", bytes)
    }

    fn message(change: impl Fn(&mut Vec<(&'static str, String)>)) -> String {
        changed(change).unwrap_err().to_string()
    }

    #[test]
    fn everything_said_comes_back() {
        for metadata in [metadata(), waveform()] {
            let bundle = Bundle::new("pets.onnx", &tiny(17), metadata.clone()).unwrap();
            let again = Bundle::from_bytes("pets.onnx", bundle.bytes().clone()).unwrap();
            assert_eq!(again.metadata(), &metadata);
            assert_eq!((again.opset(), again.producer()), (17, "a test"));
        }
    }

    #[test]
    fn a_newer_format_is_refused_before_its_keys_are_read() {
        let error = changed(|properties| {
            properties[0].1 = "2".to_owned();
            properties.push(("earmark.hologram", "{}".to_owned()));
        })
        .unwrap_err();
        assert_eq!(
            error.to_string(),
            "pets.onnx: bundle format version 2, this build reads 1 to 1"
        );
        assert_eq!(
            error.hint().as_deref(),
            Some("update earmark to read this bundle")
        );
    }

    #[test]
    fn an_onnx_file_without_metadata_gets_the_way_to_add_some() {
        let error = Bundle::from_bytes("pets.onnx", tiny(17)).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("pets.onnx: an ONNX file without")
        );
        assert!(
            error
                .hint()
                .unwrap()
                .contains("earmark bundle wrap pets.onnx")
        );
    }

    #[test]
    fn edited_metadata_is_refused_with_the_key() {
        assert_eq!(
            message(|p| p.push(("earmark.hologram", "{}".to_owned()))),
            "pets.onnx: unknown metadata `earmark.hologram` for format version 1"
        );
        assert_eq!(
            message(|p| p.retain(|(key, _)| *key != "earmark.segment")),
            "pets.onnx: earmark.segment is missing: the file is truncated or was edited"
        );
        assert!(message(|p| p[0].1 = "one".to_owned()).contains("format_version is `one`"));
        assert!(message(|p| p.push(p[1].clone())).contains("earmark.name is there twice"));
        let set = |key: &'static str, value: &'static str| {
            message(|p| {
                p.retain(|(known, _)| *known != key);
                p.push((key, value.to_owned()));
            })
        };
        let output = r#"{"activation":"sigmoid","task":"multi-label","colour":"blue"}"#;
        assert!(set("earmark.output", output).contains("earmark.output: unknown field `colour`"));
        assert!(set("earmark.vocabulary", r#"["Bark"]"#).contains("label `Meow` is not in"));
        assert!(set("earmark.vocabulary", r#"["Bark","Bark"]"#).contains("which class 0"));
        assert!(set("earmark.waveform", r#"{"sample_rate":1}"#).contains("expected one"));
    }

    #[test]
    fn parts_that_do_not_fit_each_other_are_refused() {
        let error = |change: &dyn Fn(&mut Metadata)| {
            let mut metadata = metadata();
            change(&mut metadata);
            Bundle::new("pets.onnx", &tiny(17), metadata)
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            error(&|m| m.vocabulary = Vocabulary::from_names(["Bark", "Chirp"]).unwrap()),
            "label `Meow` is not in the vocabulary (2 classes)"
        );
        assert_eq!(
            error(&|m| {
                m.thresholds = Thresholds::default();
                m.vocabulary = Vocabulary::audio_set().clone();
            }),
            "classes of the network mn01: found 2, expected 527"
        );
        assert!(
            error(&|m| m.tensors.axes.truncate(2)).starts_with("tensors.axes is [batch, channel]")
        );
        assert!(error(&|m| m.name = String::new()).starts_with("name is ``"));
        assert!(error(&|m| m.segment.hop_secs = 0.0).starts_with("segment.hop_secs is 0"));
        assert_eq!(
            error(&|m| m.segment.hop_secs = 1e-6),
            "segment.hop_secs is 0.000001, must be at least 0.001"
        );
        let waveform = WaveformInput {
            sample_rate: u32::MAX,
            full_scale: 1.0,
        };
        assert_eq!(
            waveform.check().unwrap_err().to_string(),
            "waveform.sample_rate is 4294967295, must be 1 to 4000000"
        );
    }

    #[test]
    fn a_file_cut_anywhere_is_refused() {
        let whole = Bundle::new("pets.onnx", &tiny(17), metadata()).unwrap();
        for len in 0..whole.bytes().len() {
            let error = Bundle::from_bytes("pets.onnx", &whole.bytes()[..len]).unwrap_err();
            assert!(
                error.to_string().starts_with("pets.onnx: "),
                "{len}: {error}"
            );
        }
    }
}
