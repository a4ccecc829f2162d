//! Systems that were trained several times and judged on the same clips: per-clip values in; figures
//! with intervals, and which differences are real, out.
//!
//! A figure is the mean of a value over the clips and runs of a system. Two things make it uncertain:
//! which clips the data set happens to hold, and which random numbers the training happened to draw.
//! The bootstrap draws both anew: sources of clips, and runs, with replacement, the same ones for all
//! systems. With few runs this understates the part of the runs, by a factor of `(n - 1) / n` in
//! variance.
//!
//! Many systems make many pairs, of which some differ by chance: the p-values are corrected by Holm's
//! method, so that with a probability of 95 % no difference below .05 is a false one.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::Serialize;

use super::bootstrap::{BootstrapOptions, Interval, percentile_interval, units};
use crate::{Error, Result};

/// Figures of several systems, and the differences of all pairs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// The figure of each system, in the order given.
    pub figures: Vec<Interval>,
    /// Every pair of systems, each once.
    pub differences: Vec<Difference>,
}

/// Two systems compared.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// The index of a system.
    pub first: usize,
    /// The index of a later system.
    pub second: usize,
    /// The second system's figure minus the first's.
    pub difference: Interval,
    /// The two-sided p-value of this difference by itself: twice the share of resamples in which it
    /// has the other sign or is 0, at least `2 / (n_resamples + 1)`, at most 1.
    pub p: f64,
    /// The p-value corrected for the number of pairs (Holm 1979).
    pub p_corrected: f64,
}

/// Compares systems. `systems` has `[run, clip]` values of each, the clip running fastest; `weights`
/// says how much each clip counts.
///
/// # Errors
/// [`Error::Shape`] if systems do not have the same number of whole runs, [`Error::Config`] for
/// impossible options or weights that do not add up to a positive number.
pub fn compare(
    systems: &[Vec<f64>],
    weights: &[f64],
    options: &BootstrapOptions<'_>,
) -> Result<Comparison> {
    let n_clips = weights.len();
    let length = systems.first().map_or(0, Vec::len);
    let is_whole = n_clips > 0 && length > 0 && length.is_multiple_of(n_clips);
    if let Some(odd) = systems.iter().find(|s| s.len() != length || !is_whole) {
        return Err(Error::Shape {
            what: "values of a system".to_owned(),
            found: odd.len().to_string(),
            expected: format!("as many runs of {n_clips} clips as the other systems"),
        });
    }
    let total: f64 = weights.iter().sum();
    if !(total > 0.0 && total.is_finite() && weights.iter().all(|weight| *weight >= 0.0)) {
        return Err(Error::Config {
            key: "weights".to_owned(),
            found: total.to_string(),
            expected: "must not be negative and add up to more than 0".to_owned(),
        });
    }
    let sums = Sums::new(systems, weights, &units(n_clips, options)?);
    let (figures, resampled) = (sums.figures(), sums.resampled(options));
    let column = |system: usize| resampled.iter().map(move |row| row[system]);
    let intervals = figures.iter().enumerate().map(|(system, figure)| {
        percentile_interval(*figure, column(system).collect(), options.level)
    });
    let mut differences = Vec::new();
    for first in 0..systems.len() {
        for second in first + 1..systems.len() {
            let values: Vec<f64> = column(second)
                .zip(column(first))
                .map(|(b, a)| b - a)
                .collect();
            let p = two_sided(&values);
            let estimate = figures[second] - figures[first];
            differences.push(Difference {
                first,
                second,
                difference: percentile_interval(estimate, values, options.level),
                p,
                p_corrected: 1.0,
            });
        }
    }
    let corrected = holm(&differences.iter().map(|pair| pair.p).collect::<Vec<_>>());
    for (pair, p) in differences.iter_mut().zip(corrected) {
        pair.p_corrected = p;
    }
    Ok(Comparison {
        figures: intervals.collect(),
        differences,
    })
}

/// Weighted sums over the clips of each source.
struct Sums {
    /// `[system][run][source]`
    values: Vec<Vec<Vec<f64>>>,
    /// `[source]`
    weights: Vec<f64>,
}

impl Sums {
    fn new(systems: &[Vec<f64>], weights: &[f64], sources: &[Vec<usize>]) -> Self {
        let sum = |run: &[f64], clips: &[usize]| -> f64 {
            clips.iter().map(|clip| run[*clip] * weights[*clip]).sum()
        };
        let runs = |system: &Vec<f64>| {
            let runs = system.chunks_exact(weights.len());
            runs.map(|run| sources.iter().map(|clips| sum(run, clips)).collect())
                .collect()
        };
        let ones = vec![1.0; weights.len()];
        Self {
            values: systems.iter().map(runs).collect(),
            weights: sources.iter().map(|clips| sum(&ones, clips)).collect(),
        }
    }

    fn n_runs(&self) -> usize {
        self.values.first().map_or(0, Vec::len)
    }

    /// The figures of the clips and runs as they are.
    fn figures(&self) -> Vec<f64> {
        let runs: Vec<usize> = (0..self.n_runs()).collect();
        self.of(&runs, &vec![1.0; self.weights.len()])
    }

    /// The figure of each system over chosen runs, each source counted so many times.
    fn of(&self, runs: &[usize], counts: &[f64]) -> Vec<f64> {
        let dot = |values: &[f64]| -> f64 { values.iter().zip(counts).map(|(v, c)| v * c).sum() };
        let total = dot(&self.weights) * runs.len() as f64;
        let systems = self.values.iter();
        systems
            .map(|system| runs.iter().map(|run| dot(&system[*run])).sum::<f64>() / total)
            .collect()
    }

