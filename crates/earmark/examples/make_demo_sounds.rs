//! Makes the sounds of `examples/` from physical models: a kick drum, a snare drum, a hi-hat, a
//! plucked guitar and a wind chime. Nothing is recorded; the same program gives the same files.
//!
//! ```sh
//! cargo run -p earmark --example make_demo_sounds -- examples
//! ```
//!
//! A struck thing is a bank of [`Mode`]s: damped resonances, all driven by the force of the strike.
//! What differs is where the modes lie (a membrane, a cymbal, a tube), what drives them (a felt
//! beater, a wooden stick, the snare wires) and how long they ring. A plucked string is a delay line
//! that is fed back through a filter. Each sound is then put into a small room.

use std::f64::consts::{PI, TAU};
use std::path::Path;

use earmark::augment::waveform::{Biquad, FilterKind, convolve, decaying_response};
use earmark::augment::{ClipRng, Span};

/// Samples per second of all files.
const RATE: f64 = 32_000.0;

/// Makes a sound without its room.
type Model = fn(&mut ClipRng) -> Vec<f64>;

fn main() -> std::io::Result<()> {
    let folder = std::env::args().nth(1).unwrap_or("examples".to_owned());
    // Each with its room: the seconds in which it falls by 60 dB, and the direct sound's level in dB.
    let sounds: [(&str, Model, [f32; 2]); 5] = [
        ("kick.wav", kick, [0.25, 14.0]),
        ("snare.wav", snare, [0.35, 10.0]),
        ("hi-hat.wav", hi_hat, [0.5, 6.0]),
        ("guitar.wav", guitar, [0.4, 12.0]),
        ("chime.wav", chime, [0.9, 8.0]),
    ];
    for (name, make, [rt60_secs, direct_db]) in sounds {
        let mut rng = ClipRng::new(2026, 0, name);
        let dry = make(&mut rng);
        let room = decaying_response(rt60_secs, direct_db, RATE as u32, &mut rng);
        let mut samples: Vec<f32> = dry.iter().map(|&sample| sample as f32).collect();
        convolve(&mut samples, &room);
        finish(&mut samples, &mut rng);
        std::fs::write(Path::new(&folder).join(name), wav(&samples))?;
    }
    Ok(())
}

/// One resonance: it rings at `hz`, falls by 60 dB in `secs`, and answers a strike with `gain`.
#[derive(Clone, Copy)]
struct Mode {
    hz: f64,
    secs: f64,
    gain: f64,
}

impl Mode {
    /// Adds the resonance's answer to a driving force. Its pitch is raised by the share `bend` of
    /// itself at first, and comes down with the time constant `bend_secs`: a hard-struck skin is
    /// tighter.
    fn ring(self, force: &[f64], [bend, bend_secs]: [f64; 2], output: &mut [f64]) {
        let fall = 0.001_f64.powf(1.0 / (self.secs * RATE));
        let (mut re, mut im) = (0.0, 0.0);
        let onset = force.iter().position(|&f| f != 0.0).unwrap_or(0);
        for (i, (force, sample)) in force.iter().zip(output).enumerate() {
            let since = (i as f64 - onset as f64).max(0.0) / RATE;
            let hz = self.hz * (1.0 + bend * (-since / bend_secs).exp());
            let (sin, cos) = (TAU * hz / RATE).sin_cos();
            (re, im) = (
                fall * (cos * re - sin * im) + force,
                fall * (sin * re + cos * im),
            );
            *sample += self.gain * im;
        }
    }
}

/// No change of pitch.
const STEADY: [f64; 2] = [0.0, 1.0];

/// A silent waveform of `secs`.
fn silence(secs: f64) -> Vec<f64> {
    vec![0.0; (secs * RATE) as usize]
}

