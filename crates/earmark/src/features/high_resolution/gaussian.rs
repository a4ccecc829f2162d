//! Samples of a Gaussian at equal distances.

/// Bins between two exact evaluations: the recurrence between them multiplies rounding errors by
/// about half the square of this, 1e-14.
const BLOCK: usize = 16;

/// Writes `exp(-(first + i · step)² / 2)`: `first` and `step` are in standard deviations.
///
/// Neighbours differ by a factor that itself changes by a constant factor, so most values take two
/// multiplications instead of an exponential.
pub(super) fn fill(values: &mut [f64], first: f64, step: f64) {
    let change_of_ratio = (-step * step).exp();
    for (block, values) in values.chunks_mut(BLOCK).enumerate() {
        let x = first + (block * BLOCK) as f64 * step;
        let mut value = (-0.5 * x * x).exp();
        let mut ratio = (-(x + 0.5 * step) * step).exp();
        for out in values {
            *out = value;
            value *= ratio;
            ratio *= change_of_ratio;
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_recurrence_agrees_with_the_exponential() {
        for (first, step) in [(-8.5, 0.001), (-8.5, 0.37), (-0.1, 2.0)] {
            let mut values = vec![0.0; 1000];
            super::fill(&mut values, first, step);
            for (i, value) in values.iter().enumerate() {
                let x: f64 = first + i as f64 * step;
                let exact = (-0.5 * x * x).exp();
                assert!((value - exact).abs() <= 1e-12 * exact + 1e-300, "at {x}");
            }
        }
    }
}
