//! One recording on its way: opened, decoded block by block and cut.

use crate::audio::{AudioBlock, AudioInfo, AudioStream, PlaybackSpeed, Resampler, Source};
use crate::bundle::Aggregation;
use crate::{Error, Result};

use super::aggregate::Collector;
use super::cutter::{CutSegment, Cutter};
use super::{ClipScores, SegmentScores, Tagger};

/// What is known of a recording once it is open.
#[derive(Debug, Clone)]
pub struct RecordingInfo {
    /// What the file says about itself.
    pub audio: AudioInfo,
    /// The number of channels that are tagged: 1 when they are mixed.
    pub n_channels: usize,
}

/// Is handed every block that a recording gives.
type Tap = Box<dyn FnMut(AudioBlock<'_>) + Send>;

/// A recording played at another speed, and cut.
struct Replay {
    player: Resampler,
    /// What the player gave last, by channel.
    played: Vec<Vec<f32>>,
    cutter: Cutter,
}

impl Replay {
    fn new(tagger: &Tagger, speed: PlaybackSpeed, n_channels: usize) -> Result<Self> {
        let cutter = Cutter::new(tagger.rule.clone(), n_channels, tagger.n_positions);
        Ok(Self {
            player: speed.player(n_channels)?,
            played: vec![Vec::new(); n_channels],
            cutter: cutter.at_speed(speed),
        })
    }

    fn push(&mut self, block: &[Vec<f32>]) {
        self.player.process(block, &mut self.played);
        self.cut();
    }

    fn end(&mut self) {
        self.player.finish(&mut self.played);
        self.cut();
        self.cutter.end();
    }

    fn cut(&mut self) {
        self.cutter.push(self.played.iter().map(Vec::as_slice));
        self.played.iter_mut().for_each(Vec::clear);
    }
}

/// The decoding half: a stream that gives segments, at each place those of the recording's own speed
/// first.
pub(super) struct Recording {
    name: String,
    stream: AudioStream,
    cutter: Cutter,
    replays: Vec<Replay>,
    tap: Option<Tap>,
    ended: bool,
}

impl Recording {
    pub(super) fn open(tagger: &Tagger, source: Source) -> Result<Self> {
        let name = source.name();
        let stream = AudioStream::open(source, &tagger.open)?;
        let n_channels = stream.n_channels();
        let replay = |speed: &PlaybackSpeed| Replay::new(tagger, *speed, n_channels);
        Ok(Self {
            name,
            stream,
            cutter: Cutter::new(tagger.rule.clone(), n_channels, tagger.n_positions),
            replays: tagger
                .segment
                .speeds
                .iter()
                .map(replay)
                .collect::<Result<_>>()?,
            tap: None,
            ended: false,
        })
    }

    /// What errors call it.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn info(&self) -> RecordingInfo {
        RecordingInfo {
            audio: self.stream.info().clone(),
            n_channels: self.stream.n_channels(),
        }
    }

    /// What is missing from a recording that was accepted although it ends early.
    pub(super) fn warning(&self) -> Option<String> {
        self.stream.warning().map(str::to_owned)
    }

    /// The next segment; `None` after the last.
    pub(super) fn next_segment(&mut self) -> Result<Option<CutSegment>> {
        loop {
            let mut cutters = std::iter::once(&mut self.cutter)
                .chain(self.replays.iter_mut().map(|r| &mut r.cutter));
            if let Some(segment) = cutters.find_map(Cutter::pop) {
                return Ok(Some(segment));
            }
            if self.ended {
                return Ok(None);
            }
            match self.stream.next_block()? {
                Some(block) => {
                    let n_channels = block.n_channels();
                    if let Some(tap) = &mut self.tap {
                        tap(block);
                    }
                    let planes = (0..n_channels).map(|c| block.channel(c));
                    self.cutter.push(planes.clone());
                    if !self.replays.is_empty() {
                        let planes: Vec<Vec<f32>> = planes.map(<[f32]>::to_vec).collect();
                        self.replays
                            .iter_mut()
                            .for_each(|replay| replay.push(&planes));
                    }
                }
                None => {
                    self.ended = true;
                    self.cutter.end();
                    self.replays.iter_mut().for_each(Replay::end);
                    if self.cutter.n_samples() == 0 {
                        return Err(Error::NoSamples {
                            name: self.name.clone(),
                            what: "recording".to_owned(),
                        });
                    }
                }
            }
        }
    }

    /// The length so far in seconds.
    pub(super) fn duration_secs(&self) -> f64 {
        self.cutter.n_samples() as f64 / f64::from(self.stream.sample_rate())
    }
}

