//! Features as pictures whose colours mean the same in every clip.
//!
//! One channel, or several equal ones, are drawn in the colours of the map; three different ones are
//! red, green and blue; other numbers stand one below the other. A waveform is a curve.

use std::io::Write as _;
use std::path::Path;

use earmark::features::{
    ChannelConfig, Features, FrequencyAxis, FrontEnd, Loudness, PRESETS, Representation, Step,
};

use super::Job;
use super::each::Writer;
use super::listen::Heard;
use crate::output::{Destination, path_text};
use crate::pictures::figure::{self, Bands, Labels, Scale};
use crate::pictures::{Picture, Range, thinned};

/// The most values of a picture without axes: what a viewer opens, and 128 MiB of memory.
const MAX_VALUES: usize = 1 << 25;

/// The most frames of a picture with axes: longer ones show the largest of several.
const MAX_FRAMES: usize = 1600;

/// How the features of a front end are drawn.
pub(super) struct Drawing {
    style: Style,
    /// What stands around each picture; `None` for pictures without axes.
    around: Option<Around>,
}

enum Style {
    Curve(Range),
    Map(Range),
    Colours([Range; 3]),
    Panels(Vec<Range>),
}

/// What stands around the pictures of a run.
struct Around {
    front_end: FrontEnd,
    subtitle: String,
    bands: Bands,
    scale: Scale,
}

impl Drawing {
    /// Chooses colours for a front end; `range` replaces those that follow from its settings.
    ///
    /// # Errors
    /// For a front end that gives no picture.
    pub(super) fn new(job: &Job, range: Option<Range>, axes: bool) -> anyhow::Result<Self> {
        let front_end = &job.front_end;
        let configs = &front_end.config().channels;
        let mut ranges = Vec::new();
        for channel in 0..configs.len() {
            let Some(shown) = Range::of(front_end, channel)? else {
                anyhow::bail!(
                    "statistics of whole clips make no picture, expected --format npy, npz or parquet"
                );
            };
            ranges.push(range.unwrap_or(shown));
        }
        let is_one = configs.iter().all(|config| *config == configs[0]);
        let style = match (is_one, &ranges[..]) {
            (true, [first, ..]) if front_end.n_bands() == 1 => Style::Curve(*first),
            (true, [first, ..]) => Style::Map(*first),
            (false, &[red, green, blue]) => Style::Colours([red, green, blue]),
            _ => Style::Panels(ranges),
        };
        let around = match axes {
            true => Some(Around::new(job, &style)?),
            false => None,
        };
        Ok(Self { style, around })
    }

    fn picture(&self, features: &Features) -> Picture {
        match &self.style {
            Style::Curve(range) => Picture::of_waveform(features.row(0, 0), *range),
            Style::Map(range) => Picture::of_channel(features, 0, *range),
            Style::Colours(ranges) => Picture::of_three(features, *ranges),
            Style::Panels(ranges) => {
                let panel = |channel| Picture::of_channel(features, channel, ranges[channel]);
                let below = (1..ranges.len()).map(panel);
                below.fold(panel(0), |above, below| above.above(&below))
            }
        }
    }
}

impl Around {
    fn new(job: &Job, style: &Style) -> anyhow::Result<Self> {
        let front_end = &job.front_end;
        let unit = front_end
            .channel_scale(0)?
            .map(|scale| scale.unit)
            .unwrap_or_default();
        let n_bands = front_end.n_bands();
        let of_band = || match front_end.band_frequencies(0) {
            Some(hz) => Bands::Hertz(hz),
            None => Bands::Numbers(n_bands),
        };
        let (bands, scale) = match style {
            Style::Curve(range) => (Bands::Values(*range), Scale::None),
            Style::Map(range) => (of_band(), Scale::Map(*range, unit)),
            Style::Colours(_) => {
                let channels = front_end.config().channels.iter();
                let names = ["red", "green", "blue"].iter().zip(channels);
                let lines =
                    names.map(|(colour, channel)| format!("{colour}: {}", describe(channel)));
                let is_shared =
                    (1..3).all(|c| front_end.band_frequencies(c) == front_end.band_frequencies(0));
                let bands = if is_shared {
                    of_band()
                } else {
                    Bands::Numbers(n_bands)
                };
                (bands, Scale::Channels(lines.collect()))
            }
            Style::Panels(ranges) => {
                let rows = n_bands * ranges.len();
                (Bands::Numbers(rows), Scale::Map(ranges[0], unit))
            }
        };
        let preset = PRESETS.iter().find(|preset| preset.name == job.name);
        let subtitle = match preset {
            Some(preset) => format!("{}: {}", preset.name, preset.summary),
            None => job.name.clone(),
        };
        Ok(Self {
            front_end: front_end.clone(),
            subtitle,
            bands,
            scale,
        })
    }

