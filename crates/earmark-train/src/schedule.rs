//! Learning-rate schedules: a step in, the factor on the learning rate and the momentum out.
//!
//! A schedule is a pure function of the step, so a resumed run continues it without any state. The
//! one exception is [`Plateau`], which looks at the validation metric; its three numbers are part of
//! the checkpoint.

use std::f64::consts::PI;

use earmark::{Error, Result};
use serde::{Deserialize, Serialize};

/// Which schedule, with its settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ScheduleConfig {
    /// The same rate all the way.
    Constant,
    /// Half a cosine from the full rate down to `end`.
    Cosine {
        /// The last rate as a share of the full one, 0 to 1.
        #[serde(default)]
        end: f64,
    },
    /// The full rate for a while, then a straight line down to `end`.
    Linear {
        /// Share of the run at the full rate, 0 to 1.
        #[serde(default)]
        hold: f64,
        /// The last rate as a share of the full one, 0 to 1.
        #[serde(default)]
        end: f64,
    },
    /// From `start` up to the full rate in equal factors: a range test ([`crate::range_test`]).
    Exponential {
        /// The first rate as a share of the full one, above 0 and at most 1.
        start: f64,
    },
    /// Up and down again along two half cosines while the momentum goes down and up (Smith and
    /// Topin, 2017, with fastai's defaults).
    OneCycle {
        /// Share of the run spent going up, 0 to 1.
        #[serde(default = "default_rise")]
        rise: f64,
        /// The first rate is the full one divided by this, at least 1.
        #[serde(default = "default_start_divisor")]
        start_divisor: f64,
        /// The last rate is the full one divided by this, at least 1.
        #[serde(default = "default_end_divisor")]
        end_divisor: f64,
        /// Momentum (Adam's first beta) at both ends.
        #[serde(default = "default_momentum_high")]
        momentum_high: f64,
        /// Momentum at the highest rate.
        #[serde(default = "default_momentum_low")]
        momentum_low: f64,
    },
    /// The full rate, multiplied by `factor` whenever the validation metric has not improved for
    /// `patience` epochs.
    Plateau {
        /// What the rate is multiplied by, between 0 and 1.
        #[serde(default = "default_factor")]
        factor: f64,
        /// Epochs without improvement that are put up with.
        #[serde(default = "default_patience")]
        patience: usize,
        /// The rate never goes below this share of the full one.
        #[serde(default)]
        end: f64,
    },
}

fn default_rise() -> f64 {
    0.3
}
fn default_start_divisor() -> f64 {
    25.0
}
fn default_end_divisor() -> f64 {
    1e5
}
fn default_momentum_high() -> f64 {
    0.95
}
fn default_momentum_low() -> f64 {
    0.85
}
fn default_factor() -> f64 {
    0.3
}
fn default_patience() -> usize {
    3
}

impl Default for ScheduleConfig {
    fn default() -> Self {
        Self::OneCycle {
            rise: default_rise(),
            start_divisor: default_start_divisor(),
            end_divisor: default_end_divisor(),
            momentum_high: default_momentum_high(),
            momentum_low: default_momentum_low(),
        }
    }
}

/// What a schedule asks for at a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// Multiplies every learning rate.
    pub factor: f64,
    /// Replaces the optimizer's momentum (Adam's first beta) where the schedule moves it.
    pub momentum: Option<f64>,
}

/// A schedule laid over a run of known length.
#[derive(Debug, Clone)]
pub struct Schedule {
    config: ScheduleConfig,
    warm_up_steps: usize,
    n_steps: usize,
}

impl Schedule {
    /// A schedule over `n_steps` optimizer steps, the first `warm_up_steps` of which rise in a
    /// straight line from nothing to where the schedule begins.
    ///
    /// # Errors
    /// [`Error::Config`] if a setting is out of range.
    pub fn new(config: ScheduleConfig, warm_up_steps: usize, n_steps: usize) -> Result<Self> {
        check(&config)?;
        Ok(Self {
            config,
            warm_up_steps: warm_up_steps.min(n_steps),
            n_steps,
        })
    }

