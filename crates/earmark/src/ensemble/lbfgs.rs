//! Minimises a smooth function of many variables: limited-memory BFGS with a backtracking line search.
//!
//! Deterministic, in double precision, good for convex problems of up to some million variables.
//! Source: Nocedal and Wright, Numerical Optimization, 2nd edition, algorithms 7.4, 7.5 and 3.1.

use std::collections::VecDeque;

/// Steps whose curvature is remembered.
const MEMORY: usize = 10;

/// When to stop.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Steps at most.
    pub max_steps: usize,
    /// The largest entry of the gradient that counts as zero.
    pub tolerance: f64,
}

/// A pair of a step and the change of the gradient along it.
struct Pair {
    step: Vec<f64>,
    change: Vec<f64>,
    inverse: f64,
}

/// The minimum of `objective` (value and gradient at a point) from `start` on.
pub fn minimise(
    start: Vec<f64>,
    limits: Limits,
    mut objective: impl FnMut(&[f64]) -> (f64, Vec<f64>),
) -> Vec<f64> {
    let mut point = start;
    let (mut value, mut gradient) = objective(&point);
    let mut pairs: VecDeque<Pair> = VecDeque::new();
    for _ in 0..limits.max_steps {
        if gradient.iter().all(|g| g.abs() <= limits.tolerance) {
            break;
        }
        let mut direction = direction(&pairs, &gradient);
        let mut slope = dot(&direction, &gradient);
        if slope >= 0.0 {
            // Rounding has spoilt the memory; steepest descent always goes down.
            pairs.clear();
            direction = gradient.iter().map(|g| -g).collect();
            slope = dot(&direction, &gradient);
        }
        let first = match pairs.is_empty() {
            true => 1.0 / slope.abs().sqrt().max(1.0),
            false => 1.0,
        };
        let Some((next, next_value, next_gradient)) =
            search(&point, value, slope, &direction, first, &mut objective)
        else {
            break;
        };
        let step: Vec<f64> = next.iter().zip(&point).map(|(a, b)| a - b).collect();
        let change: Vec<f64> = next_gradient
            .iter()
            .zip(&gradient)
            .map(|(a, b)| a - b)
            .collect();
        let curvature = dot(&step, &change);
        if curvature > 1e-12 * dot(&change, &change) {
            if pairs.len() == MEMORY {
                pairs.pop_front();
            }
            pairs.push_back(Pair {
                step,
                change,
                inverse: 1.0 / curvature,
            });
        }
        (point, value, gradient) = (next, next_value, next_gradient);
    }
    point
}

/// The two-loop recursion: minus the inverse curvature times the gradient.
fn direction(pairs: &VecDeque<Pair>, gradient: &[f64]) -> Vec<f64> {
    let mut q = gradient.to_vec();
    let mut shares = Vec::with_capacity(pairs.len());
    for pair in pairs.iter().rev() {
        let share = pair.inverse * dot(&pair.step, &q);
        add(&mut q, &pair.change, -share);
        shares.push(share);
    }
    if let Some(last) = pairs.back() {
        let scale = 1.0 / (last.inverse * dot(&last.change, &last.change));
        q.iter_mut().for_each(|x| *x *= scale);
    }
    for (pair, share) in pairs.iter().zip(shares.into_iter().rev()) {
        let back = pair.inverse * dot(&pair.change, &q);
        add(&mut q, &pair.step, share - back);
    }
    q.iter_mut().for_each(|x| *x = -*x);
    q
}

/// Halves the step until the value has gone down enough (Armijo's condition).
fn search(
    point: &[f64],
    value: f64,
    slope: f64,
    direction: &[f64],
    first: f64,
    objective: &mut impl FnMut(&[f64]) -> (f64, Vec<f64>),
) -> Option<(Vec<f64>, f64, Vec<f64>)> {
    let mut length = first;
    for _ in 0..30 {
        let mut next = point.to_vec();
        add(&mut next, direction, length);
        let (next_value, next_gradient) = objective(&next);
        if next_value <= value + 1e-4 * length * slope {
            return Some((next, next_value, next_gradient));
        }
        length *= 0.5;
    }
    None
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn add(sum: &mut [f64], values: &[f64], factor: f64) {
    sum.iter_mut()
        .zip(values)
        .for_each(|(sum, value)| *sum += factor * value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_minimum_of_rosenbrocks_valley() {
        let limits = Limits {
            max_steps: 200,
            tolerance: 1e-8,
        };
        let found = minimise(vec![-1.2, 1.0], limits, |p| {
            let (x, y) = (p[0], p[1]);
            let value = (1.0 - x).powi(2) + 100.0 * (y - x * x).powi(2);
            let slope_x = -2.0 * (1.0 - x) - 400.0 * x * (y - x * x);
            (value, vec![slope_x, 200.0 * (y - x * x)])
        });
        assert!(
            (found[0] - 1.0).abs() < 1e-6 && (found[1] - 1.0).abs() < 1e-6,
            "{found:?}"
        );
    }
}
