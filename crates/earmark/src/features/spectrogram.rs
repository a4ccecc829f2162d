//! Spectrograms: frames of samples in, `[band, frame]` loudness out.
//!
//! [`Spectrogram`] holds what is computed once (window, Fourier plan, filters); a
//! [`SpectrogramStream`] works through one clip with it.

use std::fmt;
use std::sync::Arc;

use realfft::num_complex::Complex32;
use realfft::{RealFftPlanner, RealToComplex};

use super::check;
use super::framer::{self, Framer};
use super::lanes::{Lanes, N_LANES};
use super::loudness::Pointwise;
use super::matrix::Matrix;
use super::mel::MelBank;
use super::spectrogram_config::{
    BinValue, FrequencyAxis, SpectrogramConfig, StftConfig, WindowPlacement,
};
use super::window;
use crate::Result;

/// A compiled spectrogram.
#[derive(Debug)]
pub(crate) struct Spectrogram {
    stft: StftConfig,
    values: BinValue,
    window: Vec<f32>,
    /// Where the window begins in the transform's input.
    window_start: usize,
    plan: Plan,
    axis: Axis,
    loudness: Pointwise,
}

/// The Fourier transform of a frame.
struct Plan(Arc<dyn RealToComplex<f32>>);

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Plan").field(&self.0.len()).finish()
    }
}

/// How bins become bands.
#[derive(Debug)]
enum Axis {
    Linear,
    Mel(MelBank),
}

impl Spectrogram {
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) names the setting that cannot be.
    pub(crate) fn new(config: &SpectrogramConfig, sample_rate: u32) -> Result<Self> {
        let stft = &config.stft;
        check_stft(stft)?;
        let axis = match &config.axis {
            // The bands of a logarithmic axis are chosen after the loudness.
            FrequencyAxis::Linear | FrequencyAxis::Log(_) => Axis::Linear,
            FrequencyAxis::Mel(mel) => Axis::Mel(MelBank::new(mel, stft.n_fft, sample_rate)?),
        };
        let window_start = match stft.placement {
            WindowPlacement::Centre => (stft.n_fft - stft.win_length()) / 2,
            WindowPlacement::Start => 0,
        };
        Ok(Self {
            window: window::scaled_window(stft, sample_rate),
            window_start,
            plan: Plan(RealFftPlanner::new().plan_fft_forward(stft.n_fft)),
            axis,
            loudness: Pointwise::new(&config.loudness)?,
            values: config.values,
            stft: stft.clone(),
        })
    }

    pub(crate) fn n_bands(&self) -> usize {
        match &self.axis {
            Axis::Linear => self.n_bins(),
            Axis::Mel(bank) => bank.n_bands(),
        }
    }

    pub(crate) fn n_frames(&self, n_samples: usize) -> Result<usize> {
        framer::n_frames(&self.stft, n_samples)
    }

    pub(crate) fn hop_length(&self) -> usize {
        self.stft.hop_length
    }

    /// The number of bins of the transform.
    fn n_bins(&self) -> usize {
        self.stft.n_fft / 2 + 1
    }
}

fn check_stft(stft: &StftConfig) -> Result<()> {
    check::range("stft.n_fft", stft.n_fft, 2, 1 << 20)?;
    check::range("stft.win_length", stft.win_length(), 1, stft.n_fft)?;
    check::range("stft.hop_length", stft.hop_length, 1, 1 << 24)?;
    if let Some(emphasis) = stft.pre_emphasis {
        check::that(
            (0.0..=1.0).contains(&emphasis.coefficient),
            "stft.pre_emphasis.coefficient",
            || emphasis.coefficient.to_string(),
            || "must be 0 to 1".to_owned(),
        )?;
    }
    Ok(())
}

/// The work on one clip.
#[derive(Debug)]
pub(crate) struct SpectrogramStream {
    spectrogram: Arc<Spectrogram>,
    framer: Framer,
    input: Vec<f32>,
    spectrum: Vec<Complex32>,
    scratch: Vec<Complex32>,
    /// `[bin]`
    bins: Vec<Lanes>,
    /// `[band]`; not used where bins are bands.
    bands: Vec<Lanes>,
}

