//! What is wrong with a data set's audio: every file is decoded once; durations, unreadable and silent
//! clips, and the same sound in several places, out.

use std::collections::BTreeMap;
use std::path::Path;

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::check::{Level, Problem};
use super::{Clip, Folds, Manifest, Progress, Split, WaveformCache};
use crate::audio::OpenOptions;
use crate::digest::hex;
use crate::{Error, Result};

/// A clip whose loudest sample is below this, about -80 dB of full scale, counts as silent.
const SILENCE: f32 = 1e-4;

/// What decoding a clip shows.
#[derive(Clone, Debug, PartialEq)]
pub struct Heard {
    /// The length in seconds.
    pub duration_secs: f64,
    /// The largest absolute sample.
    pub peak: f32,
    /// The SHA-256, in hexadecimal, of the samples as 16-bit numbers at the file's own rate, mixed to
    /// mono, without digital silence at either end: equal for a WAV, its FLAC and its padded copy.
    pub content: String,
}

/// What a clip is like, or why nothing can be heard.
pub type Hearing = std::result::Result<Heard, String>;

/// The result of listening to a whole data set.
#[derive(Clone, Debug)]
pub struct Audit {
    /// One entry per clip of the manifest.
    pub clips: Vec<Hearing>,
}

/// How long the clips of a data set are.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Durations {
    /// Number of clips that could be decoded.
    pub n_clips: usize,
    /// All together, in seconds.
    pub total_secs: f64,
    /// The shortest clip in seconds.
    pub shortest_secs: f64,
    /// Half of the clips are at most this long, in seconds.
    pub median_secs: f64,
    /// The longest clip in seconds.
    pub longest_secs: f64,
}

impl Durations {
    /// From the lengths of clips in seconds, in any order; `None` for no clips.
    pub fn of(mut secs: Vec<f64>) -> Option<Self> {
        secs.sort_by(f64::total_cmp);
        Some(Self {
            n_clips: secs.len(),
            total_secs: secs.iter().sum(),
            shortest_secs: *secs.first()?,
            median_secs: secs[(secs.len() - 1) / 2],
            longest_secs: *secs.last()?,
        })
    }
}

/// Decodes every clip, in parallel on the current rayon pool.
///
/// # Errors
/// [`Error::Cancelled`] if `progress` says so. Unreadable clips are no error.
pub fn audit(manifest: &Manifest, progress: &dyn Progress) -> Result<Audit> {
    progress.begin(manifest.clips.len());
    let mut by_path = BTreeMap::<&Path, Vec<usize>>::new();
    for (at, clip) in manifest.clips.iter().enumerate() {
        by_path.entry(&clip.path).or_default().push(at);
    }
    let heard: Result<Vec<Vec<(usize, Hearing)>>> = by_path
        .into_par_iter()
        .map(|(path, clips)| {
            if progress.is_cancelled() {
                return Err(Error::Cancelled);
            }
            Ok(hear_file(path, &clips, &manifest.clips, progress))
        })
        .collect();
    let mut sorted: Vec<(usize, Hearing)> = heard?.into_iter().flatten().collect();
    sorted.sort_by_key(|(at, _)| *at);
    Ok(Audit {
        clips: sorted.into_iter().map(|(_, hearing)| hearing).collect(),
    })
}

/// Listens to clips that are decoded already, as [`audit`] does to files. Copies at another sample
/// rate, or with digital silence around them, are told apart here.
///
/// # Errors
/// [`Error::Cancelled`] if `progress` says so; what reading the cache ends in.
pub fn audit_cached(
    manifest: &Manifest,
    waveforms: &WaveformCache,
    progress: &dyn Progress,
) -> Result<Audit> {
    progress.begin(manifest.clips.len());
    let reasons: BTreeMap<usize, String> = waveforms
        .failures()
        .iter()
        .map(|failure| (failure.clip, failure.reason.to_string()))
        .collect();
    let hear_one = |at: usize| -> Result<Hearing> {
        if progress.is_cancelled() {
            return Err(Error::Cancelled);
        }
        progress.advance();
        if let Some(reason) = reasons.get(&at) {
            return Ok(Err(reason.clone()));
        }
        Ok(Ok(hear(&waveforms.get(at)?, waveforms.sample_rate())))
    };
    let clips: Result<Vec<Hearing>> = (0..manifest.clips.len())
        .into_par_iter()
        .map(hear_one)
        .collect();
    Ok(Audit { clips: clips? })
}

