//! Finds the programs that `check` uses beside cargo, and installs them below `target/tools`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

/// A program from the package registry, pinned so that a check means the same everywhere.
struct Tool {
    package: &'static str,
    program: &'static str,
    version: &'static str,
}

const TYPOS: Tool = Tool {
    package: "typos-cli",
    program: "typos",
    version: "1.52.0",
};
const CARGO_DENY: Tool = Tool {
    package: "cargo-deny",
    program: "cargo-deny",
    version: "0.20.2",
};

/// The repository's root.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the manifest of xtask lies one folder below the root")
}

/// The spelling checker.
pub(crate) fn typos() -> Result<Command> {
    Ok(Command::new(TYPOS.path()?))
}

/// The dependency checker.
pub(crate) fn cargo_deny() -> Result<Command> {
    Ok(Command::new(CARGO_DENY.path()?))
}

/// Builds the program as it is released, with more features where they are named, and says where it is.
pub(crate) fn release_build(features: &str) -> Result<PathBuf> {
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--release", "--locked", "--package", "earmark-cli"]);
    build.args(["--features", features]);
    run(build, root())?;
    Ok(target().join("release/earmark"))
}

/// The program with training: the one that is given, or the release build.
pub(crate) fn trainer(given: Option<&Path>) -> Result<PathBuf> {
    match given {
        Some(program) => program
            .canonicalize()
            .with_context(|| program.display().to_string()),
        None => release_build("train"),
    }
}

/// Where cargo builds.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Runs a command in a folder.
pub(crate) fn run(mut command: Command, folder: &Path) -> Result<()> {
    let status = command
        .current_dir(folder)
        .status()
        .with_context(|| format!("{:?} does not start", command.get_program()))?;
    if !status.success() {
        bail!("{command:?} ended with {status}");
    }
    Ok(())
}

impl Tool {
    /// The program of the pinned version: the one on the path, or the one that is installed here.
    fn path(&self) -> Result<PathBuf> {
        if self.is_right_version(Path::new(self.program)) {
            return Ok(self.program.into());
        }
        let folder = root().join("target/tools");
        let installed = folder.join("bin").join(self.program);
        if !self.is_right_version(&installed) {
            self.install(&folder)?;
        }
        Ok(installed)
    }

    fn is_right_version(&self, program: &Path) -> bool {
        Command::new(program)
            .arg("--version")
            .output()
            .is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains(self.version))
    }

    /// Installs without optimisation and what a debugger needs: building is what takes the time, not running.
    fn install(&self, folder: &Path) -> Result<()> {
        eprintln!(
            "==> installing {} {} into {}",
            self.package,
            self.version,
            folder.display()
        );
        let status = Command::new(env!("CARGO"))
            .args([
                "install",
                "--quiet",
                "--debug",
                "--locked",
                "--force",
                self.package,
            ])
            .args(["--version", self.version, "--root"])
            .arg(folder)
            .env("CARGO_TARGET_DIR", root().join("target/tools/build"))
            .env("CARGO_PROFILE_DEV_DEBUG", "none")
            .status()
            .context("cargo does not start")?;
        if !status.success() {
            bail!("cargo install {}: {status}", self.package);
        }
        Ok(())
    }
}
