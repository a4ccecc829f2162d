//! Bootstrap intervals: a metric over chosen clips in, a percentile interval out, seeded.
//!
//! Clips are drawn with replacement. Where several clips come from one source they are not
//! independent; [`BootstrapOptions::groups`] draws whole sources instead, which gives the wider,
//! honest interval. Resample `i` has a random stream of its own, so results do not depend on the
//! number of threads.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::{Error, Result};

/// How to resample.
#[derive(Clone, Debug)]
pub struct BootstrapOptions<'a> {
    /// Number of resamples, at least 1. Default 1000.
    pub n_resamples: usize,
    /// Seed of the random streams. Default 0.
    pub seed: u64,
    /// Share of resamples inside the interval, between 0 and 1. Default 0.95.
    pub level: f64,
    /// The source of each clip, `[clip]`: sources are drawn, not clips. Default `None`.
    pub groups: Option<&'a [usize]>,
}

impl Default for BootstrapOptions<'_> {
    fn default() -> Self {
        Self {
            n_resamples: 1000,
            seed: 0,
            level: 0.95,
            groups: None,
        }
    }
}

/// A figure with its bootstrap interval.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Interval {
    /// The figure over the clips as they are.
    pub estimate: f64,
    /// The lower end of the percentile interval.
    pub lower: f64,
    /// The upper end of the percentile interval.
    pub upper: f64,
}

/// A comparison of two systems on the same clips.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct PairedDifference {
    /// The second system's figure minus the first's, with its interval.
    pub difference: Interval,
    /// The share of resamples in which the second system's figure is higher; equal figures count
    /// one half.
    pub share_higher: f64,
}

/// The interval of one metric over `n_clips` clips.
///
/// `metric` gets clip indices, with repetitions, and returns `None` where it is undefined (such as
/// AUC without positives); those resamples are left out. `None` if the figure itself is undefined.
///
/// # Errors
/// [`Error::Config`] for impossible options.
pub fn bootstrap(
    n_clips: usize,
    options: &BootstrapOptions<'_>,
    metric: impl Fn(&[usize]) -> Option<f64> + Sync,
) -> Result<Option<Interval>> {
    let everything: Vec<usize> = (0..n_clips).collect();
    let Some(estimate) = metric(&everything) else {
        return Ok(None);
    };
    let values = resampled(n_clips, options, metric)?;
    Ok(Some(percentile_interval(estimate, values, options.level)))
}

/// The interval of the difference `second - first` of two metrics over the same resampled clips.
///
/// `None` if either figure is undefined over the clips as they are.
///
/// # Errors
/// [`Error::Config`] for impossible options.
pub fn paired_bootstrap(
    n_clips: usize,
    options: &BootstrapOptions<'_>,
    first: impl Fn(&[usize]) -> Option<f64> + Sync,
    second: impl Fn(&[usize]) -> Option<f64> + Sync,
) -> Result<Option<PairedDifference>> {
    let difference = |clips: &[usize]| Some(second(clips)? - first(clips)?);
    let everything: Vec<usize> = (0..n_clips).collect();
    let Some(estimate) = difference(&everything) else {
        return Ok(None);
    };
    let values = resampled(n_clips, options, difference)?;
    let wins: f64 = values
        .iter()
        .map(|v| {
            if *v > 0.0 {
                1.0
            } else {
                0.5 * f64::from(u8::from(*v == 0.0))
            }
        })
        .sum();
    let share_higher = wins / values.len().max(1) as f64;
    Ok(Some(PairedDifference {
        difference: percentile_interval(estimate, values, options.level),
        share_higher,
    }))
}

/// The metric's values over the resamples in which it is defined.
fn resampled(
    n_clips: usize,
    options: &BootstrapOptions<'_>,
    metric: impl Fn(&[usize]) -> Option<f64> + Sync,
) -> Result<Vec<f64>> {
    let units = units(n_clips, options)?;
    Ok((0..options.n_resamples)
        .into_par_iter()
        .filter_map(|resample| {
            let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
            rng.set_stream(resample as u64);
            let mut clips = Vec::with_capacity(n_clips);
            for _ in 0..units.len() {
                clips.extend_from_slice(&units[rng.random_range(0..units.len())]);
            }
            metric(&clips)
        })
        .collect())
}

/// What is drawn: single clips, or the clips of one source each.
pub(super) fn units(n_clips: usize, options: &BootstrapOptions<'_>) -> Result<Vec<Vec<usize>>> {
    if options.n_resamples == 0 {
        return Err(impossible("bootstrap.n_resamples", 0, "must be at least 1"));
    }
    if !(options.level > 0.0 && options.level < 1.0) {
        return Err(impossible(
            "bootstrap.level",
            options.level,
            "must lie between 0 and 1",
        ));
    }
    let Some(groups) = options.groups else {
        return Ok((0..n_clips).map(|clip| vec![clip]).collect());
    };
    if groups.len() != n_clips {
        return Err(Error::Shape {
            what: "groups of the bootstrap".to_owned(),
            found: groups.len().to_string(),
            expected: format!("{n_clips}, one per clip"),
        });
    }
    let mut by_group = std::collections::BTreeMap::<usize, Vec<usize>>::new();
    for (clip, group) in groups.iter().enumerate() {
        by_group.entry(*group).or_default().push(clip);
    }
    Ok(by_group.into_values().collect())
}

