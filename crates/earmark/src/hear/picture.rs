//! What a page draws: samples in, columns of a mel spectrogram and of the waveform out.
//!
//! The spectrogram comes from the library's front end: 96 Slaney mel bands without area normalisation
//! of a power spectrum whose sine of full scale has -6 dB, 100 frames a second. Several frames make a
//! column when the recording is long, which keeps the loudest. A byte stands for a level: 0 is -95 dB
//! or less, 255 is -15 dB or more.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use crate::audio::{AudioStream, Limits, OpenOptions, Source};
use crate::features::{
    BinValue, ClipConfig, DecibelConfig, EmptyBands, FeatureStream, Features, FrequencyAxis,
    FrontEnd, FrontEndConfig, Loudness, MelConfig, MelNorm, Representation, SpectrogramConfig,
    StftConfig, StftScaling,
};
use crate::{Error, Result};

const N_BANDS: usize = 96;
const FRAMES_PER_SEC: u32 = 100;
const LOWEST_DB: f32 = -95.0;
const HIGHEST_DB: f32 = -15.0;

/// Columns of a picture unless another number is asked for.
pub const DEFAULT_COLUMNS: usize = 2_000;

/// The largest number of columns of a picture.
const MAX_COLUMNS: usize = 16_384;

/// Whether a picture may have so many columns.
///
/// # Errors
/// [`Error::Config`] if it may not.
pub fn check_columns(n: usize) -> Result<()> {
    if (1..=MAX_COLUMNS).contains(&n) {
        return Ok(());
    }
    Err(Error::Config {
        key: "the number of columns".to_owned(),
        found: n.to_string(),
        expected: format!("must be from 1 to {MAX_COLUMNS}"),
    })
}

/// The rate at which recordings are drawn that no model hears, in Hz.
const PICTURE_RATE: u32 = 32_000;

/// Consecutive columns.
#[derive(Debug, Clone, Serialize)]
pub struct Picture {
    /// The number of the first column.
    pub first_column: u64,
    /// The number of columns.
    pub n_columns: usize,
    /// Seconds from one column to the next.
    pub column_secs: f64,
    /// Bands per column.
    pub n_bands: usize,
    /// The highest frequency in Hz; the bands are equally spaced on the Slaney mel scale below it.
    pub highest_hz: f64,
    /// `[column, band]`, a byte each, lowest band first, in base64.
    pub levels: String,
    /// `[column, 2]`: the lowest and the highest sample, a signed byte each, in base64.
    pub peaks: String,
}

/// Draws one recording, block by block.
#[derive(Debug)]
pub struct Painter {
    stream: Option<FeatureStream>,
    frames_per_column: usize,
    hop_length: usize,
    sample_rate: u32,
    n_painted: u64,
    column: Vec<f32>,
    n_frames: usize,
    levels: Vec<u8>,
    range: [f32; 2],
    n_samples: usize,
    peaks: Vec<u8>,
}

impl Painter {
    /// A painter of sound at `sample_rate` Hz, with about `max_columns` columns if the recording is
    /// as long as it says.
    ///
    /// # Errors
    /// [`Error::Config`] for a rate at which nothing can be drawn.
    pub fn new(sample_rate: u32, duration_secs: Option<f64>, max_columns: usize) -> Result<Self> {
        let hop_length = (sample_rate / FRAMES_PER_SEC).max(1) as usize;
        let front_end = FrontEnd::new(&front_end(sample_rate, hop_length))?;
        // Of a stream without an end, ten columns a second are drawn.
        let n_frames = duration_secs.map_or(10.0 * max_columns as f64, |secs| {
            secs * f64::from(FRAMES_PER_SEC)
        });
        Ok(Self {
            stream: Some(front_end.stream()?),
            frames_per_column: ((n_frames / max_columns as f64).ceil() as usize).max(1),
            hop_length,
            sample_rate,
            n_painted: 0,
            column: vec![f32::MIN; N_BANDS],
            n_frames: 0,
            levels: Vec::new(),
            range: [0.0; 2],
            n_samples: 0,
            peaks: Vec::new(),
        })
    }

    /// A painter of sound as it happens: 25 columns a second.
    ///
    /// # Errors
    /// As for [`Painter::new`].
    pub fn live(sample_rate: u32) -> Result<Self> {
        let one_second = 25;
        Self::new(sample_rate, Some(1.0), one_second)
    }

