//! What is given to a runtime, and how it is arranged for a graph.

use std::borrow::Cow;

use crate::bundle::Axis;
use crate::features::Features;
use crate::{Error, Result};

/// Features `[batch, channel, band, frame]` or waveforms `[batch, sample]`, last axis fastest.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    data: Vec<f32>,
    shape: Vec<usize>,
}

impl Batch {
    /// The features of one segment.
    pub fn features(features: Features) -> Self {
        Self {
            shape: vec![1, features.n_channels, features.n_bands, features.n_frames],
            data: features.data,
        }
    }

    /// One segment's samples.
    pub fn waveform(samples: Vec<f32>) -> Self {
        Self {
            shape: vec![1, samples.len()],
            data: samples,
        }
    }

    /// Several segments of one shape, `[batch, channel, band, frame]` or `[batch, sample]`.
    ///
    /// # Errors
    /// [`Error::Shape`] when `data` is not as long as the shape says, or has another number of axes.
    pub fn new(shape: Vec<usize>, data: Vec<f32>) -> Result<Self> {
        let n_values = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
        if n_values != Some(data.len()) || !matches!(shape.len(), 2 | 4) {
            return Err(Error::Shape {
                what: "batch".to_owned(),
                found: format!("{} values for the shape {shape:?}", data.len()),
                expected: "[batch, channel, band, frame] or [batch, sample]".to_owned(),
            });
        }
        Ok(Self { data, shape })
    }

    /// The number of segments.
    pub fn n_rows(&self) -> usize {
        self.shape.first().copied().unwrap_or(0)
    }

    /// The lengths of the axes.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The values.
    pub fn data(&self) -> &[f32] {
        &self.data
    }

    fn axes(&self) -> &'static [Axis] {
        if self.shape.len() == 2 {
            &[Axis::Batch, Axis::Sample]
        } else {
            &[Axis::Batch, Axis::Channel, Axis::Band, Axis::Frame]
        }
    }

    /// The batch with the axes of a graph, in its order. An axis that the graph does not have must be
    /// of length 1 here; one that the batch does not have is of length 1 there.
    pub(super) fn arranged(&self, wanted: &[Axis]) -> Result<(Vec<usize>, Cow<'_, [f32]>)> {
        let axes = self.axes();
        for (axis, &length) in axes.iter().zip(&self.shape) {
            if length != 1 && !wanted.contains(axis) {
                return Err(Error::Shape {
                    what: format!("features: axis {axis:?}").to_lowercase(),
                    found: length.to_string(),
                    expected: "1, which is all that the graph takes".to_owned(),
                });
            }
        }
        let strides = strides(&self.shape);
        let found = |axis: &Axis| axes.iter().position(|other| other == axis);
        let length = |axis: &Axis| found(axis).map_or(1, |at| self.shape[at]);
        let shape: Vec<usize> = wanted.iter().map(length).collect();
        let steps: Vec<usize> = wanted
            .iter()
            .map(|a| found(a).map_or(0, |at| strides[at]))
            .collect();
        if in_order(&shape, &steps) {
            return Ok((shape, Cow::Borrowed(&self.data)));
        }
        let data = gather(&self.data, &shape, &steps);
        Ok((shape, Cow::Owned(data)))
    }
}

/// How far apart neighbours on each axis are.
fn strides(shape: &[usize]) -> Vec<usize> {
    let mut step = 1;
    let mut strides: Vec<usize> = shape
        .iter()
        .rev()
        .map(|&length| {
            let stride = step;
            step *= length;
            stride
        })
        .collect();
    strides.reverse();
    strides
}

/// Whether values with these steps already lie one after the other.
fn in_order(shape: &[usize], steps: &[usize]) -> bool {
    let natural = strides(shape);
    let mut axes = shape.iter().zip(steps.iter().zip(&natural));
    axes.all(|(&length, (step, natural))| length == 1 || step == natural)
}

fn gather(data: &[f32], shape: &[usize], steps: &[usize]) -> Vec<f32> {
    let natural = strides(shape);
    let position = |index: usize| -> usize {
        let axes = natural.iter().zip(shape).zip(steps);
        axes.map(|((&natural, &length), &step)| index / natural % length * step)
            .sum()
    };
    (0..data.len()).map(|index| data[position(index)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_are_put_into_the_order_of_the_graph() {
        let data: Vec<f32> = (0..12).map(|n| n as f32).collect();
        let batch = Batch::new(vec![2, 1, 2, 3], data.clone()).expect("it fits");
        let ours = [Axis::Batch, Axis::Channel, Axis::Band, Axis::Frame];
        let (shape, same) = batch.arranged(&ours).expect("our own order");
        assert!(matches!(same, Cow::Borrowed(_)));
        assert_eq!((shape, &same[..]), (vec![2, 1, 2, 3], &data[..]));
        let (shape, turned) = batch
            .arranged(&[Axis::Batch, Axis::Frame, Axis::Band])
            .expect("one channel");
        assert_eq!(shape, [2, 3, 2]);
        assert_eq!(turned[..6], [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
        assert!(
            batch.arranged(&[Axis::Band, Axis::Frame]).is_err(),
            "two segments"
        );
    }

    #[test]
    fn a_waveform_may_need_a_channel_axis() {
        let batch = Batch::waveform(vec![0.0; 5]);
        let (shape, _) = batch
            .arranged(&[Axis::Batch, Axis::Channel, Axis::Sample])
            .expect("one channel");
        assert_eq!(shape, [1, 1, 5]);
    }
}
