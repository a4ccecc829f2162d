//! A picture for people: title, axes and the scale of its colours around it.

use std::convert::Infallible;

use embedded_graphics::geometry::{OriginDimensions, Point, Size};
use embedded_graphics::mono_font::MonoTextStyle;
use embedded_graphics::mono_font::iso_8859_1::FONT_7X13;
use embedded_graphics::pixelcolor::{Rgb888, RgbColor as _};
use embedded_graphics::prelude::{DrawTarget, Drawable as _, Pixel};
use embedded_graphics::text::{Alignment, Baseline, Text, TextStyleBuilder};

use super::{Picture, Range, colour, encode};

/// What small pictures are enlarged to, by whole factors.
const LEAST_WIDTH: usize = 720;
const LEAST_HEIGHT: usize = 360;

/// The margins around the picture in pixels.
const LEFT: usize = 66;
const TOP: usize = 48;
const RIGHT: usize = 116;
const BOTTOM: usize = 44;

/// The colour bar's width and its distance from the picture.
const BAR_WIDTH: usize = 16;
const BAR_GAP: usize = 18;

/// The length of a tick in pixels.
const TICK: usize = 5;

/// The least distance between the labels of an axis in pixels.
const LABEL_DISTANCE: f64 = 22.0;

/// What stands around a picture.
#[derive(Debug, Clone)]
pub(crate) struct Labels {
    /// Two lines above the picture.
    pub(crate) title: [String; 2],
    /// The seconds that the picture's width stands for, where it is known.
    pub(crate) duration_secs: Option<f64>,
    pub(crate) bands: Bands,
    pub(crate) scale: Scale,
}

/// What the picture's height stands for.
#[derive(Debug, Clone)]
pub(crate) enum Bands {
    /// The centre frequencies in Hz, lowest first.
    Hertz(Vec<f64>),
    /// Numbers of bands from 0.
    Numbers(usize),
    /// The values of a curve.
    Values(Range),
}

/// What the colours stand for.
#[derive(Debug, Clone)]
pub(crate) enum Scale {
    /// The colour map over a range, in a unit.
    Map(Range, String),
    /// A line about each of several channels.
    Channels(Vec<String>),
    /// Nothing.
    None,
}

/// The bytes of a PNG file of a picture with what stands around it.
pub(crate) fn png(picture: &Picture, labels: &Labels) -> anyhow::Result<Vec<u8>> {
    let zoom = |size: usize, least: usize| least.div_ceil(size.max(1)).max(1);
    let [zoom_x, zoom_y] = [
        zoom(picture.width, LEAST_WIDTH),
        zoom(picture.height, LEAST_HEIGHT),
    ];
    let (width, height) = (picture.width * zoom_x, picture.height * zoom_y);
    let mut canvas = Canvas::new(LEFT + width + RIGHT, TOP + height + BOTTOM);
    for y in 0..height {
        for x in 0..width {
            canvas.set(LEFT + x, TOP + y, picture.pixel(x / zoom_x, y / zoom_y));
        }
    }
    let plot = Plot { width, height };
    for (line, text) in labels.title.iter().enumerate() {
        canvas.text(text, [LEFT, 8 + 18 * line], Alignment::Left, Baseline::Top);
    }
    plot.times(&mut canvas, labels.duration_secs, picture.width);
    plot.bands(&mut canvas, &labels.bands);
    plot.scale(&mut canvas, &labels.scale);
    encode(canvas.width, canvas.height, &canvas.pixels, None)
}

/// The place of the picture on the canvas.
struct Plot {
    width: usize,
    height: usize,
}

impl Plot {
    fn times(&self, canvas: &mut Canvas, duration_secs: Option<f64>, n_frames: usize) {
        let (end, name) = match duration_secs {
            Some(secs) => (secs, "seconds"),
            None => (n_frames as f64, "frames"),
        };
        let bottom = TOP + self.height;
        for (value, text) in ticks(0.0, end, self.width as f64 / 70.0) {
            let x = LEFT + (value / end * (self.width - 1) as f64).round() as usize;
            canvas.fill([x, bottom], [1, TICK]);
            canvas.text(
                &text,
                [x, bottom + TICK + 2],
                Alignment::Center,
                Baseline::Top,
            );
        }
        let middle = [LEFT + self.width / 2, bottom + TICK + 20];
        canvas.text(name, middle, Alignment::Center, Baseline::Top);
    }

