//! Every known data set, as its makers lay it out, is recognised and read into the same kind of list.

use std::path::Path;

use earmark::Error;
use earmark::dataset::{Clip, Folds, Layout, Manifest, Quality, ReadOptions, Split, Vocabulary};

/// Makes files; readers of lists look at names only.
fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = root.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    root
}

fn open(root: &Path, layout: Layout) -> Manifest {
    let manifest = Manifest::open(root).unwrap();
    assert_eq!(manifest.layout, layout);
    manifest
}

fn names(manifest: &Manifest, clip: &Clip) -> Vec<String> {
    let labels = clip.labels.as_ref().unwrap();
    labels
        .iter()
        .map(|label| manifest.vocabulary.name(*label).to_owned())
        .collect()
}

#[test]
fn fsdkaggle2018_from_kaggle_and_from_zenodo() {
    let kaggle = tree(&[
        (
            "train.csv",
            "fname,label,manually_verified\na.wav,Hi-hat,0\nb.wav,Bark,1\n",
        ),
        ("audio_train/a.wav", ""),
        ("audio_train/b.wav", ""),
        ("audio_train/c.wav", ""),
        (
            "sample_submission.csv",
            "fname,label\nt.wav,Laughter Hi-Hat Flute\n",
        ),
        ("audio_test/t.wav", ""),
    ]);
    let set = open(kaggle.path(), Layout::Fsdkaggle2018);
    assert_eq!(
        set.vocabulary.names().collect::<Vec<_>>(),
        ["Bark", "Hi-hat"]
    );
    assert_eq!(set.clips[0].quality, Quality::Noisy);
    assert_eq!(set.clips[1].quality, Quality::Curated);
    assert_eq!(
        (set.clips[2].split, &set.clips[2].labels),
        (Split::Test, &None)
    );
    assert_eq!(set.unlisted, [kaggle.path().join("audio_train/c.wav")]);
    assert_eq!(set.missing(), [] as [usize; 0]);

    let zenodo = tree(&[
        (
            "FSDKaggle2018.meta/train_post_competition.csv",
            "fname,label,manually_verified,freesound_id,license\na.wav,Hi-hat,0,28739,CC0\n",
        ),
        (
            "FSDKaggle2018.meta/test_post_competition_scoring_clips.csv",
            "fname,label,usage,freesound_id,license\nt.wav,Hi-hat,Public,5,CC0\n",
        ),
        ("FSDKaggle2018.audio_train/a.wav", ""),
        ("FSDKaggle2018.audio_test/t.wav", ""),
    ]);
    let set = open(zenodo.path(), Layout::Fsdkaggle2018);
    assert_eq!(set.clips[0].source.as_deref(), Some("freesound:28739"));
    assert_eq!(set.clips[1].labels, Some(vec![0]));
    assert_eq!(set.missing(), [] as [usize; 0]);
}

#[test]
fn fsdkaggle2019_with_its_drop_list() {
    let root = tree(&[
        (
            "train_curated.csv",
            "fname,labels\na.wav,\"Bark,Gong\"\nf76181c4.wav,Bark\nb.wav,Meow\n",
        ),
        ("train_noisy.csv", "fname,labels\nn.wav,\"Gong,Meow\"\n"),
        (
            "sample_submission.csv",
            "fname,Meow,Bark,Gong\nt.wav,0,0,0\n",
        ),
        ("train_curated/a.wav", ""),
        ("train_curated/b.wav", ""),
        ("train_noisy/n.wav", ""),
        ("test/t.wav", ""),
    ]);
    let set = open(root.path(), Layout::Fsdkaggle2019);
    // The order of the submission's columns, not of names.
    assert_eq!(
        set.vocabulary.names().collect::<Vec<_>>(),
        ["Meow", "Bark", "Gong"]
    );
    assert_eq!(
        set.dropped,
        [("f76181c4.wav".to_owned(), "wrong label".to_owned())]
    );
    assert_eq!(names(&set, &set.clips[0]), ["Bark", "Gong"]);
    assert!(set.is_multi_label());
    assert_eq!(set.clips[2].quality, Quality::Noisy);
    assert_eq!(set.clips.len(), 4);
    let options = ReadOptions {
        drop_known_bad: false,
        ..Default::default()
    };
    assert_eq!(
        Manifest::open_with(root.path(), &options)
            .unwrap()
            .clips
            .len(),
        5
    );
}

