//! What a server is told at its start.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use earmark::audio::Limits;

/// The settings of a [`Server`](crate::Server). [`Config::default`] suits one machine with people one
/// knows; every bound is a guard, not a promise.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to listen. Default: 127.0.0.1, port 8080; port 0 takes a free one.
    pub address: SocketAddr,
    /// Bounds on recordings, checked while they are decoded. Default: 1 GiB, 6 hours, 16 channels,
    /// 1 kHz to 768 kHz.
    pub limits: Limits,
    /// How many recordings are computed at the same time. Default: one per core; more only make each
    /// other slower.
    pub workers: NonZeroUsize,
    /// How many requests may wait for a worker; others are refused with 503. Default: 256.
    pub queue: usize,
    /// The longest time from a complete upload to its answer. Default: 60 s.
    pub deadline: Duration,
    /// The longest life of a job or a live session. Default: 6 hours.
    pub session_deadline: Duration,
    /// The longest pause within an upload, a header or a live session. Default: 10 s.
    pub idle: Duration,
    /// How many connections are open at the same time; others wait. Default: 512.
    pub connections: usize,
    /// How many live sessions there are at the same time. Default: 8.
    pub live: usize,
    /// How long running requests may take to end after SIGTERM. Default: 10 s.
    pub drain: Duration,
    /// The key that the API asks for, if any.
    pub api_key: Option<String>,
    /// Other origins (such as `https://example.org`) whose pages may use the API. Default: none.
    pub cors_origins: Vec<String>,
    /// Host names under which the server may be asked, besides those of its address. Where it listens
    /// on loopback only, any other is refused, so that a foreign page cannot reach it by a name of
    /// its own (DNS rebinding).
    pub hosts: Vec<String>,
    /// Where the private folder for uploads is made. Default: the system's.
    pub temp_dir: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            address: SocketAddr::from(([127, 0, 0, 1], 8080)),
            limits: Limits {
                max_bytes: 1 << 30,
                max_duration_secs: 6.0 * 3600.0,
                max_channels: 16,
                min_sample_rate: 1_000,
                max_sample_rate: 768_000,
            },
            workers: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            queue: 256,
            deadline: Duration::from_secs(60),
            session_deadline: Duration::from_secs(6 * 3600),
            idle: Duration::from_secs(10),
            connections: 512,
            live: 8,
            drain: Duration::from_secs(10),
            api_key: None,
            cors_origins: Vec::new(),
            hosts: Vec::new(),
            temp_dir: None,
        }
    }
}