    fn labels(&self, place: &str, n_frames: usize, heard: &Heard) -> Labels {
        Labels {
            title: [place.to_owned(), self.subtitle.clone()],
            duration_secs: self.duration_secs(n_frames, heard),
            bands: self.bands.clone(),
            scale: self.scale.clone(),
        }
    }

    /// The seconds of the frames, where the settings tell them.
    fn duration_secs(&self, n_frames: usize, heard: &Heard) -> Option<f64> {
        let rate = f64::from(self.front_end.sample_rate());
        if let Some(hop) = self.front_end.hop_length() {
            return Some(n_frames as f64 * hop as f64 / rate);
        }
        let clip = &self.front_end.config().clip;
        let fixed = clip.length.map(|length| length.n_samples);
        let fixed = fixed.or(clip.centre.map(|centre| centre.n_samples));
        let n_samples = match clip.trim {
            None => Some(fixed.unwrap_or(heard.n_samples)),
            Some(_) => fixed,
        };
        Some(n_samples? as f64 / rate)
    }
}

/// What a channel is, in a few words.
fn describe(channel: &ChannelConfig) -> String {
    let mut words = match &channel.of {
        Representation::Waveform => "waveform".to_owned(),
        Representation::Statistics(_) => "statistics".to_owned(),
        Representation::HighResolution(config) => format!("q {}", config.q),
        Representation::Spectrogram(config) => {
            let axis = match &config.axis {
                FrequencyAxis::Linear => "linear",
                FrequencyAxis::Mel(_) => "mel",
                FrequencyAxis::Log(_) => "log",
            };
            let loudness = match &config.loudness {
                Loudness::Decibel(_) => " dB",
                Loudness::Ln(_) | Loudness::Log10(_) => " log",
                Loudness::Pcen(_) => " PCEN",
                Loudness::Linear => "",
            };
            format!("{axis}{loudness}")
        }
    };
    for step in &channel.steps {
        match step {
            Step::Delta { order, .. } => words.push_str(&format!(" delta {order}")),
            Step::Cepstrum { .. } => words.push_str(" cepstrum"),
            Step::Bands { first, count } => {
                words.push_str(&format!(" {first} to {}", first + count));
            }
            _ => {}
        }
    }
    words
}

/// Writes a PNG file.
pub(super) struct Png<'a> {
    destination: Destination,
    drawing: &'a Drawing,
    place: String,
    gathered: Gathered,
}

impl<'a> Png<'a> {
    pub(super) fn new(destination: Destination, drawing: &'a Drawing, place: &Path) -> Self {
        Self {
            destination,
            drawing,
            place: path_text(place),
            gathered: Gathered::default(),
        }
    }
}

impl Writer for Png<'_> {
    fn frames(&mut self, features: &Features) -> anyhow::Result<()> {
        self.gathered.push(features);
        if self.drawing.around.is_some() {
            self.gathered.thin();
            return Ok(());
        }
        let n_values = self.gathered.columns.len();
        if n_values > MAX_VALUES {
            anyhow::bail!(
                "its picture has more than {MAX_VALUES} values; --axes draws one of any length"
            );
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>, heard: &Heard) -> anyhow::Result<()> {
        let (features, n_frames) = self.gathered.features();
        let png = match &self.drawing.around {
            None => self.drawing.picture(&features).png()?,
            Some(around) => {
                let labels = around.labels(&self.place, n_frames, heard);
                let is_curve = matches!(self.drawing.style, Style::Curve(_));
                let shown = match is_curve {
                    true => features,
                    false => thinned(&features, MAX_FRAMES),
                };
                figure::png(&self.drawing.picture(&shown), &labels)?
            }
        };
        self.destination.write_all(&png)?;
        self.destination.finish()
    }
}

