//! Runs of `earmark tag`: inputs of every kind, any number of workers, interruptions and resumption.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::common::{HIGH, LOW, MIDDLE, Place, json_lines, mono, same};

/// So many short recordings and a long one.
fn place(n_short: usize) -> Place {
    let place = Place::new();
    for index in 0..n_short {
        let hz = [LOW, MIDDLE, HIGH][index % 3];
        let secs = 0.5 + (index % 5) as f64;
        place.file(&format!("rec/{index:03}.wav"), &mono(&[(secs, hz)]));
    }
    place.file("rec/long.wav", &mono(&[(30.0, LOW), (31.0, HIGH)]));
    place
}

#[test]
fn any_number_of_jobs_writes_the_same_bytes() {
    let place = place(40);
    for timeline in ["", "-t --merge-gap 2 --threshold 0.3"] {
        for jobs in [1, 2, 7] {
            let arguments =
                format!("{timeline} -j {jobs} -f csv -f json -f parquet -o {jobs}.csv rec");
            assert!(place.tag(&arguments).starts_with("exit code: 0"));
        }
        for other in ["2", "7"] {
            for extension in ["csv", "jsonl", "parquet"] {
                let (one, many) = (format!("1.{extension}"), format!("{other}.{extension}"));
                assert!(same(&place.path(&one), &place.path(&many)), "{many}");
            }
        }
    }
}

