//! Interleaved samples of fixed width to planar `f32`: integers of `b` bits are divided by
//! `2^(b-1)`, floats are taken as they are.

use super::format::Coding;
use crate::audio::planes::Planes;

/// Appends the frames in `bytes`, of `block_align` bytes each, to `planes`.
pub(super) fn decode(coding: &Coding, bytes: &[u8], block_align: usize, planes: &mut Planes) {
    match coding {
        Coding::U8 => deinterleave(bytes, block_align, planes, |[b]: [u8; 1]| {
            (f32::from(b) - 128.0) / 128.0
        }),
        Coding::S16 => deinterleave(bytes, block_align, planes, |b| {
            f32::from(i16::from_le_bytes(b)) / 32_768.0
        }),
        Coding::S24 => deinterleave(bytes, block_align, planes, |[a, b, c]: [u8; 3]| {
            (i32::from_le_bytes([0, a, b, c]) >> 8) as f32 / 8_388_608.0
        }),
        Coding::S32 => deinterleave(bytes, block_align, planes, |b| {
            (f64::from(i32::from_le_bytes(b)) / 2_147_483_648.0) as f32
        }),
        Coding::F32 => deinterleave(bytes, block_align, planes, f32::from_le_bytes),
        Coding::F64 => {
            deinterleave(bytes, block_align, planes, |b| f64::from_le_bytes(b) as f32);
        }
        Coding::ALaw => deinterleave(bytes, block_align, planes, |[b]: [u8; 1]| a_law(b)),
        Coding::MuLaw => deinterleave(bytes, block_align, planes, |[b]: [u8; 1]| mu_law(b)),
        Coding::Adpcm(_) => unreachable!("ADPCM has a decoder of its own"),
    }
}

/// Appends every channel of the frames in `bytes`, `N` bytes per sample, to its plane.
fn deinterleave<const N: usize>(
    bytes: &[u8],
    block_align: usize,
    planes: &mut Planes,
    sample: impl Fn([u8; N]) -> f32,
) {
    for (channel, plane) in planes.channels.iter_mut().enumerate() {
        plane.extend(bytes.chunks_exact(block_align).map(|frame| {
            let at = channel * N;
            match frame.get(at..).and_then(<[u8]>::first_chunk::<N>) {
                Some(stored) => sample(*stored),
                None => unreachable!("a frame holds every channel, the format was checked"),
            }
        }));
    }
}

/// One sample of ITU-T G.711 A-law, scaled from 13 bits to [-1, 1].
fn a_law(stored: u8) -> f32 {
    let byte = stored ^ 0x55;
    let (exponent, mantissa) = ((byte >> 4) & 7, i32::from(byte & 15));
    let magnitude = match exponent {
        0 => (mantissa << 4) + 8,
        e => ((mantissa << 4) + 0x108) << (e - 1),
    };
    (if byte & 0x80 != 0 {
        magnitude
    } else {
        -magnitude
    }) as f32
        / 32_768.0
}

/// One sample of ITU-T G.711 µ-law, scaled from 14 bits to [-1, 1].
fn mu_law(stored: u8) -> f32 {
    let byte = !stored;
    let magnitude = (((i32::from(byte & 15) << 3) + 0x84) << ((byte >> 4) & 7)) - 0x84;
    (if byte & 0x80 != 0 {
        -magnitude
    } else {
        magnitude
    }) as f32
        / 32_768.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(coding: &Coding, bytes: &[u8], width: usize) -> Vec<f32> {
        let mut planes = Planes::new(1);
        decode(coding, bytes, width, &mut planes);
        planes.channels.remove(0)
    }

    #[test]
    fn full_scale_is_one_at_every_width() {
        assert_eq!(decoded(&Coding::U8, &[0, 128, 192], 1), [-1.0, 0.0, 0.5]);
        assert_eq!(decoded(&Coding::S16, &[0, 0x80, 0, 0x40], 2), [-1.0, 0.5]);
        assert_eq!(
            decoded(&Coding::S24, &[0, 0, 0x80, 0, 0, 0x40], 3),
            [-1.0, 0.5]
        );
        assert_eq!(
            decoded(&Coding::S32, &[0, 0, 0, 0x80, 0, 0, 0, 0x40], 4),
            [-1.0, 0.5]
        );
        assert_eq!(decoded(&Coding::F64, &0.25_f64.to_le_bytes(), 8), [0.25]);
    }

    /// Values of the tables in ITU-T G.711: silence, the smallest step and full scale.
    #[test]
    fn g711_values_are_the_standards() {
        let times_32768 = |x: f32| (x * 32_768.0) as i32;
        assert_eq!(
            [0xd5, 0x55, 0xaa, 0x2a].map(|b| times_32768(a_law(b))),
            [8, -8, 32_256, -32_256]
        );
        assert_eq!(
            [0xff, 0x7f, 0x80, 0x00].map(|b| times_32768(mu_law(b))),
            [0, 0, 32_124, -32_124]
        );
    }
}
