//! Figures equal the golden ones, and real submissions score what the leaderboard showed. Needs
//! `../shared` beside the checkout, or `EARMARK_SHARED`.

use std::path::Path;

use earmark::eval::challenge::{ScoreOptions, Submission, Truth, score};
use earmark::eval::{self, Scores, Targets, lwlrap};

use crate::support::shared;

/// The raw bytes and the header of an `.npy` file, version 1.
fn npy(path: &Path) -> (String, Vec<u8>) {
    let bytes = std::fs::read(path).unwrap();
    let header = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    (
        String::from_utf8_lossy(&bytes[10..header]).into_owned(),
        bytes[header..].to_vec(),
    )
}

fn f32s(path: &Path) -> Vec<f32> {
    let (header, data) = npy(path);
    assert!(header.contains("<f4"), "{header}");
    data.chunks_exact(4)
        .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
        .collect()
}

fn words(path: &Path) -> Vec<[u8; 8]> {
    npy(path)
        .1
        .chunks_exact(8)
        .map(|b| b.try_into().unwrap())
        .collect()
}

fn expected(folder: &Path, key: &str) -> f64 {
    let text = std::fs::read_to_string(folder.join("expected.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    json[key].as_f64().unwrap()
}

#[test]
fn lwlrap_equals_the_golden_value() {
    let Some(folder) = shared().map(|s| s.join("reference/metrics")) else {
        return;
    };
    let scores = f32s(&folder.join("lwlrap_scores.npy"));
    let targets: Vec<bool> = npy(&folder.join("lwlrap_truth.npy"))
        .1
        .iter()
        .map(|byte| *byte != 0)
        .collect();
    let result = lwlrap(
        Scores::new(&scores, 80).unwrap(),
        Targets::new(&targets, 80).unwrap(),
    )
    .unwrap();
    assert!((result.overall.unwrap() - expected(&folder, "lwlrap")).abs() < 1e-6);
    let per_class = words(&folder.join("lwlrap_per_class.npy"));
    let weights = words(&folder.join("lwlrap_weight.npy"));
    for class in 0..80 {
        let golden = f64::from_le_bytes(per_class[class]);
        assert!(
            (result.per_class[class].unwrap_or(0.0) - golden).abs() < 1e-6,
            "class {class}"
        );
        assert!((result.weights[class] - f64::from_le_bytes(weights[class])).abs() < 1e-6);
    }
}

#[test]
fn single_label_figures_equal_the_golden_values() {
    let Some(folder) = shared().map(|s| s.join("reference/metrics")) else {
        return;
    };
    let scores = f32s(&folder.join("single_scores.npy"));
    let labels: Vec<usize> = words(&folder.join("single_labels.npy"))
        .into_iter()
        .map(|word| i64::from_le_bytes(word) as usize)
        .collect();
    let ranks = eval::ranking::label_ranks(Scores::new(&scores, 41).unwrap(), &labels).unwrap();
    for (got, key) in [
        (eval::accuracy(&ranks), "top1_accuracy"),
        (eval::top_k_error(&ranks, 3), "top3_error"),
        (eval::mean_average_precision_at(&ranks, 3), "map3"),
    ] {
        assert!(
            (got.unwrap() - expected(&folder, key)).abs() < 1e-6,
            "{key}"
        );
    }
}

#[test]
fn real_submissions_score_what_the_leaderboard_showed() {
    let Some(folder) = shared().map(|s| s.join("data/fsdkaggle2018")) else {
        return;
    };
    let truth = Truth::read(&folder.join("test_post_competition.csv")).unwrap();
    for (file, public, private) in [
        (
            "real_submissions/submission_cnn_1d_dropout_v1_30_epochs.csv",
            0.80731,
            0.75353,
        ),
        (
            "real_submissions/submission_cnn_1d_dense_dropout_v1_30_epochs.csv",
            0.77852,
            0.75789,
        ),
        (
            "real_submissions/submission_cnn_1d_max_pool_dense_dropout_v1_30_epochs.csv",
            0.63012,
            0.58147,
        ),
        (
            "real_submissions/submission_dropout_30_epochs.csv",
            0.69546,
            0.68206,
        ),
        ("sample_submission.csv", 0.03544, 0.03516),
    ] {
        let submission = Submission::read(&folder.join(file)).unwrap();
        let card = score(&submission, &truth, &ScoreOptions::default()).unwrap();
        for (part, expected) in card.parts.iter().zip([public, private]) {
            let got = part.map_at_3.unwrap();
            assert_eq!(
                format!("{got:.5}"),
                format!("{expected:.5}"),
                "{file} {}",
                part.name
            );
        }
        let warns = card
            .notes
            .iter()
            .any(|note| note.contains("`Hi-Hat` is no class"));
        // Even the real ones: they took the sample's labels for the three empty clips.
        assert!(warns, "{file}: {:?}", card.notes);
    }
}
