//! One cached clip: its file's format.
//!
//! A header of 24 bytes (magic, number format, channels, bands, frames; little endian), the values
//! `[frame, channel, band]`, and the magic again. A file that was cut off by a crash lacks the last
//! one and is computed anew.

use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::ops::Range;
use std::path::Path;

use half::f16;
use half::slice::HalfFloatSliceExt as _;

use super::Precision;
use crate::features::Features;
use crate::{Error, Result};

const MAGIC: [u8; 4] = *b"EMC1";
const HEADER: usize = 24;

/// Values of a clip, `[frame, channel, band]`.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) values: Vec<f32>,
    n_channels: usize,
    n_bands: usize,
    n_frames: usize,
}

/// What a header says.
#[derive(Clone, Copy)]
struct Header {
    precision: Precision,
    n_channels: usize,
    n_bands: usize,
    n_frames: usize,
}

impl Entry {
    /// Turns `[channel, band, frame]` so that frames are contiguous.
    pub(super) fn from_features(features: &Features) -> Self {
        let [n_channels, n_bands, n_frames] = features.shape();
        let values = transposed(&features.data, n_channels * n_bands, n_frames);
        Self {
            values,
            n_channels,
            n_bands,
            n_frames,
        }
    }

    /// A waveform: one channel, one band, a frame per sample.
    pub(super) fn from_samples(values: Vec<f32>) -> Self {
        Self {
            n_channels: 1,
            n_bands: 1,
            n_frames: values.len(),
            values,
        }
    }

    /// Back to `[channel, band, frame]`.
    pub(super) fn into_features(self) -> Features {
        Features {
            data: transposed(&self.values, self.n_frames, self.n_channels * self.n_bands),
            n_channels: self.n_channels,
            n_bands: self.n_bands,
            n_frames: self.n_frames,
        }
    }

    pub(super) fn n_frames(&self) -> usize {
        self.n_frames
    }

    /// Writes the entry under its name at once; returns its size in bytes.
    pub(super) fn write(&self, path: &Path, precision: Precision) -> Result<u64> {
        let largest = self.values.iter().fold(0.0_f32, |max, x| max.max(x.abs()));
        let precision = match largest <= f16::MAX.to_f32() {
            true => precision,
            false => Precision::F32,
        };
        let folder = path.parent().unwrap_or(Path::new("."));
        fs_err::create_dir_all(folder)?;
        let bytes = self.to_bytes(precision);
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(&bytes)?;
        file.persist(path).map_err(|error| Error::Io(error.error))?;
        Ok(bytes.len() as u64)
    }

    fn to_bytes(&self, precision: Precision) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER + 4 + self.values.len() * bytes_of(precision));
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&(bytes_of(precision) as u32).to_le_bytes());
        bytes.extend_from_slice(&(self.n_channels as u32).to_le_bytes());
        bytes.extend_from_slice(&(self.n_bands as u32).to_le_bytes());
        bytes.extend_from_slice(&(self.n_frames as u64).to_le_bytes());
        match precision {
            Precision::F32 => bytes.extend(self.values.iter().flat_map(|x| x.to_le_bytes())),
            Precision::F16 => {
                let mut half = vec![f16::ZERO; self.values.len()];
                half.convert_from_f32_slice(&self.values);
                bytes.extend(half.iter().flat_map(|x| x.to_le_bytes()));
            }
        }
        bytes.extend_from_slice(&MAGIC);
        bytes
    }

    /// The number of frames of a whole entry; `None` if there is none, or a damaged one.
    pub(super) fn probe(path: &Path) -> Option<usize> {
        let mut file = std::fs::File::open(path).ok()?;
        let length = file.metadata().ok()?.len();
        let header = Header::read(&mut file)?;
        let mut end = [0; 4];
        file.seek(SeekFrom::End(-4)).ok()?;
        file.read_exact(&mut end).ok()?;
        (length == header.file_length()? && end == MAGIC).then_some(header.n_frames)
    }

    /// Reads some frames.
    pub(super) fn read(path: &Path, frames: Range<usize>) -> Result<Self> {
        let damaged = || Error::Dataset {
            path: path.to_owned(),
            reason: "a damaged cache entry, build the cache again".to_owned(),
        };
        let mut file = fs_err::File::open(path)?;
        let header = Header::read(&mut file).ok_or_else(damaged)?;
        if frames.end > header.n_frames {
            return Err(damaged());
        }
        let per_frame = header.n_channels * header.n_bands;
        let width = bytes_of(header.precision);
        file.seek(SeekFrom::Start(
            (HEADER + frames.start * per_frame * width) as u64,
        ))?;
        let mut bytes = vec![0; frames.len() * per_frame * width];
        file.read_exact(&mut bytes)?;
        let values = match header.precision {
            Precision::F32 => bytes
                .chunks_exact(4)
                .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
                .collect(),
            Precision::F16 => {
                let half: Vec<f16> = bytes
                    .chunks_exact(2)
                    .map(|b| f16::from_le_bytes([b[0], b[1]]))
                    .collect();
                half.to_f32_vec()
            }
        };
        Ok(Self {
            values,
            n_channels: header.n_channels,
            n_bands: header.n_bands,
            n_frames: frames.len(),
        })
    }
}

