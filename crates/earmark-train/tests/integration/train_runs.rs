//! Promises of whole runs on folders of sounds: negatives stay silent, runs repeat, copies and lone
//! clips are dealt with, augmentation finds its sounds, learning rates are found.

use std::error::Error;
use std::path::Path;

use crate::common::tones::{hiss, tone, write_tones, write_wav};
use earmark::tagger::{Tagger, TaggerOptions};
use earmark_train::observer::{Observer, Silent};
use earmark_train::range_test::RangeTestConfig;
use earmark_train::run::Survey;
use earmark_train::{DeviceChoice, RunConfig, RunOptions, RunResult, find_learning_rate, run};

type Outcome = Result<(), Box<dyn Error>>;

fn config(folder: &Path, extra: &str) -> earmark::Result<RunConfig> {
    let text = format!(
        "[data]\npath = '{}'\nn_folds = 2\n[model]\narchitecture = 'cnn6-4'\n\
         [train]\nepochs = 2\nbatch_size = 4\n{extra}",
        folder.display()
    );
    RunConfig::parse("run.toml", &text, &[])
}

fn options(directory: &Path) -> RunOptions {
    RunOptions {
        directory: directory.to_owned(),
        device: DeviceChoice::Cpu,
    }
}

fn train(config: &RunConfig, directory: &Path) -> earmark::Result<RunResult> {
    run(config, &options(directory), &(), &mut Silent)
}

fn read(directory: &Path, name: &str) -> std::io::Result<String> {
    std::fs::read_to_string(directory.join(name))
}

#[test]
fn negatives_are_trained_never_output_and_unseen_noise_scores_low() -> Outcome {
    let folder = tempfile::tempdir()?;
    let sounds = folder.path().join("sounds");
    write_tones(&sounds, 10)?;
    for clip in 0..4u32 {
        let level = 0.1 + 0.1 * clip as f32;
        write_wav(
            &sounds.join(format!("noise/{clip}.wav")),
            hiss(clip + 1, level),
        )?;
        write_wav(
            &sounds.join(format!("_background/{clip}.wav")),
            hiss(clip + 20, level),
        )?;
        write_wav(
            &sounds.join(format!("silence/{clip}.wav")),
            hiss(clip + 40, 1e-3),
        )?;
    }
    let config = config(&sounds, "")?.overridden(&[
        "train.epochs=30".to_owned(),
        "train.batch_size=8".to_owned(),
        "train.learning_rate=3e-3".to_owned(),
        "data.validate=none".to_owned(),
    ])?;
    let result = train(&config, &folder.path().join("run"))?;
    let tagger = Tagger::open(&result.bundles[0], &TaggerOptions::default())?;
    let classes: Vec<&str> = tagger.vocabulary().names().collect();
    assert_eq!(classes, ["high", "low"]);
    let scores = |name: &str, samples: &mut dyn Iterator<Item = f32>| {
        let path = folder.path().join(name);
        write_wav(&path, samples)?;
        Ok::<_, Box<dyn Error>>(tagger.tag(path.as_path())?[0].scores.clone())
    };
    for seed in 100..104 {
        let noise = scores("unseen.wav", &mut hiss(seed, 0.25))?;
        assert!(noise.iter().all(|&score| score < 0.3), "{noise:?}");
    }
    let high = scores("high.wav", &mut tone(3_150.0))?;
    assert!(high[0] > 0.5 && high[1] < 0.5, "{high:?}");
    Ok(())
}

#[test]
fn equal_seeds_give_equal_runs_and_other_seeds_do_not() -> Outcome {
    let folder = tempfile::tempdir()?;
    let sounds = folder.path().join("sounds");
    write_tones(&sounds, 4)?;
    let config = config(&sounds, "")?;
    let at = |name: &str| folder.path().join(name);
    train(&config, &at("a"))?;
    train(&config, &at("b"))?;
    for name in ["history.csv", "scores.csv", "evaluation.json"] {
        assert_eq!(read(&at("a"), name)?, read(&at("b"), name)?, "{name}");
    }
    let other = config.overridden(&["train.seed=1".to_owned()])?;
    train(&other, &at("c"))?;
    assert_ne!(
        read(&at("a"), "history.csv")?,
        read(&at("c"), "history.csv")?
    );
    Ok(())
}

/// Keeps what it is told before training.
#[derive(Default)]
struct Surveyor {
    survey: Option<Survey>,
}