    /// Takes the next samples.
    ///
    /// # Errors
    /// [`Error::Sample`] for samples that are not finite.
    pub fn push(&mut self, samples: &[f32]) -> Result<()> {
        if let Some(stream) = &mut self.stream {
            let features = stream.push(samples)?;
            self.paint(&features);
        }
        let per_column = self.frames_per_column * self.hop_length;
        let mut rest = samples;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(per_column - self.n_samples));
            for &sample in now {
                self.range = [self.range[0].min(sample), self.range[1].max(sample)];
            }
            self.n_samples += now.len();
            if self.n_samples == per_column {
                self.end_peaks();
            }
            rest = later;
        }
        Ok(())
    }

    /// The columns that are complete since the last call; `None` without any.
    pub fn take(&mut self) -> Option<Picture> {
        let n_columns = (self.levels.len() / N_BANDS).min(self.peaks.len() / 2);
        if n_columns == 0 {
            return None;
        }
        let levels: Vec<u8> = self.levels.drain(..n_columns * N_BANDS).collect();
        let peaks: Vec<u8> = self.peaks.drain(..n_columns * 2).collect();
        let first_column = self.n_painted;
        self.n_painted += n_columns as u64;
        Some(Picture {
            first_column,
            n_columns,
            column_secs: (self.frames_per_column * self.hop_length) as f64
                / f64::from(self.sample_rate),
            n_bands: N_BANDS,
            highest_hz: f64::from(self.sample_rate) / 2.0,
            levels: STANDARD.encode(levels),
            peaks: STANDARD.encode(peaks),
        })
    }

    /// The last columns.
    pub fn finish(&mut self) -> Option<Picture> {
        let last = self.stream.take().and_then(|stream| stream.finish().ok());
        if let Some(features) = last {
            self.paint(&features);
        }
        if self.n_frames > 0 {
            self.end_column();
        }
        if self.n_samples > 0 {
            self.end_peaks();
        }
        self.take()
    }

    fn paint(&mut self, features: &Features) {
        for frame in 0..features.n_frames {
            for (band, loudest) in self.column.iter_mut().enumerate() {
                *loudest = loudest.max(features.row(0, band)[frame]);
            }
            self.n_frames += 1;
            if self.n_frames == self.frames_per_column {
                self.end_column();
            }
        }
    }

    fn end_column(&mut self) {
        let span = HIGHEST_DB - LOWEST_DB;
        let level = |&db: &f32| ((db - LOWEST_DB) / span * 255.0).clamp(0.0, 255.0) as u8;
        self.levels.extend(self.column.iter().map(level));
        self.column.fill(f32::MIN);
        self.n_frames = 0;
    }

    fn end_peaks(&mut self) {
        let byte = |sample: f32| ((sample * 127.0).clamp(-127.0, 127.0) as i8).cast_unsigned();
        self.peaks.extend(self.range.map(byte));
        self.range = [0.0; 2];
        self.n_samples = 0;
    }
}

fn front_end(sample_rate: u32, hop_length: usize) -> FrontEndConfig {
    // 64 ms at 32 kHz, about the same elsewhere.
    let n_fft = (sample_rate as usize * 48 / 1000)
        .next_power_of_two()
        .max(64);
    let spectrogram = SpectrogramConfig {
        stft: StftConfig {
            scaling: StftScaling::WindowSum,
            ..StftConfig::new(n_fft, hop_length)
        },
        values: BinValue::Power,
        axis: FrequencyAxis::Mel(MelConfig {
            norm: MelNorm::None,
            empty_bands: EmptyBands::Keep,
            ..MelConfig::new(N_BANDS)
        }),
        loudness: Loudness::Decibel(DecibelConfig {
            top_db: None,
            ..DecibelConfig::power()
        }),
    };
    FrontEndConfig {
        sample_rate,
        clip: ClipConfig::default(),
        channels: vec![Representation::Spectrogram(spectrogram).into()],
    }
}

/// Draws a whole recording.
///
/// # Errors
/// What decoding says of it, and `stop`'s error.
pub fn picture<E: From<Error>>(
    source: Source,
    limits: Limits,
    max_columns: usize,
    mut stop: impl FnMut() -> std::result::Result<(), E>,
) -> std::result::Result<(Option<f64>, Vec<Picture>), E> {
    let options = OpenOptions {
        sample_rate: Some(PICTURE_RATE),
        limits,
        ..OpenOptions::default()
    };
    let mut stream = AudioStream::open(source, &options)?;
    let duration_secs = stream.info().duration_secs;
    let mut painter = Painter::new(PICTURE_RATE, duration_secs, max_columns)?;
    let mut pictures = Vec::new();
    while let Some(block) = stream.next_block()? {
        stop()?;
        painter.push(block.mono())?;
    }
    pictures.extend(painter.finish());
    Ok((duration_secs, pictures))
}
