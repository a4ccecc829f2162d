//! Where sound comes from: an argument in, one [`Source`] per connection out.

use std::fs::File;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::{Args, ValueEnum};
use earmark::audio::wav::{self, Coding};
use earmark::audio::{Limits, Source};
use ureq::Agent;

use crate::errors::Hinted;

/// Streams run for years, and nobody counts their bytes.
pub(super) const LIMITS: Limits = Limits {
    max_bytes: u64::MAX,
    max_duration_secs: f64::INFINITY,
    max_channels: 64,
    min_sample_rate: 1_000,
    max_sample_rate: 1_000_000,
};

/// The longest wait for a connection, and for the next bytes of one that is live.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
const STALL_TIMEOUT: Duration = Duration::from_secs(30);

/// What is listened to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// The computer's own microphone.
    Microphone,
    /// `-`.
    Stdin,
    /// An address.
    Url(String),
    /// A named pipe, which is opened again when its writer goes, or a file.
    Path(PathBuf),
}

impl FromStr for Input {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_url = ["http://", "https://"].iter().any(|scheme| {
            text.get(..scheme.len())
                .is_some_and(|s| s.eq_ignore_ascii_case(scheme))
        });
        Ok(match text {
            "microphone" => Self::Microphone,
            "-" => Self::Stdin,
            url if is_url => Self::Url(url.to_owned()),
            path => Self::Path(PathBuf::from(path)),
        })
    }
}

impl std::fmt::Display for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Microphone => f.write_str("microphone"),
            Self::Stdin => f.write_str("-"),
            Self::Url(url) => f.write_str(url),
            Self::Path(path) => path.display().fmt(f),
        }
    }
}

/// Numbers of a stream without a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum PcmFormat {
    /// Signed 16-bit integers.
    S16le,
    /// Signed 24-bit integers.
    S24le,
    /// Signed 32-bit integers.
    S32le,
    /// 32-bit floats.
    F32le,
}

/// What a stream without a header holds.
#[derive(Debug, Args)]
pub(super) struct PcmArgs {
    /// The stream has no header but is raw numbers of this kind, channels interleaved, as
    /// `ffmpeg -f s16le` writes them.
    #[arg(long, value_name = "FORMAT", value_enum, requires = "rate")]
    pcm: Option<PcmFormat>,

    /// The sample rate of raw numbers in Hz.
    #[arg(long, value_name = "HZ", requires = "pcm")]
    rate: Option<u32>,

    /// The number of channels of raw numbers.
    #[arg(long, value_name = "N", default_value_t = 1, requires = "pcm")]
    channels: u16,
}

/// Raw numbers, checked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pcm {
    coding: Coding,
    rate: u32,
    n_channels: u16,
}

impl PcmArgs {
    /// What raw numbers the stream holds, if it does.
    pub(super) fn coding(&self, input: &Input) -> anyhow::Result<Option<Pcm>> {
        let (Some(format), Some(rate)) = (self.pcm, self.rate) else {
            return Ok(None);
        };
        if *input == Input::Microphone {
            anyhow::bail!("--pcm is for streams; the microphone says itself what it gives");
        }
        if !(1_000..=1_000_000).contains(&rate) {
            anyhow::bail!("--rate is {rate} Hz, expected 1000 to 1000000 Hz");
        }
        if !(1..=64).contains(&self.channels) {
            anyhow::bail!("--channels is {}, expected 1 to 64", self.channels);
        }
        Ok(Some(Pcm {
            coding: match format {
                PcmFormat::S16le => Coding::I16,
                PcmFormat::S24le => Coding::I24,
                PcmFormat::S32le => Coding::I32,
                PcmFormat::F32le => Coding::F32,
            },
            rate,
            n_channels: self.channels,
        }))
    }
}

/// Why there is no sound.
pub(super) enum NoConnection {
    /// There will never be any.
    Over,
    /// Worth another attempt.
    NotNow(String),
    /// Not worth one.
    Refused(anyhow::Error),
}