/// Adds the force of something that touches for `secs` and weighs `weight`: half a sine, squared.
fn strike(force: &mut [f64], at_secs: f64, secs: f64, weight: f64) {
    let length = (secs * RATE).max(2.0);
    let start = (at_secs * RATE) as usize;
    for i in 0..length as usize {
        let push = (PI * (i as f64 + 0.5) / length).sin();
        force[start + i] += weight * push * push * 2.0 / length;
    }
}

/// Noise from `at_secs` on that rises in `rise_secs` and falls by 60 dB in `fall_secs`.
fn hiss(output: &mut [f64], at_secs: f64, [rise_secs, fall_secs]: [f64; 2], rng: &mut ClipRng) {
    let start = (at_secs * RATE) as usize;
    for (i, sample) in output[start..].iter_mut().enumerate() {
        let secs = i as f64 / RATE;
        let level = (1.0 - (-secs / rise_secs).exp()) * 0.001_f64.powf(secs / fall_secs);
        *sample += level * f64::from(rng.normal_pair().0);
    }
}

/// Passes the samples through a second-order filter.
fn filter(samples: &mut [f64], kind: FilterKind, hz: f64, q: f64) {
    let mut buffer: Vec<f32> = samples.iter().map(|&s| s as f32).collect();
    Biquad::new(kind, [hz, q, 0.0], RATE as u32).filter(&mut buffer);
    for (sample, filtered) in samples.iter_mut().zip(buffer) {
        *sample = f64::from(filtered);
    }
}

/// The modes of an ideal circular membrane over its lowest: zeros of the Bessel functions.
const MEMBRANE: [f64; 9] = [1.0, 1.594, 2.136, 2.296, 2.653, 2.918, 3.156, 3.501, 3.600];

/// A 22-inch bass drum hit twice by a felt beater: a loose skin over air, short and low.
fn kick(rng: &mut ClipRng) -> Vec<f64> {
    let mut output = silence(1.3);
    for (at, weight) in [(0.03, 1.0), (0.62, 0.9)] {
        let mut force = silence(1.3);
        strike(&mut force, at, 0.0025, weight);
        for (index, ratio) in MEMBRANE.into_iter().enumerate() {
            let mode = Mode {
                hz: 58.0 * ratio,
                secs: 0.42 / (1.0 + 0.25 * index as f64),
                gain: 1.0 / (1.0 + 0.15 * index as f64),
            };
            mode.ring(&force, [0.25, 0.03], &mut output);
        }
        // The beater's slap on the skin, and the shell.
        let mut slap = silence(1.3);
        hiss(&mut slap, at, [0.0008, 0.2], rng);
        filter(&mut slap, FilterKind::LowPass, 1500.0, 0.6);
        for (sample, slap) in output.iter_mut().zip(&slap) {
            *sample += 0.9 * weight * slap;
        }
    }
    output
}

/// A 14-inch snare drum hit by a stick: two skins, and wires that rattle against the lower one.
fn snare(rng: &mut ClipRng) -> Vec<f64> {
    let mut output = silence(1.2);
    for (at, weight) in [(0.03, 0.8), (0.55, 1.0)] {
        let mut force = silence(1.2);
        strike(&mut force, at, 0.0012, weight);
        let mut skins = silence(1.2);
        for (index, ratio) in MEMBRANE.into_iter().enumerate() {
            // The batter skin, and the resonant skin a little higher.
            for (base, level) in [(187.0, 1.0), (231.0, 0.5)] {
                let mode = Mode {
                    hz: base * ratio,
                    secs: 0.22 / (1.0 + 0.25 * index as f64),
                    gain: level / (1.0 + 0.35 * index as f64),
                };
                mode.ring(&force, [0.06, 0.02], &mut skins);
            }
        }
        let mut wires = silence(1.2);
        hiss(&mut wires, at, [0.0012, 0.28], rng);
        let mut body = wires.clone();
        filter(&mut wires, FilterKind::BandPass, 5200.0, 0.55);
        filter(&mut body, FilterKind::BandPass, 1900.0, 0.8);
        for (i, sample) in output.iter_mut().enumerate() {
            *sample += 0.9 * skins[i] + weight * (0.5 * wires[i] + 0.35 * body[i]);
        }
    }
    output
}

