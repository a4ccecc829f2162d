//! A comparison trains every representation on the same folds and seeds, goes on where it was
//! stopped, and finds the difference between a picture that shows the classes and one that does not.

use std::f32::consts::TAU;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use earmark::dataset::Progress;
use earmark_train::DeviceChoice;
use earmark_train::compare::{
    CompareConfig, CompareObserver, CompareOptions, Report, Trained, compare,
};

type Outcome = Result<(), Box<dyn std::error::Error>>;

const SAMPLE_RATE: u32 = 8_000;

/// A 16-bit WAV of half a second.
fn write_wav(path: &Path, sample: impl Fn(f32) -> f32) -> std::io::Result<()> {
    let n_samples = SAMPLE_RATE / 2;
    let mut bytes = b"RIFF".to_vec();
    bytes.extend((36 + 2 * n_samples).to_le_bytes());
    bytes.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    bytes.extend(SAMPLE_RATE.to_le_bytes());
    bytes.extend((2 * SAMPLE_RATE).to_le_bytes());
    bytes.extend([2, 0, 16, 0]);
    bytes.extend(b"data");
    bytes.extend((2 * n_samples).to_le_bytes());
    for i in 0..n_samples {
        let value = sample(i as f32 / SAMPLE_RATE as f32);
        bytes.extend(((value * 32_000.0) as i16).to_le_bytes());
    }
    std::fs::write(path, bytes)
}

/// Low and high tones, twelve of each, in a folder per class.
fn write_sounds(folder: &Path) -> std::io::Result<()> {
    for (class, base) in [("low", 300.0f32), ("high", 2_000.0)] {
        std::fs::create_dir_all(folder.join(class))?;
        for clip in 0..12 {
            let frequency = base * (1.0 + 0.03 * clip as f32);
            let path = folder.join(class).join(format!("{clip}.wav"));
            write_wav(&path, |t| 0.5 * (TAU * frequency * t).sin())?;
        }
    }
    Ok(())
}

/// A spectrogram tells high from low; one that is 0 everywhere does not.
fn config(folder: &Path, epochs: usize) -> earmark::Result<CompareConfig> {
    let text = format!(
        "sample_rate = 8000\n\
         seeds = [1, 2]\n\
         n_resamples = 2000\n\
         data = {{ path = '{}', n_folds = 2 }}\n\
         network = {{ width = 4, dropout = 0.0 }}\n\
         train = {{ epochs = {epochs}, batch_size = 6, learning_rate = 0.01 }}\n\
         [[representations]]\n\
         name = 'pitch'\n\
         [[representations.channels]]\n\
         of = {{ kind = 'spectrogram', stft = {{ n_fft = 256, hop_length = 256 }} }}\n\
         steps = [{{ kind = 'standardise', epsilon = 1e-6 }}, {{ kind = 'resize', n_bands = 16, n_frames = 16 }}]\n\
         [[representations]]\n\
         name = 'blind'\n\
         [[representations.channels]]\n\
         of = {{ kind = 'spectrogram', stft = {{ n_fft = 256, hop_length = 256 }} }}\n\
         steps = [{{ kind = 'clamp', low = 0.0, high = 0.0 }}, {{ kind = 'resize', n_bands = 16, n_frames = 16 }}]\n",
        folder.join("sounds").display()
    );
    CompareConfig::parse("compare.toml", &text)
}

/// Counts trainings; wants to stop after some of them.
#[derive(Default)]
struct Watch {
    stop_after: Option<usize>,
    n_trained: AtomicUsize,
    seen: Mutex<Vec<(String, usize, u64)>>,
}

impl Progress for Watch {
    fn is_cancelled(&self) -> bool {
        let n_trained = self.n_trained.load(Ordering::Relaxed);
        self.stop_after.is_some_and(|most| n_trained >= most)
    }
}

impl CompareObserver for Watch {
    fn trained(&self, trained: &Trained) {
        self.n_trained.fetch_add(1, Ordering::Relaxed);
        if let Ok(mut seen) = self.seen.lock() {
            seen.push((trained.representation.clone(), trained.fold, trained.seed));
        }
    }
}

