"""Writes eval_references.json: what scikit-learn, SciPy and sed_eval say about small made-up tables.

    pip install numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1 sed_eval==0.2.1
    python make_eval_references.py
"""
import importlib.metadata
import json
from pathlib import Path

import numpy as np
import sed_eval
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, ndtri
from sklearn import metrics
from sklearn.calibration import _sigmoid_calibration

rng = np.random.Generator(np.random.PCG64(20180817))
out = {"versions": {name: importlib.metadata.version(name)
                    for name in ["numpy", "scipy", "scikit-learn", "sed_eval"]}}

# A multi-label table: 40 clips, 6 classes; scores in steps of 1/16, so that there are many ties.
targets = rng.random((40, 6)) < [0.5, 0.3, 0.2, 0.2, 0.1, 0.4]
targets[7] = False
scores = np.clip(np.round((0.35 * targets + 0.6 * rng.random((40, 6))) * 16) / 16, 0, 1)
labelled = targets.any(axis=1)
out["multi"] = {
    "n_classes": 6,
    "scores": scores.ravel().tolist(),
    "targets": targets.ravel().astype(int).tolist(),
    "lwlrap": metrics.label_ranking_average_precision_score(
        targets[labelled], scores[labelled], sample_weight=targets[labelled].sum(1)),
    "average_precision": metrics.average_precision_score(targets, scores, average=None).tolist(),
    "roc_auc": metrics.roc_auc_score(targets, scores, average=None).tolist(),
    "d_prime": (np.sqrt(2) * ndtri(metrics.roc_auc_score(targets, scores, average=None))).tolist(),
}
tagged = scores >= 0.5
precision, recall, f1, _ = metrics.precision_recall_fscore_support(targets, tagged, zero_division=0)
out["multi"] |= {"precision": precision.tolist(), "recall": recall.tolist(), "f1": f1.tolist(),
                 "micro_f1": metrics.f1_score(targets, tagged, average="micro"),
                 "macro_f1": metrics.f1_score(targets, tagged, average="macro")}
# The curve of class 0, from the highest threshold down, without scikit-learn's closing point.
p, r, t = metrics.precision_recall_curve(targets[:, 0], scores[:, 0])
out["multi"]["curve"] = {"precision": p[:-1][::-1].tolist(), "recall": r[:-1][::-1].tolist(),
                         "thresholds": t[::-1].tolist()}

# A single-label table: 60 clips, 5 classes, logits without ties.
labels = rng.integers(0, 5, 60)
logits = rng.standard_normal((60, 5)).astype(np.float32) * 2
logits[np.arange(60), labels] += 1.5
prob = np.exp(log_softmax(logits.astype(float), axis=1)).astype(np.float32)
predicted = prob.argmax(1)
fit = minimize_scalar(
    lambda t: -log_softmax(logits.astype(float) / t, axis=1)[np.arange(60), labels].mean(),
    bounds=(0.05, 20), method="bounded", options={"xatol": 1e-10})
a, b = _sigmoid_calibration(logits[:, 0].astype(float), labels == 0)
confidence = prob.max(1).astype(float)
bins = np.clip(np.ceil(confidence * 10), 1, 10).astype(int)
ece = sum(np.mean(bins == k) * abs(confidence[bins == k].mean() - (predicted == labels)[bins == k].mean())
          for k in range(1, 11) if (bins == k).any())
rank = (prob > prob[np.arange(60), labels][:, None]).sum(1) + 1
out["single"] = {
    "n_classes": 5,
    "logits": logits.ravel().astype(float).tolist(),
    "scores": prob.ravel().astype(float).tolist(),
    "labels": labels.tolist(),
    "accuracy": metrics.accuracy_score(labels, predicted),
    "top_3_error": 1 - metrics.top_k_accuracy_score(labels, prob, k=3),
    "map_at_3": float(np.where(rank <= 3, 1 / rank, 0).mean()),
    "confusion": metrics.confusion_matrix(labels, predicted).ravel().tolist(),
    "macro_f1": metrics.f1_score(labels, predicted, average="macro"),
    "temperature": fit.x,
    # scikit-learn fits 1 / (1 + exp(a x + b)).
    "logistic": [-a, -b],
    "ece": ece,
}

# Two recordings with overlapping events of three classes.
names = ["bark", "car", "speech"]


def events(n, jitter=None):
    if jitter is None:
        onset = np.sort(rng.random(n) * 50)
        return [{"event_onset": o, "event_offset": o + d, "event_label": names[c], "file": "a"}
                for o, d, c in zip(onset, 0.1 + rng.random(n) * 4, rng.integers(0, 3, n))]
    found = []
    for event in jitter:
        if rng.random() < 0.8:
            onset = max(0.0, event["event_onset"] + rng.normal() * 0.15)
            offset = max(onset + 0.05, event["event_offset"] + rng.normal() * 0.5)
            label = event["event_label"] if rng.random() < 0.8 else names[rng.integers(0, 3)]
            found.append({"event_onset": onset, "event_offset": offset, "event_label": label, "file": "a"})
    return found + events(n)


def plain(items):
    return [[e["event_onset"], e["event_offset"], names.index(e["event_label"])] for e in items]


segment = sed_eval.sound_event.SegmentBasedMetrics(names, time_resolution=1.0)
event = sed_eval.sound_event.EventBasedMetrics(names, t_collar=0.2, percentage_of_length=0.5)
onset = sed_eval.sound_event.EventBasedMetrics(names, t_collar=0.2, evaluate_offset=False)
out["events"] = {"recordings": []}
for n in [25, 40]:
    annotated = events(n)
    found = events(n // 3, annotated)
    segment.evaluate(annotated, found, evaluated_length_seconds=55.0)
    event.evaluate(annotated, found)
    onset.evaluate(annotated, found)
    out["events"]["recordings"].append(
        {"annotated": plain(annotated), "found": plain(found), "duration_secs": 55.0})
for key, metric in [("segment", segment), ("event", event), ("onset", onset)]:
    overall = metric.results_overall_metrics()
    out["events"][key] = {
        "f1": overall["f_measure"]["f_measure"],
        "per_class_f1": [metric.class_wise_f_measure(name)["f_measure"] for name in names],
        # Substitutions of whole events depend on the order of matching where several are possible,
        # so only the segment-based error rate is compared.
        "error_rate": overall["error_rate"]["error_rate"],
    }

path = Path(__file__).with_name("eval_references.json")
path.write_text(json.dumps(out, indent=1, default=float) + "\n")
print(path, out["versions"])