/// A pair of 14-inch hi-hat cymbals: four times nearly closed, then half open.
fn hi_hat(rng: &mut ClipRng) -> Vec<f64> {
    let mut output = silence(1.4);
    let hits = [
        (0.03, 0.2, 0.8),
        (0.25, 0.2, 0.6),
        (0.47, 0.2, 0.8),
        (0.69, 0.2, 0.6),
        (0.91, 0.7, 1.0),
    ];
    // The modes of a thin bronze plate lie ever denser; 300 of them are a wash with a colour.
    let modes: Vec<Mode> = (0..300)
        .map(|index| {
            let hz =
                420.0 * (1.0 + f64::from(index)).powf(0.62) * (1.0 + 0.03 * f64::from(rng.unit()));
            let loud = (hz / 6500.0).min(1.0).powi(2);
            Mode {
                hz,
                secs: 1.0,
                gain: loud * (0.3 + f64::from(rng.unit())),
            }
        })
        .filter(|mode| mode.hz < 15_500.0)
        .collect();
    for (at, secs, weight) in hits {
        let mut force = silence(1.4);
        strike(&mut force, at, 0.0002, weight);
        // The cymbals clash against each other for as long as they move: noise drives the modes.
        let mut clash = silence(1.4);
        hiss(&mut clash, at, [0.0005, secs], rng);
        for (force, clash) in force.iter_mut().zip(&clash) {
            *force += 0.02 * weight * clash;
        }
        for mode in &modes {
            let damped = Mode {
                secs: secs * (0.5 + f64::from(rng.unit())),
                ..*mode
            };
            damped.ring(&force, STEADY, &mut output);
        }
    }
    output
}

/// A steel-string guitar: the six strings of a G chord, strummed.
fn guitar(rng: &mut ClipRng) -> Vec<f64> {
    let n = silence(1.5).len();
    let mut bridge = vec![0.0; n];
    let notes = [98.0, 123.47, 146.83, 196.0, 246.94, 392.0];
    for (index, hz) in notes.into_iter().enumerate() {
        let start = ((0.01 + 0.06 * index as f64) * RATE) as usize;
        pluck(
            &mut bridge[start..],
            hz,
            0.8 + 0.2 * f64::from(rng.unit()),
            rng,
        );
    }
    // The body: the air in the hole, the top and the back, and what comes straight from the bridge.
    let body = [
        (102.0, 0.25, 0.010),
        (204.0, 0.12, 0.012),
        (290.0, 0.08, 0.008),
        (415.0, 0.07, 0.008),
        (560.0, 0.05, 0.006),
        (780.0, 0.05, 0.006),
    ];
    let mut output = bridge.clone();
    for (hz, secs, gain) in body {
        Mode { hz, secs, gain }.ring(&bridge, STEADY, &mut output);
    }
    output
}

/// One string, after Karplus and Strong, extended by Jaffe and Smith: a delay line of one period
/// holds the pluck; each time round it loses some treble. The place of the pluck takes out the
/// harmonics that have a node there; an all-pass filter tunes the delay between two samples.
fn pluck(output: &mut [f64], hz: f64, weight: f64, rng: &mut ClipRng) {
    let period = RATE / hz;
    // The averaging filter delays by half a sample.
    let length = (period - 0.5 - 0.1) as usize;
    let part = period - 0.5 - length as f64;
    let tuning = (1.0 - part) / (1.0 + part);
    let mut line: Vec<f64> = (0..length)
        .map(|_| f64::from(rng.normal_pair().0))
        .collect();
    let place = (0.18 * length as f64) as usize;
    let mut smooth = 0.0;
    let shaped: Vec<f64> = (0..length)
        .map(|i| {
            smooth += 0.45 * (line[i] - line[(i + length - place) % length] - smooth);
            smooth
        })
        .collect();
    line = shaped;
    let loss = 0.001_f64.powf(period / (RATE * (3.2 - hz / 300.0)));
    let bright = 0.5 + 0.42 * (1.0 - hz / 1500.0);
    let (mut last, mut tuned, mut entered) = (0.0, 0.0, 0.0);
    for (i, sample) in output.iter_mut().enumerate() {
        let value = line[i % length];
        *sample += weight * value;
        let dulled = loss * (bright * value + (1.0 - bright) * last);
        last = value;
        tuned = tuning * dulled + entered - tuning * tuned;
        entered = dulled;
        line[i % length] = tuned;
    }
}

