//! Labels that nobody checked: what the loss makes of them.
//!
//! Every method here changes how noisy clips pull on the network and leaves curated clips and the
//! validation clips alone. They can be combined. How much a noisy clip counts is `data.noisy_weight`;
//! which noisy clips are trained on at all is a matter of the run's stages.

use earmark::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::loss::{Loss, LossValue};

/// Scores are kept this far from 0 where a power of them is divided by.
const LEAST_SCORE: f64 = 1e-12;

/// The `[train.noisy]` table: how noisy clips enter the loss.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NoisyConfig {
    /// Soft bootstrapping (`l_soft`): the target is `beta · label + (1 − beta) · score`, the score being
    /// the network's own at that moment. 0 to 1; 1 believes the labels.
    ///
    /// The target is held constant, as in the argus recipe: no gradient goes through its score. With nothing else
    /// that changes the loss (`lq`, class weights, label smoothing, a focal loss), the gradient is that of the
    /// labels times `beta`: a weight on the clip. Reed et al. (2015), equation 3, also lets the gradient through.
    pub bootstrap: Option<f64>,
    /// Generalised cross-entropy `lq`: `sum of t (1 − p^q) / q`, between cross-entropy (q near 0) and
    /// the absolute error (q = 1), which lets a wrong label pull less. Above 0 to 1. Zhang and Sabuncu
    /// (2018), equation 5. Class weights count as in the ordinary loss, whose label smoothing and focal factor are
    /// left out.
    pub lq: Option<f64>,
    /// Loss masking: a noisy clip whose loss is above this share of the largest loss in its batch does
    /// not count. 0 to 1. Jeong and Lim (2018) use 0.8.
    pub mask_above: Option<f64>,
    /// A second set of outputs learns from the noisy clips, the first from the curated ones; the body is
    /// shared, and the second set is left out of the bundle.
    pub own_head: bool,
}

impl NoisyConfig {
    /// Refuses impossible settings.
    ///
    /// # Errors
    /// [`Error::Config`] names the setting.
    pub fn check(&self) -> Result<()> {
        let shares = [
            ("bootstrap", self.bootstrap),
            ("lq", self.lq),
            ("mask_above", self.mask_above),
        ];
        for (key, value) in shares {
            let Some(value) = value else { continue };
            let least = if key == "lq" { f64::MIN_POSITIVE } else { 0.0 };
            if !(least..=1.0).contains(&value) {
                return Err(Error::Config {
                    key: format!("train.noisy.{key}"),
                    found: value.to_string(),
                    expected: match key {
                        "lq" => "must be above 0 and at most 1".to_owned(),
                        _ => "must be 0 to 1".to_owned(),
                    },
                });
            }
        }
        Ok(())
    }

    /// Where in a row of outputs those begin that learn from the clip.
    fn head_offset(&self, is_noisy: bool, n_classes: usize) -> usize {
        match self.own_head && is_noisy {
            true => n_classes,
            false => 0,
        }
    }

    /// Refuses a network without the outputs that noisy clips are to have.
    fn check_width(&self, width: usize, n_classes: usize) -> Result<()> {
        if !self.own_head || width == 2 * n_classes {
            return Ok(());
        }
        Err(Error::Shape {
            what: "train.noisy.own_head: outputs of the network".to_owned(),
            found: width.to_string(),
            expected: format!("{}, two for every class", 2 * n_classes),
        })
    }
}

/// The clips of a batch as the loss sees them.
#[derive(Debug, Clone, Copy)]
pub struct Labelled<'a> {
    /// `[clip, class]`.
    pub targets: &'a [f32],
    /// `[clip]`: how much each clip counts.
    pub weights: &'a [f32],
    /// `[clip]`: whether nobody checked the clip's labels.
    pub is_noisy: &'a [bool],
}

