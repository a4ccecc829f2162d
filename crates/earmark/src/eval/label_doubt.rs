//! Labels that are probably wrong: out-of-fold scores and labels in, a doubt per clip out.
//!
//! Confident learning, class by class: a class is typically scored `t⁺` where it is labelled and `t⁻`
//! where it is not (the means over all such clips). The doubt about a missing label is how far its
//! score has come on the way from `t⁻` to `t⁺`, the doubt about a given label how far from `t⁺` to
//! `t⁻`. At 1 the score is what the other answer typically gets, which is the threshold of the method;
//! it needs no calibrated scores, and hard classes do not crowd out the others. The scores must come
//! from models that were not trained on the clip.
//!
//! # Source
//! Northcutt, Jiang and Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels", JAIR 70
//! (2021), eq. 2, here one class against the rest so that clips may have several labels.

use super::{Scores, Targets, check_pair};
use crate::Result;

/// The largest doubt about a clip's labels.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct LabelDoubt {
    /// 0 is a typical score for the labels as they are, 1 one that is typical for the opposite.
    pub doubt: f64,
    /// The class in doubt.
    pub class: usize,
    /// Whether the class is labelled, and perhaps should not be; otherwise it is perhaps missing.
    pub is_labelled: bool,
}

/// The largest doubt about each clip's labels; `None` where no class says anything, because it has no
/// clips with or without it, or scores that do not tell them apart.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) or [`Error::NotFinite`](crate::Error::NotFinite) if scores
/// and targets do not fit.
pub fn label_doubts(scores: Scores<'_>, targets: Targets<'_>) -> Result<Vec<Option<LabelDoubt>>> {
    check_pair(scores, targets)?;
    let typical: Vec<Option<(f64, f64)>> = (0..scores.n_classes())
        .map(|class| typical_scores(&scores.class(class), &targets.class(class)))
        .collect();
    let clips = scores.clips().zip(targets.clips());
    Ok(clips
        .map(|(scores, targets)| {
            let doubts = typical.iter().enumerate().filter_map(|(class, typical)| {
                let (present, absent) = (*typical)?;
                let way = (f64::from(scores[class]) - absent) / (present - absent);
                let is_labelled = targets[class];
                Some(LabelDoubt {
                    doubt: if is_labelled { 1.0 - way } else { way },
                    class,
                    is_labelled,
                })
            });
            doubts.reduce(|best, next| if next.doubt > best.doubt { next } else { best })
        })
        .collect())
}

/// The mean scores of a class where it is labelled and where it is not.
fn typical_scores(scores: &[f32], targets: &[bool]) -> Option<(f64, f64)> {
    let mean = |wanted: bool| {
        let of = scores.iter().zip(targets).filter(|&(_, &t)| t == wanted);
        let (sum, n) = of.fold((0.0, 0), |(sum, n), (&s, _)| (sum + f64::from(s), n + 1));
        (n > 0).then(|| sum / f64::from(n))
    };
    let (present, absent) = (mean(true)?, mean(false)?);
    (present > absent).then_some((present, absent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubts_are_measured_by_what_is_typical() -> Result<()> {
        // Class 0: labelled .9, .7, .2 (mean .6), not labelled .2, .0 (mean .1).
        let scores = [0.9, 0.1, 0.7, 0.2, 0.2, 0.9, 0.2, 0.8, 0.0, 0.6];
        let targets = [
            true, false, true, false, true, false, false, true, false, true,
        ];
        let doubts = label_doubts(Scores::new(&scores, 2)?, Targets::new(&targets, 2)?)?;
        let of = |clip: usize| doubts[clip].expect("both classes tell something");
        // Class 1: labelled .8, .6 (mean .7), not labelled .1, .2, .9 (mean .4): .9 is beyond .7.
        assert!((of(2).doubt - (0.9 - 0.4) / 0.3).abs() < 1e-6, "{doubts:?}");
        assert_eq!((of(2).class, of(2).is_labelled), (1, false));
        assert!((of(4).doubt - (1.0 - (0.6 - 0.4) / 0.3)).abs() < 1e-6);
        assert_eq!((of(4).class, of(4).is_labelled), (1, true));
        assert!(of(0).doubt < 0.0);
        Ok(())
    }

    #[test]
    fn a_flipped_label_is_the_first_suspect() -> Result<()> {
        for flipped in 0..20 {
            let mut targets = Vec::new();
            let mut scores = Vec::new();
            for clip in 0..20 {
                let class = clip % 2;
                let sure = 0.6 + 0.015 * clip as f32;
                scores.extend([0, 1].map(|c| if c == class { sure } else { 1.0 - sure }));
                let label = if clip == flipped { 1 - class } else { class };
                targets.extend([label == 0, label == 1]);
            }
            let doubts = label_doubts(Scores::new(&scores, 2)?, Targets::new(&targets, 2)?)?;
            let value = |clip: &usize| doubts[*clip].map_or(0.0, |doubt| doubt.doubt);
            let first = (0..20).max_by(|a, b| value(a).total_cmp(&value(b)));
            assert_eq!(first, Some(flipped));
        }
        Ok(())
    }

    #[test]
    fn a_class_that_tells_nothing_raises_no_doubt() -> Result<()> {
        let (scores, targets) = ([0.3, 0.9], [true, true]);
        let doubts = label_doubts(Scores::new(&scores, 1)?, Targets::new(&targets, 1)?)?;
        assert_eq!(doubts, [None, None]);
        Ok(())
    }
}
