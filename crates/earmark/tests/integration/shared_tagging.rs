//! Real recordings through the whole road with mn04: figures on FSDKaggle2018 without training, and
//! spot checks on ESC-10.

use std::path::{Path, PathBuf};

use crate::support::shared;
use earmark::audio::Source;
use earmark::bundle::{ImportOptions, import_weights};
use earmark::dataset::Vocabulary;
use earmark::eval::mean_average_precision_at;
use earmark::tagger::{RunEvent, RunOptions, Tagger, TaggerOptions};

fn mn04(shared: &Path) -> Tagger {
    let weights = shared.join("weights/mn04/mn04_as_mAP_432.pt");
    let bundle = import_weights(&weights, &ImportOptions::default()).unwrap();
    Tagger::from_bundle(&bundle, &TaggerOptions::default()).unwrap()
}

/// The scores of every file, in order; a file that fails fails the test.
fn scores(tagger: &Tagger, files: &[PathBuf]) -> Vec<Vec<f32>> {
    let sources = files.iter().cloned().map(Source::Path);
    let mut scores = Vec::new();
    let outcome = tagger.run(sources, &RunOptions::default(), |event| match event {
        RunEvent::Finished { clips, .. } => {
            scores.push(clips[0].scores.clone());
            Ok(())
        }
        RunEvent::Failed { error, .. } => Err(error),
        _ => Ok(()),
    });
    outcome.unwrap();
    scores
}

/// The rank of a class, from 1; equal scores count for it.
fn rank_of(scores: &[f32], class: usize) -> usize {
    1 + scores
        .iter()
        .filter(|&&score| score > scores[class])
        .count()
}

fn files_in(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// The columns of a CSV file with a header, by name.
fn columns<const N: usize>(path: &Path, names: [&str; N]) -> Vec<[String; N]> {
    let mut reader = csv::Reader::from_path(path).unwrap();
    let headers = reader.headers().unwrap().clone();
    let at = names.map(|name| headers.iter().position(|header| header == name).unwrap());
    reader
        .records()
        .map(|record| {
            let record = record.unwrap();
            at.map(|column| record[column].to_owned())
        })
        .collect()
}

/// Each label of FSDKaggle2018 and its class in AudioSet.
fn mapping() -> Vec<[String; 3]> {
    let table = "../../configs/fsdkaggle2018_from_audioset.csv";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(table);
    columns(&path, ["label", "class", "class_id"])
}

#[test]
fn every_label_has_the_class_of_its_id() {
    let vocabulary = Vocabulary::audio_set();
    let mapping = mapping();
    assert_eq!(
        mapping.len(),
        40,
        "all 41 labels but the oboe, which AudioSet does not have"
    );
    for [_, class, id] in mapping {
        assert_eq!(
            vocabulary.index_of(&class),
            vocabulary.index_of_id(&id),
            "{class}"
        );
        assert!(vocabulary.index_of(&class).is_some(), "{class}");
    }
}

/// The original network has .826 on a superset of these clips.
#[test]
fn labels_of_fsdkaggle2018_are_found_without_training() {
    let Some(shared) = shared() else { return };
    let data = shared.join("data/fsdkaggle2018");
    let tagger = mn04(&shared);
    let files = files_in(&data.join("audio_train"));
    let truth = columns(&data.join("train_post_competition.csv"), ["fname", "label"]);
    let label_of = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap();
        truth.iter().find(|[file, _]| file == name).unwrap()[1].clone()
    };
    let labels: Vec<String> = files.iter().map(label_of).collect();
    let mut known = labels.clone();
    known.sort();
    known.dedup();
    assert_eq!(known.len(), 10);
    let mapping = mapping();
    let class_of = |label: &String| {
        let [_, class, _] = mapping.iter().find(|[l, _, _]| l == label).unwrap();
        tagger.vocabulary().index_of(class).unwrap()
    };
    let classes: Vec<usize> = known.iter().map(class_of).collect();
    let ranks: Vec<usize> = scores(&tagger, &files)
        .iter()
        .zip(&labels)
        .map(|(scores, label)| {
            let of_labels: Vec<f32> = classes.iter().map(|&class| scores[class]).collect();
            rank_of(&of_labels, known.iter().position(|k| k == label).unwrap())
        })
        .collect();
    let map = mean_average_precision_at(&ranks, 3).unwrap();
    println!("MAP@3 on {} clips: {map:.4}", files.len());
    assert!(map >= 0.80, "MAP@3 is {map:.4}, expected at least 0.80");
}

/// Class by class: how many of the first ten clips have the expected class among their best five.
#[test]
fn dogs_roosters_and_chainsaws_are_named() {
    let Some(shared) = shared() else { return };
    let tagger = mn04(&shared);
    for (folder, class, at_least) in [
        ("001 - Dog bark", "Dog", 9),
        ("002 - Rain", "Rain", 7),
        ("004 - Baby cry", "Baby cry, infant cry", 8),
        ("005 - Clock tick", "Tick-tock", 8),
        ("006 - Person sneeze", "Sneeze", 8),
        ("008 - Chainsaw", "Chainsaw", 5),
        ("009 - Rooster", "Crowing, cock-a-doodle-doo", 9),
    ] {
        let mut files = files_in(&shared.join("data/esc10").join(folder));
        files.truncate(10);
        let index = tagger.vocabulary().index_of(class).unwrap();
        let scores = scores(&tagger, &files);
        let named = scores.iter().filter(|row| rank_of(row, index) <= 5).count();
        println!("{class}: {named} of {}", files.len());
        assert!(named >= at_least, "{class}: {named} of {}", files.len());
    }
}
