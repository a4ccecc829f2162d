//! Trains as a configuration says and prints the figures:
//!
//! ```text
//! cargo run -p earmark-train --example train -- configs/esc10-probe.toml sounds/esc10 runs/esc10
//! ```

#![allow(clippy::print_stdout, reason = "an example shows its result")]

use std::path::Path;

use earmark::Result;
use earmark_train::observer::{EpochReport, Observer};
use earmark_train::{DeviceChoice, RunConfig, RunOptions};

/// Prints a line per epoch.
struct Lines;

impl Observer for Lines {
    fn epoch(&mut self, report: &EpochReport) {
        println!("{report:?}");
    }

    fn notice(&mut self, text: &str) {
        println!("{text}");
    }
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut next = |what: &str| arguments.next().unwrap_or_else(|| panic!("needs {what}"));
    let (config, data, output) = (next("CONFIG"), next("DATA"), next("OUTPUT"));
    let overrides: Vec<String> = arguments.collect();

    // 1. The configuration, with `train.epochs=5` and the like from the command line.
    let mut config = RunConfig::open(Path::new(&config), &overrides)?;
    config.data.path = Some(data.into());

    // 2. The run: decoding, training, judging, the bundle.
    let options = RunOptions {
        directory: output.into(),
        device: DeviceChoice::Cpu,
    };
    let result = earmark_train::run(&config, &options, &(), &mut Lines)?;

    // 3. What it found.
    for figures in &result.folds {
        println!("{figures:?}");
    }
    if let Some(evaluation) = &result.evaluation {
        println!("accuracy {:?}", evaluation.accuracy);
        println!("MAP@3    {:?}", evaluation.map_at_3);
    }
    println!("{}", result.directory.path().display());
    Ok(())
}