/// Seven small aluminium tubes in a gust of wind: bars free at both ends, each with its own note.
fn chime(rng: &mut ClipRng) -> Vec<f64> {
    // The zeros of cosh(x) cos(x) = 1, squared, over the first.
    const FREE_BAR: [f64; 6] = [1.0, 2.757, 5.404, 8.933, 13.344, 18.638];
    let mut output = silence(1.5);
    let tubes = [2093.0, 2793.0, 3136.0, 3951.0, 4435.0, 4978.0, 5920.0];
    let mut at = 0.02;
    let mut strikes = Vec::new();
    while at < 1.35 {
        let weight = 0.3 + 0.7 * f64::from(rng.unit());
        strikes.push((at, tubes[rng.index(tubes.len())], weight));
        at += 0.01 + 0.06 * f64::from(rng.unit());
    }
    for (at, hz, weight) in strikes {
        let mut force = silence(1.5);
        strike(&mut force, at, 0.00012, weight);
        for (index, ratio) in FREE_BAR.into_iter().enumerate() {
            let hz = hz * ratio;
            if hz > 15_000.0 {
                continue;
            }
            // A tube is never quite round: each mode is two, a little apart, and they beat.
            for split in [0.9992, 1.0011 + 0.0008 * f64::from(rng.unit())] {
                let mode = Mode {
                    hz: hz * split,
                    secs: 2.5 / (1.0 + 0.6 * index as f64),
                    gain: 0.6 / (1.0 + 0.2 * index as f64),
                };
                mode.ring(&force, STEADY, &mut output);
            }
        }
    }
    filter(&mut output, FilterKind::HighPass, 900.0, 0.7);
    output
}

/// Brings the peak to 0.9, fades the last 50 ms out and adds the noise of a quiet room.
fn finish(samples: &mut [f32], rng: &mut ClipRng) {
    let peak = samples.iter().fold(0.0_f32, |peak, s| peak.max(s.abs()));
    let fade = (0.05 * RATE) as usize;
    let n = samples.len();
    for (i, sample) in samples.iter_mut().enumerate() {
        let left = ((n - i) as f32 / fade as f32).min(1.0);
        *sample *= 0.9 / peak * left;
        *sample += rng.uniform(Span::new(-1e-4, 1e-4));
    }
}

/// The bytes of a mono WAV file with 16 bits per sample.
fn wav(samples: &[f32]) -> Vec<u8> {
    let n_bytes = 2 * samples.len() as u32;
    let rate = RATE as u32;
    let mut bytes = Vec::new();
    bytes.extend(b"RIFF");
    bytes.extend((36 + n_bytes).to_le_bytes());
    bytes.extend(b"WAVEfmt ");
    bytes.extend(16_u32.to_le_bytes());
    bytes.extend([1_u16, 1].map(u16::to_le_bytes).concat());
    bytes.extend([rate, 2 * rate].map(u32::to_le_bytes).concat());
    bytes.extend([2_u16, 16].map(u16::to_le_bytes).concat());
    bytes.extend(b"data");
    bytes.extend(n_bytes.to_le_bytes());
    let pcm = samples.iter().map(|s| (s * 32_767.0).round() as i16);
    bytes.extend(pcm.flat_map(i16::to_le_bytes));
    bytes
}