fn impossible(key: &str, found: impl ToString, expected: &str) -> Error {
    Error::Config {
        key: key.to_owned(),
        found: found.to_string(),
        expected: expected.to_owned(),
    }
}

pub(super) fn percentile_interval(estimate: f64, mut values: Vec<f64>, level: f64) -> Interval {
    values.sort_by(f64::total_cmp);
    let tail = (1.0 - level) / 2.0;
    match values.is_empty() {
        true => Interval {
            estimate,
            lower: estimate,
            upper: estimate,
        },
        false => Interval {
            estimate,
            lower: quantile(&values, tail),
            upper: quantile(&values, 1.0 - tail),
        },
    }
}

/// The quantile of sorted values, interpolated linearly as NumPy's default does.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    let below = place.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + (place - below as f64) * (sorted[above] - sorted[below])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean(values: &[f64]) -> impl Fn(&[usize]) -> Option<f64> + Sync + '_ {
        |clips| {
            let sum: f64 = clips.iter().map(|clip| values[*clip]).sum();
            (!clips.is_empty()).then(|| sum / clips.len() as f64)
        }
    }

    fn coin(n: usize) -> Vec<f64> {
        (0..n).map(|i| f64::from(u8::from(i % 4 != 0))).collect()
    }

    #[test]
    fn a_share_has_about_the_binomial_interval() {
        let values = coin(400);
        let interval = bootstrap(400, &BootstrapOptions::default(), mean(&values))
            .unwrap()
            .unwrap();
        // 1.96 · √(.75 · .25 / 400) = .0424
        assert_eq!(interval.estimate, 0.75);
        assert!(
            (interval.lower - (0.75 - 0.0424)).abs() < 0.006,
            "{interval:?}"
        );
        assert!(
            (interval.upper - (0.75 + 0.0424)).abs() < 0.006,
            "{interval:?}"
        );
    }

    #[test]
    fn the_seed_decides() {
        // Irregular values: percentiles of a coin's mean coincide too easily.
        let values: Vec<f64> = (0..50).map(|i| f64::from(i).sin()).collect();
        let with = |seed| {
            let options = BootstrapOptions {
                seed,
                ..Default::default()
            };
            bootstrap(50, &options, mean(&values)).unwrap().unwrap()
        };
        assert_eq!(with(3), with(3));
        assert_ne!(with(3), with(4));
    }

    #[test]
    fn clips_of_one_source_widen_the_interval() {
        // Ten sources of twenty equal clips: only ten independent observations.
        let values: Vec<f64> = (0..200).map(|i| f64::from(i / 20 % 2)).collect();
        let groups: Vec<usize> = (0..200).map(|i| i / 20).collect();
        let clipwise = bootstrap(200, &BootstrapOptions::default(), mean(&values))
            .unwrap()
            .unwrap();
        let options = BootstrapOptions {
            groups: Some(&groups),
            ..Default::default()
        };
        let groupwise = bootstrap(200, &options, mean(&values)).unwrap().unwrap();
        assert!(groupwise.upper - groupwise.lower > 3.0 * (clipwise.upper - clipwise.lower));
    }

    #[test]
    fn a_pair_shares_its_resamples() {
        // The second system is right wherever the first is and on every fourth clip more.
        let (first, second) = (coin(100), vec![1.0; 100]);
        let options = BootstrapOptions::default();
        let paired = paired_bootstrap(100, &options, mean(&first), mean(&second))
            .unwrap()
            .unwrap();
        assert_eq!(paired.difference.estimate, 0.25);
        assert_eq!(paired.share_higher, 1.0);
        let same = paired_bootstrap(100, &options, mean(&first), mean(&first))
            .unwrap()
            .unwrap();
        assert_eq!(
            (
                same.difference.lower,
                same.difference.upper,
                same.share_higher
            ),
            (0.0, 0.0, 0.5)
        );
    }

    #[test]
    fn impossible_options_are_named() {
        let options = BootstrapOptions {
            level: 1.5,
            ..Default::default()
        };
        let error = bootstrap(3, &options, |_| Some(0.0))
            .unwrap_err()
            .to_string();
        assert_eq!(error, "bootstrap.level is 1.5, must lie between 0 and 1");
        assert!(
            bootstrap(0, &BootstrapOptions::default(), mean(&[]))
                .unwrap()
                .is_none()
        );
    }
}
