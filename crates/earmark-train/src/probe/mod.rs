//! The linear probe: embeddings and targets in, a linear layer on the embedding out.
//!
//! A logistic regression (softmax or one sigmoid per class, as the loss says) on embeddings that a
//! frozen network computed once. It takes seconds, has one setting, and is the figure that
//! fine-tuning has to beat.

use earmark::model::{Tensor, Weights};
use earmark::{Error, Result};
use rayon::prelude::*;

use crate::loss::Loss;
use earmark::ensemble::lbfgs::{Limits, minimise};

mod layers;

pub use layers::{Layers, probed};

/// The name of the linear layer in a probed network.
pub const LAYER: &str = "probe";

/// Embeddings with what is known of their clips.
#[derive(Debug, Clone, Copy)]
pub struct Embedded<'a> {
    /// `[clip, dim]`.
    pub embeddings: &'a [f32],
    /// `[clip, class]`, each in [0, 1].
    pub targets: &'a [f32],
    /// `[clip]`.
    pub weights: &'a [f32],
}

/// A linear layer on the embedding.
#[derive(Debug, Clone, PartialEq)]
pub struct Probe {
    /// `[class, dim]`.
    pub weight: Vec<f32>,
    /// `[class]`.
    pub bias: Vec<f32>,
}

impl Probe {
    /// The layer that minimises the summed loss plus `l2 / 2` times the squared weights, on
    /// embeddings brought to mean 0 and deviation 1. (In scikit-learn's logistic regression `C` is
    /// `1 / l2`.)
    ///
    /// # Errors
    /// [`Error::Shape`] if there is no clip or the lists do not fit.
    pub fn fit(data: Embedded<'_>, loss: &Loss, l2: f64) -> Result<Self> {
        let n_clips = data.weights.len();
        let fits = |values: &[f32]| n_clips > 0 && values.len().is_multiple_of(n_clips);
        if !fits(data.embeddings) || !fits(data.targets) {
            return Err(Error::Shape {
                what: "embeddings and targets".to_owned(),
                found: format!(
                    "{} and {} values",
                    data.embeddings.len(),
                    data.targets.len()
                ),
                expected: format!("whole rows for {n_clips} clips, at least one"),
            });
        }
        let dim = data.embeddings.len() / n_clips;
        let n_classes = data.targets.len() / n_clips;
        let scale = Scale::of(data.embeddings, dim);
        let rows = scale.apply(data.embeddings, dim);
        let limits = Limits {
            max_steps: 500,
            tolerance: 1e-6,
        };
        let start = vec![0.0; n_classes * (dim + 1)];
        let found = minimise(start, limits, |point| {
            objective(point, &rows, data, loss, l2)
        });
        Ok(scale.undo(&found, dim))
    }

    /// Adds the layer to weights under its name.
    ///
    /// # Errors
    /// [`Error::Shape`] never for a probe that was fitted.
    pub fn put_into(&self, weights: &mut Weights) -> Result<()> {
        let n_classes = self.bias.len();
        let dim = self.weight.len() / n_classes.max(1);
        let weight = Tensor::new(vec![n_classes, dim], self.weight.clone())?;
        weights.insert(format!("{LAYER}.weight"), weight);
        weights.insert(
            format!("{LAYER}.bias"),
            Tensor::new(vec![n_classes], self.bias.clone())?,
        );
        Ok(())
    }
}