impl Header {
    fn read(file: &mut impl std::io::Read) -> Option<Self> {
        let mut bytes = [0; HEADER];
        file.read_exact(&mut bytes).ok()?;
        let word = |at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        let precision = match word(4) {
            2 => Precision::F16,
            4 => Precision::F32,
            _ => return None,
        };
        (bytes[..4] == MAGIC).then_some(Self {
            precision,
            n_channels: word(8) as usize,
            n_bands: word(12) as usize,
            n_frames: usize::try_from(u64::from(word(16)) | u64::from(word(20)) << 32).ok()?,
        })
    }

    /// The length of a whole file in bytes; `None` if no file can be that long.
    fn file_length(&self) -> Option<u64> {
        let values = (self.n_channels as u64)
            .checked_mul(self.n_bands as u64)?
            .checked_mul(self.n_frames as u64)?;
        values
            .checked_mul(bytes_of(self.precision) as u64)?
            .checked_add(HEADER as u64 + 4)
    }
}

fn bytes_of(precision: Precision) -> usize {
    match precision {
        Precision::F16 => 2,
        Precision::F32 => 4,
    }
}

/// `[row, column]` to `[column, row]`.
fn transposed(values: &[f32], n_rows: usize, n_columns: usize) -> Vec<f32> {
    let mut turned = vec![0.0; values.len()];
    for (row, line) in values.chunks_exact(n_columns.max(1)).enumerate() {
        for (column, value) in line.iter().enumerate() {
            turned[column * n_rows + row] = *value;
        }
    }
    turned
}

#[cfg(test)]
mod tests {
    use super::*;

    fn features() -> Features {
        Features {
            data: (0..24).map(|x| x as f32 / 4.0).collect(),
            n_channels: 2,
            n_bands: 3,
            n_frames: 4,
        }
    }

    #[test]
    fn an_entry_comes_back_whole_or_in_part() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ab/x.bin");
        let written = Entry::from_features(&features())
            .write(&path, Precision::F16)
            .unwrap();
        assert_eq!(written, 24 + 48 + 4);
        assert_eq!(Entry::probe(&path), Some(4));
        assert_eq!(
            Entry::read(&path, 0..4).unwrap().into_features(),
            features()
        );
        let part = Entry::read(&path, 1..3).unwrap().into_features();
        assert_eq!(part.shape(), [2, 3, 2]);
        assert_eq!(part.row(1, 2), &features().row(1, 2)[1..3]);
    }

    #[test]
    fn values_beyond_16_bits_are_kept_in_32() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.bin");
        let samples = vec![1.0e6, -3.5e-9, 0.1];
        Entry::from_samples(samples.clone())
            .write(&path, Precision::F16)
            .unwrap();
        assert_eq!(Entry::read(&path, 0..3).unwrap().values, samples);
    }

    #[test]
    fn a_cut_entry_is_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.bin");
        Entry::from_features(&features())
            .write(&path, Precision::F16)
            .unwrap();
        let bytes = std::fs::read(&path).unwrap();
        for length in 0..bytes.len() {
            std::fs::write(&path, &bytes[..length]).unwrap();
            assert_eq!(Entry::probe(&path), None, "{length} bytes");
        }
    }
}
