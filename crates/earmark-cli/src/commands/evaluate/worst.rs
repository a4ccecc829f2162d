//! The clips that were judged worst, with a sound to play and a picture.

use anyhow::Context as _;
use earmark::audio::OpenOptions;
use earmark::audio::wav;
use earmark::dataset::Clip;
use earmark::features::{FrontEnd, FrontEndConfig};
use earmark::tagger::Tagger;

use super::clips::Judged;
use crate::pictures::{Picture, Range, thinned};

/// The playable part of a clip in seconds.
const PLAYED_SECS: usize = 5;

/// The rate at which clips are played, in Hz.
const PLAYED_RATE: u32 = 22_050;

/// The widest picture in pixels; longer clips are thinned.
const MAX_WIDTH: usize = 480;

/// Classes shown per clip.
const N_GUESSES: usize = 3;

/// A clip that was judged badly.
pub(super) struct Worst<'a> {
    pub(super) clip: &'a Clip,
    /// Class and score of its labels.
    pub(super) labels: Vec<(usize, f32)>,
    /// Class and score of the highest scores.
    pub(super) guesses: Vec<(usize, f32)>,
    /// A WAV file, and a PNG of its spectrogram; `None` where it cannot be read again.
    pub(super) media: Option<(Vec<u8>, Vec<u8>)>,
}

/// The worst clips: those whose weakest label lies furthest below the highest other score.
pub(super) fn worst<'a>(tagger: &Tagger, judged: &Judged<'a>, n: usize) -> Vec<Worst<'a>> {
    let mut order: Vec<(f32, usize)> = (0..judged.clips.len())
        .map(|at| (margin(judged, at), at))
        .collect();
    order.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    order.truncate(n);
    order
        .into_iter()
        .map(|(_, at)| describe(tagger, judged, at))
        .collect()
}

/// How far the highest score of an absent class lies above the lowest of a present one.
fn margin(judged: &Judged<'_>, at: usize) -> f32 {
    let labels = judged.clips[at].labels.as_deref().unwrap_or_default();
    let row = judged.row(at);
    let others = row
        .iter()
        .enumerate()
        .filter(|(class, _)| !labels.contains(class));
    let highest = others.map(|(_, score)| *score).fold(0.0_f32, f32::max);
    let lowest = labels
        .iter()
        .map(|label| row[*label])
        .fold(1.0_f32, f32::min);
    highest - lowest
}

fn describe<'a>(tagger: &Tagger, judged: &Judged<'a>, at: usize) -> Worst<'a> {
    let (clip, row) = (judged.clips[at], judged.row(at));
    let mut guesses: Vec<(usize, f32)> = row.iter().copied().enumerate().collect();
    guesses.sort_by(|a, b| b.1.total_cmp(&a.1));
    guesses.truncate(N_GUESSES);
    let labels = clip
        .labels
        .iter()
        .flatten()
        .map(|label| (*label, row[*label]))
        .collect();
    Worst {
        clip,
        labels,
        guesses,
        media: media(tagger, clip).ok(),
    }
}

/// The first seconds of a clip as a WAV file and as a picture of what the network sees of them.
fn media(tagger: &Tagger, clip: &Clip) -> anyhow::Result<(Vec<u8>, Vec<u8>)> {
    let config = tagger
        .metadata()
        .front_end()
        .cloned()
        .unwrap_or_else(FrontEndConfig::efficient_at);
    let front_end = FrontEnd::new(&config)?;
    let at_rate = |sample_rate: u32| -> anyhow::Result<Vec<f32>> {
        let options = OpenOptions {
            sample_rate: Some(sample_rate),
            ..Default::default()
        };
        let mut samples = clip.read(&options)?.samples;
        samples.truncate(PLAYED_SECS * sample_rate as usize);
        Ok(samples)
    };
    let features = front_end.compute(&at_rate(front_end.sample_rate())?)?;
    let range = Range::of(&front_end, 0)?.context("statistics make no picture")?;
    let picture = Picture::of_channel(&thinned(&features, MAX_WIDTH), 0, range).png()?;
    Ok((wav::integer(&at_rate(PLAYED_RATE)?, PLAYED_RATE), picture))
}
