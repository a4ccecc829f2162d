//! Features as `NumPy` files: an array `[channel, band, frame]` of `f32`, alone or with what belongs
//! to it.
//!
//! Frames are written as they come, the channel running fastest and the frame slowest, and the
//! header calls this order by its name (`fortran_order`), so that a day-long recording needs no
//! memory and `numpy.load` still shows `[channel, band, frame]`.

use std::fs::File;
use std::io::{self, BufWriter, Seek as _, SeekFrom, Write};

use earmark::features::{Features, FrontEnd};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::each::Writer;
use super::listen::Heard;
use crate::output::Destination;
use crate::output::npy::{self, Order};

/// An array that grows frame by frame.
struct Frames {
    shape: [u64; 3],
    /// The bytes of some frames.
    bytes: Vec<u8>,
}

impl Frames {
    fn new(front_end: &FrontEnd) -> Self {
        Self {
            shape: [front_end.n_channels() as u64, front_end.n_bands() as u64, 0],
            bytes: Vec::new(),
        }
    }

    fn header(&self) -> Vec<u8> {
        npy::header("<f4", Order::FirstFastest, &self.shape)
    }

    fn write(&mut self, features: &Features, to: &mut impl Write) -> io::Result<()> {
        self.bytes.clear();
        for frame in 0..features.n_frames {
            for band in 0..features.n_bands {
                for channel in 0..features.n_channels {
                    let value = features.row(channel, band)[frame];
                    self.bytes.extend_from_slice(&value.to_le_bytes());
                }
            }
        }
        self.shape[2] += features.n_frames as u64;
        to.write_all(&self.bytes)
    }
}

/// Writes an `.npy` file.
pub(super) struct Npy {
    destination: Destination,
    frames: Frames,
}

impl Npy {
    pub(super) fn new(mut destination: Destination, front_end: &FrontEnd) -> anyhow::Result<Self> {
        if !destination.can_seek() {
            anyhow::bail!("an npy file needs an ordinary file: its header comes last");
        }
        let frames = Frames::new(front_end);
        destination.write_all(&frames.header())?;
        Ok(Self {
            destination,
            frames,
        })
    }
}

impl Writer for Npy {
    fn frames(&mut self, features: &Features) -> anyhow::Result<()> {
        Ok(self.frames.write(features, &mut self.destination)?)
    }

    fn finish(mut self: Box<Self>, _: &Heard) -> anyhow::Result<()> {
        self.destination.write_at_start(&self.frames.header())?;
        self.destination.finish()
    }
}

/// Writes an `.npz` file: `features`, `sample_rate`, `n_samples`, `frames_per_second`, and `band_hz`
/// where the bands of all channels are frequencies.
pub(super) struct Npz {
    destination: Destination,
    /// The features until their number is known.
    spool: BufWriter<File>,
    frames: Frames,
    front_end: FrontEnd,
}

impl Npz {
    pub(super) fn new(destination: Destination, front_end: &FrontEnd) -> anyhow::Result<Self> {
        Ok(Self {
            destination,
            spool: BufWriter::new(tempfile::tempfile()?),
            frames: Frames::new(front_end),
            front_end: front_end.clone(),
        })
    }

    /// The centre frequencies of every channel's bands.
    fn band_hz(&self) -> Option<Vec<f64>> {
        let channels = (0..self.front_end.n_channels()).map(|c| self.front_end.band_frequencies(c));
        Some(channels.collect::<Option<Vec<_>>>()?.concat())
    }
}

impl Writer for Npz {
    fn frames(&mut self, features: &Features) -> anyhow::Result<()> {
        Ok(self.frames.write(features, &mut self.spool)?)
    }

    fn finish(self: Box<Self>, heard: &Heard) -> anyhow::Result<()> {
        let band_hz = self.band_hz();
        let rate = i64::from(self.front_end.sample_rate());
        let per_second = self.front_end.frames_per_second();
        let options = SimpleFileOptions::default()
            .compression_method(zip::CompressionMethod::Deflated)
            .large_file(true);
        let mut archive = ZipWriter::new_stream(self.destination);
        let mut array = |name: &str, header: &[u8], values: &mut dyn io::Read| {
            archive.start_file(format!("{name}.npy"), options)?;
            archive.write_all(header)?;
            io::copy(values, &mut archive).map_err(anyhow::Error::from)
        };
        let mut spool = self
            .spool
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?;
        spool.seek(SeekFrom::Start(0))?;
        array("features", &self.frames.header(), &mut spool)?;
        let whole = npy::header("<i8", Order::LastFastest, &[]);
        array("sample_rate", &whole, &mut &rate.to_le_bytes()[..])?;
        let n_samples = heard.n_samples as i64;
        array("n_samples", &whole, &mut &n_samples.to_le_bytes()[..])?;
        let real = npy::header("<f8", Order::LastFastest, &[]);
        array(
            "frames_per_second",
            &real,
            &mut &per_second.to_le_bytes()[..],
        )?;
        if let Some(band_hz) = band_hz {
            let header = npy::header("<f8", Order::LastFastest, &self.frames.shape[..2]);
            let bytes: Vec<u8> = band_hz.iter().flat_map(|hz| hz.to_le_bytes()).collect();
            array("band_hz", &header, &mut &bytes[..])?;
        }
        archive.finish()?.into_inner().finish()
    }
}
