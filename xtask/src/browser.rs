//! `cargo xtask browser`: the page in a real browser.
//!
//! Needs Node.js and Chromium (Debian: `apt-get install nodejs npm chromium`; another one is named by
//! `CHROMIUM`). Where one of them is missing the tests are skipped, which is said.

use std::process::Command;

use anyhow::Result;

use crate::{tools, web};

/// Builds the program and its test model, installs what the tests need, and runs them.
pub(crate) fn run() -> Result<()> {
    let folder = tools::root().join("crates/earmark-server/browser-tests");
    if Command::new("npm").arg("--version").output().is_err() {
        eprintln!("SKIPPED: the browser tests need Node.js, which is not installed");
        return Ok(());
    }
    if web::has_target() {
        web::run(&[])?;
    } else {
        eprintln!("SKIPPED: the tests of the private mode need `cargo xtask web`");
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
    tools::run(make, tools::root())?;
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--package", "earmark-cli"]);
    tools::run(build, tools::root())?;
    let mut install = Command::new("npm");
    install
        .args(["ci", "--no-audit", "--no-fund"])
        // Debian's own Chromium is used.
        .env("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1");
    tools::run(install, &folder)?;
    let mut test = Command::new("npm");
    test.arg("test").env("EARMARK_MODEL", &model);
    tools::run(test, &folder)
}
