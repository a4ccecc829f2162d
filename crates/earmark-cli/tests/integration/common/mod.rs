//! What the tests of the program share: a model of a few kilobytes whose answers can be foretold,
//! sounds made by code, and the program itself.

pub(crate) mod server;

use std::f64::consts::TAU;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use earmark::bundle::{Bundle, Metadata, Origin, Provenance, SegmentConfig, onnx};
use earmark::dataset::{Class, Vocabulary};
use earmark::features::FrontEndConfig;
use earmark::model::block::{
    Axis, Block, Conv, Linear, Output as Tap, OutputKind, Reduce, ReduceKind,
};
use earmark::model::{Architecture, Input, Tensor, Weights};

/// A folder for one test.
pub(crate) struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    /// An empty folder with the model `tones.onnx` in it.
    pub(crate) fn new() -> Self {
        let place = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        tones().save(&place.path("tones.onnx")).unwrap();
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file, and the folders above it.
    pub(crate) fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    pub(crate) fn exists(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    /// `earmark COMMAND --model tones.onnx --runtime rust`, run in this folder.
    pub(crate) fn earmark(&self, command: &str) -> Command {
        let mut earmark = self.bare();
        earmark.args([command, "--model", "tones.onnx", "--runtime", "rust"]);
        earmark
    }

    /// `earmark`, run in this folder.
    pub(crate) fn bare(&self) -> Command {
        let mut earmark = Command::new(env!("CARGO_BIN_EXE_earmark"));
        earmark
            .current_dir(self.folder.path())
            .env_remove("RUST_BACKTRACE");
        earmark
    }

    /// Runs `earmark tag` with arguments divided by white space and shows what comes of it.
    pub(crate) fn tag(&self, arguments: &str) -> String {
        self.screen(self.earmark("tag").args(arguments.split_whitespace()))
    }

    /// Exit code, standard output and standard error of a command, as a person sees them.
    pub(crate) fn screen(&self, command: &mut Command) -> String {
        self.show(&command.output().unwrap())
    }

    pub(crate) fn show(&self, output: &Output) -> String {
        let text = format!(
            "exit code: {}\n--- stdout\n{}--- stderr\n{}",
            output.status.code().unwrap_or(-1),
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        text.replace(&self.folder.path().display().to_string(), "[PLACE]")
    }
}

/// A stretch of sound: seconds and the frequency of a tone in Hz, 0 for silence.
pub(crate) type Stretch = (f64, f64);

/// Low (200 Hz), middle (2 kHz) and high (9 kHz) tones, as the model tells them apart.
pub(crate) const LOW: f64 = 200.0;
/// See [`LOW`].
pub(crate) const MIDDLE: f64 = 2_000.0;
/// See [`LOW`].
pub(crate) const HIGH: f64 = 9_000.0;

/// A 16-bit WAV file: one list of stretches per channel.
pub(crate) fn wav(sample_rate: u32, channels: &[&[Stretch]]) -> Vec<u8> {
    wav_with(sample_rate, channels, &[])
}

/// A WAV file with more chunks before the samples.
pub(crate) fn wav_with(sample_rate: u32, channels: &[&[Stretch]], chunks: &[u8]) -> Vec<u8> {
    let planes: Vec<Vec<i16>> = channels
        .iter()
        .map(|stretches| tone(sample_rate, stretches))
        .collect();
    wav_of(sample_rate, &planes, chunks)
}

/// A WAV file of these samples, one list per channel.
pub(crate) fn wav_of(sample_rate: u32, planes: &[Vec<i16>], chunks: &[u8]) -> Vec<u8> {
    let n_channels = planes.len() as u16;
    let mut data = Vec::new();
    for index in 0..planes[0].len() {
        for plane in planes {
            data.extend(plane[index].to_le_bytes());
        }
    }
    let mut wav = b"RIFF".to_vec();
    wav.extend((36 + chunks.len() as u32 + data.len() as u32).to_le_bytes());
    wav.extend(b"WAVEfmt \x10\0\0\0\x01\0");
    wav.extend(n_channels.to_le_bytes());
    wav.extend(sample_rate.to_le_bytes());
    wav.extend((sample_rate * 2 * u32::from(n_channels)).to_le_bytes());
    wav.extend((2 * n_channels).to_le_bytes());
    wav.extend(16_u16.to_le_bytes());
    wav.extend(chunks);
    wav.extend(b"data");
    wav.extend((data.len() as u32).to_le_bytes());
    wav.extend(data);
    wav
}

/// A mono WAV file at the model's rate.
pub(crate) fn mono(stretches: &[Stretch]) -> Vec<u8> {
    wav(32_000, &[stretches])
}

fn tone(sample_rate: u32, stretches: &[Stretch]) -> Vec<i16> {
    let mut samples = Vec::new();
    for &(secs, hz) in stretches {
        let n_samples = (secs * f64::from(sample_rate)).round() as usize;
        samples.extend((0..n_samples).map(|index| {
            let phase = TAU * hz * index as f64 / f64::from(sample_rate);
            (phase.sin() * 8_000.0) as i16
        }));
    }
    samples
}

/// A `bext` chunk with a date and a time.
pub(crate) fn bext(date: &str, time: &str) -> Vec<u8> {
    let mut chunk = b"bext".to_vec();
    chunk.extend(602_u32.to_le_bytes());
    let mut body = vec![0; 602];
    body[320..330].copy_from_slice(date.as_bytes());
    body[330..338].copy_from_slice(time.as_bytes());
    chunk.extend(body);
    chunk
}

/// The front end of EfficientAT and a network that compares three groups of mel bands: four classes,
/// the scores of three of which follow a tone's pitch, and an embedding of three numbers. Segments of
/// 2 s.
pub(crate) fn tones() -> Bundle {
    let groups = [0..40, 40..90, 90..128_usize];
    let mut bands = Vec::new();
    for group in &groups {
        let n_inside = group.len() as f32;
        for band in 0..128 {
            bands.push(match group.contains(&band) {
                true => 1.0 / n_inside,
                false => -1.0 / (128.0 - n_inside),
            });
        }
    }
    let conv = Conv {
        name: "bands".to_owned(),
        in_channels: 1,
        out_channels: 3,
        kernel: [128, 1],
        stride: [1, 1],
        padding: [0, 0],
        dilation: [1, 1],
        groups: 1,
        bias: false,
    };
    let linear = Linear {
        name: "classes".to_owned(),
        in_features: 3,
        out_features: 4,
        bias: true,
    };
    let architecture = Architecture {
        name: "tones".to_owned(),
        input: Input {
            n_channels: 1,
            n_bands: 128,
            n_frames: None,
        },
        n_classes: 4,
        blocks: vec![
            Block::Conv(conv),
            Block::Reduce(Reduce {
                kind: ReduceKind::Mean,
                axes: vec![Axis::Band, Axis::Frame],
            }),
            Block::Output(Tap {
                kind: OutputKind::Embedding,
                blocks: vec![],
            }),
            Block::Linear(linear),
        ],
    };
    let classes = [
        [6.0, 0.0, 0.0],
        [0.0, 6.0, 0.0],
        [0.0, 0.0, 6.0],
        [0.0, 0.0, 0.0],
    ];
    let mut weights = Weights::new();
    let tensor = |shape: &[usize], data: Vec<f32>| Tensor::new(shape.to_vec(), data).unwrap();
    weights.insert("bands.weight", tensor(&[3, 1, 128, 1], bands));
    weights.insert("classes.weight", tensor(&[4, 3], classes.concat()));
    weights.insert("classes.bias", tensor(&[4], vec![-2.0, -2.0, -2.0, -4.0]));
    let graph = onnx::encode(&onnx::build(&architecture, &weights).unwrap());
    Bundle::new("tones.onnx", &graph, metadata(architecture)).unwrap()
}

fn metadata(architecture: Architecture) -> Metadata {
    let vocabulary = Vocabulary::new(vec![
        Class::with_id("Low", "/t/low"),
        Class::with_id("Middle", "/t/middle"),
        Class::with_id("High, shrill", "/t/high"),
        Class::new("Never"),
    ]);
    let segment = SegmentConfig {
        length_secs: 2.0,
        hop_secs: 2.0,
        min_secs: 0.5,
        ..SegmentConfig::efficient_at()
    };
    let mut metadata = Metadata::new(
        "tones",
        FrontEndConfig::efficient_at(),
        vocabulary.unwrap(),
        segment,
        Provenance::new(Origin::Trained),
    );
    metadata.architecture = Some(architecture);
    metadata
}

/// Lines of JSON, parsed.
pub(crate) fn json_lines(text: &str) -> Vec<serde_json::Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The class with the highest score of a line of JSON.
pub(crate) fn best(line: &serde_json::Value) -> &str {
    line["tags"][0]["class"].as_str().unwrap()
}

/// Whether two files have the same bytes.
pub(crate) fn same(a: &Path, b: &Path) -> bool {
    std::fs::read(a).unwrap() == std::fs::read(b).unwrap()
}
