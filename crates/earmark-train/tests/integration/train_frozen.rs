//! A graph of another program is a frozen embedder: a probe or a head is trained on it, and the bundle
//! in the end is one graph that gives the scores that training gave.

use std::error::Error;
use std::path::{Path, PathBuf};

use crate::common::max_difference;
use crate::common::tones::write_tones;
use burn::tensor::Device;
use earmark::bundle::{Bundle, Metadata, Origin, Provenance, SegmentConfig, onnx};
use earmark::dataset::Vocabulary;
use earmark::features::FrontEndConfig;
use earmark::model::efficient_at;
use earmark::tagger::{Tagger, TaggerOptions};
use earmark_train::network::Network;
use earmark_train::observer::Silent;
use earmark_train::{DeviceChoice, RunConfig, RunOptions, RunResult, run};

type Outcome = Result<(), Box<dyn Error>>;

/// A clip's name and its scores by class.
type Row = (String, Vec<f32>);

/// A bundle that says nothing of its blocks, as one of another program: 30 classes, random weights.
fn foreign(folder: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let architecture = efficient_at(0.1, 30);
    let weights = Network::new(&architecture, 5, &Device::flex())?.weights()?;
    let graph = onnx::encode(&onnx::build(&architecture, &weights)?);
    let names = (0..30).map(|class| format!("old class {class}"));
    let metadata = Metadata::new(
        "foreign",
        FrontEndConfig::efficient_at(),
        Vocabulary::from_names(names)?,
        SegmentConfig::efficient_at(),
        Provenance::new(Origin::Wrapped),
    );
    let path = folder.join("foreign.onnx");
    Bundle::new("foreign.onnx", &graph, metadata)?.save(&path)?;
    Ok(path)
}

fn config(sounds: &Path, init: &Path, scope: &str) -> earmark::Result<RunConfig> {
    let text = format!(
        "[data]\npath = '{}'\nn_folds = 2\n[model]\ninit = '{}'\nhidden = 8\n\
         [train]\nepochs = 20\nbatch_size = 4\nlearning_rate = 1e-2\n{scope}",
        sounds.display(),
        init.display()
    );
    RunConfig::parse("run.toml", &text, &[])
}

fn train(config: &RunConfig, directory: &Path) -> earmark::Result<RunResult> {
    let options = RunOptions {
        directory: directory.to_owned(),
        device: DeviceChoice::Cpu,
    };
    run(config, &options, &(), &mut Silent)
}

/// The scores of a run's validation clips: name and one score per class.
fn scores(directory: &Path) -> Result<Vec<Row>, Box<dyn Error>> {
    let table = std::fs::read_to_string(directory.join("scores.csv"))?;
    let row = |line: &str| -> Result<Row, Box<dyn Error>> {
        let mut fields = line.split(',');
        let name = fields.next().unwrap_or_default().to_owned();
        let scores = fields.skip(1).map(str::parse).collect::<Result<_, _>>()?;
        Ok((name, scores))
    };
    table.lines().skip(1).map(row).collect()
}

#[test]
fn probe_and_head_end_in_one_graph_with_the_scores_of_training() -> Outcome {
    let folder = tempfile::tempdir()?;
    let sounds = folder.path().join("sounds");
    write_tones(&sounds, 6)?;
    let init = foreign(folder.path())?;
    for scope in ["probe", "head"] {
        let config = config(&sounds, &init, &format!("scope = '{scope}'"))?;
        let directory = folder.path().join(scope);
        let result = train(&config, &directory)?;
        let bundle = Bundle::open(&result.bundles[0])?;
        let classes: Vec<&str> = bundle.metadata().vocabulary.names().collect();
        assert_eq!(classes, ["high", "low"]);
        assert!(bundle.metadata().architecture.is_none());
        let tagger = Tagger::from_bundle(&bundle, &TaggerOptions::default())?;
        let judged = scores(&directory)?;
        assert_eq!(judged.len(), 6);
        let mut n_right = 0;
        for (name, expected) in judged {
            let found = &tagger.tag(sounds.join(&name).as_path())?[0].scores;
            let error = max_difference(found, &expected);
            assert!(error < 1e-3, "{scope}: {name}: {found:?} {expected:?}");
            n_right += usize::from((found[0] > found[1]) == name.starts_with("high"));
        }
        // A few steps of a head on random embeddings prove nothing; the probe is exact.
        assert!(scope == "head" || n_right >= 5, "{scope}: {n_right} of 6");
        // The old classes' weights are gone.
        let old = Bundle::open(&init)?;
        assert!(scope == "head" || bundle.bytes().len() < old.bytes().len());
    }
    Ok(())
}

#[test]
fn what_a_frozen_graph_cannot_do_is_refused() -> Outcome {
    let folder = tempfile::tempdir()?;
    let sounds = folder.path().join("sounds");
    write_tones(&sounds, 2)?;
    let init = foreign(folder.path())?;
    let message = |extra: &str| -> Result<String, Box<dyn Error>> {
        let config = config(&sounds, &init, extra)?;
        Ok(match train(&config, &folder.path().join("run")) {
            Ok(_) => String::new(),
            Err(error) => error.to_string(),
        })
    };
    let error = message("")?;
    assert!(error.starts_with("train.scope is"), "{error}");
    let error = message("scope = 'probe'\n[augment]\nfeatures = [{ kind = 'time-shift' }]")?;
    assert!(error.starts_with("augment is not empty"), "{error}");
    let error = message("scope = 'probe'\n[features]\npreset = 'doshi'")?;
    assert!(
        error.starts_with("features is another front end"),
        "{error}"
    );
    Ok(())
}
