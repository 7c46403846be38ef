"""Things: connected pixels of one class. An IoU over pixels is that of large things; here every true thing counts as much as another.

Paper: the instance-aware IoU of Mun et al., "Small Objects Matters in Weakly-supervised Semantic Segmentation", 2023.

Differs from the paper: things are connected pixels, since the truth here need not tell things of a class apart where they touch; and sizes
are shares of the image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from seedbed.types import BACKGROUND, IGNORE, LabelMap, RegionMap


@dataclass(frozen=True)
class Things:
    """All things of a class."""

    label: int
    numbers: RegionMap  # (y, x): thing of every pixel, from 1 on; 0 is none
    pixels: npt.NDArray[np.int64]  # of every thing, from number 1 on


def find_things(labels: LabelMap) -> list[Things]:
    """The things of every class but background. Pixels that touch at a corner are connected."""
    found = []
    for label in np.flatnonzero(np.bincount(labels.ravel())):
        if label not in (BACKGROUND, IGNORE):
            _, numbers, about, _ = cv2.connectedComponentsWithStats((labels == label).astype(np.uint8), connectivity=8)
            found.append(Things(int(label), np.asarray(numbers, np.int32), about[1:, cv2.CC_STAT_AREA].astype(np.int64)))
    return found


def find_smallest(things: Sequence[Things]) -> int:
    """Pixels of the smallest thing; 0 where there is none."""
    return min((int(one.pixels.min()) for one in things), default=0)


def measure_by_size(
    made: Sequence[Things], true: Sequence[Things], bounds: Sequence[float], *, known: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float64]:
    """True things of each size, and the sum of their IoU (size, 2).

    What is labelled beyond things counts against those that the connected labels touch, in proportion to how much they cover of each.

    true: of a truth whose void is filled.
    bounds: shares of the image that part one size from the next, ascending.
    known: pixels (y, x) whose truth is not void. Others count nowhere, but connect: truths often have void along contours, which would cut
        true things into crumbs, and part what is labelled beyond a thing from what is labelled in it.
    """
    found = np.zeros((len(bounds) + 1, 2))
    predicted = {one.label: one for one in made}
    for one in true:
        pixels = np.bincount(one.numbers[known], minlength=1 + len(one.pixels))[1:]
        iou = np.zeros(len(pixels))
        if one.label in predicted:
            covered, beyond = _overlap(one, predicted[one.label], known)
            share = covered / np.maximum(covered.sum(axis=0), 1)
            iou = covered.sum(axis=1) / np.maximum(pixels + share @ beyond, 1)
        sizes = np.digitize(pixels / known.size, bounds)
        np.add.at(found, sizes[pixels > 0], np.stack([np.ones(len(iou)), iou], axis=1)[pixels > 0])
    return found


def _overlap(true: Things, made: Things, known: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Pixels that each true thing shares with each that was made (true, made), and known ones of the latter beyond all true ones."""
    height, width = 1 + len(true.pixels), 1 + len(made.pixels)
    common = np.bincount((true.numbers * np.int64(width) + made.numbers)[known], minlength=height * width).reshape(height, width)
    return common[1:, 1:].astype(np.float64), common[0, 1:].astype(np.float64)


def measure_disagreement(one: LabelMap, other: LabelMap) -> float:
    """Share of the pixels that both label which they label differently; 0 where there are none."""
    both = (one != IGNORE) & (other != IGNORE)
    return int(np.count_nonzero(both & (one != other))) / max(1, int(np.count_nonzero(both)))
