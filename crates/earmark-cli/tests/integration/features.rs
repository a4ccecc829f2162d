//! What `earmark features` promises: arrays, tables and pictures that say what the front end says,
//! files that mirror the inputs, runs that go on, and refusals that name the clip.

use std::path::Path;

use crate::common;
use crate::common::{Place, mono, wav};
use arrow::array::{AsArray as _, FixedSizeListArray};
use arrow::datatypes::Float32Type;
use earmark::audio::{AudioStream, OpenOptions};
use earmark::features::{Features, FrontEnd, Preset};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

/// The features of a file by the library.
fn expected(path: &Path, preset: &str) -> Features {
    let front_end = FrontEnd::new(&Preset::named(preset).unwrap().config()).unwrap();
    let options = OpenOptions {
        sample_rate: Some(front_end.sample_rate()),
        ..OpenOptions::default()
    };
    let waveform = AudioStream::open(path, &options).unwrap().read_to_end();
    front_end.compute(&waveform.unwrap().samples).unwrap()
}

/// Shape and values of an `.npy` file of `f32`, the last index running fastest.
fn npy(bytes: &[u8]) -> (Vec<usize>, Vec<f32>) {
    assert_eq!(&bytes[..8], b"\x93NUMPY\x01\x00");
    let header = std::str::from_utf8(&bytes[10..128]).unwrap();
    assert!(header.contains("'descr': '<f4'"), "{header}");
    let shape = header.split(['(', ')']).nth(1).unwrap();
    let shape = shape.split(',').filter(|part| !part.trim().is_empty());
    let shape: Vec<usize> = shape.map(|part| part.trim().parse().unwrap()).collect();
    let stored = bytes[128..].chunks_exact(4);
    let stored: Vec<f32> = stored
        .map(|b| f32::from_le_bytes(b.try_into().unwrap()))
        .collect();
    assert_eq!(stored.len(), shape.iter().product::<usize>());
    if header.contains("'fortran_order': False") {
        return (shape, stored);
    }
    // The first index runs fastest in the file.
    let mut values = vec![0.0; stored.len()];
    for (at, value) in stored.into_iter().enumerate() {
        let mut rest = at;
        let mut place = 0;
        let mut stride = values.len();
        for length in &shape {
            stride /= length;
            place += rest % length * stride;
            rest /= length;
        }
        values[place] = value;
    }
    (shape, values)
}

/// Width, height and levels of a picture with a palette.
fn picture(path: &Path) -> (usize, usize, Vec<u8>, Vec<u8>) {
    let file = std::io::BufReader::new(std::fs::File::open(path).unwrap());
    let mut decoder = png::Decoder::new(file);
    decoder.set_transformations(png::Transformations::IDENTITY);
    let mut reader = decoder.read_info().unwrap();
    let mut levels = vec![0; reader.output_buffer_size().unwrap()];
    reader.next_frame(&mut levels).unwrap();
    let info = reader.info();
    let palette = info
        .palette
        .as_ref()
        .map(|palette| palette.to_vec())
        .unwrap_or_default();
    (info.width as usize, info.height as usize, levels, palette)
}

/// A mono WAV file of 32-bit floats.
fn float_wav(sample_rate: u32, samples: &[f32]) -> Vec<u8> {
    let n_bytes = 4 * samples.len() as u32;
    let mut wav = b"RIFF".to_vec();
    wav.extend((36 + n_bytes).to_le_bytes());
    wav.extend(b"WAVEfmt \x10\0\0\0\x03\0\x01\0");
    wav.extend(sample_rate.to_le_bytes());
    wav.extend((4 * sample_rate).to_le_bytes());
    wav.extend([4, 0, 32, 0]);
    wav.extend(b"data");
    wav.extend(n_bytes.to_le_bytes());
    wav.extend(samples.iter().flat_map(|x| x.to_le_bytes()));
    wav
}

/// A tone that rises from 200 Hz to `highest` within two seconds, loudest in the middle.
fn chirp(sample_rate: u32, highest: f64, amplitude: f64) -> Vec<u8> {
    let rate = f64::from(sample_rate);
    let sample = |n: u32| {
        let t = f64::from(n) / rate;
        let phase = std::f64::consts::TAU * (200.0 * t + (highest - 200.0) * t * t / 4.0);
        let envelope = 0.5 + 0.5 * (std::f64::consts::PI * t / 2.0).sin();
        (amplitude * envelope * phase.sin()) as f32
    };
    let samples: Vec<f32> = (0..2 * sample_rate).map(sample).collect();
    float_wav(sample_rate, &samples)
}