impl Loss {
    /// The loss of a batch with noisy clips, and its gradient.
    ///
    /// # Shapes
    /// - `logits`: `[clip, class]`, or `[clip, 2 · class]` with a head for noisy clips of its own
    ///
    /// # Errors
    /// [`Error::Shape`] if noisy clips are to have a head of their own and there is none.
    ///
    /// # Panics
    /// If the lengths do not fit: the trainer makes all of them.
    pub fn evaluate_noisy(
        &self,
        config: &NoisyConfig,
        logits: &[f32],
        clips: Labelled<'_>,
    ) -> Result<LossValue> {
        let n_clips = clips.weights.len();
        let n_classes = clips.targets.len() / n_clips.max(1);
        let width = logits.len() / n_clips.max(1);
        config.check_width(width, n_classes)?;
        assert!(width == n_classes || width == 2 * n_classes, "whole rows");
        let rows: Vec<(f64, Vec<f64>)> = (0..n_clips)
            .map(|clip| {
                let offset = config.head_offset(clips.is_noisy[clip], n_classes);
                let row = &logits[clip * width + offset..][..n_classes];
                let targets = &clips.targets[clip * n_classes..][..n_classes];
                match clips.is_noisy[clip] {
                    true => self.noisy_row(config, row, targets),
                    false => self.row(row, targets),
                }
            })
            .collect();
        let largest = rows.iter().map(|(loss, _)| *loss).fold(0.0, f64::max);
        let mut value = LossValue {
            per_clip: Vec::with_capacity(n_clips),
            mean: 0.0,
            gradient: vec![0.0; logits.len()],
        };
        for (clip, (loss, slopes)) in rows.into_iter().enumerate() {
            let is_noisy = clips.is_noisy[clip];
            let is_masked = config
                .mask_above
                .is_some_and(|share| is_noisy && loss > share * largest);
            let weight = if is_masked {
                0.0
            } else {
                f64::from(clips.weights[clip])
            };
            value.per_clip.push(loss * weight);
            let offset = config.head_offset(is_noisy, n_classes);
            let own = &mut value.gradient[clip * width + offset..][..n_classes];
            for (gradient, slope) in own.iter_mut().zip(slopes) {
                *gradient = (slope * weight / n_clips as f64) as f32;
            }
        }
        value.mean = value.per_clip.iter().sum::<f64>() / n_clips.max(1) as f64;
        Ok(value)
    }

    /// The loss of a noisy clip and its gradient.
    fn noisy_row(&self, config: &NoisyConfig, logits: &[f32], labels: &[f32]) -> (f64, Vec<f64>) {
        let scores = self.scores(logits);
        let beta = config.bootstrap.unwrap_or(1.0);
        let soften = |(&label, &score): (&f32, &f32)| {
            (beta * f64::from(label) + (1.0 - beta) * f64::from(score)) as f32
        };
        let targets: Vec<f32> = labels.iter().zip(&scores).map(soften).collect();
        match config.lq {
            None => self.row(logits, &targets),
            Some(q) if self.config().is_single_label() => self.lq_softmax(&scores, &targets, q),
            Some(q) => self.lq_binary(&scores, &targets, q),
        }
    }

    /// `sum w t (1 − p^q) / q` with `p = softmax(x)` and the weight `w` of each class: the derivative is
    /// `p_j sum w t p^q − w_j t_j p_j^q`.
    fn lq_softmax(&self, scores: &[f32], targets: &[f32], q: f64) -> (f64, Vec<f64>) {
        let powers: Vec<f64> = scores
            .iter()
            .map(|&p| f64::from(p).max(LEAST_SCORE).powf(q))
            .collect();
        let weighted: Vec<f64> = targets
            .iter()
            .enumerate()
            .map(|(class, &t)| f64::from(t) * self.class_weight(class))
            .collect();
        let pairs = || weighted.iter().zip(&powers);
        let loss = pairs().map(|(t, power)| t * (1.0 - power) / q).sum();
        let pull: f64 = pairs().map(|(t, power)| t * power).sum();
        let slopes = pairs()
            .zip(scores)
            .map(|((t, power), &p)| f64::from(p) * pull - t * power);
        (loss, slopes.collect())
    }

