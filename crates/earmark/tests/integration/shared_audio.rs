//! Real recordings from `../shared`: every file decodes, and resampling agrees with soxr.

use std::path::{Path, PathBuf};

use crate::support::{npy, shared};
use earmark::audio::{AudioStream, OpenOptions, has_audio_extension, recognise, resample};
use realfft::RealFftPlanner;

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
        assert!(
            recognise(path).expect("readable").is_some(),
            "{}",
            path.display()
        );
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
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// The energy of `x` below `part` of the Nyquist frequency, under a Hann window.
fn energy_below(x: &[f64], part: f64) -> f64 {
    let fft = RealFftPlanner::<f64>::new().plan_fft_forward(x.len());
    let step = std::f64::consts::TAU / x.len() as f64;
    let mut windowed: Vec<f64> = x
        .iter()
        .enumerate()
        .map(|(i, x)| x * (0.5 - 0.5 * (step * i as f64).cos()))
        .collect();
    let mut bins = fft.make_output_vec();
    fft.process(&mut windowed, &mut bins).expect("lengths fit");
    let n_bins = (bins.len() as f64 * part) as usize;
    bins[..n_bins].iter().map(|bin| bin.norm_sqr()).sum()
}

/// soxr's HQ recipe passes 0.913 of the Nyquist frequency and this resampler 0.98, so the two are
/// the same below 0.9 and differ by design in between.
///
/// Half the rate: 124 dB were measured, 115 dB are held; soxr HQ is built for 20 bits. At 44.1 to
/// 16 kHz soxr itself leaves the ideal with rising frequency, down to 68 dB: `tests/integration/resample.rs`
/// holds this resampler to the formula of the sine at that very ratio, to better than 105 dB.
#[test]
fn resampling_agrees_with_soxr_below_nine_tenths_of_the_nyquist_frequency() {
    let Some(shared) = shared() else { return };
    let reference = shared.join("reference");
    for sound in ["chirp", "noise", "burst"] {
        let input = npy(reference.join(format!("inputs/{sound}_44100.npy"))).to_f32();
        for to in [16_000, 22_050] {
            let golden = npy(reference.join(format!("librosa/{sound}_44100_to_{to}_soxr_hq.npy")));
            let ours = resample(&input, 44_100, to).expect("resamples");
            assert_eq!(ours.len(), golden.data.len(), "{sound} to {to} Hz");
            let difference: Vec<f64> = ours
                .iter()
                .zip(&golden.data)
                .map(|(&a, b)| f64::from(a) - b)
                .collect();
            let db =
                10.0 * (energy_below(&golden.data, 0.9) / energy_below(&difference, 0.9)).log10();
            let least = if to == 22_050 { 115.0 } else { 65.0 };
            assert!(db > least, "{sound} to {to} Hz: {db:.1} dB");
        }
    }
}