#[test]
fn standard_input_and_lists_are_inputs() {
    let place = place(2);
    let mut child = place
        .earmark("tag")
        .args(["--top", "1", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let sound = mono(&[(1.5, HIGH)]);
    child.stdin.take().unwrap().write_all(&sound).unwrap();
    insta::assert_snapshot!(place.show(&child.wait_with_output().unwrap()), @r#"
        exit code: 0
        --- stdout
        -  1.5 s
          0.600  High, shrill
        --- stderr
        tagged 1 of 1 clip
        "#);

    place.file("list.txt", b"rec/001.wav\n\nrec/000.wav\r\nmissing.wav\n");
    insta::assert_snapshot!(place.tag("--top 1 @list.txt"), @r#"
        exit code: 1
        --- stdout
        rec/001.wav  1.5 s
          0.609  Middle

        rec/000.wav  0.5 s
          0.803  Low
        --- stderr
        missing.wav: no such file or directory
        tagged 2 of 3 clips, 1 failed
        "#);
    insta::assert_snapshot!(place.tag("@no-list.txt"), @r#"
        exit code: 2
        --- stdout
        --- stderr
        error: cannot read the list of inputs
          Caused by: no-list.txt: no such file or folder
        "#);
}

#[test]
fn quiet_prints_results_and_failures_only() {
    let place = place(1);
    insta::assert_snapshot!(place.tag("--quiet --top 1 rec/000.wav missing.wav"), @r#"
        exit code: 1
        --- stdout
        rec/000.wav  0.5 s
          0.803  Low
        --- stderr
        missing.wav: no such file or directory
        "#);
}

#[test]
fn a_reader_that_leaves_ends_the_run_quietly() {
    let place = place(200);
    let mut child = place
        .earmark("tag")
        .args(["-f", "json", "rec"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut first)
        .unwrap();
    assert!(first.contains("rec/000.wav"));
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0));
}

/// Starts a run that takes some seconds and waits until it has begun.
fn start(command: &mut Command, began: &PathBuf) -> Child {
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    for _ in 0..2_000 {
        let begun = std::fs::read_to_string(began).is_ok_and(|text| text.lines().count() > 3);
        if begun {
            return child;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    panic!("{} did not appear", began.display());
}

const RESUMED: [&str; 12] = [
    "-t", "-j", "2", "--resume", "-f", "csv", "-f", "parquet", "-f", "json", "-o", "out.csv",
];

#[test]
fn a_run_that_was_killed_goes_on_and_writes_the_same_bytes() {
    let place = place(300);
    place.tag("-t -f csv -f parquet -f json -o whole.csv rec");
    let journal = place.path("out.csv.partial/journal.jsonl");
    let mut child = start(place.earmark("tag").args(RESUMED).arg("rec"), &journal);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!place.exists("out.csv"));
    let finished = place.read("out.csv.partial/journal.jsonl").lines().count() - 1;
    assert!((3..301).contains(&finished), "{finished}");

    let other = place.screen(
        place
            .earmark("tag")
            .args(RESUMED)
            .args(["--top", "2", "rec"]),
    );
    insta::assert_snapshot!(other, @r#"
        exit code: 2
        --- stdout
        --- stderr
        error: cannot resume from out.csv.partial
          Caused by: it was begun with top = 5, this run has 2
        hint: give the same options, or remove out.csv.partial to start again
        "#);

    let screen = place.screen(place.earmark("tag").args(RESUMED).arg("rec"));
    assert_eq!(
        screen,
        "exit code: 0\n--- stdout\n--- stderr\ntagged 301 of 301 clips\n"
    );
    for extension in ["csv", "parquet", "jsonl"] {
        let (whole, out) = (format!("whole.{extension}"), format!("out.{extension}"));
        assert!(same(&place.path(&whole), &place.path(&out)), "{extension}");
    }
    assert!(!place.exists("out.csv.partial"));
}

#[cfg(unix)]
#[test]
fn a_link_stays_and_what_it_leads_to_is_written() {
    let place = place(1);
    place.file("there/old.csv", b"old");
    std::os::unix::fs::symlink("there/old.csv", place.path("link.csv")).unwrap();
    for options in ["-o whole.csv", "-o link.csv", "--resume -o link.csv"] {
        let screen = place.tag(&format!("{options} rec/000.wav"));
        assert!(screen.starts_with("exit code: 0\n"), "{screen}");
    }
    let link = place.path("link.csv").symlink_metadata().unwrap();
    assert!(link.is_symlink());
    assert!(same(&place.path("whole.csv"), &place.path("there/old.csv")));
}

#[cfg(unix)]
#[test]
fn an_interrupted_run_leaves_valid_tables() {
    let place = place(2);
    let endless = mono(&[(120.0, LOW)]);
    place.file("rec/zzz.wav", &endless);
    let mut child = place
        .earmark("tag")
        .args([
            "-t", "--window", "0.5", "--hop", "0.01", "-f", "json", "rec",
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut text = String::new();
    stdout.read_line(&mut text).unwrap();
    let pid = child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &pid])
            .status()
            .unwrap()
            .success()
    );
    stdout.read_to_string(&mut text).unwrap();
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    assert!(stderr.ends_with(" clips, interrupted\n"), "{stderr}");
    assert!(!json_lines(&text).is_empty());
}

#[cfg(unix)]
#[test]
fn paths_that_are_not_text_survive() {
    use std::os::unix::ffi::OsStrExt as _;
    let place = Place::new();
    let name = std::ffi::OsStr::from_bytes(b"caf\xe9.wav");
    let folder = place.path("rec");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join(name), mono(&[(1.0, LOW)])).unwrap();
    let output = place
        .earmark("tag")
        .args(["-f", "json", "rec"])
        .output()
        .unwrap();
    let line = json_lines(&String::from_utf8(output.stdout).unwrap()).remove(0);
    assert_eq!(line["path"], "rec/caf\\xE9.wav");
    assert_eq!(line["path_bytes"], "7265632f636166e92e776176");
    let output = place.earmark("tag").arg("rec").output().unwrap();
    assert!(output.stdout.starts_with(b"rec/caf\xe9.wav"));
    assert!(
        place
            .tag("-f csv -o out/ --resume rec")
            .starts_with("exit code: 0")
    );
    assert!(
        place
            .path("out")
            .join(std::ffi::OsStr::from_bytes(b"caf\xe9.wav.csv"))
            .exists()
    );
}