impl SpectrogramStream {
    pub(crate) fn new(spectrogram: &Arc<Spectrogram>) -> Self {
        let n_bands = match spectrogram.axis {
            Axis::Linear => 0,
            Axis::Mel(_) => spectrogram.n_bands(),
        };
        Self {
            framer: Framer::new(&spectrogram.stft),
            input: spectrogram.plan.0.make_input_vec(),
            spectrum: spectrogram.plan.0.make_output_vec(),
            scratch: spectrogram.plan.0.make_scratch_vec(),
            bins: vec![Lanes::default(); spectrogram.n_bins()],
            bands: vec![Lanes::default(); n_bands],
            spectrogram: Arc::clone(spectrogram),
        }
    }

    /// The frames of a whole clip.
    pub(crate) fn whole(mut self, samples: &[f32]) -> Result<Matrix> {
        self.framer.push(samples);
        self.finish()
    }

    /// Takes the next samples; returns the frames that they complete.
    pub(crate) fn push(&mut self, samples: &[f32]) -> Matrix {
        self.framer.push(samples);
        self.complete_frames()
    }

    /// Ends the clip; returns the last frames.
    pub(crate) fn finish(&mut self) -> Result<Matrix> {
        self.framer.finish()?;
        Ok(self.complete_frames())
    }

    fn complete_frames(&mut self) -> Matrix {
        let n_frames = self.framer.n_ready();
        let mut matrix = Matrix::zeros(self.spectrogram.n_bands(), n_frames);
        for first in (0..n_frames).step_by(N_LANES) {
            let count = N_LANES.min(n_frames - first);
            for lane in 0..count {
                self.transform(first + lane, lane);
            }
            let bands = self.bands();
            matrix.write_lanes(first, count, bands);
        }
        self.framer.advance(n_frames);
        matrix
    }

    /// Transforms one frame and writes its bins into a lane.
    fn transform(&mut self, frame: usize, lane: usize) {
        let Spectrogram {
            window,
            window_start,
            plan,
            ..
        } = &*self.spectrogram;
        let start = *window_start;
        let samples = &self.framer.frame(frame)[start..start + window.len()];
        self.input[..start].fill(0.0);
        self.input[start + window.len()..].fill(0.0);
        let windowed = &mut self.input[start..start + window.len()];
        for ((out, sample), weight) in windowed.iter_mut().zip(samples).zip(window) {
            *out = sample * weight;
        }
        plan.0
            .process_with_scratch(&mut self.input, &mut self.spectrum, &mut self.scratch)
            .expect("the buffers come from the plan");
        write_bins(
            self.spectrogram.values,
            &self.spectrum,
            &mut self.bins,
            lane,
        );
    }

    /// The bands of the frames in the lanes.
    fn bands(&mut self) -> &[Lanes] {
        let bands = match &self.spectrogram.axis {
            Axis::Linear => &mut self.bins,
            Axis::Mel(bank) => {
                bank.apply(&self.bins, &mut self.bands);
                &mut self.bands
            }
        };
        self.spectrogram.loudness.apply_lanes(bands);
        bands
    }
}

/// Writes the chosen real number of every bin into a lane.
fn write_bins(values: BinValue, spectrum: &[Complex32], bins: &mut [Lanes], lane: usize) {
    fn write(
        spectrum: &[Complex32],
        bins: &mut [Lanes],
        lane: usize,
        value: impl Fn(&Complex32) -> f32,
    ) {
        let lane = lane % N_LANES;
        for (bin, number) in bins.iter_mut().zip(spectrum) {
            bin.0[lane] = value(number);
        }
    }
    match values {
        BinValue::Power => write(spectrum, bins, lane, |z| z.re * z.re + z.im * z.im),
        BinValue::Magnitude => write(spectrum, bins, lane, |z| (z.re * z.re + z.im * z.im).sqrt()),
        BinValue::Real => write(spectrum, bins, lane, |z| z.re),
        BinValue::Imaginary => write(spectrum, bins, lane, |z| z.im),
        BinValue::Phase => write(spectrum, bins, lane, |z| z.im.atan2(z.re)),
    }
}
