//! `earmark bundle` on the command line: what it prints, and what it says when it cannot.

#[allow(dead_code, reason = "the library's own tests use the rest")]
#[path = "../../../earmark/tests/integration/support/bundles.rs"]
mod bundles;
#[allow(dead_code, reason = "the library's own tests use the rest")]
#[path = "../../../earmark/tests/integration/support/http.rs"]
mod http;

use std::path::Path;
use std::process::Command;

use earmark::bundle::Bundle;
use tempfile::TempDir;

/// What a run of the program printed and returned.
#[derive(Debug)]
struct Ran {
    code: i32,
    stdout: String,
    stderr: String,
}

/// Runs `earmark bundle ARGS` in a folder, with its cache there.
fn run(folder: &Path, args: &[&str]) -> Ran {
    let output = Command::new(env!("CARGO_BIN_EXE_earmark"))
        .arg("bundle")
        .args(args)
        .current_dir(folder)
        .env("EARMARK_CACHE", folder.join("cache"))
        .env_remove("http_proxy")
        .env_remove("HTTP_PROXY")
        .output()
        .unwrap();
    Ran {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn refused(folder: &Path, args: &[&str]) -> String {
    let ran = run(folder, args);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{ran:?}");
    ran.stderr
}

fn with_bundle() -> TempDir {
    let folder = TempDir::new().unwrap();
    bundles::small_bundle()
        .save(&folder.path().join("small.onnx"))
        .unwrap();
    folder
}

#[test]
fn describe_changes_the_card_and_nothing_else() {
    let folder = with_bundle();
    let card = folder.path().join("card.toml");
    std::fs::write(
        &card,
        "name = 'garden'\ndata = 'own clips'\nmetrics = { accuracy = 0.5 }\n\
         licence = { spdx = 'CC0-1.0' }\n",
    )
    .unwrap();
    let arguments = [
        "describe",
        "small.onnx",
        "--card",
        "card.toml",
        "-o",
        "new.onnx",
    ];
    let ran = run(folder.path(), &arguments);
    assert_eq!(ran.code, 0, "{ran:?}");
    let old = Bundle::open(&folder.path().join("small.onnx")).unwrap();
    let new = Bundle::open(&folder.path().join("new.onnx")).unwrap();
    let (old, new) = (old.metadata(), new.metadata());
    assert_eq!(new.name, "garden");
    assert_eq!(new.description, old.description);
    assert_eq!(new.vocabulary, old.vocabulary);
    assert_eq!(new.provenance.data.as_deref(), Some("own clips"));
    assert_eq!(new.provenance.metrics["accuracy"], 0.5);
    assert_eq!(new.licence.as_ref().unwrap().spdx, "CC0-1.0");
    std::fs::write(&card, "name = 'x'\nauthor = 'me'\n").unwrap();
    let error = refused(folder.path(), &arguments);
    assert!(
        error.contains("card.toml:2: unknown field `author`"),
        "{error}"
    );
}

#[test]
fn info_shows_the_card() {
    let folder = with_bundle();
    let ran = run(folder.path(), &["info", "small.onnx"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let line = |key: &str| {
        let found = ran.stdout.lines().find(|line| line.starts_with(key));
        found
            .unwrap_or_else(|| panic!("no {key} in\n{}", ran.stdout))
            .to_owned()
    };
    assert!(ran.stdout.starts_with("small\n"));
    assert!(
        line("input").ends_with("features at 32000 Hz: 1 channel × 128 bands, 100 frames a second")
    );
    assert!(line("network").contains("mn01, "));
    assert!(line("classes").ends_with("3: Bark · Meow · Chirp"));
    assert!(line("licence").ends_with("not stated"));
    assert!(line("segments").contains("10 s every 10 s"));
    let all = run(folder.path(), &["info", "small.onnx", "--classes"]).stdout;
    assert!(
        all.lines()
            .any(|line| line.trim_start().starts_with("2") && line.ends_with("Chirp"))
    );
}

#[test]
fn info_as_json_is_the_metadata() {
    let folder = with_bundle();
    let ran = run(folder.path(), &["info", "small.onnx", "--format", "json"]);
    let value: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(value["format_version"], 1);
    assert_eq!(value["name"], "small");
    assert_eq!(value["vocabulary"][1]["name"], "Meow");
    assert_eq!(value["segment"]["length_secs"], 10.0);
}

#[test]
fn each_wrong_file_has_its_message() {
    let folder = with_bundle();
    let path = folder.path();
    let whole = std::fs::read(path.join("small.onnx")).unwrap();
    std::fs::write(path.join("cut.onnx"), &whole[..whole.len() / 2]).unwrap();
    std::fs::write(path.join("list.onnx"), "dog.wav\n").unwrap();
    std::fs::write(path.join("empty.onnx"), "").unwrap();
    assert!(
        refused(path, &["info", "cut.onnx"]).starts_with("error: cut.onnx: the file is truncated")
    );
    assert_eq!(
        refused(path, &["info", "list.onnx"]),
        "error: list.onnx: a text file, expected a bundle (.onnx)\n"
    );
    assert!(refused(path, &["info", "empty.onnx"]).contains("the file is empty"));
    let message = refused(path, &["info", "nosuch"]);
    assert!(
        message.contains("nosuch: no such file, and no model is called `nosuch`"),
        "{message}"
    );
    let message = refused(path, &["info", "mn04"]);
    assert!(message.contains("model `mn04` is not in"), "{message}");
    assert!(
        message.ends_with("hint: fetch it: `earmark bundle pull mn04`\n"),
        "{message}"
    );
}

#[test]
fn import_says_what_is_missing() {
    let folder = TempDir::new().unwrap();
    let message = refused(folder.path(), &["import", "none.pt", "-o", "x.onnx"]);
    assert!(message.contains("none.pt"), "{message}");
    std::fs::write(folder.path().join("notes.pt"), "hello").unwrap();
    let message = refused(folder.path(), &["import", "notes.pt", "-o", "x.onnx"]);
    assert!(message.starts_with("error: notes.pt: "), "{message}");
    assert!(!folder.path().join("x.onnx").exists());
}

#[test]
fn a_model_without_a_known_hash_is_not_fetched() {
    let folder = TempDir::new().unwrap();
    let message = refused(folder.path(), &["pull", "mn05"]);
    assert!(
        message.contains("the registry has no SHA-256 for `mn05`"),
        "{message}"
    );
    assert!(
        message
            .contains("hint: if you know the file's hash, `earmark bundle pull mn05 --sha256 HEX`")
    );
    let message = refused(folder.path(), &["pull", "mn05", "--sha256", "12"]);
    assert!(
        message.contains("expected 64 hexadecimal digits"),
        "{message}"
    );
    let message = refused(folder.path(), &["pull", "mn4"]);
    assert!(message.contains("hint: did you mean `mn04`?"), "{message}");
}

#[test]
fn a_model_of_ones_own_registry_is_fetched_and_used_by_name() {
    let bundle = bundles::small_bundle();
    let body = bundle.bytes().to_vec();
    let server = http::Server::start(move |_, request, stream| {
        http::serve(request, stream, &body, "\"a\"");
    });
    let folder = TempDir::new().unwrap();
    let registry = format!(
        "[[model]]\nname = \"pets\"\ndescription = \"Pets\"\nurl = \"{}\"\nsha256 = \"{}\"\n\
         format = \"bundle\"\nlicence = {{ spdx = \"CC0-1.0\" }}\n",
        server.url("/pets.onnx"),
        bundles::sha256(bundle.bytes()),
    );
    std::fs::write(folder.path().join("ours.toml"), registry).unwrap();
    let list = |state: &str| {
        let ran = run(folder.path(), &["list", "--registry", "ours.toml"]);
        assert_eq!(ran.stdout.split_whitespace().nth(3), Some(state), "{ran:?}");
    };
    list("-");
    let ran = run(folder.path(), &["pull", "pets", "--registry", "ours.toml"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stderr.starts_with("fetching http://"), "{ran:?}");
    let path = Path::new(ran.stdout.trim());
    assert_eq!(Bundle::open(path).unwrap().metadata().name, "small");
    list("here");
    drop(server);
    let ran = run(folder.path(), &["pull", "pets", "--registry", "ours.toml"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
    let ran = run(folder.path(), &["info", "pets", "--registry", "ours.toml"]);
    assert!(ran.stdout.starts_with("small\n"), "{ran:?}");
}

#[test]
fn the_list_has_every_public_width() {
    let folder = TempDir::new().unwrap();
    let ran = run(folder.path(), &["list"]);
    let names: Vec<&str> = ran
        .stdout
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    let widths = [
        "mn01", "mn02", "mn04", "mn05", "mn10", "mn20", "mn30", "mn40", "mn40-ext",
    ];
    assert_eq!(names, widths);
    let ran = run(folder.path(), &["list", "--format", "json"]);
    let value: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(value[2]["size"], 4_066_513);
    assert_eq!(value[2]["state"], "absent");
}

#[test]
fn export_writes_a_graph_that_takes_the_waveform() {
    let folder = with_bundle();
    let message = refused(folder.path(), &["export", "small.onnx", "-o", "w.onnx"]);
    assert!(message.contains("--waveform"), "{message}");
    let args = ["export", "small.onnx", "--waveform", "-o", "w.onnx"];
    let ran = run(folder.path(), &args);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, ""), "{ran:?}");
    let ran = run(folder.path(), &["info", "w.onnx"]);
    assert!(ran.stdout.contains("waveform at 32000 Hz"), "{ran:?}");
}
