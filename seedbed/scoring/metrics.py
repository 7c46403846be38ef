"""How well labels and regions fit the truth. Everything is counted first and divided once, over the whole set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from seedbed.store.schemas import FIXED
from seedbed.types import BACKGROUND, IGNORE, OBJECT, ClassMaps, LabelMap, RegionMap

Counts = npt.NDArray[np.int64]
Shares = npt.NDArray[np.float64]


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


def overlap(counts: Counts) -> Counts:
    """Pixels (class, intersection and union) of a confusion matrix, or of several, whose axes are the last two."""
    hit, true, predicted = _totals(counts)
    return np.stack([hit, true + predicted - hit], axis=-1)


def intersection_over_union(overlaps: Counts) -> Shares:
    """IoU of intersections and unions, which are the last axis; NaN where a class is neither there nor predicted."""
    return np.asarray(_share(overlaps[..., 0], overlaps[..., 1]))


def mean(values: Shares) -> float:
    """Mean of the figures that there are; NaN where there is none."""
    present = values[~np.isnan(values)]
    return float(present.mean()) if len(present) else float("nan")


def figure(value: float) -> float | None:
    """A figure for JSON, which knows no NaN."""
    return None if np.isnan(value) else round(float(value), 4)


def by_class(values: Shares, class_names: Sequence[str]) -> dict[str, float | None]:
    """Figures by name of their class; None where a class has none."""
    return {name: figure(value) for name, value in zip(class_names, values, strict=True)}


def summary(counts: Counts, class_names: Sequence[str]) -> dict[str, Any]:
    """Figures of a confusion matrix, shares from 0 to 1.

    Classes that are neither there nor predicted have no figures: they are named as `absent` and left out of means. False positives
    and negatives are shares of the union, so that for every class IoU + FPR + FNR = 1.
    """
    hit, true, predicted = _totals(counts)
    intersection, union = overlap(counts).T
    iou, false_positive, false_negative = (_share(part, union) for part in (intersection, predicted - hit, true - hit))
    labelled = counts[:, :-1].sum()
    return {
        "miou": figure(mean(iou)),
        "false_positive_rate": figure(mean(false_positive)),
        "false_negative_rate": figure(mean(false_negative)),
        "coverage": figure(_share(labelled, counts.sum())),
        "precision": figure(_share(hit.sum(), labelled)),
        "iou": by_class(iou, class_names),
        "false_positive_rates": by_class(false_positive, class_names),
        "false_negative_rates": by_class(false_negative, class_names),
        "absent": [name for name, value in zip(class_names, iou, strict=True) if np.isnan(value)],
    }


def row_shares(counts: Counts) -> Shares:
    """A confusion matrix as shares of the pixels of each true class; NaN where there are none."""
    return np.asarray(_share(counts, counts.sum(axis=1, keepdims=True)))


def threshold_sweep(maps: ClassMaps, truth: LabelMap, thresholds: npt.NDArray[np.float64], *, num_classes: int) -> Counts:
    """Pixels (threshold, class, intersection and union) of labels that are background where no class map exceeds a threshold.

    The same as thresholding and counting anew for each threshold, but in one pass: what counts of a pixel is its strongest map, and
    how many thresholds lie below that. Pixels whose truth is 255 are left out.
    maps: of the size of the truth.
    thresholds: ascending.
    """
    known = truth != IGNORE
    true = truth[known].astype(np.int64)
    strongest = maps.maps.max(axis=0, initial=0)[known]
    best = np.array([*maps.classes, BACKGROUND])[maps.maps.argmax(axis=0)[known]] if maps.classes else np.zeros_like(true)
    exceeded = np.searchsorted(thresholds.astype(maps.maps.dtype), strongest, side="left")  # thresholds at which the pixel is labelled
    shape = (1 + num_classes, 1 + len(thresholds))

    def labelled(chosen: npt.NDArray[np.bool_] | slice) -> Counts:
        """Pixels (threshold, class) among some, by the class of their strongest map where that is what they are labelled with."""
        places = np.ravel_multi_index((best[chosen], exceeded[chosen]), shape)
        table = np.bincount(places, minlength=shape[0] * shape[1]).reshape(shape)
        return np.cumsum(table[:, :0:-1], axis=1)[:, ::-1].T

    given, right = labelled(slice(None)), labelled(best == true)
    given[:, BACKGROUND] = len(true) - given.sum(axis=1)
    of_background = true == BACKGROUND
    right[:, BACKGROUND] = of_background.sum() - labelled(of_background).sum(axis=1)
    return np.stack([right, np.bincount(true, minlength=shape[0]) + given - right], axis=-1)


def label_violations(labels: LabelMap, contained: Sequence[int]) -> int:
    """Pixels that are labelled with a class that the image does not contain, as is known without any truth.

    contained: classes of the image, without background.
    """
    counts = np.bincount(labels.ravel(), minlength=1 + IGNORE)
    counts[[BACKGROUND, *contained, IGNORE]] = 0
    return int(counts.sum())


def object_overlap(objects: LabelMap, truth: LabelMap) -> Counts:
    """Pixels of background and of things, whatever these are (true_object, object), by whether they are said to be of something.

    Pixels whose truth is 255 are left out.
    objects: 1 where something is, 0 where nothing is, 255 where that is unknown.
    """
    known = truth != IGNORE
    said = np.where(objects[known] == IGNORE, OBJECT + 1, objects[known])
    shape = (FIXED["true_object"], FIXED["object"])
    places = np.ravel_multi_index(((truth[known] != BACKGROUND).astype(np.int64), said), shape)
    return np.bincount(places, minlength=shape[0] * shape[1]).reshape(shape)


def object_figures(counts: Counts) -> Mapping[str, float | None]:
    """Figures of saliency.

    counts: what `object_overlap` counted, summed over images.
    """
    background, objects = counts
    hit, union = objects[OBJECT], objects.sum() + background[OBJECT]
    return {
        "object_iou": figure(_share(hit, union)),
        "object_precision": figure(_share(hit, counts[:, OBJECT].sum())),
        "object_recall": figure(_share(hit, objects.sum())),
        "background_precision": figure(_share(background[BACKGROUND], counts[:, BACKGROUND].sum())),
        "unknown": figure(_share(counts[:, OBJECT + 1].sum(), counts.sum())),
    }


def region_overlap(regions: RegionMap, truth: LabelMap) -> Counts:
    """How regions fit the classes of one image: pixels that agree with their region's main class, leaks, pixels in all.

    Pixels whose truth is 255 are left out.
    """
    known = truth != IGNORE
    labels = truth[known]
    shape = (int(regions.max()) + 1, int(labels.max(initial=0)) + 1)
    table = np.bincount(np.ravel_multi_index((regions[known], labels), shape), minlength=shape[0] * shape[1]).reshape(shape)
    size = table.sum(axis=1, keepdims=True)
    leak = np.minimum(table, size - table).sum()
    return np.array([table.max(axis=1).sum(), leak, known.sum()], np.int64)


def region_figures(overlaps: Counts, boundaries: Counts) -> Mapping[str, float | None]:
    """Figures of superpixels.

    overlaps: what `region_overlap` counted, summed over images.
    boundaries: what `Boundaries.found` counted, summed over images.
    """
    agreeing, leaking, total = overlaps
    recalled, true, precise, drawn = boundaries
    return {
        "achievable_segmentation_accuracy": figure(_share(agreeing, total)),
        "undersegmentation_error": figure(_share(leaking, total)),
        "boundary_recall": figure(_share(recalled, true)),
        "boundary_precision": figure(_share(precise, drawn)),
    }


def average_precision(scores: npt.NDArray[np.float32], present: npt.NDArray[np.bool_]) -> float:
    """Mean precision at the rank of every image that contains the class; NaN where none does. Equal scores share their rank."""
    order = np.argsort(-scores, kind="stable")
    ranked, found = scores[order], present[order]
    last_of_equals = np.searchsorted(-ranked, -ranked, side="right") - 1
    precision = (np.cumsum(found) / np.arange(1, len(found) + 1))[last_of_equals]
    return float(precision[found].mean()) if found.any() else float("nan")


def _totals(counts: Counts) -> tuple[Counts, Counts, Counts]:
    """Pixels of every class that are right, that are true, that are predicted."""
    square = counts[..., :-1]
    return np.diagonal(square, axis1=-2, axis2=-1), counts.sum(axis=-1), square.sum(axis=-2)


def _share(part: Any, whole: Any) -> Any:
    """Part of a whole; NaN where that is nothing."""
    with np.errstate(invalid="ignore"):
        return np.true_divide(part, whole)
