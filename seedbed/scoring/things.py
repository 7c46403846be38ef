"""Things: connected pixels of one class. An IoU over pixels is that of large things; here every true thing counts as much as another.

Paper: the instance-aware IoU of Mun et al., "Small Objects Matters in Weakly-supervised Semantic Segmentation", 2023.

Differs from the paper: things are connected pixels, since the truth here need not tell things of a class apart where they touch; and sizes
are shares of the image.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
import numpy.typing as npt

from seedbed.types import BACKGROUND, IGNORE, LabelMap, RegionMap


def find_things(labels: LabelMap) -> Iterator[tuple[int, int, RegionMap]]:
    """Every class but background, how many things of it there are, and which each pixel belongs to, from 1 on; 0 is none.

    Pixels that touch at a corner are connected.
    """
    for label in np.unique(labels):
        if label not in (BACKGROUND, IGNORE):
            count, numbers = cv2.connectedComponents((labels == label).astype(np.uint8), connectivity=8)
            yield int(label), count - 1, numbers


def find_smallest(labels: LabelMap) -> int:
    """Pixels of the smallest thing; 0 where there is none."""
    sizes = [np.bincount(numbers.ravel())[1:].min() for _, _, numbers in find_things(labels)]
    return int(min(sizes, default=0))


def measure_by_size(labels: LabelMap, truth: LabelMap, bounds: Sequence[float]) -> npt.NDArray[np.float64]:
    """True things of each size, and the sum of their IoU (size, 2).

    What is labelled beyond things counts against those that the connected labels touch, in proportion to how much they cover of each.
    Pixels whose truth is 255 are left out.

    bounds: shares of the image that part one size from the next, ascending.
    """
    found = np.zeros((len(bounds) + 1, 2))
    made = np.where(truth == IGNORE, IGNORE, labels).astype(np.uint8)
    predicted = {label: (count, numbers) for label, count, numbers in find_things(made)}
    for label, count, numbers in find_things(truth):
        others, parts = predicted.get(label, (0, np.zeros_like(numbers)))
        common = np.zeros((count + 1, others + 1), np.int64)
        np.add.at(common, (numbers.ravel(), parts.ravel()), 1)
        covered, beyond = common[1:, 1:], common[0, 1:]
        share = covered / np.maximum(covered.sum(axis=0), 1)
        pixels, hit = common[1:].sum(axis=1), covered.sum(axis=1)
        iou = hit / (pixels + share @ beyond)
        np.add.at(found, np.digitize(pixels / truth.size, bounds), np.stack([np.ones(count), iou], axis=1))
    return found


def measure_disagreement(one: LabelMap, other: LabelMap) -> float:
    """Share of the pixels that both label which they label differently; 0 where there are none."""
    both = (one != IGNORE) & (other != IGNORE)
    return float((one[both] != other[both]).mean()) if both.any() else 0.0
