//! What the WAV family promises: 64-bit sizes, streams without a length, metadata, honest headers.

use std::io::{Seek, SeekFrom, Write};

use crate::sounds;
use crate::sounds::{bytes, chirp, chunk, fmt, message, pipe, read, riff, s16, snr_db, wav16};
use earmark::audio::{AudioStream, Container, OpenOptions, StartSource, Truncated};

const RATE: u32 = 16_000;

/// The header of an RF64 file up to its data.
fn rf64_header(magic: &[u8; 4], data_len: u64, before_data: &[Vec<u8>]) -> Vec<u8> {
    let mut ds64 = (data_len + 100).to_le_bytes().to_vec();
    ds64.extend(data_len.to_le_bytes());
    ds64.extend((data_len / 2).to_le_bytes());
    ds64.extend([0; 4]);
    let mut bytes = magic.to_vec();
    bytes.extend([0xff; 4]);
    bytes.extend_from_slice(b"WAVE");
    bytes.extend(chunk(b"ds64", &ds64));
    bytes.extend(chunk(b"fmt ", &fmt(1, 1, RATE, 16)));
    bytes.extend(before_data.concat());
    bytes.extend_from_slice(b"data");
    bytes.extend([0xff; 4]);
    bytes
}

const WAVE64_TAIL: [u8; 12] = [
    0xf3, 0xac, 0xd3, 0x11, 0x8c, 0xd1, 0x00, 0xc0, 0x4f, 0x8e, 0xdb, 0x8a,
];

/// A Wave64 chunk, padded to eight bytes.
fn wave64_chunk(id: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let mut bytes = [&id[..], &WAVE64_TAIL].concat();
    bytes.extend((content.len() as u64 + 24).to_le_bytes());
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes
}

fn wave64(data: &[u8]) -> Vec<u8> {
    let body = [
        wave64_chunk(b"fmt ", &fmt(1, 1, RATE, 16)),
        wave64_chunk(b"junk", &[1; 13]),
        wave64_chunk(b"data", data),
    ]
    .concat();
    let mut bytes = b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\0\0".to_vec();
    bytes.extend((body.len() as u64 + 40).to_le_bytes());
    bytes.extend_from_slice(b"wave");
    bytes.extend(WAVE64_TAIL);
    bytes.extend(body);
    bytes
}

#[test]
fn rf64_bw64_and_wave64_hold_the_same_sound() {
    let data = s16(&chirp(RATE));
    let with_data = |header: Vec<u8>| [header, data.clone()].concat();
    let n = data.len() as u64;
    let files = [
        (Container::Rf64, with_data(rf64_header(b"RF64", n, &[]))),
        (
            Container::Rf64,
            with_data(rf64_header(b"BW64", n, &[chunk(b"junk", &[7; 9])])),
        ),
        (Container::Wave64, wave64(&data)),
    ];
    for (container, content) in files {
        for source in [bytes("long", content.clone()), pipe("long", content)] {
            let stream = AudioStream::open(source, &OpenOptions::default()).expect("opens");
            assert_eq!(stream.info().container, container);
            assert_eq!(stream.info().duration_secs, Some(0.5));
            let decoded = stream.read_to_end().expect("decodes");
            assert!(snr_db(&decoded.samples, &chirp(RATE)) > 85.0);
        }
    }
}

/// A sparse RF64 of five GiB: zeros, then the chirp at its end.
fn five_gib() -> (tempfile::NamedTempFile, u64) {
    let tail = s16(&chirp(RATE));
    let n_data = (5_u64 << 30) + tail.len() as u64;
    let header = rf64_header(b"RF64", n_data, &[]);
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(&header).expect("writes");
    file.seek(SeekFrom::Start(header.len() as u64 + (5 << 30)))
        .expect("seeks");
    file.write_all(&tail).expect("writes");
    (file, n_data / 2)
}

#[test]
fn five_gib_are_opened_at_once_and_read_from_the_start() {
    let (file, n_samples) = five_gib();
    let mut stream = AudioStream::open(file.path(), &OpenOptions::default()).expect("opens");
    let secs = stream.info().duration_secs.expect("a length");
    assert_eq!(secs, n_samples as f64 / f64::from(RATE));
    let block = stream.next_block().expect("decodes").expect("samples");
    assert!(block.mono().iter().all(|&x| x == 0.0));
}

#[test]
#[ignore = "reads 5 GiB"]
fn five_gib_are_read_to_their_end() {
    let (file, n_samples) = five_gib();
    let mut stream = AudioStream::open(file.path(), &OpenOptions::default()).expect("opens");
    let (mut n, mut last) = (0, Vec::new());
    while let Some(block) = stream.next_block().expect("decodes") {
        n += block.n_samples() as u64;
        last.extend_from_slice(block.mono());
        last.drain(..last.len().saturating_sub(8_000));
    }
    assert_eq!(n, n_samples);
    assert!(snr_db(&last, &chirp(RATE)) > 85.0);
}