impl Observer for Surveyor {
    fn surveyed(&mut self, survey: &Survey) {
        self.survey = Some(survey.clone());
    }
}

#[test]
fn copies_stay_together_and_lone_clips_are_trained() -> Outcome {
    let folder = tempfile::tempdir()?;
    let sounds = folder.path().join("sounds");
    write_tones(&sounds, 4)?;
    let original = sounds.join("low/0.wav");
    std::fs::copy(&original, sounds.join("low/copy of 0.wav"))?;
    write_wav(&sounds.join("lone/only.wav"), tone(1_000.0))?;
    std::fs::write(sounds.join("low/broken.wav"), b"RIFF????")?;
    let config = config(&sounds, "")?.overridden(&["data.validate=all".to_owned()])?;
    let mut surveyor = Surveyor::default();
    let result = run(
        &config,
        &options(&folder.path().join("run")),
        &(),
        &mut surveyor,
    )?;
    let survey = surveyor.survey.ok_or("no survey")?;
    let whats: Vec<&str> = survey.problems.iter().map(|p| p.what.as_str()).collect();
    let says = |words: &str| whats.iter().any(|what| what.contains(words));
    assert!(says("cannot be decoded"), "{whats:?}");
    assert!(says("have copies"), "{whats:?}");
    assert!(says("trained only"), "{whats:?}");
    assert!(
        !says("in training and in what it is judged by"),
        "{whats:?}"
    );
    // Ten clips can be heard; the lone one judges no fold.
    let scores = read(&result.directory, "scores.csv")?;
    assert_eq!(scores.lines().count(), 1 + 9);
    assert!(!scores.contains("only.wav"));
    let copies: Vec<&str> = scores.lines().filter(|l| l.contains("0.wav")).collect();
    assert_eq!(copies.len(), 3, "{scores}");
    Ok(())
}

#[test]
fn backgrounds_and_impulse_responses_are_read_and_checked_at_the_start() -> Outcome {
    let folder = tempfile::tempdir()?;
    let sounds = folder.path().join("sounds");
    write_tones(&sounds, 2)?;
    let rooms = folder.path().join("rooms");
    write_wav(&rooms.join("hall.wav"), (0..).map(|i| 0.9f32.powi(i / 100)))?;
    let street = folder.path().join("street");
    write_wav(&street.join("deep/down/cars.wav"), hiss(3, 0.3))?;
    let text = format!(
        "[augment]\nbackgrounds = '{}'\nimpulse_responses = '{}'\nwaveform = [\n\
         {{ kind = 'background' }},\n{{ kind = 'reverb', source = 'measured' }},\n]\n",
        street.display(),
        rooms.display()
    );
    let config = config(&sounds, &text)?;
    assert!(train(&config, &folder.path().join("run"))?.is_complete);
    let message = |config: &RunConfig| match train(config, &folder.path().join("other")) {
        Ok(_) => String::new(),
        Err(error) => error.to_string(),
    };
    let mut missing = config.clone();
    missing.augment.backgrounds = Some(folder.path().join("nowhere"));
    let error = message(&missing);
    assert!(error.contains("nowhere: no such folder"), "{error}");
    let mut empty = config.clone();
    empty.augment.impulse_responses = Some(street.join("deep"));
    std::fs::remove_file(street.join("deep/down/cars.wav"))?;
    let error = message(&empty);
    assert!(error.contains("augment."), "{error}");
    let mut none = config;
    none.augment.backgrounds = None;
    let error = message(&none);
    assert!(error.starts_with("augment.waveform[0]"), "{error}");
    Ok(())
}

#[test]
fn a_learning_rate_is_found() -> Outcome {
    let folder = tempfile::tempdir()?;
    let sounds = folder.path().join("sounds");
    write_tones(&sounds, 4)?;
    let config = config(&sounds, "")?;
    let range = RangeTestConfig {
        n_steps: 40,
        ..RangeTestConfig::default()
    };
    let directory = folder.path().join("run");
    let found = find_learning_rate(&config, &range, &options(&directory), &(), &mut Silent)?;
    let test = found.ok_or("nobody stopped it")?;
    assert!(test.points.len() > 10 && test.points.len() <= 40);
    let first = test.points[0].learning_rate;
    assert!((first / 1e-6 - 1.0).abs() < 1e-6, "{first}");
    let factor = test.points[1].learning_rate / first;
    let expected = 1e6f64.powf(1.0 / 39.0);
    assert!(
        (factor / expected - 1.0).abs() < 1e-6,
        "{factor} {expected}"
    );
    let table = read(&directory, "learning_rates.csv")?;
    assert_eq!(table.lines().count(), 1 + test.points.len());
    let probe = config.overridden(&["train.scope=probe".to_owned()])?;
    let refused = find_learning_rate(&probe, &range, &options(&directory), &(), &mut Silent);
    assert!(refused.is_err_and(|error| error.to_string().contains("train.scope")));
    Ok(())
}

