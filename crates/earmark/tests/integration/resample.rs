//! A sine stays a sine, the length is exact, nothing is delayed, and aliases are gone.

use crate::sounds::{bytes, sine, snr_db, wav16};
use earmark::audio::{AudioStream, OpenOptions, Resampler, resample};

/// Rates in use, with their odd ratios.
const RATIOS: [(u32, u32); 12] = [
    (44_100, 32_000),
    (44_100, 16_000),
    (44_100, 48_000),
    (48_000, 32_000),
    (48_000, 16_000),
    (16_000, 32_000),
    (22_050, 32_000),
    (32_000, 44_100),
    (96_000, 32_000),
    (192_000, 32_000),
    (8_000, 32_000),
    (44_056, 32_000),
];

#[test]
fn the_length_is_exact_for_any_number_of_samples() {
    for (from, to) in RATIOS {
        for n in [1, 2, 3, 100, 441, 999, 4_410, 44_100, 100_003] {
            let expected = (n as f64 * f64::from(to) / f64::from(from)).round() as usize;
            let out = resample(&vec![0.1; n], from, to).expect("resamples");
            assert_eq!(out.len(), expected, "{n} samples, {from} to {to} Hz");
        }
    }
    let five_secs = resample(&vec![0.0; 5 * 44_100], 44_100, 32_000).expect("resamples");
    assert_eq!(five_secs.len(), 160_000);
}

/// The middle of a resampled sine against the sine at the new rate, in dB, and the gain in dB.
fn sine_through(hz: f64, from: u32, to: u32) -> (f64, f64) {
    let out = resample(&sine(hz, from, from as usize * 2), from, to).expect("resamples");
    let expected = sine(hz, to, to as usize * 2);
    // The edges hear the silence around the recording.
    let middle = to as usize / 2..to as usize * 3 / 2;
    let (out, expected) = (&out[middle.clone()], &expected[middle]);
    let energy = |x: &[f32]| x.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>();
    let gain = 10.0 * (energy(out) / energy(expected)).log10();
    (snr_db(out, expected), gain)
}

#[test]
fn a_sine_stays_the_same_sine_at_the_same_time() {
    for (from, to) in RATIOS {
        let nyquist = f64::from(from.min(to)) / 2.0;
        for part in [0.01, 0.1, 0.37, 0.7, 0.9, 0.95] {
            let (snr, gain) = sine_through(part * nyquist, from, to);
            assert!(
                snr > 105.0,
                "{from} to {to} Hz at {part} of Nyquist: {snr:.1} dB"
            );
            assert!(
                gain.abs() < 0.001,
                "{from} to {to} Hz at {part}: gain {gain} dB"
            );
        }
    }
}

#[test]
fn what_lies_above_the_new_nyquist_frequency_is_gone() {
    for (from, to) in RATIOS.into_iter().filter(|(from, to)| from > to) {
        let (low, high) = (f64::from(to) / 2.0, f64::from(from) / 2.0);
        for part in [0.02, 0.1, 0.3, 0.6, 0.95] {
            let hz = low + part * (high - low);
            let out = resample(&sine(hz, from, from as usize), from, to).expect("resamples");
            let middle = &out[to as usize / 4..to as usize * 3 / 4];
            let rms = (middle.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>()
                / middle.len() as f64)
                .sqrt();
            let db = 20.0 * (rms / (0.5 / 2.0_f64.sqrt())).log10();
            assert!(
                db < -125.0,
                "{from} to {to} Hz, {hz:.0} Hz comes out at {db:.1} dB"
            );
        }
    }
}

#[test]
fn blocks_of_any_size_give_the_same_samples() {
    let input = sine(997.0, 44_100, 30_000);
    let whole = resample(&input, 44_100, 32_000).expect("resamples");
    for size in [1, 7, 441, 1_000, 29_999] {
        let mut resampler = Resampler::new(44_100, 32_000, 1).expect("builds");
        let mut out = vec![Vec::new()];
        for block in input.chunks(size) {
            resampler.process(&[block.to_vec()], &mut out);
        }
        resampler.finish(&mut out);
        assert_eq!(out[0], whole, "blocks of {size}");
    }
}

#[test]
fn channels_do_not_mix() {
    let (left, right) = (sine(440.0, 48_000, 48_000), sine(3_000.0, 48_000, 48_000));
    let mut resampler = Resampler::new(48_000, 16_000, 2).expect("builds");
    let mut out = vec![Vec::new(); 2];
    resampler.process(&[left.clone(), right.clone()], &mut out);
    resampler.finish(&mut out);
    assert_eq!(out[0], resample(&left, 48_000, 16_000).expect("resamples"));
    assert_eq!(out[1], resample(&right, 48_000, 16_000).expect("resamples"));
}

#[test]
fn a_stream_is_resampled_block_by_block_to_the_exact_length() {
    let content = wav16(&sine(1_000.0, 44_100, 5 * 44_100), 44_100);
    let options = OpenOptions {
        sample_rate: Some(32_000),
        ..OpenOptions::default()
    };
    let mut stream = AudioStream::open(bytes("x.wav", content), &options).expect("opens");
    assert_eq!(
        (stream.sample_rate(), stream.info().sample_rate),
        (32_000, 44_100)
    );
    let mut samples = Vec::new();
    while let Some(block) = stream.next_block().expect("decodes") {
        assert!(block.n_samples() > 0);
        samples.extend_from_slice(block.mono());
    }
    assert!(stream.next_block().expect("has ended").is_none());
    assert_eq!(samples.len(), 160_000);
    let expected = sine(1_000.0, 32_000, 160_000);
    assert!(snr_db(&samples[1_000..159_000], &expected[1_000..159_000]) > 85.0);
}

#[test]
fn an_impulse_stays_where_it_is() {
    let mut input = vec![0.0; 44_100];
    input[22_050] = 1.0;
    let out = resample(&input, 44_100, 32_000).expect("resamples");
    let peak = (0..out.len()).max_by(|&a, &b| out[a].abs().total_cmp(&out[b].abs()));
    assert_eq!(peak, Some(16_000));
    // Linear phase: the same on both sides.
    for d in 1..200 {
        assert!((out[16_000 - d] - out[16_000 + d]).abs() < 1e-6, "{d}");
    }
}
