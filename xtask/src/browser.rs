//! `cargo xtask browser`: the page in a real browser.
//!
//! Needs Node.js and Chromium (another one is named by `CHROMIUM`). What is missing is installed on
//! Debian and its like when run as root; elsewhere the tests are skipped, which is said.

use std::process::Command;

use anyhow::Result;

use crate::{tools, web};

/// What Chromium is called.
const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// Builds the program and its test model, installs what the tests need, and runs them.
pub(crate) fn run() -> Result<()> {
    let folder = tools::root().join("crates/earmark-server/browser-tests");
    install_missing();
    if !starts("npm") {
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

/// Installs Debian's packages of Node.js and Chromium where they are missing and can be installed. What
/// fails here shows when the tests are skipped.
fn install_missing() {
    let has_chromium = std::env::var_os("CHROMIUM").is_some() || BROWSERS.into_iter().any(starts);
    let packages: Vec<&str> = [("nodejs", starts("node")), ("npm", starts("npm"))]
        .into_iter()
        .chain([("chromium", has_chromium)])
        .filter_map(|(package, is_there)| (!is_there).then_some(package))
        .collect();
    if packages.is_empty() || !starts("apt-get") {
        return;
    }
    eprintln!("==> installing {}", packages.join(", "));
    for arguments in [
        vec!["update"],
        [&["install", "-y", "--no-install-recommends"][..], &packages].concat(),
    ] {
        let mut install = Command::new("apt-get");
        install
            .args(["-o", "DPkg::Lock::Timeout=60", "-qq"])
            .args(arguments);
        if let Err(error) = tools::run(install, tools::root()) {
            eprintln!("{error:#}");
            return;
        }
    }
}

/// Whether a program is there.
fn starts(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok()
}
