//! Sound as it happens: samples pushed in, the segments that they complete out.

use crate::audio::Resampler;
use crate::features::check_samples;
use crate::{Error, Result};

use super::cutter::Cutter;
use super::{SegmentScores, Tagger};

/// One live stream of mono samples, tagged on the thread that pushes them. Holds two segments at most,
/// however long it lives.
///
/// There is no last segment: what does not fill one when the sound stops is not tagged. Sound is heard
/// at its own speed only.
pub struct Live<'t> {
    tagger: &'t Tagger,
    resampler: Option<Resampler>,
    /// One channel.
    resampled: Vec<Vec<f32>>,
    cutter: Cutter,
}

impl Tagger {
    /// Begins a live stream of samples at `sample_rate` Hz. Its first segment is scored when as many
    /// seconds have come as a segment is long, the others at the distance of the segments' hop.
    ///
    /// # Errors
    /// [`Error::Config`] for a rate outside of the tagger's limits.
    pub fn live(&self, sample_rate: u32) -> Result<Live<'_>> {
        let (low, high) = (
            self.open.limits.min_sample_rate.max(1),
            self.open.limits.max_sample_rate,
        );
        if !(low..=high).contains(&sample_rate) {
            return Err(Error::Config {
                key: "sample rate".to_owned(),
                found: format!("{sample_rate} Hz"),
                expected: format!("must be from {low} to {high} Hz"),
            });
        }
        let own = self.sample_rate();
        let resampler = match sample_rate == own {
            true => None,
            false => Some(Resampler::new(sample_rate, own, 1)?),
        };
        Ok(Live {
            tagger: self,
            resampler,
            resampled: vec![Vec::new()],
            cutter: Cutter::new(self.rule.clone(), 1, 1),
        })
    }
}

impl Live<'_> {
    /// Takes the next samples and scores the segments that they complete, perhaps none.
    ///
    /// # Errors
    /// [`Error::Sample`] for samples that are not finite or too large, and [`Error::Runtime`] when the network
    /// fails.
    pub fn push(&mut self, samples: &[f32]) -> Result<Vec<SegmentScores>> {
        // The resampler must not meet a sample that would overflow in it.
        check_samples(samples, 0)?;
        let samples = match &mut self.resampler {
            None => samples,
            Some(resampler) => {
                self.resampled[0].clear();
                resampler.process(&[samples.to_vec()], &mut self.resampled);
                &self.resampled[0]
            }
        };
        self.cutter.push(std::iter::once(samples));
        let mut segments = Vec::new();
        while let Some(cut) = self.cutter.pop() {
            segments.push(self.tagger.score(&cut)?);
        }
        Ok(segments)
    }

    /// The seconds that were heard so far.
    pub fn heard_secs(&self) -> f64 {
        self.cutter.n_samples() as f64 / f64::from(self.tagger.sample_rate())
    }
}

#[cfg(test)]
mod tests {
    use crate::tagger::testing::{self, LevelRuntime};
    use crate::tagger::{Tagger, TaggerOptions};

    #[test]
    fn live_segments_are_those_of_the_recording() {
        let options = TaggerOptions {
            window_secs: Some(2.0),
            hop_secs: Some(1.0),
            ..TaggerOptions::default()
        };
        let runtime = Box::new(LevelRuntime);
        let tagger = Tagger::with_runtime(testing::metadata(), runtime, &options).unwrap();
        let levels = [(2, 0.25), (3, -0.5), (2, 0.75)];
        let recorded: Vec<_> = tagger
            .segments(testing::wav(&levels))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        let samples: Vec<f32> = levels
            .iter()
            .flat_map(|&(secs, level)| vec![level; secs * testing::RATE as usize])
            .collect();
        for block in [1, 333, 5_000] {
            let mut live = tagger.live(testing::RATE).unwrap();
            let mut heard = Vec::new();
            for samples in samples.chunks(block) {
                heard.extend(live.push(samples).unwrap());
            }
            assert_eq!(heard, recorded);
            assert_eq!(live.heard_secs(), 7.0);
        }
    }

    #[test]
    fn a_rate_that_cannot_be_and_a_sample_that_is_none_are_refused() {
        let options = TaggerOptions::default();
        let runtime = Box::new(LevelRuntime);
        let tagger = Tagger::with_runtime(testing::metadata(), runtime, &options).unwrap();
        assert!(tagger.live(0).is_err());
        let mut live = tagger.live(8_000).unwrap();
        assert!(live.push(&[0.0, f32::NAN]).is_err());
    }
}
