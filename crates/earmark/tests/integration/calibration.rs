//! A fitted calibration brings scores nearer to frequencies on clips that it was not fitted on, and a
//! temperature leaves rankings as they are. Nothing here hears a sound: logits are drawn so that the
//! true frequencies are known.

use earmark::Result;
use earmark::bundle::{
    Activation, Aggregation, Calibration, Metadata, Origin, Provenance, SegmentConfig, Task,
};
use earmark::dataset::Vocabulary;
use earmark::eval::Scores;
use earmark::eval::calibration::{expected_calibration_error, reliability, top_class_reliability};
use earmark::features::FrontEndConfig;
use earmark::tagger::{CalibrationKind, HeardClips, SegmentScores};

const N_CLASSES: usize = 4;

/// How much too sure the network is.
const TOO_SURE: f32 = 2.5;

fn metadata(activation: Activation, aggregation: Aggregation) -> Result<Metadata> {
    let segment = SegmentConfig {
        aggregation,
        ..SegmentConfig::efficient_at()
    };
    let mut metadata = Metadata::new(
        "drawn",
        FrontEndConfig::efficient_at(),
        Vocabulary::from_names(["Rain", "Dog", "Bell", "Never"])?,
        segment,
        Provenance::new(Origin::Trained),
    );
    metadata.activation = activation;
    metadata.task = match activation {
        Activation::Softmax => Task::SingleLabel,
        _ => Task::MultiLabel,
    };
    Ok(metadata)
}

/// Numbers in [0, 1), always the same ones (Knuth's MMIX generator, the upper bits).
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> f32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1_u64 << 24) as f32
    }
}

