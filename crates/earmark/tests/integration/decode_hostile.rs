//! Bad input gives its own clear message, quickly, and never a panic.

use crate::sounds::{bytes, chirp, file, files, fmt, message, pipe, read, wav, wav16};
use earmark::audio::{AudioStream, Limits, OpenOptions, silence_decoder_panics};
use earmark::{Error, Result};
use proptest::prelude::*;

const RATE: u32 = 16_000;

#[test]
fn what_is_no_audio_says_what_it_is() {
    let cases: [(&[u8], &str); 4] = [
        (b"", "x.wav: file is empty (0 bytes), expected audio"),
        (
            b"bread, milk, eggs",
            "x.wav: content is text (`bread, milk, eggs…`), expected audio",
        ),
        (
            b"%PDF-1.7 \xff\xfe",
            "x.wav: content is a PDF document, expected audio",
        ),
        (&[0; 5_000], "x.wav: content is zeros, expected audio"),
    ];
    for (content, expected) in cases {
        assert_eq!(message("x.wav", content), expected);
        let error = read(pipe("x.wav", content.to_vec())).expect_err("no audio");
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn impossible_wav_headers_say_what_is_wrong() {
    let header_only = wav(&fmt(1, 1, RATE, 16), &[]);
    assert_eq!(header_only.len(), 44);
    assert_eq!(
        message("x.wav", header_only),
        "x.wav: WAV file without samples, expected at least 1"
    );
    assert_eq!(
        message("x.wav", wav(&fmt(1, 1, 0, 16), &[0; 100])),
        "x.wav: sample rate is 0 Hz, the limit is 1000 to 1000000 Hz"
    );
    assert_eq!(
        message("x.wav", wav(&fmt(1, 0, RATE, 16), &[0; 100])),
        "x.wav: its header states 0 channels, expected at least 1"
    );
    assert_eq!(
        message("x.wav", &wav16(&chirp(RATE), RATE)[..20]),
        "x.wav: file ends inside its `fmt ` chunk"
    );
}

#[test]
fn a_sample_that_is_not_finite_is_named_with_its_time() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut samples = chirp(RATE);
        samples[4_000] = bad;
        let data: Vec<u8> = samples.iter().flat_map(|x| x.to_le_bytes()).collect();
        assert_eq!(
            message("x.wav", wav(&fmt(3, 1, RATE, 32), &data)),
            "x.wav: sample at 0.250000 s is not finite (NaN or infinite), expected a number"
        );
    }
}

/// The seconds that a truncation error states.
fn broken_at(name: &str, content: Vec<u8>) -> f64 {
    for source in [bytes(name, content.clone()), pipe(name, content.clone())] {
        match read(source) {
            Err(Error::Truncated { found_secs, .. }) => assert!(found_secs < 0.5, "{name}"),
            other => panic!("{name}: {:?}", other.map(|w| w.samples.len())),
        }
    }
    match read(bytes(name, content)) {
        Err(Error::Truncated { found_secs, .. }) => found_secs,
        _ => unreachable!("checked above"),
    }
}

#[test]
fn truncated_files_say_at_which_second_they_break() {
    // Two fifths of the bytes missing leave about three fifths of the half second.
    for name in ["mono.flac", "cbr.mp3", "vbr.mp3", "no-header.mp3"] {
        let content = file(name);
        let secs = broken_at(name, content[..content.len() * 3 / 5].to_vec());
        assert!((0.1..0.45).contains(&secs), "{name} breaks at {secs} s");
    }
    // Half a second is one page of Ogg or one block of tables: it is whole or lost.
    for name in [
        "vorbis.ogg",
        "mono.opus",
        "flac.ogg",
        "aac-faststart.m4a",
        "opus.webm",
        "alac.caf",
    ] {
        let content = file(name);
        match read(bytes(name, &content[..content.len() / 2])) {
            Err(Error::Truncated { .. } | Error::Decode { .. }) => {}
            other => panic!("{name}: {:?}", other.map(|w| w.samples.len())),
        }
    }
}