fn features(place: &Place, arguments: &str) -> String {
    place.screen(
        place
            .bare()
            .arg("features")
            .args(arguments.split_whitespace()),
    )
}

#[test]
fn arrays_hold_what_the_front_end_gives() {
    let place = Place::new();
    let sound = place.file("in/a.wav", &mono(&[(1.0, 440.0), (0.5, 0.0)]));
    // A front end that streams, and one of several channels that does not.
    for name in ["efficient-at", "fat2019-resnet-rgb", "xu2018"] {
        let screen = features(
            &place,
            &format!("in --preset {name} --format npy --output {name}"),
        );
        assert!(screen.starts_with("exit code: 0"), "{screen}");
        let expected = expected(&sound, name);
        let (shape, values) =
            npy(&std::fs::read(place.path(&format!("{name}/a.wav.npy"))).unwrap());
        assert_eq!(shape, expected.shape());
        assert_eq!(values, expected.data, "{name}");
    }
}

#[test]
fn an_archive_holds_the_array_and_what_belongs_to_it() {
    let place = Place::new();
    let sound = place.file("a.wav", &mono(&[(1.0, 440.0)]));
    let screen = features(
        &place,
        "a.wav --preset efficient-at --format npz --output out",
    );
    assert!(screen.starts_with("exit code: 0"), "{screen}");
    let file = std::fs::File::open(place.path("out/a.wav.npz")).unwrap();
    let mut archive = zip::ZipArchive::new(file).unwrap();
    let mut read = |name: &str| {
        let mut bytes = Vec::new();
        std::io::copy(&mut archive.by_name(name).unwrap(), &mut bytes).unwrap();
        bytes
    };
    let expected = expected(&sound, "efficient-at");
    assert_eq!(
        npy(&read("features.npy")),
        (expected.shape().to_vec(), expected.data)
    );
    let scalar = |bytes: Vec<u8>| -> [u8; 8] { bytes[128..].try_into().unwrap() };
    assert_eq!(i64::from_le_bytes(scalar(read("sample_rate.npy"))), 32_000);
    assert_eq!(i64::from_le_bytes(scalar(read("n_samples.npy"))), 32_000);
    assert_eq!(
        f64::from_le_bytes(scalar(read("frames_per_second.npy"))),
        100.0
    );
    assert_eq!(read("band_hz.npy").len(), 128 + 128 * 8);
}

#[test]
fn a_table_has_a_row_per_frame() {
    let place = Place::new();
    let sound = place.file("a.wav", &mono(&[(1.0, 440.0)]));
    let screen = features(
        &place,
        "a.wav --preset xu2018 --format parquet --output out",
    );
    assert!(screen.starts_with("exit code: 0"), "{screen}");
    let file = std::fs::File::open(place.path("out/a.wav.parquet")).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file)
        .unwrap()
        .build()
        .unwrap();
    let expected = expected(&sound, "xu2018");
    let mut frame = 0;
    for batch in reader {
        let batch = batch.unwrap();
        let lists: &FixedSizeListArray = batch
            .column_by_name("features")
            .unwrap()
            .as_fixed_size_list();
        for row in 0..batch.num_rows() {
            let values = lists.value(row);
            let values = values.as_primitive::<Float32Type>().values();
            // All bands of a channel, then of the next.
            let (channel, band) = (1, 5);
            assert_eq!(
                values[channel * 64 + band],
                expected.row(channel, band)[frame]
            );
            frame += 1;
        }
    }
    assert_eq!(frame, expected.n_frames);
}

#[test]
fn a_chirp_is_a_line_and_colours_mean_the_same_in_every_clip() {
    let place = Place::new();
    place.file("in/loud.wav", &chirp(22_050, 8_000.0, 0.5));
    place.file("in/quiet.wav", &chirp(22_050, 8_000.0, 0.05));
    for preset in ["esp-linear-db", "esp-mel-axis-db", "esp-hires-q4"] {
        let screen = features(
            &place,
            &format!("in --preset {preset} --format png --output {preset}"),
        );
        assert!(screen.starts_with("exit code: 0"), "{screen}");
        let picture = |name: &str| picture(&place.path(&format!("{preset}/{name}.wav.png")));
        let (width, height, loud, palette) = picture("loud");
        assert_eq!((width, height), (224, 224), "{preset}");
        // The brightest row of every column rises with the tone.
        let brightest = |column: usize| {
            (0..height)
                .max_by_key(|row| loud[row * width + column])
                .unwrap()
        };
        let rows: Vec<usize> = (20..200).map(brightest).collect();
        let falls = rows.windows(2).filter(|pair| pair[1] > pair[0] + 2).count();
        assert!(falls <= 2, "{preset}: {rows:?}");
        assert!(rows[0] > rows[179] + 40, "{preset}: {rows:?}");
        // Twenty decibels less, forty for energies with the law of amplitudes, are as many fewer
        // levels of 100 dB.
        let (_, _, quiet, same_palette) = picture("quiet");
        assert_eq!(palette, same_palette);
        let column = 100;
        let at = brightest(column) * width + column;
        let fewer = i32::from(loud[at]) - i32::from(quiet[at]);
        let expected = if preset == "esp-hires-q4" { 102 } else { 51 };
        assert!((fewer - expected).abs() <= 3, "{preset}: {fewer}");
    }
}

