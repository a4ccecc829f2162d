//! The index of embeddings: found is what is nearest by the definition, an update hears only what is
//! new, and a damaged or hostile file is an error.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use earmark::search::{Index, SearchOptions, UpdateEvent, UpdateOptions, UpdateSummary, update};
use earmark::tagger::Tagger;
use earmark::{Error, Result};
use proptest::prelude::*;

use crate::support::levels;

const OPTIONS: UpdateOptions<'_> = UpdateOptions {
    jobs: NonZeroUsize::MIN,
    stop: None,
};

/// A folder of sounds and the index beside it.
struct Place {
    folder: tempfile::TempDir,
    tagger: Tagger,
}

impl Place {
    fn new() -> Result<Self> {
        Ok(Self {
            folder: tempfile::tempdir()?,
            tagger: levels::tagger(1.0)?,
        })
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("sounds")
    }

    fn index(&self) -> PathBuf {
        self.folder.path().join("sounds.index")
    }

    fn write(&self, name: &str, stretches: &[(f64, [f32; 3])]) -> Result<()> {
        levels::write(&self.root().join(name), stretches)
    }

    /// Updates the index with these files; returns what was heard.
    fn update(&self, names: &[&str]) -> Result<(UpdateSummary, Vec<String>)> {
        self.update_as("0123456789abcdef", names, &OPTIONS)
    }

    fn update_as(
        &self,
        model: &str,
        names: &[&str],
        options: &UpdateOptions<'_>,
    ) -> Result<(UpdateSummary, Vec<String>)> {
        let paths: Vec<PathBuf> = names.iter().map(PathBuf::from).collect();
        let mut heard = Vec::new();
        let summary = update(
            &self.index(),
            &self.root(),
            &paths,
            (&self.tagger, model),
            options,
            &mut |event| match event {
                UpdateEvent::Heard { path } => heard.push(path.display().to_string()),
                UpdateEvent::Failed { path, .. } => heard.push(format!("!{}", path.display())),
                UpdateEvent::Planned { .. } => {}
            },
        )?;
        Ok((summary, heard))
    }

    /// Names and starts of the hits.
    fn found(&self, query: &[f32], options: &SearchOptions) -> Result<Vec<(String, f64)>> {
        let hits = Index::open(&self.index())?.search(query, options)?;
        Ok(hits
            .iter()
            .map(|hit| {
                let name = hit.path.strip_prefix(self.root()).unwrap_or(Path::new("?"));
                (name.display().to_string(), hit.start_secs)
            })
            .collect())
    }
}

#[test]
fn the_nearest_stretch_of_each_recording_is_found() -> Result<()> {
    let place = Place::new()?;
    place.write("a.wav", &[(1.0, [1.0, 0.0, 0.0]), (1.0, [0.0, 1.0, 0.0])])?;
    place.write("deep/b.wav", &[(1.0, [0.5, 0.5, 0.0])])?;
    place.write("c.wav", &[(1.0, [-1.0, 0.0, 0.0])])?;
    place.update(&["a.wav", "c.wav", "deep/b.wav"])?;
    let once = SearchOptions::default();
    let named = |found: &[(&str, f64)]| -> Vec<(String, f64)> {
        found
            .iter()
            .map(|(name, at)| ((*name).to_owned(), *at))
            .collect()
    };
    assert_eq!(
        place.found(&[0.0, 2.0, 0.0], &once)?,
        named(&[("a.wav", 1.0), ("deep/b.wav", 0.0), ("c.wav", 0.0)])
    );
    let every = SearchOptions {
        top: 2,
        once_per_recording: false,
    };
    assert_eq!(
        place.found(&[3.0, 0.0, 0.0], &every)?,
        named(&[("a.wav", 0.0), ("deep/b.wav", 0.0)])
    );
    let hits = Index::open(&place.index())?.search(&[1.0, 1.0, 0.0], &once)?;
    assert!((hits[0].score - 1.0).abs() < 1e-3, "{hits:?}");
    assert!((hits[1].score - 0.5_f32.sqrt()).abs() < 1e-3, "{hits:?}");
    // Silence is near to nothing, and nothing to silence.
    let silent = Index::open(&place.index())?.search(&[0.0; 3], &once)?;
    assert!(silent.iter().all(|hit| hit.score == 0.0));
    Ok(())
}

