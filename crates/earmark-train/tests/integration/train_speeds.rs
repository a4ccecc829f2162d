//! Clips at several speeds: what a run judges is what the tagger says, and a probe that hears a clip at
//! another speed has heard what a file played at that speed holds.

use std::error::Error;
use std::path::Path;

use crate::common::tones::{SAMPLE_RATE, hiss, tone, write_tones, write_wav};
use earmark::audio::{PlaybackSpeed, wav};
use earmark::tagger::{Tagger, TaggerOptions};
use earmark_train::observer::Silent;
use earmark_train::{DeviceChoice, RunConfig, RunOptions, RunResult, run};

type Outcome = Result<(), Box<dyn Error>>;

fn train(folder: &Path, directory: &Path, tables: &str) -> Result<RunResult, Box<dyn Error>> {
    let text = format!(
        "data.path = '{}'\nmodel.architecture = 'cnn6-4'\n{tables}",
        folder.display()
    );
    let options = RunOptions {
        directory: directory.to_owned(),
        device: DeviceChoice::Cpu,
    };
    let config = RunConfig::parse("run.toml", &text, &[])?;
    Ok(run(&config, &options, &(), &mut Silent)?)
}

#[test]
fn a_run_is_judged_at_the_speeds_at_which_its_bundle_hears() -> Outcome {
    let folder = tempfile::tempdir()?;
    let sounds = folder.path().join("sounds");
    write_tones(&sounds, 6)?;
    // Of several segments at every speed but the fastest, whose last one is padded.
    let tables = "data.n_folds = 2\n\
        data.segment = { length_secs = 0.7, hop_secs = 0.7, min_secs = 0.4, speeds = [0.62, 1.31, 3.9] }\n\
        train.epochs = 2\ntrain.batch_size = 4\n";
    let directory = folder.path().join("run");
    let result = train(&sounds, &directory, tables)?;
    let tagger = Tagger::open(&result.bundles[0], &TaggerOptions::default())?;
    assert_eq!(tagger.segment().speeds.len(), 3);
    let scores = std::fs::read_to_string(directory.join("scores.csv"))?;
    let (mut n_clips, mut changed) = (0, 0.0_f32);
    for line in scores.lines().skip(1) {
        let mut fields = line.split(',');
        let clip = fields.next().unwrap_or_default();
        let judged: Vec<f32> = fields.filter_map(|field| field.parse().ok()).collect();
        let path = sounds.join(clip);
        let heard = &tagger.tag(path.as_path())?[0].scores;
        let own = TaggerOptions {
            speeds: Some(Vec::new()),
            ..TaggerOptions::default()
        };
        let plain = &Tagger::open(&result.bundles[0], &own)?.tag(path.as_path())?[0].scores;
        for (judged, heard) in judged[judged.len() - 2..].iter().zip(heard) {
            assert!(
                (judged - heard).abs() < 1e-4,
                "{clip}: {judged} and {heard}"
            );
        }
        changed = changed.max((heard[0] - plain[0]).abs());
        n_clips += 1;
    }
    assert_eq!(n_clips, 6);
    assert!(changed > 1e-3, "other speeds change nothing: {changed}");
    Ok(())
}

#[test]
fn a_probe_hears_what_a_file_at_the_speed_holds() -> Outcome {
    let folder = tempfile::tempdir()?;
    let [once, twice] = ["once", "twice"].map(|name| folder.path().join(name));
    let speed = PlaybackSpeed::new(1.25)?;
    for clip in 0..6u16 {
        let rise = 1.0 + 0.07 * f32::from(clip);
        let noisy = |hz: f32| -> Vec<f32> {
            let noise = hiss(u32::from(clip), 0.3);
            let both = tone(hz * rise).zip(noise).map(|(a, b)| a + b);
            both.take(SAMPLE_RATE as usize).collect()
        };
        for (class, hz) in [("low", 900.0), ("high", 1_300.0)] {
            let samples = noisy(hz);
            let played = speed.play(&samples)?;
            for set in [&once, &twice] {
                std::fs::create_dir_all(set.join(class))?;
                let path = set.join(format!("{class}/{clip}.wav"));
                std::fs::write(path, wav::float(&samples, SAMPLE_RATE))?;
            }
            let path = twice.join(format!("{class}/{clip} played.wav"));
            std::fs::write(path, wav::float(&played, SAMPLE_RATE))?;
        }
    }
    let start = "data.validate = 'none'\ntrain.epochs = 1\ntrain.batch_size = 4\n";
    let start = train(&once, &folder.path().join("start"), start)?;
    let probe = format!(
        "data.validate = 'none'\ntrain.scope = 'probe'\nmodel.init = '{}'\n",
        start.bundles[0].display()
    );
    // A clip's views share its weight, so that twice as many clips outweigh twice the penalty.
    let played = format!("{probe}model.probe_speeds = [1.25]\nmodel.probe_l2 = 0.1\n");
    let copied = format!("{probe}model.probe_l2 = 0.2\n");
    let plain = format!("{probe}model.probe_l2 = 0.1\n");
    let unseen = folder.path().join("unseen.wav");
    write_wav(&unseen, tone(1_200.0).zip(hiss(9, 0.3)).map(|(a, b)| a + b))?;
    let score = |set: &Path, name: &str, tables: &str| -> Result<f32, Box<dyn Error>> {
        let result = train(set, &folder.path().join(name), tables)?;
        let tagger = Tagger::open(&result.bundles[0], &TaggerOptions::default())?;
        Ok(tagger.tag(unseen.as_path())?[0].scores[0])
    };
    let found = score(&once, "played", &played)?;
    let expected = score(&twice, "copied", &copied)?;
    assert!((found - expected).abs() < 1e-3, "{found}, {expected}");
    let without = score(&once, "plain", &plain)?;
    assert!((found - without).abs() > 1e-2, "{found}, {without}");
    Ok(())
}

#[test]
fn settings_of_a_probe_where_there_is_none_are_refused() {
    for setting in ["layers = 'all'", "l2 = 3.0", "speeds = [0.8]"] {
        let text = format!("data.path = 'sounds'\nmodel.probe_{setting}\n");
        let error = RunConfig::parse("run.toml", &text, &[]).map(|_| ());
        let error = error.map_err(|error| error.to_string()).unwrap_err();
        assert!(error.contains("train.scope must be `probe`"), "{error}");
    }
}
