//! `cargo xtask browser`: the page in a real browser.
//!
//! Needs Node.js and Chromium (Debian: `apt-get install nodejs npm chromium`; another one is named by
//! `CHROMIUM`). Where one of them is missing the tests are skipped, which is said.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::tools;

/// Builds the program and its test model, installs what the tests need, and runs them.
pub(crate) fn run() -> Result<()> {
    let folder = tools::root().join("crates/earmark-server/browser-tests");
    if Command::new("npm").arg("--version").output().is_err() {
        eprintln!("SKIPPED: the browser tests need Node.js, which is not installed");
        return Ok(());
    }
    let model = tools::root().join("target/browser-tests.onnx");
    let mut make = Command::new(env!("CARGO"));
    make.args([
        "test",
        "--quiet",
        "--package",
        "earmark-cli",
        "--test",
        "serve_api",
    ])
    .args(["--", "--ignored", "writes_the_bundle_of_the_browser_tests"])
    .env("EARMARK_TONES", &model);
    step(make, tools::root())?;
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--package", "earmark-cli"]);
    step(build, tools::root())?;
    let mut install = Command::new("npm");
    install
        .args(["ci", "--no-audit", "--no-fund"])
        // Debian's own Chromium is used.
        .env("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1");
    step(install, &folder)?;
    let mut test = Command::new("npm");
    test.arg("test").env("EARMARK_MODEL", &model);
    step(test, &folder)
}

fn step(mut command: Command, folder: &Path) -> Result<()> {
    let status = command
        .current_dir(folder)
        .status()
        .with_context(|| format!("{:?} does not start", command.get_program()))?;
    if !status.success() {
        bail!("{command:?} ended with {status}");
    }
    Ok(())
}
