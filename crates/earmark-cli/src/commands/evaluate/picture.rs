//! Spectrogram pictures: features in, a small PNG out.

use anyhow::Context as _;
use earmark::features::Features;

/// Colours from quiet to loud; between them they are interpolated.
const COLOURS: [[f32; 3]; 6] = [
    [8.0, 8.0, 24.0],
    [64.0, 18.0, 103.0],
    [139.0, 38.0, 103.0],
    [208.0, 73.0, 64.0],
    [248.0, 169.0, 16.0],
    [252.0, 250.0, 190.0],
];

/// The widest picture in pixels; longer clips are thinned.
const MAX_WIDTH: usize = 480;

/// The first channel as a PNG file, low bands at the bottom.
///
/// The colours go from the 5th percentile to the largest value.
pub(super) fn png(features: &Features) -> anyhow::Result<Vec<u8>> {
    let step = features.n_frames.div_ceil(MAX_WIDTH).max(1);
    let width = features.n_frames.div_ceil(step);
    let mut sorted = features.channel(0).to_vec();
    sorted.sort_by(f32::total_cmp);
    let low = sorted.get(sorted.len() / 20).copied().unwrap_or(0.0);
    let high = sorted.last().copied().unwrap_or(1.0);
    let mut pixels = Vec::with_capacity(width * features.n_bands);
    for band in (0..features.n_bands).rev() {
        for frames in features.row(0, band).chunks(step) {
            let loudest = frames.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let share = (loudest - low) / (high - low).max(1e-6);
            pixels.push((share * 255.0).clamp(0.0, 255.0) as u8);
        }
    }
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(
        &mut file,
        u32::try_from(width)?,
        u32::try_from(features.n_bands)?,
    );
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_palette((0..=255).flat_map(colour).collect::<Vec<u8>>());
    let mut writer = encoder.write_header().context("writing a picture")?;
    writer
        .write_image_data(&pixels)
        .context("writing a picture")?;
    writer.finish().context("writing a picture")?;
    Ok(file)
}

fn colour(index: u8) -> [u8; 3] {
    let place = f32::from(index) / 255.0 * (COLOURS.len() - 1) as f32;
    let below = (place as usize).min(COLOURS.len() - 2);
    let part = place - below as f32;
    std::array::from_fn(|channel| {
        let (from, to) = (COLOURS[below][channel], COLOURS[below + 1][channel]);
        (from + part * (to - from)).round() as u8
    })
}
