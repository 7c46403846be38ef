"""Boundaries of labels and of regions, and how well they meet those of the truth.

The boundary of a label map is what OpenCV's contour finding gives for the mask of every label, holes included: pixels beside which,
above, below, left or right, is another label. Neighbours are compared instead of masks traced, which gives the same pixels (a test
compares them) at once for all labels. So a border is two pixels wide, one on each side, and the border of the image is none.

Papers: Cheng et al., "Boundary IoU: Improving Object-Centric Image Segmentation Evaluation", CVPR 2021. Recall and precision of
superpixels' boundaries are those of the Seoul National University dissertation of 2022.
"""

from __future__ import annotations

import math
from typing import Annotated

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import Field

from seedbed.methods import parameters
from seedbed.metrics import Counts
from seedbed.types import IGNORE, LabelMap, RegionMap

Pixels = npt.NDArray[np.bool_]  # (y, x)


@parameters
class Boundaries:
    """How boundaries are held against those of the truth."""

    distance: Annotated[
        float, Field(gt=0, le=20_000)
    ]  # paper: epsilon; a boundary of superpixels meets a true one that is nearer, in pixels
    share: Annotated[float, Field(gt=0, le=1)]  # width of the bands of the boundary IoU, of the image's diagonal; paper: 0.02
    at_void: bool  # whether a class has a boundary where it ends at pixels marked 255, which outline every object in PASCAL VOC

    def found(self, regions: RegionMap, truth: LabelMap) -> Counts:
        """How region boundaries meet the true ones.

        True boundary pixels that are met, all of them, region boundary pixels that meet a true one, all of them. Pixels whose truth
        is 255 are not asked, but a region boundary that lies there may meet a true one beside.
        """
        known = truth != IGNORE
        true, drawn = self.of_truth(truth), edges(regions)
        asked = drawn & known
        counts = [(true & self._near(drawn)).sum(), true.sum(), (asked & self._near(true)).sum(), asked.sum()]
        return np.array(counts, np.int64)

    def of_truth(self, truth: LabelMap) -> Pixels:
        """Boundary pixels of the truth, none of them marked 255."""
        known = truth != IGNORE
        return edges(truth) & known if self.at_void else edges(truth, known)

    def overlap(self, labels: LabelMap, truth: LabelMap, *, num_classes: int) -> Counts:
        """Pixels (class, intersection and union) of the bands along the inner side of every class's contour.

        As in the paper, the border of the image ends a class, and so do pixels marked 255, in the truth or among the labels. Pixels
        whose truth is 255 are not counted.
        num_classes: without background.
        """
        width = self.band_width(truth.shape)
        known = truth != IGNORE
        true, drawn = _band(truth, width) & known, _band(labels, width) & known & (labels != IGNORE)
        both, length = true & drawn & (truth == labels), 1 + num_classes
        of_truth, of_labels, shared = (np.bincount(one, minlength=length) for one in (truth[true], labels[drawn], truth[both]))
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


def edges(labels: npt.NDArray[np.integer], counted: Pixels | None = None) -> Pixels:
    """Pixels beside another label.

    counted: pixels that make an edge to each other; all, if nothing is said.
    """
    found = np.zeros(labels.shape, np.bool_)
    for whole, values, among in ((found, labels, counted), (found.T, labels.T, None if counted is None else counted.T)):
        differs = values[1:] != values[:-1]
        if among is not None:
            differs &= among[1:] & among[:-1]
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
