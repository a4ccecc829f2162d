//! Pictures of features: numbers and the range they are shown in, PNG files out.
//!
//! All pictures of the program have one colour map, Inferno, whose steps look equally large and
//! whose lightness rises from silence to the loudest. [`figure`] adds axes, title and scale.

pub(crate) mod figure;

use anyhow::Context as _;
use earmark::features::{Features, FrontEnd};

/// The height of a waveform's picture in pixels.
const WAVEFORM_HEIGHT: usize = 128;

/// The widest picture of a waveform in pixels.
const WAVEFORM_WIDTH: usize = 1024;

/// Rows of the lightest colour between pictures that are stacked.
const GAP: usize = 4;

/// The values of the darkest and of the brightest colour.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Range {
    pub(crate) low: f32,
    pub(crate) high: f32,
}

impl Range {
    /// The range that a front end's settings give to a channel; `None` for statistics.
    pub(crate) fn of(front_end: &FrontEnd, channel: usize) -> earmark::Result<Option<Self>> {
        let scale = front_end.channel_scale(channel)?;
        Ok(scale.map(|scale| Self {
            low: scale.low as f32,
            high: scale.high as f32,
        }))
    }

    /// The colour of a value, 0 to 255.
    fn level(self, value: f32) -> u8 {
        let share = (value - self.low) / (self.high - self.low).max(f32::MIN_POSITIVE);
        (share * 255.0).round().clamp(0.0, 255.0) as u8
    }
}

/// The colour of a level.
fn colour(level: u8) -> [u8; 3] {
    let colour = colorous::INFERNO.eval_rational(usize::from(level), 256);
    [colour.r, colour.g, colour.b]
}

/// A picture without axes: a pixel per value, low bands at the bottom.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Picture {
    width: usize,
    height: usize,
    pixels: Pixels,
}

/// Rows from the top, pixels from the left.
#[derive(Debug, Clone, PartialEq)]
enum Pixels {
    /// Levels of the colour map.
    Levels(Vec<u8>),
    /// Red, green and blue of each pixel.
    Colours(Vec<u8>),
}

impl Picture {
    /// A channel in the colours of the map.
    pub(crate) fn of_channel(features: &Features, channel: usize, range: Range) -> Self {
        let bands = (0..features.n_bands).rev();
        let values = bands.flat_map(|band| features.row(channel, band));
        Self {
            width: features.n_frames,
            height: features.n_bands,
            pixels: Pixels::Levels(values.map(|value| range.level(*value)).collect()),
        }
    }

    /// Three channels as red, green and blue.
    pub(crate) fn of_three(features: &Features, ranges: [Range; 3]) -> Self {
        let mut pixels = Vec::with_capacity(features.data.len());
        for band in (0..features.n_bands).rev() {
            let rows: [&[f32]; 3] = std::array::from_fn(|channel| features.row(channel, band));
            let frames = rows[0].iter().zip(rows[1]).zip(rows[2]);
            for ((red, green), blue) in frames {
                let values = [red, green, blue].into_iter().zip(ranges);
                pixels.extend(values.map(|(value, range)| range.level(*value)));
            }
        }
        Self {
            width: features.n_frames,
            height: features.n_bands,
            pixels: Pixels::Colours(pixels),
        }
    }

    /// A channel of one band as a curve: from the least to the largest value of every column.
    pub(crate) fn of_waveform(samples: &[f32], range: Range) -> Self {
        let width = samples.len().min(WAVEFORM_WIDTH);
        let mut levels = vec![0; width * WAVEFORM_HEIGHT];
        let row = |value: f32| {
            let from_bottom = usize::from(range.level(value)) * (WAVEFORM_HEIGHT - 1) / 255;
            WAVEFORM_HEIGHT - 1 - from_bottom
        };
        for column in 0..width {
            // Each column begins with the last sample of the one before, so that the curve is whole.
            let start = (column * samples.len() / width).saturating_sub(1);
            let part = &samples[start..(column + 1) * samples.len() / width];
            let least = part.iter().copied().fold(f32::INFINITY, f32::min);
            let largest = part.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            for y in row(largest)..=row(least) {
                levels[y * width + column] = 192;
            }
        }
        Self {
            width,
            height: WAVEFORM_HEIGHT,
            pixels: Pixels::Levels(levels),
        }
    }

