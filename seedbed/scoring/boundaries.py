"""Boundaries of labels and of regions, and how well they meet those of the truth.

The boundary of a label map is what OpenCV's contour finding gives for the mask of every label, holes included: pixels beside which,
above, below, left or right, is another label. Neighbours are compared instead of masks traced, which gives the same pixels (a test
compares them) at once for all labels. So a border is two pixels wide, one on each side, and the border of the image is none.

Void, pixels that the truth marks 255, has no say. Each takes what the nearest known pixel has: in the truth its class, in what is
judged the label or region of that same pixel. Then both are ordinary maps, and all their pixels count. So an answer that is right at
every known pixel is perfect, however thick void is and whatever the answer says there, and a wrong one cannot be saved by it. To leave
void out of the count instead would leave nothing of masks that outline every object with 255, as those of PASCAL VOC do: all their
boundaries lie in void, in the middle of the outline.

Papers: Cheng et al., "Boundary IoU: Improving Object-Centric Image Segmentation Evaluation", CVPR 2021. Recall and precision of
superpixels' boundaries are those of the Seoul National University dissertation of 2022.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Self

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy import ndimage

from seedbed.methods import parameters
from seedbed.scoring.metrics import Counts
from seedbed.types import IGNORE, Entry, LabelMap, RegionMap

Pixels = npt.NDArray[np.bool_]  # (y, x)


@dataclass(frozen=True)
class FilledTruth:
    """A truth whose void is filled from the nearest known pixels, and where those are, to fill what is judged from the same ones."""

    classes: LabelMap  # 255 only where no pixel is known
    void: npt.NDArray[np.intp]  # places of the pixels that were filled, row by row
    nearest: npt.NDArray[np.intp]  # the place that each was filled from

    @classmethod
    def of(cls, truth: LabelMap) -> Self:
        """Fill a truth."""
        places = np.flatnonzero(truth == IGNORE)
        if len(places) in (0, truth.size):
            nothing = places[:0]
            return cls(truth, nothing, nothing)
        rows, columns = ndimage.distance_transform_edt(truth == IGNORE, return_distances=False, return_indices=True)
        nearest = np.ravel_multi_index((rows.ravel()[places], columns.ravel()[places]), truth.shape)
        return cls(_copy_from(truth, nearest, places), places, nearest)

    @property
    def known(self) -> bool:
        """Whether there is a known pixel at all; if not, there is nothing to be filled from, and nothing is counted."""
        return bool((self.classes != IGNORE).any())

    def fill(self, judged: npt.NDArray[Entry]) -> npt.NDArray[Entry]:
        """Labels or regions with their own values at the nearest known pixels in place of those in void."""
        return _copy_from(judged, self.nearest, self.void)


@parameters
class Boundaries:
    """How boundaries are held against those of the truth."""

    distance: Annotated[
        float, Field(gt=0, le=20_000)
    ]  # paper: epsilon; a boundary of superpixels meets a true one that is nearer, in pixels
    share: Annotated[float, Field(gt=0, le=1)]  # width of the bands of the boundary IoU, of the image's diagonal; paper: 0.02

    def found(self, regions: RegionMap, truth: FilledTruth) -> Counts:
        """How region boundaries meet the true ones.

        True boundary pixels that are met, all of them, region boundary pixels that meet a true one, all of them.
        """
        if not truth.known:
            return np.zeros(4, np.int64)
        true, drawn = edges(truth.classes), edges(truth.fill(regions))
        return np.array([(true & self._near(drawn)).sum(), true.sum(), (drawn & self._near(true)).sum(), drawn.sum()], np.int64)

    def overlap(self, labels: LabelMap, truth: FilledTruth, *, num_classes: int) -> Counts:
        """Pixels (class, intersection and union) of the bands along the inner side of every class's contour.

        As in the paper, the border of the image ends a class; among the labels, so do pixels marked 255, which have no band.
        num_classes: without background.
        """
        length = 1 + num_classes
        if not truth.known:
            return np.zeros((length, 2), np.int64)
        width, labels = self.band_width(labels.shape), truth.fill(labels)
        true, drawn = _band(truth.classes, width), _band(labels, width) & (labels != IGNORE)
        both = true & drawn & (truth.classes == labels)
        counted = (truth.classes[true], labels[drawn], truth.classes[both])
        of_truth, of_labels, shared = (np.bincount(one, minlength=length) for one in counted)
        return np.stack([shared, of_truth + of_labels - shared], axis=-1)

    def band_width(self, size: tuple[int, ...]) -> int:
        """Width of the bands in an image, in pixels."""
        return max(1, round(self.share * math.hypot(*size)))

    def _near(self, pixels: Pixels) -> Pixels:
        """Whether some of these is nearer than the tolerance."""
        if not pixels.any():
            return pixels
        away = cv2.distanceTransform((~pixels).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        return np.asarray(away < self.distance)


def edges(labels: npt.NDArray[np.integer]) -> Pixels:
    """Pixels beside another label."""
    found = np.zeros(labels.shape, np.bool_)
    for whole, values in ((found, labels), (found.T, labels.T)):
        differs = values[1:] != values[:-1]
        whole[1:] |= differs
        whole[:-1] |= differs
    return found


def _band(labels: LabelMap, width: int) -> Pixels:
    """Pixels with another label or the outside of the image within a square around them.

    width: from the pixel to the square's side.
    """
    square = np.ones((2 * width + 1, 2 * width + 1), np.uint8)
    least = cv2.erode(labels, square)  # ignores the outside
    most = cv2.dilate(labels, square, borderType=cv2.BORDER_CONSTANT, borderValue=(IGNORE,) * 4)
    return np.asarray((least != labels) | (most != labels))


def _copy_from(values: npt.NDArray[Entry], sources: npt.NDArray[np.intp], targets: npt.NDArray[np.intp]) -> npt.NDArray[Entry]:
    """A map in which some places have the values of others."""
    copied = values.flatten()
    copied[targets] = copied[sources]
    return copied.reshape(values.shape)
