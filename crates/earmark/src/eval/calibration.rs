//! Calibration: how far scores are from frequencies, and how to bring them nearer.
//!
//! [`reliability`] compares scores with frequencies; [`temperature`] fits one divisor of all logits;
//! [`LogisticCalibration::fit`] fits a slope and an offset per class (Platt). Fit on clips that are
//! neither trained on nor reported.

use super::{Scores, Targets, check_column, check_labels, check_pair, ranking::top_class};
use crate::{Error, Result};

/// One bin of a reliability diagram.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct ReliabilityBin {
    /// Lowest score of the bin, exclusive except in the first bin.
    pub lower: f64,
    /// Highest score of the bin, inclusive.
    pub upper: f64,
    /// Number of scores in the bin.
    pub count: usize,
    /// Mean score; 0 for an empty bin.
    pub mean_score: f64,
    /// Share of the scores whose decision was right; 0 for an empty bin.
    pub frequency: f64,
}

/// Sorts scores in [0, 1] and whether they were right into bins of equal width.
///
/// # Errors
/// [`Error::Shape`] if the lengths differ or there is no bin, [`Error::Config`] for a score outside
/// [0, 1].
pub fn reliability(scores: &[f32], right: &[bool], n_bins: usize) -> Result<Vec<ReliabilityBin>> {
    check_column(scores, right)?;
    if n_bins == 0 {
        return Err(Error::Config {
            key: "n_bins".to_owned(),
            found: "0".to_owned(),
            expected: "must be at least 1".to_owned(),
        });
    }
    if let Some(score) = scores.iter().find(|score| !(0.0..=1.0).contains(*score)) {
        return Err(Error::Config {
            key: "score".to_owned(),
            found: score.to_string(),
            expected: "must lie between 0 and 1 for calibration".to_owned(),
        });
    }
    let mut sums = vec![(0_usize, 0.0_f64, 0_usize); n_bins];
    for (score, right) in scores.iter().zip(right) {
        let bin = ((f64::from(*score) * n_bins as f64).ceil() as usize).clamp(1, n_bins) - 1;
        sums[bin].0 += 1;
        sums[bin].1 += f64::from(*score);
        sums[bin].2 += usize::from(*right);
    }
    let mean = |sum: f64, count: usize| if count == 0 { 0.0 } else { sum / count as f64 };
    Ok(sums
        .into_iter()
        .enumerate()
        .map(|(bin, (count, sum, hits))| ReliabilityBin {
            lower: bin as f64 / n_bins as f64,
            upper: (bin + 1) as f64 / n_bins as f64,
            count,
            mean_score: mean(sum, count),
            frequency: mean(hits as f64, count),
        })
        .collect())
}

/// The reliability of each clip's highest score, for one label per clip.
///
/// # Errors
/// Those of [`reliability`], or [`Error::Shape`] if scores and labels do not fit.
pub fn top_class_reliability(
    scores: Scores<'_>,
    labels: &[usize],
    n_bins: usize,
) -> Result<Vec<ReliabilityBin>> {
    check_labels(scores, labels)?;
    let (confidence, right): (Vec<f32>, Vec<bool>) = scores
        .clips()
        .zip(labels)
        .filter_map(|(row, label)| top_class(row).map(|top| (row[top], top == *label)))
        .unzip();
    reliability(&confidence, &right, n_bins)
}

/// ECE: the mean distance between score and frequency, bins weighted by their counts.
///
/// `None` if all bins are empty.
///
/// # Source
/// Guo et al., "On calibration of modern neural networks", ICML 2017, equation 3.
pub fn expected_calibration_error(bins: &[ReliabilityBin]) -> Option<f64> {
    let total: usize = bins.iter().map(|bin| bin.count).sum();
    let sum: f64 = bins
        .iter()
        .map(|bin| bin.count as f64 * (bin.mean_score - bin.frequency).abs())
        .sum();
    (total > 0).then(|| sum / total as f64)
}

