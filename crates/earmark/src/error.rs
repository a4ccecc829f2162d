//! The one error type of the library.
//!
//! A variant is something that a caller can act on. Fields hold what was found and what was
//! expected; causes stay attached as sources. Messages begin with the file's name where there is
//! one, in lower case, without a full stop.

use std::borrow::Cow;
use std::path::PathBuf;

use crate::dataset::nearest;

/// The result of every fallible function of the library.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong between a sound and its tags.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Reading or writing failed; the path is part of the source's message.
    #[error(transparent)]
    Io(#[from] std::io::Error),

    /// The bytes are no audio that any decoder here recognises.
    #[error("{name}: {found}, expected audio")]
    NotAudio {
        /// The file's name, or the name given to a stream.
        name: String,
        /// What the bytes look like instead.
        found: String,
    },

    /// The container is known but what it holds has no decoder here.
    #[error("{name}: no decoder for {codec}")]
    UnsupportedCodec {
        /// The file's name, or the name given to a stream.
        name: String,
        /// The codec as the container names it.
        codec: String,
    },

    /// The audio is damaged: truncated, inconsistent, or not what its header promises.
    #[error("{name}: {reason}")]
    Decode {
        /// The file's name, or the name given to a stream.
        name: String,
        /// What was found and what was expected.
        reason: String,
    },

    /// A recording without sound: a header and nothing behind it.
    #[error("{name}: {what} without samples, expected at least 1")]
    NoSamples {
        /// The file's name, or the name given to a stream.
        name: String,
        /// What it is, such as "WAV file".
        what: String,
    },

    /// The recording ends before it should: a cut download, a recorder that lost power.
    #[error("{name}: stream ends after {found_secs:.3} s, {reason}")]
    Truncated {
        /// The file's name, or the name given to a stream.
        name: String,
        /// The seconds of sound that are there.
        found_secs: f64,
        /// What was expected, such as "its header promises 5.000 s".
        reason: String,
    },

    /// A limit on the input was passed.
    #[error("{name}: {what} is {found}, the limit is {limit}")]
    Limit {
        /// The file's name, or the name given to a stream.
        name: String,
        /// The limited quantity.
        what: &'static str,
        /// The value found, with its unit.
        found: String,
        /// The limit, with its unit.
        limit: String,
    },

    /// A waveform is at another sample rate than the front end's.
    #[error("sample rate is {found} Hz, the front end expects {expected} Hz")]
    SampleRate {
        /// The waveform's rate in Hz.
        found: u32,
        /// The front end's rate in Hz.
        expected: u32,
    },

    /// A clip gives no frame: it is empty, or shorter than the front end needs.
    #[error("clip has {found} samples, the front end needs at least {needed}")]
    ClipTooShort {
        /// The clip's number of samples.
        found: usize,
        /// The least number of samples.
        needed: usize,
    },

    /// A clip is too long for a front end with statistics over the whole clip.
    #[error("clip is {found_secs:.1} s long, the limit is {limit_secs:.0} s with {settings}")]
    ClipTooLong {
        /// The clip's length in seconds.
        found_secs: f64,
        /// The limit in seconds.
        limit_secs: f64,
        /// The settings that need the whole clip.
        settings: String,
    },

    /// A front end with statistics over the whole clip works on no stream, and tells nothing from a
    /// clip's length alone.
    #[error("the front end needs the whole clip because of {settings}")]
    NeedsWholeClip {
        /// The settings that need the whole clip.
        settings: String,
    },

    /// A sample is not a sensible number.
    #[error("sample {index} is {found}, expected a number within ±{limit:e}")]
    Sample {
        /// The sample's position in the clip, counted from 0.
        index: usize,
        /// The sample.
        found: f32,
        /// The largest absolute value.
        limit: f32,
    },

    /// A setting has an impossible value.
    #[error("{key} is {found}, {expected}")]
    Config {
        /// The setting's dotted path, such as `features.hop_length`.
        key: String,
        /// The value found.
        found: String,
        /// What is allowed, such as "must be at least 1".
        expected: String,
    },

    /// A text file (TOML, CSV, JSON) does not parse or does not say what it should.
    #[error("{name}:{line}: {reason}")]
    Line {
        /// The file's name.
        name: String,
        /// The line, counted from 1.
        line: usize,
        /// What was found and what was expected.
        reason: String,
    },

    /// Two shapes do not fit.
    #[error("{what}: found {found}, expected {expected}")]
    Shape {
        /// What has the shape.
        what: String,
        /// The shape found.
        found: String,
        /// The shape expected.
        expected: String,
    },

    /// A number that must be finite is not.
    #[error("{what} is {found}, expected a finite number")]
    NotFinite {
        /// Which number.
        what: String,
        /// The value found: NaN or an infinity.
        found: f32,
    },

    /// A weights file cannot be read or is of no known architecture.
    #[error("{name}: {reason}")]
    Weights {
        /// The weights file's name.
        name: String,
        /// What was found and what was expected.
        reason: String,
    },

    /// Weights do not say what their classes are called, and their number is no known vocabulary's.
    #[error(
        "{name}: the network has {n_classes} classes, the built-in vocabulary (AudioSet) has 527"
    )]
    NeedsVocabulary {
        /// The weights file's name.
        name: String,
        /// The number of classes in the weights.
        n_classes: usize,
    },

    /// A file is no bundle: not ONNX, damaged, or without Earmark's metadata.
    #[error("{name}: {reason}")]
    Bundle {
        /// The bundle's file name.
        name: String,
        /// What was found and what was expected.
        reason: String,
    },

    /// An ONNX file without metadata of ours: a foreign model, not yet a bundle.
    #[error("{name}: an ONNX file without Earmark's metadata, expected a bundle")]
    NotABundle {
        /// The file's name.
        name: String,
    },

    /// A file is no index of embeddings, is damaged, or does not fit what is asked of it.
    #[error("{name}: {reason}")]
    Index {
        /// The index's file name.
        name: String,
        /// What was found and what was expected.
        reason: String,
    },

    /// A bundle was written by a newer Earmark.
    #[error("{name}: bundle format version {found}, this build reads 1 to {newest}")]
    BundleVersion {
        /// The bundle's file name.
        name: String,
        /// The version found.
        found: u32,
        /// The newest version that this build reads.
        newest: u32,
    },

    /// An inference runtime is not available or refuses the graph.
    #[error("{runtime}: {reason}")]
    Runtime {
        /// The runtime's name.
        runtime: &'static str,
        /// What it said.
        reason: String,
    },

    /// The device that trains is not there or gave up.
    #[error("{reason}")]
    Device {
        /// What is missing or went wrong, and what to use instead.
        reason: String,
    },

    /// Training cannot go on.
    #[error("{place}: {reason}")]
    Training {
        /// Where it stopped, such as `epoch 3, batch 17 (rooster-1.wav, rain-2.wav)`.
        place: String,
        /// What was found.
        reason: String,
    },

    /// A checkpoint does not belong to this run or is damaged.
    #[error("{}: {reason}", path.display())]
    Checkpoint {
        /// The checkpoint's path.
        path: PathBuf,
        /// What was found and what was expected.
        reason: String,
    },

    /// A data set, or its cache, is not what it should be.
    #[error("{}: {reason}", path.display())]
    Dataset {
        /// The folder, table or clip.
        path: PathBuf,
        /// What was found and what was expected.
        reason: String,
    },

    /// A data set's label is not in the vocabulary.
    #[error(
        "{place}: label `{}` is not in the vocabulary ({n_classes} classes)",
        shortened(label)
    )]
    UnknownLabel {
        /// The table and line, or the clip.
        place: String,
        /// The label as written.
        label: String,
        /// The size of the vocabulary.
        n_classes: usize,
        /// The nearest class name, if one is near.
        suggestion: Option<String>,
    },

    /// The caller asked to stop.
    #[error("stopped before the end")]
    Cancelled,

    /// A class is not in the vocabulary.
    #[error(
        "label `{}` is not in the vocabulary ({n_classes} classes)",
        shortened(label)
    )]
    UnknownClass {
        /// The label as written.
        label: String,
        /// The size of the vocabulary.
        n_classes: usize,
        /// The nearest class name, if one is near.
        suggestion: Option<String>,
    },

    /// No model of that name can be fetched.
    #[error("no model is called `{name}`, known are {}", known.join(", "))]
    UnknownModel {
        /// The name as written.
        name: String,
        /// The names in the registry.
        known: Vec<String>,
        /// The nearest name, if one is near.
        suggestion: Option<String>,
    },

    /// A known model was not fetched yet.
    #[error("model `{name}` is not in {}", folder.display())]
    NotPulled {
        /// The model's name.
        name: String,
        /// The cache that was looked in.
        folder: PathBuf,
    },

    /// A model cannot be fetched because nothing says what its file must be.
    #[error("{url}: the registry has no SHA-256 for `{name}`, so a download could not be verified")]
    NoChecksum {
        /// The model's name.
        name: String,
        /// The address.
        url: String,
    },

    /// A download failed or its content is not what the registry promises.
    #[error("{url}: {reason}")]
    Download {
        /// The address.
        url: String,
        /// What was found and what was expected.
        reason: String,
    },

    /// No file where one is needed.
    #[error("{}: {reason}", path.display())]
    Missing {
        /// The path that was looked for.
        path: PathBuf,
        /// Why it is needed.
        reason: String,
    },
}

