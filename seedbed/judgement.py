"""From counts per image to the figures of a whole evaluation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from seedbed import metrics
from seedbed.artifacts import Artifact
from seedbed.types import IGNORE, LabelMap, RegionMap

OVERLAP = 3  # numbers that metrics.region_overlap gives


@dataclass(frozen=True)
class Chosen:
    """Images whose labels are judged."""

    images: frozenset[str]

    def key(self, image: str) -> str:
        """Whether an image is one of them."""
        return str(image in self.images)

    def __contains__(self, image: str) -> bool:
        return image in self.images

    def only(self, images: Sequence[str]) -> Chosen:
        """Those among some images."""
        return Chosen(self.images & frozenset(images))


def judge(
    truth: LabelMap | None, kinds: Mapping[str, LabelMap], *, names: Sequence[str], num_classes: int, regions: RegionMap | None
) -> dict[str, Any]:
    """Count one image: its columns in the evaluation's artifact.

    kinds: labels by the name under which they are reported.
    names: all that there are.
    """
    confusion = np.zeros((len(names), 1 + num_classes, 2 + num_classes), np.int64)
    if truth is not None:
        for kind, labels in kinds.items():
            confusion[names.index(kind)] = metrics.confusion(truth, labels, num_classes=num_classes)
    return {
        "judged": [name in kinds for name in names],
        "with_truth": truth is not None,
        "coverage": [float((kinds[name] != IGNORE).mean()) if name in kinds else 0.0 for name in names],
        "confusion": confusion,
        "region_count": 0 if regions is None else int(regions.max()) + 1,
        "region_overlap": np.zeros(OVERLAP) if regions is None or truth is None else metrics.region_overlap(regions, truth),
    }


def figures(judged: Artifact, class_names: Sequence[str]) -> dict[str, Any]:
    """Figures by kind. Kinds that no image has a truth for keep what can be said without it.

    judged: the evaluation's artifact.
    """
    report: dict[str, Any] = {}
    with_truth, regions = judged.whole("with_truth"), judged.whole("region_count") > 0
    totals = np.zeros((len(judged.whole("kinds")), len(class_names), 1 + len(class_names)), np.int64)
    for image in judged.ids:
        totals += judged.read("confusion", image)
    for index, kind in enumerate(str(one) for one in judged.whole("kinds")):
        there = judged.whole("judged")[:, index]
        if not there.any():
            continue
        report[kind] = {"images": int(there.sum()), "images_with_truth": int((there & with_truth).sum())}
        if (there & with_truth).any():
            report[kind] |= metrics.summary(totals[index], class_names)
        else:
            report[kind]["coverage"] = round(float(judged.whole("coverage")[there, index].mean()), 4)
    if regions.any():
        report["superpixels"] = _superpixels(judged.whole("region_count")[regions], judged.whole("region_overlap")[regions & with_truth])
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


def iou_table(report: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """What and its IoU, for a plot."""
    for kind, content in report.items():
        for name, value in content.get("iou", {}).items():
            if value is not None:
                yield f"{kind}: {name}", value


def _superpixels(counts: npt.NDArray[np.int32], overlaps: npt.NDArray[np.float64]) -> dict[str, Any]:
    """Figures of superpixels.

    overlaps: of the images with a truth.
    """
    report = {"images": len(counts), "images_with_truth": len(overlaps), "mean_count": round(float(counts.mean()), 2)}
    agreeing, leaking, total = overlaps.sum(axis=0)
    if total > 0:
        report["achievable_segmentation_accuracy"] = round(float(agreeing / total), 4)
        report["undersegmentation_error"] = round(float(leaking / total), 4)
    return report