/// How logits become scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// Softmax over classes: one label per clip.
    Softmax,
    /// Sigmoid of each class: any number of labels per clip.
    Sigmoid,
}

/// The range of temperatures that [`temperature`] looks in.
pub const TEMPERATURE_RANGE: (f64, f64) = (0.01, 100.0);

/// The temperature T that minimises the log loss of `logits / T` on the given clips.
///
/// The loss is convex in 1/T; its derivative is brought to zero by bisection. Where the logits
/// already separate all targets, the loss has no minimum and an end of [`TEMPERATURE_RANGE`] is
/// returned. `None` for no clips.
///
/// With [`Link::Softmax`] every clip must have exactly one label.
///
/// # Errors
/// [`Error::Shape`] or [`Error::NotFinite`] if the tables do not fit.
///
/// # Source
/// Guo et al., "On calibration of modern neural networks", ICML 2017, section 4.2.
pub fn temperature(logits: Scores<'_>, targets: Targets<'_>, link: Link) -> Result<Option<f64>> {
    check_pair(logits, targets)?;
    if logits.n_clips() == 0 {
        return Ok(None);
    }
    if link == Link::Softmax {
        check_one_label_each(targets)?;
    }
    let slope = |beta: f64| -> f64 {
        logits
            .clips()
            .zip(targets.clips())
            .map(|(row, present)| slope_of_clip(row, present, beta, link))
            .sum()
    };
    // In log space, so that both ends of the range are approached equally well.
    let (mut low, mut high) = (1.0 / TEMPERATURE_RANGE.1, 1.0 / TEMPERATURE_RANGE.0);
    if slope(low) >= 0.0 {
        return Ok(Some(1.0 / low));
    }
    if slope(high) <= 0.0 {
        return Ok(Some(1.0 / high));
    }
    for _ in 0..100 {
        let middle = (low * high).sqrt();
        *if slope(middle) < 0.0 {
            &mut low
        } else {
            &mut high
        } = middle;
    }
    Ok(Some(1.0 / (low * high).sqrt()))
}

fn check_one_label_each(targets: Targets<'_>) -> Result<()> {
    let labels_of = |row: &[bool]| row.iter().filter(|present| **present).count();
    match targets.clips().position(|row| labels_of(row) != 1) {
        None => Ok(()),
        Some(clip) => Err(Error::Shape {
            what: format!("labels of clip {clip}"),
            found: labels_of(targets.clip(clip)).to_string(),
            expected: "1, as softmax scores assume".to_owned(),
        }),
    }
}

/// The derivative of a clip's log loss by the factor `beta` of its logits.
fn slope_of_clip(row: &[f32], present: &[bool], beta: f64, link: Link) -> f64 {
    let pairs = row.iter().map(|logit| f64::from(*logit)).zip(present);
    match link {
        Link::Sigmoid => pairs
            .map(|(z, y)| z * (sigmoid(beta * z) - f64::from(u8::from(*y))))
            .sum(),
        Link::Softmax => {
            let highest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let (mut weight, mut mean, mut own) = (0.0, 0.0, 0.0);
            for (z, y) in pairs {
                let e = (beta * (z - f64::from(highest))).exp();
                weight += e;
                mean += e * z;
                own += if *y { z } else { 0.0 };
            }
            mean / weight - own
        }
    }
}

fn sigmoid(x: f64) -> f64 {
    if x >= 0.0 {
        1.0 / (1.0 + (-x).exp())
    } else {
        x.exp() / (1.0 + x.exp())
    }
}

/// Per-class logistic calibration: score = sigmoid(slope · logit + offset).
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct LogisticCalibration {
    /// Factor of the logit.
    pub slope: f64,
    /// Added after the factor.
    pub offset: f64,
}

