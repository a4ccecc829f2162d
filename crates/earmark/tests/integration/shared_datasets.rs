//! Real data sets are read as their makers describe them. Needs `../shared` beside the checkout, or
//! `EARMARK_SHARED`.

use earmark::dataset::{Folds, Layout, Manifest, Quality, check};

use crate::support::shared;

#[test]
fn esc10_has_400_clips_in_its_five_folds() {
    let Some(root) = shared().map(|s| s.join("data/esc10")) else {
        return;
    };
    let set = Manifest::open(&root).unwrap();
    assert_eq!(
        (set.layout, set.clips.len(), set.vocabulary.len()),
        (Layout::Esc10, 400, 10)
    );
    assert_eq!(set.missing().len() + set.unlisted.len(), 0);
    let folds = Folds::given(&set).unwrap();
    for fold in 0..5 {
        assert_eq!(folds.validation(fold).len(), 80);
        assert_eq!(folds.training(&set, fold).len(), 320);
    }
    // The makers promise that clips of one source are in a single fold.
    assert!(folds.torn_sources(&set).is_empty());
    let problems = check::check(&set);
    assert!(
        problems
            .iter()
            .all(|problem| problem.level < check::Level::Error),
        "{problems:?}"
    );
}

#[test]
fn fsdkaggle2018_has_its_counts() {
    let Some(root) = shared().map(|s| s.join("data/fsdkaggle2018")) else {
        return;
    };
    let mut set = Manifest::open(&root).unwrap();
    assert_eq!((set.layout, set.clips.len()), (Layout::Fsdkaggle2018, 9473));
    assert_eq!(set.vocabulary.len(), 41);
    let curated = set
        .clips
        .iter()
        .filter(|clip| clip.quality == Quality::Curated)
        .count();
    assert_eq!(curated, 3710);
    let missing = set.remove_missing();
    assert_eq!((missing.len(), set.clips.len()), (9272, 201));
    set.retain(|clip| clip.labels != Some(vec![5]) || clip.name != "54fe9d83.wav");
    let folds = Folds::by_hash(&set, 5).unwrap();
    assert!((0..5).all(|fold| folds.validation(fold).len() >= 40));
}

#[test]
fn fsdkaggle2019_has_its_counts() {
    let Some(root) = shared().map(|s| s.join("data/fsdkaggle2019")) else {
        return;
    };
    let set = Manifest::open(&root).unwrap();
    assert_eq!(
        (set.layout, set.vocabulary.len()),
        (Layout::Fsdkaggle2019, 80)
    );
    assert_eq!(set.dropped.len(), 5);
    let noisy = set
        .clips
        .iter()
        .filter(|clip| clip.quality == Quality::Noisy)
        .count();
    assert_eq!((set.clips.len() - noisy, noisy), (4965, 19_815));
    let folds = Folds::stratified(&set, 5, 0).unwrap();
    // 80 classes of 300 noisy labels and 75 curated ones: every fold gets close to a fifth of each.
    for class in 0..80 {
        let with_class = |fold: usize| {
            let clips = folds.validation(fold);
            clips
                .iter()
                .filter(|at| set.clips[**at].labels.as_ref().unwrap().contains(&class))
                .count()
        };
        let counts: Vec<usize> = (0..5).map(with_class).collect();
        let (low, high) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
        assert!(high - low <= 2, "class {class}: {counts:?}");
    }
}

#[test]
fn the_table_of_more_sounds_finds_its_folder() {
    let Some(root) = shared().map(|s| s.join("data/more")) else {
        return;
    };
    let set = Manifest::open(&root).unwrap();
    assert_eq!(
        (set.layout, set.clips.len(), set.missing().len()),
        (Layout::Table, 272, 0)
    );
    assert_eq!(set.unlisted.len(), 988);
}