impl Input {
    /// Refuses what can be known not to work before anything is heard.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        match self {
            #[cfg(not(feature = "listen"))]
            Self::Microphone => Err(Hinted::error(
                "this build cannot listen to a microphone",
                "build with `--features listen` (needs the ALSA headers on Linux), or pipe it: \
                 `ffmpeg -f alsa -i default -f wav - | earmark listen -`",
            )),
            Self::Path(path) if path.is_dir() => Err(Hinted::error(
                format!("{} is a folder", path.display()),
                "`earmark tag` hears folders",
            )),
            Self::Path(path) if !path.exists() => {
                anyhow::bail!("{}: no such file", path.display())
            }
            _ => Ok(()),
        }
    }

    /// Whether the sound comes when it is made, so that a broken connection is worth another.
    pub(super) fn is_live(&self) -> bool {
        match self {
            Self::Microphone | Self::Url(_) => true,
            Self::Stdin => false,
            Self::Path(path) => is_pipe(path),
        }
    }

    /// Opens the next connection.
    pub(super) fn connect(&self, stdin: &Stdin, pcm: Option<Pcm>) -> Result<Source, NoConnection> {
        let reader: Box<dyn Read + Send + Sync> = match self {
            #[cfg(feature = "listen")]
            Self::Microphone => Box::new(super::microphone::open().map_err(NoConnection::Refused)?),
            #[cfg(not(feature = "listen"))]
            Self::Microphone => return Err(NoConnection::Over),
            Self::Stdin if stdin.is_over() => return Err(NoConnection::Over),
            Self::Stdin => Box::new(stdin.clone()),
            Self::Url(url) => Box::new(get(url)?),
            Self::Path(path) => Box::new(
                File::open(path)
                    .map_err(|error| NoConnection::NotNow(crate::inputs::reason(&error)))?,
            ),
        };
        let reader: Box<dyn Read + Send + Sync> = match pcm {
            Some(pcm) => {
                let header = wav::endless_header(pcm.rate, pcm.n_channels, pcm.coding);
                Box::new(Cursor::new(header).chain(reader))
            }
            None => reader,
        };
        Ok(Source::Reader {
            name: self.to_string(),
            reader,
        })
    }
}

/// Standard input, over several decoders: what one leaves the next one gets.
#[derive(Clone, Debug, Default)]
pub(super) struct Stdin {
    is_over: Arc<AtomicBool>,
}

impl Stdin {
    /// Whether the writer has gone.
    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }
}

impl Read for Stdin {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = std::io::stdin().read(buffer)?;
        if n == 0 && !buffer.is_empty() {
            self.is_over.store(true, Ordering::Relaxed);
        }
        Ok(n)
    }
}

/// A response's body that never ends.
fn get(url: &str) -> Result<impl Read + Send + Sync + 'static, NoConnection> {
    let agent: Agent = Agent::config_builder()
        .timeout_connect(Some(CONNECT_TIMEOUT))
        .timeout_resolve(Some(CONNECT_TIMEOUT))
        .timeout_per_read(Some(STALL_TIMEOUT))
        .http_status_as_error(false)
        .user_agent(concat!("earmark/", env!("CARGO_PKG_VERSION")))
        .build()
        .into();
    let response = agent
        .get(url)
        .header("Accept-Encoding", "identity")
        .call()
        .map_err(|error| match error {
            ureq::Error::BadUri(_) => NoConnection::Refused(error.into()),
            error => NoConnection::NotNow(error.to_string()),
        })?;
    let status = response.status();
    match status.as_u16() {
        200..=299 => Ok(response.into_body().into_reader()),
        408 | 425 | 429 | 500..=599 => {
            Err(NoConnection::NotNow(format!("the server says {status}")))
        }
        _ => Err(NoConnection::Refused(anyhow::anyhow!(
            "{url}: the server says {status}, expected a stream"
        ))),
    }
}

#[cfg(unix)]
fn is_pipe(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt as _;
    std::fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_fifo())
}

#[cfg(not(unix))]
fn is_pipe(_: &Path) -> bool {
    false
}
