//! [`AudioStream`]: the one way from a source to blocks of samples at the wished rate.

use std::sync::Arc;

use super::container::{self, Container};
use super::mix::Mixer;
use super::options::{Channels, Limits, OpenOptions, Truncated};
use super::planes::Planes;
use super::resample::Resampler;
use super::source::{ByteReader, Source, read_error};
use super::{RecordingMeta, Waveform, packets, riff};
use crate::features::MAX_SAMPLE;
use crate::{Error, Result};

/// What is known about a recording before it is decoded.
#[derive(Debug, Clone, PartialEq)]
pub struct AudioInfo {
    /// The file format.
    pub container: Container,
    /// The codec's name, for people.
    pub codec: String,
    /// The source's sample rate in Hz.
    pub sample_rate: u32,
    /// The source's number of channels.
    pub n_channels: usize,
    /// The length in seconds that the header states or that follows from the size; a hint, since
    /// headers lie and streams do not know.
    pub duration_secs: Option<f64>,
    /// What the header says about the recording.
    pub metadata: RecordingMeta,
}

/// A decoder of one container.
pub(super) trait Decoder: Send + Sync {
    /// Replaces the content of `planes` by the next samples; `false` at the end. An empty block is
    /// not the end.
    fn decode(&mut self, planes: &mut Planes) -> Result<bool>;
}

/// What opening a container gives.
pub(super) struct Opened {
    pub(super) decoder: Box<dyn Decoder>,
    pub(super) info: AudioInfo,
    /// Channels that are known to carry low-frequency effects.
    pub(super) lfe: Vec<usize>,
}

/// Samples that follow the ones of the block before.
#[derive(Debug, Clone, Copy)]
pub struct AudioBlock<'a> {
    channels: &'a [Vec<f32>],
}

impl<'a> AudioBlock<'a> {
    /// The number of channels: 1 with [`Channels::Mix`].
    pub fn n_channels(&self) -> usize {
        self.channels.len()
    }

    /// The number of samples per channel, at least 1.
    pub fn n_samples(&self) -> usize {
        self.channels.first().map_or(0, Vec::len)
    }

    /// The samples of one channel.
    ///
    /// # Panics
    /// If there is no such channel.
    pub fn channel(&self, channel: usize) -> &'a [f32] {
        &self.channels[channel]
    }

    /// The samples of the first channel, which is the only one with [`Channels::Mix`].
    pub fn mono(&self) -> &'a [f32] {
        self.channel(0)
    }
}

/// A recording that is decoded, mixed and resampled block by block.
pub struct AudioStream {
    name: Arc<str>,
    info: AudioInfo,
    decoder: Box<dyn Decoder>,
    limits: Limits,
    truncated: Truncated,
    mixer: Option<Mixer>,
    resampler: Option<Resampler>,
    sample_rate: u32,
    /// Source samples per channel so far.
    n_decoded: u64,
    decoded: Planes,
    mixed: Planes,
    resampled: Planes,
    done: bool,
    warning: Option<String>,
}

impl std::fmt::Debug for AudioStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AudioStream")
            .field("name", &self.name)
            .field("info", &self.info)
            .field("sample_rate", &self.sample_rate)
            .finish_non_exhaustive()
    }
}

/// How many of the first bytes decide what a file is.
const N_HEAD: usize = 64 * 1024;

/// How many of them decide every case but MPEG audio behind leading junk.
const N_SHORT_HEAD: usize = 4 * 1024;

