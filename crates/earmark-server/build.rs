//! Puts the page's WebAssembly module into the program where `cargo xtask web` has built it.
#![allow(
    clippy::print_stdout,
    reason = "this is how a build script talks to cargo"
)]

use std::error::Error;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=web");
    let module =
        PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?).join("web/private/earmark.wasm");
    let expression = match module.is_file() {
        true => format!("Some(include_bytes!({module:?}))"),
        false => "None".to_owned(),
    };
    let place = PathBuf::from(std::env::var("OUT_DIR")?).join("module.rs");
    std::fs::write(place, expression)?;
    Ok(())
}