#[test]
fn a_mel_picture_is_mel() {
    let place = Place::new();
    // Steps of equal ratio lie equally far apart above 1 kHz on the mel scale, and not on the
    // linear one.
    let tones: Vec<(f64, f64)> = [1_000.0, 2_000.0, 4_000.0, 8_000.0]
        .map(|hz| (0.5, hz))
        .into();
    place.file("a.wav", &wav(22_050, &[&tones]));
    let screen = features(
        &place,
        "a.wav --preset fastai-mel --format png --output out",
    );
    assert!(screen.starts_with("exit code: 0"), "{screen}");
    let (width, height, levels, _) = picture(&place.path("out/a.wav.png"));
    assert_eq!(height, 128);
    let row = |column: usize| {
        (0..height)
            .max_by_key(|row| levels[row * width + column])
            .unwrap()
    };
    let rows: Vec<i32> = [1, 3, 5, 7]
        .map(|eighth| row(width * eighth / 8) as i32)
        .into();
    let steps: Vec<i32> = rows.windows(2).map(|pair| pair[0] - pair[1]).collect();
    assert!(
        steps
            .iter()
            .all(|step| (step - steps[0]).abs() <= 2 && *step > 15),
        "{rows:?}"
    );
}

#[test]
fn axes_stand_around_the_same_picture() {
    let place = Place::new();
    place.file("a.wav", &chirp(22_050, 8_000.0, 0.5));
    for (arguments, output) in [("", "bare"), ("--axes", "axes")] {
        let preset = "--preset esp-log-db --format png";
        let screen = features(
            &place,
            &format!("a.wav {preset} {arguments} --output {output}"),
        );
        assert!(screen.starts_with("exit code: 0"), "{screen}");
    }
    let (bare_width, ..) = picture(&place.path("bare/a.wav.png"));
    let (width, height, pixels, palette) = picture(&place.path("axes/a.wav.png"));
    assert!(width > 3 * bare_width && height > 400, "{width} × {height}");
    assert!(palette.is_empty(), "axes have colours of their own");
    assert_eq!(&pixels[..3], [255; 3]);
    assert!(pixels[..3 * width * 40].contains(&0), "a title");
    // Another range is another picture.
    let screen = features(
        &place,
        "a.wav --preset esp-log-db --format png --range=-10,0 --output r",
    );
    assert!(screen.starts_with("exit code: 0"), "{screen}");
    assert!(!common::same(
        &place.path("bare/a.wav.png"),
        &place.path("r/a.wav.png")
    ));
}

#[test]
fn a_waveform_is_a_curve_and_statistics_are_no_picture() {
    let place = Place::new();
    place.file("a.wav", &mono(&[(2.0, 440.0)]));
    let screen = features(
        &place,
        "a.wav --preset esp-waveform --format png --output out",
    );
    assert!(screen.starts_with("exit code: 0"), "{screen}");
    let (width, height, ..) = picture(&place.path("out/a.wav.png"));
    assert_eq!((width, height), (1024, 128));
    let config = "sample_rate = 22050\n[[channels]]\nof = { kind = 'statistics' }\n";
    place.file("statistics.toml", config.as_bytes());
    let screen = features(
        &place,
        "a.wav --config statistics.toml --format png --output s",
    );
    assert!(
        screen.contains("statistics of whole clips make no picture"),
        "{screen}"
    );
    let screen = features(
        &place,
        "a.wav --config statistics.toml --format npy --output s",
    );
    assert!(screen.starts_with("exit code: 0"), "{screen}");
}

