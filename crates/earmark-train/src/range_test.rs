//! The learning-rate finder: one short run whose rate rises step by step; the loss at every rate, and
//! the rate to begin with, out.
//!
//! # Source
//! Smith, "Cyclical learning rates for training neural networks", WACV 2017, section 3.3. Smoothing
//! and the place where it stops are those of fastai's `lr_find`: an exponential mean with .98, the
//! end at four times the lowest smoothed loss.

use serde::{Deserialize, Serialize};

use crate::observer::{EpochReport, Observer, StepReport};
use crate::run::Survey;

/// The weight of the past in the smoothed loss.
const SMOOTHING: f64 = 0.98;

/// The test ends when the smoothed loss is this many times the lowest.
const DIVERGED: f64 = 4.0;

/// Steps at the start whose smoothed loss means little yet.
const N_UNSETTLED: usize = 5;

/// How a range test runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RangeTestConfig {
    /// The first learning rate, above 0 and below `highest`. Default 1e-6.
    pub lowest: f64,
    /// The last learning rate, above `lowest`. Default 1.
    pub highest: f64,
    /// Optimizer steps from one to the other, at least 10. Default 100.
    pub n_steps: usize,
}

impl Default for RangeTestConfig {
    fn default() -> Self {
        Self {
            lowest: 1e-6,
            highest: 1.0,
            n_steps: 100,
        }
    }
}

/// One step of a range test.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RangePoint {
    /// The learning rate of the head.
    pub learning_rate: f64,
    /// The mean loss of the step's clips.
    pub loss: f64,
    /// The loss, smoothed over the steps so far.
    pub smoothed: f64,
}

/// The loss at every learning rate that was tried.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RangeTest {
    /// The steps, lowest rate first.
    pub points: Vec<RangePoint>,
}

impl RangeTest {
    /// Takes in the loss at the next rate, and says whether the loss has run away.
    pub fn push(&mut self, learning_rate: f64, loss: f64) -> bool {
        let n = self.points.len() as i32;
        let mean = match self.points.last() {
            Some(last) => last.smoothed * (1.0 - SMOOTHING.powi(n)),
            None => 0.0,
        };
        let smoothed =
            (mean * SMOOTHING + loss * (1.0 - SMOOTHING)) / (1.0 - SMOOTHING.powi(n + 1));
        self.points.push(RangePoint {
            learning_rate,
            loss,
            smoothed,
        });
        let lowest = self
            .points
            .iter()
            .map(|p| p.smoothed)
            .fold(f64::INFINITY, f64::min);
        self.points.len() > N_UNSETTLED && smoothed > DIVERGED * lowest
    }

    /// The rate with the lowest smoothed loss.
    pub fn lowest(&self) -> Option<f64> {
        let settled = self.points.get(N_UNSETTLED..)?;
        let best = settled
            .iter()
            .min_by(|a, b| a.smoothed.total_cmp(&b.smoothed));
        best.map(|point| point.learning_rate)
    }

    /// The rate before the lowest loss at which the smoothed loss falls fastest per factor.
    pub fn steepest(&self) -> Option<f64> {
        let lowest = self.lowest()?;
        let slope = |pair: &[RangePoint]| {
            (pair[1].smoothed - pair[0].smoothed)
                / (pair[1].learning_rate / pair[0].learning_rate).ln()
        };
        self.points
            .get(N_UNSETTLED..)?
            .windows(2)
            .filter(|pair| pair[1].learning_rate <= lowest)
            .min_by(|a, b| slope(a).total_cmp(&slope(b)))
            .filter(|pair| slope(pair) < 0.0)
            .map(|pair| pair[0].learning_rate)
    }

    /// The rate to begin with, to two digits: a tenth of that with the lowest loss, which leaves room
    /// for the noise of single batches. `None` if the loss never fell.
    pub fn suggestion(&self) -> Option<f64> {
        self.steepest()?;
        let rate = self.lowest()? / 10.0;
        let unit = 10f64.powf(rate.log10().floor() - 1.0);
        Some((rate / unit).round() * unit)
    }
}

