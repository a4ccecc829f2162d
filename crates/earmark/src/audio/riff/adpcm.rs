//! Microsoft and IMA/DVI ADPCM: four bits per sample in blocks that each start anew.
//!
//! Sources: Microsoft's "Multimedia Data Standards Update" (1994) for both block layouts, the IMA
//! Digital Audio Focus and Technical Working Group's recommendation (1992) for the step tables.

use super::format::Coding;
use crate::audio::planes::Planes;
use crate::{Error, Result};

/// Which ADPCM.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    /// Microsoft, with its predictor coefficients.
    Ms(Vec<[i32; 2]>),
    /// IMA, also called DVI.
    Ima,
}

/// Reads the Microsoft extension of the `fmt ` chunk: the coefficient table.
pub(super) fn ms(
    name: &str,
    chunk: &[u8],
    n_channels: usize,
    block_align: usize,
) -> Result<(Coding, usize)> {
    let coefficients: Vec<[i32; 2]> = chunk
        .get(22..)
        .unwrap_or_default()
        .chunks_exact(4)
        .map(|b| {
            [
                i16::from_le_bytes([b[0], b[1]]),
                i16::from_le_bytes([b[2], b[3]]),
            ]
            .map(i32::from)
        })
        .collect();
    // A table is mandatory; where a writer left it out the standard's seven pairs are meant.
    let coefficients = if coefficients.len() < 7 {
        MS_COEFFICIENTS.to_vec()
    } else {
        coefficients
    };
    block_coding(name, Kind::Ms(coefficients), n_channels, block_align)
}

/// The IMA coding; its extension only repeats what the block size says.
pub(super) fn ima(name: &str, n_channels: usize, block_align: usize) -> Result<(Coding, usize)> {
    block_coding(name, Kind::Ima, n_channels, block_align)
}

fn block_coding(
    name: &str,
    kind: Kind,
    n_channels: usize,
    block_align: usize,
) -> Result<(Coding, usize)> {
    let n_frames = frames_in_block(&kind, block_align, n_channels);
    if n_frames < 2 {
        return Err(Error::Decode {
            name: name.to_owned(),
            reason: format!(
                "its header states ADPCM blocks of {block_align} bytes, too small for {n_channels} \
                 channels"
            ),
        });
    }
    Ok((Coding::Adpcm(kind), n_frames))
}

/// Samples per channel in a block of `n_bytes`, 0 if it holds no whole preamble.
pub(super) fn frames_in_block(kind: &Kind, n_bytes: usize, n_channels: usize) -> usize {
    match kind {
        Kind::Ms(_) => match n_bytes.checked_sub(7 * n_channels) {
            Some(rest) => 2 + rest * 2 / n_channels,
            None => 0,
        },
        Kind::Ima => match n_bytes.checked_sub(4 * n_channels) {
            Some(rest) => 1 + rest / (4 * n_channels) * 8,
            None => 0,
        },
    }
}

/// Appends the samples of all blocks in `bytes` to `planes`; the last block may be short.
pub(super) fn decode(
    kind: &Kind,
    bytes: &[u8],
    block_align: usize,
    frames_per_block: usize,
    planes: &mut Planes,
) {
    let n_channels = planes.channels.len();
    for block in bytes.chunks(block_align) {
        let n_frames = frames_in_block(kind, block.len(), n_channels).min(frames_per_block);
        if n_frames > 0 {
            match kind {
                Kind::Ms(coefficients) => ms_block(coefficients, block, n_frames, planes),
                Kind::Ima => ima_block(block, n_frames, planes),
            }
        }
    }
}

/// The standard's seven coefficient pairs, in 8.8 fixed point.
const MS_COEFFICIENTS: [[i32; 2]; 7] = [
    [256, 0],
    [512, -256],
    [0, 0],
    [192, 64],
    [240, 0],
    [460, -208],
    [392, -232],
];

/// How the step grows with the nibble, in 8.8 fixed point.
const MS_ADAPTATION: [i32; 16] = [
    230, 230, 230, 230, 307, 409, 512, 614, 768, 614, 512, 409, 307, 230, 230, 230,
];

#[derive(Clone, Copy)]
struct MsState {
    coefficients: [i32; 2],
    delta: i32,
    previous: [i32; 2],
}

impl MsState {
    fn next(&mut self, nibble: u8) -> i32 {
        let signed = i32::from(nibble) - if nibble & 8 != 0 { 16 } else { 0 };
        let [c1, c2] = self.coefficients;
        let [s1, s2] = self.previous;
        let predicted = (s1 * c1 + s2 * c2) / 256;
        let sample = predicted
            .saturating_add(signed.saturating_mul(self.delta))
            .clamp(-32_768, 32_767);
        self.previous = [sample, s1];
        let grown = MS_ADAPTATION[usize::from(nibble)].saturating_mul(self.delta) / 256;
        self.delta = grown.max(16);
        sample
    }
}

