"""LSC superpixels (linear spectral clustering): k-means in a space whose k-means equals normalised cuts of colours and positions.

Pieces that are too small join a neighbour, but a region may still consist of several.

Paper: Li and Chen, "Superpixel Segmentation Using Linear Spectral Clustering", CVPR 2015.

Differs from the paper: what OpenCV does differently, whose code this is. A region is never larger than half of the shorter side of the
image, beyond which OpenCV fails; an image in which none of 4 x 4 pixels fits in that way is one region.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, ClassVar

import cv2
import numpy as np
from pydantic import Field

from seedbed import superpixels
from seedbed.methods import method
from seedbed.types import Image, PatchFeatures, RegionMap

SMALLEST_EDGE = 4  # of a region, in pixels; OpenCV makes one region of everything with smaller ones


@method
class Lsc(superpixels.Method):
    needs_features: ClassVar[bool] = False

    region_size: Annotated[int, Field(ge=SMALLEST_EDGE, le=10_000)]  # inferred; mean edge of a region, in pixels
    compactness: Annotated[float, Field(gt=0, le=10)]  # C_s / C_c, 0.075 in OpenCV: the weight of positions against that of colours
    num_iterations: Annotated[int, Field(ge=1, le=1000)]  # rounds of k-means
    smallest: Annotated[int, Field(ge=0, le=1_000_000)]  # inferred; pieces of fewer pixels join a neighbour

    def segment(self, image: Image, patches: PatchFeatures, *, device: str = "cpu") -> RegionMap:
        edge = min(self.region_size, min(image.shape[:2]) // 2)
        if edge < SMALLEST_EDGE:
            return np.zeros(image.shape[:2], np.int32)
        lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
        with single_thread():
            lsc = cv2.ximgproc.createSuperpixelLSC(lab, edge, self.compactness)
            lsc.iterate(self.num_iterations)
        lsc.enforceLabelConnectivity(self.smallest)
        _, regions = np.unique(lsc.getLabels(), return_inverse=True)
        return np.asarray(regions.reshape(image.shape[:2]), np.int32)


@contextmanager
def single_thread() -> Iterator[None]:
    """Keep OpenCV to one thread: several add to the same sums in any order, so that each run would give other regions."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)