    /// The rate at a step, counted from 0.
    pub fn at(&self, step: usize) -> Rate {
        let body = self.n_steps.saturating_sub(self.warm_up_steps);
        let along =
            step.saturating_sub(self.warm_up_steps) as f64 / body.max(2).saturating_sub(1) as f64;
        let mut rate = self.along(along.min(1.0));
        if step < self.warm_up_steps {
            rate.factor *= (step + 1) as f64 / (self.warm_up_steps + 1) as f64;
        }
        rate
    }

    /// The rate at a share (0 to 1) of the run after the warm-up.
    fn along(&self, share: f64) -> Rate {
        let plain = |factor| Rate {
            factor,
            momentum: None,
        };
        match self.config {
            ScheduleConfig::Constant | ScheduleConfig::Plateau { .. } => plain(1.0),
            ScheduleConfig::Cosine { end } => plain(half_cosine(1.0, end, share)),
            ScheduleConfig::Linear { hold, end } => {
                let down = (share - hold).max(0.0) / (1.0 - hold).max(f64::EPSILON);
                plain(1.0 + (end - 1.0) * down)
            }
            ScheduleConfig::Exponential { start } => plain(start.powf(1.0 - share)),
            ScheduleConfig::OneCycle {
                rise,
                start_divisor,
                end_divisor,
                momentum_high,
                momentum_low,
            } => {
                let (factor, momentum) = if share < rise {
                    let up = share / rise;
                    (
                        half_cosine(1.0 / start_divisor, 1.0, up),
                        half_cosine(momentum_high, momentum_low, up),
                    )
                } else {
                    let down = (share - rise) / (1.0 - rise).max(f64::EPSILON);
                    (
                        half_cosine(1.0, 1.0 / end_divisor, down),
                        half_cosine(momentum_low, momentum_high, down),
                    )
                };
                Rate {
                    factor,
                    momentum: Some(momentum),
                }
            }
        }
    }
}

/// Goes from `from` to `to` along half a cosine as `share` goes from 0 to 1.
fn half_cosine(from: f64, to: f64, share: f64) -> f64 {
    to + (from - to) * (1.0 + (PI * share).cos()) / 2.0
}

/// Follows the validation metric and lowers the rate when it stands still.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Plateau {
    best: Option<f64>,
    epochs_without_gain: usize,
    reductions: u32,
}

impl Plateau {
    /// Takes in the metric of an epoch; higher is better.
    pub fn observe(&mut self, config: &ScheduleConfig, metric: f64) {
        let ScheduleConfig::Plateau { patience, .. } = *config else {
            return;
        };
        if self.best.is_none_or(|best| metric > best) {
            self.best = Some(metric);
            self.epochs_without_gain = 0;
            return;
        }
        self.epochs_without_gain += 1;
        if self.epochs_without_gain > patience {
            self.reductions += 1;
            self.epochs_without_gain = 0;
        }
    }

    /// The factor on the learning rate; 1 for every other schedule.
    pub fn factor(&self, config: &ScheduleConfig) -> f64 {
        match *config {
            ScheduleConfig::Plateau { factor, end, .. } => {
                factor.powi(self.reductions as i32).max(end)
            }
            _ => 1.0,
        }
    }
}

