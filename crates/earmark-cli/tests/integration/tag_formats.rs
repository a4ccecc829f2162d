//! Every format of `earmark tag` and `earmark embed`, read back by something that did not write it.

use std::fs::File;

use crate::common::{HIGH, LOW, MIDDLE, Place, best, bext, json_lines, mono, wav, wav_with};
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::RowAccessor as _;

/// A recording of 6 s: low, high, low; one of 1 s: middle.
fn place() -> Place {
    let place = Place::new();
    place.file("rec/a.wav", &mono(&[(2.0, LOW), (2.0, HIGH), (2.0, LOW)]));
    place.file("rec/b.wav", &mono(&[(1.0, MIDDLE)]));
    place
}

/// Fractions of seven digits and more with five: the last ones depend on the width of the processor's vectors.
fn rounded(text: &str) -> String {
    let is_number = |c: char| c.is_ascii_digit() || c == '.';
    let shorter = |number: &str| match (number.split_once('.'), number.parse::<f64>()) {
        (Some((_, fraction)), Ok(value)) if fraction.len() >= 7 => format!("{value:.5}"),
        _ => number.to_owned(),
    };
    let mut rest = text;
    let mut out = String::new();
    while let Some(start) = rest.find(is_number) {
        let (before, from) = rest.split_at(start);
        let end = from.find(|c| !is_number(c)).unwrap_or(from.len());
        out += before;
        out += &shorter(&from[..end]);
        rest = &from[end..];
    }
    out + rest
}

#[test]
fn a_table_for_people() {
    insta::assert_snapshot!(place().tag("--top 2 rec"), @r#"
        exit code: 0
        --- stdout
        rec/a.wav  6.0 s
          0.540  Low
          0.220  High, shrill

        rec/b.wav  1.0 s
          0.611  Middle
          0.033  High, shrill
        --- stderr
        tagged 2 of 2 clips
        "#);
}

#[test]
fn json_has_one_line_per_recording_with_the_promised_keys() {
    let place = place();
    let output = place
        .earmark("tag")
        .args(["--format", "json", "rec"])
        .output()
        .unwrap();
    let lines = json_lines(&String::from_utf8(output.stdout).unwrap());
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["path"], "rec/a.wav");
    assert_eq!(lines[0]["duration_secs"], 6.0);
    assert_eq!(best(&lines[0]), "Low");
    assert_eq!(best(&lines[1]), "Middle");
    assert_eq!(lines[1]["tags"].as_array().unwrap().len(), 4);
    assert_eq!(lines[1]["duration_secs"], 1.0);
    assert_eq!(lines[0]["model"], "tones");
    assert_eq!(lines[0]["start_secs"], serde_json::Value::Null);
}

