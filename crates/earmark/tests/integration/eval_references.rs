//! The figures of `eval` equal those of scikit-learn, SciPy and `sed_eval` on the tables in
//! `eval/eval_references.json`, which `make_eval_references.py` beside it writes.

use earmark::eval::calibration::{self, Link, LogisticCalibration};
use earmark::eval::events::{Collar, Event, EventFigures, EventMetrics, SegmentMetrics};
use earmark::eval::{
    BinaryCounts, BootstrapOptions, Evaluation, PrCurve, Scores, Targets, average_precision,
    d_prime, lwlrap, roc_auc,
};
use serde_json::Value;

/// Both sides compute in f64 from the same f32 scores.
const TOLERANCE: f64 = 1e-9;

fn references() -> Value {
    serde_json::from_str(include_str!("eval/eval_references.json")).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v.as_f64().unwrap())
        .collect()
}

fn floats(value: &Value) -> Vec<f32> {
    numbers(value).into_iter().map(|v| v as f32).collect()
}

#[track_caller]
fn close(got: f64, expected: &Value, tolerance: f64) {
    let expected = expected.as_f64().unwrap();
    assert!(
        (got - expected).abs() <= tolerance,
        "got {got}, expected {expected}"
    );
}

#[test]
fn multi_label_figures_equal_scikit_learn() {
    let table = &references()["multi"];
    let values = floats(&table["scores"]);
    let present: Vec<bool> = numbers(&table["targets"])
        .iter()
        .map(|v| *v == 1.0)
        .collect();
    let (scores, targets) = (
        Scores::new(&values, 6).unwrap(),
        Targets::new(&present, 6).unwrap(),
    );
    close(
        lwlrap(scores, targets).unwrap().overall.unwrap(),
        &table["lwlrap"],
        TOLERANCE,
    );
    for class in 0..6 {
        let (column, target) = (scores.class(class), targets.class(class));
        let ap = average_precision(&column, &target).unwrap().unwrap();
        close(ap, &table["average_precision"][class], TOLERANCE);
        let auc = roc_auc(&column, &target).unwrap().unwrap();
        close(auc, &table["roc_auc"][class], TOLERANCE);
        close(d_prime(auc), &table["d_prime"][class], TOLERANCE);
        let counts = BinaryCounts::at_threshold(&column, &target, 0.5).unwrap();
        close(counts.precision(), &table["precision"][class], TOLERANCE);
        close(counts.recall(), &table["recall"][class], TOLERANCE);
        close(counts.f1(), &table["f1"][class], TOLERANCE);
    }
    let options = BootstrapOptions {
        n_resamples: 10,
        ..Default::default()
    };
    let all = Evaluation::multi_label(scores, targets, &[0.5; 6], &options).unwrap();
    close(all.micro_f1, &table["micro_f1"], TOLERANCE);
    close(all.macro_f1.unwrap(), &table["macro_f1"], TOLERANCE);
}

#[test]
fn the_precision_recall_curve_equals_scikit_learn() {
    let table = &references()["multi"];
    let values = floats(&table["scores"]);
    let present: Vec<bool> = numbers(&table["targets"])
        .iter()
        .map(|v| *v == 1.0)
        .collect();
    let scores = Scores::new(&values, 6).unwrap().class(0);
    let targets = Targets::new(&present, 6).unwrap().class(0);
    let curve = PrCurve::new(&scores, &targets).unwrap();
    let expected = &table["curve"];
    assert_eq!(curve.thresholds, floats(&expected["thresholds"]));
    for at in 0..curve.thresholds.len() {
        close(curve.precision[at], &expected["precision"][at], TOLERANCE);
        close(curve.recall[at], &expected["recall"][at], TOLERANCE);
    }
}

