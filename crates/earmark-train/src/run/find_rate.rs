//! The learning-rate finder over a configuration's own clips, network, loss and optimizer.

use std::collections::BTreeMap;

use earmark::dataset::Progress;
use earmark::{Error, Result};

use super::directory::RunDirectory;
use super::division::Division;
use super::fit::Fit;
use super::{RunConfig, RunOptions, class_weights, prepare};
use crate::loss::Loss;
use crate::observer::Observer;
use crate::range_test::{RangeTest, RangeTestConfig, Recorder};
use crate::schedule::ScheduleConfig;
use crate::source::{Batch, Batches};
use crate::trainer::{Keep, Material, Scope, Scored, TrainConfig, Trainer};

/// Tries learning rates, lowest first, on the first of the divisions that a run would train, and
/// writes `learning_rates.csv` into the run directory. `None` if the observer stopped it.
///
/// # Errors
/// As for [`super::run`]; [`Error::Config`] for an impossible range, and for a probe, which has no
/// learning rate.
pub fn find_learning_rate(
    config: &RunConfig,
    range: &RangeTestConfig,
    options: &RunOptions,
    progress: &dyn Progress,
    observer: &mut dyn Observer,
) -> Result<Option<RangeTest>> {
    check(config, range)?;
    prepare(config, options, progress, observer, |ready, observer| {
        let division = &ready.divided.divisions[0];
        let weights = class_weights(&config.train, ready.fit.manifest, division);
        let loss = Loss::new(ready.loss.clone(), weights)?;
        let found = ready.fit.range_test(division, &loss, range, observer)?;
        if let Some(test) = &found {
            write(test, &ready.directory)?;
        }
        Ok(found)
    })
}

fn check(config: &RunConfig, range: &RangeTestConfig) -> Result<()> {
    let refuse = |key: &str, found: String, expected: &str| {
        Err(Error::Config {
            key: key.to_owned(),
            found,
            expected: expected.to_owned(),
        })
    };
    if config.train.scope == Scope::Probe {
        return refuse(
            "train.scope",
            "`probe`".to_owned(),
            "must be `all` or `head`: a linear probe has no learning rate",
        );
    }
    if !(range.lowest > 0.0 && range.highest.is_finite() && range.lowest < range.highest) {
        let found = format!("{} to {}", range.lowest, range.highest);
        return refuse("range", found, "must rise from above 0");
    }
    match range.n_steps {
        0..10 => refuse(
            "range.n_steps",
            range.n_steps.to_string(),
            "must be at least 10",
        ),
        _ => Ok(()),
    }
}

fn write(test: &RangeTest, directory: &RunDirectory) -> Result<()> {
    let mut text = "learning_rate,loss,smoothed_loss\n".to_owned();
    for point in &test.points {
        let row = [point.learning_rate, point.loss, point.smoothed].map(|x| x.to_string());
        text += &(row.join(",") + "\n");
    }
    directory.write_text("learning_rates.csv", &text)
}

/// The least `start` of [`ScheduleConfig::Exponential`].
const LEAST_START: f64 = 1e-12;

/// How a range test lies over epochs. It ends within the last one, while its schedule spans whole epochs.
struct Course {
    epochs: usize,
    steps_per_epoch: usize,
    /// The first rate as a share of the schedule's last.
    start: f64,
}

impl Course {
    /// Spreads the steps evenly over as few epochs as they need, which leaves few steps over: the schedule would
    /// go on rising over them.
    ///
    /// # Errors
    /// [`Error::Config`] if the range spans more than a schedule can.
    fn over(range: &RangeTestConfig, longest_epoch: usize) -> Result<Self> {
        let epochs = range.n_steps.div_ceil(longest_epoch.max(1));
        let steps_per_epoch = range.n_steps.div_ceil(epochs);
        let n_scheduled = epochs * steps_per_epoch;
        // The rate reaches its highest after the wanted steps.
        let share = (n_scheduled - 1) as f64 / (range.n_steps - 1) as f64;
        let start = (range.lowest / range.highest).powf(share);
        if start < LEAST_START {
            let decades = (-LEAST_START.log10() / share).floor();
            return Err(Error::Config {
                key: "range".to_owned(),
                found: format!("{} to {}", range.lowest, range.highest),
                expected: format!("must rise by a factor of at most 1e{decades}"),
            });
        }
        Ok(Self {
            epochs,
            steps_per_epoch,
            start,
        })
    }
}

