//! `cargo xtask bench recordings MODEL`: what a long recording costs the built program.
//!
//! Makes a day of 16 kHz sound as WAV and a 5 GiB RF64 file (both sparse: silence on disk takes no
//! room, and costs the program as much as sound), tags each segment by segment, and prints the peak
//! memory. Then tags an hour of noise with one worker and with two, in turns, and prints the ratio.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::tools;

/// Pairs of runs with one worker and with two.
const ROUNDS: usize = 5;

/// Runs both measurements with the release build and the bundle at `model`.
pub(crate) fn run(model: &Path) -> Result<()> {
    let model = model
        .canonicalize()
        .with_context(|| model.display().to_string())?;
    let program = tools::release_build("")?;
    let folder = tools::root().join("target/bench");
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;

    let day = folder.join("day.wav");
    sparse_wav(&day, 16_000, 24 * 3600)?;
    let huge = folder.join("huge.rf64");
    sparse_rf64(&huge, 16_000, 5 << 30)?;
    println!("recording                       peak memory      time");
    for (name, path) in [
        ("24 h, 16 kHz, WAV", &day),
        ("5 GiB, 46.6 h, 16 kHz, RF64", &huge),
    ] {
        let (peak_mib, time) = tag(&program, &model, path, 2)?;
        println!(
            "{name:<30}  {peak_mib:>7.1} MiB  {:>6.1} s",
            time.as_secs_f64()
        );
        std::fs::remove_file(path)?;
    }

    let hour = folder.join("hour.wav");
    noise_wav(&hour, 32_000, 3600)?;
    let mut times: [Vec<Duration>; 2] = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        for jobs in [1, 2] {
            times[jobs - 1].push(tag(&program, &model, &hour, jobs)?.1);
        }
    }
    std::fs::remove_file(&hour)?;
    let [one, two] = times.map(median);
    println!(
        "1 h of noise, median of {ROUNDS}: one worker {:.1} s, two {:.1} s, ratio {:.2}",
        one.as_secs_f64(),
        two.as_secs_f64(),
        one.as_secs_f64() / two.as_secs_f64()
    );
    Ok(())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// Tags one recording segment by segment; returns the peak memory in MiB and the time.
fn tag(program: &Path, model: &Path, recording: &Path, jobs: usize) -> Result<(f64, Duration)> {
    let started = Instant::now();
    let mut child = Command::new(program)
        .args([
            "tag",
            "--timeline",
            "--runtime",
            "rust",
            "--quiet",
            "--format",
            "csv",
        ])
        .args(["--jobs", &jobs.to_string(), "--model"])
        .arg(model)
        .arg(recording)
        .stdout(Stdio::null())
        .spawn()
        .with_context(|| program.display().to_string())?;
    let status_file = PathBuf::from(format!("/proc/{}/status", child.id()));
    let mut peak_kib = 0;
    let status = loop {
        peak_kib = peak_kib.max(high_water_kib(&status_file));
        match child.try_wait()? {
            Some(status) => break status,
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    if !status.success() {
        bail!("{}: earmark ended with {status}", recording.display());
    }
    Ok((f64::from(peak_kib) / 1024.0, started.elapsed()))
}

/// The kernel's record of a process' largest resident size, or 0 where there is none to read.
pub(crate) fn high_water_kib(status_file: &Path) -> u32 {
    let status = std::fs::read_to_string(status_file).unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok())
        .unwrap_or(0)
}

fn sparse_wav(path: &Path, sample_rate: u32, secs: u32) -> Result<()> {
    let n_bytes = sample_rate * secs * 2;
    let mut file = File::create(path).with_context(|| path.display().to_string())?;
    file.write_all(&wav_header(sample_rate, n_bytes))?;
    file.set_len(44 + u64::from(n_bytes))?;
    Ok(())
}

/// An RF64 file (EBU Tech 3306): sizes of 32 bits are all ones, the real ones stand in `ds64`.
fn sparse_rf64(path: &Path, sample_rate: u32, n_bytes: u64) -> Result<()> {
    let mut header = Vec::new();
    header.extend(b"RF64\xff\xff\xff\xffWAVEds64");
    header.extend(28_u32.to_le_bytes());
    header.extend((n_bytes + 72).to_le_bytes());
    header.extend(n_bytes.to_le_bytes());
    header.extend((n_bytes / 2).to_le_bytes());
    header.extend(0_u32.to_le_bytes());
    header.extend(&wav_header(sample_rate, 0)[12..36]);
    header.extend(b"data\xff\xff\xff\xff");
    let mut file = File::create(path).with_context(|| path.display().to_string())?;
    file.write_all(&header)?;
    file.set_len(header.len() as u64 + n_bytes)?;
    Ok(())
}

pub(crate) fn noise_wav(path: &Path, sample_rate: u32, secs: u32) -> Result<()> {
    let n_samples = sample_rate * secs;
    let mut file = BufWriter::new(File::create(path).with_context(|| path.display().to_string())?);
    file.write_all(&wav_header(sample_rate, n_samples * 2))?;
    let mut state = 1_u32;
    for _ in 0..n_samples {
        // Marsaglia's xorshift with 32 bits of state (2003): noise enough to tag.
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        file.write_all(&((state >> 19) as u16).wrapping_sub(4096).to_le_bytes())?;
    }
    file.flush()?;
    Ok(())
}

/// The 44 bytes before the samples of a mono WAV file with 16 bits.
fn wav_header(sample_rate: u32, n_bytes: u32) -> [u8; 44] {
    let mut header = [0; 44];
    header[..4].copy_from_slice(b"RIFF");
    header[4..8].copy_from_slice(&(n_bytes + 36).to_le_bytes());
    header[8..16].copy_from_slice(b"WAVEfmt ");
    header[16..20].copy_from_slice(&16_u32.to_le_bytes());
    header[20..24].copy_from_slice(&[1, 0, 1, 0]);
    header[24..28].copy_from_slice(&sample_rate.to_le_bytes());
    header[28..32].copy_from_slice(&(sample_rate * 2).to_le_bytes());
    header[32..36].copy_from_slice(&[2, 0, 16, 0]);
    header[36..40].copy_from_slice(b"data");
    header[40..44].copy_from_slice(&n_bytes.to_le_bytes());
    header
}