    /// The figures of every resample in which any clip counts.
    fn resampled(&self, options: &BootstrapOptions<'_>) -> Vec<Vec<f64>> {
        let (n_sources, n_runs) = (self.weights.len(), self.n_runs());
        let one = |resample: usize| {
            let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
            rng.set_stream(resample as u64);
            let mut counts = vec![0.0; n_sources];
            for _ in 0..n_sources {
                counts[rng.random_range(0..n_sources)] += 1.0;
            }
            let runs: Vec<usize> = (0..n_runs).map(|_| rng.random_range(0..n_runs)).collect();
            self.of(&runs, &counts)
        };
        let rows = (0..options.n_resamples).into_par_iter().map(one);
        rows.filter(|row| row.iter().all(|figure| figure.is_finite()))
            .collect()
    }
}

/// The two-sided p-value of a difference from its resamples.
fn two_sided(values: &[f64]) -> f64 {
    let count = |holds: fn(&f64) -> bool| values.iter().filter(|value| holds(value)).count();
    let least = count(|value| *value <= 0.0).min(count(|value| *value >= 0.0));
    (2.0 * (least + 1) as f64 / (values.len() + 1) as f64).min(1.0)
}

/// P-values corrected for their number.
///
/// # Source
/// S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of
/// Statistics 6:65 (1979), as adjusted p-values.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|a, b| p[*a].total_cmp(&p[*b]));
    let mut corrected = vec![1.0; p.len()];
    let mut largest = 0.0_f64;
    for (rank, index) in order.into_iter().enumerate() {
        largest = largest.max(p[index] * (p.len() - rank) as f64).min(1.0);
        corrected[index] = largest;
    }
    corrected
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs of right (1) and wrong (0) answers: wrong where the clip's number is below `n_wrong`, in
    /// an order that differs from run to run.
    fn system(n_wrong: usize, n_runs: usize) -> Vec<f64> {
        let value = move |run: usize, clip: usize| {
            f64::from(u8::from((clip * 37 + run * 11) % 200 >= n_wrong))
        };
        (0..n_runs)
            .flat_map(|run| (0..200).map(move |clip| value(run, clip)))
            .collect()
    }

    #[test]
    fn a_large_difference_is_real_and_none_is_not() {
        let systems = [system(60, 3), system(10, 3), system(10, 3)];
        let found = compare(&systems, &[1.0; 200], &BootstrapOptions::default()).unwrap();
        assert_eq!(found.figures[0].estimate, 0.7);
        assert_eq!(found.figures[1].estimate, 0.95);
        let [large, also, none] = &found.differences[..] else {
            panic!("three systems make three pairs");
        };
        assert!((large.difference.estimate - 0.25).abs() < 1e-12);
        assert!(
            large.difference.lower > 0.15 && large.p_corrected < 0.01,
            "{large:?}"
        );
        assert_eq!((also.first, also.second), (0, 2));
        assert_eq!((none.difference.lower, none.difference.upper), (0.0, 0.0));
        assert_eq!((none.p, none.p_corrected), (1.0, 1.0));
    }

    #[test]
    fn one_run_has_the_binomial_interval_and_disagreeing_runs_a_wider_one() {
        let width = |values: Vec<f64>| {
            let found = compare(&[values], &[1.0; 400], &BootstrapOptions::default()).unwrap();
            found.figures[0].upper - found.figures[0].lower
        };
        let coin = |share: usize| (0..400).map(move |i| f64::from(u8::from(i % 4 < share)));
        // 2 · 1.96 · √(.75 · .25 / 400) = .0849
        let one = width(coin(3).collect());
        assert!((one - 0.0849).abs() < 0.01, "{one}");
        // A run that is always right and one that never is: the mean is anything from 0 to 1.
        let two = width(coin(4).chain(coin(0)).collect());
        assert_eq!(two, 1.0);
    }

    #[test]
    fn weights_and_sources_count() {
        let options = BootstrapOptions {
            groups: Some(&[0, 0, 1]),
            ..Default::default()
        };
        let found = compare(&[vec![1.0, 0.0, 0.0]], &[3.0, 1.0, 4.0], &options).unwrap();
        assert_eq!(found.figures[0].estimate, 0.375);
        // Either source alone, or both.
        assert_eq!(
            (found.figures[0].lower, found.figures[0].upper),
            (0.0, 0.75)
        );
    }

    #[test]
    fn holm_is_the_textbooks() {
        // p.adjust(c(.01, .04, .03, .005), "holm") in R 4.3.
        let corrected = holm(&[0.01, 0.04, 0.03, 0.005]);
        for (found, expected) in corrected.iter().zip([0.03, 0.06, 0.06, 0.02]) {
            assert!((found - expected).abs() < 1e-12, "{corrected:?}");
        }
        assert!(holm(&[]).is_empty());
    }

    #[test]
    fn uneven_systems_are_refused() {
        let options = BootstrapOptions::default();
        for systems in [
            vec![vec![1.0; 5]],
            vec![vec![1.0; 4], vec![1.0; 8]],
            vec![vec![]],
        ] {
            assert!(
                compare(&systems, &[1.0; 4], &options).is_err(),
                "{systems:?}"
            );
        }
        assert!(compare(&[vec![1.0; 4]], &[0.0; 4], &options).is_err());
    }
}