impl LogisticCalibration {
    /// Fits slope and offset to one class's logits and targets, `[clip]`.
    ///
    /// Targets are smoothed as Platt does, (N₊+1)/(N₊+2) and 1/(N₋+2), so the fit exists even where
    /// the logits separate the class. `None` unless some clip has the class and some does not.
    ///
    /// # Errors
    /// [`Error::Shape`] if the lengths differ, [`Error::NotFinite`] for a logit that is no number.
    ///
    /// # Source
    /// J. Platt, "Probabilistic outputs for support vector machines", 1999; solved by Newton's method
    /// as in Lin, Lin and Weng, Machine Learning 68, 2007, appendix C.
    pub fn fit(logits: &[f32], targets: &[bool]) -> Result<Option<Self>> {
        check_column(logits, targets)?;
        let n_positive = targets.iter().filter(|target| **target).count() as f64;
        let n_negative = targets.len() as f64 - n_positive;
        if n_positive == 0.0 || n_negative == 0.0 {
            return Ok(None);
        }
        let high = (n_positive + 1.0) / (n_positive + 2.0);
        let low = 1.0 / (n_negative + 2.0);
        let points: Vec<(f64, f64)> = logits
            .iter()
            .zip(targets)
            .map(|(z, target)| (f64::from(*z), if *target { high } else { low }))
            .collect();
        let start = Self {
            slope: 0.0,
            offset: ((n_positive + 1.0) / (n_negative + 1.0)).ln(),
        };
        Ok(Some(start.newton(&points)))
    }

    /// The calibrated score of a logit.
    pub fn score(&self, logit: f32) -> f64 {
        sigmoid(self.slope * f64::from(logit) + self.offset)
    }

    /// The log loss over `(logit, smoothed target)` points.
    fn loss(&self, points: &[(f64, f64)]) -> f64 {
        points
            .iter()
            .map(|(z, t)| {
                let x = self.slope * z + self.offset;
                // log(1 + e^x) - t·x, without overflow.
                x.max(0.0) + (-x.abs()).exp().ln_1p() - t * x
            })
            .sum()
    }

    /// Minimises the log loss by Newton's method with halved steps.
    fn newton(mut self, points: &[(f64, f64)]) -> Self {
        let mut loss = self.loss(points);
        for _ in 0..100 {
            let (mut g_slope, mut g_offset) = (0.0, 0.0);
            // The ridge keeps the system solvable when all logits are equal.
            let (mut h_ss, mut h_so, mut h_oo) = (1e-12, 0.0, 1e-12);
            for (z, t) in points {
                let p = sigmoid(self.slope * z + self.offset);
                let (error, weight) = (p - t, p * (1.0 - p));
                g_slope += error * z;
                g_offset += error;
                h_ss += weight * z * z;
                h_so += weight * z;
                h_oo += weight;
            }
            if g_slope.abs().max(g_offset.abs()) < 1e-10 {
                break;
            }
            let determinant = h_ss * h_oo - h_so * h_so;
            let step = Self {
                slope: (h_oo * g_slope - h_so * g_offset) / determinant,
                offset: (h_ss * g_offset - h_so * g_slope) / determinant,
            };
            let Some((next, next_loss)) = self.descend(&step, points, loss) else {
                break;
            };
            (self, loss) = (next, next_loss);
        }
        self
    }