#[test]
fn a_run_directory_of_another_run_is_left_alone() -> Outcome {
    let folder = tempfile::tempdir()?;
    let sounds = folder.path().join("sounds");
    write_tones(&sounds, 2)?;
    let directory = folder.path().join("run");
    let first = config(&sounds, "")?;
    train(&first, &directory)?;
    let before = read(&directory, "config.toml")?;
    let other = first.overridden(&["train.epochs=3".to_owned()])?;
    let refused = train(&other, &directory);
    assert!(refused.is_err_and(|error| error.to_string().contains("other settings or data")));
    assert_eq!(read(&directory, "config.toml")?, before);
    Ok(())
}

#[test]
fn folders_that_cannot_be_trained_on_say_why() -> Outcome {
    let folder = tempfile::tempdir()?;
    let message = |sounds: &Path, extra: &str| -> Result<String, Box<dyn Error>> {
        let config = config(sounds, extra)?;
        Ok(match train(&config, &folder.path().join("run")) {
            Ok(_) => String::new(),
            Err(error) => error.to_string(),
        })
    };
    let one_class = folder.path().join("one");
    write_wav(&one_class.join("only/1.wav"), tone(300.0))?;
    write_wav(&one_class.join("only/2.wav"), tone(310.0))?;
    let error = message(&one_class, "")?;
    assert!(error.contains("1 class, expected at least 2"), "{error}");
    let two = folder.path().join("two");
    write_tones(&two, 1)?;
    let many = config(&two, "")?.overridden(&["data.n_folds=5".to_owned()])?;
    let error = train(&many, &folder.path().join("run"));
    assert!(error.is_err_and(|e| e.to_string().contains("set `data.n_folds`")));
    let wild = config(&two, "")?.overridden(&["train.learning_rate=1e30".to_owned()])?;
    let error = match train(&wild, &folder.path().join("nan")) {
        Ok(_) => String::new(),
        Err(error) => error.to_string(),
    };
    assert!(
        error.starts_with("epoch ") && error.contains(".wav"),
        "{error}"
    );
    Ok(())
}

#[test]
fn what_is_left_of_a_trimmed_clip_may_be_too_short_for_a_network() -> Outcome {
    let folder = tempfile::tempdir()?;
    let sounds = folder.path().join("clicks");
    for (class, hz) in [("low", 300.0), ("high", 3_000.0)] {
        for clip in 0..4u8 {
            let click = tone(hz + f32::from(clip))
                .take(800)
                .chain(std::iter::repeat(0.0));
            write_wav(&sounds.join(class).join(format!("{clip}.wav")), click)?;
        }
    }
    let front_end = |length: &str| {
        format!(
            "[data.segment]\nlength_secs = 1\nhop_secs = 1\nmin_secs = 0.1\n\
             [features]\nsample_rate = 32000\nclip = {{ trim = {{ top_db = 60.0, frame_length = 512, \
             hop_length = 128 }}{length} }}\n[[features.channels]]\nof = {{ kind = 'spectrogram', \
             stft = {{ n_fft = 512, hop_length = 320 }}, values = 'power', \
             axis = {{ kind = 'mel', n_mels = 32 }}, loudness = {{ kind = 'ln', offset = 1e-5 }} }}\n"
        )
    };
    let short = config(&sounds, &front_end(""))?;
    let error = match train(&short, &folder.path().join("short")) {
        Ok(_) => String::new(),
        Err(error) => error.to_string(),
    };
    let names = error.contains(".wav: frames for cnn6: found ");
    assert!(names && error.contains("expected at least 16"), "{error}");
    let filled = front_end(", length = { n_samples = 16000, short = 'repeat', long = 'keep' }");
    let result = train(&config(&sounds, &filled)?, &folder.path().join("filled"))?;
    assert!(result.is_complete);
    Ok(())
}