    fn bands(&self, canvas: &mut Canvas, bands: &Bands) {
        let n_ticks = self.height as f64 / 40.0;
        let (places, name): (Vec<(f64, String)>, &str) = match bands {
            Bands::Hertz(hz) => (frequency_ticks(hz), "Hz"),
            Bands::Numbers(n) => {
                let end = *n as f64;
                let places = ticks(0.0, end - 1.0, n_ticks).into_iter();
                (
                    places.map(|(at, text)| ((at + 0.5) / end, text)).collect(),
                    "band",
                )
            }
            Bands::Values(range) => {
                let (low, high) = (f64::from(range.low), f64::from(range.high));
                let places = ticks(low, high, n_ticks).into_iter();
                let share = |at: f64| (at - low) / (high - low);
                (places.map(|(at, text)| (share(at), text)).collect(), "")
            }
        };
        let mut last = f64::NEG_INFINITY;
        for (share, text) in places {
            let from_bottom = share * (self.height - 1) as f64;
            if from_bottom - last < LABEL_DISTANCE {
                continue;
            }
            last = from_bottom;
            let y = TOP + self.height - 1 - from_bottom.round() as usize;
            canvas.fill([LEFT - TICK, y], [TICK, 1]);
            canvas.text(
                &text,
                [LEFT - TICK - 3, y],
                Alignment::Right,
                Baseline::Middle,
            );
        }
        canvas.text(
            name,
            [4, TOP + self.height + TICK + 2],
            Alignment::Left,
            Baseline::Top,
        );
    }

    fn scale(&self, canvas: &mut Canvas, scale: &Scale) {
        let left = LEFT + self.width + BAR_GAP;
        match scale {
            Scale::Map(range, unit) => {
                for y in 0..self.height {
                    let level = 255 * (self.height - 1 - y) / (self.height - 1).max(1);
                    for x in 0..BAR_WIDTH {
                        canvas.set(left + x, TOP + y, colour(level as u8));
                    }
                }
                let (low, high) = (f64::from(range.low), f64::from(range.high));
                for (value, text) in ticks(low, high, self.height as f64 / 40.0) {
                    let share = (value - low) / (high - low);
                    let y = TOP + self.height - 1 - (share * (self.height - 1) as f64) as usize;
                    canvas.fill([left + BAR_WIDTH, y], [TICK, 1]);
                    let place = [left + BAR_WIDTH + TICK + 3, y];
                    canvas.text(&text, place, Alignment::Left, Baseline::Middle);
                }
                let right = [LEFT + self.width + RIGHT - 4, TOP + self.height + TICK + 20];
                canvas.text(unit, right, Alignment::Right, Baseline::Top);
            }
            Scale::Channels(lines) => {
                let right = LEFT + self.width + RIGHT - 4;
                let line = lines.join(", ");
                let place = [right, TOP + self.height + TICK + 20];
                canvas.text(&line, place, Alignment::Right, Baseline::Top);
            }
            Scale::None => {}
        }
    }
}

/// Round values from `low` to `high`, about `wished` of them, with their texts.
fn ticks(low: f64, high: f64, wished: f64) -> Vec<(f64, String)> {
    let span = high - low;
    if !(span > 0.0 && span.is_finite()) {
        return Vec::new();
    }
    let rough = span / wished.max(1.0);
    let decade = 10f64.powf(rough.log10().floor());
    let factor = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .find(|factor| factor * decade >= rough);
    let step = factor.unwrap_or(10.0) * decade;
    let digits = (-step.log10().floor()).max(0.0) as usize;
    let (first, last) = ((low / step).ceil() as i64, (high / step).floor() as i64);
    (first..=last)
        .map(|index| index as f64 * step)
        .map(|value| (value, format!("{value:.digits$}")))
        .collect()
}

