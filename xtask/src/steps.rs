//! The steps of `check`, in the order in which they run: cheap ones first.

use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use crate::{tools, web};

/// The program with everything; the release build is the one without training.
const WITH_TRAINING: [&str; 2] = ["--features", "earmark-cli/train"];

/// Runs every step and stops at the first that fails.
pub(crate) fn check() -> Result<()> {
    let started = Instant::now();
    step("format", cargo(&["fmt", "--all", "--check"]))?;
    step("spelling", tools::typos()?)?;
    step("lints", {
        let mut clippy = cargo(&["clippy", "--workspace", "--all-targets", "--locked"]);
        clippy.args(WITH_TRAINING).args(["--", "-D", "warnings"]);
        clippy
    })?;
    if web::has_target() {
        let mut clippy = cargo(&["clippy", "--package", "earmark-web", "--locked"]);
        clippy.args(["--target", web::TARGET, "--", "-D", "warnings"]);
        step("lints of the page's WebAssembly", clippy)?;
    } else {
        eprintln!("SKIPPED: the toolchain has no target {}", web::TARGET);
    }
    step("docs", {
        let mut doc = cargo(&["doc", "--workspace", "--no-deps", "--locked"]);
        doc.env("RUSTDOCFLAGS", "-D warnings");
        doc
    })?;
    test()?;
    step("licences", {
        let mut deny = tools::cargo_deny()?;
        deny.args(["check", "licenses", "bans", "sources"]);
        deny
    })?;
    step("release build", cargo(&["build", "--release", "--locked"]))?;
    eprintln!("every check passed in {} s", started.elapsed().as_secs());
    Ok(())
}

/// Runs every test of the workspace, documentation examples included.
pub(crate) fn test() -> Result<()> {
    announce_shared_data();
    step("tests", {
        let mut test = cargo(&["test", "--workspace", "--locked", "--no-fail-fast"]);
        test.args(WITH_TRAINING);
        test
    })
}

/// Says whether the checks against reference data outside the repository can run.
fn announce_shared_data() {
    let shared = tools::root().join("../shared");
    if !shared.is_dir() {
        eprintln!(
            "SKIPPED: {} is not there; its reference checks do not run",
            shared.display()
        );
    }
}

/// Runs one command from the repository's root and says how long it took.
fn step(name: &str, mut command: Command) -> Result<()> {
    eprintln!("==> {name}");
    let started = Instant::now();
    let status = command
        .current_dir(tools::root())
        .status()
        .with_context(|| format!("{name}: {:?} does not start", command.get_program()))?;
    if !status.success() {
        bail!("{name}: {command:?} ended with {status}");
    }
    eprintln!("==> {name}: {} s", started.elapsed().as_secs());
    Ok(())
}

fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO"));
    command.args(args);
    command
}