    /// This picture with another one to its right.
    pub(crate) fn beside(&self, right: &Self) -> Self {
        let height = self.height.max(right.height);
        let gap = Self::gap(GAP, height);
        let parts = [self, &gap, right];
        let width = parts.iter().map(|part| part.width).sum();
        let mut pixels = Vec::with_capacity(3 * width * height);
        for y in 0..height {
            for part in parts {
                pixels.extend((0..part.width).flat_map(|x| part.pixel(x, y)));
            }
        }
        Self::from_colours(width, height, pixels, parts)
    }

    /// This picture with another one below it.
    pub(crate) fn above(&self, below: &Self) -> Self {
        let width = self.width.max(below.width);
        let gap = Self::gap(width, GAP);
        let parts = [self, &gap, below];
        let height = parts.iter().map(|part| part.height).sum();
        let mut pixels = Vec::with_capacity(3 * width * height);
        for part in parts {
            for y in 0..part.height {
                pixels.extend((0..width).flat_map(|x| part.pixel(x, y)));
            }
        }
        Self::from_colours(width, height, pixels, parts)
    }

    fn gap(width: usize, height: usize) -> Self {
        Self {
            width,
            height,
            pixels: Pixels::Levels(vec![255; width * height]),
        }
    }

    /// Joined pixels, as levels again if all parts are.
    fn from_colours(width: usize, height: usize, colours: Vec<u8>, parts: [&Self; 3]) -> Self {
        let is_mapped = |part: &&Self| matches!(part.pixels, Pixels::Levels(_));
        if !parts.iter().all(is_mapped) {
            return Self {
                width,
                height,
                pixels: Pixels::Colours(colours),
            };
        }
        let level_of: std::collections::HashMap<[u8; 3], u8> =
            (0..=255).map(|level| (colour(level), level)).collect();
        let level = |pixel: &[u8]| level_of.get(pixel).copied().unwrap_or(255);
        Self {
            width,
            height,
            pixels: Pixels::Levels(colours.chunks_exact(3).map(level).collect()),
        }
    }

    /// The colour of a pixel; the lightest one outside of the picture.
    fn pixel(&self, x: usize, y: usize) -> [u8; 3] {
        if x >= self.width || y >= self.height {
            return colour(255);
        }
        let at = y * self.width + x;
        match &self.pixels {
            Pixels::Levels(levels) => colour(levels[at]),
            Pixels::Colours(colours) => std::array::from_fn(|i| colours[3 * at + i]),
        }
    }

    /// The bytes of a PNG file.
    pub(crate) fn png(&self) -> anyhow::Result<Vec<u8>> {
        match &self.pixels {
            Pixels::Levels(levels) => {
                let palette = (0..=255).flat_map(colour).collect();
                encode(self.width, self.height, levels, Some(palette))
            }
            Pixels::Colours(colours) => encode(self.width, self.height, colours, None),
        }
    }
}

/// A PNG file of levels with a palette, or of colours.
fn encode(
    width: usize,
    height: usize,
    pixels: &[u8],
    palette: Option<Vec<u8>>,
) -> anyhow::Result<Vec<u8>> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, u32::try_from(width)?, u32::try_from(height)?);
    encoder.set_depth(png::BitDepth::Eight);
    match palette {
        Some(palette) => {
            encoder.set_color(png::ColorType::Indexed);
            encoder.set_palette(palette);
        }
        None => encoder.set_color(png::ColorType::Rgb),
    }
    let write = || -> Result<(), png::EncodingError> {
        let mut writer = encoder.write_header()?;
        writer.write_image_data(pixels)?;
        writer.finish()
    };
    write().with_context(|| format!("encoding a picture of {width} × {height} pixels"))?;
    Ok(file)
}