/// The first batches of every epoch: a large set needs no whole epoch for a range test.
struct Few<'a> {
    inner: &'a dyn Batches,
    n_batches: usize,
}

impl Batches for Few<'_> {
    fn n_classes(&self) -> usize {
        self.inner.n_classes()
    }

    fn plan(&self, epoch: usize) -> Vec<Vec<usize>> {
        let mut plan = self.inner.plan(epoch);
        plan.truncate(self.n_batches);
        plan
    }

    fn batch(&self, epoch: usize, clips: &[usize]) -> Result<Batch> {
        self.inner.batch(epoch, clips)
    }
}

impl Fit<'_> {
    /// Trains with a rate that rises from step to step until the loss runs away.
    fn range_test(
        &self,
        division: &Division,
        loss: &Loss,
        range: &RangeTestConfig,
        observer: &mut dyn Observer,
    ) -> Result<Option<RangeTest>> {
        let own = &self.config.train;
        let network = match own.scope {
            Scope::ProbeThenAll => self.probe(division, loss, observer)?,
            _ => self.fresh(observer)?,
        };
        let teacher = self.teacher(division)?;
        let all = self.batches(&division.training, own, None, BTreeMap::new())?;
        let course = Course::over(range, all.plan(0).len().div_ceil(own.accumulate))?;
        let batches = Few {
            inner: &*all,
            n_batches: course.steps_per_epoch * own.accumulate,
        };
        let train = TrainConfig {
            epochs: course.epochs,
            learning_rate: range.lowest / course.start,
            schedule: ScheduleConfig::Exponential {
                start: course.start,
            },
            warm_up_epochs: 0.0,
            head_epochs: 0,
            average: None,
            keep: Keep::Last,
            patience: None,
            ..own.clone()
        };
        let judge = |_: &Scored| Ok(Vec::new());
        let material = Material {
            batches: &batches,
            examples: None,
            judge: &judge,
            teacher: teacher.as_ref(),
        };
        let mut recorder = Recorder::new(range.n_steps, observer);
        let trainer = Trainer::new(&train, loss.clone(), network, material)?;
        match trainer.run(None, &mut recorder) {
            // A loss that is no number any more is the end of the range, once it has begun.
            Err(Error::Training { .. }) if recorder.test.points.len() > 10 => {
                return Ok(Some(recorder.test));
            }
            outcome => outcome?,
        };
        Ok(recorder.is_complete().then_some(recorder.test))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::Schedule;

    #[test]
    fn the_rate_rises_from_the_lowest_to_the_highest_in_epochs_of_any_length() -> Result<()> {
        for (n_steps, longest_epoch) in (10..110).flat_map(|n| (1..120).map(move |m| (n, m))) {
            let range = RangeTestConfig {
                lowest: 1e-8,
                highest: 1.0,
                n_steps,
            };
            let course = Course::over(&range, longest_epoch)?;
            assert!(course.steps_per_epoch <= longest_epoch);
            let start = course.start;
            let n_scheduled = course.epochs * course.steps_per_epoch;
            let schedule = Schedule::new(ScheduleConfig::Exponential { start }, 0, n_scheduled)?;
            for (step, expected) in [(0, 1e-8), (n_steps - 1, 1.0)] {
                let rate = range.lowest / start * schedule.at(step).factor;
                assert!((rate / expected - 1.0).abs() < 1e-9, "{rate}");
            }
        }
        Ok(())
    }

    #[test]
    fn a_range_wider_than_a_schedule_is_named() {
        let range = RangeTestConfig {
            lowest: 1e-6,
            highest: 1e8,
            n_steps: 100,
        };
        let error = Course::over(&range, 100).map(|_| ()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "range is 0.000001 to 100000000, must rise by a factor of at most 1e12"
        );
    }
}