fn run(
    folder: &Path,
    epochs: usize,
    jobs: usize,
    watch: &Watch,
) -> earmark::Result<Option<Report>> {
    let options = CompareOptions {
        directory: folder.join(format!("runs/tones-{jobs}")),
        device: DeviceChoice::Cpu,
        jobs: NonZeroUsize::new(jobs).unwrap_or(NonZeroUsize::MIN),
    };
    compare(&config(folder, epochs)?, &options, watch)
}

#[test]
fn a_comparison_goes_on_and_finds_what_differs() -> Outcome {
    let folder = tempfile::tempdir()?;
    write_sounds(&folder.path().join("sounds"))?;
    let interrupted = Watch {
        stop_after: Some(3),
        ..Watch::default()
    };
    assert!(run(folder.path(), 40, 1, &interrupted)?.is_none());
    let rest = Watch::default();
    let report = run(folder.path(), 40, 1, &rest)?.ok_or("the rest is done")?;
    // Two representations, two folds, two seeds: each trained once.
    let mut seen = interrupted.seen.into_inner()?;
    seen.extend(rest.seen.into_inner()?);
    assert_eq!(seen.len(), 8, "{seen:?}");
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 8, "{seen:?}");

    assert_eq!((report.n_clips, report.n_folds, report.n_seeds), (24, 2, 2));
    let accuracy = &report.tables[0];
    assert_eq!(accuracy.name, "accuracy");
    let [pitch, blind] = [0, 1].map(|at| accuracy.comparison.figures[at].estimate);
    assert!(pitch > 0.7 && blind < 0.6, "{pitch} {blind}");
    let difference = &accuracy.comparison.differences[0];
    assert!(difference.p_corrected < 0.05 && difference.difference.upper < 0.0);
    assert_eq!(report.sentences(accuracy)[1], "pitch is better than blind");
    let table = report.markdown();
    let best = table.lines().nth(2).ok_or("a first row")?;
    assert!(best.starts_with("| pitch | 1 × 16 × 16 |"), "{table}");

    let written = folder.path().join("runs/tones-1");
    for name in [
        "config.toml",
        "comparison.json",
        "table.csv",
        "differences.csv",
    ] {
        assert!(written.join(name).is_file(), "{name}");
    }
    assert_eq!(std::fs::read_to_string(written.join("table.md"))?, table);
    assert!(
        std::fs::read_to_string(written.join("table.csv"))?.starts_with(
            "representation,channels,bands,frames,mean_secs,train_loss,accuracy,accuracy_lower"
        )
    );

    // Nothing is trained twice, and everything is when a setting of the training changes.
    let again = Watch::default();
    run(folder.path(), 40, 1, &again)?;
    assert_eq!(again.n_trained.load(Ordering::Relaxed), 0);
    let changed = Watch::default();
    run(folder.path(), 1, 1, &changed)?;
    assert_eq!(changed.n_trained.load(Ordering::Relaxed), 8);
    Ok(())
}

#[test]
fn the_number_of_threads_does_not_matter() -> Outcome {
    let folder = tempfile::tempdir()?;
    write_sounds(&folder.path().join("sounds"))?;
    for jobs in [1, 3] {
        run(folder.path(), 2, jobs, &Watch::default())?.ok_or("nobody stopped it")?;
    }
    let scores = |jobs: usize, name: &str| -> Result<Vec<f32>, Box<dyn std::error::Error>> {
        let path = folder
            .path()
            .join(format!("runs/tones-{jobs}/results/{name}.json"));
        Ok(serde_json::from_slice::<Trained>(&std::fs::read(path)?)?.scores)
    };
    for name in [
        "pitch/fold-0-seed-1",
        "pitch/fold-1-seed-2",
        "blind/fold-0-seed-2",
    ] {
        assert_eq!(scores(1, name)?, scores(3, name)?, "{name}");
    }
    Ok(())
}
