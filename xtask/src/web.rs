//! `cargo xtask web`: the page's WebAssembly module, and a page for any web host.
//!
//! The module goes to `crates/earmark-server/web/private`, where the next build of the program finds it,
//! and with the page and bundles to `target/page`, which can be copied to a host as it is.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::tools;

/// What the module is built for.
pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

/// The largest module, in bytes.
const MAX_BYTES: u64 = 6_000_000;

/// Builds the module and the page with `models`, or with the model of the program.
pub(crate) fn run(models: &[&str]) -> Result<()> {
    if !has_target() {
        let mut add = Command::new("rustup");
        add.args(["target", "add", TARGET]);
        tools::run(add, tools::root())?;
    }
    let module = module()?;
    let folder = tools::root().join("target/page");
    page(&folder, &module, models)?;
    let size = std::fs::metadata(&module)?.len();
    eprintln!("{}: {:.2} MB", module.display(), size as f64 / 1e6);
    eprintln!("{}: a page for any web host", folder.display());
    if size > MAX_BYTES {
        bail!("the module has {size} bytes, expected at most {MAX_BYTES}");
    }
    Ok(())
}

/// Whether the toolchain can build the module.
pub(crate) fn has_target() -> bool {
    let mut rustc = Command::new("rustc");
    rustc
        .args(["--print", "target-libdir", "--target", TARGET])
        .current_dir(tools::root());
    let folder = rustc
        .output()
        .ok()
        .and_then(|output| String::from_utf8(output.stdout).ok());
    folder.is_some_and(|folder| Path::new(folder.trim()).is_dir())
}

/// Builds the module and puts it where the server's build looks for it.
fn module() -> Result<PathBuf> {
    let mut build = Command::new(env!("CARGO"));
    build
        .args(["rustc", "--package", "earmark-web", "--lib", "--locked"])
        // Not in its manifest: beside a Rust library, cargo would not optimise across crates.
        .args(["--crate-type", "cdylib"])
        .args(["--profile", "web", "--target", TARGET]);
    tools::run(build, tools::root())?;
    let built = tools::target().join(TARGET).join("web/earmark_web.wasm");
    let place = web().join("private/earmark.wasm");
    copy(&built, &place)?;
    Ok(place)
}

/// The page's files.
fn web() -> PathBuf {
    tools::root().join("crates/earmark-server/web")
}

/// Writes the page to a folder, in place of what was there.
fn page(folder: &Path, module: &Path, models: &[&str]) -> Result<()> {
    if folder.is_dir() {
        std::fs::remove_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    copy(&web().join("index.html"), &folder.join("index.html"))?;
    for entry in std::fs::read_dir(web())? {
        let path = entry?.path();
        let name = file_name(&path)?;
        // The workbench needs a server.
        if path.is_file() && name != "index.html" && !name.starts_with("review.") {
            copy(&path, &folder.join("assets").join(name))?;
        }
    }
    copy(module, &folder.join("assets/earmark.wasm"))?;
    let built_in = tools::root().join("crates/earmark-cli/assets/built-in.onnx");
    let models: Vec<PathBuf> = match models {
        [] => vec![built_in],
        models => models.iter().map(PathBuf::from).collect(),
    };
    let models = models.iter().map(|model| -> Result<Value> {
        let name = file_name(model)?;
        copy(model, &folder.join("models").join(name))?;
        let stem = name.strip_suffix(".onnx").unwrap_or(name);
        Ok(json!({ "name": stem, "url": format!("../models/{name}") }))
    });
    let page = json!({
        "server": false,
        "module": "earmark.wasm",
        "version": version()?,
        "models": models.collect::<Result<Vec<Value>>>()?,
    });
    let place = folder.join("assets/page.json");
    std::fs::write(&place, page.to_string()).with_context(|| place.display().to_string())
}

/// The program's version.
fn version() -> Result<String> {
    let manifest = std::fs::read_to_string(tools::root().join("Cargo.toml"))?;
    let manifest: toml::Table = manifest.parse()?;
    let version = manifest["workspace"]["package"]["version"].as_str();
    Ok(version.context("Cargo.toml states no version")?.to_owned())
}

fn file_name(path: &Path) -> Result<&str> {
    let name = path.file_name().and_then(|name| name.to_str());
    name.with_context(|| format!("{}: expected a file's name in UTF-8", path.display()))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    if let Some(folder) = to.parent() {
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    std::fs::copy(from, to)
        .with_context(|| format!("{} to {}", from.display(), to.display()))
        .map(|_| ())
}