/// Hears the clips of one file.
fn hear_file(
    path: &Path,
    clips: &[usize],
    all: &[Clip],
    progress: &dyn Progress,
) -> Vec<(usize, Hearing)> {
    let stretches: Vec<_> = clips.iter().map(|at| all[*at].stretch_secs).collect();
    let mut heard: Vec<Option<Hearing>> = vec![None; clips.len()];
    // The rate is only known once the file is open; a look at the header costs little.
    let open = OpenOptions::default();
    let rate = crate::audio::AudioStream::open(path, &open).map(|stream| stream.sample_rate());
    let outcome = rate.and_then(|rate| {
        super::cache::read_stretches(path, &open, &stretches, |stretch, samples| {
            heard[stretch] = Some(samples.map(|s| hear(&s, rate)).map_err(|e| e.to_string()));
            true
        })
    });
    let reason = outcome
        .err()
        .map_or_else(|| "nothing to decode".to_owned(), |e| e.to_string());
    heard
        .into_iter()
        .zip(clips)
        .map(|(hearing, at)| {
            progress.advance();
            (*at, hearing.unwrap_or_else(|| Err(reason.clone())))
        })
        .collect()
}

fn hear(samples: &[f32], sample_rate: u32) -> Heard {
    let words: Vec<i16> = samples
        .iter()
        .map(|x| (x * 32_768.0).round() as i16)
        .collect();
    let from = words.iter().position(|x| *x != 0).unwrap_or(words.len());
    let to = words
        .iter()
        .rposition(|x| *x != 0)
        .map_or(from, |last| last + 1);
    let mut hasher = Sha256::new();
    hasher.update(sample_rate.to_le_bytes());
    for block in words[from..to].chunks(4096) {
        let bytes: Vec<u8> = block.iter().flat_map(|x| x.to_le_bytes()).collect();
        hasher.update(&bytes);
    }
    Heard {
        duration_secs: samples.len() as f64 / f64::from(sample_rate),
        peak: samples.iter().fold(0.0, |peak, x| peak.max(x.abs())),
        content: hex(&hasher.finalize()),
    }
}

impl Audit {
    /// How long the clips are; `None` if none could be decoded.
    pub fn durations(&self) -> Option<Durations> {
        let heard = self.clips.iter().flatten();
        Durations::of(heard.map(|heard| heard.duration_secs).collect())
    }

    /// Clips with the same sound, each group with at least two, in the order of their first clips.
    /// Empty and silent clips are not compared.
    pub fn duplicates(&self) -> Vec<Vec<usize>> {
        let mut by_content = BTreeMap::<&str, Vec<usize>>::new();
        for (at, heard) in self.clips.iter().enumerate() {
            if let Some(heard) = heard.as_ref().ok().filter(|heard| heard.peak > SILENCE) {
                by_content.entry(&heard.content).or_default().push(at);
            }
        }
        let mut groups: Vec<Vec<usize>> = by_content
            .into_values()
            .filter(|group| group.len() > 1)
            .collect();
        groups.sort();
        groups
    }

    /// All problems that the audio shows, the worst first. With `folds`, the same sound in several
    /// parts counts as a leak too.
    pub fn problems(&self, manifest: &Manifest, folds: Option<&Folds>) -> Vec<Problem> {
        let mut problems = self.duplicate_problems(manifest, folds);
        let unreadable: Vec<String> = self
            .clips
            .iter()
            .enumerate()
            // Missing files are the lists' problem.
            .filter(|(at, _)| manifest.clips[*at].path.exists())
            .filter_map(|(_, heard)| heard.as_ref().err().cloned())
            .collect();
        let silent: Vec<String> = self
            .clips
            .iter()
            .zip(&manifest.clips)
            .filter(|(heard, _)| heard.as_ref().is_ok_and(|heard| heard.peak <= SILENCE))
            .map(|(_, clip)| clip.name.clone())
            .collect();
        for (level, what, concerned) in [
            (
                Level::Warning,
                "cannot be decoded and will be left out",
                unreadable,
            ),
            (Level::Note, "are silent (peak below -80 dB)", silent),
        ] {
            if !concerned.is_empty() {
                let what = format!("{} clips {what}", concerned.len());
                problems.push(Problem::new(level, what, concerned));
            }
        }
        problems.sort_by_key(|problem| std::cmp::Reverse(problem.level));
        problems
    }