fn segment(at: usize, logits: Vec<f32>) -> SegmentScores {
    SegmentScores {
        index: at as u64,
        channel: 0,
        start_secs: at as f64 * 10.0,
        end_secs: at as f64 * 10.0 + 10.0,
        logits,
        scores: vec![],
        embedding: vec![],
    }
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// Clips of a multi-label network that is too sure; with `shifted`, the second class is also too
/// eager. Class 3 never occurs.
fn multi_label(n_clips: usize, n_segments: usize, shifted: bool) -> Result<HeardClips> {
    let mut draw = Draw(7);
    let mut clips = HeardClips::new(&metadata(Activation::Sigmoid, Aggregation::Mean)?);
    for _ in 0..n_clips {
        let mut logits = vec![-6.0 * TOO_SURE; N_CLASSES];
        let mut targets = [false; N_CLASSES];
        for class in 0..3 {
            let truth = draw.next() * 6.0 - 3.5;
            targets[class] = draw.next() < sigmoid(truth);
            let shift = if shifted && class == 1 { 3.0 } else { 0.0 };
            logits[class] = truth * TOO_SURE + shift;
        }
        let segments = (0..n_segments).map(|at| segment(at, logits.clone()));
        clips.push(segments.collect(), &targets)?;
    }
    Ok(clips)
}

/// ECE over all decisions.
fn error(clips: &HeardClips, which: &[usize], calibration: Option<&Calibration>) -> Result<f64> {
    let scores = clips.scores(which, calibration);
    let bins = reliability(&scores, &clips.targets(which), 10)?;
    Ok(expected_calibration_error(&bins).unwrap_or(f64::NAN))
}

/// Every other clip is fitted on, the others are judged.
fn halves(n_clips: usize) -> (Vec<usize>, Vec<usize>) {
    (0..n_clips).partition(|at| at % 2 == 0)
}

/// The order of the classes of every clip, best first.
fn rankings(scores: &[f32]) -> Vec<Vec<usize>> {
    let rank = |row: &[f32]| {
        let mut order: Vec<usize> = (0..row.len()).collect();
        order.sort_by(|a, b| row[*b].total_cmp(&row[*a]));
        order
    };
    scores.chunks_exact(N_CLASSES).map(rank).collect()
}

#[test]
fn a_temperature_lowers_the_error_on_other_clips_and_keeps_the_ranking() -> Result<()> {
    for n_segments in [1, 3] {
        let clips = multi_label(2_000, n_segments, false)?;
        let (fitted, judged) = halves(clips.len());
        let calibration = clips.calibrate(CalibrationKind::Temperature, &fitted)?;
        let Calibration::Temperature { temperature } = calibration else {
            panic!("{calibration:?}");
        };
        assert!((temperature - TOO_SURE).abs() < 0.25, "{temperature}");
        let before = error(&clips, &judged, None)?;
        let after = error(&clips, &judged, Some(&calibration))?;
        assert!(before > 0.05 && after < before / 3.0, "{before} {after}");
        assert_eq!(
            rankings(&clips.scores(&judged, None)),
            rankings(&clips.scores(&judged, Some(&calibration)))
        );
    }
    Ok(())
}

#[test]
fn class_by_class_also_mends_a_class_that_is_too_eager() -> Result<()> {
    let clips = multi_label(2_000, 1, true)?;
    let (fitted, judged) = halves(clips.len());
    let temperature = clips.calibrate(CalibrationKind::Temperature, &fitted)?;
    let logistic = clips.calibrate(CalibrationKind::Logistic, &fitted)?;
    let Calibration::Logistic { scale, offset } = &logistic else {
        panic!("{logistic:?}");
    };
    assert!((scale[1] - 1.0 / TOO_SURE).abs() < 0.05, "{scale:?}");
    assert!((offset[1] + 3.0 / TOO_SURE).abs() < 0.25, "{offset:?}");
    // The class that never occurs has nothing to be fitted on.
    assert_eq!(offset[3], 0.0);
    let none = error(&clips, &judged, None)?;
    let common = error(&clips, &judged, Some(&temperature))?;
    let own = error(&clips, &judged, Some(&logistic))?;
    assert!(own < common / 2.0 && common < none, "{none} {common} {own}");
    Ok(())
}

#[test]
fn softmax_scores_are_calibrated_by_a_temperature_only() -> Result<()> {
    let mut draw = Draw(3);
    let mut clips = HeardClips::new(&metadata(Activation::Softmax, Aggregation::MeanLogit)?);
    let mut labels = vec![];
    for _ in 0..2_000 {
        let truth: Vec<f32> = (0..N_CLASSES).map(|_| draw.next() * 4.0).collect();
        let total: f32 = truth.iter().map(|z| z.exp()).sum();
        let mut left = draw.next() * total;
        let label = truth
            .iter()
            .position(|z| {
                left -= z.exp();
                left < 0.0
            })
            .unwrap_or(N_CLASSES - 1);
        let targets: Vec<bool> = (0..N_CLASSES).map(|class| class == label).collect();
        let logits = truth.iter().map(|z| z * TOO_SURE).collect();
        clips.push(vec![segment(0, logits)], &targets)?;
        labels.push(label);
    }
    let (fitted, judged) = halves(clips.len());
    assert!(clips.calibrate(CalibrationKind::Logistic, &fitted).is_err());
    let calibration = clips.calibrate(CalibrationKind::Temperature, &fitted)?;
    let labels: Vec<usize> = judged.iter().map(|clip| labels[*clip]).collect();
    let error = |calibration: Option<&Calibration>| -> Result<f64> {
        let scores = clips.scores(&judged, calibration);
        let bins = top_class_reliability(Scores::new(&scores, N_CLASSES)?, &labels, 10)?;
        Ok(expected_calibration_error(&bins).unwrap_or(f64::NAN))
    };
    let (before, after) = (error(None)?, error(Some(&calibration))?);
    assert!(before > 0.1 && after < before / 3.0, "{before} {after}");
    Ok(())
}

#[test]
fn thresholds_separate_what_can_be_separated_and_rare_classes_get_none() -> Result<()> {
    let mut clips = HeardClips::new(&metadata(Activation::Sigmoid, Aggregation::Max)?);
    for at in 0..40 {
        // Class 0 is there above a logit of 1, class 1 above -1; class 2 only twice.
        let z = at as f32 / 10.0 - 2.0;
        let targets = [z > 1.0, z > -1.0, at < 2, false];
        clips.push(vec![segment(0, vec![z, z, -z, -5.0])], &targets)?;
    }
    let all: Vec<usize> = (0..clips.len()).collect();
    let thresholds = clips.thresholds(&clips.scores(&all, None), &all)?;
    let class = |name: &str| thresholds.classes.get(name).copied();
    assert!(class("Rain").is_some_and(|at| at > sigmoid(1.0) && at < sigmoid(1.1)));
    assert!(class("Dog").is_some_and(|at| at > sigmoid(-1.0) && at < sigmoid(-0.9)));
    assert_eq!((class("Bell"), class("Never")), (None, None));
    assert!(thresholds.default.is_some());
    Ok(())
}

#[test]
fn what_cannot_be_calibrated_says_why() -> Result<()> {
    let identity = HeardClips::new(&metadata(Activation::Identity, Aggregation::Mean)?);
    let message = |clips: &HeardClips| match clips.calibrate(CalibrationKind::Temperature, &[]) {
        Ok(calibration) => format!("{calibration:?}"),
        Err(error) => error.to_string(),
    };
    assert_eq!(
        message(&identity),
        "calibration is asked for, needs logits, and the graph puts out scores"
    );
    let mut none = HeardClips::new(&metadata(Activation::Sigmoid, Aggregation::Mean)?);
    assert_eq!(
        message(&none),
        "clips is 0, must be at least 1 to fit a calibration"
    );
    assert!(none.push(vec![], &[false; N_CLASSES]).is_err());
    assert!(none.push(vec![segment(0, vec![0.0])], &[true]).is_err());
    Ok(())
}