#[test]
fn a_stream_without_a_length_is_read_to_its_end() {
    let mut content = wav16(&chirp(RATE), RATE);
    // FFmpeg in a pipe; an interrupted recorder; SoX in a pipe.
    for (riff_len, data_len) in [(u32::MAX, u32::MAX), (0, 0), (0x7fff_f024, 0x7fff_f000)] {
        content[4..8].copy_from_slice(&riff_len.to_le_bytes());
        content[40..44].copy_from_slice(&data_len.to_le_bytes());
        for source in [
            bytes("x.wav", content.clone()),
            pipe("x.wav", content.clone()),
        ] {
            let decoded = read(source).expect("decodes");
            assert!(snr_db(&decoded.samples, &chirp(RATE)) > 85.0);
        }
    }
}

#[test]
fn a_header_that_promises_more_than_the_file_has_is_an_error_unless_accepted() {
    let mut content = wav16(&chirp(RATE), RATE);
    content[40..44].copy_from_slice(&4_000_000_000_u32.to_le_bytes());
    let expected = "big.wav: stream ends after 0.500 s, its header promises 125000.000 s \
                    (4000000000 bytes of data, found 16000)";
    assert_eq!(message("big.wav", content.clone()), expected);
    let error = read(pipe("big.wav", content.clone())).expect_err("a pipe is too short as well");
    assert_eq!(error.to_string(), expected);
    let options = OpenOptions {
        truncated: Truncated::Accept,
        ..OpenOptions::default()
    };
    for source in [
        bytes("big.wav", content.clone()),
        pipe("big.wav", content.clone()),
    ] {
        let mut stream = AudioStream::open(source, &options).expect("opens");
        let mut n = 0;
        while let Some(block) = stream.next_block().expect("decodes") {
            n += block.n_samples();
        }
        assert_eq!((n, stream.warning()), (8_000, Some(expected)));
    }
}

#[test]
fn the_fact_length_cuts_the_padding_of_the_last_adpcm_block() {
    // SoX states 8 000 samples; the blocks hold more.
    let content = sounds::file("ima.wav");
    let at = content
        .windows(4)
        .position(|w| w == b"fact")
        .expect("a fact chunk")
        + 8;
    assert_eq!(content[at..at + 4], 8_000_u32.to_le_bytes());
    let mut longer = content.clone();
    longer[at..at + 4].copy_from_slice(&0_u32.to_le_bytes());
    assert_eq!(
        read(bytes("x.wav", content))
            .expect("decodes")
            .samples
            .len(),
        8_000
    );
    assert!(read(bytes("x.wav", longer)).expect("decodes").samples.len() > 8_000);
}

/// A `bext` chunk with a date and a time.
fn bext(date: &str, time: &str) -> Vec<u8> {
    let mut content = vec![0; 602];
    content[320..330].copy_from_slice(date.as_bytes());
    content[330..338].copy_from_slice(time.as_bytes());
    chunk(b"bext", &content)
}

#[test]
fn start_times_are_found_before_and_behind_the_data() {
    let format = chunk(b"fmt ", &fmt(1, 1, RATE, 16));
    let data = chunk(b"data", &s16(&chirp(RATE)));
    let guano = chunk(
        b"guan",
        b"GUANO|Version: 1.0\nTimestamp: 2024-06-01T21:15:00+02:00\n",
    );
    let bext = bext("2024-06-01", "21:14:59");
    let start = |content: Vec<u8>| {
        let stream = AudioStream::open(bytes("x.wav", content), &OpenOptions::default());
        stream
            .expect("opens")
            .info()
            .metadata
            .start
            .expect("a start time")
    };
    let early = start(riff(&[bext.clone(), format.clone(), data.clone()]));
    assert_eq!(
        (early.civil.to_string().as_str(), early.offset),
        ("2024-06-01T21:14:59", None)
    );
    assert_eq!(early.source, StartSource::Bext);
    let late = start(riff(&[bext.clone(), format, data, guano]));
    assert_eq!(late.civil.to_string(), "2024-06-01T21:15:00");
    assert_eq!(late.offset.map(|offset| offset.seconds()), Some(7_200));
    assert_eq!(late.source, StartSource::Guano);
    // RF64 carries the same chunks.
    let data = s16(&chirp(RATE));
    let content = [rf64_header(b"RF64", data.len() as u64, &[bext]), data].concat();
    assert_eq!(start(content).source, StartSource::Bext);
}

#[test]
fn chunks_of_odd_length_are_padded() {
    let content = riff(&[
        chunk(b"LIST", b"odd"),
        chunk(b"fmt ", &fmt(1, 1, RATE, 16)),
        chunk(b"data", &s16(&chirp(RATE))),
    ]);
    assert_eq!(
        read(bytes("x.wav", content))
            .expect("decodes")
            .samples
            .len(),
        8_000
    );
}