/// A value from a file as messages show it: its first 80 characters, and an ellipsis where it is longer.
pub fn shortened(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(80) {
        None => Cow::Borrowed(text),
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
    }
}

/// What a TOML reader has to say, in one line. For an unknown key it lists the known ones: the nearest of
/// them is suggested.
pub fn toml_reason(error: &toml::de::Error) -> String {
    let line = error.message().trim().replace('\n', "; ");
    if !line.starts_with("unknown ") {
        return line;
    }
    let mut words = line.split('`').skip(1).step_by(2);
    let found = words.next().unwrap_or_default();
    match nearest(found, words) {
        Some(near) => format!("{line}; did you mean `{near}`?"),
        None => line,
    }
}

impl Error {
    /// One word per kind of error about a recording or a request, for programs: `too-large`, `limit`,
    /// `not-audio`, `codec`, `damaged`, `bad-parameter`; `internal` for everything else.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Limit { what: "size", .. } => "too-large",
            Self::Limit { .. } | Self::ClipTooLong { .. } => "limit",
            Self::NotAudio { .. } => "not-audio",
            Self::UnsupportedCodec { .. } => "codec",
            Self::Decode { .. }
            | Self::Truncated { .. }
            | Self::ClipTooShort { .. }
            | Self::Sample { .. } => "damaged",
            Self::Config { .. } | Self::UnknownClass { .. } => "bad-parameter",
            _ => "internal",
        }
    }

    /// What TOML text has wrong, with its line; `name` is what messages call the text.
    pub fn toml(name: &str, text: &str, error: &toml::de::Error) -> Self {
        let before = error.span().and_then(|span| text.get(..span.start));
        Self::Line {
            name: name.to_owned(),
            line: 1 + before.map_or(0, |before| before.matches('\n').count()),
            reason: toml_reason(error),
        }
    }

    /// Advice to print on a line of its own, where there is some.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownClass {
                suggestion: Some(name),
                ..
            }
            | Self::UnknownModel {
                suggestion: Some(name),
                ..
            }
            | Self::UnknownLabel {
                suggestion: Some(name),
                ..
            } => Some(format!("did you mean `{name}`?")),
            Self::NotABundle { name } => Some(format!(
                "describe its input, classes and segments in a TOML file, then \
                 `earmark bundle wrap {name} --config wrap.toml -o tagger.onnx`"
            )),
            Self::NeedsVocabulary { .. } => Some(
                "name the classes: `--vocabulary CSV`, one class per row in the order of the outputs"
                    .to_owned(),
            ),
            Self::NotPulled { name, .. } => Some(format!("fetch it: `earmark bundle pull {name}`")),
            Self::NoChecksum { name, .. } => Some(format!(
                "if you know the file's hash, `earmark bundle pull {name} --sha256 HEX`"
            )),
            Self::BundleVersion { .. } => Some("update earmark to read this bundle".to_owned()),
            _ => None,
        }
    }
}
