//! Random starting values of a parameter, by what it is for.
//!
//! Convolutions start as in torchvision's MobileNetV3 and ResNet (normal, variance 2 / fan-out),
//! fully connected layers and recurrent units as in PyTorch (uniform), normalisations as the
//! identity.

use earmark::model::{Parameter, Role};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

/// The starting values: the same for the same seed and name, whatever else is in the network.
pub(super) fn values(parameter: &Parameter, seed: u64) -> Vec<f32> {
    let mut rng = generator(seed, &parameter.name);
    let n = parameter.n_values();
    let mut uniform = |bound: f64| -> Vec<f32> {
        (0..n)
            .map(|_| ((2.0 * rng.random::<f64>() - 1.0) * bound) as f32)
            .collect()
    };
    match parameter.role {
        Role::ConvWeight { fan_out, .. } => {
            let deviation = (2.0 / fan_out.max(1) as f64).sqrt();
            normal(&mut rng, n, deviation)
        }
        Role::LinearWeight { fan_in, .. } | Role::Bias { fan_in } => {
            uniform(1.0 / (fan_in.max(1) as f64).sqrt())
        }
        Role::RecurrentWeight { hidden } | Role::RecurrentBias { hidden } => {
            uniform(1.0 / (hidden.max(1) as f64).sqrt())
        }
        Role::NormWeight | Role::RunningVar => vec![1.0; n],
        Role::NormBias | Role::RunningMean => vec![0.0; n],
        Role::Slope => vec![0.25; n],
    }
}

fn generator(seed: u64, name: &str) -> ChaCha8Rng {
    let mut digest = Sha256::new();
    digest.update(seed.to_le_bytes());
    digest.update(name.as_bytes());
    ChaCha8Rng::from_seed(digest.finalize().into())
}

/// Normally distributed numbers, two at a time by the polar form of Box and Muller.
fn normal(rng: &mut ChaCha8Rng, n: usize, deviation: f64) -> Vec<f32> {
    let mut values = Vec::with_capacity(n + 1);
    while values.len() < n {
        let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt() * deviation;
        let angle = std::f64::consts::TAU * rng.random::<f64>();
        values.push((radius * angle.cos()) as f32);
        values.push((radius * angle.sin()) as f32);
    }
    values.truncate(n);
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_values_have_their_deviation() {
        let values = normal(&mut generator(1, "x"), 20_001, 0.5);
        let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / values.len() as f64;
        let variance =
            values.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>() / values.len() as f64;
        assert_eq!(values.len(), 20_001);
        assert!(mean.abs() < 0.02 && (variance - 0.25).abs() < 0.01);
    }
}