/// At most `max_frames` frames, each the largest of as many consecutive ones.
pub(crate) fn thinned(features: &Features, max_frames: usize) -> Features {
    let step = features.n_frames.div_ceil(max_frames).max(1);
    let rows = features.data.chunks_exact(features.n_frames.max(1));
    let largest = |frames: &[f32]| frames.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    Features {
        data: rows.flat_map(|row| row.chunks(step).map(largest)).collect(),
        n_frames: features.n_frames.div_ceil(step),
        ..*features
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn features(n_channels: usize) -> Features {
        let (n_bands, n_frames) = (2, 3);
        Features {
            data: (0..n_channels * n_bands * n_frames)
                .map(|i| i as f32)
                .collect(),
            n_channels,
            n_bands,
            n_frames,
        }
    }

    const RANGE: Range = Range {
        low: 0.0,
        high: 5.0,
    };

    #[test]
    fn low_bands_are_at_the_bottom_and_colours_follow_the_range_alone() {
        let picture = Picture::of_channel(&features(1), 0, RANGE);
        let levels = Pixels::Levels(vec![153, 204, 255, 0, 51, 102]);
        assert_eq!((picture.width, picture.height), (3, 2));
        assert_eq!(picture.pixels, levels);
        // Beyond the range, and for what is no number, there are colours too.
        for (value, level) in [(-1.0, 0), (9.0, 255), (f32::NAN, 0)] {
            assert_eq!(RANGE.level(value), level);
        }
    }

    #[test]
    fn lightness_rises_over_the_whole_map() {
        // Relative luminance by ITU-R BT.709.
        let luminance = |level: u8| {
            let [r, g, b] = colour(level).map(f64::from);
            0.2126 * r + 0.7152 * g + 0.0722 * b
        };
        let levels: Vec<f64> = (0..=255).step_by(5).map(luminance).collect();
        assert!(levels.is_sorted());
    }

    #[test]
    fn three_channels_are_red_green_and_blue() {
        let picture = Picture::of_three(&features(3), [RANGE; 3]);
        assert_eq!(picture.pixel(0, 1), [0, 255, 255]);
        assert_eq!(picture.pixel(1, 1), [51, 255, 255]);
    }

    #[test]
    fn joined_pictures_keep_their_pixels() {
        let one = Picture::of_channel(&features(1), 0, RANGE);
        for joined in [one.beside(&one), one.above(&one)] {
            assert!(matches!(joined.pixels, Pixels::Levels(_)));
            let last = joined.pixel(joined.width - 1, joined.height - 1);
            assert_eq!(last, one.pixel(2, 1));
        }
        assert_eq!(one.beside(&one).width, 10);
        assert_eq!(one.above(&one).height, 8);
    }

    #[test]
    fn a_waveform_is_a_whole_curve() {
        let samples: Vec<f32> = (0..5000).map(|n| (n as f32 * 0.01).sin()).collect();
        let range = Range {
            low: -1.0,
            high: 1.0,
        };
        let picture = Picture::of_waveform(&samples, range);
        assert_eq!(picture.width, WAVEFORM_WIDTH);
        let Pixels::Levels(levels) = &picture.pixels else {
            panic!("a curve has levels");
        };
        for column in 0..picture.width {
            let lit = |y: &usize| levels[y * picture.width + column] > 0;
            assert!((0..WAVEFORM_HEIGHT).any(|y| lit(&y)), "column {column}");
        }
    }

    #[test]
    fn thinning_keeps_the_loudest() {
        let thin = thinned(&features(1), 2);
        assert_eq!(thin.data, [1.0, 2.0, 4.0, 5.0]);
        assert_eq!(thin.n_frames, 2);
    }
}
