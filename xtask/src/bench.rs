//! `cargo xtask bench`: runs the benchmarks and keeps their figures with the machine and the date.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::tools;

/// Runs every benchmark of the library and writes what it prints to `target/bench` as well.
pub(crate) fn run() -> Result<()> {
    let folder = tools::root().join("target/bench");
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let date = line_of("date", &["+%Y-%m-%d"]);
    let revision = line_of("git", &["rev-parse", "--short", "HEAD"]);
    let path = folder.join(format!("{date}-{revision}.txt"));
    let mut report = std::fs::File::create(&path).with_context(|| path.display().to_string())?;
    writeln!(
        report,
        "date      {date}\nrevision  {revision}\nprocessor {}",
        processor()
    )?;

    let mut bench = Command::new(env!("CARGO"))
        .args(["bench", "--package", "earmark", "--locked"])
        .current_dir(tools::root())
        .stdout(Stdio::piped())
        .spawn()
        .context("cargo does not start")?;
    let output = bench
        .stdout
        .take()
        .context("the benchmark's output is not piped")?;
    for line in BufReader::new(output).lines() {
        let line = line?;
        println!("{line}");
        writeln!(report, "{line}")?;
    }
    let status = bench.wait()?;
    if !status.success() {
        bail!("cargo bench ended with {status}");
    }
    eprintln!("figures: {}", path.display());
    Ok(())
}

fn processor() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let model = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = model
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("unknown", |rest| rest.trim_start_matches([' ', '\t', ':']));
    format!("{model}, {cores} cores")
}

/// The first line that a program prints, or "unknown".
fn line_of(program: &str, args: &[&str]) -> String {
    Command::new(program)
        .args(args)
        .output()
        .ok()
        .filter(|output| output.status.success())
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .map_or_else(|| "unknown".to_owned(), |text| text.trim().to_owned())
}