#[test]
fn esc10_and_esc50() {
    let esc10 = tree(&[
        ("001 - Dog bark/1-100032-A.ogg", ""),
        ("001 - Dog bark/2-122104-B.ogg", ""),
        ("010 - Fire crackling/5-4-A.ogg", ""),
        ("README.md", ""),
    ]);
    let set = open(esc10.path(), Layout::Esc10);
    assert_eq!(
        set.vocabulary.names().collect::<Vec<_>>(),
        ["Dog bark", "Fire crackling"]
    );
    assert_eq!(
        set.clips.iter().map(|clip| clip.fold).collect::<Vec<_>>(),
        [Some(0), Some(1), Some(4)]
    );
    assert_eq!(set.clips[1].source.as_deref(), Some("freesound:122104"));

    let esc50 = tree(&[
        (
            "meta/esc50.csv",
            "filename,fold,target,category,esc10,src_file,take\n\
             1-100038-A-14.wav,1,1,chirping_birds,False,100038,A\n\
             1-100210-A-36.wav,1,0,vacuum_cleaner,False,100210,A\n",
        ),
        ("audio/1-100038-A-14.wav", ""),
        ("audio/1-100210-A-36.wav", ""),
    ]);
    let set = open(esc50.path(), Layout::Esc50);
    assert_eq!(
        set.vocabulary.names().collect::<Vec<_>>(),
        ["vacuum_cleaner", "chirping_birds"]
    );
    assert_eq!((set.clips[0].fold, set.missing().len()), (Some(0), 0));
}

#[test]
fn urban_sound_fsd50k_and_audio_set() {
    let urban = tree(&[
        (
            "metadata/UrbanSound8K.csv",
            "slice_file_name,fsID,start,end,salience,fold,classID,class\n\
             100032-3-0-0.wav,100032,0.0,0.317551,1,5,3,dog_bark\n\
             1-0-0-0.wav,1,0,4,1,10,0,air_conditioner\n",
        ),
        ("audio/fold5/100032-3-0-0.wav", ""),
        ("audio/fold10/1-0-0-0.wav", ""),
    ]);
    let set = open(urban.path(), Layout::Urbansound8k);
    assert_eq!(
        (set.clips[0].fold, set.clips[0].stretch_secs),
        (Some(4), None)
    );
    assert_eq!(names(&set, &set.clips[0]), ["dog_bark"]);
    assert_eq!(set.missing().len(), 0);

    let fsd = tree(&[
        (
            "FSD50K.ground_truth/dev.csv",
            "fname,labels,mids,split\n64760,\"Guitar,Music\",\"/m/1,/m/2\",train\n7,Bark,/m/3,val\n",
        ),
        (
            "FSD50K.ground_truth/eval.csv",
            "fname,labels,mids\n37199,Bark,/m/3\n",
        ),
        (
            "FSD50K.ground_truth/vocabulary.csv",
            "0,Bark,/m/3\n1,Guitar,/m/1\n2,Music,/m/2\n",
        ),
        ("FSD50K.dev_audio/64760.wav", ""),
        ("FSD50K.dev_audio/7.wav", ""),
        ("FSD50K.eval_audio/37199.wav", ""),
    ]);
    let set = open(fsd.path(), Layout::Fsd50k);
    let splits: Vec<Split> = set.clips.iter().map(|clip| clip.split).collect();
    assert_eq!(splits, [Split::Train, Split::Validation, Split::Test]);
    assert_eq!(names(&set, &set.clips[0]), ["Guitar", "Music"]);
    assert_eq!(set.vocabulary.index_of_id("/m/2"), Some(2));

    let audio_set = tree(&[
        (
            "eval_segments.csv",
            "# Segments csv created Sun Mar  5 10:54:25 2017\n\
             # num_ytids=2, num_segs=2\n\
             # YTID, start_seconds, end_seconds, positive_labels\n\
             --4gqARaEJE, 0.000, 10.000, \"/m/068hy,/m/0bt9lr\"\n\
             --BfvyPmVMo, 20.000, 30.000, \"/m/03l9g\"\n",
        ),
        ("audio/Y--4gqARaEJE.wav", ""),
        ("audio/--BfvyPmVMo_20.000.flac", ""),
    ]);
    let set = open(audio_set.path(), Layout::Audioset);
    assert_eq!(set.vocabulary.len(), 527);
    assert_eq!(
        names(&set, &set.clips[0]),
        ["Domestic animals, pets", "Dog"]
    );
    assert_eq!((set.clips[0].split, set.missing().len()), (Split::Test, 0));
}