    fn duplicate_problems(&self, manifest: &Manifest, folds: Option<&Folds>) -> Vec<Problem> {
        let (mut leaks, mut contradictions, mut rest) = (vec![], vec![], vec![]);
        for group in self.duplicates() {
            let clips: Vec<&Clip> = group.iter().map(|at| &manifest.clips[*at]).collect();
            let part = |at: usize| folds.and_then(|folds| folds.parts().get(at).copied().flatten());
            let names: Vec<&str> = clips.iter().map(|clip| clip.name.as_str()).collect();
            let names = names.join(" = ");
            let differ = |other: &&Clip| other.labels != clips[0].labels && other.labels.is_some();
            let same_file = clips.iter().all(|clip| clip.path == clips[0].path);
            if clips.iter().any(|clip| clip.split != clips[0].split) {
                leaks.push(format!("{names} ({})", splits_of(&clips)));
            } else if group.iter().any(|at| part(*at) != part(group[0])) {
                leaks.push(format!("{names} (several folds)"));
            } else if clips.iter().any(differ) {
                contradictions.push(names);
            } else if !same_file {
                rest.push(names);
            }
        }
        let mut problems = Vec::new();
        for (level, what, concerned) in [
            (
                Level::Error,
                "sounds are in training and in what it is judged by",
                leaks,
            ),
            (
                Level::Warning,
                "sounds have copies with other labels",
                contradictions,
            ),
            (Level::Note, "sounds have copies", rest),
        ] {
            if !concerned.is_empty() {
                let what = format!("{} {what}", concerned.len());
                problems.push(Problem::new(level, what, concerned));
            }
        }
        problems
    }
}

fn splits_of(clips: &[&Clip]) -> String {
    let splits: std::collections::BTreeSet<Split> = clips.iter().map(|clip| clip.split).collect();
    splits
        .into_iter()
        .map(Split::as_str)
        .collect::<Vec<_>>()
        .join(" and ")
}

#[cfg(test)]
mod tests {
    use super::super::CacheOptions;
    use super::super::test_support::{clip, manifest, sine, write_wav};
    use super::*;

    #[test]
    fn copies_are_found_whatever_their_padding() {
        let folder = tempfile::tempdir().unwrap();
        let sound = sine(440.0, 16_000, 8_000);
        let padded = [vec![0.0; 300], sound.clone(), vec![0.0; 4_000]].concat();
        let write = |name: &str, samples: &[f32], labels: &[usize]| {
            let path = folder.path().join(name);
            write_wav(&path, 16_000, samples);
            Clip {
                path,
                ..clip(name, labels)
            }
        };
        let mut clips = vec![
            write("a.wav", &sound, &[0]),
            Clip {
                split: Split::Test,
                ..write("b.wav", &padded, &[0])
            },
            write("c.wav", &sine(441.0, 16_000, 8_000), &[0]),
            write("d.wav", &sine(441.0, 16_000, 8_000), &[1]),
            write("quiet.wav", &[0.0; 100], &[0]),
            write("empty.wav", &[], &[0]),
        ];
        let broken = folder.path().join("broken.wav");
        std::fs::write(&broken, b"RIFF????").unwrap();
        clips.push(Clip {
            path: broken,
            ..clip("broken.wav", &[0])
        });
        let set = manifest(2, clips);
        let audit = audit(&set, &()).unwrap();
        assert_eq!(audit.duplicates(), [[0, 1], [2, 3]]);
        let durations = audit.durations().unwrap();
        assert_eq!(durations.longest_secs, 12_300.0 / 16_000.0);
        // An empty file is one that cannot be decoded.
        assert_eq!(durations.n_clips, 5, "{:?}", audit.clips);
        let options = CacheOptions::new(folder.path().join("cache"));
        let waveforms = WaveformCache::build(&set.clips, 16_000, &options, &()).unwrap();
        let cached = audit_cached(&set, &waveforms, &()).unwrap();
        assert_eq!(cached.duplicates(), [[0, 1], [2, 3]]);
        assert_eq!(cached.durations(), Some(durations));
        let problems = audit.problems(&set, None);
        let whats: Vec<&str> = problems
            .iter()
            .map(|problem| problem.what.as_str())
            .collect();
        assert_eq!(
            whats,
            [
                "1 sounds are in training and in what it is judged by",
                "1 sounds have copies with other labels",
                "2 clips cannot be decoded and will be left out",
                "1 clips are silent (peak below -80 dB)",
            ]
        );
        assert_eq!(problems[0].concerned, ["a.wav = b.wav (train and test)"]);
    }
}