/// Value and gradient of the objective; the point is `[class, dim + 1]` with the bias last.
fn objective(
    point: &[f64],
    rows: &[f64],
    data: Embedded<'_>,
    loss: &Loss,
    l2: f64,
) -> (f64, Vec<f64>) {
    let n_clips = data.weights.len();
    let dim = rows.len() / n_clips;
    let width = dim + 1;
    let n_classes = point.len() / width;
    let logits: Vec<f32> = rows
        .par_chunks_exact(dim)
        .flat_map_iter(|row| {
            point.chunks_exact(width).map(move |class| {
                let products = row.iter().zip(class).map(|(x, w)| x * w);
                (products.sum::<f64>() + class[dim]) as f32
            })
        })
        .collect();
    let value = loss.evaluate(&logits, data.targets, data.weights);
    let gradient: Vec<f64> = (0..n_classes)
        .into_par_iter()
        .flat_map_iter(|class| {
            let weights = &point[class * width..][..dim];
            let mut sums: Vec<f64> = weights.iter().map(|w| l2 * w).collect();
            sums.push(0.0);
            for (clip, row) in rows.chunks_exact(dim).enumerate() {
                let pull = f64::from(value.gradient[clip * n_classes + class]) * n_clips as f64;
                sums.iter_mut()
                    .zip(row)
                    .for_each(|(sum, x)| *sum += pull * x);
                sums[dim] += pull;
            }
            sums
        })
        .collect();
    let squares: f64 = point
        .chunks_exact(width)
        .flat_map(|class| &class[..dim])
        .map(|w| w * w)
        .sum();
    (value.mean * n_clips as f64 + 0.5 * l2 * squares, gradient)
}

/// Mean and deviation of every dimension.
struct Scale {
    mean: Vec<f64>,
    deviation: Vec<f64>,
}

impl Scale {
    fn of(embeddings: &[f32], dim: usize) -> Self {
        let n = (embeddings.len() / dim) as f64;
        let column = |d: usize| {
            embeddings
                .iter()
                .skip(d)
                .step_by(dim)
                .map(|&x| f64::from(x))
        };
        let mean: Vec<f64> = (0..dim).map(|d| column(d).sum::<f64>() / n).collect();
        let deviation = (0..dim)
            .map(|d| {
                let variance = column(d).map(|x| (x - mean[d]).powi(2)).sum::<f64>() / n;
                // A dimension that never moves says nothing; leave it as it is.
                if variance > 1e-16 {
                    variance.sqrt()
                } else {
                    1.0
                }
            })
            .collect();
        Self { mean, deviation }
    }

    fn apply(&self, embeddings: &[f32], dim: usize) -> Vec<f64> {
        let scaled =
            |(i, &x): (usize, &f32)| (f64::from(x) - self.mean[i % dim]) / self.deviation[i % dim];
        embeddings.iter().enumerate().map(scaled).collect()
    }

    /// The same layer on embeddings as the network gives them.
    fn undo(&self, point: &[f64], dim: usize) -> Probe {
        let mut probe = Probe {
            weight: Vec::new(),
            bias: Vec::new(),
        };
        for class in point.chunks_exact(dim + 1) {
            let weights: Vec<f64> = (0..dim).map(|d| class[d] / self.deviation[d]).collect();
            let shift: f64 = weights.iter().zip(&self.mean).map(|(w, m)| w * m).sum();
            probe.bias.push((class[dim] - shift) as f32);
            probe.weight.extend(weights.iter().map(|&w| w as f32));
        }
        probe
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loss::LossConfig;

    #[test]
    fn a_probe_is_the_minimum_of_its_objective() {
        // One dimension, two clips at -1 and 1 after scaling: the weight w solves
        // 2 sigmoid(-2 w) = l2 w for the difference of two softmax rows (w, -w).
        let loss = Loss::new(
            LossConfig::CrossEntropy {
                label_smoothing: 0.0,
            },
            None,
        )
        .unwrap();
        let data = Embedded {
            embeddings: &[3.0, 5.0],
            targets: &[1.0, 0.0, 0.0, 1.0],
            weights: &[1.0, 1.0],
        };
        let l2 = 0.5;
        let probe = Probe::fit(data, &loss, l2).unwrap();
        let w = f64::from(probe.weight[1]);
        let expected = |w: f64| 2.0 / (1.0 + (2.0 * w).exp()) - l2 * w;
        assert!(expected(w).abs() < 1e-4, "{w}: {}", expected(w));
        assert!((probe.weight[0] + probe.weight[1]).abs() < 1e-6);
        // The line between the classes lies at 4.
        let at_four = probe.weight[1] * 4.0 + probe.bias[1];
        assert!(at_four.abs() < 1e-4, "{at_four}");
    }
}