#[test]
fn folders_with_negatives_and_splits() {
    let plain = tree(&[
        ("dog/a.wav", ""),
        ("dog/deeper/b.flac", ""),
        ("cat/c.mp3", ""),
        ("_background/rain.wav", ""),
        ("noise/hum.wav", ""),
        ("empty/readme.txt", ""),
        ("loose.wav", ""),
    ]);
    let set = open(plain.path(), Layout::Folders);
    assert_eq!(set.vocabulary.names().collect::<Vec<_>>(), ["cat", "dog"]);
    assert_eq!(
        set.clips.iter().filter(|clip| clip.is_negative()).count(),
        2
    );
    assert_eq!(set.unlisted, [plain.path().join("loose.wav")]);
    assert_eq!(set.notes, ["folder `empty` holds no audio and is no class"]);

    let split = tree(&[
        ("train/dog/a.wav", ""),
        ("train/cat/b.wav", ""),
        ("test/dog/c.wav", ""),
    ]);
    let set = open(split.path(), Layout::Folders);
    assert_eq!(set.clips[0].split, Split::Test);
    assert_eq!(set.vocabulary.len(), 2);
}

#[test]
fn plain_tables_with_every_column() {
    let root = tree(&[
        (
            "labels.csv",
            "path,label,fold,weight,start,end,source\n\
             a.wav,dog;cat,1,0.5,1.5,3,rec1\n\
             b.wav,\"bird, small\",2,,,,rec2\n\
             c.wav,_background,1,,,,\n",
        ),
        ("audio/a.wav", ""),
        ("b.wav", ""),
    ]);
    let set = open(root.path(), Layout::Table);
    assert_eq!(
        set.vocabulary.names().collect::<Vec<_>>(),
        ["bird, small", "cat", "dog"]
    );
    let clip = &set.clips[0];
    assert_eq!(
        (clip.fold, clip.weight, clip.stretch_secs),
        (Some(0), 0.5, Some((1.5, 3.0)))
    );
    assert_eq!(clip.path, root.path().join("audio/a.wav"));
    assert!(set.clips[2].is_negative());
    assert_eq!(set.missing(), [2]);
    // The table itself can be named, and other separators work.
    let tsv = tree(&[("my.tsv", "file\ttags\nx.wav\tdog, cat\n")]);
    let set = Manifest::open(&tsv.path().join("my.tsv")).unwrap();
    assert_eq!(names(&set, &set.clips[0]), ["cat", "dog"]);
}

#[test]
fn a_table_apart_from_the_audio_lists_labelled_and_unlabelled_clips() {
    let audio = tree(&[("a/x.wav", ""), ("b/y.wav", ""), ("b/z.wav", "")]);
    let lists = tree(&[(
        "lists/folds.csv",
        "path,label,fold,split\na/x.wav,dog,0,train\nb/y.wav,_unlabelled,,train\n\
         b/z.wav,_background,,test\n",
    )]);
    let options = ReadOptions {
        table: Some(lists.path().join("lists/folds.csv")),
        ..Default::default()
    };
    let set = Manifest::open_with(audio.path(), &options).unwrap();
    assert_eq!(set.layout, Layout::Table);
    assert_eq!(set.vocabulary.names().collect::<Vec<_>>(), ["dog"]);
    assert_eq!(set.clips[0].path, audio.path().join("a/x.wav"));
    assert_eq!(set.clips[1].labels, None);
    assert!(set.clips[2].is_negative());
    assert!(set.missing().is_empty());
    let empty = tree(&[("folds.csv", "path,label\n")]);
    let options = ReadOptions {
        table: Some(empty.path().join("folds.csv")),
        ..Default::default()
    };
    let error = Manifest::open_with(audio.path(), &options).unwrap_err();
    assert!(error.to_string().contains("no clips"), "{error}");
}