#[test]
fn files_mirror_the_inputs_and_never_meet() {
    let place = Place::new();
    for name in ["in/a/x.wav", "in/b/x.wav", "in/b/x.flac.wav"] {
        place.file(name, &mono(&[(0.5, 440.0)]));
    }
    let preset = "--preset efficient-at";
    let screen = features(&place, &format!("in {preset} --output folder"));
    assert!(screen.contains("computed 3 of 3 clips"), "{screen}");
    for name in ["a/x.wav.npy", "b/x.wav.npy", "b/x.flac.wav.npy"] {
        assert!(place.exists(&format!("folder/{name}")), "{name}");
    }
    let screen = features(
        &place,
        &format!("in/a/x.wav in/b/x.wav in/b/x.wav {preset} --output named"),
    );
    assert!(screen.contains("computed 2 of 2 clips"), "{screen}");
    for name in ["in/a/x.wav.npy", "in/b/x.wav.npy"] {
        assert!(place.exists(&format!("named/{name}")), "{name}");
    }
}

#[test]
fn the_same_command_goes_on_and_another_one_is_refused() {
    let place = Place::new();
    place.file("in/a.wav", &mono(&[(0.5, 440.0)]));
    place.file("in/b.wav", &mono(&[(0.5, 880.0)]));
    let command = "in --preset efficient-at --output out";
    features(&place, command);
    std::fs::remove_file(place.path("out/a.wav.npy")).unwrap();
    place.file("in/c.wav", &mono(&[(0.5, 880.0)]));
    let screen = features(&place, command);
    assert!(
        screen.contains("computed 2 of 3 clips, 1 were there"),
        "{screen}"
    );
    place.file("in/b.wav", &mono(&[(0.75, 880.0)]));
    let screen = features(&place, &format!("{command} --format npy --format png"));
    assert!(screen.contains("computed 3 of 3 clips"), "{screen}");
    let (shape, _) = npy(&std::fs::read(place.path("out/b.wav.npy")).unwrap());
    assert_eq!(shape, [1, 128, 75]);
    let screen = features(&place, "in --preset doshi --output out");
    assert!(screen.starts_with("exit code: 2"), "{screen}");
    assert!(
        screen.contains("begun with front_end = \"efficient-at\""),
        "{screen}"
    );
}

#[test]
fn a_stack_has_a_row_per_clip_and_its_labels() {
    let place = Place::new();
    for (name, hz) in [
        ("low/a.wav", 200.0),
        ("high/b.wav", 3_000.0),
        ("high/c.wav", 4_000.0),
    ] {
        place.file(&format!("set/{name}"), &mono(&[(1.0, hz)]));
    }
    place.file("set/low/broken.wav", b"no sound");
    let screen = features(&place, "set --preset conv1d-mel --stack --output out");
    assert!(screen.starts_with("exit code: 1"), "{screen}");
    assert!(
        screen.contains("stacked 3 of 4 clips, 1 failed and left out"),
        "{screen}"
    );
    let (shape, samples) = npy(&std::fs::read(place.path("out/samples.npy")).unwrap());
    // Frames before bands, as the network of that system takes them.
    assert_eq!(shape, [3, 3001, 64]);
    let (shape, labels) = npy(&std::fs::read(place.path("out/labels.npy")).unwrap());
    assert_eq!(shape, [3, 2]);
    let rows = place.read("out/clips.csv");
    let classes: Vec<String> = place
        .read("out/classes.csv")
        .lines()
        .skip(1)
        .map(str::to_owned)
        .collect();
    for (row, line) in rows.lines().skip(1).enumerate() {
        let clip = line.split(',').nth(1).unwrap();
        let expected = expected(&place.path("set").join(clip), "conv1d-mel");
        let stacked = &samples[row * 3001 * 64..][..3001 * 64];
        for (frame, band) in [(0, 0), (50, 7), (99, 63), (3000, 3)] {
            assert_eq!(
                stacked[frame * 64 + band],
                expected.row(0, band)[frame],
                "{line}"
            );
        }
        let class = classes
            .iter()
            .position(|class| clip.starts_with(class.split(',').nth(1).unwrap()));
        let mut one_hot = [0.0; 2];
        one_hot[class.unwrap()] = 1.0;
        assert_eq!(labels[2 * row..][..2], one_hot, "{line}");
    }
    assert!(!place.exists("out/samples.npy.partial"));
    // Clips of different lengths do not stack.
    place.file("set/low/long.wav", &mono(&[(2.0, 300.0)]));
    let screen = features(&place, "set --preset efficient-at --stack --output uneven");
    assert!(
        screen.contains("a stack needs a front end with a fixed length"),
        "{screen}"
    );
}