    /// The longest of the halved steps that lowers the loss, with the loss there.
    fn descend(&self, step: &Self, points: &[(f64, f64)], loss: f64) -> Option<(Self, f64)> {
        std::iter::successors(Some(1.0), |length| Some(length / 2.0))
            .take(40)
            .find_map(|length| {
                let next = Self {
                    slope: self.slope - length * step.slope,
                    offset: self.offset - length * step.offset,
                };
                let next_loss = next.loss(points);
                (next_loss < loss).then_some((next, next_loss))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_are_closed_above() {
        let bins = reliability(&[0.0, 0.5, 0.50001, 1.0], &[false, true, true, true], 2).unwrap();
        assert_eq!((bins[0].count, bins[1].count), (2, 2));
        assert_eq!(bins[0].frequency, 0.5);
        let error = reliability(&[1.5], &[true], 10).unwrap_err().to_string();
        assert_eq!(
            error,
            "score is 1.5, must lie between 0 and 1 for calibration"
        );
    }

    #[test]
    fn ece_is_the_weighted_distance() {
        // 3 scores of .75 with 2 right, 1 score of .25 that is wrong.
        let bins = reliability(&[0.75, 0.75, 0.75, 0.25], &[true, true, false, false], 2).unwrap();
        let ece = expected_calibration_error(&bins).unwrap();
        assert!((ece - (0.75 * (0.75 - 2.0 / 3.0) + 0.25 * 0.25)).abs() < 1e-9);
        assert_eq!(expected_calibration_error(&[]), None);
    }

    #[test]
    fn temperature_undoes_a_known_scale() {
        // Frequencies of exactly sigmoid(ln 3) = 3/4 at logit ±ln 3, scaled by 2.5.
        let logit = 3.0_f32.ln() * 2.5;
        let logits = [logit, logit, logit, logit, -logit, -logit, -logit, -logit];
        let targets = [true, true, true, false, false, false, false, true];
        let fit = temperature(
            Scores::new(&logits, 1).unwrap(),
            Targets::new(&targets, 1).unwrap(),
            Link::Sigmoid,
        );
        assert!((fit.unwrap().unwrap() - 2.5).abs() < 1e-5);
        // The same as a softmax over two classes with logits z and 0.
        let pairs: Vec<f32> = logits.iter().flat_map(|z| [*z, 0.0]).collect();
        let pair_targets: Vec<bool> = targets.iter().flat_map(|t| [*t, !*t]).collect();
        let fit = temperature(
            Scores::new(&pairs, 2).unwrap(),
            Targets::new(&pair_targets, 2).unwrap(),
            Link::Softmax,
        );
        assert!((fit.unwrap().unwrap() - 2.5).abs() < 1e-5);
    }

    #[test]
    fn separated_logits_end_at_the_range() {
        let fit = temperature(
            Scores::new(&[2.0, -2.0], 1).unwrap(),
            Targets::new(&[true, false], 1).unwrap(),
            Link::Sigmoid,
        );
        assert!((fit.unwrap().unwrap() - TEMPERATURE_RANGE.0).abs() < 1e-9);
    }

    #[test]
    fn softmax_needs_one_label_each() {
        let error = temperature(
            Scores::new(&[0.0; 4], 2).unwrap(),
            Targets::new(&[true, false, true, true], 2).unwrap(),
            Link::Softmax,
        );
        assert!(
            error
                .unwrap_err()
                .to_string()
                .starts_with("labels of clip 1: found 2")
        );
    }

    #[test]
    fn platt_reaches_the_stationary_point() {
        let logits = [-2.0, -1.0, -0.5, 0.3, 0.9, 2.2, 1.1, -0.2];
        let targets = [false, false, true, false, true, true, true, false];
        let fit = LogisticCalibration::fit(&logits, &targets)
            .unwrap()
            .unwrap();
        // At the minimum the mean score equals the mean smoothed target: (4·5/6 + 4·1/6)/8 = 1/2.
        let mean: f64 = logits.iter().map(|z| fit.score(*z)).sum::<f64>() / 8.0;
        assert!((mean - 0.5).abs() < 1e-9, "{fit:?}");
        assert!(fit.slope > 0.0);
        assert!(LogisticCalibration::fit(&[1.0], &[true]).unwrap().is_none());
        let flat = LogisticCalibration::fit(&[1.0, 1.0], &[true, false])
            .unwrap()
            .unwrap();
        assert!((flat.score(1.0) - 0.5).abs() < 1e-9);
    }
}