#[test]
fn rows_that_do_not_fit_are_named_with_their_line() {
    let message = |table: &str| {
        let root = tree(&[("clips.csv", table)]);
        let error = Manifest::open(root.path()).unwrap_err().to_string();
        error.replace(&root.path().display().to_string(), "DIR")
    };
    assert_eq!(
        message("path,label\na.wav,dog\nb.wav,\n"),
        "DIR/clips.csv:3: no label, expected a class, or `_background` for none of them"
    );
    assert_eq!(
        message("path,label\na.wav\n"),
        "DIR/clips.csv:2: 1 fields, expected 2"
    );
    assert_eq!(
        message("path,label,weight\na.wav,dog,-1\n"),
        "DIR/clips.csv:2: weight is -1, expected a number of at least 0"
    );
    assert_eq!(
        message("path,label,start,end\na.wav,dog,3,2\n"),
        "DIR/clips.csv:2: stretch from 3 to 2 s, expected 0 ≤ start < end"
    );
    assert_eq!(
        message("path,label,split\na.wav,dog,later\n"),
        "DIR/clips.csv:2: split is `later`, expected train, validation or test"
    );
}

#[test]
fn an_unknown_label_gets_a_suggestion_and_its_line() {
    let root = tree(&[("train.csv", "path,label\na.wav,Bark\nb.wav,Barkk\n")]);
    let options = ReadOptions {
        vocabulary: Some(Vocabulary::from_names(["Bark", "Meow"]).unwrap()),
        ..Default::default()
    };
    let error = Manifest::open_with(root.path(), &options).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("train.csv:3: label `Barkk` is not in the vocabulary (2 classes)"),
        "{error}"
    );
    assert_eq!(error.hint().as_deref(), Some("did you mean `Bark`?"));
}

#[test]
fn a_folder_of_something_else_says_what_is_there() {
    let root = tree(&[("notes.txt", ""), ("a.wav", "")]);
    let error = Manifest::open(root.path()).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("0 folders, 1 audio files and 1 other files at the top, expected"),
        "{error}"
    );
    assert!(matches!(
        Manifest::open(Path::new("no such folder")),
        Err(Error::Missing { .. })
    ));
}

#[test]
fn digests_tell_lists_apart() {
    let digest = |table: &str| {
        let root = tree(&[("clips.csv", table)]);
        Manifest::open(root.path()).unwrap().digest()
    };
    let first = digest("path,label\na.wav,dog\nb.wav,cat\n");
    // Wherever the folder lies.
    assert_eq!(first, digest("path,label\na.wav,dog\nb.wav,cat\n"));
    assert_ne!(first, digest("path,label\na.wav,dog\nb.wav,dog\n"));
    assert_ne!(
        first,
        digest("path,label,weight\na.wav,dog,1\nb.wav,cat,0.5\n")
    );
}

#[test]
fn folds_of_the_makers_are_kept() {
    let root = tree(&[
        ("001 - Dog bark/1-1-A.ogg", ""),
        ("001 - Dog bark/2-2-A.ogg", ""),
        ("002 - Rain/1-3-A.ogg", ""),
        ("002 - Rain/2-4-A.ogg", ""),
    ]);
    let set = Manifest::open(root.path()).unwrap();
    let folds = Folds::automatic(&set, 5, 0).unwrap();
    assert_eq!(folds.len(), 2);
    assert_eq!(folds.validation(0), [0, 2]);
    assert_eq!(folds.training(&set, 0), [1, 3]);
    assert!(folds.problems(&set).is_empty());
}