/// The collecting half: segments' scores of all channels in order, the clip's scores at the end.
pub(super) struct Collectors(Vec<Collector>);

impl Collectors {
    pub(super) fn new(n_channels: usize, aggregation: Aggregation) -> Self {
        Self(
            (0..n_channels)
                .map(|channel| Collector::new(channel, aggregation))
                .collect(),
        )
    }

    pub(super) fn add(&mut self, segment: &SegmentScores) {
        self.0[segment.channel].add(segment);
    }

    pub(super) fn finish(self, tagger: &Tagger, duration_secs: f64) -> Vec<ClipScores> {
        self.0
            .into_iter()
            .filter_map(|collector| collector.finish(&tagger.metadata, duration_secs))
            .collect()
    }
}

/// The timeline of one recording: an iterator over [`SegmentScores`], those of the recording at its
/// own speed; other speeds only go into the clip's scores. It ends after the first error.
pub struct Segments<'t> {
    tagger: &'t Tagger,
    recording: Recording,
    collectors: Collectors,
    /// The segment given last.
    last: Option<CutSegment>,
    failed: bool,
}

impl<'t> Segments<'t> {
    pub(super) fn open(tagger: &'t Tagger, source: Source) -> Result<Self> {
        let recording = Recording::open(tagger, source)?;
        let n_channels = recording.stream.n_channels();
        Ok(Self {
            tagger,
            collectors: Collectors::new(n_channels, tagger.segment.aggregation),
            recording,
            last: None,
            failed: false,
        })
    }

    /// Also hands every block of samples to `tap`, at the tagger's rate and in order, before the
    /// segments that it completes are scored: for pictures of what is heard, without decoding twice.
    #[must_use]
    pub fn with_tap(mut self, tap: impl FnMut(AudioBlock<'_>) + Send + 'static) -> Self {
        self.recording.tap = Some(Box::new(tap));
        self
    }

    /// What the recording says about itself.
    pub fn info(&self) -> RecordingInfo {
        self.recording.info()
    }

    /// The waveform of the segment given last, at the tagger's rate; empty before the first segment and
    /// for one that was padded.
    pub fn samples(&self) -> &[f32] {
        match &self.last {
            Some(cut) if cut.place.len == cut.samples.len() => &cut.samples,
            _ => &[],
        }
    }

    /// The clip's scores by channel, from the segments taken so far.
    ///
    /// # Errors
    /// [`Error::Decode`] when no segment was taken.
    pub fn finish(self) -> Result<Vec<ClipScores>> {
        let clips = self
            .collectors
            .finish(self.tagger, self.recording.duration_secs());
        if clips.is_empty() {
            return Err(Error::Decode {
                name: self.recording.name,
                reason: "no segment was scored".to_owned(),
            });
        }
        Ok(clips)
    }

    fn step(&mut self) -> Result<Option<SegmentScores>> {
        while let Some(cut) = self.recording.next_segment()? {
            let segment = self
                .tagger
                .score(&cut)
                .map_err(|error| named(&self.recording.name, error))?;
            self.collectors.add(&segment);
            if cut.speed.is_none() {
                self.last = Some(cut);
                return Ok(Some(segment));
            }
        }
        Ok(None)
    }
}

impl Iterator for Segments<'_> {
    type Item = Result<SegmentScores>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let step = self.step();
        self.failed = step.is_err();
        step.transpose()
    }
}

/// Adds the recording's name to an error of the front end, which does not know it.
pub(super) fn named(name: &str, error: Error) -> Error {
    match error {
        Error::Sample { .. } | Error::ClipTooShort { .. } => Error::Decode {
            name: name.to_owned(),
            reason: error.to_string(),
        },
        other => other,
    }
}