/// One Microsoft block: predictors, deltas, sample 1, sample 2 of every channel, then nibbles.
fn ms_block(coefficients: &[[i32; 2]], block: &[u8], n_frames: usize, planes: &mut Planes) {
    let n_channels = planes.channels.len();
    let i16_at = |at: usize| i32::from(i16::from_le_bytes([block[at], block[at + 1]]));
    let mut states: Vec<MsState> = (0..n_channels)
        .map(|c| MsState {
            // A predictor beyond the table is damage; the first pair keeps the rest in place.
            coefficients: coefficients
                .get(usize::from(block[c]))
                .copied()
                .unwrap_or(coefficients[0]),
            delta: i16_at(n_channels + 2 * c),
            previous: [
                i16_at(3 * n_channels + 2 * c),
                i16_at(5 * n_channels + 2 * c),
            ],
        })
        .collect();
    for (state, plane) in states.iter().zip(&mut planes.channels) {
        plane.push(scaled(state.previous[1]));
        plane.push(scaled(state.previous[0]));
    }
    let nibbles = block[7 * n_channels..]
        .iter()
        .flat_map(|b| [b >> 4, b & 15]);
    for (i, nibble) in nibbles.take((n_frames - 2) * n_channels).enumerate() {
        let c = i % n_channels;
        let sample = states[c].next(nibble);
        planes.channels[c].push(scaled(sample));
    }
}

/// The step sizes of the IMA recommendation.
const IMA_STEPS: [i32; 89] = [
    7, 8, 9, 10, 11, 12, 13, 14, 16, 17, 19, 21, 23, 25, 28, 31, 34, 37, 41, 45, 50, 55, 60, 66,
    73, 80, 88, 97, 107, 118, 130, 143, 157, 173, 190, 209, 230, 253, 279, 307, 337, 371, 408, 449,
    494, 544, 598, 658, 724, 796, 876, 963, 1060, 1166, 1282, 1411, 1552, 1707, 1878, 2066, 2272,
    2499, 2749, 3024, 3327, 3660, 4026, 4428, 4871, 5358, 5894, 6484, 7132, 7845, 8630, 9493,
    10442, 11487, 12635, 13899, 15289, 16818, 18500, 20350, 22385, 24623, 27086, 29794, 32767,
];

/// How far the index into the step sizes moves with the nibble's magnitude.
const IMA_INDEX_STEPS: [i32; 8] = [-1, -1, -1, -1, 2, 4, 6, 8];

#[derive(Clone, Copy)]
struct ImaState {
    sample: i32,
    index: i32,
}

impl ImaState {
    fn next(&mut self, nibble: u8) -> i32 {
        let step = IMA_STEPS[usize::try_from(self.index).unwrap_or(0).min(88)];
        let magnitude = i32::from(nibble & 7);
        let mut difference = step >> 3;
        for (bit, shift) in [(4, 0), (2, 1), (1, 2)] {
            if magnitude & bit != 0 {
                difference += step >> shift;
            }
        }
        let signed = if nibble & 8 != 0 {
            -difference
        } else {
            difference
        };
        self.sample = (self.sample + signed).clamp(-32_768, 32_767);
        self.index = (self.index + IMA_INDEX_STEPS[usize::from(nibble & 7)]).clamp(0, 88);
        self.sample
    }
}

/// One IMA block: sample and index of every channel, then groups of four bytes per channel in turn.
fn ima_block(block: &[u8], n_frames: usize, planes: &mut Planes) {
    let n_channels = planes.channels.len();
    let n_groups = (n_frames - 1) / 8;
    for (c, plane) in planes.channels.iter_mut().enumerate() {
        let preamble = &block[4 * c..4 * c + 4];
        let mut state = ImaState {
            sample: i32::from(i16::from_le_bytes([preamble[0], preamble[1]])),
            index: i32::from(preamble[2]).min(88),
        };
        plane.push(scaled(state.sample));
        for group in 0..n_groups {
            let at = 4 * (n_channels * (group + 1) + c);
            for byte in &block[at..at + 4] {
                plane.push(scaled(state.next(byte & 15)));
                plane.push(scaled(state.next(byte >> 4)));
            }
        }
    }
}

fn scaled(sample: i32) -> f32 {
    sample as f32 / 32_768.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_hold_as_many_samples_as_the_layouts_say() {
        // The sizes that Windows writes for 22 050 Hz mono and 44 100 Hz stereo.
        assert_eq!(frames_in_block(&Kind::Ima, 512, 1), 1017);
        assert_eq!(frames_in_block(&Kind::Ima, 2048, 2), 2041);
        assert_eq!(frames_in_block(&Kind::Ms(Vec::new()), 512, 1), 1012);
        assert_eq!(frames_in_block(&Kind::Ms(Vec::new()), 2048, 2), 2036);
        assert_eq!(frames_in_block(&Kind::Ima, 3, 1), 0);
    }

    #[test]
    fn a_short_last_block_gives_what_it_holds() {
        let mut planes = Planes::new(1);
        let mut bytes = vec![0; 12];
        bytes.extend([0; 8]);
        decode(&Kind::Ima, &bytes, 12, 17, &mut planes);
        assert_eq!(planes.n_samples(), 17 + 9);
    }
}