impl AudioStream {
    /// Opens a recording and reads its header.
    ///
    /// # Errors
    /// * [`Error::Io`] if the source cannot be read;
    /// * [`Error::NotAudio`] if its content is of no known container;
    /// * [`Error::UnsupportedCodec`] if the container holds something that is not read;
    /// * [`Error::Limit`] if the header already passes a limit (a sample rate of 0 Hz does);
    /// * [`Error::Truncated`] if a WAV header promises more than the file has;
    /// * [`Error::Decode`] if the header is damaged.
    pub fn open(source: impl Into<Source>, options: &OpenOptions) -> Result<Self> {
        let source = source.into();
        let name: Arc<str> = source.name().into();
        let mut reader = ByteReader::open(source, &options.limits)?;
        let mut peek = |n| {
            reader
                .peek(n)
                .map_err(|error| read_error(&name, &reader.watch(), &options.limits, &error))
        };
        // A live stream takes seconds to send all of the head, and the first bytes mostly do.
        let mut head = peek(N_SHORT_HEAD)?;
        let mut container = container::looks_like_audio(&head);
        if container.is_none() {
            head = peek(N_HEAD)?;
            container = container::looks_like_audio(&head);
        }
        let Some(container) = container else {
            return Err(Error::NotAudio {
                name: name.to_string(),
                found: container::describe(&head),
            });
        };
        let opened = match container {
            Container::Wav | Container::Rf64 | Container::Wave64 => {
                riff::open(&name, reader, container, options)?
            }
            _ => packets::open(&name, reader, container, options)?,
        };
        Self::new(name, opened, options)
    }

    fn new(name: Arc<str>, opened: Opened, options: &OpenOptions) -> Result<Self> {
        let Opened { decoder, info, lfe } = opened;
        check_header(&name, &info, &options.limits)?;
        let mixer = match options.channels {
            Channels::Mix => Some(Mixer::new(info.n_channels, &lfe)),
            Channels::Each => None,
        };
        let n_out = if mixer.is_some() { 1 } else { info.n_channels };
        let sample_rate = options.sample_rate.unwrap_or(info.sample_rate);
        let resampler = match sample_rate == info.sample_rate {
            true => None,
            false => Some(Resampler::new(info.sample_rate, sample_rate, n_out)?),
        };
        Ok(Self {
            name,
            decoder,
            limits: options.limits,
            truncated: options.truncated,
            mixer,
            resampler,
            sample_rate,
            n_decoded: 0,
            decoded: Planes::new(info.n_channels),
            mixed: Planes::new(1),
            resampled: Planes::new(n_out),
            done: false,
            warning: None,
            info,
        })
    }

    /// The name used in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the header says.
    pub fn info(&self) -> &AudioInfo {
        &self.info
    }

    /// The output's sample rate in Hz.
    pub fn sample_rate(&self) -> u32 {
        self.sample_rate
    }

    /// The output's number of channels.
    pub fn n_channels(&self) -> usize {
        self.resampled.channels.len()
    }

    /// What is missing from a recording that was cut short and accepted; known at the end only.
    pub fn warning(&self) -> Option<&str> {
        self.warning.as_deref()
    }