    /// The mean over the classes of `w (t (1 − p^q) + (1 − t) (1 − (1 − p)^q)) / q` with the weight `w` of each.
    fn lq_binary(&self, scores: &[f32], targets: &[f32], q: f64) -> (f64, Vec<f64>) {
        let n = scores.len().max(1) as f64;
        let mut loss = 0.0;
        let slopes = scores
            .iter()
            .zip(targets)
            .enumerate()
            .map(|(class, (&p, &t))| {
                let (p, t) = (f64::from(p), f64::from(t));
                let weight = self.class_weight(class);
                let present = p.max(LEAST_SCORE).powf(q);
                let absent = (1.0 - p).max(LEAST_SCORE).powf(q);
                loss += weight * (t * (1.0 - present) + (1.0 - t) * (1.0 - absent)) / q / n;
                weight * ((1.0 - t) * absent * p - t * present * (1.0 - p)) / n
            })
            .collect();
        (loss, slopes)
    }
}

/// A pseudo-label: a clip's scores raised to a power, which draws them apart, and brought back to their
/// former sum (one label a clip: 1) or, where classes stand for themselves, left as they are.
pub fn sharpened(scores: &[f32], power: f64, is_single_label: bool) -> Vec<f32> {
    let powers: Vec<f64> = scores.iter().map(|&p| f64::from(p).powf(power)).collect();
    let total: f64 = powers.iter().sum();
    let divisor = if is_single_label && total > 0.0 {
        total
    } else {
        1.0
    };
    powers.iter().map(|p| (p / divisor) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loss::LossConfig;

    const LOGITS: [f32; 9] = [1.5, -0.3, 0.2, -2.0, 0.0, 3.0, 0.1, 0.4, -0.2];
    const TARGETS: [f32; 9] = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0];
    const NOISY: [bool; 3] = [false, true, true];

    const CLASS_WEIGHTS: [f64; 3] = [0.5, 2.0, 1.25];

    fn losses() -> [Loss; 2] {
        losses_with(None)
    }

    fn losses_with(class_weights: Option<Vec<f64>>) -> [Loss; 2] {
        let plain = |config| Loss::new(config, class_weights.clone()).unwrap();
        [
            plain(LossConfig::CrossEntropy {
                label_smoothing: 0.0,
            }),
            plain(LossConfig::Bce {
                label_smoothing: 0.0,
            }),
        ]
    }

    /// Losses without and with weights of the classes.
    fn all_losses() -> [Loss; 4] {
        let [softmax, binary] = losses();
        let [weighted_softmax, weighted_binary] = losses_with(Some(CLASS_WEIGHTS.to_vec()));
        [softmax, binary, weighted_softmax, weighted_binary]
    }

    fn clips(weights: &[f32; 3]) -> Labelled<'_> {
        Labelled {
            targets: &TARGETS,
            weights,
            is_noisy: &NOISY,
        }
    }

    fn evaluate(loss: &Loss, config: &NoisyConfig, logits: &[f32]) -> LossValue {
        let value = loss.evaluate_noisy(config, logits, clips(&[1.0, 0.6, 1.0]));
        value.unwrap()
    }

    #[test]
    fn without_methods_it_is_the_plain_loss() {
        for loss in losses() {
            let plain = loss.evaluate(&LOGITS, &TARGETS, &[1.0, 0.6, 1.0]);
            assert_eq!(evaluate(&loss, &NoisyConfig::default(), &LOGITS), plain);
        }
    }

    #[test]
    fn lq_is_its_formula_and_gradients_equal_finite_differences() {
        let config = NoisyConfig {
            lq: Some(0.7),
            ..NoisyConfig::default()
        };
        let [softmax, binary] = losses();
        let value = evaluate(&softmax, &config, &LOGITS);
        let powers: Vec<f64> = LOGITS[3..6].iter().map(|&x| f64::from(x).exp()).collect();
        let p = powers[1] / powers.iter().sum::<f64>();
        assert!((value.per_clip[1] - 0.6 * (1.0 - p.powf(0.7)) / 0.7).abs() < 1e-6);
        let value = evaluate(&binary, &config, &LOGITS);
        let sigmoid = |x: f32| 1.0 / (1.0 + (-f64::from(x)).exp());
        let term = |x: f32, t: f32| {
            let p = if t > 0.0 {
                sigmoid(x)
            } else {
                1.0 - sigmoid(x)
            };
            (1.0 - p.powf(0.7)) / 0.7
        };
        let expected: f64 = (6..9).map(|i| term(LOGITS[i], TARGETS[i])).sum::<f64>() / 3.0;
        assert!((value.per_clip[2] - expected).abs() < 1e-6);
        for loss in all_losses() {
            let gradient = evaluate(&loss, &config, &LOGITS).gradient;
            for i in 0..LOGITS.len() {
                let at = |shift: f32| {
                    let mut logits = LOGITS;
                    logits[i] += shift;
                    evaluate(&loss, &config, &logits).mean
                };
                let numeric = (at(1.0 / 256.0) - at(-1.0 / 256.0)) * 128.0;
                let found = f64::from(gradient[i]);
                assert!((numeric - found).abs() < 2e-5, "{i}: {numeric} and {found}");
            }
        }
    }

    #[test]
    fn lq_near_zero_is_cross_entropy() {
        let config = NoisyConfig {
            lq: Some(1e-5),
            ..NoisyConfig::default()
        };
        for loss in all_losses() {
            let plain = loss.evaluate(&LOGITS, &TARGETS, &[1.0, 0.6, 1.0]);
            let value = evaluate(&loss, &config, &LOGITS);
            assert!((value.mean - plain.mean).abs() < 1e-3);
        }
    }

    #[test]
    fn lq_weighs_classes_by_its_formula() {
        let q = 0.7;
        let config = NoisyConfig {
            lq: Some(q),
            ..NoisyConfig::default()
        };
        let [softmax, binary] = losses_with(Some(CLASS_WEIGHTS.to_vec()));
        let (logits, targets) = ([0.4_f32, -1.0, 0.3], [0.2_f32, 0.5, 0.3]);
        let clip = Labelled {
            targets: &targets,
            weights: &[0.5],
            is_noisy: &[true],
        };
        let powers = logits.map(|x| f64::from(x).exp());
        let total: f64 = powers.iter().sum();
        let of_softmax = |class: usize| {
            let p = powers[class] / total;
            CLASS_WEIGHTS[class] * f64::from(targets[class]) * (1.0 - p.powf(q)) / q
        };
        let of_sigmoid = |class: usize| {
            let t = f64::from(targets[class]);
            let p = 1.0 / (1.0 + 1.0 / powers[class]);
            let (present, absent) = (1.0 - p.powf(q), 1.0 - (1.0 - p).powf(q));
            CLASS_WEIGHTS[class] * (t * present + (1.0 - t) * absent) / q / 3.0
        };
        let naive_softmax: f64 = (0..3).map(of_softmax).sum();
        let naive_binary: f64 = (0..3).map(of_sigmoid).sum();
        for (loss, naive) in [(softmax, naive_softmax), (binary, naive_binary)] {
            let found = loss.evaluate_noisy(&config, &logits, clip).unwrap().mean;
            assert!((found - 0.5 * naive).abs() < 1e-6, "{found} and {naive}");
        }
    }

    #[test]
    fn bootstrapping_mixes_labels_with_the_networks_own_scores() {
        let config = NoisyConfig {
            bootstrap: Some(0.7),
            ..NoisyConfig::default()
        };
        for loss in losses() {
            let mut targets = TARGETS;
            let scores = loss.scores(&LOGITS[3..6]);
            (3..6).for_each(|i| targets[i] = 0.7 * TARGETS[i] + 0.3 * scores[i - 3]);
            let scores = loss.scores(&LOGITS[6..9]);
            (6..9).for_each(|i| targets[i] = 0.7 * TARGETS[i] + 0.3 * scores[i - 6]);
            let naive = loss.evaluate(&LOGITS, &targets, &[1.0, 0.6, 1.0]);
            let value = evaluate(&loss, &config, &LOGITS);
            assert!((value.mean - naive.mean).abs() < 1e-6);
            for (a, b) in value.gradient.iter().zip(&naive.gradient) {
                assert!((a - b).abs() < 1e-6);
            }
            // The pull is that of the labels at a weight of beta.
            let plain = loss.evaluate(&LOGITS, &TARGETS, &[1.0, 0.6 * 0.7, 0.7]);
            for (a, b) in value.gradient.iter().zip(&plain.gradient) {
                assert!((a - b).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn only_noisy_clips_with_large_losses_are_masked() {
        let [loss, _] = losses();
        let plain = loss.evaluate(&LOGITS, &TARGETS, &[1.0; 3]);
        // The second clip has by far the largest loss; the third is above a tenth of it.
        assert!(plain.per_clip[1] > 2.0 * plain.per_clip[2]);
        for (share, masked) in [(0.8, [false, true, false]), (0.1, [false, true, true])] {
            let config = NoisyConfig {
                mask_above: Some(share),
                ..NoisyConfig::default()
            };
            let value = loss.evaluate_noisy(&config, &LOGITS, clips(&[1.0; 3]));
            let value = value.unwrap();
            for (clip, is_masked) in masked.into_iter().enumerate() {
                let expected = if is_masked { 0.0 } else { plain.per_clip[clip] };
                assert_eq!(value.per_clip[clip], expected);
                let pulls = value.gradient[clip * 3..clip * 3 + 3]
                    .iter()
                    .any(|&g| g != 0.0);
                assert_eq!(pulls, !is_masked);
            }
        }
    }

    #[test]
    fn each_quality_pulls_on_its_own_head() {
        let config = NoisyConfig {
            own_head: true,
            ..NoisyConfig::default()
        };
        let logits: Vec<f32> = LOGITS
            .chunks(3)
            .flat_map(|row| [row, row].concat())
            .collect();
        for loss in losses() {
            let plain = loss.evaluate(&LOGITS, &TARGETS, &[1.0, 0.6, 1.0]);
            let value = evaluate(&loss, &config, &logits);
            assert_eq!(value.per_clip, plain.per_clip);
            for (clip, is_noisy) in NOISY.into_iter().enumerate() {
                let halves = &value.gradient[clip * 6..clip * 6 + 6];
                let (own, other) = match is_noisy {
                    true => (&halves[3..], &halves[..3]),
                    false => (&halves[..3], &halves[3..]),
                };
                assert_eq!(own, &plain.gradient[clip * 3..clip * 3 + 3]);
                assert_eq!(other, [0.0; 3]);
            }
        }
    }

    #[test]
    fn a_head_for_noisy_clips_that_is_not_there_is_refused() {
        let config = NoisyConfig {
            own_head: true,
            ..NoisyConfig::default()
        };
        let [loss, _] = losses();
        let error = loss.evaluate_noisy(&config, &LOGITS, clips(&[1.0; 3]));
        assert_eq!(
            error.unwrap_err().to_string(),
            "train.noisy.own_head: outputs of the network: found 3, expected 6, two for every class"
        );
    }

    #[test]
    fn sharpening_draws_scores_apart() {
        let sharp = sharpened(&[0.6, 0.3, 0.1], 2.0, true);
        for (found, expected) in sharp.iter().zip([0.36, 0.09, 0.01]) {
            assert!((f64::from(*found) - expected / 0.46).abs() < 1e-6);
        }
        let sharp = sharpened(&[0.5, 0.9], 2.0, false);
        assert!((sharp[0] - 0.25).abs() < 1e-6 && (sharp[1] - 0.81).abs() < 1e-6);
        assert_eq!(sharpened(&[0.0, 0.0], 2.0, true), [0.0, 0.0]);
    }

    #[test]
    fn impossible_settings_are_named() {
        let message = |config: NoisyConfig| config.check().err().map(|e| e.to_string());
        let config = |bootstrap, lq| NoisyConfig {
            bootstrap,
            lq,
            ..NoisyConfig::default()
        };
        assert_eq!(
            message(config(Some(1.5), None)).as_deref(),
            Some("train.noisy.bootstrap is 1.5, must be 0 to 1")
        );
        assert_eq!(
            message(config(None, Some(0.0))).as_deref(),
            Some("train.noisy.lq is 0, must be above 0 and at most 1")
        );
        assert_eq!(message(config(Some(0.7), Some(0.7))), None);
    }
}
