"""How well labels and regions fit the truth. Everything is counted first and divided once, over the whole set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from seedbed.types import IGNORE, LabelMap, RegionMap

Counts = npt.NDArray[np.int64]


def confusion(truth: LabelMap, predicted: LabelMap, *, num_classes: int) -> Counts:
    """Pixels (true class, predicted class); the last column counts pixels without a predicted label.

    Pixels whose truth is 255 are left out.
    num_classes: without background.
    """
    known = truth != IGNORE
    columns = np.where(predicted[known] == IGNORE, num_classes + 1, predicted[known].astype(np.int64))
    if columns.max(initial=0) > num_classes + 1 or (predicted[known] == num_classes + 1).any():
        raise ValueError(f"labels {np.unique(predicted[known])} where there are {num_classes} classes")
    pairs = truth[known].astype(np.int64) * (num_classes + 2) + columns
    return np.bincount(pairs, minlength=(num_classes + 1) * (num_classes + 2)).reshape(num_classes + 1, num_classes + 2)


def intersection_over_union(counts: Counts) -> npt.NDArray[np.float64]:
    """IoU of every class; NaN where a class is neither there nor predicted."""
    hit, true, predicted = _totals(counts)
    with np.errstate(invalid="ignore"):
        return hit / (true + predicted - hit)


def summary(counts: Counts, class_names: Sequence[str]) -> dict[str, Any]:
    """Figures of a confusion matrix, shares from 0 to 1.

    `miou` is the mean over classes that are there or predicted. False positives and negatives are shares of the union, so that
    for every class IoU + FPR + FNR = 1.
    """
    hit, true, predicted = _totals(counts)
    iou = intersection_over_union(counts)
    union = true + predicted - hit
    with np.errstate(invalid="ignore"):
        false_positive, false_negative = (predicted - hit) / union, (true - hit) / union
    labelled = counts[:, :-1].sum()
    return {
        "miou": _number(_mean(iou)),
        "false_positive_rate": _number(_mean(false_positive)),
        "false_negative_rate": _number(_mean(false_negative)),
        "coverage": _number(labelled / counts.sum() if counts.sum() else np.nan),
        "precision": _number(hit.sum() / labelled if labelled else np.nan),
        "iou": {name: _number(value) for name, value in zip(class_names, iou, strict=True)},
    }


def region_overlap(regions: RegionMap, truth: LabelMap) -> npt.NDArray[np.float64]:
    """How regions fit the classes of one image: pixels that agree with their region's main class, leaks, pixels in all."""
    known = truth != IGNORE
    table = np.zeros((int(regions.max()) + 1, IGNORE), np.int64)
    np.add.at(table, (regions[known], truth[known]), 1)
    size = table.sum(axis=1, keepdims=True)
    leak = np.minimum(table, size - table).sum()
    return np.array([table.max(axis=1).sum(), leak, known.sum()], np.float64)


def average_precision(scores: npt.NDArray[np.float32], present: npt.NDArray[np.bool_]) -> float:
    """Mean precision at the rank of every image that contains the class; NaN where none does. Equal scores share their rank."""
    order = np.argsort(-scores, kind="stable")
    ranked, found = scores[order], present[order]
    last_of_equals = np.searchsorted(-ranked, -ranked, side="right") - 1
    precision = (np.cumsum(found) / np.arange(1, len(found) + 1))[last_of_equals]
    return float(precision[found].mean()) if found.any() else float("nan")


def _totals(counts: Counts) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    square = counts[:, :-1]
    return np.diag(square).astype(np.float64), counts.sum(axis=1).astype(np.float64), square.sum(axis=0).astype(np.float64)


def _mean(values: npt.NDArray[np.float64]) -> float:
    present = values[~np.isnan(values)]
    return float(present.mean()) if len(present) else float("nan")


def _number(value: float) -> float | None:
    """A figure for JSON, which knows no NaN."""
    return None if np.isnan(value) else round(float(value), 4)