#[test]
fn limits_are_kept() {
    let open = |limits: Limits, pipe_it: bool| {
        let content = wav16(&chirp(RATE), RATE);
        let source = if pipe_it {
            pipe("x.wav", content)
        } else {
            bytes("x.wav", content)
        };
        let options = OpenOptions {
            limits,
            ..OpenOptions::default()
        };
        AudioStream::open(source, &options).and_then(AudioStream::read_to_end)
    };
    let default = Limits::default();
    let said = |limits, pipe_it| open(limits, pipe_it).expect_err("a limit").to_string();
    let bytes = Limits {
        max_bytes: 10_000,
        ..default
    };
    assert_eq!(
        said(bytes, false),
        "x.wav: size is 16044 bytes, the limit is 10000 bytes"
    );
    assert_eq!(
        said(bytes, true),
        "x.wav: size is more than 10000 bytes, the limit is 10000 bytes"
    );
    let secs = Limits {
        max_duration_secs: 0.25,
        ..default
    };
    assert_eq!(
        said(secs, false),
        "x.wav: duration is 0.5 s, the limit is 0.25 s"
    );
    let rate = Limits {
        max_sample_rate: 8_000,
        ..default
    };
    assert_eq!(
        said(rate, false),
        "x.wav: sample rate is 16000 Hz, the limit is 1000 to 8000 Hz"
    );
    let channels = Limits {
        max_channels: 0,
        ..default
    };
    assert_eq!(
        said(channels, false),
        "x.wav: number of channels is 1, the limit is 0"
    );
    assert!(open(default, true).is_ok());
}

#[test]
fn a_length_that_is_not_stated_is_limited_while_decoding() {
    let mut content = wav16(&chirp(RATE), RATE);
    content[40..44].fill(0xff);
    let limits = Limits {
        max_duration_secs: 0.25,
        ..Limits::default()
    };
    let options = OpenOptions {
        limits,
        ..OpenOptions::default()
    };
    let error = AudioStream::open(pipe("x.wav", content), &options)
        .and_then(AudioStream::read_to_end)
        .expect_err("too long");
    assert_eq!(
        error.to_string(),
        "x.wav: duration is more than 0.25 s, the limit is 0.25 s"
    );
}

#[test]
fn paths_that_cannot_be_read_say_why() {
    let error = |path: &str| AudioStream::open(path, &OpenOptions::default()).expect_err("no file");
    assert_eq!(
        error("/nowhere/x.wav").to_string(),
        "/nowhere/x.wav: no such file or directory"
    );
    let folder = std::env::temp_dir();
    let name = folder.display().to_string();
    assert_eq!(
        error(&name).to_string(),
        format!("{name}: path is a folder, expected audio")
    );
}

/// Decodes hostile bytes both ways. What comes out does not matter; that it comes does.
fn survive(content: &[u8]) -> Result<()> {
    silence_decoder_panics();
    let limits = Limits {
        max_duration_secs: 600.0,
        ..Limits::default()
    };
    let options = OpenOptions {
        limits,
        sample_rate: Some(8_000),
        ..OpenOptions::default()
    };
    let seek =
        AudioStream::open(bytes("hostile", content), &options).and_then(AudioStream::read_to_end);
    let forward = AudioStream::open(pipe("hostile", content.to_vec()), &options)
        .and_then(AudioStream::read_to_end);
    for waveform in [seek, forward].into_iter().flatten() {
        assert!(
            waveform.samples.iter().all(|x| x.is_finite()),
            "samples are numbers"
        );
    }
    Ok(())
}

/// Every encoded file and a few that are written here.
fn corpus() -> Vec<Vec<u8>> {
    let mut corpus: Vec<Vec<u8>> = files().iter().map(|name| file(name)).collect();
    corpus.push(wav16(&chirp(RATE), RATE));
    corpus.push(wav(&fmt(3, 2, RATE, 32), &[0; 4_000]));
    corpus
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn truncations_are_survived(which in any::<prop::sample::Index>(), at in any::<prop::sample::Index>()) {
        let corpus = corpus();
        let content = which.get(&corpus);
        survive(&content[..at.index(content.len())])?;
    }

    #[test]
    fn flipped_bits_are_survived(
        which in any::<prop::sample::Index>(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0_u8..8), 1..16),
    ) {
        let corpus = corpus();
        let mut content = which.get(&corpus).clone();
        for (at, bit) in flips {
            let at = at.index(content.len());
            content[at] ^= 1 << bit;
        }
        survive(&content)?;
    }

    #[test]
    fn damaged_headers_are_survived(
        which in any::<prop::sample::Index>(),
        patches in prop::collection::vec((0_usize..200, any::<u8>()), 1..8),
    ) {
        let corpus = corpus();
        let mut content = which.get(&corpus).clone();
        for (at, byte) in patches {
            if let Some(old) = content.get_mut(at) {
                *old = byte;
            }
        }
        survive(&content)?;
    }

    #[test]
    fn noise_behind_a_signature_is_survived(
        which in any::<prop::sample::Index>(),
        keep in 4_usize..64,
        noise in prop::collection::vec(any::<u8>(), 0..4_000),
    ) {
        let corpus = corpus();
        let content = which.get(&corpus);
        let content = [&content[..keep.min(content.len())], &noise].concat();
        survive(&content)?;
    }
}