#[test]
fn single_label_figures_equal_scikit_learn() {
    let table = &references()["single"];
    let values = floats(&table["scores"]);
    let labels: Vec<usize> = numbers(&table["labels"])
        .iter()
        .map(|v| *v as usize)
        .collect();
    let scores = Scores::new(&values, 5).unwrap();
    let options = BootstrapOptions {
        n_resamples: 10,
        ..Default::default()
    };
    let result = Evaluation::single_label(scores, &labels, &options).unwrap();
    close(
        result.accuracy.unwrap().estimate,
        &table["accuracy"],
        TOLERANCE,
    );
    close(
        result.top_3_error.unwrap().estimate,
        &table["top_3_error"],
        TOLERANCE,
    );
    close(
        result.map_at_3.unwrap().estimate,
        &table["map_at_3"],
        TOLERANCE,
    );
    close(result.macro_f1.unwrap(), &table["macro_f1"], TOLERANCE);
    close(
        result.expected_calibration_error.unwrap(),
        &table["ece"],
        TOLERANCE,
    );
    let confusion = result.confusion.unwrap();
    let counts: Vec<f64> = (0..5)
        .flat_map(|class| confusion.row(class).iter().map(|n| *n as f64))
        .collect();
    assert_eq!(counts, numbers(&table["confusion"]));
}

#[test]
fn calibration_equals_scipy_and_scikit_learn() {
    let table = &references()["single"];
    let values = floats(&table["logits"]);
    let labels: Vec<usize> = numbers(&table["labels"])
        .iter()
        .map(|v| *v as usize)
        .collect();
    let present: Vec<bool> = labels
        .iter()
        .flat_map(|label| (0..5).map(move |class| class == *label))
        .collect();
    let (logits, targets) = (
        Scores::new(&values, 5).unwrap(),
        Targets::new(&present, 5).unwrap(),
    );
    let fitted = calibration::temperature(logits, targets, Link::Softmax)
        .unwrap()
        .unwrap();
    // A bounded scalar search finds a minimum to about the square root of the float's precision.
    close(fitted, &table["temperature"], 1e-6);
    let logistic = LogisticCalibration::fit(&logits.class(0), &targets.class(0))
        .unwrap()
        .unwrap();
    // scikit-learn stops L-BFGS at its default gradient tolerance.
    close(logistic.slope, &table["logistic"][0], 1e-4);
    close(logistic.offset, &table["logistic"][1], 1e-4);
}

fn events(value: &Value) -> Vec<Event> {
    let event = |row: &Value| Event {
        onset_secs: row[0].as_f64().unwrap(),
        offset_secs: row[1].as_f64().unwrap(),
        class: row[2].as_u64().unwrap() as usize,
    };
    value.as_array().unwrap().iter().map(event).collect()
}

#[test]
fn event_figures_equal_sed_eval() {
    let table = &references()["events"];
    let mut segments = SegmentMetrics::new(3, 1.0).unwrap();
    let mut whole = EventMetrics::new(3, Collar::default()).unwrap();
    let mut onsets = EventMetrics::new(
        3,
        Collar {
            check_offset: false,
            ..Default::default()
        },
    )
    .unwrap();
    for recording in table["recordings"].as_array().unwrap() {
        let (annotated, found) = (events(&recording["annotated"]), events(&recording["found"]));
        segments
            .add(
                &annotated,
                &found,
                recording["duration_secs"].as_f64().unwrap(),
            )
            .unwrap();
        whole.add(&annotated, &found).unwrap();
        onsets.add(&annotated, &found).unwrap();
    }
    let check = |figures: &EventFigures, expected: &Value| {
        close(figures.overall().f1(), &expected["f1"], TOLERANCE);
        for (class, counts) in figures.per_class.iter().enumerate() {
            close(counts.f1(), &expected["per_class_f1"][class], TOLERANCE);
        }
    };
    check(segments.figures(), &table["segment"]);
    check(whole.figures(), &table["event"]);
    check(onsets.figures(), &table["onset"]);
    close(
        segments.figures().errors.rate().unwrap(),
        &table["segment"]["error_rate"],
        TOLERANCE,
    );
}
