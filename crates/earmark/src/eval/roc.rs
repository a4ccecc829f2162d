//! ROC AUC and d′ of one class: scores and targets `[clip]` in.

use super::{check_column, descending};
use crate::Result;

/// The chance that a clip with the class scores higher than one without; a tie counts one half.
///
/// `None` unless some clip has the class and some clip does not.
///
/// # Errors
/// [`crate::Error::Shape`] if the lengths differ, [`crate::Error::NotFinite`] for a score that is no
/// number.
pub fn roc_auc(scores: &[f32], targets: &[bool]) -> Result<Option<f64>> {
    check_column(scores, targets)?;
    let n_positive = targets.iter().filter(|target| **target).count() as u64;
    let n_negative = targets.len() as u64 - n_positive;
    if n_positive == 0 || n_negative == 0 {
        return Ok(None);
    }
    let order = descending(scores);
    // Twice the number of won pairs, so that halves stay whole numbers.
    let (mut won_twice, mut positives_above, mut at) = (0_u64, 0_u64, 0);
    while at < order.len() {
        let ties = order[at..]
            .iter()
            .take_while(|clip| scores[**clip] == scores[order[at]])
            .count();
        let positives = order[at..at + ties]
            .iter()
            .filter(|clip| targets[**clip])
            .count() as u64;
        let negatives = ties as u64 - positives;
        won_twice += negatives * (2 * positives_above + positives);
        positives_above += positives;
        at += ties;
    }
    Ok(Some(
        won_twice as f64 / (2 * n_positive * n_negative) as f64,
    ))
}

/// The sensitivity index d′ = √2 · Φ⁻¹(AUC).
///
/// Infinite for an AUC of 0 or 1, NaN outside.
///
/// # Source
/// Hershey et al., "CNN architectures for large-scale audio classification", ICASSP 2017.
pub fn d_prime(auc: f64) -> f64 {
    std::f64::consts::SQRT_2 * normal_quantile(auc)
}

/// The standard normal distribution's quantile function, to about 1e-15 relative.
///
/// # Source
/// M. J. Wichura, algorithm AS 241 (PPND16), Applied Statistics 37, 1988, pages 477 to 484.
fn normal_quantile(p: f64) -> f64 {
    if p.is_nan() || !(0.0..=1.0).contains(&p) {
        return f64::NAN;
    }
    if p == 0.0 || p == 1.0 {
        return if p == 0.0 {
            f64::NEG_INFINITY
        } else {
            f64::INFINITY
        };
    }
    let q = p - 0.5;
    if q.abs() <= 0.425 {
        let r = 0.180625 - q * q;
        return q * polynomial(&A, r) / polynomial(&B, r);
    }
    let r = (-p.min(1.0 - p).ln()).sqrt();
    let tail = if r <= 5.0 {
        polynomial(&C, r - 1.6) / polynomial(&D, r - 1.6)
    } else {
        polynomial(&E, r - 5.0) / polynomial(&F, r - 5.0)
    };
    tail.copysign(q)
}

/// Horner's rule, lowest power first.
fn polynomial(coefficients: &[f64], x: f64) -> f64 {
    coefficients.iter().rev().fold(0.0, |sum, c| sum * x + c)
}

const A: [f64; 8] = [
    3.3871328727963666080e0,
    1.3314166789178437745e2,
    1.9715909503065514427e3,
    1.3731693765509461125e4,
    4.5921953931549871457e4,
    6.7265770927008700853e4,
    3.3430575583588128105e4,
    2.5090809287301226727e3,
];
const B: [f64; 8] = [
    1.0,
    4.2313330701600911252e1,
    6.8718700749205790830e2,
    5.3941960214247511077e3,
    2.1213794301586595867e4,
    3.9307895800092710610e4,
    2.8729085735721942674e4,
    5.2264952788528545610e3,
];
const C: [f64; 8] = [
    1.42343711074968357734e0,
    4.63033784615654529590e0,
    5.76949722146069140550e0,
    3.64784832476320460504e0,
    1.27045825245236838258e0,
    2.41780725177450611770e-1,
    2.27238449892691845833e-2,
    7.74545014278341407640e-4,
];
const D: [f64; 8] = [
    1.0,
    2.05319162663775882187e0,
    1.67638483018380384940e0,
    6.89767334985100004550e-1,
    1.48103976427480074590e-1,
    1.51986665636164571966e-2,
    5.47593808499534494600e-4,
    1.05075007164441684324e-9,
];
const E: [f64; 8] = [
    6.65790464350110377720e0,
    5.46378491116411436990e0,
    1.78482653991729133580e0,
    2.96560571828504891230e-1,
    2.65321895265761230930e-2,
    1.24266094738807843860e-3,
    2.71155556874348757815e-5,
    2.01033439929228813265e-7,
];
const F: [f64; 8] = [
    1.0,
    5.99832206555887937690e-1,
    1.36929880922735805310e-1,
    1.48753612908506148525e-2,
    7.86869131145613259100e-4,
    1.84631831751005468180e-5,
    1.42151175831644588870e-7,
    2.04426310338993978564e-15,
];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn quantiles_equal_scipy() {
        // scipy 1.17.1: scipy.special.ndtri.
        for (p, expected) in [
            (0.5, 0.0),
            (0.975, 1.959_963_984_540_054),
            (0.9, 1.281_551_565_544_600_4),
            (1e-3, -3.090_232_306_167_813),
            (1e-12, -7.034_483_825_301_131_5),
            (0.999_999, 4.753_424_308_817_087),
        ] {
            let got = normal_quantile(p);
            assert!(
                (got - expected).abs() < 1e-9 * f64::max(1.0, expected.abs()),
                "{p}: {got}"
            );
        }
        assert!(normal_quantile(1.5).is_nan());
    }

    #[test]
    fn d_prime_of_chance_is_zero_and_grows() {
        assert_eq!(d_prime(0.5), 0.0);
        // An AUC of .959 is a d′ of about 2.46 (the paper's table 2 lists .959 and 2.452).
        assert!((d_prime(0.959) - 2.46).abs() < 0.01);
        assert_eq!(d_prime(1.0), f64::INFINITY);
    }

    proptest! {
        #[test]
        fn it_counts_pairs(column in prop::collection::vec((0_u8..5, any::<bool>()), 0..25)) {
            let scores: Vec<f32> = column.iter().map(|c| f32::from(c.0)).collect();
            let targets: Vec<bool> = column.iter().map(|c| c.1).collect();
            let (mut won, mut pairs) = (0.0, 0.0);
            for a in column.iter().filter(|c| c.1) {
                for b in column.iter().filter(|c| !c.1) {
                    pairs += 1.0;
                    won += match a.0.cmp(&b.0) {
                        std::cmp::Ordering::Greater => 1.0,
                        std::cmp::Ordering::Equal => 0.5,
                        std::cmp::Ordering::Less => 0.0,
                    };
                }
            }
            match roc_auc(&scores, &targets).unwrap() {
                None => prop_assert_eq!(pairs, 0.0),
                Some(auc) => prop_assert!((auc - won / pairs).abs() < 1e-12),
            }
        }
    }
}
