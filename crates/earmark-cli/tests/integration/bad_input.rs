//! Bad input: a clear message each, quickly, and everything else is tagged.

use crate::common::{HIGH, LOW, Place, mono, wav};

/// The header of [`mono`] with other numbers in it.
fn patched(at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut file = mono(&[(1.0, LOW)]);
    file[at..at + bytes.len()].copy_from_slice(bytes);
    file
}

fn nan_samples() -> Vec<u8> {
    let mut file = wav(32_000, &[&[(1.0, LOW)]]);
    file[20] = 3;
    file[28..32].copy_from_slice(&128_000_u32.to_le_bytes());
    file[32..34].copy_from_slice(&4_u16.to_le_bytes());
    file[34..36].copy_from_slice(&32_u16.to_le_bytes());
    file[44..48].copy_from_slice(&f32::NAN.to_le_bytes());
    file
}

#[test]
fn a_folder_of_bad_files_is_reported_file_by_file() {
    let place = Place::new();
    place.file("rec/good.wav", &mono(&[(2.0, HIGH)]));
    place.file("rec/empty.wav", b"");
    place.file("rec/header_only.wav", &mono(&[(0.0, LOW)]));
    place.file(
        "rec/text.wav",
        b"this is not sound, whatever its name says\n",
    );
    place.file(
        "rec/promises_4_gib.wav",
        &patched(40, &[0xf0, 0xff, 0xff, 0xff]),
    );
    place.file("rec/zero_hz.wav", &patched(24, &[0; 4]));
    place.file("rec/zero_channels.wav", &patched(22, &[0; 2]));
    place.file("rec/nan.wav", &nan_samples());
    place.file("rec/truncated.mp3", b"\xff\xfb\x90\x64\x00\x00\x00");
    place.file("rec/truncated.flac", b"fLaC\x00\x00\x00\x22\x10\x00");
    place.file("rec/._good.wav", b"resource fork");
    place.file("rec/notes.txt", b"notes");
    insta::assert_snapshot!(place.tag("--top 1 rec"), @r#"
        exit code: 1
        --- stdout
        rec/good.wav  2.0 s
          0.597  High, shrill
        --- stderr
        rec/empty.wav: file is empty (0 bytes), expected audio
        rec/header_only.wav: WAV file without samples, expected at least 1
        rec/nan.wav: sample at 0.000000 s is not finite (NaN or infinite), expected a number
        rec/promises_4_gib.wav: stream ends after 1.000 s, its header promises 67108.864 s (4294967280 bytes of data, found 64000)
        rec/text.wav: content is text (`this is not sound, whate…`), expected audio
        rec/truncated.flac: stream ends after 0.000 s, the file ends inside its FLAC header
        rec/truncated.mp3: content begins with bytes ff fb 90 64, expected audio
        rec/zero_channels.wav: its header states 0 channels, expected at least 1
        rec/zero_hz.wav: sample rate is 0 Hz, the limit is 1000 to 1000000 Hz
        skipped 2 files: 1 not audio, 1 hidden
        tagged 1 of 10 clips, 9 failed
        "#);
}

#[test]
fn inputs_that_are_not_there_are_failures_and_the_others_are_tagged() {
    let place = Place::new();
    place.file("good.wav", &mono(&[(1.0, HIGH)]));
    std::fs::create_dir(place.path("none")).unwrap();
    insta::assert_snapshot!(place.tag("--top 1 none missing.wav good.wav"), @r#"
        exit code: 1
        --- stdout
        good.wav  1.0 s
          0.608  High, shrill
        --- stderr
        none: empty folder, expected audio files
        missing.wav: no such file or directory
        tagged 1 of 3 clips, 2 failed
        "#);
}

#[test]
fn a_file_that_is_named_is_tried_whatever_it_is_called() {
    let place = Place::new();
    place.file(".hidden", &mono(&[(1.0, HIGH)]));
    place.file("notes.txt", b"notes");
    insta::assert_snapshot!(place.tag("--top 1 .hidden notes.txt"), @r#"
        exit code: 1
        --- stdout
        .hidden  1.0 s
          0.608  High, shrill
        --- stderr
        notes.txt: content is text (`notes…`), expected audio
        tagged 1 of 2 clips, 1 failed
        "#);
}

#[test]
fn a_model_that_cannot_be_read_is_said_before_anything_is_tagged() {
    let place = Place::new();
    place.file("a.wav", &mono(&[(1.0, LOW)]));
    let bundle = std::fs::read(place.path("tones.onnx")).unwrap();
    let model = |name: &str, bytes: &[u8]| {
        place.file(name, bytes);
        place.screen(place.bare().args(["tag", "--model", name, "a.wav"]))
    };
    insta::assert_snapshot!(model("cut.onnx", &bundle[..bundle.len() / 2]), @r#"
        exit code: 2
        --- stdout
        --- stderr
        error: cannot open the model cut.onnx
          Caused by: cut.onnx: the file is truncated: a field of 2152 bytes has only 1883 left after 1904 bytes
        "#);
    insta::assert_snapshot!(model("text.onnx", b"this is no model"), @r#"
        exit code: 2
        --- stdout
        --- stderr
        error: cannot open the model text.onnx
          Caused by: text.onnx: a text file, expected a bundle (.onnx)
        "#);
    insta::assert_snapshot!(model("empty.onnx", b""), @r#"
        exit code: 2
        --- stdout
        --- stderr
        error: cannot open the model empty.onnx
          Caused by: empty.onnx: the file is empty, expected a bundle (.onnx)
        "#);
    insta::assert_snapshot!(place.screen(place.bare().args(["tag", "--model", "gone.onnx", "a.wav"])), @r#"
        exit code: 2
        --- stdout
        --- stderr
        error: cannot open the model gone.onnx
          Caused by: gone.onnx: no such file, and no model is called `gone.onnx`, known are mn01, mn02, mn04, mn05, mn10, mn20, mn30, mn40, mn40-ext
        "#);
    insta::assert_snapshot!(place.screen(place.bare().args(["tag", "--model", "mn99", "a.wav"])), @r#"
        exit code: 2
        --- stdout
        --- stderr
        error: cannot open the model mn99
          Caused by: mn99: no such file, and no model is called `mn99`, known are mn01, mn02, mn04, mn05, mn10, mn20, mn30, mn40, mn40-ext
        "#);
}

#[test]
fn options_that_do_not_fit_are_said_before_anything_is_tagged() {
    let place = Place::new();
    place.file("a.wav", &mono(&[(1.0, LOW)]));
    place.file("b/a.wav", &mono(&[(1.0, LOW)]));
    insta::assert_snapshot!(place.tag("--threshold 1.5 a.wav"), @r#"
        exit code: 2
        --- stdout
        --- stderr
        error: threshold is 1.5, must be from 0 to 1
        "#);
    insta::assert_snapshot!(place.tag("-f csv -f json a.wav"), @r#"
        exit code: 2
        --- stdout
        --- stderr
        error: several formats cannot share standard output
        hint: give --output FILE or --output DIR
        "#);
    insta::assert_snapshot!(place.tag("-f csv -o out/ a.wav b/a.wav"), @r#"
        exit code: 2
        --- stdout
        --- stderr
        error: a.wav and b/a.wav would have the same output file
        hint: tag them in two runs with an output folder each, or tag the folder above them
        "#);
    insta::assert_snapshot!(place.tag("--window 0 a.wav"), @r#"
        exit code: 2
        --- stdout
        --- stderr
        error: segment.length_secs is 0, must be above 0 and at most 600
        "#);
    insta::assert_snapshot!(place.tag("-t --window 0.5 --hop 1e-9 a.wav"), @r#"
        exit code: 2
        --- stdout
        --- stderr
        error: segment.hop_secs is 0.000000001, must be at least 0.001
        "#);
    insta::assert_snapshot!(place.tag("-f csv -o no/such/folder.csv a.wav"), @r#"
        exit code: 2
        --- stdout
        --- stderr
        error: cannot write no/such/folder.csv: there is no folder no/such
        "#);
}