    /// The next samples, or `None` at the end. Blocks are never empty; their length is whatever
    /// the decoder finds convenient, from some hundred samples to some ten thousand.
    ///
    /// The blocks together are `round(n · output rate / source rate)` samples per channel.
    ///
    /// # Errors
    /// * [`Error::Truncated`] with the second where the recording breaks off;
    /// * [`Error::Decode`] for damage and for samples that are NaN or infinite, with the second;
    /// * [`Error::Limit`] when a limit is passed, [`Error::Io`] when reading fails.
    ///
    /// After an error the stream has ended.
    pub fn next_block(&mut self) -> Result<Option<AudioBlock<'_>>> {
        while !self.done {
            if self.advance().inspect_err(|_| self.done = true)? {
                let channels = &self.output().channels[..];
                return Ok(Some(AudioBlock { channels }));
            }
        }
        Ok(None)
    }

    /// Decodes the rest into memory.
    ///
    /// # Errors
    /// Those of [`Self::next_block`], and [`Error::Shape`] for a stream that was opened with
    /// [`Channels::Each`] and has several channels.
    pub fn read_to_end(mut self) -> Result<Waveform> {
        if self.n_channels() != 1 {
            return Err(Error::Shape {
                what: format!("{}: channels", self.name),
                found: self.n_channels().to_string(),
                expected: "1 for a waveform".to_owned(),
            });
        }
        let mut samples = Vec::new();
        while let Some(block) = self.next_block()? {
            samples.extend_from_slice(block.mono());
        }
        Ok(Waveform {
            samples,
            sample_rate: self.sample_rate,
        })
    }

    /// The buffer of the last stage.
    fn output(&self) -> &Planes {
        match (&self.resampler, &self.mixer) {
            (Some(_), _) => &self.resampled,
            (None, Some(_)) => &self.mixed,
            (None, None) => &self.decoded,
        }
    }

    /// Runs one block through all stages; `true` if that gave samples.
    fn advance(&mut self) -> Result<bool> {
        let more = match self.decoder.decode(&mut self.decoded) {
            Err(Error::Truncated {
                name,
                found_secs,
                reason,
            }) if self.truncated == Truncated::Accept => {
                let error = Error::Truncated {
                    name,
                    found_secs,
                    reason,
                };
                self.warning = Some(error.to_string());
                false
            }
            outcome => outcome?,
        };
        self.resampled.clear();
        if !more {
            self.end()?;
            return Ok(self.resampled.n_samples() > 0);
        }
        self.check_block()?;
        self.n_decoded += self.decoded.n_samples() as u64;
        if let Some(mixer) = &self.mixer {
            mixer.mix(&self.decoded, &mut self.mixed.channels[0]);
        }
        if let Some(resampler) = &mut self.resampler {
            let input = if self.mixer.is_some() {
                &self.mixed
            } else {
                &self.decoded
            };
            resampler.process(&input.channels, &mut self.resampled.channels);
        }
        Ok(self.output().n_samples() > 0)
    }

    /// Ends the stream: what the resampler still holds is the last block.
    fn end(&mut self) -> Result<()> {
        self.done = true;
        self.decoded.clear();
        self.mixed.clear();
        if self.n_decoded == 0 && self.warning.is_none() {
            return Err(Error::NoSamples {
                name: self.name.to_string(),
                what: format!("{} file", self.info.container),
            });
        }
        if let Some(resampler) = &mut self.resampler {
            resampler.finish(&mut self.resampled.channels);
        }
        Ok(())
    }

    fn check_block(&self) -> Result<()> {
        let rate = f64::from(self.info.sample_rate);
        if let Some((at, value)) = self.decoded.first_unusable() {
            let secs = (self.n_decoded + at as u64) as f64 / rate;
            let reason = match value.is_finite() {
                true => {
                    format!("sample at {secs:.6} s is {value:e}, expected at most {MAX_SAMPLE:e}")
                }
                false => format!(
                    "sample at {secs:.6} s is not finite (NaN or infinite), expected a number"
                ),
            };
            return Err(Error::Decode {
                name: self.name.to_string(),
                reason,
            });
        }
        let secs = (self.n_decoded + self.decoded.n_samples() as u64) as f64 / rate;
        if secs > self.limits.max_duration_secs {
            let limit = self.limits.max_duration_secs;
            return Err(Error::Limit {
                name: self.name.to_string(),
                what: "duration",
                found: format!("more than {limit} s"),
                limit: format!("{limit} s"),
            });
        }
        Ok(())
    }
}

/// Checks what the header states against the limits.
fn check_header(name: &str, info: &AudioInfo, limits: &Limits) -> Result<()> {
    let refuse = |what, found: String, limit: String| {
        Err(Error::Limit {
            name: name.to_owned(),
            what,
            found,
            limit,
        })
    };
    let (low, high) = (limits.min_sample_rate, limits.max_sample_rate);
    if !(low..=high).contains(&info.sample_rate) || info.sample_rate == 0 {
        let found = format!("{} Hz", info.sample_rate);
        return refuse("sample rate", found, format!("{low} to {high} Hz"));
    }
    if info.n_channels == 0 {
        return refuse(
            "number of channels",
            "0".to_owned(),
            "at least 1".to_owned(),
        );
    }
    if info.n_channels > limits.max_channels {
        let found = info.n_channels.to_string();
        return refuse("number of channels", found, limits.max_channels.to_string());
    }
    match info.duration_secs {
        Some(secs) if secs > limits.max_duration_secs => refuse(
            "duration",
            format!("{secs:.1} s"),
            format!("{} s", limits.max_duration_secs),
        ),
        _ => Ok(()),
    }
}
