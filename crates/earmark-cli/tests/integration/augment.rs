//! What `earmark augment preview` promises: a sound and a picture for each step, and refusals by name.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The committed demo sound.
fn guitar() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/guitar.wav")
}

fn preview(arguments: &[&str], output: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_earmark"))
        .args(["augment", "preview"])
        .arg(guitar())
        .args(arguments)
        .arg("--output")
        .arg(output)
        .output()
        .expect("the program starts")
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("the folder was made");
    let mut names: Vec<String> = entries
        .map(|entry| {
            entry
                .expect("readable")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    names
}

#[test]
fn each_step_of_a_configuration_becomes_a_sound_and_a_picture() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("train.toml");
    let text = "[augment]\n\
        waveform = [{ kind = 'gain', db = -6, probability = 0.1 }, { kind = 'gain', db = 6 }]\n\
        features = [{ kind = 'time-mask' }]\n\
        mix_features = [{ kind = 'mixup' }]\n";
    std::fs::write(&config, text).unwrap();
    let output = folder.path().join("preview");
    let run = preview(&["--config", config.to_str().unwrap()], &output);
    assert!(run.status.success(), "{run:?}");
    assert_eq!(
        names(&output),
        [
            "gain-2.png",
            "gain-2.wav",
            "gain.png",
            "gain.wav",
            "original.wav",
            "spectrogram-mixup.png",
            "spectrogram-time-mask.png",
        ]
    );
    // The step was done although its probability is small: half the amplitude, sample by sample.
    let sample = |name: &str| -> f32 {
        let bytes = std::fs::read(output.join(name)).unwrap();
        let at = 58 + 4 * 3000;
        f32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
    };
    let ratio = sample("gain.wav") / sample("original.wav");
    assert!((ratio - 0.501_187).abs() < 1e-4, "{ratio}");
    assert_eq!(
        &std::fs::read(output.join("gain.png")).unwrap()[1..4],
        b"PNG"
    );
}

#[test]
fn the_same_seed_writes_the_same_files() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("augment.toml");
    std::fs::write(&config, "waveform = [{ kind = 'noise' }]\n").unwrap();
    let noise = |seed: &str, name: &str| {
        let output = folder.path().join(name);
        let run = preview(
            &["--config", config.to_str().unwrap(), "--seed", seed],
            &output,
        );
        assert!(run.status.success(), "{run:?}");
        std::fs::read(output.join("noise.wav")).unwrap()
    };
    assert_eq!(noise("3", "first"), noise("3", "second"));
    assert_ne!(noise("3", "first"), noise("4", "third"));
}

#[test]
fn a_configuration_that_cannot_be_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("train.toml");
    for (text, expected) in [
        (
            "[augment]\nwaveform = [{ kind = 'gain', db = [6, -6] }]\n",
            "augment.waveform[0].db",
        ),
        (
            "[augment]\nwaveform = [{ kind = 'louder' }]\n",
            "unknown variant `louder`",
        ),
        ("[augment]\n", "no augmentation in it"),
    ] {
        std::fs::write(&config, text).unwrap();
        let run = preview(&["--config", config.to_str().unwrap()], folder.path());
        let stderr = String::from_utf8_lossy(&run.stderr).into_owned();
        assert_eq!(run.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(expected), "{stderr}");
    }
}