/// Frames of a clip, or the largest of several at a time.
#[derive(Default)]
struct Gathered {
    /// `[frame, channel, band]`
    columns: Vec<f32>,
    shape: [usize; 2],
    /// Frames that make one column.
    step: usize,
    /// Frames in the last column.
    n_in_last: usize,
    n_frames: usize,
}

impl Gathered {
    fn push(&mut self, features: &Features) {
        self.shape = [features.n_channels, features.n_bands];
        self.step = self.step.max(1);
        let dim = features.n_channels * features.n_bands;
        for frame in 0..features.n_frames {
            let values = features
                .data
                .chunks_exact(features.n_frames)
                .map(|row| row[frame]);
            if self.n_in_last == 0 || self.n_in_last == self.step {
                self.columns.extend(values);
                self.n_in_last = 1;
            } else {
                let start = self.columns.len() - dim;
                let last = self.columns[start..].iter_mut();
                last.zip(values)
                    .for_each(|(largest, value)| *largest = largest.max(value));
                self.n_in_last += 1;
            }
        }
        self.n_frames += features.n_frames;
    }

    /// Joins columns in pairs when there are many more than a figure shows. A curve would lose its
    /// lower half; its columns stay until they are far too many.
    fn thin(&mut self) {
        let dim = self.shape[0] * self.shape[1];
        let most = if dim == 1 {
            MAX_VALUES
        } else {
            4 * MAX_FRAMES * dim
        };
        while self.columns.len() > most {
            let n_columns = self.columns.len() / dim;
            for pair in 0..n_columns.div_ceil(2) {
                for i in 0..dim {
                    let first = self.columns[2 * pair * dim + i];
                    let second = self.columns.get((2 * pair + 1) * dim + i);
                    self.columns[pair * dim + i] = second.map_or(first, |value| first.max(*value));
                }
            }
            self.columns.truncate(n_columns.div_ceil(2) * dim);
            let frames_in_last = self.n_frames - (n_columns.div_ceil(2) - 1) * 2 * self.step;
            self.step *= 2;
            self.n_in_last = frames_in_last.min(self.step);
        }
    }

    /// The columns as `[channel, band, frame]`, and the number of frames that they stand for.
    fn features(&self) -> (Features, usize) {
        let [n_channels, n_bands] = self.shape;
        let dim = (n_channels * n_bands).max(1);
        let n_columns = self.columns.len() / dim;
        let data = (0..dim).flat_map(|i| (0..n_columns).map(move |column| (column, i)));
        let features = Features {
            data: data
                .map(|(column, i)| self.columns[column * dim + i])
                .collect(),
            n_channels,
            n_bands,
            n_frames: n_columns,
        };
        (features, self.n_frames)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One channel of two bands: the number of the frame, and its negative.
    fn ramp(first: usize, n_frames: usize) -> Features {
        let frames = || (first..first + n_frames).map(|frame| frame as f32);
        Features {
            data: frames().chain(frames().map(|x| -x)).collect(),
            n_channels: 1,
            n_bands: 2,
            n_frames,
        }
    }

    #[test]
    fn few_frames_stay_as_they_are_however_they_come() {
        let mut gathered = Gathered::default();
        for (first, count) in [(0, 3), (3, 1), (4, 6)] {
            gathered.push(&ramp(first, count));
            gathered.thin();
        }
        assert_eq!(gathered.features(), (ramp(0, 10), 10));
    }

    #[test]
    fn many_frames_become_the_largest_of_each_stretch() {
        let n_frames = 40_001;
        let mut gathered = Gathered::default();
        let mut first = 0;
        for count in [1, 7, 4096].into_iter().cycle() {
            let count = count.min(n_frames - first);
            gathered.push(&ramp(first, count));
            gathered.thin();
            first += count;
            if first == n_frames {
                break;
            }
        }
        let (features, counted) = gathered.features();
        assert_eq!(counted, n_frames);
        let step = gathered.step;
        assert!(step > 1 && features.n_frames == n_frames.div_ceil(step));
        for column in 0..features.n_frames {
            let last = ((column + 1) * step).min(n_frames) - 1;
            assert_eq!(features.row(0, 0)[column], last as f32);
            assert_eq!(features.row(0, 1)[column], -((column * step) as f32));
        }
    }
}