/// Watches a run whose rate rises, and ends it when the loss runs away.
pub(crate) struct Recorder<'a> {
    pub(crate) test: RangeTest,
    n_steps: usize,
    has_diverged: bool,
    /// The batches of the step that is under way: how many, and the sum of their losses.
    waiting: (usize, f64),
    observer: &'a mut dyn Observer,
}

impl<'a> Recorder<'a> {
    pub(crate) fn new(n_steps: usize, observer: &'a mut dyn Observer) -> Self {
        Self {
            test: RangeTest::default(),
            n_steps,
            has_diverged: false,
            waiting: (0, 0.0),
            observer,
        }
    }

    /// Whether the test came to an end of its own.
    pub(crate) fn is_complete(&self) -> bool {
        self.has_diverged || self.test.points.len() >= self.n_steps
    }
}

impl Observer for Recorder<'_> {
    fn surveyed(&mut self, survey: &Survey) {
        self.observer.surveyed(survey);
    }

    fn started(&mut self, _first_epoch: usize, _n_epochs: usize, _n_batches: usize) {
        self.observer.started(0, 1, self.n_steps);
    }

    fn step(&mut self, report: &StepReport) {
        self.waiting = (self.waiting.0 + 1, self.waiting.1 + report.loss);
        if report.gradient_norm.is_none() {
            return;
        }
        let (n, sum) = std::mem::take(&mut self.waiting);
        let diverged = self.test.push(report.learning_rate, sum / n as f64);
        self.has_diverged |= diverged;
        let told = StepReport {
            epoch: 0,
            batch: self.test.points.len() - 1,
            ..report.clone()
        };
        self.observer.step(&told);
    }

    fn epoch(&mut self, _report: &EpochReport) {}

    fn notice(&mut self, text: &str) {
        self.observer.notice(text);
    }

    fn wants_to_stop(&mut self) -> bool {
        self.is_complete() || self.observer.wants_to_stop()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A loss that falls from 1 around `1e-3`, is lowest at `1e-2` and runs away above.
    fn valley(rate: f64) -> f64 {
        let place = rate.log10();
        1.0 - 0.5 / (1.0 + (-4.0 * (place + 3.0)).exp()) + (8.0 * (place + 1.0)).exp()
    }

    #[test]
    fn the_valley_is_found_and_the_test_ends_when_the_loss_runs_away() {
        let mut test = RangeTest::default();
        let n_steps = 200;
        let mut ended = None;
        for step in 0..n_steps {
            let rate = 1e-6 * 1e7f64.powf(step as f64 / (n_steps - 1) as f64);
            if test.push(rate, valley(rate)) {
                ended = Some(rate);
                break;
            }
        }
        let ended = ended.expect("the loss runs away");
        assert!(ended > 0.03 && ended < 5.0, "{ended}");
        let lowest = test.lowest().unwrap();
        assert!((0.01..0.1).contains(&lowest), "{lowest}");
        let steepest = test.steepest().unwrap();
        assert!(steepest < lowest && steepest > 5e-4, "{steepest}");
        let suggestion = test.suggestion().unwrap();
        assert!((suggestion / (lowest / 10.0) - 1.0).abs() < 0.05);
    }

    #[test]
    fn smoothing_is_the_bias_corrected_mean() {
        let mut test = RangeTest::default();
        let losses = [3.0, 1.0, 2.0];
        for (step, loss) in losses.into_iter().enumerate() {
            test.push(10f64.powi(step as i32), loss);
        }
        let weights: Vec<f64> = (0..3).map(|age| 0.98f64.powi(2 - age)).collect();
        let sum: f64 = losses.iter().zip(&weights).map(|(l, w)| l * w).sum();
        let expected = sum / weights.iter().sum::<f64>();
        assert!((test.points[2].smoothed - expected).abs() < 1e-12);
    }

    #[test]
    fn a_loss_that_never_falls_suggests_nothing() {
        let mut test = RangeTest::default();
        for step in 0..50 {
            test.push(1e-6 * 1.2f64.powi(step), 1.0 + f64::from(step));
        }
        assert_eq!(test.suggestion(), None);
    }
}