/// Round frequencies and where they lie, as shares of the height from the bottom.
fn frequency_ticks(hz: &[f64]) -> Vec<(f64, String)> {
    let n_bands = hz.len();
    let (Some(&lowest), Some(&highest)) = (hz.first(), hz.last()) else {
        return Vec::new();
    };
    let is_linear = n_bands > 2 && {
        let step = (highest - lowest) / (n_bands - 1) as f64;
        (hz[n_bands / 2] - hz[n_bands / 2 - 1] - step).abs() < 0.01 * step
    };
    let values: Vec<f64> = match is_linear {
        true => ticks(lowest, highest, 8.0)
            .into_iter()
            .map(|(hz, _)| hz)
            .collect(),
        false => (1..6)
            .flat_map(|decade| [1.0, 2.0, 5.0].map(|factor| factor * 10f64.powi(decade)))
            .filter(|value| (lowest..=highest).contains(value))
            .collect(),
    };
    let place = |value: f64| {
        let above = hz.partition_point(|hz| *hz < value).clamp(1, n_bands - 1);
        let (below, over) = (hz[above - 1], hz[above]);
        let part = if over > below {
            (value - below) / (over - below)
        } else {
            0.0
        };
        ((above - 1) as f64 + part + 0.5) / n_bands as f64
    };
    let text = |value: f64| match value >= 1000.0 {
        true => format!("{}k", value / 1000.0),
        false => value.to_string(),
    };
    let values = values.into_iter().filter(|_| n_bands > 1);
    values.map(|value| (place(value), text(value))).collect()
}

/// Pixels to draw on, white at first.
struct Canvas {
    width: usize,
    height: usize,
    /// Red, green and blue of each pixel.
    pixels: Vec<u8>,
}

impl Canvas {
    fn new(width: usize, height: usize) -> Self {
        Self {
            width,
            height,
            pixels: vec![255; 3 * width * height],
        }
    }

    fn set(&mut self, x: usize, y: usize, colour: [u8; 3]) {
        if x < self.width && y < self.height {
            self.pixels[3 * (y * self.width + x)..][..3].copy_from_slice(&colour);
        }
    }

    /// A black rectangle.
    fn fill(&mut self, [left, top]: [usize; 2], [width, height]: [usize; 2]) {
        for y in top..top + height {
            (left..left + width).for_each(|x| self.set(x, y, [0; 3]));
        }
    }

    fn text(&mut self, text: &str, [x, y]: [usize; 2], alignment: Alignment, baseline: Baseline) {
        let style = TextStyleBuilder::new()
            .alignment(alignment)
            .baseline(baseline)
            .build();
        let place = Point::new(x as i32, y as i32);
        let font = MonoTextStyle::new(&FONT_7X13, Rgb888::BLACK);
        let Ok(_) = Text::with_text_style(text, place, font, style).draw(self);
    }
}

impl OriginDimensions for Canvas {
    fn size(&self) -> Size {
        Size::new(self.width as u32, self.height as u32)
    }
}

impl DrawTarget for Canvas {
    type Color = Rgb888;
    type Error = Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<Rgb888>>>(
        &mut self,
        pixels: I,
    ) -> Result<(), Infallible> {
        for Pixel(place, colour) in pixels {
            if let (Ok(x), Ok(y)) = (usize::try_from(place.x), usize::try_from(place.y)) {
                self.set(x, y, [colour.r(), colour.g(), colour.b()]);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(ticks: &[(f64, String)]) -> Vec<&str> {
        ticks.iter().map(|(_, text)| text.as_str()).collect()
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(
            texts(&ticks(-80.0, 0.0, 5.0)),
            ["-80", "-60", "-40", "-20", "0"]
        );
        assert_eq!(
            texts(&ticks(0.0, 1.05, 6.0)),
            ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]
        );
        assert!(ticks(1.0, 1.0, 5.0).is_empty());
        assert!(ticks(0.0, f64::NAN, 5.0).is_empty());
    }

    #[test]
    fn frequencies_lie_at_their_bands() {
        let linear: Vec<f64> = (0..=100).map(|band| f64::from(band) * 100.0).collect();
        let ticks = frequency_ticks(&linear);
        assert_eq!(texts(&ticks), ["0", "2k", "4k", "6k", "8k", "10k"]);
        assert!((ticks[1].0 - 20.5 / 101.0).abs() < 1e-9);
        let octaves: Vec<f64> = (0..9).map(|octave| 50.0 * 2f64.powi(octave)).collect();
        let ticks = frequency_ticks(&octaves);
        assert_eq!(
            texts(&ticks),
            ["50", "100", "200", "500", "1k", "2k", "5k", "10k"]
        );
        assert!((ticks[2].0 - 2.5 / 9.0).abs() < 1e-9);
        assert!(frequency_ticks(&[100.0]).is_empty());
    }
}