#[test]
fn an_update_hears_what_is_new_or_changed_and_drops_what_is_gone() -> Result<()> {
    let place = Place::new()?;
    for name in ["a.wav", "b.wav", "c.wav"] {
        place.write(name, &[(1.0, [1.0, 0.0, 0.0])])?;
    }
    place.write("broken.wav", &[])?;
    let (summary, heard) = place.update(&["a.wav", "b.wav", "broken.wav", "c.wav"])?;
    assert_eq!(heard, ["a.wav", "b.wav", "!broken.wav", "c.wav"]);
    assert_eq!(
        (summary.n_added, summary.n_failed, summary.n_rows),
        (3, 1, 3)
    );
    std::fs::remove_file(place.root().join("a.wav"))?;
    place.write("b.wav", &[(2.0, [0.0, 1.0, 0.0])])?;
    place.write("bb.wav", &[(1.0, [0.0, 0.0, 1.0])])?;
    let (summary, heard) = place.update(&["b.wav", "bb.wav", "c.wav"])?;
    assert_eq!(heard, ["b.wav", "bb.wav"]);
    assert_eq!(
        summary,
        UpdateSummary {
            n_kept: 1,
            n_added: 1,
            n_changed: 1,
            n_dropped: 1,
            n_failed: 0,
            n_rows: 4,
            stopped: false,
        }
    );
    // The updated file is the same as one made at once.
    let updated = std::fs::read(place.index())?;
    std::fs::remove_file(place.index())?;
    place.update(&["b.wav", "bb.wav", "c.wav"])?;
    assert_eq!(updated, std::fs::read(place.index())?);
    // Rows of another model cannot stand beside these.
    let (summary, heard) = place.update_as("another", &["b.wav", "c.wav"], &OPTIONS)?;
    assert_eq!((summary.n_added, heard.len()), (2, 2));
    let index = Index::open(&place.index())?;
    assert!(index.check_model("levels", "another").is_ok());
    assert!(index.check_model("levels", "0123456789abcdef").is_err());
    Ok(())
}

#[test]
fn a_stopped_update_keeps_what_it_has_and_goes_on() -> Result<()> {
    let place = Place::new()?;
    place.write("a.wav", &[(1.0, [1.0, 0.0, 0.0])])?;
    place.update(&["a.wav"])?;
    place.write("b.wav", &[(1.0, [0.0, 1.0, 0.0])])?;
    let stop = AtomicBool::new(true);
    let stopped = UpdateOptions {
        stop: Some(&stop),
        ..OPTIONS
    };
    let (summary, heard) = place.update_as("0123456789abcdef", &["a.wav", "b.wav"], &stopped)?;
    assert!(summary.stopped && summary.n_kept == 1 && heard.is_empty());
    let (_, heard) = place.update(&["a.wav", "b.wav"])?;
    assert_eq!(heard, ["b.wav"]);
    Ok(())
}

#[test]
fn what_cannot_be_searched_or_indexed_says_why() -> Result<()> {
    let place = Place::new()?;
    let message = |result: Result<()>| match result {
        Ok(()) => "no error".to_owned(),
        Err(error) => error
            .to_string()
            .replace(&place.index().display().to_string(), "INDEX"),
    };
    place.write("a.wav", &[(1.0, [1.0, 0.0, 0.0])])?;
    // A file that is no index is not overwritten.
    std::fs::write(place.index(), b"my only copy of something")?;
    assert_eq!(
        message(place.update(&["a.wav"]).map(drop)),
        "INDEX: is no index: it does not begin as one"
    );
    assert_eq!(std::fs::read(place.index())?, b"my only copy of something");
    std::fs::remove_file(place.index())?;
    assert_eq!(
        message(place.update(&["gone.wav"]).map(drop)),
        "INDEX: nothing to index: no recording could be heard"
    );
    assert!(!place.index().exists());
    place.update(&["a.wav"])?;
    let index = Index::open(&place.index())?;
    let search = |query: &[f32]| message(index.search(query, &SearchOptions::default()).map(drop));
    assert_eq!(
        search(&[1.0]),
        "embedding: found 1 values, expected 3, as in the index"
    );
    assert!(search(&[1.0, f32::NAN, 0.0]).contains("NaN"));
    Ok(())
}

/// A whole index file of two recordings.
fn whole() -> Result<Vec<u8>> {
    let place = Place::new()?;
    place.write("a.wav", &[(2.0, [1.0, 0.0, 0.0])])?;
    place.write("b.wav", &[(1.0, [0.0, 1.0, 0.0])])?;
    place.update(&["a.wav", "b.wav"])?;
    Ok(std::fs::read(place.index())?)
}

fn open(bytes: &[u8]) -> Result<Index> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("x.index");
    std::fs::write(&path, bytes)?;
    Index::open(&path)
}

#[test]
fn a_file_that_was_cut_short_is_an_error_wherever_it_was_cut() -> Result<()> {
    let whole = whole()?;
    assert!(open(&whole).is_ok());
    for len in 0..whole.len() {
        let error = open(&whole[..len]).err();
        assert!(
            matches!(error, Some(Error::Index { .. })),
            "{len}: {error:?}"
        );
    }
    Ok(())
}

#[test]
fn a_file_that_is_cut_while_it_is_open_is_an_error() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("x.index");
    std::fs::write(&path, whole()?)?;
    let index = Index::open(&path)?;
    std::fs::OpenOptions::new()
        .write(true)
        .open(&path)?
        .set_len(40)?;
    let outcome = index.search(&[1.0, 0.0, 0.0], &SearchOptions::default());
    assert!(matches!(outcome, Err(Error::Io(_))), "{outcome:?}");
    Ok(())
}

proptest! {
    #[test]
    fn changed_bytes_never_panic(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let mut bytes = whole().unwrap();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        // A change in the values is another embedding; everything else is noticed or harmless.
        if let Ok(index) = open(&bytes) {
            let dim = index.info().dim;
            let _ = index.search(&vec![1.0; dim], &SearchOptions::default());
        }
    }
}
