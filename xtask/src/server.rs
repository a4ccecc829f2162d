//! `cargo xtask bench server MODEL`: what a crowd costs the built server.
//!
//! A hundred clients upload clips of 5 s at the same time, each as soon as its last answer is there.
//! Prints answers by status, latencies, throughput beside that of `earmark tag` on the same files, peak
//! memory, and whether the server's own counters agree with what the clients counted.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::recordings::{high_water_kib, noise_wav};
use crate::tools;

const N_CLIENTS: usize = 100;
const N_CLIPS: usize = 1_000;
const CLIP_SECS: u32 = 5;

/// Deadline of the server, and the bound on its 99th percentile.
const DEADLINE_SECS: u32 = 10;

/// Runs the release build, or the program in `EARMARK`, with the bundle at `model`.
pub(crate) fn run(model: &Path) -> Result<()> {
    let model = model
        .canonicalize()
        .with_context(|| model.display().to_string())?;
    let program = program()?;
    let folder = tools::root().join("target/bench/crowd");
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let clips: Vec<PathBuf> = (0..10)
        .map(|index| folder.join(format!("{index}.wav")))
        .collect();
    for clip in &clips {
        noise_wav(clip, 32_000, CLIP_SECS)?;
    }
    let mut server = Server::start(&program, &model)?;
    let crowd = crowd(&server.address, &clips)?;
    let peak_mib = f64::from(server.peak_kib()) / 1024.0;
    let counted = server.counted()?;
    server.stop()?;
    let command_line = tag(&program, &model, &clips)?;
    std::fs::remove_dir_all(&folder)?;

    let n_good = crowd.by_status.get(&200).copied().unwrap_or(0);
    let per_sec = n_good as f64 / crowd.time.as_secs_f64();
    println!("{N_CLIENTS} clients, {N_CLIPS} clips of {CLIP_SECS} s");
    for (status, n) in &crowd.by_status {
        println!("answers with status {status:>11}  {n:>9}");
    }
    for (name, part) in [("median", 0.5), ("99th percentile", 0.99), ("longest", 1.0)] {
        println!("latency, {name:<21}  {:>7.2} s", crowd.latency(part));
    }
    println!("throughput                      {per_sec:>7.1} clips/s");
    println!("`earmark tag`, the same clips   {command_line:>7.1} clips/s");
    println!(
        "server's share of that          {:>7.0} %",
        100.0 * per_sec / command_line
    );
    println!("peak memory                     {peak_mib:>7.1} MiB");
    let agrees = counted == crowd.by_status;
    println!(
        "counters of /metrics            {}",
        if agrees { "agree" } else { "DIFFER" }
    );
    ensure!(
        agrees,
        "clients counted {:?}, the server {counted:?}",
        crowd.by_status
    );
    let others = crowd
        .by_status
        .keys()
        .any(|status| ![200, 503].contains(status));
    ensure!(!others, "answers other than 200 and 503");
    Ok(())
}

fn program() -> Result<PathBuf> {
    if let Some(program) = std::env::var_os("EARMARK") {
        return Ok(program.into());
    }
    tools::release_build("")
}

/// What the clients saw.
struct Crowd {
    by_status: BTreeMap<u16, usize>,
    /// Sorted.
    latencies: Vec<f64>,
    time: Duration,
}

impl Crowd {
    fn latency(&self, part: f64) -> f64 {
        let last = self.latencies.len().saturating_sub(1);
        let at = (last as f64 * part).round() as usize;
        self.latencies.get(at).copied().unwrap_or(0.0)
    }
}

fn crowd(address: &str, clips: &[PathBuf]) -> Result<Crowd> {
    let sounds: Vec<Vec<u8>> = clips.iter().map(std::fs::read).collect::<Result<_, _>>()?;
    let next = AtomicUsize::new(0);
    let seen = Mutex::new(Vec::new());
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..N_CLIENTS {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= N_CLIPS {
                        return;
                    }
                    let begun = Instant::now();
                    let status = upload(address, &sounds[index % sounds.len()]).unwrap_or(0);
                    let seen_now = (status, begun.elapsed().as_secs_f64());
                    if let Ok(mut seen) = seen.lock() {
                        seen.push(seen_now);
                    }
                }
            });
        }
    });
    let time = started.elapsed();
    let seen = seen.into_inner().unwrap_or_default();
    let mut by_status = BTreeMap::new();
    for (status, _) in &seen {
        *by_status.entry(*status).or_insert(0) += 1;
    }
    let mut latencies: Vec<f64> = seen.iter().map(|(_, secs)| *secs).collect();
    latencies.sort_by(f64::total_cmp);
    Ok(Crowd {
        by_status,
        latencies,
        time,
    })
}

/// Uploads a clip; gives the answer's status.
fn upload(address: &str, sound: &[u8]) -> Result<u16> {
    let head = format!(
        "POST /v1/tag HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        sound.len()
    );
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(head.as_bytes())?;
    // A full server answers before it has read everything.
    let _ = stream.write_all(sound);
    status(&exchange(stream)?)
}

fn exchange(mut stream: TcpStream) -> Result<String> {
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    if answer.is_empty() {
        read?;
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn status(answer: &str) -> Result<u16> {
    let status = answer.split(' ').nth(1).context("no status")?;
    Ok(status.parse()?)
}

struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(program: &Path, model: &Path) -> Result<Self> {
        let mut child = Command::new(program)
            .args(["serve", "--runtime", "rust", "--port", "0", "--model"])
            .arg(model)
            .args(["--deadline", &DEADLINE_SECS.to_string()])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| program.display().to_string())?;
        let mut line = String::new();
        let stdout = child.stdout.take().context("the output is not piped")?;
        BufReader::new(stdout).read_line(&mut line)?;
        let address = line.trim().strip_prefix("http://").context("no address")?;
        Ok(Self {
            address: address.to_owned(),
            child,
        })
    }

    fn peak_kib(&self) -> u32 {
        high_water_kib(Path::new(&format!("/proc/{}/status", self.child.id())))
    }

    /// Answers of `/v1/tag` by status, as the server counted them.
    fn counted(&self) -> Result<BTreeMap<u16, usize>> {
        let mut stream = TcpStream::connect(&self.address)?;
        let host = &self.address;
        write!(
            stream,
            "GET /metrics HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        )?;
        let answer = exchange(stream)?;
        let prefix = r#"earmark_requests_total{route="/v1/tag",status=""#;
        let lines = answer.lines().filter_map(|line| line.strip_prefix(prefix));
        lines
            .map(|line| {
                let (status, n) = line.split_once("\"} ").context("an unknown line")?;
                Ok((status.parse()?, n.trim().parse()?))
            })
            .collect()
    }

    fn stop(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

/// Clips per second of the command line.
fn tag(program: &Path, model: &Path, clips: &[PathBuf]) -> Result<f64> {
    let all = clips.iter().cycle().take(N_CLIPS);
    let started = Instant::now();
    let status = Command::new(program)
        .args([
            "tag",
            "--quiet",
            "--format",
            "json",
            "--runtime",
            "rust",
            "--model",
        ])
        .arg(model)
        .args(all)
        .stdout(Stdio::null())
        .status()?;
    ensure!(status.success(), "earmark tag ended with {status}");
    Ok(N_CLIPS as f64 / started.elapsed().as_secs_f64())
}
