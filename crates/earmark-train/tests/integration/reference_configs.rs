//! The configurations of the reference systems: every one is read, and its network has the published
//! number of parameters.

use std::path::{Path, PathBuf};

use earmark::features::{FrontEnd, FrontEndConfig};
use earmark::model::{self, Architecture, Input};
use earmark_train::RunConfig;
use earmark_train::sweep::SweepConfig;

type Checked = Result<(), Box<dyn std::error::Error>>;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/reference")
}

/// The network of a configuration for so many classes.
fn network(config: &RunConfig, n_classes: usize) -> earmark::Result<Architecture> {
    let own = config.features.clone();
    let front_end = FrontEnd::new(&own.unwrap_or_else(FrontEndConfig::efficient_at))?;
    let input = Input {
        n_channels: front_end.n_channels(),
        n_bands: front_end.n_bands(),
        n_frames: None,
    };
    let name = config.model.architecture.as_deref().unwrap_or("mn04");
    model::named(name, input, n_classes)
}

#[test]
fn every_configuration_is_read_and_says_where_it_is_from() -> Checked {
    let mut n_configs = 0;
    for entry in std::fs::read_dir(folder())? {
        let path = entry?.path();
        let name = path.display().to_string();
        let text = std::fs::read_to_string(&path)?;
        let header: Vec<&str> = text
            .lines()
            .take_while(|line| line.starts_with('#'))
            .collect();
        let header = header.join("\n");
        assert!(
            header.contains("earmark "),
            "{name}: a header with the command"
        );
        if name.ends_with(".sweep.toml") {
            let sweep = SweepConfig::open(&path)?;
            let base = RunConfig::open(&sweep.config, &[])?;
            for trial in sweep.trials() {
                network(&base.overridden(&trial.overrides())?, 41)?;
            }
            continue;
        }
        let config = RunConfig::open(&path, &[]).map_err(|error| format!("{name}: {error}"))?;
        network(&config, 41).map_err(|error| format!("{name}: {error}"))?;
        n_configs += 1;
    }
    assert!(n_configs >= 25, "{n_configs}");
    Ok(())
}

/// Counts of the published networks with 41 classes, measured on the originals; what Keras calls
/// parameters and does not train is left out.
#[test]
fn parameter_counts_are_the_published_ones() -> Checked {
    // Two recurrent units of 16 have a second constant for each of three gates here, and three
    // normalisations have running statistics there: 64 + 16 + 16 channels, two numbers each.
    let gru = 5_252_953 - 2 * (64 + 16 + 16) + 2 * 3 * 16;
    let published = [
        ("000-waveform-global", 360_513),
        ("000-waveform-flat", 15_986_977),
        ("000-gru", gru),
        ("002-waveform", 139_481),
        ("003-cnn-1d", 218_491),
        ("003-cnn-1d-dropout", 218_491),
        ("003-cnn-1d-dense-dropout", 234_491),
        ("dcase2018-cnn", 658_591),
    ];
    for (name, expected) in published {
        let config = RunConfig::open(&folder().join(format!("{name}.toml")), &[])?;
        assert_eq!(
            network(&config, 41)?.plan()?.n_trained(),
            expected,
            "{name}"
        );
    }
    Ok(())
}
