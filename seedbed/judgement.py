"""From counts per image to the figures of a whole evaluation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from seedbed import metrics
from seedbed.metrics import Counts
from seedbed.types import IGNORE, LabelMap, RegionMap


@dataclass(frozen=True)
class Judged:
    """What was counted on one image."""

    id: str
    coverage: dict[str, float]  # kind -> share of labelled pixels, known without a truth
    confusions: dict[str, Counts]  # kind -> counts; empty where the image has no truth
    region_count: int | None
    region_overlap: npt.NDArray[np.float64] | None


def judge(
    image_id: str, truth: LabelMap | None, kinds: Mapping[str, LabelMap], *, num_classes: int, regions: RegionMap | None = None
) -> Judged:
    """Count one image.

    kinds: labels by the name under which they are reported.
    """
    return Judged(
        id=image_id,
        coverage={kind: float((labels != IGNORE).mean()) for kind, labels in kinds.items()},
        confusions={}
        if truth is None
        else {kind: metrics.confusion(truth, labels, num_classes=num_classes) for kind, labels in kinds.items()},
        region_count=None if regions is None else int(regions.max()) + 1,
        region_overlap=None if regions is None or truth is None else metrics.region_overlap(regions, truth),
    )


def figures(judged: Sequence[Judged], class_names: Sequence[str]) -> dict[str, Any]:
    """Figures by kind. Kinds that no image has a truth for keep what can be said without it."""
    report: dict[str, Any] = {}
    for kind in dict.fromkeys(kind for one in judged for kind in one.coverage):
        counts = [one.confusions[kind] for one in judged if kind in one.confusions]
        images = [one for one in judged if kind in one.coverage]
        report[kind] = {"images": len(images), "images_with_truth": len(counts)}
        if counts:
            report[kind] |= metrics.summary(np.sum(counts, axis=0), class_names)
        else:
            report[kind]["coverage"] = round(float(np.mean([one.coverage[kind] for one in images])), 4)
    if any(one.region_count is not None for one in judged):
        report["superpixels"] = _superpixels(judged)
    return report


def classifier_figures(scores: npt.NDArray[np.float32], labels: npt.NDArray[np.bool_], class_names: Sequence[str]) -> dict[str, Any]:
    """Average precision of every class, background left out.

    scores, labels: (image, class).
    """
    each = {name: metrics.average_precision(scores[:, index], labels[:, index]) for index, name in enumerate(class_names) if index > 0}
    known = [value for value in each.values() if not np.isnan(value)]
    return {
        "images": len(scores),
        "mean_average_precision": round(float(np.mean(known)), 4) if known else None,
        "average_precision": {name: None if np.isnan(value) else round(value, 4) for name, value in each.items()},
    }


def measurements(judged: Sequence[Judged]) -> Iterator[dict[str, Any]]:
    """Columns of the evaluation's artifact."""
    for one in judged:
        for kind, counts in one.confusions.items():
            yield {"ids": one.id, "kind": kind, "confusion": counts}


def iou_table(report: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """What and its IoU, for a plot."""
    for kind, content in report.items():
        for name, value in content.get("iou", {}).items():
            if value is not None:
                yield f"{kind}: {name}", value


def _superpixels(judged: Sequence[Judged]) -> dict[str, Any]:
    counts = [one.region_count for one in judged if one.region_count is not None]
    overlaps = [one.region_overlap for one in judged if one.region_overlap is not None]
    report: dict[str, Any] = {"images": len(counts), "images_with_truth": len(overlaps), "mean_count": round(float(np.mean(counts)), 2)}
    if overlaps:
        agreeing, leaking, total = np.sum(overlaps, axis=0)
        if total == 0:
            return report
        report["achievable_segmentation_accuracy"] = round(float(agreeing / total), 4)
        report["undersegmentation_error"] = round(float(leaking / total), 4)
    return report