#[test]
fn a_timeline_has_one_line_per_segment() {
    let place = place();
    let output = place
        .earmark("tag")
        .args(["-t", "-f", "json", "rec"])
        .output()
        .unwrap();
    let lines = json_lines(&String::from_utf8(output.stdout).unwrap());
    let found: Vec<_> = lines
        .iter()
        .map(|line| {
            (
                line["start_secs"].as_f64().unwrap(),
                line["end_secs"].as_f64().unwrap(),
                best(line),
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            (0.0, 2.0, "Low"),
            (2.0, 4.0, "High, shrill"),
            (4.0, 6.0, "Low"),
            (0.0, 1.0, "Middle"),
        ]
    );
    let window = place
        .earmark("tag")
        .args(["-t", "--window", "1", "-f", "json", "rec/a.wav"])
        .output();
    assert_eq!(
        json_lines(&String::from_utf8(window.unwrap().stdout).unwrap()).len(),
        6
    );
}

#[test]
fn csv_has_the_documented_columns() {
    let place = place();
    let bext = bext("2024-01-31", "23:59:58");
    place.file("rec/c.wav", &wav_with(32_000, &[&[(3.0, HIGH)]], &bext));
    insta::assert_snapshot!(rounded(&place.tag("--timeline --threshold 0.5 --format csv rec/a.wav rec/c.wav")), @r#"
        exit code: 0
        --- stdout
        path,channel,start_secs,end_secs,start_hms,end_hms,start_time,end_time,rank,class,class_id,score,model,runtime,schema
        rec/a.wav,,0,2,00:00:00.000,00:00:02.000,,,1,Low,/t/low,0.78762,tones,rten 0.27,earmark-tags-1
        rec/a.wav,,2,4,00:00:02.000,00:00:04.000,,,1,"High, shrill",/t/high,0.59693,tones,rten 0.27,earmark-tags-1
        rec/a.wav,,4,6,00:00:04.000,00:00:06.000,,,1,Low,/t/low,0.78762,tones,rten 0.27,earmark-tags-1
        rec/c.wav,,0,2,00:00:00.000,00:00:02.000,2024-01-31T23:59:58.000,2024-02-01T00:00:00.000,1,"High, shrill",/t/high,0.59693,tones,rten 0.27,earmark-tags-1
        rec/c.wav,,2,3,00:00:02.000,00:00:03.000,2024-02-01T00:00:00.000,2024-02-01T00:00:01.000,1,"High, shrill",/t/high,0.60759,tones,rten 0.27,earmark-tags-1
        --- stderr
        tagged 2 of 2 clips
        "#);
}

#[test]
fn several_formats_come_from_one_run() {
    let place = place();
    place.tag("--timeline --format csv --format json --format parquet --output out/x.csv rec");
    assert!(
        !place.exists("out/x.csv"),
        "the folder is not there, and none is made in silence"
    );
    std::fs::create_dir(place.path("out")).unwrap();
    let screen =
        place.tag("--timeline --format csv --format json --format parquet --output out/x.csv rec");
    assert_eq!(
        screen,
        "exit code: 0\n--- stdout\n--- stderr\ntagged 2 of 2 clips\n"
    );
    let json = json_lines(&place.read("out/x.jsonl"));
    let mut csv = csv::Reader::from_path(place.path("out/x.csv")).unwrap();
    let rows: Vec<csv::StringRecord> = csv.records().map(Result::unwrap).collect();
    let n_tags: usize = json
        .iter()
        .map(|line| line["tags"].as_array().unwrap().len())
        .sum();
    assert_eq!(rows.len(), n_tags);

    let reader =
        SerializedFileReader::new(File::open(place.path("out/x.parquet")).unwrap()).unwrap();
    let keys = reader
        .metadata()
        .file_metadata()
        .key_value_metadata()
        .unwrap();
    let schema = keys
        .iter()
        .find(|pair| pair.key == "earmark.schema")
        .unwrap();
    assert_eq!(schema.value.as_deref(), Some("earmark-tags-1"));
    let names: Vec<String> = reader
        .metadata()
        .file_metadata()
        .schema_descr()
        .columns()
        .iter()
        .map(|column| column.name().to_owned())
        .collect();
    assert_eq!(names, csv.headers().unwrap().iter().collect::<Vec<_>>());
    let parquet: Vec<parquet::record::Row> = reader
        .get_row_iter(None)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(parquet.len(), rows.len());
    for (parquet, csv) in parquet.iter().zip(&rows) {
        assert_eq!(parquet.get_string(0).unwrap(), &csv[0]);
        assert_eq!(
            parquet.get_double(2).unwrap(),
            csv[2].parse::<f64>().unwrap()
        );
        assert_eq!(parquet.get_uint(8).unwrap(), csv[8].parse::<u32>().unwrap());
        assert_eq!(parquet.get_string(9).unwrap(), &csv[9]);
        assert_eq!(
            parquet.get_float(11).unwrap(),
            csv[11].parse::<f32>().unwrap()
        );
    }
}

#[test]
fn audacity_and_raven_get_a_file_per_recording() {
    let place = place();
    let screen = place.tag("-t --threshold 0.5 -f audacity -f raven --output labels rec");
    assert_eq!(
        screen,
        "exit code: 0\n--- stdout\n--- stderr\ntagged 2 of 2 clips\n"
    );
    insta::assert_snapshot!(place.read("labels/a.wav.audacity.txt"), @r#"
        0.000000	2.000000	Low 0.788
        2.000000	4.000000	High, shrill 0.597
        4.000000	6.000000	Low 0.788
        "#);
    let raven = place.read("labels/a.wav.raven.txt");
    let here = std::fs::canonicalize(place.path(""))
        .unwrap()
        .display()
        .to_string();
    insta::assert_snapshot!(rounded(&raven.replace(&here, "[PLACE]")), @r#"
        Selection	View	Channel	Begin Time (s)	End Time (s)	Low Freq (Hz)	High Freq (Hz)	Begin Path	Class	Score	Model	Runtime
        1	Spectrogram 1	1	0.000000	2.000000	0.0	16000.0	[PLACE]/rec/a.wav	Low	0.78762	tones	rten 0.27
        2	Spectrogram 1	1	2.000000	4.000000	0.0	16000.0	[PLACE]/rec/a.wav	High, shrill	0.59693	tones	rten 0.27
        3	Spectrogram 1	1	4.000000	6.000000	0.0	16000.0	[PLACE]/rec/a.wav	Low	0.78762	tones	rten 0.27
        "#);
    let one = place.tag("-t --threshold 0.5 -f audacity rec/a.wav");
    assert!(one.contains("2.000000\t4.000000\tHigh, shrill"), "{one}");
    let two = place.tag("-f raven rec");
    insta::assert_snapshot!(two, @r#"
        exit code: 2
        --- stdout
        --- stderr
        error: raven has one file per recording
        hint: give --output DIR/
        "#);
}

#[test]
fn events_bridge_gaps_and_clips_are_saved() {
    let place = place();
    let screen = place.tag("-t --merge-gap 2 --threshold 0.5 --save-clips heard -f json rec/a.wav");
    let lines = json_lines(
        screen
            .split("--- stderr")
            .next()
            .unwrap()
            .split_once("stdout\n")
            .unwrap()
            .1,
    );
    let events: Vec<_> = lines
        .iter()
        .map(|line| {
            (
                best(line),
                line["start_secs"].as_f64().unwrap(),
                line["end_secs"].as_f64().unwrap(),
            )
        })
        .collect();
    assert_eq!(events, [("Low", 0.0, 6.0), ("High, shrill", 2.0, 4.0)]);
    let mut clips: Vec<_> = std::fs::read_dir(place.path("heard/High, shrill"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(clips.len(), 1);
    let clip = clips.remove(0);
    let name = clip.file_name().unwrap().to_string_lossy();
    assert!(
        name.starts_with("a.wav_2.000-4.000_0.") && name.ends_with(".wav"),
        "{name}"
    );
    // The clip is the recording's own samples.
    let saved =
        earmark::audio::AudioStream::open(clip.as_path(), &earmark::audio::OpenOptions::default());
    let saved = saved.unwrap().read_to_end().unwrap();
    let whole = earmark::audio::AudioStream::open(
        place.path("rec/a.wav"),
        &earmark::audio::OpenOptions::default(),
    );
    let whole = whole.unwrap().read_to_end().unwrap();
    assert_eq!(saved.samples, whole.samples[64_000..128_000]);
    let without = place.tag("-t --merge-gap 2 rec/a.wav");
    insta::assert_snapshot!(without, @r#"
        exit code: 2
        --- stdout
        --- stderr
        error: --merge-gap and --save-clips need thresholds, and this model has none of its own
        hint: give --threshold T or --thresholds FILE
        "#);
}

#[test]
fn channels_are_mixed_or_heard_one_by_one() {
    let place = Place::new();
    place.file("two.wav", &wav(48_000, &[&[(2.0, LOW)], &[(2.0, HIGH)]]));
    let output = place
        .earmark("tag")
        .args(["--channels", "each", "-f", "json", "two.wav"])
        .output();
    let lines = json_lines(&String::from_utf8(output.unwrap().stdout).unwrap());
    let found: Vec<_> = lines
        .iter()
        .map(|line| (line["channel"].as_u64(), best(line)))
        .collect();
    assert_eq!(found, [(Some(1), "Low"), (Some(2), "High, shrill")]);
    let mixed = place
        .earmark("tag")
        .args(["-f", "json", "two.wav"])
        .output()
        .unwrap();
    assert_eq!(
        json_lines(&String::from_utf8(mixed.stdout).unwrap()).len(),
        1
    );
}

#[test]
fn the_start_comes_from_the_name_or_the_header() {
    let place = Place::new();
    place.file("S1_20240131_053000.wav", &mono(&[(3.0, LOW)]));
    let output = place
        .earmark("tag")
        .args([
            "-t",
            "-f",
            "json",
            "--time-pattern",
            "%Y%m%d_%H%M%S",
            "S1_20240131_053000.wav",
        ])
        .output()
        .unwrap();
    let lines = json_lines(&String::from_utf8(output.stdout).unwrap());
    assert_eq!(lines[1]["start_time"], "2024-01-31T05:30:02.000");
    assert_eq!(lines[1]["end_time"], "2024-01-31T05:30:03.000");
    let refused = place.tag("--time-pattern %H x.wav");
    insta::assert_snapshot!(refused, @r#"
        exit code: 2
        --- stdout
        --- stderr
        error: time pattern `%H` does not give a date, expected for example `%Y%m%d_%H%M%S`
        "#);
}

#[test]
fn classes_and_thresholds_choose_tags() {
    let place = place();
    let classes = |arguments: &str| {
        let screen = place.tag(&format!("{arguments} -f json rec/a.wav"));
        let line = json_lines(screen.lines().nth(2).unwrap()).remove(0);
        let tags = line["tags"].as_array().unwrap().clone();
        tags.iter()
            .map(|tag| tag["class"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(classes("--classes Never,/t/low"), ["Low", "Never"]);
    assert_eq!(classes("--exclude Low --top 1").len(), 1);
    place.file("t.toml", b"default = 1.0\n[classes]\nNever = 0.0\n");
    assert_eq!(classes("--thresholds t.toml"), ["Never"]);
    place.file(
        "t.csv",
        b"class,threshold\nLow,0.0\nMiddle,1.0\nNever,1.0\n\"High, shrill\",1.0\n",
    );
    assert_eq!(classes("--thresholds t.csv"), ["Low"]);
    insta::assert_snapshot!(place.tag("--classes Lov rec"), @r#"
        exit code: 2
        --- stdout
        --- stderr
        error: label `Lov` is not in the vocabulary (4 classes)
        hint: did you mean `Low`?
        "#);
    insta::assert_snapshot!(place.tag("--thresholds bundle rec"), @r#"
        exit code: 2
        --- stdout
        --- stderr
        error: this model has no thresholds of its own
        hint: give --threshold T or --thresholds FILE
        "#);
}

#[test]
fn embeddings_are_written_as_numpy_and_parquet() {
    let place = place();
    let screen = place.screen(
        place
            .earmark("embed")
            .args(["-t", "-f", "npy", "-f", "parquet", "-o", "e.npy", "rec"]),
    );
    assert_eq!(
        screen,
        "exit code: 0\n--- stdout\n--- stderr\nembedded 2 of 2 clips\n"
    );
    let npy = std::fs::read(place.path("e.npy")).unwrap();
    let header = std::str::from_utf8(&npy[10..128]).unwrap();
    assert!(header.contains("'shape': (4, 3)"), "{header}");
    let values: Vec<f32> = npy[128..]
        .chunks_exact(4)
        .map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()))
        .collect();
    assert_eq!(values.len(), 12);
    assert!(
        values[0] > 0.1 && values[5] > 0.1 && values[10] > 0.1,
        "{values:?}"
    );
    assert_eq!(values[0], values[6], "the same tone has the same embedding");
    let mut rows = csv::Reader::from_path(place.path("e.rows.csv")).unwrap();
    let starts: Vec<String> = rows
        .records()
        .map(|row| row.unwrap()[3].to_owned())
        .collect();
    assert_eq!(starts, ["0", "2", "4", "0"]);
    let reader = SerializedFileReader::new(File::open(place.path("e.parquet")).unwrap()).unwrap();
    let embeddings: Vec<Vec<f32>> = reader
        .get_row_iter(None)
        .unwrap()
        .map(|row| {
            let row = row.unwrap();
            let list = row.get_list(8).unwrap();
            list.elements()
                .iter()
                .map(|value| match value {
                    parquet::record::Field::Float(value) => *value,
                    other => panic!("{other:?} is no float"),
                })
                .collect()
        })
        .collect();
    assert_eq!(embeddings.concat(), values);
}
