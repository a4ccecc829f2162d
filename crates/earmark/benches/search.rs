//! How fast a search is: `cargo bench -p earmark --bench search`.
//!
//! Rows are drawn at random: the scan does the same work whatever they hold. All cores take part, as
//! in `earmark search`.

#[allow(dead_code, reason = "the tests use the rest")]
#[path = "../tests/integration/support/levels.rs"]
mod levels;

use std::num::NonZeroUsize;
use std::path::PathBuf;

use divan::{Bencher, black_box};
use earmark::runtime::{Batch, Output, Runtime};
use earmark::search::{Index, SearchOptions, UpdateOptions, update};

/// Values of an embedding, as in EfficientAT mn04.
const DIM: usize = 384;

fn main() {
    divan::main();
}

/// Embeddings drawn from the bits of the only sample.
struct Drawn;

impl Runtime for Drawn {
    fn name(&self) -> &str {
        "drawn"
    }

    fn run(&self, batch: &Batch) -> earmark::Result<Output> {
        let mut state = u64::from(batch.data()[0].to_bits());
        let mut draw = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1_u64 << 24) as f32 - 0.5
        };
        Ok(Output {
            logits: vec![0.0],
            embedding: (0..DIM).map(|_| draw()).collect(),
        })
    }
}

/// An index of so many rows: the segments, one sample each, of one recording.
fn index(folder: &tempfile::TempDir, n_rows: usize) -> earmark::Result<Index> {
    let samples = (0..n_rows).map(|at| (at as f32 + 1.0) / n_rows as f32);
    std::fs::write(folder.path().join("a.wav"), levels::wav(samples))?;
    let path = folder.path().join("a.index");
    let tagger = levels::with_runtime(0.001, Box::new(Drawn))?;
    let options = UpdateOptions {
        jobs: NonZeroUsize::MIN,
        stop: None,
    };
    let recordings = [PathBuf::from("a.wav")];
    update(
        &path,
        folder.path(),
        &recordings,
        (&tagger, "drawn"),
        &options,
        &mut |_| {},
    )?;
    Index::open(&path)
}

/// Ten hits of so many rows.
#[divan::bench(args = [100_000, 1_000_000])]
fn ten_nearest(bencher: Bencher<'_, '_>, n_rows: usize) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let index = index(&folder, n_rows).expect("an index");
    let query: Vec<f32> = (0..DIM).map(|at| (at as f32).sin()).collect();
    let options = SearchOptions {
        top: 10,
        once_per_recording: false,
    };
    bencher.bench_local(|| index.search(black_box(&query), &options));
}