#[test]
fn odd_clips_are_named_and_the_others_are_computed() {
    let place = Place::new();
    let sound = chirp(44_100, 8_000.0, 0.5);
    for (name, bytes) in [
        ("good.wav", sound.clone()),
        ("empty.wav", float_wav(44_100, &[])),
        ("one.wav", float_wav(44_100, &[0.5])),
        ("short.wav", float_wav(44_100, &[0.5; 500])),
        ("nan.wav", float_wav(44_100, &[f32::NAN; 44_100])),
        ("huge.wav", float_wav(44_100, &[1e30; 44_100])),
        ("silence.wav", float_wav(44_100, &[0.0; 44_100])),
        ("slow.wav", chirp(8_000, 3_000.0, 0.5)),
    ] {
        place.file(&format!("in/{name}"), &bytes);
    }
    for preset in [
        "dcase2018-baseline",
        "fastai-mel",
        "fat2019-apd",
        "esp-hires-q2",
        "xu2018",
    ] {
        let command = format!("in --preset {preset} --format npy --format png --output {preset}");
        let screen = features(&place, &command);
        for name in ["empty", "nan", "huge"] {
            assert!(
                screen.contains(&format!("in/{name}.wav: ")),
                "{preset}: {screen}"
            );
            assert!(
                !place.exists(&format!("{preset}/{name}.wav.npy")),
                "{preset}: {name}"
            );
        }
        for entry in std::fs::read_dir(place.path(preset)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "npy") {
                let (shape, values) = npy(&std::fs::read(&path).unwrap());
                assert!(!shape.contains(&0), "{}", path.display());
                assert!(values.iter().all(|x| x.is_finite()), "{}", path.display());
            }
        }
        for name in ["good", "silence", "slow"] {
            assert!(
                place.exists(&format!("{preset}/{name}.wav.png")),
                "{preset}: {screen}"
            );
        }
    }
    let screen = features(
        &place,
        "in/one.wav in/short.wav --preset dcase2018-baseline --output x",
    );
    assert!(
        screen.contains("in/one.wav: clip has 1 samples, the front end needs at least 1102"),
        "{screen}"
    );
    assert!(
        screen.contains("in/short.wav: clip has 500 samples, the front end needs at least 1102"),
        "{screen}"
    );
    assert!(
        screen.contains("computed 0 of 2 clips, 2 failed"),
        "{screen}"
    );
}

#[test]
fn front_ends_that_cannot_be_are_refused_before_anything_is_heard() {
    let place = Place::new();
    place.file("a.wav", &mono(&[(0.5, 440.0)]));
    let high = "sample_rate = 22050\n[[channels]]\nof = { kind = 'high-resolution', q = 2.0, maxf = 0.6 }\n";
    let mel = "[features]\nsample_rate = 16000\n[[features.channels]]\nof = { kind = 'spectrogram', \
        stft = { n_fft = 512, hop_length = 160 }, axis = { kind = 'mel', n_mels = 40, f_max = 9000.0 } }\n";
    place.file("high.toml", high.as_bytes());
    place.file("mel.toml", mel.as_bytes());
    for (arguments, expected) in [
        ("--config high.toml", "must rise within 0 (excluded) to 0.5"),
        ("--config mel.toml", "must rise within 0 to 8000 Hz"),
        ("--preset mel", "preset is `mel`, known presets"),
        (
            "--config none.toml",
            "cannot read the front end in none.toml",
        ),
        ("", "no front end is given"),
        ("--preset doshi --range 3", "--range is `3`"),
        (
            "--preset doshi --stack --format png",
            "--stack writes npy arrays only",
        ),
    ] {
        let screen = features(&place, &format!("a.wav {arguments} --output out"));
        assert!(screen.starts_with("exit code: 2"), "{arguments}: {screen}");
        assert!(screen.contains(expected), "{arguments}: {screen}");
        assert!(!place.exists("out"), "{arguments}");
    }
}

#[test]
fn presets_are_listed_and_can_be_changed() {
    let place = Place::new();
    let screen = features(&place, "--list");
    assert!(
        screen.contains("esp-q1-q8-log (seed002-q1-q8-log)    q 1, q 8 and log"),
        "{screen}"
    );
    let output = place
        .bare()
        .args(["features", "--preset", "doshi", "--print-config"])
        .output();
    let text = String::from_utf8(output.unwrap().stdout).unwrap();
    place.file("a.wav", &mono(&[(0.5, 440.0)]));
    place.file(
        "mine.toml",
        text.replace("n_mels = 64", "n_mels = 40").as_bytes(),
    );
    let screen = features(&place, "a.wav --config mine.toml --output out");
    assert!(screen.starts_with("exit code: 0"), "{screen}");
    let (shape, _) = npy(&std::fs::read(place.path("out/a.wav.npy")).unwrap());
    assert_eq!(shape, [2, 40, 344]);
}