pub(crate) fn check(config: &ScheduleConfig) -> Result<()> {
    let rules: &[(&str, f64, std::ops::RangeInclusive<f64>)] = match config {
        ScheduleConfig::Constant => &[],
        ScheduleConfig::Cosine { end } => &[("end", *end, 0.0..=1.0)],
        ScheduleConfig::Linear { hold, end } => {
            &[("hold", *hold, 0.0..=1.0), ("end", *end, 0.0..=1.0)]
        }
        ScheduleConfig::Exponential { start } => &[("start", *start, 1e-12..=1.0)],
        ScheduleConfig::OneCycle {
            rise,
            start_divisor,
            end_divisor,
            momentum_high,
            momentum_low,
        } => &[
            ("rise", *rise, 0.0..=1.0),
            ("start_divisor", *start_divisor, 1.0..=1e12),
            ("end_divisor", *end_divisor, 1.0..=1e12),
            ("momentum_high", *momentum_high, 0.0..=0.9999),
            ("momentum_low", *momentum_low, 0.0..=0.9999),
        ],
        ScheduleConfig::Plateau { factor, end, .. } => {
            &[("factor", *factor, 0.0..=1.0), ("end", *end, 0.0..=1.0)]
        }
    };
    match rules
        .iter()
        .find(|(_, value, range)| !range.contains(value))
    {
        None => Ok(()),
        Some((key, value, range)) => Err(Error::Config {
            key: format!("train.schedule.{key}"),
            found: value.to_string(),
            expected: format!("must be {} to {}", range.start(), range.end()),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn factors(config: ScheduleConfig, warm_up_steps: usize, n_steps: usize) -> Vec<f64> {
        let schedule = Schedule::new(config, warm_up_steps, n_steps).unwrap();
        (0..n_steps).map(|step| schedule.at(step).factor).collect()
    }

    #[test]
    fn cosine_starts_full_and_ends_at_its_end() {
        let factors = factors(ScheduleConfig::Cosine { end: 0.1 }, 0, 11);
        assert_eq!(factors[0], 1.0);
        assert!((factors[5] - 0.55).abs() < 1e-12);
        assert!((factors[10] - 0.1).abs() < 1e-12);
    }

    #[test]
    fn a_line_holds_the_full_rate_first() {
        let config = toml::from_str("kind = 'linear'\nhold = 0.2\nend = 0.5").unwrap();
        let factors = factors(config, 0, 101);
        assert!(factors[..=20].iter().all(|factor| *factor == 1.0));
        assert!((factors[60] - 0.75).abs() < 1e-12, "{}", factors[60]);
        assert!((factors[100] - 0.5).abs() < 1e-12, "{}", factors[100]);
    }

    #[test]
    fn warm_up_rises_to_the_schedule_without_a_step_of_zero() {
        let factors = factors(ScheduleConfig::Constant, 3, 6);
        assert_eq!(factors, [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]);
    }

    #[test]
    fn an_exponential_rises_by_equal_factors() {
        let factors = factors(ScheduleConfig::Exponential { start: 1e-4 }, 0, 5);
        for (found, expected) in factors.iter().zip([1e-4, 1e-3, 1e-2, 1e-1, 1.0]) {
            assert!((found / expected - 1.0).abs() < 1e-9, "{factors:?}");
        }
    }

    #[test]
    fn one_cycle_peaks_after_its_rise_with_the_lowest_momentum() {
        let config: ScheduleConfig = toml::from_str("kind = 'one-cycle'").unwrap();
        let schedule = Schedule::new(config, 0, 101).unwrap();
        assert!((schedule.at(0).factor - 1.0 / 25.0).abs() < 1e-12);
        assert_eq!(schedule.at(30).factor, 1.0);
        assert_eq!(schedule.at(30).momentum, Some(0.85));
        assert!((schedule.at(100).factor - 1e-5).abs() < 1e-12);
        assert_eq!(schedule.at(100).momentum, Some(0.95));
    }

    #[test]
    fn a_run_of_one_step_works() {
        for kind in ["constant", "cosine", "linear", "one-cycle", "plateau"] {
            let config: ScheduleConfig = toml::from_str(&format!("kind = '{kind}'")).unwrap();
            assert!(
                Schedule::new(config, 0, 1).unwrap().at(0).factor > 0.0,
                "{kind}"
            );
        }
    }

    #[test]
    fn plateau_lowers_the_rate_after_patience() {
        let config: ScheduleConfig =
            toml::from_str("kind = 'plateau'\nfactor = 0.5\npatience = 1").unwrap();
        let mut plateau = Plateau::default();
        for metric in [0.5, 0.6, 0.6, 0.6] {
            plateau.observe(&config, metric);
        }
        assert_eq!(plateau.factor(&config), 0.5);
    }

    #[test]
    fn an_unknown_key_and_an_impossible_value_are_refused() {
        assert!(toml::from_str::<ScheduleConfig>("kind = 'cosine'\nfinish = 0.1").is_err());
        let error = Schedule::new(ScheduleConfig::Cosine { end: 2.0 }, 0, 10).unwrap_err();
        assert_eq!(error.to_string(), "train.schedule.end is 2, must be 0 to 1");
    }
}
