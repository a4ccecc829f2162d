//! A pair of log-mel pictures, before and after, as a small PNG.

use std::path::Path;

use anyhow::Context as _;
use earmark::features::Features;

/// Colours from silence to the loudest, sixteen of them: four bits per pixel keep the file small.
const COLOURS: [[u8; 3]; 16] = [
    [8, 8, 24],
    [20, 14, 54],
    [40, 17, 84],
    [64, 18, 103],
    [89, 23, 110],
    [114, 30, 109],
    [139, 38, 103],
    [164, 47, 93],
    [187, 58, 80],
    [208, 73, 64],
    [224, 92, 47],
    [236, 115, 29],
    [244, 141, 14],
    [248, 169, 16],
    [248, 200, 48],
    [252, 244, 164],
];

/// Columns of the lightest colour between the two halves.
const GAP: usize = 4;

/// Writes the first channel of both, low bands at the bottom, with one scale of colours.
///
/// The scale goes from the 2nd percentile to the largest value of `before`.
///
/// # Errors
/// If the file cannot be written.
pub(super) fn write(path: &Path, before: &Features, after: &Features) -> anyhow::Result<()> {
    let mut sorted = before.data.clone();
    sorted.sort_by(f32::total_cmp);
    let low = sorted[sorted.len() / 50];
    let high = sorted[sorted.len() - 1];
    let colour = |value: f32| {
        let share = (value - low) / (high - low).max(1e-6);
        (share * 15.0).round().clamp(0.0, 15.0) as u8
    };
    let width = before.n_frames + GAP + after.n_frames;
    let height = before.n_bands;
    let mut pixels = Vec::new();
    for band in (0..height).rev() {
        let row = |features: &Features| {
            features.data[band * features.n_frames..][..features.n_frames].to_vec()
        };
        let mut line: Vec<u8> = row(before).into_iter().map(colour).collect();
        line.extend([15; GAP]);
        line.extend(row(after).into_iter().map(colour));
        pixels.extend(
            line.chunks(2)
                .map(|pair| pair[0] << 4 | pair.get(1).unwrap_or(&0)),
        );
    }
    let file = fs_err::File::create(path)?;
    let mut encoder = png::Encoder::new(file, u32::try_from(width)?, u32::try_from(height)?);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Four);
    encoder.set_palette(COLOURS.concat());
    encoder.set_compression(png::Compression::High);
    let written = encoder
        .write_header()
        .and_then(|mut writer| writer.write_image_data(&pixels));
    written.with_context(|| path.display().to_string())
}
